"""The evidence by bridge sampling, from posterior draws that exist already.

With draws z of the posterior f / p(y), draws x of a normalised proposal q, and l = f / q, the optimal bridge of Meng
and Wong (1996) solves

    p(y) = mean_x [l(x) / (s1 l(x) + s2 p(y))] / mean_z [1 / (s1 l(z) + s2 p(y))],   s1 = N1 / (N1 + N2), s2 = 1 - s1.

The proposal must not be judged at the draws it was fitted to. Chains are split into halves, the proposal is fitted to
one half and the bridge taken over the other, and this is done for every way to choose the half (six for four chains);
all the fits enter one equation (`workbench.evidence.bridge_equation`). Single draws are never split: their
autocorrelation would leak. The proposal comes from a small family (`workbench.evidence.proposal`): each member is
piloted with a few hundred draws and the one with the smallest error is taken.

References: Meng and Wong 1996 (Statistica Sinica 6); Gronau and others 2017, doi:10.1016/j.jmp.2017.09.005; Micaletto
and Vehtari 2025, arXiv:2508.14487.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.check import Check, Status
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.bridge_equation import Budget, Ratios, effective_size, error_budget
from workbench.evidence.proposal import FAMILY, SYMMETRY, Material, Proposal
from workbench.numerics.monte_carlo import covariance_of_means
from workbench.numerics.objective import Objective, ObjectiveOfMany, values
from workbench.numerics.threads import threads_for
from workbench.numerics.turn import free_of_turns
from workbench.result import Result

Matrix = NDArray[np.float64]

ERROR_LIMIT = 0.2  # nats; measured: every failing case stated an error above this
BRACKET_LIMIT = 10.0  # nats
TAIL_LIMIT = 0.7  # Pareto k above which a mean is not reliable (Vehtari and others 2024)
EFFECTIVE_LIMIT = 100.0  # effective draws among the bridge's terms
CHAIN_LIMIT = 4.0  # standard errors
DRAWS_LIMIT = 5.0  # standard errors between draws and target, if they are
_SLIGHT = 0.05  # of the dimension: a smaller discrepancy moves a log evidence little
_BLOCKS = 4  # groups of chains that are split in every way: six fits; more chains share a block
_PILOT = 300  # proposal draws of a pilot fit
_LEAST = 2000  # proposal draws at first, all fits together
_MOST = 8  # proposal draws at most, as a multiple of the posterior draws: a fraction of what the draws cost
_WORTH = 0.2  # of the variance: below this share of the proposal's part more proposal draws help little


@dataclass(frozen=True, repr=False, eq=False)
class Bridge(Result):
    """A bridge estimate of the log evidence with its error budget.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    delta_error, jackknife_error, split_error : float
        By the delta method, by leaving out one chain after the other (proposals fitted anew), by the spread over
        ways to split the chains, nats; the stated error is the largest of the three with the tail term.
    tail_error : float
        What smoothing heavy tails of the terms would change, nats; 0 where Pareto k is at most 0.5.
    lower, upper : float
        E_q[log f - log q] <= log p(y) <= E_post[log f - log q]: the bracket, nats.
    pareto_k : (float, float)
        Of the bridge's terms at posterior draws and at proposal draws.
    effective : float
        Effective number of the bridge's terms at posterior draws.
    n_proposal : int
        Proposal draws.
    proposal : str
        The member of the family that was used.
    pilots : dict of str to float
        Every member that applied -> its error in the pilot, nats.
    covariances : dict of str to float
        Quantity given beside the draws -> covariance of `log_evidence` with its mean over the draws, nats squared.
    """

    log_evidence: float
    std_error: float
    delta_error: float
    jackknife_error: float
    split_error: float
    tail_error: float
    lower: float
    upper: float
    pareto_k: tuple[float, float]
    effective: float
    n_proposal: int
    proposal: str
    pilots: dict[str, float]
    covariances: dict[str, float]
    title: ClassVar[str] = "log evidence by bridge sampling"

    def over(self, log_integral: float, error: float) -> Bridge:
        """The same, divided by another integral, such as that of the prior: its log is subtracted, nats."""
        return replace(
            self, log_evidence=self.log_evidence - log_integral, lower=self.lower - log_integral,
            upper=self.upper - log_integral, std_error=float(np.hypot(self.std_error, error)),
        )  # fmt: skip

    def table(self) -> pd.DataFrame:
        """The estimate, its error and where that comes from."""
        rows = {
            "log evidence": self.log_evidence,
            "std_error": self.std_error,
            "  delta method": self.delta_error,
            "  without one chain": self.jackknife_error,
            "  between splits": self.split_error,
            "  tail": self.tail_error,
            "bracket, lower": self.lower,
            "bracket, upper": self.upper,
        }
        return pd.DataFrame({"nats": rows})

    def notes(self) -> list[str]:
        """The proposal that was used, and every check that is not ``ok``."""
        return [f"proposal: {self.proposal}, {self.n_proposal} draws", *super().notes()]


@dataclass(frozen=True)
class _Crossfit:
    """Draws with log f and its gradient, and how their chains are split."""

    objective: Objective
    z: Matrix  # (chains, draws, d)
    log_f: Matrix  # (chains, draws)
    gradients: Matrix  # (chains, draws, d)

    @property
    def blocks(self) -> list[NDArray[np.intp]]:
        """Chains in at most four groups."""
        return np.array_split(np.arange(len(self.z)), min(len(self.z), _BLOCKS))

    def splits(self) -> list[NDArray[np.intp]]:
        """The chains of every fit: half of the blocks, in every way."""
        blocks = self.blocks
        return [np.concatenate(half) for half in combinations(blocks, len(blocks) // 2)]

    def material(self, chains: NDArray[np.intp]) -> Material:
        """What a proposal is fitted to."""
        d = self.z.shape[-1]
        return Material(self.z[chains].reshape(-1, d), self.gradients[chains].reshape(-1, d))

    def at_proposal(self, proposal: Proposal, m: int, generator: np.random.Generator) -> NDArray[np.float64]:
        """Log f - log q at m draws of q, shape ``(m,)``, nats.

        Raises
        ------
        NumericalError
            If log f or log q is NaN there.
        """
        points = proposal.draw(m, generator)
        found = values(self.objective, points) - proposal.log_density(points)
        if np.isnan(found).any():
            raise NumericalError("a proposal draw lies where nothing can be computed", "bridge")
        return found

    def ratios(self, chains: NDArray[np.intp], proposal: Proposal, at_proposal: NDArray[np.float64]) -> Ratios:
        """What a proposal that was fitted to these chains contributes, judged at the others."""
        used = np.setdiff1d(np.arange(len(self.z)), chains)
        points = self.z[used].reshape(-1, self.z.shape[-1])
        at_posterior = self.log_f[used] - proposal.log_density(points).reshape(len(used), -1)
        return Ratios(used, at_posterior, at_proposal, effective_size(at_posterior))

    def together(self, splits: Sequence[NDArray[np.intp]], proposals: Sequence[Proposal], m: int,
                 generator: np.random.Generator) -> list[Ratios]:  # fmt: skip
        """What several fits contribute with m proposal draws each, every posterior draw counted alike."""
        found = [self.ratios(chains, q, self.at_proposal(q, m, generator))
                 for chains, q in zip(splits, proposals, strict=True)]  # fmt: skip
        share = float(np.mean([r.weight for r in found]))
        return [replace(r, effective=share * r.posterior.size) for r in found]


def _gradients(objective: Objective, z: Matrix) -> Matrix:
    """Gradients at the draws, of the shape of z; NaN if one cannot be computed: fits to them then do not apply."""
    found = np.full(z.shape, np.nan)
    if isinstance(objective, ObjectiveOfMany):
        value, gradient = objective.sweep(z.reshape(-1, z.shape[-1]))
        return gradient.reshape(z.shape) if np.isfinite(value).all() else found
    try:
        for place in np.ndindex(z.shape[:-1]):
            found[place] = objective.value_and_gradient(np.ascontiguousarray(z[place]))[1]
    except NumericalError:
        return np.full(z.shape, np.nan)
    return found


def _pilot(
    crossfit: _Crossfit, generator: np.random.Generator
) -> tuple[dict[str, float], dict[tuple[int, ...], Proposal]]:
    """The error that each member of the family reaches with a few hundred draws, the smallest first, and its fits."""
    splits = crossfit.splits()
    pair = splits if len(splits) < 4 else [splits[0], splits[-1]]  # a half and its complement
    materials = [crossfit.material(chains) for chains in pair]
    errors: dict[str, float] = {}
    best: dict[tuple[int, ...], Proposal] = {}
    for name, fit in FAMILY.items():
        try:
            found = [fit(material) for material in materials]
            ratios = crossfit.together(pair, found, _PILOT, generator)
            delta = error_budget(ratios, crossfit.blocks, SYMMETRY[name]).delta
        except NumericalError:
            continue
        if delta < min(errors.values(), default=np.inf):
            best = {tuple(chains): proposal for chains, proposal in zip(pair, found, strict=True)}
        errors[name] = delta
    if not errors:
        raise NumericalError("no proposal could be fitted to the draws", "bridge", "draw more")
    return dict(sorted(errors.items(), key=lambda item: item[1])), best


def _fitted(
    crossfit: _Crossfit, names: Sequence[str], known: Mapping[tuple[int, ...], Proposal]
) -> tuple[str, list[Proposal]]:
    """The first of these names that applies to every split, and its proposals; some of the very first are known."""
    for name in names:
        ready = known if name == names[0] else {}
        try:
            return name, [
                ready[tuple(chains)] if tuple(chains) in ready else FAMILY[name](crossfit.material(chains))
                for chains in crossfit.splits()
            ]
        except NumericalError:
            continue
    raise NumericalError("no proposal could be fitted to the draws", "bridge", "draw more")


def bridge_sampling(
    objective: Objective,
    z: Matrix,
    log_f: Matrix,
    seed: int,
    target_error: float = 0.02,
    beside: Mapping[str, Matrix] | None = None,
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
    target_error : float
        Nats; proposal draws are added until the delta method states no more, or until they hardly help.
    beside : mapping of str to ndarray, shape (chains, draws), optional
        Quantities at the same draws whose means will stand beside the estimate, in nats.

    Returns
    -------
    Bridge

    Raises
    ------
    RefusalError
        If there is only one chain, draws are not finite, chains are stuck or copies of each other, or there are too
        few draws to fit a proposal.
    NumericalError
        If no proposal can be fitted, or log f is NaN at a proposal draw.
    """
    _require_draws(z, log_f)
    with threads_for(z.shape[-1]):
        return _bridged(objective, z, log_f, seed, target_error, beside or {})


def _bridged(
    objective: Objective, z: Matrix, log_f: Matrix, seed: int, target_error: float, beside: Mapping[str, Matrix]
) -> Bridge:
    """The bridge of draws that are fit for one."""
    crossfit = _Crossfit(objective, z, log_f, _gradients(objective, z))
    pilot_generator, generator = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(2))
    pilots, known = _pilot(crossfit, pilot_generator)
    name, proposals = _fitted(crossfit, list(pilots), known)
    count = -(-max(_LEAST, log_f.size) // len(proposals))
    ratios = crossfit.together(crossfit.splits(), proposals, count, generator)
    budget, total = error_budget(ratios, crossfit.blocks, SYMMETRY[name]), count * len(ratios)
    while budget.delta > target_error and budget.proposal_share > _WORTH and 2 * total <= _MOST * log_f.size:
        more = [crossfit.at_proposal(q, len(r.proposal), generator) for q, r in zip(proposals, ratios, strict=True)]
        ratios = [replace(r, proposal=np.concatenate([r.proposal, x])) for r, x in zip(ratios, more, strict=True)]
        budget, total = error_budget(ratios, crossfit.blocks, SYMMETRY[name]), 2 * total
    lower = float(np.mean([r.proposal.mean() for r in ratios]))
    upper = float(np.mean([r.posterior.mean() for r in ratios]))
    return Bridge(
        checks=(*_checks(budget, upper - lower), _belong(crossfit)),
        log_evidence=budget.root,
        std_error=budget.error,
        delta_error=budget.delta,
        jackknife_error=budget.jackknife,
        split_error=budget.split,
        tail_error=budget.tail,
        lower=lower,
        upper=upper,
        pareto_k=budget.pareto_k,
        effective=budget.effective,
        n_proposal=total,
        proposal=name,
        pilots=pilots,
        covariances={n: covariance_of_means(budget.influence, a) for n, a in beside.items()},
    )


def _require_draws(z: Matrix, log_f: Matrix) -> None:
    """Refuse draws from which no bridge can be built."""
    where = "evidence bridge"
    chains, draws, d = z.shape
    if chains < 2:
        raise RefusalError("one chain cannot be split by chain", where, "draw at least 2 chains, better 4")
    if not np.all(np.isfinite(z)) or not np.all(np.isfinite(log_f)):
        raise RefusalError("some draws are not finite", where, "see study.diagnosis()")
    for i, j in combinations(range(chains), 2):
        if np.array_equal(z[i], z[j]):
            raise RefusalError(f"chains {i} and {j} are copies of each other", where, "give every chain its own seed")
    if not np.all(np.ptp(z, axis=1) > 0):
        raise RefusalError("a chain never moved", where, "see study.diagnosis()")
    if chains // 2 * draws < max(1.5 * d, 10):
        raise RefusalError(f"{chains * draws} draws for {d} dimensions", where, "draw more")


def _belong(crossfit: _Crossfit) -> Check:
    """Whether the draws are from the target: E[(z - E z) . grad log f(z)] = -d for draws of f (Stein 1972)."""
    free = free_of_turns(crossfit.objective)  # over an angle the identity has a term at the ends of the turn
    d = int(free.sum())
    terms = np.sum(((crossfit.z - crossfit.z.mean(axis=(0, 1))) * crossfit.gradients)[..., free], axis=-1)
    if not np.all(np.isfinite(terms)):
        return Check("bridge-draws", "unknown", "the gradient is not known at every draw")
    gap = float(terms.mean()) + d
    sigma = abs(gap) / max(float(terms.std()) / np.sqrt(effective_size(terms)), 1e-300)
    message = f"draws and gradients of the target are {sigma:.1f} standard errors apart, limit {DRAWS_LIMIT:g}"
    if sigma > DRAWS_LIMIT and abs(gap) > _SLIGHT * d:
        return Check("bridge-draws", "failed", message,
                     "these are draws from another density: see whether a term is missing or counts twice")  # fmt: skip
    return Check("bridge-draws", "ok", message)


def _checks(budget: Budget, width: float) -> tuple[Check, ...]:
    """Whether the estimate can be used: its error, the overlap of proposal and posterior, tails, draws, chains."""
    found, error = [], budget.error

    def add(code: str, bad: Status | None, message: str, fix: str) -> None:
        found.append(Check(code, bad or "ok", message, fix if bad else ""))

    add("bridge-error", "failed" if not error <= ERROR_LIMIT else None,
        f"standard error {error:.2g} nats, limit {ERROR_LIMIT}",
        "draw more; if that does not help, proposal and posterior overlap too little")  # fmt: skip
    add("bridge-overlap", None if width < BRACKET_LIMIT else "caution" if error < 0.05 else "failed",
        f"the bracket is {width:.2g} nats wide, limit {BRACKET_LIMIT:g}",
        "the posterior is far from every proposal: compare with another route")  # fmt: skip
    low, high = sorted(budget.pareto_k)
    add("bridge-tails", "failed" if low > TAIL_LIMIT else "caution" if high > TAIL_LIMIT else None,
        f"Pareto k {budget.pareto_k[0]:.2f} at posterior, {budget.pareto_k[1]:.2f} at proposal draws, "
        f"limit {TAIL_LIMIT}", "few draws decide: compare with another route, or draw more")  # fmt: skip
    add("bridge-ess", "failed" if budget.effective < EFFECTIVE_LIMIT else None,
        f"{budget.effective:.0f} effective draws among the terms, limit {EFFECTIVE_LIMIT:g}", "draw more")  # fmt: skip
    sigma = float(np.max(np.abs(budget.by_chain_sigma)))
    apart = sigma > CHAIN_LIMIT and float(np.max(np.abs(budget.by_chain))) > 0.02
    add("bridge-chains", "failed" if apart else None,
        f"a chain lies up to {sigma:.1f} standard errors from the others, limit {CHAIN_LIMIT:g}",
        "the chains have seen different parts of the posterior: see study.diagnosis()")  # fmt: skip
    return tuple(found)
