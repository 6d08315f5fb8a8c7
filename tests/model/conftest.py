"""What was compiled by Numba while a test ran, and how."""

import pytensor.link.numba.cache as cache
import pytest

from workbench.model.late import late_machine_code


@pytest.fixture
def sources(monkeypatch):
    """Names of the functions that were written as source, to be compiled by Numba."""
    compiled, names = cache.compile_numba_function_src, []

    def noted(source, name, *rest, **options):
        names.append(name)
        return compiled(source, name, *rest, **options)

    monkeypatch.setattr(cache, "compile_numba_function_src", noted)
    return names


@pytest.fixture
def late():
    """Numba compiles as it does for a density, with machine code for what is called alone."""
    with late_machine_code():
        yield
