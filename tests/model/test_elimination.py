"""Rounds in which coordinates that share terms are integrated out."""

import numpy as np
import pytest
from scipy import sparse

from workbench.model.elimination import ROUNDS, eliminate


def _pairs(count, *pairs):
    pattern = np.eye(count, dtype=np.int32)
    for i, j in pairs:
        pattern[i, j] = pattern[j, i] = 1
    return sparse.csr_matrix(pattern)


def test_pupils_come_before_their_classes_and_classes_before_their_schools():
    # two schools (0, 1), four classes (2 to 5), two pupils in each class
    above = {k: (k - 2) // 2 for k in range(2, 6)} | {k: 2 + (k - 6) // 2 for k in range(6, 14)}
    pairs = list(above.items()) + [(k, above[above[k]]) for k in range(6, 14)]
    rounds, parents = eliminate(_pairs(14, *pairs))
    assert rounds.tolist() == [2, 2, 1, 1, 1, 1, *[0] * 8]
    assert parents.tolist() == [-1, -1, *(above[k] for k in range(2, 14))]


def test_rows_of_a_table_come_first_and_its_many_columns_are_left():
    rounds, parents = eliminate(_pairs(26, *((i, j) for i in range(20) for j in range(20, 26))))
    assert np.all(rounds[:20] == 0)
    assert sorted(rounds[20:]) == [1, 2, ROUNDS, ROUNDS, ROUNDS, ROUNDS]
    assert np.all(parents[:20] == np.flatnonzero(rounds == 1))


@pytest.mark.parametrize("seed", range(4))
def test_what_a_round_takes_shares_nothing_with_the_rest_of_it(seed):
    rng = np.random.default_rng(seed)
    pattern = rng.random((30, 30)) < 0.06
    pattern = pattern | pattern.T | np.eye(30, dtype=bool)
    rounds, parents = eliminate(sparse.csr_matrix(pattern.astype(np.int32)))
    for turn in range(ROUNDS):
        taken = rounds == turn
        assert np.all(pattern[np.ix_(taken, taken)] == np.eye(taken.sum(), dtype=bool))
        assert np.all(rounds[parents[taken & (parents >= 0)]] > turn)
