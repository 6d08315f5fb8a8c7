"""The mean of exp(l) over draws, with its error: importance reweighting, Pareto-smoothed.

    log p(y)' - log p(y) = log E_post[exp(l)],   l = log of the new density over the old one

The mean hangs on the largest terms. Their tail is replaced by that of a fitted generalised Pareto distribution, whose
shape k says whether the mean can be known from these draws at all: up to 0.7 it can, beyond it cannot, however small
its standard error looks (Vehtari and others 2024, https://jmlr.org/papers/v25/19-556.html).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from workbench.errors import NumericalError
from workbench.evidence.bridge_equation import effective_size
from workbench.numerics.objective import Vector

Matrix = NDArray[np.float64]

TAIL_LIMIT = 0.7  # Pareto k (Vehtari and others 2024)
# A larger error of one step calls for new draws, too. The log of a mean is low by half of its variance or more: with
# steps of 0.1 nats the sum of seventeen in 40 dimensions was measured 3 to 4 of its errors low, with 0.05 within one.
_ERROR_LIMIT = 0.05  # nats
_MOST_REFITS = 40  # of one walk
_HALVINGS = 6  # of a step that cannot be bridged
_HEAVY = 0.5  # Pareto k from which the variance is infinite: what smoothing changes is then a part of the error
_NO_TAIL = 1.5  # times the mean: where no term exceeds it there is no tail
_NEGLIGIBLE = -700.0  # nats below the largest: exp underflows


@dataclass(frozen=True)
class Reweighted:
    """The log of a mean of exp(l), and the draws as a weighted sample of the new density.

    Attributes
    ----------
    log_mean, error : float
        Nats.
    pareto_k : float
        Of the terms; 0 where they have no tail.
    weights : ndarray, shape (chains, draws)
        Of the draws under the new density; they sum to one.
    """

    log_mean: float
    error: float
    pareto_k: float
    weights: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Share of the draws that count under the new density, in (0, 1]: Kong's 1 / (m sum of squared weights)."""
        return float(1.0 / (self.weights.size * np.sum(self.weights**2)))

    def expectation(self, array: NDArray[np.float64]) -> tuple[float, float]:
        """The mean of a quantity of shape ``(chains, draws)`` under the new density, and its standard error."""
        mean = float(np.sum(self.weights * array))
        influence = self.weights.size * self.weights * (array - mean)
        return mean, float(influence.std() / np.sqrt(effective_size(influence)))


def _smoothed(logs: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The log terms with a smooth tail, and Pareto k."""
    from arviz_stats.base import array_stats

    terms = np.exp(logs - logs.max())
    if _NO_TAIL * terms.mean() >= 1.0:
        return logs, 0.0
    kept = np.maximum(logs - logs.max(), _NEGLIGIBLE)
    relative = effective_size(terms) / terms.size
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Number of tail draws cannot be", UserWarning)  # k itself says so
            smooth, k = array_stats.psislw(-kept.ravel(), r_eff=min(relative, 1.0))
    except ValueError:  # the tail is flat: the terms have reached their bound
        return logs, 0.0
    if not np.isfinite(k):  # too few draws for a tail: nothing is known about it
        return logs, np.inf
    least = int(np.argmin(kept))  # not in the tail, so that only the normalisation has changed it
    return (smooth + logs.max() + kept.flat[least] - smooth[least]).reshape(logs.shape), float(k)


def reweight(logs: NDArray[np.float64]) -> Reweighted:
    """The log of the mean of exp(l) over draws.

    Parameters
    ----------
    logs : ndarray, shape (chains, draws)
        l at each draw, nats; ``-inf`` is allowed.

    Returns
    -------
    Reweighted
        With an infinite error where l is ``-inf`` at every draw.
    """
    top = logs.max()
    if not np.isfinite(top):
        return Reweighted(-np.inf, np.inf, np.inf, np.full(logs.shape, 1.0 / logs.size))
    smooth, k = _smoothed(logs)
    total = logsumexp(smooth)
    weights = np.exp(smooth - total)
    relative = weights * weights.size  # of mean 1
    error = float(relative.std() / np.sqrt(effective_size(relative)))
    tail = abs(float(total - logsumexp(logs))) if k > _HEAVY else 0.0
    return Reweighted(float(total - np.log(logs.size)), float(np.hypot(error, tail)), k, weights)


def usable(found: Reweighted) -> bool:
    """Whether a reweighting can be relied on.

    Parameters
    ----------
    found : Reweighted

    Returns
    -------
    bool
    """
    return found.pareto_k <= TAIL_LIMIT and found.error <= _ERROR_LIMIT


@dataclass
class Walk:
    """A walk along a curve of densities f_t, from one set of draws to the next, adding up log E[f_t / f_0].

    Attributes
    ----------
    log_density : callable
        Draws and t to the part of log f_t that changes with t, shape ``(chains, draws)``, nats.
    refit : callable
        t to draws of f_t.
    z : ndarray, shape (chains, draws, d)
        The present draws.
    t : float
        Of which they are.
    reached, variance : float
        Log of the integral of f_t over that of f_0, nats, and the variance of it.
    refits : list of float
        Where there were new draws.
    """

    log_density: Callable[[Matrix, float], Matrix]
    refit: Callable[[float], Matrix]
    z: Matrix
    t: float = 0.0
    reached: float = 0.0
    variance: float = 0.0
    refits: list[float] = field(default_factory=list)
    _own: Matrix | None = None

    def step(self, t: float) -> Reweighted:
        """The present draws reweighted to t."""
        if self._own is None:
            self._own = self.log_density(self.z, self.t)
        return reweight(self.log_density(self.z, t) - self._own)

    def start_again(self, t: float, found: Reweighted) -> bool:
        """Go on from draws at t, to which the present ones were reweighted; False if there are none."""
        if len(self.refits) >= _MOST_REFITS:
            return False
        try:
            self.z = self.refit(t)
        except NumericalError:
            return False
        self.reached, self.variance = self.reached + found.log_mean, self.variance + found.error**2
        self.t, self._own = t, None
        self.refits.append(t)
        return True

    def follow(self, moves: Vector) -> list[tuple[float, float, float]]:
        """Change, standard error and Pareto k at each t, in the order in which they are walked."""
        rows: list[tuple[float, float, float]] = []
        last: tuple[float, Reweighted] | None = None
        for t in moves:
            found = self.step(t)
            while not usable(found):
                between = last or self._between(t)
                last = None
                if between is None or not self.start_again(*between):
                    break
                found = self.step(t)
            last = (t, found) if usable(found) else None
            rows.append((self.reached + found.log_mean, float(np.sqrt(self.variance + found.error**2)), found.pareto_k))
        return rows

    def _between(self, t: float) -> tuple[float, Reweighted] | None:
        """The farthest of a few places on the way to t to which the present draws can be reweighted."""
        for k in range(1, _HALVINGS + 1):
            nearer = self.t + (t - self.t) / 2**k
            found = self.step(nearer)
            if usable(found):
                return nearer, found
        return None
