"""A wider search where climbs from many starts did not end at one place.

In a nonlinear regression most starts lead to local maxima, or to a plateau on which a part of the curve is dead. Wrong
there are often a few coordinates: a peak that lies beside the data, a rate of the wrong order of magnitude. So some
coordinates of the best end are given other values, many times over; the likelihood picks the most promising mixtures,
and quasi-Newton searches without a Hessian, of which many cost as much as one climb, tell whether any of them leads
higher. As long as one does it becomes the best end, and the search goes on from there.

Along some coordinates log f is a parabola whatever the others are: along the heights of peaks, or the coefficients of
a sum of curves. They are not searched for but set to the top of the parabola (variable projection, Golub and Pereyra
1973), which leaves far fewer coordinates, and far fewer local maxima.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import rough_climb

_MIXTURES = 3000  # a round
_VALUES = 3_000_000  # log densities of single observations that they may cost
_LED = 12  # groups of them, of each of which the highest is climbed from
_ROUNDS, _STALE = 20, 4  # at most; in a row without a gain
_LONGER, _SHORTER = 1.0, 7.0  # decades by which the way from the origin to a start is stretched or shrunk
_GAIN = 0.01  # nats
_CHORDS = 64
_LOOKS = 4  # points at which a parabola has to be one
_STRAIGHT = 1e-7  # of a change of the gradient


def search_wider(
    objective: Objective, best: Vector, origin: Vector, pool: NDArray[np.float64], seed: int, work: int
) -> Vector | None:
    """A point that is higher than the best end of many climbs.

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

    References
    ----------
    Golub, G. H. and Pereyra, V. (1973). The differentiation of pseudo-inverses and nonlinear least squares problems
    whose variables separate. doi:10.1137/0710036

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
    top, stale = _value(objective, best), 0
    place: Vector | None = None
    parabolas = _parabolas(objective, pool)
    count = max(_LED, min(_MIXTURES, _VALUES // max(1, work)) // (1 + parabolas.size))
    led = np.stack([_on_top(objective, z, parabolas)[0] for z in pool[: max(_LED, count // 10)]])
    for _ in range(_ROUNDS):
        z, height = max((rough_climb(objective, start) for start in led), key=lambda end: end[1])
        if height > top + _GAIN:
            top, place, stale = height, z, 0
        else:
            stale += 1
        if stale == _STALE:
            break
        groups = _mixtures(best if place is None else place, origin, pool, generator, count)
        led = np.stack([max((_on_top(objective, z, parabolas) for z in g), key=lambda end: end[1])[0] for g in groups])
    return place


def _one_hill(objective: Objective, best: Vector, pool: NDArray[np.float64], generator: np.random.Generator) -> bool:
    """Whether log f lies above all its chords, as that of a logistic regression does: there is nothing else to find."""
    finite = 0
    for k in range(_CHORDS):
        first = best if k % 2 else pool[generator.integers(len(pool))]
        second = pool[generator.integers(len(pool))]
        chord = (_value(objective, first) + _value(objective, second)) / 2
        finite += np.isfinite(chord)
        if np.isfinite(chord) and _value(objective, (first + second) / 2) < chord - _GAIN:
            return False
    return finite > 0.9 * _CHORDS  # where it is often -inf little has been seen of it


def _parabolas(objective: Objective, pool: NDArray[np.float64]) -> NDArray[np.int64]:
    """Coordinates along which, and along whose sums, log f is a parabola that opens downwards wherever it is."""
    found: list[int] = []
    finite = [z for z in pool if np.isfinite(_value(objective, z))][:_LOOKS]
    for i in range(pool.shape[1]):
        if finite and all(_is_parabola(objective, z, [*found, i]) for z in finite):
            found.append(i)
    return np.array(found, dtype=np.int64)


def _is_parabola(objective: Objective, z: Vector, some: list[int]) -> bool:
    """Whether the gradient along some coordinates changes in proportion to a step in which all of them move."""
    step = np.zeros_like(z)
    step[some] = np.maximum(1.0, np.abs(z[some])) * (1.0 + 0.3 * np.arange(len(some)))
    try:
        g = np.stack([objective.value_and_gradient(z + k * step)[1][some] for k in range(3)])
    except NumericalError:
        return False
    if not np.all(np.isfinite(g)):
        return False
    first, second = g[1] - g[0], g[2] - g[1]
    bent = np.max(np.abs(second - first)) <= _STRAIGHT * (np.max(np.abs(first)) + np.max(np.abs(g)) * 1e-3)
    return bool(bent and first @ step[some] < 0)


def _on_top(objective: Objective, z: Vector, parabolas: NDArray[np.int64]) -> tuple[Vector, float]:
    """The point with these coordinates at the top of their parabola, and its height; as it was where there is none."""
    if not parabolas.size:
        return z, _value(objective, z)
    try:
        start = z.copy()
        start[parabolas] = 0.0
        slope = objective.value_and_gradient(start)[1][parabolas]
        bends = np.empty((parabolas.size, parabolas.size))
        for k, unit in enumerate(np.eye(z.size)[parabolas]):
            bends[k] = objective.value_and_gradient(start + unit)[1][parabolas] - slope
        if not np.all(np.isfinite(bends)) or not np.all(np.isfinite(slope)):
            return z, _value(objective, z)
        scale = np.sqrt(np.maximum(-np.diag(bends), 1e-300))
        with np.errstate(all="ignore"):
            scaled, right = -bends / np.outer(scale, scale), slope / scale
        if not np.all(np.isfinite(scaled)) or not np.all(np.isfinite(right)):
            return z, _value(objective, z)
        step = np.linalg.lstsq(scaled, right, rcond=1e-10)[0] / scale
        start[parabolas] = step
        value = objective.value(start)
    except (NumericalError, np.linalg.LinAlgError):
        return z, _value(objective, z)
    return (start, value) if np.isfinite(value) else (z, _value(objective, z))


def _value(objective: Objective, z: Vector) -> float:
    """Log f; -inf where it is not a number."""
    try:
        return objective.value(z)
    except NumericalError:
        return -np.inf


def _mixtures(
    best: Vector, origin: Vector, pool: NDArray[np.float64], generator: np.random.Generator, count: int
) -> NDArray[np.float64]:
    """Points with some coordinates of the best end and the others from all distances, shape ``(groups, k, d)``.

    Another number of coordinates is replaced in every group: the fewer they are the nearer is the mixture to the best
    end, and the higher, so that of all mixtures together the highest would only lead back to where they are from.
    """
    size = best.size
    shape = (_LED, max(1, count // _LED), size)
    rows = pool[generator.integers(len(pool), size=shape[:2])]
    lengths = 10.0 ** generator.uniform(-_SHORTER, _LONGER, size=shape)
    others = np.where(generator.random((*shape[:2], 1)) < 0.5, rows, origin + (rows - origin) * lengths)
    others = np.where(generator.random(shape) < 0.25, 2.0 * origin - others, others)
    replaced = 1 + np.arange(_LED) % size
    order = np.argsort(generator.random(shape), axis=-1)
    return np.where(order < replaced[:, None, None], others, best)
