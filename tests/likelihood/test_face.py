"""Maxima on a face of a simplex, against counts; and ordered values that coincide."""

import re

import numpy as np
import pymc as pm
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


def test_effects_of_a_group_that_are_proportional_to_each_other_have_a_correlation_of_one():
    rng, group, x = np.random.default_rng(0), np.repeat(np.arange(8), 5), np.tile(np.linspace(-1, 1, 5), 8)
    effect = rng.normal(size=8)[group]
    y = 1.0 + effect + (0.5 + effect) * x + 0.8 * rng.normal(size=40)
    with pm.Model() as model:
        b, sigma = pm.Normal("b", 0.0, 5.0, shape=2), pm.HalfNormal("sigma", 2.0)
        half = pm.HalfNormal.dist(2.0, shape=2)
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=half, compute_corr=True)
        u = pm.MvNormal("u", 0.0, chol=chol, shape=(8, 2))
        pm.Normal("y", b[0] + u[group, 0] + (b[1] + u[group, 1]) * x, sigma, observed=y)
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "edge"
    assert refusal.value.where == "chol_corr[0, 1]"
    assert "where chol_corr[0, 1] = 1:" in refusal.value.what
    rows = y.reshape(8, 5)

    def minus(theta):  # both effects are one number times their scale
        loading = theta[2] + theta[3] * x[:5]
        covariance = np.outer(loading, loading) + np.exp(2 * theta[4]) * np.eye(5)
        return -stats.multivariate_normal.logpdf(rows, theta[0] + theta[1] * x[:5], covariance).sum()

    best = optimize.minimize(minus, [1.0, 0.5, 1.0, 1.0, -0.2], method="Nelder-Mead", options={"maxiter": 4000})
    assert f"highest point, {-best.fun:.6g} nats" in refusal.value.what
