"""Leave-one-out by importance sampling: against exact predictive densities, and its Monte Carlo error is honest."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from workbench.errors import RefusalError
from workbench.leave_one_out import LeftOut, leave_each_out, pareto_check

Y = np.random.default_rng(7).normal(2.0, 1.0, size=20)


def _posterior(y):
    """Mean and variance of mu ~ Normal(0, 3) after y ~ Normal(mu, 1)."""
    variance = 1.0 / (1 / 9 + len(y))
    return variance * y.sum(), variance


def _exact():
    """Log p(y_i | y_-i) in closed form."""
    scores = []
    for i in range(len(Y)):
        mean, variance = _posterior(np.delete(Y, i))
        scores.append(stats.norm.logpdf(Y[i], mean, np.sqrt(1 + variance)))
    return np.array(scores)


def _scored(seed, shape=(4, 250), groups=None) -> LeftOut:
    mean, variance = _posterior(Y)
    mu = np.random.default_rng(seed).normal(mean, np.sqrt(variance), size=shape)
    log_likelihood = stats.norm.logpdf(Y, mu[..., None], 1.0)
    return leave_each_out(log_likelihood, xr.Dataset({"mu": (("chain", "draw"), mu)}), groups)


def _mcse(found, group=0):
    from workbench.numerics.monte_carlo import mcse_of_mean

    return mcse_of_mean(found.influence[..., group])


def test_scores_are_those_of_the_exact_predictive_densities():
    found = _scored(1, (4, 4000))
    np.testing.assert_allclose(found.scores, _exact(), atol=0.02)
    assert found.check.status == "ok"


@pytest.mark.slow
def test_the_monte_carlo_error_of_the_sum_is_honest():
    # Errors of different observations come from the same draws: in quadrature they would be far too small or large.
    truth = _exact().sum()
    found = [_scored(seed) for seed in range(60)]
    off = np.array([one.scores.sum() - truth for one in found])
    stated = np.array([_mcse(one) for one in found])
    # The spread of 60 repeats is known to 9%; four of that.
    assert off.std(ddof=1) / np.sqrt(np.mean(stated**2)) == pytest.approx(1.0, abs=0.36)
    assert abs(off.mean()) < 4 * off.std(ddof=1) / np.sqrt(60)


def test_groups_of_observations_have_errors_of_their_own():
    groups = np.repeat([0, 1], 10)
    found, whole = _scored(2, groups=groups), _scored(2)
    np.testing.assert_allclose(found.influence.sum(axis=-1), whole.influence[..., 0], rtol=1e-12)
    np.testing.assert_array_equal(found.scores, whole.scores)


def test_the_effective_number_of_parameters_is_near_one():
    assert _scored(3, (4, 2000)).effective.sum() == pytest.approx(1.0, abs=0.5)


def test_an_observation_that_depends_on_no_parameter_is_scored_as_it_is():
    mean, variance = _posterior(Y)
    mu = np.random.default_rng(4).normal(mean, np.sqrt(variance), size=(4, 250))
    log_likelihood = np.concatenate([stats.norm.logpdf(Y, mu[..., None], 1.0), np.full((4, 250, 2), -1.5)], axis=-1)
    found = leave_each_out(log_likelihood, xr.Dataset({"mu": (("chain", "draw"), mu)}))
    np.testing.assert_array_equal(found.scores[-2:], -1.5)
    assert np.isnan(found.pareto_k[-2:]).all()
    np.testing.assert_array_equal(found.scores[:-2], _scored(4).scores)


def test_an_influential_observation_is_found():
    mean, variance = _posterior(Y)
    mu = np.random.default_rng(5).normal(mean, np.sqrt(variance), size=(4, 250))
    log_likelihood = stats.norm.logpdf(np.append(Y, 60.0), mu[..., None], 1.0)  # draws that have not seen it
    found = leave_each_out(log_likelihood, xr.Dataset({"mu": (("chain", "draw"), mu)}))
    assert found.check.status == "caution"
    assert found.pareto_k.argmax() == 20


def test_what_arviz_cannot_score_is_a_refusal(monkeypatch):
    def fail(*_, **__):
        raise ValueError("the tail is flat")

    monkeypatch.setattr("arviz_stats.loo", fail)
    with pytest.raises(RefusalError, match="the tail is flat"):
        _scored(6)


def test_the_check_names_the_model_that_is_to_blame():
    check = pareto_check({"a": 0.1, "b": 0.9}, 0.7)
    assert check.status == "caution"
    assert "(b)" in check.message
    assert pareto_check({"": 0.1}, 0.7).status == "ok"
