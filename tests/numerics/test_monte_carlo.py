"""Errors of averages over draws: against closed forms, and honest along correlated chains."""

import numpy as np
import pytest

from workbench.numerics.monte_carlo import covariance_of_means, mcse_of_mean, mcse_of_variance, tail_index


def _chains(generator, rho, shape=(4, 1000)):
    """Two autoregressive series of unit variance whose innovations are correlated by 0.6."""
    noise = generator.normal(size=(2, *shape))
    noise[1] = 0.6 * noise[0] + 0.8 * noise[1]
    found = np.empty_like(noise)
    found[..., 0] = noise[..., 0]
    for t in range(1, shape[1]):
        found[..., t] = rho * found[..., t - 1] + np.sqrt(1 - rho**2) * noise[..., t]
    return found


@pytest.mark.parametrize("rho", [0.0, 0.6])
def test_errors_and_covariance_of_means_are_those_of_autoregressive_chains(rho):
    # The variance of a mean of S such draws is (1 + rho) / (1 - rho) / S, and the covariance 0.6 of it.
    truth = (1 + rho) / (1 - rho) / 4000
    found = []
    for seed in range(20):
        first, second = _chains(np.random.default_rng(seed), rho)
        found.append((mcse_of_mean(first) ** 2, covariance_of_means(first, second)))
    variance, covariance = np.mean(found, axis=0)
    assert variance == pytest.approx(truth, rel=0.1)
    assert covariance == pytest.approx(0.6 * truth, rel=0.15)


def test_error_of_a_variance_is_that_of_normal_draws():
    draws = 3.0 * np.random.default_rng(1).normal(size=(4, 2000))
    assert mcse_of_variance(draws) == pytest.approx(9.0 * np.sqrt(2 / 8000), rel=0.1)


def test_what_does_not_vary_has_no_error_and_no_covariance():
    constant, other = np.full((4, 50), 7.0), np.random.default_rng(0).normal(size=(4, 50))
    assert mcse_of_mean(constant) == 0.0
    assert covariance_of_means(constant, other) == 0.0


def test_a_quantity_and_itself_have_the_variance_as_covariance():
    draws = np.random.default_rng(3).normal(size=(4, 500))
    assert covariance_of_means(draws, draws) == pytest.approx(mcse_of_mean(draws) ** 2)
    assert covariance_of_means(draws, -draws) == pytest.approx(-(mcse_of_mean(draws) ** 2))


@pytest.mark.parametrize("seed", range(5))
def test_the_tail_index_tells_a_variance_from_none(seed):
    generator = np.random.default_rng(seed)
    assert tail_index(np.abs(generator.standard_cauchy(1000))) > 0.5
    for usual in (generator.normal(size=1000), generator.exponential(size=1000), generator.random(1000)):
        assert tail_index(usual) < 0.5


def test_a_constant_and_a_few_draws_have_no_tail():
    assert tail_index(np.ones(100)) == tail_index(np.arange(10.0)) == -np.inf


def test_a_tail_of_equal_numbers_is_bounded_and_hides_no_heavy_one_on_the_other_side():
    generator = np.random.default_rng(3)
    atoms = np.where(generator.random(1000) < 0.5, 0.0, 1.0)  # as prior draws that were rounded to both edges
    assert tail_index(atoms) == -np.inf
    heavy = np.maximum(generator.standard_cauchy(1000), 0.0)
    assert tail_index(heavy) > 0.5 < tail_index(-heavy)
