"""What the likelihood does far out along one coordinate, once the other coordinates have followed.

A climb that finds no peak was on its way somewhere. The coordinate that it moved is held at places farther and farther
out, and the likelihood is maximised over the others:

    h(t) = max over the others of log L, with the coordinate at t

Gains of h that shrink by a fixed factor add up to a limit: the likelihood levels off, and its least upper bound is a
number. Gains that stay the same while the scalar grows, or shrinks, by a fixed factor have no bound: data without
spread let sigma -> 0 and log L grow as -n log sigma.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.boundary import edge_value
from workbench.likelihood.covariance_factor import factor_diagonals, lost_rank
from workbench.likelihood.followed import GROWS, STRIDE, heights_along, heights_around, places_outwards
from workbench.likelihood.holding import held, settle, value_with
from workbench.likelihood.problem import Problem, origin, scalar_parameters, scalars_in_words
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import curvature_at
from workbench.numerics.objective import Vector

_MOVED = 1.0  # of z, or as many times its start: a climb that went less far was not on its way along this coordinate
_REAL = 0.02  # nats: a smaller change is called none
_RISES = 0.2  # nats a nat of the logarithm: a precision of one observation gains 1/2
_EVEN = 0.05  # of a gain: they are the same
_NAMED = 5  # scalars that go to infinity, in a message
_SOUND = 1e4  # times as far as the climb: farther out a height may be rounding
_STAYS, _TWICE = 0.2, 2.0  # of its size, a scalar that goes nowhere; the factor by which a difference shrinks
_SHRINKS = 0.75  # of a gain, from one place to the next
_LONG = 6  # gains in a row that grow
_ALIKE = 3  # gains in a row that say the same
_MOST_OF = 0.6  # of the way of a climb that rounding stopped
_SETTLED = 1e-6  # of the log likelihood, or nats below 1: what is left to gain is no more
_NOTHING = 1e-9  # of the log likelihood, or nats below 1: a smaller gain is rounding
_ARRIVED = 1e-9  # nats: less is left to gain
_SHORT = 1e-5  # of the log likelihood, or nats below 1, by which a limit may lie below where the climb ended
_SAME = 0.01  # relative change of a curvature that is none, and standard deviations of a move
_DIGITS = 7  # of a nat: the sum of many gains is no better
_MOST = 24  # coordinates that are looked at


@dataclass(frozen=True)
class Tail:
    """Where the likelihood rises for ever.

    Attributes
    ----------
    label : str
        The scalar that goes there.
    coordinate : int
        Its coordinate.
    side : float
        The side, -1 or 1, to which that goes.
    limit : str
        Where it goes.
    bounded : bool
        Whether the likelihood levels off.
    value : float
        Its least upper bound if it does, else the last height; nats.
    x : ndarray, shape (p,)
        Far out, the other coordinates at their maximum.
    settled : bool
        Whether the others have a peak there that stays the same farther out, so that intervals can be measured.
    along : dict of str to str
        Other scalars that grow with it for as long as it was followed -> where they go.
    alike : tuple of str
        Two scalars that become the same on the way; empty where there are none.
    level : ndarray, shape (p,), or None
        The first place from which nothing is left to gain; None where there is something left at the last.
    """

    label: str
    coordinate: int
    side: float
    limit: str
    bounded: bool
    value: float
    x: Vector
    settled: bool
    along: dict[str, str] = field(default_factory=dict)
    alike: tuple[str, ...] = ()
    level: Vector | None = None


def _tail(
    problem: Problem, end: Climb, label: str, i: int, seen: list[tuple[float, Vector]], around: bool = False
) -> Tail | None:
    """What the likelihood does along one coordinate; places on the way go to those that were seen.

    It is followed from where the model starts, or around the end of the climb.
    """
    position = problem.chart.labels.index(label)
    places, unit = places_outwards(problem, end, i, position)
    side = float(np.sign(end.z[i] - origin(problem)[i]))
    heights: list[float] = []
    points: list[Vector] = []
    for height, x in heights_around(problem, end, i, position) if around else heights_along(problem, i, places):
        heights.append(height)
        points.append(x)
        seen += [(height, x)] if np.max(np.abs(x)) < _SOUND * max(1.0, float(np.max(np.abs(end.z)))) else []
        gains, size = np.diff(heights)[-_ALIKE:], max(1.0, abs(height))
        if gains.size < _ALIKE:
            continue
        if not np.all(gains > -_NOTHING * size):  # it falls on the way, or cannot be followed
            if height < end.value - _REAL and gains[-1] < -_REAL:
                return None
            continue
        even = _even(np.diff(heights), unit)
        way = abs(end.z[i] - origin(problem)[i])
        arrived = height > end.value - _REAL or (even > _ALIKE and even * unit > _MOST_OF * way)
        if (even >= _ALIKE or _growing(np.diff(heights), unit) >= _LONG) and arrived:
            limit = _limit(problem, end, i, position, side)
            return Tail(label, i, side, limit, False, height, x, False, _along(problem, points, label))
        # Level from the first place on is a ridge, such as that of a product, and not the way to a limit.
        rose = height - min(heights) > _REAL and height - min(heights[1:]) > _NOTHING * size
        rose &= not around or height > end.value + _NOTHING * size  # inwards the others may have lost their way
        if gains[-1] < _SETTLED * size and _shrink(gains, _NOTHING * size) and rose:
            ratio = max(gains[-1], 0.0) / gains[-2] if gains[-2] > _NOTHING * size else 0.0
            ahead = ratio / (1.0 - ratio)  # the sum of all gains to come, in units of the last one
            least = height + max(gains[-1], 0.0) * ahead
            if least > end.value - _SHORT * size:
                settled = _settled(problem, points[-2:], i)
                at = x + np.where(np.arange(x.size) == i, 0.0, ahead * (x - points[-2])) if settled else x
                along = {} if settled else _along(problem, points, label)
                limit, alike = _limit(problem, end, i, position, side), _alike(problem, points)
                level = next((x for h, x in zip(heights, points, strict=True) if h > least - _ARRIVED), None)
                return Tail(label, i, side, limit, True, least, at, settled, along, alike, level)
    return None


def _along(problem: Problem, points: list[Vector], label: str) -> dict[str, str]:
    """The other scalars that grew by a factor at each of the last places, so that no number is theirs."""
    labels = [own for name in problem.chart.names for own in problem.chart.space.labels(name)]
    values = problem.chart.scalars(np.array(points[-_ALIKE:]))[:, : len(labels)]
    grown = np.all(np.abs(values[1:]) > GROWS * np.abs(values[:-1]), axis=0) & np.all(values[1:] * values[:-1] > 0, 0)
    grown &= np.abs(values[-1]) > 1.0
    names = zip(labels, values[-1], grown, strict=True)
    return {name: f"{'-' if last < 0 else ''}infinity" for name, last, grows in names if grows and name != label}


def _alike(problem: Problem, points: list[Vector]) -> tuple[str, ...]:
    """Two scalars whose difference shrinks in proportion at each of the last places, while they stay; or none."""
    labels = [own for name in problem.chart.names for own in problem.chart.space.labels(name)]
    values = problem.chart.scalars(np.array(points[-_ALIKE:]))[:, : len(labels)]
    size = np.abs(values[-1])
    stay = np.flatnonzero((np.ptp(values, axis=0) < _STAYS * size) & (size > 0))[:_MOST]
    for k, first in enumerate(stay):
        for second in stay[k + 1 :]:
            gaps = np.abs(values[:, first] - values[:, second])
            if np.all(gaps[1:] < gaps[:-1] / _TWICE) and 0 < gaps[-1] < _STAYS * size[first]:
                return labels[first], labels[second]
    return ()


def _settled(problem: Problem, points: list[Vector], i: int) -> bool:
    """Whether the others have the same peak at the last two places."""
    rest = np.setdiff1d(np.arange(points[0].size), [i])
    if not rest.size:
        return True
    try:
        bends = [curvature_at(held(problem.objective, x, np.array([i])), x[rest]) for x in points]
    except NumericalError:
        return False
    if not all(bend.is_peak for bend in bends):
        return False
    before, after = (np.diag(bend.information) for bend in bends)
    moved = np.abs(points[1] - points[0])[rest] * np.sqrt(after)
    same = np.max(np.abs(after / before - 1.0)) < _SAME and np.max(moved) < _SAME
    # A coordinate that is on its way to infinity itself has a curvature of rounding, and no peak.
    return bool(same) and settle(problem.objective, points[1], [i]).peaks


def _even(gains: Vector, unit: float) -> int:
    """How many of the last gains are real and the same."""
    count = 0
    for gain in gains[::-1]:
        if not gain > _RISES * unit or abs(gain - gains[-1]) > _EVEN * gains[-1]:
            break
        count += 1
    return count


def _growing(gains: Vector, unit: float) -> int:
    """How many of the last gains are real and none of them smaller than the one before.

    So it is where another scalar adds to it: a Weibull's shape falls as its threshold comes near an observation.
    """
    count = 0
    for gain, after in zip(gains[-2::-1], gains[:0:-1], strict=False):
        if not _RISES * unit < gain <= after:
            break
        count += 1
    return count


def _shrink(gains: Vector, nothing: float) -> bool:
    """Whether gains shrink by a factor from one to the next, or are no more than rounding."""
    pairs = zip(gains, gains[1:], strict=False)
    return all(after < nothing or after <= _SHRINKS * before for before, after in pairs)


def _limit(problem: Problem, end: Climb, i: int, position: int, side: float) -> str:
    """Where the scalar goes on this side."""
    edge = edge_value(problem, end.z, i, side, position)
    if edge is not None:
        return f"{edge:.6g}"
    points = np.tile(end.z, (2, 1))
    points[1, i] += side
    return f"{'-' if np.diff(problem.chart.scalars(points)[:, position])[0] < 0 else ''}infinity"


def look_far(problem: Problem, end: Climb) -> tuple[Tail | None, Vector | None]:
    """The coordinate along which the likelihood rises for ever; one without bound before one that levels off.

    Of several that level off one that settles the others comes first, and one to infinity before one to an edge.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Returns
    -------
    tail : Tail or None
    higher : ndarray, shape (p,), or None
        A place on the way that is higher than the end of the climb and than any tail: no climb has found the way there.
    """
    seen, start = list[tuple[float, Vector]](), origin(problem)
    scalars = list(scalar_parameters(problem).items())[:_MOST]
    moved = [(label, i) for label, i in scalars if abs(end.z[i] - start[i]) > _MOVED * max(1.0, abs(start[i]))]
    for around in (False, True):
        tails = [_tail(problem, end, label, i, seen, around) for label, i in moved]
        found = [tail for tail in tails if tail is not None]
        if found or max((height for height, _ in seen), default=-np.inf) > end.value + _REAL:
            break
    best = min(found, key=lambda tail: (tail.bounded, not tail.settled, "infinity" not in tail.limit), default=None)
    height, place = max(seen, key=lambda one: one[0], default=(-np.inf, None))
    unbounded = best is not None and not best.bounded
    least = max([end.value, *(tail.value for tail in found)])
    return best, None if unbounded or not height > least + _REAL else place


def find_collapse(problem: Problem, end: Climb) -> Tail | None:
    """A covariance that loses its rank without bound, as that of fewer rows than columns does; None where none does.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Returns
    -------
    Tail or None
    """
    start = origin(problem)
    for label, i in list(factor_diagonals(problem).items())[:_MOST]:
        looks = [value_with(problem.objective, end.z, i, start[i] - STRIDE * k) for k in range(2, 4 + _ALIKE)]
        if not np.all(np.isfinite(looks)) or _even(np.diff(looks), STRIDE) < _ALIKE:
            continue
        tail = _tail(problem, end, label, i, [])
        if tail is not None and not tail.bounded:
            return tail
    return None


def find_rise(problem: Problem, end: Climb) -> Tail | None:
    """A scalar along which the likelihood rises without bound from where a climb ended, with the others held there.

    A climb that ends at a corner, such as a location on an observation of heavy tails, cannot be followed over the
    others; but as a scale shrinks there log L may grow with its logarithm. And where log L is a straight line, as for a
    rate of events that took no time, no climb gets away from its start.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb.

    Returns
    -------
    Tail or None
    """
    for label, i in list(scalar_parameters(problem).items())[:_MOST]:
        position = problem.chart.labels.index(label)
        _, unit = places_outwards(problem, end, i, position)
        way = float(np.sign(end.z[i] - origin(problem)[i]))
        for side in (way,) if way else (1.0, -1.0):
            steps = end.z[i] + side * unit * np.arange(_ALIKE + 2)
            heights = np.array([value_with(problem.objective, end.z, i, at) for at in steps])
            if np.all(np.isfinite(heights)) and _even(np.diff(heights), unit) > _ALIKE:
                limit = _limit(problem, end, i, position, side)
                return Tail(label, i, side, limit, False, float(heights[-1]), end.z, False)
    return None


def refuse_tail(problem: Problem, tail: Tail) -> None:
    """Say that the likelihood rises for ever, and to what.

    Parameters
    ----------
    problem : Problem
    tail : Tail

    Raises
    ------
    NoMaximumError
        Always.
    """
    # Where the likelihood levels off and the others have no peak of their own, any of their values would do.
    free = tail.bounded and not tail.settled
    singular = "" if tail.bounded or tail.label not in factor_diagonals(problem) else lost_rank(problem, tail.x)
    others = "" if free or singular else scalars_in_words(problem, tail.x, [tail.label, *tail.along])
    rest = f"{', with ' * bool(others)}{others}"
    goes = [f"{label} -> {limit}" for label, limit in [(tail.label, tail.limit), *tail.along.items()]]
    more = len(goes) - _NAMED
    way = " and ".join([*goes[:_NAMED], f"{more} more with them"] if more > 0 else goes)
    rest = f", where {singular}" if singular else rest
    if tail.alike:
        way += f", while {' and '.join(tail.alike)} become the same"
    if not tail.bounded:
        raise NoMaximumError(
            "unbounded",
            f"the likelihood has no maximum: it rises without bound as {way}{rest}",
            tail.label,
            "data without spread, data that the model fits perfectly, or an observation of heavy tails do this: give "
            "the model the error of measurement, or use the posterior with a prior that keeps away from the limit",
        )
    raise NoMaximumError(
        "at infinity",
        f"the likelihood has no maximum: it keeps rising as {way}, where it levels off: its least "
        f"upper bound is {round(tail.value, _DIGITS) + 0.0:.6g} nats{rest}",
        tail.label,
        "leave one of these two terms out, or the posterior with priors that tell them apart"
        if tail.alike
        else "separated outcomes, a group without events, or data that a simpler model fits do this: report the "
        "one-sided profile interval, or use that model or the posterior",
    )
