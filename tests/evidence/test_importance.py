"""The likelihood averaged over prior draws: closed form, honest error, and when it is refused."""

import numpy as np
import pytest
from scipy import stats

from tests.tolerance import STANDARD_ERRORS
from workbench.errors import RefusalError
from workbench.evidence.importance import average_over_prior


def _log_likelihood(seed, m=4000):
    # theta ~ Normal(0, 1), y = 0.5 ~ Normal(theta, 1): p(y) is Normal(0, sqrt 2) at 0.5.
    theta = np.random.default_rng(seed).normal(size=m)
    return stats.norm(theta, 1.0).logpdf(0.5)


TRUTH = stats.norm(0.0, np.sqrt(2.0)).logpdf(0.5)


def test_average_matches_the_closed_form_within_its_error():
    found = average_over_prior(_log_likelihood(1))
    assert abs(found.log_evidence - TRUTH) < STANDARD_ERRORS * found.std_error


@pytest.mark.statistical
def test_its_error_is_honest_over_repetitions():
    found = [average_over_prior(_log_likelihood(seed)) for seed in range(200)]
    scores = [(f.log_evidence - TRUTH) / f.std_error for f in found]
    assert 0.85 < np.std(scores) < 1.15  # the sampling error of a standard deviation from 200 values is 5%


def test_too_few_draws_that_count_are_refused():
    with pytest.raises(RefusalError, match="draws count"):
        average_over_prior(np.where(np.arange(1000) < 3, 0.0, -500.0))


def test_impossible_draws_count_nothing_and_do_no_harm():
    plain = _log_likelihood(2)
    padded = np.concatenate([plain, np.full(4000, -np.inf)])
    gap = average_over_prior(padded).log_evidence - average_over_prior(plain).log_evidence
    assert gap == pytest.approx(-np.log(2.0), abs=1e-12)


def test_a_likelihood_that_is_zero_everywhere_is_refused():
    with pytest.raises(RefusalError):
        average_over_prior(np.full(100, -np.inf))
