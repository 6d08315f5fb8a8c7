"""What a product in a model says of the roles of its factors: a standardised effect, a coefficient, or ask."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from workbench.model.roles import read_roles

RNG = np.random.default_rng(40)
Y, COVARIATES = RNG.normal(size=6), RNG.normal(size=(6, 3))
GROUP = np.array([0, 1, 2, 0, 1, 2])
X = np.linspace(0.0, 9.0, 6)


def role_of(build):
    with pm.Model() as model:
        build()
    return {name: role for name, (role, _) in read_roles(model).items()}


def autoregression_around_a_mean():
    mu, b = pm.Normal("mu", 5.0, 3.0), pm.Normal("b", 0.0, 1.0, shape=2)
    pm.Normal("y", mu + b[0] * (Y[1:-1] - mu) + b[1] * (Y[:-2] - mu), pm.HalfNormal("sigma", 1.0), observed=Y[2:])


def autocorrelated_residuals():
    b, rho = pm.Normal("b", 0.0, 1.0), pm.Uniform("rho", -1.0, 1.0)
    pm.Normal("y", b * X[1:] + rho * (Y - b * X)[:-1], pm.HalfNormal("sigma", 1.0), observed=Y[1:])


def broken_line_from_an_unknown_point():
    b, knot = pm.Normal("b", 0.0, 1.0, shape=2), pm.HalfNormal("knot", 5.0)
    pm.Normal("y", b[0] * (X - knot) * (knot > X) + b[1] * pm.math.maximum(X - knot, 0.0), 1.0, observed=Y)


def residuals_over_sigma_in_a_potential():
    b, sigma = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("sigma", 1.0)
    pm.Potential("fit", -0.5 * (((Y - pm.math.dot(COVARIATES, b)) / sigma) ** 2).sum() - 6 * pm.math.log(sigma))


def log_density_in_a_potential():
    b, sigma = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("sigma", 1.0)
    pm.Potential("fit", pm.logp(pm.Normal.dist(pm.math.dot(COVARIATES, b), sigma), Y).sum())


def threshold_over_sigma():
    b, sigma = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("sigma", 1.0)
    pm.Bernoulli("y", pm.math.invprobit((pm.math.dot(COVARIATES, b) - X) / sigma), observed=(Y > 0).astype(int))


def heights_of_a_curve_in_one_vector():
    b, rate = pm.Normal("b", 0.0, 1.0, shape=2), pm.HalfNormal("rate", 1.0)
    pm.Normal("y", b[0] + b[1] * pm.math.exp(-rate * X), 1.0, observed=Y)


def coefficients_over_a_shape():
    b, shape = pm.Normal("b", 0.0, 5.0, shape=3), pm.HalfNormal("shape", 1.0)
    pm.Weibull("y", shape, pm.math.exp(-pm.math.dot(COVARIATES, b) / shape), observed=np.exp(Y))


def effects_times_coefficients():
    b, tau = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("tau", 1.0)
    effect = (tau * pm.Normal("eta", 0.0, 1.0, shape=3))[GROUP]
    pm.Normal("y", effect * (1.0 + pm.math.dot(COVARIATES, b)), 1.0, observed=Y)


def a_ratio_of_polynomials():
    a, b, c = (pm.Normal(name, 0.0, 1.0) for name in "abc")
    pm.Normal("y", (a + b * X) / (1.0 + c * X + c**2 * X**2), 1.0, observed=Y)


def a_ratio_of_polynomials_without_a_constant():
    a, b, c = (pm.Normal(name, 0.0, 1.0) for name in "abc")
    pm.Normal("y", a * (X**2 + b * X) / (X**2 + c * X), 1.0, observed=Y)


@pytest.mark.parametrize(
    "build",
    [
        a_ratio_of_polynomials,
        a_ratio_of_polynomials_without_a_constant,
        autoregression_around_a_mean,
        autocorrelated_residuals,
        broken_line_from_an_unknown_point,
        residuals_over_sigma_in_a_potential,
        log_density_in_a_potential,
        threshold_over_sigma,
        heights_of_a_curve_in_one_vector,
        coefficients_over_a_shape,
        effects_times_coefficients,
    ],
)
def test_coefficients_in_a_product_that_is_no_effect_are_parameters(build):
    # Each was integrated out, which gives another maximum and says nothing, or asked about.
    assert role_of(build)["b"] == "parameter"


def standardised_coefficients_over_a_shape():
    b, shape = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("shape", 1.0)
    pm.Weibull("y", shape, pm.math.exp(-pm.math.dot(COVARIATES, b) / shape), observed=np.exp(Y))


def weights_of_a_basis_of_free_width():
    b, width = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("width", 1.0)
    pm.Normal("y", pm.math.dot(pm.math.exp(-((X[:, None] - X[:3]) ** 2) / width**2), b), 1.0, observed=Y)


@pytest.mark.parametrize("build", [standardised_coefficients_over_a_shape, weights_of_a_basis_of_free_width])
def test_what_may_be_coefficients_or_standardised_effects_is_asked_about(build):
    assert role_of(build)["b"] == "ambiguous"


def walk_in_units_of_its_step():
    b, step = pm.GaussianRandomWalk("b", sigma=1.0, init_dist=pm.Normal.dist(0, 1), shape=6), pm.HalfNormal("step", 1)
    pm.Poisson("y", pm.math.exp(step * b), observed=np.arange(6))


def neighbours_in_units_of_their_scale():
    pairs = np.eye(6, k=1) + np.eye(6, k=-1)
    b, scale = pm.ICAR("b", W=pairs), pm.HalfNormal("scale", 1.0)
    pm.Poisson("y", pm.math.exp(scale * b), observed=np.arange(6))


def process_by_the_root_of_its_covariance():
    b, width = pm.Normal("b", 0.0, 1.0, shape=6), pm.HalfNormal("width", 1.0)
    covariance = pm.math.exp(-((X[:, None] - X) ** 2) / width**2) + 1e-6 * np.eye(6)
    pm.Poisson("y", pm.math.exp(pt.linalg.cholesky(covariance) @ b), observed=np.arange(6))


def heights_of_a_curve_that_differ_between_groups():
    b, tau, rate = pm.Normal("b", 0.0, 1.0, shape=3), pm.HalfNormal("tau", 1.0), pm.HalfNormal("rate", 1.0)
    pm.Normal("y", tau * pm.math.exp(-rate * X) * b[GROUP], 1.0, observed=Y)


@pytest.mark.parametrize(
    "build",
    [
        walk_in_units_of_its_step,
        neighbours_in_units_of_their_scale,
        process_by_the_root_of_its_covariance,
        heights_of_a_curve_that_differ_between_groups,
    ],
)
def test_walks_neighbours_processes_and_curves_of_groups_are_latent_in_their_standardised_form(build):
    assert role_of(build)["b"] == "latent"
