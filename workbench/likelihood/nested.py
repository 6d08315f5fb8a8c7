"""Integrals over blocks of more than two latent coordinates, by nodes inside nodes, by draws, or by nodes inside draws.

Around its conditional mode a block is u = u-hat + R^-T x, H = R R'. With its coordinates in the order in which they can
be integrated out (`workbench.model.elimination`) each depends on its own x and on those of later rounds alone. So the
coordinates of a round share one axis of Gauss-Hermite nodes, a term is known at the nodes of the rounds on its path,
and the sum over an axis leaves a term of the next round: hundreds of coordinates of three rounds take order^3 points.

Where there are more rounds, what is left after the first has importance draws, and the first is integrated by nodes
given each of them, which takes its share out of the variance of the weights (Rao and Blackwell); or all have draws,
where the first round is a small part.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from workbench.likelihood.nodes import draws_in_pairs
from workbench.model.elements import Elements, Structure
from workbench.model.elimination import ROUNDS
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import nodes_of

LARGE = 2  # coordinates of a block above which it is integrated here
FINEST = 15  # nodes an axis
_CELLS = 20_000_000  # coordinates at all points: 160 MB
_CHUNK = 4_000_000  # terms evaluated at a time, 32 MB
_WORTH = 0.5  # of the coordinates in the first round: then nodes for them are worth a seventh of the draws
_INSIDE, _FINER_INSIDE = 7, 9  # nodes an axis inside draws

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Nest:
    """Nodes and draws for all blocks of more than two latent coordinates.

    Attributes
    ----------
    structure : Structure
    levels : int
        Rounds that are integrated by nodes; the others by draws.
    order : int
        Nodes an axis.
    draws : int
        1 where there is nothing to draw.
    seed : int
    """

    structure: Structure
    levels: int
    order: int
    draws: int
    seed: int

    @property
    def grid(self) -> tuple[int, ...]:
        """Nodes of every level, then draws."""
        return (self.order,) * self.levels + (self.draws,)

    @property
    def by_nodes(self) -> bool:
        """Whether there is nothing to draw."""
        return self.draws == 1

    @property
    def work(self) -> int:
        """Terms at all points."""
        return int(np.prod(self.grid)) * self.structure.block_of_term.size

    @property
    def words(self) -> str:
        """How the blocks are integrated."""
        if self.by_nodes:
            return f"{self.order}-point quadrature in {self.levels} rounds"
        inside = f" with {self.order}-point quadrature inside" if self.levels else ""
        return f"{self.draws} importance draws{inside}"

    @cached_property
    def x(self) -> Matrix:
        """Every latent coordinate at every point, in units of the curvature, shape ``(q, n)``."""
        rounds, n = self.structure.rounds, self.structure.coordinates.size
        x = np.zeros((*self.grid, n))
        if not self.by_nodes:
            drawn = draws_in_pairs(self.draws, n, self.seed)
            x[..., rounds >= self.levels] = drawn[:, rounds >= self.levels]
        nodes = self._axis[0]
        for level in range(self.levels):
            shape = [1] * (self.levels + 2)
            shape[level] = self.order
            x[..., rounds == level] = nodes.reshape(shape)
        return x.reshape(-1, n)

    @cached_property
    def _axis(self) -> tuple[Vector, Vector]:
        """Nodes of one axis and what each adds to a log density in units of the normal one, shapes ``(order,)``."""
        nodes, log_weights = nodes_of(self.order, 1)
        return nodes[:, 0], log_weights + 0.5 * nodes[:, 0] ** 2

    @cached_property
    def _owned(self) -> sparse.csr_matrix:
        """Sums the terms of every latent coordinate: those of later rounds alone are not its own, shape ``(n, T)``."""
        owner = self.structure.owner_of_term
        (terms,) = np.nonzero(owner >= 0)
        shape = (self.structure.coordinates.size, owner.size)
        return sparse.csr_matrix((np.ones(terms.size), (owner[terms], terms)), shape)

    def owned(self, elements: Elements, points: Matrix) -> Matrix:
        """Sums of the terms of every latent coordinate at many points, shape ``(q, n)``, nats."""
        size = max(1, _CHUNK // max(elements.count, 1))
        chunks = [elements(points[i : i + size]) for i in range(0, len(points), size)]
        return np.concatenate([(self._owned @ terms.T).T for terms in chunks])

    def effective(self, weights: Matrix) -> float:
        """The smallest number of equally weighted draws that those of a block are worth; without end for nodes alone.

        Parameters
        ----------
        weights : ndarray, shape (q, n)
            Of `averages`; 0 for blocks that count for nothing.
        """
        if self.by_nodes:
            return np.inf
        rounds = self.structure.rounds
        drawn = weights.reshape(*self.grid, -1)[(0,) * self.levels][:, rounds >= self.levels]
        worth = np.sum(drawn**2, axis=0)
        return float(np.min(1.0 / worth[worth > 0], initial=float(self.draws)))

    def averages(self, sums: Matrix) -> tuple[Vector, Matrix]:
        """Log average of f in every block, and the posterior weights of the points.

        Parameters
        ----------
        sums : ndarray, shape (q, n)
            Of `owned`; all of a block may be in one of its coordinates where there are no levels.

        Returns
        -------
        averages : ndarray, shape (B,)
            In units of the Gaussian of the block, nats.
        weights : ndarray, shape (q, n)
            For the terms of every coordinate. Along the axes of which they know nothing the first node has it all.
        """
        rounds, blocks = self.structure.rounds, self.structure.block_of_position
        n, levels = rounds.size, self.levels
        heights, conditional = sums.reshape(*self.grid, n).copy(), []
        top = np.zeros((self.draws, self.structure.n_blocks))
        drawn = np.flatnonzero(rounds >= levels)
        halves = 0.5 * self.x.reshape(*self.grid, n)[(0,) * levels][:, drawn] ** 2
        top += _gathered(heights[(0,) * levels][:, drawn] + halves, blocks[drawn], self.structure.n_blocks)
        for level in range(levels):
            taken, inner, outer = self._parts(level)
            here = heights[(0,) * level][..., taken]
            here = here + self._axis[1].reshape(-1, *[1] * (here.ndim - 1))
            left = np.logaddexp.reduce(here, axis=0)
            conditional.append(np.exp(here - np.where(np.isfinite(left), left, 0.0)))
            above = heights[(0,) * (level + 1)]
            above += _gathered(left[..., inner], self.structure.parents[taken[inner]], n)
            first = left[(0,) * (levels - level - 1)]
            top += _gathered(first[:, outer], blocks[taken[outer]], self.structure.n_blocks)
        top -= np.log(self.draws)
        averages = np.logaddexp.reduce(top, axis=0)
        shares = np.exp(top - averages)
        weights = np.zeros((*self.grid, n))
        weights[(0,) * levels][:, drawn] = shares[:, blocks[drawn]]
        for level in reversed(range(levels)):
            taken, inner, outer = self._parts(level)
            given = np.zeros((*self.grid[level + 1 :], taken.size))
            given[..., inner] = weights[(0,) * (level + 1)][..., self.structure.parents[taken[inner]]]
            given[(0,) * (levels - level - 1)][:, outer] = shares[:, blocks[taken[outer]]]
            weights[(0,) * level][..., taken] = conditional[level] * given
        return averages, weights.reshape(-1, n)

    def _parts(self, level: int) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Positions of a level, and which of them depend on another level, or on draws or nothing."""
        taken = np.flatnonzero(self.structure.rounds == level)
        parents = self.structure.parents[taken]
        inner = (parents >= 0) & (self.structure.rounds[parents] < self.levels)
        return taken, inner, ~inner


def _gathered(values: Matrix, places: NDArray[np.int64], count: int) -> Matrix:
    """Sums over the last axis by place, shape ``(..., count)``."""
    chosen = sparse.csr_matrix((np.ones(places.size), (places, np.arange(places.size))), (count, places.size))
    rows = int(np.prod(values.shape[:-1]))
    return (chosen @ values.reshape(rows, places.size).T).T.reshape(*values.shape[:-1], count)


def nest_of(structure: Structure, draws: int, seed: int, order: int, whole: bool) -> Nest:
    """Nodes, draws, or both, as they suit the blocks of more than two latent coordinates.

    Parameters
    ----------
    structure : Structure
    draws : int
        How many points draws may take.
    seed : int
    order : int
        Nodes an axis, at most `FINEST`.
    whole : bool
        Whether blocks cannot be taken apart.

    Returns
    -------
    Nest
    """
    large = [group.ravel() for group in structure.groups if group.shape[1] > LARGE]
    if large and not whole:
        rounds = structure.rounds[np.concatenate(large)]
        levels = int(rounds.max()) + 1
        if levels <= ROUNDS and FINEST**levels * structure.coordinates.size <= _CELLS:
            return Nest(structure, levels, order, 1, seed)
        if np.mean(rounds == 0) >= _WORTH:
            inside = _INSIDE if order < FINEST else _FINER_INSIDE
            return Nest(structure, 1, inside, 2 * max(1, draws // (2 * inside)), seed)
    return Nest(structure, 0, 1, draws, seed)
