"""Shares of labels against probabilities: entropy + KL = cross-entropy, with numbers, and an honest error."""

import numpy as np
import pytest

from workbench.numerics.monte_carlo import mcse_of_mean
from workbench.outcomes import OTHERS, compare_shares

P = np.array([0.5, 0.3, 0.2])


def _draws(seed, shape=(4, 250), alpha=(50.0, 30.0, 20.0)):
    return np.random.default_rng(seed).dirichlet(alpha, size=shape)


def test_entropy_and_divergence_add_up_to_the_cross_entropy():
    found = compare_shares(["a", "b", "c"], P, _draws(1, alpha=(1.0, 2.0, 3.0)))
    q = np.array([q for _, q in found.shares.values()])
    assert found.entropy == pytest.approx(-np.sum(P * np.log(P)), abs=1e-12)
    assert found.divergence == pytest.approx(np.sum(P * np.log(P / q)), abs=1e-12)
    assert found.entropy + found.divergence == pytest.approx(found.cross_entropy, abs=1e-12)
    assert found.divergence > 0.05


def test_the_average_predictive_is_the_mean_over_draws():
    draws = _draws(2)
    found = compare_shares(["a", "b", "c"], P, draws)
    np.testing.assert_allclose([q for _, q in found.shares.values()], draws.mean(axis=(0, 1)), rtol=1e-12)
    assert [p for p, _ in found.shares.values()] == pytest.approx(P.tolist())


def test_what_the_data_never_show_is_kept_apart():
    found = compare_shares(["a", "b"], np.array([0.6, 0.4]), _draws(3)[..., :2])
    assert found.shares[OTHERS][0] == 0.0
    assert sum(q for _, q in found.shares.values()) == pytest.approx(1.0)
    assert found.entropy + found.divergence == pytest.approx(found.cross_entropy, abs=1e-12)


def test_the_error_of_the_cross_entropy_is_honest():
    p, truth = np.array([0.1, 0.3, 0.6]), np.array([0.5, 0.3, 0.2])
    exact = -np.sum(p * np.log(truth))
    found = [compare_shares(["a", "b", "c"], p, _draws(seed)) for seed in range(100)]
    off = np.array([one.cross_entropy - exact for one in found])
    # The spread of 100 repeats is known to 7%.
    assert off.std() / np.mean([one.mcse for one in found]) == pytest.approx(1.0, abs=0.28)


def test_draws_that_agree_have_no_error():
    chances = np.broadcast_to(P, (4, 50, 3))
    found = compare_shares(["a", "b", "c"], P, chances)
    assert found.divergence == pytest.approx(0.0, abs=1e-12)
    assert found.mcse == mcse_of_mean(np.ones((4, 50))) == 0.0
