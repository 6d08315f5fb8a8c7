"""A wider search where climbs from many starts did not end at one place.

In a nonlinear regression most starts lead to local maxima, or to a plateau on which a part of the curve is dead. Wrong
there are often a few coordinates: a peak that lies beside the data, a rate of the wrong order of magnitude. So some
coordinates of the best end are given other values, from other ends or from all distances, many times over; the
likelihood picks the most promising mixtures, and quasi-Newton searches without a Hessian, of which many cost as much as
one climb, tell whether any of them leads higher, or one from the best end with all its coordinates kicked. As long as
one does it becomes the best end, and the search goes on from there.

Coordinates whose best values are known in closed form are not searched for (`workbench.numerics.projection`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.numerics.climbs import ALIKE
from workbench.numerics.objective import FunctionObjective, Objective, Vector
from workbench.numerics.optimise import rough_climb
from workbench.numerics.projection import Projection, find_projection, height_of

_MIXTURES = 3000  # a round
_VALUES = 3_000_000  # log densities of single observations that they may cost
_LED = 12  # groups of them, of each of which the highest is climbed from
_CONFIRMED = 0.25  # of the searches from the starts alone: where as many reach the top it is hardly missed
_BRIEF, _PATIENT = 2, 6  # rounds in a row without a gain after which it ends, where that is so and where it is not
_ROUNDS = 20  # at most
_KICKED = 3.0  # decades by which a kick is at most smaller than the spread of the starts
_BASES = 10  # ends of different heights
_LONGER, _SHORTER = 1.0, 7.0  # decades by which the way from the origin to a start is stretched or shrunk
_GAIN = 0.01  # nats
_UNIT = 1e-12  # of z, for a coordinate in which all starts are the same
_CHORDS = 64


def search_wider(
    objective: Objective, best: Vector, origin: Vector, pool: NDArray[np.float64], seed: int, work: int
) -> Vector | None:
    """A point that is higher than the best end of many climbs.

    Of several of the same height, such as the aliases of a period, it is the one that is least out of the way among
    the starting points.

    Parameters
    ----------
    objective : Objective
    best : ndarray, shape (d,)
        The highest end so far.
    origin : ndarray, shape (d,)
        Where the model itself starts.
    pool : ndarray, shape (m, d)
        Starting points that were not climbed from, the most promising first.
    seed : int
    work : int
        Log densities of single observations behind one value.

    Returns
    -------
    ndarray, shape (d,), or None
        None where nothing higher was found.

    Examples
    --------
    >>> from workbench.numerics.objective import FunctionObjective
    >>> peaks = FunctionObjective(1, lambda z: (-float((z[0] ** 2 - 9) ** 2) + z[0], -4 * z * (z**2 - 9) + 1))
    >>> found = search_wider(peaks, np.array([-2.99]), np.zeros(1), np.array([[1.0], [-2.0]]), seed=1, work=1)
    >>> bool(found[0] > 2.9)
    True
    """
    generator = np.random.default_rng(seed)
    if _one_hill(objective, best, pool, generator):
        return None
    known = find_projection(objective, best, pool)
    free = np.setdiff1d(np.arange(best.size), [*known.parabolas, *known.scales])
    count = max(_LED, min(_MIXTURES, _VALUES // max(1, work)) // (2 + known.parabolas.size))
    unit = np.maximum(np.std(pool[:, free], axis=0), _UNIT)

    def ascend(start: Vector) -> tuple[Vector, float]:
        return _ascend(objective, known, free, unit, start)

    start = best, height_of(objective, best)
    alone = [ascend(z) for z in (best, *pool[: max(_LED, count // 20)])]
    ends, stale, patience = [start, *alone], 0, _PATIENT if free.size else 0
    for _ in range(_ROUNDS):  # where log f has no bound each leads higher
        if stale >= patience:
            break
        before = max(ends, key=lambda end: end[1])
        tops = np.stack([z for z, height in ends if np.isfinite(height)])
        bases = _bases(ends, generator)
        groups = _mixtures(bases, origin, pool, tops, free, generator, count)
        led = [max((known.on_top(objective, z) for z in g), key=lambda end: end[1])[0] for g in groups]
        led += list(_kicked(bases, unit, free, generator))
        ends += [ascend(z) for z in led]
        top = max(height for _, height in ends)
        stale = 0 if top > before[1] + _GAIN else stale + 1
        confirmed = sum(height > top - ALIKE for _, height in alone) > _CONFIRMED * len(alone)
        patience = _BRIEF if confirmed else _PATIENT
    top = max(height for _, height in ends)
    if top < start[1] + _GAIN:
        return None
    return min((z for z, height in ends if height > top - ALIKE), key=lambda z: _out_of_the_way(z, origin, pool))


def _ascend(
    objective: Objective, known: Projection, free: NDArray[np.int64], unit: Vector, start: Vector
) -> tuple[Vector, float]:
    """The end of one quasi-Newton search over the free coordinates, the others at their best all the way.

    Where the others are at their best the slope of log f along them is 0, so that along the free ones it is that of
    the highest log f over the others.
    """

    def placed(x: Vector) -> tuple[Vector, float]:
        z = start.copy()
        z[free] = x * unit
        return known.on_top(objective, z)

    def profile(x: Vector) -> tuple[float, Vector]:
        value, gradient = objective.value_and_gradient(placed(x)[0])
        return value, gradient[free] * unit

    if not free.size:
        return known.on_top(objective, start)
    return placed(rough_climb(FunctionObjective(free.size, profile), start[free] / unit)[0])


def _out_of_the_way(z: Vector, origin: Vector, pool: NDArray[np.float64]) -> float:
    """How much farther from the origin than the points of a pool, or nearer to it, a point is: a sum of surprises."""
    below = np.mean(np.abs(pool - origin) < np.abs(z - origin), axis=0)
    least = 1.0 / (1.0 + len(pool))
    return -float(np.sum(np.log(np.maximum(np.minimum(below, 1.0 - below), least))))


def _one_hill(objective: Objective, best: Vector, pool: NDArray[np.float64], generator: np.random.Generator) -> bool:
    """Whether log f lies above all its chords, as that of a logistic regression does: there is nothing else to find."""
    finite = 0
    for k in range(_CHORDS):
        first = best if k % 2 else pool[generator.integers(len(pool))]
        second = pool[generator.integers(len(pool))]
        chord = (height_of(objective, first) + height_of(objective, second)) / 2
        finite += np.isfinite(chord)
        if np.isfinite(chord) and height_of(objective, (first + second) / 2) < chord - _GAIN:
            return False
    return finite > 0.9 * _CHORDS  # where it is often -inf little has been seen of it


def _bases(ends: list[tuple[Vector, float]], generator: np.random.Generator) -> NDArray[np.float64]:
    """What mixtures and kicks start from, shape ``(groups, d)``: half of them the best end, others the next best."""
    places: list[tuple[Vector, float]] = []
    for z, height in sorted(ends, key=lambda end: -end[1]):
        if len(places) < _BASES and np.isfinite(height) and all(abs(height - other) > ALIKE for _, other in places):
            places.append((z, height))
    chosen = generator.integers(len(places), size=_LED)
    chosen[::2] = 0
    return np.stack([places[k][0] for k in chosen])


def _mixtures(
    bases: NDArray[np.float64],
    origin: Vector,
    pool: NDArray[np.float64],
    tops: NDArray[np.float64],
    free: NDArray[np.int64],
    generator: np.random.Generator,
    count: int,
) -> NDArray[np.float64]:
    """Points with some free coordinates of good ends and the others from all distances, shape ``(groups, k, d)``.

    Another number of coordinates is replaced in every group: the fewer they are the nearer is the mixture to the best
    end, and the higher, so that of all mixtures together the highest would only lead back to where they are from.
    """
    shape = (_LED, max(1, count // _LED), free.size)
    rows = pool[:, free][generator.integers(len(pool), size=shape[:2])]
    lengths = 10.0 ** generator.uniform(-_SHORTER, _LONGER, size=shape)
    others = np.where(generator.random((*shape[:2], 1)) < 0.5, rows, origin[free] + (rows - origin[free]) * lengths)
    others = np.where(generator.random(shape) < 0.25, 2.0 * origin[free] - others, others)
    local = tops[:, free][generator.integers(len(tops), size=shape[:2])]
    others = np.where(generator.random((*shape[:2], 1)) < 0.5, local, others)
    replaced = 1 + np.arange(_LED) % free.size
    order = np.argsort(generator.random(shape), axis=-1)
    mixtures = np.repeat(bases[:, None], shape[1], axis=1)
    mixtures[..., free] = np.where(order < replaced[:, None, None], others, mixtures[..., free])
    return mixtures


def _kicked(
    bases: NDArray[np.float64], unit: Vector, free: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.float64]:
    """Good ends with all free coordinates moved, shape ``(k, d)``: where two peaks have met, both have to move."""
    sizes = 10.0 ** generator.uniform(-_KICKED, 0.0, size=(_LED, 1))
    points = bases.copy()
    points[:, free] += sizes * generator.normal(size=(_LED, free.size)) * unit
    return points
