"""Limits of censoring that were left out where an event was seen are noticed; limits on record are taken as right."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.model.censoring import look_at_limits
from workbench.model.density import LogDensity

GENERATOR = np.random.default_rng(1)
WAITS, ENDS = 4.0 * GENERATOR.weibull(1.0, 200), GENERATOR.uniform(1.0, 6.0, 200)
TIMES, CENSORED = np.minimum(WAITS, ENDS), WAITS > ENDS


def survival(upper=None, lower=None, times=TIMES):
    with pm.Model() as model:
        rate = pm.Gamma("rate", 2.0, 4.0)
        pm.Censored("time", pm.Exponential.dist(rate), lower=lower, upper=upper, observed=times)
    return model


def status(model):
    return [check.status for check in look_at_limits(LogDensity(model))]


def test_limits_of_the_censored_alone_are_noticed():
    assert status(survival(np.where(CENSORED, TIMES, np.inf))) == ["caution"]
    early = np.maximum(TIMES, 1.0)
    assert status(survival(None, np.where(early > 1.0, -np.inf, 1.0), early)) == ["caution"]


def test_a_limit_for_every_observation_or_for_none_is_right():
    assert status(survival(ENDS)) == ["ok"]
    assert status(survival(6.0)) == ["ok"]
    assert status(survival(None)) == []
    # Some have no limit by design, and others were seen below theirs.
    assert status(survival(np.where(np.arange(200) < 20, np.inf, ENDS), times=TIMES)) == ["ok"]


def test_a_limit_of_a_parameter_is_none_of_the_record():
    with pm.Model() as model:
        end = pm.Uniform("end", 6.0, 9.0)
        pm.Censored("time", pm.Exponential.dist(0.3), lower=None, upper=end, observed=TIMES)
    assert status(model) == []


@pytest.mark.slow
def test_only_limits_on_record_give_the_spread_of_the_estimate_and_replicates_like_the_data():
    right, wrong = wb.Study(survival(ENDS), seed=1), wb.Study(survival(np.where(CENSORED, TIMES, np.inf)), seed=1)
    # The same likelihood: its maximum is the number of events over the time at risk.
    events, risk = np.sum(~CENSORED), TIMES.sum()
    for study in (right, wrong):
        assert study.likelihood.maximum().estimate == pytest.approx([events / risk], rel=1e-8)
        assert study.likelihood.maximum().errors == pytest.approx([np.sqrt(events) / risk], rel=1e-5)
    # Expected information: the probability of an event before each limit, over the square of the rate.
    rate = events / risk
    exact = rate / np.sqrt(np.sum(-np.expm1(-rate * ENDS)))
    found = {name: study.likelihood.errors() for name, study in (("right", right), ("wrong", wrong))}
    error = {name: one.std_error["expected"][0] for name, one in found.items()}
    assert error["right"] == pytest.approx(exact, rel=0.02)
    assert error["wrong"] < 0.9 * exact
    for study, expected in ((right, "ok"), (wrong, "caution")):
        answers = study.likelihood.errors(), study.likelihood.bootstrap(50), study.posterior.predictive()
        for answer in answers:
            (check,) = [check for check in answer.checks if check.code == "censoring-limits"]
            assert check.status == expected
        assert "censoring-limits" not in [c.code for c in study.likelihood.bootstrap(50, "nonparametric").checks]
    p_value = dict(zip(right.posterior.predictive().quantities, right.posterior.predictive().p_value, strict=True))
    assert 0.01 < p_value["time: max"] < 0.99
