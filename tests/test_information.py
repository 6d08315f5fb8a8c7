"""The account of information: closed forms up to a thousand dimensions, the identity from two routes, joint errors."""

import dataclasses
from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.special import gammaln

import workbench as wb
from tests import studies
from tests.targets import RowsObjective
from tests.tolerance import STANDARD_ERRORS
from workbench.check import Check, worst_status
from workbench.evidence.bridge import bridge_sampling
from workbench.evidence.estimate import Evidence
from workbench.information import BIT, Learnt, account, marginal_information


def _evidence(value, error, n=1, method="bridge"):
    return Evidence((), value, error, method, {}, None, {}, n, {})


# -- normal-normal: everything in closed form ----------------------------------------------------------------------


class NormalNormal:
    """z_i ~ Normal(0, 1), y_i ~ Normal(z_i, 1/2), d times; independent posterior draws."""

    def __init__(self, d, seed=3, shape=(4, 1000)):
        generator = np.random.default_rng(seed)
        self.d, self.y, self.sd = d, generator.normal(0.0, np.sqrt(1.25), size=d), np.sqrt(0.2)
        self.mean = 0.8 * self.y
        self.z = self.mean + self.sd * generator.normal(size=(*shape, d))
        self.log_likelihood = stats.norm.logpdf(self.y, self.z, 0.5).sum(axis=-1)
        self.log_prior = stats.norm.logpdf(self.z).sum(axis=-1)

    def objective(self):
        constant = -self.d * (np.log(2 * np.pi) + np.log(0.5))

        def log_f(z):
            away = z - self.y
            return constant - 0.5 * np.sum(z**2, axis=1) - 2.0 * np.sum(away**2, axis=1), -z - 4.0 * away

        return RowsObjective(self.d, log_f)

    def bridge(self, seed=1):
        log_f = self.log_likelihood + self.log_prior
        beside = {"log likelihood": self.log_likelihood, "log target": log_f}
        return bridge_sampling(self.objective(), self.z, log_f, seed, 0.02, beside)

    @property
    def each(self):
        """KL(posterior || prior) of every coordinate, nats."""
        return -np.log(self.sd) + 0.5 * (0.2 + self.mean**2 - 1.0)

    def account(self):
        found = self.bridge()
        evidence = _evidence(found.log_evidence, found.std_error, self.d)
        return account(evidence, self.log_likelihood, self.log_prior, covariances=found.covariances)


@pytest.mark.slow
@pytest.mark.parametrize("d", [1, 10, 100, pytest.param(1000, marks=pytest.mark.deep)])
def test_divergence_from_draws_is_within_a_twentieth_of_a_bit_and_its_error_of_the_closed_form(d):
    target = NormalNormal(d)
    value, error, _ = target.account().entries["KL(posterior || prior)"]
    assert abs(value - target.each.sum()) / BIT < 0.05 + 3 * error / BIT
    # The draws' own share of the error is that of a mean of log likelihoods, sd sqrt(2 (1/2 0.2/0.25)^2 d + ...).
    assert error < 1.5 * target.log_likelihood.std() / np.sqrt(4000)


@pytest.mark.slow
def test_divergence_of_every_scalar_is_within_a_twentieth_of_a_bit_and_its_error_of_the_closed_form():
    target = NormalNormal(1000)
    log_prior = stats.norm.logpdf(target.z)
    for i in range(0, 1000, 10):
        value, error = marginal_information(target.z[..., i], log_prior[..., i])
        assert abs(value - target.each[i]) / BIT < 0.05 + 3 * error / BIT


@pytest.mark.slow
def test_entropy_and_dimensionality_follow_in_a_hundred_dimensions():
    target = NormalNormal(100)
    found = target.account()
    value, error, _ = found.entries["entropy of the posterior"]
    assert abs(value - 50 * np.log(2 * np.pi * np.e * 0.2)) < STANDARD_ERRORS * error
    # 2 Var(log likelihood): each of z_i - y_i is Normal(mean - y, 0.2), in units of 1/2.
    truth = 2 * np.sum(0.5 * 0.8**2 + 0.8 * (target.mean - target.y) ** 2 / 0.25)
    assert abs(found.dimensionality - truth) < STANDARD_ERRORS * found.dimensionality_error
    assert 0 < found.dimensionality_error < 0.1 * truth


# -- joint errors ----------------------------------------------------------------------------------------------------


class PoissonGamma:
    """rate_i ~ Gamma(2, 1), one count each, on log rates: a skewed posterior, so that the bridge has an error."""

    def __init__(self, seed, counts=(0, 1, 2, 4, 8), shape=(4, 250)):
        self.k = np.array(counts)
        self.a, self.b = 2.0 + self.k, 2.0
        self.z = np.log(np.random.default_rng(seed).gamma(self.a, 1 / self.b, size=(*shape, self.k.size)))
        self.log_likelihood = stats.poisson.logpmf(self.k, np.exp(self.z)).sum(axis=-1)
        self.log_prior = (stats.gamma.logpdf(np.exp(self.z), 2.0) + self.z).sum(axis=-1)

    def objective(self):
        def log_f(z):
            rate = np.exp(z)
            value = self.k * z - rate - gammaln(self.k + 1) + 2 * z - rate - gammaln(2.0)
            return value.sum(axis=1), self.k - rate + 2 - rate

        return RowsObjective(self.k.size, log_f)

    def divergence(self):
        """KL of Gamma(a, b) from Gamma(2, 1), summed."""
        from scipy.special import digamma

        each = (self.a - 2) * digamma(self.a) - gammaln(self.a) + gammaln(2.0) + 2 * np.log(self.b)
        return float(np.sum(each + self.a * (1 / self.b - 1)))

    def account(self):
        log_f = self.log_likelihood + self.log_prior
        found = bridge_sampling(
            self.objective(), self.z, log_f, 1, 0.02, {"log likelihood": self.log_likelihood, "log target": log_f}
        )
        evidence = _evidence(found.log_evidence, found.std_error, self.k.size)
        return account(evidence, self.log_likelihood, self.log_prior, covariances=found.covariances)


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.statistical
def test_the_error_of_the_divergence_is_honest():
    truth = PoissonGamma(0).divergence()
    pairs = np.array([PoissonGamma(seed).account().entries["KL(posterior || prior)"][:2] for seed in range(25)])
    off, stated = pairs[:, 0] - truth, pairs[:, 1]
    # The spread of 25 repeats is known to 14%.
    assert off.std(ddof=1) / np.sqrt(np.mean(stated**2)) == pytest.approx(1.0, abs=0.44)
    assert abs(off.mean()) < STANDARD_ERRORS * off.std(ddof=1) / np.sqrt(25)


def test_covariance_narrows_or_widens_the_error_of_a_difference():
    target = NormalNormal(2)
    drawn = target.log_likelihood.std() / np.sqrt(4000)
    errors = {}
    for sign in (-1.0, 0.0, 1.0):
        shared = {"log likelihood": sign * 0.5 * drawn**2}
        found = account(_evidence(-3.0, drawn), target.log_likelihood, target.log_prior, covariances=shared)
        errors[sign] = found.entries["KL(posterior || prior)"][1]
    assert errors[1.0] < errors[0.0] < errors[-1.0]
    assert errors[0.0] ** 2 - errors[1.0] ** 2 == pytest.approx(drawn**2)


@pytest.mark.deep
@pytest.mark.slow
def test_the_bridge_states_how_it_moves_with_the_fit():
    # At draws of which more lie where the likelihood is high, both the fit and the bridge move.
    values = []
    for seed in range(40):
        made = PoissonGamma(seed, counts=(0, 3), shape=(4, 100))
        log_f = made.log_likelihood + made.log_prior
        found = bridge_sampling(made.objective(), made.z, log_f, 1, 0.02, {"fit": made.log_likelihood})
        values.append((found.log_evidence, made.log_likelihood.mean(), found.covariances["fit"], found.std_error))
    evidence, fit, stated, error = np.array(values).T
    seen = np.corrcoef(evidence, fit)[0, 1]
    expected = np.mean(stated) / (np.mean(error) * fit.std())
    assert abs(seen - expected) < STANDARD_ERRORS / np.sqrt(40)


# -- the coin and the heights -----------------------------------------------------------------------------------------


def test_coin_account_equals_the_closed_forms():
    truth, found = studies.coin_truth(), studies.study("coin_bias").information()
    assert found.entries["KL(posterior || prior)"][0] == pytest.approx(truth["kl"], abs=1e-7)
    assert found.entries["E_post[log likelihood]"][0] == pytest.approx(truth["fit"], abs=1e-7)
    assert found.taught_bits == pytest.approx(truth["kl"] / BIT, abs=1e-7)
    assert found.words()[0] == "the data taught 5.19 bits about p"


def test_entropies_of_the_coin_in_theta_are_those_of_beta_distributions():
    truth, entries = studies.coin_truth(), studies.study("coin_bias").information().entries
    assert entries["entropy of the posterior, in theta"][0] == pytest.approx(
        float(truth["posterior"].entropy()), abs=1e-6
    )
    value, error, meaning = entries["entropy of the prior, in theta"]
    assert abs(value - float(stats.beta(50, 50).entropy())) < STANDARD_ERRORS * error
    assert "coordinates theta" in meaning


def test_entropy_of_the_prior_agrees_with_the_closed_form_within_its_error():
    found = studies.study("coin_bias").information()
    value, error, meaning = found.entries["entropy of the prior"]
    assert "coordinates z" in meaning
    # Of logit p under Beta(50, 50): H(p) - E[log dp/dz], by quadrature.
    p = np.linspace(1e-6, 1 - 1e-6, 400_001)
    density = stats.beta(50, 50).pdf(p)
    truth = -np.trapezoid(density * (stats.beta(50, 50).logpdf(p) + np.log(p * (1 - p))), p)
    assert abs(value - truth) < STANDARD_ERRORS * error


def test_an_entropy_whose_draws_were_rounded_to_an_edge_is_left_out_and_not_wrong():
    # Of draws of Beta(0.01, 0.01) many are 0 or 1 in floating point: log prior inf, log Jacobian -inf.
    with pm.Model() as model:
        p = pm.Beta("p", 0.01, 0.01)
        pm.Binomial("y", 10, p, observed=4)
    entries = wb.Study(model, seed=1).information().entries
    assert not {"entropy of the prior", "entropy of the prior, in theta"} & set(entries)
    assert all(np.isfinite(value) for value, _, _ in entries.values())


def test_contraction_of_the_coin_is_that_of_its_variances():
    truth, found = studies.coin_truth(), studies.study("coin_bias").information()
    value, error = found.contraction["p"]
    exact = 1 - truth["posterior"].var() / stats.beta(50, 50).var()
    assert abs(value - exact) < STANDARD_ERRORS * error
    assert found.scalars().loc["p", "contraction"] == value
    assert "of its variance away" in " ".join(found.words())


def test_a_posterior_wider_than_its_prior_is_said_in_variances_and_not_in_negative_percent():
    found = studies.study("coin_bias").information()
    wider = dataclasses.replace(found, contraction={"p": (-5.48, 1.5)})
    assert "left it 6.5 +- 1.5 times the variance of the prior" in " ".join(wider.words())


def test_a_prior_without_a_variance_has_no_contraction():
    found = studies.eight_schools().information().contraction
    assert "tau" not in found  # half-Cauchy
    assert "mu" in found
    # The schools' effects are hardly known better than before.
    assert all(-1.0 < found[f"eta[{i}]"][0] < 0.9 for i in range(8))


@pytest.mark.slow
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
        study.evidence.estimate(), log_likelihood + log_likelihood_shift, log_prior, grid=study.posterior.grid()
    )


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
    found = account(study.evidence.estimate(), log_likelihood, log_prior)
    (check,) = [check for check in found.checks if check.code == "account-balances"]
    assert check.status == "unknown"


def test_where_particles_carry_the_evidence_nothing_is_taken_from_draws_that_failed():
    study = studies.eight_schools()
    tempered = study.evidence.tempering()
    _, log_prior, log_likelihood = study.log_terms
    evidence = replace(
        study.evidence.estimate(), method="tempering", log_evidence=tempered.log_evidence, std_error=tempered.std_error
    )
    found = account(evidence, log_likelihood - 50.0, log_prior, undrawn=tempered)
    assert found.entries["KL(posterior || prior)"][:2] == (pytest.approx(tempered.kl_divergence), tempered.kl_error)
    assert "entropy of the posterior" not in found.entries
    assert worst_status(found.checks) == "failed"  # the draws and the particles disagree, and that is said


def test_occam_factor_is_evidence_minus_the_highest_fit():
    study = studies.study("height_as_normal")
    found = study.information()
    expected = study.evidence.estimate().log_evidence - study.likelihood.maximum().log_likelihood
    assert found.entries["log Occam factor"][0] == pytest.approx(expected, abs=1e-12)
    assert found.entries["log Occam factor"][0] < 0


def test_dimensionality_counts_the_parameters_of_a_regular_model():
    # 2 Var_post(log likelihood) is d for a Gaussian posterior.
    assert studies.study("height_as_normal").information().dimensionality == pytest.approx(2.0, abs=0.05)
    assert studies.study("coin_bias").information().dimensionality == pytest.approx(1.0, abs=0.05)


def test_more_directions_than_there_are_are_called_no_count():
    # Half of the posterior fits 6 nats worse than the other: 2 Var = 2 * 9, in one dimension.
    levels = np.tile([-3.0, 3.0], (4, 500)) + np.random.default_rng(1).normal(0.0, 0.1, (4, 1000))
    learnt = Learnt(variables=("mu",), dimension=1)
    found = account(_evidence(-3.0, 0.01), levels, np.zeros_like(levels), learnt)
    assert found.dimensionality == pytest.approx(18.0, rel=0.05)
    (line,) = [note for note in found.notes() if "directions" in note]
    assert "more than the 1 that there are" in line
    assert not account(_evidence(-3.0, 0.01), levels, np.zeros_like(levels)).too_many_directions  # not known
    for name in ("height_as_normal", "coin_bias"):
        study = studies.study(name)
        assert study.information().dimension == study.density.space.dimension
        assert not study.information().too_many_directions


def test_dimensionality_from_draws_agrees_with_the_grid_within_its_error():
    study = studies.study("height_as_normal")
    _, log_prior, log_likelihood = study.log_terms
    drawn = account(study.evidence.estimate(), log_likelihood, log_prior)
    exact = study.information()
    assert exact.dimensionality_error == 0.0
    assert abs(drawn.dimensionality - exact.dimensionality) < STANDARD_ERRORS * drawn.dimensionality_error


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


@pytest.mark.slow
def test_elements_of_a_vector_are_taught_one_by_one():
    with pm.Model(coords={"group": ["a", "b"]}) as model:
        mu = pm.Normal("mu", 0.0, 2.0, dims="group")
        pm.Normal("y", mu, 1.0, observed=np.array([[1.0, -1.0]] * 9))
    found = wb.Study(model, seed=1).information()
    assert list(found.about) == ["mu[a]", "mu[b]"]
    variance = 1 / (1 / 4 + 9)
    mean = variance * 9
    truth = np.log(2.0) - 0.5 * np.log(variance) + 0.5 * ((variance + mean**2) / 4 - 1)
    for value, error in found.about.values():
        assert abs(value - truth) < STANDARD_ERRORS * error + 0.02
    value, error = found.contraction["mu[a]"]
    assert abs(value - (1 - variance / 4)) < STANDARD_ERRORS * error


def test_the_headline_of_prediction_stands_in_the_account():
    study = studies.study("height_as_normal")
    found, scored = study.information().prediction, study.prediction()
    assert found == scored.headline()
    elpd, entropy, perplexity = found["elpd_loo"][0], found["cross-entropy"][0], found["perplexity"][0]
    assert entropy == pytest.approx(-elpd / 481)
    assert perplexity == pytest.approx(np.exp(entropy))
    assert found["perplexity ratio"][0] == pytest.approx(1.0, abs=0.001)  # the model is the baseline, with a prior


def test_evidence_error_enters_the_divergence():
    study = studies.eight_schools()
    _, log_prior, log_likelihood = study.log_terms
    worse = replace(study.evidence.estimate(), std_error=0.5)
    found = account(worse, log_likelihood, log_prior)
    assert found.entries["KL(posterior || prior)"][1] >= 0.5


def test_a_divergence_below_zero_fails_the_account():
    study = studies.eight_schools()
    kept = study.evidence.estimate()
    _, log_prior, log_likelihood = study.log_terms
    wrong = Evidence(**{**kept.__dict__, "log_evidence": float(log_likelihood.mean()) + 3.0})
    found = account(wrong, log_likelihood, log_prior)
    assert "cannot be negative" in str([check for check in found.checks if check.status == "failed"])


def test_an_evidence_that_failed_fails_the_account():
    normal = NormalNormal(5)
    for status in ("ok", "caution", "failed"):
        evidence = replace(_evidence(-3.0, 0.01), checks=(Check("basins-visited", status, "", "look elsewhere"),))
        found = account(evidence, normal.log_likelihood, normal.log_prior)
        (check,) = [check for check in found.checks if check.code == "evidence-reliable"]
        assert check.status == status


def test_where_the_draws_failed_quadrature_stands_and_nothing_is_said_of_single_scalars(monkeypatch):
    with pm.Model() as model:
        p = pm.Beta("p", 2.0, 2.0)
        pm.Binomial("k", n=10, p=p, observed=7)
    study = wb.Study(model, seed=1)
    monkeypatch.setattr(study, "doubts", lambda: (Check("r-hat", "failed", "R-hat 1.7", "draw more"),))
    found = study.information()
    assert worst_status(study.prediction().checks) == "failed"
    assert study.evidence.estimate().without_draws
    assert (found.about, found.contraction, found.prediction) == ({}, {}, {})
    assert worst_status(found.checks) == "caution"
    assert "r-hat" in found.notes()[-1]
    assert "left out" in found.notes()[-1]
