"""Maxima on a face of a simplex, against counts; and ordered values that coincide."""

import re

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import optimize, stats

import workbench as wb
from tests import models_zoo
from workbench.errors import NoMaximumError, RefusalError

pytestmark = pytest.mark.slow  # every model is compiled

COUNTS = np.array([30, 0, 20, 0])


@pytest.fixture(scope="module")
def shares():
    return wb.Study(models_zoo.simplex(COUNTS), seed=1)


def test_categories_without_counts_have_the_probability_zero_and_the_others_their_share(shares):
    found, parts = shares.likelihood.maximum(), COUNTS / 50
    (name,) = (name for name, array in found.theta.items() if array.shape == (4,))
    np.testing.assert_allclose(found.theta[name], parts, rtol=1e-8, atol=0)
    assert found.at_edge == (f"{name}[1]", f"{name}[3]")
    assert found.log_likelihood == pytest.approx(stats.multinomial.logpmf(COUNTS, 50, parts), rel=1e-12)
    errors = found.std_error[name].to_numpy()
    np.testing.assert_allclose(errors[COUNTS > 0], np.sqrt(0.6 * 0.4 / 50), rtol=1e-6)
    assert np.isnan(errors[COUNTS == 0]).all()
    assert found.certificate.grade == "caution"
    assert any(f"{name}[1] = 0, {name}[3] = 0" in check.message for check in found.checks)


def test_errors_hold_on_the_face_in_every_form(shares):
    found = shares.likelihood.errors()
    for form in ("observed", "expected"):
        np.testing.assert_allclose(found.std_error[form][COUNTS > 0], np.sqrt(0.6 * 0.4 / 50), rtol=1e-6)
        assert np.isnan(found.std_error[form][COUNTS == 0]).all()
    # Of two shares that are left one decides the other: the rank is K - 1 - 2 = 1.
    covariance = found.covariance("expected").to_numpy()[np.ix_(COUNTS > 0, COUNTS > 0)]
    np.testing.assert_allclose(covariance, 0.24 / 50 * np.array([[1, -1], [-1, 1]]), rtol=1e-6)


def test_the_profile_of_an_empty_category_is_one_sided(shares):
    found = shares.likelihood.profile()
    np.testing.assert_allclose(found.estimate, COUNTS / 50, atol=1e-12)
    for level, profile in ((0.95, found), (0.8, shares.likelihood.profile(found.names[1], level=0.8))):
        i, cut = profile.names.index(found.names[1]), stats.chi2.ppf(level, 1)
        assert profile.lower[i] == 0.0
        assert profile.upper[i] == pytest.approx(-np.expm1(-cut / 100), rel=1e-8)  # 50 log(1 - p) = -cut / 2
        assert np.isnan(profile.std_error[i])
    # The share of the others is that of a binomial: what is empty stays empty.
    for bound in (found.lower[0], found.upper[0]):
        deviance = 2 * (stats.binom.logpmf(30, 50, 0.6) - stats.binom.logpmf(30, 50, bound))
        assert deviance == pytest.approx(stats.chi2.ppf(0.95, 1), abs=1e-7)
    assert any("no lower bound short of the edge" in note for note in found.notes())


def test_an_empty_category_is_entered_where_that_pays(shares):
    name = shares.likelihood.profile().names[0].split("[")[0]
    found = shares.likelihood.profile({f"{name}[0]": 1.0, f"{name}[1]": -1.0}, level=0.99999)

    def held(c):
        # With p0 - p1 = c, and p1 what is best, maybe 0: 30 log p0 + 20 log(1 - p0 - p1).
        best = optimize.minimize_scalar(
            lambda p: -30 * np.log(c + p) - 20 * np.log(1 - c - 2 * p), bounds=(0.0, (1 - c) / 2), method="bounded",
            options={"xatol": 1e-12},
        ).fun  # fmt: skip
        return -min(best, -30 * np.log(c) - 20 * np.log(1 - c))

    top = 30 * np.log(0.6) + 20 * np.log(0.4)
    lower = optimize.brentq(lambda c: 2 * (top - held(c)) - found.cut, 0.05, 0.59, xtol=1e-12)
    assert lower < 3 / 7  # below it the second category is worth having
    assert found.lower[0] == pytest.approx(lower, rel=1e-6)


def test_an_empty_category_can_be_tested(shares):
    name = shares.likelihood.profile().names[1]
    found = shares.likelihood.test(name, 0.02)
    assert found.statistic["likelihood ratio"] == pytest.approx(-100 * np.log(0.98), rel=1e-9)
    at_zero = shares.likelihood.test(name, 0.0)
    assert at_zero.statistic["likelihood ratio"] == 0.0
    assert at_zero.mixture
    with pytest.raises(wb.InputError, match="cannot be 1.5"):
        shares.likelihood.test(name, 1.5)
    other = name.replace("1", "3")
    with pytest.raises(RefusalError, match="categories whose probability is 0"):
        shares.likelihood.profile({name: 1.0, other: 1.0})


def test_replicates_stay_on_the_face_and_say_nothing_of_what_is_empty(shares):
    found = shares.likelihood.bootstrap(300)
    assert len(found.complete) == 300
    np.testing.assert_allclose(found.complete[:, COUNTS == 0], 0.0)
    np.testing.assert_allclose(found.complete @ np.ones(4), 1.0)
    drawn = np.random.default_rng(1).binomial(50, 0.6, size=20_000) / 50
    assert found.std_error[0] == pytest.approx(drawn.std(), rel=0.15)  # 300 replicates: 4% is their Monte Carlo error
    assert np.isnan(found.std_error[COUNTS == 0]).all()
    assert found.interval(kind="percentile").iloc[1].isna().all()
    assert any("every replicate" in note for note in found.notes())


def test_replicates_may_reach_a_face_that_the_data_do_not():
    counts = np.array([30, 1, 20])
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(3))
        pm.Categorical("y", p, observed=np.repeat(np.arange(3), counts))
    found = wb.Study(model, seed=1).likelihood.bootstrap(300, kind="nonparametric")
    assert not found.failures
    share = found.edges["p[1]"] / 300
    assert share == pytest.approx((50 / 51) ** 51, abs=4 * np.sqrt(0.36 * 0.64 / 300))
    whole = found.complete * 51
    np.testing.assert_allclose(whole, np.round(whole), atol=1e-4)  # each estimate is a share of 51
    assert found.std_error[1] == pytest.approx(np.sqrt(50 / 51 / 51 / 51), rel=0.2)


def test_of_two_shares_the_empty_one_leaves_nothing_to_estimate_but_has_its_bound():
    with pm.Model() as model:
        pm.Multinomial("y", 9, pm.Dirichlet("p", np.ones(2)), observed=np.array([9, 0]))
    study = wb.Study(model, seed=1)
    with pytest.raises(RefusalError, match="every parameter is at the edge"):
        study.likelihood.errors()
    found = study.likelihood.profile()
    assert found.upper[1] == pytest.approx(-np.expm1(-found.cut / 18), rel=1e-8)
    assert np.all(study.likelihood.bootstrap(20).complete == [1.0, 0.0])


def test_thresholds_of_a_grade_that_nobody_gave_coincide():
    grades = np.array([0, 1, 1, 3, 3, 3])  # of 0 to 3, without predictors
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(models_zoo.ordered(grades), seed=1).likelihood.maximum()
    assert refusal.value.kind == "edge"
    assert re.search(r"where \w+\[1\] = \w+\[2\] = ", refusal.value.what)
    assert refusal.value.where.endswith("[1]")
    height = np.log(1 / 6) + 2 * np.log(2 / 6) + 3 * np.log(3 / 6)
    assert f"highest point, {height:.6g} nats" in refusal.value.what


GROUP, X = np.repeat(np.arange(8), 5), np.tile(np.linspace(-1, 1, 5), 8)


@pytest.fixture(scope="module")
def proportional():
    """Data whose best fit has effects that are one number times their scale, and the log likelihood of that fit."""
    rng = np.random.default_rng(0)
    effect = rng.normal(size=8)[GROUP]
    y = 1.0 + effect + (0.5 + effect) * X + 0.8 * rng.normal(size=40)
    rows = y.reshape(8, 5)

    def minus(theta):
        loading = theta[2] + theta[3] * X[:5]
        covariance = np.outer(loading, loading) + np.exp(2 * theta[4]) * np.eye(5)
        return -stats.multivariate_normal.logpdf(rows, theta[0] + theta[1] * X[:5], covariance).sum()

    best = optimize.minimize(minus, [1.0, 0.5, 1.0, 1.0, -0.2], method="Nelder-Mead", options={"maxiter": 4000})
    return y, -best.fun


def effects_model(y, covariance):
    with pm.Model() as model:
        b, sigma = pm.Normal("b", 0.0, 5.0, shape=2), pm.HalfNormal("sigma", 2.0)
        u = pm.MvNormal("u", np.zeros(2), shape=(8, 2), **covariance())
        pm.Normal("y", b[0] + u[GROUP, 0] + (b[1] + u[GROUP, 1]) * X, sigma, observed=y)
    return wb.Study(model, seed=1)


def by_factor():
    half = pm.HalfNormal.dist(2.0, shape=2)
    return {"chol": pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=half, compute_corr=True)[0]}


def by_correlation():
    t, r = pm.HalfNormal("t", 2.0, shape=2), pm.Uniform("r", -1.0, 1.0)
    off = r * t[0] * t[1]
    return {"cov": pt.stack([pt.stack([t[0] ** 2, off]), pt.stack([off, t[1] ** 2])])}


@pytest.mark.deep
def test_effects_of_a_group_that_are_proportional_to_each_other_have_a_correlation_of_one(proportional):
    y, height = proportional
    with pytest.raises(NoMaximumError) as refusal:
        effects_model(y, by_factor).likelihood.maximum()
    assert refusal.value.kind == "edge"
    assert refusal.value.where == "chol_corr[0, 1]"
    assert f"highest point, {height:.6g} nats" in refusal.value.what
    assert "where chol_corr[0, 1] = 1:" in refusal.value.what


@pytest.mark.deep
def test_a_correlation_goes_to_the_edge_on_its_own_side_and_not_to_the_other(proportional):
    y, height = proportional
    found = effects_model(y, by_correlation).likelihood.maximum()
    assert found.theta["r"].item() == pytest.approx(1.0, abs=1e-9)
    assert found.at_edge == ("r",)
    assert found.log_likelihood == pytest.approx(height, abs=1e-5)


@pytest.mark.deep  # a minute: nodes in three rounds for thirty groups, followed to where the covariance has no inverse
def test_effects_of_few_groups_lose_the_rank_of_their_covariance_where_laplace_would_end_elsewhere():
    generator = np.random.default_rng(3)
    group = np.repeat(np.arange(30), 6)
    x1, x2 = generator.standard_normal((2, 180))
    covariance = np.array([[1.0, 0.5, 0.3], [0.5, 0.8, -0.2], [0.3, -0.2, 0.6]])
    effects = generator.multivariate_normal(np.zeros(3), covariance, 30)
    logit = -0.3 + effects[group, 0] + (0.5 + effects[group, 1]) * x1 + (-0.4 + effects[group, 2]) * x2
    y = (generator.uniform(size=180) < 1 / (1 + np.exp(-logit))).astype(int)
    with pm.Model() as model:
        b = pm.Normal("b", 0, 3, shape=3)
        factor, _, _ = pm.LKJCholeskyCov("factor", n=3, eta=1, sd_dist=pm.HalfNormal.dist(2.0))
        u = pm.MvNormal("u", np.zeros(3), chol=factor, shape=(30, 3))
        pm.Bernoulli(
            "y", logit_p=b[0] + u[group, 0] + (b[1] + u[group, 1]) * x1 + (b[2] + u[group, 2]) * x2, observed=y
        )
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "edge"
    assert "the covariance of factor has no inverse: element 2 = " in refusal.value.what
    # Tensor Gauss-Hermite around each group's mode has it there too: -114.66 nats, of which Laplace misses 0.86.
    assert "its highest point, -114.66" in refusal.value.what
