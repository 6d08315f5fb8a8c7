"""Likelihoods that level off as one positive scalar goes to infinity: the model tends to a simpler one there.

The degrees of freedom of a Student t go to infinity where the data are Normal, the dispersion of a negative binomial
where they are Poisson. The least upper bound is the height of the simpler model, and intervals can be measured from it.
Far out the log gammas of such densities cancel and rounding drowns the likelihood, so the limit is looked at where the
gains still shrink by a fixed factor from one step to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import NumericalError
from workbench.likelihood.boundary import edge_value
from workbench.likelihood.held import settle, value_with
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Objective, Vector

_REAL = 0.02  # nats: a smaller change is called none
_INWARDS = 24.0  # of z, back from where a climb ended
_STRIDE, _STRIDES = 2.0, 30  # of z, from there outwards
_SHRINKS = 0.6  # of a gain, from one stride to the next; what falls as 1 / theta shrinks by exp(-2)
_SHRUNK = 2  # such strides in a row
_NOTHING = 1e-7  # nats a stride, relative to the log likelihood where that is large: farther out rounding is larger
NOISE = 1e-5  # nats, relative likewise: what rounding may leave so far out


@dataclass(frozen=True)
class Limit:
    """The limit of a likelihood as a scalar goes to infinity.

    Attributes
    ----------
    x : ndarray, shape (p,)
        Far out, the other coordinates at their maximum.
    label : str
        The scalar.
    coordinate : int
        Its coordinate.
    side : float
        The side, -1 or 1, of that coordinate on which the scalar is infinite.
    value : float
        Log likelihood, nats.
    """

    x: Vector
    label: str
    coordinate: int
    side: float
    value: float


def _settled(objective: Objective, z: Vector, i: int, side: float) -> float | None:
    """Where along a coordinate the likelihood has levelled off; None where it has not, or rounding comes first."""
    at, before, shrunk, rise = z[i] - side * _INWARDS, np.inf, 0, 0.0
    here = value_with(objective, z, i, at)
    for _ in range(_STRIDES):
        further = value_with(objective, z, i, at + side * _STRIDE)
        gain = further - here if np.isfinite(here) else np.inf
        if before < _REAL and not _NOTHING * max(1.0, abs(here)) < gain <= _SHRINKS * before:
            last = at if abs(gain) < before else at - side * _STRIDE  # else rounding was in the last gain already
            return last if shrunk >= _SHRUNK and rise > _REAL else None
        shrunk = shrunk + 1 if before < np.inf and 0 < gain <= _SHRINKS * before else 0
        before = gain if gain > 0 else np.inf
        rise = rise + gain if 0 < gain < np.inf else 0.0
        at, here = at + side * _STRIDE, further
    return None


def find_limit(problem: Problem, end: Climb) -> Limit | None:
    """The limit at infinity towards which a climb is heading; None where there is none.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Returns
    -------
    Limit or None
    """
    objective, labels = problem.objective, problem.chart.labels
    for label, i in scalar_parameters(problem).items():
        far = np.tile(end.z, (2, 1))
        far[:, i] = -700.0, 700.0
        with np.errstate(over="ignore"):
            ends = problem.chart.scalars(far)[:, labels.index(label)]
        for side, last in zip((-1.0, 1.0), ends, strict=True):
            straight = abs(last) == 700.0  # on the real line infinity is not that of a scale
            if straight or edge_value(problem, end.z, i, side, labels.index(label)) is not None:
                continue
            at = _settled(objective, end.z, i, side)
            if at is None:
                continue
            try:
                best = settle(objective, np.where(np.arange(end.z.size) == i, at, end.z), [i])
            except NumericalError:
                continue
            if best.peaks and best.value > end.value - NOISE * max(1.0, abs(best.value)):
                return Limit(best.x, label, i, side, best.value)
    return None
