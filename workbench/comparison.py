"""The MLE beside the MAP beside the posterior, one row a scalar, and why they differ.

The difference between posterior mean and MLE, in standard errors of the MLE, is taken apart into two measured steps:

    (mean - MLE) / se  =  (MAP - MLE) / se   +   (mean - MAP) / se
                          the prior's pull       the asymmetry of the posterior

The first step is what adding log p(theta) to the log likelihood does to its maximum; the second is what integrating
does that maximising does not. `workbench.causes` names the cause of a difference from these and a few more measures.

With enough data, a maximum inside the support and a prior that is smooth there, the posterior approaches
Normal(MLE, covariance) (Bernstein and von Mises). How far it is from that is measured as the largest distance of the
two distribution functions; where it is small, frequentist and Bayesian numbers may stand in for each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from workbench.causes import Measures, find_causes, in_words
from workbench.errors import Absence
from workbench.likelihood.latents import Latents
from workbench.model.mode import Mode
from workbench.numerics.objective import Vector
from workbench.posterior.mode import PosteriorMode
from workbench.result import Result

_BINS = 40  # of equal posterior probability, for the area that two distributions share
_CLOSE = 0.05  # probability: a distance of distribution functions that changes no conclusion


@dataclass(frozen=True, repr=False, eq=False)
class Comparison(Result):
    """MLE, MAP and posterior of every scalar; NaN stands where a column is refused, with the reason in `refused`.

    Attributes
    ----------
    labels : tuple of str
    level : float
        Probability of all intervals.
    mle, mle_error, wald_lower, wald_upper : ndarray, shape (k,)
        Maximum of the likelihood, its standard error, Wald interval.
    profile_lower, profile_upper : ndarray, shape (k,)
        Profile likelihood interval; infinite on a side that the data leave open.
    map : ndarray, shape (k,)
        Mode of prior * likelihood in theta.
    mean, median, sd, mcse, eti_lower, eti_upper, hdi_lower, hdi_upper : ndarray, shape (k,)
        Posterior mean and its Monte Carlo error, median, standard deviation, equal-tailed and highest-density
        interval.
    shift, pull, asymmetry : ndarray, shape (k,)
        (mean - MLE), (MAP - MLE) and (mean - MAP), in standard errors of the MLE.
    skewness : ndarray, shape (k,)
        Of the posterior draws.
    overlap : ndarray, shape (k,)
        Area that the posterior and Normal(MLE, std_error) share; 1 where they are the same.
    prior_observations : ndarray, shape (k,)
        Weight of the prior as a number of observations: n ((se without / se with the prior)^2 - 1), from the
        two curvatures at the MAP.
    contraction : ndarray, shape (k,)
        1 - (posterior sd / prior sd)^2: 0 where the data said nothing, 1 where they said everything.
    distance : ndarray, shape (k,)
        Largest distance of the distribution functions of the posterior and Normal(MLE, std_error), probability.
    causes : tuple of tuple of str
        Per scalar, the causes of a difference, of `workbench.causes.CAUSES`; empty where there is none.
    reasons : tuple of str
        Per scalar, the same in words with the numbers, or that they agree.
    refused : dict of str to str
        Column -> why it is missing.
    """

    labels: tuple[str, ...]
    level: float
    mle: Vector
    mle_error: Vector
    wald_lower: Vector
    wald_upper: Vector
    profile_lower: Vector
    profile_upper: Vector
    map: Vector
    mean: Vector
    median: Vector
    sd: Vector
    mcse: Vector
    eti_lower: Vector
    eti_upper: Vector
    hdi_lower: Vector
    hdi_upper: Vector
    shift: Vector
    pull: Vector
    asymmetry: Vector
    skewness: Vector
    overlap: Vector
    prior_observations: Vector
    contraction: Vector
    distance: Vector
    causes: tuple[tuple[str, ...], ...]
    reasons: tuple[str, ...]
    refused: dict[str, str]
    title: ClassVar[str] = "MLE | MAP | posterior"

    def table(self) -> pd.DataFrame:
        """One row a scalar; every interval with its kind and level."""
        percent = f"{100 * self.level:g}%"
        columns = {
            "MLE": self.mle,
            "std_error": self.mle_error,
            f"Wald {percent} lower": self.wald_lower,
            f"Wald {percent} upper": self.wald_upper,
            f"profile {percent} lower": self.profile_lower,
            f"profile {percent} upper": self.profile_upper,
            "MAP": self.map,
            "mean": self.mean,
            "mcse": self.mcse,
            "sd": self.sd,
            "median": self.median,
            f"ETI {percent} lower": self.eti_lower,
            f"ETI {percent} upper": self.eti_upper,
            f"HDI {percent} lower": self.hdi_lower,
            f"HDI {percent} upper": self.hdi_upper,
            "shift / se": self.shift,
            "pull / se": self.pull,
            "overlap": self.overlap,
            "prior as observations": self.prior_observations,
            "skewness": self.skewness,
        }
        kept = {name: column for name, column in columns.items() if not np.all(np.isnan(column))}
        return pd.DataFrame({**kept, "why": self.reasons}, index=list(self.labels))

    def notes(self) -> list[str]:
        """Missing columns and why, and whether Normal(MLE, covariance) may stand in for the posterior."""
        lines = [f"no {column}: {reason}" for column, reason in self.refused.items()]
        return [*lines, *self.normality(), *super().notes()]

    def normality(self) -> list[str]:
        """The Bernstein-von Mises line: how far the posterior is from Normal(MLE, covariance)."""
        known = np.isfinite(self.distance)
        if not known.any():
            return []
        worst = int(np.nanargmax(self.distance))
        # A distance of draws from a distribution is at least the noise of the draws (Kolmogorov's 95% point).
        noise = min(1.36 * self.mcse[worst] / self.sd[worst], _CLOSE)
        far = float(self.distance[worst])
        verdict = "may" if far < _CLOSE + noise and not np.isnan(self.mle_error).any() else "may not"
        return [
            f"the posterior is within {far:.2f} of Normal(MLE, std_error) in probability, farthest for "
            f"{self.labels[worst]}: Wald and credible intervals {verdict} stand in for each other"
        ]


@dataclass(frozen=True)
class Context:
    """What the causes of a difference are judged by, besides the three answers.

    Attributes
    ----------
    n_observations, n_parameters : int
    groups : float
        Values of the latent variable that has the fewest; infinite where there is none.
    modes : int
        Distinct maxima of the likelihood or the posterior that were found.
    support : dict of str to (lower, upper)
        Label -> finite edges of its support; infinite where there is none.
    prior_sd : dict of str to float
        Label -> standard deviation of the prior.
    error_at_map : dict of str to float
        Label -> standard error from the curvature of the likelihood alone at the MAP.
    latents : Latents or None
        Estimates of the latent variables at the maximum of the likelihood.
    bounds : dict of str to (lower, upper)
        Label -> profile likelihood interval.
    absence : str or None
        What stands instead of a maximum of the likelihood, one of `workbench.errors.Absence`.
    """

    n_observations: int
    n_parameters: int
    groups: float
    modes: int
    support: dict[str, tuple[float, float]]
    prior_sd: dict[str, float]
    error_at_map: dict[str, float]
    latents: Latents | None
    bounds: dict[str, tuple[float, float]]
    absence: Absence | None


def _at(labels: tuple[str, ...], found: tuple[str, ...], values: Vector) -> Vector:
    """Values by label in the order of these labels; NaN for what is not there."""
    known = dict(zip(found, values, strict=True))
    return np.array([known.get(label, np.nan) for label in labels])


def _maximum(labels: tuple[str, ...], mle: Mode | None, latents: Latents | None) -> tuple[Vector, Vector]:
    """Estimates and standard errors of the likelihood's maximum, with the latent variables at theirs."""
    estimate, error = np.full(len(labels), np.nan), np.full(len(labels), np.nan)
    for part, errors in (
        (mle, None if mle is None else mle.errors),
        (latents, None if latents is None else latents.std_error),
    ):
        if part is not None and errors is not None:
            new = _at(labels, part.labels, part.estimate)
            estimate = np.where(np.isnan(new), estimate, new)
            new = _at(labels, part.labels, errors)
            error = np.where(np.isnan(new), error, new)
    return estimate, np.where(error > 0, error, np.nan)


def _shared(column: Vector, estimate: float, error: float) -> tuple[float, float]:
    """Area that draws share with a normal distribution, and the largest distance of the distribution functions."""
    if not np.isfinite(error):
        return float("nan"), float("nan")
    edges = np.quantile(column, np.linspace(0, 1, _BINS + 1)[1:-1])
    mass = np.diff(np.concatenate([[0.0], stats.norm.cdf(edges, estimate, error), [1.0]]))
    heights, n = stats.norm.cdf(np.sort(column), estimate, error), column.size
    distance = max(np.max(np.arange(1, n + 1) / n - heights), np.max(heights - np.arange(n) / n))
    return float(np.minimum(mass, 1.0 / _BINS).sum()), float(distance)


def compare(
    labels: tuple[str, ...],
    draws: NDArray[np.float64],
    mle: Mode | None,
    map_: PosteriorMode | None,
    refused: dict[str, str],
    level: float,
    context: Context,
) -> Comparison:
    """The three answers side by side.

    Parameters
    ----------
    labels : tuple of str
        Scalars, deterministics and latent variables included.
    draws : ndarray, shape (chains, draws, k)
        Posterior draws of the scalars.
    mle : Mode or None
        None where the maximum is refused.
    map_ : PosteriorMode or None
    refused : dict of str to str
        Why one of them is None.
    level : float
        Probability of the intervals.
    context : Context

    Returns
    -------
    Comparison
    """
    nothing, n = np.full(len(labels), np.nan), context.n_observations
    flat = draws.reshape(-1, draws.shape[-1])
    posterior = _summarised(draws, level)
    mean, sd, mcse = posterior["mean"], posterior["sd"], posterior["mcse"]
    estimate, error = _maximum(labels, mle, context.latents)
    half = stats.norm.ppf(0.5 + level / 2) * error
    lower, upper = np.array([context.bounds.get(label, (np.nan, np.nan)) for label in labels]).T
    mode = nothing if map_ is None else _at(labels, map_.map.labels, map_.map.estimate)
    mode_error = nothing if map_ is None else _at(labels, map_.map.labels, map_.map.errors)
    alone = np.array([context.error_at_map.get(label, np.nan) for label in labels])
    prior_sd = np.array([context.prior_sd.get(label, np.nan) for label in labels])
    with np.errstate(divide="ignore", invalid="ignore"):
        shift, pull, asymmetry = (mean - estimate) / error, (mode - estimate) / error, (mean - mode) / error
        weight = n * np.maximum((alone / mode_error) ** 2 - 1.0, 0.0)
        contraction = 1.0 - (sd / prior_sd) ** 2
    shared = [_shared(column, e, s) for column, e, s in zip(flat.T, estimate, error, strict=True)]
    skewness = posterior["skewness"]
    measures = [
        Measures(
            label, estimate[i], error[i], mean[i], sd[i], mcse[i], shift[i], pull[i], asymmetry[i], skewness[i],
            contraction[i], context.support.get(label, (-np.inf, np.inf)),
            at_edge=mle is not None and label in mle.at_edge,
            latent=context.latents is not None and label in context.latents.labels,
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip
    each, groups = n / max(context.n_parameters, 1), context.groups
    causes = [find_causes(m, each, groups, context.modes, context.absence) for m in measures]
    return Comparison(
        checks=(),
        labels=labels,
        level=level,
        mle=estimate,
        mle_error=error,
        wald_lower=estimate - half,
        wald_upper=estimate + half,
        profile_lower=lower,
        profile_upper=upper,
        map=mode,
        **posterior,
        shift=shift,
        pull=pull,
        asymmetry=asymmetry,
        overlap=np.array([area for area, _ in shared]),
        prior_observations=weight,
        contraction=contraction,
        distance=np.array([distance for _, distance in shared]),
        causes=tuple(tuple(found) for found in causes),
        reasons=tuple(in_words(m, found) for m, found in zip(measures, causes, strict=True)),
        refused=refused,
    )


def _summarised(draws: NDArray[np.float64], level: float) -> dict[str, Vector]:
    """Location, spread, Monte Carlo error, shape and intervals of every scalar's draws, by field of `Comparison`."""
    from arviz_stats.base import array_stats

    flat, tail = draws.reshape(-1, draws.shape[-1]), (1 - level) / 2
    constant = np.ptp(flat, axis=0) == 0  # whose mean and sd would be made of rounding
    mean = np.where(constant, flat[0], flat.mean(axis=0))
    sd = np.where(constant, 0.0, flat.std(axis=0, ddof=1))
    mcse = np.zeros(sd.size)
    if (~constant).any() and draws.shape[1] >= 4:
        mcse[~constant] = array_stats.mcse(draws[..., ~constant], method="mean", chain_axis=0, draw_axis=1)
    hdi = np.stack([array_stats.hdi(column, prob=level) for column in flat.T])
    return {
        "mean": mean,
        "median": np.median(flat, axis=0),
        "sd": sd,
        "mcse": mcse,
        "eti_lower": np.quantile(flat, tail, axis=0),
        "eti_upper": np.quantile(flat, 1 - tail, axis=0),
        "hdi_lower": hdi[:, 0],
        "hdi_upper": hdi[:, 1],
        "skewness": np.where(constant, 0.0, ((flat - mean) ** 3).mean(axis=0) / np.where(constant, 1.0, sd) ** 3),
    }
