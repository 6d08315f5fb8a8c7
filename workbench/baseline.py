"""A baseline to be beaten: what one predicts who knows the other observations and nothing else.

A cross-entropy alone says little, and for continuous data its value hangs on the unit of y. The difference to a
baseline does not. It is scored like the model, leave-one-out, each in closed form over the other n - 1 observations:

    continuous  y_i ~ Normal(mean, sd of the others)                                  "Normal"
    labels      p(y_i) = share of y_i among the others                                "frequencies"
                p(y_i) = (count + 1/2) / (n - 1 + K/2), if a label occurs only once   "frequencies, half a count added"
    counts      frequencies, if every value occurs twice; else the Normal rounded to whole numbers

The half count is the estimate of Krichevsky and Trofimov; without it what occurs once would have probability 0.

References: Krichevsky and Trofimov 1981, doi:10.1109/TIT.1981.1056331.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import log_ndtr

from workbench.errors import RefusalError

_SAME = 1e-12  # spread relative to size that is rounding


@dataclass(frozen=True)
class Baseline:
    """A named predictor and its leave-one-out scores.

    Attributes
    ----------
    name : str
    scores : ndarray, shape (n,)
        Log probability (density) of each observation given the others, nats.
    """

    name: str
    scores: NDArray[np.float64]


def baseline_for(values: NDArray, kind: str, where: str = "observations") -> Baseline:
    """The baseline that suits the observations.

    Parameters
    ----------
    values : ndarray, shape (n,) or (n, k)
        Observations; with k columns each is a vector, and the columns are predicted independently.
    kind : {"continuous", "labels", "counts", "mixed"}
    where : str
        Name of the observed variable, for messages.

    Returns
    -------
    Baseline

    Raises
    ------
    RefusalError
        If there is no baseline: fewer than three observations, all others equal, a mixture of densities and
        probabilities, or vectors of counts.
    """
    if len(values) < 3:
        raise RefusalError("a baseline needs three observations", where, "compare with another model")
    if kind == "mixed":
        raise RefusalError("some observations have a density and some a probability, which no simple baseline has",
                           where, "compare with another model")  # fmt: skip
    if kind == "continuous":
        return Baseline("Normal with the mean and sd of the others",
                        _normal(_columns(values), where))  # fmt: skip
    if values.ndim > 1:
        raise RefusalError("there is no baseline for vectors of counts", where, "compare with another model")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    n, times = len(values), counts[place]
    if times.min() > 1:
        return Baseline("frequencies of the others", np.log((times - 1) / (n - 1)))
    if kind == "labels":
        share = (times - 0.5) / (n - 1 + len(counts) / 2)
        return Baseline("frequencies of the others, half a count added to each outcome", np.log(share))
    return Baseline("Normal with the mean and sd of the others, rounded to whole numbers", _rounded(values, where))


def _columns(values: NDArray) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(len(values), -1)


def _others(columns: NDArray[np.float64], where: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (divisor n - 1 of n - 1 values) without each row, shapes ``(n, k)``."""
    n = len(columns)
    away = columns - columns.mean(axis=0)  # so that nothing large is subtracted from something large
    square = np.sum(away**2, axis=0)
    mean = -away / (n - 1)
    variance = (square - away**2) / (n - 1) - mean**2
    if np.any(variance <= _SAME * np.maximum(columns.var(axis=0), 1e-300)):
        raise RefusalError("all other observations are equal, so that a Normal has no width", where,
                           "compare with another model")  # fmt: skip
    return mean + columns.mean(axis=0), np.sqrt(variance)


def _normal(columns: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    mean, sd = _others(columns, where)
    return np.sum(stats.norm.logpdf(columns, mean, sd), axis=1)


def _rounded(values: NDArray, where: str) -> NDArray[np.float64]:
    """Log probability of the interval of width one around each value, from the tail in which it is not small."""
    columns = _columns(values)
    mean, sd = (a[:, 0] for a in _others(columns, where))
    away = -np.abs(columns[:, 0] - mean)  # below the mean, where the distribution function is accurate
    upper, lower = log_ndtr((away + 0.5) / sd), log_ndtr((away - 0.5) / sd)
    return upper + np.log1p(-np.exp(lower - upper))
