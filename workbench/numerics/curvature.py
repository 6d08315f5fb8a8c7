"""Curvature of a log density at a point: the Hessian from gradients, and what it says about a peak.

The Hessian comes from differences of the exact gradient with a five-point stencil,

    H e_i ~ [8 (g(z + h e_i) - g(z - h e_i)) - (g(z + 2h e_i) - g(z - 2h e_i))] / (12 h),

with steps of a thousandth of the local scale 1 / sqrt(-H_ii): truncation and rounding are then both near 1e-11.
Where there are so many data that the density is a parabola on this scale, fewer points give the same: the inner pair,
or one point and the place itself.
Minus the Hessian is the information; it is judged after scaling to unit diagonal, so that the verdict does not
depend on units.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError
from workbench.numerics.objective import Objective, Vector

# Below this smallest eigenvalue of the unit-diagonal information a direction counts as flat: the differences above
# leave noise near 1e-11, so an error bar along it would be made of noise.
FLAT = 1e-8
ALIGNED = 1e-6  # below it a direction is so weak that rounding in the others may hide it
_MIXED = 1e-4  # below it the information is measured again along its axes: an error loses as many digits as it is weak
FLAT_ALONG_AXES = 1e-12  # what counts as flat then: the noise is no longer that of the steepest axis
_GUESS = 1e-9
_LOOKS = 6
_FALLS, _BENT = 0.25, 1.0  # nats one width away: a peak, and more than a parabola falls
_SAME_BEND = 0.01
STEP = 1e-3  # of the local scale
_LOCAL = 0.1  # of the local scale that it finds: a longer step has not measured it
_FIRST_STEP = 1e-4  # of max(1, abs(z)), before the local scale is known
_PARABOLA = 1e-9  # of a change of the gradient: an error of a standard error that nobody sees
_STRAIGHT = 2e-7  # of a change of the gradient: a quarter of it at most is the error of a standard error
_NINE = ((1, 4 / 5), (2, -1 / 5), (3, 4 / 105), (4, -1 / 280))  # pairs of a nine-point first derivative
_NEAR = 1e-2  # of the step, where one point stands for a pair
_FEW = 4  # up to this dimension looking costs as much as it saves
_RANK = 1e-12  # of the largest singular value: rounding of the factor itself then moves an error by 1e-4 of it


class _Slopes:
    """Gradients next to a point, and at it where it is known."""

    def __init__(self, objective: Objective, z: Vector, gradient: Vector | None = None) -> None:
        self.objective, self.z = objective, z
        if gradient is not None:
            self.here = gradient

    def __call__(self, step: Vector) -> Vector:
        return self.objective.value_and_gradient(self.z + step)[1]

    @cached_property
    def here(self) -> Vector:
        """The gradient at the point itself."""
        return self(np.zeros_like(self.z))

    def pair(self, step: Vector) -> Vector:
        """Change of the gradient from -step to +step."""
        with np.errstate(invalid="ignore"):  # an infinite gradient is found by the caller
            return self(step) - self(-step)

    def along(self, step: Vector, points: int) -> Vector:
        """Hessian times a step, by the nine- or five-point stencil, its inner pair, or one point much nearer."""
        with np.errstate(invalid="ignore", over="ignore"):  # an infinite gradient is found by the caller
            if points == 1:
                return (self(_NEAR * step) - self.here) / _NEAR
            if points == 8:
                return sum((weight * self.pair(k * step) for k, weight in _NINE), np.zeros_like(step))
            return self.pair(step) / 2 if points == 2 else (8 * self.pair(step) - self.pair(2 * step)) / 12


def _scale(slopes: _Slopes) -> Vector:
    """Local scale 1 / sqrt(-H_ii) of every coordinate, roughly; zero where the density does not bend down."""
    scale = np.zeros(slopes.z.size)
    for i, unit in enumerate(np.eye(scale.size)):
        h = _FIRST_STEP * max(1.0, abs(slopes.z[i]))
        with np.errstate(invalid="ignore", over="ignore"):
            bend = (slopes(h * unit)[i] - slopes.here[i]) / h
        if np.isfinite(bend) and bend < 0:
            scale[i] = 1.0 / np.sqrt(-bend)
    return scale


def hessian(
    objective: Objective, z: Vector, scale: Vector | None = None, gradient: Vector | None = None, step: float = STEP
) -> NDArray[np.float64]:
    """The Hessian of log f at z.

    Parameters
    ----------
    objective : Objective
    z : ndarray, shape (d,)
    scale : ndarray, shape (d,), optional
        Local scale 1 / sqrt(-H_ii) of every coordinate where it is roughly known; found first by default.
    gradient : ndarray, shape (d,), optional
        At z, where it is known.
    step : float
        Of the local scale; longer where the gradient itself is noisy, and then with nine points.

    Returns
    -------
    ndarray, shape (d, d)
        Symmetric, nats per unit of z squared.

    Raises
    ------
    NumericalError
        If the gradient is not finite near z.
    """
    d, slopes = z.size, _Slopes(objective, z, gradient)
    scale = _scale(slopes) if scale is None else scale
    steps = np.where(scale > 0, step * scale, _FIRST_STEP * np.maximum(1.0, np.abs(z)))
    points = 8 if step > STEP else _points(slopes, steps) if d > _FEW else 4
    matrix = np.empty((d, d))
    for i, unit in enumerate(np.eye(d)):
        h = steps[i]
        matrix[i] = _row(slopes, h, unit, points)
        if not np.all(np.isfinite(matrix[i])):  # along a flat direction the local scale can lead out of the support
            h = _FIRST_STEP * max(1.0, abs(z[i]))
            matrix[i] = _row(slopes, h, unit, points)
        if np.isfinite(matrix[i, i]) and matrix[i, i] < 0:
            right = step / np.sqrt(-matrix[i, i])
            if not 0.2 < h / right < (2.0 if points >= 4 else 5.0):
                better = _row(slopes, right, unit, points)
                # Next to an edge the bend is so small that such a step leads to where log f is another function.
                local = right * np.sqrt(max(-better[i], 0.0)) < _LOCAL
                matrix[i] = better if np.all(np.isfinite(better)) and local else matrix[i]
    if not np.all(np.isfinite(matrix)):
        raise NumericalError("the gradient is not finite next to the point", "curvature", "look at the model there")
    return matrix / 2 + matrix.T / 2  # of numbers near the largest that there are a sum would be infinite


def representable(z: NDArray[np.float64], step: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Steps near these by which numbers move exactly, and not by what their sum is rounded to.

    For a mean of 1e9 with an error of 0.2 that is a thousandth of the step, and so of what is divided by it.

    Parameters
    ----------
    z : ndarray
    step : ndarray of its shape, or float
        Above 0; up to twice this is added to z and taken from it.

    Returns
    -------
    ndarray, shape of z

    Examples
    --------
    >>> h = representable(np.array([1e9, 1.0]), 1e-4)
    >>> bool(((np.array([1e9, 1.0]) + h) - np.array([1e9, 1.0]) == h).all())
    True
    """
    spacing = np.spacing(2.0 * (np.abs(z) + step))
    return np.maximum(1.0, np.round(step / spacing)) * spacing


def _row(slopes: _Slopes, h: float, unit: Vector, points: int) -> Vector:
    """One row of the Hessian with a step h; NaN where the gradient does not exist that far away."""
    h = float(representable(np.abs(slopes.z) @ unit, h))
    try:
        with np.errstate(over="ignore"):
            return slopes.along(h * unit, points) / h
    except NumericalError:
        return np.full_like(unit, np.nan)


def _points(slopes: _Slopes, steps: Vector) -> int:
    """How few points give the same change of the gradient, by a look along a direction in which all coordinates move.

    One near point is as good as a pair if the change is the same forwards and backwards; a pair is as good as four if
    the change is in proportion to the step.
    """
    step = np.where(np.arange(steps.size) % 2, -0.7, 1.0) * steps

    def same(first: Vector, second: Vector, tolerance: float) -> bool:
        with np.errstate(invalid="ignore", over="ignore"):
            return bool(np.max(np.abs(first - second) * steps) < tolerance * np.max(np.abs(first) * steps))

    try:
        if same(slopes.along(step, 1), -slopes.along(-step, 1), _STRAIGHT):
            return 1
        return 2 if same(slopes.pair(2 * step), 2 * slopes.pair(step), _PARABOLA) else 4
    except NumericalError:
        return 4


@dataclass(frozen=True)
class Curvature:
    """The information (minus the Hessian) at a point, and whether it describes a peak.

    Attributes
    ----------
    information : ndarray, shape (d, d)
    eigenvalues : ndarray, shape (d,)
        Of the information scaled to unit diagonal, ascending; all near 1 when coordinates do not share directions.
    weakest : ndarray, shape (d,)
        Direction in z, unit length, along which the density is flattest (or rises) relative to its scales.
    is_peak : bool
        All eigenvalues exceed the flatness threshold.
    factor : ndarray, shape (d, d), optional
        R with information R'R, where that is known: it holds twice the digits.
    """

    information: NDArray[np.float64]
    eigenvalues: Vector
    weakest: Vector
    is_peak: bool
    factor: NDArray[np.float64] | None = None

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Inverse information, shape ``(d, d)``; only where `is_peak`.

        Raises
        ------
        NumericalError
            If the information is not positive definite.
        """
        if self.factor is not None:
            return self.axes @ self.axes.T
        self._require_peak()
        factor = linalg.cho_factor(self.information)
        return linalg.cho_solve(factor, np.eye(len(self.information)))

    @property
    def axes(self) -> NDArray[np.float64]:
        """A with covariance A A', shape ``(d, d)``; only where `is_peak`.

        Raises
        ------
        NumericalError
            If the information is not positive definite.
        """
        self._require_peak()
        scale = np.sqrt(np.diag(self.information))
        scaled = self.information / np.outer(scale, scale) if self.factor is None else self.factor / scale
        right = linalg.cholesky(scaled) if self.factor is None else np.linalg.qr(scaled)[1]
        return linalg.solve_triangular(right, np.eye(scale.size)) / scale[:, None]

    @property
    def log_determinant(self) -> float:
        """Log determinant of the information; only where `is_peak`."""
        if self.factor is not None:
            return 2.0 * float(np.linalg.slogdet(self.factor)[1])
        return float(np.linalg.slogdet(self.information)[1])

    def length(self, move: Vector) -> float:
        """Of a move in standard deviations, squared: twice the nats that a parabola falls."""
        if self.factor is not None:
            return float(np.sum((self.factor @ move) ** 2))
        return float(move @ self.information @ move)

    def _require_peak(self) -> None:
        if not self.is_peak:
            raise NumericalError("the information is not positive definite: there is no covariance", "curvature")


def mended(covariance: NDArray[np.float64], step: Vector, change: Vector) -> NDArray[np.float64]:
    """Inverse information that agrees with what a step has shown (the BFGS formula); as it was where that is no peak.

    Parameters
    ----------
    covariance : ndarray, shape (d, d)
    step : ndarray, shape (d,)
    change : ndarray, shape (d,)
        Of minus the gradient over the step.

    Returns
    -------
    ndarray, shape (d, d)
    """
    bend = float(step @ change)
    if not 0 < bend < np.inf:
        return covariance
    aside = np.eye(step.size) - np.outer(step, change) / bend
    return aside @ covariance @ aside.T + np.outer(step, step) / bend


def curvature_from(factor: NDArray[np.float64]) -> Curvature:
    """Information R'R and its verdict, from R alone.

    Parameters
    ----------
    factor : ndarray, shape (d, d)
        R; its columns have lengths above 0.

    Returns
    -------
    Curvature
        A peak unless a direction is lost in the rounding of R itself.
    """
    scale = np.linalg.norm(factor, axis=0)
    _, values, rows = np.linalg.svd(factor / scale)
    weakest = rows[-1] / scale
    is_peak = bool(values[-1] > _RANK * values[0])
    return Curvature(factor.T @ factor, values[::-1] ** 2, weakest / np.linalg.norm(weakest), is_peak, factor)


def curvature_at(
    objective: Objective, z: Vector, scale: Vector | None = None, gradient: Vector | None = None, step: float = STEP
) -> Curvature:
    """Information and its eigenvalues at z; see `Curvature`, and `hessian` for the arguments.

    Raises
    ------
    NumericalError
        If the gradient is not finite near z, or some curvature is too large beside another for a number.
    """
    information = -hessian(objective, z, scale, gradient, step)
    found, axes = _judged(information, FLAT)
    if np.all(np.diag(information) > 0) and found.eigenvalues.min(initial=1.0) < _MIXED:
        try:
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is no width
                refined = _along_axes(objective, z, axes, found.eigenvalues)
        except NumericalError:
            refined = None
        if refined is not None:
            better, _ = _judged(refined, FLAT_ALONG_AXES)
            return better if better.is_peak else found
    return found


def _judged(information: NDArray[np.float64], flat: float) -> tuple[Curvature, NDArray[np.float64]]:
    """The information with its verdict, and its axes as columns in units in which its diagonal is one."""
    diagonal = np.diag(information)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    with np.errstate(over="ignore"):
        scaled = information / scale / scale[:, None]
    if not np.all(np.isfinite(scaled)):
        raise NumericalError("the curvature is too large for a number", "curvature", "look at the model there")
    eigenvalues, vectors = np.linalg.eigh(scaled)
    axes = vectors / scale[:, None]
    weakest = axes[:, 0] / np.max(np.abs(axes[:, 0]))  # first, or its square may be too large for a number
    weakest = weakest / np.linalg.norm(weakest)
    is_peak = bool(np.all(diagonal > 0) and eigenvalues[0] > flat)
    return Curvature(information, eigenvalues, weakest, is_peak), axes


def _holds(slopes: _Slopes, width: Vector) -> bool:
    """Whether the bend is the same with half the step: on a bent ridge that is flat it is rounding, and is not."""
    step = STEP / 2 * width
    return abs(-float(slopes.along(step, 8) @ step) / (STEP / 2) ** 2 - 1.0) < _SAME_BEND


def _fall(objective: Objective, z: Vector, width: Vector) -> float:
    """How far log f falls one width away, on the side where it falls less: 0.5 nats for a parabola.

    Where a ridge is bent a straight line leaves it, and log f falls by any amount.
    """
    return objective.value(z) - max(objective.value(z + width), objective.value(z - width))


def _along_axes(
    objective: Objective, z: Vector, axes: NDArray[np.float64], eigenvalues: Vector
) -> NDArray[np.float64] | None:
    """The information again, by steps along its axes, each in proportion to the width there; None if one is flat.

    Coordinates that nearly share a direction (columns of Longley's table) leave an axis so wide that steps along the
    coordinates do not reach where it bends: their differences are rounding. Steps along the axis do.
    """
    slopes = _Slopes(objective, z)
    bends = np.array(eigenvalues)
    for k in np.flatnonzero(bends < _MIXED):
        bends[k], guess = np.nan, max(bends[k], _GUESS)
        for _ in range(_LOOKS):
            step = STEP / np.sqrt(guess) * axes[:, k]
            bend = -float(slopes.along(step, 8) @ step) / (STEP**2 / guess)
            if not FLAT_ALONG_AXES < bend < 1.0:  # flat, or no axis of what is there
                return None
            if 0.5 < bend / guess < 2.0:
                bends[k] = bend
                break
            guess = bend
    widths = axes / np.sqrt(bends)
    for k in np.flatnonzero(eigenvalues < _MIXED):  # towards an edge or infinity it bends, but is no parabola
        fall = np.nan if np.isnan(bends[k]) else _fall(objective, z, widths[:, k])
        if not fall > _FALLS or (fall > _BENT and not _holds(slopes, widths[:, k])):
            return None
    points = np.where(eigenvalues < _MIXED, 8, 4)
    rows = np.stack([slopes.along(STEP * width, n) / STEP for width, n in zip(widths.T, points, strict=True)])
    if not np.all(np.isfinite(rows)):
        return None
    bent = -(rows @ widths)
    back = np.linalg.inv(widths)
    information = back.T @ ((bent + bent.T) / 2) @ back
    return (information + information.T) / 2
