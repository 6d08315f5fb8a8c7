"""Bayes factors of fixed values: closed forms, the fixed model as a second route, honest errors, sabotage."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from tests import models_zoo, studies
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.evidence.estimate import Evidence
from workbench.evidence.savage_dickey import fix_scalar
from workbench.model.density import LogDensity

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(25, 3)) @ np.array([[1.0, 0.8, 0.0], [0.0, 0.6, 0.0], [0.0, 0.0, 1.0]])
Y = 0.4 + X @ np.array([0.9, 0.0, -0.3]) + GENERATOR.normal(size=25)
SHORT = wb.Settings(draws=400, tune=400)
_MADE = {}


def _mean():
    with pm.Model() as model:
        mu = pm.Normal("mu", 1.0, 2.0)
        pm.Normal("y", mu, 1.0, observed=Y)
    return model


def _tosses():
    with pm.Model() as model:
        p = pm.Beta("p", 2, 3)
        pm.Binomial("k", n=40, p=p, observed=29)
    return model


def _line():
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 2.0)
        b = pm.Normal("b", 0.0, 1.5)
        pm.Normal("y", a + b * X[:, 0], 1.0, observed=Y)
    return model


def _regression():
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 2.0)
        b = pm.Normal("b", 0.0, [1.5, 1.0, 0.5], shape=3)
        pm.Normal("y", a + X @ b, 1.0, observed=Y)
    return model


def _gaussian(columns, spreads, shift=0.0):
    """Log p(y) of a linear model with unit noise and independent Normal(0, spread) coefficients."""
    columns = np.column_stack(columns)
    return stats.multivariate_normal(np.full(25, shift), np.eye(25) + columns * np.square(spreads) @ columns.T).logpdf(
        Y
    )


ONE = np.ones(25)
CASES = {
    "normal mean": (_mean, "mu", 0.0, lambda: stats.norm(0, 1).logpdf(Y).sum() - _gaussian([ONE], [2.0], 1.0)),
    "half of the tosses": (
        _tosses, "p", 0.5, lambda: stats.binom(40, 0.5).logpmf(29) - stats.betabinom(40, 2, 3).logpmf(29),
    ),
    "slope of a line": (
        _line, "b", 0.0, lambda: _gaussian([ONE], [2.0]) - _gaussian([ONE, X[:, 0]], [2.0, 1.5]),
    ),
    "coefficient of a regression": (
        _regression, "b[1]", 0.3,
        lambda: stats.multivariate_normal(
            0.3 * X[:, 1], np.eye(25) + np.column_stack([ONE, X[:, [0, 2]]]) * [4.0, 2.25, 0.25]
            @ np.column_stack([ONE, X[:, [0, 2]]]).T,
        ).logpdf(Y) - _gaussian([ONE, X], [2.0, 1.5, 1.0, 0.5]),
    ),
}  # fmt: skip


def _study(build):
    if build not in _MADE:
        _MADE[build] = wb.Study(build(), seed=1)
    return _MADE[build]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_bayes_factor_matches_the_closed_form_within_its_error(name):
    build, label, value, truth = CASES[name]
    found = _study(build).evidence.savage_dickey(label, value)
    assert abs(found.log_bayes_factor - truth()) < STANDARD_ERRORS * found.std_error + 1e-8
    assert found.std_error < 0.05
    assert worst_status(found.checks) in ("ok", "unknown")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["normal mean", "half of the tosses", "slope of a line"])
def test_integrating_the_model_with_the_value_fixed_gives_the_same(name):
    build, label, value, truth = CASES[name]
    found = _study(build).evidence.savage_dickey(label, value)
    assert found.other_route == pytest.approx(truth(), abs=1e-6)


def test_a_value_far_from_every_draw_is_exact_where_there_is_nothing_else_to_average_over():
    study, truth = studies.study("coin_bias"), studies.coin_truth()
    found = study.evidence.savage_dickey("p", 0.5)
    # The posterior has its mean nine standard deviations away.
    assert abs(0.5 - truth["posterior"].mean()) / truth["posterior"].std() > 9
    exact = truth["posterior"].logpdf(0.5) - stats.beta(50, 50).logpdf(0.5)
    assert found.log_bayes_factor == pytest.approx(exact, abs=1e-6)
    assert found.log_bayes_factor < -30
    assert "very strong evidence against p = 0.5" in "\n".join(found.notes())
    assert worst_status(found.checks) == "ok"


def test_the_ordinates_are_those_of_the_two_densities():
    found, truth = studies.study("coin_bias").evidence.savage_dickey("p", 0.508), studies.coin_truth()
    assert found.prior_ordinate == pytest.approx(stats.beta(50, 50).logpdf(0.508), rel=1e-10)
    assert found.posterior_ordinate == pytest.approx(truth["posterior"].logpdf(0.508), abs=1e-6)


@pytest.mark.slow
def test_the_bridge_of_the_model_with_the_value_fixed_gives_the_same_in_ten_dimensions():
    with pm.Model() as fixed:
        tau = pm.HalfCauchy("tau", 5.0)
        eta = pm.Normal("eta", shape=8)
        pm.Normal("y", 0.0 + tau * eta, models_zoo.EFFECT_ERRORS, observed=models_zoo.EFFECTS)
    free, nested = studies.eight_schools(), wb.Study(fixed, seed=2)
    found = free.evidence.savage_dickey("mu", 0.0)
    inner, outer = nested.evidence.bridge(), free.evidence.bridge()
    error = np.sqrt(found.std_error**2 + inner.std_error**2 + outer.std_error**2)
    assert abs(found.log_bayes_factor - (inner.log_evidence - outer.log_evidence)) < STANDARD_ERRORS * error
    assert found.std_error < 0.05


@pytest.mark.slow
def test_what_depends_on_the_fixed_variable_takes_its_value():
    with pm.Model() as free:
        mu = pm.Normal("mu", 0.0, 5.0)
        theta = pm.Normal("theta", mu, 3.0, shape=8)
        pm.Normal("y", theta, models_zoo.EFFECT_ERRORS, observed=models_zoo.EFFECTS)
    found = wb.Study(free, seed=1).evidence.savage_dickey("mu", 2.0)
    variance = models_zoo.EFFECT_ERRORS**2 + 9.0
    exact = stats.norm(2.0, np.sqrt(variance)).logpdf(models_zoo.EFFECTS).sum()
    exact -= stats.multivariate_normal(np.zeros(8), np.diag(variance) + 25.0).logpdf(models_zoo.EFFECTS)
    assert abs(found.log_bayes_factor - exact) < STANDARD_ERRORS * found.std_error
    assert found.depending == ("theta",)
    assert any("theta are taken at that value" in note for note in found.notes())


def _posterior_of_the_line():
    columns = np.column_stack([ONE, X[:, 0]])
    covariance = np.linalg.inv(columns.T @ columns + np.diag([1 / 4.0, 1 / 2.25]))
    return covariance @ columns.T @ Y, covariance


@pytest.mark.statistical
@pytest.mark.slow
@pytest.mark.parametrize("value", [0.0, 0.6])
def test_the_stated_error_is_honest_over_repetitions(value):
    centre, covariance = _posterior_of_the_line()
    density, evidence = LogDensity(_line()), Evidence((), -40.0, 1.0, "bridge", {}, None, {}, 25, {})
    exact = stats.norm(centre[1], np.sqrt(covariance[1, 1])).logpdf(value) - stats.norm(0.0, 1.5).logpdf(value)
    scores = []
    for seed in range(40):
        z = np.random.default_rng(seed).multivariate_normal(centre, covariance, size=(4, 25))
        found = fix_scalar(density, "b", value, z, evidence)
        scores.append((found.log_bayes_factor - exact) / found.std_error)
    assert abs(np.mean(scores)) < 0.5
    assert 0.7 < np.std(scores) < 1.4


@pytest.mark.slow
def test_draws_of_another_posterior_are_a_conflict():
    study = wb.Study(_line(), seed=1, settings=SHORT)
    z = study.log_terms[0]
    found = fix_scalar(study.density, "b", 0.0, z + 0.3 * z.std(axis=(0, 1)), study.evidence.estimate())
    assert next(c for c in found.checks if c.code == "routes-agree").status == "failed"


def _parabola(y=3.0):
    """Y = a + b^2 + noise with standard normal a and b: independent draws, and log p(y), by a grid over b."""
    with pm.Model() as model:
        a, b = pm.Normal("a"), pm.Normal("b")
        pm.Normal("y", a + b**2, 0.1, observed=y)
    b, variance = np.linspace(-8.0, 8.0, 32_001), 1.0 + 0.1**2
    density = stats.norm.pdf(b) * stats.norm(b**2, np.sqrt(variance)).pdf(y)
    generator = np.random.default_rng(8)
    chosen = generator.choice(b, size=(4, 200), p=density / density.sum())
    a = (y - chosen**2) / variance + 0.1 / np.sqrt(variance) * generator.normal(size=chosen.shape)
    evidence = Evidence((), float(np.log(np.trapezoid(density, b))), 1e-6, "grid", {}, None, {}, 1, {})
    return LogDensity(model), np.stack([a, chosen], axis=-1), evidence


@pytest.mark.slow
def test_every_peak_of_the_rest_and_of_the_tested_density_is_integrated():
    density, z, evidence = _parabola()
    b = np.linspace(-5.0, 5.0, 20_001)
    with_a = np.log(np.trapezoid(stats.norm.pdf(b) * stats.norm(b**2, 0.1).pdf(3.0), b))  # two far peaks over b
    with_b = stats.norm(1.6**2, np.sqrt(1.01)).logpdf(3.0)
    for label, value, exact in (("a", 0.0, with_a), ("b", 1.6, with_b)):
        found = fix_scalar(density, label, value, z, evidence)
        assert found.other_route == pytest.approx(exact - evidence.log_evidence, abs=1e-5)
        assert abs(found.log_bayes_factor - found.other_route) < STANDARD_ERRORS * found.std_error
        assert next(c for c in found.checks if c.code == "routes-agree").status == "ok"


@pytest.mark.slow
def test_draws_of_one_of_two_peaks_are_a_conflict():
    density, z, evidence = _parabola(8.0)
    z[..., 1] = np.abs(z[..., 1])  # the other half of the mass is where b is negative, too far to be seen
    found = fix_scalar(density, "b", 2.74, z, evidence)
    assert found.log_bayes_factor - found.other_route == pytest.approx(np.log(2.0), abs=0.1)
    assert next(c for c in found.checks if c.code == "routes-agree").status == "failed"


@pytest.mark.slow
def test_a_value_that_no_draw_of_the_rest_suits_is_called_failed():
    study = _study(_regression)
    found = study.evidence.savage_dickey("b[0]", -9.0)
    check = next(c for c in found.checks if c.code == "ordinate-tails")
    assert check.status == "failed"
    assert "compare_models" in check.fix


@pytest.mark.slow
def test_names_and_values_that_cannot_be_fixed_are_refused():
    study = studies.study("height_as_normal")
    with pytest.raises(wb.InputError, match="edge"):
        study.evidence.savage_dickey("sigma", -1.0)
    with pytest.raises(wb.InputError, match="no scalar 'tau'"):
        study.evidence.savage_dickey("tau", 1.0)
    with pytest.raises(wb.InputError, match="nan"):
        study.evidence.savage_dickey("mu", float("nan"))
    with pytest.raises(wb.InputError, match="3 elements"):
        _study(_regression).evidence.savage_dickey("b", 0.0)


def _of_zoo(build, name=""):
    """Fix the first element of a vector of a model of the zoo."""
    density = LogDensity(build())
    space = density.space
    name, draws = name or next(n for n in space.names if space.shapes[n]), np.zeros((4, 25, space.dimension))
    fix_scalar(density, space.labels(name)[0], 0.2, draws, Evidence((), 0.0, 1.0, "bridge", {}, None, {}, 1, {}))


@pytest.mark.slow
def test_a_prior_that_would_change_with_the_fixed_value_is_refused_by_name():
    with pytest.raises(wb.RefusalError, match="depends on"):
        _of_zoo(models_zoo.centred, "theta")
    with pytest.raises(wb.RefusalError, match="not independent"):
        _of_zoo(models_zoo.simplex)
    with pytest.raises(wb.RefusalError, match="not independent"):
        _of_zoo(models_zoo.zero_sum)
