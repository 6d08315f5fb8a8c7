"""The bootstrap of the maximum likelihood estimate: how theta-hat would vary if the data were drawn again.

Three ways to draw them again, each with its own meaning:

    parametric      y ~ p(y | theta-hat)            repetitions of the experiment if the model is right
    nonparametric   w ~ Multinomial(n, 1/n)         repetitions if the units are independent and alike
    bayesian        w ~ n Dirichlet(1, ..., 1)      posterior of theta-hat under ignorance of the data's distribution

and theta*_b maximises sum_u w_u log L_u(theta). A unit u is an observation or, where latent variables are integrated
out, a block of them with all its observations (`workbench.likelihood.units`). Weights and data are run-time inputs of
the compiled density, so a replicate costs one warm-started climb. Two intervals come from the B maxima: between their
percentiles, and BCa, which corrects for bias and skewness (`workbench.numerics.bca`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from workbench.check import Check, Status
from workbench.errors import InputError, NumericalError, RefusalError
from workbench.likelihood.integral import as_at_the_maximum
from workbench.likelihood.problem import Problem
from workbench.likelihood.refit import Refitter, refitter_at
from workbench.likelihood.units import Units, independent_units
from workbench.model.censoring import look_at_limits
from workbench.model.chart import angles_of, jacobian
from workbench.model.mode import Mode
from workbench.model.simulate import Simulator
from workbench.numerics.bca import accelerated_interval, acceleration_from
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.turn import Turn
from workbench.result import Result

Kind = Literal["parametric", "nonparametric", "bayesian"]
_ROUNDING = 1e-12  # relative to the estimates: a spread below it is that of a constant
_TOO_MANY = 0.05  # of the replicates: beyond this a missing tail could hide a whole end of a 90% interval


@dataclass(frozen=True, repr=False, eq=False)
class Bootstrap(Result):
    """Maxima of the likelihood of replicated data.

    Attributes
    ----------
    kind : {"parametric", "nonparametric", "bayesian"}
    level : float
        Probability of both intervals.
    unit : str
        What is drawn again, in words.
    labels : tuple of str
    maximum : ndarray, shape (k,)
        The MLE of the data themselves.
    wald_error : ndarray, shape (k,)
        Its standard errors from the observed information, to compare with.
    estimates : ndarray, shape (B, k)
        The MLE of every replicate; NaN where there is none.
    std_error, mcse, bias : ndarray, shape (k,)
        Standard deviation of the estimates, its Monte Carlo error, and their mean minus the maximum; NaN for a scalar
        that is at its edge in every replicate.
    acceleration : ndarray, shape (k,)
        Of BCa; NaN where it does not exist, as for the Bayesian kind.
    failures : dict of str to int
        Reason why a replicate has no estimate -> number of replicates.
    edges : dict of str to int
        Scalar -> replicates whose maximum is at the edge of its support; they are counted in everything.
    """

    kind: str
    level: float
    unit: str
    labels: tuple[str, ...]
    maximum: Vector
    wald_error: Vector
    estimates: NDArray[np.float64]
    std_error: Vector
    mcse: Vector
    bias: Vector
    acceleration: Vector
    failures: dict[str, int]
    edges: dict[str, int]

    @property
    def title(self) -> str:  # type: ignore[override]
        """Which bootstrap it is."""
        return f"{self.kind} bootstrap of the maximum likelihood estimate"

    @property
    def stuck(self) -> list[bool]:
        """Which scalars are at the edge of their support in every replicate, and so have no spread."""
        return [self.edges.get(label) == len(self.complete) for label in self.labels]

    @property
    def complete(self) -> NDArray[np.float64]:
        """The estimates of the replicates that have one, shape ``(B', k)``."""
        return self.estimates[np.isfinite(self.estimates).all(axis=1)]

    def interval(self, level: float | None = None, kind: str = "BCa") -> pd.DataFrame:
        """Bootstrap interval of every scalar.

        Parameters
        ----------
        level : float, optional
            In (0, 1); by default the bootstrap's own.
        kind : {"BCa", "percentile"}

        Returns
        -------
        pandas.DataFrame
            Columns ``lower`` and ``upper``, one row a label; NaN where BCa does not exist, and for a scalar that is at
            its edge in every replicate.

        Raises
        ------
        InputError
            If the level is outside (0, 1) or the kind is unknown.
        """
        level = self.level if level is None else level
        if not 0.0 < level < 1.0:
            raise InputError(f"the level is {level}", "level", "give a number between 0 and 1")
        if kind not in ("BCa", "percentile"):
            raise InputError(f"there is no interval of kind {kind!r}", "kind", "say 'BCa' or 'percentile'")
        if kind == "percentile":
            ends = np.percentile(self.complete, [50 * (1 - level), 50 * (1 + level)], axis=0).T
        else:
            columns = zip(self.complete.T, self.maximum, self.acceleration, strict=True)
            ends = np.array([accelerated_interval(draws, top, a, level) for draws, top, a in columns])
        ends[self.stuck] = np.nan
        return pd.DataFrame(ends, columns=["lower", "upper"], index=list(self.labels))

    def table(self) -> pd.DataFrame:
        """One row a scalar: MLE, bootstrap standard error and bias, and both intervals at `level`."""
        frame = pd.DataFrame(
            {"MLE": self.maximum, "std_error": self.std_error, "bias": self.bias}, index=list(self.labels)
        )
        for kind in ("percentile",) if self.kind == "bayesian" else ("percentile", "BCa"):
            ends, name = self.interval(kind=kind), f"{kind} {100 * self.level:g}%"
            frame[f"{name} lower"], frame[f"{name} upper"] = ends["lower"], ends["upper"]
        return frame

    def notes(self) -> list[str]:
        """How many replicates there are, how precise the errors, which replicates were special."""
        share = np.nanmax(np.divide(self.mcse, self.std_error, where=self.std_error > 0, out=np.zeros_like(self.mcse)))
        lines = [
            f"{len(self.complete)} of {len(self.estimates)} replicates; Monte Carlo error of a standard error at most "
            f"{100 * share:.2g}% of it",
            f"what is drawn again: {self.unit}",
        ]
        every = [x for x, stuck in zip(self.labels, self.stuck, strict=True) if stuck]
        where = "is at the edge of its support in"
        lines += [f"{label} {where} {count} replicates" for label, count in self.edges.items() if label not in every]
        one_sided = "no spread and no interval from replicates; the profile likelihood gives a one-sided one"
        lines += [f"{label} {where} every replicate: {one_sided}" for label in every]
        return lines + [str(check) for check in self.checks if check.status != "ok"]


def _units(problem: Problem, kind: str, count: int) -> Units | None:
    """What is drawn again; None for whole data sets. What cannot be drawn again is refused."""
    if kind not in get_args(Kind):
        raise InputError(f"there is no bootstrap of kind {kind!r}", "kind", f"say one of {', '.join(get_args(Kind))}")
    if isinstance(count, bool) or int(count) != count or count < 2:
        raise InputError(f"{count} replicates", "replicates", "ask for a whole number of at least 2")
    if kind == "parametric":
        return None
    units = independent_units(problem)
    for name, urn in units.urns.items():
        if urn.size < units.least:
            raise RefusalError(
                f"the {kind} bootstrap is refused: {units.too_few(name)}", name,
                units.remedy,
            )  # fmt: skip
    return units


def _described(problem: Problem, units: Units | None) -> str:
    """What is drawn again, in words."""
    latents = ", ".join(problem.density.latents)
    return units.text if units else f"a data set{f', with {latents} drawn anew' if latents else ''}"


def _drawn_weights(kind: str, units: Units, generator: np.random.Generator) -> Vector:
    """Random weights of the units, shape ``(n,)``; those of every urn add up to their number."""
    weights = np.empty(units.count)
    for urn in units.urns.values():
        n = urn.size
        if kind == "nonparametric":
            weights[urn] = generator.multinomial(n, np.full(n, 1.0 / n))
        else:
            drawn = generator.standard_exponential(n)
            weights[urn] = drawn * (n / drawn.sum())
    return weights


def _objectives(
    problem: Problem, units: Units | None, x: Vector, kind: str, count: int, seed: int
) -> Iterator[Objective]:
    """The likelihood of every replicate; number b depends on the seed and b alone."""
    if units is not None:
        for b in range(count):
            yield units.weighted(_drawn_weights(kind, units, np.random.default_rng((seed, b))))
        return
    simulator = Simulator(problem.density, problem.chart.names)
    theta = {name: array[0] for name, array in problem.chart.theta(x[None]).items()}
    for b in range(count):
        yield problem.on(simulator(theta, (seed, b)))


def bootstrap_maximum(
    problem: Problem,
    mode: Mode,
    count: int = 1000,
    kind: Kind = "parametric",
    level: float = 0.95,
    seed: int = 0,
    progress: Callable[[str, int, int], Any] | None = None,
) -> Bootstrap:
    """The maximum of the likelihood of many replicates of the data.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.
    count : int
        Replicates.
    kind : {"parametric", "nonparametric", "bayesian"}
    level : float
        Probability of the intervals in the table.
    seed : int
    progress : callable, optional
        Called as ``progress(task, done, total)``.

    Returns
    -------
    Bootstrap

    Raises
    ------
    InputError
        If the kind is unknown or there are fewer than two replicates.
    RefusalError
        If data cannot be simulated, or there are too few units to draw from: one observation, less than five blocks of
        latent variables.
    NumericalError
        If no replicate has a maximum.

    References
    ----------
    Efron, B. and Tibshirani, R. (1993). An Introduction to the Bootstrap. Chapman and Hall.
    Rubin, D. (1981). The Bayesian bootstrap. doi:10.1214/aos/1176345338
    """
    problem = as_at_the_maximum(problem, mode)
    units = _units(problem, kind, count)
    chart = problem.chart
    x = mode.z[chart.coordinates]
    fit = refitter_at(problem, mode)
    points, edges, failures = np.empty((count, x.size)), {}, {}
    slopes = np.empty((count, x.size))
    for b, objective in enumerate(_objectives(problem, units, x, kind, count, seed)):
        points[b], edges[b], failures[b] = fit(objective)
        slopes[b] = objective.value_and_gradient(x)[1] if kind == "parametric" else 0.0
        if progress is not None and b % 50 == 0:
            progress("bootstrap", b, count)
    estimates = chart.scalars(points)
    for b, values in edges.items():
        for label, value in values.items():
            estimates[b, mode.labels.index(label)] = value
    angles = np.isin(np.arange(estimates.shape[1]), angles_of(chart))
    estimates = Turn(angles, mode.estimate).folded(estimates)  # on both sides of the maximum, and not a turn away
    estimates[[b for b, reason in failures.items() if reason]] = np.nan
    good = estimates[np.isfinite(estimates).all(axis=1)]
    if len(good) < 2:
        raise NumericalError(f"only {len(good)} of {count} replicates have a maximum", kind, "use the profile")
    acceleration = np.full(estimates.shape[1], np.nan)
    if kind != "bayesian":
        acceleration = _acceleration(fit, units, x, mode, count, slopes)
    error, kurtosis = good.std(axis=0, ddof=1), np.ones(good.shape[1])
    varies = error > _ROUNDING * np.abs(good).max(axis=0)
    error[~varies & (error > 0)] = np.nan  # a constant, such as the diagonal of a correlation matrix, and its rounding
    kurtosis[varies] = stats.kurtosis(good[:, varies], axis=0, fisher=False)
    at_edge = Counter(label for b, values in edges.items() if not failures[b] for label in values)
    error[[at_edge[label] == len(good) for label in mode.labels]] = np.nan
    reasons = Counter(reason for reason in failures.values() if reason)
    return Bootstrap(
        (_completeness(reasons, count), *(units.checks if units else look_at_limits(problem.density))),
        kind,
        level,
        _described(problem, units),
        mode.labels,
        mode.estimate,
        mode.errors,
        estimates,
        error,
        error * np.sqrt((kurtosis - 1.0) / (4 * len(good))),
        good.mean(axis=0) - mode.estimate,
        acceleration,
        dict(reasons),
        dict(at_edge),
    )


def _completeness(reasons: Counter[str], count: int) -> Check:
    """Whether every replicate has a maximum."""
    missing = sum(reasons.values())
    if not missing:
        return Check("replicates-complete", "ok", f"all {count} replicates have a maximum")
    status: Status = "caution" if missing <= _TOO_MANY * count else "failed"
    named = "; ".join(f"{number} because {reason}" for reason, number in reasons.items())
    return Check(
        "replicates-complete", status, f"{missing} of {count} replicates have no estimate: {named}",
        "they are left out of the numbers above, which are too narrow by that much: trust the profile likelihood",
    )  # fmt: skip


def _acceleration(
    fit: Refitter, units: Units | None, x: Vector, mode: Mode, count: int, slopes: NDArray[np.float64]
) -> Vector:
    """The acceleration of every scalar, shape ``(k,)``; NaN for those at an edge.

    Parametric: a sixth of the skewness of the score along the least favourable direction I^-1 dt/dx, over the data
    sets that were drawn (Efron 1987, section 4). Nonparametric: from leaving out each unit in turn, or where that costs
    more climbs than the bootstrap itself, from the scores, which give the same up to 1/n.
    """
    if mode.at_edge:
        return np.full(len(mode.labels), np.nan)
    covariance = fit.curvature.covariance
    lengths = np.sqrt(np.diag(covariance))
    towards = jacobian(fit.problem.chart.scalars, x, lengths) @ covariance
    if units is None:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nan_to_num(np.asarray(stats.skew(slopes @ towards.T, axis=0))) / 6
    left_out = _left_out(fit, units) if units.count <= count else None
    if left_out is None:
        scores, _ = units.along(x, np.diag(lengths))
        left_out = (scores / lengths) @ towards.T
    return acceleration_from(left_out)


def _left_out(fit: Refitter, units: Units) -> NDArray[np.float64] | None:
    """Influence of each unit, (n - 1)/n (mean - theta without it), shape ``(n, k)``; None if a climb failed."""
    chart, found = fit.problem.chart, []
    for urn in units.urns.values():
        n = urn.size
        points = np.empty((n, chart.dimension))
        for j, unit in enumerate(urn):
            weights = np.ones(units.count)
            weights[unit] = 0.0
            points[j], edges, failure = fit(units.weighted(weights))
            if edges or failure:
                return None
        estimates = chart.scalars(points)
        found.append((n - 1) / n * (estimates.mean(axis=0) - estimates))
    return np.concatenate(found)
