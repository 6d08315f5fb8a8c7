"""Supports that depend on a parameter: the likelihood jumps to 0 where it is highest."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

import workbench as wb
from workbench.errors import NoMaximumError, RefusalError

pytestmark = pytest.mark.slow  # every model is compiled

Y = np.random.default_rng(3).uniform(1.0, 3.0, size=20)


def refused(model, question="maximum", *arguments):
    with pytest.raises(NoMaximumError) as refusal:
        getattr(wb.Study(model, seed=1).likelihood, question)(*arguments)
    assert refusal.value.kind == ("unbounded" if "without bound" in refusal.value.what else "moving support")
    return refusal.value


@pytest.mark.parametrize("question", ["maximum", "profile"])
def test_the_largest_observation_bounds_a_uniform(question):
    with pm.Model() as model:
        theta = pm.HalfNormal("theta", 10.0)
        pm.Uniform("y", 0.0, theta, observed=Y)
    error = refused(model, question)
    assert f"least upper bound is {-20 * np.log(Y.max()):.6g} nats, at theta = {Y.max():.7g};" in error.what
    assert "the support of y depends on theta" in error.what


def test_a_pareto_whose_start_makes_the_data_impossible_is_moved_and_bounded_by_the_smallest():
    with pm.Model() as model:
        alpha, least = pm.HalfNormal("alpha", 10.0), pm.HalfNormal("least", 10.0)
        pm.Pareto("y", alpha, least, observed=Y)
    error = refused(model)
    alpha = 20 / np.log(Y / Y.min()).sum()
    assert f"at least = {Y.min():.7g}, with alpha = {alpha:.6g};" in error.what


def test_both_ends_of_a_uniform_are_found_and_an_end_that_another_parameter_moves_has_no_number():
    with pm.Model() as ends:
        pm.Uniform("y", pm.Normal("a", 0.0, 10.0), pm.Normal("b", 5.0, 10.0), observed=Y)
    assert f"at a = {Y.min():.7g} and b = {Y.max():.7g};" in refused(ends).what
    with pm.Model() as width:
        a = pm.Normal("a", 0.0, 10.0)
        pm.Uniform("y", a, a + pm.HalfNormal("w", 10.0), observed=Y)
    assert "rises until y is impossible" in refused(width).what


def test_a_weibull_with_a_threshold_and_a_pole_there_is_unbounded():
    def log_density(y, shape, scale, threshold):
        ratio = pt.maximum(y - threshold, 1e-300) / scale
        inside = pt.log(shape / scale) + (shape - 1) * pt.log(ratio) - ratio**shape
        return pt.switch(y > threshold, inside, -np.inf)

    with pm.Model() as model:
        shape, scale, threshold = pm.HalfNormal("shape", 3.0), pm.HalfNormal("scale", 3.0), pm.Normal("low", 0.0, 5.0)
        y = 1.0 + np.random.default_rng(4).weibull(0.6, size=30)
        pm.CustomDist("y", shape, scale, threshold, logp=log_density, observed=y)
    assert f"rises without bound as low -> {y.min():.7g}" in refused(model).what


def test_data_that_are_impossible_everywhere_are_still_refused_by_value():
    with pm.Model() as model:
        pm.Gamma("y", pm.HalfNormal("shape", 3.0), 1.0, observed=np.array([1.0, -2.0]))
    with pytest.raises(RefusalError, match=r"impossible under Gamma: row 1: -2.0"):
        wb.Study(model, seed=1)


def test_a_correlation_of_two_columns_that_are_the_same_has_no_bound_and_moves_no_support():
    y = np.random.default_rng(11).normal(size=12)
    with pm.Model() as model:
        rho = pm.Uniform("rho", -1.0, 1.0)
        covariance = pm.math.stack([pm.math.stack([1.0, rho]), pm.math.stack([rho, 1.0])])
        pm.MvNormal("y", np.zeros(2), cov=covariance, observed=np.column_stack([y, y]))
    with pytest.raises(wb.NoMaximumError, match="rises without bound as rho -> 1") as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "unbounded"
