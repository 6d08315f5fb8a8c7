"""Multivariate normal distributions on R^d by their Cholesky factor, and fits to weighted or plain points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError
from workbench.numerics.objective import Vector

_RIDGE = 1e-9  # of the largest eigenvalue: above rounding (1e-16), below the smallest share in which draws spread


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

    @property
    def log_peak(self) -> float:
        """Log density at the mean, nats."""
        return -0.5 * self.dimension * float(np.log(2 * np.pi)) - 0.5 * self.log_determinant

    def distance(self, points: NDArray[np.float64]) -> Vector:
        """Squared Mahalanobis distance of points of shape ``(m, d)`` from the mean; returns shape ``(m,)``."""
        white = linalg.solve_triangular(self.factor, (points - self.mean).T, lower=True)
        return np.sum(white**2, axis=0)

    def log_density(self, points: NDArray[np.float64]) -> Vector:
        """Log density at points of shape ``(m, d)``; returns shape ``(m,)``, nats."""
        return self.log_peak - 0.5 * self.distance(points)

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


def fitted_to_gradients(points: NDArray[np.float64], gradients: NDArray[np.float64]) -> Gaussian:
    """The normal distribution whose log density has the gradients that were found at points.

    The gradient of a normal log density is -P (z - m), so the precision P is the symmetric matrix that minimises
    sum |g_i + P z_i|^2 over centred points and gradients. It solves the Lyapunov equation

        S P + P S = -(C + C'),   S = Z'Z / n,   C = Z'G / n,

    and m = mean z + P^-1 mean g. For a normal target it is exact from d + 1 points on, at which a covariance of the
    points is nearly singular; for other targets it agrees with the covariance as n grows (Stein's identity).

    Parameters
    ----------
    points, gradients : ndarray, shape (n, d)
        Draws, and the gradient of the log density at each, nats per unit of z.

    Returns
    -------
    Gaussian

    Raises
    ------
    NumericalError
        If a gradient is not finite, or P is not positive definite.

    References
    ----------
    Hyvaerinen, A. (2005). Estimation of non-normalized statistical models by score matching. JMLR 6, 695-709.
    """
    centre, scale = points.mean(axis=0), points.std(axis=0)
    if not np.all(np.isfinite(gradients)) or not np.all(scale > 0):
        raise NumericalError("a gradient is not finite or a coordinate never moves", "gaussian", "look at the draws")
    unit, slope = (points - centre) / scale, (gradients - gradients.mean(axis=0)) * scale
    spread, axes = linalg.eigh(unit.T @ unit / len(points))
    cross = axes.T @ (unit.T @ slope / len(points)) @ axes
    total = spread[:, None] + spread[None, :]
    # The ridge stands against directions in which the points hardly spread: there the quotient is noise.
    precision = axes @ (-(cross + cross.T) / (total + _RIDGE * spread[-1])) @ axes.T
    try:
        upper = linalg.cholesky(precision[::-1, ::-1], lower=True)[::-1, ::-1]  # precision = U U', U upper triangular
    except (linalg.LinAlgError, ValueError) as error:
        raise NumericalError(
            "the gradients do not describe a peak: their precision matrix is not positive definite", "gaussian"
        ) from error
    # The covariance is U^-T U^-1, and U^-T is lower triangular: it is the factor itself.
    factor = scale[:, None] * linalg.solve_triangular(upper.T, np.eye(len(centre)), lower=True)
    mean = centre + factor @ (factor.T @ gradients.mean(axis=0))
    return Gaussian(mean, factor)
