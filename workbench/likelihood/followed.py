"""The likelihood along one coordinate that goes farther and farther out, the others at their best at each place.

The others are sought where they were at the last place, or farther on where that is better: continued as they moved,
in proportion to the place, or towards where they settle. Without that, cutpoints that grow with a slope would soon be
so far behind that every outcome is impossible.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import numpy as np

from workbench.errors import NumericalError
from workbench.likelihood.holding import Settled, settle, value_with
from workbench.likelihood.problem import Problem, origin
from workbench.likelihood.quantity import Quantity
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Vector

STRIDE, _STRIDES = 2.0, 40  # of z, where z is a logarithm or a logit; so many at most, and longer if the way is long
_FACTOR = 3.0  # from one place to the next, where z is the scalar itself
_NEARER = (0.5, 0.25, 0.125, 0.0625)  # of the step to where numbers end
_FALLS, _SLOWLY = 1.0, (0.25, 0.5, 0.75)  # nats from one place to the next; of the way
GROWS = 1.2  # of a scalar, from one place to the next: it goes to infinity too
_INWARDS = 4  # places inwards of the end of a climb, until it has fallen by a real amount
_NEAR = 0.15  # of the way to the next place
_BEHIND = 3  # places that show how the others move


def places_outwards(problem: Problem, end: Climb, i: int, position: int) -> tuple[Iterator[float], float]:
    """Places along a coordinate, from where the model starts outwards, and the step of the logarithm between them.

    Parameters
    ----------
    problem : Problem
    end : Climb
        It shows on which side.
    i : int
        The coordinate.
    position : int
        Of its scalar among the labels.

    Returns
    -------
    places : iterator of float
    unit : float
    """
    start = float(origin(problem)[i])
    way = float(end.z[i] - start)
    side = float(np.sign(way)) or 1.0
    if is_scalar(problem, end, i, position):
        first = max(1.0, abs(start))
        return (start + side * first * k for k in (0.0, *_FACTOR ** np.arange(1, _STRIDES))), float(np.log(_FACTOR))
    stride = max(STRIDE, abs(way) / _STRIDES)
    return (start + side * stride * k for k in range(2 * _STRIDES)), stride


def is_scalar(problem: Problem, end: Climb, i: int, position: int) -> bool:
    """Whether a coordinate is the scalar itself, and no logarithm or logit of it.

    Parameters
    ----------
    problem : Problem
    end : Climb
    i : int
        The coordinate.
    position : int
        Of its scalar among the labels.

    Returns
    -------
    bool
    """
    points, start = np.tile(end.z, (2, 1)), float(origin(problem)[i])
    points[:, i] = start, start + 1.0
    return bool(abs(np.diff(problem.chart.scalars(points)[:, position])[0] - 1.0) < 1e-9)


def heights_around(problem: Problem, end: Climb, i: int, position: int) -> Iterator[tuple[float, Vector]]:
    """The same at places around the end of a climb, from inwards of it to far out, sought from there both ways.

    From the start of the model the others may be led to another place, as those of a sum of two exponentials are.

    Parameters
    ----------
    problem : Problem
    end : Climb
    i : int
        The coordinate.
    position : int
        Of its scalar among the labels.

    Yields
    ------
    height : float
        Nats.
    x : ndarray, shape (p,)
    """
    here, side = float(end.z[i]), float(np.sign(end.z[i] - origin(problem)[i])) or 1.0
    steps = np.arange(1, _STRIDES)
    if is_scalar(problem, end, i, position):
        inwards, outwards = here / _FACTOR**steps, here * _FACTOR**steps
    else:
        inwards, outwards = here - side * STRIDE * steps, here + side * STRIDE * steps
    behind = list(heights_along(problem, i, iter(inwards[:_INWARDS]), _first_steps(problem, end, i, inwards[0])))
    yield from behind[::-1]
    yield end.value, end.z
    yield from heights_along(problem, i, iter(outwards), _first_steps(problem, end, i, outwards[0]))


def _first_steps(problem: Problem, end: Climb, i: int, towards: float) -> list[Vector]:
    """The end of a climb and a place near it on the way, where the curvature says that the others are."""
    information, rest = end.curvature.information, np.setdiff1d(np.arange(end.z.size), [i])
    near, move = end.z.copy(), _NEAR * (towards - end.z[i])
    near[i] += move
    near[rest] -= move * np.linalg.lstsq(information[np.ix_(rest, rest)], information[rest, i])[0]
    try:
        return [end.z, settle(problem.objective, near, [i]).x]
    except NumericalError:
        return [end.z]


def heights_along(
    problem: Problem, i: int, places: Iterator[float], before: Sequence[Vector] = ()
) -> Iterator[tuple[float, Vector]]:
    """The likelihood with a coordinate at these places and the others at their best, as far as it can be followed.

    Parameters
    ----------
    problem : Problem
    i : int
        The coordinate.
    places : iterator of float
    before : sequence of ndarray, shape (p,)
        Points on the way to the first place; by default where the model starts.

    Yields
    ------
    height : float
        Nats.
    x : ndarray, shape (p,)
    """
    visited, first = list(before), len(before)
    start = origin(problem)
    height, lost = -np.inf, False
    for place in places:
        try:
            best = _settled_at(problem, visited or [start], i, place)
            if best.value < height - _FALLS and not lost:  # the others may have lost their way: go there slowly, once
                lost, last = True, visited[-1][i]
                for share in _SLOWLY:
                    visited.append(_settled_at(problem, visited or [start], i, last + share * (place - last)).x)
                best = _settled_at(problem, visited or [start], i, place)
        except NumericalError:
            for share in (
                _NEARER if len(visited) > first + 1 else ()
            ):  # before numbers end a probability may come near to 1
                with contextlib.suppress(NumericalError):
                    near = visited[-1][i] + share * (place - visited[-1][i])
                    best = _settled_at(problem, visited or [start], i, near)
                    yield best.value, best.x
                    return
            return
        visited.append(best.x)
        height = best.value
        yield best.value, best.x


def _settled_at(problem: Problem, visited: list[Vector], i: int, place: float) -> Settled:
    """The others at their best with a coordinate at a place, sought from where they are expected."""
    return settle(problem.objective, _ahead(problem, visited[-_BEHIND:], i, place), [i])


def _ahead(problem: Problem, visited: list[Vector], i: int, place: float) -> Vector:
    """Where to seek the others with a coordinate at a place: where they were, or farther on if that is better."""
    here = np.arange(visited[-1].size) == i
    ways = [np.where(here, place, visited[-1])]
    if len(visited) > 1 and visited[-2][i] * place > 0 and visited[-2][i] != visited[-1][i]:
        ways.append(_hyperbola(visited[-2], visited[-1], i, place))
        cuts = multiplied(problem, visited[-1], place / visited[-1][i], real=False)
        ways.append(np.where(cuts == visited[-1], ways[-1], cuts))
    if len(visited) >= _BEHIND:
        first, second = np.diff(visited, axis=0)[-2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = np.clip(np.nan_to_num(second / first, posinf=0.0, neginf=0.0), 0.0, _FACTOR)
        ways.append(np.where(here, place, visited[-1] + factor * second))
    return max(ways, key=lambda x: value_with(problem.objective, x, i, place))


def _hyperbola(before: Vector, last: Vector, i: int, place: float) -> Vector:
    """The others continued in proportion to the place where they grow with it, and to its inverse where they settle.

    Two heights that grow against each other make two rates alike, by as much as their inverse.
    """
    was, now = before[i], last[i]
    grows = (last * before > 0) & (np.abs(last) > GROWS * np.abs(before)) & (np.abs(last) > 1.0)
    share = np.where(grows, (place - now) / (now - was), (1 / place - 1 / now) / (1 / now - 1 / was))
    return np.where(np.arange(last.size) == i, place, last + share * (last - before))


def multiplied(problem: Problem, x: Vector, factor: float, real: bool = True, scales: bool = False) -> Vector:
    """A point with ordered vectors, such as cutpoints, multiplied as a whole, and what is on the real line too.

    The coordinates of an ordered vector are logarithms of differences: far out a digit that is lost there is a far
    shift of a cutpoint.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    factor : float
        Above 0.
    real : bool
        Whether to multiply what is on the real line as well.
    scales : bool
        Whether to multiply what is positive as well.

    Returns
    -------
    ndarray, shape (p,)
    """
    space, chart, density = problem.chart.space, problem.chart, problem.density
    transforms = {name: density.model.rvs_to_transforms.get(density.model[name]) for name in chart.names}
    kinds = {name: "" if transform is None else type(transform).__name__ for name, transform in transforms.items()}
    moved = x.copy()
    for name, kind in kinds.items():
        if real and not kind:
            moved[chart.blocks[name]] *= factor
        if scales and kind == "LogTransform":
            moved[chart.blocks[name]] += np.log(factor)
    if "Ordered" in kinds.values():
        ordered = [name for name, kind in kinds.items() if kind == "Ordered"]
        theta = {name: array for name, array in space.theta(chart.z(x)).items() if name in space.names}
        z = space.z_of_draws(theta | {name: factor * theta[name] for name in ordered})[0]
        for name in ordered:
            moved[chart.blocks[name]] = z[chart.coordinates][chart.blocks[name]]
    return moved


def rays(problem: Problem, quantity: Quantity, x: Vector, here: float) -> tuple[Vector, ...]:
    """Where the others may be with a scalar farther out towards infinity: in proportion to it, with scales or without.

    So it is with separated outcomes, or a scale that the data do not determine.

    Parameters
    ----------
    problem : Problem
    quantity : Quantity
    x : ndarray, shape (p,)
        Where the others were.
    here : float
        The path value that is held.

    Returns
    -------
    tuple of ndarray, shape (p,)
        Empty where the scalar changes its sign.
    """
    moved = np.where(np.arange(x.size) == quantity.coordinate, here, x)
    now, then = (quantity(x)[0], quantity(moved)[0]) if quantity.coordinate >= 0 else (quantity.path(x), here)
    with np.errstate(all="ignore"):
        factor = float(then / now)
    if not 0.0 < factor < np.inf:
        return ()
    return multiplied(problem, x, factor), multiplied(problem, x, factor, scales=True)
