"""One turn of every angle: a density that repeats itself along a coordinate is integrated over one period of it.

PyMC leaves an angle (`VonMises`) as it is and lets its density repeat: log f(z + 2 pi) = log f(z). A sampler may then
walk round the circle as it likes, but an integral over all z would count every turn again. Draws are therefore folded
into the turn around their mean direction, and outside of that turn f counts as zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import Objective, Vector

_PERIOD = 2 * np.pi
_EDGE = np.pi * (1 + 1e-9)  # a point that was folded to the edge lies within


@dataclass(frozen=True)
class Turn:
    """A turn around a centre.

    Attributes
    ----------
    angles : ndarray of bool, shape (d,)
        Which coordinates are angles.
    centre : ndarray, shape (d,)
        Radians; without a meaning elsewhere.
    """

    angles: NDArray[np.bool_]
    centre: Vector

    def folded(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same points within the turn, shape ``(..., d)``; the points themselves where nothing is an angle."""
        if not self.angles.any():
            return points
        turns = np.round((points - self.centre) / _PERIOD)
        return np.where(self.angles, points - _PERIOD * turns, points)

    def within(self, objective: Objective) -> Objective:
        """Log f within the turn and ``-inf`` outside; the objective itself where nothing is an angle."""
        return OneTurn(objective, self) if self.angles.any() else objective

    def inside(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which points lie within the turn, shape ``(...)``."""
        return np.all(~self.angles | (np.abs(points - self.centre) <= _EDGE), axis=-1)


@dataclass(frozen=True)
class OneTurn:
    """An objective within one turn of its angles: an `ObjectiveOfMany`.

    Parameters
    ----------
    objective : Objective
    turn : Turn
    """

    objective: Objective
    turn: Turn

    @property
    def dimension(self) -> int:
        """The number of coordinates."""
        return self.objective.dimension

    def value(self, z: Vector) -> float:
        """Log f(z) within the turn, ``-inf`` outside, nats."""
        return self.objective.value(z) if self.turn.inside(z) else -np.inf

    def value_and_gradient(self, z: Vector) -> tuple[float, Vector]:
        """The same with the gradient, shape ``(d,)``."""
        return self.objective.value_and_gradient(z) if self.turn.inside(z) else (-np.inf, np.zeros_like(z))

    def sweep(self, points: NDArray[np.float64]) -> tuple[Vector, NDArray[np.float64]]:
        """The same at many points, shapes ``(m,)`` and ``(m, d)``."""
        value, gradient = sweep_of(self.objective)(points)
        return np.where(self.turn.inside(points), value, -np.inf), gradient


def turn_around(draws: NDArray[np.float64], angles: NDArray[np.bool_]) -> Turn:
    """The turn around the mean direction of points.

    Parameters
    ----------
    draws : ndarray, shape (..., d)
    angles : ndarray of bool, shape (d,)

    Returns
    -------
    Turn
    """
    if not angles.any():
        return Turn(angles, np.zeros(angles.size))
    axes = tuple(range(draws.ndim - 1))
    return Turn(angles, np.arctan2(np.sin(draws).mean(axis=axes), np.cos(draws).mean(axis=axes)))


def free_of_turns(objective: Objective) -> NDArray[np.bool_]:
    """Which coordinates are no angles within one turn, shape ``(d,)``."""
    return ~objective.turn.angles if isinstance(objective, OneTurn) else np.ones(objective.dimension, dtype=bool)


def folded_for(objective: Objective, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points, shape ``(m, d)``, within the turn of an objective that has one."""
    return objective.turn.folded(points) if isinstance(objective, OneTurn) else points
