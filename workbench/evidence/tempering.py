"""The evidence along a path of temperatures, from a density that is known to one that is wanted.

Between a normalised reference r, from which independent draws exist, and the target f runs the path

    log f_t(z) = log r(z) + t l(z),    l = log f - log r,    0 <= t <= 1,
    log p(y) = sum_k log E_t_k[exp((t_k+1 - t_k) l)] = integral over t of E_t[l].

A cloud of particles starts from the reference and follows the path: at each temperature it is reweighted, resampled
and moved by Hamiltonian dynamics (annealed sequential Monte Carlo; a stepping stone at every temperature). From the
prior, r is the prior on z and l the log likelihood, so that f_t is the power posterior: no posterior draw enters, and
a mode that no chain visited is found if the prior reaches it. From a proposal, r is a normal distribution with mean
and covariance of posterior draws; that takes few temperatures in any dimension, but starts where the chains were.

The particles live on islands that never exchange one. At given temperatures and shapes of the moves each island's
estimate of p(y) is unbiased however badly the particles mix, and independent of the others', so the spread between
islands is the error of their mean. Temperatures and shapes are learnt from all of them: where the moves go nowhere, as
between separated modes, that couples them, and the check of the moves says so.

References: Neal 2001, doi:10.1023/A:1008923215028; Del Moral, Doucet and Jasra 2006,
doi:10.1111/j.1467-9868.2006.00553.x; Xie and others 2011, doi:10.1093/sysbio/syq085 (stepping stone); Zhou, Johansen
and Aston 2016, doi:10.1080/10618600.2015.1060885 (temperatures); Buchholz, Chopin and Jacob 2021,
doi:10.1214/20-BA1222 (Hamiltonian moves).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import logsumexp

from workbench.check import Check, Status
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.basins import unvisited_share
from workbench.evidence.paths import Path
from workbench.numerics.moves import Cloud, Matrix, Mixing, mix
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import log_sum
from workbench.numerics.threads import threads_for
from workbench.result import Result

ISLANDS = 16  # a spread of 16 is known to 18%
_GROUPS = 4  # of islands; the moves of one are shaped by the others
ERROR_LIMIT = 0.2  # nats, as for the bridge
_KEPT = 0.75  # share of the particles that count after each reweighting; decides how many temperatures there are
_KEPT_SLOWLY = 0.95  # on a slow path: of 100 slow states it is 0.05 nats low and not 0.3, at five times the cost
_MOST_MOVES = 8  # at each temperature
_MOST_TEMPERATURES = 500
_SPREAD_LIMIT = 1.0  # nats between islands; beyond it a mean of exp(estimate) is decided by few of them
_HARD = "the path is hard: compare with another route, and look at the geometry of the posterior"
_STUCK = 0.8  # correlation with the start of the moves at which particles count as stuck


@dataclass(frozen=True, repr=False, eq=False)
class Tempering(Result):
    """The log evidence along a path of temperatures, and the path.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    expected_log_likelihood, expected_error : float
        E_post[log likelihood] from the particles at t = 1, nats.
    kl_divergence, kl_error : float
        KL(posterior || prior) = E_post[log likelihood] - log p(y), with their joint error, nats. No posterior draw
        enters on the path from the prior.
    start : {"prior", "proposal"}
    temperatures, curve, curve_error : ndarray, shape (k,)
        t, E_t[l] and its standard error, nats; the area under the curve over [0, 1] is the log evidence.
    islands : ndarray, shape (b,)
        Log evidence by island, nats.
    unvisited, tails : float
        Shares of the posterior mass at places to which no posterior draw came near: in basins of their own, and far out
        where log f rises all the way to the draws; NaN if not looked at.
    particles, evaluations : int
        Evaluations of the density with its gradient.
    """

    log_evidence: float
    std_error: float
    expected_log_likelihood: float
    expected_error: float
    kl_divergence: float
    kl_error: float
    start: str
    temperatures: Vector
    curve: Vector
    curve_error: Vector
    islands: Vector
    unvisited: float
    tails: float
    particles: int
    evaluations: int
    title: ClassVar[str] = "log evidence by tempering"

    @property
    def free_of_draws(self) -> bool:
        """Whether no posterior draw entered."""
        return self.start == "prior"

    def over(self, log_integral: float, error: float) -> Tempering:
        """The same, divided by another integral, such as that of the prior: its log is subtracted, nats."""
        return replace(
            self, log_evidence=self.log_evidence - log_integral, islands=self.islands - log_integral,
            curve=self.curve - log_integral, kl_divergence=self.kl_divergence + log_integral,
            std_error=float(np.hypot(self.std_error, error)), kl_error=float(np.hypot(self.kl_error, error)),
        )  # fmt: skip

    def from_draws(self, other: Tempering, log_integral: float, error: float) -> Tempering:
        """A path from the draws in the place of this one; what this one saw where no chain came is kept."""
        return replace(other.over(log_integral, error), unvisited=self.unvisited, tails=self.tails)

    def table(self) -> pd.DataFrame:
        """The evidence, the fit and the divergence, each with its error."""
        rows = {
            "log evidence": (self.log_evidence, self.std_error),
            "E_post[log likelihood]": (self.expected_log_likelihood, self.expected_error),
            "KL(posterior || prior)": (self.kl_divergence, self.kl_error),
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["nats", "std_error"])

    def notes(self) -> list[str]:
        """How the path ran."""
        where = f"from the {self.start} over {len(self.temperatures)} temperatures"
        return [f"{where} with {self.particles} particles on {len(self.islands)} islands", *super().notes()]


def _next_temperature(increments: Vector, t: float, kept: float) -> float:
    """The temperature at which a share `kept` of the particles counts after reweighting."""
    finite = increments[np.isfinite(increments)]
    if not len(finite):
        raise NumericalError(
            "the likelihood is zero at every particle", "evidence tempering", "see whether prior and data fit together"
        )

    def surplus(log_step: float) -> float:
        logs = np.exp(log_step) * finite
        return float(2 * log_sum(logs) - log_sum(2 * logs) - np.log(len(finite)) - np.log(kept))

    if surplus(np.log1p(-t)) >= 0:
        return 1.0
    return t + float(np.exp(optimize.brentq(surplus, -200.0, np.log1p(-t), xtol=1e-6)))


def _resampled(log_weights: Matrix, generator: np.random.Generator) -> NDArray[np.int64]:
    """Systematic resampling on every island: positions in the flat cloud, shape ``(islands * size,)``."""
    b, size = log_weights.shape
    with np.errstate(invalid="ignore"):
        relative = np.exp(log_weights - log_weights.max(axis=1, keepdims=True))
    dead = ~np.isfinite(relative).all(axis=1)
    relative[dead] = 1.0  # its estimate is zero already; see `_annealed`
    edges = np.cumsum(relative, axis=1) / relative.sum(axis=1, keepdims=True)
    ticks = (np.arange(size) + generator.random((b, 1))) / size
    chosen = [np.minimum(np.searchsorted(e, u), size - 1) for e, u in zip(edges, ticks, strict=True)]
    alive = np.flatnonzero(~dead)
    for island in np.flatnonzero(dead):  # an island without a particle left goes on with another's, at weight zero
        other = generator.choice(alive)
        chosen[island] = chosen[other] + (other - island) * size
    return (np.stack(chosen) + size * np.arange(b)[:, None]).ravel()


def _pooled(log_evidence: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the mean evidence, the mean weighted by it, and their difference, over islands on the last axis."""
    total = logsumexp(log_evidence, axis=-1)
    weights = np.exp(log_evidence - total[..., None])
    mean = np.sum(np.where(weights > 0, weights * means, 0.0), axis=-1)
    value = total - np.log(log_evidence.shape[-1])
    return np.stack([value, mean, mean - value], axis=-1)


@functools.cache
def _widening(b: int) -> float:
    """How much wider an interval from b values has to be than one from many, by Student's t."""
    return float(stats.t.ppf(0.975, b - 1) / stats.norm.ppf(0.975))


def with_errors(log_evidence: Vector, means: Vector) -> tuple[Vector, Vector]:
    """Estimates over islands, and their standard errors by leaving out one island at a time.

    The errors are widened by Student's t, so that 1.96 of them hold the truth in 95% of runs although they come from
    a small number of islands.

    Parameters
    ----------
    log_evidence : ndarray, shape (b,)
        By island, nats.
    means : ndarray, shape (b,)
        Mean of some quantity over the particles of each island.

    Returns
    -------
    estimates, errors : ndarray, shape (3,)
        Log of the mean evidence, mean of the quantity weighted by it, and the second minus the first.
    """
    b = len(log_evidence)
    others = np.argsort(np.eye(b), axis=1, kind="stable")[:, :-1]  # row i: every island but the i-th
    left = _pooled(log_evidence[others], means[others])
    errors = np.sqrt((b - 1) / b * np.sum((left - left.mean(axis=0)) ** 2, axis=0))
    return _pooled(log_evidence, means), errors * _widening(b)


@dataclass(frozen=True)
class _Annealed:
    """The end of a path: particles, the evidence of every island, and the record of the way."""

    increments: Cloud
    log_evidence: Vector
    record: list[tuple[float, float, float]]  # t, E_t[l], its error
    mixings: list[Mixing]


def _moved(
    path: Path, t: float, cloud: Cloud, steps: Vector, generator: np.random.Generator
) -> tuple[Cloud, list[Mixing]]:
    """Move every group of islands with the shape and the step that the other groups suggest.

    A move leaves f_t as it is only if its shape does not depend on the particle that it moves: with a covariance from
    the particles themselves, 512 of them in 20 dimensions were measured 1.6 nats low.
    """
    sweep, mixed, size = path.sweep(t), [], len(cloud.points) // _GROUPS
    for i in range(_GROUPS):
        own = slice(i * size, (i + 1) * size)
        factor = path.factor(np.delete(cloud.points, own, axis=0))
        step = float(np.delete(steps, i).mean())
        mixed.append(mix(sweep, cloud.taken(own), factor, step, generator, _MOST_MOVES))
    clouds = [moved for moved, _ in mixed]
    joined = Cloud(
        np.concatenate([c.points for c in clouds]),
        np.concatenate([c.value for c in clouds]),
        np.concatenate([c.gradient for c in clouds]),
    )
    return joined, [mixing for _, mixing in mixed]


def _annealed(path: Path, points: Matrix, generator: np.random.Generator, kept: float) -> _Annealed:
    """Carry particles from the reference to the target."""
    cloud, increments = Cloud(points, *path.sweep(0.0)(points)), path.increments(points)
    t, steps = 0.0, np.full(_GROUPS, 0.5)
    log_evidence = np.zeros(ISLANDS)
    record: list[tuple[float, float, float]] = []
    mixings: list[Mixing] = []
    while t < 1.0:
        if len(record) == _MOST_TEMPERATURES:
            raise RefusalError(
                f"{_MOST_TEMPERATURES} temperatures lead only to t = {t:.2g}",
                "evidence tempering",
                "the prior is too far from the data: state it in the units of the data, or use the bridge",
            )
        colder = _next_temperature(increments.value, t, kept)
        log_weights = ((colder - t) * increments.value).reshape(ISLANDS, -1)
        log_evidence = log_evidence + logsumexp(log_weights, axis=1) - np.log(log_weights.shape[1])
        chosen = _resampled(log_weights, generator)
        cloud, increments = cloud.taken(chosen), increments.taken(chosen)
        # log f at the next temperature follows from here: log f_t + (t' - t) l
        value = cloud.value + (colder - t) * increments.value
        gradient = cloud.gradient + (colder - t) * increments.gradient
        t = colder
        cloud, mixed = _moved(path, t, Cloud(cloud.points, value, gradient), steps, generator)
        steps = np.array([mixing.step for mixing in mixed])
        increments = path.increments(cloud.points)
        estimates, errors = with_errors(log_evidence, increments.value.reshape(ISLANDS, -1).mean(axis=1))
        record.append((t, float(estimates[1]), float(errors[1])))
        mixings += mixed
    return _Annealed(increments, log_evidence, record, mixings)


def temper(
    path: Path, seed: int, visited: NDArray[np.float64] | None = None, particles: int | None = None, slow: bool = False
) -> Tempering:
    """The log of the integral of f along a path of temperatures.

    Parameters
    ----------
    path : Path
        `PriorPath` or `ProposalPath`.
    seed : int
    visited : ndarray, shape (chains, draws, d), optional
        Posterior draws; if given, the share of the mass is found to which none of them came near.
    particles : int, optional
        Rounded up to a multiple of the number of islands; by default as many as the path needs.
    slow : bool
        Whether to go with twice the particles through more temperatures, for a posterior that is hard to walk through.

    Returns
    -------
    Tempering

    Raises
    ------
    RefusalError
        If the path is too long.
    NumericalError
        If the likelihood is zero at every particle.
    """
    particles = -(-(particles or path.particles) * (1 + slow) // ISLANDS) * ISLANDS
    generator = np.random.default_rng(seed)
    start = path.start(particles, generator)
    with threads_for(start.shape[1]):
        end = _annealed(path, start, generator, _KEPT_SLOWLY if slow else _KEPT)
    points = end.increments.points
    fit = path.log_likelihood(points).reshape(ISLANDS, -1).mean(axis=1)
    estimates, errors = with_errors(end.log_evidence, fit)
    weights = np.exp(end.log_evidence - logsumexp(end.log_evidence)).repeat(particles // ISLANDS)
    unvisited = tails = float("nan")
    if visited is not None:
        unvisited, tails = unvisited_share(points, weights, visited, path.sweep(1.0))
    t, curve, curve_error = (np.array(column) for column in zip(*end.record, strict=True))
    return Tempering(
        checks=_checks(float(errors[0]), end.log_evidence, end.mixings),
        log_evidence=float(estimates[0]),
        std_error=float(errors[0]),
        expected_log_likelihood=float(estimates[1]),
        expected_error=float(errors[1]),
        kl_divergence=float(estimates[2]),
        kl_error=float(errors[2]),
        start=path.name,
        temperatures=t,
        curve=curve,
        curve_error=curve_error,
        islands=end.log_evidence,
        unvisited=unvisited,
        tails=tails,
        particles=particles,
        evaluations=particles // _GROUPS * sum(mixing.sweeps + 1 for mixing in end.mixings),
    )


def joined(runs: Sequence[Tempering]) -> Tempering:
    """One estimate from runs along paths of their own, whose spread is an error that no shared move can hide.

    Islands of one run share temperatures and the shape of their moves, which couples them where the moves go nowhere.
    Runs share nothing, so each of them counts as an island here; the error is the larger of that and of the runs' own.

    Parameters
    ----------
    runs : sequence of Tempering, length r
        Two or more, each with a seed and a start of its own.

    Returns
    -------
    Tempering
        With temperatures and curve of the run that is nearest to all of them together.
    """
    found = np.array([run.log_evidence for run in runs])
    estimates, errors = with_errors(found, np.array([run.expected_log_likelihood for run in runs]))
    own = np.array([[run.std_error, run.expected_error, run.kl_error] for run in runs])
    errors = np.maximum(errors, np.sqrt(np.mean(own**2, axis=0) / len(runs)))
    shares = np.exp(found - logsumexp(found))
    islands = np.concatenate([run.islands for run in runs])
    stuck = next(c for run in runs for c in run.checks if c.code == "tempering-moves")
    moves = replace(stuck, status="ok", message=f"{stuck.message}; the error is that of {len(runs)} runs")
    return replace(
        runs[int(np.argmin(np.abs(found - estimates[0])))],
        checks=(*_spread_checks(float(errors[0]), islands), moves),
        log_evidence=float(estimates[0]), std_error=float(errors[0]),
        expected_log_likelihood=float(estimates[1]), expected_error=float(errors[1]),
        kl_divergence=float(estimates[2]), kl_error=float(errors[2]),
        islands=islands,
        unvisited=float(shares @ [run.unvisited for run in runs]), tails=float(shares @ [run.tails for run in runs]),
        particles=sum(run.particles for run in runs), evaluations=sum(run.evaluations for run in runs),
    )  # fmt: skip


def _checks(error: float, islands: Vector, mixings: list[Mixing]) -> tuple[Check, ...]:
    """Whether the estimate can be used: its error, the agreement of the islands, the moves."""
    worst = max(mixing.correlation for mixing in mixings)
    status: Status = "ok" if worst < _STUCK else "caution"
    message = f"after its moves a temperature's particles are correlated {worst:.2f} with where they were"
    moves = Check("tempering-moves", status, message, "" if status == "ok" else _HARD)
    return (*_spread_checks(error, islands), moves)


def _spread_checks(error: float, islands: Vector) -> tuple[Check, ...]:
    """The error, and the agreement of the islands."""
    finite = islands[np.isfinite(islands)]
    spread = float(finite.std(ddof=1)) if len(finite) > 1 else float("inf")
    status: Status = "ok" if error <= ERROR_LIMIT else "failed"
    checks = [Check("tempering-error", status, f"standard error {error:.2g} nats, limit {ERROR_LIMIT}",
                    "" if status == "ok" else _HARD)]  # fmt: skip
    agree = spread <= _SPREAD_LIMIT and len(finite) == len(islands)
    message = (
        f"islands differ by {spread:.2g} nats (sd), limit {_SPREAD_LIMIT:g}; {len(finite)} of {len(islands)} alive"
    )
    checks.append(Check("tempering-islands", "ok" if agree else "failed", message, "" if agree else _HARD))
    return tuple(checks)
