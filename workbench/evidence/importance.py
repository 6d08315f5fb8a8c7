"""Integrals by importance sampling: the likelihood averaged over the prior, and any density over a fitted proposal.

    p(y) = E_prior[p(y given theta)]  ~  mean_s p(y given theta_s),   theta_s from the prior

shares nothing with the posterior draws, so it sees modes that the chains missed. It is useful only while the data
teach little: the number of prior draws that count falls like exp(-KL), and below a hundred the average is refused.

    integral of f = E_q[f / q],   q a Student t around the peak of f

suits a density of few dimensions that has one peak, such as a single prior. The shape of q is refined with its own
weights (population Monte Carlo; Cappe and others 2008, doi:10.1007/s11222-008-9059-x), and the last draws, which the
estimate is made of, are fresh. Pareto k of the weights says whether their mean can be trusted.
"""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from workbench.errors import NumericalError, RefusalError
from workbench.evidence.proposal import StudentT
from workbench.numerics.gaussian import Gaussian, from_covariance
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import climb
from workbench.result import Result

_FREEDOM = 5.0  # degrees of freedom: tails that bound the weights of anything lighter
_ROUNDS, _FITTED, _FINAL = 3, 2000, 16_000  # draws a round, and of the estimate: an error near 0.01 nats
_ENOUGH = 100.0  # draws that count; with fewer, the tail of the weights decides and the error is not known


@dataclass(frozen=True, repr=False, eq=False)
class PriorAverage(Result):
    """The likelihood averaged over prior draws.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    effective : float
        Number of draws that count, (sum w)^2 / sum w^2 (Kong 1992).
    """

    log_evidence: float
    std_error: float
    effective: float
    title: ClassVar[str] = "log evidence by averaging over the prior"

    def table(self) -> pd.DataFrame:
        """The estimate, its error and the draws that count."""
        columns = {
            "log_evidence": [self.log_evidence],
            "std_error": [self.std_error],
            "draws that count": [self.effective],
        }
        return pd.DataFrame(columns, index=["prior average"])


def average_over_prior(log_likelihood: Vector) -> PriorAverage:
    """The log of the mean likelihood over draws from the prior.

    Parameters
    ----------
    log_likelihood : ndarray, shape (m,)
        At independent draws from the prior, nats; ``-inf`` is allowed.

    Returns
    -------
    PriorAverage

    Raises
    ------
    RefusalError
        If fewer than a hundred draws count.
    """
    m = len(log_likelihood)
    total = logsumexp(log_likelihood)
    effective = float(np.exp(2 * total - logsumexp(2 * log_likelihood))) if np.isfinite(total) else 0.0
    if not effective >= _ENOUGH:
        raise RefusalError(
            f"only {effective:.0f} of {m} prior draws count: the data teach too much for an average over the prior",
            "evidence",
            "use the bridge or the grid",
        )
    # Relative variance of a mean: (m / effective - 1) / m by the delta method.
    return PriorAverage((), float(total - np.log(m)), float(np.sqrt(1.0 / effective - 1.0 / m)), effective)


@dataclass(frozen=True)
class ImportanceIntegral:
    """An integral by importance sampling.

    Attributes
    ----------
    log_integral, std_error : float
        Nats.
    pareto_k : float
        Of the weights; above 0.7 neither number can be trusted.
    proposal : StudentT
    """

    log_integral: float
    std_error: float
    pareto_k: float
    proposal: StudentT


def _around(objective: Objective, start: Vector) -> StudentT:
    """A Student t at the peak above a point, or a wide one at the point where there is no proper peak."""
    with contextlib.suppress(NumericalError):
        end = climb(objective, start)
        if end.curvature.is_peak:
            return StudentT(from_covariance(end.z, end.curvature.covariance), _FREEDOM)
    return StudentT(Gaussian(start, np.eye(start.size)), _FREEDOM)


def tail_index(log_weights: Vector) -> float:
    """Pareto k of importance weights: above 0.7 their mean cannot be trusted, nor its error.

    Parameters
    ----------
    log_weights : ndarray, shape (m,)
        ``-inf`` is allowed.

    Returns
    -------
    float
        ``-inf`` where all weights are equal, as of a proposal that is the density itself.
    """
    from arviz_stats.base import array_stats

    finite = log_weights[np.isfinite(log_weights)]
    if not np.ptp(finite) > 1e-9:
        return -np.inf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Number of tail draws cannot be", UserWarning)  # k itself says so
        return float(array_stats.psislw(-finite)[1])


def integrate_by_importance(objective: Objective, start: Vector, seed: int) -> ImportanceIntegral:
    """The log of the integral of f over R^d, for an f with one peak in few dimensions.

    Parameters
    ----------
    objective : Objective
        Log f.
    start : ndarray, shape (d,)
        Where log f is finite.
    seed : int

    Returns
    -------
    ImportanceIntegral

    Raises
    ------
    NumericalError
        If f vanishes at every draw.
    """
    generator, proposal, sweep = np.random.default_rng(seed), _around(objective, start), sweep_of(objective)
    for last in (*[False] * _ROUNDS, True):
        points = proposal.draw(_FINAL if last else _FITTED, generator)
        log_weights = sweep(points)[0] - proposal.log_density(points)
        total = logsumexp(log_weights)
        if not np.isfinite(total):
            raise NumericalError("the density vanishes at every draw", "importance sampling", "set an `initval`")
        weights = np.exp(log_weights - total)
        if not last and 1.0 / np.sum(weights**2) > 10 * (start.size + 1):
            mean = weights @ points
            covariance = (weights[:, None] * (points - mean)).T @ (points - mean) * (1 - 2 / _FREEDOM)
            proposal = StudentT(from_covariance(mean, covariance), _FREEDOM)
    m = len(points)
    error = float(np.sqrt(max(float(np.sum(weights**2)) - 1.0 / m, 0.0)))
    return ImportanceIntegral(float(total - np.log(m)), error, tail_index(log_weights), proposal)
