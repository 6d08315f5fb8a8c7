"""What was compiled by Numba while a test ran."""

import pytensor.link.numba.cache as cache
import pytest


@pytest.fixture
def sources(monkeypatch):
    """Names of the functions that were written as source, to be compiled by Numba."""
    compiled, names = cache.compile_numba_function_src, []

    def noted(source, name, *rest, **options):
        names.append(name)
        return compiled(source, name, *rest, **options)

    monkeypatch.setattr(cache, "compile_numba_function_src", noted)
    return names
