"""Likelihoods that rise without bound although a climb found a peak: one component of a mixture shrinks to a point.

In a mixture of Normals with a scale of its own for every component, put the mean of component k on an observation and
let sigma_k -> 0: the density of that observation grows as 1 / sigma_k, the others are taken care of by the other
components, and the likelihood goes to infinity (Day 1969). The peak that a climb finds is then a local maximum, if a
useful one, and the maximum likelihood estimate does not exist.

From the peak, the elements of positive vectors are looked at one by one (in a mixture single positive variables as
well): one is shrunk, or grown, by factors of a million and more, with elements of the same number in other variables on
an observation, or refitted. What rises in proportion to the logarithm over several decades rises for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NoMaximumError, NumericalError, WorkbenchError
from workbench.likelihood.holding import settle, value_with
from workbench.likelihood.problem import Problem
from workbench.model.identified import named_coordinates
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Objective, Vector

_MOST = 24  # elements that are looked at: a mixture has fewer
_LOOKS = tuple(np.log([1e8, 1e10]))  # factors at which a likelihood that does not care has levelled off
_FALLS = 3.0  # nats, between the two: this one cares
_DECADES = tuple(np.log([1e8, 1e10, 1e12]))
_GENTLY = tuple(np.log([3.0, 10.0, 30.0, 100.0, 1e3, 1e4, 1e5]))  # so that the other coordinates can follow
_RISES = 0.4  # nats a nat of the logarithm: a scale gains 1, a precision 1/2
_EVEN = 0.05  # of a rise: it is in proportion to the logarithm
_THOUSAND, _NOT_MUCH = 1e3, 30.0  # a factor; nats, which a gain of log 10 a decade may make good later
_LEFT = 1e-3  # nats: a step that changes less changes nothing
_NEAREST = 3  # observations that are tried as a place
_SHOWN = 8  # scalars of the peak in the message


@dataclass(frozen=True)
class Spike:
    """Where a likelihood rises without bound.

    Attributes
    ----------
    label : str
        The scalar that shrinks, grows, or comes near a limit.
    limit : str
        ``0``, ``infinity`` or a number.
    places : dict of str to float
        Scalars on an observation.
    """

    label: str
    limit: str
    places: dict[str, float]

    def __str__(self) -> str:
        where = ", ".join(f"{label} = {value:.6g}" for label, value in self.places.items())
        return f"unbounded as {self.label} -> {self.limit}{f' (at {where})' if where else ''}"


def find_spike(problem: Problem, peak: Climb) -> Spike | None:
    """A way on which the likelihood rises without bound, from a peak; None where none was found.

    Parameters
    ----------
    problem : Problem
        Without latent variables.
    peak : Climb

    Returns
    -------
    Spike or None

    References
    ----------
    Day, N. E. (1969). Estimating the components of a mixture of normal distributions. doi:10.1093/biomet/56.3.463
    """
    objective, names = problem.objective, named_coordinates(problem.chart, peak.z)
    scales = [(i, named[0]) for i, named in enumerate(names) if named is not None and named[1]]
    for i, label in scales[:_MOST] if len(scales) > 1 else ():
        if _fits_exactly(objective, peak, i) and _rises(_refitted(objective, peak.z, i, -1.0)[-3:], _GENTLY[-3:]):
            return Spike(label, "0", {})
    for variable, offset, i in _elements(problem):
        named = names[i]
        if named is None or not named[1]:
            continue
        for side, limit in ((-1.0, "0"), (1.0, "infinity")):
            looks = [value_with(objective, peak.z, i, peak.z[i] + side * step) for step in _LOOKS]
            if not np.isfinite(looks[1]) or looks[1] < looks[0] - _FALLS:
                continue
            for z, places in _placed(problem, peak.z, variable, offset):
                heights = [value_with(objective, z, i, z[i] + side * step) for step in _DECADES]
                if _rises(heights, _DECADES):
                    return Spike(named[0], limit, places)
            if _rises(_refitted(objective, peak.z, i, side)[-3:], _GENTLY[-3:]):
                return Spike(named[0], limit, {})
    return None


def _fits_exactly(objective: Objective, peak: Climb, i: int) -> bool:
    """Whether the others find a place that is not much worse than the peak once a scale is a thousandth of what it was.

    One observation with a scale of its own, or as many as its mean has coefficients, can be fitted exactly.
    """
    here = np.arange(peak.z.size) == i
    try:
        near = settle(objective, np.where(here, peak.z - np.log(_THOUSAND), peak.z), [i]).value
    except NumericalError:
        return False
    return near > peak.value - _NOT_MUCH


def _elements(problem: Problem) -> Iterator[tuple[str, int, int]]:
    """Elements of variables that may be those of components: variable, number of the element, coordinate."""
    chart, space = problem.chart, problem.chart.space
    mixture = any("Mixture" in type(rv.owner.op).__name__ for rv in problem.density.model.observed_RVs)
    count = 0
    for name in chart.names:
        block, size = chart.blocks[name], int(np.prod(space.shapes[name]))
        if block.stop - block.start != size or (size < 2 and not mixture):
            continue
        for offset in range(size):
            count += 1
            if count > _MOST:
                return
            yield name, offset, block.start + offset


def _rises(heights: list[float], steps: tuple[float, ...]) -> bool:
    """Whether heights at even steps of the logarithm rise by a fixed share of it."""
    if len(heights) < len(steps) or not np.all(np.isfinite(heights)):
        return False
    gains = np.diff(heights) / np.diff(steps)
    return bool(np.all(gains > _RISES) and np.ptp(gains) < _EVEN * np.max(gains))


def _placed(problem: Problem, z: Vector, variable: str, offset: int) -> Iterator[tuple[Vector, dict[str, float]]]:
    """The point, then points at which an element of the same number in another variable is an observation."""
    yield z, {}
    space, chart = problem.chart.space, problem.chart
    theta = {name: array[0] for name, array in chart.theta(z[None]).items() if name in chart.names}
    seen = _observations(problem)
    for name in chart.names:
        same = space.shapes[name] == space.shapes[variable] and space.block_shapes[name] == space.shapes[name]
        if name == variable or not same or not seen.size:
            continue
        label, here = space.labels(name)[offset], float(theta[name].ravel()[offset])
        for value in seen[np.argsort(np.abs(seen - here))[:_NEAREST]]:
            array = np.array(theta[name])
            array.flat[offset] = value
            try:
                yield space.z({**theta, name: array}), {label: float(value)}
            except WorkbenchError:  # outside the support, or out of order
                continue


def _observations(problem: Problem) -> NDArray[np.float64]:
    """Different observed numbers."""
    arrays = [np.ravel(a) for a in problem.density.symbolic.observed.values() if a.dtype.kind == "f"]
    found = np.unique(np.concatenate([np.zeros(0), *arrays]))
    return found[np.isfinite(found)]


def _refitted(objective: Objective, z: Vector, i: int, side: float) -> list[float]:
    """Heights at the steps of `_GENTLY`, the other coordinates at their best for each; fewer where nothing follows."""
    heights: list[float] = []
    here = np.arange(z.size) == i
    first = z[i]
    for step in _GENTLY if z.size > 1 else ():
        try:
            best = settle(objective, np.where(here, first + side * step, z), [i])
        except NumericalError:
            break
        if heights and abs(best.value - heights[-1]) < _LEFT:  # the component has lost its observations
            break
        z = best.x
        heights.append(best.value)
    return heights if len(heights) == len(_GENTLY) else []


def refuse_spike(problem: Problem, peak: Climb, spike: Spike) -> None:
    """Say that there is no maximum, and offer the peak.

    Parameters
    ----------
    problem : Problem
    peak : Climb
    spike : Spike

    Raises
    ------
    NoMaximumError
        Always.
    """
    values = problem.chart.scalars(peak.z[None])[0]
    names = [label for name in problem.chart.names for label in problem.chart.space.labels(name)]
    shown = ", ".join(f"{label} = {value:.5g}" for label, value in list(zip(names, values, strict=False))[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise NoMaximumError(
        "unbounded",
        f"the likelihood has no maximum: {spike}; the highest peak inside has log likelihood {peak.value:.6g} nats, at "
        f"{shown}{more}",
        spike.label,
        "quote that peak as a local maximum; keep the model away from that limit (tie scales to each other, bound a "
        "threshold by what is known), or use the posterior with a prior that does",
    )
