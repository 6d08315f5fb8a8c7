"""Why a maximum can be trusted, or what stands there instead of one.

An optimiser's word is not enough: it reports success on ridges, at saddles and on the way to infinity. A certificate
checks what a maximum has to be: the gradient vanishes (to a distance in nats), the information is positive definite,
the density falls on both sides of every axis, and other starting points end at the same place. Where one of these
fails, the place is probed further along the offending direction to say what it is: a flat ridge, a saddle, or an edge
or infinity towards which the density keeps rising.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.check import Check, Status, worst_status
from workbench.errors import Absence, NumericalError
from workbench.model.agreement import RESCALE, starts_agree
from workbench.model.chart import Chart
from workbench.model.identified import identified_combinations, moving_coordinates, named_coordinates
from workbench.numerics.climbs import Climb, falls_away
from workbench.numerics.curvature import FLAT, Curvature
from workbench.numerics.objective import FunctionObjective, Objective, Vector
from workbench.numerics.optimise import EDM_TOLERANCE, climb
from workbench.result import Result

_STEPS = (0.3, 1.0, 3.0, 10.0, 30.0)  # along the direction, in units of z
_EDGE = 20.0  # |z| of a log or logit scale: within 2e-9 of the edge
_RIDGE = 60  # coordinates up to which a ridge is followed around bends
_REAL = 0.02  # nats: a change smaller than this is called flat
_SIGNED = 4  # scalars in a message
_FAR_ALONG = (50.0, 100.0)  # of a direction, in units of z: a scalar that is the same at both has come to an edge
_BOUND = "report the bound, not an error; more data, or a prior that falls off there, give a finite answer"
_ELSEWHERE = "start elsewhere: set `initval`"


@dataclass(frozen=True, repr=False, eq=False)
class Certificate(Result):
    """Why a mode can be trusted, instead of an optimiser's word.

    Attributes
    ----------
    edm : float
        Estimated distance to the maximum, nats.
    gradient_norm : float
        Largest absolute element of the gradient on z, nats per unit of z.
    smallest_eigenvalue : float
        Of the information scaled to unit diagonal; at most 1, near 0 on a ridge.
    starts, agreeing, optima : int
        Starting points that could be climbed from, how many of them reached the best optimum, how many different
        optima there were.
    """

    edm: float
    gradient_norm: float
    smallest_eigenvalue: float
    starts: int
    agreeing: int
    optima: int
    heights: tuple[float, ...]
    inertia: tuple[int, int, int]
    title: ClassVar[str] = "certificate of the maximum"

    @property
    def grade(self) -> Status:
        """The worst status of its checks, whose messages are the reasons."""
        return worst_status(self.checks)

    @property
    def valid(self) -> bool:
        """Whether no check failed."""
        return all(check.status != "failed" for check in self.checks)

    def table(self) -> pd.DataFrame:
        """One row a check: code, status and what was found."""
        rows = [(c.code, c.status, c.message) for c in self.checks]
        return pd.DataFrame(rows, columns=["check", "status", "found"]).set_index("check")


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


def _what_is_there(objective: Objective, chart: Chart, climbs: list[Climb], direction: Vector) -> Missing:
    """What stands instead of a peak along a direction.

    Steps grow until one side falls by a real amount. Both sides: the peak is only badly conditioned. One side: the
    density rises, or stays level, towards an edge of the support or infinity on the other. Neither: a flat ridge.
    """
    end = climbs[0]
    away = _towards_infinity(objective, climbs)
    if away is not None:
        bound = _edge_along(chart, end, away)
        if bound:
            return _towards_edge(bound)
        return Missing(
            "at infinity",
            f"it keeps rising along {' and '.join(_signed(chart, end, away))} without end: the maximum is at infinity",
            "separated outcomes, or a group without events, do this: report a one-sided profile interval, no estimate",
        )
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
        if min(ahead) > -1e-6 and behind < -_REAL:
            return move / length
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
        if top < end.value - 1e-6:
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


def _inertia(curvature: Curvature) -> tuple[int, int, int]:
    """How many eigenvalues are positive, zero and negative."""
    eigenvalues = curvature.eigenvalues
    if curvature.is_peak:  # also where one is small, but was measured along its own axis
        return eigenvalues.size, 0, 0
    positive, negative = int(np.sum(eigenvalues > FLAT)), int(np.sum(eigenvalues < -FLAT))
    return positive, eigenvalues.size - positive - negative, negative


def certify(objective: Objective, chart: Chart, climbs: list[Climb]) -> tuple[Certificate, Missing | None]:
    """The checks on the best of several climbs.

    Parameters
    ----------
    objective : Objective
    chart : Chart
        Names the directions.
    climbs : list of Climb
        Highest first.

    Returns
    -------
    certificate : Certificate
    missing : Missing or None
        Why there is no maximum with standard errors; None if there is one.
    """
    best = climbs[0]
    falls, direction = falls_away(objective, best)
    checks = []
    missing = None if falls else _what_is_there(objective, chart, climbs, direction)
    smallest = float(best.curvature.eigenvalues[0])
    if missing and not best.curvature.is_peak:
        message = f"the information is not positive definite: {missing.reason}"
        checks.append(Check("curvature-positive", "failed", message, missing.fix))
    else:
        checks.append(Check("curvature-positive", "ok", f"smallest scaled eigenvalue {smallest:.2g}"))
        if missing:
            checks.append(Check("interior", "failed", missing.reason, missing.fix))
        else:
            checks.append(Check("interior", "ok", "the density falls on both sides of every axis"))
    if best.edm < EDM_TOLERANCE:
        message = f"EDM {best.edm:.1e} nats, largest gradient {best.gradient_norm:.1e}"
        checks.append(Check("gradient-zero", "ok", message))
    elif best.curvature.is_peak:
        stopped = Missing("unmeasurable", f"the climb stopped {best.edm:.1e} nats below the maximum", RESCALE)
        missing = missing or stopped
        message = f"EDM {best.edm:.1e} nats exceeds {EDM_TOLERANCE:.0e}"
        checks.append(Check("gradient-zero", "failed", message, RESCALE))
    agree, agreeing, optima = starts_agree(
        objective, climbs, "optimum", "optima", "the model has several modes: look at each"
    )
    checks.append(agree)
    certificate = Certificate(
        tuple(checks), best.edm, best.gradient_norm, smallest, len(climbs), agreeing, optima,
        tuple(end.value for end in climbs), _inertia(best.curvature),
    )  # fmt: skip
    return certificate, missing
