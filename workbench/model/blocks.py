"""Which elements of a model hang together: found by moving them and noting the log density terms that change.

Elements of one variable are moved together by the binary digits of their number, so that a thousand of them need
twenty looks: a term that changes with the digits of one number alone holds that element and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

# How far from the start to look: so far that no product is 0, and so near that a logit with a covariate in the
# thousands, which saturates at any coefficient of ordinary size, still moves.
AROUND = (0.3, 1e-5)


def looks(n: int) -> Iterator[NDArray[np.bool_]]:
    """Which of n elements to move at every look: those with a 1 at each binary digit, then those with a 0.

    Parameters
    ----------
    n : int

    Yields
    ------
    ndarray of bool, shape (n,)

    Examples
    --------
    >>> [look.astype(int).tolist() for look in looks(3)]
    [[0, 1, 0], [1, 0, 1], [0, 0, 1], [1, 1, 0]]
    """
    for digit in range(max(1, int(n - 1).bit_length())):
        for wanted in (1, 0):
            yield (np.arange(n) >> digit) & 1 == wanted


def decode(changed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The element that a term holds, from the looks at which it changed.

    Parameters
    ----------
    changed : ndarray of bool, shape (looks, T)
        Whether each term changed, in the order of `looks`.

    Returns
    -------
    pairs : ndarray of int, shape (2, m)
        Element and term, for every term with one element.
    several : ndarray of int
        Terms that hold more than one.

    Examples
    --------
    >>> import numpy as np
    >>> decode(np.array([[0, 0, 1], [1, 0, 1], [1, 0, 1], [0, 0, 0]], dtype=bool))
    (array([[2],
           [0]]), array([2]))
    """
    ones, zeros = changed[::2], changed[1::2]
    both, any_ = np.any(ones & zeros, axis=0), np.any(changed, axis=0)
    single = np.flatnonzero(any_ & ~both)
    element = (ones[:, single].astype(np.int64) << np.arange(len(ones))[:, None]).sum(axis=0)
    return np.stack([element, single]), np.flatnonzero(both)


@dataclass(frozen=True)
class Blocks:
    """Which elements and which terms belong together.

    Attributes
    ----------
    count : int
        Blocks B.
    of_element : dict of str to ndarray of int
        Discrete variable -> block of each element, in C order.
    rank : dict of str to ndarray of int
        Discrete variable -> number of each element among those of the same variable in its block.
    of_term : dict of (str, str) to ndarray of int
        (kind, owner) of a log density term -> block of each element, in its shape; -1 where none of them enters.
    """

    count: int
    of_element: dict[str, NDArray[np.int64]]
    rank: dict[str, NDArray[np.int64]]
    of_term: dict[tuple[str, str], NDArray[np.int64]]


def find_blocks(
    names: Sequence[str],
    pairs: NDArray[np.int64],
    shapes: Mapping[str, tuple[int, ...]],
    term_shapes: Mapping[tuple[str, str], tuple[int, ...]],
) -> Blocks:
    """Blocks of connected elements and terms, in the order of their first elements.

    Parameters
    ----------
    names : sequence of str
        Variables, whose elements are numbered side by side.
    pairs : ndarray of int, shape (2, m)
        Element and term that belong together; terms are numbered side by side too.
    shapes : mapping of str to tuple of int
        Of the variables.
    term_shapes : mapping of (str, str) to tuple of int
        (kind, owner) -> shape of its terms.

    Returns
    -------
    Blocks
    """
    elements = sum(int(np.prod(shapes[n])) for n in names)
    terms = sum(int(np.prod(shape)) for shape in term_shapes.values())
    element, term = pairs
    links = sparse.coo_matrix((np.ones(element.size), (element, elements + term)), (elements + terms,) * 2)
    _, component = csgraph.connected_components(links, directed=False)
    _, first, number = np.unique(component[:elements], return_index=True, return_inverse=True)
    by_first = np.argsort(np.argsort(first))  # blocks in the order of their first elements
    of_element = by_first[number]
    block_of = np.full(component.max() + 1, -1)
    block_of[component[:elements]] = of_element
    found, ranks, position = {}, {}, 0
    for name in names:
        size = int(np.prod(shapes[name]))
        found[name] = of_element[position : position + size]
        order = np.argsort(found[name], kind="stable")
        ordered = found[name][order]
        ranks[name] = np.empty(size, dtype=np.int64)
        ranks[name][order] = np.arange(size) - np.searchsorted(ordered, ordered)
        position += size
    of_term, position = {}, 0
    for key, shape in term_shapes.items():
        size = int(np.prod(shape))
        of_term[key] = block_of[component[elements + position : elements + position + size]].reshape(shape)
        position += size
    return Blocks(int(of_element.max(initial=-1)) + 1, found, ranks, of_term)
