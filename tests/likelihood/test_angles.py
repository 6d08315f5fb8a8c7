"""Angles near pi: reported within a turn, with intervals that do not break there."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb

pytestmark = pytest.mark.slow  # every model is compiled

KAPPA = 2.0


def directions(y, initval=None):
    """Directions around a mean, with a known concentration."""
    with pm.Model() as model:
        mu = pm.VonMises("mu", 0.0, 0.1, initval=initval)
        pm.VonMises("y", mu=mu, kappa=KAPPA, observed=y)
    return wb.Study(model, seed=1)


@pytest.fixture(scope="module")
def crossing():
    return stats.vonmises.rvs(KAPPA, loc=3.1, size=40, random_state=3)


def mean_direction(y):
    mean = np.mean(np.exp(1j * y))
    return float(np.angle(mean)), float(KAPPA * np.abs(mean) * y.size)  # log L = length cos(mu - mean) + constant


def test_an_interval_across_pi_goes_on_beyond_it(crossing):
    study, (mean, length) = directions(crossing), mean_direction(crossing)
    half = np.arccos(1 - stats.chi2.ppf(0.95, 1) / 2 / length)
    assert mean + half > np.pi
    found = study.likelihood.profile("mu")
    assert found.estimate == pytest.approx([mean], abs=1e-9)
    assert found.lower == pytest.approx([mean - half], abs=1e-8)
    assert found.upper == pytest.approx([mean + half], abs=1e-8)
    assert np.all(np.diff(found.points["mu"]) > 0)
    assert found.std_error == pytest.approx([length**-0.5], rel=1e-8)


def test_a_start_turns_away_ends_within_the_turn_and_is_no_other_mode(crossing):
    study = directions(crossing, initval=3.0)
    for turns in (1, -2):
        study.start_again(np.array([3.0 + 2 * np.pi * turns]))
    mode, peak = study.likelihood.maximum(), study.posterior.mode().map
    assert mode.certificate.optima == 1
    mean, length = mean_direction(crossing)
    assert mode.z == pytest.approx([mean], abs=1e-9)
    resultant = length * np.exp(1j * mean) + 0.1  # the prior is one more direction, at 0
    assert peak.z == pytest.approx([np.angle(resultant)], abs=1e-9)


def test_directions_that_say_little_leave_the_whole_turn_open():
    y = np.array([0.5, 2.9, -1.7])
    study, (mean, length) = directions(y), mean_direction(y)
    deviance = 2 * length * 2  # on the other side of the circle
    assert deviance < stats.chi2.ppf(0.95, 1)
    found = study.likelihood.profile("mu")
    assert found.lower == pytest.approx([mean - np.pi])
    assert found.upper == pytest.approx([mean + np.pi])
    assert found.upper_deviance[0] <= deviance + 1e-9


def test_replicates_on_the_other_side_of_pi_are_near(crossing):
    found = directions(crossing).likelihood.bootstrap(200, kind="nonparametric")
    mean, _ = mean_direction(crossing)
    generator = np.random.default_rng(8)
    drawn = crossing[generator.integers(crossing.size, size=(4000, crossing.size))]
    away = np.angle(np.mean(np.exp(1j * drawn), axis=1) * np.exp(-1j * mean))
    assert found.std_error[0] == pytest.approx(away.std(), rel=0.2)  # 200 replicates: 5% is their Monte Carlo error
    ends = found.interval()
    assert ends["lower"].iloc[0] < mean < ends["upper"].iloc[0]
    assert ends["upper"].iloc[0] - ends["lower"].iloc[0] < 1.0
