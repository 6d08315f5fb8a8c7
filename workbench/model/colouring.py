"""Sets of coordinates that can be moved at once, so that a sparse symmetric matrix is known from few differences.

A column of the Hessian is what the gradient changes when its coordinate moves. Where several coordinates move at once
row r still shows one element alone if it meets one of them only. By symmetry each element need be seen from one of its
two sides: in a table of people by items all people move at once, which shows their diagonal, and each item alone, which
shows where it meets them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


def star_colours(neighbours: sparse.csr_matrix) -> tuple[NDArray[np.int64], ...]:
    """Sets of positions such that every element of the matrix is alone in its row or, mirrored, in its column.

    Parameters
    ----------
    neighbours : sparse matrix, shape (n, n)
        Symmetric; not zero where two positions meet.

    Returns
    -------
    tuple of ndarray of int
        A restricted star colouring: no two neighbours have one colour, and where two neighbours of a position do, its
        own comes before theirs.

    References
    ----------
    Gebremedhin, A. H., Manne, F. and Pothen, A. (2005). What color is your Jacobian? Graph coloring for computing
    derivatives, section 4. doi:10.1137/S0036144504444711
    """
    n = neighbours.shape[0]
    near = [row[row != k] for k, row in enumerate(np.split(neighbours.indices, neighbours.indptr[1:-1]))]
    colour, used = np.full(n, -1), 0
    for k in np.argsort([-row.size for row in near], kind="stable"):
        taken = np.zeros(used + 1, dtype=bool)
        taken[colour[near[k]][colour[near[k]] >= 0]] = True
        if not taken[:used].all():  # else it needs a new one whatever lies two steps away
            middle = np.repeat(colour[near[k]], [near[w].size for w in near[k]])
            far = colour[np.concatenate([near[w] for w in near[k]])] if near[k].size else middle
            taken[far[(far >= 0) & ((middle < 0) | (middle > far))]] = True
        colour[k] = np.argmin(taken)
        used = max(used, int(colour[k]) + 1)
    return tuple(np.flatnonzero(colour == c) for c in range(used))


def readings(neighbours: sparse.csr_matrix, colours: tuple[NDArray[np.int64], ...]) -> sparse.csr_matrix:
    """From which side each element is read: 1 where row r alone shows it, a half where both do, else 0.

    Parameters
    ----------
    neighbours : sparse matrix, shape (n, n)
    colours : tuple of ndarray of int
        Of `star_colours`.

    Returns
    -------
    sparse matrix, shape (n, n)
        With its mirror image it adds up to 1 wherever two positions meet.
    """
    n = neighbours.shape[0]
    colour, pattern = np.empty(n, dtype=np.int64), neighbours.astype(bool).astype(np.int32).tocoo()
    for c, members in enumerate(colours):
        colour[members] = c
    chosen = sparse.csr_matrix((np.ones(n, dtype=np.int32), (np.arange(n), colour)), (n, len(colours)))
    met = (pattern.tocsr() @ chosen).toarray()
    alone = met[pattern.row, colour[pattern.col]] == 1
    mirrored = met[pattern.col, colour[pattern.row]] == 1
    share = alone / np.maximum(alone.astype(int) + mirrored, 1)
    return sparse.csr_matrix((share, (pattern.row, pattern.col)), (n, n))
