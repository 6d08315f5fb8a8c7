"""Discrete variables summed out of the log density, before anything is compiled.

    log p(y given theta) = sum_b log sum_s p(block b given theta, states s)

A label k_i that only its own observations and its own prior depend on can be summed out by itself: a mixture of n
observations is n sums over K labels, not one over K^n. Blocks of elements that enter a common term are found by
looking: elements are moved, and the terms that change are noted. Then every block is put into the same state at once,
so that the J joint states of a block cost J evaluations of the terms, however many blocks there are.

What is left is a model without the discrete variables, of which every question can be asked. Their values come back
at draws, from their exact conditional distribution given everything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import disconnected_grad
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors

from workbench.model.batches import over_states
from workbench.model.blocks import AROUND, Blocks, decode, find_blocks, looks
from workbench.model.compiled import interpreted, without_traces
from workbench.model.terms import SymbolicTerms, is_discrete

_STATES = 1024  # joint states of one block that are enumerated
_WORK = 20_000_000  # states times terms of one evaluation: 160 MB
_LOOKS = 2  # random places at which dependence is looked for, one at each distance
_VALUES = 256  # to which an element is moved there, where it has more


@dataclass(frozen=True)
class Summation:
    """The discrete variables of a model that were summed out, and how to get them back.

    Attributes
    ----------
    terms : SymbolicTerms
        Of the model as it was written, discrete variables included.
    shapes : dict of str to tuple of int
        Discrete variable -> its shape.
    deterministics : tuple of str
        Those that a discrete variable enters; they exist at draws only.
    states : ndarray of int, shape (J, S)
        Joint states of a block: one column for every (variable, rank) in `slots`.
    slots : dict of (str, int) to int
        (discrete variable, rank of an element in its block) -> column of `states`.
    log_weights : pytensor matrix, shape (J, B)
        Log density of the terms of every block in every state, nats, over the value variables.
    kept : ndarray of bool, shape (B,)
        Blocks that stand in the likelihood or a prior; the sum over the others is 1.
    owners : tuple of str
        Other variables whose log density a discrete variable entered.
    blocks : Blocks
    members : dict of str to tuple of ndarray of int
        Other variable -> for each of the log density terms that it is left with, the terms of the model as it was
        written (numbered in C order) that stand in it, in the order of the first of them.
    joined : tuple of str
        Observed variables in whose terms those of another observed variable stand as well.
    """

    terms: SymbolicTerms
    shapes: dict[str, tuple[int, ...]]
    deterministics: tuple[str, ...]
    states: NDArray[np.int64]
    slots: dict[tuple[str, int], int]
    log_weights: Variable
    kept: NDArray[np.bool_]
    owners: tuple[str, ...]
    blocks: Blocks
    members: dict[str, tuple[NDArray[np.int64], ...]]
    joined: tuple[str, ...]

    @property
    def work(self) -> int:
        """Terms in all states together."""
        return len(self.states) * sum(of_term.size for of_term in self.blocks.of_term.values())

    @property
    def names(self) -> tuple[str, ...]:
        """The discrete variables."""
        return tuple(self.shapes)


class _CannotSum(Exception):
    """Why discrete variables stay in the model: the variable, and the reason after its name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")


def _support(name: str, rv: Variable, parameters: list[NDArray], moving: list[bool]) -> NDArray[np.int64]:
    """The values that a discrete variable can take, in increasing order."""
    kind = type(rv.owner.op).__name__.removesuffix("RV")
    if kind == "Bernoulli":
        return np.arange(2)
    if kind == "Categorical":
        return np.arange(parameters[0].shape[-1])
    bounds = {"Binomial": (None, 0), "BetaBinomial": (None, 0), "DiscreteUniform": (0, 1)}.get(kind)
    if bounds is None:
        raise _CannotSum(name, f"is {kind}, whose values are not a known finite set")
    low, high = bounds
    if moving[high] or (low is not None and moving[low]):
        raise _CannotSum(name, "takes values between bounds that move with a parameter")
    least = 0 if low is None else int(np.min(parameters[low]))
    return np.arange(least, int(np.max(parameters[high])) + 1)


class _Table:
    """The terms of a model that discrete variables enter, for any values of these."""

    def __init__(self, terms: SymbolicTerms, names: Sequence[str]) -> None:
        self.names = tuple(names)
        values = {terms.values[n] for n in names}
        self.graphs: dict[tuple[str, str], Variable] = {}
        kinds = {"prior": terms.log_prior, "likelihood": terms.log_likelihood, "potential": terms.potential}
        for kind, group in kinds.items():
            for owner, graph in group.items():
                touched = values & set(ancestors([graph]))
                if touched and kind == "potential":
                    raise _CannotSum(min(v.name for v in touched), f"enters the potential {owner}")
                if touched:
                    self.graphs[kind, owner] = graph
        for owner, graph in terms.log_jacobian.items():
            if values & set(ancestors([graph, terms.free[owner]])):
                raise _CannotSum(self.names[0], f"enters the support of {owner}")
        self._free = [v for n, v in terms.values.items() if n not in self.names]
        discrete = [terms.values[n] for n in self.names]
        inputs = [*self._free, *discrete, *terms.data.values()]
        self._call = interpreted(inputs, list(self.graphs.values()), stable=False)
        self._observed = list(terms.observed.values())

    def __call__(self, free: list[NDArray], discrete: list[NDArray]) -> list[NDArray]:
        """Every term, elementwise."""
        inputs = [np.asarray(a, dtype=v.dtype) for a, v in zip(free, self._free, strict=True)]
        return self._call(*inputs, *discrete, *self._observed)


def _differ(one: list[NDArray], other: list[NDArray]) -> NDArray[np.bool_]:
    """Which elements of all terms differ, side by side; NaN equals NaN."""
    pairs = zip(one, other, strict=True)
    return np.concatenate([np.ravel((a != b) & ~(np.isnan(a) & np.isnan(b))) for a, b in pairs])


def _dependence(
    table: _Table, start: list[NDArray], supports: Mapping[str, NDArray[np.int64]], shapes: Mapping[str, tuple]
) -> list[NDArray[np.int64]]:
    """Pairs (element of a discrete variable, term that changes with it), numbered side by side, each of shape (2, m).

    Elements are moved together by the binary digits of their number, so that a thousand labels need twenty looks.
    """
    generator, pairs = np.random.default_rng(0), []
    for look in range(_LOOKS):
        reach = AROUND[look % len(AROUND)]
        free = [a + generator.uniform(-reach, reach, size=np.shape(a)) for a in start]
        base = [generator.choice(supports[n], size=shapes[n]) for n in table.names]
        at_base, offset = table(free, base), 0
        for position, name in enumerate(table.names):
            size, support = base[position].size, supports[name]
            for value in support if len(support) <= _VALUES else generator.choice(support, _VALUES, replace=False):
                seen = []
                for chosen in looks(size):
                    moved = list(base)
                    moved[position] = np.where(chosen.reshape(shapes[name]), value, base[position])
                    seen.append(_differ(table(free, moved), at_base))
                single, several = decode(np.array(seen))
                if several.size and size > _STATES:
                    raise _CannotSum(name, "has elements that enter a common term: they are not independent")
                # Which of its elements enter a term with several is not known; all of them together is always right.
                every = np.stack([np.repeat(np.arange(size), several.size), np.tile(several, size)])
                pairs.append(np.concatenate([single, every], axis=1) + [[offset], [0]])
            offset += size
    return pairs


def _own_priors(
    names: Sequence[str], shapes: Mapping[str, tuple[int, ...]], term_shapes: Mapping[tuple[str, str], tuple[int, ...]]
) -> NDArray[np.int64]:
    """Pairs (element, term) of every element and its own log prior, which does not move where the prior is uniform."""
    places = dict(zip(term_shapes, np.cumsum([0, *(int(np.prod(s)) for s in term_shapes.values())]), strict=False))
    found, offset = [], 0
    for name in names:
        size = int(np.prod(shapes[name]))
        if term_shapes["prior", name] != shapes[name]:
            raise _CannotSum(name, "is a vector with one log density: its elements are not independent of each other")
        found.append(np.stack([offset + np.arange(size), places["prior", name] + np.arange(size)]))
        offset += size
    return np.concatenate(found, axis=1)


def _owners(table: _Table, blocks: Blocks, order: Sequence[tuple[str, str]]) -> NDArray[np.int64]:
    """The owner of every block, as a position in `order`; -1 for a block of nothing but discrete priors."""
    owner = np.full(blocks.count, -1)
    kinds = np.array([kind for kind, _ in order] or [""])
    for position, key in reversed(list(enumerate(order))):
        mine = np.unique(blocks.of_term[key])
        mine = mine[mine >= 0]
        clash = mine[(owner[mine] >= 0) & ((kinds[owner[mine]] != key[0]) | (key[0] == "prior"))]
        if clash.size:
            other = order[owner[clash[0]]][1]
            raise _CannotSum(table.names[0], f"enters both the {key[0]} of {key[1]} and that of {other}")
        owner[mine] = position
    return owner


def log_sum_exp(terms: Variable) -> Variable:
    """Log of the sum of exponentials over the leading axis; ``-inf`` where all are, without NaN on the way."""
    top = disconnected_grad(pt.max(terms, axis=0))
    top = pt.switch(pt.isinf(top), 0.0, top)
    return pt.log(pt.exp(terms - top).sum(axis=0)) + top


def _log_weights(
    terms: SymbolicTerms, table: _Table, blocks: Blocks, states: NDArray[np.int64], slots: Mapping, shapes: Mapping
) -> tuple[Variable, dict[tuple[str, str], Variable]]:
    """Log density of every block in every state, shape (J, B); the elements of the terms that no state enters."""
    constants = {}
    for name in table.names:
        columns = [slots[name, rank] for rank in blocks.rank[name]]
        array = states[:, columns].reshape(len(states), *shapes[name])
        constants[terms.values[name]] = pt.constant(array.astype(terms.values[name].dtype))
    graphs = over_states(list(table.graphs.values()), constants)
    total, rest = None, {}
    for key, graph in zip(table.graphs, graphs, strict=True):
        of_term = blocks.of_term[key].ravel()
        flat = graph.reshape((len(states), of_term.size)).T  # lengths that are known spare compiled code its checks
        inside = np.flatnonzero(of_term >= 0)
        if inside.size < of_term.size:
            rest[key] = flat[np.flatnonzero(of_term < 0), 0]
        if np.array_equal(of_term, np.arange(blocks.count)):
            part = flat
        else:
            part = pt.zeros((blocks.count, len(states)))[of_term[inside]].inc(flat[inside])
        total = part if total is None else total + part
    assert total is not None  # every element has a prior
    return total.T, rest


def _allowed(blocks: Blocks, slots: Mapping[tuple[str, int], int], states: NDArray[np.int64]) -> NDArray[np.float64]:
    """0 where a state counts for a block, -inf where it differs only in an element that the block does not have."""
    present = np.zeros((len(slots), blocks.count), dtype=bool)
    for name, of_element in blocks.of_element.items():
        for element, block in enumerate(of_element):
            present[slots[name, blocks.rank[name][element]], block] = True
    idle = (states != states[0]).astype(np.int64) @ (~present).astype(np.int64)
    return np.where(idle > 0, -np.inf, 0.0)


@without_traces()
def sum_out(terms: SymbolicTerms) -> tuple[SymbolicTerms, Summation | None, str]:
    """The terms of a model without its discrete variables, where they can be summed out.

    Parameters
    ----------
    terms : SymbolicTerms

    Returns
    -------
    terms : SymbolicTerms
        Without discrete variables; as given where there are none, or where they have to stay.
    summation : Summation or None
        None where nothing was summed out.
    reason : str
        Why discrete variables have to stay; empty where none does.
    """
    names = [n for n, v in terms.values.items() if is_discrete(v)]
    if not names:
        return terms, None, ""
    if len(names) == len(terms.values):
        return terms, None, f"{names[0]} has no continuous variable beside it: nothing would be left"
    try:
        summation, rest, owner, order = _summation(terms, names)
    except _CannotSum as error:
        return terms, None, str(error)
    return _without(terms, summation, rest, owner, order), summation, ""


def _summation(terms: SymbolicTerms, names: list[str]) -> tuple[Summation, dict, NDArray[np.int64], list]:
    """The sum over the discrete variables.

    Raises
    ------
    _CannotSum
        If their values are no finite set, or too many of them hang together.
    """
    table = _Table(terms, names)
    parts = dict(zip(terms.start, interpreted([], list(terms.start.values()), stable=False)(), strict=True))
    start = [parts[n] for n in terms.values if n not in names]
    shapes = {n: np.shape(parts[n]) for n in names}
    supports = {n: _support(n, terms.variables[n], *_parameters_of(terms, n, parts)) for n in names}
    term_shapes = {key: a.shape for key, a in zip(table.graphs, table(start, [parts[n] for n in names]), strict=True)}
    pairs = [_own_priors(names, shapes, term_shapes), *_dependence(table, start, supports, shapes)]
    blocks = find_blocks(names, np.concatenate(pairs, axis=1), shapes, term_shapes)
    ranks = {n: int(blocks.rank[n].max(initial=-1)) + 1 for n in names}
    number = float(np.prod([float(len(supports[n])) ** ranks[n] for n in names]))
    size = sum(int(np.prod(shape)) for shape in term_shapes.values())
    if number > _STATES or number * size > _WORK:
        together = max(names, key=ranks.__getitem__)
        raise _CannotSum(together, f"has too many values to add up: {number:.3g} joint states of {size} terms")
    slots = {(n, rank): 0 for n in names for rank in range(ranks[n])}
    slots = dict(zip(slots, range(len(slots)), strict=True))
    states = np.array(list(itertools.product(*(supports[n] for n, _ in slots))), dtype=np.int64)
    order = [key for key in table.graphs if key[1] not in names]
    owner = _owners(table, blocks, order)
    log_weights, rest = _log_weights(terms, table, blocks, states, slots, shapes)
    allowed = _allowed(blocks, slots, states)
    log_weights = log_weights if np.all(allowed == 0.0) else log_weights + pt.constant(allowed)
    moved = {terms.values[n] for n in names}
    entered = tuple(n for n, g in terms.deterministic.items() if moved & set(ancestors([g])))
    owners = tuple(name for _, name in order)
    members, joined = _members(blocks, owner, order)
    found = Summation(terms, shapes, entered, states, slots, log_weights, owner >= 0, owners, blocks, members, joined)
    return found, rest, owner, order


def _members(
    blocks: Blocks, owner: NDArray[np.int64], order: Sequence[tuple[str, str]]
) -> tuple[dict[str, tuple[NDArray[np.int64], ...]], tuple[str, ...]]:
    """Which terms stand together in each that is left, by their owner, and the owners that hold those of others."""
    members, joined = {}, []
    for position, key in enumerate(order):
        of_term = blocks.of_term[key].ravel()
        by_block = np.argsort(of_term, kind="stable")
        numbers, starts = np.unique(of_term[by_block], return_index=True)
        together = dict(zip(numbers.tolist(), np.split(by_block, starts[1:]), strict=True))
        alone = together.pop(-1, np.zeros(0, dtype=np.int64))
        mine = [block for block in together if owner[block] == position]
        sets = [*(together[block] for block in mine), *alone[:, None]]
        members[key[1]] = tuple(sorted(sets, key=lambda places: int(places[0])))
        others = [blocks.of_term[other] for other in order if other[0] == "likelihood" and other != key]
        if any(np.any(np.isin(mine, array)) for array in others):
            joined.append(key[1])
    return members, tuple(joined)


def _parameters_of(terms: SymbolicTerms, name: str, start: Mapping[str, NDArray]) -> tuple[list[NDArray], list[bool]]:
    """The parameters of a discrete variable's distribution at the start, and whether each moves with variables."""
    graphs = terms.parameters[name]
    values = list(terms.values.values())
    arrays = interpreted(values, graphs, stable=False)(
        *[np.asarray(start[n], dtype=v.dtype) for n, v in terms.values.items()]
    )
    return arrays, [bool(set(values) & set(ancestors([g]))) for g in graphs]


def _without(
    terms: SymbolicTerms, summation: Summation, rest: Mapping, owner: NDArray[np.int64], order: list
) -> SymbolicTerms:
    """The terms that are left: sums over blocks where discrete variables entered, everything else as it was."""
    names = set(summation.names)
    sums = log_sum_exp(summation.log_weights)
    log_prior = {n: g for n, g in terms.log_prior.items() if n not in names}
    log_likelihood = dict(terms.log_likelihood)
    for position, key in enumerate(order):
        mine = np.flatnonzero(owner == position)
        of_term = summation.blocks.of_term[key]
        group = log_prior if key[0] == "prior" else log_likelihood
        if mine.size == of_term.size == summation.blocks.count and np.array_equal(of_term.ravel(), mine):
            group[key[1]] = sums.reshape(of_term.shape)  # one block an observation: nothing changes its place
            continue
        parts = [sums[mine]] if mine.size else []
        parts += [rest[key]] if key in rest else []
        if parts:
            # In the order of the observations, so that a term and what stands beside it belong together.
            numbers, places = np.unique(of_term, return_index=True)
            first = np.append(places[np.searchsorted(numbers, mine)], np.flatnonzero(of_term.ravel() < 0))
            left = pt.concatenate(parts) if len(parts) > 1 else parts[0]
            left = left if np.all(np.diff(first) > 0) else left[np.argsort(first)]
            group[key[1]] = left.reshape(of_term.shape) if first.size == of_term.size else left
        else:
            del group[key[1]]  # its terms stand with another variable of the same blocks
    kept = {n: v for n, v in terms.values.items() if n not in names}
    return replace(
        terms,
        values=kept,
        log_prior=log_prior,
        log_likelihood=log_likelihood,
        free={n: g for n, g in terms.free.items() if n in kept},
        deterministic={n: g for n, g in terms.deterministic.items() if n not in summation.deterministics},
        start={n: g for n, g in terms.start.items() if n in kept},
        variables={n: v for n, v in terms.variables.items() if n in kept},
    )
