"""Means of exp(l) over draws: closed forms, honest errors, tails that cannot be averaged, walks along a curve."""

import numpy as np
import pytest
from scipy import stats

from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.evidence.reweighting import TAIL_LIMIT, Walk, reweight, usable


def _normal_draws(seed, spread=1.0, shape=(4, 500)):
    return spread * np.random.default_rng(seed).normal(size=shape)


def _to(z, mean):
    """Log ratio of Normal(mean, 1) to Normal(0, 1), whose mean is 1, at draws of the second."""
    return mean * z - 0.5 * mean**2


@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0, 1.5])
def test_a_ratio_of_two_normal_densities_averages_to_one(mean):
    found = reweight(_to(_normal_draws(1), mean))
    assert abs(found.log_mean) < STANDARD_ERRORS * found.error + 1e-9
    assert found.pareto_k < TAIL_LIMIT
    assert found.weights.sum() == pytest.approx(1.0)


def test_expectations_under_the_new_density_come_with_their_error():
    z = _normal_draws(2)
    mean, error = reweight(_to(z, 0.7)).expectation(z)
    assert abs(mean - 0.7) < STANDARD_ERRORS * error
    # Without weights the error is that of a plain mean.
    assert reweight(np.zeros(z.shape)).expectation(z) == (
        pytest.approx(z.mean()), pytest.approx(z.std() / np.sqrt(z.size), rel=0.2),
    )  # fmt: skip


@pytest.mark.statistical
def test_the_error_is_honest_over_repetitions():
    scores = []
    for seed in range(200):
        found = reweight(_to(_normal_draws(seed), 0.8))
        scores.append(found.log_mean / found.error)
    assert abs(np.mean(scores)) < 0.3
    assert 0.85 < np.std(scores) < 1.15


def test_the_error_grows_with_the_dependence_of_the_draws():
    noise = np.random.default_rng(3).normal(size=(4, 4000))
    z = np.empty_like(noise)
    z[:, 0] = noise[:, 0]
    for i in range(1, 4000):
        z[:, i] = 0.9 * z[:, i - 1] + np.sqrt(1 - 0.81) * noise[:, i]
    ratio = reweight(_to(z, 0.5)).error / reweight(_to(noise, 0.5)).error
    assert 3.0 < ratio < 6.0  # an autocorrelation of 0.9 costs a factor sqrt(19) = 4.4


def test_a_mean_that_does_not_exist_is_not_usable():
    # Terms with a Pareto tail of shape 1.2 have no mean.
    z = stats.pareto(1 / 1.2).rvs((4, 1000), random_state=4)
    found = reweight(np.log(z))
    assert found.pareto_k > TAIL_LIMIT
    assert not usable(found)


def test_terms_that_vanish_everywhere_have_no_mean_and_single_ones_count_as_zero():
    nothing = reweight(np.full((2, 50), -np.inf))
    assert nothing.log_mean == -np.inf
    assert not usable(nothing)
    half = np.zeros((2, 500))
    half[:, ::2] = -np.inf
    found = reweight(half)
    assert found.log_mean == pytest.approx(-np.log(2.0))


def _walk(dimension, refit):
    """From Normal(0, I) to Normal(0, exp(2 t) I) without normalisers: the log ratio is dimension * t."""
    z = _normal_draws(5, shape=(4, 500, dimension))
    return Walk(lambda points, t: -0.5 * np.exp(-2 * t) * np.sum(points**2, axis=-1), refit, z)


def test_a_walk_takes_new_draws_on_the_way_and_arrives_within_its_error():
    seeds = iter(range(100, 200))
    walk = _walk(20, lambda t: _normal_draws(next(seeds), np.exp(t), (4, 500, 20)))
    moves = np.linspace(0.1, 1.0, 10)
    rows = np.array(walk.follow(moves))
    assert len(walk.refits) > 1
    assert np.all(np.abs(rows[:, 0] - 20 * moves) < STANDARD_ERRORS * rows[:, 1])
    assert rows[:, 2].max() <= TAIL_LIMIT


@pytest.mark.deep
@pytest.mark.statistical
@pytest.mark.slow
def test_the_error_of_a_walk_is_honest_over_repetitions():
    moves, scores = np.linspace(0.1, 1.0, 10), []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        walk = _walk(20, lambda t, g=generator: np.exp(t) * g.normal(size=(4, 250, 20)))
        walk.z = generator.normal(size=(4, 250, 20))
        rows = np.array(walk.follow(moves))
        scores.append((rows[:, 0] - 20 * moves) / rows[:, 1])
    scores = np.array(scores)
    assert np.all(np.abs(scores.mean(axis=0)) < 0.5)
    assert np.all((scores.std(axis=0) > 0.75) & (scores.std(axis=0) < 1.3))


def test_a_walk_without_new_draws_says_that_it_did_not_arrive():
    def none(_):
        raise NumericalError("no sampler")

    rows = np.array(_walk(20, none).follow(np.linspace(0.1, 1.0, 10)))
    assert rows[-1, 2] > TAIL_LIMIT
