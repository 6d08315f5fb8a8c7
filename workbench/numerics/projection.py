"""Coordinates whose best values are known in closed form, given the others.

Along some coordinates log f is a parabola whatever the others are: along the heights of peaks, or the coefficients of
a sum of curves. Along others, such as the logarithm of a residual scale, its slope is A + B exp(-p z) with the same A
and p everywhere. Setting them to their best values (variable projection) leaves a search far fewer coordinates, and
far fewer local maxima.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.numerics.objective import Objective, Vector

_LOOKS = 6  # points at which a coordinate has to be what it is taken for
_EVEN = 1e-5  # of a change of the slope along a line: rounding
_STRAIGHT = 1e-7  # of a change of the gradient
_STEP = 0.5  # of z, along a scale
_CURVED = 1e-6  # of a slope along a scale
_POWERS = (0.1, 10.0)  # sizes that p may have
_FARTHEST = 50.0  # of z: a scale that moves further stands at an edge


@dataclass(frozen=True)
class Projection:
    """Which coordinates have best values in closed form.

    Attributes
    ----------
    parabolas : ndarray of int, shape (k,)
        Coordinates along which, and along whose sums, log f is a parabola that opens downwards.
    scales : dict of int to (float, float)
        Coordinates along which the slope of log f is A + B exp(-p z) -> A, and p.

    References
    ----------
    Golub, G. H. and Pereyra, V. (1973). The differentiation of pseudo-inverses and nonlinear least squares problems
    whose variables separate. doi:10.1137/0710036
    """

    parabolas: NDArray[np.int64]
    scales: dict[int, tuple[float, float]]

    def on_top(self, objective: Objective, z: Vector) -> tuple[Vector, float]:
        """The point with these coordinates at their best, shape ``(d,)``, and its height; as it was if it is lower."""
        start, height = z.copy(), height_of(objective, z)
        try:
            if self.parabolas.size:
                start = _tops(objective, start, self.parabolas)
            if self.scales:
                slope = objective.value_and_gradient(start)[1]
                for i, (constant, power) in self.scales.items():
                    share = 1.0 - slope[i] / constant
                    start[i] += np.log(share) / power if share > 0 else 0.0
                if np.max(np.abs(start - z)[list(self.scales)]) > _FARTHEST:
                    return z, height
            value = objective.value(start)
        except (NumericalError, np.linalg.LinAlgError):
            return z, height
        return (start, value) if np.isfinite(value) and not value < height else (z, height)


def find_projection(objective: Objective, best: Vector, pool: NDArray[np.float64]) -> Projection:
    """The coordinates with best values in closed form.

    Parameters
    ----------
    objective : Objective
    best : ndarray, shape (d,)
        The highest point so far, at which a scale is balanced.
    pool : ndarray, shape (m, d)
        Other points.

    Returns
    -------
    Projection

    Examples
    --------
    >>> from workbench.numerics.objective import FunctionObjective
    >>> y = np.array([1.0, 2.0, 6.0])
    >>> def normal(z):  # mean and log of the standard deviation
    ...     u = (y - z[0]) * np.exp(-z[1])
    ...     return -float(u @ u) / 2 - 3 * z[1], np.array([u.sum() * np.exp(-z[1]), u @ u - 3])
    >>> objective = FunctionObjective(2, normal)
    >>> found = find_projection(objective, np.array([0.0, 1.2]), np.array([[1.0, 0.3], [-5.0, 2.0]]))
    >>> z, _ = found.on_top(objective, np.array([20.0, 5.0]))
    >>> bool(np.allclose([z[0], np.exp(2 * z[1])], [y.mean(), y.var()]))
    True
    """
    looks = [best, *[z for z in pool if np.isfinite(height_of(objective, z))][: _LOOKS - 1]]
    if not np.isfinite(height_of(objective, best)):
        return Projection(np.zeros(0, dtype=np.int64), {})
    found: list[int] = []
    for i in range(best.size):
        if all(_are_parabolas(objective, z, [*found, i]) for z in looks):
            found.append(i)
    scales = {i: form for i in range(best.size) if i not in found and (form := _scale_form(objective, looks, i))}
    return Projection(np.array(found, dtype=np.int64), scales)


def height_of(objective: Objective, z: Vector) -> float:
    """Log f; -inf where it is not a number."""
    try:
        return objective.value(z)
    except NumericalError:
        return -np.inf


def is_parabola(objective: Objective, z: Vector, step: Vector) -> bool:
    """Whether log f is a parabola that opens downwards along a line, as it is for the coefficients of a Normal mean.

    Such a line has one highest point, and it is not at infinity.

    Parameters
    ----------
    objective : Objective
    z, step : ndarray, shape (d,)

    Returns
    -------
    bool
    """
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is no parabola
            slopes = np.array([objective.value_and_gradient(z + k * step)[1] @ step for k in range(-2, 3)])
    except NumericalError:
        return False
    if not np.all(np.isfinite(slopes)):
        return False
    changes = np.diff(slopes)
    return bool(np.all(changes < 0) and np.ptp(changes) < _EVEN * np.max(np.abs(changes)))


def _are_parabolas(objective: Objective, z: Vector, some: list[int]) -> bool:
    """Whether the gradient along some coordinates changes in proportion to a step in which all of them move."""
    step = np.zeros_like(z)
    step[some] = np.maximum(1.0, np.abs(z[some])) * (1.0 + 0.3 * np.arange(len(some)))
    try:
        g = np.stack([objective.value_and_gradient(z + k * step)[1][some] for k in range(3)])
    except NumericalError:
        return False
    if not np.all(np.isfinite(g)):
        return False
    first, second = g[1] - g[0], g[2] - g[1]
    bent = np.max(np.abs(second - first)) <= _STRAIGHT * (np.max(np.abs(first)) + np.max(np.abs(g)) * 1e-3)
    return bool(bent and first @ step[some] < 0)


def _scale_form(objective: Objective, looks: list[Vector], i: int) -> tuple[float, float] | None:
    """A and p of a slope A + B exp(-p z) along a coordinate, if it is of that form, and falls, wherever it is."""
    step = np.where(np.arange(looks[0].size) == i, _STEP, 0.0)
    try:
        g = [objective.value_and_gradient(looks[0] + k * step)[1][i] for k in range(3)]
        with np.errstate(all="ignore"):  # what is not finite is no such form
            ratio = (g[2] - g[1]) / (g[1] - g[0])
            power = -np.log(ratio) / _STEP
            constant = (g[0] * ratio - g[1]) / (ratio - 1.0)
        if not (_POWERS[0] < abs(power) < _POWERS[1] and np.isfinite(constant) and constant * power < 0):
            return None
        for z in looks:
            g = [objective.value_and_gradient(z + k * step)[1][i] for k in range(3)]
            if not np.all(np.isfinite(g)):
                return None
            expected = [constant + (g[0] - constant) * np.exp(-power * _STEP * k) for k in range(3)]
            if not np.max(np.abs(np.subtract(expected, g))) <= _CURVED * max(abs(constant), *np.abs(g)):
                return None
    except NumericalError:
        return None
    return float(constant), float(power)


def _tops(objective: Objective, z: Vector, parabolas: NDArray[np.int64]) -> Vector:
    """The point with these coordinates at the top of their parabola; as it was where that is not a number."""
    start = z.copy()
    start[parabolas] = 0.0
    slope = objective.value_and_gradient(start)[1][parabolas]
    if not np.all(np.isfinite(slope)):
        return z
    bends = np.empty((parabolas.size, parabolas.size))
    for k, unit in enumerate(np.eye(z.size)[parabolas]):
        bends[k] = objective.value_and_gradient(start + unit)[1][parabolas]
    if not np.all(np.isfinite(bends)):
        return z
    bends -= slope
    scale = np.sqrt(np.maximum(-np.diag(bends), 1e-300))
    with np.errstate(all="ignore"):
        scaled, right = -bends / np.outer(scale, scale), slope / scale
    if not np.all(np.isfinite(scaled)) or not np.all(np.isfinite(right)):
        return z
    start[parabolas] = np.linalg.lstsq(scaled, right, rcond=1e-10)[0] / scale
    return start
