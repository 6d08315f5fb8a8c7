"""The MLE beside the MAP beside the posterior, one row a scalar, and why they differ.

The difference between posterior mean and MLE, in standard errors of the MLE, is taken apart into two measured steps:

    (mean - MLE) / se  =  (MAP - MLE) / se   +   (mean - MAP) / se
                          the prior's pull       the asymmetry of the posterior

The first step is what adding log p(theta) to the log likelihood does to its maximum; the second is what integrating
does that maximising does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from workbench.model.mode import Mode
from workbench.numerics.objective import Vector
from workbench.posterior.mode import PosteriorMode
from workbench.result import Result

AGREE = 0.1  # standard errors within which two numbers are called the same
_NARROWER = 0.9  # posterior sd over standard error, below which the prior has added visible information


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
    map : ndarray, shape (k,)
        Mode of prior * likelihood in theta.
    mean, median, sd, mcse, eti_lower, eti_upper, hdi_lower, hdi_upper : ndarray, shape (k,)
        Posterior mean and its Monte Carlo error, median, standard deviation, equal-tailed and highest-density
        interval.
    shift, pull, asymmetry : ndarray, shape (k,)
        (mean - MLE), (MAP - MLE) and (mean - MAP), in standard errors of the MLE.
    skewness : ndarray, shape (k,)
        Of the posterior draws.
    reasons : tuple of str
        Per scalar, why the columns differ or that they agree.
    refused : dict of str to str
        Column -> why it is missing.
    """

    labels: tuple[str, ...]
    level: float
    mle: Vector
    mle_error: Vector
    wald_lower: Vector
    wald_upper: Vector
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
        }
        kept = {name: column for name, column in columns.items() if not np.all(np.isnan(column))}
        return pd.DataFrame({**kept, "why": self.reasons}, index=list(self.labels))

    def notes(self) -> list[str]:
        """Missing columns and why."""
        return [f"no {column}: {reason}" for column, reason in self.refused.items()] + super().notes()


def _reason(shift: float, pull: float, asymmetry: float, ratio: float, skewness: float, noise: float) -> str:
    """Why posterior mean and MLE differ, in words with the measured numbers."""
    if np.isnan(shift):
        return "no MLE to compare with"
    narrow = f"; the prior narrows the error to {ratio:.2f} of the MLE's" if ratio < _NARROWER else ""
    if abs(shift) < AGREE + 3 * noise:
        return f"they agree: {abs(shift):.2f} standard errors apart{narrow}"
    causes = []
    if np.isnan(pull):
        return f"{abs(shift):.2f} standard errors apart; without a MAP the cause is not measured{narrow}"
    if abs(pull) >= 0.3 * abs(shift):
        causes.append(f"the prior pulls the maximum by {pull:+.2f} se")
    if abs(asymmetry) >= 0.3 * abs(shift):
        causes.append(
            f"the posterior is skewed (skewness {skewness:+.2f}), its mean lies {asymmetry:+.2f} se past its mode"
        )
    return " and ".join(causes) + narrow


def _at(labels: tuple[str, ...], mode: Mode, values: Vector) -> Vector:
    """Values of a mode's scalars in the order of these labels; NaN for what it does not have, such as latents."""
    found = dict(zip(mode.labels, values, strict=True))
    return np.array([found.get(label, np.nan) for label in labels])


def compare(
    labels: tuple[str, ...],
    draws: NDArray[np.float64],
    mle: Mode | None,
    map_: PosteriorMode | None,
    refused: dict[str, str],
    level: float,
) -> Comparison:
    """The three answers side by side.

    Parameters
    ----------
    labels : tuple of str
        Scalars. Those that a mode does not have, such as latent variables, have no MLE and no MAP.
    draws : ndarray, shape (chains, draws, k)
        Posterior draws of the scalars.
    mle : Mode or None
        None where the maximum is refused.
    map_ : PosteriorMode or None
    refused : dict of str to str
        Why one of them is None.
    level : float
        Probability of the intervals.

    Returns
    -------
    Comparison
    """
    from arviz_stats.base import array_stats

    nothing = np.full(len(labels), np.nan)
    flat = draws.reshape(-1, draws.shape[-1])
    tail = (1 - level) / 2
    mean, sd = flat.mean(axis=0), flat.std(axis=0, ddof=1)
    constant = sd == 0
    mcse = np.zeros(len(labels))
    if (~constant).any() and draws.shape[1] >= 4:
        mcse[~constant] = array_stats.mcse(draws[..., ~constant], method="mean", chain_axis=0, draw_axis=1)
    hdi = np.stack([array_stats.hdi(column, prob=level) for column in flat.T])
    estimate, error = (
        (nothing, nothing) if mle is None else (_at(labels, mle, mle.estimate), _at(labels, mle, mle.errors))
    )
    half = stats.norm.ppf(1 - tail) * error
    mode = nothing if map_ is None else _at(labels, map_.map, map_.map.estimate)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift, pull, asymmetry = (mean - estimate) / error, (mode - estimate) / error, (mean - mode) / error
        ratio, noise = sd / error, mcse / error
        skewness = np.where(constant, 0.0, ((flat - mean) ** 3).mean(axis=0) / np.where(constant, 1.0, sd) ** 3)
    rows = zip(shift, pull, asymmetry, ratio, skewness, noise, strict=True)
    return Comparison(
        checks=(),
        labels=labels,
        level=level,
        mle=estimate,
        mle_error=error,
        wald_lower=estimate - half,
        wald_upper=estimate + half,
        map=mode,
        mean=mean,
        median=np.median(flat, axis=0),
        sd=sd,
        mcse=mcse,
        eti_lower=np.quantile(flat, tail, axis=0),
        eti_upper=np.quantile(flat, 1 - tail, axis=0),
        hdi_lower=hdi[:, 0],
        hdi_upper=hdi[:, 1],
        shift=shift,
        pull=pull,
        asymmetry=asymmetry,
        skewness=skewness,
        reasons=tuple(_reason(*(float(x) for x in row)) for row in rows),
        refused=refused,
    )
