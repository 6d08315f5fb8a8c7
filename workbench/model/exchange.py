"""Images of a peak under an exchange of elements: the components of a mixture say the same in any order.

Whether two climbs end at two of these images is chance, and one climb sees none of it. So the image is made: elements
j and j + 1 of vectors of equal length change places, of all these vectors together, of some, or of one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations, permutations

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.chart import Chart
from workbench.model.density import LogDensity
from workbench.numerics.climbs import Climb, near
from workbench.numerics.curvature import curvature_from
from workbench.numerics.objective import Objective
from workbench.numerics.optimise import EDM_TOLERANCE, climb
from workbench.numerics.turn import Turn

_LONGEST = 12  # elements: more are groups of data, which nobody can exchange
_TOGETHER = 4  # vectors of one length of which every choice is tried
_AS_HIGH = 1e-9  # of log f, or nats below 1
_NOISE = 4.0  # times the standard errors that rounding leaves open, in nats
_PAIRS = 3  # coordinates that change places with as many others at once: a peak has a height, a place and a width
_IMAGES = 20_000  # that are looked at
_WORK = 5_000_000  # log densities of single observations that they may cost
_TURNS = 6  # exchanges one after the other


def with_exchanged(objective: Objective, chart: Chart, climbs: list[Climb]) -> list[Climb]:
    """Climbs with angles within a turn, and one from an image of the highest under an exchange that log f ignores.

    Parameters
    ----------
    objective : Objective
        Over the coordinates of the chart.
    chart : Chart
    climbs : list of Climb

    Returns
    -------
    list of Climb
        As they were where the highest is no peak, or every exchange changes log f or leads to the point itself.
    """
    climbs = _within_a_turn(chart, climbs)
    end = climbs[0]
    if not end.curvature.is_peak or not end.edm < EDM_TOLERANCE:
        return climbs
    same = _AS_HIGH * max(1.0, abs(end.value))
    for image in _images(chart, end.z):
        if near(image - end.z, end):
            continue
        with contextlib.suppress(NumericalError):
            if abs(objective.value(image) - end.value) > same:
                continue
            found = climb(objective, image)
            if near(found.z - image, found) and abs(found.value - end.value) < same:
                return [end, found, *climbs[1:]]
    return climbs


def _within_a_turn(chart: Chart, climbs: list[Climb]) -> list[Climb]:
    """Climbs with their angles from -pi to pi: a whole turn further on is the same place, and no other optimum."""
    angles = chart.space.angles[chart.coordinates]
    if not angles.any():
        return climbs
    turn = Turn(angles, np.zeros(angles.size))
    return [replace(end, z=turn.folded(end.z)) for end in climbs]


def _images(chart: Chart, x: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Points with two elements exchanged, as far as they lie inside the support."""
    space = chart.space
    theta = {name: array for name, array in space.theta(chart.z(x)).items() if name in space.names}
    sizes = sorted({size for name in chart.names for size in space.shapes[name] if 2 <= size <= _LONGEST})
    for size in sizes:
        members = [name for name in chart.names if size in space.shapes[name]]
        counts = range(len(members), 0, -1) if len(members) <= _TOGETHER else (len(members), 1)
        for names in chain.from_iterable(combinations(members, count) for count in counts):
            for j in range(size - 1):
                order = np.arange(size)
                order[[j, j + 1]] = j + 1, j
                moved = {n: np.take(theta[n], order, 1 + space.shapes[n].index(size)) for n in names}
                z, inside = space.z_where_inside(theta | moved)
                if inside[0]:
                    yield z[0, chart.coordinates]


def in_the_order_of_the_prior(
    density: LogDensity, objective: Objective, chart: Chart, climbs: list[Climb]
) -> list[Climb]:
    """Climbs with the image of the highest that the prior holds most likely, among those that are as high, first.

    In the sum a exp(-b x) + c exp(-d x) the pairs (a, b) and (c, d) can change places, and which of the two orders a
    climb reaches is chance. Of variables with priors of their own the one to take is where each is near its prior, and
    where the prior is the same for all, that nearest to where the model starts.

    Parameters
    ----------
    density : LogDensity
    objective : Objective
        The log likelihood over the coordinates of the chart; every free variable is in the chart.
    chart : Chart
    climbs : list of Climb

    Returns
    -------
    list of Climb
        As they were where no exchange of coordinates leaves log f as it is and is preferred.
    """
    for _ in range(_TURNS):
        end = climbs[0]
        if not end.curvature.is_peak or not (end.edm < EDM_TOLERANCE or end.curvature.factor is not None):
            break
        better = _preferred(density, objective, chart, end)
        if better is None:
            break
        climbs = [better, *climbs]
    return climbs


def _preferred(density: LogDensity, objective: Objective, chart: Chart, end: Climb) -> Climb | None:
    """The peak at the most preferred image of a peak; None where that is the peak itself."""
    same = _AS_HIGH * max(1.0, abs(end.value)) + _NOISE * np.sqrt(2 * end.edm)
    orders = [np.arange(end.z.size)]
    for count, order in enumerate(_exchanges(end.z.size)):
        if count == min(_IMAGES, _WORK // density.work):
            break
        with contextlib.suppress(NumericalError):
            image = end.z[order]
            if abs(objective.value(image) - end.value) < same and not near(image - end.z, end):
                orders.append(order)
    if len(orders) == 1:
        return None
    points = end.z[np.array(orders)]
    prior = np.round(density.sums(chart.z(points))[0], 9)
    start = chart.space.start[chart.coordinates]
    away = np.sum(((points - start) / np.maximum(np.abs(start), 1.0)) ** 2, axis=1)
    best = int(np.lexsort((np.round(away, 9), -prior))[0])
    if best == 0:
        return None
    if end.curvature.factor is not None:  # a climb would not have the digits
        bend = curvature_from(end.curvature.factor[:, orders[best]])
        return replace(end, z=points[best], value=objective.value(points[best]), curvature=bend)
    with contextlib.suppress(NumericalError):
        found = climb(objective, points[best])
        if near(found.z - points[best], found) and abs(found.value - end.value) < same:
            return found
    return None


def _exchanges(dimension: int) -> Iterator[NDArray[np.int64]]:
    """Orders with one, two or three coordinates in the place of as many others; those next to each other first."""
    z = np.arange(dimension)
    for size in range(_PAIRS, 0, -1):
        for i in range(z.size - size):
            for j in range(i + size, z.size - size + 1):
                image = z.copy()
                image[i : i + size], image[j : j + size] = z[j : j + size], z[i : i + size]
                yield image
    for size in range(1, _PAIRS + 1):
        for some in combinations(range(z.size), size):
            rest = [i for i in range(some[0] + 1, z.size) if i not in some]
            for others in permutations(rest, size):
                image = z.copy()
                image[[*some, *others]] = z[[*others, *some]]
                yield image
