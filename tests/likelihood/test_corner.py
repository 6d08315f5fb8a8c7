"""Highest points that are no peak: corners, also where a climb stops beside one, and places made of rounding."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench.errors import NoMaximumError
from workbench.likelihood.corner import refuse_rounding
from workbench.likelihood.problem import pose
from workbench.model.density import LogDensity
from workbench.numerics.objective import FunctionObjective
from workbench.numerics.optimise import climb

pytestmark = pytest.mark.slow  # every model is compiled

CUT = stats.chi2.ppf(0.95, 1)


def test_the_mode_of_a_triangle_is_best_on_an_observation_and_has_a_profile_from_there():
    y = np.array([1.0, 3.0, 2.5, 6.0, 4.0])
    with pm.Model() as model:
        pm.Triangular("y", lower=0.0, upper=10.0, c=pm.Uniform("c", 0.0, 10.0), observed=y)
    study = wb.Study(model, seed=1)

    def height(c):
        return stats.triang.logpdf(y, c / 10.0, 0.0, 10.0).sum()

    best = max(y, key=height)
    with pytest.raises(NoMaximumError) as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "corner"
    assert f"it is {height(best):.6g} nats, at c = {best:g}" in refusal.value.what
    found = study.likelihood.profile("c")
    assert found.estimate[0] == pytest.approx(best, rel=1e-6)
    upper = optimize.brentq(lambda c: 2 * (height(best) - height(c)) - CUT, 4.5, 9.9, xtol=1e-12)
    assert found.upper[0] == pytest.approx(upper, rel=1e-6)


def test_equal_shares_are_unbounded_and_no_maximum_of_rounding():
    # log L = 1.5 log a + ...: at a = 4e13 the rounding of log gamma looked like a peak with an error of 3e8.
    with pm.Model() as model:
        pm.Beta("y", pm.HalfNormal("a", 5.0), pm.HalfNormal("b", 5.0), observed=np.full(3, 0.3))
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "unbounded"
    assert "a -> infinity and b -> infinity" in refusal.value.what


def test_a_peak_whose_neighbours_differ_at_random_is_refused_and_a_smooth_one_is_not():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0, 10), 1.0, observed=np.array([1.0, 2.0, 3.0]))
    problem = pose(LogDensity(model))
    end = climb(problem.objective, np.zeros(1))
    refuse_rounding(problem, end)
    noise = np.random.default_rng(1)

    def rough(x):
        value, gradient = problem.objective.value_and_gradient(x)
        return value + 0.01 * noise.normal(), gradient

    with pytest.raises(NoMaximumError, match="one of rounding") as refusal:
        refuse_rounding(replace(problem, objective=FunctionObjective(1, rough)), end)
    assert refusal.value.kind == "unmeasurable"
