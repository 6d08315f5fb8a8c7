"""A peak of the likelihood inside, although a parameter moves the support of the data.

Waiting times that begin at an unknown threshold a have the density of y - a, which is 0 below it. With a peak away from
the smallest observation the usual errors hold if that density vanishes fast enough at the threshold (a Weibull with
shape above 2: Smith 1985). But towards the smallest observation the likelihood may rise again, without bound: a Weibull
with shape below 1 puts a pole there. The peak is then a local maximum.

A lognormal has no pole, and no bound either (Hill 1963): with a distance d to the smallest observation, and the others
at their best, that observation gains -log d while the rest loses in proportion to log(-log d) alone. With forty
observations the gain wins at d = e^-200, where there is no number beside most data; beside 0 there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.check import Check
from workbench.errors import NumericalError
from workbench.likelihood.holding import settle, value_with
from workbench.likelihood.moving_support import has_pole
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.likelihood.unbounded import Spike
from workbench.numerics.climbs import Climb

_LOOKS = tuple(2.0**k for k in range(-1, 7))  # standard deviations from the peak
_NEAR = (1e-3, 1e-5, 1e-7)  # of the way from the peak to the jump, from the jump
_POWER, _KEPT = 0.05, 0.5  # the least power of the distance, and the share of it that a nearer look has to confirm
_LEAST = -30.0  # nats: an observation less likely than this is about to underflow, not to leave a support
_APPROACH = tuple(10.0**-k for k in range(1, 13))  # of the way, from the jump
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
    labels = problem.chart.labels
    for label, i in list(scalar_parameters(problem).items())[:_MOST]:
        for side in (-1.0, 1.0):
            jump = _jump(problem, peak, i, side * deviations[i])
            variable = "" if jump is None else _impossible(problem, peak, i, jump)
            if jump is None or not variable:
                continue
            at = peak.z.copy()
            at[i] = jump
            limit = float(problem.chart.scalars(at[None])[0, labels.index(label)])
            away = abs(jump - peak.z[i]) / float(deviations[i])
            return Threshold(label, variable, limit, away, _rises(problem, peak, i, jump, variable))
    return None


def _jump(problem: Problem, peak: Climb, i: int, deviation: float) -> float | None:
    """The last value of a coordinate, from a peak to one side, at which the data are possible."""
    objective, inside = problem.objective, float(peak.z[i])
    for look in _LOOKS:
        outside = peak.z[i] + look * deviation
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


def _impossible(problem: Problem, peak: Climb, i: int, jump: float) -> str:
    """The data that become impossible at a jump; empty if they only become too unlikely for the numbers.

    The density of an observation at the edge of its support falls as a power of the distance or faster, or jumps from a
    number that is not small; one that underflows is tiny long before, and has a slope.
    """
    way = jump - peak.z[i]
    points = np.tile(peak.z, (len(_NEAR) + 1, 1))
    points[:, i] = [jump + 1e-6 * way, *(jump - near * way for near in _NEAR)]
    for name, array in problem.density.terms(problem.chart.z(points)).log_likelihood.items():
        terms = array.reshape(len(points), -1)
        lost = np.isneginf(terms[0]) & np.isfinite(terms[1:]).all(axis=0)
        if not lost.any():
            continue
        powers = np.diff(terms[1:][:, lost], axis=0) / np.diff(np.log(_NEAR))[:, None]
        steep = np.abs(powers[1]) > np.maximum(_POWER, _KEPT * np.abs(powers[0]))
        if np.all(steep | (terms[-1, lost] > _LEAST)):
            return name
    return ""


def _rises(problem: Problem, peak: Climb, i: int, jump: float, variable: str) -> bool:
    """Whether the likelihood has a pole at a jump for other coordinates such as are best near it, or none but no bound.

    With n observations one of them decides only within about e^-n of the jump, where numbers may not reach. Where there
    is a pole for some values of the others the likelihood has no bound, however near it begins to rise.
    """
    x, way = peak.z.copy(), jump - peak.z[i]
    for near in _APPROACH if x.size > 1 else ():
        x[i] = jump - near * way
        try:
            x = settle(problem.objective, x, [i]).x
        except NumericalError:
            return False
        at = x.copy()
        at[i] = jump
        if has_pole(problem.objective, at, i, float(np.sign(way))):
            return True
    return _outruns(problem, peak, i, jump, variable)


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
