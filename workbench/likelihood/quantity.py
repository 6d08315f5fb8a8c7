"""Scalars that can be held at a value: a free variable, an element of one, a deterministic, a linear combination.

Each is a function g of the coordinates x of the parameters. It is looked at once, around a point: whether it depends on
one coordinate alone, whether it is a straight line in x, and where its range ends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.model.chart import Chart, angles_of, jacobian
from workbench.numerics.objective import Vector

FAR = 700.0  # on a log or logit scale this is the edge itself in double precision


@dataclass(frozen=True)
class Quantity:
    """A scalar function of x, and how it is held.

    Attributes
    ----------
    name : str
    chart : Chart
    columns : ndarray of int
        The scalars of the chart of which it is made.
    weights : ndarray
        One a column.
    coordinate : int
        The one coordinate of x that it depends on; -1 if there are several.
    slope : ndarray, shape (p,), or None
        Of the path value along x where that is a straight line.
    offset : float
        Of that straight line.
    real : bool
        Whether the scalar itself is a straight line in x, without an edge.
    """

    name: str
    chart: Chart
    columns: NDArray[np.int64]
    weights: Vector
    coordinate: int
    slope: Vector | None
    offset: float
    real: bool

    def __call__(self, points: NDArray[np.float64]) -> Vector:
        """The scalar at many points x, shape ``(m, p)`` to ``(m,)``, in its own units."""
        with np.errstate(all="ignore"):
            return self.chart.scalars(np.atleast_2d(points))[:, self.columns] @ self.weights

    @property
    def angle(self) -> bool:
        """Whether it is an angle, or a multiple of one, which comes back after a turn."""
        return self.coordinate >= 0 and self.columns.size == 1 and int(self.columns[0]) in angles_of(self.chart)

    @property
    def turn(self) -> float:
        """What the scalar gains in a turn of the angle that it is, or is a multiple of; 0 if it is none."""
        return 2.0 * np.pi * float(self.weights[0]) if self.angle else 0.0

    def along(self, points: NDArray[np.float64]) -> Vector:
        """The scalar at the points of a path; an angle goes on beyond pi instead of jumping a turn back."""
        values = self(points)
        return np.unwrap(values, period=abs(self.turn)) if self.angle else values

    def beyond(self, value: float, other: float) -> float:
        """How much a value is more than another one; between angles the way round that is shorter, with its sign."""
        if not self.angle:
            return value - other
        turn = abs(self.turn)
        return float(np.remainder(value - other + turn / 2, turn) - turn / 2)

    def path(self, x: Vector) -> float:
        """What is held along a profile: the coordinate where there is one, else the scalar itself."""
        return float(self.slope @ x + self.offset) if self.slope is not None else float(self(x)[0])

    def edge(self, x: Vector, side: float) -> float:
        """The end of the range of the scalar far out on one side of its path; infinite where there is none."""
        if self.coordinate < 0 or self.real:
            return side * np.inf
        points = np.tile(x, (3, 1))
        points[:, self.coordinate] = x[self.coordinate], side * FAR, side * (FAR + 40.0)
        here, near, far = self(points)
        if np.isfinite(far) and abs(far - near) <= 1e-12 * max(1.0, abs(far)):
            return 0.0 if abs(far) < 1e-290 else float(far)
        ahead = np.sign(side * FAR - x[self.coordinate])  # further out than FAR it is behind
        return float(np.sign(near - here) * side * ahead * np.inf)


def is_number(value: object) -> bool:
    """Whether something is one finite number.

    Examples
    --------
    >>> is_number(0.95), is_number(3), is_number("0.95"), is_number(float("nan"))
    (True, True, False, False)
    """
    return isinstance(value, Real) and math.isfinite(value)


def resolve(chart: Chart, name: str | Mapping[str, float], x: Vector, scale: Vector) -> Quantity:
    """The scalar that a label, or a linear combination of labels, means.

    Parameters
    ----------
    chart : Chart
    name : str or mapping of str to float
        A label such as ``sigma`` or ``beta[treated]``, or labels with their weights.
    x : ndarray, shape (p,)
        A point around which its dependence is looked at.
    scale : ndarray, shape (p,)
        Local scale of each coordinate.

    Returns
    -------
    Quantity

    Raises
    ------
    InputError
        If a label is unknown or means a whole vector, a weight is no number, or the scalar is constant.
    """
    weighted = {name: 1.0} if isinstance(name, str) else dict(name)
    labels, columns = chart.labels, []
    for label, weight in weighted.items():
        columns.append(_column(chart, str(label)))
        if not is_number(weight):
            raise InputError(f"the weight of {label} is {weight!r}", "likelihood profile", "give a finite number")
    if not columns or not any(weighted.values()):
        raise InputError("a combination of nothing", "likelihood profile", "give labels with weights other than 0")
    text = _text([labels[c] for c in columns], list(weighted.values()))
    rough = Quantity(text, chart, np.array(columns), np.array(list(weighted.values()), float), -1, None, 0.0, False)
    # Around the point, and around the model's own start: at an edge nothing seems to move any more.
    noise = np.random.default_rng(0).normal(size=(4, x.size)) * np.array([0.5, 1.0, 1.5, 2.0])[:, None] * scale
    start = chart.space.start[chart.coordinates]
    points = np.vstack([x, x + noise, start, start + noise])
    slopes, values = np.array([slope_of(rough, point, scale) for point in points]), rough(points)
    moved = np.flatnonzero(np.any(np.isfinite(slopes) & (slopes != 0.0), axis=0))
    if not moved.size:
        raise InputError(f"{text} is constant", text, "profile something that depends on the parameters")
    with np.errstate(all="ignore"):
        off = np.abs(values - values[0] - (points - x) @ slopes[0])
        straight = bool(np.all(off <= 1e-9 * (np.abs(slopes[0] * scale).max() + np.abs(values - values[0]))))
    slope = slopes[0] if straight else None
    if straight and all(weight == round(weight) for weight in weighted.values()):
        slope = np.where(np.abs(slopes[0] - np.round(slopes[0])) < 1e-9, np.round(slopes[0]), slopes[0])
    if moved.size == 1:
        unit = np.zeros(x.size)
        unit[moved[0]] = 1.0
        return Quantity(text, chart, rough.columns, rough.weights, int(moved[0]), unit, 0.0, straight)
    offset = 0.0 if slope is None else float(values[0] - slope @ x)
    return Quantity(text, chart, rough.columns, rough.weights, -1, slope, offset, straight)


def _text(labels: list[str], weights: list[float]) -> str:
    """A linear combination as text, such as ``a - 2*b``."""
    parts: list[str] = []
    for label, weight in zip(labels, weights, strict=True):
        size = label if abs(weight) == 1.0 else f"{abs(weight):g}*{label}"
        sign = "-" if weight < 0 else "+"
        parts.append(f"{sign} {size}" if parts else f"{'-' * (weight < 0)}{size}")
    return " ".join(parts)


def _column(chart: Chart, label: str) -> int:
    """The position of a label."""
    labels = chart.labels
    if label in labels:
        return labels.index(label)
    if label in (*chart.names, *chart.deterministics):
        own = chart.space.labels(label)
        if len(own) == 1:
            return labels.index(own[0])
        shown = ", ".join(own[:3]) + (", ..." if len(own) > 3 else "")
        raise InputError(f"{label!r} has {len(own)} elements", label, f"give one of them: {shown}")
    shown = ", ".join(labels[:12]) + (", ..." if len(labels) > 12 else "")
    raise InputError(f"there is no scalar {label!r}", "likelihood profile", f"there are {shown}")


def slope_of(quantity: Quantity, x: Vector, scale: Vector) -> Vector:
    """Dg/dx by differences.

    Parameters
    ----------
    quantity : Quantity
    x, scale : ndarray, shape (p,)

    Returns
    -------
    ndarray, shape (p,)
    """
    with np.errstate(all="ignore"):  # a ratio may be infinite there
        return jacobian(lambda points: quantity(points)[:, None], x, scale)[0]


def edges_of(chart: Chart, x: Vector, coordinates: Mapping[str, int]) -> dict[int, tuple[float, ...]]:
    """Coordinates whose scalar has a finite edge -> the sides on which it lies.

    Parameters
    ----------
    chart : Chart
    x : ndarray, shape (p,)
    coordinates : mapping of str to int
        Labels of the scalars that are a function of one coordinate -> that coordinate.

    Returns
    -------
    dict of int to tuple of float
    """
    if not coordinates:
        return {}
    columns = np.array([chart.labels.index(label) for label in coordinates])
    moved = list(coordinates.values())
    found: dict[int, tuple[float, ...]] = {k: () for k in moved}
    for side in (-1.0, 1.0):
        ends = []
        for far in (side * FAR, side * (FAR + 40.0)):
            point = x.copy()
            point[moved] = far
            with np.errstate(over="ignore", invalid="ignore"):
                ends.append(chart.scalars(point[None])[0, columns])
        for k, near, far in zip(moved, *ends, strict=True):
            if np.isfinite(far) and abs(far - near) <= 1e-12 * max(1.0, abs(far)):
                found[k] += (side,)
    return {k: sides for k, sides in found.items() if sides}
