"""Draws of the latent variables at given parameters have the moments of their closed form."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from tests.tolerance import STANDARD_ERRORS
from workbench.likelihood.conditional_draws import draw_latents


def _many(model, parameters, count):
    """Draws of the latent coordinates at one place, shape ``(count, n)``."""
    study = wb.Study(model, seed=1)
    marginal, generator = study.problem.objective, np.random.default_rng(3)
    at = marginal.expand(np.asarray(parameters))
    found = np.array([draw_latents(marginal, at, generator) for _ in range(count)])
    assert np.array_equal(found[:, marginal.chart.coordinates], np.tile(parameters, (count, 1)))
    return found[:, marginal.structure.coordinates]


@pytest.mark.statistical
def test_normal_effects_have_mean_and_variance_of_their_conditional_posterior():
    y = np.array([1.5, -0.3, 2.2, 0.4])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        tau = pm.HalfNormal("tau", 1.0)
        a = pm.Normal("a", mu, tau, shape=4)
        pm.Normal("y", a, 0.5, observed=y)
    draws = _many(model, [0.7, np.log(0.8)], 2000)
    precision = 1 / 0.8**2 + 1 / 0.5**2
    mean = (0.7 / 0.8**2 + y / 0.5**2) / precision
    assert np.all(np.abs(draws.mean(axis=0) - mean) < STANDARD_ERRORS / np.sqrt(2000 * precision))
    assert np.allclose(draws.var(axis=0) * precision, 1.0, atol=STANDARD_ERRORS * np.sqrt(2 / 2000))


@pytest.mark.statistical
def test_gamma_rates_of_counts_have_the_moments_of_their_gamma():
    y = np.array([0, 3, 12])
    with pm.Model() as model:
        shape = pm.Exponential("shape", 1.0)
        rate = pm.Gamma("rate", 2.0, 1.0)
        u = pm.Gamma("u", shape, rate, shape=3)
        pm.Poisson("y", u, observed=y)
    draws = np.exp(_many(model, [np.log(2.5), np.log(1.5)], 3000))
    a, b = 2.5 + y, 1.5 + 1.0
    # 16 candidates leave a bias of a few hundredths of a standard deviation where the density is this skewed.
    assert np.all(np.abs(draws.mean(axis=0) - a / b) < (STANDARD_ERRORS / np.sqrt(3000) + 0.05) * np.sqrt(a) / b)
    assert np.all(np.abs(draws.std(axis=0) / (np.sqrt(a) / b) - 1.0) < 0.15)
