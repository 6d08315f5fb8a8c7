"""Whether one model lies inside another: whether the larger one can say of all data what the smaller one says.

A likelihood-ratio test against chi-square is for a smaller model that is the larger one with a parameter fixed. Then
some theta of the larger model, or a limit of it such as a dispersion that goes to infinity, gives every part of the
data the density that the smaller model gives it at its maximum:

    min over theta of  sum_i [l_i(theta) - m_i]^2  =  0,

with l_i and m_i the log likelihoods of part i in the larger model at theta and in the smaller one at its maximum. A
part is an observation or, where latent variables are integrated out, a set of observations that neither model cuts
through (`workbench.likelihood.shared_parts`). Where there are no more parts than parameters a theta that does it proves
nothing: then the same theta has to do it for data drawn from the smaller model as well. That the smaller one is less
likely as a whole proves nothing either: so may be a model of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from workbench.errors import RefusalError
from workbench.likelihood.problem import Problem, origin, scalar_parameters
from workbench.likelihood.quantity import FAR, edges_of
from workbench.likelihood.shared_parts import Parts, Sharing, find_shared, in_order_of_content
from workbench.likelihood.summit import Summit
from workbench.model.simulate import Simulator
from workbench.numerics.objective import Vector

_NONE = 1e-4  # nats an observation; what is left of a limit where rounding begins, as of alpha = 1e6
_STARTS = 8
_LOOKS = 400  # of one search
_PATIENCE, _GAIN = 20, 0.9  # looks in which the sum of squares has to fall to this; towards a limit one is enough
_STEP = 1e-5  # of max(1, abs(u)), to both sides
_FLAT = 1e-10  # of the scaled information: a direction with less has no standard deviation
_IMPOSSIBLE = -1e3  # nats below the least: stands for minus infinity, from where no slope leads back
_SPARE = 6  # equations more than unknowns: as many accidents would have to coincide
_NEAR_EDGE = 5.0  # of z: where a scale is 1/150 of what it was
_ENTERED = 0.05  # share of a category whose probability is 0
_HUGE = 1e100  # stands for infinity, and its inverse for 0
_OUT, _IN = 2.0, (2.0, 4.0, 8.0, 16.0)  # of z, away from the model's start and towards it, to see a limit


@dataclass(frozen=True)
class Departure:
    """How far a larger model stays from what a smaller one says.

    Attributes
    ----------
    worst : float
        Largest difference of a part at the nearest theta, nats over the square root of its number of observations; 0
        where none is above 1e-4, NaN where nothing is known.
    parts, data_sets : int
        Parts that both models hold independent, and how many data sets they were compared on.
    limits : tuple of str
        Scalars that are at an edge or at infinity where the larger model is the smaller one.
    unknown : str
        Why nothing is known; empty where something is.
    """

    worst: float
    parts: int
    data_sets: int
    limits: tuple[str, ...]
    unknown: str = ""


class _Ended(Exception):
    """A search that need not go on from a point: every part agrees, or nothing is gained any more."""

    def __init__(self, x: Vector, worst: float) -> None:
        self.x, self.worst = x, worst


def same_observations(first: dict[str, NDArray], second: dict[str, NDArray]) -> bool:
    """Whether two models have observed the same arrays, whatever they call them."""

    def contents(arrays: dict[str, NDArray]) -> list[bytes]:
        return [np.asarray(arrays[name], dtype=np.float64).tobytes() for name in in_order_of_content(arrays)]

    return contents(first) == contents(second)


def find_departure(larger: tuple[Problem, Summit], smaller: tuple[Problem, Summit], seed: int = 0) -> Departure:
    """How far the larger model stays from the smaller one at its maximum, at the part where it is worst.

    Parameters
    ----------
    larger, smaller : tuple of (Problem, Summit)
        Of the same observations.
    seed : int
        Of the data that are drawn from the smaller model where there are few parts.

    Returns
    -------
    Departure

    References
    ----------
    Vuong, Q. H. (1989). Likelihood ratio tests for model selection and non-nested hypotheses. doi:10.2307/1912557
    """
    (problem, summit), (inner, base) = larger, smaller
    first, second = Parts(problem), Parts(inner)
    if not (first.by_nodes and second.by_nodes):
        first, second = first.by_laplace(), second.by_laplace()
    sharing, at = find_shared(first, second), _inside(inner, base)
    count, pairs = sharing.sizes.size, [(first, second)]
    wanted = int(np.ceil((problem.chart.dimension + _SPARE) / max(count, 1)))
    try:
        pairs += _drawn(first, second, at, wanted - 1, seed)
    except RefusalError as error:
        what = f"there are {count} parts for {problem.chart.dimension} parameters, and {error.what}"
        return Departure(np.nan, count, 1, (), what)
    compared = _Comparison(sharing, [larger for larger, _ in pairs], [smaller for _, smaller in pairs], at)
    if not np.all(np.isfinite(compared.goal)):
        return Departure(np.nan, count, len(pairs), (), "the smaller model holds a part of the data impossible")
    least = np.inf
    for start in _starts(problem, summit, inner, at):
        x, worst = _nearest(compared, summit, start)
        least = min(least, worst)
        if worst < _NONE:
            return Departure(0.0, count, len(pairs), _limits(problem, summit, compared, x))
    return Departure(float(least), count, len(pairs), ())


class _Comparison:
    """What the larger model says of every part of every data set less what the smaller one says at a point.

    Parameters
    ----------
    sharing : Sharing
    larger, smaller : list of Parts
        One a data set.
    at : ndarray, shape (p,)
        The point of the smaller model.
    """

    def __init__(self, sharing: Sharing, larger: list[Parts], smaller: list[Parts], at: Vector) -> None:
        self.sharing, self.larger = sharing, larger
        self.weights = np.tile(sharing.sizes**-0.5, len(larger))
        self.goal = np.concatenate([sharing.of(1, parts, at[None])[0] for parts in smaller]) * self.weights
        self.least = float(self.goal.min()) + _IMPOSSIBLE

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Differences at many points, shape ``(m, parts)``; never infinite."""
        with np.errstate(all="ignore"):
            found = np.concatenate([self.sharing.of(0, parts, points) for parts in self.larger], axis=1) * self.weights
            return np.nan_to_num(np.maximum(found, self.least), nan=self.least) - self.goal

    def slopes(self, x: Vector, axes: NDArray[np.float64], steps: Vector) -> NDArray[np.float64]:
        """Slopes of the differences along the columns of axes, shape ``(parts, p)``."""
        if self.sharing.sizes.size == 1:  # one number a data set, whose gradient is known
            return np.array([parts.whole(x)[1] for parts in self.larger]) @ axes * self.weights[:, None]
        moves = (axes * steps).T
        ahead, behind = np.split(self(np.concatenate([x + moves, x - moves])), 2)
        return ((ahead - behind) / (2.0 * steps[:, None])).T


def _inside(problem: Problem, summit: Summit) -> Vector:
    """The maximum; where it is at an edge a point inside, as there it may agree with models that it is not inside."""
    at = summit.x.copy()
    places = list(summit.places)
    at[places] = origin(problem)[places]
    for label in summit.cells:
        at = summit.entered(at, label, _ENTERED)
    return at


def _drawn(larger: Parts, smaller: Parts, at: Vector, count: int, seed: int) -> list[tuple[Parts, Parts]]:
    """Both models on data drawn from the smaller one.

    Raises
    ------
    RefusalError
        If data cannot be drawn, or cut into other parts than those of the data themselves.
    """
    if count < 1:
        return []
    chart, names = smaller.problem.chart, smaller.problem.density.symbolic.observed
    theirs = larger.problem.density.symbolic.observed
    simulator = Simulator(smaller.problem.density, chart.names)
    theta = {name: array[0] for name, array in chart.theta(at[None]).items()}
    renamed = dict(zip(in_order_of_content(names), in_order_of_content(theirs), strict=True))
    pairs = []
    for b in range(count):
        drawn = simulator(theta, (seed, b))
        other = {renamed[name]: array.reshape(theirs[renamed[name]].shape) for name, array in drawn.items()}
        pairs.append((larger.on(other), smaller.on(drawn)))
    return pairs


def _starts(problem: Problem, summit: Summit, inner: Problem, at: Vector) -> list[Vector]:
    """Where to search from: what the models call the same at its place in the smaller one, and scales near 0."""
    start, generator = origin(problem), np.random.default_rng(0)
    mapped, own = summit.x.copy(), np.ones(summit.x.size, dtype=bool)
    for name, block in problem.chart.blocks.items():
        other = inner.chart.blocks.get(name)
        if other is not None and other.stop - other.start == block.stop - block.start:
            mapped[block], own[block] = at[other], False
    near = mapped.copy()
    for k, sides in edges_of(problem.chart, summit.x, scalar_parameters(problem)).items():
        if own[k] and len(sides) == 1:
            near[k] = start[k] + sides[0] * _NEAR_EDGE
    inside = np.where(np.isin(np.arange(start.size), list(summit.places)), start, summit.x)
    known = [near, summit.x, mapped, inside, start]
    return known + [start + generator.normal(size=start.size) for _ in range(_STARTS - len(known))]


def _axes(summit: Summit) -> NDArray[np.float64]:
    """Columns that are a standard deviation long and uncorrelated at the summit, as columns of raw data seldom are."""
    information = summit.information * np.outer(summit.scale, summit.scale)
    sizes, axes = np.linalg.eigh((information + information.T) / 2)
    lengths = np.where(sizes > _FLAT, np.abs(sizes), 1.0) ** -0.5
    return summit.scale[:, None] * axes * lengths


def _nearest(compared: _Comparison, summit: Summit, start: Vector) -> tuple[Vector, float]:
    """The end of one search for the least sum of squares, and the largest difference there."""
    axes, sums = _axes(summit), list[float]()

    def _value(u: Vector) -> Vector:
        x = summit.x + axes @ u
        found: Vector = compared(x[None])[0]
        worst = float(np.max(np.abs(found)))
        sums.append(min([float(found @ found), *sums[-1:]]))
        if worst < _NONE or (len(sums) > _PATIENCE and sums[-1] > _GAIN * sums[-1 - _PATIENCE]):
            raise _Ended(x, worst)
        return found

    def slopes(u: Vector) -> NDArray[np.float64]:
        return compared.slopes(summit.x + axes @ u, axes, _STEP * np.maximum(1.0, np.abs(u)))

    first = np.linalg.solve(axes, start - summit.x)
    with np.errstate(all="ignore"):
        try:
            end = optimize.least_squares(_value, first, jac=slopes, xtol=1e-15, ftol=1e-15, gtol=1e-15, max_nfev=_LOOKS)
        except _Ended as ended:
            return ended.x, ended.worst
    return summit.x + axes @ end.x, float(np.max(np.abs(end.fun)))


def _limits(problem: Problem, summit: Summit, compared: _Comparison, x: Vector) -> tuple[str, ...]:
    """Scalars that have reached a limit, as ``tau = 0``: further out nothing changes, and further in something does."""
    found, start = [], origin(problem)
    for name, block in problem.chart.blocks.items():
        for k in range(block.start, block.stop):
            side = float(np.sign(x[k] - start[k]))
            points = np.tile(x, (1 + len(_IN), 1))
            points[:, k] += side * max(1.0, summit.scale[k]) * np.array([_OUT, *(-step for step in _IN)])
            apart = np.max(np.abs(compared(points)), axis=1)
            if side != 0 and apart[0] < 10.0 * _NONE and np.max(apart[1:]) > 100.0 * _NONE:
                found.append(_limit(problem, name, k - block.start, x, side))
    return tuple(found)


def _limit(problem: Problem, name: str, place: int, x: Vector, side: float) -> str:
    """The limit of a scalar on one side of its coordinate, as ``tau = 0``."""
    labels, block = problem.chart.space.labels(name), problem.chart.blocks[name]
    if len(labels) != block.stop - block.start:
        return f"{name} at its edge"
    far = x.copy()
    far[block.start + place] = side * FAR
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(problem.chart.scalars(far[None])[0, problem.chart.labels.index(labels[place])])
    value = 0.0 if abs(value) < 1.0 / _HUGE else np.copysign(np.inf, value) if abs(value) > _HUGE else value
    return f"{labels[place]} = {value:.6g}"
