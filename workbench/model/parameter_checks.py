"""Checks of parameters in a graph: those that can never fail go, and the others become values.

PyMC guards every log density with conditions such as 0 <= p <= 1. Where p is the sigmoid of something that holds
whatever the something is, and over a million observations the check costs a quarter of the density. Where it can fail
the density is -inf, at that point and no other: PyTensor would vectorise the check to one of all points together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt
from pymc.logprob.utils import CheckParameterValue
from pytensor.graph.basic import Apply, Constant, Variable
from pytensor.tensor.basic import Alloc, MakeVector, ScalarFromTensor, TensorFromScalar
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import All
from pytensor.tensor.shape import Reshape, SpecifyShape
from pytensor.tensor.subtensor import AdvancedSubtensor, Subtensor

from workbench.model.rebuilding import rebuilt

_VIEWS = (DimShuffle, Alloc, Reshape, SpecifyShape, Subtensor, AdvancedSubtensor)
_WRAPPERS = (All, ScalarFromTensor, TensorFromScalar)


def _range(variable: Variable) -> tuple[float, float]:
    """Bounds that a variable keeps for any finite input."""
    while variable.owner is not None and isinstance(variable.owner.op, _VIEWS):
        variable = variable.owner.inputs[0]
    if isinstance(variable, Constant) and np.size(variable.data):
        return float(np.min(variable.data)), float(np.max(variable.data))
    op = None if variable.owner is None else variable.owner.op
    if isinstance(op, Elemwise) and isinstance(op.scalar_op, ps.Sigmoid):
        return 0.0, 1.0
    return -np.inf, np.inf


def _always(condition: Variable) -> bool:
    """Whether a condition holds for any finite input."""
    if isinstance(condition, Constant):
        return bool(np.all(condition.data))
    if condition.owner is None:
        return False
    op, inputs = condition.owner.op, condition.owner.inputs
    if isinstance(op, (*_WRAPPERS, DimShuffle)):
        return _always(inputs[0])
    if isinstance(op, MakeVector) or (isinstance(op, Elemwise) and isinstance(op.scalar_op, ps.AND)):
        return all(map(_always, inputs))
    if isinstance(op, Elemwise) and isinstance(op.scalar_op, ps.GE | ps.LE):
        (low, high), (least, most) = _range(inputs[0]), _range(inputs[1])
        return low >= most if isinstance(op.scalar_op, ps.GE) else high <= least
    return False


def without_idle_checks(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs without the checks of parameters that no finite input can fail.

    Parameters
    ----------
    graphs : sequence of pytensor variables

    Returns
    -------
    list of pytensor variables
    """

    def unchecked(node: Apply, inputs: list[Variable]) -> Variable | None:
        return inputs[0] if isinstance(node.op, CheckParameterValue) and all(map(_always, node.inputs[1:])) else None

    return rebuilt(graphs, unchecked)


def with_checks_as_values(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs, -inf where a parameter is outside its range, ready for a vectorisation over points.

    Checks that PyMC does not let stand for a value of -inf, such as that of a matrix, stay what they are.

    Parameters
    ----------
    graphs : sequence of pytensor variables

    Returns
    -------
    list of pytensor variables
    """

    def switched(node: Apply, inputs: list[Variable]) -> Variable | None:
        if not isinstance(node.op, CheckParameterValue) or not node.op.can_be_replaced_by_ninf:
            return None
        return pt.switch(pt.all(inputs[1:]), inputs[0], -np.inf).astype(node.outputs[0].type.dtype)

    return rebuilt(graphs, switched)
