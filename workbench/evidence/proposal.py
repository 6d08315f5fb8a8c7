"""Proposals of the bridge: normalised densities that are fitted to posterior draws and easy to draw from.

No shape is the best everywhere, so there is a small family, made of three choices that can be combined:

* the core: a normal distribution with the mean and covariance of the draws, or one fitted to the gradients of the log
  density at the draws, which needs far fewer draws in many dimensions but suffers in a funnel;
* a warp of every coordinate, u = sinh(delta asinh((z - a) / b) - epsilon), after which skewed and long-tailed
  marginals are closer to normal (Jones and Pewsey 2009): with it the proposal is a Gaussian copula;
* a Student t in place of the normal, where the radii of the draws have a heavy tail: the tail index is its degrees of
  freedom, by maximum likelihood.

Beside them stands a mixture of normals, where the draws fall into clusters. Which one is used is not decided here: the
bridge pilots each of them. References: Jones and Pewsey 2009, doi:10.1093/biomet/asp053 (sinh-arcsinh); Hyvaerinen
2005, JMLR 6 (gradients); Wang, Jones and Meng 2022, doi:10.1080/10618600.2021.1935968 (mixtures for bridges).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.cluster.vq import kmeans2
from scipy.special import gammaln, logsumexp

from workbench.errors import NumericalError
from workbench.numerics.gaussian import Gaussian, fitted, fitted_to_gradients, from_covariance
from workbench.numerics.objective import Vector

Matrix = NDArray[np.float64]

_WARP_DRAWS = 500  # enough for two shape parameters a coordinate: their error is then near 5%
_WARP_NOISE = 4  # draws a coordinate, up to four times as many: the noise of a thousand warps doubled the bracket
_WORTH = 4.0  # nats: a warp of a coordinate has to gain twice what two useless parameters gain on average
_LIGHT = 40.0  # degrees of freedom above which a Student t is no better than a normal
_CLUSTERS = (2, 4, 8, 16)
_STEPS = 10  # of expectation-maximisation: from k-means on, the proposal only has to be near
_FLOOR = 1e-6  # of the overall covariance, added to each cluster's: none may shrink to a point


class Proposal(Protocol):
    """A normalised density on R^d; `Gaussian` is the simplest."""

    def log_density(self, points: Matrix) -> Vector:
        """Log density at points of shape ``(m, d)``; returns shape ``(m,)``, nats."""

    def draw(self, m: int, generator: np.random.Generator) -> Matrix:
        """Independent draws, shape ``(m, d)``."""


@dataclass(frozen=True)
class StudentT:
    """A multivariate Student t: the core's centre, its covariance as scale matrix, `freedom` degrees of freedom."""

    core: Gaussian
    freedom: float

    def log_density(self, points: Matrix) -> Vector:
        """Log density at points of shape ``(m, d)``; returns shape ``(m,)``, nats."""
        return _t_log_density(self.core.distance(points), self.core.dimension, self.freedom, self.core.log_determinant)

    def draw(self, m: int, generator: np.random.Generator) -> Matrix:
        """Independent draws, shape ``(m, d)``."""
        stretch = np.sqrt(self.freedom / generator.chisquare(self.freedom, size=(m, 1)))
        return self.core.mean + stretch * (self.core.draw(m, generator) - self.core.mean)


def _t_log_density(distance: Vector, d: int, freedom: float, log_determinant: float) -> Vector:
    """Log density of a Student t from squared distances and the log determinant of its scale matrix."""
    constant = gammaln((freedom + d) / 2) - gammaln(freedom / 2) - 0.5 * d * np.log(freedom * np.pi)
    return constant - 0.5 * log_determinant - 0.5 * (freedom + d) * np.log1p(distance / freedom)


def heavier(core: Gaussian, points: Matrix) -> StudentT:
    """The Student t with the core's centre and shape that fits points of shape ``(m, d)`` best.

    Raises
    ------
    NumericalError
        If the tail of the radii is no heavier than that of a normal.
    """
    distance, d = core.distance(points), core.dimension

    def cost(free: Vector) -> float:  # free: log of the scale, log of the degrees of freedom
        freedom, log_scale = float(np.exp(free[1])), float(free[0])
        return -float(_t_log_density(distance * np.exp(-log_scale), d, freedom, d * log_scale).mean())

    found = optimize.minimize(cost, [0.0, np.log(8.0)], method="L-BFGS-B", bounds=[(-5, 5), (0.0, np.log(200.0))])
    freedom = float(np.exp(found.x[1]))
    if not freedom < _LIGHT:
        raise NumericalError(f"the tail index is {freedom:.0f}: no heavier than normal", "proposal")
    return StudentT(Gaussian(core.mean, core.factor * np.exp(found.x[0] / 2)), freedom)


@dataclass(frozen=True)
class Warp:
    """The map u = sinh(tail asinh((z - location) / scale) - skew) of every coordinate, from R to R.

    Attributes
    ----------
    location, scale, skew, tail : ndarray, shape (d,)
        `tail` 1 and `skew` 0 is a linear map.
    """

    location: Vector
    scale: Vector
    skew: Vector
    tail: Vector

    def forward(self, points: Matrix) -> Matrix:
        """The points in u, shape ``(m, d)``."""
        return np.sinh(self.tail * np.arcsinh((points - self.location) / self.scale) - self.skew)

    def backward(self, warped: Matrix) -> Matrix:
        """The points in z, shape ``(m, d)``."""
        return self.location + self.scale * np.sinh((np.arcsinh(warped) + self.skew) / self.tail)

    def log_slope(self, points: Matrix) -> Matrix:
        """Log du/dz, shape ``(m, d)``."""
        return _log_slope((points - self.location) / self.scale, self.skew, self.tail) - np.log(self.scale)

    def gradients(self, points: Matrix, gradients: Matrix) -> Matrix:
        """Gradients with respect to u of the log density of u, from those with respect to z; shape ``(m, d)``.

        The log density of u is log f(z) - log du/dz, so its gradient is (df/dz - d/dz log du/dz) / (du/dz).
        """
        x = (points - self.location) / self.scale
        inner = self.tail * np.arcsinh(x) - self.skew
        bend = np.tanh(inner) * self.tail / np.sqrt(1 + x**2) - x / (1 + x**2)
        return (gradients - bend / self.scale) * np.exp(-self.log_slope(points))


def _log_slope(x: Matrix, skew: Vector, tail: Vector) -> Matrix:
    """Log du/dx of u = sinh(tail asinh(x) - skew)."""
    return np.log(np.cosh(tail * np.arcsinh(x) - skew)) + np.log(tail) - 0.5 * np.log1p(x**2)


def fitted_warp(points: Matrix) -> Warp:
    """The warp that makes the marginals of points of shape ``(m, d)`` most nearly normal, by maximum likelihood.

    Mean and sd of u are profiled out: coordinate by coordinate it maximises mean(log du/dx) - log sd(u). A coordinate
    that gains too little stays as it is.

    Raises
    ------
    NumericalError
        If no coordinate gains enough.
    """
    enough = int(np.clip(_WARP_NOISE * points.shape[1], _WARP_DRAWS, 4 * _WARP_DRAWS))
    thin = points[:: max(1, len(points) // enough)]
    location, scale = np.median(thin, axis=0), thin.std(axis=0)
    if not np.all(scale > 0):
        raise NumericalError("a coordinate never moves", "proposal", "look at the draws")
    x = (thin - location) / scale
    a = np.arcsinh(x)
    d = x.shape[1]

    def gain(free: Vector) -> tuple[Vector, Vector]:  # free: skew, log tail; values (d,), slopes (2, d)
        skew, tail = free.reshape(2, d)[0], np.exp(free.reshape(2, d)[1])
        inner = tail * a - skew
        u, grown, bent = np.sinh(inner), np.cosh(inner), np.tanh(inner)
        away = (u - u.mean(axis=0)) / u.var(axis=0)
        by_skew = np.mean(away * grown - bent, axis=0)
        by_tail = np.mean((bent - away * grown) * tail * a, axis=0) + 1.0
        values = np.mean(np.log(grown) - 0.5 * np.log1p(x**2), axis=0) + np.log(tail) - np.log(u.std(axis=0))
        return values, np.array([by_skew, by_tail])

    def cost(free: Vector) -> tuple[float, Vector]:
        values, slopes = gain(free)
        return -float(values.sum()), -slopes.ravel()

    start = np.zeros(2 * d)
    bounds = [(-3.0, 3.0)] * d + [(np.log(0.2), np.log(5.0))] * d
    found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    worth = len(thin) * (gain(found.x)[0] - gain(start)[0]) > _WORTH
    if not worth.any():
        raise NumericalError("every coordinate is as normal as a warp could make it", "proposal")
    skew, tail = np.where(worth, found.x.reshape(2, d), 0.0)
    return Warp(location, scale, skew, np.exp(tail))


@dataclass(frozen=True)
class Warped:
    """A proposal in the warped coordinates u, carried back to z."""

    warp: Warp
    inner: Proposal

    def log_density(self, points: Matrix) -> Vector:
        """Log density at points of shape ``(m, d)``; returns shape ``(m,)``, nats."""
        return self.inner.log_density(self.warp.forward(points)) + self.warp.log_slope(points).sum(axis=1)

    def draw(self, m: int, generator: np.random.Generator) -> Matrix:
        """Independent draws, shape ``(m, d)``."""
        return self.warp.backward(self.inner.draw(m, generator))


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals, or of other densities.

    Attributes
    ----------
    log_weights : ndarray, shape (k,)
    parts : tuple of Gaussian or StudentT, length k
    """

    log_weights: Vector
    parts: tuple[Proposal, ...]

    def joint(self, points: Matrix) -> Matrix:
        """Log weight + log density of every part, shape ``(k, m)``, nats."""
        return self.log_weights[:, None] + np.array([part.log_density(points) for part in self.parts])

    def log_density(self, points: Matrix) -> Vector:
        """Log density at points of shape ``(m, d)``; returns shape ``(m,)``, nats."""
        return logsumexp(self.joint(points), axis=0)

    def draw(self, m: int, generator: np.random.Generator) -> Matrix:
        """Independent draws, shape ``(m, d)``."""
        counts = generator.multinomial(m, np.exp(self.log_weights))
        return np.concatenate([p.draw(c, generator) for p, c in zip(self.parts, counts, strict=True)])


def _maximised(points: Matrix, shares: Matrix, floor: Matrix) -> Mixture:
    """The M step: weights, means and covariances from shares of shape ``(k, m)``."""
    parts = []
    shares = shares[shares.sum(axis=1) > 2 * points.shape[1] + 2]  # fewer draws have no covariance
    for share in shares:
        mean = share @ points / share.sum()
        away = points - mean
        parts.append(from_covariance(mean, (away * share[:, None]).T @ away / share.sum() + floor))
    return Mixture(np.log(shares.sum(axis=1) / len(points)), tuple(parts))


def _shares(joint: Matrix) -> Matrix:
    """The E step: exponentials of shape ``(k, m)`` over their sum; `logsumexp` would take most of the time of it."""
    relative = np.exp(joint - joint.max(axis=0))
    return relative / relative.sum(axis=0)


def _labels(white: Matrix, k: int) -> NDArray[np.int32]:
    """Clusters by k-means, the tightest of a few runs, shape ``(m,)``.

    Whitening hides how far two clusters are apart, so that in many dimensions a random start finds any other split
    first. One run for two clusters therefore starts along the direction of least kurtosis, in which two clusters of
    like size lie: the smallest eigenvector of E[|w|^2 w w'] (Cardoso 1989, doi:10.1109/ICASSP.1989.266878).
    """
    starts = [white[np.random.default_rng([k, run]).choice(len(white), k, replace=False)] for run in range(2)]
    if k == 2:
        fourth = (white * np.sum(white**2, axis=1)[:, None]).T @ white
        starts.append(np.outer([1.0, -1.0], np.linalg.eigh(fourth)[1][:, 0]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty", UserWarning)  # it is left out later
        found = [kmeans2(white, start, minit="matrix", iter=20) for start in starts]
    return min(found, key=lambda run: float(np.sum((white - run[0][run[1]]) ** 2)))[1]


def fitted_mixture(points: Matrix) -> Mixture:
    """A mixture of normals: k-means on whitened points, a few EM steps, the number of parts by BIC.

    Parameters
    ----------
    points : ndarray, shape (m, d)

    Returns
    -------
    Mixture

    Raises
    ------
    NumericalError
        If no number of parts describes the points better than one normal does.
    """
    whole, (m, d) = fitted(points), points.shape
    white = np.linalg.solve(whole.factor, (points - whole.mean).T).T
    floor = _FLOOR * (whole.factor @ whole.factor.T)
    price = 0.5 * (1 + d + d * (d + 1) / 2) * np.log(m)  # of one more part, by the Bayesian information criterion
    best, found = float(whole.log_density(points).sum()) - price, None
    for k in _CLUSTERS:
        if m < 5 * k * (d + 1):
            break
        try:
            mixture = _maximised(points, np.eye(k)[:, _labels(white, k)], floor)
            for _ in range(_STEPS):
                mixture = _maximised(points, _shares(mixture.joint(points)), floor)
        except NumericalError:
            continue
        score = float(mixture.log_density(points).sum()) - price * len(mixture.parts)
        if score < best:
            break
        best, found = score, mixture
    if found is None:
        raise NumericalError("the draws form one cluster", "proposal")
    return found


@dataclass(frozen=True)
class Material:
    """What a proposal is fitted to: draws and gradients of the log density there, and what several fits share.

    Attributes
    ----------
    points : ndarray, shape (n, d)
    gradients : ndarray, shape (n, d)
        Nats per unit of z; NaN where there are none.
    """

    points: Matrix
    gradients: Matrix

    @cached_property
    def normal(self) -> Gaussian:
        """The core with the mean and covariance of the draws."""
        return fitted(self.points)

    @cached_property
    def normal_by_gradients(self) -> Gaussian:
        """The core fitted to the gradients."""
        return fitted_to_gradients(self.points, self.gradients)

    @cached_property
    def warp(self) -> Warp:
        """The warp of every coordinate."""
        return fitted_warp(self.points)

    @cached_property
    def warped(self) -> Material:
        """Draws and gradients in the warped coordinates."""
        return Material(self.warp.forward(self.points), self.warp.gradients(self.points, self.gradients))


# Every member of the family by name; each raises `NumericalError` where it does not apply.
FAMILY: dict[str, Callable[[Material], Proposal]] = {
    "normal": lambda m: m.normal,
    "normal by gradients": lambda m: m.normal_by_gradients,
    "t": lambda m: heavier(m.normal, m.points),
    "t by gradients": lambda m: heavier(m.normal_by_gradients, m.points),
    "warped normal": lambda m: Warped(m.warp, m.warped.normal),
    "warped normal by gradients": lambda m: Warped(m.warp, m.warped.normal_by_gradients),
    "warped t": lambda m: Warped(m.warp, heavier(m.warped.normal, m.warped.points)),
    "warped t by gradients": lambda m: Warped(m.warp, heavier(m.warped.normal_by_gradients, m.warped.points)),
    "mixture": lambda m: fitted_mixture(m.points),
}

# How far the noise of a fit counts twice (see `error_budget`): wholly for fits to moments or likelihood of the draws,
# not at all for gradients, whose noise is another. In between by measurement over 40 seeds of six targets: for a
# mixture z-scores have sd 0.7-1.0 if it counts wholly, 0.8-1.8 if not at all; for t by gradients 0.8 and 1.2.
SYMMETRY: dict[str, float] = dict.fromkeys(FAMILY, 1.0) | {
    "normal by gradients": 0.0,
    "warped normal by gradients": 0.0,
    "t by gradients": 0.5,
    "warped t by gradients": 0.5,
    "mixture": 0.5,
}
