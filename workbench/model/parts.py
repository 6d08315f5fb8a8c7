"""Parts of arrays: taken by integer indices, and set or added to, as the few loops that they are.

PyTensor's Numba functions check shapes with NumPy's broadcasting, whose error messages are compiled with them: a second
for one index into a vector. Here what broadcasts is known from the types, and the rest is compared number by number.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
from pytensor.graph.basic import Variable
from pytensor.tensor.subtensor import AdvancedIncSubtensor, AdvancedSubtensor, IncSubtensor
from pytensor.tensor.type import TensorType

_VERSION = 1
_SHAPES = "the shapes of two arrays do not agree"


def _compiled(name: str, lines: list[str], dtype: str, checked: bool = False) -> tuple[Any, str]:
    """The function of a source, and its key for the cache."""
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import numba_njit

    source = "\n".join(lines)
    scope = {"np": np, "dtype": np.dtype(dtype)}
    function = numba_njit(compile_numba_function_src(source, name, scope), boundscheck=checked)
    return function, sha256(str((_VERSION, source, dtype, checked)).encode()).hexdigest()


def _nest(lengths: list[str], names: list[str], inside: list[str], indent: str = "    ") -> list[str]:
    """Loops over some lengths, one in the other, and what is done inside."""
    lines = []
    for name, length in zip(names, lengths, strict=True):
        lines.append(f"{indent}for {name} in range({length}):")
        indent += "    "
    return [*lines, *(indent + line for line in inside)]


def _aligned(name: str, variable: Variable, indices: list[str], lengths: list[str]) -> tuple[str, list[str]]:
    """An element of an array that broadcasts to some indices, and the lines that compare its shape."""
    at, checks, first = [], [], len(indices) - variable.type.ndim
    for axis, length in enumerate(variable.type.shape):
        at.append("0" if length == 1 else indices[first + axis])
        if length != 1:
            checks.append(f"    if {name}.shape[{axis}] != {lengths[first + axis]}:")
            checks.append(f'        raise ValueError("{_SHAPES}")')
    return f"{name}[{', '.join(at)}]" if at else f"{name}.item()", checks


def _known(variable: Variable) -> bool:
    """Whether the type says which axes broadcast: an axis of unknown length may turn out to be of length one."""
    return None not in variable.type.shape


def changed(op: IncSubtensor, node: Any, **given: Any) -> tuple[Any, str | None]:
    """An array with a part of it, given by slices, set or added to, and the key; PyTensor's own for one element."""
    from pytensor.link.numba.dispatch.subtensor import numba_funcify_default_subtensor

    x, y, *rest = node.inputs
    ndim = x.type.ndim - sum(isinstance(one, int) for one in op.idx_list)
    steps = [one.step for one in op.idx_list if isinstance(one, slice)]
    if not ndim or not _known(y) or any(one is None for one in op.idx_list) or any(step is not None for step in steps):
        return numba_funcify_default_subtensor(op, node=node, **given)
    names = [f"k{i}_" for i in range(len(rest))]
    numbers = iter(
        f"{name}.item()" if isinstance(variable.type, TensorType) else name
        for name, variable in zip(names, rest, strict=True)
    )

    def written(one: Any) -> str:
        if isinstance(one, slice):
            return f"{'' if one.start is None else next(numbers)}:{'' if one.stop is None else next(numbers)}"
        return next(numbers)

    where = ", ".join(written(one) for one in op.idx_list)
    axes = [f"i{axis}_" for axis in range(ndim)]
    lengths = [f"part.shape[{axis}]" for axis in range(ndim)]
    value, checks = _aligned("y", y, axes, lengths)
    update = "=" if op.set_instead_of_inc else "+="
    lines = [f"def changed({', '.join(['x', 'y', *names])}):", f"    z = {'x' if op.inplace else 'np.copy(x)'}"]
    lines += [f"    part = z[{where}]", *checks]
    lines += _nest(lengths, axes, [f"part[{', '.join(axes)}] {update} {value}"])
    return _compiled("changed", [*lines, "    return z"], x.type.dtype, checked=True)


def _indices(op: Any, variables: list[Variable], ndim: int) -> tuple[list[str], list[str], list[str], list[str]] | None:
    """Lengths and names of the loops over integer indices, the checks of their shapes, and the place that they name.

    None where there is anything but arrays of integers for the first axes.
    """
    plain = all(isinstance(one, int) for one in op.idx_list) and len(op.idx_list) <= ndim
    if not plain or not all(v.type.dtype[:3] in ("int", "uin") and _known(v) for v in variables):
        return None
    looped = max(v.type.ndim for v in variables)
    names, lengths = [f"i{axis}_" for axis in range(looped)], ["1"] * looped
    for position, v in enumerate(variables):
        for axis, length in enumerate(v.type.shape):
            if length != 1:
                lengths[looped - v.type.ndim + axis] = f"k{position}_.shape[{axis}]"
    place, checks = [], []
    for position, v in enumerate(variables):
        element, wrong = _aligned(f"k{position}_", v, names, lengths)
        place.append(element)
        checks += wrong
    for axis in range(len(op.idx_list), ndim):
        names.append(f"j{axis}_")
        lengths.append(f"x.shape[{axis}]")
        place.append(names[-1])
    return lengths, names, checks, place


def picked(op: AdvancedSubtensor, node: Any, **given: Any) -> tuple[Any, str | None]:
    """The elements of an array that integers name, and the key; PyTensor's own where there are also slices."""
    from pytensor.link.numba.dispatch.subtensor import numba_funcify_AdvancedSubtensor

    x, *variables = node.inputs
    found = _indices(op, variables, x.type.ndim)
    if found is None:
        return numba_funcify_AdvancedSubtensor(op, node=node, **given)
    lengths, names, checks, place = found
    lines = [f"def picked({', '.join(['x', *(f'k{i}_' for i in range(len(variables)))])}):", *checks]
    lines.append(f"    z = np.empty(({', '.join(lengths)},), dtype)")
    lines += _nest(lengths, names, [f"z[{', '.join(names)}] = x[{', '.join(place)}]"])
    return _compiled("picked", [*lines, "    return z"], x.type.dtype)


def picked_changed(op: AdvancedIncSubtensor, node: Any, **given: Any) -> tuple[Any, str | None]:
    """An array with the elements that integers name set or added to, and the key; PyTensor's own as in `picked`."""
    from pytensor.link.numba.dispatch.subtensor import numba_funcify_AdvancedSubtensor

    x, y, *variables = node.inputs
    found = _indices(op, variables, x.type.ndim)
    once = op.ignore_duplicates and not op.set_instead_of_inc
    if found is None or once or not _known(y):
        return numba_funcify_AdvancedSubtensor(op, node=node, **given)
    lengths, names, checks, place = found
    value, wrong = _aligned("y", y, names, lengths)
    update = "=" if op.set_instead_of_inc else "+="
    lines = [f"def picked_changed({', '.join(['x', 'y', *(f'k{i}_' for i in range(len(variables)))])}):"]
    lines += [*checks, *wrong, f"    z = {'x' if op.inplace else 'x.copy()'}"]
    lines += _nest(lengths, names, [f"z[{', '.join(place)}] {update} {value}"])
    return _compiled("picked_changed", [*lines, "    return z"], x.type.dtype)
