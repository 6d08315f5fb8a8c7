"""The contract between a log density and everything that maximises, integrates or samples it.

An objective is a function log f on R^d that is known up to nothing: no dropped constants. Its contract:

* ``dimension`` is d;
* ``value(z)`` takes a float64 vector of shape ``(d,)`` and returns log f(z) in nats, a finite number or ``-inf``;
* ``value_and_gradient(z)`` also returns the gradient, shape ``(d,)``, a new array that the caller owns; where the
  value is ``-inf`` the gradient means nothing;
* any other non-finite value is an error and raises `NumericalError`;
* the same z gives the same value, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError

Vector = NDArray[np.float64]


class Objective(Protocol):
    """A log density on R^d with its gradient; see the module's contract."""

    @property
    def dimension(self) -> int:
        """The number d of coordinates of z."""

    def value(self, z: Vector) -> float:
        """Log f(z) in nats: finite or ``-inf``; raises `NumericalError` for NaN."""

    def value_and_gradient(self, z: Vector) -> tuple[float, Vector]:
        """Log f(z) and its gradient, shape ``(d,)``; raises `NumericalError` for NaN."""


@runtime_checkable
class ObjectiveOfMany(Objective, Protocol):
    """An objective that evaluates many points in one call, which saves a call from Python for each of them."""

    def sweep(self, points: NDArray[np.float64]) -> tuple[Vector, NDArray[np.float64]]:
        """Log f and its gradient at points of shape ``(m, d)``: shapes ``(m,)`` and ``(m, d)``; NaN is returned."""


@dataclass(frozen=True)
class FunctionObjective:
    """An objective from a Python function that returns value and gradient, such as a closed-form target.

    Parameters
    ----------
    dimension : int
    function : callable
        ``function(z) -> (value, gradient)``.
    """

    dimension: int
    function: Callable[[Vector], tuple[float, Vector]]

    def value(self, z: Vector) -> float:
        """Log f(z), nats: finite or ``-inf``.

        Raises
        ------
        NumericalError
            If it is NaN or ``+inf``.
        """
        return self.value_and_gradient(z)[0]

    def value_and_gradient(self, z: Vector) -> tuple[float, Vector]:
        """Log f(z), nats, and its gradient, shape ``(d,)``.

        Raises
        ------
        NumericalError
            If log f(z) is NaN or ``+inf``.
        """
        value, gradient = self.function(z)
        number = float(value)
        if number != number or number == np.inf:
            raise NumericalError(f"the log density is {number} at z = {z}", "objective", "look at the function there")
        return number, np.array(gradient, dtype=np.float64)


def values(objective: Objective, points: NDArray[np.float64]) -> Vector:
    """Log f at many points.

    Parameters
    ----------
    objective : Objective
    points : ndarray, shape (m, d)

    Returns
    -------
    ndarray, shape (m,)
        Nats.

    Raises
    ------
    NumericalError
        If the objective is NaN at one of the points.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    if isinstance(objective, ObjectiveOfMany):
        found = objective.sweep(points)[0]
        wrong = np.isnan(found) | np.isposinf(found)
        if wrong.any():
            objective.value(points[np.argmax(wrong)])  # which raises, and says where
        return found
    return np.array([objective.value(point) for point in points], dtype=np.float64)
