"""Hyperparameters are found by name, and moving one gives SciPy's density of the moved distribution."""

from functools import cache

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
    "truncated": (lambda: pm.TruncatedNormal("v", 1, 2, lower=0), {"v.mu": 1.0, "v.sigma": 2.0, "v.lower": 0.0}),
    "truncated twice": (
        lambda: pm.TruncatedNormal("v", 1, 2, lower=-1, upper=4),
        {"v.mu": 1.0, "v.sigma": 2.0, "v.width": 5.0},
    ),
    "uniform": (lambda: pm.Uniform("v", 0, 1), {"v.upper": 1.0}),
    "negative uniform": (lambda: pm.Uniform("v", -2, 0), {"v.lower": -2.0}),
    "shifted uniform": (lambda: pm.Uniform("v", -2, 4), {"v.width": 6.0}),
    "triangular": (lambda: pm.Triangular("v", lower=1, c=2, upper=5), {"v.width": 4.0}),
    "pareto": (lambda: pm.Pareto("v", 3, 2), {"v.alpha": 3.0, "v.m": 2.0}),
    "rice": (lambda: pm.Rice("v", nu=1, sigma=2), {"v.b": 0.5, "v.sigma": 2.0}),
    "chi squared": (lambda: pm.ChiSquared("v", 3), {"v.alpha": 1.5, "v.scale": 2.0}),
    "asymmetric laplace": (
        lambda: pm.AsymmetricLaplace("v", b=2, kappa=3, mu=1),
        {"v.b": 2.0, "v.kappa": 3.0, "v.mu": 1.0},
    ),
    "skewed t": (
        lambda: pm.SkewStudentT("v", a=2, b=3, mu=1, sigma=4),
        {"v.a": 2.0, "v.b": 3.0, "v.mu": 1.0, "v.sigma": 4.0},
    ),
    "mixture": (
        lambda: pm.Mixture("v", [0.3, 0.7], [pm.Normal.dist(1, 2), pm.Laplace.dist(3, 4)]),
        {"v.component0.mu": 1.0, "v.component0.sigma": 2.0, "v.component1.mu": 3.0, "v.component1.b": 4.0},
    ),
    "truncated half cauchy": (lambda: pm.Truncated("v", pm.HalfCauchy.dist(5.0), upper=9.0), {}),
    "truncated half cauchy in 64 bits": (
        lambda: pm.Truncated("v", pm.HalfCauchy.dist(np.float64(5.0)), upper=9.0),
        {"v.beta": 5.0},
    ),
    "logit normal": (lambda: pm.LogitNormal("v", 0, 1), {}),
}
SCIPY = {
    "half normal": lambda s: stats.halfnorm(scale=s),
    "half cauchy": lambda s: stats.halfcauchy(scale=s),
    "laplace": lambda s: stats.laplace(1.0, s),
    "exponential": lambda s: stats.expon(scale=s),
    "gamma": lambda s: stats.gamma(3.0, scale=s),
    "inverse gamma": lambda s: stats.invgamma(3.0, scale=s),
    "normal": lambda s: stats.norm(1.0, s),
    "rice": lambda s: stats.rice(0.5, scale=s),
}
MOVED = {
    "uniform": ("v.upper", lambda f: stats.uniform(0.0, f)),
    "negative uniform": ("v.lower", lambda f: stats.uniform(-2.0 * f, 2.0 * f)),
    "shifted uniform": ("v.width", lambda f: stats.uniform(1.0 - 3.0 * f, 6.0 * f)),
    "triangular": ("v.width", lambda f: stats.triang(0.25, 1.0, 4.0 * f)),
    "pareto": ("v.m", lambda f: stats.pareto(3.0, scale=2.0 * f)),
    "truncated": ("v.lower", lambda f: stats.truncnorm(np.log(f) - 0.5, np.inf, 1.0, 2.0)),
    "truncated twice": ("v.width", lambda f: stats.truncnorm(0.25 - 1.25 * f, 0.25 + 1.25 * f, 1.0, 2.0)),
}


@cache
def _case(name):
    return _density(CASES[name][0])


def _density(build):
    with pm.Model() as model:
        v = build()
        pm.Normal("y", v, 1.0, observed=[0.3, 0.5])
    return LogDensity(model)


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_found_under_the_names_of_the_distribution(name):
    found, expected = Hyperparameters(_case(name)).known, CASES[name][1]
    assert {label: float(one.value) for label, one in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in SCIPY if name in CASES])
def test_a_moved_scale_gives_the_density_of_the_moved_distribution(name):
    density = _case(name)
    numbers = Hyperparameters(density)
    one = next(h for h in numbers.known.values() if h.kind == "scale")
    points = density.space.start + np.linspace(-1.0, 1.0, 5)[:, None]
    values = density.space.theta(points)["v"]
    t, step = 0.7, 1e-5
    assert numbers.log_prior(one, points, t) == pytest.approx(SCIPY[name](float(one.value) * np.exp(t)).logpdf(values))
    ends = (SCIPY[name](float(one.value) * np.exp(x)).logpdf(values) for x in (step, -step))
    assert numbers.slope(one, points) == pytest.approx((next(ends) - next(ends)) / (2 * step), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", MOVED)
def test_a_moved_support_gives_scipys_density_inside_and_none_outside(name):
    label, truth = MOVED[name]
    density = _case(name)
    numbers = Hyperparameters(density)
    z = np.linspace(-2.0, 2.0, 9)[:, None]
    values = density.space.theta(z)["v"]
    for t in (-0.4, 0.6):
        with np.errstate(divide="ignore"):
            expected = truth(np.exp(t)).logpdf(values)
        assert numbers.log_prior(numbers.known[label], z, t) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "build"),
    [
        ("v.cov", lambda f: pm.MvNormal("v", [0.0, 1.0], cov=f * np.array([[2.0, 0.3], [0.3, 1.0]]))),
        ("v.scale", lambda f: pm.MvStudentT("v", 4.0, mu=[0.0, 1.0], scale=f * np.eye(2))),
        ("v.eta", lambda f: pm.LKJCorr("v", n=2, eta=2.0 * f)),
        ("v.eta", lambda f: pm.LKJCholeskyCov("v", n=2, eta=2.0 * f, sd_dist=pm.Exponential.dist(1.0),
                                              compute_corr=False)),
        ("v.innovation_dist.sigma", lambda f: pm.GaussianRandomWalk(
            "v", mu=0.1, sigma=0.5 * f, init_dist=pm.Normal.dist(0.0, 3.0), shape=4)),
        ("v.sigma", lambda f: pm.AR("v", [0.5], sigma=1.5 * f, init_dist=pm.Normal.dist(0.0, 1.0), shape=4)),
        ("v.alpha", lambda f: pm.StickBreakingWeights("v", alpha=2.0 * f, K=3)),
        ("v.sigma", lambda f: pm.ZeroSumNormal("v", sigma=2.0 * f, shape=3)),
    ],
)  # fmt: skip
def test_a_number_of_many_values_gives_the_density_of_the_model_with_that_number(label, build):
    one, other = (_density(lambda f=f: build(f).sum()) for f in (1.0, 1.7))
    numbers = Hyperparameters(one)
    z = one.space.start + 0.3 * np.random.default_rng(3).normal(size=(4, one.space.dimension))
    found = numbers.log_prior(numbers.known[label], z, np.log(1.7))
    assert found == pytest.approx(other.terms(z).log_prior["v"], rel=1e-6)


@pytest.mark.slow
def test_the_target_under_moved_bounds_is_that_of_the_model_with_these_bounds():
    def build(upper):
        with pm.Model() as model:
            sigma = pm.Uniform("sigma", 0.0, upper)
            pm.Normal("height", 170.0, sigma, observed=models_zoo.HEIGHTS)
        return LogDensity(model)

    density, other = build(10.0), build(20.0)
    numbers = Hyperparameters(density)
    one = numbers.known["sigma.upper"]
    target, wanted = numbers.target(one, np.log(2.0)), other.objective(TARGET)
    for z in np.array([[-1.0], [0.3], [2.0]]):
        assert target.value(z) == pytest.approx(wanted.value(z), rel=1e-12)
        assert target.value_and_gradient(z)[1] == pytest.approx(wanted.value_and_gradient(z)[1], rel=1e-9)
        # The same sigma lies elsewhere on z, and its prior under any bounds is known from either place.
        there = numbers.carried(one, z, np.log(2.0))
        assert other.space.theta(there)["sigma"] == pytest.approx(density.space.theta(z)["sigma"])
        assert numbers.log_prior(one, there[None], 0.0, own=np.log(2.0)) == pytest.approx(-np.log(10.0))
    outside = numbers.carried(one, np.array([2.0]), np.log(0.5))
    assert other.space.theta(outside)["sigma"] == pytest.approx(10.0)  # the middle


@pytest.mark.slow
def test_bounds_move_also_where_labels_were_summed_out():
    def build(upper):
        with pm.Model() as model:
            far = pm.Uniform("far", 0.0, upper)
            label = pm.Bernoulli("label", 0.3, shape=3)
            pm.Normal("y", pm.math.switch(label, far, 0.0), 0.5, observed=[0.1, 4.0, 3.5])
        return LogDensity(model)

    density, other = build(5.0), build(10.0)
    numbers = Hyperparameters(density)
    one, z = numbers.known["far.upper"], np.linspace(-2.1, 2.0, 5)[:, None]
    inside = np.where(other.space.theta(z)["far"] < 5.0, -np.log(5.0), -np.inf)
    assert numbers.log_prior(one, z, 0.0, own=np.log(2.0)) == pytest.approx(inside)
    target = numbers.target(one, np.log(2.0))
    assert [target.value(point) for point in z] == pytest.approx(sum(other.sums(z)))


def test_a_support_that_its_transformation_does_not_follow_is_refused():
    density = _density(lambda: pm.Uniform("v", 0.0, 10.0, default_transform=None))
    numbers = Hyperparameters(density)
    with pytest.raises(wb.RefusalError, match="transformation of v does not follow v.upper"):
        numbers.log_prior(numbers.known["v.upper"], density.space.start[None], 0.1)


def test_a_location_moves_in_units_of_its_scale():
    numbers = Hyperparameters(_density(CASES["normal"][0]))
    points = numbers.density.space.start[None]
    value = numbers.density.space.theta(points)["v"]
    assert numbers.log_prior(numbers.known["v.mu"], points, 1.5) == pytest.approx(stats.norm(4.0, 2.0).logpdf(value))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("make", "name", "why"),
    [
        (lambda: pm.NormalMixture("v", [0.3, 0.7], [0.0, 3.0], 1.0), "v.w", "add up to one"),
        (lambda: pm.AR("v", rho=[0.8], sigma=1.0, init_dist=pm.Normal.dist(), steps=3), "v.rho", "stationary"),
        (lambda: pm.Truncated("v", pm.Gamma.dist(2.0, 1.0), lower=0.5), "v.lower", "bounds of a Truncated Gamma stay"),
        (lambda: pm.Uniform("v", 0, 1), "v.lower", "nearer to 0 stays"),
    ],
)
def test_a_number_that_stays_is_refused_with_the_reason_and_a_way_out(make, name, why):
    with pm.Model() as model:
        make()
        pm.Normal("y", 0.0, 1.0, observed=1.0)
    numbers = Hyperparameters(LogDensity(model))
    with pytest.raises(wb.RefusalError, match=why) as found:
        numbers.chosen([name])
    assert found.value.fix
    with pytest.raises(wb.InputError, match="no hyperparameter 'v.nothing'"):
        numbers.chosen(["v.nothing"])
