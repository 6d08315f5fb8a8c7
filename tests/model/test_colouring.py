"""A sparse symmetric matrix is known from a few of its sums of columns."""

import numpy as np
import pytest
from scipy import sparse

from workbench.model.colouring import readings, star_colours


def _crossed(rows, columns):
    """Every row meets every column: rows first, then columns."""
    pattern = np.eye(rows + columns, dtype=np.int32)
    pattern[:rows, rows:] = 1
    pattern[rows:, :rows] = 1
    return pattern


def _nested(groups, size):
    """Groups that meet each of their members: groups first."""
    pattern = np.eye(groups * (size + 1), dtype=np.int32)
    for k in range(groups * size):
        pattern[k // size, groups + k] = pattern[groups + k, k // size] = 1
    return pattern


def _walk(steps):
    return sum(np.eye(steps, k=k, dtype=np.int32) for k in (-1, 0, 1))


def _any(seed, count, share):
    pattern = np.random.default_rng(seed).random((count, count)) < share
    return (pattern | pattern.T | np.eye(count, dtype=bool)).astype(np.int32)


PATTERNS = {
    "crossed": (_crossed(60, 7), 8),
    "nested": (_nested(5, 12), 2),
    "walk": (_walk(40), 3),
    "dense": (np.ones((9, 9), dtype=np.int32), 9),
    "apart": (np.eye(6, dtype=np.int32), 1),
    **{f"any {seed}": (_any(seed, 40, 0.08), None) for seed in range(5)},
}


@pytest.mark.parametrize("name", PATTERNS)
def test_every_element_is_read_from_one_of_its_sides(name):
    pattern, count = PATTERNS[name]
    values = np.random.default_rng(1).normal(size=pattern.shape)
    matrix = (values + values.T) * pattern
    neighbours = sparse.csr_matrix(pattern)
    colours = star_colours(neighbours)
    assert sorted(np.concatenate(colours)) == list(range(len(matrix)))
    assert count is None or len(colours) == count
    sums = np.stack([matrix[:, members].sum(axis=1) for members in colours], axis=1)
    colour_of = np.empty(len(matrix), dtype=int)
    for c, members in enumerate(colours):
        colour_of[members] = c
    one_side = readings(neighbours, colours).toarray() * sums[:, colour_of]
    assert one_side + one_side.T == pytest.approx(matrix, abs=1e-12)
