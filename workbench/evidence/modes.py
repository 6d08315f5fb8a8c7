"""The evidence as a sum over modes: importance sampling from a mixture of Student t around every mode that was found.

    integral of f = E_q[f / q],     q = sum_k w_k t(z; m_k, S_k),

with one or more t at each mode. Each mode's own integral is in it with its own weight, whether or not a chain visited
it, and what lies between them is counted once. Weights, centres and shapes are refined with the weights of their own
draws (mixture population Monte Carlo; Cappe and others 2008, doi:10.1007/s11222-008-9059-x); the last draws, which the
estimate is made of, are fresh. No posterior draw enters. What no climb found is not in it unless a t reaches it:
Pareto k of the weights sees what is in reach.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logsumexp

from workbench.check import Check, Status
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.importance import tail_index
from workbench.evidence.proposal import Mixture, StudentT
from workbench.numerics.curvature import Curvature, curvature_at
from workbench.numerics.gaussian import Gaussian, from_covariance
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.turn import folded_for
from workbench.result import Result

Matrix = NDArray[np.float64]

ERROR_LIMIT = 0.2  # nats, as for the bridge
TAIL_LIMIT = 0.7  # Pareto k, as for the bridge
ENOUGH = 100.0  # draws that count, as for the average over the prior
_FREEDOM = 5.0  # degrees of freedom: tails that bound the weights of anything lighter
_SCALES = (1.0, 3.0, 10.0)  # of the t at each mode: the log of a scale near 0 has a tail that long on one side
_LEAST = 0.02  # of the weight of a t: none is given up
_ROUNDS = 6
_GOOD, _LIGHT = 0.5, 0.5  # share of the draws that count, and Pareto k, at which the mixture is good enough
_ROUND, _PER_DIMENSION = 400, 40  # draws a round: covariances are learnt from them
_FINAL, _MOST = 1000, 8000  # draws of the estimate: at first, and at most
_NEAR = 1.0  # standard deviations between places that are one mode


@dataclass(frozen=True)
class Peak:
    """A mode of a density with its curvature.

    Attributes
    ----------
    place : ndarray, shape (d,)
    height : float
        Log f, nats.
    curvature : Curvature
        Positive definite.
    """

    place: Vector
    height: float
    curvature: Curvature

    @property
    def log_mass(self) -> float:
        """Log integral by the normal approximation, nats."""
        return self.height + 0.5 * self.place.size * np.log(2 * np.pi) - 0.5 * self.curvature.log_determinant


@dataclass(frozen=True)
class Weighted:
    """An integral as weighted points.

    Attributes
    ----------
    log_integral, error : float
        Nats.
    pareto_k : float
        Of the weights.
    effective : float
        Number of draws that count, (sum w)^2 / sum w^2.
    points : ndarray, shape (m, d)
    weights : ndarray, shape (m,)
        Of sum 1.
    """

    log_integral: float
    error: float
    pareto_k: float
    effective: float
    points: Matrix
    weights: Vector

    def mean(self, array: Vector) -> tuple[float, float]:
        """The mean of a quantity of shape ``(m,)`` under f, and its standard error."""
        used = self.weights > 0
        centre = float(self.weights[used] @ array[used])
        return centre, float(np.sqrt(np.sum((self.weights[used] * (array[used] - centre)) ** 2)))


@dataclass(frozen=True, repr=False, eq=False)
class OverModes(Result):
    """The log evidence from every mode that was found.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    expected_log_likelihood, expected_error : float
        E_post[log likelihood], nats.
    kl_divergence, kl_error : float
        KL(posterior || prior) = E_post[log likelihood] - log p(y), nats.
    pareto_k, effective : float
        Of the importance weights; how many of the draws count.
    modes : int
        How many were found.
    dimension : int
        Of the space in which the draws are taken: all of z, or the parameters where latent variables are integrated.
    unvisited, tails : float
        Shares of the posterior mass at places to which no posterior draw came near, as for `Tempering`.
    """

    log_evidence: float
    std_error: float
    expected_log_likelihood: float
    expected_error: float
    kl_divergence: float
    kl_error: float
    pareto_k: float
    effective: float
    modes: int
    dimension: int
    unvisited: float
    tails: float
    free_of_draws: ClassVar[bool] = True
    title: ClassVar[str] = "log evidence over every mode that was found"

    def over(self, log_integral: float, error: float) -> OverModes:
        """The same, divided by another integral, such as that of the prior: its log is subtracted, nats."""
        return replace(
            self, log_evidence=self.log_evidence - log_integral, kl_divergence=self.kl_divergence + log_integral,
            std_error=float(np.hypot(self.std_error, error)), kl_error=float(np.hypot(self.kl_error, error)),
        )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """The evidence, the fit and the divergence, each with its error."""
        rows = {
            "log evidence": (self.log_evidence, self.std_error),
            "E_post[log likelihood]": (self.expected_log_likelihood, self.expected_error),
            "KL(posterior || prior)": (self.kl_divergence, self.kl_error),
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["nats", "std_error"])


def peaks_at(objective: Objective, places: Matrix) -> list[Peak]:
    """The different proper peaks among places of shape ``(k, d)``, the highest first.

    Parameters
    ----------
    objective : Objective
    places : ndarray, shape (k, d)
        Modes that an optimiser found; the same one may be there twice.

    Returns
    -------
    list of Peak
    """
    found = []
    for place in folded_for(objective, places):
        with contextlib.suppress(NumericalError):
            found.append(Peak(place, objective.value(place), curvature_at(objective, place)))
    return different(found)


def different(peaks: Sequence[Peak]) -> list[Peak]:
    """Those that are proper peaks, each once, the highest first."""
    kept: list[Peak] = []
    for peak in sorted((p for p in peaks if p.curvature.is_peak), key=lambda p: -p.height):
        moves = [peak.place - other.place for other in kept]
        apart = [move @ other.curvature.information @ move for move, other in zip(moves, kept, strict=True)]
        if all(distance > _NEAR**2 for distance in apart):
            kept.append(peak)
    return kept


def _around(peaks: Sequence[Peak]) -> Mixture:
    """Narrow and wide t at each peak, weighted by the root of its mass: approximate masses are not trusted."""
    parts = []
    for peak in peaks:
        core = from_covariance(peak.place, peak.curvature.covariance)
        parts += [StudentT(Gaussian(core.mean, core.factor * scale), _FREEDOM) for scale in _SCALES]
    half = 0.5 * np.repeat([peak.log_mass for peak in peaks], len(_SCALES))
    return Mixture(_floored(np.exp(half - logsumexp(half))), tuple(parts))


def _floored(shares: Vector) -> Vector:
    """Log weights from shares, none below its least."""
    kept = np.maximum(shares, _LEAST / len(shares))
    return np.log(kept / kept.sum())


def _refined(mixture: Mixture, points: Matrix, weights: Vector) -> Mixture:
    """One step of mixture population Monte Carlo for t of fixed degrees of freedom."""
    joint = mixture.joint(points)
    own = np.exp(joint - logsumexp(joint, axis=0)) * weights
    parts: list[StudentT] = []
    d = points.shape[1]
    for part, mine in zip(mixture.parts, own, strict=True):
        assert isinstance(part, StudentT)
        share = mine.sum()
        if share > 0 and share**2 > 3 * (d + 2) * np.sum(mine**2):
            with contextlib.suppress(NumericalError):
                pull = mine * (_FREEDOM + d) / (_FREEDOM + part.core.distance(points))
                mean = pull @ points / pull.sum()
                away = points - mean
                part = StudentT(from_covariance(mean, (away * pull[:, None]).T @ away / share), _FREEDOM)
        parts.append(part)
    return Mixture(_floored(own.sum(axis=1)), tuple(parts))


def integrate_peaks(
    values: Callable[[Matrix], Vector], peaks: Sequence[Peak], seed: int, target_error: float = 0.02
) -> Weighted:
    """The log of the integral of f over R^d, for an f whose modes are known.

    Parameters
    ----------
    values : callable
        Log f at points of shape ``(m, d)``, nats; ``-inf`` where f vanishes, NaN where it cannot be computed.
    peaks : sequence of Peak
        At least one.
    seed : int
    target_error : float
        Nats; draws are added until the estimate states no more.

    Returns
    -------
    Weighted
        What could not be computed is in the error, as if it weighed as much as the rest.

    Raises
    ------
    NumericalError
        If f vanishes at every draw.
    """
    generator, mixture = np.random.default_rng(seed), _around(peaks)
    count = max(_ROUND, _PER_DIMENSION * peaks[0].place.size)

    def weighed(m: int) -> tuple[Matrix, Vector]:
        points = mixture.draw(m, generator)
        return points, values(points) - mixture.log_density(points)

    for _ in range(_ROUNDS):
        points, logs = weighed(count)
        weights = _normalised(logs)
        known = np.where(np.isnan(logs), -np.inf, logs)
        if 1.0 / np.sum(weights**2) > _GOOD * count and tail_index(known) < _LIGHT:
            break
        mixture = _refined(mixture, points, weights)
    points, logs = weighed(_FINAL)
    while _error(logs) > target_error and 2 * len(logs) <= _MOST:
        more, extra = weighed(len(logs))
        points, logs = np.concatenate([points, more]), np.concatenate([logs, extra])
    weights = _normalised(logs)
    known = np.where(np.isnan(logs), -np.inf, logs)
    lost = -np.log1p(-float(np.isnan(logs).mean()))
    return Weighted(
        log_integral=float(logsumexp(known) - np.log(len(logs))),
        error=float(np.hypot(_error(logs), lost)),
        pareto_k=tail_index(known),
        effective=float(1.0 / np.sum(weights**2)),
        points=points,
        weights=weights,
    )


def _normalised(logs: Vector) -> Vector:
    """Weights of sum 1 from their logs, NaN counting as none."""
    known = np.where(np.isnan(logs), -np.inf, logs)
    total = logsumexp(known)
    if not np.isfinite(total):
        raise NumericalError("the density vanishes at every draw", "importance sampling", "set an `initval`")
    return np.exp(known - total)


def _error(logs: Vector) -> float:
    """Standard error of the log of the mean weight, by the delta method, nats."""
    return float(np.sqrt(max(float(np.sum(_normalised(logs) ** 2)) - 1.0 / len(logs), 0.0)))


def importance_checks(found: Weighted, error: float) -> tuple[Check, ...]:
    """Whether an integral by importance sampling can be used: its error, and the tail of its weights.

    Parameters
    ----------
    found : Weighted
    error : float
        That is stated, nats.

    Returns
    -------
    tuple of Check
    """
    enough = error <= ERROR_LIMIT and found.effective >= ENOUGH
    status: Status = "ok" if enough else "failed"
    message = f"standard error {error:.2g} nats, limit {ERROR_LIMIT}; {found.effective:.0f} draws count, of at least "
    remedy = "the posterior is far from a mixture of Student t: use another route"
    checks = [Check("importance-error", status, f"{message}{ENOUGH:.0f}", "" if enough else remedy)]
    trusted = found.pareto_k <= TAIL_LIMIT
    checks.append(
        Check("importance-tails", "ok" if trusted else "failed",
              f"Pareto k of the importance weights {found.pareto_k:.2f}, limit {TAIL_LIMIT}",
              "" if trusted else remedy)
    )  # fmt: skip
    return tuple(checks)


def over_modes(
    objective: Objective,
    log_likelihood: Callable[[Matrix], Vector],
    places: Matrix,
    seed: int,
) -> OverModes:
    """The evidence from all modes of the target on z.

    Parameters
    ----------
    objective : Objective
        Log f, every constant kept.
    log_likelihood : callable
        Log likelihood at points of shape ``(m, d)``, nats.
    places : ndarray, shape (k, d)
        Modes that an optimiser found; the same one may be there twice.
    seed : int

    Returns
    -------
    OverModes

    Raises
    ------
    RefusalError
        If none of the places is a proper peak.
    NumericalError
        If f vanishes at every draw.
    """
    peaks = peaks_at(objective, places)
    if not peaks:
        raise RefusalError("no proper peak was found on z", "evidence estimate", "use the bridge")
    sweep = sweep_of(objective)
    found = integrate_peaks(lambda points: sweep(points)[0], peaks, seed)
    fit, error = found.mean(np.where(found.weights > 0, log_likelihood(found.points), 0.0))
    return OverModes(
        checks=importance_checks(found, found.error),
        log_evidence=found.log_integral, std_error=found.error,
        expected_log_likelihood=fit, expected_error=error,
        kl_divergence=fit - found.log_integral, kl_error=float(np.hypot(error, found.error)),
        pareto_k=found.pareto_k, effective=found.effective, modes=len(peaks), dimension=objective.dimension,
        unvisited=float("nan"), tails=float("nan"),
    )  # fmt: skip
