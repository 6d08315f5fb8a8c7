"""Profile likelihood intervals of any scalar, and the signed root that shows whether a Wald interval would do.

    zeta(c) = sign(c - g-hat) sqrt(2 [L-hat - P(c)]),   P(c) = max of L subject to g = c

The interval of level 1 - alpha holds every c that a likelihood-ratio test at alpha does not reject: zeta^2 at most the
quantile of chi-square with one degree of freedom (Wilks 1938). Each bound is root-solved on exact refits
(`workbench.likelihood.section`), so its deviance equals the quantile to 1e-8; nothing is interpolated. Where zeta is a
straight line the likelihood is a parabola and the Wald interval says the same.

The walk starts at the maximum and goes outwards in steps of zeta. Where zeta levels off below the quantile the interval
is open on that side: it ends at the edge of the support (a variance of 0) or at infinity (a ridge, separated data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import stats

from workbench.check import Check
from workbench.errors import InputError, NumericalError
from workbench.likelihood.bound import MISSED, refit, solve_bound
from workbench.likelihood.face import cells_at_zero
from workbench.likelihood.followed import rays
from workbench.likelihood.problem import Problem, origin, scalar_parameters
from workbench.likelihood.quantity import FAR, Quantity, edges_of, is_number, resolve
from workbench.likelihood.section import Sections
from workbench.likelihood.summit import Summit, refuse_still
from workbench.model.mode import Mode
from workbench.numerics.objective import Vector
from workbench.result import Result

Name = str | Mapping[str, float]

MAX_DEFAULT = 12  # scalars that are profiled where none is named
_STEPS = 6.0  # of zeta, from the maximum to the bound
_BEYOND = 1.15  # of the bound: how far the curve goes
_RANGE = 1e7  # standard deviations on the real line: what has not fallen there never will
_ROUND = 1e-9  # a simplex or a correlation that comes this close to a whole number ends there
_SHARE, _MOST_SHARE = 1e-6, 0.01  # of a category that has none at the maximum: where it is entered
_OVERFLOW = 230.0  # on a log scale, 1e100: where other terms overflow first, nothing has changed for long
_LEVEL = 1e-6  # nats of deviance: a side that loses no more stays at the least upper bound
_MOVED = 1e-4  # of zeta: less than this is still the floor from which it starts


@dataclass(frozen=True, repr=False, eq=False)
class Profile(Result):
    """Profile likelihood intervals with their signed-root curves.

    Attributes
    ----------
    level : float
        Probability of the intervals.
    names : tuple of str
    estimate, lower, upper : ndarray, shape (k,)
        In the units of each scalar; a bound is infinite where the data set none.
    std_error : ndarray, shape (k,)
        Of the Wald interval beside it; NaN where there is none.
    lower_deviance, upper_deviance : ndarray, shape (k,)
        Twice the drop of the log likelihood at each bound, nats; below the quantile where the side is open.
    points : dict of str to ndarray, shape (m,)
        Values of the scalar along its curve, ascending.
    zeta : dict of str to ndarray, shape (m,)
        Signed root of the deviance there.
    log_likelihood : float
        At the maximum, nats.
    """

    level: float
    names: tuple[str, ...]
    estimate: Vector
    lower: Vector
    upper: Vector
    std_error: Vector
    lower_deviance: Vector
    upper_deviance: Vector
    points: dict[str, Vector]
    zeta: dict[str, Vector]
    log_likelihood: float
    title: ClassVar[str] = "profile likelihood intervals"

    @property
    def cut(self) -> float:
        """The deviance at a bound: the quantile of chi-square with one degree of freedom."""
        return float(stats.chi2.ppf(self.level, 1))

    @property
    def wald(self) -> tuple[Vector, Vector]:
        """Wald bounds at the same level, each of shape ``(k,)``."""
        half = np.sqrt(self.cut) * self.std_error
        return self.estimate - half, self.estimate + half

    def table(self) -> pd.DataFrame:
        """One row a scalar: maximum, profile bounds, Wald bounds, all at `level`."""
        percent, (low, high) = f"{100 * self.level:g}%", self.wald
        columns = {
            "maximum": self.estimate,
            f"profile {percent} lower": self.lower,
            f"profile {percent} upper": self.upper,
            f"Wald {percent} lower": low,
            f"Wald {percent} upper": high,
        }
        return pd.DataFrame(columns, index=list(self.names))

    def notes(self) -> list[str]:
        """Which sides are open, and every check that is not ok."""
        lines = []
        for i, name in enumerate(self.names):
            ends = (("lower", self.lower[i], self.lower_deviance[i]), ("upper", self.upper[i], self.upper_deviance[i]))
            for side, bound, deviance in ends:
                if deviance < self.cut - 1e-6:
                    where = "infinity" if np.isinf(bound) else "the edge of the support"
                    lines.append(f"{name}: no {side} bound short of {where}, where the deviance is {deviance:.3g}")
                elif deviance > self.cut + MISSED:
                    lines.append(
                        f"{name}: at the {side} bound the likelihood jumps, to a deviance of {deviance:.3g}: where "
                        "there are jumps chi-square is no guide"
                    )
        return [*lines, *super().notes()]


@dataclass(frozen=True)
class _Side:
    """One half of a profile: the walk outwards and its end."""

    points: list[float]
    zeta: list[float]
    bound: float
    deviance: float


def profile_likelihood(
    problem: Problem,
    summit: Summit,
    mode: Mode | None,
    names: Sequence[Name] = (),
    level: float = 0.95,
) -> Profile:
    """Profile likelihood intervals of scalars.

    Parameters
    ----------
    problem : Problem
    summit : Summit
        The maximum of its objective, or the supremum where there is none.
    mode : Mode or None
        The maximum likelihood estimate: the Wald interval beside the profile, and what lies at its edge.
    names : sequence of str or mapping of str to float
        Labels, or linear combinations of labels with their weights; by default the scalars of the free variables,
        at most twelve.
    level : float
        Probability of the intervals, in (0, 1).

    Returns
    -------
    Profile

    Raises
    ------
    InputError
        If a name is unknown or means a vector, or the level is outside (0, 1).
    RefusalError
        If a scalar hangs on nothing but categories whose probability is 0, and is none of them.
    NumericalError
        If the refits of a scalar fail or jump, as for data that are collinear to the last digits.
    BetterMaximum
        If a refit is higher than the summit; the whole fit has to start again from there.

    References
    ----------
    Venzon, D. J. and Moolgavkar, S. H. (1988). A method for computing profile-likelihood-based confidence intervals.
    doi:10.2307/2347496
    Bates, D. M. and Watts, D. G. (1988). Nonlinear Regression Analysis and Its Applications, chapter 6.
    """
    if not is_number(level) or not 0.0 < level < 1.0:
        raise InputError(f"the level is {level!r}", "level", "give a number between 0 and 1")
    chart = problem.chart
    if not names:
        names = [label for name in chart.names for label in chart.space.labels(name)][:MAX_DEFAULT]
    edges = edges_of(chart, summit.x, scalar_parameters(problem))
    edges |= {k: (side,) for k, side in summit.infinite.items()}
    quantities = [resolve(chart, name, summit.x, summit.scale) for name in names]
    for quantity in quantities:
        refuse_still(summit, quantity)
    rows, points, zeta = [], {}, {}
    for quantity in quantities:
        places, infinite = dict(summit.places), tuple(summit.infinite)
        sections = Sections(problem.objective, [quantity], summit.scale, edges, places, summit.inside, infinite)
        down, up = (_walk(problem, sections, quantity, summit, side, level) for side in (-1.0, 1.0))
        if down.points[-1] > up.points[-1]:  # a scalar that falls along its path, such as 1 / sigma along log sigma
            down, up = up, down
        centre, error = wald_of(mode, summit, quantity)
        best = centre if mode is not None else _highest(quantity, summit, centre, down, up)
        rows.append((best, down.bound, up.bound, error, down.deviance, up.deviance))
        points[quantity.name] = np.array([*down.points[:0:-1], centre, *up.points[1:]])
        zeta[quantity.name] = np.array([*(-z for z in down.zeta[:0:-1]), 0.0, *up.zeta[1:]])
    estimate, lower, upper, error, below, above = np.array(rows, dtype=np.float64).T
    checks = (*summit.checks, *_elsewhere(mode, level))
    return Profile(
        checks, float(level), tuple(q.name for q in quantities), estimate, lower, upper, error, below, above,
        points, zeta, summit.value,
    )  # fmt: skip


def _highest(quantity: Quantity, summit: Summit, centre: float, down: _Side, up: _Side) -> float:
    """Where a scalar is best when the likelihood as a whole has no maximum; NaN where it makes no difference.

    A side that stays at the least upper bound leads to where that is reached.
    """
    side = summit.infinite.get(quantity.coordinate)
    if side is not None:
        return quantity.edge(summit.x, side)
    level = [end.bound for end in (down, up) if end.deviance < _LEVEL]
    if len(level) > 1:
        return float("nan")
    return level[0] if level else centre


def _elsewhere(mode: Mode | None, level: float) -> tuple[Check, ...]:
    """Whether other optima are so high that values around them, which the interval leaves out, are not rejected."""
    found = None if mode is None else mode.certificate
    if found is None or found.agreeing >= len(found.heights):
        return ()
    deviance = 2.0 * (found.heights[0] - found.heights[found.agreeing])
    if deviance >= stats.chi2.ppf(level, 1):
        return ()
    message = f"another optimum has a deviance of {deviance:.3g}: values around it are not rejected either"
    return (Check("starts-agree", "caution", message, "the interval is the part around the highest optimum alone"),)


def wald_of(mode: Mode | None, summit: Summit, quantity: Quantity) -> tuple[float, float]:
    """Estimate and standard error of a scalar; at the edge and without a maximum there is no error (NaN)."""
    if mode is None:
        return float(quantity(summit.x)[0]), float("nan")
    estimate = float(mode.estimate[quantity.columns] @ quantity.weights)
    if not mode.covariance_matrix.size:
        return estimate, float("nan")
    block = mode.covariance_matrix[np.ix_(quantity.columns, quantity.columns)]
    variance = float(quantity.weights @ block @ quantity.weights)
    return estimate, float(np.sqrt(variance)) if variance > 0 else float("nan")


def _walk(problem: Problem, sections: Sections, quantity: Quantity, summit: Summit, side: float, level: float) -> _Side:
    """From the maximum outwards to the bound, in even steps of zeta."""
    target = float(np.sqrt(stats.chi2.ppf(level, 1)))
    stride, first = target / _STEPS, quantity.path(summit.x)
    path, zeta, x = [first], [0.0], [summit.x]
    if quantity.coordinate in summit.places:
        near, far, here = quantity.edge(summit.x, side), quantity.edge(summit.x, -side), float(quantity(summit.x)[0])
        infinite = summit.infinite.get(quantity.coordinate)
        if infinite == side or (infinite is None and abs(near - here) < abs(far - here)):  # it is at this edge already
            return _open(quantity, x, zeta, near)
    if quantity.name in summit.cells:
        if side < 0:
            return _open(quantity, x, zeta, 0.0)
        entry, point = _entry(sections, quantity, summit, stride)
        found, height = refit(sections, summit, entry, (point,))
        path, zeta, x = [*path, entry], [*zeta, height], [*x, found]
    known, jumps, model = len(x), list[tuple[float, float]](), quantity.path(origin(problem))
    step = path[-1] if known > 1 else stride * summit.deviation(quantity)
    for _ in range(400):
        # The first guess follows the straight line through the last two points.
        here = path[-1] + side * step
        guess = x[-1] if len(x) < 1 + known else x[-1] + (x[-1] - x[-2]) * (here - path[-1]) / (path[-1] - path[-2])
        along = rays(problem, quantity, x[-1], here) if summit.checks else ()
        found, height = refit(sections, summit, here, (guess, x[-1], *along))
        if summit.checks and height > target:  # where there is no maximum a ridge may have been left
            found, height = refit(sections, summit, here, (found, origin(problem), *along), every=True)
        jump = height - zeta[-1]
        tiny = step < 1e-9 * max(abs(path[-1]), summit.deviation(quantity))
        if not np.isfinite(height) or (jump > 3.0 * stride and not tiny):
            if tiny and zeta[-1] > target:
                break
            passed = not (model - here) * side > 0  # where the model starts
            if tiny and passed and _stays(summit, zeta[-1]):
                return _open(quantity, x, zeta, _limit(problem, quantity, x[-1], side))
            if tiny:
                return _open(quantity, x, zeta, _end(quantity, x[-1], side))
            step *= 0.25 if not np.isfinite(height) else max(0.1, 1.5 * stride / jump)
            continue
        path, zeta, x = [*path, here], [*zeta, height], [*x, found]
        if height >= _BEYOND * target:
            break
        if quantity.angle and abs(here - first) >= np.pi:  # half a turn: it has been everywhere
            return _open(quantity, x, zeta, float(quantity(summit.x)[0]) + side * quantity.turn / 2)
        jumps.append((step, jump))
        crossed = height >= target  # the rest is for the figure, and need not be there
        if _levelled(jumps, height, _BEYOND * target if crossed else target) or _far(quantity, summit, here):
            if crossed:
                break
            return _open(quantity, x, zeta, _limit(problem, quantity, found, side))
        step *= min(2.0, max(0.2, stride / max(jump, 1e-300)))
    else:
        if _stays(summit, zeta[-1]):
            return _open(quantity, x, zeta, _limit(problem, quantity, x[-1], side))
        raise NumericalError(f"the profile of {quantity.name} does not end", quantity.name, "rescale the data")
    after = int(np.argmax(np.array(zeta) >= target))
    spare = (origin(problem), *rays(problem, quantity, x[after - 1], path[after])) if summit.checks else ()
    ends = (x[after - 1], x[after])
    bound, deviance = solve_bound(sections, summit, target, (path[after - 1], path[after]), ends, spare)
    values = quantity.along(np.array([*x[:after], bound, *x[after:]]))
    return _Side(np.delete(values, after).tolist(), zeta, float(values[after]), deviance)


def _limit(problem: Problem, quantity: Quantity, x: Vector, side: float) -> float:
    """The end of the range of a scalar on one side; a category of a simplex has no path of its own, but has ends."""
    return float(side > 0) if cells_at_zero(problem, x, [quantity.name]) else quantity.edge(x, side)


def _stays(summit: Summit, height: float) -> bool:
    """Whether a walk from a least upper bound, where there is no maximum, is as high as that as far as it came."""
    return bool(summit.checks) and height**2 < _LEVEL


def _entry(sections: Sections, quantity: Quantity, summit: Summit, stride: float) -> tuple[float, Vector]:
    """A share of a category that has none at the maximum which costs about a step of zeta, and a point there."""
    drop = summit.value - sections.objective.value(summit.entered(summit.x, quantity.name, _SHARE))
    share = _SHARE * min(stride**2 / (2.0 * max(drop, 1e-300)), _MOST_SHARE / _SHARE)
    return share, summit.entered(summit.x, quantity.name, share)


def _end(quantity: Quantity, x: Vector, side: float) -> float:
    """The end of the range of a scalar that can go no further.

    Raises
    ------
    NumericalError
        If it has none, so that only the refits fail.
    """
    edge, last = quantity.edge(x, side), float(quantity(x)[0])
    beyond = quantity.coordinate >= 0 and not quantity.real and abs(quantity.path(x)) > _OVERFLOW
    if np.isfinite(edge) or beyond:
        return edge
    if quantity.real or quantity.coordinate >= 0:
        raise NumericalError(
            f"the refits of the profile of {quantity.name} fail at {last:.6g}",
            quantity.name,
            "centre or rescale the data",
        )
    return float(np.round(last)) if abs(last - np.round(last)) < _ROUND else last


def _open(quantity: Quantity, x: list[Vector], zeta: list[float], edge: float) -> _Side:
    """A side on which the deviance stays below the quantile."""
    values, heights = quantity.along(np.array(x)), np.array(zeta)
    shown = np.isfinite(values)
    return _Side(values[shown].tolist(), heights[shown].tolist(), edge, zeta[-1] ** 2)


def _levelled(jumps: list[tuple[float, float]], height: float, target: float) -> bool:
    """Whether zeta has left the floor and levels off: over steps that double, its gains shrink geometrically."""
    if height < _MOVED or len(jumps) < 4:
        return False
    steps, gains = np.array(jumps[-4:]).T
    doubled = np.all(steps[1:] > 1.9 * steps[:-1])
    shrunk = np.all(gains[1:] <= 0.75 * np.maximum(gains[:-1], 1e-10))
    return bool(doubled and shrunk and 4.0 * gains[-1] < target - height)


def _far(quantity: Quantity, summit: Summit, here: float) -> bool:
    """Whether the walk has come so far that nothing can change any more."""
    if quantity.coordinate >= 0 and not quantity.real:
        return abs(here) > FAR
    return abs(here - quantity.path(summit.x)) > _RANGE * summit.reach(quantity)
