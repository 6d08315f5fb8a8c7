"""Which combinations of the variables the data determine where a log density is flat along a direction.

Let I be the information and n its flat directions, I n = 0. A combination c'x of the coordinates is determined if it
does not move along any of them, c'n = 0, and has then the variance c' I+ c with the pseudo-inverse I+. The flat
directions are brought into the form in which every identified combination has one coordinate of its own, by the choice
of pivots that leaves the smallest fractions: two intercepts give a + b, a column that is twice another b[0] + 2*b[1].

A coordinate on the real line is its variable; that of a positive variable is its logarithm, and a combination of
logarithms is read as a product. Nothing is claimed unless the density stays level 300 standard deviations along every
flat direction, falls by what the error says along the others, and every other climb that ended as high agrees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.chart import Chart
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import ALIGNED, FLAT
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.projection import is_parabola

_STEEP = 1e-5  # of the scaled information: between this and FLAT nobody can tell
_ENTERS = 1e-6  # of a flat direction: what moves less along it does not move
_SHARE = 1e-3  # of a flat direction, from which on it is named
_LEVEL = 1e-8  # nats, of a log density near 1: what changes less is level
_AS_HIGH = 1e-6  # nats, between climbs that ended on the same ridge
_WHOLE = 1e-5  # from a fraction: the differences leave this much of a direction unknown
_LARGEST = 12  # numerator or denominator that is still easy to read
_PIVOTS = 500  # sets that are looked through
_SHOWN = 4
_STEPS = (1.0, -1.0, 10.0, -10.0, 300.0, -300.0)  # standard deviations along a flat direction
_FAR, _REAL = 1e8, 0.02  # scaled standard deviations along a direction that only looks flat; nats


def identified_combinations(objective: Objective, chart: Chart, climbs: Sequence[Climb]) -> str:
    """What is determined on a flat ridge and what is not, in words; empty where nothing can be said for sure.

    Parameters
    ----------
    objective : Objective
    chart : Chart
    climbs : sequence of Climb
        Highest first; the first ended on the ridge.

    Returns
    -------
    str
        Such as ``a + b is identified: 3.02 +- 0.20; a - b is not``.
    """
    end, names = climbs[0], named_coordinates(chart, climbs[0].z)
    if end.curvature.is_peak:
        return ""
    information = end.curvature.information
    diagonal = np.diag(information)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    flat = np.abs(values) < FLAT
    if not flat.any() or flat.all() or not np.all(values[~flat] > _STEEP):
        return ""
    null = scale[:, None] * vectors[:, flat]
    if not all(_is_level(objective, end, direction) for direction in null.T):
        return ""
    enters = np.flatnonzero(np.max(np.abs(vectors[:, flat]), axis=1) > _ENTERS)
    along, across = _reduced(null[enters])
    if not len(across) or any(not names[i] for i in enters):
        return ""
    pseudo = scale[:, None] * (vectors[:, ~flat] / values[~flat]) @ vectors[:, ~flat].T * scale
    found = []
    for combination in across:
        c = np.zeros(end.z.size)
        c[enters] = combination
        error = float(np.sqrt(c @ pseudo @ c))
        if not _is_peak_along(objective, end, pseudo @ c / error) or not _agree(c, error, climbs):
            return ""
        found.append(f"{_text(c, names)} is identified: {_value(c, names, end.z, error)}")
    moving = []
    for direction in along:
        n = np.zeros(end.z.size)
        n[enters] = direction
        moving.append(_text(n, names))
    shown = [*found[:_SHOWN], *([f"{len(found) - _SHOWN} more are"] if len(found) > _SHOWN else [])]
    more = f" and {len(moving) - _SHOWN} more" if len(moving) > _SHOWN else ""
    return f"{'; '.join(shown)}; {', '.join(moving[:_SHOWN])}{more} {'is' if len(moving) == 1 else 'are'} not"


def too_alike(objective: Objective, chart: Chart, end: Climb) -> list[str]:
    """The scalars whose parts in a Normal mean are so alike that double precision does not tell them apart.

    Along the weakest direction log f is a parabola whose curvature drowns in the rounding of the others', but far
    enough out it falls: the columns are not the same, and the maximum is somewhere.

    Parameters
    ----------
    objective : Objective
    chart : Chart
    end : Climb
        It found no peak.

    Returns
    -------
    list of str
        Labels, the largest share first; empty where this is not what is there.
    """
    diagonal, bend = np.diag(end.curvature.information), end.curvature
    if bend.is_peak or not np.all(diagonal > 0) or bend.eigenvalues[0] > ALIGNED:
        return []
    scale = 1.0 / np.sqrt(diagonal)
    shares = np.abs(bend.weakest / scale) / np.linalg.norm(bend.weakest / scale)
    moving = np.argsort(-shares)[: int(np.sum(shares > _SHARE))]
    step = np.zeros_like(end.z)  # what the weakest direction holds of the others is rounding
    step[moving] = _FAR * (bend.weakest / np.linalg.norm(bend.weakest / scale))[moving]
    falls = _change(objective, end, step) + _change(objective, end, -step) < -_REAL  # one side may rise: not yet there
    named = named_coordinates(chart, end.z)
    labels = [label[0] for label in (named[i] for i in moving) if label and not label[1]]
    return labels if len(labels) == len(moving) and falls and is_parabola(objective, end.z, step) else []


def moving_coordinates(end: Climb) -> tuple[NDArray[np.int64], int]:
    """Coordinates that move along the flat directions at the end of a climb, and how many such directions there are.

    Parameters
    ----------
    end : Climb

    Returns
    -------
    coordinates : ndarray of int
        Those with a real share of one; as many as directions where each is flat by itself.
    directions : int
        0 at a peak, or where nothing is level.
    """
    diagonal = np.diag(end.curvature.information)
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(end.curvature.information * np.outer(scale, scale))
    flat = np.abs(values) < FLAT
    shares = np.max(np.abs(vectors[:, flat]), axis=1, initial=0.0)
    return np.flatnonzero(shares > _SHARE), int(flat.sum())


def named_coordinates(chart: Chart, x: Vector) -> list[tuple[str, bool] | None]:
    """What every coordinate stands for.

    Parameters
    ----------
    chart : Chart
    x : ndarray, shape (p,)

    Returns
    -------
    list of (str, bool) or None
        Label of the scalar, and whether the coordinate is its logarithm; None where it is neither that nor the scalar.
    """
    step = 0.5
    found: list[tuple[str, bool] | None] = []
    free = chart.space.flat(chart.theta(np.vstack([x, x + step * np.eye(x.size)])), chart.names)
    base, moved, position = free[0], free[1:], 0
    for name in chart.names:
        block, labels = chart.blocks[name], chart.space.labels(name)
        for offset, i in enumerate(range(block.start, block.stop)):
            k = position + offset
            if len(labels) != block.stop - block.start or np.flatnonzero(moved[i] != base).tolist() != [k]:
                found.append(None)
            elif abs(moved[i, k] - base[k] - step) < 1e-9 * max(1.0, abs(base[k])):
                found.append((labels[offset], False))
            else:
                gap = abs(moved[i, k] - base[k] * np.exp(step))
                found.append((labels[offset], True) if gap < 1e-9 * abs(moved[i, k]) else None)
        position += len(labels)
    return found


def _change(objective: Objective, end: Climb, step: Vector) -> float:
    """Change of log f by a step, nats; infinite where it is not a number."""
    try:
        return objective.value(end.z + step) - end.value
    except NumericalError:
        return -np.inf


def _is_level(objective: Objective, end: Climb, direction: Vector) -> bool:
    """Whether log f stays level along a straight line; on a bent ridge no sum is determined everywhere."""
    changes = [_change(objective, end, length * direction) for length in _STEPS]
    return max(map(abs, changes)) < _LEVEL * max(1.0, abs(end.value))


def _is_peak_along(objective: Objective, end: Climb, deviation: Vector) -> bool:
    """Whether log f falls by about half a nat on both sides of one standard deviation."""
    falls = [-_change(objective, end, sign * deviation) for sign in (1.0, -1.0)]
    return bool(min(falls) > 0.1 and max(falls) < 2.5)


def _agree(c: Vector, error: float, climbs: Sequence[Climb]) -> bool:
    """Whether all climbs that ended as high give the same value of a combination."""
    top = climbs[0]
    return all(abs(c @ (other.z - top.z)) < 0.01 * error for other in climbs[1:] if top.value - other.value < _AS_HIGH)


def _reduced(null: NDArray[np.float64]) -> tuple[list[Vector], list[Vector]]:
    """Flat directions, and combinations that do not move along them, of the simplest form; shape ``(q,)`` each.

    Parameters
    ----------
    null : ndarray, shape (q, k)
        Columns span the flat directions.
    """
    q, k = null.shape
    best: tuple[float, list[Vector], list[Vector]] = (np.inf, [], [])
    for pivots in islice(combinations(range(q), k), _PIVOTS):
        block = null[list(pivots)]
        if np.linalg.cond(block / np.max(np.abs(null), axis=0)) > 1e6:
            continue
        own = np.linalg.solve(block.T, null.T).T  # identity at the pivots
        others = [j for j in range(q) if j not in pivots]
        across = []
        for j in others:
            c = np.zeros(q)
            c[j], c[list(pivots)] = 1.0, -own[j]
            across.append(_simplified(c))
        along = [_simplified(column) for column in own.T]
        cost = sum(float(np.sum(np.abs(row[row != 0]))) if _is_whole(row) else 100.0 for row in (*across, *along))
        if cost < best[0]:
            best = cost, along, across
    return best[1], best[2]


def _is_whole(row: Vector) -> bool:
    """Whether all coefficients are whole numbers."""
    return bool(np.all(row == np.round(row)))


def _simplified(row: Vector) -> Vector:
    """A multiple of a row with small whole coefficients, if there is one; its first coefficient is positive."""
    row = np.where(np.abs(row) < _WHOLE * np.max(np.abs(row)), 0.0, row)
    row = row / row[np.flatnonzero(row)[0]]
    near = [Fraction(float(value)).limit_denominator(_LARGEST) for value in row]
    if np.max(np.abs(row - np.array([float(f) for f in near]))) > _WHOLE * np.max(np.abs(row)):
        return row
    whole = [int(f * math.lcm(*(f.denominator for f in near))) for f in near]
    return np.array(whole, dtype=np.float64) if max(map(abs, whole)) <= _LARGEST else row


def _text(c: Vector, names: list[tuple[str, bool] | None]) -> str:
    """A combination in words: a sum, or a product where it is one of logarithms alone."""
    parts = [(names[i], float(c[i])) for i in np.flatnonzero(c)]
    if all(named is not None and named[1] for named, _ in parts):
        return "".join(_factor(named[0], weight, not k) for k, (named, weight) in enumerate(parts) if named)
    words: list[str] = []
    for named, weight in parts:
        label = "" if named is None else f"log({named[0]})" if named[1] else named[0]
        size = label if abs(weight) == 1 else f"{abs(weight):.4g}*{label}"
        sign = "-" if weight < 0 else "+"
        words.append(f"{sign} {size}" if words else f"{'-' * (weight < 0)}{size}")
    return " ".join(words)


def _factor(label: str, weight: float, first: bool) -> str:
    """One factor of a product."""
    power = label if abs(weight) == 1 else f"{label}^{abs(weight):.4g}"
    if first:
        return power if weight > 0 else f"1 / {power}"
    return f" * {power}" if weight > 0 else f" / {power}"


def _value(c: Vector, names: list[tuple[str, bool] | None], x: Vector, error: float) -> str:
    """Estimate and standard error of a combination, with the digits that the error leaves."""
    value = float(c @ x)
    if all(named is not None and named[1] for named in (names[i] for i in np.flatnonzero(c))):
        value = math.exp(value)
        error *= value
    places = min(max(0, 1 - math.floor(math.log10(error))), 12)
    return f"{value:.{places}f} +- {error:.{places}f}"
