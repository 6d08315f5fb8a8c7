"""Covariances that are free, by their Cholesky factor, and the place where they lose their rank.

The k-th element of the diagonal of the factor is the standard deviation that is left in element k, the ones before it
being known. It is the exponential of one coordinate of z. Where it goes to 0 element k becomes a linear combination

    x_k = sum_j b_j x_j,   b = L_k L^-1 of the rows before it,

and the covariance has no inverse. No correlation need be -1 or 1 there, and the raw elements of the factor say little.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from workbench.likelihood.problem import Problem
from workbench.numerics.objective import Vector

_NONE = 1e-7  # of a standard deviation: none is left
_SHARE = 1e-6  # of an element in a combination, in standard deviations, that is not named


def free_factors(problem: Problem) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Free variables that are a packed Cholesky factor, each with the coordinates of its diagonal, shape ``(n,)``.

    Parameters
    ----------
    problem : Problem

    Yields
    ------
    name : str
    diagonal : ndarray of int
    """
    density = problem.density
    for name in problem.chart.names:
        transform = density.model.rvs_to_transforms.get(density.model[name])
        if type(transform).__name__ == "CholeskyCovPacked" and not density.parents[name]:
            size = len(problem.chart.space.labels(name))
            rows = round((np.sqrt(8 * size + 1) - 1) / 2)
            yield name, problem.chart.blocks[name].start + np.cumsum(np.arange(1, rows + 1)) - 1


def factor_diagonals(problem: Problem) -> dict[str, int]:
    """Labels of the diagonals of all free factors -> the coordinate of which each is the exponential.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict of str to int
    """
    found: dict[str, int] = {}
    for name, diagonal in free_factors(problem):
        labels, first = problem.chart.space.labels(name), problem.chart.blocks[name].start
        found |= {labels[k - first]: int(k) for k in diagonal}
    return found


def shares_left(problem: Problem, x: Vector) -> dict[int, float]:
    """Coordinates of the diagonals of all free factors -> the share of its standard deviation that is left in each.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)

    Returns
    -------
    dict of int to float
    """
    found: dict[int, float] = {}
    for name, diagonal in free_factors(problem):
        factor = np.zeros((diagonal.size, diagonal.size))
        factor[np.tril_indices(diagonal.size)] = np.ravel(problem.chart.theta(x[None])[name][0])
        left = np.diag(factor) / np.linalg.norm(factor, axis=1)
        found |= {int(i): float(share) for i, share in zip(diagonal, left, strict=True)}
    return found


def lost_rank(problem: Problem, x: Vector) -> str:
    """The first covariance without an inverse at a point, and what has no variance there; empty if there is none.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)

    Returns
    -------
    str
        Such as ``the covariance of factor has no inverse: element 2 = 2 element 1 + constant``.
    """
    for name, diagonal in free_factors(problem):
        factor = np.zeros((diagonal.size, diagonal.size))
        factor[np.tril_indices(diagonal.size)] = np.ravel(problem.chart.theta(x[None])[name][0])
        deviations = np.linalg.norm(factor, axis=1)
        for k in np.flatnonzero(np.diag(factor)[1:] < _NONE * deviations[1:]) + 1:
            before = factor[:k, :k]
            weights = np.linalg.lstsq(before.T / deviations[:k], factor[k, :k], rcond=_NONE)[0]
            shares = zip(weights / deviations[:k], np.abs(weights), strict=True)
            parts = [f"{b:+.4g} element {j}" for j, (b, w) in enumerate(shares) if w > _SHARE * deviations[k]]
            equal = " ".join([*(f"{part[0]} {part[1:]}" for part in parts), "+ constant"]).removeprefix("+ ")
            return f"the covariance of {name} has no inverse: element {k} = {equal}"
    return ""
