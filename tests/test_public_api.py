"""The public surface, pinned: a change here is a change that users notice."""

import inspect
import subprocess
import sys

import workbench as wb
from tests import studies

NAMES = [
    "InputError", "NoMaximumError", "NumericalError", "RefusalError", "Run", "Settings", "Study", "UsageError",
    "WorkbenchError",
    "__version__", "compare_models", "load", "open_run",
]  # fmt: skip
STUDY = {
    "anatomy", "answers", "at", "compare", "density", "diagnosis", "doubts", "draws", "evidence", "information",
    "likelihood", "log_terms", "model", "name", "once", "posterior", "prior", "prior_log_likelihood",
    "prediction", "problem", "progress", "reading",
    "report", "save", "seed",
    "seed_of", "settings", "source", "start_again", "starts", "starts_with_maximum", "verdict",
}  # fmt: skip
VIEWS = {
    "prior": {"draws"},
    "likelihood": {
        "bootstrap",
        "contour",
        "errors",
        "latents",
        "maximum",
        "nested",
        "profile",
        "surface",
        "test",
    },
    "posterior": {"mode", "laplace", "grid", "draws", "predictive"},
    "evidence": {
        "audit",
        "estimate",
        "bridge",
        "nested",
        "robustness",
        "savage_dickey",
        "sequential",
        "tempering",
    },  # fmt: skip
}


def _public(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_top_level_names_are_these():
    assert sorted(wb.__all__) == sorted(NAMES)
    for name in NAMES:
        assert getattr(wb, name) is not None


def test_a_study_has_these_parts():
    assert _public(studies.study("coin_bias")) == STUDY


def test_views_have_these_questions():
    study = studies.study("coin_bias")
    for view, questions in VIEWS.items():
        assert _public(getattr(study, view)) == questions


def test_an_unknown_name_is_an_attribute_error():
    try:
        wb.nonsense  # noqa: B018
    except AttributeError as error:
        assert "nonsense" in str(error)  # noqa: PT017
    else:
        raise AssertionError("no error")


def test_load_takes_these_arguments():
    assert list(inspect.signature(wb.load).parameters) == [
        "path", "data", "seed", "settings", "progress", "potentials", "parameters", "latents", "hyperparameters",
    ]  # fmt: skip


def test_importing_the_package_loads_neither_pymc_nor_a_plotting_library():
    script = (
        "import sys, workbench\n"
        "heavy = {'pymc', 'pytensor', 'numba', 'nutpie', 'arviz', 'matplotlib', 'scipy', 'pandas', 'xarray'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_loads_neither_pymc_nor_a_plotting_library():
    script = (
        "import sys\n"
        "sys.argv = ['workbench', '--help']\n"
        "from workbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(sorted({'pymc', 'pytensor', 'numba', 'arviz', 'matplotlib', 'scipy', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
