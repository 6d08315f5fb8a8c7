"""MLE | MAP | posterior: the numbers, and the reason given for every difference."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

import workbench as wb
from tests import studies
from tests.tolerance import STANDARD_ERRORS
from workbench.comparison import _summarised


def _only_row(found):
    (label,) = found.labels
    return found.table().loc[label]


def test_coin_row_holds_the_three_closed_forms():
    truth, row = studies.coin_truth(), _only_row(studies.study("coin_bias").compare())
    assert row["MLE"] == pytest.approx(truth["mle"], abs=1e-10)
    assert row["std_error"] == pytest.approx(truth["std_error"], rel=1e-6)
    assert row["MAP"] == pytest.approx(truth["map"], abs=1e-10)
    assert abs(row["mean"] - truth["posterior"].mean()) < STANDARD_ERRORS * row["mcse"]
    # The relative error of a standard deviation from m independent draws is 1 / sqrt(2 m); ESS is above 1000 here.
    assert abs(row["sd"] / truth["posterior"].std() - 1) < STANDARD_ERRORS / np.sqrt(2 * 1000)


def test_interval_columns_say_their_kind_and_level():
    columns = list(studies.study("coin_bias").compare().table().columns)
    for kind in ("Wald", "ETI", "HDI"):
        assert f"{kind} 95% lower" in columns


def test_numbers_that_agree_are_said_to_agree():
    assert "they agree" in _only_row(studies.study("coin_bias").compare())["why"]


def test_an_informative_prior_is_named_as_the_cause():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 0.1)
        pm.Normal("y", mu, 1.0, observed=np.linspace(4.0, 6.0, 20))
    row = _only_row(wb.Study(model, seed=2).compare())
    assert row["why"].startswith("prior pull: the prior moves the maximum by -")
    assert "skewed" not in row["why"]
    # Normal(0, 0.1) weighs as much as (sigma / 0.1)^2 = 100 observations with sigma 1.
    assert row["prior as observations"] == pytest.approx(100.0, rel=1e-6)


@pytest.mark.slow
def test_skewness_is_named_where_the_prior_does_not_pull():
    with pm.Model() as model:
        rate = pm.Gamma("rate", 1.0, 1e-6)  # nearly flat in theta: MAP and MLE agree
        pm.Exponential("y", rate, observed=np.array([0.4, 1.3]))
    row = _only_row(wb.Study(model, seed=2).compare())
    assert "skewed" in row["why"]
    assert "prior pull" not in row["why"]


def test_a_refused_maximum_leaves_no_number_and_says_why():
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 1.0), pm.Normal("b", 0.0, 1.0)
        pm.Normal("y", a + b, 1.0, observed=np.linspace(0.0, 2.0, 50))
    found = wb.Study(model, seed=2).compare()
    assert "MLE" not in found.table().columns
    assert "flat along" in found.refused["MLE"]
    assert set(found.reasons) == {"no MLE to compare with: weak identification"}


@pytest.mark.slow
def test_maximum_is_the_same_under_reparametrisation_and_map_moves():
    # A uniform probability is a standard logistic log-odds: one prior, one likelihood, two parametrisations.
    with pm.Model() as probability:
        p = pm.Uniform("p", 0.0, 1.0)
        pm.Binomial("k", n=10, p=p, observed=7)
    with pm.Model() as log_odds:
        eta = pm.Logistic("eta", 0.0, 1.0)
        p = pm.Deterministic("p", pm.math.invlogit(eta))
        pm.Binomial("k", n=10, p=p, observed=7)
    first, second = wb.Study(probability, seed=1), wb.Study(log_odds, seed=1)
    for study in (first, second):
        assert float(study.likelihood.maximum().theta["p"]) == pytest.approx(0.7, abs=1e-9)
        assert study.evidence.estimate().log_evidence == pytest.approx(-np.log(11), abs=1e-8)
    assert float(first.posterior.mode().map.theta["p"]) == pytest.approx(7 / 10, abs=1e-9)
    assert float(second.posterior.mode().map.theta["p"]) == pytest.approx(8 / 12, abs=1e-9)


@pytest.mark.slow
def test_profile_bounds_are_those_of_the_closed_form_and_stand_beside_wald():
    y = np.random.default_rng(3).normal(170.0, 8.0, size=12)
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 170.0, 20.0), pm.HalfNormal("sigma", 20.0), observed=y)
    found = wb.Study(model, seed=1).compare().table()
    # The profile of mu is -n/2 log(1 + (mu - mean)^2 / s^2): solved for a deviance of 3.84.
    half = y.std() * np.sqrt(np.exp(stats.chi2.ppf(0.95, 1) / 12) - 1)
    assert found.loc["mu", "profile 95% lower"] == pytest.approx(y.mean() - half, rel=1e-8)
    assert found.loc["mu", "profile 95% upper"] == pytest.approx(y.mean() + half, rel=1e-8)
    assert found.loc["sigma", "profile 95% upper"] > found.loc["sigma", "Wald 95% upper"]


@pytest.mark.slow
def test_a_scalar_deterministic_has_a_profile_and_a_vector_says_how_to_get_one():
    with pm.Model() as model:
        rate = pm.HalfNormal("rate", 5.0)
        pm.Deterministic("mean", 1 / rate)
        pm.Deterministic("powers", rate ** np.arange(1, 4))
        pm.Deterministic("fixed", pt.constant(2.0))
        pm.Exponential("y", rate, observed=np.random.default_rng(4).exponential(3.0, size=20))
    found = wb.Study(model, seed=1).compare()
    rows = dict(zip(found.labels, zip(found.profile_lower, found.profile_upper, strict=True), strict=True))
    assert rows["mean"] == pytest.approx((1 / rows["rate"][1], 1 / rows["rate"][0]), rel=1e-8)
    assert np.isnan(rows["powers[0]"]).all()
    reasons = {column: reason for column, reason in found.refused.items() if "profile" in column}
    assert reasons == {
        "profile interval of powers[0], powers[1], powers[2]": "likelihood.profile(NAME) gives it",
        "profile interval of fixed": "fixed is constant",
    }


def test_what_a_latent_variable_enters_has_no_profile_and_the_reason():
    found = studies.eight_schools().compare()
    known = dict(zip(found.labels, found.profile_lower, strict=True))
    assert known["tau"] == 0.0
    assert np.isnan(known["eta[0]"])
    (reason,) = (reason for column, reason in found.refused.items() if "profile" in column)
    assert "integrated out" in reason


def test_a_side_that_the_data_leave_open_is_infinite():
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 1.0), pm.Normal("b", 0.0, 1.0)
        pm.Normal("y", a + b, 1.0, observed=np.linspace(0.0, 2.0, 50))
    found = wb.Study(model, seed=2).compare()
    assert found.profile_lower.tolist() == [-np.inf, -np.inf]
    assert found.profile_upper.tolist() == [np.inf, np.inf]


def test_the_observed_elements_of_imputed_data_have_no_spread():
    # The mean of a thousand equal numbers is not that number, and their sd was 3e-14 instead of 0.
    draws = np.stack([np.full((4, 500), 1.1), np.random.default_rng(1).normal(size=(4, 500))], axis=-1)
    found = _summarised(draws, 0.95)
    assert (found["mean"][0], found["sd"][0], found["mcse"][0], found["skewness"][0]) == (1.1, 0.0, 0.0, 0.0)
    assert found["sd"][1] > 0.9
