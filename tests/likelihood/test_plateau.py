"""Likelihoods whose highest points fill an interval, against what sorting the data gives."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.errors import NoMaximumError
from workbench.likelihood.plateau import find_plateau
from workbench.likelihood.problem import pose
from workbench.model.density import LogDensity
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import curvature_at

pytestmark = pytest.mark.slow  # every model is compiled


def refused(model):
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "interval"
    return refusal.value


def test_any_median_of_an_even_number_of_laplace_data_is_a_maximum():
    y = np.array([1.0, 2.0, 4.0, 9.0, 3.0, 7.0])
    with pm.Model() as model:
        mu, b = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("b", 5.0)
        pm.Laplace("y", mu, b, observed=y)
    error = refused(model)
    assert f"level, at {-6 * np.log(2 * 14 / 6) - 6:.6g} nats, for mu from 3 to 4, with b = 2.33333" in error.what
    assert error.where == "mu"


def test_a_change_point_lies_anywhere_between_two_observations():
    rng, time = np.random.default_rng(0), np.arange(30.0)
    y = np.where(time < 15, 0.0, 4.0) + rng.normal(size=30)
    with pm.Model() as model:
        change, mu = pm.Uniform("change", 0.0, 30.0, initval=14.3), pm.Normal("mu", 0.0, 5.0, shape=2)
        pm.Normal("y", pm.math.switch(time < change, mu[0], mu[1]), 1.0, observed=y)
    error = refused(model)
    assert "for change from 14 to 15" in error.what
    assert f"mu[0] = {y[:15].mean():.6g}, mu[1] = {y[15:].mean():.6g}" in error.what


def test_a_smooth_top_is_no_plateau_however_flat():
    with pm.Model() as model:
        x = pm.Normal("x", 0.0, 1.0)
        pm.Potential("flat", -((x - 0.3) ** 4))
    problem = pose(LogDensity(model, {"flat": "likelihood"}))
    for x in (0.3, 0.3001):
        top = np.array([x])
        end = Climb(top, top, problem.objective.value(top), 0.0, 0.0, curvature_at(problem.objective, top))
        assert find_plateau(problem, end) is None


def test_a_likelihood_that_rises_to_where_numbers_end_is_no_plateau():
    with pm.Model() as model:
        pm.Exponential("y", lam=pm.HalfNormal("lam", 10.0), observed=np.zeros(4))
    problem = pose(LogDensity(model))
    z = np.array([3.6])
    end = Climb(z, z, problem.objective.value(z), 0.0, 0.0, curvature_at(problem.objective, z))
    assert find_plateau(problem, end) is None
