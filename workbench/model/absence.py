"""What stands instead of a maximum: a flat ridge, a saddle, an edge of the support, infinity, or one that is too sharp.

The place where a climb ended without a peak is probed farther along the offending direction, and along the way from one
climb's end to another's: what rises there, falls on one side alone, or never falls, says what is there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from workbench.errors import Absence, NumericalError
from workbench.model.chart import Chart
from workbench.model.identified import (
    identified_combinations,
    moving_coordinates,
    named_coordinates,
    too_alike,
)
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import FunctionObjective, Objective, Vector
from workbench.numerics.optimise import climb
from workbench.numerics.projection import is_parabola

_STEPS = (0.3, 1.0, 3.0, 10.0, 30.0)  # along the direction, in units of z
_EDGE = 20.0  # |z| of a log or logit scale: within 2e-9 of the edge
_RIDGE = 60  # coordinates up to which a ridge is followed around bends
_REGAINED = 1e-6  # nats: what is less below is as high
_THIN = 1e-5  # of the scaled information: what is that thin may be a ridge that bends
_FOLLOWED = (0.01, 0.03, 0.1, 0.3, 1.0)  # standard deviations, so that the rest can follow
_REAL = 0.02  # nats: a change smaller than this is called flat
_SIGNED = 4  # scalars in a message
_FAR_ALONG = (50.0, 100.0)  # of a direction, in units of z: a scalar that is the same at both has come to an edge
_BOUND = "report the bound, not an error; more data, or a prior that falls off there, give a finite answer"
_ELSEWHERE = "start elsewhere: set `initval`"
ORTHOGONAL = "centre and scale these columns before taking powers or products, or use their QR decomposition"


@dataclass(frozen=True)
class Missing:
    """What stands instead of a maximum with standard errors.

    Attributes
    ----------
    kind : str
        One of `workbench.errors.Absence`.
    reason, fix : str
        In words, and what to do about it.
    """

    kind: Absence
    reason: str
    fix: str


def _named(chart: Chart, direction: Vector, least: float = 0.1) -> list[str]:
    """The free variables along a direction in z, largest share first."""
    shares = {name: float(np.sum(direction[block] ** 2)) for name, block in chart.blocks.items()}
    return [name for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > least][:4]


def _change(objective: Objective, end: Climb, step: Vector) -> float:
    """Change of log f by a step from the end, nats; -inf where it is not a number."""
    try:
        return objective.value(end.z + step) - end.value
    except NumericalError:
        return -np.inf


def _rising_axis(objective: Objective, end: Climb) -> Vector | None:
    """The coordinate along which log f still rises most, as a unit vector; None where it rises along none.

    Near an unbounded density the Hessian is made of rounding errors, and its axes say nothing.
    """
    steps = [(s * length, i) for i in range(end.z.size) for s in (1.0, -1.0) for length in _STEPS[:3]]
    gains = [_change(objective, end, step * np.eye(end.z.size)[i]) for step, i in steps]
    best = int(np.argmax(gains))
    return np.eye(end.z.size)[steps[best][1]] if gains[best] > _REAL else None


def what_is_there(objective: Objective, chart: Chart, climbs: list[Climb], direction: Vector) -> Missing:
    """What stands instead of a peak along a direction.

    Steps grow until one side falls by a real amount. Both sides: the peak is only badly conditioned. One side: the
    density rises, or stays level, towards an edge of the support or infinity on the other. Neither: a flat ridge.

    Parameters
    ----------
    objective : Objective
    chart : Chart
        Names the directions.
    climbs : list of Climb
        Highest first.
    direction : ndarray, shape (d,)
        In z, along which the highest does not fall.

    Returns
    -------
    Missing
    """
    end = climbs[0]
    alike = too_alike(objective, chart, end)
    if alike:
        return _alike(alike, end)
    away = _towards_infinity(objective, climbs)
    if away is not None:
        return _without_end(chart, end, away)
    rising = _rising_axis(objective, end)
    if rising is not None:
        direction = rising
    names = _named(chart, direction)
    along = " and ".join(names)
    fallen = [False, False]
    for length in _STEPS:
        changes = [_change(objective, end, sign * length * direction) for sign in (1.0, -1.0)]
        if rising is None and max(changes) > _REAL and min(changes) > -_REAL:
            return Missing("saddle", f"a saddle or a slope along {along}, not a maximum", _ELSEWHERE)
        fallen = [change < -_REAL for change in changes]
        if any(fallen):
            break
    if all(fallen):
        edge = _at_an_edge(chart, end.z)
        if edge:
            return Missing(
                "edge",
                f"it rises without bound, or to the edge of the support, along {' and '.join(edge)}",
                "data without spread, or an edge in the prior, cause this: report the bound, not an error",
            )
        level = _level_edge(objective, chart, end, direction)  # where numbers end before the last of the steps
        if level is not None:
            return level
        if 1 < end.z.size <= _RIDGE and _returns(objective, end, direction):
            return _flat(objective, chart, climbs, names)
        reason = f"a peak too sharp or too flat along {along} for its curvature to be measured"
        return Missing("unmeasurable", reason, "rescale the data")
    if not any(fallen):
        return _flat(objective, chart, climbs, names)
    sign = -1.0 if fallen[0] else 1.0
    bound = _edge_along(chart, end, sign * direction)
    if bound:
        return _towards_edge(bound)
    far = chart.theta(end.z + sign * _STEPS[-1] * direction)
    limits = [f"{n} = {_short(far[n][0])}" for n in names if np.all(np.isfinite(far[n]))]
    towards = f" ({', '.join(limits)} far out)" if limits else ""
    named = named_coordinates(chart, end.z)[int(np.argmax(np.abs(direction)))]
    upwards = sign * direction[np.argmax(np.abs(direction))] > 0
    endless = named is not None and (upwards or not named[1])  # the scalar itself, or the logarithm of one that grows
    place = "at infinity" if endless else "at an edge of the support or at infinity"
    return Missing(
        "at infinity" if endless else "edge",
        f"it keeps rising along {along}{towards}: the maximum is {place}",
        _BOUND,
    )


def _without_end(chart: Chart, end: Climb, away: Vector) -> Missing:
    """What stands in a direction in which climbs go on: an edge that every moving scalar comes to, or infinity."""
    bound = _edge_along(chart, end, away)
    if bound:
        return _towards_edge(bound)
    return Missing(
        "at infinity",
        f"it keeps rising along {' and '.join(_signed(chart, end, away))} without end: the maximum is at infinity",
        "separated outcomes, or a group without events, do this: report a one-sided profile interval, no estimate",
    )


def _alike(labels: list[str], end: Climb) -> Missing:
    """What is said of columns that are nearly combinations of each other."""
    more = f" and {len(labels) - _SIGNED} more" if len(labels) > _SIGNED else ""
    size = abs(end.curvature.eigenvalues[0])
    return Missing(
        "unmeasurable",
        f"a peak that double precision does not find: the columns that {', '.join(labels[:_SIGNED])}{more} multiply "
        f"are nearly combinations of each other (the information along one, {size:.0e} of the others', is rounding)",
        ORTHOGONAL,
    )


def _towards_edge(bound: str) -> Missing:
    """What stands at an edge of the support, such as ``tau = 0``."""
    return Missing("edge", f"it keeps rising towards the edge of the support, {bound}", _BOUND)


def _level_edge(objective: Objective, chart: Chart, end: Climb, direction: Vector) -> Missing | None:
    """The edge that is reached along a direction on one side without a fall, while there is one on the other side."""
    for sign in (1.0, -1.0):
        bound = _edge_along(chart, end, sign * direction)
        ahead = [_change(objective, end, sign * length * direction) for length in _STEPS[:-1]]
        if bound and min(ahead) > -_REAL and _change(objective, end, -sign * _STEPS[-1] * direction) < -_REAL:
            return _towards_edge(bound)
    return None


def _edge_along(chart: Chart, end: Climb, direction: Vector) -> str:
    """The edge at which every scalar that moves along a direction ends, such as ``p = 1``; empty if one goes on."""
    moving = np.abs(direction) > 0.1 * np.max(np.abs(direction))
    direction = np.where(moving, direction, 0.0)  # the others only find their place on the way
    values = chart.scalars(end.z + np.outer(_FAR_ALONG, direction))[:, : end.z.size]
    labels = [label for name in chart.names for label in chart.space.labels(name)]
    if len(labels) != end.z.size or not np.all(np.isfinite(values)):
        return ""
    far, farther = values
    if not np.allclose(far, farther, rtol=1e-9, atol=1e-12):
        return ""
    return ", ".join(f"{labels[i]} = {np.round(far[i], 12):.6g}" for i in np.flatnonzero(moving))


def _signed(chart: Chart, end: Climb, direction: Vector) -> list[str]:
    """The scalars along a direction with the sign of their move; a vector without scalars of its own as a whole."""
    named, found = named_coordinates(chart, end.z), []
    for name, block in chart.blocks.items():
        moves = np.abs(direction[block])
        single = all(named[i] is not None for i in range(block.start, block.stop))
        for i in np.flatnonzero(moves**2 > 0.01) + block.start if single else [int(np.argmax(moves)) + block.start]:
            label = named[i]
            if direction[i] ** 2 > 0.01 or not single and np.sum(moves**2) > 0.01:
                text = name if label is None else label[0]
                found.append((-abs(direction[i]), f"{text} ({'+' if direction[i] > 0 else '-'})"))
    return [text for _, text in sorted(found)[:_SIGNED]]


def _flat(objective: Objective, chart: Chart, climbs: list[Climb], names: list[str]) -> Missing:
    """What is said of a ridge, with what is determined on it."""
    identified = identified_combinations(objective, chart, climbs)
    moving, directions = moving_coordinates(climbs[0])
    labels = [named_coordinates(chart, climbs[0].z)[i] for i in moving]
    combined = len(names) > 1 or bool(identified)
    if 0 < len(moving) == directions and all(labels):  # each is flat by itself
        names, combined = [label[0] for label in labels if label][:_SIGNED], False
    elif len(moving) > directions > 0:
        inside = {name: np.isin(moving, np.arange(block.start, block.stop)) for name, block in chart.blocks.items()}
        names, combined = [*names, *(n for n, own in inside.items() if own.any() and n not in names)][:_SIGNED], True
    them = "them" if len(names) > 1 else "its elements"
    what = f"only a combination of {them} is determined by the data" if combined else "the data do not determine it"
    fix = "fix one of these variables, or give the model data that tell them apart"
    return Missing("flat", f"flat along {' and '.join(names)}: {what}{'; ' * bool(identified)}{identified}", fix)


def _towards_infinity(objective: Objective, climbs: list[Climb]) -> Vector | None:
    """The direction in which log f rises, or stays level, without end while it falls on the way back; unit vector.

    A climb towards infinity stops somewhere on the way, so the way from one end to another points there.
    """
    best = climbs[0]
    for move in [*(best.z - end.z for end in climbs[1:4]), best.z - best.start]:
        length = float(np.linalg.norm(move))
        if length < 1.0:
            continue
        ahead = [_change(objective, best, factor * move) for factor in (1.0, 10.0)]
        span = float(np.linalg.norm(best.z))
        behind = min(_change(objective, best, -factor * span * move / length) for factor in (0.5, 0.9))
        if min(ahead) > -1e-6 and behind < -_REAL and not is_parabola(objective, best.z, move):
            return move / length
    return None


def level_once_followed(objective: Objective, end: Climb) -> Vector | None:
    """The direction of a coordinate along which log f stays level once the rest has followed, from a seeming peak.

    A ridge that bends falls away on both sides of every straight line, and what is measured of its curvature is that of
    the bend: an amplitude and a rate that grow together, of a curve that has died down before the second observation.

    Parameters
    ----------
    objective : Objective
    end : Climb
        A peak, by its curvature.

    Returns
    -------
    ndarray, shape (d,), or None
        A unit vector; None where it falls, by however little, within one standard deviation on both sides.
    """
    if end.curvature.eigenvalues[0] > _THIN or not 1 < end.z.size <= _RIDGE:
        return None
    i = int(np.argmax(np.abs(end.curvature.weakest)))
    deviation, rest = float(np.sqrt(end.curvature.covariance[i, i])), np.setdiff1d(np.arange(end.z.size), [i])
    for side in (1.0, -1.0):
        z = end.z
        for share in _FOLLOWED:
            origin = np.where(np.arange(z.size) == i, end.z[i] + side * share * deviation, z)

            def section(others: Vector, origin: Vector = origin) -> tuple[float, Vector]:
                point = origin.copy()
                point[rest] = others
                value, gradient = objective.value_and_gradient(point)
                return value, gradient[rest]

            try:
                top = climb(FunctionObjective(rest.size, section), origin[rest])
            except NumericalError:
                break
            z = origin.copy()
            z[rest] = top.z
            if top.value < end.value - _REGAINED:
                break
        else:
            return side * np.eye(z.size)[i]
    return None


def _returns(objective: Objective, end: Climb, direction: Vector) -> bool:
    """Whether log f regains its height a step along a direction once the rest has followed: a ridge, maybe curved."""
    across = np.linalg.svd(direction[None])[2][1:]
    for step in (0.3, -0.3, 1.0, -1.0):
        origin = end.z + step * direction

        def section(rest: Vector, origin: Vector = origin) -> tuple[float, Vector]:
            value, gradient = objective.value_and_gradient(origin + rest @ across)
            return value, across @ gradient

        try:
            top = climb(FunctionObjective(len(across), section), np.zeros(len(across))).value
        except NumericalError:
            return False
        if top < end.value - _REGAINED:
            return False
    return True


def _at_an_edge(chart: Chart, z: Vector) -> list[str]:
    """Transformed variables that are at the edge of their support to the precision of the numbers."""
    theta = chart.theta(z)
    found = []
    for name in chart.names:
        block = z[chart.blocks[name]]
        free = theta[name].size == block.size and np.array_equal(np.ravel(theta[name]), block)
        if not free and np.max(np.abs(block)) > _EDGE:
            found.append(name)
    return found


def _short(value: NDArray) -> str:
    """A value for a message: four digits, the first few elements."""
    return np.array2string(np.asarray(value), precision=4, threshold=4, edgeitems=2)


def refuse_starts(objective: Objective, starts: NDArray[np.float64], kind: str) -> NoReturn:
    """Say why no start led anywhere: the log density is finite at none, or every climb ends where it is no number.

    Parameters
    ----------
    objective : Objective
    starts : ndarray, shape (m, d)
    kind : str
        What is sought, for the message.

    Raises
    ------
    NumericalError
        Always.
    """
    inside = False
    for start in starts:
        with contextlib.suppress(NumericalError):
            inside = inside or bool(np.isfinite(objective.value(start)))
    if inside:
        raise NumericalError(
            "every climb ends where the log density, or its slope, is no number: it may rise without bound",
            kind,
            "keep scales away from 0 by their priors, give the model the error of measurement, or start elsewhere: set "
            "`initval`",
        )
    raise NumericalError(
        "the log density is finite at none of the starting points", kind, "give the variables an `initval` inside"
    )
