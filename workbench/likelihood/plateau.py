"""Likelihoods whose highest points fill an interval: every value there is a maximum likelihood estimate.

The median of an even number of Laplace data is any number between the two in the middle; a change point lies anywhere
between two moments at which something was observed. Within the interval there is no slope, at its ends a corner or a
jump, and nowhere a curvature that could give a standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.holding import settle, value_with
from workbench.likelihood.problem import Problem, scalar_parameters, scalars_in_words
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Objective, Vector

_LEVEL = 1e-10  # of the log likelihood, or nats below 1: a change below this is none
_LESS_LEVEL = 100.0  # times that: on a smooth peak ten times as wide
_WIDER = 1.5  # on a plateau not even this
_WIDE = 1e-6  # of max(1, abs(x)): an interval that is narrower is one of rounding
_FIRST, _FARTHEST = 1e-6, 1e4  # of max(1, abs(x)): steps outwards
_NUMBERS = 1e100  # of one end, times which the other is where numbers end, and not the likelihood
_BEYOND = 0.1  # of the interval: so far outside it the others are asked to follow


@dataclass(frozen=True)
class Plateau:
    """An interval of one scalar on which the likelihood is level and highest.

    Attributes
    ----------
    label : str
    lower, upper : float
        Its ends, in the scalar's own units.
    x : ndarray, shape (p,)
        A point on it.
    value : float
        Log likelihood, nats.
    """

    label: str
    lower: float
    upper: float
    x: Vector
    value: float


def _end(objective: Objective, end: Climb, i: int, side: float, drop: float) -> float | None:
    """Where along a coordinate the likelihood has fallen by this much; None where it rises, or never falls."""
    size = max(1.0, abs(end.z[i]))
    inside, step = end.z[i], _FIRST * size
    while True:
        outside = end.z[i] + side * step
        change = value_with(objective, end.z, i, outside) - end.value
        if change < -drop:
            break
        if change > drop:
            return None
        inside, step = outside, 2.0 * step
        if step > _FARTHEST * size:
            return None
    while (middle := (inside + outside) / 2) not in (inside, outside):
        if value_with(objective, end.z, i, middle) < end.value - drop:
            outside = middle
        else:
            inside = middle
    return float(inside)


def find_plateau(problem: Problem, end: Climb) -> Plateau | None:
    """The interval of a scalar on which the end of a climb lies and the likelihood is level.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Returns
    -------
    Plateau or None
    """
    level, labels = _LEVEL * max(1.0, abs(end.value)), problem.chart.labels
    for label, i in scalar_parameters(problem).items():
        ends = []
        for drop in (level, _LESS_LEVEL * level):
            sides = [_end(problem.objective, end, i, side, drop) for side in (-1.0, 1.0)]
            if None in sides:
                break
            ends.append(np.array(sides, dtype=np.float64))
        wide = _WIDE * max(1.0, abs(end.z[i]))
        if len(ends) < 2 or not wide < np.ptp(ends[1]) < _WIDER * np.ptp(ends[0]):
            continue
        points = np.tile(end.z, (2, 1))
        points[:, i] = ends[0]
        lower, upper = np.sort(problem.chart.scalars(points)[:, labels.index(label)])
        if not upper - lower > _WIDE * max(abs(lower), abs(upper)) or abs(upper) > _NUMBERS * abs(lower) > 0:
            continue
        if not all(_falls(problem.objective, end, i, ends[0][k], ends[0][1 - k], level) for k in (0, 1)):
            continue
        return Plateau(label, float(lower), float(upper), end.z, end.value)
    return None


def _falls(objective: Objective, end: Climb, i: int, here: float, there: float, level: float) -> bool:
    """Whether the likelihood is lower beyond an end of the interval, also where the other coordinates follow."""
    x = np.where(np.arange(end.z.size) == i, here + _BEYOND * (here - there), end.z)
    try:
        return settle(objective, x, [i]).value < end.value - level
    except NumericalError:  # impossible there
        return True


def refuse_plateau(problem: Problem, plateau: Plateau) -> None:
    """Say on which interval the likelihood is level.

    Parameters
    ----------
    problem : Problem
    plateau : Plateau

    Raises
    ------
    NoMaximumError
        Always.
    """
    others = scalars_in_words(problem, plateau.x, [plateau.label])
    raise NoMaximumError(
        "interval",
        f"the likelihood has no single maximum: it is level, at {plateau.value:.6g} nats, for {plateau.label} from "
        f"{plateau.lower:.6g} to {plateau.upper:.6g}{', with ' * bool(others)}{others}, and falls on both "
        "sides: there is no curvature and no standard error",
        plateau.label,
        "quote that interval: every value in it is a maximum likelihood estimate; or use the posterior",
    )
