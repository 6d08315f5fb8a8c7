"""Climb a log density to a maximum, and measure how far away it still is.

A quasi-Newton method of SciPy does the climbing; Newton steps with the Hessian from gradient differences finish it. An
optimiser's own ``success`` is never trusted. What counts is the estimated distance to the maximum

    EDM = 1/2 g' I^-1 g    (nats; g the gradient, I the information),

the value that a quadratic with this gradient and curvature still has above the point, and whether the density really
falls on both sides along every axis of the information (`falls_away`): on a ridge, at infinity or at an edge the EDM
is small too, but there is no fall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from workbench.errors import NumericalError
from workbench.numerics.curvature import Curvature, curvature_at
from workbench.numerics.objective import Objective, Vector

EDM_TOLERANCE = 1e-10  # nats
_NEWTON_STEPS = 12
_DENSE = 200  # up to this dimension BFGS keeps a full matrix; above it L-BFGS-B


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


def _quasi_newton(objective: Objective, start: Vector) -> Vector:
    """A first, coarse maximum by SciPy; the better of its end and its start."""

    def minus(z: Vector) -> tuple[float, Vector]:
        try:
            value, gradient = objective.value_and_gradient(z)
        except NumericalError:
            value, gradient = -np.inf, np.zeros_like(z)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return 1e300, np.zeros_like(z)  # a wall: finite, so that the line search can step back from it
        return -value, -gradient

    method: Literal["BFGS", "L-BFGS-B"] = "BFGS" if start.size <= _DENSE else "L-BFGS-B"
    with np.errstate(all="ignore"):
        found = optimize.minimize(minus, start, jac=True, method=method, options={"maxiter": 2000})
    return found.x if np.isfinite(objective.value(found.x)) and -found.fun >= objective.value(start) else start


def _newton(objective: Objective, z: Vector) -> tuple[Vector, float, Vector, float, Curvature]:
    """Newton steps until the EDM is negligible or a step no longer helps."""
    value, gradient = objective.value_and_gradient(z)
    bend = curvature_at(objective, z)
    edm = np.inf
    for _ in range(_NEWTON_STEPS):
        if not bend.is_peak:
            return z, value, gradient, np.inf, bend
        step = np.linalg.solve(bend.information, gradient)
        edm = float(gradient @ step) / 2
        if edm < EDM_TOLERANCE * 1e-8:
            break
        try:
            moved = z + step
            new_value, new_gradient = objective.value_and_gradient(moved)
            better = new_value > value or np.max(np.abs(new_gradient)) < np.max(np.abs(gradient))
            if not better or new_value < value - EDM_TOLERANCE:
                break
            bend = curvature_at(objective, moved)
        except NumericalError:
            break
        z, value, gradient = moved, new_value, new_gradient
    return z, value, gradient, edm, bend


def climb(objective: Objective, start: Vector) -> Climb:
    """Climb from one starting point to a local maximum of log f.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (d,)

    Returns
    -------
    Climb

    Raises
    ------
    NumericalError
        If log f is not finite at the start, or its gradient is not finite where the climb ends.
    """
    start = np.array(start, dtype=np.float64)
    if not np.isfinite(objective.value(start)):
        raise NumericalError("the log density is -inf at the starting point", "start", "start inside the support")
    z = _quasi_newton(objective, start)
    z, value, gradient, edm, bend = _newton(objective, z)
    return Climb(start, z, value, float(np.max(np.abs(gradient))), edm, bend)


def falls_away(objective: Objective, end: Climb) -> tuple[bool, Vector]:
    """Whether log f falls by a real amount one standard deviation away, on both sides of every axis.

    For a quadratic the fall is 0.5 nats. At a maximum at infinity, or at the edge of the support, one side does not
    fall; the threshold of 0.02 nats leaves room for any skewness that a peak can have.

    Parameters
    ----------
    objective : Objective
    end : Climb

    Returns
    -------
    falls : bool
    direction : ndarray, shape (d,)
        The direction in z in which it does not fall; zeros if it falls everywhere.
    """
    if not end.curvature.is_peak:
        return False, end.curvature.weakest
    eigenvalues, axes = np.linalg.eigh(end.curvature.covariance)
    for variance, axis in zip(eigenvalues, axes.T, strict=True):
        for sign in (1.0, -1.0):
            step = sign * np.sqrt(variance) * axis
            try:
                fall = end.value - objective.value(end.z + step)
            except NumericalError:
                fall = np.inf
            if not fall > 0.02:
                return False, step / np.linalg.norm(step)
    return True, np.zeros_like(end.z)


def distinct(climbs: list[Climb], tolerance: float = 0.01) -> NDArray[np.int64]:
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
            move = end.z - climbs[j].z
            near = move @ climbs[j].curvature.information @ move < 0.01
            if climbs[j].value - end.value < tolerance and near:
                labels[i] = labels[j]
                break
        else:
            labels[i] = labels[:i].max(initial=-1) + 1
    return labels
