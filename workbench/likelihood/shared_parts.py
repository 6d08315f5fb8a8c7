"""The parts of the data that two models both hold independent, and what each model says of every part.

    log L(theta)  =  sum over parts of  log L_part(theta)

A model without latent variables has a part an observation; where latent variables are integrated out, the observations
of a block are one part. Two models may cut the same data differently. Both can speak of a set of observations that
neither cuts through, which is a connected component of the observations and the parts of either model. Effects of
crossed groups leave one such part, all the data; other data, drawn from one of the models, then say more.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from workbench.errors import NumericalError
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.problem import Problem
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.observations import Observations, together_of
from workbench.numerics.objective import Vector

_MOST = 100_000  # shared parts; of more some are looked at, as a slope of each takes too much memory
_SOME = 20_000
_CHUNK = 4_000_000  # log likelihoods of parts at a time, 32 MB

Data = Mapping[str, NDArray]


def in_order_of_content(observed: Data) -> list[str]:
    """Names of observed arrays in an order of their content, in which two models of the same data agree.

    Parameters
    ----------
    observed : mapping of str to ndarray

    Returns
    -------
    list of str
    """
    return sorted(observed, key=lambda name: np.asarray(observed[name], dtype=np.float64).tobytes())


def _term_of_number(density: LogDensity, name: str) -> NDArray[np.int64]:
    """Which log likelihood term of a variable holds each of its numbers, in C order."""
    size, terms = density.symbolic.observed[name].size, int(np.prod(density.likelihood_shapes[name]))
    together = together_of(density, name)
    if not together:
        return np.repeat(np.arange(terms), size // terms) if terms and size % terms == 0 else np.zeros(size, np.int64)
    rows = np.empty(sum(places.size for places in together), dtype=np.int64)
    for term, places in enumerate(together):
        rows[places] = term
    return np.repeat(rows, size // rows.size)


class Parts:
    """The likelihood of one model as a sum over its own parts.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, objective = problem, problem.objective
        self._marginal = objective.with_draws(0, seed=0) if isinstance(objective, MarginalLikelihood) else None
        self._sided = [name for name, side in problem.density.potentials.items() if side == "likelihood"]
        self._data: Data | None = None

    def _with(self, marginal: MarginalLikelihood | None, data: Data | None) -> Parts:
        other = object.__new__(Parts)
        other.__dict__.update(self.__dict__, _marginal=marginal, _data=data)
        return other

    def by_laplace(self) -> Parts:
        """The same with Laplace for every integral: an effect that vanishes leaves the rest as it is, in any block."""
        return self._with(self._marginal and self._marginal.with_order(1), self._data)

    def on(self, data: Data) -> Parts:
        """The same parts of other observations of the same shape.

        Raises
        ------
        RefusalError
            If an observation now depends on latent variables on which it did not depend before.
        """
        return self._with(self._marginal and self._marginal.with_data(data), data)

    @property
    def by_nodes(self) -> bool:
        """Whether every integral over latent variables, if there is one, can be taken by quadrature."""
        return self._marginal is None or self._marginal.all_by_nodes

    @cached_property
    def _observations(self) -> Observations:
        return Observations(self.problem.density, self._sided)

    @cached_property
    def count(self) -> int:
        """How many parts there are."""
        if self._marginal is not None:
            structure = self._marginal.structure
            return structure.n_blocks + int(np.sum(structure.block_of_term < 0))
        return int(self._observations.log_likelihood(self.problem.density.space.start[None]).shape[1])

    @cached_property
    def owned(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The part of every observed number, arrays in the order of their content, and of every potential."""
        density, marginal = self.problem.density, self._marginal
        observed, none = density.symbolic.observed, np.zeros(0, dtype=np.int64)
        if marginal is None:
            ends = np.cumsum([0, *(int(np.prod(shape)) for shape in density.likelihood_shapes.values())])
            places = {n: np.arange(ends[i], ends[i + 1]) for i, n in enumerate(density.likelihood_shapes)}
            potentials = np.arange(ends[-1], self.count)
        else:
            blocks = marginal.structure.block_of_term
            part_of = np.where(blocks >= 0, blocks, marginal.structure.n_blocks + np.cumsum(blocks < 0) - 1)
            places = {name: part_of[place] for name, place in marginal.elements.observations.items()}
            potentials = np.concatenate([none, *(places.pop(name) for name in self._sided)])
        if set(places) != set(observed):  # the terms of one variable hold those of another as well: all is one part
            return np.zeros(sum(array.size for array in observed.values()), dtype=np.int64), np.arange(self.count)
        numbers = [places[name][_term_of_number(density, name)] for name in in_order_of_content(observed)]
        return np.concatenate([none, *numbers]), potentials

    def whole(self, x: Vector) -> tuple[float, Vector]:
        """Log L of all parts together, nats, and its gradient, shape ``(p,)``; -inf where it cannot be integrated."""
        objective = self._marginal or self.problem.density.objective(LIKELIHOOD, data=self._data)
        with contextlib.suppress(NumericalError):
            return objective.value_and_gradient(x)
        return -np.inf, np.zeros_like(x)

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log L of every part at many points x, shape ``(m, count)``, nats; -inf where it cannot be integrated."""
        if self._marginal is None:
            return self._observations.log_likelihood(self.problem.chart.z(points), self._data)
        rows = np.full((len(points), self.count), -np.inf)
        for row, point in zip(rows, points, strict=True):
            with contextlib.suppress(NumericalError):
                row[:] = self._marginal.parts(point[None])[0]
        return rows


@dataclass(frozen=True)
class Sharing:
    """How the parts of two models add up to those that they share.

    Attributes
    ----------
    sums : tuple of sparse matrix
        One a model, of shape ``(count, C)``: which of its parts make which shared one.
    sizes : ndarray of int, shape (C,)
        Observed numbers and potentials in every shared part.
    """

    sums: tuple[sparse.csr_matrix, sparse.csr_matrix]
    sizes: NDArray[np.int64]

    def of(self, model: int, parts: Parts, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log L of every shared part at many points of the first (0) or the second model (1), shape ``(m, C)``."""
        size, matrix = max(1, _CHUNK // max(parts.count, 1)), self.sums[model].T
        found = [(matrix @ parts(points[i : i + size]).T).T for i in range(0, len(points), size)]
        return np.concatenate(found)


def find_shared(first: Parts, second: Parts) -> Sharing:
    """The finest parts of the data that both models hold independent.

    Parameters
    ----------
    first, second : Parts
        Of the same observations.

    Returns
    -------
    Sharing
    """
    (numbers, potentials), (others, other_potentials) = first.owned, second.owned
    # The elements of potentials stand for each other in order where there are as many; else they are one number.
    paired = potentials.size == other_potentials.size
    n, k = numbers.size, potentials.size if paired else 1
    nodes = n + k + first.count + second.count
    in_order = np.arange(potentials.size) if paired else np.zeros(potentials.size, dtype=np.int64)
    others_in_order = np.arange(other_potentials.size) if paired else np.zeros(other_potentials.size, dtype=np.int64)
    here = np.concatenate([np.arange(n), n + in_order, np.arange(n), n + others_in_order])
    there = np.concatenate([numbers, potentials, first.count + others, first.count + other_potentials]) + n + k
    graph = sparse.csr_matrix((np.ones(here.size), (here, there)), (nodes, nodes))
    _, component = csgraph.connected_components(graph, directed=False)
    held, column = np.unique(component[: n + k], return_inverse=True)
    sizes = np.bincount(column)
    if held.size > _MOST:
        some = np.sort(np.random.default_rng(0).choice(held.size, _SOME, replace=False))
        held, sizes = held[some], sizes[some]
    matrices = []
    for start, count in ((n + k, first.count), (n + k + first.count, second.count)):
        own = component[start : start + count]
        place = np.minimum(np.searchsorted(held, own), held.size - 1)
        found = np.flatnonzero(held[place] == own)
        matrices.append(sparse.csr_matrix((np.ones(found.size), (found, place[found])), (count, held.size)))
    return Sharing((matrices[0], matrices[1]), sizes)
