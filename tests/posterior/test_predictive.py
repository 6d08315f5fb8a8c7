"""Replicated data come from the fitted model, and a model that misses a feature of the data is flagged."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from tests import studies
from tests.models_zoo import HEIGHTS
from tests.tolerance import STANDARD_ERRORS
from workbench.errors import RefusalError
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.posterior.draws import draw_posterior
from workbench.posterior.predictive import check_predictive, replicate
from workbench.settings import Settings

SETTINGS = Settings(draws=500, tune=500, chains=4)


def predicted(d, count=1000, seed=3):
    a = examine(d)
    return check_predictive(d, a, draw_posterior(d, a, SETTINGS, seed=2), count, seed)


@pytest.fixture(scope="module")
def height(density):
    return predicted(density("height"))


def poisson(counts):
    with pm.Model() as model:
        pm.Poisson("y", pm.Exponential("rate", 0.1), observed=counts)
    return LogDensity(model)


def test_a_right_model_has_moderate_p_values_and_no_caution(height):
    assert height.checks[0].status == "ok"
    table = height.table()
    assert list(table.index) == [f"height: {q}" for q in ("mean", "sd", "min", "max", "skewness", "dispersion")]
    assert np.all((table["p_value"] > 0.01) & (table["p_value"] < 0.99))
    assert table.loc["height: mean", "observed"] == pytest.approx(HEIGHTS.mean(), rel=1e-14)
    assert table.loc["height: sd", "observed"] == pytest.approx(HEIGHTS.std(), rel=1e-14)
    assert table.loc["height: skewness", "observed"] == pytest.approx(stats.skew(HEIGHTS), rel=1e-12)


@pytest.mark.statistical
def test_replicates_of_the_coin_are_beta_binomial(density):
    # Posterior Beta(62, 40), 100 new tosses each: mean 100 * 62 / 102, sd of the beta-binomial.
    found = predicted(density("coin")).replicates["heads"].astype(float)
    exact = stats.betabinom(100, 62, 40)
    m = found.size
    assert abs(found.mean() - exact.mean()) < STANDARD_ERRORS * exact.std() / np.sqrt(m)
    # The variance of a sample variance is near 2 sd^4 / m for a bell-shaped distribution.
    assert abs(found.var() - exact.var()) < STANDARD_ERRORS * exact.var() * np.sqrt(2 / m)


@pytest.mark.slow
@pytest.mark.statistical
def test_overdispersed_counts_under_a_poisson_are_flagged_in_their_spread():
    counts = np.random.default_rng(1).negative_binomial(1.0, 0.1, size=80)  # mean 9, variance 90
    found = predicted(poisson(counts))
    (check,) = found.checks
    assert check.status == "caution"
    assert "y: sd" in check.message
    assert check.fix
    assert found.table().loc["y: sd", "p_value"] == 0.0
    assert 0.1 < found.table().loc["y: mean", "p_value"] < 0.9  # the mean is fitted, so it cannot complain


@pytest.mark.statistical
def test_poisson_counts_under_a_poisson_are_not_flagged():
    found = predicted(poisson(np.random.default_rng(2).poisson(9.0, size=80)))
    assert found.checks[0].status == "ok"


def test_p_values_count_ties_by_half():
    # With one toss that came up heads, half of the replicates or more tie with the data.
    with pm.Model() as model:
        p = pm.Beta("p", 5000.0, 5000.0)
        pm.Binomial("heads", n=1, p=p, observed=1)
    found = predicted(LogDensity(model))
    # Pr[T > T_obs] = 0 and Pr[T = T_obs] = 1/2: the mid p-value is 1/4.
    assert found.table().loc["heads: mean", "p_value"] == pytest.approx(
        0.25, abs=STANDARD_ERRORS * 0.25 / np.sqrt(1000)
    )


def test_the_same_seed_gives_the_same_replicates(density, anatomy):
    d = density("height")
    draws = draw_posterior(d, anatomy("height"), Settings(draws=50, tune=100, chains=2), 1)
    first, again, other = (replicate(d, draws, 30, seed)["height"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.any(first == other)
    assert first.shape == (30, 40)


def test_there_are_never_more_replicates_than_draws(density, anatomy):
    d = density("height")
    draws = draw_posterior(d, anatomy("height"), Settings(draws=20, tune=100, chains=2), 1)
    assert replicate(d, draws, 1000, 1)["height"].shape == (40, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["several", "noncentred", "labelled", "censored", "mvnormal", "shared"])
def test_every_observed_variable_has_replicates_of_its_shape(density, anatomy, name):
    d = density(name)
    draws = draw_posterior(d, anatomy(name), Settings(draws=50, tune=200, chains=2), 1)
    found = check_predictive(d, anatomy(name), draws, 40, 1)
    for observed, data in d.symbolic.observed.items():
        assert found.replicates[observed].shape == (40, *data.shape)
        assert np.all(np.isfinite(found.replicates[observed]))
    assert {name.split(":")[0] for name in found.quantities} == set(d.symbolic.observed)


def test_imputed_values_do_not_stand_in_the_way(density, anatomy):
    d = density("missing")
    draws = draw_posterior(d, anatomy("missing"), Settings(draws=50, tune=200, chains=2), 1)
    found = check_predictive(d, anatomy("missing"), draws, 40, 1)
    assert "y_observed: mean" in found.quantities


def test_a_model_without_data_is_refused():
    with pm.Model() as model:
        pm.Normal("mu", 0, 1)
    d = LogDensity(model)
    a = examine(d)
    draws = draw_posterior(d, a, Settings(draws=10, tune=50, chains=1), 1)
    with pytest.raises(RefusalError, match="no data"):
        check_predictive(d, a, draws, 10, 1)


def test_people_who_differ_are_seen_in_the_dispersion_of_a_pooled_coin():
    # One probability for 48 people: each count is as large as its tosses, so the spread of raw counts hides that people
    # differ. Relative to binomial spread they vary about three times as much as one coin would (Bartos et al. 2023).
    found = studies.study("coin_bias").posterior.predictive()
    row = found.table().loc["same_side: dispersion"]
    assert row["observed"] > 2.0
    assert row["p_value"] < 0.005
    assert found.checks[0].status == "caution"
    assert "dispersion" in found.checks[0].message
