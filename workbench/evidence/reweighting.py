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
from scipy import optimize
from scipy.special import expit, log_expit

from workbench.errors import NumericalError
from workbench.evidence.bridge_equation import effective_size
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import log_sum

Matrix = NDArray[np.float64]

TAIL_LIMIT = 0.7  # Pareto k (Vehtari and others 2024)
_ERROR_LIMIT = 0.05  # nats: up to here reweighting alone is enough
_REACH = 0.2  # nats, of an error: up to here draws at the new place are joined with those at the old one
_MOST_REFITS = 40  # of one walk
_HALVINGS = 6  # of a step that cannot be bridged
_HEAVY = 0.5  # Pareto k from which the variance is infinite: what smoothing changes is then a part of the error
_NO_TAIL = 1.5  # times the mean: where no term exceeds it there is no tail
_FLAT = 1e-9  # relative: rounding of equal terms
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
    if np.count_nonzero(terms > 1.0 - _FLAT) >= min(0.2 * terms.size, 3.0 * np.sqrt(terms.size)):
        return logs, 0.0  # as many as a tail is made of have reached the bound of the terms
    kept = np.maximum(logs - logs.max(), _NEGLIGIBLE)
    relative = effective_size(terms) / terms.size
    try:
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
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
    total = log_sum(smooth)
    weights = np.exp(smooth - total)
    relative = weights * weights.size  # of mean 1
    error = float(relative.std() / np.sqrt(effective_size(relative)))
    tail = abs(float(total - log_sum(logs))) if k > _HEAVY else 0.0
    return Reweighted(float(total - np.log(logs.size)), float(np.hypot(error, tail)), k, weights)


def usable(found: Reweighted) -> bool:
    """Whether a reweighting can be relied on as it is: its terms have a variance, and the error is small.

    Parameters
    ----------
    found : Reweighted

    Returns
    -------
    bool
    """
    return found.pareto_k <= _HEAVY and found.error <= _ERROR_LIMIT


def _reaches(found: Reweighted) -> bool:
    """Whether draws of the new density would overlap enough with the present ones to be joined with them."""
    return found.pareto_k <= TAIL_LIMIT and found.error <= _REACH


class Joined:
    """Draws of two densities f_a and f_b, averaged over together: for densities between, and for their own ratio.

    With m draws of a and n of b, c = log of the integral of f_b over that of f_a solves the bridge equation: the
    sum over all draws of p is n, where p = expit(log f_b - log f_a - c + log n / m) is the chance that it is one of b;
    and the integral of any f over that of f_a is the sum over all draws of (f / f_a) (1 - p) / m.

    Parameters
    ----------
    own, other : (ndarray, ndarray), each of shape (chains, draws)
        Log f_a and log f_b at the draws of a, and at the draws of b, nats.

    References
    ----------
    Bennett 1976, doi:10.1016/0021-9991(76)90078-4; Shirts and Chodera 2008, doi:10.1063/1.2978177 (several densities).
    """

    def __init__(self, own: tuple[Matrix, Matrix], other: tuple[Matrix, Matrix]) -> None:
        self.below = (own[0], other[0])
        sizes = [array.size for array in self.below]
        odds = float(np.log(sizes[1] / sizes[0]))
        apart = [own[1] - own[0] + odds, other[1] - other[0] + odds]
        every = np.concatenate([array.ravel() for array in apart])
        ends = float(every.min()) - 50.0, float(every.max()) + 50.0
        root = optimize.brentq(lambda c: float(expit(every - c).sum()) - sizes[1], *ends, xtol=1e-12)
        self.log_least = [log_expit(root - array) - np.log(sizes[0]) for array in apart]  # log of (1 - p) / m
        self.chance = [expit(array - root) for array in apart]
        self.slope = float(sum(np.sum(p * (1.0 - p)) for p in self.chance))

    def at(self, own: Matrix, other: Matrix) -> tuple[float, float, float]:
        """Log of the integral of f over that of f_a, its standard error, and Pareto k of the terms.

        Parameters
        ----------
        own, other : ndarray, shape (chains, draws)
            Log f at the draws of a and at those of b, nats.
        """
        logs = [f - a + least for f, a, least in zip((own, other), self.below, self.log_least, strict=True)]
        value = float(np.logaddexp(log_sum(logs[0]), log_sum(logs[1])))
        terms = [np.exp(array - value) for array in logs]
        # To first order: the terms themselves, and what they owe to the noise of c.
        pull = float(sum(np.sum(g * p) for g, p in zip(terms, self.chance, strict=True))) / self.slope
        influence = [g + pull * p for g, p in zip(terms, self.chance, strict=True)]
        variance = sum(array.size**2 * float(array.var()) / effective_size(array) for array in influence)
        every = np.concatenate([array.ravel() for array in logs])
        return value, float(np.sqrt(variance)), _smoothed(every[None])[1]


@dataclass
class Walk:
    """A walk along a curve of densities f_t, from one set of draws to the next, adding up log E[f_t / f_0].

    What lies between two sets of draws is averaged over both: with the first alone, and the next place chosen as the
    last that it seems to reach, a sum of eight steps in 20 dimensions was measured five of its errors low.

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
    _rows: list[tuple[float, float, float]] = field(default_factory=list)
    _own: Matrix | None = None

    def follow(self, moves: Vector) -> list[tuple[float, float, float]]:
        """Change, standard error and Pareto k at each t, in the order in which they are walked.

        Parameters
        ----------
        moves : ndarray, shape (k,)
            From 0 outwards.

        Returns
        -------
        list of (float, float, float)
        """
        first, good = 0, True  # the first row of the present draws, and whether all of them can be relied on
        for t in moves:
            found = self._step(t)
            while not _reaches(found):
                # Go on from the last place that was reached, or from one nearer.
                ahead = len(self._rows) > first
                place = float(moves[len(self._rows) - 1]) if ahead else self._between(t)
                if place is None or not self._start_again(place, moves[first : len(self._rows)]):
                    break
                first, good, found = len(self._rows), True, self._step(t)
            good = good and usable(found)
            error = float(np.sqrt(self.variance + found.error**2))
            self._rows.append((self.reached + found.log_mean, error, found.pareto_k))
        if not good and _reaches(found):
            self._start_again(float(moves[-1]), moves[first:])
        return self._rows

    def _step(self, t: float) -> Reweighted:
        """The present draws reweighted to t."""
        if self._own is None:
            self._own = self.log_density(self.z, self.t)
        return reweight(self.log_density(self.z, t) - self._own)

    def _start_again(self, t: float, passed: Vector) -> bool:
        """Go on from draws at t, and average what was passed over both sets; False if there are none."""
        if len(self.refits) >= _MOST_REFITS:
            return False
        try:
            z = self.refit(t)
        except NumericalError:
            return False
        both = Joined(*((self.log_density(x, self.t), self.log_density(x, t)) for x in (self.z, z)))
        for place, move in enumerate(passed, start=len(self._rows) - len(passed)):
            value, error, k = both.at(self.log_density(self.z, move), self.log_density(z, move))
            self._rows[place] = (self.reached + value, float(np.sqrt(self.variance + error**2)), k)
        value, error, _ = both.at(self.log_density(self.z, t), self.log_density(z, t))
        self.reached, self.variance = self.reached + value, self.variance + error**2
        self.z, self.t, self._own = z, t, None
        self.refits.append(t)
        return True

    def _between(self, t: float) -> float | None:
        """The farthest of a few places on the way to t that the present draws reach."""
        nearer = (self.t + (t - self.t) / 2**k for k in range(1, _HALVINGS + 1))
        return next((place for place in nearer if _reaches(self._step(place))), None)
