"""Maxima at the edge of the support, against bounded least squares and closed forms."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench.errors import NoMaximumError

pytestmark = pytest.mark.slow  # every model is compiled


def test_bounded_coefficients_stop_at_their_bounds_on_either_side():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    y = x @ [2.0, -1.5, 0.5] + 0.3 * rng.normal(size=40)
    with pm.Model() as model:
        b, sigma = pm.Uniform("b", -1.0, 1.0, shape=3), pm.HalfNormal("sigma", 1.0)
        pm.Normal("y", x @ b, sigma, observed=y)
    found, best = wb.Study(model, seed=1).likelihood.maximum(), optimize.lsq_linear(x, y, (-1.0, 1.0)).x
    assert found.at_edge == ("b[0]", "b[1]")
    np.testing.assert_allclose(found.theta["b"], [1.0, -1.0, best[2]], rtol=1e-8)
    sigma = np.sqrt(np.mean((y - x @ [1.0, -1.0, best[2]]) ** 2))
    assert found.theta["sigma"].item() == pytest.approx(sigma, rel=1e-8)


def test_a_share_of_zeros_that_nobody_needs_is_zero():
    y = np.array([3, 1, 5, 2, 4, 3, 1, 6, 3, 2])
    with pm.Model() as model:
        share, mu = pm.Uniform("share", 0.0, 1.0), pm.HalfNormal("mu", 5.0)
        parts = [pm.DiracDelta.dist(0), pm.Poisson.dist(mu)]
        pm.Mixture("y", w=pt.stack([share, 1 - share]), comp_dists=parts, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert found.at_edge == ("share",)
    assert found.theta["share"].item() == 0.0
    assert found.theta["mu"].item() == pytest.approx(y.mean(), rel=1e-8)
    assert found.log_likelihood == pytest.approx(stats.poisson.logpmf(y, y.mean()).sum(), abs=1e-8)


@pytest.mark.deep
def test_of_two_nested_variances_the_outer_one_is_zero_and_the_inner_one_is_that_of_one_way_data():
    outer, inner = np.repeat(np.arange(6), 8), np.repeat(np.arange(24), 2)
    y = np.random.default_rng(1).normal(size=48)
    y -= np.array([y[outer == k].mean() for k in range(6)])[outer]
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 5.0), pm.HalfNormal("sigma", 2.0)
        tau, omega = pm.HalfNormal("tau", 2.0), pm.HalfNormal("omega", 2.0)
        u, v = pm.Normal("u", 0.0, tau, shape=6), pm.Normal("v", 0.0, omega, shape=24)
        pm.Normal("y", mu + u[outer] + v[inner], sigma, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    means = y.reshape(24, 2).mean(axis=1)
    within = np.sum((y - means[inner]) ** 2) / 24  # 24 degrees of freedom
    assert found.at_edge == ("tau",)
    assert found.theta["tau"].item() == 0.0
    assert found.theta["sigma"].item() == pytest.approx(np.sqrt(within), rel=1e-6)
    assert found.theta["omega"].item() == pytest.approx(np.sqrt(np.mean(means**2) - within / 2), rel=1e-6)


def test_counts_that_are_all_zero_put_the_mean_at_its_edge_where_the_dispersion_means_nothing():
    def zeros(alpha):
        with pm.Model() as model:
            mu = pm.HalfNormal("mu", 5.0)
            free = pm.HalfNormal("alpha", 5.0) if alpha is None else alpha
            pm.NegativeBinomial("y", mu=mu, alpha=free, observed=np.zeros(10, dtype=int))
        return wb.Study(model, seed=1)

    match = "point, 0 nats, at the edge of the support, mu = 0, where alpha can be anything"
    with pytest.raises(wb.NoMaximumError, match=match) as refusal:
        zeros(None).likelihood.maximum()
    assert refusal.value.kind == "edge"
    assert refusal.value.where == "mu"
    # With the dispersion fixed, as the message advises: log L = -n alpha log(1 + mu / alpha).
    study = zeros(2.0)
    assert study.likelihood.maximum().at_edge == ("mu",)
    found = study.likelihood.profile("mu")
    assert found.upper[0] == pytest.approx(2.0 * np.expm1(stats.chi2.ppf(0.95, 1) / 2 / 10 / 2.0), rel=1e-7)


def test_counts_that_are_all_zero_exclude_no_mean_while_the_dispersion_is_free():
    with pm.Model() as model:
        mu, alpha = pm.HalfNormal("mu", 10.0), pm.HalfNormal("alpha", 10.0)
        pm.NegativeBinomial("y", mu=mu, alpha=alpha, observed=np.zeros(10, dtype=int))
    study = wb.Study(model, seed=1)
    found = study.likelihood.profile("mu", "alpha")
    # log L = 10 alpha log(alpha / (alpha + mu)) goes to 0, its least upper bound, at every mu as alpha goes to 0.
    assert abs(stats.nbinom.logpmf(0, 1e-9, 1e-9 / (1e-9 + 5.0)) * 10) < 1e-6
    assert found.lower.tolist() == [0.0, 0.0]
    assert found.upper.tolist() == [np.inf, np.inf]
    assert max(*found.lower_deviance, *found.upper_deviance) < 1e-6
    assert np.isnan(found.estimate).all()  # it makes no difference
    assert study.likelihood.test("mu", 5.0).statistic["likelihood ratio"] < 1e-6


def test_a_precision_that_a_probability_of_zero_leaves_open_is_at_no_edge():
    # All counts 0: with p = 0 every k says the same; with k -> 0 a cluster is all or nothing, (1 - p)^4.
    with pm.Model() as model:
        p, k = pm.Beta("p", 1, 1), pm.HalfNormal("k", 10)
        pm.BetaBinomial("y", n=10, alpha=p * k, beta=(1 - p) * k, observed=np.zeros(4, int))
    study = wb.Study(model, seed=1)
    with pytest.raises(NoMaximumError) as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "edge"
    assert "p = 0, where k can be anything" in refusal.value.what
    found = study.likelihood.profile()
    assert found.upper[0] == pytest.approx(1 - np.exp(-stats.chi2.ppf(0.95, 1) / 8), rel=1e-6)
    assert (found.lower[1], found.upper[1]) == (0.0, np.inf)


def test_a_variance_of_slopes_along_a_covariate_in_the_thousands_is_zero():
    rng = np.random.default_rng(7)
    group, income = np.repeat(np.arange(20), 10), rng.normal(50_000.0, 12_000.0, 200)
    y = 5.0 + income / 6000.0 + rng.normal(0.0, 0.7, 20)[group] + rng.normal(0.0, 1.0, 200)
    with pm.Model() as model:
        sd, slope_sd = pm.HalfNormal("sd", 2.0), pm.HalfNormal("slope_sd", 2.0)
        u, v = pm.Normal("u", 0.0, sd, shape=20), pm.Normal("v", 0.0, slope_sd, shape=20)
        mean = pm.Normal("a", 0.0, 10.0) + u[group] + (pm.Normal("b", 0.0, 10.0) + v[group]) * income
        pm.Normal("y", mean, pm.HalfNormal("s", 5.0), observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()

    def exact(sd, a, b, slope_sd, s):
        same = group[:, None] == group
        covariance = same * (sd**2 + np.outer(income, income) * slope_sd**2) + s**2 * np.eye(200)
        return stats.multivariate_normal(a + b * income, covariance).logpdf(y)

    assert found.at_edge == ("slope_sd",)
    assert float(found.theta["slope_sd"]) == 0.0
    at = [float(found.theta[name]) for name in ("sd", "a", "b", "slope_sd", "s")]
    assert found.log_likelihood == pytest.approx(exact(*at), abs=1e-7)
    assert exact(*at) > exact(*at[:3], 1e-7, at[4])  # a tenth of a percent of the residuals


def test_counts_without_overdispersion_put_it_at_zero_with_the_error_of_binomial_counts():
    k = np.array([5, 5, 4, 5, 6, 5, 5, 4, 6, 5])
    with pm.Model() as model:
        mu, rho = pm.Beta("mu", 2.0, 2.0), pm.Uniform("rho", 0.0, 1.0)
        size = 1 / rho - 1
        pm.BetaBinomial("y", n=10, alpha=mu * size, beta=(1 - mu) * size, observed=k)
    study = wb.Study(model, seed=1)
    found = study.likelihood.maximum()
    assert found.at_edge == ("rho",)
    assert found.theta["rho"].item() == 0.0
    assert found.log_likelihood == pytest.approx(stats.binom.logpmf(k, 10, 0.5).sum(), abs=1e-9)
    assert found.std_error["mu"].item() == pytest.approx(0.05, rel=1e-6)
    assert study.likelihood.profile("rho").upper[0] == pytest.approx(0.0514, rel=1e-3)
