"""The evidence with latent variables integrated out first: quadrature over the rest, refusals, and stuck chains."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

import workbench as wb
from tests import studies
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.evidence.basins import basin_check
from workbench.evidence.marginal import integrate_latents_first

Y = 1.0 + np.random.default_rng(1).normal(size=30) * np.hypot(1.0, 0.4)


def _found(model, seed=1, draws=None):
    study = wb.Study(model, seed=1)
    return integrate_latents_first(study.problem, study.starts, seed, draws)


def _normal(centred=True, y=Y):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        tau = pm.HalfNormal("tau", 1.0)
        a = pm.Normal("a", mu, tau, shape=len(y)) if centred else mu + tau * pm.Normal("eta", shape=len(y))
        pm.Normal("y", a, 1.0, observed=y)
    return model


def _given_tau(tau, y=Y):
    """Log p(y given tau) with mu ~ Normal(0, 2) integrated out, and E[log p(y given a)] given tau."""
    v, n = tau**2 + 1.0, len(y)
    value = stats.multivariate_normal(np.zeros(n), v * np.eye(n) + 4.0).logpdf(y)
    prior = tau**2 * np.eye(n) + 4.0
    gain = prior @ np.linalg.inv(prior + np.eye(n))
    gaps, left = y - gain @ y, prior - gain @ prior
    return value, -0.5 * (n * np.log(2 * np.pi) + gaps @ gaps + np.trace(left))


def _normal_truth(y=Y):
    log_tau = np.linspace(-9.0, 2.0, 500)
    terms = [_given_tau(tau, y) for tau in np.exp(log_tau)]
    logs = np.array([value for value, _ in terms]) + stats.halfnorm.logpdf(np.exp(log_tau)) + log_tau
    total = logsumexp(logs)
    return total + np.log(log_tau[1] - log_tau[0]), float(np.exp(logs - total) @ np.array([fit for _, fit in terms]))


@pytest.mark.parametrize("centred", [True, False], ids=["centred", "non-centred"])
def test_normal_effects_match_quadrature_over_their_scale_however_they_are_written(centred):
    truth, fit = _normal_truth()
    found = _found(_normal(centred))
    assert worst_status(found.checks) == "ok"
    assert abs(found.log_evidence - truth) < STANDARD_ERRORS * found.std_error
    assert found.std_error < 0.05
    assert abs(found.expected_log_likelihood - fit) < STANDARD_ERRORS * found.expected_error
    assert abs(found.kl_divergence - (fit - truth)) < STANDARD_ERRORS * found.kl_error


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.statistical
def test_its_error_is_honest_over_repetitions():
    study, (truth, _) = wb.Study(_normal(), seed=1), _normal_truth()
    found = [integrate_latents_first(study.problem, study.starts, seed) for seed in range(20)]
    scores = np.array([(one.log_evidence - truth) / one.std_error for one in found])
    assert abs(scores.mean()) < STANDARD_ERRORS / np.sqrt(20)
    assert 0.5 < scores.std() < 1.6  # the sampling error of a standard deviation from 20 values is 16%


PUMPS = np.array([94.3, 15.7, 62.9, 126, 5.24, 31.4, 1.05, 1.05, 2.1, 10.5])
FAILURES = np.array([5, 1, 5, 14, 3, 19, 1, 1, 4, 22])


def test_gamma_rates_of_the_pumps_match_quadrature_over_shape_and_rate():
    # Gaver and O'Muircheartaigh 1987: rates with a Jacobian on z, integrated out in closed form (negative binomial).
    with pm.Model() as model:
        a = pm.Exponential("a", 1.0)
        b = pm.Gamma("b", 1.0, 1.0)
        rates = pm.Gamma("rates", a, b, shape=10)
        pm.Poisson("failures", rates * PUMPS, observed=FAILURES)
    log_a, log_b = np.meshgrid(np.linspace(-6, 3, 400), np.linspace(-9, 3, 400), indexing="ij")
    shape, rate = np.exp(log_a)[..., None], np.exp(log_b)[..., None]
    logs = gammaln(shape + FAILURES) - gammaln(shape) + shape * np.log(rate)
    logs = logs - (shape + FAILURES) * np.log(rate + PUMPS) + FAILURES * np.log(PUMPS) - gammaln(FAILURES + 1)
    logs = logs.sum(axis=-1) + stats.expon.logpdf(shape[..., 0]) + stats.expon.logpdf(rate[..., 0]) + log_a + log_b
    truth = logsumexp(logs) + np.log(9 / 399 * 12 / 399)
    found = _found(model)
    assert worst_status(found.checks) == "ok"
    assert abs(found.log_evidence - truth) < STANDARD_ERRORS * found.std_error


@pytest.mark.slow
def test_blocks_too_large_for_quadrature_are_corrected_by_draws_and_agree_with_the_bridge():
    generator = np.random.default_rng(5)
    x = generator.normal(size=(6, 12, 3))
    effects = 0.7 * generator.normal(size=(6, 3))
    y = generator.binomial(1, 1 / (1 + np.exp(-np.einsum("gik,gk->gi", x, effects))))
    with pm.Model() as model:
        tau = pm.LogNormal("tau", 0.0, 0.3)
        u = pm.Normal("u", 0.0, tau, shape=(6, 3))
        pm.Bernoulli("y", logit_p=(x * u[:, None, :]).sum(axis=-1), observed=y)
    study = wb.Study(model, seed=1)
    found, bridge = integrate_latents_first(study.problem, study.starts, 1), study.evidence.bridge()
    assert worst_status(found.checks) == "ok"
    assert "9-point quadrature in 3 rounds for Laplace" in found.checks[-1].message
    gap = abs(found.log_evidence - bridge.log_evidence)
    assert gap < STANDARD_ERRORS * np.hypot(found.std_error, bridge.std_error)


def test_a_model_without_latent_variables_or_with_too_many_parameters_is_refused():
    coin = studies.study("coin_bias")
    with pytest.raises(wb.RefusalError, match="no latent variables"):
        integrate_latents_first(coin.problem, coin.starts, 1)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0, shape=21)
        a = pm.Normal("a", mu, 1.0)
        pm.Normal("y", a, 1.0, observed=np.zeros(21))
    with pytest.raises(wb.RefusalError, match="21 parameters"):
        _found(model)


def test_latent_variables_with_several_modes_are_refused():
    with pm.Model() as model:  # the sign of each effect is open
        mu = pm.Normal("mu", 0.0, 3.0)
        a = pm.Normal("a", mu, 2.0, shape=10)
        pm.Normal("y", a**2, 0.5, observed=np.full(10, 4.0))
    with pytest.raises(wb.RefusalError, match="several modes"):
        _found(model)


def test_chains_that_all_sit_in_one_of_two_modes_of_the_parameters_are_noticed():
    y = np.random.default_rng(1).normal(size=(12, 3))
    with pm.Model() as model:  # the sign of s is open: two modes of equal mass
        s = pm.Normal("s", 0.0, 3.0)
        tau = pm.LogNormal("tau", 0.0, 0.3)  # no neck
        a = pm.Normal("a", s**2 - 4.0, tau, shape=12)
        pm.Normal("y", a[:, None], 1.0, observed=y)
    study = wb.Study(model, seed=1)
    everywhere = study.log_terms[0].copy()
    place = study.density.space.blocks["s"]
    signs = np.random.default_rng(2).choice([-1.0, 1.0], size=(*everywhere.shape[:2], 1))
    everywhere[..., place] = np.abs(everywhere[..., place]) * signs
    stuck = everywhere.copy()
    stuck[..., place] = np.abs(stuck[..., place])
    seen, missed = (integrate_latents_first(study.problem, study.starts, 1, z) for z in (everywhere, stuck))
    nothing = float("nan")
    assert seen.modes == missed.modes == 2
    assert basin_check(nothing, seen.tails, nothing, seen.unvisited).status == "ok"
    assert missed.unvisited == pytest.approx(0.5, abs=0.1)
    assert basin_check(nothing, missed.tails, nothing, missed.unvisited).status == "failed"


@pytest.mark.slow
def test_a_centred_hierarchy_whose_joint_density_has_no_mode_is_judged_and_stands():
    # Many observations a group: chains walk freely, but Laplace is refused, and 42 dimensions are far from the prior.
    generator = np.random.default_rng(4)
    group = np.repeat(np.arange(40), 8)
    y = 1.0 + 0.6 * generator.normal(size=40)[group] + generator.normal(size=320)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.0)
        tau = pm.HalfNormal("tau", 1.0)
        a = pm.Normal("a", mu, tau, shape=40)
        pm.Normal("y", a[group], 1.0, observed=y)
    study = wb.Study(model, seed=1)
    found = study.evidence.estimate()
    means, within = y.reshape(40, 8).mean(axis=1), y.reshape(40, 8)
    log_tau, width = np.linspace(-4.0, 1.0, 400), 1.0 / 8
    logs = [stats.multivariate_normal(np.zeros(40), (t**2 + width) * np.eye(40) + 4.0).logpdf(means)
            + stats.halfnorm.logpdf(t) + np.log(t) for t in np.exp(log_tau)]  # fmt: skip
    truth = logsumexp(logs) + np.log(log_tau[1] - log_tau[0])
    truth += -0.5 * np.sum((within - means[:, None]) ** 2) - 140 * np.log(2 * np.pi) - 20 * np.log(8)
    assert "laplace" in found.refused
    assert found.method == "bridge"
    assert worst_status(found.checks) == "ok"
    assert "basins-visited" in {check.code for check in found.checks if check.status == "ok"}
    assert abs(found.log_evidence - truth) < STANDARD_ERRORS * found.std_error
    assert "marginal" in found.cross_checks
    account = study.information()
    assert {check.code: check.status for check in account.checks}["account-balances"] == "ok"


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_draws_that_miss_the_neck_of_a_funnel_do_not_cost_the_evidence(seed):
    y = np.random.default_rng(30 + seed).normal(size=80) * np.hypot(1.0, 0.3)
    study = wb.Study(_normal(y=y), seed=seed)
    found = study.evidence.estimate()
    truth, fit = _normal_truth(y)
    assert found.method == "marginal"
    assert worst_status(found.checks) == "caution"
    assert abs(found.log_evidence - truth) < 3 * found.std_error
    assert found.without_draws
    value, error, _ = study.information().entries["E_post[log likelihood]"]
    assert abs(value - fit) < STANDARD_ERRORS * error
