"""Multivariate normal distributions on R^d by their Cholesky factor, and fits to weighted or plain points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError
from workbench.numerics.objective import Vector


@dataclass(frozen=True)
class Gaussian:
    """Normal(mean, L L') on R^d.

    Attributes
    ----------
    mean : ndarray, shape (d,)
    factor : ndarray, shape (d, d)
        L, lower triangular with a positive diagonal.
    """

    mean: Vector
    factor: NDArray[np.float64]

    @property
    def dimension(self) -> int:
        """The number d of coordinates."""
        return self.mean.size

    @property
    def log_determinant(self) -> float:
        """Log determinant of the covariance."""
        return 2.0 * float(np.sum(np.log(np.diag(self.factor))))

    @property
    def entropy(self) -> float:
        """Differential entropy d/2 log(2 pi e) + 1/2 log det, nats."""
        return 0.5 * self.dimension * np.log(2 * np.pi * np.e) + 0.5 * self.log_determinant

    def log_density(self, points: NDArray[np.float64]) -> Vector:
        """Log density at points of shape ``(m, d)``; returns shape ``(m,)``, nats."""
        white = linalg.solve_triangular(self.factor, (points - self.mean).T, lower=True)
        constant = -0.5 * self.dimension * np.log(2 * np.pi) - 0.5 * self.log_determinant
        return constant - 0.5 * np.sum(white**2, axis=0)

    def draw(self, m: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Independent draws, shape ``(m, d)``."""
        return self.mean + generator.standard_normal((m, self.dimension)) @ self.factor.T


def from_covariance(mean: Vector, covariance: NDArray[np.float64]) -> Gaussian:
    """The normal distribution with this mean and covariance.

    Raises
    ------
    NumericalError
        If the covariance is not positive definite.
    """
    try:
        factor = linalg.cholesky(covariance, lower=True)
    except (linalg.LinAlgError, ValueError) as error:
        raise NumericalError(
            "a covariance is not positive definite", "gaussian", "use more draws than dimensions"
        ) from error
    return Gaussian(np.asarray(mean, dtype=np.float64), factor)


def fitted(points: NDArray[np.float64]) -> Gaussian:
    """The normal distribution with the mean and covariance of points of shape ``(m, d)``.

    Raises
    ------
    NumericalError
        If there are too few distinct points for a positive definite covariance.
    """
    d = points.shape[1]
    if len(np.unique(points, axis=0)) <= d:  # rank below d, which rounding can hide from a Cholesky factorisation
        raise NumericalError(f"fewer than {d + 1} distinct points in {d} dimensions", "gaussian", "use more draws")
    return from_covariance(points.mean(axis=0), np.atleast_2d(np.cov(points, rowvar=False)))
