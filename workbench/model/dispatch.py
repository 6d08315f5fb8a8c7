"""Numba functions of our own for some of PyTensor's operations, while a density is compiled and no longer."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytensor.scalar.basic as ps
from pytensor.tensor.basic import Split
from pytensor.tensor.elemwise import CAReduce

from workbench.model.reductions import divided, reduced
from workbench.model.scalars import written_out

_PLAIN = {ps.Composite: written_out, CAReduce: reduced, Split: divided}
_LOCK = threading.Lock()


@contextlib.contextmanager
def plain_functions() -> Iterator[None]:
    """While this lasts, some operations are compiled to less code; other users of PyTensor are left alone."""
    from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key

    with _LOCK:
        usual = {operation: numba_funcify_and_cache_key.dispatch(operation) for operation in _PLAIN}
        for operation, ours in _PLAIN.items():
            numba_funcify_and_cache_key.register(operation, ours)
        try:
            yield
        finally:
            for operation, theirs in usual.items():
                numba_funcify_and_cache_key.register(operation, theirs)
