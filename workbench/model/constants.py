"""Constants widened to 64 bits before any density is built.

PyTensor stores a Python number in the narrowest type that holds it: 100 becomes int8, 20.0 becomes float32. Inside a
log density that is an error, not an economy: ``Beta(100, 100)`` adds two int8 numbers and overflows to NaN,
``Beta(20., 30.)`` is off by 5e-6 because log-gamma runs in single precision. `widened` rebuilds a graph with

* float16 and float32 constants as float64 everywhere,
* narrow integer constants as int64 wherever they enter arithmetic or a distribution's parameters (an index or a
  shape stays what it was), and as float64 in the base of a power, where an integer base with a negative exponent
  would be rounded to zero.

It runs twice: on the random variables, because PyMC folds constants while it derives the log density, and on the log
density, because the formulas have Python numbers of their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt
from pymc.distributions.distribution import SymbolicRandomVariable
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.basic import Alloc, Join
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.shape import Reshape
from pytensor.tensor.subtensor import AdvancedSubtensor, Subtensor
from pytensor.tensor.type import TensorType

from workbench.model.rebuilding import rebuilt

_VIEWS = (DimShuffle, Alloc, Reshape, Subtensor, AdvancedSubtensor)
_NARROW_FLOATS = ("float16", "float32")
_NARROW_INTEGERS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")


def _wide_type(variable: Variable, node: Apply, position: int) -> str | None:
    """The type that this input number `position` of the node needs; None if it is fine as it is."""
    if not isinstance(variable, Constant) or not isinstance(variable.type, TensorType):
        return None
    if variable.type.dtype in _NARROW_FLOATS:
        return "float64"
    op = node.op
    if isinstance(op, Elemwise) and isinstance(op.scalar_op, ps.Pow) and position == 0:
        return "float64" if variable.type.dtype.startswith(("int", "uint")) else None
    # A constant that is only reshaped on its way to the arithmetic is widened where it enters the view.
    arithmetic = isinstance(op, Elemwise) or (isinstance(op, _VIEWS) and position == 0) or isinstance(op, Join)
    if isinstance(op, RandomVariable | SymbolicRandomVariable):
        signed = isinstance(op, RandomVariable) or op.extended_signature is not None
        arithmetic = signed and any(variable is parameter for parameter in op.dist_params(node))
    return "int64" if arithmetic and variable.type.dtype in _NARROW_INTEGERS else None


def numbers_of(graphs: Sequence[Variable]) -> list[np.ndarray]:
    """The real numbers that stand in some graphs as constants or `pm.Data`.

    Parameters
    ----------
    graphs : sequence of Variable

    Returns
    -------
    list of ndarray, one-dimensional
    """
    found = []
    for variable in ancestors(list(graphs)):
        if isinstance(variable, SharedVariable):
            found.append(np.ravel(variable.get_value(borrow=True)))
        elif isinstance(variable, Constant) and isinstance(variable.type, TensorType):
            found.append(np.ravel(variable.data))
    return [array.astype(np.float64) for array in found if array.dtype.kind == "f"]


def _rebuild(node: Apply, inputs: list[Variable]) -> Sequence[Variable]:
    """The outputs of this node over new inputs; the old outputs where the node admits no other input types."""
    op = node.op
    if not isinstance(op, SymbolicRandomVariable):
        return node.clone_with_new_inputs(inputs, strict=False).outputs
    same_types = all(new.type == old.type for new, old in zip(inputs, node.inputs, strict=True))
    if not same_types and op.extended_signature is not None and hasattr(op, "rv_op"):
        # An encapsulated graph has fixed input types, so it is derived again from its parameters.
        (rngs, size, parameters), _ = op.get_input_output_type_idxs(op.extended_signature)
        # The signature of a random walk lists the generators inside its steps, which are no inputs of the node.
        with contextlib.suppress(TypeError, IndexError):  # some builders take neither a generator nor a size
            options = {"rng": inputs[rngs[0]]} if len(rngs) == 1 else {}
            if size is not None:
                options["size"] = inputs[size]
            return op.rebuild_rv(*[inputs[i] for i in parameters], **options).owner.outputs
    # Where it cannot be derived again its own parameters stay as they are; the log density is widened all the same.
    kept = [new if new.type == old.type else old for new, old in zip(inputs, node.inputs, strict=True)]
    return op.make_node(*kept).outputs


def widened(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs with every constant wide enough not to spoil the arithmetic.

    Parameters
    ----------
    graphs : sequence of pytensor variables
        Random variables, log density terms or transformations. They are not changed.

    Returns
    -------
    list of pytensor variables
        New graphs over the same inputs, in the same order. Where nothing is narrow, the graph itself.
    """
    wide_ones: dict[Variable, Variable] = {}
    for node in toposort(list(graphs)):
        inputs = []
        for position, variable in enumerate(node.inputs):
            dtype = _wide_type(variable, node, position)
            wide = wide_ones.get(variable, variable)
            inputs.append(wide if dtype is None else pt.constant(np.asarray(variable.data, dtype=dtype)))
        if any(new is not old for new, old in zip(inputs, node.inputs, strict=True)):
            for old, new in zip(node.outputs, _rebuild(node, inputs), strict=True):
                new.name = old.name
                wide_ones[old] = new
    return [wide_ones.get(graph, graph) for graph in graphs]


def replaced(graphs: Sequence[Variable], replacements: dict[Variable, Variable]) -> list[Variable]:
    """The same graphs with some variables, constants among them, replaced by others."""
    return list(clone_replace(list(graphs), replacements, rebuild_strict=False)) if graphs else []


def without_sums_of_numbers(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs without a reduction of what has no axis, as in PyMC's density of a CAR with a scalar `tau`.

    The result is the number itself, but over many points at once PyTensor looks for the axis.

    Parameters
    ----------
    graphs : sequence of pytensor variables

    Returns
    -------
    list of pytensor variables
    """

    def itself(node: Apply, inputs: list[Variable]) -> Variable | None:
        idle = isinstance(node.op, CAReduce) and inputs[0].type.ndim == 0
        return inputs[0].astype(node.outputs[0].type.dtype) if idle else None

    return rebuilt(graphs, itself)
