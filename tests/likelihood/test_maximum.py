"""The maximum of the likelihood is the textbook's, by two routes; what does not exist is refused by name."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, special, stats

import workbench as wb
from tests.models_zoo import COVARIATES, HEIGHTS, OUTCOMES, _normals
from workbench.errors import RefusalError
from workbench.likelihood.maximum import _other_starts, maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.model.absence import Missing
from workbench.model.anatomy import examine, require
from workbench.model.density import LogDensity
from workbench.numerics.optimise import climb
from workbench.prior.draws import starting_points

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`


def maximum(model, **choices):
    d = LogDensity(model, **choices)
    return maximise_likelihood(pose(d), examine(d), starting_points(d, None, 4, seed=1))


def refused(build, **choices):
    with pm.Model() as model:
        build()
    with pytest.raises(RefusalError) as refusal:
        maximum(model, **choices)
    return refusal.value


@pytest.fixture(scope="module")
def fit(density, anatomy, starts):
    return lambda name: maximise_likelihood(pose(density(name)), anatomy(name), starts(density(name)))


def test_coin_is_heads_over_tosses_with_the_binomial_standard_error(fit):
    mode = fit("coin")
    assert mode.kind == "MLE"
    assert mode.estimate == pytest.approx([0.61], rel=1e-10)
    assert mode.errors == pytest.approx([np.sqrt(0.61 * 0.39 / 100)], rel=1e-6)
    assert mode.log_likelihood == pytest.approx(stats.binom.logpmf(61, 100, 0.61), rel=1e-12)
    assert mode.certificate.valid


def test_three_hundred_thousand_tosses_are_heads_over_tosses_too(density, fit):
    data = density("coin_bias").symbolic.observed["same_side"]
    k, n = data.sum(), 350_757
    p = k / n
    mode = fit("coin_bias")
    assert mode.estimate == pytest.approx([p], rel=1e-10)
    assert mode.errors == pytest.approx([np.sqrt(p * (1 - p) / n)], rel=1e-6)


@pytest.mark.parametrize("name", ["height", "height_as_normal"])
def test_height_is_the_mean_and_the_standard_deviation_with_divisor_n(density, fit, name):
    (data,) = density(name).symbolic.observed.values()
    mode = fit(name)
    n, sd = data.size, data.std(ddof=0)
    assert mode.estimate == pytest.approx([data.mean(), sd], rel=1e-8)
    assert mode.errors == pytest.approx([sd / np.sqrt(n), sd / np.sqrt(2 * n)], rel=1e-6)


def test_logistic_regression_agrees_with_scipy(fit):
    def minus(beta):
        eta = COVARIATES @ beta
        return -np.sum(OUTCOMES * eta - np.logaddexp(0, eta)), -COVARIATES.T @ (OUTCOMES - special.expit(eta))

    second = optimize.minimize(minus, np.zeros(3), jac=True, method="BFGS", options={"gtol": 1e-12})
    p = special.expit(COVARIATES @ second.x)
    information = COVARIATES.T @ (COVARIATES * (p * (1 - p))[:, None])
    mode = fit("logistic")
    assert mode.estimate == pytest.approx(second.x, rel=1e-6)
    assert mode.log_likelihood == pytest.approx(-second.fun, rel=1e-12)
    assert mode.covariance.values == pytest.approx(np.linalg.inv(information), rel=1e-6)


def test_simplex_is_the_shares_of_the_counts(fit):
    shares = np.array([10, 20, 5, 15]) / 50
    mode = fit("simplex")
    assert mode.estimate == pytest.approx(shares, rel=1e-8)
    multinomial = (np.diag(shares) - np.outer(shares, shares)) / 50
    assert mode.covariance.values == pytest.approx(multinomial, rel=1e-6, abs=1e-12)


def test_the_prior_does_not_move_the_maximum_nor_does_the_parametrisation():
    def model(parametrise):
        with pm.Model() as model:
            pm.Normal("y", pm.Normal("mu", 170, 20), parametrise(), observed=HEIGHTS)
        return model

    def by_log():
        return pm.Deterministic("sigma", pm.math.exp(pm.Normal("log_sigma", 0, 10)))

    def by_precision():
        return pm.Deterministic("sigma", pm.Gamma("precision", 2.0, 50.0) ** -0.5)

    def bounded():
        return pm.Uniform("sigma", 0.1, 60)

    for parametrise in (by_log, by_precision, bounded, lambda: pm.HalfNormal("sigma", 0.5)):
        mode = maximum(model(parametrise))
        position = mode.labels.index("sigma")
        assert mode.theta["mu"].item() == pytest.approx(HEIGHTS.mean(), rel=1e-8)
        assert mode.estimate[position] == pytest.approx(HEIGHTS.std(), rel=1e-8)
        assert mode.errors[position] == pytest.approx(HEIGHTS.std() / np.sqrt(80), rel=1e-6)


def test_a_flat_prior_is_no_obstacle():
    with pm.Model() as model:
        pm.Normal("y", pm.Flat("mu"), 2, observed=HEIGHTS)
    mode = maximum(model)
    assert mode.estimate == pytest.approx([HEIGHTS.mean()], rel=1e-10)
    assert mode.errors == pytest.approx([2 / np.sqrt(40)], rel=1e-8)


def test_two_observed_variables_share_their_maximum(fit):
    # Poisson(a) and Normal(a, b): the score equations solved by SciPy.
    counts, sizes = np.array([1, 2, 3]), np.array([1.0, 2.0])

    def minus(z):
        a, b = np.exp(z)
        return -stats.poisson.logpmf(counts, a).sum() - stats.norm.logpdf(sizes, a, b).sum()

    second = optimize.minimize(minus, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-14})
    mode = fit("several")
    assert mode.estimate == pytest.approx(np.exp(second.x), rel=1e-6)
    assert mode.log_likelihood == pytest.approx(-second.fun, abs=1e-10)


# -- what has no maximum, or may not be maximised over ---------------------------------------------------------------


def beyond_the_bound():
    pm.Binomial("k", 10, pm.Uniform("p", 0, 0.5), observed=8)


def at_the_bound():
    pm.Binomial("k", 10, pm.Uniform("p", 0, 0.8), observed=8)


def only_heads():
    pm.Binomial("k", 10, pm.Beta("p", 1, 1), observed=10)


def no_heads():
    pm.Binomial("k", 1000, pm.Beta("p", 1, 1), observed=0)


def separated():
    b = pm.Normal("b", 0, 10, shape=2)
    pm.Bernoulli("y", logit_p=b[0] + b[1] * np.array([-2.0, -1.0, 1.0, 2.0]), observed=np.array([0, 0, 1, 1]))


def quasi_separated():
    b = pm.Normal("b", 0, 10, shape=2)
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0])
    pm.Bernoulli("y", logit_p=b[0] + b[1] * x, observed=np.array([0, 1, 0, 1, 1]))


def two_intercepts():
    a, b = pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
    pm.Normal("y", a + b, 1, observed=_normals(50, 25))


def unused_parameter():
    mu = pm.Normal("mu", 0, 10)
    pm.Normal("unused", 0, 1)
    pm.Normal("y", mu, 1, observed=_normals(51, 10))


def equal_observations():
    pm.Normal("y", pm.Normal("mu", 0, 10), pm.HalfNormal("sigma", 5), observed=np.full(5, 2.0))


def underdispersed():
    # Variance below the mean: the negative binomial's likelihood rises towards the Poisson, alpha at infinity.
    counts = np.array([5, 5, 6, 5, 4, 5, 5, 6, 4, 5])
    pm.NegativeBinomial("y", pm.Exponential("mu", 0.1), pm.Exponential("alpha", 0.1), observed=counts)


@pytest.mark.parametrize(
    ("build", "variable"),
    [
        (separated, "b[1]"),
        (quasi_separated, "b[1]"),
        (two_intercepts, "a"),
        (two_intercepts, "b"),
        (unused_parameter, "unused"),
        (equal_observations, "sigma"),
        (underdispersed, "alpha"),
    ],
)
def test_a_likelihood_without_a_maximum_is_refused_with_the_variable(build, variable):
    error = refused(build)
    assert "has no maximum" in error.what
    assert variable in error.what.split("maximum: ")[1].replace(":", " ").split()
    assert error.fix


@pytest.mark.parametrize(
    ("build", "edge", "log_likelihood"),
    [
        (beyond_the_bound, 0.5, stats.binom.logpmf(8, 10, 0.5)),
        (at_the_bound, 0.8, stats.binom.logpmf(8, 10, 0.8)),
        (only_heads, 1.0, 0.0),
        (no_heads, 0.0, 0.0),
    ],
)
def test_a_maximum_at_the_edge_of_the_support_is_reported_there_without_an_error(build, edge, log_likelihood):
    with pm.Model() as model:
        build()
    mode = maximum(model)
    assert mode.at_edge == ("p",)
    assert float(mode.theta["p"]) == edge
    assert np.isnan(mode.errors[0])
    assert mode.log_likelihood == pytest.approx(log_likelihood, abs=1e-8)
    assert {check.code: check.status for check in mode.checks}["interior"] == "caution"
    assert "edge" in repr(mode)


# The information of log tau is 1e-5 in the second case: rounding leaves its error one digit, and the caution says so.
@pytest.mark.parametrize(("excess", "digits"), [(1e-2, 1e-4), (1e-3, 0.1)])
def test_a_variance_just_above_zero_is_reported_with_a_caution_and_not_called_infinite(excess, digits):
    groups, each = 8, 5
    within = np.tile(np.linspace(-1.0, 1.0, each), (groups, 1))
    within_mean_square = float(np.sum(within**2) / (groups * (each - 1)))
    means = np.linspace(-1.0, 1.0, groups)
    means *= np.sqrt(groups * within_mean_square * (1.0 + excess) / (each * np.sum(means**2)))
    y = 3.0 + means[:, None] + within
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 10), pm.HalfNormal("sigma", 5)
        tau = pm.HalfNormal("tau", 5)
        effect = pm.Normal("effect", mu, tau, shape=groups)
        pm.Normal("y", effect[:, None], sigma, observed=y)
    mode = maximum(model)

    def log_likelihood(tau):  # the multivariate normal, by its covariance
        covariance = tau**2 * np.ones((each, each)) + within_mean_square * np.eye(each)
        return float(np.sum(stats.multivariate_normal(np.full(each, 3.0), covariance).logpdf(y)))

    best = np.sqrt(within_mean_square * excess / each)
    assert float(mode.theta["tau"]) == pytest.approx(best, rel=1e-5)
    assert float(mode.theta["sigma"]) == pytest.approx(np.sqrt(within_mean_square), rel=1e-6)
    assert mode.log_likelihood == pytest.approx(log_likelihood(best), abs=1e-8)
    assert mode.at_edge == ()
    between_variance = 2 * (within_mean_square * (1 + excess)) ** 2 / groups  # of the estimate of sigma^2 + n tau^2
    within_variance = 2 * within_mean_square**2 / (groups * (each - 1))
    error = np.sqrt(between_variance + within_variance) / each / (2 * best)
    assert mode.errors[mode.labels.index("tau")] == pytest.approx(error, rel=digits)
    (interior,) = (check for check in mode.checks if check.code == "interior")
    assert interior.status == "caution"
    assert "profile" in interior.fix


def test_a_latent_variable_whose_support_moves_with_a_parameter_is_refused(density, anatomy):
    with pytest.raises(RefusalError, match="moves") as refusal:
        require(anatomy("dependent_bounds"), "likelihood maximum")
    assert refusal.value.where == "inside"
    with pytest.raises(RefusalError, match="moves"):
        pose(density("dependent_bounds"))


def test_a_product_of_two_coefficients_is_asked_about():
    def product():
        w, z = pm.Normal("w", 0, 1), pm.Normal("z", 0, 1)
        pm.Normal("y", w * z, 1, observed=np.array([1.0, 1.2]))

    error = refused(product)
    assert "ambiguous" in error.what
    assert "parameters=" in error.fix
    assert "latents=" in error.fix
    decided = refused(product, parameters=["w", "z"])  # and then only the product is determined: a ridge
    assert "has no maximum" in decided.what


@pytest.mark.deep
def test_mixture_labels_are_summed_out_to_the_maximum_of_the_mixture():
    y = np.concatenate([_normals(52, 30) - 2.0, _normals(53, 20) + 2.5])
    with pm.Model() as labelled:
        k = pm.Categorical("k", p=pm.Dirichlet("w", np.ones(2)), shape=50)
        pm.Normal("y", pm.Normal("mu", 0, 3, shape=2)[k], 1, observed=y)
    mode = maximum(labelled)

    def minus(x):
        w, low, high = special.expit(x[0]), x[1], x[2]
        return -np.log(w * stats.norm.pdf(y, low) + (1 - w) * stats.norm.pdf(y, high)).sum()

    end = optimize.minimize(minus, [0.5, -2.0, 2.5], method="BFGS", options={"gtol": 1e-9})
    low, high = np.argsort(mode.theta["mu"].values)
    assert mode.log_likelihood == pytest.approx(-end.fun, rel=1e-10)
    assert mode.theta["mu"].values[[low, high]] == pytest.approx(end.x[1:], rel=1e-6)
    assert mode.theta["w"].values[low] == pytest.approx(special.expit(end.x[0]), rel=1e-6)
    assert mode.n_parameters == 3
    steps = 1e-4 * np.eye(3)
    bends = [[(minus(end.x + a + b) - minus(end.x + a - b) - minus(end.x - a + b) + minus(end.x - a - b)) / 4e-8
              for a in steps] for b in steps]  # fmt: skip
    errors = np.sqrt(np.diag(np.linalg.inv(bends)))
    assert mode.std_error["mu"].values[[low, high]] == pytest.approx(errors[1:], rel=1e-4)


def test_counts_without_an_upper_end_are_discrete_and_refused():
    def counts():
        pm.Normal("y", pm.Poisson("k", pm.Exponential("rate", 1.0)), 1, observed=_normals(52, 6))

    error = refused(counts)
    assert error.where == "k"
    assert "discrete" in error.what
    assert "mixture" in error.fix


def test_a_potential_without_a_side_is_refused():
    def pulled():
        mu = pm.Normal("mu", 0, 10)
        pm.Potential("pull", -abs(mu) / 2)
        pm.Normal("y", mu, 1, observed=np.array([4.8, 5.3]))

    assert "pull" in refused(pulled).what


def test_a_model_without_data_is_refused():
    assert "no data" in refused(lambda: pm.Normal("mu", 0, 1)).what


def _two_heights():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 3.0)
        low = pm.logp(pm.Normal.dist(-2.0, 1.0), mu) - 1.0
        pm.Potential("peaks", pm.math.logaddexp(low, pm.logp(pm.Normal.dist(2.0, 1.0), mu)))
    return model


def test_a_draw_above_the_maximum_restarts_the_search():
    small = wb.Settings(starts=1, chains=2, draws=200, tune=200)
    study = wb.Study(_two_heights(), seed=1, potentials={"peaks": "likelihood"}, settings=small)
    study.starts = np.array([[-2.5]])  # a single climb, into the lower of two peaks
    assert study.likelihood.maximum().theta["mu"] == pytest.approx(-2.0, abs=0.01)
    study.compare()
    assert study.likelihood.maximum().theta["mu"] == pytest.approx(2.0, abs=0.01)


def test_a_maximum_that_stays_below_a_draw_is_refused(monkeypatch):
    monkeypatch.setattr("workbench.views._outdone", lambda *_: True)
    small = wb.Settings(starts=1, chains=2, draws=200, tune=200)
    study = wb.Study(_two_heights(), seed=1, potentials={"peaks": "likelihood"}, settings=small)
    found = study.compare()
    assert "higher likelihood" in found.refused["MLE"]


def test_draws_are_starting_points_where_there_are_any():
    small = wb.Settings(starts=1, chains=2, draws=200, tune=200)
    study = wb.Study(_two_heights(), seed=1, potentials={"peaks": "likelihood"}, settings=small)
    study.starts = np.array([[-2.5]])
    study.posterior.draws()
    found = study.likelihood.maximum()
    assert found.theta["mu"] == pytest.approx(2.0, abs=0.01)
    assert found.certificate.starts == 3


def test_climbs_that_stopped_beside_an_overflow_are_no_optima():
    # A Poisson regression on raw columns is concave; far from its maximum exp() overflows and no climb gets on.
    rng = np.random.default_rng(3)
    year = np.linspace(1947.0, 1962.0, 60)
    product = 234e3 + (year - 1947) * 2e4 + rng.normal(size=60) * 9e3
    design, counts = np.column_stack([np.ones(60), year, product]), rng.poisson(np.exp(0.1 * (year - 1950)))
    with pm.Model() as model:
        pm.Poisson("y", pm.math.exp(design @ pm.Normal("b", 0.0, 1e3, shape=3)), observed=counts)
    found = wb.Study(model, seed=1).likelihood.maximum()
    columns, b = np.column_stack([np.ones(60), stats.zscore(design[:, 1:])]), np.array([np.log(counts.mean()), 0, 0])
    for _ in range(30):
        mean = np.exp(columns @ b)
        b = b + np.linalg.solve(columns.T @ (columns * mean[:, None]), columns.T @ (counts - mean))
    assert found.log_likelihood == pytest.approx(stats.poisson.logpmf(counts, np.exp(columns @ b)).sum(), abs=1e-8)
    assert found.estimate[1:] == pytest.approx(b[1:] / design[:, 1:].std(axis=0), rel=1e-6)
    assert found.certificate.optima == 1
    check = next(check for check in found.checks if check.code == "starts-agree")
    assert check.status == "caution"
    assert "stopped on a slope" in check.message
    assert "scale the data" in check.fix


def test_where_climbs_end_at_no_peak_and_differ_the_refusal_says_from_where_they_started():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0.0, 10.0), 1.0, observed=np.array([1.0, 2.0, 3.0]))
    problem = pose(LogDensity(model))
    end = climb(problem.objective, np.array([0.5]))
    lower = replace(end, value=end.value - 5.0)
    text = _other_starts(problem, [end, lower], Missing("flat", "", ""))
    assert f"2 starts ended between {lower.value:.6g} and {end.value:.6g} nats, the highest from mu = 0.5" in text
    assert _other_starts(problem, [end, end], Missing("flat", "", "")) == ""
    assert _other_starts(problem, [end, lower], Missing("at infinity", "", "")) == ""
