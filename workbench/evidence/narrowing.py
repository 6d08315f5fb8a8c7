"""The evidence under priors whose supports lie one inside the other, from draws under the wider ones.

Draws under narrow bounds say nothing about what lies beyond them, so that a curve over bounds is followed inwards only.
With f_t the joint density under the bounds t, and s the wider of two,

    log Z_t - log Z_s  =  log E_s[f_t / f_s],

in which f_t vanishes at draws outside of t: for a Uniform of k elements and width w it is k log(w_s / w_t) plus the log
of the share of the draws inside. Where too few are left inside, the curve goes on from draws of its own at a place half
the way back, so that the place does not depend on the noise of what is counted there. Draws of the model as it stands
are taken where the curve passes it, and everything is measured from there.

Reference: Gelfand, Smith and Lee 1992, doi:10.1080/01621459.1992.10475235 (posteriors under constraints).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.evidence.bridge_equation import effective_size
from workbench.evidence.reweighting import Reweighted, reweight
from workbench.numerics.objective import Vector

Matrix = NDArray[np.float64]
Row = tuple[float, float, float]  # change, standard error, Pareto k

_MOST_REFITS = 60
_ENOUGH = 0.1  # nats, of an error: up to here draws lead, of which half the way is taken
_HEAVY = 0.5  # Pareto k from which the variance is infinite
_HALVINGS = 8  # of a step after which nothing is left inside
_UNKNOWN: Row = (float("nan"), float("inf"), float("inf"))


def _leads(found: Reweighted) -> bool:
    """Whether enough draws are left inside."""
    return found.pareto_k <= _HEAVY and found.error <= _ENOUGH


@dataclass(frozen=True)
class _Stretch:
    """Places that draws at one place lead to, the last of which is where the next draws are."""

    start: float
    z: Matrix
    places: list[float]


@dataclass
class Narrowing:
    """A curve of densities over nested supports.

    Attributes
    ----------
    log_density : callable
        Draws, the t under which they were drawn, and another t, to the part of log f_t that changes with t, shape
        ``(chains, draws)``, nats; ``-inf`` outside the support.
    refit : callable
        t to draws of f_t.
    z : ndarray, shape (chains, draws, d)
        Draws at t = 0.
    block : slice
        Of the coordinates whose support is narrowed.
    refits : list of float
        Where there were draws of their own.
    """

    log_density: Callable[[Matrix, float, float], Matrix]
    refit: Callable[[float], Matrix]
    z: Matrix
    block: slice
    refits: list[float] = field(default_factory=list)

    def follow(self, places: Vector) -> list[Row]:
        """Change from t = 0, standard error and Pareto k at every place.

        Parameters
        ----------
        places : ndarray, shape (k,)
            Every t, the widest support first; 0 is one of them.

        Returns
        -------
        list of (float, float, float)
            NaN with an infinite error where no draws lead.
        """
        every = [float(t) for t in places]
        here = every.index(0.0)
        rows = {t: _UNKNOWN for t in every} | {0.0: (0.0, 0.0, 0.0)}
        if here and (z := self._drawn(every[0])) is not None:
            outwards, arrived = self._stretches(_Stretch(every[0], z, every[1 : here + 1]))
            for stretch in reversed(outwards if arrived else []):
                rows |= self._outside(stretch, rows[stretch.places[-1]])
        inwards, _ = self._stretches(_Stretch(0.0, self.z, every[here + 1 :]))
        for stretch in inwards:
            rows |= self._inside(stretch, rows[stretch.start])
        return [rows[t] for t in every]

    def _drawn(self, t: float) -> Matrix | None:
        """Draws at t; None if there are none to be had."""
        if t == 0.0:
            return self.z
        if len(self.refits) >= _MOST_REFITS:
            return None
        try:
            z = self.refit(t)
        except NumericalError:
            return None
        self.refits.append(t)
        return z

    def _stretches(self, first: _Stretch) -> tuple[list[_Stretch], bool]:
        """The way through the places of a stretch in as many as it takes, and whether it leads to the last of them."""
        found: list[_Stretch] = []
        start, z, places = first.start, first.z, first.places
        while places:
            reached = next((i for i, t in enumerate(places) if not _leads(self._step(start, z, t))), len(places))
            if reached == len(places):
                return [*found, _Stretch(start, z, places)], True
            if reached:
                within, places_left = places[: (reached + 1) // 2], places[(reached + 1) // 2 :]
            else:
                ways = (start + (places[0] - start) / 2**k for k in range(1, _HALVINGS + 1))
                near = next((t for t in ways if _leads(self._step(start, z, t))), None)
                if near is None:
                    return found, False
                within, places_left = [0.5 * (start + near)], places
            drawn = self._drawn(within[-1])
            if drawn is None:
                return [*found, _Stretch(start, z, places[:reached])], False
            found.append(_Stretch(start, z, within))
            start, z, places = within[-1], drawn, places_left
        return found, True

    def _step(self, start: float, z: Matrix, t: float) -> Reweighted:
        """The draws at one place reweighted to another inside it."""
        return reweight(self.log_density(z, start, t) - self.log_density(z, start, start))

    def _least(self, z: Matrix) -> float:
        """The error of a share of draws that is all or nothing: one draw of the effective number of them."""
        columns = z[..., self.block]
        return 1.0 / min(effective_size(columns[..., j]) for j in range(columns.shape[-1]))

    def _inside(self, stretch: _Stretch, at_start: Row) -> dict[float, Row]:
        """Rows of a stretch that leads away from t = 0, inwards."""
        rows, least = {}, self._least(stretch.z)
        for t in stretch.places:
            found = self._step(stretch.start, stretch.z, t)
            error = float(np.linalg.norm([at_start[1], found.error, least]))
            rows[t] = (at_start[0] + found.log_mean, error, found.pareto_k)
        return rows

    def _outside(self, stretch: _Stretch, at_end: Row) -> dict[float, Row]:
        """Rows of a stretch that leads to t = 0 from outside: from each place to its end, by the same draws."""
        start, z = stretch.start, stretch.z
        rows, least, last = {}, self._least(z), stretch.places[-1]
        at_last, k = self.log_density(z, start, last), self._step(start, z, last).pareto_k
        for t in (start, *stretch.places[:-1]):
            at_t, found = self.log_density(z, start, t), self._step(start, z, t)
            left = np.isfinite(at_last)
            terms = np.zeros(at_t.shape)
            terms[left] = np.exp(at_last[left] - at_t[left])
            mean, error = found.expectation(terms)
            rows[t] = (at_end[0] - float(np.log(mean)), float(np.linalg.norm([at_end[1], error / mean, least])), k)
        return rows
