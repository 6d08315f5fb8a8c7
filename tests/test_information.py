"""The account of information: closed forms, the identity from two routes, and predictive scores."""

import numpy as np
import pytest
from scipy import stats

from tests import studies
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.evidence.estimate import Evidence
from workbench.information import BIT, account, marginal_information


def test_coin_account_equals_the_closed_forms():
    truth, found = studies.coin_truth(), studies.study("coin_bias").information()
    assert found.entries["KL(posterior || prior)"][0] == pytest.approx(truth["kl"], abs=1e-7)
    assert found.entries["E_post[log likelihood]"][0] == pytest.approx(truth["fit"], abs=1e-7)
    assert found.taught_bits == pytest.approx(truth["kl"] / BIT, abs=1e-7)


@pytest.mark.parametrize("name", ["coin_bias", "height_as_normal"])
def test_the_account_balances_within_its_stated_error(name):
    found = studies.study(name).information()
    (check,) = [check for check in found.checks if check.code == "account-balances"]
    assert check.status == "ok"
    entries = found.entries
    gap = entries["log evidence"][0] - (entries["E_post[log likelihood]"][0] - entries["KL(posterior || prior)"][0])
    assert abs(gap) < 1e-9


def _account_of_coin(log_likelihood_shift):
    study = studies.study("coin_bias")
    _, log_prior, log_likelihood = study.log_terms
    return account(
        study.evidence.estimate(), log_likelihood + log_likelihood_shift, log_prior, {}, None, study.posterior.grid(),
        None, ({}, ()),
    )  # fmt: skip


def test_a_dropped_constant_of_the_likelihood_unbalances_the_account():
    assert worst_status(_account_of_coin(0.0).checks) == "ok"
    assert worst_status(_account_of_coin(0.2).checks) == "failed"


def test_tempering_from_the_prior_is_the_independent_route_above_two_dimensions():
    study = studies.eight_schools()
    (check,) = [check for check in study.information().checks if check.code == "account-balances"]
    assert check.status == "ok"
    assert "tempering" in check.message


def test_without_an_independent_route_the_balance_is_called_unknown():
    study = studies.eight_schools()
    _, log_prior, log_likelihood = study.log_terms
    found = account(study.evidence.estimate(), log_likelihood, log_prior, {}, None, None, None, ({}, ()))
    (check,) = [check for check in found.checks if check.code == "account-balances"]
    assert check.status == "unknown"


def test_occam_factor_is_evidence_minus_the_best_fit():
    study = studies.study("height_as_normal")
    found = study.information()
    expected = study.evidence.estimate().log_evidence - study.likelihood.maximum().log_likelihood
    assert found.entries["log Occam factor"][0] == pytest.approx(expected, abs=1e-12)
    assert found.entries["log Occam factor"][0] < 0


def test_dimensionality_counts_the_parameters_of_a_regular_model():
    # 2 Var_post(log likelihood) is d for a Gaussian posterior; its sampling error over 4000 draws is near 5%.
    assert studies.study("height_as_normal").information().dimensionality == pytest.approx(2.0, abs=0.4)
    assert studies.study("coin_bias").information().dimensionality == pytest.approx(1.0, abs=0.2)


def test_information_about_one_parameter_is_all_of_it_in_one_dimension():
    found = studies.study("coin_bias").information()
    value, error = found.about["p"]
    # SciPy's spacing estimate of an entropy from 4000 draws has a bias near 0.01 nats.
    assert abs(value - found.entries["KL(posterior || prior)"][0]) < STANDARD_ERRORS * error + 0.02


def test_marginal_information_of_a_normal_equals_its_closed_form():
    generator = np.random.default_rng(2)
    z = generator.normal(1.0, 0.5, size=(4, 5000))
    value, _ = marginal_information(z, stats.norm(0, 3).logpdf(z))
    truth = np.log(3 / 0.5) + (0.5**2 + 1.0**2) / (2 * 9) - 0.5
    assert value == pytest.approx(truth, abs=0.03)


def test_entropy_of_the_prior_agrees_with_the_closed_form_within_its_error():
    found = studies.study("coin_bias").information()
    value, error, _ = found.entries["entropy of the prior"]
    # Of logit p under Beta(50, 50): H(p) - E[log dp/dz], by quadrature.
    p = np.linspace(1e-6, 1 - 1e-6, 400_001)
    density = stats.beta(50, 50).pdf(p)
    truth = -np.trapezoid(density * (stats.beta(50, 50).logpdf(p) + np.log(p * (1 - p))), p)
    assert abs(value - truth) < STANDARD_ERRORS * error


def test_perplexity_is_the_exponential_of_the_cross_entropy_per_observation():
    found = studies.study("height_as_normal").information().prediction
    elpd, entropy, perplexity = found["elpd_loo"][0], found["cross-entropy"][0], found["perplexity"][0]
    assert entropy == pytest.approx(-elpd / 481)
    assert perplexity == pytest.approx(np.exp(entropy))


def test_loo_equals_arviz_on_the_same_draws():
    from arviz_stats import loo

    study = studies.study("height_as_normal")
    found = study.information().prediction["elpd_loo"]
    reference = loo(study.posterior.draws())
    assert found[0] == pytest.approx(float(reference.elpd), abs=1e-9)
    assert found[1] == pytest.approx(float(reference.se), abs=1e-9)


def test_evidence_error_enters_the_divergence():
    study = studies.eight_schools()
    kept = study.evidence.estimate()
    _, log_prior, log_likelihood = study.log_terms
    worse = Evidence(**{**kept.__dict__, "std_error": 0.5})
    found = account(worse, log_likelihood, log_prior, {}, None, None, None, ({}, ()))
    assert found.entries["KL(posterior || prior)"][1] >= 0.5


def test_a_divergence_below_zero_fails_the_account():
    study = studies.eight_schools()
    kept = study.evidence.estimate()
    _, log_prior, log_likelihood = study.log_terms
    wrong = Evidence(**{**kept.__dict__, "log_evidence": float(log_likelihood.mean()) + 3.0})
    found = account(wrong, log_likelihood, log_prior, {}, None, None, None, ({}, ()))
    assert "cannot be negative" in str([check for check in found.checks if check.status == "failed"])
