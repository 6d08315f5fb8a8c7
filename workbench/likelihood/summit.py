"""Where a likelihood is highest, as the base from which profiles are measured.

Usually the maximum itself. Where the maximum lies at infinity (separated data), or fills a ridge, the likelihood still
has a least upper bound, and intervals can be measured from that; where it rises without bound they cannot.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from workbench.check import Check
from workbench.errors import NumericalError, RefusalError
from workbench.likelihood.corner import at_corner
from workbench.likelihood.holding import scatter, settle
from workbench.likelihood.inside import Inside, inside_of
from workbench.likelihood.least_squares import refuse_refits
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.likelihood.quantity import Quantity, edges_of
from workbench.likelihood.section import newton_step
from workbench.likelihood.tails import look_far
from workbench.model.chart import jacobian
from workbench.model.mode import Mode, climb_all
from workbench.numerics.curvature import FLAT, hessian
from workbench.numerics.objective import Objective, Vector

_HIGHER = 1e-8  # nats, relative to the log likelihood where that is large: more than this is another maximum
_FAR_OUT = 1e-5  # nats, relative likewise: what rounding may leave where a scalar stands for infinity
_SETTLED = 1e-11  # nats: a climb with less than this to gain has arrived, also at infinity
_SLOPE = 1e-7  # nats a standard deviation, along a direction that is left alone because it is flat
_TINY = 1e-30  # of the information: nothing at all
_RIDGE = 1e-10  # of the scaled information, which is good to about 1e-11
_ROUNDS = 8
_REMOTE = 1e6  # times as far as the summit
_SCATTERS = 30.0  # times the rounding, a gain that is none
_LEVEL = 0.02  # nats: what the last of these rounds has to gain for a rise
_REACH = (-30.0, -10.0, -3.0, 3.0, 10.0, 30.0)  # standard deviations
_STILL = 1e-100  # a slope below this is that of a probability that has gone to 0
_NO_BEND = 1e-9  # nats, by which a curvature changes what has moved by its own size: that is none
_WIDE = 10.0  # of z, towards an edge: a factor of 20,000
_NEWTON_STEPS = 60


class BetterMaximum(NumericalError):
    """A refit that is higher than the maximum from which it was measured.

    Parameters
    ----------
    x : ndarray, shape (p,)
    gain : float
        Nats.
    """

    def __init__(self, x: Vector, gain: float) -> None:
        super().__init__(f"there is a maximum {gain:.3g} nats higher", "likelihood", "start the fit there")
        self.x = x


@dataclass(frozen=True)
class Summit:
    """The highest point of a likelihood.

    Attributes
    ----------
    x : ndarray, shape (p,)
    value : float
        Log likelihood, nats.
    information : ndarray, shape (p, p)
    scale : ndarray, shape (p,)
        Standard deviation of each coordinate; where there is none, with the others held, or 1.
    places : dict of int to float
        Coordinates at their edge, where the likelihood no longer changes with them; no information is theirs.
    checks : tuple of Check
    infinite : dict of int to float
        Those of `places` that stand for infinity -> the side, -1 or 1, of the coordinate on which that is.
    inside : Inside, optional
        The directions in which a maximum is inside its support; None where there is no maximum.
    """

    x: Vector
    value: float
    information: NDArray[np.float64]
    scale: Vector
    places: dict[int, float]
    checks: tuple[Check, ...]
    infinite: dict[int, float] = field(default_factory=dict)
    inside: Inside | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Labels of the categories whose probability is 0 there."""
        return () if self.inside is None else tuple(self.inside.cells)

    def entered(self, x: Vector, label: str, share: float) -> Vector:
        """The same point with such a category at a share above 0."""
        return x if self.inside is None else self.inside.entered(x, label, share)

    def compare(self, objective: Objective, x: Vector, value: float) -> None:
        """Raise `BetterMaximum` where another point is higher, by more than the rounding of the likelihood there.

        Raises
        ------
        BetterMaximum
            With that point.
        """
        gain = value - self.value
        least = (_FAR_OUT if self.infinite else _HIGHER) * max(1.0, abs(self.value))
        if gain <= least:
            return
        # Not of their own errors: others that are much alike would have to follow.
        diagonal = np.diag(self.information)
        alone = np.where(diagonal > _TINY, 1.0 / np.sqrt(np.maximum(diagonal, _TINY)), self.scale)
        width = np.minimum(alone, self.scale)
        if np.any(np.abs(x) > _REMOTE * np.maximum(1.0, np.abs(self.x))):
            width = np.ones_like(x)  # rounding comes in stairs there, on one of which a short step stays
        if gain > _SCATTERS * scatter(objective, x, width):
            raise BetterMaximum(x, gain)

    def deviation(self, quantity: Quantity) -> float:
        """The standard deviation of the path value of a scalar, by the delta method."""
        slope = quantity.slope
        if slope is None:
            slope = jacobian(lambda points: quantity(points)[:, None], self.x, self.scale)[0]
        values, vectors = np.linalg.eigh(self.information * np.outer(self.scale, self.scale))
        along = vectors.T @ (slope * self.scale)
        steep = values > FLAT
        deviation = float(np.sqrt(np.sum(along[steep] ** 2 / values[steep])))
        largest = float(np.max(np.abs(slope * self.scale)))
        return deviation if deviation > 1e-3 * largest else largest

    def reach(self, quantity: Quantity) -> float:
        """How far the path value of a scalar moves by some standard deviations, or to the model's own start."""
        points = [self.x + step for size in _REACH for step in size * np.diag(self.scale)]
        points.append(quantity.chart.space.start[quantity.chart.coordinates])
        moves = np.array([quantity.path(point) for point in points]) - quantity.path(self.x)
        return float(np.max(np.abs(moves), initial=self.deviation(quantity), where=np.isfinite(moves)))


def refuse_still(summit: Summit, quantity: Quantity) -> None:
    """Refuse a scalar that hangs on nothing but categories whose probability is 0, and is none of them.

    Parameters
    ----------
    summit : Summit
    quantity : Quantity

    Raises
    ------
    RefusalError
        If nothing that is inside the support at the summit moves it.
    """
    if not summit.cells or quantity.name in summit.cells or quantity.slope is not None:
        return
    slope = jacobian(lambda points: quantity(points)[:, None], summit.x, summit.scale)[0]
    if not np.max(np.abs(slope), initial=0.0) > _STILL:
        raise RefusalError(
            f"{quantity.name} hangs on categories whose probability is 0 at the maximum, and cannot be held there",
            quantity.name,
            f"ask for one of them alone: {', '.join(summit.cells)}",
        )


def find_summit(problem: Problem, mode: Mode | None, starts: NDArray[np.float64]) -> Summit:
    """The highest point of a likelihood, from the maximum or from climbs.

    Parameters
    ----------
    problem : Problem
    mode : Mode or None
        The maximum likelihood estimate; None where it was refused.
    starts : ndarray, shape (m, d)
        Points on z to climb from where there is none.

    Returns
    -------
    Summit

    Raises
    ------
    RefusalError
        If no highest point is found: it rises without bound, or levels off only where rounding hides it.
    NumericalError
        If it is finite at none of the starts.
    """
    objective, at = problem.objective, problem.chart.coordinates
    checks: tuple[Check, ...] = ()
    fixed = np.zeros(0, dtype=np.int64)
    infinite: dict[int, float] = {}
    inside: Inside | None = None
    if mode is None:
        end = climb_all(objective, starts[:, at], "likelihood profile")[0]
        corner = at_corner(problem, end)
        if corner is not None:  # a climb cannot end better there, and slopes next to it do not vanish
            x, value = corner.z, corner.value
        else:
            far, _ = look_far(problem, end)
            if far is None or not far.settled:
                level = None if far is None else far.level
                x, value = _climb_on(objective, end.z) if level is None else (level, objective.value(level))
            else:
                x, value, fixed, infinite = far.x, far.value, np.array([far.coordinate]), {far.coordinate: far.side}
        message = "the likelihood has no single maximum: the intervals are measured from its least upper bound"
        checks = (Check("interior", "caution", message, "read open sides as what the data do not exclude"),)
    else:
        refuse_refits(mode, "likelihood profile")
        inside = inside_of(problem, mode)
        fixed = inside.fixed
        best = settle(inside.section(objective), inside.start, [])
        x, value = inside.point(best.x), best.value
    information = -hessian(objective, x)
    information[fixed], information[:, fixed] = 0.0, 0.0
    scale = _scale(information, inside is not None and inside.everywhere)
    if mode is None:  # far out rounding stands for a curvature, and on a log scale nothing has a deviation of thousands
        bounded = list(edges_of(problem.chart, x, scalar_parameters(problem)))
        scale[bounded] = np.minimum(scale[bounded], _WIDE)
        size = np.maximum(1.0, np.abs(x))
        scale = np.where(np.diag(information) * size**2 < _NO_BEND, np.minimum(scale, size), scale)
    places = {int(k): float(x[k]) for k in fixed}
    return Summit(x, value, information, scale, places, checks, infinite, inside)


def _scale(information: NDArray[np.float64], peak: bool) -> Vector:
    """Standard deviations of the coordinates; along a ridge, those with the other coordinates held; else 1."""
    diagonal = np.diag(information)
    alone = 1.0 / np.sqrt(np.where(diagonal > _TINY, diagonal, 1.0))
    if not peak and not np.linalg.eigvalsh(information * np.outer(alone, alone))[0] > _RIDGE:
        return alone
    return np.sqrt(np.diag(np.linalg.inv(information)))


def _climb_on(objective: Objective, x: Vector) -> tuple[Vector, float]:
    """Climb until nothing is left to gain, however far away that is.

    Raises
    ------
    RefusalError
        If there always is, or if rounding hides what is left.
    """
    first, gradient = objective.value_and_gradient(x)
    gain, height = np.inf, first
    for _ in range(_ROUNDS):
        # Far out slopes are tiny: in units of the first one the same tolerance reaches further with every round.
        unit = 1.0 / max(float(np.max(np.abs(gradient))), 1e-300)

        def minus(z: Vector, unit: float = unit) -> tuple[float, Vector]:
            try:
                value, slope = objective.value_and_gradient(z)
            except NumericalError:
                value, slope = -np.inf, np.zeros_like(z)
            return ((first - value) * unit, -slope * unit) if np.isfinite(value) else (1e300, np.zeros_like(z))

        with np.errstate(all="ignore"):
            x = optimize.minimize(minus, x, jac=True, method="BFGS", options={"gtol": 1e-5, "maxiter": 500}).x
        if not np.isfinite(objective.value(x)):  # it rose until numbers ended
            gain = np.inf
            break
        x, value, gradient, distance = _newton(objective, x)
        if distance < _SETTLED:
            return x, value
        gain, height = value - height, value
    if gain < _LEVEL:
        what = "the likelihood is level, to rounding, around its highest point, so nothing can be measured from there"
        raise RefusalError(what, "likelihood profile", "fix a parameter that the data do not determine")
    # A log density that is the difference of large numbers (Student t at nu = 1e10) loses its digits far out, so that
    # a rise there may be rounding: which of the two it is cannot be told.
    raise RefusalError(
        "the likelihood has no highest point to measure from: it rises without bound, or levels off only where "
        "rounding hides it",
        "likelihood profile",
        "give a fixed value or a bounded prior to the variable that likelihood maximum names, or the data some spread",
    )


def _newton(objective: Objective, x: Vector) -> tuple[Vector, float, Vector, float]:
    """Newton steps as long as they lead up: the point, its height, its slope and the distance that is left, nats."""
    value, gradient = objective.value_and_gradient(x)
    distance = np.inf
    for _ in range(_NEWTON_STEPS):
        try:
            information = -hessian(objective, x)
            step, distance, left = newton_step(information, gradient, _scale(information, False))
            moved_value, moved_gradient = objective.value_and_gradient(x + step)
        except NumericalError:
            distance = np.inf
            break
        if left > _SLOPE:
            distance = np.inf
            break
        if distance < _SETTLED or not moved_value >= value - 1e-13 * max(1.0, abs(value)):
            break
        x, value, gradient = x + step, moved_value, moved_gradient
    return x, value, gradient, distance
