"""Hamiltonian moves of many points at once, each of which leaves a density f on R^d as it is.

From every point z a momentum p ~ Normal(0, I) is drawn and the pair is carried along by the leapfrog scheme in the
coordinates u in which the cloud is round, z = L u:

    p <- p + (e/2) L' grad log f(z),     z <- z + e L p,     p <- p + (e/2) L' grad log f(z),

repeated; the end is accepted with probability min(1, exp(change of log f(z) - p'p / 2)). The points share L and the
step e, which are tuned to the whole cloud (Buchholz, Chopin and Jacob 2021, doi:10.1214/20-BA1222); the moves of one
point depend on nothing else. This is a building block of annealing, where a cloud of points follows a density that
changes; for draws from one density there is NUTS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.numerics.objective import Objective, ObjectiveOfMany, Vector

Matrix = NDArray[np.float64]
Sweep = Callable[[Matrix], tuple[Vector, Matrix]]  # points (m, d) -> values (m,), gradients (m, d)

_PATH = 1.6  # length of a trajectory: a quarter of the period of a unit normal, at whose end z has forgotten its start
_MOST_LEAPS = 16
_ACCEPT = 0.8  # mean acceptance probability that the step is tuned to, as NUTS has it
_FORGOTTEN = 0.2  # mean correlation with the start at which the points count as moved
_GAIN = 0.02  # of that correlation; a move that brings less brings nothing, as between separated modes


@dataclass(frozen=True)
class Cloud:
    """Points with log f, or another function, and its gradient there.

    Attributes
    ----------
    points : ndarray, shape (m, d)
    value : ndarray, shape (m,)
        Nats; ``-inf`` where the density is zero.
    gradient : ndarray, shape (m, d)
    """

    points: Matrix
    value: Vector
    gradient: Matrix

    def taken(self, positions: NDArray[np.int64] | slice) -> Cloud:
        """The points at these positions."""
        return Cloud(self.points[positions], self.value[positions], self.gradient[positions])


@dataclass(frozen=True)
class Mixing:
    """What a series of moves did.

    Attributes
    ----------
    step : float
        The step after tuning, to start the next series with.
    acceptance : float
        Mean acceptance probability of the last move.
    correlation : float
        Mean over the coordinates of the correlation between the points before and after.
    sweeps : int
        Evaluations of the whole cloud.
    """

    step: float
    acceptance: float
    correlation: float
    sweeps: int


def sweep_of(objective: Objective) -> Sweep:
    """Values and gradients of an objective at many points; where it is NaN, the density counts as zero.

    A trajectory may run to where double precision ends. There is no mass out there, so it is turned away.

    Parameters
    ----------
    objective : Objective

    Returns
    -------
    callable
        ``sweep(points) -> (values, gradients)``, shapes ``(m,)`` and ``(m, d)``.
    """

    def sweep(points: Matrix) -> tuple[Vector, Matrix]:
        if isinstance(objective, ObjectiveOfMany):
            value, gradient = objective.sweep(points)
            value = np.where(np.isnan(value) | np.isposinf(value), -np.inf, value)
        else:
            value, gradient = np.empty(len(points)), np.zeros(points.shape)
            for i, point in enumerate(points):
                try:
                    value[i], gradient[i] = objective.value_and_gradient(point)
                except NumericalError:
                    value[i] = -np.inf
        lost = ~(np.isfinite(value) & np.isfinite(gradient).all(axis=1))
        gradient[lost] = 0.0
        return value, gradient

    return sweep


def shape_of(points: Matrix) -> Matrix:
    """A factor L with L L' the covariance of the points, or its diagonal where they are too few.

    Parameters
    ----------
    points : ndarray, shape (m, d)

    Returns
    -------
    ndarray, shape (d, d)
        Lower triangular.
    """
    m, d = points.shape
    spread = np.maximum(points.std(axis=0), 1e-300)
    if m >= 10 * d:
        correlation = np.atleast_2d(np.cov((points / spread).T))
        with contextlib.suppress(np.linalg.LinAlgError):  # then the axes have to do
            return spread[:, None] * np.linalg.cholesky(correlation + 1e-10 * np.eye(d))
    return np.diag(spread)


def hamiltonian_move(
    sweep: Sweep, cloud: Cloud, factor: Matrix, step: float, leaps: int, generator: np.random.Generator
) -> tuple[Cloud, float]:
    """One Hamiltonian move of every point.

    Parameters
    ----------
    sweep : callable
        Log f and its gradient at many points.
    cloud : Cloud
    factor : ndarray, shape (d, d)
        L.
    step : float
        Mean of e; each point has its own, up to a fifth longer or shorter, against periodic orbits.
    leaps : int
    generator : numpy.random.Generator

    Returns
    -------
    cloud : Cloud
    acceptance : float
        Mean acceptance probability.
    """
    m, d = cloud.points.shape
    momentum = generator.standard_normal((m, d))
    steps = step * generator.uniform(0.8, 1.2, size=(m, 1))
    z, value, gradient = cloud.points, cloud.value, cloud.gradient
    with np.errstate(all="ignore"):  # a trajectory that overflows is turned away below
        before = value - 0.5 * np.sum(momentum**2, axis=1)
        force = gradient @ factor
        for _ in range(leaps):
            momentum = momentum + 0.5 * steps * force
            z = z + steps * (momentum @ factor.T)
            value, gradient = sweep(z)
            force = gradient @ factor
            momentum = momentum + 0.5 * steps * force
        change = value - 0.5 * np.sum(momentum**2, axis=1) - before
    change = np.where(np.isnan(change), -np.inf, change)
    moved = np.log(generator.random(m)) < change
    kept = Cloud(
        np.where(moved[:, None], z, cloud.points),
        np.where(moved, value, cloud.value),
        np.where(moved[:, None], gradient, cloud.gradient),
    )
    return kept, float(np.mean(np.exp(np.minimum(change, 0.0))))


def _correlation(before: Matrix, after: Matrix) -> float:
    """Mean over the columns of the correlation between two arrays of shape ``(m, k)``."""
    a, b = before - before.mean(axis=0), after - after.mean(axis=0)
    scale = np.sqrt(np.sum(a**2, axis=0) * np.sum(b**2, axis=0))
    return float(np.mean(np.sum(a * b, axis=0) / np.where(scale > 0, scale, np.inf)))


def mix(
    sweep: Sweep, cloud: Cloud, factor: Matrix, step: float, generator: np.random.Generator, most: int
) -> tuple[Cloud, Mixing]:
    """Move points until they have forgotten where they were.

    Parameters
    ----------
    sweep : callable
        Log f and its gradient at many points.
    cloud : Cloud
        Points with a density above zero.
    factor : ndarray, shape (d, d)
        L.
    step : float
        To start with; tuned after every move.
    generator : numpy.random.Generator
    most : int
        Moves at most.

    Returns
    -------
    cloud : Cloud
    mixing : Mixing
    """
    start, acceptance, correlation, sweeps = cloud.points, 0.0, 1.0, 0
    for _ in range(most):
        leaps = int(np.clip(np.ceil(_PATH / step), 1, _MOST_LEAPS))
        # As many leaps as the step allows, of equal length: longer trajectories turn back.
        cloud, acceptance = hamiltonian_move(sweep, cloud, factor, min(step, _PATH / leaps), leaps, generator)
        sweeps += leaps
        step = float(np.clip(step * np.exp(acceptance - _ACCEPT), 1e-4, _PATH))
        before, correlation = correlation, _correlation(start, cloud.points)
        if correlation < _FORGOTTEN or correlation > before - _GAIN:
            break
    return cloud, Mixing(step, acceptance, correlation, sweeps)
