"""The evidence by bridge sampling, from posterior draws that exist already.

With draws z of the posterior f / p(y), draws x of a normalised proposal q, and l = f / q, the optimal bridge of Meng
and Wong (1996) solves

    p(y) = mean_x [l(x) / (s1 l(x) + s2 p(y))] / mean_z [1 / (s1 l(z) + s2 p(y))],   s1 = N1 / (N1 + N2), s2 = 1 - s1.

The proposal is a normal distribution fitted to draws on z. It must not be fitted to the draws at which it is judged:
chains are split into two groups, the proposal is fitted to one and the bridge taken over the other, then the other
way round, and the two are averaged (cross-fitting). Splitting single draws would leak through their autocorrelation.

The stated error is the largest of three: the delta method with effective sample sizes; the spread between single
chains; the difference of the two halves. References: Meng and Wong 1996 (Statistica Sinica 6); Gronau and others 2017,
doi:10.1016/j.jmp.2017.09.005; Micaletto and Vehtari 2025, arXiv:2508.14487.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import logsumexp

from workbench.check import Check, Status
from workbench.errors import RefusalError
from workbench.numerics.gaussian import Gaussian, fitted
from workbench.numerics.objective import Objective, Vector, values
from workbench.result import Result

ERROR_LIMIT = 0.2  # nats; measured: every failing case stated an error above this
BRACKET_LIMIT = 10.0  # nats


@dataclass(frozen=True, repr=False, eq=False)
class Bridge(Result):
    """A bridge estimate of the log evidence with its error budget.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    delta_error, chain_error, split_error : float
        The three parts of the budget, nats; the stated error is the largest.
    lower, upper : float
        E_q[log f - log q] <= log p(y) <= E_post[log f - log q]: the bracket, nats.
    n_proposal : int
        Proposal draws.
    """

    log_evidence: float
    std_error: float
    delta_error: float
    chain_error: float
    split_error: float
    lower: float
    upper: float
    n_proposal: int
    title: ClassVar[str] = "log evidence by bridge sampling"

    def table(self) -> pd.DataFrame:
        """The estimate, its error and where that comes from."""
        rows = {
            "log evidence": self.log_evidence,
            "std_error": self.std_error,
            "  delta method": self.delta_error,
            "  between chains": self.chain_error,
            "  between halves": self.split_error,
            "bracket, lower": self.lower,
            "bracket, upper": self.upper,
        }
        return pd.DataFrame({"nats": rows})


def solve_bridge(posterior: Vector, proposal: Vector, effective: float) -> float:
    """The root of the optimal bridge equation.

    Parameters
    ----------
    posterior : ndarray, shape (n1,)
        log f - log q at posterior draws.
    proposal : ndarray, shape (n2,)
        log f - log q at proposal draws.
    effective : float
        Effective number of posterior draws; sets the weights s1, s2.

    Returns
    -------
    float
        Log p(y), nats. Found by bracketing: the equation is monotone in log p(y), so it always converges.
    """
    log_s1 = np.log(effective / (effective + len(proposal)))
    log_s2 = np.log(len(proposal) / (effective + len(proposal)))

    def gap(log_evidence: float) -> float:
        above = proposal - np.logaddexp(log_s1 + proposal, log_s2 + log_evidence)
        below = -np.logaddexp(log_s1 + posterior, log_s2 + log_evidence)
        mean_above = logsumexp(above) - np.log(len(above))
        mean_below = logsumexp(below) - np.log(len(below))
        return float(mean_above - mean_below - log_evidence)

    finite = proposal[np.isfinite(proposal)]
    low = min(posterior.min(), finite.min()) - 10.0
    high = max(posterior.max(), finite.max()) + 10.0
    return float(optimize.brentq(gap, low, high, xtol=1e-12, rtol=1e-14))


@dataclass(frozen=True)
class _Half:
    """One half of the cross-fit: log ratios at the posterior draws of the other chains, and at proposal draws."""

    posterior: NDArray[np.float64]  # (chains, draws)
    proposal: Vector
    log_evidence: float
    delta_error: float
    by_chain: Vector


def _bounded_ess(array: NDArray[np.float64]) -> float:
    """Effective sample size over chains and draws, between 1 per chain and the number of draws."""
    from arviz_stats.base import array_stats

    found = float(array_stats.ess(array, method="mean", chain_axis=0, draw_axis=1))
    return float(np.clip(found if np.isfinite(found) else 1.0, len(array), array.size))


def _half(
    objective: Objective, proposal: Gaussian, z: NDArray[np.float64], log_f: NDArray[np.float64], draws: NDArray
) -> _Half:
    """The bridge over chains z with a proposal that was fitted to others."""
    at_posterior = log_f - proposal.log_density(z.reshape(-1, z.shape[-1])).reshape(log_f.shape)
    at_proposal = values(objective, draws) - proposal.log_density(draws)
    effective = _bounded_ess(at_posterior)
    root = solve_bridge(at_posterior.ravel(), at_proposal, effective)
    s1 = effective / (effective + len(draws))
    # Relative variances of numerator and denominator at the root, the latter with the ESS of its own terms.
    above = np.exp(at_proposal - np.logaddexp(np.log(s1) + at_proposal, np.log1p(-s1) + root))
    below = np.exp(root - np.logaddexp(np.log(s1) + at_posterior, np.log1p(-s1) + root))
    variance = above.var() / above.mean() ** 2 / len(above)
    variance += below.var() / below.mean() ** 2 / _bounded_ess(below)
    by_chain = np.array([solve_bridge(chain, at_proposal, effective / len(log_f)) for chain in at_posterior])
    return _Half(at_posterior, at_proposal, root, float(np.sqrt(variance)), by_chain)


def bridge_sampling(
    objective: Objective,
    z: NDArray[np.float64],
    log_f: NDArray[np.float64],
    seed: int,
    n_proposal: int | None = None,
) -> Bridge:
    """The log of the integral of f from draws of f, by a cross-fitted optimal bridge.

    Parameters
    ----------
    objective : Objective
        Log f, every constant kept.
    z : ndarray, shape (chains, draws, d)
        Draws from f / integral.
    log_f : ndarray, shape (chains, draws)
        Log f at the draws, nats.
    seed : int
        Of the proposal draws.
    n_proposal : int, optional
        Proposal draws a half; by default as many as there are draws in a half, at least 2000.

    Returns
    -------
    Bridge

    Raises
    ------
    RefusalError
        If there is only one chain, draws are not finite, or there are too few to fit a proposal.
    NumericalError
        If the covariance of the draws is singular or log f is NaN at a proposal draw.
    """
    chains, draws, d = z.shape
    if chains < 2:
        raise RefusalError("one chain cannot be split by chain", "evidence bridge", "draw at least 2 chains, better 4")
    if not np.all(np.isfinite(z)) or not np.all(np.isfinite(log_f)):
        raise RefusalError("some draws are not finite", "evidence bridge", "see study.diagnosis()")
    if chains // 2 * draws < 10 * d:
        raise RefusalError(f"{chains * draws} draws for {d} dimensions", "evidence bridge", "draw more")
    generator = np.random.default_rng(seed)
    groups = (np.arange(chains // 2), np.arange(chains // 2, chains))
    halves = []
    for fit, use in (groups, groups[::-1]):
        proposal = fitted(z[fit].reshape(-1, d))
        count = n_proposal or max(2000, len(use) * draws)
        halves.append(_half(objective, proposal, z[use], log_f[use], proposal.draw(count, generator)))
    estimates = np.array([half.log_evidence for half in halves])
    estimate = float(np.mean(estimates))
    # The halves share their draws (each fits the other's proposal), so their errors do not average out freely:
    # the delta errors are combined as if they were fully correlated in half of their variance.
    deltas = np.array([half.delta_error for half in halves])
    delta = float(np.sqrt(np.mean(deltas**2) * 0.75))
    by_chain = np.concatenate([half.by_chain - half.log_evidence for half in halves])
    between = float(by_chain.std(ddof=1) / np.sqrt(chains)) if chains > 2 else 0.0
    split = float(abs(estimates[0] - estimates[1]) / 2)
    error = max(delta, between, split)
    lower = float(np.mean([np.mean(half.proposal) for half in halves]))
    upper = float(np.mean([np.mean(half.posterior) for half in halves]))
    checks = _checks(error, lower, upper, by_chain, np.repeat(deltas, [len(half.by_chain) for half in halves]))
    return Bridge(checks, estimate, error, delta, between, split, lower, upper, sum(len(h.proposal) for h in halves))


def _checks(error: float, lower: float, upper: float, by_chain: Vector, deltas: Vector) -> tuple[Check, ...]:
    """Whether the estimate can be used: its error, the overlap of proposal and posterior, the chains."""
    checks = []
    if error > ERROR_LIMIT:
        checks.append(Check("bridge-error", "failed", f"standard error {error:.2g} nats exceeds {ERROR_LIMIT}",
                            "draw more; proposal and posterior overlap too little"))  # fmt: skip
    else:
        checks.append(Check("bridge-error", "ok", f"standard error {error:.2g} nats"))
    width = upper - lower
    if not width < BRACKET_LIMIT:
        status: Status = "caution" if error < 0.05 else "failed"
        checks.append(Check("bridge-overlap", status, f"the bracket is {width:.3g} nats wide",
                            "the posterior is far from normal on z: compare with another route"))  # fmt: skip
    else:
        checks.append(Check("bridge-overlap", "ok", f"the bracket is {width:.2g} nats wide"))
    worst = float(np.max(np.abs(by_chain) / np.maximum(deltas * np.sqrt(len(by_chain)), 1e-12)))
    if worst > 4.0 and float(np.max(np.abs(by_chain))) > 0.02:
        message = f"one chain is {worst:.1f} standard errors away from the others"
        remedy = "the chains have seen different parts of the posterior: see study.diagnosis()"
        checks.append(Check("bridge-chains", "failed", message, remedy))
    else:
        checks.append(Check("bridge-chains", "ok", f"chains agree within {worst:.1f} standard errors"))
    return tuple(checks)
