"""Laplace's approximation is exact for a Gaussian posterior, near for others, and refused without a peak."""

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

from tests.models_zoo import NAMES, _normals
from workbench.errors import NumericalError, RefusalError
from workbench.model.anatomy import examine
from workbench.model.density import TARGET, LogDensity
from workbench.posterior.laplace import approximate

X, Y = _normals(70, 25, 3), _normals(71, 25)


@pytest.fixture(scope="module")
def regression():
    """Known noise and Normal coefficients: the posterior is Gaussian and the evidence a Gaussian density of y."""
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 2, shape=3)
        pm.Normal("y", X @ beta, 0.7, observed=Y)
    d = LogDensity(model)
    return approximate(d, examine(d), d.space.start[None])


@pytest.mark.slow
def test_gaussian_posterior_is_exact(regression):
    precision = X.T @ X / 0.49 + np.eye(3) / 4
    covariance = np.linalg.inv(precision)
    mean = covariance @ X.T @ Y / 0.49
    assert regression.mode == pytest.approx(mean, rel=1e-9)
    assert regression.covariance == pytest.approx(covariance, rel=1e-8)
    assert regression.std_error == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-8)
    assert regression.labels == ("beta[0]", "beta[1]", "beta[2]")


def test_evidence_of_a_gaussian_model_is_exact(regression):
    expected = stats.multivariate_normal(np.zeros(25), 0.49 * np.eye(25) + 4 * X @ X.T).logpdf(Y)
    assert regression.log_integral == pytest.approx(expected, abs=1e-9)


def test_gaussian_of_the_approximation_has_its_mode_and_covariance(regression):
    normal = regression.gaussian
    assert normal.mean == pytest.approx(regression.mode)
    assert normal.factor @ normal.factor.T == pytest.approx(regression.covariance, rel=1e-12)


def test_a_beta_posterior_on_the_log_odds_has_the_closed_form_approximation(density, anatomy, starts):
    found = approximate(density("coin"), anatomy("coin"), starts(density("coin")))
    a, b = 62, 40
    assert found.mode == pytest.approx([np.log(a / b)], rel=1e-10)
    assert found.covariance == pytest.approx(np.array([[1 / a + 1 / b]]), rel=1e-8)
    height = a * np.log(a / (a + b)) + b * np.log(b / (a + b)) + np.log(special.comb(100, 61))
    assert found.log_integral == pytest.approx(height + 0.5 * np.log(2 * np.pi * (1 / a + 1 / b)), rel=1e-10)
    assert found.estimate == pytest.approx([a / (a + b)], rel=1e-10)
    # Stirling's series: the error is (1/(a + b) - 1/a - 1/b) / 12 nats, and a term of order 1/b^3 / 360.
    assert found.log_integral + np.log(101) == pytest.approx((1 / (a + b) - 1 / a - 1 / b) / 12, abs=1e-6)


# Centred effects: the density grows without bound as tau goes to zero. Laplace priors: a kink at the mode.
PEAKLESS = ("centred", "heavy")


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n not in PEAKLESS])
def test_mode_is_the_highest_point_of_the_target_around(density, anatomy, starts, points, name):
    d = density(name)
    found = approximate(d, anatomy(name), starts(d))
    objective = d.objective(TARGET)
    highest = objective.value(found.mode)
    around = np.random.default_rng(1).normal(size=(50, d.space.dimension)) @ np.linalg.cholesky(found.covariance).T
    assert all(objective.value(found.mode + step) < highest for step in around)
    assert all(objective.value(z) <= highest for z in points(d, 50))
    assert found.other_modes.shape[1] == d.space.dimension


@pytest.mark.slow
@pytest.mark.parametrize("name", PEAKLESS)
def test_a_target_without_a_smooth_peak_is_refused(density, anatomy, starts, name):
    with pytest.raises(RefusalError, match="no proper peak"):
        approximate(density(name), anatomy(name), starts(density(name)))


@pytest.mark.slow
def test_a_funnel_without_a_peak_is_refused():
    # Centred effects with data that do not hold them: the density grows without bound as tau goes to zero.
    with pm.Model() as model:
        tau = pm.HalfCauchy("tau", 5)
        theta = pm.Normal("theta", 0, tau, shape=4)
        pm.Normal("y", theta, 50, observed=np.zeros(4))
    d = LogDensity(model)
    with pytest.raises(RefusalError, match="no proper peak"):
        approximate(d, examine(d), d.space.start + np.vstack([np.zeros(5), np.full(5, 0.3)]))


def test_starts_without_a_finite_target_are_an_error(density, anatomy):
    with pytest.raises(NumericalError, match="none of the starting points"):
        approximate(density("height"), anatomy("height"), np.array([[170.0, -800.0]]))


def test_discrete_variables_that_stay_are_refused():
    with pm.Model() as model:
        k = pm.Poisson("k", 0.3)
        pm.Normal("y", k + pm.Normal("mu", 0, 1), 1, observed=np.array([0.2]))
    d = LogDensity(model)
    with pytest.raises(RefusalError, match="k is discrete"):
        approximate(d, examine(d), d.space.start[None])
