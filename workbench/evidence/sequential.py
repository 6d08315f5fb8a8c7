"""The evidence as a sum of predictions: each observation scored before it is seen, given those before it.

    log p(y) = sum_t log p(y_t | y_1 .. y_t-1)

Draws of theta given the first observations are reweighted by the likelihood of the next ones,

    log p(y_t+1 .. y_s | y_1 .. y_t) = log E[ p(y_t+1 .. y_s | theta) | y_1 .. y_t ]

until too few of them count or Pareto k is above 0.7; then NUTS draws anew, given all that was seen by then. Every
likelihood term has a weight at run time, 1 if it was seen and 0 if not, so that nothing is compiled again; a single
observation that is worth more than the draws can bridge is let in by parts, with weights between 0 and 1.

That is how far each set of draws reaches. The numbers come from all sets at once (`workbench.evidence.several`): what
lies between two sets is averaged over both, and a set that NUTS hardly mixes in is reached past. The posterior of a few
observations can be a funnel with most of its mass in the neck: from one set to the next, the regression of the tests
was measured 2.2 nats low with a stated error of 0.3.

On the way, KL(p(theta | y_1 .. y_t) || p(theta)) is what the first t observations have taught.

References: Dawid 1984, doi:10.2307/2981683 (prequential statistics); Chopin 2002, doi:10.1093/biomet/89.3.539; Vehtari
and others 2024, https://jmlr.org/papers/v25/19-556.html (Pareto k).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.check import Check, Status
from workbench.errors import NumericalError
from workbench.evidence.bridge_equation import effective_size
from workbench.evidence.estimate import Evidence
from workbench.evidence.reweighting import TAIL_LIMIT, Reweighted, reweight
from workbench.evidence.several import Several
from workbench.model.anatomy import Anatomy
from workbench.model.density import LogDensity
from workbench.model.nuts import run_nuts
from workbench.model.program import Weights
from workbench.numerics.objective import Vector
from workbench.prior.draws import draw_prior
from workbench.result import Result

Matrix = NDArray[np.float64]

MOST_STEPS = 50  # blocks of observations
_ERROR_LIMIT = 0.2  # nats, as for the bridge
_SIGMAS = 3.0  # combined standard errors within which the sum has to agree with the evidence
_SHARE = 0.3  # of the draws that have to count, else there are new ones
_MOST_REFITS = 200
_LEAST_PART = 1e-6  # of an observation
_NOWHERE = -1e30  # nats: a likelihood of zero, so that a weight of 0 times it is 0
_CHAINS, _DRAWS, _TUNE = 4, 1000, 400  # of new draws
_ENOUGH = 400  # effective draws (Vehtari and others 2021, doi:10.1214/20-BA1221); with fewer they are made again,
_CAREFUL = 0.95  # with shorter steps, tuned to this acceptance rate,
_THINNED = 4  # and as many times as many, of which as many are kept
_PRIOR_DRAWS = 1000  # in each of as many groups
_TERMS = 4_000_000  # log likelihood terms evaluated at a time, 32 MB


@dataclass(frozen=True, repr=False, eq=False)
class Sequential(Result):
    """The log evidence as it accumulates over the observations.

    Attributes
    ----------
    ends : ndarray of int, shape (k,)
        Observations seen after each step.
    score, score_error : ndarray, shape (k,)
        Log predictive density of the step's observations given those before, and its standard error, nats.
    cumulative, cumulative_error : ndarray, shape (k,)
        Log p(y_1 .. y_t), nats.
    information, information_error : ndarray, shape (k,)
        KL(p(theta given y_1 .. y_t) || p(theta)), nats.
    log_evidence, std_error : float
        By `study.evidence.estimate()`, nats: the last cumulative score has to agree with it.
    refits : int
        How often NUTS drew anew.
    """

    ends: NDArray[np.int64]
    score: Vector
    score_error: Vector
    cumulative: Vector
    cumulative_error: Vector
    information: Vector
    information_error: Vector
    log_evidence: float
    std_error: float
    refits: int
    title: ClassVar[str] = "the evidence, one observation after the other"

    @property
    def surprise(self) -> Vector:
        """Minus the log predictive density an observation, by step, shape ``(k,)``, nats."""
        return -self.score / np.diff(self.ends, prepend=0)

    def table(self) -> pd.DataFrame:
        """One row a step: what was predicted, the sum so far, what was learnt so far."""
        columns = {
            "log score": self.score, "std_error": self.score_error,
            "cumulative": self.cumulative, "its error": self.cumulative_error,
            "information": self.information, "error": self.information_error,
        }  # fmt: skip
        return pd.DataFrame(columns, index=pd.Index(self.ends, name="observations"))

    def notes(self) -> list[str]:
        """What the columns are, the most surprising step, and the agreement with the evidence."""
        worst = int(np.argmax(self.surprise))
        before = 0 if worst == 0 else int(self.ends[worst - 1])
        one = self.ends[worst] == before + 1
        which = f"observation {self.ends[worst]}" if one else f"observations {before + 1} to {self.ends[worst]}"
        return [
            "in nats; information: KL of what is known after those observations from the prior",
            f"most surprising: {which}, {self.surprise[worst]:.4g} nats{'' if one else ' each'}",
            f"{self.refits} times the draws were made anew; evidence by another route {self.log_evidence:.6g}",
            *super().notes(),
        ]


def prior_groups(density: LogDensity, anatomy: Anatomy, seed: int) -> Matrix:
    """Independent draws from the prior on z, in as many groups as there are chains later.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    seed : int

    Returns
    -------
    ndarray, shape (groups, draws, d)

    Raises
    ------
    RefusalError
        If the prior cannot be drawn from.
    """
    group = draw_prior(density, anatomy, _CHAINS * _PRIOR_DRAWS, seed, data=False)["prior"].to_dataset()
    z = density.space.z_of_draws({name: group[name].values[0] for name in density.space.names})
    z = z[np.isfinite(z).all(axis=1)]  # a few may lie on the edge of their support in double precision
    return z[: len(z) - len(z) % _CHAINS].reshape(_CHAINS, -1, z.shape[1])


def _slowest(z: Matrix) -> float:
    """Effective number of draws, by the coordinate of z that has the fewest."""
    return min(effective_size(column) for column in np.moveaxis(z, -1, 0))


@dataclass
class _Sets:
    """All sets of draws, each with the log likelihood of every block and the weights of the blocks it was given."""

    by_block: list[Matrix] = field(default_factory=list)
    given: list[Vector] = field(default_factory=list)
    effective: list[float] = field(default_factory=list)

    def add(self, z: Matrix, by_block: Matrix, done: int, part: float) -> None:
        """One more set, of draws given the blocks that are done and a part of the next."""
        self.by_block.append(np.where(np.isfinite(by_block), by_block, _NOWHERE))
        given = np.zeros(by_block.shape[-1])
        given[:done] = 1.0
        if part:
            given[done] = part
        self.given.append(given)
        self.effective.append(_slowest(z))

    def rows(self) -> NDArray[np.float64]:
        """Score, its error, sum, its error, information and its error after every block, shape ``(k, 6)``, nats."""
        given = np.stack(self.given)
        logs = [np.moveaxis(array @ given.T, -1, 0) for array in self.by_block]
        counted = np.array(self.effective)
        several = Several(logs, counted * np.minimum(1.0, counted / _ENOUGH))  # a small number is hardly known itself
        every = np.concatenate([array.reshape(-1, array.shape[-1]) for array in self.by_block])
        rows, last, before = [], 0.0, np.zeros(len(every))
        for total in np.cumsum(every, axis=1).T:
            value, influence, shares = several.integral(total)
            mean, of_mean = several.mean(shares, np.where(total > _NOWHERE / 2, total, 0.0))
            spread = (several.error(influence - before), several.error(influence), several.error(of_mean - influence))
            rows.append((value - last, spread[0], value, spread[1], mean - value, spread[2]))
            last, before = value, influence
        return np.array(rows)


class _Ladder:
    """Draws given more and more of the observations."""

    def __init__(self, density: LogDensity, seed: int) -> None:
        self.density, self.seed = density, seed
        n = density.n_observations
        self.ends = np.cumsum([len(part) for part in np.array_split(np.arange(n), min(n, MOST_STEPS))])
        self.refits = 0

    def by_block(self, z: Matrix) -> Matrix:
        """Log likelihood of every block at every draw, shape ``(chains, draws, blocks)``, nats."""
        flat, names = z.reshape(-1, z.shape[-1]), list(self.density.likelihood_shapes)
        size, found = max(1, _TERMS // self.density.n_observations), []
        for first in range(0, len(flat), size):
            terms = self.density.terms(flat[first : first + size]).log_likelihood
            whole = np.concatenate([terms[name].reshape(len(terms[name]), -1) for name in names], axis=1)
            found.append(np.add.reduceat(whole, np.concatenate([[0], self.ends[:-1]]), axis=1))
        array = np.concatenate(found).reshape(*z.shape[:2], -1)
        return np.where(np.isnan(array), -np.inf, array)

    def draws(self, done: int, part: float, start: Vector) -> Matrix:
        """Draws given the blocks that are done and a part of the next, shape ``(chains, draws, d)``.

        Raises
        ------
        NumericalError
            If that was asked for too often, or the sampler cannot run.
        """
        self.refits += 1
        if self.refits > _MOST_REFITS:
            raise NumericalError(
                f"{_MOST_REFITS} times new draws led only to observation {self.ends[max(done - 1, 0)]}",
                "evidence sequential",
                "the prior is too far from the data: state it in their units, or use study.evidence.estimate()",
            )
        weights = np.zeros(self.density.n_observations)
        before = 0 if done == 0 else int(self.ends[done - 1])
        weights[:before] = 1.0
        if part:
            weights[before : self.ends[done]] = part
        arrays, first = {}, 0
        for name, shape in self.density.likelihood_shapes.items():
            size = int(np.prod(shape))
            arrays[name] = weights[first : first + size].reshape(shape)
            first += size
        objective = self.density.objective(Weights(likelihood=arrays))
        seed = int(np.random.SeedSequence([self.seed, self.refits]).generate_state(1)[0])
        z = run_nuts(objective, start, draws=_DRAWS, tune=_TUNE, chains=_CHAINS, seed=seed).z
        if _slowest(z) >= _ENOUGH:
            return z
        more, tune = _DRAWS * _THINNED, _TUNE * _THINNED
        again = run_nuts(objective, start, draws=more, tune=tune, chains=_CHAINS, seed=seed, target_accept=_CAREFUL)
        return again.z[:, ::_THINNED]

    def mixed(self, sets: _Sets) -> Check:
        """Whether every set of draws counts as enough, and which counts as the fewest."""
        worst = int(np.argmin(sets.effective))
        given = sets.given[worst]
        message = f"the draws given {float(given @ np.diff(self.ends, prepend=0)):.4g} observations"
        message += f" count as {sets.effective[worst]:.0f}, limit {_ENOUGH}"
        if sets.effective[worst] >= _ENOUGH:
            return Check("sequential-draws", "ok", message)
        fix = "distrust the steps around them, not the sum: so few observations leave a density that is hard to walk"
        return Check("sequential-draws", "caution", message, fix)


def _usable(found: Reweighted) -> bool:
    return found.share >= _SHARE and found.pareto_k <= TAIL_LIMIT


def score_in_order(density: LogDensity, prior: Matrix, evidence: Evidence, seed: int) -> Sequential:
    """Every observation scored before it is seen, in the order of the data.

    Parameters
    ----------
    density : LogDensity
    prior : ndarray, shape (chains, draws, d)
        Independent draws from the prior, on z, in groups.
    evidence : Evidence
        Of the same model, by another route.
    seed : int

    Returns
    -------
    Sequential

    Raises
    ------
    NumericalError
        If the likelihood of an observation is zero at every draw, or too many new draws are needed.
    """
    ladder, sets = _Ladder(density, seed), _Sets()
    z, done, part, blocks = prior, 0, 0.0, len(ladder.ends)
    while True:
        by_block = ladder.by_block(z)
        sets.add(z, by_block, done, part)
        if done == blocks:
            break
        ahead = by_block.copy()
        ahead[..., done] *= 1.0 - part
        first, before = done, None
        sums = np.cumsum(ahead[..., first:], axis=-1)
        while done < blocks:
            found = reweight(sums[..., done - first])
            if not _usable(found):
                break
            done, before = done + 1, found
        if before is None:
            share, before = _part_of(sums[..., 0], done, ladder)
            part += (1.0 - part) * share
        else:
            part = 0.0
        heaviest = z.reshape(-1, z.shape[-1])[int(np.argmax(before.weights))]
        z = ladder.draws(done, part, heaviest)
    columns = sets.rows().T
    return Sequential(
        checks=(*_checks(columns[2, -1], columns[3, -1], evidence), ladder.mixed(sets)),
        ends=ladder.ends,
        score=columns[0],
        score_error=columns[1],
        cumulative=columns[2],
        cumulative_error=columns[3],
        information=columns[4],
        information_error=columns[5],
        log_evidence=evidence.log_evidence,
        std_error=evidence.std_error,
        refits=ladder.refits,
    )


def _part_of(logs: Matrix, done: int, ladder: _Ladder) -> tuple[float, Reweighted]:
    """The part of what is left of a block that the draws can bridge, and the draws reweighted to it."""
    if not np.isfinite(logs).any():
        raise NumericalError(
            f"the likelihood of observation {ladder.ends[done]} is zero at every draw",
            "evidence sequential",
            "see whether prior and data fit together",
        )
    share = 0.5
    while share > _LEAST_PART:
        found = reweight(share * logs)
        if _usable(found):
            return share, found
        share /= 2.0
    raise NumericalError(
        f"not even a small part of observation {ladder.ends[done]} can be let in",
        "evidence sequential",
        "the prior is too far from the data: state it in their units, or use study.evidence.estimate()",
    )


def _checks(total: float, error: float, evidence: Evidence) -> tuple[Check, ...]:
    """Whether the sum is known well enough, and whether it is the evidence."""
    status: Status = "ok" if error <= _ERROR_LIMIT else "caution"
    message = f"standard error of the sum {error:.2g} nats, limit {_ERROR_LIMIT}"
    remedy = "quote the evidence from study.evidence.estimate(), and use this for the steps"
    gap = abs(total - evidence.log_evidence) / np.hypot(error, evidence.std_error)
    agree = gap <= _SIGMAS
    text = f"{'' if agree else 'conflict: '}the sum lies {gap:.1f} combined standard errors from {evidence.method}"
    fix = "" if agree else "do not quote one of them: see study.diagnosis(), and look for modes that the chains missed"
    return (
        Check("sequential-error", status, message, "" if status == "ok" else remedy),
        Check("routes-agree", "ok" if agree else "failed", text, fix),
    )
