"""Paths of densities from a normalised reference to the target, along which the evidence can be tempered.

A path is log f_t(z) = log r(z) + t l(z) with l = log f - log r. From the prior, r is the prior on z and l the log
likelihood: a temperature is a weight of the likelihood, which the compiled density takes at run time. From a
proposal, r is a normal distribution like the posterior draws: with their mean and covariance, or with the gradients of
log f that were found at them, whichever describes draws better that it was not fitted to.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError, RefusalError
from workbench.model.anatomy import Anatomy
from workbench.model.density import LIKELIHOOD, TARGET, LogDensity, Weights
from workbench.numerics.gaussian import Gaussian, fitted, fitted_to_gradients
from workbench.numerics.moves import Cloud, Matrix, Sweep, shape_of, sweep_of
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.turn import turn_around
from workbench.prior.draws import draw_prior

_FROM_PRIOR = 20  # dimensions up to which a path from the prior is short enough to be the rule
_FAR = 60  # dimensions up to which it is tried where there may be several modes
_PARTICLES = 512  # a mode of 1% of the mass then has five
_PER_DIMENSION = 32  # particles from the prior: the shape of the cloud is learnt from them
_DOUBTFUL = 4  # times as many where the draws are in doubt: their number may then have to stand alone
_SPARE = 1.05  # times as many prior draws as particles: some may lie on the edge of their support


class Path(Protocol):
    """A path of densities from a reference to a target."""

    @property
    def name(self) -> str:
        """``prior`` or ``proposal``."""

    @property
    def particles(self) -> int:
        """How many particles this path needs."""

    def start(self, m: int, generator: np.random.Generator) -> Matrix:
        """Independent draws from the reference, shape ``(m, d)``."""

    def sweep(self, t: float) -> Sweep:
        """Log f_t and its gradient at many points."""

    def increments(self, points: Matrix) -> Cloud:
        """The slope l of the path, and its gradient, at many points."""

    def factor(self, points: Matrix) -> Matrix:
        """The shape of the cloud at this temperature, for its moves."""

    def log_likelihood(self, points: Matrix) -> Vector:
        """Log likelihood at many points, shape ``(m,)``, nats."""


@dataclass(frozen=True)
class PriorPath:
    """From the prior to the posterior over the weight of the likelihood.

    Attributes
    ----------
    weighed : callable
        ``weighed(t)``: the objective log prior(z) + t log likelihood(z).
    likelihood : Objective
        Log likelihood alone.
    draws : ndarray, shape (n, d)
        Independent draws from the prior, on z.
    particles : int
        How many of them make the path.
    """

    weighed: Callable[[float], Objective]
    likelihood: Objective
    draws: Matrix
    particles: int = _PARTICLES
    name: str = "prior"

    def start(self, m: int, generator: np.random.Generator) -> Matrix:
        """The draws in random order.

        Raises
        ------
        RefusalError
            If there are fewer than m.
        """
        if len(self.draws) < m:
            raise RefusalError(f"{len(self.draws)} prior draws for {m} particles", "evidence tempering", "draw more")
        return self.draws[generator.permutation(len(self.draws))[:m]]

    def sweep(self, t: float) -> Sweep:
        """Log prior + t log likelihood at many points."""
        return sweep_of(self.weighed(t))

    def increments(self, points: Matrix) -> Cloud:
        """Log likelihood; ``-inf`` where it is NaN, which only happens where no posterior mass is."""
        return Cloud(points, *sweep_of(self.likelihood)(points))

    def factor(self, points: Matrix) -> Matrix:
        """The shape of the particles."""
        return shape_of(points)

    def log_likelihood(self, points: Matrix) -> Vector:
        """The increments themselves."""
        return self.increments(points).value


@dataclass(frozen=True)
class ProposalPath:
    """From a normal distribution to the posterior.

    Attributes
    ----------
    reference : Gaussian
    target : Objective
        Log f, every constant kept.
    likelihood : Objective
        Log likelihood alone, for the account; it does not enter the evidence.
    """

    reference: Gaussian
    target: Objective
    likelihood: Objective
    name: str = "proposal"

    @property
    def particles(self) -> int:
        """Five hundred."""
        return _PARTICLES

    def start(self, m: int, generator: np.random.Generator) -> Matrix:
        """Draws from the normal distribution."""
        return self.reference.draw(m, generator)

    def _reference(self, points: Matrix) -> tuple[Vector, Matrix]:
        """Log reference and its gradient; ``-inf`` at points that a trajectory lost."""
        factor, finite = self.reference.factor, np.isfinite(points).all(axis=1)
        value, gradient = np.full(len(points), -np.inf), np.zeros_like(points)
        white = linalg.solve_triangular(factor, (points[finite] - self.reference.mean).T, lower=True)
        value[finite] = self.reference.log_peak - 0.5 * np.sum(white**2, axis=0)
        gradient[finite] = -linalg.solve_triangular(factor, white, lower=True, trans="T").T
        return value, gradient

    def sweep(self, t: float) -> Sweep:
        """(1 - t) log reference + t log target at many points."""
        target = sweep_of(self.target)

        def sweep(points: Matrix) -> tuple[Vector, Matrix]:
            if t == 0.0:
                return self._reference(points)
            (log_r, slope), (value, gradient) = self._reference(points), target(points)
            return (1 - t) * log_r + t * value, (1 - t) * slope + t * gradient

        return sweep

    def increments(self, points: Matrix) -> Cloud:
        """Log target - log reference."""
        (log_r, slope), (value, gradient) = self._reference(points), sweep_of(self.target)(points)
        return Cloud(points, value - log_r, gradient - slope)

    def factor(self, points: Matrix) -> Matrix:  # noqa: ARG002 - the path's other kind needs them
        """The shape of the reference, which is that of the posterior draws."""
        return self.reference.factor

    def log_likelihood(self, points: Matrix) -> Vector:
        """Log likelihood at many points."""
        return sweep_of(self.likelihood)(points)[0]


def proposal_from(draws: NDArray[np.float64]) -> Gaussian:
    """The normal distribution that a path starts from: mean and covariance of draws, the diagonal alone if few.

    Parameters
    ----------
    draws : ndarray, shape (m, d)

    Returns
    -------
    Gaussian

    Raises
    ------
    NumericalError
        If the covariance of the draws is singular.
    """
    if len(draws) >= 3 * draws.shape[1]:  # below, the sample covariance is worse than none
        return fitted(draws)
    return Gaussian(draws.mean(axis=0), np.diag(np.maximum(draws.std(axis=0), 1e-300)))


def reference_from(objective: Objective, draws: NDArray[np.float64]) -> Gaussian:
    """The normal distribution that a path starts from: by moments or by gradients, whichever is nearer to log f.

    Each is fitted to half of the chains and judged at the others by the standard deviation of log f - log r, which is
    what the path has to make up for. A covariance from a few draws a dimension is wide of the mark in many directions,
    where gradients are not: 4,000 draws in 1,000 dimensions were 43 temperatures away by moments, and 3 by gradients.

    Parameters
    ----------
    objective : Objective
        Log f.
    draws : ndarray, shape (chains, draws, d)

    Returns
    -------
    Gaussian

    Raises
    ------
    NumericalError
        If neither can be fitted.
    """
    chains, _, d = draws.shape
    flat = draws.reshape(-1, d)
    if chains < 2:
        return proposal_from(flat)
    value, gradient = sweep_of(objective)(flat)
    first = np.arange(len(flat)) < (chains // 2) * draws.shape[1]

    def distance(fit: Callable[[NDArray[np.bool_]], Gaussian]) -> float:
        try:
            found = value[~first] - fit(first).log_density(flat[~first])
        except NumericalError:
            return float("inf")
        return float(found.std()) if np.isfinite(found).all() else float("inf")

    def by_gradients(which: NDArray[np.bool_]) -> Gaussian:
        return fitted_to_gradients(flat[which], gradient[which])

    def by_moments(which: NDArray[np.bool_]) -> Gaussian:
        return proposal_from(flat[which])

    if distance(by_gradients) < distance(by_moments):
        with contextlib.suppress(NumericalError):
            return by_gradients(np.ones(len(flat), dtype=bool))
    return proposal_from(flat)


def prior_points(density: LogDensity, anatomy: Anatomy, m: int, seed: int) -> Matrix:
    """Independent draws from the prior, on z; at most m, as some may lie on the edge of their support.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    m : int
    seed : int

    Returns
    -------
    ndarray, shape (n, d)

    Raises
    ------
    RefusalError
        If the prior cannot be drawn from.
    """
    group = draw_prior(density, anatomy, m, seed, data=False)["prior"].to_dataset()
    z = density.space.z_of_draws({name: group[name].values[0] for name in density.space.names})
    return z[np.isfinite(z).all(axis=1)]


def starts_from_prior(dimension: int, doubtful: bool) -> bool:
    """Whether a path in so many dimensions starts from the prior, as long as that can be drawn from.

    Parameters
    ----------
    dimension : int
    doubtful : bool
        Whether there is a sign of several modes.

    Returns
    -------
    bool
    """
    return dimension <= _FROM_PRIOR or (doubtful and dimension <= _FAR)


def choose_path(
    density: LogDensity, anatomy: Anatomy, draws: NDArray[np.float64], seed: int, doubtful: bool
) -> ProposalPath | PriorPath:
    """The path for a model: from the prior in few dimensions or where modes may be missing, else from the draws.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    draws : ndarray, shape (chains, draws, d)
        Posterior draws on z.
    seed : int
        Of the prior draws.
    doubtful : bool
        Whether there is a sign of several modes.

    Returns
    -------
    PriorPath or ProposalPath

    Raises
    ------
    NumericalError
        If the path has to start from the draws and no normal distribution can be fitted to them.
    """
    likelihood, turn = density.objective(LIKELIHOOD), turn_around(draws, density.space.angles)
    d = density.space.dimension
    if starts_from_prior(d, doubtful):
        enough = max(_PARTICLES, _PER_DIMENSION * d) * (_DOUBTFUL if doubtful else 1)
        with contextlib.suppress(RefusalError):  # a prior that can be evaluated, but not drawn from
            z = turn.folded(prior_points(density, anatomy, int(_SPARE * enough), seed))
            if len(z) >= enough:
                return PriorPath(lambda t: turn.within(density.objective(Weights(likelihood=t))), likelihood, z, enough)
    return path_from_draws(density, draws)


def path_from_draws(density: LogDensity, draws: NDArray[np.float64]) -> ProposalPath:
    """The path from a normal distribution like the posterior draws.

    Parameters
    ----------
    density : LogDensity
    draws : ndarray, shape (chains, draws, d)
        On z.

    Returns
    -------
    ProposalPath

    Raises
    ------
    NumericalError
        If no normal distribution can be fitted to the draws.
    """
    target = turn_around(draws, density.space.angles).within(density.objective(TARGET))
    return ProposalPath(reference_from(target, draws), target, density.objective(LIKELIHOOD))
