"""A maximum on a face of a simplex, or where other vectors meet the edge of their support.

A category in which nothing was counted has the probability 0: its share of a simplex goes to 0 while the other shares
keep their proportions. No single coordinate of z does that, but a direction does; along the faces that remain the
likelihood is an ordinary one. Ordered values that coincide, and correlations of -1 or 1, lie at the edge of vectors as
well; there the covariance of the rest has no such simple form, and the place is named instead.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.boundary import Edge
from workbench.likelihood.covariance_factor import lost_rank, shares_left
from workbench.likelihood.holding import value_with
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.numerics.climbs import Climb, falls_away
from workbench.numerics.objective import FunctionObjective, Objective, Vector
from workbench.numerics.optimise import climb

_SMALL = 0.05  # a larger share is not on its way to 0
_FAR, _FARTHER = 1e-200, 1e-300  # shares that are 0 in double precision beside others
_REAL = 0.02  # nats: a smaller change is called none
_LEVEL = 1e-9  # of the log likelihood, or nats below 1: a change below this is none
_LOST = 1e-6  # nats, relative where the log likelihood is large, by which an edge may be lower than the way there
_AHEAD = (4.0, 1.0, 0.3)  # of z, from where a climb towards an edge ended, until a density can be computed there
_BACK = (1.0, 3.0, 10.0, 30.0, 100.0)  # of z; a climb may go on until a deviation is e^-40 of the others
_HARDLY = 1e-3  # of a standard deviation: on its way to none
_SINGULAR = 20.0  # of the logarithm of a deviation: none is left
_AT = 1e-7  # a correlation that differs from 1 by less, or two values by as much of their size


def _shares(problem: Problem, x: Vector) -> dict[str, NDArray[np.float64]]:
    """The simplexes among the parameters, by name."""
    density = problem.density
    theta = problem.chart.theta(x[None])
    transforms = {n: density.model.rvs_to_transforms.get(density.model[n]) for n in problem.chart.names}
    return {name: theta[name][0] for name, t in transforms.items() if type(t).__name__ == "SimplexTransform"}


def with_shares(problem: Problem, x: Vector, name: str, cells: list[int], share: float) -> Vector:
    """The same point with some cells of a simplex at a small share, the others of their row in proportion.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    name : str
        The simplex.
    cells : list of int
        Places in it, in C order.
    share : float

    Returns
    -------
    ndarray, shape (p,)
        Other variables stay as they are, to the last bit.
    """
    space, block = problem.chart.space, problem.chart.blocks[name]
    theta = {n: array[0] for n, array in space.theta(problem.chart.z(x)).items() if n in space.names}
    array = np.array(theta[name])
    rows = array.reshape(-1, array.shape[-1])
    for row in {cell // rows.shape[1] for cell in cells}:
        own = [cell % rows.shape[1] for cell in cells if cell // rows.shape[1] == row]
        others = np.setdiff1d(np.arange(rows.shape[1]), own)
        rows[row, others] *= (1.0 - share * len(own)) / rows[row, others].sum()
        rows[row, own] = share
    z = space.z_of_draws({n: (array if n == name else theta[n])[None] for n in space.names})[0]
    moved = x.copy()
    moved[block] = z[problem.chart.coordinates][block]
    return moved


def way_to_face(problem: Problem, x: Vector, name: str, cell: int) -> Vector:
    """The direction of x in which a cell of a simplex goes to 0 and the others keep their proportions, shape ``(p,)``.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    name : str
        The simplex.
    cell : int
        The place in it, in C order.

    Returns
    -------
    ndarray, shape (p,)
    """
    far, farther = (with_shares(problem, x, name, [cell], share) for share in (_FAR, _FARTHER))
    return farther - far


def rest_of(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormal columns that span what is at right angles to some directions, ``(m, p)`` to ``(p, p - rank)``.

    Parameters
    ----------
    directions : ndarray, shape (m, p)

    Returns
    -------
    ndarray, shape (p, f)
    """
    u, sizes, _ = np.linalg.svd(directions.T)
    return u[:, int(np.sum(sizes > 1e-9 * sizes[0])) :]


def cells_at_zero(problem: Problem, x: Vector, labels: Collection[str]) -> dict[str, tuple[str, int]]:
    """Those of some labels that are categories of a simplex -> the simplex, and their place in it in C order.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    labels : collection of str

    Returns
    -------
    dict of str to (str, int)
    """
    of = {label: (name, k) for name in _shares(problem, x) for k, label in enumerate(problem.chart.space.labels(name))}
    return {label: of[label] for label in labels if label in of}


def _empty_cells(problem: Problem, end: Climb, name: str, shares: NDArray[np.float64]) -> list[int]:
    """Cells whose share is on its way to 0: the likelihood is no lower there, and lower with more in the cell."""
    found = []
    for cell in np.flatnonzero(shares.ravel() < _SMALL).tolist():
        far, back = (with_shares(problem, end.z, name, [cell], share) for share in (_FAR, _SMALL))
        level = _LEVEL * max(1.0, abs(end.value))
        if value_with(problem.objective, far, 0, far[0]) < end.value - level:
            continue
        if value_with(problem.objective, back, 0, back[0]) < end.value - _REAL:
            found.append(cell)
    return found


def settle_on_face(problem: Problem, end: Climb) -> Edge | None:
    """The maximum on the face of a simplex towards which a climb is heading.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak inside.

    Returns
    -------
    Edge or None
        None if no share goes to 0, or there is no peak on the face.
    """
    x, directions, values = end.z.copy(), [], {}
    for name, shares in _shares(problem, end.z).items():
        cells, labels = _empty_cells(problem, end, name, shares), problem.chart.space.labels(name)
        for cell in cells:
            directions.append(way_to_face(problem, x, name, cell))
            values[labels[cell]] = 0.0
        x = with_shares(problem, x, name, cells, _FARTHER) if cells else x
    if not directions:
        return None
    along = rest_of(np.array(directions))
    covariance = np.zeros((x.size, x.size))
    if not along.size:
        return Edge(x, values, problem.objective.value(x), 0.0, 0.0, covariance, 1.0)
    section = _section(problem.objective, x, along)
    try:
        best = climb(section, np.zeros(along.shape[1]))
    except NumericalError:
        return None
    if not falls_away(section, best)[0] or best.value < end.value - _LOST:
        return None
    covariance = along @ best.curvature.covariance @ along.T
    smallest = float(best.curvature.eigenvalues[0])
    return Edge(x + along @ best.z, values, best.value, best.edm, best.gradient_norm, covariance, smallest)


def _section(objective: Objective, x: Vector, along: NDArray[np.float64]) -> FunctionObjective:
    """The objective over moves along some directions."""

    def function(move: Vector) -> tuple[float, Vector]:
        value, gradient = objective.value_and_gradient(x + along @ move)
        return value, gradient @ along

    return FunctionObjective(along.shape[1], function)


def refuse_meeting(problem: Problem, end: Climb) -> None:
    """Say where a vector meets the edge of its support, if a climb is heading there.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Raises
    ------
    NoMaximumError
        If ordered values coincide, or a correlation is -1 or 1, at the highest point.
    """
    met = _singular(problem, end) or _meeting(problem, end)
    if met:
        raise NoMaximumError(
            "edge",
            f"the likelihood has its highest point, {end.value:.6g} nats, at the edge of the support, where {met}: "
            "there is no standard error there",
            met.removeprefix("the covariance of ").split(" = ")[0].split(" has ")[0],
            "merge categories that no observation tells apart, leave out an effect that another one decides, or use "
            "the posterior",
        )


def _singular(problem: Problem, end: Climb) -> str:
    """Which correlation is complete, or what has no variance, where a covariance loses its rank; empty if none does."""
    objective, lost = problem.objective, _LOST * max(1.0, abs(end.value))
    for i, left in shares_left(problem, end.z).items():
        behind = min(value_with(objective, end.z, i, end.z[i] + step) for step in _BACK)
        # Effects cannot be integrated out where hardly any deviation is left: so far ahead as there are numbers.
        ahead = [value_with(objective, end.z, i, end.z[i] - step) for step in (_SINGULAR, *_AHEAD)]
        seen = next((k for k, value in enumerate(ahead) if abs(value - end.value) < lost), None)
        if seen is None or behind > end.value - _REAL:
            continue
        far = end.z.copy()
        far[i] -= _SINGULAR
        met = _met(problem, far, i) or lost_rank(problem, far) if seen == 0 or left < _HARDLY else ""
        if met:
            return met
    return ""


def _meeting(problem: Problem, end: Climb) -> str:
    """Which elements of a vector are equal, or which correlation is complete, where a climb is heading."""
    objective, single = problem.objective, set(scalar_parameters(problem).values())
    lost = _LOST * max(1.0, abs(end.value))
    for i in (i for i in range(end.z.size) if i not in single):
        for side in (-1.0, 1.0):
            ahead = [value_with(objective, end.z, i, end.z[i] + side * step) for step in _AHEAD]
            seen = next((k for k, value in enumerate(ahead) if np.isfinite(value)), None)
            behind = min(value_with(objective, end.z, i, end.z[i] - side * step) for step in _BACK)
            if seen is None or ahead[seen] < end.value - lost or behind > end.value - _REAL:
                continue
            far = end.z.copy()
            far[i] += side * _AHEAD[seen]
            met = _met(problem, far, i)
            if met:
                return met
    return ""


def _met(problem: Problem, x: Vector, i: int) -> str:
    """Which elements of the variable of a coordinate are equal, or which correlation is complete; empty if none is."""
    labels, values = problem.chart.labels, problem.chart.scalars(x[None])[0]
    of = dict(zip(labels, values, strict=True))
    moved = next(name for name, block in problem.chart.blocks.items() if block.start <= i < block.stop)
    if moved not in _shares(problem, x):  # shares may well be equal
        own = problem.chart.space.labels(moved)
        for first, second in zip(own, own[1:], strict=False):
            if abs(of[first] - of[second]) <= _AT * max(abs(of[first]), abs(of[second])) and of[first] != 0:
                return f"{first} = {second} = {of[first]:.6g}"
    for name in problem.chart.deterministics:
        shape = problem.chart.space.shapes[name]
        if len(shape) != 2 or shape[0] != shape[1]:
            continue
        matrix = np.array([of[label] for label in problem.chart.space.labels(name)]).reshape(shape)
        complete = np.argwhere(np.triu(np.abs(np.abs(matrix) - 1.0) < _AT, 1))
        if np.allclose(np.diag(matrix), 1.0) and complete.size:
            row, column = complete[0]
            return f"{problem.chart.space.labels(name)[row * shape[0] + column]} = {matrix[row, column]:.6g}"
    return ""
