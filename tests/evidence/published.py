"""Densities of the literature whose integral is known by one-dimensional quadrature, with exact draws.

The funnel is Neal's (2003, doi:10.1214/aos/1056562461) observed with unit noise; the shells are those of Feroz, Hobson
and Bridges (2009, doi:10.1111/j.1365-2966.2009.14548.x), whose table gives -1.75 in 2 and -14.59 in 10 dimensions. The
values here are the same integrals to more digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from tests.targets import LOG_TWO_PI, RowsObjective

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Published:
    """A log density on R^d with exact draws and the log of its integral, nats."""

    name: str
    objective: RowsObjective
    log_integral: float
    draw: object

    @property
    def dimension(self) -> int:
        return self.objective.dimension

    def __str__(self) -> str:
        return self.name


def funnel_with_data() -> Published:
    """v ~ Normal(0, 3), x_i ~ Normal(0, variance exp(v)), y_i ~ Normal(x_i, 1), i = 1..9, centred: z = (v, x)."""
    y = np.array([1.4875, -0.3833, -1.3887, 0.7412, 1.1977, -1.0498, -0.9272, 1.2887, 0.5951])
    n = y.size

    def log_f(z: Array) -> tuple[Array, Array]:
        v, x = z[:, 0], z[:, 1:]
        with np.errstate(over="ignore"):
            tau = np.exp(-v)
        square, away = np.sum(x**2, axis=1), y - x
        value = -(v**2) / 18 - np.log(3) - 0.5 * (tau * square + n * v) - 0.5 * np.sum(away**2, axis=1)
        gradient = np.column_stack([-v / 9 + 0.5 * tau * square - n / 2, away - tau[:, None] * x])
        return value - (n + 0.5) * LOG_TWO_PI, gradient

    def draw(m: int, generator: np.random.Generator) -> Array:
        grid = np.linspace(-25.0, 20.0, 200_001)
        spread = 1 + np.exp(grid)
        logs = -(grid**2) / 18 - 0.5 * n * np.log(spread) - 0.5 * float(y @ y) / spread
        mass = np.cumsum(np.exp(logs - logs.max()))
        v = np.interp(generator.random(m), mass / mass[-1], grid)
        share = expit(v)[:, None]  # of y in the mean of x given v, and the variance
        return np.column_stack([v, share * y + np.sqrt(share) * generator.standard_normal((m, n))])

    return Published("funnel with data", RowsObjective(n + 1, log_f), -14.033464524, draw)


def shells(d: int, log_integral: float) -> Published:
    """Two shells of radius 2 and width 0.1 about +-3.5 on the first axis; theta uniform in (-6, 6)^d, z = logit."""
    centres = np.zeros((2, d))
    centres[:, 0] = 3.5, -3.5
    radius, width, side = 2.0, 0.1, 12.0

    def log_f(z: Array) -> tuple[Array, Array]:
        share = expit(z)
        away = (side * share - side / 2)[:, None] - centres
        distance = np.linalg.norm(away, axis=2)
        logs = -((distance - radius) ** 2) / (2 * width**2) - 0.5 * np.log(2 * np.pi * width**2)
        total = np.logaddexp.reduce(logs, axis=1)
        pull = np.exp(logs - total[:, None]) * (distance - radius) / distance
        by_theta = -np.sum(pull[:, :, None] * away, axis=1) / width**2
        jacobian = np.sum(log_expit(z) + log_expit(-z), axis=1)  # the side of the box cancels with its density
        return total + jacobian, by_theta * side * share * (1 - share) + 1 - 2 * share

    def draw(m: int, generator: np.random.Generator) -> Array:
        grid = np.linspace(radius - 8 * width, radius + 8 * width, 20_001)
        mass = np.cumsum(grid ** (d - 1) * np.exp(-((grid - radius) ** 2) / (2 * width**2)))
        length = np.interp(generator.random(m), mass / mass[-1], grid)
        direction = generator.standard_normal((m, d))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        theta = centres[generator.integers(2, size=m)] + length[:, None] * direction
        return np.log((theta + side / 2) / (side / 2 - theta))

    return Published(f"shells in {d} dimensions", RowsObjective(d, log_f), log_integral, draw)


ALL = (funnel_with_data(), shells(2, -1.745641872), shells(10, -14.5904910744))
