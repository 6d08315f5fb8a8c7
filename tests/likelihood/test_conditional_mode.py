"""The mode of the latent variables: exact where the gradient is a straight line, and the same as before elsewhere."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from workbench import Study
from workbench.errors import NumericalError
from workbench.likelihood.problem import pose
from workbench.model.density import INTEGRAND
from workbench.numerics.curvature import hessian

GROUPS, REPEATS = 24, 3


@pytest.fixture(scope="module")
def measurements():
    """Three quantities of 24 units, each measured three times, shape ``(24, 3, 3)``: unit, repeat, quantity."""
    rng = np.random.default_rng(5)
    factor = np.array([[4.0, 0.0, 0.0], [3.0, 2.0, 0.0], [-1.0, 1.0, 1.5]])
    units = np.array([50.0, 60.0, 66.0]) + rng.normal(size=(GROUPS, 3)) @ factor.T
    return units[:, None, :] + rng.normal(size=(GROUPS, REPEATS, 3))


def between_units(y, observed):
    """The covariance between units, from effects that are integrated out or from the means of the units themselves."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 60.0, 50.0, shape=3)
        factor, _, _ = pm.LKJCholeskyCov("factor", n=3, eta=1.0, sd_dist=pm.HalfNormal.dist(10.0, shape=3))
        pm.Deterministic("between", factor @ factor.T)
        sigma = pm.HalfNormal("sigma", 5.0)
        if observed:
            within = np.sum((y - y.mean(axis=1, keepdims=True)) ** 2)
            degrees = GROUPS * 3 * (REPEATS - 1)
            pm.Gamma("within", degrees / 2, 1 / (2 * sigma**2), observed=within)
            means = factor @ factor.T + sigma**2 / REPEATS * np.eye(3)
            pm.MvNormal("means", mu, cov=means, observed=y.mean(axis=1))
        else:
            z = pm.Normal("z", 0.0, 1.0, shape=(GROUPS, 3))
            pm.Normal("y", (mu + z @ factor.T)[:, None, :], sigma, observed=y)
    return model


def exact_errors(y):
    """Estimates and standard errors of the elements of the covariance: that of the unit means less sigma^2 / 3."""
    means = np.cov(y.mean(axis=1).T, bias=True)
    degrees = GROUPS * 3 * (REPEATS - 1)
    sigma2 = np.sum((y - y.mean(axis=1, keepdims=True)) ** 2) / degrees
    diagonal = np.diag(means)
    variance = (np.outer(diagonal, diagonal) + means**2) / GROUPS
    variance += np.eye(3) * 2 * sigma2**2 / degrees / REPEATS**2
    return means - np.eye(3) * sigma2 / REPEATS, np.sqrt(variance)


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("observed", [False, True])
def test_errors_of_a_free_covariance_of_effects_agree_with_their_closed_form_to_eight_digits(measurements, observed):
    mode = Study(between_units(measurements, observed), seed=1).likelihood.maximum()
    expected, errors = exact_errors(measurements)
    np.testing.assert_allclose(mode.theta["between"].values, expected, rtol=1e-9)
    np.testing.assert_allclose(mode.std_error["between"].values, errors, rtol=1e-8)


def poisson_effects(y):
    with pm.Model() as model:
        scale = pm.HalfNormal("scale", 1.0, shape=3)
        u = pm.Normal("u", 0.0, scale, shape=(len(y), 3))
        pm.Poisson("y", pm.math.exp(1.0 + u), observed=y)
    return model


@pytest.mark.parametrize("normal", [True, False])
def test_information_about_the_effects_is_the_exact_one_on_a_straight_line_and_off_it(measurements, normal):
    y = measurements if normal else np.random.default_rng(1).poisson(4.0, size=(6, 3))
    study = Study(between_units(y, observed=False) if normal else poisson_effects(y), seed=1)
    marginal = pose(study.density).objective
    theta = marginal.chart.space.start[marginal.chart.coordinates]
    for _ in range(2):  # the second time the scales are known
        at = marginal.expand(theta)
    u, first = marginal.structure.coordinates, marginal.structure.groups[0]
    joint = study.density.objective(INTEGRAND)
    whole = -hessian(joint, at.z)[np.ix_(u[first[0]], u[first[0]])] if first.shape[1] > 1 else None
    blocks = np.einsum("bij,bkj->bik", at.roots[0], at.roots[0])
    if normal:
        space = study.density.space
        theta_at = {name: array[0] for name, array in space.theta(at.z[None]).items()}
        factor = np.zeros((3, 3))
        factor[np.tril_indices(3)] = theta_at["factor"]
        exact = np.eye(3) + REPEATS * factor.T @ factor / theta_at["sigma"] ** 2
        np.testing.assert_allclose(blocks, np.broadcast_to(exact, blocks.shape), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(whole, exact, rtol=1e-9, atol=1e-9)
    else:
        effects = study.density.space.theta(at.z[None])
        exact = 1.0 / effects["scale"][0] ** 2 + np.exp(1.0 + effects["u"][0])
        np.testing.assert_allclose(np.sort(blocks.ravel()), np.sort(exact.ravel()), rtol=1e-9)


def test_effects_narrower_than_numbers_can_tell_are_an_error_and_not_a_likelihood():
    y = np.random.default_rng(2).normal(3.0, 1.0, size=(8, 5))
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("tau", 5.0)
        effect = pm.Normal("effect", mu, tau, shape=8)
        pm.Normal("y", effect[:, None], 1.0, observed=y)
    marginal = pose(Study(model, seed=1).density).objective
    covariance = 1e-8**2 * np.ones((5, 5)) + np.eye(5)
    exact = stats.multivariate_normal(np.full(5, 3.0), covariance).logpdf(y).sum()
    assert marginal.value(np.array([3.0, np.log(1e-8)])) == pytest.approx(exact, abs=1e-5)
    with pytest.raises(NumericalError, match="too steep"):
        marginal.value(np.array([3.0, np.log(1e-18)]))
