"""Small problems of linear algebra run on one thread, and only those."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from workbench.numerics.threads import SMALL, threads_for


def _threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_small_matrices_get_one_thread_and_large_ones_what_there_was():
    with threadpool_limits(limits=2, user_api="blas"):
        before = _threads()
        with threads_for(SMALL):
            assert _threads() == {1}
        assert _threads() == before
        with threads_for(SMALL + 1):
            assert _threads() == before


def test_the_number_of_threads_comes_back_after_an_error():
    with threadpool_limits(limits=2, user_api="blas"):
        before = _threads()
        with pytest.raises(ValueError, match="no"), threads_for(3):
            raise ValueError("no")
        assert _threads() == before
