"""The branches of a log density that is the log of a sum: peaks to which nothing leads uphill.

A target such as ``logaddexp(a(z), b(z))`` may hold most of its mass in a peak that is so narrow that no draw from the
prior, no climb and no particle comes near it. Yet the model says where to look: each summand on its own is a smooth
density whose slope is felt from afar. So every sum of exponentials that yields one number is taken apart, one summand
is kept and the rest left out, and what remains is climbed.

The sum over the observations of a mixture is a product of many such sums, whose branches are too many to follow.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.utils import CheckParameterValue
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Sum
from pytensor.tensor.shape import Reshape, SpecifyShape
from pytensor.tensor.special import LogAddExp, LogSumExp

from workbench.errors import NumericalError
from workbench.model.compiled import interpreted, stabilised, without_traces
from workbench.model.constants import replaced
from workbench.model.density import LogDensity
from workbench.numerics.climbs import Climb, near
from workbench.numerics.objective import FunctionObjective, Vector
from workbench.numerics.optimise import climb

_MOST = 16  # branches that are followed
_CLIMBS = 2  # of each
_PASSED = (Sum, DimShuffle, Reshape, SpecifyShape, CheckParameterValue)  # what leaves a sum of terms what it is


def _is_single(variable: Variable) -> bool:
    """Whether a variable holds one number."""
    return all(size == 1 for size in variable.type.shape)


def _scalar_op(variable: Variable) -> type | None:
    op = variable.owner.op if variable.owner is not None else None
    return type(op.scalar_op) if isinstance(op, Elemwise) else None


def _is_exponential(variable: Variable) -> bool:
    """Whether a variable is an exponential, perhaps times something."""
    kind = _scalar_op(variable)
    return kind is ps.Exp or (kind is ps.Mul and any(_is_exponential(part) for part in variable.owner.inputs))


def _added(variable: Variable) -> list[Variable]:
    """What a variable is the sum of, itself if it is none."""
    if _scalar_op(variable) is not ps.Add:
        return [variable]
    return [part for each in variable.owner.inputs for part in _added(each)]


def _summands(node: Apply) -> list[Variable]:
    """Logs of the summands where a node is the log of one sum of exponentials, else nothing."""
    out = node.outputs[0]
    if not _is_single(out):
        return []
    if isinstance(node.op, LogAddExp):
        return list(node.inputs)
    if isinstance(node.op, LogSumExp):
        return _elements(node.inputs[0], out)
    added = node.inputs[0]
    if _scalar_op(out) is not ps.Log or added.owner is None:
        return []
    parts = _added(added)
    if len(parts) > 1 and all(map(_is_exponential, parts)):
        return [pt.log(part) for part in parts]
    if isinstance(added.owner.op, Sum) and _is_exponential(added.owner.inputs[0]):
        return [pt.log(part) for part in _elements(added.owner.inputs[0], out)]
    return []


def _elements(terms: Variable, like: Variable) -> list[Variable]:
    """The elements of an array of known size, one by one, each of the shape of another variable."""
    many = 0 if None in terms.type.shape else int(np.prod(terms.type.shape))
    return [terms.flatten()[k].reshape(like.type.shape) for k in range(min(many, _MOST + 1))]


def _added_up(graph: Variable) -> list[Apply]:
    """The nodes whose values are added up to a graph, the outermost first.

    A log of a sum anywhere else, such as the normaliser in a softmax, is no choice between densities.
    """
    pending, found = [graph], []
    while pending:
        node = pending.pop(0).owner
        if node is None:
            continue
        found.append(node)
        kind = _scalar_op(node.outputs[0])
        if kind is ps.Add:
            pending += node.inputs
        elif kind in (ps.Sub, ps.Cast, ps.Identity) or isinstance(node.op, _PASSED):
            pending += node.inputs[:1]
        elif kind is ps.Switch:
            pending += node.inputs[1:]
    return found


@without_traces()
def taken_apart(target: Variable, moving: Collection[Variable]) -> list[Variable]:
    """A log density with one summand of each sum of exponentials kept, for every choice of them.

    Parameters
    ----------
    target : pytensor scalar
    moving : collection of pytensor variables
        What it is a function of; a sum that does not depend on them is left alone.

    Returns
    -------
    list of pytensor scalars
        Empty where there is nothing to take apart; a sum that would make them more than sixteen is left whole.
    """
    pending: list[Variable] = [target]
    whole: list[Variable] = []
    while pending:
        graph = pending.pop()
        for node in _added_up(graph):
            parts = _summands(node)
            fits = 2 <= len(parts) <= _MOST - len(pending) - len(whole)
            if fits and not set(moving).isdisjoint(ancestors(parts)):
                pending += [replaced([graph], {node.outputs[0]: part})[0] for part in parts]
                break
        else:
            whole.append(graph)
    return whole if len(whole) > 1 else []


def branch_peaks(density: LogDensity, starts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peaks of the branches of the target, each climbed on its own; no peaks of the target itself.

    Parameters
    ----------
    density : LogDensity
        Over z with weights 1.
    starts : ndarray, shape (m, d)
        Where climbs may start.

    Returns
    -------
    ndarray, shape (k, d)
        The highest first.
    """
    z, s = density.space.vector, density.symbolic
    terms = [g for group in (s.log_prior, s.log_likelihood, s.potential) for g in group.values()]
    jacobian = sum((g.sum() for g in s.log_jacobian.values()), pt.constant(0.0))
    constants = {variable: pt.constant(s.observed[name]) for name, variable in s.data.items()}
    whole = taken_apart(sum((g.sum() for g in terms), pt.constant(0.0)), s.values.values())
    graphs = density.space.on_vector(replaced([graph + jacobian for graph in whole], constants))
    ends = [end for graph in graphs for end in _climbed(graph, z, starts)]
    ends.sort(key=lambda end: -end.value)
    return np.array([end.z for end in ends]).reshape(len(ends), density.space.dimension)


def _climbed(graph: Variable, z: Variable, starts: NDArray[np.float64]) -> list[Climb]:
    """Where climbs on one branch end, from the best starts for it."""
    (graph,) = stabilised([graph])
    call = interpreted([z], [graph, pt.grad(graph, z, disconnected_inputs="ignore")])

    def value_and_gradient(point: Vector) -> tuple[float, Vector]:
        value, gradient = call(point)
        return (float(value), gradient) if value < np.inf else (-np.inf, np.zeros_like(point))

    branch = FunctionObjective(starts.shape[1], value_and_gradient)
    ends: list[Climb] = []
    with np.errstate(all="ignore"):  # far out a narrow branch underflows, which is what -inf says
        heights = np.array([branch.value(start) for start in starts])
        for i in np.argsort(-heights)[:_CLIMBS]:
            with contextlib.suppress(NumericalError):
                end = climb(branch, starts[i], ends)
                ends += [] if any(near(end.z - known.z, known) for known in ends) else [end]
    return ends
