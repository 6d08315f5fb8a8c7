"""The joint likelihood region of two scalars, point by point on its rim.

    { (c1, c2) : 2 [L-hat - P(c1, c2)] <= quantile of chi-square with two degrees of freedom }

P is the likelihood with both scalars held and everything else at its best. Every point is root-solved along a ray from
the maximum, with the rays spread evenly in the coordinates in which the Wald region is a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import optimize, stats

from workbench.errors import InputError, RefusalError
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.likelihood.profile import Name
from workbench.likelihood.quantity import Quantity, edges_of, is_number, resolve
from workbench.likelihood.section import Sections
from workbench.likelihood.summit import Summit
from workbench.model.chart import jacobian
from workbench.numerics.objective import Vector
from workbench.result import Result

_RAYS = 48
_SOLVED = 1e-10  # of the root of the deviance
_MISSED = 1e-6  # of the same: a point that is further off is on no rim
_GROWTH, _REACH = 1.3, 40  # of the radius, where a ray has not yet left the region; how often
_WALL = 1e3  # stands for a place that cannot be reached


@dataclass(frozen=True, repr=False, eq=False)
class Contour(Result):
    """The rim of a joint likelihood region.

    Attributes
    ----------
    level : float
    names : tuple of str
    maximum : ndarray, shape (2,)
    rim : ndarray, shape (m, 2)
        Points around the maximum in order, the first one repeated at the end; NaN where the region is open.
    deviance : ndarray, shape (m,)
        Twice the drop of the log likelihood at each point, nats.
    """

    level: float
    names: tuple[str, ...]
    maximum: Vector
    rim: NDArray[np.float64]
    deviance: Vector
    title: ClassVar[str] = "joint likelihood region"

    def table(self) -> pd.DataFrame:
        """One row a scalar: its maximum, and how far the region reaches at the points of its rim."""
        low, high = np.nanmin(self.rim, axis=0), np.nanmax(self.rim, axis=0)
        percent = f"{100 * self.level:g}% region"
        columns = {"maximum": self.maximum, f"{percent} lowest": low, f"{percent} highest": high}
        return pd.DataFrame(columns, index=list(self.names))

    def notes(self) -> list[str]:
        """The number of points, whether the region is open, and every check that is not ok."""
        lost = int(np.sum(np.isnan(self.deviance[:-1])))
        lines = [f"{len(self.rim) - 1} points on the rim, each a root of the exact deviance (chi2_2)"]
        if lost:
            lines.append(f"the region is open: {lost} rays from the maximum never leave it")
        return [*lines, *super().notes()]


def find_contour(
    problem: Problem, summit: Summit, names: Sequence[Name], level: float = 0.95, rays: int = _RAYS
) -> Contour:
    """The rim of the joint likelihood region of two scalars.

    Parameters
    ----------
    problem : Problem
    summit : Summit
        The maximum of its objective, inside the support.
    names : sequence of two str or mapping of str to float
        Labels, or linear combinations of labels.
    level : float
        Probability of the region, in (0, 1).
    rays : int
        Points on the rim.

    Returns
    -------
    Contour

    Raises
    ------
    InputError
        If there are not two different scalars, a name is unknown, or the level is outside (0, 1).
    RefusalError
        If the maximum is at the edge of the support, or the likelihood has none.
    BetterMaximum
        If a refit is higher than the summit; the whole fit has to start again from there.
    """
    if not is_number(level) or not 0.0 < level < 1.0:
        raise InputError(f"the level is {level!r}", "level", "give a number between 0 and 1")
    if len(names) != 2:
        raise InputError(f"{len(names)} names for a contour", "likelihood contour", "give two")
    pair = [resolve(problem.chart, name, summit.x, summit.scale) for name in names]
    _require_inside(problem, summit)
    root = _spread(summit, pair)
    edges = edges_of(problem.chart, summit.x, scalar_parameters(problem))
    sections = Sections(problem.objective, pair, summit.scale, edges)
    target = float(np.sqrt(stats.chi2.ppf(level, 2)))
    centre = np.array([quantity.path(summit.x) for quantity in pair])
    rim: list[list[float]] = []
    deviance: list[float] = []
    x, radius = summit.x, target
    for angle in np.linspace(0.0, 2 * np.pi, rays, endpoint=False):
        ray = root @ np.array([np.cos(angle), np.sin(angle)])
        found = _along(sections, summit, centre, ray, target, radius, x)
        if found is None:
            rim, deviance, x, radius = [*rim, [np.nan, np.nan]], [*deviance, np.nan], summit.x, target
            continue
        radius, x, height = found
        rim.append([_value(quantity, summit, x) for quantity in pair])
        deviance.append(height**2)
    maximum = np.array([float(quantity(summit.x[None])[0]) for quantity in pair])
    closed = np.array([*rim, rim[0]]), np.array([*deviance, deviance[0]])
    return Contour(summit.checks, float(level), tuple(quantity.name for quantity in pair), maximum, *closed)


def _value(quantity: Quantity, summit: Summit, x: Vector) -> float:
    """A scalar at a point of the rim; an angle goes on beyond pi, and is nowhere a turn from its maximum."""
    if not quantity.angle:
        return float(quantity(x[None])[0])
    moved = quantity.path(x) - quantity.path(summit.x)
    return float(quantity(summit.x[None])[0]) + moved * float(quantity.weights[0])


def _require_inside(problem: Problem, summit: Summit) -> None:
    """Refuse a maximum at an edge, around which a region has no ellipse to start from, and name the edge."""
    of = {i: label for label, i in scalar_parameters(problem).items()}
    values = dict(zip(problem.chart.labels, problem.chart.scalars(summit.x[None])[0], strict=True))
    at = [f"{of[i]} = {values[of[i]]:.3g}" for i in summit.places if i in of]
    at += [f"{cell} = 0" for cell in summit.cells]
    if summit.inside is None:
        raise RefusalError(
            "the likelihood has no maximum to draw a contour around",
            "likelihood contour",
            "study.likelihood.maximum() says what stands there; look at one scalar at a time: "
            "study.likelihood.profile(name)",
        )
    if at:
        raise RefusalError(
            f"the likelihood has no maximum inside the support to draw a contour around: {', '.join(at)} there",
            "likelihood contour",
            "give what is at its edge that value as a constant and ask again, which is exact for the others; or look "
            "at one scalar at a time: study.likelihood.profile(name)",
        )


def _spread(summit: Summit, pair: Sequence[Quantity]) -> NDArray[np.float64]:
    """A root of the covariance of the two path values, in which the Wald region is a circle."""
    slopes = jacobian(lambda points: np.column_stack([q(points) for q in pair]), summit.x, summit.scale)
    for row, quantity in enumerate(pair):
        if quantity.slope is not None:
            slopes[row] = quantity.slope
    try:
        root = np.linalg.cholesky(summit.information)
        covariance = slopes @ np.linalg.solve(root.T, np.linalg.solve(root, slopes.T))
        correlation = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
        if abs(correlation) > 1.0 - 1e-9:
            raise InputError(
                "one of the two scalars determines the other", "likelihood contour", "give two that can vary apart"
            )
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise RefusalError(
            "the likelihood has no maximum inside the support to draw a contour around",
            "likelihood contour",
            "look at one scalar at a time: study.likelihood.profile(name)",
        ) from error


def _along(
    sections: Sections, summit: Summit, centre: Vector, ray: Vector, target: float, radius: float, start: Vector
) -> tuple[float, Vector, float] | None:
    """Where a ray leaves the region: radius, point and root of the deviance; None where it never does."""
    known = {0.0: summit.x}

    def gap(r: float) -> float:
        near = known[min(known, key=lambda place: abs(place - r))] if len(known) > 1 else start
        found, value = sections.peak(centre + r * ray, near)
        if not np.isfinite(value):
            found, value = sections.peak(centre + r * ray, summit.x)
        summit.compare(sections.objective, found, value)
        known[r] = found
        height = float(np.sqrt(2.0 * max(summit.value - value, 0.0)))
        return 0.0 if abs(height - target) < _SOLVED else min(height, _WALL) - target

    # Half a turn away an angle has been everywhere.
    ways = [abs(way) for quantity, way in zip(sections.quantities, ray, strict=True) if quantity.angle]
    longest = min((np.pi / way for way in ways if way > 0), default=np.inf)
    inner, outer = 0.0, min(radius, longest)
    for _ in range(_REACH):
        if gap(outer) >= 0.0:
            break
        if outer >= longest:
            return None
        inner, outer = outer, min(outer * _GROWTH, longest)
    else:
        return None
    settled = optimize.brentq(
        lambda r: -target if r == 0.0 else gap(r), inner, outer, xtol=1e-300, rtol=1e-15, disp=False
    )
    height = gap(settled) + target
    if abs(height - target) > _MISSED:  # it was inside up to where the likelihood cannot be computed any more
        return None
    return settled, known[settled], height
