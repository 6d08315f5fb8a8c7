"""Log densities keep their digits where a share rounds to one, or degrees of freedom are without bound."""

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

from workbench.model.density import LIKELIHOOD, LogDensity

Y = np.random.default_rng(3).normal(size=50)


def student():
    with pm.Model() as model:
        nu = pm.HalfNormal("nu", 30.0)
        pm.StudentT("y", nu=nu, mu=0.0, sigma=1.0, observed=Y)
    return LogDensity(model)


@pytest.mark.parametrize("nu", [0.7, 30.0, 1999.0, 2001.0, 1e5, 1e8])
def test_student_t_is_that_of_scipy_at_any_degrees_of_freedom(nu):
    density, z = student(), np.array([np.log(nu)])
    expected = stats.t.logpdf(Y, nu).sum()
    assert density.objective(LIKELIHOOD).value(z) == pytest.approx(expected, abs=1e-9)
    assert density.sums(z[None])[1][0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("nu", [1e10, 1e14, 1e18, 1e30])
def test_student_t_far_out_is_normal_with_the_slope_of_its_expansion(nu):
    # log t_nu = log Normal + (x^4 - 2 x^2 - 1) / (4 nu) + O(1 / nu^2), so the slope in log nu is minus that sum.
    value, slope = student().objective(LIKELIHOOD).value_and_gradient(np.array([np.log(nu)]))
    assert value == pytest.approx(stats.norm.logpdf(Y).sum(), abs=1e-8)
    assert slope[0] == pytest.approx(-(Y**4 - 2 * Y**2 - 1).sum() / (4 * nu), abs=1e-9)


@pytest.mark.parametrize("x", [0.3, 36.0, 40.0, 700.0])
def test_a_zero_inflated_count_has_a_slope_where_its_share_rounds_to_one(x):
    with pm.Model() as model:
        logit = pm.Normal("logit", 0.0, 10.0)
        pm.ZeroInflatedPoisson("y", psi=pm.math.sigmoid(logit), mu=2.0, observed=np.array([0, 3]))
    value, slope = LogDensity(model).objective(LIKELIHOOD).value_and_gradient(np.array([x]))
    zero = np.logaddexp(special.log_expit(-x), special.log_expit(x) - 2.0)
    assert value == pytest.approx(zero + special.log_expit(x) + stats.poisson.logpmf(3, 2.0), rel=1e-13)
    share = special.expit(x)
    moved = share * (1 - share) * (np.exp(-2.0) - 1.0) / np.exp(zero)
    assert slope[0] == pytest.approx(moved + 1 - share, abs=1e-15)


COUNTS = np.array([1, 1, 3, 2])


@pytest.mark.parametrize("mu", [3.0, 1e-3, 1e-8, 1e-14])
def test_counts_above_zero_keep_their_digits_where_nearly_all_would_be_zero(mu):
    with pm.Model() as model:
        pm.Truncated("y", pm.Poisson.dist(pm.HalfNormal("mu", 1.0)), lower=1, observed=COUNTS)
    density, z = LogDensity(model), np.array([np.log(mu)])
    value, slope = density.objective(LIKELIHOOD).value_and_gradient(z)
    above = -np.expm1(-mu)  # the probability of 1 or more
    expected = (COUNTS * np.log(mu) - mu - special.gammaln(COUNTS + 1) - np.log(above)).sum()
    assert value == pytest.approx(expected, rel=1e-13)
    assert density.sums(z[None])[1][0] == pytest.approx(expected, rel=1e-13)
    assert slope[0] == pytest.approx((COUNTS - mu - mu * np.exp(-mu) / above).sum(), rel=1e-12)


@pytest.mark.parametrize("logit", [0.3, -7.0, -32.0])
def test_binomial_counts_above_zero_keep_their_digits_where_nearly_all_would_be_zero(logit):
    with pm.Model() as model:
        share = pm.math.sigmoid(pm.Normal("logit", 0.0, 10.0))
        pm.Truncated("y", pm.Binomial.dist(n=7, p=share), lower=1, observed=COUNTS)
    p = special.expit(logit)
    expected = (stats.binom.logpmf(COUNTS, 7, p) - np.log(-np.expm1(7 * np.log1p(-p)))).sum()
    assert LogDensity(model).objective(LIKELIHOOD).value(np.array([logit])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("beta", [1e-3, 1e-12, 1e-15])
def test_what_the_data_leave_of_a_number_of_trials_is_not_lost_beside_a_tiny_shape(beta):
    with pm.Model() as model:
        shapes = pm.HalfNormal("alpha", 1.0), pm.HalfNormal("beta", 1.0)
        pm.BetaBinomial("y", n=10, alpha=shapes[0], beta=shapes[1], observed=np.full(6, 10))
    value, slope = LogDensity(model).objective(LIKELIHOOD).value_and_gradient(np.log([1.0, beta]))
    k = np.arange(10)  # the probability of 10 of 10 is the product of (alpha + k) / (alpha + beta + k)
    assert value == pytest.approx(6 * np.log1p(-beta / (1 + beta + k)).sum(), abs=1e-12)
    assert slope[1] == pytest.approx(-6 * (beta / (1 + beta + k)).sum(), abs=1e-10)


@pytest.mark.parametrize("size", [1.0, 900.0, 1100.0, 1e6, 1e12, 1e20])
def test_a_beta_binomial_is_the_product_of_its_urn_up_to_the_binomial_without_overdispersion(size):
    k = np.array([5, 4, 6, 0, 10])
    with pm.Model() as model:
        alpha, beta = pm.HalfNormal("alpha", 1.0), pm.HalfNormal("beta", 1.0)
        pm.BetaBinomial("y", n=10, alpha=alpha, beta=beta, observed=k)
    a, b, drawn = size, 3.0 * size, np.arange(10)
    urn = [
        np.sum(np.log(a + drawn[:j])) + np.sum(np.log(b + drawn[: 10 - j])) - np.sum(np.log(a + b + drawn)) for j in k
    ]
    expected = np.sum(urn) + np.sum(np.log(special.comb(10, k)))
    density, z = LogDensity(model), np.log([a, b])
    assert density.objective(LIKELIHOOD).value(z) == pytest.approx(expected, abs=1e-9)
    assert density.sums(z[None])[1][0] == pytest.approx(expected, abs=1e-9)
    if size > 1e11:
        assert expected == pytest.approx(stats.binom.logpmf(k, 10, 0.25).sum(), abs=1e-9)
