"""Hyperparameters are found by name, and moving one gives SciPy's density of the moved distribution."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from tests import models_zoo
from workbench.model.density import TARGET, LogDensity
from workbench.model.hyperparameters import Hyperparameters

CASES = {
    "normal": (lambda: pm.Normal("v", 1, 2), {"v.mu": 1.0, "v.sigma": 2.0}),
    "half normal": (lambda: pm.HalfNormal("v", 2), {"v.sigma": 2.0}),
    "half cauchy": (lambda: pm.HalfCauchy("v", 5), {"v.beta": 5.0}),
    "half t": (lambda: pm.HalfStudentT("v", 4, 2), {"v.nu": 4.0, "v.sigma": 2.0}),
    "t": (lambda: pm.StudentT("v", 4, mu=1, sigma=2), {"v.nu": 4.0, "v.mu": 1.0, "v.sigma": 2.0}),
    "cauchy": (lambda: pm.Cauchy("v", 1, 2), {"v.alpha": 1.0, "v.beta": 2.0}),
    "laplace": (lambda: pm.Laplace("v", 1, 2), {"v.mu": 1.0, "v.b": 2.0}),
    "exponential": (lambda: pm.Exponential("v", 4), {"v.scale": 0.25}),
    "gamma": (lambda: pm.Gamma("v", 3, 4), {"v.alpha": 3.0, "v.scale": 0.25}),
    "inverse gamma": (lambda: pm.InverseGamma("v", 3, 4), {"v.alpha": 3.0, "v.beta": 4.0}),
    "log normal": (lambda: pm.LogNormal("v", 1, 2), {"v.mu": 1.0, "v.sigma": 2.0}),
    "beta": (lambda: pm.Beta("v", 100, 100), {"v.alpha": 100.0, "v.beta": 100.0}),
    "weibull": (lambda: pm.Weibull("v", 2, 3), {"v.alpha": 2.0, "v.beta": 3.0}),
    "truncated": (lambda: pm.TruncatedNormal("v", 1, 2, lower=0), {"v.mu": 1.0, "v.sigma": 2.0}),
    "uniform": (lambda: pm.Uniform("v", 0, 1), {}),
    "truncated half cauchy": (lambda: pm.Truncated("v", pm.HalfCauchy.dist(5.0), upper=9.0), {}),
}
SCIPY = {
    "half normal": lambda s: stats.halfnorm(scale=s),
    "half cauchy": lambda s: stats.halfcauchy(scale=s),
    "laplace": lambda s: stats.laplace(1.0, s),
    "exponential": lambda s: stats.expon(scale=s),
    "gamma": lambda s: stats.gamma(3.0, scale=s),
    "inverse gamma": lambda s: stats.invgamma(3.0, scale=s),
    "normal": lambda s: stats.norm(1.0, s),
}


def _density(build):
    with pm.Model() as model:
        v = build()
        pm.Normal("y", v, 1.0, observed=[0.3, 0.5])
    return LogDensity(model)


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_found_under_the_names_of_the_distribution(name):
    build, expected = CASES[name]
    found = Hyperparameters(_density(build)).known
    assert {label: float(one.value) for label, one in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in SCIPY if name in CASES])
def test_a_moved_scale_gives_the_density_of_the_moved_distribution(name):
    density = _density(CASES[name][0])
    numbers = Hyperparameters(density)
    one = next(h for h in numbers.known.values() if h.kind == "scale")
    points = density.space.start + np.linspace(-1.0, 1.0, 5)[:, None]
    values = density.space.theta(points)["v"]
    t, step = 0.7, 1e-5
    assert numbers.log_prior(one, points, t) == pytest.approx(SCIPY[name](float(one.value) * np.exp(t)).logpdf(values))
    ends = (SCIPY[name](float(one.value) * np.exp(x)).logpdf(values) for x in (step, -step))
    assert numbers.slope(one, points) == pytest.approx((next(ends) - next(ends)) / (2 * step), rel=1e-6, abs=1e-8)


def test_a_location_moves_in_units_of_its_scale():
    numbers = Hyperparameters(_density(CASES["normal"][0]))
    points = numbers.density.space.start[None]
    value = numbers.density.space.theta(points)["v"]
    assert numbers.log_prior(numbers.known["v.mu"], points, 1.5) == pytest.approx(stats.norm(4.0, 2.0).logpdf(value))


def test_the_target_with_a_moved_number_is_that_of_the_model_with_that_number():
    with pm.Model() as moved:
        mu = pm.Normal("mu", 170, 40)
        sigma = pm.HalfNormal("sigma", 20)
        pm.Normal("height", mu, sigma, observed=models_zoo.HEIGHTS)
    density, other = LogDensity(models_zoo.height()), LogDensity(moved)
    numbers = Hyperparameters(density)
    points = density.space.start + np.random.default_rng(1).normal(size=(5, 2))
    target, wanted = numbers.target(numbers.known["mu.sigma"], np.log(2.0)), other.objective(TARGET)
    for z in points:
        assert target.value(z) == pytest.approx(wanted.value(z), rel=1e-12)
        assert target.value_and_gradient(z)[1] == pytest.approx(wanted.value_and_gradient(z)[1], rel=1e-10)


def test_numbers_of_a_vector_move_together_and_parents_are_no_numbers():
    with pm.Model() as model:
        tau = pm.HalfNormal("tau", 2.0)
        b = pm.Normal("b", [0.0, 1.0, 2.0], [1.0, 2.0, 3.0], shape=3)
        a = pm.Normal("a", 0.0, tau, shape=4)
        pm.Normal("y", a.sum() + b.sum(), 1.0, observed=[0.3])
    density = LogDensity(model)
    numbers = Hyperparameters(density)
    assert set(numbers.known) == {"tau.sigma", "b.mu", "b.sigma", "a.mu"}
    assert set(numbers.default()) == {"tau.sigma", "b.sigma"}
    z = density.space.start[None] + 0.3
    expected = stats.norm([0.0, 1.0, 2.0], 2 * np.array([1.0, 2.0, 3.0])).logpdf(density.space.theta(z)["b"][0]).sum()
    assert numbers.log_prior(numbers.known["b.sigma"], z, np.log(2.0))[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", sorted(models_zoo.ZOO))
def test_every_number_of_the_zoo_gives_the_models_own_prior_where_it_is_not_moved(name, density):
    built = density(name)
    numbers = Hyperparameters(built)
    points = built.space.start + 0.1 * np.random.default_rng(2).normal(size=(3, built.space.dimension))
    own = built.terms(points).log_prior
    for one in numbers.known.values():
        assert numbers.log_prior(one, points, 0.0) == pytest.approx(own[one.variable], rel=1e-10)


def test_a_variable_means_all_of_its_numbers_and_unknown_names_are_errors():
    numbers = Hyperparameters(LogDensity(models_zoo.height()))
    assert [one.name for one in numbers.chosen(["mu"])] == ["mu.mu", "mu.sigma"]
    assert [one.name for one in numbers.chosen([])] == ["mu.sigma", "sigma.sigma"]
    with pytest.raises(wb.InputError, match="there are: mu.mu, mu.sigma, sigma.sigma"):
        numbers.chosen(["mu.tau"])
