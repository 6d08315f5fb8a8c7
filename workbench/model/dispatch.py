"""Numba functions of our own for some of PyTensor's operations, while a density is compiled and no longer.

PyTensor wraps the function of every operation into another one, which it keeps on disk. A density is kept on disk as a
whole, so for operations whose functions are small the wrapper only costs time, as much as what it wraps. Equal
operations share one function, also those of different models.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytensor.scalar.basic as ps
from pytensor.tensor.basic import Alloc, ScalarFromTensor, Split, TensorFromScalar
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.rewriting.fused_elemwise import FusedElemwise
from pytensor.tensor.rewriting.scalarize import ScalarCAReduce, ScalarizedElemwise
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor, IncSubtensor

from workbench.model.parts import changed, picked, picked_changed
from workbench.model.reductions import divided, reduced, reduced_to_number
from workbench.model.scalars import written_out
from workbench.model.shapes import boxed, filled, shuffled, unboxed

_PLAIN = {
    ps.Composite: written_out,
    CAReduce: reduced,
    ScalarCAReduce: reduced_to_number,
    Split: divided,
    DimShuffle: shuffled,
    Alloc: filled,
    ScalarFromTensor: unboxed,
    TensorFromScalar: boxed,
    IncSubtensor: changed,
    AdvancedSubtensor: picked,
    AdvancedIncSubtensor: picked_changed,
}
_UNWRAPPED = (*_PLAIN, ps.ScalarOp, Elemwise, FusedElemwise, ScalarizedElemwise)
_SEEN: dict[tuple[str, tuple[str, ...]], Any] = {}  # functions of this process by key and types: the next model's too
_MOST = 2000
_LOCK = threading.Lock()


@contextlib.contextmanager
def plain_functions() -> Iterator[None]:
    """While this lasts, some operations are compiled to less code; other users of PyTensor are left alone."""
    from pytensor.link.numba.dispatch import basic

    functions, wrapped = basic.numba_funcify_and_cache_key, basic.numba_funcify_ensure_cache

    def unwrapped(op: Any, node: Any = None, **given: Any) -> tuple[Any, str | None]:
        if not isinstance(op, _UNWRAPPED):
            return wrapped(op, node=node, **given)
        function, key = functions(op, node=node, **given)
        if key is None:
            return function, None
        kinds = tuple(str(v.type) for v in (*node.inputs, *node.outputs))
        if len(_SEEN) > _MOST:
            _SEEN.clear()
        return _SEEN.setdefault((key, kinds), function), key

    with _LOCK:
        usual = {operation: functions.dispatch(operation) for operation in _PLAIN}
        for operation, ours in _PLAIN.items():
            functions.register(operation, ours)
        basic.numba_funcify_ensure_cache = unwrapped
        try:
            yield
        finally:
            basic.numba_funcify_ensure_cache = wrapped
            for operation, theirs in usual.items():
                functions.register(operation, theirs)
