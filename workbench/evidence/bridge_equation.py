"""The optimal bridge equation over several fits of a proposal, its root, and the error of that root, part by part.

One fit contributes log ratios l = log f - log q at posterior draws that it has not seen and at draws of its own. With
N1 posterior draws (counted by their effective number n, each with weight w = n / N1) and N2 proposal draws, c solves

    U(c) = sum_fits [ sum_x expit(l(x) + log(n / N2) - c)  -  sum_z w expit(c - l(z) - log(n / N2)) ] = 0,

which for a single fit is the bridge of Meng and Wong (1996) with c = log p(y), and for several is an intercept of
reverse logistic regression (Geyer 1994). U falls in c, so that the error of c is the error of U over its slope.

References: Meng and Wong 1996, Statistica Sinica 6; Micaletto and Vehtari 2025, arXiv:2508.14487 (delta method with
effective sample sizes, Pareto k of both sides); Efron and Stein 1981, doi:10.1214/aos/1176345462 (jackknife).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import optimize
from scipy.special import expit, log_expit

from workbench.errors import NumericalError
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import log_sum

_NEGLIGIBLE = -700.0  # nats below the largest: exp underflows
_TAIL = 10.0  # times the mean
_ROUNDING = 1e-9  # nats: what triangular solves of well-scaled problems leave in log q


@dataclass(frozen=True)
class Ratios:
    """What one fit of a proposal contributes.

    Attributes
    ----------
    used : ndarray of int, shape (u,)
        Chains that the proposal was not fitted to.
    posterior : ndarray, shape (u, draws)
        Log f - log q at their draws, nats.
    proposal : ndarray, shape (m,)
        Log f - log q at draws of the proposal, nats; ``-inf`` where f vanishes.
    effective : float
        Effective number of the posterior draws.
    """

    used: NDArray[np.intp]
    posterior: NDArray[np.float64]
    proposal: Vector
    effective: float

    @property
    def log_odds(self) -> float:
        """Log of effective posterior draws over proposal draws."""
        return float(np.log(self.effective / len(self.proposal)))

    @property
    def weight(self) -> float:
        """Effective draws per draw."""
        return self.effective / self.posterior.size

    def scores(self, root: float) -> tuple[Vector, NDArray[np.float64]]:
        """The two sides of the equation at a root: shapes ``(m,)`` and ``(u, draws)``, in [0, 1]."""
        shift = self.log_odds - root
        return expit(self.proposal + shift), self.weight * expit(-self.posterior - shift)

    def of_chains(self, keep: NDArray[np.intp]) -> Ratios | None:
        """The same fit judged at some chains only; None if it was fitted to all of them."""
        chosen = np.isin(self.used, keep)
        if not chosen.any():
            return None
        return replace(self, used=self.used[chosen], posterior=self.posterior[chosen],
                       effective=self.effective * float(chosen.mean()))  # fmt: skip


def effective_size(array: NDArray[np.float64]) -> float:
    """Effective number of draws in an array of shape ``(chains, draws)``, between one a chain and all of them."""
    from arviz_stats.base import array_stats

    if array.std() < _ROUNDING:  # the proposal is the posterior itself: what is left is rounding
        return float(array.size)
    if array.shape[1] < 4:
        return float(len(array))
    found = float(array_stats.ess(array, method="mean", chain_axis=0, draw_axis=1))
    return float(np.clip(found if np.isfinite(found) else 1.0, len(array), array.size))


def solve_bridge(ratios: Sequence[Ratios]) -> float:
    """The root of the bridge equation.

    Parameters
    ----------
    ratios : sequence of Ratios

    Returns
    -------
    float
        Log p(y), nats, by bracketing in log space.

    Raises
    ------
    NumericalError
        If f vanishes at every proposal draw.
    """
    above = np.concatenate([r.proposal + r.log_odds for r in ratios])
    below = np.concatenate([r.posterior.ravel() + r.log_odds for r in ratios])
    log_weights = np.concatenate([np.full(r.posterior.size, np.log(r.weight)) for r in ratios])
    above_finite = above[np.isfinite(above)]
    if not above_finite.size:
        raise NumericalError("the target vanishes at every proposal draw", "bridge", "see study.diagnosis()")

    def gap(root: float) -> float:
        return log_sum(log_expit(above_finite - root)) - log_sum(log_weights + log_expit(root - below))

    # expit is within a factor 2 of min(1, exp), so outside this interval one side is certainly the larger.
    room = 10.0 + np.log(above.size * below.size)
    low = min(above_finite.min(), below.min()) - room
    high = max(above_finite.max(), below.max()) + room
    return float(optimize.brentq(gap, low, high, xtol=1e-12, rtol=1e-14))


@dataclass(frozen=True)
class Budget:
    """A root of the bridge equation with its errors.

    Attributes
    ----------
    root : float
        Log p(y), nats.
    delta, jackknife, split, tail : float
        Errors, nats; see `error_budget`.
    proposal_share : float
        Share of the delta method's variance that more proposal draws would reduce.
    effective : float
        Effective number of the bridge's terms at the posterior draws.
    pareto_k : (float, float)
        Of the terms at posterior and at proposal draws.
    by_chain : ndarray, shape (chains,)
        How far each chain alone would move the root, nats.
    by_chain_sigma : ndarray, shape (chains,)
        The same in standard errors within chains.
    influence : ndarray, shape (chains, draws)
        How far each posterior draw alone would move the root, in units of one draw, nats: to first order the root is
        off by its mean, and by what the proposal draws add.
    """

    root: float
    delta: float
    jackknife: float
    split: float
    tail: float
    proposal_share: float
    effective: float
    pareto_k: tuple[float, float]
    by_chain: Vector
    by_chain_sigma: Vector
    influence: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The stated error: the largest of the three, with the tail term and no less than rounding leaves, nats."""
        rounding = _ROUNDING + 1e-12 * abs(self.root)  # log f is a sum of terms of the size of the root
        return float(max(np.hypot(max(self.delta, self.jackknife, self.split), self.tail), rounding))


def _smoothed(terms: NDArray[np.float64]) -> tuple[float, float]:
    """Pareto k of positive terms of any shape, and what smoothing their tail does to the log of their mean.

    The terms are bounded: where none exceeds ten times the mean there is no tail, whatever its index, and k is 0.
    """
    from arviz_stats.base import array_stats

    if terms.max() <= _TAIL * terms.mean():
        return 0.0, 0.0
    with np.errstate(divide="ignore"):
        logs = np.log(terms.ravel())
    logs = np.maximum(logs - logs.max(), _NEGLIGIBLE)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Number of tail draws cannot be", UserWarning)  # k itself says so
            smooth, k = array_stats.psislw(-logs)
    except ValueError:  # the tail is flat: the terms have reached their bound
        return 0.0, 0.0
    if not np.isfinite(k):
        return 0.0, 0.0
    least = int(np.argmin(logs))  # not in the tail, so that only the normalisation has changed it
    return float(k), float(logs[least] - smooth[least] - log_sum(logs))


def _at_draws(ratios: Sequence[Ratios], root: float, chains: int) -> NDArray[np.float64]:
    """Terms at the posterior draws by fit, shape ``(fits, chains, draws)``; NaN where a fit has seen the chain."""
    terms = np.full((len(ratios), chains, ratios[0].posterior.shape[1]), np.nan)
    for row, fit in zip(terms, ratios, strict=True):
        row[fit.used] = fit.scores(root)[1]
    return terms


def _centred(terms: NDArray[np.float64], levels: Vector) -> NDArray[np.float64]:
    """Sum over fits of the terms less each fit's own level, shape ``(chains, draws)``.

    Fits differ in how high their terms lie, which says nothing about chains; but every chain is judged by other fits.
    Levels and chain effects are therefore separated by least squares, mean term = level of the fit + effect of the
    chain. Where the design leaves that open (two chains), `levels`, from the proposal draws, decide.
    """
    fits, chains, _ = terms.shape
    seen = np.isfinite(terms[:, :, 0])
    rows = [np.concatenate([np.eye(fits)[f], np.eye(chains)[c]]) for f, c in np.argwhere(seen)]
    means = [float(terms[f, c].mean()) for f, c in np.argwhere(seen)]
    slight = 1e-3
    rows += [slight * np.concatenate([np.eye(fits)[f], np.zeros(chains)]) for f in range(fits)]
    level = np.linalg.lstsq(np.array(rows), np.array([*means, *(slight * levels)]), rcond=None)[0][:fits]
    total = np.nansum(terms - level[:, None, None], axis=0)
    return total - total.mean()


def _noise_of_fit(terms: NDArray[np.float64]) -> float:
    """Variance, per draw, that the noise of the fits adds to the sum of the terms over fits; NaN if it cannot be seen.

    With a proposal that is fitted to moments the estimate is symmetric between fitting and judging: what a chain's
    noise does through the proposal that was fitted to it equals, to second order, what it does when a proposal fitted
    to others is judged at it. The delta method sees the latter only. Its size shows in how terms at one draw differ
    between fits. With four blocks a draw is judged by the three pairs of the others, with terms phi + (psi_a +
    psi_b) / 2: the variance of psi in their sum, 3 |psi|^2, is 12 times the sample variance between the pairs,
    |psi|^2 / 4; with three blocks a draw is judged by two single blocks, and it is 2 times.
    """
    judges = int(np.sum(np.isfinite(terms[:, 0, 0])))
    if judges not in (2, 3):
        return float("nan")
    seen = terms - np.nanmean(np.where(np.isnan(terms), 0.0, terms), axis=2, keepdims=True)
    return {2: 2.0, 3: 12.0}[judges] * float(np.mean(np.nanvar(seen, axis=0, ddof=1)))


def _jackknife(ratios: Sequence[Ratios], blocks: Sequence[NDArray[np.intp]], proposal_variance: float) -> float:
    """Leave-one-block-out error: the block is in no fit and at no posterior draw; 0 for two blocks."""
    if len(blocks) < 3:
        return 0.0
    everything, roots, fits = np.concatenate(list(blocks)), [], 0
    for block in blocks:
        rest = np.setdiff1d(everything, block)
        unfitted = [r for r in ratios if np.isin(block, r.used).all()]
        kept = [part for r in unfitted if (part := r.of_chains(rest)) is not None]
        roots.append(solve_bridge(kept))
        fits = len(kept)
    count = len(blocks)
    variance = (count - 1) / count * float(np.sum((np.array(roots) - np.mean(roots)) ** 2))
    # Dropping fits drops their proposal draws too, which adds (count - 1)(P / P_kept - 1) times the proposal's part.
    excess = (count - 1) * (len(ratios) / fits - 1) - 1
    return float(np.sqrt(max(variance - excess * proposal_variance, 0.0)))


def error_budget(ratios: Sequence[Ratios], blocks: Sequence[NDArray[np.intp]], symmetry: float = 1.0) -> Budget:
    """The root of the bridge equation and every part of its error.

    Parameters
    ----------
    ratios : sequence of Ratios
        One for each fit; every chain is judged by as many fits as any other.
    blocks : sequence of ndarray of int
        The chains of each block; a fit takes whole blocks.
    symmetry : float
        How far the noise of a fit counts twice, in [0, 1]: wholly where proposals are fitted to moments of the draws.

    Returns
    -------
    Budget
        `delta`: delta method, with the multi-chain effective size of the terms. `jackknife`: one block after the
        other left out of fits and draws; 0 for two blocks, where it does not exist. `split`: spread of the roots of
        single fits over the square root of their number. `tail`: where Pareto k > 0.5, what smoothing the tail
        would change.

    Raises
    ------
    NumericalError
        If f vanishes at every proposal draw, or the two kinds of draws do not overlap at all.
    """
    chains = sum(len(block) for block in blocks)
    root = solve_bridge(ratios)
    at_proposal = [fit.scores(root)[0] for fit in ratios]
    terms = _at_draws(ratios, root, chains)
    levels = np.array([x.sum() / fit.posterior.size for x, fit in zip(at_proposal, ratios, strict=True)])
    total = _centred(terms, levels)
    slope = sum(float(np.sum(x * (1 - x))) for x in at_proposal)
    slope += sum(float(np.nansum(t * (1 - t / fit.weight))) for t, fit in zip(terms, ratios, strict=True))
    if not slope**2 > 0:  # it may be so small that its square underflows
        raise NumericalError("proposal and posterior draws have no place in common", "bridge", "draw more")
    proposal_variance = sum(len(x) * float(x.var()) for x in at_proposal) / slope**2
    effective, noise = effective_size(total), _noise_of_fit(terms)
    # Where the noise of the fits cannot be seen it may be as large as half of the variance.
    per_draw = total.var() + symmetry * (0.5 * total.var() if np.isnan(noise) else noise)
    variance = proposal_variance + total.size**2 * per_draw / effective / slope**2
    singles = np.array([solve_bridge([fit]) for fit in ratios])
    k_posterior, of_posterior = _smoothed(np.nansum(terms, axis=0))
    k_proposal, of_proposal = _smoothed(np.concatenate(at_proposal))
    moved = np.hypot(of_posterior * (k_posterior > 0.5), of_proposal * (k_proposal > 0.5))
    apart, sigma = _by_chain(total)
    return Budget(
        root=root,
        delta=float(np.sqrt(variance)),
        jackknife=_jackknife(ratios, blocks, proposal_variance),
        split=float(singles.std(ddof=1) / np.sqrt(len(singles))),
        tail=float(moved * sum(x.sum() for x in at_proposal) / slope),
        proposal_share=proposal_variance / variance if variance > 0 else 0.0,
        effective=effective,
        pareto_k=(k_posterior, k_proposal),
        by_chain=apart * total.size / slope,
        by_chain_sigma=sigma,
        influence=-total * total.size / slope,
    )


def _by_chain(total: NDArray[np.float64]) -> tuple[Vector, Vector]:
    """How far each chain's mean term lies below that of the others, and that in standard errors within chains."""
    chains = len(total)
    means = total.mean(axis=1)
    within = np.array([chain.var() / effective_size(chain[None]) for chain in total])
    others = (within.sum() - within) / (chains - 1) ** 2
    apart = (means.sum() - chains * means) / (chains - 1)
    return apart, apart / np.sqrt(np.maximum(within + others, _ROUNDING**2))
