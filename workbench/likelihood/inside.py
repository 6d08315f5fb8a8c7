"""The directions in which a maximum lies inside its support, where it is at an edge in others.

A scalar at its edge, such as a variance of 0, takes one coordinate with it, which stays where it is. A category whose
probability is 0 takes a direction: its share goes to 0 while the others keep their proportions. What is left of a
K-simplex with m zeros has K - 1 - m dimensions, and along them the likelihood is an ordinary one:

    x  =  base + A u,      C = A [-d2 log L / du2]^-1 A'.

Coordinates that no edge concerns are coordinates of u, unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.likelihood.face import cells_at_zero, rest_of, way_to_face, with_shares
from workbench.likelihood.holding import value_with
from workbench.likelihood.problem import Problem, edge_coordinates
from workbench.model.mode import Mode
from workbench.numerics.objective import FunctionObjective, Objective, Vector

_SHARES = (1e-8, 1e-6, 1e-4, 1e-2, 0.05)  # of a category that may have left its face
_HIGHER = 1e-9  # of the log likelihood, or nats below 1


@dataclass(frozen=True)
class Inside:
    """The free directions at a maximum.

    Attributes
    ----------
    problem : Problem
    base : ndarray, shape (p,)
    along : ndarray, shape (p, f)
        The directions as columns; empty where nothing is at an edge, as they are the coordinates themselves.
    start : ndarray, shape (f,)
        The maximum in their coordinates.
    fixed : ndarray of int
        Coordinates of scalars at their edge.
    cells : dict of str to (str, int)
        Label of every category whose probability is 0 -> its simplex, and its place there in C order.
    """

    problem: Problem
    base: Vector
    along: NDArray[np.float64]
    start: Vector
    fixed: NDArray[np.int64]
    cells: dict[str, tuple[str, int]]

    @property
    def everywhere(self) -> bool:
        """Whether nothing is at an edge."""
        return not self.fixed.size and not self.cells

    def point(self, u: Vector) -> Vector:
        """X at these coordinates, shape ``(f,)`` to ``(p,)``."""
        return u if self.everywhere else self.base + self.along @ u

    def onto(self, slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Slopes along x as slopes along u, shape ``(..., p)`` to ``(..., f)``."""
        return slopes if self.everywhere else slopes @ self.along

    def moves(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Moves of u, as columns, as moves of x, shape ``(f, q)`` to ``(p, q)``."""
        return columns if self.everywhere else self.along @ columns

    def place(self, coordinate: int) -> int:
        """Where a coordinate of x that no edge concerns stands in u."""
        return coordinate if self.everywhere else int(np.flatnonzero(self.along[coordinate])[0])

    def section(self, objective: Objective) -> Objective:
        """An objective over x as one over u; itself where nothing is at an edge."""
        if self.everywhere:
            return objective

        def function(u: Vector) -> tuple[float, Vector]:
            value, gradient = objective.value_and_gradient(self.point(u))
            return value, gradient @ self.along

        return FunctionObjective(self.start.size, function)

    def spread(self, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
        """A covariance of u as that of x, shape ``(f, f)`` to ``(p, p)``; 0 in the directions that stay."""
        return covariance if self.everywhere else self.along @ covariance @ self.along.T

    def entered(self, x: Vector, label: str, share: float) -> Vector:
        """The same point with a category at a share above 0."""
        name, cell = self.cells[label]
        return with_shares(self.problem, x, name, [cell], share)

    def leaves(self, objective: Objective, x: Vector, value: float) -> bool:
        """Whether the likelihood is higher with more in a category whose probability is 0."""
        least = value + _HIGHER * max(1.0, abs(value))
        trials = (self.entered(x, label, share) for label in self.cells for share in _SHARES)
        return any(value_with(objective, trial, 0, trial[0]) > least for trial in trials)


def inside_of(problem: Problem, mode: Mode) -> Inside:
    """The directions in which a maximum lies inside.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.

    Returns
    -------
    Inside
    """
    x, fixed = mode.z[problem.chart.coordinates], edge_coordinates(problem, mode)
    cells = cells_at_zero(problem, x, mode.at_edge) if mode.at_edge else {}
    if not fixed.size and not cells:
        return Inside(problem, x, np.zeros((0, 0)), x, fixed, cells)
    directions = [way_to_face(problem, x, name, cell) for name, cell in cells.values()]
    touched = np.any(np.array(directions).reshape(-1, x.size) != 0.0, axis=0)
    free = np.setdiff1d(np.flatnonzero(~touched), fixed)
    along = np.eye(x.size)[:, free]
    base, start = x.copy(), x[free]
    base[free] = 0.0
    if directions:
        rest = rest_of(np.array(directions)[:, touched])
        columns = np.zeros((x.size, rest.shape[1]))
        columns[touched] = rest
        along, start = np.hstack([along, columns]), np.append(start, np.zeros(rest.shape[1]))
    return Inside(problem, base, along, start, fixed, cells)
