"""Curves over nested supports: closed forms, honest errors, and what is not known where no draws lead."""

import numpy as np
import pytest
from scipy import stats

from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.evidence.narrowing import Narrowing

PLACES = np.linspace(np.log(10.0), np.log(0.1), 41)
PLACES[20] = 0.0
ALL = slice(None)


def _case(k, seed, centre=0.3, spread=0.4):
    """Uniform(-exp(t), exp(t)) on each of k elements and a normal likelihood: log f, draws at t, log Z(t)."""
    generator = np.random.default_rng(seed)

    def log_density(z, own, t):  # noqa: ARG001 - these draws are positions themselves
        return np.where(np.abs(z).max(axis=-1) < np.exp(t), -k * (t + np.log(2.0)), -np.inf)

    def drawn(t):
        ends = (np.array([-1.0, 1.0]) * np.exp(t) - centre) / spread
        return stats.truncnorm(*ends, centre, spread).rvs((4, 250, k), random_state=generator)

    def truth(t):
        ends = (np.array([-1.0, 1.0]) * np.exp(t) - centre) / spread
        return k * (np.log(np.diff(stats.norm.cdf(ends))[0]) - t - np.log(2.0))

    return log_density, drawn, np.array([truth(t) - truth(0.0) for t in PLACES])


@pytest.mark.parametrize("k", [1, 4])
def test_a_curve_over_bounds_matches_the_closed_form_within_its_error(k):
    log_density, drawn, truth = _case(k, seed=1)
    walk = Narrowing(log_density, drawn, drawn(0.0), ALL)
    change, error, pareto_k = np.array(walk.follow(PLACES)).T
    assert np.all(np.abs(change - truth) < STANDARD_ERRORS * error + 1e-9)
    assert error.max() < 0.3
    assert pareto_k.max() == 0.0
    assert (change[20], error[20]) == (0.0, 0.0)
    assert PLACES[0] in walk.refits


@pytest.mark.slow
@pytest.mark.statistical
def test_the_band_is_honest_over_repetitions():
    scores = []
    for seed in range(40):
        log_density, drawn, truth = _case(2, seed)
        change, error, _ = np.array(Narrowing(log_density, drawn, drawn(0.0), ALL).follow(PLACES[::2])).T
        chosen = [6, 8, 12, 15, 20]  # where the share of the draws inside is neither all nor nothing
        scores.append((change - truth[::2])[chosen] / error[chosen])
    scores = np.array(scores)
    assert np.all(np.abs(scores.mean(axis=0)) < 0.45)
    assert np.all(scores.std(axis=0) < 1.3)
    assert np.all(scores.std(axis=0)[2:] > 0.75)


def test_bounds_that_no_draw_is_near_have_no_error_of_zero():
    log_density, drawn, truth = _case(1, seed=3, centre=0.0, spread=0.01)
    change, error, _ = np.array(Narrowing(log_density, drawn, drawn(0.0), ALL).follow(PLACES)).T
    assert change[:30] == pytest.approx(truth[:30], abs=1e-9)
    assert np.all(error[:20] >= 1e-3)


def test_a_density_of_another_width_is_detected_by_the_closed_form():
    log_density, drawn, truth = _case(1, seed=4)
    walk = Narrowing(lambda z, own, t: log_density(z, own, 1.1 * t), drawn, drawn(0.0), ALL)
    change, error, _ = np.array(walk.follow(PLACES)).T
    assert np.max(np.abs(change - truth)[error > 0] / error[error > 0]) > STANDARD_ERRORS


def test_without_draws_under_wider_bounds_nothing_is_said_about_them():
    def broken(_):
        raise NumericalError("no sampler")

    log_density, drawn, truth = _case(1, seed=5)
    change, error, pareto_k = np.array(Narrowing(log_density, broken, drawn(0.0), ALL).follow(PLACES)).T
    assert np.isnan(change[:20]).all()
    assert np.isinf(error[:20]).all()
    assert np.isinf(pareto_k[:20]).all()
    known = np.isfinite(change)
    assert known[20:25].all()
    assert np.all(np.abs(change - truth)[known] < STANDARD_ERRORS * error[known] + 1e-9)


def test_what_lies_between_two_places_is_bridged_by_one_of_its_own():
    log_density, drawn, truth = _case(40, seed=6)
    walk = Narrowing(log_density, drawn, drawn(0.0), ALL)
    change, error, _ = np.array(walk.follow(PLACES[[20, 26]])).T
    assert np.all(np.abs(change - truth[[20, 26]]) < STANDARD_ERRORS * error + 1e-9)
    assert walk.refits
    assert not set(walk.refits) & set(PLACES)
