"""The posterior on a grid is the closed form to 1e-8, with entropy, divergence and evidence."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy import integrate, special, stats

import workbench as wb
from tests.models_zoo import MODELS, _normals, build
from workbench.errors import RefusalError
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.posterior.grid import integrate_posterior
from workbench.posterior.laplace import approximate
from workbench.report.estimates import grid_section

ACCURACY = 1e-8  # nats or units of theta; the issue asks for 1e-8, the rule stops at 1e-10


def on_grid(d, a):
    return integrate_posterior(d, a, approximate(d, a, d.space.start[None]))


@pytest.fixture(scope="module")
def coin(density, anatomy):
    return on_grid(density("coin"), anatomy("coin"))


def test_coin_posterior_is_the_beta_distribution(coin):
    exact = stats.beta(62, 40)
    assert coin.mean == pytest.approx([exact.mean()], abs=ACCURACY)
    assert coin.sd == pytest.approx([exact.std()], abs=ACCURACY)
    assert coin.labels == ("p",)


def test_one_number_of_points_is_told_that_of_the_quadrature(coin):
    assert coin.evaluated > len(coin.points)
    assert f" {coin.evaluated} points" in coin.checks[0].message
    (sentence,) = grid_section({"posterior.grid": coin}).sentences
    assert f" {coin.evaluated} grid points" in sentence


def test_coin_evidence_under_a_flat_prior_is_one_in_a_hundred_and_one(coin):
    assert coin.log_integral == pytest.approx(-np.log(101), abs=ACCURACY)
    assert abs(coin.log_integral + np.log(101)) <= max(coin.error, 1e-13)


def test_coin_information_is_the_closed_form(coin):
    # KL(Beta(62, 40) || Beta(1, 1)) = -entropy of the Beta; the entropy on z gains E log |dz/dp| = -E log p(1 - p).
    exact = stats.beta(62, 40)
    log_p, log_q = special.digamma([62, 40]) - special.digamma(102)
    assert coin.kl_divergence == pytest.approx(-exact.entropy(), abs=ACCURACY)
    assert coin.entropy == pytest.approx(exact.entropy() - log_p - log_q, abs=ACCURACY)
    expected = np.log(special.comb(100, 61)) + 61 * log_p + 39 * log_q
    assert coin.expected_log_likelihood == pytest.approx(expected, abs=ACCURACY)
    a, b = special.polygamma(1, [62, 40])
    c = special.polygamma(1, 102)
    variance = 61**2 * (a - c) + 39**2 * (b - c) - 2 * 61 * 39 * c
    assert coin.variance_log_likelihood == pytest.approx(variance, rel=1e-7)


def test_the_account_balances(coin):
    assert coin.expected_log_likelihood - coin.kl_divergence == pytest.approx(coin.log_integral, abs=ACCURACY)


def test_three_hundred_thousand_tosses_are_integrated_as_well(density, anatomy):
    d = density("coin_bias")
    found, same = on_grid(d, anatomy("coin_bias")), d.symbolic.observed["same_side"].astype(float)
    tosses = all_tosses()
    k, n = same.sum(), tosses.sum()
    evidence = np.sum(-np.log1p(tosses) - special.betaln(same + 1, tosses - same + 1))
    evidence += special.betaln(50 + k, 50 + n - k) - special.betaln(50, 50)
    assert found.log_integral == pytest.approx(evidence, abs=ACCURACY)
    exact = stats.beta(50 + k, 50 + n - k)
    assert found.mean == pytest.approx([exact.mean()], abs=ACCURACY)
    assert found.sd == pytest.approx([exact.std()], abs=ACCURACY)


def all_tosses():
    return pd.read_csv(MODELS / "data" / "coin_tosses.csv")["tosses"].to_numpy(dtype=float)


X, Y = _normals(80, 15, 2), _normals(81, 15)


def test_two_coefficients_with_known_noise_are_the_normal_closed_form():
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 2, shape=2)
        pm.Deterministic("sum", beta.sum())
        pm.Normal("y", X @ beta, 0.7, observed=Y)
    d = LogDensity(model)
    found = on_grid(d, examine(d))
    covariance = np.linalg.inv(X.T @ X / 0.49 + np.eye(2) / 4)
    mean = covariance @ X.T @ Y / 0.49
    assert found.mean == pytest.approx([*mean, mean.sum()], abs=ACCURACY)
    assert found.sd == pytest.approx([*np.sqrt(np.diag(covariance)), np.sqrt(covariance.sum())], abs=ACCURACY)
    assert found.labels == ("beta[0]", "beta[1]", "sum")
    evidence = stats.multivariate_normal(np.zeros(15), 0.49 * np.eye(15) + 4 * X @ X.T).logpdf(Y)
    assert found.log_integral == pytest.approx(evidence, abs=ACCURACY)
    assert found.entropy == pytest.approx(stats.multivariate_normal(mean, covariance).entropy(), abs=ACCURACY)
    # KL between two normals: 1/2 [tr(S0^-1 S) + m' S0^-1 m - d + log det S0 / det S].
    divergence = 0.5 * (np.trace(covariance) / 4 + mean @ mean / 4 - 2 + np.log(16 / np.linalg.det(covariance)))
    assert found.kl_divergence == pytest.approx(divergence, abs=ACCURACY)


def test_height_posterior_on_a_grid_agrees_with_scipys_quadrature(density, anatomy):
    d = density("height")
    (y,) = d.symbolic.observed.values()
    n, mean, s = y.size, y.mean(), y.std()
    found = on_grid(d, anatomy("height"))

    # Over mu by hand: a Normal prior times a Normal likelihood; over sigma by adaptive quadrature.
    def integrand(sigma, power):
        v = sigma**2 / n
        within = (
            -n / 2 * np.log(2 * np.pi) - n * np.log(sigma) - n * s**2 / (2 * sigma**2) + 0.5 * np.log(2 * np.pi * v)
        )
        return sigma**power * np.exp(
            within + stats.norm.logpdf(mean, 170, np.sqrt(400 + v)) + stats.halfnorm.logpdf(sigma, scale=20) + offset
        )

    offset = -found.log_integral
    moments = [integrate.quad(integrand, s / 3, 5 * s, args=(k,), epsrel=1e-12, points=[s])[0] for k in range(3)]
    assert np.log(moments[0]) == pytest.approx(0.0, abs=ACCURACY)
    assert found.mean[1] == pytest.approx(moments[1] / moments[0], abs=ACCURACY)
    assert found.sd[1] == pytest.approx(np.sqrt(moments[2] / moments[0] - (moments[1] / moments[0]) ** 2), abs=1e-7)


def test_a_potential_without_a_side_leaves_the_split_open():
    d = LogDensity(build("potential"))
    found = on_grid(d, examine(d))
    assert np.isfinite(found.log_integral)
    assert np.isnan([found.kl_divergence, found.expected_log_likelihood, found.variance_log_likelihood]).all()


def test_weights_are_probabilities_of_the_points(coin):
    assert coin.weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert np.all(coin.weights > 0)
    assert coin.points.shape == (coin.weights.size, 1)
    assert coin.checks[0].code == "grid-converged"
    assert coin.checks[0].status == "ok"


@pytest.mark.parametrize("name", ["logistic", "noncentred", "simplex"])
def test_three_dimensions_are_refused_with_a_remedy(density, anatomy, name):
    d = density(name)
    laplace = approximate(d, anatomy(name), d.space.start[None])
    with pytest.raises(RefusalError, match="dimensions") as refusal:
        integrate_posterior(d, anatomy(name), laplace)
    assert "draws" in refusal.value.fix


def test_a_change_point_is_refused_on_the_grid_in_favour_of_draws():
    time = np.arange(100.0)
    y = np.where(time < 40, 1.0, 2.0) + np.random.default_rng(0).normal(0.0, 0.5, 100)
    with pm.Model() as model:
        tau, mu = pm.Uniform("tau", 0.0, 100.0), pm.Normal("mu", 0.0, 5.0)
        pm.Normal("y", pm.math.switch(time < tau, mu, 2.0), 0.5, observed=y)
    study = wb.Study(model, seed=1)
    with pytest.raises(RefusalError, match="jumps") as refusal:
        study.posterior.grid()
    assert "draws" in refusal.value.fix
    assert study.at(tau=40.0, mu=1.0).log_likelihood["y"] < 0.0
