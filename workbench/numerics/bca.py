"""Bias-corrected and accelerated (BCa) bootstrap intervals of one scalar.

    alpha -> Phi(z0 + (z0 + z_alpha) / (1 - a (z0 + z_alpha))),    z0 = Phi^-1(share of draws below the estimate),

with the acceleration a = sum e^3 / (6 (sum e^2)^(3/2)) from the influence e of each observation on the estimate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from workbench.numerics.objective import Vector

_TIE = 1e-9  # standard deviations: estimates from counts are equal in theory and differ by rounding


def accelerated_interval(draws: Vector, estimate: float, acceleration: float, level: float) -> tuple[float, float]:
    """The BCa interval of one scalar.

    Parameters
    ----------
    draws : ndarray, shape (B,)
        Bootstrap estimates.
    estimate : float
        From the data themselves.
    acceleration : float
    level : float
        In (0, 1).

    Returns
    -------
    lower, upper : float
        NaN where all draws lie on one side of the estimate, or there is no acceleration.

    References
    ----------
    Efron, B. (1987). Better bootstrap confidence intervals. doi:10.1080/01621459.1987.10478410
    """
    tie = _TIE * draws.std()
    share = (np.mean(draws < estimate - tie) + np.mean(draws <= estimate + tie)) / 2
    shift = special.ndtri(share)
    if not (np.isfinite(shift) and np.isfinite(acceleration)):
        return np.nan, np.nan
    moved = shift + special.ndtri([(1 - level) / 2, (1 + level) / 2])
    with np.errstate(divide="ignore"):
        shares = special.ndtr(shift + moved / (1 - acceleration * moved))
    lower, upper = np.percentile(draws, 100 * shares)
    return float(lower), float(upper)


def acceleration_from(influence: NDArray[np.float64]) -> Vector:
    """The acceleration of every scalar.

    Parameters
    ----------
    influence : ndarray, shape (n, k)
        Of each observation on each scalar, with mean 0 by sample.

    Returns
    -------
    ndarray, shape (k,)
        0 where no observation has influence.
    """
    square = np.sum(influence**2, axis=0)
    return np.divide(np.sum(influence**3, axis=0), 6 * square**1.5, out=np.zeros_like(square), where=square > 0)
