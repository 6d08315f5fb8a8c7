"""The likelihood as a function of the parameters: curves and a surface, relative to its maximum.

For one scalar parameter the curve is the profile likelihood,

    l_p(theta_i) = max over the others of log p(y given theta) - log p(y given theta-hat),

which for a model with one parameter is the log likelihood itself. A drop of 1.92 nats bounds the 95% interval of a
likelihood-ratio test (Wilks 1938).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import InputError, NumericalError, RefusalError
from workbench.likelihood.holding import settle
from workbench.likelihood.inside import inside_of
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.model.anatomy import Anatomy, require
from workbench.model.mode import Mode
from workbench.numerics.curvature import hessian
from workbench.numerics.objective import Objective, Vector
from workbench.result import Result

_WIDTH = 4.0  # standard errors on each side of the maximum
DROP = 1.920729410347062  # half the 0.95 quantile of chi-square with one degree of freedom (Wilks 1938)
_CURVE, _GRID = 81, 41  # points of a curve, and of each axis of the surface


@dataclass(frozen=True, repr=False, eq=False)
class Surface(Result):
    """Profile curves of scalar parameters, and the surface of a pair.

    Attributes
    ----------
    points : dict of str to ndarray, shape (m,)
        Label -> values of theta along its curve.
    curves : dict of str to ndarray, shape (m,)
        Label -> log likelihood relative to the maximum, nats (0 at the maximum).
    pair : tuple of str
        The two labels of the surface; empty where the model has one parameter.
    axes : tuple of ndarray
        Values of theta along the two axes, shapes ``(p,)`` and ``(q,)``; empty where there is no pair.
    surface : ndarray, shape (p, q)
        Profile log likelihood over the pair, relative to the maximum, nats.
    """

    points: dict[str, Vector]
    curves: dict[str, Vector]
    pair: tuple[str, ...]
    axes: tuple[Vector, ...]
    surface: NDArray[np.float64]
    title: ClassVar[str] = "likelihood relative to its maximum"

    def table(self) -> pd.DataFrame:
        """One row a parameter: maximum, and where the profile has dropped by 1.92 nats (95%)."""
        rows = {}
        for label, curve in self.curves.items():
            lower, upper = crossings(self.points[label], curve, DROP)
            rows[label] = (self.points[label][np.argmax(curve)], lower, upper)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["maximum", "-1.92 nats below", "-1.92 nats above"])

    def notes(self) -> list[str]:
        """What the two bounds are."""
        return ["the bounds are the 95% likelihood-ratio interval, where the curve is 1.92 nats below its maximum"]


def crossings(points: Vector, curve: Vector, drop: float) -> tuple[float, float]:
    """Where a curve has fallen by `drop` on each side of its maximum; NaN where it does not fall so far.

    The signed root of the fall is nearly straight, so straight lines between its points are enough.
    """
    top = int(np.argmax(curve))
    root = np.sqrt(np.maximum(curve[top] - curve, 0.0)) * np.sign(np.arange(len(curve)) - top)
    level = np.sqrt(drop)
    finite = np.isfinite(root)
    found = np.interp([-level, level], root[finite], points[finite], left=np.nan, right=np.nan)
    return float(found[0]), float(found[1])


def _profile(objective: Objective, best: Vector, fixed: NDArray[np.int64], path: NDArray[np.float64]) -> Vector:
    """Maximum over the free coordinates at every point of a path of fixed ones, warm-started along it."""
    result, start, step = np.empty(len(path)), best, np.zeros(best.size)
    for k, values in enumerate(path):
        result[k] = -np.inf
        for origin in (start + step, start):  # on the straight line through the two points before, or from the last
            point = origin.copy()
            point[fixed] = values
            try:
                end = settle(objective, point, fixed)
            except NumericalError:
                continue
            result[k], start, step = end.value, end.x, end.x - start
            break
        else:
            start, step = best, np.zeros(best.size)
    return result


def explore_surface(problem: Problem, anatomy: Anatomy, mode: Mode, names: tuple[str, ...] = ()) -> Surface:
    """Profile likelihood curves around the maximum, and the surface of a pair.

    Parameters
    ----------
    problem : Problem
    anatomy : Anatomy
    mode : Mode
        The maximum likelihood estimate.
    names : tuple of str
        One or two labels such as ``mu`` or ``beta[0]``; by default every scalar parameter has a curve, and the
        first two share a surface.

    Returns
    -------
    Surface

    Raises
    ------
    InputError
        If a label is unknown or more than two are given.
    RefusalError
        If the question is refused for this model, or no parameter is a scalar function of one coordinate.
    """
    require(anatomy, "likelihood surface")
    coordinates = scalar_parameters(problem)
    if len(names) > 2:
        raise InputError(f"{len(names)} names for a surface", "likelihood surface", "give one or two")
    for name in names:
        if name not in coordinates:
            raise InputError(
                f"there is no scalar parameter {name!r}", "likelihood surface", f"there are {', '.join(coordinates)}"
            )
    # A scalar at the edge of its support has no width to draw a curve with; the others are drawn with it held there.
    inside = inside_of(problem, mode)
    labels = [x for x in names or list(coordinates)[:12] if x not in mode.at_edge]
    if not labels:
        raise RefusalError("no parameter of this model is a scalar on its own", "likelihood surface", "look at draws")
    top = mode.z[problem.chart.coordinates]
    objective, best = inside.section(problem.objective), inside.start
    place = {label: inside.place(coordinates[label]) for label in labels}
    covariance = np.linalg.inv(-hessian(objective, best))
    points, curves = {}, {}

    def line(label: str, count: int) -> Vector:
        centre, width = best[place[label]], np.sqrt(covariance[place[label], place[label]])
        return centre + width * np.linspace(-_WIDTH, _WIDTH, count)

    def natural(label: str, along: Vector) -> Vector:
        x = np.tile(top, (len(along), 1))
        x[:, coordinates[label]] = along
        return problem.chart.scalars(x)[:, problem.chart.labels.index(label)]

    for label in labels:
        along = line(label, _CURVE)
        points[label] = natural(label, along)
        curves[label] = _both_ways(objective, best, place[label], along) - mode.log_likelihood
    pair = tuple(labels[:2]) if len(labels) > 1 else ()
    axes: tuple[Vector, ...] = ()
    surface = np.zeros((0, 0))
    if pair:
        lines = [line(label, _GRID) for label in pair]
        axes = tuple(natural(label, along) for label, along in zip(pair, lines, strict=True))
        fixed = np.array([place[label] for label in pair])
        path = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
        path[1::2] = path[1::2, ::-1]  # every other row backwards: each point is beside the one before
        order = np.argsort(fixed)
        values = _profile(objective, best, fixed[order], path.reshape(-1, 2)[:, order]) - mode.log_likelihood
        surface = values.reshape(len(path), -1)
        surface[1::2] = surface[1::2, ::-1].copy()
    return Surface((), points, curves, pair, axes, surface)


def _both_ways(objective: Objective, best: Vector, coordinate: int, along: Vector) -> Vector:
    """A profile walked from the maximum outwards to both sides, so that every step has a near start."""
    centre, fixed = len(along) // 2, np.array([coordinate])
    up = _profile(objective, best, fixed, along[centre:, None])
    down = _profile(objective, best, fixed, along[centre::-1, None])
    return np.concatenate([down[:0:-1], up])
