"""A likelihood with some coordinates held where they are, and the others taken to their best.

Every look at an edge, a limit or a jump of the likelihood asks the same: what is the maximum over the rest, once these
coordinates stay here, and is it a peak?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.numerics.climbs import Climb, falls_away
from workbench.numerics.objective import FunctionObjective, Objective, Vector
from workbench.numerics.optimise import climb

_NEXT = (1e-6, 1e-3)  # of a standard deviation, at most of max(1, abs(x)): neighbours
_ROUGH = 1e-3  # nats between neighbours: a standard error is measured from falls of half a nat


def held(objective: Objective, x: Vector, fixed: NDArray[np.int64]) -> FunctionObjective:
    """The objective over the coordinates that are not fixed, the others as in x.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (p,)
    fixed : ndarray of int

    Returns
    -------
    FunctionObjective
    """
    free = np.setdiff1d(np.arange(objective.dimension), fixed)

    def function(rest: Vector) -> tuple[float, Vector]:
        point = x.copy()
        point[free] = rest
        value, gradient = objective.value_and_gradient(point)
        return value, gradient[free]

    return FunctionObjective(free.size, function)


def value_with(objective: Objective, x: Vector, i: int, at: float) -> float:
    """Log likelihood with one coordinate moved; -inf where it is not a number.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (p,)
    i : int
        The coordinate.
    at : float
        Its value.

    Returns
    -------
    float
        Nats.
    """
    moved = x.copy()
    moved[i] = at
    try:
        return objective.value(moved)
    except NumericalError:
        return -np.inf


def scatter(objective: Objective, x: Vector, scale: Vector) -> float:
    """The rounding of a log likelihood near a point, nats: how far neighbours are from a straight line.

    A difference of two numbers that are nearly the same, as 1 - exp(-k x) for a tiny k, leaves few digits.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (p,)
    scale : ndarray, shape (p,)
        Standard deviation of each coordinate with the others held: on a thousandth of it a likelihood is smooth.

    Returns
    -------
    float
        Nats.
    """
    found = 0.0
    for i, size in ((i, size) for i in range(x.size) for size in _NEXT):
        step = size * min(scale[i], max(1.0, abs(x[i])))
        near = np.array([value_with(objective, x, i, float(x[i] + k * step)) for k in range(-3, 4)])
        if np.all(np.isfinite(near)):
            found = max(found, float(np.median(np.abs(np.diff(near, 3)))))
    return found


def is_rough(objective: Objective, x: Vector, scale: Vector) -> bool:
    """Whether a place is made of rounding: neighbours are more than a thousandth of a nat from a straight line.

    Parameters
    ----------
    objective : Objective
    x, scale : ndarray, shape (p,)
        As for `scatter`.

    Returns
    -------
    bool
    """
    return scatter(objective, x, scale) > _ROUGH


@dataclass(frozen=True)
class Settled:
    """The maximum over the coordinates that are not held.

    Attributes
    ----------
    x : ndarray, shape (p,)
    value : float
        Log likelihood at x, nats.
    free : ndarray of int
        The coordinates that were not held.
    end : Climb or None
        Of those; None where all are held.
    section : FunctionObjective
        The likelihood over those.
    """

    x: Vector
    value: float
    free: NDArray[np.int64]
    end: Climb | None
    section: FunctionObjective

    @property
    def peaks(self) -> bool:
        """Whether it is a peak; a point, where all are held, is one."""
        return self.end is None or falls_away(self.section, self.end)[0]


def settle(objective: Objective, x: Vector, fixed: NDArray[np.int64] | list[int]) -> Settled:
    """Climb from a point with some coordinates held.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (p,)
    fixed : ndarray or list of int
        May be empty, or all of them.

    Returns
    -------
    Settled

    Raises
    ------
    NumericalError
        If the likelihood cannot be climbed from there.
    """
    at: NDArray[np.int64] = np.asarray(fixed, dtype=np.int64)
    section, free = held(objective, x, at), np.setdiff1d(np.arange(x.size), at)
    if not free.size:
        return Settled(x, objective.value(x), free, None, section)
    end, moved = climb(section, x[free]), x.copy()
    moved[free] = end.z
    return Settled(moved, end.value, free, end, section)
