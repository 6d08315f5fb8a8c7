"""How far averages over draws are from what infinitely many draws would give, and how two such averages move together.

For a quantity g at S draws the error of its mean is sd(g) / sqrt(effective draws). What is a smooth function of
several means has, to first order, the error of the mean of one quantity: its influence, the sum of the g's weighted
by the slopes. So one effective size accounts for all correlations, between the g's and along the chains.
"""

from __future__ import annotations

import contextlib

import numpy as np
from numpy.typing import NDArray

_FEWEST = 50  # draws of which a tail can be told
_TINY = 1e-12  # relative spread below which values differ by rounding alone


def _constant(values: NDArray[np.float64]) -> bool:
    return bool(np.ptp(values) <= _TINY * np.max(np.abs(values)))


def mcse_of_mean(values: NDArray[np.float64]) -> float:
    """Monte Carlo standard error of the mean of draws.

    Parameters
    ----------
    values : ndarray, shape (chains, draws)

    Returns
    -------
    float
        In the unit of the values; 0 where all are equal, NaN with fewer than four draws a chain.

    References
    ----------
    Vehtari and others 2021, doi:10.1214/20-BA1221.
    """
    from arviz_stats.base import array_stats

    if _constant(values):
        return 0.0
    return float(array_stats.mcse(values, method="mean", chain_axis=0, draw_axis=1))


def mcse_of_variance(values: NDArray[np.float64]) -> float:
    """Monte Carlo standard error of the variance of draws: that of the mean of (g - E g)^2.

    Parameters
    ----------
    values : ndarray, shape (chains, draws)

    Returns
    -------
    float
        In the unit of the values squared.
    """
    return mcse_of_mean((values - values.mean()) ** 2)


def covariance_of_means(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Covariance of the means of two quantities over the same draws, autocorrelation included.

    From the errors of the means of the sum and the difference, cov(a, b) = [var(a + b) - var(a - b)] / 4, each in
    units of its own error, so that no correlation leaves [-1, 1].

    Parameters
    ----------
    first, second : ndarray, shape (chains, draws)

    Returns
    -------
    float
        In the product of the two units.
    """
    a, b = mcse_of_mean(first), mcse_of_mean(second)
    if not a > 0 or not b > 0:  # one of them does not vary, or the draws are too few
        return 0.0
    plus, minus = mcse_of_mean(first / a + second / b), mcse_of_mean(first / a - second / b)
    return float(np.clip((plus**2 - minus**2) / 4, -1.0, 1.0)) * a * b


def tail_index(values: NDArray[np.float64]) -> float:
    """Pareto k of the heavier tail of independent draws: moments of order 1 / k and above are infinite.

    Parameters
    ----------
    values : ndarray, shape (m,)

    Returns
    -------
    float
        1 for a Cauchy, near 0 for an exponential tail, negative for a bounded one; minus infinity for constants, for
        fewer draws than a tail needs, and where both tails are many times the same number, such as a bound.

    References
    ----------
    Vehtari and others 2024, jmlr.org/papers/v25/19-556.html.
    """
    from arviz_stats.base import array_stats

    if values.size < _FEWEST or _constant(values):
        return -np.inf
    found = [-np.inf]
    for tail in ("left", "right"):
        with contextlib.suppress(ValueError):  # all of it is one number: nothing lies beyond
            found.append(array_stats.pareto_khat(values[None, :], chain_axis=0, draw_axis=1, r_eff=1.0, tail=tail))
    return float(np.max(found))
