"""One thread of linear algebra for many small problems.

BLAS starts its threads anew for every product or triangular solve. For matrices of a few rows that costs a hundred
times the arithmetic (measured on two busy cores: 16 ms instead of 0.1 ms for a 7 x 7 triangle and 2,000 right sides).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from threadpoolctl import threadpool_limits

SMALL = 200  # rows; above, threads earn what they cost


@contextlib.contextmanager
def threads_for(dimension: int) -> Iterator[None]:
    """A context in which linear algebra runs on one thread if its matrices are small, as it would otherwise if not.

    Parameters
    ----------
    dimension : int
        Rows of the matrices.
    """
    with threadpool_limits(limits=1 if dimension <= SMALL else None, user_api="blas"):
        yield
