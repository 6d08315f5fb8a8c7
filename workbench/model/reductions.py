"""Sums over axes, and splits, as the few loops that they are.

PyTensor's Numba functions for them serve every layout of memory in its fastest order: an argsort of the strides, a
transpose, and a loop nest for every outcome, together seconds of compile time for one sum over an axis. Here an array
is walked in the order in which it lies in memory where that is C's or Fortran's, and by its indices elsewhere.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import pytensor.scalar.basic as ps
from numpy.lib.array_utils import normalize_axis_tuple
from pytensor.tensor.basic import Split
from pytensor.tensor.elemwise import CAReduce
from pytensor.tensor.rewriting.scalarize import ScalarCAReduce

_UPDATE: dict[type, str] = {
    ps.Add: "res{at} += value",
    ps.AND: "res{at} &= value",
    ps.Maximum: "if value > res{at} or value != value: res{at} = value",  # NaN stays, as in NumPy
}
_VERSION = 1


def reduced(op: CAReduce, node: Any, scalar_out: bool = False, **given: Any) -> tuple[Any, str | None]:
    """A reduction as a Numba function, and its key for the cache; PyTensor's own where it has no plain form."""
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import numba_njit
    from pytensor.link.numba.dispatch.elemwise import _flat_view, numba_funcify_CAReduce

    (x,), (out,) = node.inputs, node.outputs
    dtype = getattr(op, "acc_dtype", None) or out.type.dtype
    update, plain = _UPDATE.get(type(op.scalar_op)), {x.type.dtype, dtype, out.type.dtype} in ({"float64"}, {"bool"})
    if update is None or not plain or x.type.ndim < 2:
        return numba_funcify_CAReduce(op, node=node, scalar_out=scalar_out, **given)
    axes = range(x.type.ndim) if op.axis is None else normalize_axis_tuple(op.axis, x.type.ndim)
    source = _source(update, x.type.ndim, [i for i in range(x.type.ndim) if i not in axes], scalar_out)
    identity = np.asarray(op.scalar_op.identity).astype(dtype)[()]
    scope = {"np": np, "_flat_view": _flat_view, "identity": identity, "dtype": np.dtype(dtype)}
    function = numba_njit(compile_numba_function_src(source, "reduced", scope), boundscheck=False)
    return function, sha256(str((_VERSION, source, identity, dtype)).encode()).hexdigest()


def reduced_to_number(op: ScalarCAReduce, **given: Any) -> tuple[Any, str | None]:
    """A reduction over all axes that gives a number instead of an array, and its key for the cache."""
    (inner,) = [one for one in op.fgraph.apply_nodes if isinstance(one.op, CAReduce)]
    return reduced(inner.op, scalar_out=True, **(given | {"node": inner}))


def _source(update: str, ndim: int, kept: list[int], scalar_out: bool) -> str:
    """The loops of a reduction that keeps some axes."""
    index = ", ".join(f"i{axis}_" for axis in range(ndim))
    into = update.format(at=f"[{', '.join(f'i{axis}_' for axis in kept)}]" if kept else "")

    def nest(order: list[int]) -> list[str]:
        loops = [f"        {'    ' * depth}for i{axis}_ in range(s[{axis}]):" for depth, axis in enumerate(order)]
        inside = "        " + "    " * len(order)
        return [*loops, f"{inside}value = x[{index}]", f"{inside}{into}"]

    axes = list(range(ndim))
    lines = ["def reduced(x):", "    s = x.shape"]
    if kept:
        lines.append(f"    res = np.full(({', '.join(f's[{axis}]' for axis in kept)},), identity, dtype=dtype)")
        lines += ["    if x.flags.f_contiguous and not x.flags.c_contiguous:", *nest(axes[::-1])]
        return "\n".join([*lines, "    else:", *nest(axes), "    return res"])
    flat = ["        y = _flat_view(x)", "        for i in range(len(y)):", "            value = y[i]"]
    lines += ["    res = identity", "    if x.flags.c_contiguous or x.flags.f_contiguous:", *flat]
    lines += [f"            {into}", "    else:", *nest(axes)]
    return "\n".join([*lines, f"    return {'res' if scalar_out else 'np.array(res, dtype=dtype)'}"])


def divided(op: Split, **_given: Any) -> tuple[Any, str]:
    """A split of an array along an axis as a Numba function, and its key for the cache."""
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import numba_njit

    before, parts = ":, " * op.axis, range(op.len_splits)
    lines = ["def divided(x, sizes):", f"    if len(sizes) != {op.len_splits}:"]
    lines += ['        raise ValueError("as many sizes as parts are needed")', "    stop = 0"]
    for k in parts:
        lines += [f"    if sizes[{k}] < 0:", '        raise ValueError("a part has a negative size")']
        lines += [f"    start_ = stop; stop = stop + sizes[{k}]", f"    part{k}_ = x[{before}start_:stop]"]
    lines += [f"    if stop != x.shape[{op.axis}]:", '        raise ValueError("the sizes do not add up to the axis")']
    source = "\n".join([*lines, f"    return ({', '.join(f'part{k}_' for k in parts)},)"])
    function = numba_njit(compile_numba_function_src(source, "divided", {"np": np}))
    return function, sha256(str((_VERSION, source)).encode()).hexdigest()
