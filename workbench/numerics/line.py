"""The integral of exp(log f) over the real line where log f may jump, bend or fall slowly.

The line is mapped to t = centre + sinh(u), so that 43 powers of ten are 100 in u. The range that
holds the mass is found by looking closer and closer; within it SciPy's adaptive Gauss-Kronrod rule integrates, with
jumps, which are found by bisection, as ends of its pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import cubature

from workbench.errors import NumericalError, RefusalError
from workbench.numerics.objective import Vector

Matrix = NDArray[np.float64]

_FALL = 45.0  # nats below the peak, as for the grid
_FARTHEST = 100.0  # in u: 1e43, where also the tail of a Cauchy has fallen far enough
_SCAN = 801  # places at which a range is looked at
_LOOKS = 60
_FILLED = 0.05  # share of the places at which the density counts when the range is narrow enough
_NARROWEST = 1e-12  # of u: what double precision resolves with a few digits
_ACCURACY = 1e-9  # relative
_PIECES = 4000
_JUMPS = 50  # of all lines together that are located; the rest is left to the adaptive rule


@dataclass(frozen=True)
class LineIntegrals:
    """Integrals of k functions, each over its own line.

    Attributes
    ----------
    log_integral, error : ndarray, shape (k,)
        Nats.
    """

    log_integral: Vector
    error: Vector


def _ranges(log_f: Callable[[Matrix], Matrix], k: int) -> tuple[Vector, Vector, Vector]:
    """Where on each line the density lies within 45 nats of its peak, and the peak."""
    low, high = np.full(k, -_FARTHEST), np.full(k, _FARTHEST)
    top = np.full(k, -np.inf)
    for look in range(_LOOKS):
        u = np.linspace(low, high, _SCAN)
        value = log_f(u)
        top = np.maximum(top, value.max(axis=0))
        if not np.all(np.isfinite(top)):
            raise NumericalError("the density is zero wherever it was looked at", "quadrature", "set an `initval`")
        counts = value > top - _FALL
        if look == 0 and (counts[0].any() or counts[-1].any()):
            raise RefusalError("the density does not fall off", "quadrature", "the integral may not exist")
        first, last = counts.argmax(axis=0), _SCAN - 1 - counts[::-1].argmax(axis=0)
        lines = np.arange(k)
        low, high = u[np.maximum(first - 1, 0), lines], u[np.minimum(last + 1, _SCAN - 1), lines]
        if np.any(high - low < _NARROWEST * np.maximum(1.0, np.abs(low))):
            break
        if np.all(counts.mean(axis=0) > _FILLED):
            return low, high, top
    raise RefusalError("the density is too narrow to be looked at", "quadrature", "scale the variable to near 1")


def _jumps(log_f: Callable[[Matrix], Matrix], low: Vector, high: Vector) -> list[list[float]]:
    """Where the density jumps from zero or to it, as shares of the ranges."""
    share = np.linspace(0.0, 1.0, _SCAN)
    zero = np.isneginf(log_f(low + share[:, None] * (high - low)))
    places, lines = np.nonzero(zero[1:] != zero[:-1])
    places, lines = places[:_JUMPS], lines[:_JUMPS]
    left, right, inside = share[places], share[places + 1], zero[places, lines]
    for _ in range(50 if len(places) else 0):
        middle = 0.5 * (left + right)
        here = np.isneginf(log_f(low + middle[:, None] * (high - low)))[np.arange(len(lines)), lines]
        left, right = np.where(here == inside, middle, left), np.where(here == inside, right, middle)
    return [[float(x)] for x in np.unique(right) if 0.0 < x < 1.0]


def integrate_lines(function: Callable[[Matrix], Matrix], centre: Vector) -> LineIntegrals:
    """Integrals of exp(log f) over the real line, for k functions of one variable each.

    Parameters
    ----------
    function : callable
        ``function(t) -> log f``, both of shape ``(m, k)``; ``-inf`` is allowed.
    centre : ndarray, shape (k,)
        Where the density of each is looked for first: not far from its mass, compared with where double precision ends.

    Returns
    -------
    LineIntegrals

    Raises
    ------
    RefusalError
        If a density does not fall off, or is narrower than can be looked at.
    NumericalError
        If a density is zero wherever it was looked at.

    References
    ----------
    Piessens and others 1983, QUADPACK (adaptive Gauss-Kronrod), as in `scipy.integrate.cubature`.
    """

    def log_f(u: Matrix) -> Matrix:
        value = function(centre + np.sinh(u))
        return np.where(np.isposinf(value), -np.inf, value) + np.log(np.cosh(u))  # a pole is one point

    low, high, top = _ranges(log_f, len(centre))
    ends = _jumps(log_f, low, high)

    def integrand(share: Matrix) -> Matrix:
        return np.exp(log_f(low + share * (high - low)) - top)

    found = cubature(integrand, [0.0], [1.0], rtol=_ACCURACY, points=ends, max_subdivisions=_PIECES)
    value, error = np.asarray(found.estimate), np.asarray(found.error)
    rounding = 64 * np.finfo(float).eps * np.maximum(1.0, np.abs(top))
    return LineIntegrals(np.log(value) + top + np.log(high - low), error / value + rounding)
