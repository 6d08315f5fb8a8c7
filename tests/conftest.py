"""Densities are built and compiled once a session: compiling is what costs time, the tests themselves do not."""

import gc
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests import models_zoo
from workbench.cli import main
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.prior.draws import starting_points

# The files that take longest when nothing is compiled yet, the longest first. Processes that share out the files then
# end together: with one of these at the end, all but one would wait for it.
LONGEST = (
    "test_theorem", "model/test_summation", "test_conformance", "likelihood/test_marginal", "likelihood/test_units",
    "test_benchmarks", "likelihood/test_profile", "test_cli", "evidence/test_savage_dickey", "likelihood/test_nist",
    "likelihood/test_unbounded", "test_prediction", "evidence/test_nested", "evidence/test_bridge",
    "likelihood/test_maximum", "evidence/test_robustness", "test_readme", "test_information", "report/test_page",
    "likelihood/test_errors", "likelihood/test_bootstrap", "evidence/test_audit", "evidence/test_sequential",
    "evidence/test_bridge_calibration", "test_causes", "model/test_reductions", "evidence/test_estimate",
    "evidence/test_prior_integral", "evidence/test_published_models", "test_adversarial", "posterior/test_draws",
)  # fmt: skip


def pytest_configure(config):
    """Keep xdist from its own order, which begins with the files that have most tests, whatever these take."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Put the longest files first."""
    rank = {Path(__file__).parent / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_collection_finish():
    """Leave what was imported out of garbage collection, and hardly ever collect within a file."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000_000, 20, 20)


@pytest.fixture(autouse=True, scope="module")
def _collected_once():
    """What a file leaves is looked at once; looking at all of it again and again is a tenth of the time."""
    yield
    gc.collect()
    gc.freeze()


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
