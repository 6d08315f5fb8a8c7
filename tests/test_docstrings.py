"""Examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import workbench

MODULES = sorted(
    found.name
    for found in pkgutil.walk_packages(workbench.__path__, "workbench.")
    if not found.name.endswith("__main__")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
