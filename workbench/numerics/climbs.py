"""Where climbs ended: whether it is a peak, and which of several ends are the same one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.numerics.curvature import Curvature
from workbench.numerics.objective import Objective, Vector

_CORNER = (
    1e-4,
    1e-5,
    1e-6,
)  # of max(1, abs(z)): steps to both sides, between which a smooth slope changes in proportion
_SHARES = (1.0, 0.5, 0.1, 1e-2, 1e-4, 1e-6, 1e-8)  # of a step
_THIN = 1e-100  # of a deviation
_SHARP = 0.1  # nats a unit of z: a smaller change of the slope is none
ALIKE = 0.01  # nats between two ends of climbs that count as one


@dataclass(frozen=True)
class Climb:
    """Where one climb ended.

    Attributes
    ----------
    start, z : ndarray, shape (d,)
    value : float
        Log f(z), nats.
    gradient_norm : float
        Largest absolute element of the gradient at z.
    edm : float
        Estimated distance to the maximum, nats; ``inf`` where the information is not positive definite.
    curvature : Curvature
    """

    start: Vector
    z: Vector
    value: float
    gradient_norm: float
    edm: float
    curvature: Curvature


def level_directions(objective: Objective, end: Climb) -> Iterator[Vector]:
    """The directions from a peak in which log f does not fall by a real amount within one standard deviation.

    For a quadratic the fall is 0.5 nats. At a maximum at infinity, or at the edge of the support, one side does not
    fall; the threshold of 0.02 nats leaves room for any skewness that a peak can have.

    Parameters
    ----------
    objective : Objective
    end : Climb
        With a positive definite information.

    Yields
    ------
    ndarray, shape (d,)
        Unit vectors on z, both sides of every axis of the information.
    """
    root = end.curvature.axes
    # In units of z itself: of coefficients near 1e6 and 1e-6 the smaller would be rounding to the larger. Not in those
    # of the standard errors: the one that makes no difference, at an edge, has to stay an axis of its own. But where z
    # is near 0 its error is its unit.
    scale = np.maximum(np.abs(end.z), np.clip(np.linalg.norm(root, axis=1), _THIN, 1.0))
    axes, deviations, _ = np.linalg.svd(root / scale[:, None])
    for deviation, axis in zip(deviations[::-1], (axes * scale[:, None]).T[::-1], strict=True):
        for sign in (1.0, -1.0):
            step = sign * max(deviation, _THIN) * axis
            if not _fall(objective, end, step) > 0.02:
                yield step / np.linalg.norm(step)


def _fall(objective: Objective, end: Climb, step: Vector) -> float:
    """By how much log f falls within a step, nats; where it is -inf at its end, as much of it as can be seen.

    A standard deviation that carries a coordinate beyond the numbers is one of rounding, or ends at a jump: part of the
    step shows which, scaled up as for a quadratic.
    """
    with contextlib.suppress(NumericalError):  # what cannot be computed has not been seen to fall
        for share in _SHARES:
            value = objective.value(end.z + share * step)
            if np.isfinite(value):
                return (end.value - value) / share**2
    return 0.0


def falls_away(objective: Objective, end: Climb) -> tuple[bool, Vector]:
    """Whether log f falls by a real amount one standard deviation away, on both sides of every axis.

    Parameters
    ----------
    objective : Objective
    end : Climb

    Returns
    -------
    falls : bool
    direction : ndarray, shape (d,)
        The first direction in z in which it does not fall; zeros if it falls everywhere.
    """
    if not end.curvature.is_peak:
        return False, end.curvature.weakest
    level = next(level_directions(objective, end), None)
    return level is None, np.zeros_like(end.z) if level is None else level


def corners(objective: Objective, end: Climb) -> list[int]:
    """Coordinates along which the slope of log f jumps downwards at the end of a climb, as that of -abs(z) does at 0.

    Parameters
    ----------
    objective : Objective
    end : Climb

    Returns
    -------
    list of int
    """
    found = []
    for i, unit in enumerate(np.eye(end.z.size)):
        jumps = np.zeros(len(_CORNER))
        try:
            for k, h in enumerate(_CORNER):
                step = h * max(1.0, abs(end.z[i])) * unit
                (low, before), (high, after) = (objective.value_and_gradient(end.z + s * step) for s in (-1.0, 1.0))
                # Where it is -inf on one side it ends there, and that is no corner.
                jumps[k] = before[i] - after[i] if np.isfinite(low) and np.isfinite(high) else 0.0
        except NumericalError:
            continue
        if np.all(np.isfinite(jumps)) and np.all(jumps > _SHARP) and np.all(jumps[1:] > 0.5 * jumps[:-1]):
            found.append(i)
    return found


def near(move: Vector, end: Climb) -> bool:
    """Whether a move from the end of a climb is less than a tenth of a standard deviation."""
    return end.curvature.length(move) < 0.01


def distinct(climbs: list[Climb], tolerance: float = ALIKE) -> NDArray[np.int64]:
    """Which optimum each climb reached: 0 for the highest, 1 for the next, and so on.

    Two ends are the same optimum if their values agree within `tolerance` nats and each lies within a tenth of a
    standard deviation of the other (in the curvature of the higher one).

    Parameters
    ----------
    climbs : list of Climb
        Highest first.
    tolerance : float
        Nats.

    Returns
    -------
    ndarray of int, shape (len(climbs),)
    """
    labels = np.full(len(climbs), -1, dtype=np.int64)
    for i, end in enumerate(climbs):
        for j in range(i):
            if climbs[j].value - end.value < tolerance and near(end.z - climbs[j].z, climbs[j]):
                labels[i] = labels[j]
                break
        else:
            labels[i] = labels[:i].max(initial=-1) + 1
    return labels
