"""Highest points that are no peak although something may look like one: corners, and places made of rounding.

The median of Laplace data, or the mode of a triangular density on an observation, is a corner: the slope jumps there,
and no climb that follows slopes comes quite to it. Far out the log density may be a difference of numbers so large that
what is left is their rounding, and of many places one is the highest by chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from workbench.errors import NoMaximumError
from workbench.likelihood.holding import is_rough, scatter, value_with
from workbench.likelihood.problem import Problem, scalar_parameters, scalars_in_words
from workbench.likelihood.tails import find_rise, look_far, refuse_tail
from workbench.numerics.climbs import Climb, corners

_NEAR = 0.05  # of max(1, abs(z)): so far from a corner a climb may get stuck


def refuse_corner(problem: Problem, end: Climb) -> None:
    """Say that the highest point is a corner, as the median is for Laplace data: it has no curvature, or no bound.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Raises
    ------
    NoMaximumError
        If it ended at a corner, or beside one.
    """
    corner = at_corner(problem, end)
    if corner is None:
        return
    end, found = corner, corners(problem.objective, corner)
    rise = find_rise(problem, end)
    if rise is not None:
        refuse_tail(problem, rise)
    along = [name for name, block in problem.chart.blocks.items() if any(block.start <= i < block.stop for i in found)]
    raise NoMaximumError(
        "corner",
        f"the likelihood has no smooth maximum: its highest point has a corner along {' and '.join(along)}, so there "
        f"is no curvature and no standard error; it is {end.value:.6g} nats, at {scalars_in_words(problem, end.z)}",
        along[0],
        "quote that point with its profile interval, or use the posterior",
    )


def at_corner(problem: Problem, end: Climb) -> Climb | None:
    """The end of a climb at a corner, taken there where it got stuck beside it; None where there is none.

    Parameters
    ----------
    problem : Problem
    end : Climb

    Returns
    -------
    Climb or None
    """
    for place in (end, _higher(problem, end)):
        if corners(problem.objective, place):
            return place
    return None


def _higher(problem: Problem, end: Climb) -> Climb:
    """The end of a climb taken to the top along one coordinate, where a search without slopes gets higher."""
    objective, best = problem.objective, end
    for i in scalar_parameters(problem).values():
        reach = _NEAR * max(1.0, abs(end.z[i]))

        def minus(at: float, i: int = i) -> float:
            return -value_with(objective, end.z, i, at)

        bounds = (end.z[i] - reach, end.z[i] + reach)
        with np.errstate(all="ignore"):  # beyond an edge it is infinite
            at = optimize.minimize_scalar(minus, bounds=bounds, method="bounded", options={"xatol": 1e-12 * reach}).x
        if -minus(at) > best.value:
            best = replace(end, z=np.where(np.arange(end.z.size) == i, at, end.z), value=-minus(at))
    return best


def is_rounding(problem: Problem, end: Climb) -> bool:
    """Whether a place is made of rounding: neighbours differ by more than a thousandth of a nat.

    Parameters
    ----------
    problem : Problem
    end : Climb

    Returns
    -------
    bool
    """
    return is_rough(problem.objective, end.z, _widths(end))


def _widths(end: Climb) -> NDArray[np.float64]:
    """How far each coordinate may move, the others held, where log L bends; 1 where it does not."""
    bends = np.abs(np.diag(end.curvature.information))
    return 1.0 / np.sqrt(np.where(bends > 0, bends, 1.0))


def refuse_rounding(problem: Problem, end: Climb) -> None:
    """Say that what looks like a peak is one of rounding.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found what looks like a peak.

    Raises
    ------
    NoMaximumError
        If neighbours differ by more than a thousandth of a nat: unbounded or at infinity where that can be followed.
    """
    if not is_rounding(problem, end):
        return
    tail, _ = look_far(problem, end)
    if tail is not None:
        refuse_tail(problem, tail)
    noise = scatter(problem.objective, end.z, _widths(end))
    raise NoMaximumError(
        "unmeasurable",
        f"the likelihood has no maximum that can be measured: its highest point, {end.value:.6g} nats at "
        f"{scalars_in_words(problem, end.z)}, is one of rounding: neighbours differ by {noise:.1g} nats",
        "likelihood",
        "keep the model away from there by the support of its priors, or rescale the data",
    )
