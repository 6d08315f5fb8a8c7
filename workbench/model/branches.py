"""The branches of a log density that is the log of a sum, or a choice: peaks to which nothing leads uphill.

A target such as ``logaddexp(a(z), b(z))`` may hold most of its mass in a peak that is so narrow that no draw from the
prior, no climb and no particle comes near it. Yet the model says where to look: each summand on its own is a smooth
density whose slope is felt from afar. So every sum of exponentials that yields one number is taken apart, one summand
is kept and the rest left out, and what remains is climbed. The larger of two densities, ``maximum(a(z), b(z))``, and
``switch(condition(z), a(z), b(z))`` hide a peak in the same way.

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
from pytensor.scalar.math import Softplus
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.math import Max, Prod, Sum
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
    """Whether a variable is an exponential or a product of them, perhaps times or by something."""
    if variable.owner is None:
        return False
    kind, parts = _scalar_op(variable), variable.owner.inputs
    if kind is ps.Exp:
        return True
    if kind is ps.TrueDiv or isinstance(variable.owner.op, Prod | DimShuffle):
        return _is_exponential(parts[0])
    return kind is ps.Mul and any(_is_exponential(part) for part in parts)


def _log_of(variable: Variable) -> Variable:
    """The log of an exponential, without one: far from its peak the exponential itself is zero."""
    if not _is_exponential(variable):
        return pt.log(variable)
    kind, op, parts = _scalar_op(variable), variable.owner.op, variable.owner.inputs
    if kind is ps.Exp:
        return parts[0]
    if isinstance(op, Prod):
        return pt.sum(_log_of(parts[0]), axis=op.axis)
    if isinstance(op, DimShuffle):
        return op(_log_of(parts[0]))
    logs = [_log_of(part) for part in parts]
    return logs[0] - logs[1] if kind is ps.TrueDiv else pt.add(*logs)


def _added(variable: Variable) -> list[Variable]:
    """What a variable is the sum of, itself if it is none."""
    if _scalar_op(variable) is not ps.Add:
        return [variable]
    return [part for each in variable.owner.inputs for part in _added(each)]


def _summands(node: Apply, moving: Collection[Variable]) -> list[Variable]:
    """Logs of the summands where a node is the log of a sum of exponentials, or what it chooses from; else nothing."""
    out, first = node.outputs[0], node.inputs[0] if node.inputs else None
    if not _is_single(out) or first is None:
        return []
    kind = _scalar_op(out)
    if isinstance(node.op, LogAddExp) or kind is ps.Maximum:
        return list(node.inputs)
    if isinstance(node.op, LogSumExp | Max):
        return _elements(first, out)
    if kind is ps.Switch:  # one that is fixed on a side, such as -inf outside of a support, is no choice
        sides = node.inputs[1:]
        return [] if any(set(moving).isdisjoint(ancestors([side])) for side in sides) else sides
    if kind is Softplus:
        return [pt.zeros_like(out), first]
    if kind is ps.Log1p and _is_exponential(first):
        return [pt.zeros_like(out), _log_of(first)]
    if kind is not ps.Log or first.owner is None:
        return []
    parts = _added(first)
    exponentials = [_is_exponential(part) for part in parts]
    fixed = [set(moving).isdisjoint(ancestors([part])) for part in parts]
    if len(parts) > 1 and any(exponentials) and all(e or f for e, f in zip(exponentials, fixed, strict=True)):
        return [_log_of(part) for part in parts]
    if isinstance(first.owner.op, Sum) and _is_exponential(first.owner.inputs[0]):
        return _elements(_log_of(first.owner.inputs[0]), out)
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
    """A log density with one summand of each sum of exponentials, or one side of each choice, for all combinations.

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
            parts = _summands(node, moving)
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
