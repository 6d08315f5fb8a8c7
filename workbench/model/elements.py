"""The terms of an integral over latent variables, one by one, and which coordinate enters which term.

    log f(u, theta) = sum_t term_t(u, theta)

Terms that share no latent coordinate can be integrated apart: a model with a thousand group effects has a thousand
integrals over one number, not one over a thousand. `Structure` finds the blocks by looking: coordinates are moved, and
the terms that change are noted. Coordinates of one variable are moved together by the binary digits of their index, so
that a thousand effects need twenty looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pytensor.graph.traversal import ancestors
from scipy import sparse
from scipy.sparse import csgraph

from workbench.errors import RefusalError
from workbench.model.blocks import AROUND, decode, looks
from workbench.model.colouring import readings, star_colours
from workbench.model.compiled import batched, interpreted
from workbench.model.constants import replaced
from workbench.model.density import LogDensity
from workbench.model.elimination import eliminate
from workbench.model.program import Weights, static_border
from workbench.numerics.objective import Objective, Vector

_CHUNK = 4_000_000  # terms evaluated at a time, 32 MB
_SINGLY = 5_000  # coordinates that can be moved one at a time
_FEW = 8  # latent coordinates of a term, all of which may meet in its Hessian


class Elements:
    """Every log likelihood term and every log prior term of the latent variables, at many points, on any data.

    What depends on the data alone is computed once per data set.

    Parameters
    ----------
    density : LogDensity
        With latent variables.

    Raises
    ------
    RefusalError
        If the transformation of a latent variable moves with a parameter, such as a Uniform between two of them.
    """

    def __init__(self, density: LogDensity) -> None:
        s, space = density.symbolic, density.space
        sides = [n for n, side in density.potentials.items() if side == "likelihood"]
        self._likelihood = {**density.likelihood_shapes, **dict.fromkeys(sides, ())}
        self._latent = density.latent_shapes
        moving = moving_support(density)
        if moving:
            raise RefusalError(
                f"the support of the latent variable {moving} moves with a parameter",
                moving,
                "write it as a variable with a fixed support, scaled and shifted by the parameters",
            )
        jacobians = [g for n, g in s.log_jacobian.items() if n in density.latents]
        graphs = [s.log_likelihood[n] if n in s.log_likelihood else s.potential[n].sum() for n in self._likelihood]
        graphs += [s.log_prior[n] if n in s.log_prior else s.potential[n].sum() for n in self._latent]
        graphs = space.on_vector([*graphs, *jacobians])
        derived = static_border(graphs, [space.vector], s.data.values())
        self._derive = interpreted(list(s.data.values()), derived) if derived else lambda *_: []
        inputs = [variable.type() for variable in derived]
        self._call = batched(space.vector, replaced(graphs, dict(zip(derived, inputs, strict=True))), inputs)
        self._observed = s.observed
        self._static = self._derive(*s.observed.values())
        self.count = int(sum(array.size for array in self._call(space.start[None], *self._static)))

    def with_data(self, data: Mapping[str, NDArray]) -> Elements:
        """The same terms on other observations of the same shape, by observed variable."""
        other = object.__new__(Elements)
        arrays = [np.asarray(data.get(n, array)).astype(array.dtype) for n, array in self._observed.items()]
        other.__dict__.update(self.__dict__, _static=self._derive(*arrays))
        return other

    @property
    def observations(self) -> dict[str, slice]:
        """Observed variable, or potential in the likelihood -> its place among the terms."""
        position, found = 0, {}
        for name, shape in self._likelihood.items():
            found[name] = slice(position, position + int(np.prod(shape)))
            position = found[name].stop
        return found

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Every term at many points, shape ``(m, count)``, nats."""
        points = np.atleast_2d(points)
        size = max(1, _CHUNK // max(self.count, 1))
        parts = [self._call(points[i : i + size], *self._static) for i in range(0, len(points), size)]
        return np.concatenate([np.concatenate([a.reshape(len(a), -1) for a in part], axis=1) for part in parts])

    def weights(self, vector: Vector) -> Weights:
        """The weights of a density that weigh each term by an element of a vector of shape ``(count,)``."""
        position, found = 0, []
        for shapes in (self._likelihood, self._latent):
            arrays = {}
            for name, shape in shapes.items():
                size = int(np.prod(shape))
                arrays[name] = vector[position : position + size].reshape(shape)
                position += size
            found.append(arrays)
        return Weights(prior=0.0, jacobian=0.0, likelihood=found[0], latent=found[1])


def moving_support(density: LogDensity) -> str:
    """The first latent variable whose transformation depends on a parameter, such as a Uniform between two; or ''."""
    s = density.symbolic
    parameters = {variable for name, variable in s.values.items() if name not in density.latents}
    for name in density.latents:
        if name in s.log_jacobian and parameters & set(ancestors([s.log_jacobian[name]])):
            return name
    return ""


@dataclass(frozen=True)
class Structure:
    """Which latent coordinates can be integrated apart.

    Attributes
    ----------
    coordinates : ndarray of int, shape (n,)
        The latent coordinates of z.
    groups : tuple of ndarray of int
        Blocks of one size each: shapes ``(B_s, s)``, positions in `coordinates`.
    block_of_term : ndarray of int, shape (T,)
        The block of every term, numbered through the groups in order; -1 where no latent variable enters.
    colours : tuple of ndarray of int
        Sets of positions that can be moved at once (`workbench.model.colouring`).
    neighbours : sparse matrix, shape (n, n)
        Not zero where two positions enter a common term.
    rounds, parents : ndarray of int, shape (n,)
        In which order positions can be integrated out (`workbench.model.elimination`); blocks list them in that order.
    owner_of_term : ndarray of int, shape (T,)
        The position of the earliest round that enters each term; -1 where none does.
    """

    coordinates: NDArray[np.int64]
    groups: tuple[NDArray[np.int64], ...]
    block_of_term: NDArray[np.int64]
    colours: tuple[NDArray[np.int64], ...]
    neighbours: sparse.csr_matrix
    rounds: NDArray[np.int64]
    parents: NDArray[np.int64]
    owner_of_term: NDArray[np.int64]

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return sum(len(group) for group in self.groups)

    @property
    def block_of_position(self) -> NDArray[np.int64]:
        """The block of every position in `coordinates`, shape ``(n,)``."""
        found = np.empty(self.coordinates.size, dtype=np.int64)
        for numbers, group in self.numbered():
            found[group] = np.arange(numbers.start, numbers.stop)[:, None]
        return found

    def holds_for(self, density: LogDensity, elements: Elements) -> bool:
        """Whether the terms of other data move with the latent coordinates of their own block alone.

        A count of zero may tell nothing of a latent variable where another count would. Blocks are moved together by
        the binary digits of their numbers; a term may only change with a set that holds its block.

        Parameters
        ----------
        density : LogDensity
        elements : Elements
            On the other data.
        """
        places_on_z, generator = _places(density, 0)
        digits = max(1, int(np.ceil(np.log2(max(self.n_blocks, 2)))))
        places = np.arange(digits)[:, None]
        step = generator.uniform(0.1, 0.3, size=self.coordinates.size)
        moves, allowed = np.zeros((2 * digits, density.space.dimension)), []
        for side in (0, 1):
            rows = slice(side * digits, (side + 1) * digits)
            moves[rows, self.coordinates] = np.where((self.block_of_position >> places) & 1 == side, step, 0.0)
            allowed.append(((self.block_of_term >> places) & 1 == side) & (self.block_of_term >= 0))
        outside = ~np.concatenate(allowed)
        return not any(np.any(_changed(elements, z, moves) & outside) for z in places_on_z)

    @cached_property
    def readings(self) -> sparse.csr_matrix:
        """From which side an element of the Hessian is read when a colour moves, shape ``(n, n)``."""
        return readings(self.neighbours, self.colours)

    @cached_property
    def terms_of(self) -> dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """First block of a group -> its terms, block after block, and where each block begins among them."""
        found, blocks = {}, self.block_of_term
        for numbers, _ in self.numbered():
            mine = np.flatnonzero((blocks >= numbers.start) & (blocks < numbers.stop))
            order = mine[np.argsort(blocks[mine], kind="stable")]
            starts = np.searchsorted(blocks[order], np.arange(numbers.start, numbers.stop))
            found[numbers.start] = order, starts
        return found

    def numbered(self) -> Iterator[tuple[slice, NDArray[np.int64]]]:
        """Every group with the range of its blocks' numbers."""
        position = 0
        for group in self.groups:
            yield slice(position, position + len(group)), group
            position += len(group)


def _places(density: LogDensity, seed: int) -> tuple[list[Vector], np.random.Generator]:
    """Points near the start at which terms are looked at, so that no coincidence hides a dependence."""
    generator = np.random.default_rng(seed)
    aside = generator.uniform(-1.0, 1.0, size=density.space.dimension)
    return [density.space.start + size * aside for size in AROUND], generator


def _changed(elements: Elements, z: Vector, moves: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which terms change under each of several moves, shape ``(m, T)``."""
    size = max(1, _CHUNK // max(elements.count, 1))
    chunks = [moves[i : i + size] for i in range(0, len(moves), size)]
    # Beside as many points that do not move: a matrix product rounds one way alone, and another among others.
    return np.concatenate([elements(z + some) != elements(np.tile(z, (len(some), 1))) for some in chunks])


def _dependence(elements: Elements, z: Vector, block: NDArray[np.int64], generator: np.random.Generator) -> NDArray:
    """Pairs (term, position in the block) of one latent variable, shape ``(2, pairs)``."""
    n = len(block)
    step = generator.uniform(0.1, 0.3, size=n) * generator.choice([-1.0, 1.0], size=n)
    chosen = np.array(list(looks(n)))
    moves = np.zeros((len(chosen), z.size))
    moves[:, block] = np.where(chosen, step, 0.0)
    single, several = decode(_changed(elements, z, moves))
    pairs = [single[::-1]]
    if several.size:
        common = np.zeros(elements.count, dtype=bool)
        common[several] = True
        if n > _SINGLY:
            raise RefusalError(
                f"{n} latent values enter common terms; more than {_SINGLY} cannot be taken apart", "latents",
                "use draws: study.posterior.draws()",
            )  # fmt: skip
        for start in range(0, n, 256):
            some = np.arange(start, min(start + 256, n))
            single_moves = np.zeros((len(some), z.size))
            single_moves[np.arange(len(some)), block[some]] = step[some]
            position, term = np.nonzero(_changed(elements, z, single_moves) & common)
            pairs.append(np.stack([term, some[position]]))
    return np.concatenate(pairs, axis=1)


def _pattern(objective: Objective, z: Vector, coordinates: NDArray[np.int64], step: Vector) -> sparse.csr_matrix:
    """Where the Hessian over the latent coordinates differs from zero: which slopes change when one of them moves.

    A term such as the log density of a random walk holds all its steps, but only neighbours meet in the Hessian.
    """
    base = objective.value_and_gradient(z)[1][coordinates]
    rows, columns = [np.arange(coordinates.size)], [np.arange(coordinates.size)]
    for k, coordinate in enumerate(coordinates):
        moved = z.copy()
        moved[coordinate] += step[k]
        changed = np.flatnonzero(objective.value_and_gradient(moved)[1][coordinates] != base)
        rows += [changed, np.full(changed.size, k)]
        columns += [np.full(changed.size, k), changed]
    r, c = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.ones(r.size, dtype=np.int32), (r, c)), (coordinates.size,) * 2)


def find_structure(density: LogDensity, elements: Elements, objective: Objective, seed: int = 0) -> Structure:
    """Blocks of latent coordinates that enter no common term.

    Parameters
    ----------
    density : LogDensity
    elements : Elements
    objective : Objective
        The same integrand, with its gradient.
    seed : int
        Of the point at which the terms are looked at, so that no coincidence hides a dependence.

    Returns
    -------
    Structure

    Raises
    ------
    RefusalError
        If too many latent values enter common terms.
    """
    space, (places, generator) = density.space, _places(density, seed)
    blocks = [np.arange(space.blocks[name].start, space.blocks[name].stop) for name in density.latents]
    coordinates, pairs, position = np.concatenate(blocks), [], 0
    for block in blocks:
        for z in places:
            found = _dependence(elements, z, block, generator)
            pairs.append(np.stack([found[0], found[1] + position]))
        position += len(block)
    terms, latents = np.concatenate(pairs, axis=1)
    enters = sparse.csr_matrix((np.ones(terms.size, dtype=np.int32), (terms, latents)), (elements.count, position))
    neighbours = (enters.T @ enters).tocsr()
    number, component = csgraph.connected_components(neighbours, directed=False)
    sizes = np.bincount(component, minlength=number)
    rounds, parents = eliminate(neighbours)
    order = np.lexsort((rounds, component, sizes[component]))
    groups, rank = [], np.empty(number, dtype=np.int64)
    begin = 0
    for size in np.unique(sizes):
        chosen = order[sizes[component[order]] == size].reshape(-1, size)
        rank[component[chosen[:, 0]]] = begin + np.arange(len(chosen))
        begin += len(chosen)
        groups.append(chosen)
    if sizes.max() > 2:
        step = generator.uniform(0.05, 0.1, size=position)
        held = np.diff(enters.indptr)
        few = enters[np.flatnonzero(held <= _FEW)]
        neighbours = (few.T @ few).tocsr()
        if np.any(held > _FEW):  # a walk holds all its steps in one term, of which only those beside each other meet
            neighbours = sum((_pattern(objective, z, coordinates, step) for z in places), neighbours).tocsr()
    block_of_term = np.full(elements.count, -1, dtype=np.int64)
    block_of_term[terms] = rank[component[latents]]
    owner = np.full(elements.count, -1, dtype=np.int64)
    last_first = np.argsort(-rounds[latents], kind="stable")
    owner[terms[last_first]] = latents[last_first]
    return Structure(
        coordinates, tuple(groups), block_of_term, star_colours(neighbours), neighbours, rounds, parents, owner
    )
