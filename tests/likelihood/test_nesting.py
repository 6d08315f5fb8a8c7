"""Whether one model is inside another: by the densities of all parts of the data, not by the height of its maximum."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, special, stats

import workbench as wb
from workbench.likelihood import shared_parts
from workbench.likelihood.departure import find_departure
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

    return find_departure(posed(larger), posed(smaller)).worst


def test_a_poisson_is_a_limit_of_the_negative_binomial():
    larger, smaller = study(negative_binomial), study(poisson)
    assert departure(larger, smaller) == 0.0
    found = larger.likelihood.nested(smaller)
    assert found.degrees == 1
    assert found.reference == "0.5 chi2_0 + 0.5 chi2_1"  # the dispersion cannot be more than infinite (Lawless 1987)
    assert "alpha = inf" in found.hypothesis
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
    with pytest.raises(wb.RefusalError, match="no theta of the larger model says of every part of the data"):
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


GROUP, OTHER = np.repeat(np.arange(15), 6), np.tile(np.arange(6), 15)
T = np.random.default_rng(1).normal(size=90)
_EFFECT = np.random.default_rng(4).normal(size=(15, 2)) @ [[0.8, 0.3], [0.0, 0.9]]
YIELD = 1.0 + _EFFECT[GROUP, 0] + (0.5 + _EFFECT[GROUP, 1]) * T + np.random.default_rng(5).normal(size=90)


def effects(kind, y=YIELD):
    """A line whose level, or level and slope, vary between groups."""
    mean = pm.Normal("a", 0.0, 5.0) + pm.Normal("b", 0.0, 5.0) * T
    if kind in ("level", "both"):
        mean += pm.Normal("u", 0.0, pm.HalfNormal("tau", 2.0), shape=15)[GROUP]
    if kind == "both":
        mean += pm.Normal("v", 0.0, pm.HalfNormal("slope_sd", 2.0), shape=15)[GROUP] * T
    if kind == "correlated":
        factor, _, _ = pm.LKJCholeskyCov("factor", n=2, eta=2.0, sd_dist=pm.HalfNormal.dist(2.0, shape=2))
        u = pm.MvNormal("u", np.zeros(2), chol=factor, shape=(15, 2))
        mean += u[GROUP, 0] + u[GROUP, 1] * T
    if kind == "other":
        mean += pm.Normal("w", 0.0, pm.HalfNormal("other_sd", 2.0), shape=6)[OTHER]
    pm.Normal("y", mean, pm.HalfNormal("sigma", 3.0), observed=y)


@pytest.fixture(scope="module")
def mixed():
    return {kind: study(lambda kind=kind: effects(kind)) for kind in ("pooled", "level", "both", "correlated", "other")}


def highest(columns):
    """Maximum of the log likelihood of the normal model with effects on these columns, correlated freely."""
    fixed, z = np.column_stack([np.ones(90), T]), np.column_stack([np.ones(90), T])[:, :columns]
    same = GROUP[:, None] == GROUP

    def minus(theta):
        root = np.zeros((columns, columns))
        root[np.tril_indices(columns)] = theta[:-1]
        covariance = same * (z @ root @ root.T @ z.T) + np.exp(theta[-1]) * np.eye(90)
        weighted = np.linalg.solve(covariance, fixed)
        rest = YIELD - fixed @ np.linalg.solve(fixed.T @ weighted, weighted.T @ YIELD)
        return -stats.multivariate_normal(np.zeros(90), covariance).logpdf(rest)

    start = np.append(np.eye(columns)[np.tril_indices(columns)], 0.0)
    return -optimize.minimize(minus, start, method="BFGS").fun


def status(found):
    return next(check for check in found.checks if check.code == "nested")


@pytest.mark.deep
def test_a_slope_that_varies_is_tested_against_a_level_that_varies(mixed):
    found = mixed["correlated"].likelihood.nested(mixed["level"])
    assert found.statistic["likelihood ratio"] == pytest.approx(2 * (highest(2) - highest(1)), abs=1e-5)
    assert found.reference == "0.5 chi2_1 + 0.5 chi2_2"  # Stram and Lee 1994, case 3
    assert "factor[2] = 0" in found.hypothesis
    assert status(found).status == "ok"
    free = mixed["correlated"].likelihood.nested(mixed["both"])
    assert free.reference == "chi2_1"
    assert status(free).status == "ok"


def test_two_variances_of_zero_at_once_leave_an_upper_bound_and_say_so(mixed):
    found = mixed["both"].likelihood.nested(mixed["pooled"])
    assert found.reference == "chi2_2"
    assert status(found).status == "caution"
    assert "tau = 0 and slope_sd = 0 there" in status(found).message


def test_one_variance_of_zero_is_the_mixture(mixed):
    found = mixed["both"].likelihood.nested(mixed["level"])
    assert found.reference == "0.5 chi2_0 + 0.5 chi2_1"
    assert "slope_sd = 0" in found.hypothesis
    assert status(found).status == "ok"


def test_effects_of_one_grouping_are_not_inside_those_of_another(mixed):
    other = mixed["other"]
    assert other.likelihood.maximum().log_likelihood < mixed["both"].likelihood.maximum().log_likelihood
    with pytest.raises(wb.RefusalError, match="no theta of the larger model .* each of 11 data sets"):
        mixed["both"].likelihood.nested(other)


@pytest.mark.deep
def test_a_model_without_spread_between_its_own_groups_is_not_inside_either():
    rows = YIELD.reshape(15, 6)
    y = (rows - rows.mean(axis=0) + rows.mean()).ravel()  # the means of the other groups are all the same
    other, larger = study(lambda: effects("other", y)), study(lambda: effects("both", y))
    assert "other_sd" in other.likelihood.maximum().at_edge
    with pytest.raises(wb.RefusalError, match="not inside"):
        larger.likelihood.nested(other)


@pytest.mark.deep
@pytest.mark.parametrize("effects_in_a_block", [2, 3])
def test_counts_with_effects_are_compared_by_quadrature_and_by_laplace(effects_in_a_block):
    columns = [np.ones(90), T, T**2 - 1.0]
    rng = np.random.default_rng(7)
    rate = np.exp(1.0 + 0.3 * T + sum(0.5 * rng.normal(size=15)[GROUP] * column for column in columns))
    counts = rng.poisson(rate)

    def build(k):
        logarithm = pm.Normal("a", 0.0, 3.0) + pm.Normal("b", 0.0, 3.0) * T
        for j in range(k):
            u = pm.Normal(f"u{j}", 0.0, pm.HalfNormal(f"tau{j}", 1.0), shape=15)
            logarithm += u[GROUP] * columns[j]
        pm.Poisson("y", pm.math.exp(logarithm), observed=counts)

    larger, smaller = (study(lambda k=k: build(k)) for k in (effects_in_a_block, effects_in_a_block - 1))
    assert departure(larger, smaller) == 0.0
    found = larger.likelihood.nested(smaller)
    assert found.reference == "0.5 chi2_0 + 0.5 chi2_1"


def by_potential(slope, whole=False):
    sigma = pm.HalfNormal("sigma", 5.0)
    mean = pm.Normal("a", 0.0, 5.0) + (pm.Normal("b", 0.0, 5.0) * X if slope else 0.0)
    each = pm.logp(pm.Normal.dist(mean, sigma), Y)
    pm.Potential("likelihood", each.sum() if whole else each)


@pytest.mark.parametrize("whole", [False, True])
def test_a_likelihood_that_is_a_potential_is_compared_element_by_element_or_said_to_be_one_number(whole):
    def potential(slope):
        with pm.Model() as model:
            by_potential(slope, whole)
        return wb.Study(model, seed=1, potentials={"likelihood": "likelihood"})

    found = potential(True).likelihood.nested(potential(False))
    rss = [np.sum((Y - Y.mean()) ** 2), np.linalg.lstsq(np.column_stack([np.ones(50), X]), Y)[1][0]]
    assert found.statistic["likelihood ratio"] == pytest.approx(50 * np.log(rss[0] / rss[1]), rel=1e-7)
    assert status(found).status == ("unknown" if whole else "ok")
    if whole:
        assert "1 parts for 3 parameters, and data cannot be simulated" in status(found).message


def test_of_very_many_observations_some_are_looked_at(monkeypatch):
    monkeypatch.setattr(shared_parts, "_MOST", 40)
    monkeypatch.setattr(shared_parts, "_SOME", 20)
    larger, other = study(lambda: line("normal")), study(lambda: line("logistic", slope=False))
    found = larger.likelihood.nested(study(lambda: line("normal", slope=False)))
    assert "of 20 parts of the data" in status(found).message
    with pytest.raises(wb.RefusalError, match="not inside"):
        larger.likelihood.nested(other)


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
