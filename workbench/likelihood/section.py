"""The likelihood on a section: one or two scalars held at given values, everything else at its best.

    P(c) = max of L(x) subject to g(x) = c

A scalar g may be a free variable, an element of one, a deterministic, or a linear combination of these. Where g is a
function of one coordinate of x that coordinate is held; where g is a straight line in x one coordinate is expressed by
the others; elsewhere that coordinate is solved for. What is left is climbed without a constraint, with the gradient

    dL/du = dL/du at fixed y - (dg/du)' (dg/dy)^-T dL/dy,      y the coordinate that was eliminated.

A variable may leave the interior on the way (a variance that becomes 0); then it is held at its edge and brought back
as soon as that pays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError
from workbench.likelihood.inside import Inside
from workbench.likelihood.quantity import Quantity, slope_of
from workbench.numerics.curvature import hessian
from workbench.numerics.objective import FunctionObjective, Objective, Vector
from workbench.numerics.optimise import climb

_EDM = 1e-13  # nats: a maximum that is closer than this is there
_ROUNDING = 1e-9  # nats: what the rounding of a large log likelihood may leave
_SLOPE = 1e-6  # nats a standard deviation, along a direction that is left alone because it is flat
_OUTWARDS = (4.0, 6.0, 8.0, 10.0, 12.0, 14.0)  # of z, towards an edge
_SAME = 1e-10  # nats, relative to the log likelihood where that is large: no change
_FAR_OUT = 1e-5  # nats, relative likewise: what rounding may leave where a scalar stands for infinity
_STEEP = 0.1  # nats a unit of scale: no maximum is that steep
_LOSES = 1.0  # nats: no limit is reached by this
_INWARDS = tuple(np.arange(1.0, 41.0))  # of z, from the edge back inside
_SHARES = (1e-6, 1e-3, 0.05)  # of a category whose probability is 0, to see whether more is better
_NEWTON_STEPS = 40
_LENGTHS = tuple(0.5 ** np.arange(8))  # of a Newton step
_SOLVES = 60


@dataclass
class Sections:
    """Maxima of a likelihood with the same scalars held at one value after the other.

    Parameters
    ----------
    objective : Objective
    quantities : sequence of Quantity
        One or two.
    scale : ndarray, shape (p,)
        Local scale of each coordinate.
    edges : mapping of int to tuple of float
        As `edges_of` finds them.
    places : mapping of int to float
        Coordinates that are at their edge at the maximum -> where the likelihood no longer changes with them.
    inside : Inside, optional
        Of a maximum with categories whose probability is 0; they leave their face where that pays.
    infinite : collection of int
        Those of `places` that stand for infinity: there a change below the rounding of the density is none.
    """

    objective: Objective
    quantities: Sequence[Quantity]
    scale: Vector
    edges: Mapping[int, tuple[float, ...]]
    places: dict[int, float] = field(default_factory=dict)
    inside: Inside | None = None
    infinite: Collection[int] = ()
    _information: dict[tuple[int, ...], NDArray[np.float64]] = field(default_factory=dict)

    def peak(self, held: Vector, start: Vector) -> tuple[Vector, float]:
        """The maximum with the path values held.

        Parameters
        ----------
        held : ndarray, shape (q,)
            One path value a quantity.
        start : ndarray, shape (p,)
            A coordinate that stands exactly where `places` says is held at its edge.

        Returns
        -------
        x : ndarray, shape (p,)
        value : float
            Log likelihood, nats; -inf where no point of the section could be found.
        """
        held = np.asarray(held, float)
        found, value = self._settle(held, start)
        if np.isfinite(value):
            for k in self.edges:
                if all(k != quantity.coordinate for quantity in self.quantities):
                    found, value = self._release(held, found, value, k) or self._push(held, found, value, k)
            if self.inside is not None and self.inside.cells:
                found, value = self._enter(self.inside, held, found, value)
        return found, value

    def rises(self, held: Vector, x: Vector) -> bool:
        """Whether a maximum of a section is none: the likelihood still has a slope there, as where numbers end.

        Parameters
        ----------
        held : ndarray, shape (q,)
        x : ndarray, shape (p,)
            As `peak` found it.

        Returns
        -------
        bool
        """
        section = self._section(np.asarray(held, float), x)
        slopes = section.value_and_gradient(x[section.free])[1]
        return bool(np.max(np.abs(slopes) * self.scale[section.free], initial=0.0) > _STEEP)

    def _enter(self, inside: Inside, held: Vector, x: Vector, value: float) -> tuple[Vector, float]:
        """The maximum with more in a category whose probability is 0; as it was where that does not pay."""
        own, best, least = [q.name for q in self.quantities], None, value + _SAME * max(1.0, abs(value))
        for label in (label for label in inside.cells if label not in own):
            for share in _SHARES:
                trial = inside.entered(x, label, share)
                section = self._section(held, trial)
                moved = section.full(trial[section.free])
                height = -np.inf if moved is None else _height(self.objective, moved)
                if height > least:
                    best, least = moved, height
        if best is None:
            return x, value
        found, height = self._settle(held, best)
        return (found, height) if height > value else (x, value)

    def _frozen(self, x: Vector) -> list[int]:
        """Coordinates that are held at their edge."""
        return [k for k, place in self.places.items() if x[k] == place]

    def _slopes(self, x: Vector) -> NDArray[np.float64]:
        """D path / d x of every quantity, shape ``(q, p)``."""
        return np.array([slope_of(q, x, self.scale) if q.slope is None else q.slope for q in self.quantities])

    def _section(self, held: Vector, start: Vector) -> _Section:
        """The section around a point, with the coordinate expressed by the others that moves each scalar most.

        Raises
        ------
        NumericalError
            If the scalars have no slope there, or the point is beyond the numbers.
        """
        slopes = self._slopes(start)
        own = {quantity.coordinate for quantity in self.quantities}
        frozen = [k for k in self._frozen(start) if k not in own]
        weight = slopes * self.scale
        weight[:, frozen] = 0.0
        if not np.all(np.isfinite(weight)) or not np.all(np.isfinite(start)):
            raise NumericalError("the point is beyond the numbers", "section")
        pivots = [int(i) for i in linalg.qr(weight, pivoting=True)[2][: len(held)]]
        return _Section(self, held, pivots, frozen, start, slopes)

    def _settle(self, held: Vector, start: Vector) -> tuple[Vector, float]:
        """Newton steps with the last known information, or a climb from afar where they do not lead up."""
        try:
            section = self._section(held, start)
        except NumericalError:
            return start, -np.inf
        u, target = start[section.free], FunctionObjective(section.free.size, section.value_and_gradient)
        if u.size:
            try:
                u = self._newton(target, section, u)
            except (NumericalError, np.linalg.LinAlgError):
                try:
                    u = climb(target, u).z
                except NumericalError:
                    return start, -np.inf
        x = section.full(u)
        return (start, -np.inf) if x is None else (x, _height(self.objective, x))

    def _newton(self, target: FunctionObjective, section: _Section, u: Vector) -> Vector:
        """Newton steps; the information is taken anew only where the last one no longer serves.

        Raises
        ------
        NumericalError
            If they do not lead to a maximum.
        """
        key = (*section.pivots, -1, *section.free)
        known, scale = self._information.get(key), self.scale[section.free]
        value, gradient = target.value_and_gradient(u)
        if not np.isfinite(value):
            raise NumericalError("the section does not reach here", "section")
        before, fresh = np.inf, False
        for _ in range(_NEWTON_STEPS):
            if known is None:
                known, fresh = -hessian(target, u), True
            step, edm, left = newton_step(known, gradient, scale)
            if edm < _EDM and left < _SLOPE or (edm < _ROUNDING and fresh and edm > 0.1 * before):
                self._information[key] = known
                return u
            if not fresh and (left >= _SLOPE or edm > 0.1 * before):
                known = None
                continue
            for length in _LENGTHS if fresh else _LENGTHS[:1]:
                moved_value, moved_gradient = target.value_and_gradient(u + length * step)
                if moved_value >= value - 1e-12 * max(1.0, abs(value)):
                    break
            else:
                if fresh:
                    raise NumericalError("Newton steps do not lead up", "section")
                known = None
                continue
            if fresh and left >= _SLOPE:
                raise NumericalError("it rises along a direction without curvature", "section")
            u, value, gradient, before, fresh = u + length * step, moved_value, moved_gradient, edm, False
        raise NumericalError("Newton steps do not end", "section")

    def _release(self, held: Vector, x: Vector, value: float, k: int) -> tuple[Vector, float] | None:
        """The maximum with a coordinate brought back from its edge; as it was where that does not pay.

        None where it is not at its edge.
        """
        if k not in self._frozen(x):
            return None
        same = (_FAR_OUT if k in self.infinite else _SAME) * max(1.0, abs(value))
        trials = [self._moved(x, k, x[k] - side * step) for side in self.edges[k] for step in _INWARDS]
        heights = [height for _, height in trials]
        if max(heights) <= value + same:
            return x, value
        found, height = self._settle(held, trials[int(np.argmax(heights))][0])
        return (found, height) if height > value + same else (x, value)

    def _push(self, held: Vector, x: Vector, value: float, k: int) -> tuple[Vector, float]:
        """The maximum with a coordinate sent to its edge where that is higher."""
        if k in self.infinite:  # farther out than where it stands for infinity a density may have no digits
            moved, height = self._moved(x, k, self.places[k])
            found, height = self._settle(held, moved) if height > value - _LOSES else (x, -np.inf)
            return (found, height) if height > value - _SAME * max(1.0, abs(value)) else (x, value)
        for side in self.edges[k]:
            before = -np.inf
            for step in _OUTWARDS:
                moved, height = self._moved(x, k, x[k] + side * step)
                if height < value - 1.0:
                    break
                if abs(height - before) < _SAME * max(1.0, abs(value)):
                    old = self.places.get(k)
                    self.places[k] = moved[k]
                    found, height = self._settle(held, moved)
                    if height > value:
                        return found, height
                    self.places.pop(k) if old is None else self.places.update({k: old})
                    break
                before = height
        return x, value

    def _moved(self, x: Vector, k: int, to: float) -> tuple[Vector, float]:
        """A point with one coordinate moved, beside the section where it enters a held scalar, and its height."""
        moved = x.copy()
        moved[k] = to
        return moved, _height(self.objective, moved)


@dataclass
class _Section:
    """One section: the free coordinates u, and x as a function of them."""

    sections: Sections
    held: Vector
    pivots: list[int]
    frozen: list[int]
    start: Vector
    slopes: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.free = np.setdiff1d(np.arange(self.start.size), [*self.pivots, *self.frozen])
        self.last = self.start.copy()
        self.straight = all(q.slope is not None for q in self.sections.quantities)

    def full(self, u: Vector) -> Vector | None:
        """X at these free coordinates; None where the scalars cannot have their values."""
        x = self.last.copy()
        x[self.free] = u
        columns = self.pivots
        tolerance = 1e-14 * np.maximum(1e-3 * np.abs(self.slopes * self.sections.scale).max(axis=1), np.abs(self.held))
        slopes, gap, renewed = self.slopes, np.inf, False
        for _ in range(_SOLVES):
            rest = self.held - np.array([q.path(x) for q in self.sections.quantities])
            with np.errstate(over="ignore"):
                size = float(np.max(np.abs(rest) / np.maximum(tolerance, 1e-300)))
            if not np.isfinite(size):
                return None
            if size <= 1.0 or (size < 100.0 and size >= gap):  # at the rounding of the scalar itself
                self.last = x
                return x
            if size > 0.2 * gap and not self.straight:
                if renewed and size > gap:
                    return None
                slopes, renewed = self.sections._slopes(x), True
            gap = size
            try:
                x = x.copy()
                x[columns] += np.linalg.solve(slopes[:, columns], rest)
            except np.linalg.LinAlgError:
                return None
        return None

    def value_and_gradient(self, u: Vector) -> tuple[float, Vector]:
        """Log likelihood on the section, nats, and its gradient over u."""
        x = self.full(u)
        if x is None:
            return -np.inf, np.zeros(u.size)
        value, gradient = self.sections.objective.value_and_gradient(x)
        if not np.all(np.isfinite(gradient)):
            return -np.inf, np.zeros(u.size)
        slopes = self.slopes if self.straight else self.sections._slopes(x)
        with np.errstate(all="ignore"):
            multipliers = np.linalg.solve(slopes[:, self.pivots].T, gradient[self.pivots])
            return value, gradient[self.free] - slopes[:, self.free].T @ multipliers


def _height(objective: Objective, x: Vector) -> float:
    """Log likelihood, -inf where it is not a number."""
    try:
        return objective.value(x)
    except NumericalError:
        return -np.inf


def newton_step(information: NDArray[np.float64], gradient: Vector, scale: Vector) -> tuple[Vector, float, float]:
    """The Newton step where the likelihood bends downwards; directions in which nothing happens are left alone.

    Parameters
    ----------
    information : ndarray, shape (p, p)
    gradient : ndarray, shape (p,)
    scale : ndarray, shape (p,)
        Size of each coordinate, in which curvature and slope are judged.

    Returns
    -------
    step : ndarray, shape (p,)
    distance : float
        To the maximum along the step, nats.
    left : float
        Largest slope along the directions that are left alone, nats a unit of scale.

    Raises
    ------
    NumericalError
        If the likelihood bends upwards.
    """
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    largest = max(1.0, float(np.abs(values).max()))
    if values[0] < -1e-7 * largest:
        raise NumericalError("the likelihood bends upwards", "section")
    along = vectors.T @ (gradient * scale)
    steep = values > max(1e-9, 1e-11 * largest)
    step = vectors[:, steep] @ (along[steep] / values[steep]) * scale
    return step, float(gradient @ step) / 2, float(np.abs(along[~steep]).max(initial=0.0))
