"""What each observation says about the parameters: its score and its curvature, without one gradient an observation.

The log likelihood of the n observations at a few points around theta-hat gives, by a five-point stencil along a
direction a, for every observation at once

    a's_j   = d log p(y_j given z + t a) / dt          (its score),
    a'H_j a = d2 log p(y_j given z + t a) / dt2        (its curvature)

at t = 0, so p directions cost 4 p + 1 evaluations of the likelihood whatever n is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pytensor.graph.traversal import ancestors

from workbench.errors import NumericalError
from workbench.model.compiled import batched, without_traces
from workbench.model.density import LogDensity
from workbench.numerics.objective import Vector

# Of a direction as long as a standard error: the stencil's own error is then 1e-8 of a score, and rounding, which
# grows as the square in the curvature, stays below 1e-5 of it for a million observations.
_STEP = 0.03
_SHOWN = 3  # observations that are named where a term holds many
_CHUNK = 4_000_000  # log likelihood terms evaluated at a time, 32 MB


Measure = Literal["continuous", "labels", "counts", "mixed"]
_LABELS = ("Bernoulli", "Categorical", "OrderedLogistic", "OrderedProbit")
_ATOMS = ("Censored", "DiracDelta")  # what gives single values of a continuous variable a probability


def measure_of(density: LogDensity, name: str) -> Measure:
    """What a log likelihood of this observed variable is the logarithm of.

    Parameters
    ----------
    density : LogDensity
    name : str

    Returns
    -------
    {"continuous", "labels", "counts", "mixed"}
        A density; a probability of labels, which have no order or are two; of counts; or a density of some
        observations and a probability of others, as with censoring.
    """
    rv = density.model[name]
    made_by = [type(v.owner.op).__name__ for v in ancestors([rv]) if v.owner is not None]
    if str(rv.dtype).startswith("float"):
        return "mixed" if any(word in op for op in made_by for word in _ATOMS) else "continuous"
    values = np.unique(density.symbolic.observed[name])
    own = type(rv.owner.op).__name__
    return "labels" if any(word in own for word in _LABELS) or set(values.tolist()) <= {0, 1} else "counts"


def together_of(density: LogDensity, name: str) -> tuple[NDArray[np.int64], ...]:
    """The observations that each log likelihood term of a variable holds; empty where each holds one.

    Observations that depend on a common label, which was summed out, have one likelihood together.

    Parameters
    ----------
    density : LogDensity
    name : str

    Returns
    -------
    tuple of ndarray of int
        One array a term: rows of the variable, numbered in C order.
    """
    members = () if density.summation is None else density.summation.members.get(name, ())
    return members if any(places.size > 1 for places in members) else ()


def rows_of(density: LogDensity, name: str) -> list[NDArray]:
    """Observations of a variable, one entry for each log likelihood term.

    Parameters
    ----------
    density : LogDensity
    name : str

    Returns
    -------
    list of ndarray
        A number; a vector of shape (k,) for vectors; those of every row of a term that holds several.
    """
    values, together = density.symbolic.observed[name], together_of(density, name)
    n = sum(p.size for p in together) if together else int(np.prod(density.likelihood_shapes[name]))
    rows = values.reshape(n) if values.size == n else values.reshape(n, -1)
    return [rows[places] if places.size > 1 else rows[places[0]] for places in together] if together else list(rows)


def labels_of(density: LogDensity, name: str) -> list[str]:
    """Where every observation of a variable stands, such as ``height[12]``: by its labels, or counted from 0.

    Parameters
    ----------
    density : LogDensity
    name : str

    Returns
    -------
    list of str
        One for each log likelihood term, in C order.
    """
    together, summation, shape = together_of(density, name), density.summation, density.likelihood_shapes[name]
    if together and summation is not None:
        shape = summation.blocks.of_term["likelihood", name].shape
    dims = density.model.named_vars_to_dims.get(name) or ()
    known = [density.model.coords.get(dim) if dim is not None else None for dim in dims]
    known += [None] * (len(shape) - len(known))
    axes = [np.arange(n) if own is None else own for n, own in zip(shape, known, strict=False)]
    places = itertools.product(*axes)
    single = [f"{name}[{', '.join(str(x) for x in place)}]" if shape else name for place in places]
    if not together:
        return single
    shown = [" and ".join(single[i] for i in rows[:_SHOWN]) for rows in together]
    return [
        text + (f" and {rows.size - _SHOWN} more" if rows.size > _SHOWN else "")
        for text, rows in zip(shown, together, strict=True)
    ]


def depend_on_each_other(density: LogDensity) -> bool:
    """Whether an observed variable enters the distribution of another one."""
    observed = density.model.observed_RVs
    return any(rv is not other and rv in set(ancestors([other])) for rv in observed for other in observed)


class Observations:
    """The elementwise log likelihood on any data of the model's shape.

    Parameters
    ----------
    density : LogDensity
    potentials : sequence of str
        Those whose elements stand after the observations.
    """

    @without_traces()
    def __init__(self, density: LogDensity, potentials: Sequence[str] = ()) -> None:
        s, space = density.symbolic, density.space
        self._observed = dict(s.observed)
        self.shapes = dict(density.likelihood_shapes)
        graphs = space.on_vector([*s.log_likelihood.values(), *(s.potential[name] for name in potentials)])
        self._call = batched(space.vector, graphs, list(s.data.values()))

    @property
    def count(self) -> int:
        """The number n of observations: one per element, or per vector of a multivariate likelihood."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def log_likelihood(self, points: NDArray[np.float64], data: Mapping[str, NDArray] | None = None) -> NDArray:
        """Every term at m points, shape ``(m, n)``, nats."""
        merged = {**self._observed, **(data or {})}
        arrays = self._call(points, *(merged[n].astype(a.dtype) for n, a in self._observed.items()))
        return np.concatenate([a.reshape(len(points), -1) for a in arrays], axis=1)

    def probabilities(self, name: str, outcomes: NDArray, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability of each outcome of an observed variable, averaged over its n observations, at m points.

        Parameters
        ----------
        name : str
        outcomes : ndarray, shape (K,)
        points : ndarray, shape (m, d)

        Returns
        -------
        ndarray, shape (m, K)
        """
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        place = list(self.shapes).index(name)
        own = slice(sum(sizes[:place]), sum(sizes[: place + 1]))
        found, batch = np.empty((len(points), len(outcomes))), max(1, _CHUNK // max(self.count, 1))
        for column, outcome in enumerate(outcomes):
            data = {name: np.full(self._observed[name].shape, outcome)}
            for first in range(0, len(points), batch):
                some = slice(first, first + batch)
                found[some, column] = np.exp(self.log_likelihood(points[some], data)[:, own]).mean(axis=1)
        return found

    def along(
        self, z: Vector, directions: NDArray[np.float64], data: Mapping[str, NDArray] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and curvatures of every observation along directions.

        Parameters
        ----------
        z : ndarray, shape (d,)
        directions : ndarray, shape (p, d)
            Each about as long as a standard error.
        data : mapping of str to ndarray, optional
            Other observations of the same shape.

        Returns
        -------
        scores, curvatures : ndarray, shape (n, p)
            Nats per direction, and per direction squared.

        Raises
        ------
        NumericalError
            If an observation has no finite likelihood next to z.
        """
        return scores_along(lambda points: self.log_likelihood(points, data), z, directions)


def scores_along(
    terms: Callable[[NDArray[np.float64]], NDArray[np.float64]], z: Vector, directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second derivatives of many terms along directions, by a five-point stencil.

    Parameters
    ----------
    terms : callable
        Points of shape ``(m, d)`` to log likelihoods of shape ``(m, n)``, nats.
    z : ndarray, shape (d,)
    directions : ndarray, shape (p, d)
        Each about as long as a standard error.

    Returns
    -------
    scores, curvatures : ndarray, shape (n, p)
        Nats per direction, and per direction squared.

    Raises
    ------
    NumericalError
        If a term is not finite next to z.
    """
    at = terms(z[None])[0]
    scores, curvatures = np.empty((at.size, len(directions))), np.empty((at.size, len(directions)))
    steps = _STEP * np.array([1.0, -1.0, 2.0, -2.0])
    batch = max(1, _CHUNK // (4 * max(at.size, 1)))
    for first in range(0, len(directions), batch):
        some = directions[first : first + batch]
        points = z + (steps[None, :, None] * some[:, None, :]).reshape(-1, z.size)
        values = terms(points).reshape(len(some), 4, at.size)
        plus, minus, plus2, minus2 = values.transpose(1, 0, 2)
        with np.errstate(invalid="ignore"):  # what is not finite is found below
            slope = (8 * (plus - minus) - (plus2 - minus2)) / (12 * _STEP)
            bend = (16 * (plus + minus) - (plus2 + minus2) - 30 * at) / (12 * _STEP**2)
        scores[:, first : first + len(some)], curvatures[:, first : first + len(some)] = slope.T, bend.T
    if not (np.all(np.isfinite(scores)) and np.all(np.isfinite(curvatures))):
        raise NumericalError(
            "an observation is impossible next to the maximum: the likelihood has no score there", "observations",
            "the support of the data depends on a parameter; use the profile or the bootstrap",
        )  # fmt: skip
    return scores, curvatures
