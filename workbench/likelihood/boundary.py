"""A maximum at the edge of the support: a variance of exactly 0, a probability of exactly 1.

On z such an edge lies at infinity, and a climb towards it never ends; in theta it is an ordinary point with a finite
likelihood. Here the climb is followed until the likelihood no longer changes, the variable is set to its edge, and
the maximum over the others is found with it held there. What keeps rising, or has no finite edge, is left alone: that
maximum does not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.holding import settle, value_with
from workbench.likelihood.problem import Problem, origin, scalar_parameters
from workbench.model.absence import level_once_followed
from workbench.numerics.climbs import Climb, level_directions
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import EDM_TOLERANCE

_FAR = 700.0  # on a log or logit scale this is the edge itself in double precision
_SATURATED = 300.0  # where a climb went farther, it is looked at from here
# Farther out than this the rounding of a covariance without an inverse may hide the peak over the other coordinates.
_NEARER = (_SATURATED, 25.0, 20.0, 17.0)
_STRIDE = 2.0  # of z, from one look towards the edge to the next
_LEVEL = 1e-9  # of the log likelihood, or nats below 1: a change below this is none
_REAL = 0.02  # nats: a change below this is called flat
_DIGITS = 7  # of a nat
_LOWER = 1e-6  # nats by which the edge may be lower than where the climb ended
_WAYS, _NEAR = (-1.0, 1.0), (0.0, 1.0, 3.0)  # of z, around the start of the model: where nothing changes
_INWARDS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of z, and as far outwards


@dataclass(frozen=True)
class Edge:
    """A maximum at the edge of the support.

    Attributes
    ----------
    x : ndarray, shape (p,)
        Coordinates of the parameters; those at the edge so far out that the likelihood no longer changes.
    values : dict of str to float
        Label of each scalar at the edge -> the edge.
    value : float
        Log likelihood, nats.
    edm, gradient_norm : float
        Of the other coordinates.
    covariance : ndarray, shape (p, p)
        Of the other coordinates with these held at the edge; zero elsewhere.
    smallest_eigenvalue : float
        Of the scaled information of the others; 1 where there are none.
    """

    x: Vector
    values: dict[str, float]
    value: float
    edm: float
    gradient_norm: float
    covariance: NDArray[np.float64]
    smallest_eigenvalue: float


def edge_value(problem: Problem, x: Vector, i: int, side: float, position: int) -> float | None:
    """The finite edge of a scalar on one side of its coordinate; None where there is none.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    i : int
        The coordinate.
    side : float
        -1 or 1.
    position : int
        Of the scalar among the labels.

    Returns
    -------
    float or None
    """
    points = np.tile(x, (2, 1))
    points[:, i] = side * _FAR, side * (_FAR + 40.0)
    with np.errstate(over="ignore"):
        near, far = problem.chart.scalars(points)[:, position]
    settled = np.isfinite(far) and abs(far - near) <= 1e-12 * max(1.0, abs(far))
    return (0.0 if abs(far) < 1e-300 else float(far)) if settled else None


def _towards(objective: Objective, end: Climb, i: int, side: float, start: float) -> float | None:
    """Where along a coordinate the likelihood has reached its limit; None if it falls, rises on, or is flat."""
    here = end.value
    at = float(np.clip(end.z[i], -_SATURATED, _SATURATED))
    steps = [way * step for way in (-side, side) for step in _INWARDS] + [start - at]
    looks = np.array([value_with(objective, end.z, i, at + step) for step in steps])
    # At the other edge the density may be singular: only a fall that was seen is one.
    falls = np.where(np.isfinite(looks), here - looks, 0.0)
    none = max(_LEVEL * max(1.0, abs(here)), min(4.0 * _noise(objective, end.z, i, at), _LOWER))
    outwards = np.array(steps) * side > 0
    # Level over a factor of a thousand it has come to its limit: falls farther out are those of lost digits.
    *_, near, nearer, far, farthest = range(len(_INWARDS), 2 * len(_INWARDS))
    if max(abs(here - looks[near]), abs(here - looks[nearer])) < none:
        falls[[far, farthest]] = 0.0
    if np.max(falls[~outwards], initial=0.0) < _REAL:
        return None
    limit = _all_but_there(looks, here, none, at, side)
    if np.max(falls[outwards], initial=0.0) > _REAL:
        return limit
    value, still = here, 0
    while abs(at) < _FAR:
        further = value_with(objective, end.z, i, at + side * _STRIDE)
        if further < value - none:
            return at if still else limit
        still = still + 1 if further - value < none else 0
        at, value = at + side * _STRIDE, max(value, further)
        if still == 2:
            return at
    return None


def _all_but_there(looks: Vector, here: float, none: float, at: float, side: float) -> float | None:
    """Where what gains less and less has come within `none` of its limit; None if it has not.

    The digits of a near-singular density may end there, so that nothing farther out can be seen.
    """
    _, one, three = here - looks[:3]  # inwards
    last, before = max(one, 0.0), three - one  # gains of one step, and of the two before it
    if not 0 < before < np.inf:
        return None
    # With the same ratio from step to step these two are last / ratio and last / ratio^2.
    ratio = 2.0 / (np.sqrt(1.0 + 4.0 * before / max(last, 1e-3 * before)) - 1.0)
    if not ratio < 0.5 or not last * ratio / (1.0 - ratio) < none:
        return None
    return at if abs(looks[len(_INWARDS)] - here) < none else at - side


def _noise(objective: Objective, z: Vector, i: int, at: float) -> float:
    """The rounding of the likelihood near a value of one coordinate, nats, as where a covariance has no digits left."""
    near = np.array([value_with(objective, z, i, at + 1e-3 * k) for k in range(-3, 4)])
    return float(np.max(np.abs(np.diff(near, 2)))) if np.all(np.isfinite(near)) else 0.0


def peaks_slightly(objective: Objective, end: Climb) -> bool:
    """Whether a climb ended at a maximum that hardly rises above the edge of the support beyond it.

    A variance that is a little above 0 is such a maximum: one standard deviation on the log scale lower the likelihood
    is less than 0.02 nats below it, but lower, there and everywhere beyond. Towards infinity it would be higher.

    Parameters
    ----------
    objective : Objective
    end : Climb

    Returns
    -------
    bool
    """
    if not end.curvature.is_peak or not end.edm < EDM_TOLERANCE or level_once_followed(objective, end) is not None:
        return False
    return all(_falls_beyond(objective, end, direction) for direction in level_directions(objective, end))


def _falls_beyond(objective: Objective, end: Climb, direction: Vector) -> bool:
    """Whether log f is lower one standard deviation along a direction, and everywhere that is looked at beyond."""
    deviation = float(1.0 / np.sqrt(direction @ end.curvature.information @ direction))
    none = _LEVEL * max(1.0, abs(end.value))
    for seen, step in enumerate(sorted((deviation, *_INWARDS[2:]))):
        try:
            if not float(objective.value(end.z + step * direction)) < end.value - none:
                return False
        except NumericalError:  # so far out that nothing can be computed; what was nearer has been seen to be lower
            return seen > 0
    return True


def support_edges(problem: Problem, x: Vector) -> dict[str, tuple[float, float]]:
    """Finite edges of the support of every scalar parameter.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
        Any point; the edges do not depend on it.

    Returns
    -------
    dict of str to (lower, upper)
        Infinite where there is no edge.
    """
    labels, found = problem.chart.labels, {}
    for label, i in scalar_parameters(problem).items():
        ends = [edge_value(problem, x, i, side, labels.index(label)) for side in (-1.0, 1.0)]
        finite = [end for end in ends if end is not None]
        here = float(problem.chart.scalars(x[None])[0, labels.index(label)])
        lower = [end for end in finite if end <= here]
        upper = [end for end in finite if end > here]
        found[label] = (lower[0] if lower else -np.inf, upper[0] if upper else np.inf)
    return found


def _edges_ahead(problem: Problem, end: Climb, scalars: dict[str, int]) -> tuple[Vector, list[int], dict[str, float]]:
    """The point with every scalar at the edge towards which a climb is heading, their coordinates, and the edges."""
    labels = problem.chart.labels
    x, values = end.z.copy(), {}
    fixed: list[int] = []
    start = origin(problem)
    for label, i in scalars.items():
        for side in (-1.0, 1.0):
            edge = edge_value(problem, end.z, i, side, labels.index(label))
            if edge is None:
                continue
            limit = _towards(problem.objective, end, i, side, start[i])
            if limit is not None:
                x[i], values[label] = limit, edge
                fixed.append(i)
                break
    for label in list(values):  # level only because of what the other edges are: it is at none
        if len(values) > 1 and _is_empty(problem, x, scalars[label], start[scalars[label]]):
            x[scalars[label]] = end.z[scalars[label]]
            fixed.remove(scalars[label])
            del values[label]
    return x, fixed, values


def _is_empty(problem: Problem, x: Vector, i: int, start: float) -> bool:
    """Whether the likelihood is the same for all values of a coordinate around the start of the model."""
    height = value_with(problem.objective, x, i, x[i])
    none = max(_LEVEL * max(1.0, abs(height)), _LOWER)
    places = [start + way * step for way in _WAYS for step in _NEAR]
    return all(abs(value_with(problem.objective, x, i, at) - height) < none for at in places)


def settle_at_edge(problem: Problem, end: Climb, scalars: dict[str, int]) -> Edge | None:
    """The maximum at the edge of the support towards which a climb is heading.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak inside.
    scalars : dict of str to int
        Labels of the scalars that are a function of one coordinate -> that coordinate of x.

    Returns
    -------
    Edge or None
        None if the likelihood rises without bound, is flat, or has its maximum at infinity.
    """
    objective = problem.objective
    x, fixed, values = _edges_ahead(problem, end, scalars)
    if not fixed:
        return None
    covariance = np.zeros((x.size, x.size))
    for farthest in (np.inf, *_NEARER):
        place = x.copy()
        place[fixed] = x[fixed] if np.isinf(farthest) else np.clip(end.z[fixed], -farthest, farthest)
        try:
            best = settle(objective, place, fixed)
        except NumericalError:
            continue
        if best.end is None:
            return Edge(place, values, best.value, 0.0, 0.0, covariance, 1.0)
        if best.peaks and best.value >= end.value - _LOWER:
            break
    else:
        return None
    bend = best.end.curvature
    covariance[np.ix_(best.free, best.free)] = bend.covariance
    smallest = float(bend.eigenvalues[0])
    return Edge(best.x, values, best.value, best.end.edm, best.end.gradient_norm, covariance, smallest)


def refuse_empty_edge(problem: Problem, end: Climb, scalars: dict[str, int]) -> None:
    """Say that the highest point is at an edge at which another scalar means nothing, if a climb is heading there.

    Where the mean of counts is 0 every dispersion says the same.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak inside.
    scalars : dict of str to int
        As for `settle_at_edge`.

    Raises
    ------
    NoMaximumError
        If the others have a peak there, or there are no others.
    """
    objective = problem.objective
    x, fixed, values = _edges_ahead(problem, end, scalars)
    if not fixed:
        return
    height = value_with(objective, x, fixed[0], x[fixed[0]])
    start = origin(problem)
    empty = {label: i for label, i in scalars.items() if i not in fixed and _is_empty(problem, x, i, start[i])}
    if not empty or height < end.value - _LOWER:
        return
    try:
        if not settle(objective, x, [*fixed, *empty.values()]).peaks:
            return
    except NumericalError:
        return
    where, names = " and ".join(f"{label} = {edge:.6g}" for label, edge in values.items()), " and ".join(empty)
    raise NoMaximumError(
        "edge",
        f"the likelihood has its highest point, {round(height, _DIGITS) + 0.0:.6g} nats, at the edge of the support, "
        f"{where}, where {names} can be anything: the data do not determine {names}",
        next(iter(values)),
        f"give {names} a fixed value, with which the profile gives a one-sided interval, or use the posterior",
    )
