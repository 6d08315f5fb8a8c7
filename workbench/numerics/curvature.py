"""Curvature of a log density at a point: the Hessian from gradients, and what it says about a peak.

The Hessian comes from differences of the exact gradient with a five-point stencil,

    H e_i ~ [8 (g(z + h e_i) - g(z - h e_i)) - (g(z + 2h e_i) - g(z - 2h e_i))] / (12 h),

with steps of a thousandth of the local scale 1 / sqrt(-H_ii): truncation and rounding are then both near 1e-11.
Where the outer pair of points would change nothing, because there are so many data that the density is a parabola to
1e-9 on this scale, it is left out.
Minus the Hessian is the information; it is judged after scaling to unit diagonal, so that the verdict does not
depend on units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError
from workbench.numerics.objective import Objective, Vector

# Below this smallest eigenvalue of the unit-diagonal information a direction counts as flat: the differences above
# leave noise near 1e-11, so an error bar along it would be made of noise.
FLAT = 1e-8
_STEP = 1e-3  # of the local scale
_FIRST_STEP = 1e-4  # of max(1, abs(z)), before the local scale is known
_PARABOLA = 1e-9  # of a change of the gradient: an error of a standard error that nobody sees
_FEW = 4  # up to this dimension looking costs as much as it saves


class _Slopes:
    """Gradients next to a point."""

    def __init__(self, objective: Objective, z: Vector) -> None:
        self.objective, self.z = objective, z

    def __call__(self, step: Vector) -> Vector:
        return self.objective.value_and_gradient(self.z + step)[1]

    def pair(self, step: Vector) -> Vector:
        """Change of the gradient from -step to +step."""
        return self(step) - self(-step)

    def along(self, step: Vector, parabola: bool) -> Vector:
        """Hessian times a step, by the five-point stencil; by its inner pair where the density is a parabola."""
        with np.errstate(invalid="ignore", over="ignore"):  # an infinite gradient is found by the caller
            return self.pair(step) / 2 if parabola else (8 * self.pair(step) - self.pair(2 * step)) / 12


def _scale(slopes: _Slopes) -> Vector:
    """Local scale 1 / sqrt(-H_ii) of every coordinate, roughly; zero where the density does not bend down."""
    scale, here = np.zeros(slopes.z.size), slopes(np.zeros_like(slopes.z))
    for i, unit in enumerate(np.eye(scale.size)):
        h = _FIRST_STEP * max(1.0, abs(slopes.z[i]))
        with np.errstate(invalid="ignore", over="ignore"):
            bend = (slopes(h * unit)[i] - here[i]) / h
        if np.isfinite(bend) and bend < 0:
            scale[i] = 1.0 / np.sqrt(-bend)
    return scale


def hessian(objective: Objective, z: Vector, scale: Vector | None = None) -> NDArray[np.float64]:
    """The Hessian of log f at z.

    Parameters
    ----------
    objective : Objective
    z : ndarray, shape (d,)
    scale : ndarray, shape (d,), optional
        Local scale 1 / sqrt(-H_ii) of every coordinate where it is roughly known; found first by default.

    Returns
    -------
    ndarray, shape (d, d)
        Symmetric, nats per unit of z squared.

    Raises
    ------
    NumericalError
        If the gradient is not finite near z.
    """
    d, slopes = z.size, _Slopes(objective, z)
    scale = _scale(slopes) if scale is None else scale
    steps = np.where(scale > 0, _STEP * scale, _FIRST_STEP * np.maximum(1.0, np.abs(z)))
    # One look along a direction in which all coordinates move says whether two points are as good as four.
    parabola = d > _FEW and _is_parabola(slopes, steps)
    matrix = np.empty((d, d))
    for i, unit in enumerate(np.eye(d)):
        h = steps[i]
        matrix[i] = slopes.along(h * unit, parabola) / h
        if np.isfinite(matrix[i, i]) and matrix[i, i] < 0:
            right = _STEP / np.sqrt(-matrix[i, i])
            if not 0.2 < h / right < (5.0 if parabola else 2.0):
                matrix[i] = slopes.along(right * unit, parabola) / right
    if not np.all(np.isfinite(matrix)):
        raise NumericalError("the gradient is not finite next to the point", "curvature", "look at the model there")
    return (matrix + matrix.T) / 2


def _is_parabola(slopes: _Slopes, steps: Vector) -> bool:
    """Whether the inner pair of the stencil alone gives the same change of the gradient, to 1e-9 of it."""
    step = np.where(np.arange(steps.size) % 2, -0.7, 1.0) * steps
    try:
        inner, outer = slopes.pair(step), slopes.pair(2 * step)
    except NumericalError:
        return False
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.max(np.abs(outer - 2 * inner)) < _PARABOLA * np.max(np.abs(outer)))


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
    """

    information: NDArray[np.float64]
    eigenvalues: Vector
    weakest: Vector
    is_peak: bool

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Inverse information, shape ``(d, d)``; only where `is_peak`.

        Raises
        ------
        NumericalError
            If the information is not positive definite.
        """
        if not self.is_peak:
            raise NumericalError("the information is not positive definite: there is no covariance", "curvature")
        factor = linalg.cho_factor(self.information)
        return linalg.cho_solve(factor, np.eye(len(self.information)))

    @property
    def log_determinant(self) -> float:
        """Log determinant of the information; only where `is_peak`."""
        return float(np.linalg.slogdet(self.information)[1])


def curvature_at(objective: Objective, z: Vector, scale: Vector | None = None) -> Curvature:
    """Information and its eigenvalues at z; see `Curvature`, and `hessian` for the scale.

    Raises
    ------
    NumericalError
        If the gradient is not finite near z.
    """
    information = -hessian(objective, z, scale)
    diagonal = np.diag(information)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    eigenvalues, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    weakest = vectors[:, 0] / scale
    is_peak = bool(np.all(diagonal > 0) and eigenvalues[0] > FLAT)
    return Curvature(information, eigenvalues, weakest / np.linalg.norm(weakest), is_peak)
