"""Likelihoods that are highest where the data are about to become impossible: a support that moves with a parameter.

The largest of n observations from Uniform(0, theta) bounds theta from below. The likelihood theta^-n rises towards that
bound and is 0 beyond it, so the estimate is the bound itself: a jump, not a peak. There is no information and no
standard error, the error of the estimate shrinks as 1/n instead of 1/sqrt(n), and twice the drop of the log likelihood
is not chi-square with one degree of freedom (it has two: Smith 1985). Where the density of the data has a pole at the
edge of its support, such as a Weibull with shape below 1, the likelihood is even unbounded there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.boundary import edge_value
from workbench.likelihood.holding import settle, value_with
from workbench.likelihood.problem import Problem, scalar_parameters, scalars_in_words
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Objective, Vector

_STEPS = tuple(np.geomspace(1e-8, 30.0, 40))  # of z, uphill from where a climb ended
_REAL = 1e-3  # nats a unit of z: less than this is no slope
_NEAR = (1e-4, 1e-6, 1e-8)  # of the length of z, from the jump: a pole rises by the same from each to the next
_EVEN = 0.2  # of such a rise
_AT_EDGE = 1e-12  # of max(1, its size)
_ROUNDS = 4  # over all coordinates: one may free another


@dataclass(frozen=True)
class Jump:
    """Where a likelihood is highest and jumps to 0.

    Attributes
    ----------
    x : ndarray, shape (p,)
        The last point at which the data are possible.
    fixed : dict of str to int
        Scalars that are bounded by the data -> their coordinate.
    sides : dict of str to float
        Scalar -> the side, -1 or 1 on z, on which the data are impossible.
    value : float
        Log likelihood at x, nats.
    unbounded : str
        The scalar towards whose bound the likelihood rises without end; empty if there is none.
    settled : bool
        Whether the other coordinates are at a peak.
    """

    x: Vector
    fixed: dict[str, int]
    sides: dict[str, float]
    value: float
    unbounded: str
    settled: bool


def _last_possible(objective: Objective, x: Vector, i: int, side: float) -> float | None:
    """The last value of a coordinate before a jump to 0, uphill from here; None where there is none."""
    inside, height = x[i], value_with(objective, x, i, x[i])
    for step in _STEPS:
        at = x[i] + side * step
        reached = value_with(objective, x, i, at)
        if np.isneginf(reached):
            break
        if reached < height - _REAL:  # it falls before it ends
            return None
        inside, height = at, max(height, reached)
    else:
        return None
    outside = at
    while True:
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            return float(inside)
        if np.isneginf(value_with(objective, x, i, middle)):
            outside = middle
        else:
            inside = middle


def _is_own_edge(problem: Problem, x: Vector, label: str, i: int, at: float) -> bool:
    """Whether a scalar has come to the edge of its own support at a jump, as a correlation that rounds to 1.

    Numbers end there, and not the support of the data: the likelihood may rise without bound on the way.
    """
    position = problem.chart.labels.index(label)
    edge = edge_value(problem, x, i, float(np.sign(at - x[i])), position)
    here = problem.chart.scalars(np.where(np.arange(x.size) == i, at, x)[None])[0, position]
    return edge is not None and abs(here - edge) < _AT_EDGE * max(1.0, abs(edge))


def has_pole(objective: Objective, x: Vector, i: int, side: float) -> bool:
    """Whether the likelihood rises by the same amount with every factor by which a jump comes nearer.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (p,)
        The last point at which the data are possible.
    i : int
        The coordinate along which they become impossible.
    side : float
        -1 or 1.

    Returns
    -------
    bool
    """
    size = max(1.0, abs(x[i]))
    return is_pole([value_with(objective, x, i, x[i] - side * near * size) for near in _NEAR])


def is_pole(heights: Sequence[float]) -> bool:
    """Whether heights rise by the same amount from one distance to the next, which are all in one proportion.

    Parameters
    ----------
    heights : sequence of float
        The farthest first; nats.

    Returns
    -------
    bool
    """
    with np.errstate(invalid="ignore"):
        rises = np.diff(heights)
    return bool(np.all(rises > _REAL) and np.ptp(rises) < _EVEN * rises.max())


def find_jump(problem: Problem, end: Climb) -> Jump | None:
    """The jump of the likelihood at which a climb got stuck; None where there is none.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Returns
    -------
    Jump or None

    References
    ----------
    Smith, R. L. (1985). Maximum likelihood estimation in a class of nonregular cases. doi:10.1093/biomet/72.1.67
    """
    objective, x, fixed, sides = problem.objective, end.z.copy(), {}, {}
    for _ in range(_ROUNDS):
        before = x.copy()
        for label, i in scalar_parameters(problem).items():
            try:
                slope = objective.value_and_gradient(x)[1][i]
            except NumericalError:
                return None
            at = _last_possible(objective, x, i, np.sign(slope)) if abs(slope) > _REAL else None
            if at is not None and not _is_own_edge(problem, x, label, i, at):
                x[i], fixed[label], sides[label] = at, i, float(np.sign(slope))
        if np.array_equal(x, before):
            break
    if not fixed:
        return None
    pole = next((label for label, i in fixed.items() if has_pole(objective, x, i, sides[label])), "")
    settled = True
    if not pole:
        try:
            best = settle(objective, x, list(fixed.values()))
            x, settled = best.x, best.peaks
        except NumericalError:
            settled = False
    return Jump(x, fixed, sides, objective.value(x), pole, settled)


def refuse_jump(problem: Problem, jump: Jump) -> None:
    """Say that the support of the data moves with parameters, and where it ends.

    Parameters
    ----------
    problem : Problem
    jump : Jump

    Raises
    ------
    NoMaximumError
        Always.
    """
    values = dict(zip(problem.chart.labels, problem.chart.scalars(jump.x[None])[0], strict=True))
    beyond = jump.x.copy()
    for label, i in jump.fixed.items():
        beyond[i] += jump.sides[label] * 1e-6 * max(1.0, abs(beyond[i]))
    terms = problem.density.terms(problem.chart.z(beyond)).log_likelihood
    data = " and ".join(name for name, array in terms.items() if np.isneginf(array).any()) or "the data"
    names = " and ".join(jump.fixed)
    if jump.unbounded:
        raise NoMaximumError(
            "unbounded",
            f"the likelihood has no maximum: the support of {data} depends on {names}, and the likelihood rises "
            f"without bound as {jump.unbounded} -> {values[jump.unbounded]:.7g}, beyond which {data} is impossible",
            jump.unbounded,
            "fix that bound from what is known, or use the posterior with a prior that keeps away from it",
        )
    what = f"the likelihood has no peak: the support of {data} depends on {names}"
    if not jump.settled:  # other parameters move the bound, so its present place means nothing
        raise NoMaximumError(
            "moving support",
            f"{what}, and the likelihood rises until {data} is impossible",
            names,
            "write the model with the ends of the support as parameters, or use the posterior",
        )
    bounds = " and ".join(f"{label} = {values[label]:.7g}" for label in jump.fixed)
    others = scalars_in_words(problem, jump.x, jump.fixed)
    rest = f"{', with ' * bool(others)}{others}"
    raise NoMaximumError(
        "moving support",
        f"{what}; its least upper bound is {jump.value:.6g} nats, at {bounds}{rest}; beyond, {data} is impossible",
        names,
        "quote that bound as the estimate; it has no standard error and no chi-square interval: use the posterior",
    )
