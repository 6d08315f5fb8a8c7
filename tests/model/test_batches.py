"""Graphs vectorised over states equal the graphs state by state, and nothing loops that need not."""

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.graph.traversal import toposort
from pytensor.tensor.blockwise import Blockwise

from workbench.model.batches import over_states
from workbench.model.compiled import interpreted

GENERATOR = np.random.default_rng(4)
STATES = GENERATOR.integers(0, 3, size=(5, 4))
VECTOR, MATRIX = GENERATOR.normal(size=3), GENERATOR.normal(size=(4, 3))
k = pt.lvector("k", shape=(4,))
x, p = pt.vector("x", shape=(3,)), pt.matrix("p", shape=(4, 3))
ROWS, ROW = np.arange(4), np.arange(4)[:, None]
PLAIN = {
    "an element": x[k],
    "an element of a row": p[ROWS, k],
    "the same with one more axis": p[ROW, k[:, None]],
    "indices of unlike dimensions": p[ROW, k],
    "a row": p.T[k],
    "an index of an index": x[(x[k] > 0).astype(int)],
    "an index in a sum": (2.0 * x[k[:-1]] + x[k[1:]]).sum(),
    "a part that no state enters": pt.concatenate([x, k + 1.0]),
    "a part in the second axis": pt.concatenate([p, (k[:, None] * x)], axis=1),
    "nothing but states": pt.concatenate([k[1:], k]),
}
LOOPED = {"an array that the states change": (x * k[0])[k], "no index at all": x + k.sum()}


def compared(graph):
    (many,) = over_states([graph], {k: pt.constant(STATES)})
    (found,) = interpreted([x, p], [many], stable=False)(VECTOR, MATRIX)
    one = interpreted([x, p, k], [graph], stable=False)
    np.testing.assert_array_equal(found, np.stack([one(VECTOR, MATRIX, state)[0] for state in STATES]))
    return many


@pytest.mark.parametrize("name", PLAIN)
def test_indices_and_concatenations_are_those_of_every_state_without_a_loop(name):
    assert not any(isinstance(node.op, Blockwise) for node in toposort([compared(PLAIN[name])]))


@pytest.mark.parametrize("name", LOOPED)
def test_what_needs_a_loop_or_none_is_left_as_it_is(name):
    compared(LOOPED[name])
