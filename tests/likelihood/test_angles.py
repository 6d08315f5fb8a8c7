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


@pytest.mark.parametrize("value", [3.0, -3.1, 3.3, np.pi, -np.pi, 2.5, -2.0, 0.5, 3.0 + 2 * np.pi, -3.1 - 4 * np.pi])
def test_a_direction_is_tested_the_shorter_way_round(crossing, value):
    study, (mean, length) = directions(crossing), mean_direction(crossing)
    found = study.likelihood.test("mu", value)
    away = np.angle(np.exp(1j * (value - mean)))
    assert found.statistic["likelihood ratio"] == pytest.approx(2 * length * (1 - np.cos(away)), rel=1e-9)
    assert found.statistic["Wald"] == pytest.approx(length * away**2, rel=1e-7)
    if np.cos(away) > 0:  # the likelihood bends upwards on the other half of the circle
        assert found.statistic["score"] == pytest.approx(length * np.sin(away) ** 2 / np.cos(away), rel=1e-6)
    double = study.likelihood.test({"mu": -2.0}, -2.0 * value)
    assert double.statistic["likelihood ratio"] == pytest.approx(found.statistic["likelihood ratio"], rel=1e-9)


def spread_around(y):
    """Directions around a mean, with a free concentration."""
    with pm.Model() as model:
        mu, kappa = pm.VonMises("mu", 0.0, 0.1), pm.HalfNormal("kappa", 5.0)
        pm.VonMises("y", mu=mu, kappa=kappa, observed=y)
    return wb.Study(model, seed=1)


def test_a_region_across_pi_goes_on_beyond_it(crossing):
    study = spread_around(crossing)
    found, top = study.likelihood.contour("mu", "kappa"), study.likelihood.maximum().log_likelihood
    for mu, kappa in found.rim:
        deviance = 2 * (top - stats.vonmises.logpdf(crossing, kappa, loc=mu).sum())
        assert deviance == pytest.approx(stats.chi2.ppf(0.95, 2), abs=1e-7)
    low, high = found.rim[:, 0].min(), found.rim[:, 0].max()
    assert low < np.pi < high
    assert low < found.maximum[0] < high
    assert np.max(np.abs(np.diff(found.rim[:, 0]))) < 0.2  # one closed curve
    bounds = study.likelihood.profile("mu", level=stats.chi2.cdf(stats.chi2.ppf(0.95, 2), 1))
    assert low == pytest.approx(bounds.lower[0], abs=0.01)  # the rim touches the profile of the same deviance
    assert high == pytest.approx(bounds.upper[0], abs=0.01)


def test_a_region_that_goes_all_round_is_open_and_nowhere_more_than_half_a_turn_wide():
    y = np.array([0.5, 2.9, -1.7, 1.0])
    study = spread_around(y)
    found, top = study.likelihood.contour("mu", "kappa"), study.likelihood.maximum().log_likelihood
    seen = np.isfinite(found.deviance)
    assert 0 < seen.sum() < len(seen)
    assert np.max(np.abs(found.rim[seen, 0] - found.maximum[0])) <= np.pi
    for mu, kappa in found.rim[seen]:
        deviance = 2 * (top - stats.vonmises.logpdf(y, kappa, loc=mu).sum())
        assert deviance == pytest.approx(stats.chi2.ppf(0.95, 2), abs=1e-7)
