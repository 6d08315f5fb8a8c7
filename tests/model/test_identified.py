"""On a ridge the combinations that the data determine are named, with closed-form errors; nothing else is claimed."""

import re
from dataclasses import replace

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.errors import RefusalError
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.model.anatomy import examine
from workbench.model.chart import whole_chart
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.identified import identified_combinations, named_coordinates
from workbench.model.mode import climb_all

Y = np.random.default_rng(1).normal(3.0, 1.0, size=50)
X = np.random.default_rng(2).normal(size=50)


def reason(model, **roles):
    density = LogDensity(model, **roles)
    starts = density.space.start + np.random.default_rng(3).normal(size=(4, density.space.dimension))
    with pytest.raises(RefusalError) as refusal:
        maximise_likelihood(pose(density), examine(density), starts)
    return refusal.value.what


def said(text, combination):
    """Estimate and error of a combination that the text calls identified."""
    found = re.search(rf"(?:^|; ){re.escape(combination)} is identified: (\S+) \+- (\S+?)(?:;|$)", text)
    assert found, text
    return float(found[1]), float(found[2])


def test_two_intercepts_are_told_by_their_sum():
    with pm.Model() as model:
        a, b, sigma = pm.Normal("a", 0, 5), pm.Normal("b", 0, 5), pm.HalfNormal("sigma", 5)
        pm.Normal("y", a + b, sigma, observed=Y)
    text = reason(model)
    assert said(text, "a + b") == pytest.approx((Y.mean(), Y.std() / np.sqrt(50)), abs=0.006)
    assert text.endswith("; a - b is not")
    assert "sigma" not in text


def test_three_intercepts_leave_two_directions():
    with pm.Model() as model:
        a, b, c = pm.Normal("a", 0, 5), pm.Normal("b", 0, 5), pm.Normal("c", 0, 5)
        pm.Normal("y", a + b + c, 1.0, observed=Y)
    text = reason(model)
    assert said(text, "a + b + c") == pytest.approx((Y.mean(), 1 / np.sqrt(50)), abs=0.006)
    assert text.count(" is identified") == 1
    assert re.search(r"; [abc] - [abc], [abc] - [abc] are not$", text)


def test_collinear_columns_are_told_by_their_weights():
    with pm.Model() as model:
        level, b = pm.Normal("level", 0, 5), pm.Normal("b", 0, 5, shape=2)
        pm.Normal("y", level + b[0] * X + b[1] * 2 * X, 1.0, observed=Y)
    text = reason(model)
    design = np.column_stack([np.ones(50), X])
    slope = np.linalg.solve(design.T @ design, design.T @ Y)[1]
    error = np.sqrt(np.linalg.inv(design.T @ design)[1, 1])
    assert said(text, "b[0] + 2*b[1]") == pytest.approx((slope, error), abs=0.006)
    assert text.endswith("; 2*b[0] - b[1] is not")
    assert "level" not in text
    assert "only a combination" in text  # and not that b as a whole is unknown


def test_a_column_that_holds_the_intercept_gives_two_sums():
    with pm.Model() as model:
        level, b = pm.Normal("level", 0, 5), pm.Normal("b", 0, 5, shape=2)
        pm.Normal("y", level + b[0] * X + b[1] * (3 + 2 * X), 1.0, observed=Y)
    text = reason(model)
    said(text, "level + 3*b[1]")
    said(text, "b[0] + 2*b[1]")


@pytest.mark.slow
def test_positive_variables_are_told_by_their_product():
    with pm.Model() as model:
        a, b = pm.HalfNormal("a", 2), pm.HalfNormal("b", 2)
        pm.Exponential("y", a * b, observed=np.abs(Y))
    text = reason(model, parameters=["a", "b"])
    rate = 1 / np.abs(Y).mean()
    assert said(text, "a * b") == pytest.approx((rate, rate / np.sqrt(50)), abs=6e-4)
    assert text.endswith("; a / b is not")


def test_uneven_weights_keep_their_digits():
    with pm.Model() as model:
        b = pm.Normal("b", 0, 5, shape=2)
        pm.Normal("y", b[0] * X + b[1] * 1.737 * X, 1.0, observed=Y)
    said(reason(model), "b[0] + 1.737*b[1]")


def test_a_bent_ridge_and_an_unused_variable_claim_no_combination():
    with pm.Model() as bent:
        a, b = pm.Normal("a", 1, 2), pm.Normal("b", 1, 2)
        pm.Normal("y", a * b, 1.0, observed=Y)
    with pm.Model() as unused:
        pm.Normal("nothing", 0, 1)
        pm.Normal("y", pm.Normal("mu", 0, 5), 1.0, observed=Y)
    assert "identified" not in reason(bent, parameters=["a", "b"])
    assert "identified" not in reason(unused)


@pytest.mark.slow
def test_nothing_is_claimed_of_a_model_that_is_well_or_badly_but_really_identified():
    for noise in (1.0, 1e-2, 1e-4):
        other = X + noise * np.random.default_rng(4).normal(size=50)
        with pm.Model() as model:
            b = pm.Normal("b", 0, 5, shape=2)
            pm.Normal("y", b[0] * X + b[1] * other, pm.HalfNormal("sigma", 5), observed=Y)
        density = LogDensity(model)
        objective = density.objective(LIKELIHOOD)
        climbs = climb_all(objective, density.space.start[None], "MLE")
        assert identified_combinations(objective, whole_chart(density.space), climbs) == ""
        assert maximise_likelihood(pose(density), examine(density), density.space.start[None]).errors.size == 3


def test_a_ridge_that_is_level_only_nearby_is_not_called_flat():
    # An eigenvalue of 5e-9: differences of gradients along the coordinates cannot tell it from 0.
    with pm.Model() as model:
        b = pm.Normal("b", 0, 5, shape=2)
        pm.Normal("y", b[0] * X + b[1] * (X + 1e-4 * np.random.default_rng(4).normal(size=50)), 1.0, observed=Y)
    density = LogDensity(model)
    objective = density.objective(LIKELIHOOD)
    (end, *_) = climb_all(objective, density.space.start[None], "MLE")
    blind = replace(end, curvature=replace(end.curvature, is_peak=False))
    assert identified_combinations(objective, whole_chart(density.space), [blind]) == ""


def test_a_level_without_observations_is_named_by_itself_and_a_product_as_a_combination():
    y, group = np.array([1.0, 1.4, 2.0, 2.2, 3.1, 2.9]), np.array([0, 0, 1, 1, 3, 3])
    with pm.Model() as levels:
        b, sigma = pm.Normal("b", 0.0, 5.0, shape=4), pm.HalfNormal("sigma", 2.0)
        pm.Normal("y", b[group], sigma, observed=y)
    with pm.Model() as product:
        a, b = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0)
        pm.Normal("y", a * b, pm.HalfNormal("sigma", 2.0), observed=y)
    for model, words in (
        (levels, "flat along b[2]: the data do not determine it"),
        (product, ": only a combination of them is determined by the data"),
    ):
        with pytest.raises(wb.NoMaximumError) as refusal:
            wb.Study(model, seed=1, parameters=["a", "b"] if model is product else ()).likelihood.maximum()
        assert refusal.value.kind == "flat"
        assert words in refusal.value.what


def test_a_coordinate_that_stands_for_zero_is_neither_the_scalar_nor_its_logarithm():
    with pm.Model() as model:
        pm.Uniform("t", -6.0, 6.0)
        pm.Normal("mu", 0.0, 1.0)
        pm.HalfNormal("s", 1.0)
    space = LogDensity(model).space
    assert named_coordinates(whole_chart(space), np.zeros(3)) == [None, ("mu", False), ("s", True)]
