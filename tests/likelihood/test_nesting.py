"""Whether one model is inside another: by the densities of all observations, not by the height of the likelihood."""

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

import workbench as wb
from workbench.likelihood.nesting import least_departure
from workbench.likelihood.problem import Problem
from workbench.likelihood.summit import find_summit

pytestmark = pytest.mark.slow  # every model is compiled

COUNTS = np.random.default_rng(2).negative_binomial(3, 3 / (3 + 4.0), size=50)
X = np.linspace(-1, 1, 50)
Y = 1.0 + 1.5 * X + np.random.default_rng(3).standard_t(4, size=50)


def study(build):
    with pm.Model() as model:
        build()
    return wb.Study(model, seed=1)


def poisson():
    pm.Poisson("y", pm.HalfNormal("mu", 10.0), observed=COUNTS)


def negative_binomial(fixed_mean=None):
    mu = pm.HalfNormal("mu", 10.0) if fixed_mean is None else fixed_mean
    pm.NegativeBinomial("y", mu=mu, alpha=pm.HalfNormal("alpha", 10.0), observed=COUNTS)


def line(noise, slope=True):
    mean = pm.Normal("a", 0.0, 5.0) + (pm.Normal("b", 0.0, 5.0) * X if slope else 0.0)
    sigma = pm.HalfNormal("sigma", 5.0)
    if noise == "t":
        pm.StudentT("y", nu=pm.Gamma("nu", 2.0, 0.1), mu=mean, sigma=sigma, observed=Y)
    elif noise == "normal":
        pm.Normal("y", mean, sigma, observed=Y)
    else:
        pm.Logistic("y", mean, sigma, observed=Y)


def departure(larger, smaller):
    def posed(one: wb.Study) -> tuple[Problem, object]:
        return one.problem, find_summit(one.problem, one.likelihood.maximum(), one.starts)

    return least_departure(posed(larger), posed(smaller))


def test_a_poisson_is_a_limit_of_the_negative_binomial():
    larger, smaller = study(negative_binomial), study(poisson)
    assert departure(larger, smaller) == 0.0
    found = larger.likelihood.nested(smaller)
    assert found.degrees == 1
    mean = COUNTS.mean()
    assert found.log_likelihood_held == pytest.approx(stats.poisson.logpmf(COUNTS, mean).sum(), abs=1e-9)


@pytest.mark.deep
def test_a_normal_line_is_a_limit_of_students_and_inside_it_without_its_slope_too():
    larger = study(lambda: line("t"))
    for slope, degrees in ((True, 1), (False, 2)):
        found = larger.likelihood.nested(study(lambda slope=slope: line("normal", slope)))
        assert found.degrees == degrees


def test_a_less_likely_model_of_another_kind_is_not_inside():
    larger = study(lambda: line("normal"))
    other = study(lambda: line("logistic", slope=False))
    assert other.likelihood.maximum().log_likelihood < larger.likelihood.maximum().log_likelihood
    with pytest.raises(wb.RefusalError, match="no theta of the larger model says of every observation"):
        larger.likelihood.nested(other)
    # The nearest normal to the logistic, by another search: it is as far away.
    mode = other.likelihood.maximum()
    goal = stats.logistic.logpdf(Y, float(mode.theta["a"]), float(mode.theta["sigma"]))
    grid = [
        np.sum((stats.norm.logpdf(Y, a, s) - goal) ** 2) for a in np.linspace(0, 2, 81) for s in np.linspace(0.8, 4, 81)
    ]
    assert departure(larger, other) > np.sqrt(min(grid) / Y.size) / 2


@pytest.mark.deep
def test_a_poisson_is_not_inside_a_negative_binomial_of_another_mean():
    larger = study(
        lambda: pm.ZeroInflatedNegativeBinomial(
            "y", psi=pm.Uniform("psi", 0, 1), mu=COUNTS.mean() + 3.0, alpha=pm.HalfNormal("alpha", 5.0), observed=COUNTS
        )
    )
    with pytest.raises(wb.RefusalError, match="not inside"):
        larger.likelihood.nested(study(poisson))


def test_effects_that_are_integrated_out_are_not_compared_observation_by_observation():
    group = np.repeat(np.arange(10), 5)

    def effects():
        u = pm.Normal("u", 0.0, pm.HalfNormal("tau", 2.0), shape=10)
        pm.Normal("y", pm.Normal("a", 0.0, 5.0) + u[group], pm.HalfNormal("sigma", 5.0), observed=Y)

    assert departure(study(effects), study(lambda: line("normal", slope=False))) is None


def test_raw_columns_of_very_different_size_do_not_hide_that_a_regression_is_inside_another():
    rng = np.random.default_rng(3)
    year = np.linspace(1947.0, 1962.0, 60)
    product = 234e3 + (year - 1947) * 2e4 + rng.normal(size=60) * 9e3
    design = np.column_stack([np.ones(60), year, product])
    answer = (rng.random(60) < special.expit(0.2 * (year - 1954))).astype(int)

    def regression(k):
        return study(lambda: pm.Bernoulli("y", logit_p=design[:, :k] @ pm.Normal("b", 0.0, 1e3, shape=k),
                                          observed=answer))  # fmt: skip

    def highest(k):
        columns = np.column_stack([np.ones(60), stats.zscore(design[:, 1:k])])
        b = np.zeros(k)
        for _ in range(20):
            p = special.expit(columns @ b)
            b += np.linalg.solve(columns.T @ (columns * (p * (1 - p))[:, None]), columns.T @ (answer - p))
        return np.sum(np.where(answer, special.log_expit(columns @ b), special.log_expit(-columns @ b)))

    found = regression(3).likelihood.nested(regression(2))
    assert found.statistic["likelihood ratio"] == pytest.approx(2 * (highest(3) - highest(2)), abs=1e-6)
