"""Normalising constants of many densities from draws of several of them, all averaged over together.

For sets of draws from densities f_1 .. f_k with unknown integrals exp(c_j), counted by effective numbers n_j, the
mixture sum_j n_j f_j / exp(c_j) is as if all draws came from it. The integral of any f is then

    log Z_f = log sum_x w(x) f(x) / m(x),     m(x) = sum_j n_j f_j(x) exp(-c_j),     w = n_j / draws of set j,

and the c_j are those for which this holds of every f_j itself: the minimum of a convex function. With two sets it is
the bridge equation (Bennett 1976). Where one set is poor, as in the neck of a funnel, its neighbours reach past it.

The error is found by the delta method: what every draw moves in c and in log Z_f, by set, with the effective number of
just that quantity.

References: Vardi 1985, doi:10.1214/aos/1176346585; Geyer 1994, Technical Report 568, University of Minnesota; Shirts
and Chodera 2008, doi:10.1063/1.2978177 (MBAR).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize
from scipy.special import logsumexp

from workbench.errors import NumericalError
from workbench.evidence.bridge_equation import effective_size
from workbench.numerics.objective import Vector

Matrix = NDArray[np.float64]

_NEGLIGIBLE = 1e-3  # of the largest spread of a set's mean: what adds less than a millionth of the variance
_SOLVED = 1e-6  # of the effective draws: what is left of the equations
_LEFT = 1e-4  # the same, where rounding ends the search
_OVERLAP = 1e-6  # of the effective draws of the poorest set: less tells nothing


def _require(known: bool, sets: int) -> None:
    """Refuse where the draws do not tell how far apart the constants of their densities are."""
    if not known:
        raise NumericalError(
            f"the constants of {sets} sets of draws cannot be told: some of the sets do not overlap",
            "evidence sequential",
            "state the prior in the units of the data, or use study.evidence.estimate()",
        )


class Several:
    """Several sets of draws, and the log integrals of their densities.

    Parameters
    ----------
    sets : sequence of ndarray, shape (k, chains, draws)
        Log of each of the k densities at the draws of one set, nats; one entry for every density, in their order.
    effective : ndarray, shape (k,)
        Effective number of the draws of each set.

    Attributes
    ----------
    constants : ndarray, shape (k,)
        Log integrals; the first is the origin, 0. Nats.

    Raises
    ------
    NumericalError
        If the equations of the constants cannot be solved.
    """

    def __init__(self, sets: list[Matrix], effective: Vector) -> None:
        self.shapes = [array.shape[1:] for array in sets]
        logs = np.concatenate([array.reshape(len(array), -1) for array in sets], axis=1)
        sizes = np.array([chains * draws for chains, draws in self.shapes])
        self.ends = np.cumsum(sizes)
        self.weights = np.repeat(effective / sizes, sizes)
        self.effective = effective
        self.constants = self._solve(logs)
        self.log_mixture, self.chances = self._mixture(logs, self.constants)
        # What each draw moves in the constants: the inverse slope of the equations times its own terms.
        slope = np.diag(self.chances @ self.weights) - (self.chances * self.weights) @ self.chances.T
        self.moves = np.zeros_like(self.chances)
        if len(slope) > 1:
            _require(float(np.min(linalg.eigvalsh(slope[1:, 1:]))) > _OVERLAP * float(np.min(effective)), len(slope))
            self.moves[1:] = linalg.solve(slope[1:, 1:], self.chances[1:], assume_a="sym")

    def _mixture(self, logs: Matrix, constants: Vector) -> tuple[Vector, Matrix]:
        """Log of m at every draw, and the chance that it comes from each of the densities."""
        terms = logs + (np.log(self.effective) - constants)[:, None]
        total = logsumexp(terms, axis=0)
        return total, np.exp(terms - total)

    def _solve(self, logs: Matrix) -> Vector:
        """The constants, by minimising sum_x w log m + sum_j n_j c_j."""
        k, start = len(logs), np.zeros(len(logs))
        for j in range(1, k):  # from each set to the next
            own = slice(self.ends[j - 2] if j > 1 else 0, self.ends[j - 1])
            start[j] = start[j - 1] + logsumexp(logs[j, own] - logs[j - 1, own]) - np.log(own.stop - own.start)
        if k == 1:
            return start

        def value(free: Vector) -> tuple[float, Vector]:
            constants = np.concatenate([[0.0], free])
            total, chances = self._mixture(logs, constants)
            slope = self.effective - chances @ self.weights
            return float(self.weights @ total + self.effective @ constants), slope[1:]

        def curvature(free: Vector) -> Any:
            _, chances = self._mixture(logs, np.concatenate([[0.0], free]))
            return (np.diag(chances @ self.weights) - (chances * self.weights) @ chances.T)[1:, 1:]

        options: Any = {"gtol": _SOLVED * float(self.effective.sum())}
        found: Any = optimize.minimize(
            value, start[1:], jac=True, hess=curvature, method="trust-exact", options=options
        )
        _require(bool(np.max(np.abs(found.jac)) < _LEFT * self.effective.sum()), k)
        return np.concatenate([[0.0], found.x])

    def integral(self, logs: Vector) -> tuple[float, Vector, Vector]:
        """Log integral of a density, the influence of every draw on it, and the draws' weights under it.

        Parameters
        ----------
        logs : ndarray, shape (m,)
            Its log at all draws, set after set, nats.

        Returns
        -------
        value : float
            Nats.
        influence, shares : ndarray, shape (m,)
        """
        terms = np.log(self.weights) + logs - self.log_mixture
        value = float(logsumexp(terms))
        own = np.exp(logs - self.log_mixture - value)  # of weighted sum 1
        shares = self.weights * own
        return value, own + (self.chances @ shares) @ self.moves, shares

    def mean(self, shares: Vector, array: Vector) -> tuple[float, Vector]:
        """The mean of a quantity under a density, and the influence of every draw on it.

        Parameters
        ----------
        shares : ndarray, shape (m,)
            The draws' weights under the density.
        array : ndarray, shape (m,)
            The quantity at all draws.

        Returns
        -------
        mean : float
        influence : ndarray, shape (m,)
        """
        centre = float(shares @ array)
        terms = shares * (array - centre)
        return centre, terms / self.weights + (self.chances @ terms) @ self.moves

    def error(self, influence: Vector) -> float:
        """Standard error of what the draws move by these influences, shape ``(m,)``.

        A set counts as no more draws than were given for it, also where the influences themselves change faster: they
        cannot tell of a place that the set hardly reached.
        """
        parts, first = [], 0
        for end, shape, n in zip(self.ends, self.shapes, self.effective, strict=True):
            array = influence[first:end].reshape(shape)
            parts.append((n * array.std(), n, array))
            first = end
        largest = max(spread for spread, _, _ in parts)
        kept = [part for part in parts if part[0] > _NEGLIGIBLE * largest]
        return float(np.sqrt(sum(spread**2 / min(n, effective_size(array)) for spread, n, array in kept)))
