"""The integral of exp(log f) over R^1 or R^2 by the trapezoidal rule, to near machine precision.

For a smooth integrand that vanishes at both ends the trapezoidal rule on an evenly spaced grid converges faster than
any power of the spacing (Trefethen and Weideman 2014, doi:10.1137/130932132). The grid is laid out in the coordinates
u in which the peak is round, z = centre + L u; it grows until the density at its edge has fallen by 45 nats, and is
refined until halving the spacing no longer changes the integral. Integrals along one coordinate through many points
(`integrate_lines`) share a grid, and every refinement adds the points between: a call of the density for all of them.

For a few latent variables under a peak that is nearly normal, Gauss-Hermite nodes need far fewer points (`nodes_of`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError, RefusalError
from workbench.numerics.objective import Objective, Vector, values

_FALL = 45.0  # nats below the peak at which the density at the edge is exp(-45) = 3e-20 of it
_BEYOND = 12.0  # nats: how far below its accuracy a rough grid may end, since what lies beyond is wider than a point
_TOLERANCE = 1e-10  # nats between two refinements
_FIRST_SPACING = 0.5  # of a standard deviation
_MOST_POINTS = 600_000
_LINES = 64  # that share a grid: one that is far wider than the others costs no more than these a wider grid
_NEAR_TOP = 10.0  # nats below the peak: a jump further down is of no weight
_WALL = 1e3  # nats: a step as good as to -inf
_HALVINGS = 40  # of a spacing: what is left of it is 1e-12 standard deviations
_REAL = 1e-3  # nats, far more than rounding: a smaller jump moves the integral by less


@dataclass(frozen=True)
class GridIntegral:
    """An integral on a grid, and the grid itself as a weighted sample of the density.

    Attributes
    ----------
    points : ndarray, shape (m, d)
        Points on z.
    log_f : ndarray, shape (m,)
        Log f at the points, nats.
    log_integral : float
        Log of the integral of f, nats.
    error : float
        Change of `log_integral` in the last halving of the spacing, plus the rounding of log f, nats.
    spacing : float
        In standard deviations of the peak.
    converged : bool
    """

    points: NDArray[np.float64]
    log_f: Vector
    log_integral: float
    error: float
    spacing: float
    converged: bool

    @property
    def weights(self) -> Vector:
        """Probability of each grid point, shape ``(m,)``; they sum to one."""
        relative = np.exp(self.log_f - self.log_f.max())
        return relative / relative.sum()

    def expectation(self, function_values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expectation under f / integral of values of shape ``(m, ...)`` at the points."""
        return np.tensordot(self.weights, function_values, axes=(0, 0))


def log_sum(logs: NDArray[np.float64]) -> float:
    """Log of the sum of exponentials of an array of any shape.

    SciPy's `logsumexp` takes 0.2 ms to see what kind of array it was given, far longer than to add it up.

    Parameters
    ----------
    logs : ndarray
        Nats; ``-inf`` is allowed.

    Returns
    -------
    float
        Nats; ``-inf`` where all of them are.
    """
    top = float(logs.max())
    return top + float(np.log(np.exp(logs - top).sum())) if np.isfinite(top) else top


def _evaluate(
    objective: Objective, centre: Vector, factor: NDArray[np.float64], axes: list[Vector]
) -> tuple[NDArray[np.float64], Vector]:
    mesh = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    points = centre + mesh @ factor.T
    return points, values(objective, points)


def _axes(low: Vector, high: Vector, spacing: float) -> list[Vector]:
    """Evenly spaced coordinates of every axis, refused before they are laid out if memory might not hold the grid."""
    needed = math.prod(np.floor((high - low) / spacing) + 2)
    if needed > _MOST_POINTS:
        raise RefusalError(
            f"the grid would need {needed:.0f} points",
            "grid",
            "the density is too wide or too bent for a grid; use draws",
        )
    return [
        spacing * np.arange(np.floor(a / spacing), np.ceil(b / spacing) + 1) for a, b in zip(low, high, strict=True)
    ]


def _edges(log_f: Vector, shape: tuple[int, ...]) -> list[tuple[float, float]]:
    """Highest log f on the lower and upper face of every axis."""
    cube = log_f.reshape(shape)
    return [(float(np.take(cube, 0, axis=k).max()), float(np.take(cube, -1, axis=k).max())) for k in range(len(shape))]


def _roughest(log_f: Vector, shape: tuple[int, ...]) -> list[int]:
    """Positions of two neighbours on the grid between which log f differs most from what those beside them suggest."""
    cube, places = log_f.reshape(shape), np.arange(len(log_f)).reshape(shape)
    most, found = -1.0, [0, 0]
    for axis in range(len(shape)):
        first, second = (np.delete(cube, end, axis=axis) for end in (-1, 0))
        with np.errstate(invalid="ignore"):  # -inf beside -inf is no difference
            steps = np.clip(np.nan_to_num(second - first, nan=0.0), -_WALL, _WALL)
        beside = np.pad(steps, [(int(k == axis),) * 2 for k in range(len(shape))], mode="edge")
        before, after = (np.delete(beside, ends, axis=axis) for ends in ([-2, -1], [0, 1]))
        rough = np.abs(steps - (before + after) / 2) * (np.maximum(first, second) > log_f.max() - _NEAR_TOP)
        at = int(np.argmax(rough))
        if rough.flat[at] > most:
            most = float(rough.flat[at])
            found = [int(np.delete(places, end, axis=axis).flat[at]) for end in (-1, 0)]
    return found


def _refuse_jump(objective: Objective, points: NDArray[np.float64], log_f: Vector, shape: tuple[int, ...]) -> None:
    """Refuse a density that jumps: halving the spacing gains nothing there."""
    jump = _jump(objective, points, log_f, shape)
    if jump > _REAL:
        raise RefusalError(
            f"the density jumps by {jump:.3g} nats between places next to each other, and no grid converges there",
            "grid",
            "use draws; a change point on the grid of the data is better a discrete variable",
        )


def _jump(objective: Objective, points: NDArray[np.float64], log_f: Vector, shape: tuple[int, ...]) -> float:
    """By how much log f jumps where it is roughest on the grid, nats; 0 where it does not.

    Half of the way between two neighbours, half of that half in which the difference is larger, and so on: what is
    steep shrinks with the way, and a jump stays.
    """
    ends = _roughest(log_f, shape)
    (left, right), (low, high) = points[ends], map(float, log_f[ends])
    for _ in range(_HALVINGS):
        middle = (left + right) / 2
        value = objective.value(middle)
        if value != low and not abs(high - value) > abs(value - low):
            right, high = middle, value
        else:
            left, low = middle, value
    return float(abs(high - low)) if low != high else 0.0


def _fall(tolerance: float) -> float:
    """How far below the peak, in nats, the density has to be at the edge of a grid of this accuracy."""
    return min(_FALL, _BEYOND - math.log(tolerance))


def integrate(
    objective: Objective,
    centre: Vector,
    factor: NDArray[np.float64],
    cover: NDArray[np.float64] | None = None,
    tolerance: float = _TOLERANCE,
) -> GridIntegral:
    """The integral of exp(log f) over R^d, d = 1 or 2.

    Parameters
    ----------
    objective : Objective
    centre : ndarray, shape (d,)
        Near the highest point.
    factor : ndarray, shape (d, d)
        L with L L' near the covariance of the peak.
    cover : ndarray, shape (m, d), optional
        Points on z that the grid must contain, such as other modes or draws.
    tolerance : float
        Nats between two refinements.

    Returns
    -------
    GridIntegral

    Raises
    ------
    RefusalError
        If d is not 1 or 2, or the density jumps, or it does not fall off within a grid of reasonable size.
    NumericalError
        If log f is NaN somewhere on the grid, or nowhere finite.
    """
    d = centre.size
    if d not in (1, 2):
        raise RefusalError(f"a grid in {d} dimensions", "grid", "use draws")
    low, high = np.full(d, -8.0), np.full(d, 8.0)
    if cover is not None and len(cover):
        u = np.linalg.solve(factor, (cover - centre).T).T
        low, high = np.minimum(low, u.min(axis=0) - 2.0), np.maximum(high, u.max(axis=0) + 2.0)
    spacing, fall = _FIRST_SPACING, _fall(tolerance)

    for _ in range(60):
        lines = _axes(low, high, spacing)
        points, log_f = _evaluate(objective, centre, factor, lines)
        top = log_f.max()
        if not np.isfinite(top):
            raise NumericalError("the density is zero everywhere on the grid", "grid", "check the data")
        grown = False
        for k, (first, last) in enumerate(_edges(log_f, tuple(len(line) for line in lines))):
            if first > top - fall:
                low[k], grown = low[k] * 1.4, True
            if last > top - fall:
                high[k], grown = high[k] * 1.4, True
        if not grown:
            break
    else:
        raise RefusalError("the density does not fall off", "grid", "the integral may not exist; look at the priors")
    # Log f is only known to so much: it has many terms, and a point far from 0 lies where the next number is.
    rounding = 16 * max(1.0, abs(top)) + float(np.sum(np.abs(centre) / np.sqrt(np.sum(factor**2, axis=1))))
    rounding *= float(np.finfo(float).eps)
    scale = float(np.linalg.slogdet(factor)[1])
    previous = log_sum(log_f) + d * np.log(spacing) + scale
    for _ in range(6):
        spacing /= 2
        lines = _axes(low, high, spacing)
        points, log_f = _evaluate(objective, centre, factor, lines)
        current = log_sum(log_f) + d * np.log(spacing) + scale
        change = abs(current - previous)
        if change < max(tolerance, rounding):
            return GridIntegral(points, log_f, float(current), change + rounding, spacing, True)
        _refuse_jump(objective, points, log_f, tuple(map(len, lines)))
        if len(points) * 2**d > _MOST_POINTS:
            break
        previous = current
    return GridIntegral(points, log_f, float(current), change, spacing, False)


def integrate_lines(
    objective: Objective,
    points: NDArray[np.float64],
    coordinate: int,
    spread: float,
    cover: Vector,
    tolerance: float = _TOLERANCE,
) -> tuple[Vector, Vector]:
    """The integrals of exp(log f) over one coordinate, along the lines through many points.

    Parameters
    ----------
    objective : Objective
    points : ndarray, shape (m, d)
        On z.
    coordinate : int
        Of z, over which to integrate.
    spread : float
        About as wide as a peak along it.
    cover : ndarray, shape (k,)
        Values of the coordinate that the grid must contain on every line; that of the point is always among them.
    tolerance : float
        Nats between two refinements.

    Returns
    -------
    log_integrals, errors : ndarray, shape (m,)
        Log of each integral, and its change in the last halving of the spacing plus the rounding of log f, nats.

    Raises
    ------
    RefusalError
        If the density does not fall off within a grid of reasonable size.
    NumericalError
        If log f is NaN somewhere on the grid, or nowhere finite on a line.
    """
    found = []
    for first in range(0, len(points), _LINES):
        some = points[first : first + _LINES]
        low = min(some[:, coordinate].min() - 8.0 * spread, float(np.min(cover)) - 2.0 * spread)
        high = max(some[:, coordinate].max() + 8.0 * spread, float(np.max(cover)) + 2.0 * spread)
        found.append(_lines(objective, some, coordinate, _FIRST_SPACING * spread, (low, high), tolerance))
    log_integrals, errors = np.concatenate(found, axis=1)
    return log_integrals, errors


def _along(objective: Objective, points: NDArray[np.float64], coordinate: int, x: Vector) -> NDArray[np.float64]:
    """Log sum, highest, first and last log f where a coordinate of k points takes all of x, shape ``(4, k)``."""
    rows, found = max(1, _MOST_POINTS // x.size), []
    for first in range(0, len(points), rows):
        whole = np.repeat(points[first : first + rows], x.size, axis=0)
        whole[:, coordinate] = np.tile(x, len(whole) // x.size)
        log_f = values(objective, whole).reshape(-1, x.size)
        top = log_f.max(axis=1)
        shift = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):  # what vanishes at every point has a sum of zero
            total = np.log(np.exp(log_f - shift[:, None]).sum(axis=1)) + shift
        found.append([total, top, log_f[:, 0], log_f[:, -1]])
    return np.concatenate(found, axis=1)


def _lines(
    objective: Objective,
    points: NDArray[np.float64],
    coordinate: int,
    spacing: float,
    ends: tuple[float, float],
    tolerance: float,
) -> NDArray[np.float64]:
    """`integrate_lines` on one grid that begins with these ends: integrals and errors, shape ``(2, k)``."""
    low, high = ends
    fall = _fall(tolerance)
    for _ in range(60):
        x = spacing * np.arange(np.floor(low / spacing), np.ceil(high / spacing) + 1)
        if x.size > _MOST_POINTS:
            raise RefusalError(
                f"the grid would need {x.size} points",
                "grid",
                "the density is too wide or too bent for a grid; use draws",
            )
        total, top, *edges = _along(objective, points, coordinate, x)
        if not np.all(np.isfinite(top)):
            raise NumericalError("the density is zero everywhere on the grid", "grid", "check the data")
        first, last = (bool(np.any(edge > top - fall)) for edge in edges)
        if not first and not last:
            break
        low, high = low - first * (high - low) / 5, high + last * (high - low) / 5
    else:
        raise RefusalError("the density does not fall off", "grid", "the integral may not exist; look at the priors")
    log_integral, error, left = total + np.log(spacing), np.full(len(points), np.inf), np.arange(len(points))
    for _ in range(6):
        between = x[:-1] + spacing / 2
        added = _along(objective, points[left], coordinate, between)[0] + np.log(spacing)
        finer = np.logaddexp(log_integral[left], added) - np.log(2.0)
        error[left], log_integral[left] = np.abs(finer - log_integral[left]), finer
        left = left[error[left] >= tolerance]
        x, spacing = np.sort(np.concatenate([x, between])), spacing / 2
        if not left.size or 2 * x.size > _MOST_POINTS:
            break
    rounding = 16 * np.finfo(float).eps * np.maximum(1.0, np.abs(top))  # log f itself is only known to this
    return np.stack([log_integral, error + rounding])


@cache
def nodes_of(order: int, size: int) -> tuple[NDArray[np.float64], Vector]:
    """Gauss-Hermite nodes for a standard normal density in `size` dimensions, and their log weights.

    Parameters
    ----------
    order : int
        Nodes an axis.
    size : int

    Returns
    -------
    nodes : ndarray, shape (order**size, size)
    log_weights : ndarray, shape (order**size,)
        The weights add up to 1. Neither array can be written to: every integral shares them.
    """
    x, w = np.polynomial.hermite_e.hermegauss(order)
    grids = np.meshgrid(*[x] * size, indexing="ij")
    weights = np.meshgrid(*[np.log(w) - 0.5 * np.log(2 * np.pi)] * size, indexing="ij")
    nodes, log_weights = np.stack([g.ravel() for g in grids], axis=1), sum(g.ravel() for g in weights)
    nodes.flags.writeable = log_weights.flags.writeable = False
    return nodes, log_weights
