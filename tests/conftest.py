"""Densities are built and compiled once a session: compiling is what costs time, the tests themselves do not."""

import gc
import sys
from functools import cache

import numpy as np
import pytest

from tests import models_zoo
from workbench.cli import main
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.prior.draws import starting_points


def pytest_collection_finish():
    """Leave what was imported out of garbage collection, and collect less often: both are a tenth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@cache
def built(name):
    """The density of a model of the zoo or of a model file, potentials labelled."""
    return LogDensity(models_zoo.build(name), models_zoo.SIDES.get(name))


@cache
def anatomy_of(name):
    return examine(built(name))


@pytest.fixture(scope="session")
def density():
    """``density(name)``: the one density of this model in this session; not to be changed by a test."""
    return built


@pytest.fixture(scope="session")
def anatomy():
    """``anatomy(name)``: the anatomy of that density."""
    return anatomy_of


@pytest.fixture(scope="session")
def points():
    """``points(density, m)``: the start and m - 1 points around it, the same every time, shape ``(m, d)``."""

    def around(density, m=100):
        steps = np.random.default_rng(0).normal(size=(m, density.space.dimension))
        steps[0] = 0.0
        return density.space.start + steps

    return around


@pytest.fixture(scope="session")
def starts():
    """``starts(density)``: four starting points of an optimisation, the model's own and three near it."""
    return lambda density: starting_points(density, None, 4, seed=1)


@pytest.fixture
def command_line(monkeypatch, capsys, tmp_path):
    """``command_line(*arguments)``: a command in an empty folder; its exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["workbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return stopped.value.code, out, err

    return call
