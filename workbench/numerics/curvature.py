"""Curvature of a log density at a point: the Hessian from gradients, and what it says about a peak.

The Hessian comes from differences of the exact gradient with a five-point stencil,

    H e_i ~ [8 (g(z + h e_i) - g(z - h e_i)) - (g(z + 2h e_i) - g(z - 2h e_i))] / (12 h),

with steps of a thousandth of the local scale 1 / sqrt(-H_ii): truncation and rounding are then both near 1e-11.
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


def _column(objective: Objective, z: Vector, i: int, h: float) -> Vector:
    """One column of the Hessian by the five-point stencil."""

    def gradient(step: float) -> Vector:
        moved = z.copy()
        moved[i] += step
        return objective.value_and_gradient(moved)[1]

    with np.errstate(invalid="ignore", over="ignore"):  # an infinite gradient is found by the caller
        return (8 * (gradient(h) - gradient(-h)) - (gradient(2 * h) - gradient(-2 * h))) / (12 * h)


def hessian(objective: Objective, z: Vector) -> NDArray[np.float64]:
    """The Hessian of log f at z.

    Parameters
    ----------
    objective : Objective
    z : ndarray, shape (d,)

    Returns
    -------
    ndarray, shape (d, d)
        Symmetric, nats per unit of z squared.

    Raises
    ------
    NumericalError
        If the gradient is not finite near z.
    """
    d = z.size
    matrix = np.empty((d, d))
    for i in range(d):
        h = _FIRST_STEP * max(1.0, abs(z[i]))
        column = _column(objective, z, i, h)
        if np.isfinite(column[i]) and column[i] < 0:
            h = _STEP / np.sqrt(-column[i])
            column = _column(objective, z, i, h)
        matrix[i] = column
    if not np.all(np.isfinite(matrix)):
        raise NumericalError("the gradient is not finite next to the point", "curvature", "look at the model there")
    return (matrix + matrix.T) / 2


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


def curvature_at(objective: Objective, z: Vector) -> Curvature:
    """Information and its eigenvalues at z; see `Curvature`.

    Raises
    ------
    NumericalError
        If the gradient is not finite near z.
    """
    information = -hessian(objective, z)
    diagonal = np.diag(information)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    eigenvalues, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    weakest = vectors[:, 0] / scale
    is_peak = bool(np.all(diagonal > 0) and eigenvalues[0] > FLAT)
    return Curvature(information, eigenvalues, weakest / np.linalg.norm(weakest), is_peak)
