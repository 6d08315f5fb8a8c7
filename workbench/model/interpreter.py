"""A graph run operation by operation through NumPy, without any compiler.

PyTensor's own Python mode gives the same numbers from the same NumPy functions. It copies and checks the whole graph
first, and looks up at every call of every operation what to run and whether shapes fit; for a small model that takes
many times as long as the numbers. Here this is settled once, when the function is made: every operation becomes a
step from cells to a cell, and a cell is emptied after its last use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Literal

import numpy as np
import pytensor.scalar as ps
from numpy.typing import NDArray
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.traversal import toposort
from pytensor.graph.utils import MissingInputError
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.linalg.solvers.triangular import SolveTriangular

_PAIRWISE: dict[type, Callable[[Any, Any], Any]] = {ps.Add: np.add, ps.Mul: np.multiply}
_SMALL, _MANY = 16, 16  # rows of a triangular system, and systems: LAPACK is called once for each

Cell = list[Any]  # of length 1: an array, or None before it is computed and after its last use
Step = Callable[[], Any]


def _cells(inputs: Sequence[Variable], graphs: Sequence[Variable], order: Sequence[Apply]) -> dict[Variable, Cell]:
    """A cell for every variable; those of constants and of shared variables are filled."""
    cells: dict[Variable, Cell] = {variable: [None] for variable in inputs}
    for node in order:
        cells.update({output: [None] for output in node.outputs})
    for variable in [*graphs, *(variable for node in order for variable in node.inputs)]:
        if variable in cells:
            continue
        if isinstance(variable, Constant):
            cells[variable] = [variable.data]
        elif isinstance(variable, SharedVariable):
            cells[variable] = variable.container.storage
        else:
            raise MissingInputError(f"{variable} is needed and not among the inputs")
    return cells


def _array_function(node: Apply) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The function of arrays that PyTensor runs for an elementwise operation, and its further arguments."""
    op = node.op
    op.prepare_node(node, None, None, "py")
    if op.nfunc and len(node.inputs) == op.nfunc_spec[1]:
        # In the type of the result: NumPy alone would take halves and singles for small integers.
        return op.nfunc, {"sig": node.tag.sig} if hasattr(node.tag, "sig") else {}
    return op.ufunc or node.tag.ufunc, {}


def _elementwise(node: Apply, sources: Sequence[Cell], target: Cell) -> Step:
    """A step of an elementwise operation with one result."""
    function, more = _array_function(node)
    dtype, owned = np.dtype(node.outputs[0].type.dtype), isinstance(function, np.ufunc)
    # Where the type does not say so, an axis of length 1 must not be stretched: it is a mistake in the data.
    rigid = [
        (source, axis)
        for source, variable in zip(sources, node.inputs, strict=True)
        for axis, size in enumerate(variable.type.shape)
        if size is None and len(sources) > 1
    ]

    def step() -> None:
        found = np.asarray(function(*[source[0] for source in sources], **more), dtype=dtype)
        for source, axis in rigid:
            if source[0].shape[axis] == 1 != found.shape[axis]:
                node.op._check_runtime_broadcast(node, [source[0] for source in sources])  # which raises, and says why
        target[0] = found if owned or found.flags.owndata else found.copy()

    return step


def _one_after_the_other(node: Apply, sources: Sequence[Cell], target: Cell) -> Step:
    """A sum or a product of more arrays than NumPy takes at once."""
    function, dtype = _PAIRWISE[type(node.op.scalar_op)], np.dtype(node.outputs[0].type.dtype)

    def step() -> None:
        target[0] = np.array(reduce(function, [source[0] for source in sources]), dtype=dtype)

    return step


def _row_by_row(node: Apply, sources: Sequence[Cell], target: Cell, one_by_one: Step) -> Step:
    """A step that solves many small triangular systems at once, such as those of the rows of a MvNormal."""
    op, axes = node.op.core_op, node.inputs[0].type.ndim - 2
    # An axis of length 1 that the type does not know of must not be stretched: it is a mistake in the data.
    loose = [[size == 1 for size in variable.type.shape[:axes]] for variable in node.inputs]

    def step() -> None:
        a, b = sources[0][0], sources[1][0]
        b = b[..., None] if op.b_ndim == 1 else b
        size, shapes = a.shape[-1], (a.shape[:-2], b.shape[:-2])
        fits = a.shape[-2] == size == b.shape[-2] and all(
            here == there or first or second for here, there, first, second in zip(*shapes, *loose, strict=True)
        )
        if not fits or size > _SMALL or np.prod(b.shape[:-2]) < _MANY:
            one_by_one()
            return
        x = np.empty((*np.broadcast_shapes(*shapes), *b.shape[-2:]))
        for k in range(size) if op.lower else reversed(range(size)):
            done = slice(k) if op.lower else slice(k + 1, size)
            left = b[..., k, :] - (a[..., k, done, None] * x[..., done, :]).sum(axis=-2)
            x[..., k, :] = left if op.unit_diagonal else left / a[..., k, k, None]
        if not op.unit_diagonal:
            singular = np.any(np.diagonal(a, axis1=-2, axis2=-1) == 0.0, axis=-1)  # NaN, as LAPACK has it
            x = np.where(singular[..., None, None], np.nan, x) if singular.any() else x
        target[0] = x[..., 0] if op.b_ndim == 1 else x

    return step


def _step(node: Apply, cells: dict[Variable, Cell], computed: dict[Variable, list[bool]]) -> Step:
    """One operation as a step."""
    own = node.clone()  # what preparing notes on it is not for the user's graph
    cells.update(zip(own.outputs, (cells[output] for output in node.outputs), strict=True))
    computed.update({variable: [True] for variable in (*own.inputs, *own.outputs)})
    arrays = len(own.inputs) + len(own.outputs)
    if isinstance(own.op, Elemwise) and len(own.outputs) == 1 and not own.op.inplace_pattern and arrays <= 32:
        return _elementwise(own, [cells[variable] for variable in own.inputs], cells[own.outputs[0]])
    if isinstance(own.op, Elemwise) and arrays > 32 and type(own.op.scalar_op) in _PAIRWISE:
        return _one_after_the_other(own, [cells[variable] for variable in own.inputs], cells[own.outputs[0]])
    thunk = own.op.make_thunk(own, cells, computed, [], "py")
    solves = isinstance(own.op, Blockwise) and isinstance(own.op.core_op, SolveTriangular)
    if solves and all(variable.type.dtype == "float64" for variable in own.inputs):
        return _row_by_row(own, [cells[variable] for variable in own.inputs], cells[own.outputs[0]], thunk)
    return thunk


def _owner(array: NDArray) -> int:
    """Which array holds the memory of this one."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array)


class Interpreter:
    """A function of arrays that runs graphs operation by operation.

    Parameters
    ----------
    inputs, graphs : sequence of pytensor variables
        The graphs must depend on nothing but the inputs, constants and shared variables.

    Raises
    ------
    MissingInputError
        If they depend on anything else.
    """

    def __init__(self, inputs: Sequence[Variable], graphs: Sequence[Variable]) -> None:
        order = list(toposort(list(graphs), blockers=list(inputs)))
        cells = _cells(inputs, graphs, order)
        kept = set(cells) - {output for node in order for output in node.outputs} | set(graphs)
        last = {variable: node for node in order for variable in (*node.inputs, *node.outputs)}
        computed: dict[Variable, list[bool]] = {}
        self._steps = []
        for node in order:
            over = [cells[v] for v in dict.fromkeys((*node.inputs, *node.outputs)) if last[v] is node and v not in kept]
            self._steps.append((_step(node, cells, computed), over))
        self._inputs = [(variable.type.filter, cells[variable]) for variable in inputs]
        self._outputs = [cells[graph] for graph in graphs]
        self._foreign = [cells[v] for v in cells if v in inputs or isinstance(v, Constant | SharedVariable)]
        self._emptied = [*(cells[v] for v in inputs), *(cells[output] for node in order for output in node.outputs)]

    def __call__(self, *arrays: NDArray) -> list[NDArray]:
        """The graphs at these values of the inputs; the caller owns the arrays."""
        for (fitting, cell), array in zip(self._inputs, arrays, strict=True):
            cell[0] = fitting(array)
        try:
            # -inf and NaN are values here: whoever asked decides what they mean, and may have noted where numbers end.
            noted: Literal["call", "ignore"] = "call" if np.geterr()["over"] == "call" else "ignore"
            with np.errstate(divide="ignore", invalid="ignore", over=noted, under=noted):
                for step, over in self._steps:
                    step()
                    for cell in over:
                        cell[0] = None
            return self._results()
        finally:
            for cell in self._emptied:
                cell[0] = None

    def _results(self) -> list[NDArray]:
        """The results; an input, a constant, a part of one or another result is copied."""
        taken = {_owner(cell[0]) for cell in self._foreign if isinstance(cell[0], np.ndarray)}
        found = []
        for cell in self._outputs:
            array = np.asarray(cell[0])
            if _owner(array) in taken:
                array = array.copy()
            taken.add(_owner(array))
            found.append(array)
        return found
