"""A peak of the likelihood inside, although a parameter moves the support of the data.

Waiting times that begin at an unknown threshold a have the density of y - a, which is 0 below it. With a peak away from
the smallest observation the usual errors hold if that density vanishes fast enough at the threshold (a Weibull with
shape above 2: Smith 1985). But towards the smallest observation the likelihood may rise again, without bound: a Weibull
with shape below 1 puts a pole there. The peak is then a local maximum.

A lognormal has no pole, and no bound either (Hill 1963): with a distance d to the smallest observation, and the others
at their best, that observation gains -log d while the rest loses in proportion to log(-log d) alone. With forty
observations the gain wins at d = e^-200, where there is no number beside most data; beside 0 there is. Where the data
are constants of a potential, and cannot be moved to 0, the loss is seen by its law: with the slope s of the profile
against L = -log d, 1 / (1 - s) grows in proportion to L + c, so that s approaches 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.check import Check
from workbench.errors import NumericalError
from workbench.likelihood.holding import settle, value_with
from workbench.likelihood.moving_support import is_pole
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.likelihood.unbounded import Spike
from workbench.model.constants import numbers_of
from workbench.model.identified import named_coordinates
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Vector

_LOOKS = tuple(2.0**k for k in range(-1, 7))  # standard deviations from the peak
_SATURATED = 40.0  # of a logit, where its scalar is the edge to the last digit
_NEAR = (1e-3, 1e-5, 1e-7)  # of the way from the peak to the jump, from the jump
_POWER, _KEPT = 0.05, 0.5  # the least power of the distance, and the share of it that a nearer look has to confirm
_LEAST = -30.0  # nats: an observation less likely than this is about to underflow, not to leave a support
_SUDDEN, _SUDDENLY = 30.0, 10.0  # a power, and its growth a look: no density that vanishes, but a scale at 0
_APPROACH = tuple(10.0**-k for k in range(1, 13))  # of the way, from the jump
_POLES = (1e-4, 1e-6, 1e-8)  # of the size of the scalar, from the jump
_GRID = 200  # places on the way at which the distance is known
_SLOWLY = tuple(range(4, 26))  # minus the logarithm of the distance, in units of the way
_NUMBERS = 1e-11  # of the scalar: a smaller distance is rounding
_STRAIGHT = 0.2  # of the growth of 1 / (1 - s)
_LAW = (0.3, 4.0)  # of L: L + c by the law
_DEEP = tuple(range(20, 700, 20))  # minus the logarithm of the distance
_LOOKED, _GAINS = 6, 0.1  # of the last changes; nats a nat of the logarithm, of which a scale gains 1
_SAME = 1e-9  # of the log likelihood: the same
_MOST = 24  # scalars that are looked at


@dataclass(frozen=True)
class Threshold:
    """A scalar beyond which an observation is impossible.

    Attributes
    ----------
    label : str
    variable : str
        Name of the data.
    limit : float
        The scalar there.
    deviations : float
        From the maximum to the limit, in standard deviations of its coordinate.
    rises : bool
        Whether the likelihood rises without bound towards it.
    """

    label: str
    variable: str
    limit: float
    deviations: float
    rises: bool

    @property
    def spike(self) -> Spike:
        """The same as a way on which the likelihood rises without bound."""
        return Spike(self.label, f"{self.limit:.7g}", {})

    @property
    def check(self) -> Check:
        """What it means for a maximum inside."""
        return Check(
            "support-fixed",
            "caution",
            f"the support of {self.variable} depends on {self.label}: beyond {self.label} = {self.limit:.6g}, "
            f"{self.deviations:.2g} standard errors from the maximum, {self.variable} is impossible",
            "standard errors and profile intervals hold only if the density of the data vanishes faster than linearly "
            "there (Smith 1985): prefer the posterior",
        )


def find_threshold(problem: Problem, peak: Climb) -> Threshold | None:
    """The first scalar that moves the support of the data; None where none was found.

    Parameters
    ----------
    problem : Problem
        Without latent variables.
    peak : Climb

    Returns
    -------
    Threshold or None

    References
    ----------
    Smith, R. L. (1985). Maximum likelihood estimation in a class of nonregular cases. doi:10.1093/biomet/72.1.67
    Hill, B. M. (1963). The three-parameter lognormal distribution and Bayesian analysis of a point-source epidemic.
    doi:10.1080/01621459.1963.10500884
    """
    deviations = np.sqrt(np.diag(peak.curvature.covariance))
    for label, i in list(scalar_parameters(problem).items())[:_MOST]:
        for side in (-1.0, 1.0):
            jump = _jump(problem, peak, i, side * deviations[i])
            if jump is None:
                continue
            way = _way(problem, peak, label, i, jump)
            if not way.straight and not _is_seen(problem, way.limit):
                continue
            variable = _impossible(problem, peak, way)
            if variable:
                away = abs(jump - peak.z[i]) / float(deviations[i])
                return Threshold(label, variable, way.limit, away, _rises(problem, peak, way, variable))
    return None


@dataclass(frozen=True)
class _Way:
    """The way from a peak to a jump.

    Attributes
    ----------
    i : int
        The coordinate that moves.
    jump : float
        Its last value at which the data are possible.
    limit : float
        The scalar there.
    straight : bool
        Whether the coordinate is the scalar itself.
    places, distances : ndarray, shape (n,)
        Values of the coordinate on the way, and the logarithm of how far the scalar is from its limit there.
    """

    i: int
    jump: float
    limit: float
    straight: bool
    places: Vector
    distances: Vector

    @property
    def length(self) -> float:
        """The distance from the peak to the limit, in the units of the scalar."""
        return float(np.exp(self.distances[0]))

    @property
    def least(self) -> float:
        """The least distance of which numbers tell."""
        rounded = _NUMBERS * max(abs(self.limit), self.length)
        return rounded if self.straight else max(rounded, float(np.exp(self.distances[-1])))

    def near(self, x: Vector, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        """A point with the scalar at these distances from its limit, shape ``(len(distances), p)``."""
        points = np.tile(x, (len(distances), 1))
        if self.straight:
            points[:, self.i] = self.jump - np.sign(self.places[-1] - self.places[0]) * distances
        else:
            points[:, self.i] = np.interp(-np.log(distances), -self.distances, self.places)
        return points


def _way(problem: Problem, peak: Climb, label: str, i: int, jump: float) -> _Way:
    """The way from a peak to a jump along one coordinate."""
    named = named_coordinates(problem.chart, peak.z)[i]
    straight = named is not None and not named[1]
    count = 3 if straight else _GRID
    points = np.tile(peak.z, (count, 1))
    points[:, i] = np.linspace(peak.z[i], jump, count)
    values = problem.chart.scalars(points)[:, problem.chart.labels.index(label)]
    limit = float(values[-1])
    kept = np.abs(values - limit) > _NUMBERS * max(abs(limit), abs(values[0] - limit))
    distances = np.log(np.abs(values[kept] - limit))
    return _Way(i, jump, limit, straight, points[kept, i], distances)


def _is_seen(problem: Problem, number: float) -> bool:
    """Whether a limit is one of the data, as where a prior ends at the smallest; the data of a potential are constants.

    A probability ends at 1 whatever the data are.
    """
    density = problem.density
    graphs = [density.symbolic.potential[n] for n, side in density.potentials.items() if side == "likelihood"]
    observed = [np.ravel(a) for a in density.symbolic.observed.values() if np.asarray(a).dtype.kind == "f"]
    seen = np.concatenate([np.zeros(0), *observed, *numbers_of(graphs)])
    return bool(np.any(np.abs(seen - number) <= _SAME * np.maximum(np.abs(seen), abs(number))))


def _jump(problem: Problem, peak: Climb, i: int, deviation: float) -> float | None:
    """The last value of a coordinate, from a peak to one side, at which the data are possible."""
    objective, inside = problem.objective, float(peak.z[i])
    looks, side = [float(peak.z[i] + look * deviation) for look in _LOOKS], float(np.sign(deviation))
    for outside in (*looks, side * max(side * looks[-1], _SATURATED)):
        if np.isneginf(value_with(objective, peak.z, i, outside)):
            break
        inside = outside
    else:
        return None
    while (middle := (inside + outside) / 2) not in (inside, outside):
        if np.isneginf(value_with(objective, peak.z, i, middle)):
            outside = middle
        else:
            inside = middle
    return float(inside)


def _impossible(problem: Problem, peak: Climb, way: _Way) -> str:
    """The data, or the potential, that become impossible at a jump; empty if they only become too unlikely for numbers.

    The density of an observation at the edge of its support falls as a power of the distance or faster, or jumps from a
    number that is not small; one that underflows is tiny long before, and has a slope.
    """
    beyond = peak.z.copy()
    beyond[way.i] = way.jump + 1e-6 * (way.jump - peak.z[way.i])
    points = np.vstack([beyond, way.near(peak.z, np.array(_NEAR) * way.length)])
    terms = problem.density.terms(problem.chart.z(points))
    sums = {name: array for name, array in terms.potential.items() if problem.density.potentials[name] == "likelihood"}
    for name, array in (terms.log_likelihood | sums).items():
        rows = array.reshape(len(points), -1)
        lost = np.isneginf(rows[0]) & np.isfinite(rows[1:]).all(axis=0)
        if not lost.any():
            continue
        powers = np.abs(np.diff(rows[1:][:, lost], axis=0)) / np.abs(np.diff(np.log(_NEAR)))[:, None]
        steep = powers[1] > np.maximum(_POWER, _KEPT * powers[0])
        if not way.straight and np.any((powers[1] > _SUDDEN) & (powers[1] > _SUDDENLY * powers[0])):
            continue
        if np.all(steep | ((rows[-1, lost] > _LEAST) & (name not in sums))):
            return name
    return ""


def _rises(problem: Problem, peak: Climb, way: _Way, variable: str) -> bool:
    """Whether the likelihood has a pole at a jump for other coordinates such as are best near it, or none but no bound.

    With n observations one of them decides only within about e^-n of the jump, where numbers may not reach. Where there
    is a pole for some values of the others the likelihood has no bound, however near it begins to rise.
    """
    objective, i, x = problem.objective, way.i, peak.z
    for place in way.near(x, np.array(_APPROACH) * way.length)[:, i] if x.size > 1 else ():
        try:
            x = settle(objective, np.where(np.arange(x.size) == i, place, x), [i]).x
        except NumericalError:
            return False
        near = way.near(x, np.array(_POLES) * max(1.0, abs(way.limit)))
        if is_pole([value_with(objective, point, i, point[i]) for point in near]):
            return True
    moves = way.straight and variable in problem.density.symbolic.observed
    return _outruns(problem, peak, i, way.jump, variable) if moves else _loses_slowly(problem, peak, way)


def _loses_slowly(problem: Problem, peak: Climb, way: _Way) -> bool:
    """Whether the slope of the profile against minus the logarithm of the distance approaches 1 by Hill's law."""
    x, i, found = peak.z, way.i, []
    distances = np.exp(-np.array(_SLOWLY, dtype=np.float64)) * way.length
    distances = distances[distances > way.least]
    for distance, point in zip(distances, way.near(x, distances), strict=True):
        try:
            best = settle(problem.objective, np.where(np.arange(x.size) == i, point, x), [i])
        except NumericalError:
            break
        x = best.x
        found.append((-np.log(distance), best.value))
    if len(found) < 2 * _LOOKED:
        return False
    logs, heights = np.array(found).T
    slopes, middles = np.diff(heights) / np.diff(logs), (logs[1:] + logs[:-1]) / 2
    if not np.all(slopes[-_LOOKED:] < 1.0):
        return False
    grown = 1.0 / (1.0 - slopes[-_LOOKED:])
    rates = np.diff(grown) / np.diff(middles[-_LOOKED:])
    least, most = (share * (middles[-1] + np.log(way.length)) for share in _LAW)
    return bool(np.min(rates) > 0 and np.ptp(rates) < _STRAIGHT * rates.mean() and least < grown[-1] / rates[-1] < most)


def _outruns(problem: Problem, peak: Climb, i: int, jump: float, variable: str) -> bool:
    """Whether the likelihood rises ever more steeply with the logarithm of the distance, at distances down to e^-680.

    Beside an observation of 4 there is no number at a distance of 1e-20; beside one at 0 there is. So the data are
    moved there, where the likelihood is the same function of the threshold less that observation.
    """
    data = dict(problem.density.symbolic.observed)
    seen = np.asarray(data[variable], dtype=np.float64)
    nearest = float(seen.flat[np.argmin(np.abs(seen - jump))])
    moved = problem.on(data | {variable: seen - nearest})
    x, side = peak.z.copy(), np.sign(jump - peak.z[i])
    for share in (0.0, 0.5, 0.9):
        at = peak.z[i] + share * (jump - peak.z[i])
        here, there = value_with(problem.objective, x, i, at), value_with(moved, x, i, at - nearest)
        if not abs(here - there) < _SAME * max(1.0, abs(here)):
            return False
    heights = []
    for log_distance in _DEEP:
        x[i] = -side * np.exp(-log_distance)
        try:
            best = settle(moved, x, [i])
        except NumericalError:
            return False
        x = best.x
        heights.append(best.value)
    slopes = np.diff(heights)[-_LOOKED:] / np.diff(_DEEP)[-_LOOKED:]
    return bool(slopes[0] > _GAINS and np.all(np.diff(slopes) > 0))
