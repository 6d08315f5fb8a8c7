"""In which order latent coordinates that share terms can be integrated out, a few rounds of them at once.

Coordinates that share no term can be integrated at the same time, each given the rest: the effects of pupils, given
those of their classes; then those of classes, given those of their schools. What a round leaves behind is a function of
all neighbours of what it took, so that these share a term from then on. Every coordinate then depends on those of later
rounds along one path, and an integral over hundreds of them takes as many nested sums as there are rounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

ROUNDS = 3  # of sums inside each other; what is left after them is not taken apart
_MOST = 1_000_000  # pairs that share a term: more take too long to follow


def eliminate(neighbours: sparse.csr_matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The round in which each position is integrated out, and the first of later rounds on which it then depends.

    Parameters
    ----------
    neighbours : sparse matrix, shape (n, n)
        Symmetric; not zero where two positions share a term.

    Returns
    -------
    rounds : ndarray of int, shape (n,)
        0 is first; `ROUNDS` stands for what is left after the last.
    parents : ndarray of int, shape (n,)
        -1 where there is none.
    """
    rows = np.split(neighbours.indices, neighbours.indptr[1:-1])
    if neighbours.nnz > _MOST:
        return np.full(len(rows), ROUNDS), np.full(len(rows), -1)
    found = [_taken(rows, gently) for gently in (True, False)]
    return min(found, key=lambda one: (np.sum(one[0] == ROUNDS), one[0].max(initial=0), -np.sum(one[0] == 0)))


def _taken(rows: list[NDArray[np.int32]], gently: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same, each round as large as it can be; or gently, of those alone, if any, whose neighbours all meet already.

    A school and its pupils share no term, but classes whose school was taken with their pupils all meet.
    """
    rounds, parents = np.full(len(rows), ROUNDS), np.full(len(rows), -1)
    near = [set(row.tolist()) - {k} for k, row in enumerate(rows)]
    left = list(range(len(rows)))
    for turn in range(ROUNDS):
        first = [k for k in left if all(near[k] <= near[other] | {other} for other in near[k])] if gently else []
        blocked: set[int] = set()
        for k in sorted(first or left, key=lambda k: len(near[k])):
            if k not in blocked:
                rounds[k] = turn
                blocked |= near[k]
        for k in (k for k in left if rounds[k] == turn):
            for other in near[k]:
                near[other] = (near[other] | near[k]) - {k, other}
        left = [k for k in left if rounds[k] > turn]
    for k in np.flatnonzero(rounds < ROUNDS).tolist():
        parents[k] = min(near[k], key=lambda other: rounds[other], default=-1)
    return rounds, parents
