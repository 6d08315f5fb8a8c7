"""Whether one model lies inside another: whether the larger one can say of every observation what the smaller one says.

A likelihood-ratio test against chi-square is for a smaller model that is the larger one with a parameter fixed. Then
some theta of the larger model, or a limit of it such as a dispersion that goes to infinity, gives every observation the
density that the smaller model gives it at its maximum:

    min over theta of  sum_i [l_i(theta) - m_i]^2  =  0,

with l_i and m_i the log likelihoods of observation i in the larger model at theta and in the smaller one at its
maximum. That the smaller one is less likely as a whole proves nothing: so may be a model of another kind.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from workbench.likelihood.problem import Problem, origin
from workbench.likelihood.summit import Summit
from workbench.numerics.objective import Vector

_NONE = 1e-4  # nats an observation; what is left of a limit where rounding begins, as of alpha = 1e6
_STARTS = 8
_LOOKS = 400  # of one search
_STEP = 1e-5  # of max(1, abs(u)), to both sides
_FLAT = 1e-10  # of the scaled information: a direction with less has no standard deviation
_IMPOSSIBLE = -1e3  # nats below the least: stands for minus infinity, from where no slope leads back
_MANY = 100_000  # observations: a slope of each takes too much memory


def _terms(problem: Problem) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Log likelihoods of all observations at many points, shapes ``(m, p)`` to ``(m, n)``.

    Arrays come in an order of their content, so that two models that name them differently agree.
    """
    density = problem.density
    observed = density.symbolic.observed
    order = sorted(observed, key=lambda name: np.asarray(observed[name], dtype=np.float64).tobytes())

    def found(points: NDArray[np.float64]) -> NDArray[np.float64]:
        terms = density.terms(problem.chart.z(points)).log_likelihood
        return np.concatenate([terms[name].reshape(len(points), -1) for name in order], axis=1)

    return found


def _comparable(problem: Problem) -> bool:
    """Whether the likelihood is a sum over observations and nothing else."""
    density = problem.density
    sides = density.potentials.values()
    return (
        not density.latents
        and "likelihood" not in sides
        and set(density.symbolic.observed) == set(density.likelihood_shapes)
    )


def same_observations(first: dict[str, NDArray], second: dict[str, NDArray]) -> bool:
    """Whether two models have observed the same arrays, whatever they call them."""

    def contents(arrays: dict[str, NDArray]) -> list[bytes]:
        return sorted(np.asarray(array, dtype=np.float64).tobytes() for array in arrays.values())

    return contents(first) == contents(second)


def least_departure(larger: tuple[Problem, Summit], smaller: tuple[Problem, Summit]) -> float | None:
    """How far the larger model stays from the smaller one at its maximum, at the observation where it is worst.

    Parameters
    ----------
    larger, smaller : tuple of (Problem, Summit)
        Of the same observations.

    Returns
    -------
    float or None
        Nats; 0 where every observation agrees to 1e-4 nats. None where the likelihoods are no sums over the same
        observations, as with latent variables.

    References
    ----------
    Vuong, Q. H. (1989). Likelihood ratio tests for model selection and non-nested hypotheses. doi:10.2307/1912557
    """
    (problem, summit), (inner, base) = larger, smaller
    if not _comparable(problem) or not _comparable(inner):
        return None
    goal, terms = _terms(inner)(base.x[None])[0], _terms(problem)
    if goal.size > _MANY or terms(summit.x[None]).shape[1] != goal.size or not np.all(np.isfinite(goal)):
        return None
    generator, start = np.random.default_rng(0), origin(problem)
    starts = [summit.x, start, *(start + generator.normal(size=start.size) for _ in range(_STARTS - 2))]
    axes, least = _axes(summit), np.inf
    for u in np.linalg.solve(axes, (np.array(starts) - summit.x).T).T:
        least = min(least, _departure(lambda points: terms(summit.x + points @ axes.T), goal, u))
        if least < _NONE:
            return 0.0
    return float(least)


def _axes(summit: Summit) -> NDArray[np.float64]:
    """Columns that are a standard deviation long and uncorrelated at the summit, as columns of raw data seldom are."""
    information = summit.information * np.outer(summit.scale, summit.scale)
    sizes, axes = np.linalg.eigh((information + information.T) / 2)
    lengths = np.where(sizes > _FLAT, np.abs(sizes), 1.0) ** -0.5
    return summit.scale[:, None] * axes * lengths


def _departure(terms: Callable[[NDArray[np.float64]], NDArray[np.float64]], goal: Vector, start: Vector) -> float:
    """The largest difference at the end of one search for the least sum of squares."""
    least = float(goal.min()) + _IMPOSSIBLE

    def differences(points: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(all="ignore"):
            return np.nan_to_num(np.maximum(terms(points), least), nan=least) - goal

    def slopes(u: Vector) -> NDArray[np.float64]:
        steps = np.diag(_STEP * np.maximum(1.0, np.abs(u)))
        ahead, behind = np.split(differences(np.concatenate([u + steps, u - steps])), 2)
        return ((ahead - behind) / (2.0 * np.diag(steps)[:, None])).T

    def value(u: Vector) -> Vector:
        return differences(u[None])[0]

    with np.errstate(all="ignore"):
        end = optimize.least_squares(
            value,
            start,
            jac=slopes,
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=_LOOKS,
        ).x
    return float(np.max(np.abs(value(end))))
