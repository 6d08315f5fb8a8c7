"""Each model file builds from its own data, and its log density is the closed form of its docstring."""

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import integrate, special, stats

MODELS = Path(__file__).parents[2] / "models"
NAMES = sorted(path.stem for path in MODELS.glob("*.py"))
# PyTensor keeps Python numbers in the narrowest type that holds them (int8, float32); NumPy's float64 stays
# wide, so that the densities can be compared with SciPy's to this tolerance.
RELATIVE_TOLERANCE = 1e-12


def load(name: str) -> ModuleType:
    """Model file as a module, found by its path."""
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bind(name: str) -> dict[str, np.ndarray | np.float64]:
    """Arguments of `build`: columns of its data by name, default hyperparameters as float64."""
    module = load(name)
    columns = pd.read_csv(MODELS / module.DATA)
    parameters = inspect.signature(module.build).parameters.values()
    return {
        parameter.name: columns[parameter.name].to_numpy()
        if parameter.default is inspect.Parameter.empty
        else np.float64(parameter.default)
        for parameter in parameters
    }


def log_joint(name: str):
    """Compiled log_joint of a model as a function of its values on PyMC's unconstrained scale."""
    model = load(name).build(**bind(name))
    return model.compile_logp(jacobian=False, mode="FAST_COMPILE")


@pytest.fixture(scope="module")
def height_log_joint():
    compiled = log_joint("height_as_normal")
    return lambda mu, sigma: float(compiled({"mu": mu, "sigma_log__": np.log(sigma)}))


@pytest.fixture(scope="module")
def coin_log_joint():
    compiled = log_joint("coin_bias")
    return lambda p: float(compiled({"p_logodds__": special.logit(p)}))


@pytest.mark.parametrize("name", NAMES)
def test_model_file_builds_a_model_from_its_own_data(name):
    module = load(name)
    columns = {key: value for key, value in bind(name).items() if isinstance(value, np.ndarray)}
    model = module.build(**columns)
    assert isinstance(model, pm.Model)
    assert len(model.observed_RVs) == 1
    assert np.isfinite(model.compile_logp(mode="FAST_COMPILE")(model.initial_point()))


@pytest.mark.parametrize("name", NAMES)
def test_model_file_is_plain_python_with_its_question_data_symbols_and_priors_explained(name):
    module = load(name)
    source = (MODELS / f"{name}.py").read_text(encoding="utf-8")
    assert "workbench" not in source
    for heading in ("**Question.**", "**Data.**", "| symbol | meaning | unit |", "**Why th", "References"):
        assert heading in module.__doc__
    for parameter in inspect.signature(module.build).parameters:
        assert parameter in module.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_default_hyperparameters_are_floats(name):
    defaults = [p.default for p in inspect.signature(load(name).build).parameters.values()]
    assert all(isinstance(default, float) for default in defaults if default is not inspect.Parameter.empty)


@pytest.mark.parametrize(("mu", "sigma"), [(175.9, 6.7), (160.0, 3.0), (210.5, 41.0)])
def test_height_log_joint_matches_the_normal_and_half_normal_densities(height_log_joint, mu, sigma):
    given = bind("height_as_normal")
    expected = (
        stats.norm.logpdf(mu, given["prior_mean"], given["prior_sd"])
        + stats.halfnorm.logpdf(sigma, scale=given["sigma_scale"])
        + stats.norm.logpdf(given["height"], mu, sigma).sum()
    )
    assert height_log_joint(mu, sigma) == pytest.approx(expected, rel=RELATIVE_TOLERANCE)


def test_height_likelihood_is_highest_at_the_mean_and_the_standard_deviation_with_divisor_n():
    height = bind("height_as_normal")["height"]
    mu, sigma = height.mean(), height.std(ddof=0)
    highest = stats.norm.logpdf(height, mu, sigma).sum()
    assert highest == pytest.approx(-height.size * (np.log(sigma) + 0.5 * np.log(2 * np.pi) + 0.5))
    for step in (-0.01, 0.01):
        assert stats.norm.logpdf(height, mu + step, sigma).sum() < highest
        assert stats.norm.logpdf(height, mu, sigma + step).sum() < highest


@pytest.mark.parametrize("p", [0.5, 0.5077, 0.3, 0.95])
def test_coin_log_joint_matches_the_beta_and_binomial_densities(coin_log_joint, p):
    given = bind("coin_bias")
    expected = (
        stats.beta.logpdf(p, given["prior_a"], given["prior_b"])
        + stats.binom.logpmf(given["same_side"], given["tosses"], p).sum()
    )
    assert coin_log_joint(p) == pytest.approx(expected, rel=RELATIVE_TOLERANCE)


@pytest.mark.parametrize("p", [0.5, 0.506, 0.51])
def test_coin_posterior_is_the_beta_distribution_with_the_counts_added(coin_log_joint, p):
    given = bind("coin_bias")
    same, other = given["same_side"].sum(), (given["tosses"] - given["same_side"]).sum()
    posterior = stats.beta(given["prior_a"] + same, given["prior_b"] + other)
    ratio = posterior.logpdf(p) - posterior.logpdf(0.5077)
    assert coin_log_joint(p) - coin_log_joint(0.5077) == pytest.approx(ratio, abs=1e-7)


def test_coin_evidence_by_quadrature_matches_the_closed_form(coin_log_joint):
    given = bind("coin_bias")
    a, b, same_side, tosses = (given[key] for key in ("prior_a", "prior_b", "same_side", "tosses"))
    k, n = same_side.sum(), tosses.sum()
    log_binomials = -np.log1p(tosses) - special.betaln(same_side + 1, tosses - same_side + 1)
    closed_form = log_binomials.sum() + special.betaln(a + k, b + n - k) - special.betaln(a, b)

    mode, width = k / n, np.sqrt(k / n * (1 - k / n) / n)
    offset = coin_log_joint(mode)
    integral, _ = integrate.quad(
        lambda p: np.exp(coin_log_joint(p) - offset),
        mode - 12 * width,
        mode + 12 * width,
        epsabs=0,
        epsrel=1e-11,
    )
    assert offset + np.log(integral) == pytest.approx(closed_form, abs=1e-8)
