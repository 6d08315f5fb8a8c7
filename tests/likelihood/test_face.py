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


@pytest.mark.parametrize("question", ["errors", "bootstrap"])
def test_what_needs_single_coordinates_is_refused_on_a_face(shares, question):
    with pytest.raises(RefusalError, match=r"face of the simplex: \w+\[1\] = 0"):
        getattr(shares.likelihood, question)()


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
