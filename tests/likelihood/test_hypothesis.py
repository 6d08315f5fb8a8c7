"""Tests of a fixed value and between nested models, against closed forms and against how often they reject."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from workbench.likelihood.hypothesis import Test, printed, tail
from workbench.result import result_from_json

pytestmark = pytest.mark.slow  # every model is compiled

Y = np.random.default_rng(5).normal(3.0, 2.0, size=20)
X = np.linspace(-1, 2, 20)


@pytest.fixture(scope="module")
def share():
    with pm.Model() as model:
        p = pm.Uniform("p", 0, 1)
        pm.Deterministic("odds", p / (1 - p))
        pm.Binomial("k", 10, p, observed=7)
    return wb.Study(model, seed=1)


def _line(slope=True, y=Y):
    with pm.Model(name="") as model:
        a, sigma = pm.Normal("a", 0, 10), pm.HalfNormal("sigma", 5)
        mean = a + pm.Normal("b", 0, 10) * X if slope else a
        pm.Normal("y", mean, sigma, observed=y)
    return model


@pytest.fixture(scope="module")
def lines():
    return wb.Study(_line(), seed=1), wb.Study(_line(slope=False), seed=1)


def test_the_three_tests_of_a_share_are_the_textbook_ones(share):
    found = share.likelihood.test("p", 0.4)
    ratio = 2 * (stats.binom.logpmf(7, 10, 0.7) - stats.binom.logpmf(7, 10, 0.4))
    assert found.statistic["likelihood ratio"] == pytest.approx(ratio, rel=1e-9)
    assert found.statistic["Wald"] == pytest.approx(0.3**2 / (0.7 * 0.3 / 10), rel=1e-6)
    assert found.statistic["score"] == pytest.approx(0.3**2 / (0.4 * 0.6 / 10), rel=1e-6)
    for kind, statistic in found.statistic.items():
        assert found.p_value[kind] == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)


def test_the_likelihood_ratio_does_not_depend_on_how_the_hypothesis_is_written(share):
    first, second = share.likelihood.test("p", 0.4), share.likelihood.test("odds", 0.4 / 0.6)
    assert first.statistic["likelihood ratio"] == pytest.approx(second.statistic["likelihood ratio"], rel=1e-9)
    assert first.statistic["Wald"] != pytest.approx(second.statistic["Wald"], rel=0.01)  # it does


def test_at_the_maximum_every_statistic_is_zero_and_at_a_bound_p_is_five_percent(share):
    found = share.likelihood.test("p", 0.7)
    assert max(found.statistic.values()) < 1e-12
    assert set(found.p_value.values()) == {1.0}
    bound = share.likelihood.profile("p").upper[0]
    assert share.likelihood.test("p", bound).p_value["likelihood ratio"] == pytest.approx(0.05, abs=1e-8)


def test_a_slope_of_zero_is_the_same_as_the_model_without_it(lines):
    larger, smaller = lines
    found, nested = larger.likelihood.test("b", 0.0), larger.likelihood.nested(smaller)
    rss = [np.sum((Y - Y.mean()) ** 2), np.linalg.lstsq(np.column_stack([np.ones(20), X]), Y)[1][0]]
    ratio = 20 * np.log(rss[0] / rss[1])
    assert found.statistic["likelihood ratio"] == pytest.approx(ratio, rel=1e-8)
    assert nested.statistic["likelihood ratio"] == pytest.approx(ratio, rel=1e-8)
    assert not nested.mixture
    assert nested.degrees == 1


def test_a_combination_can_be_tested(lines):
    found = lines[0].likelihood.test({"a": 1, "b": 1}, 3.0)
    shifted = np.column_stack([X - 1])
    rss0 = np.linalg.lstsq(shifted, Y - 3.0)[1][0]
    rss = np.linalg.lstsq(np.column_stack([np.ones(20), X]), Y)[1][0]
    assert found.statistic["likelihood ratio"] == pytest.approx(20 * np.log(rss0 / rss), rel=1e-7)
    assert found.hypothesis == "a + b = 3"


BATCH = np.repeat(np.arange(6), 5)
YIELD = np.array([
    1545, 1440, 1440, 1520, 1580, 1540, 1555, 1490, 1560, 1495, 1595, 1550, 1605, 1510, 1560,
    1445, 1440, 1595, 1465, 1545, 1595, 1630, 1515, 1635, 1625, 1520, 1455, 1450, 1480, 1445.0,
])  # fmt: skip  # Davies 1947


def _batches(effects=True):
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 1500.0, 500.0), pm.HalfNormal("sigma", 60.0)
        mean = mu
        if effects:
            mean = pm.Normal("effect", mu, pm.HalfNormal("tau", 60.0), shape=6)[BATCH]
        pm.Normal("y", mean, sigma, observed=YIELD)
    return model


@pytest.fixture(scope="module")
def batches():
    return wb.Study(_batches(), seed=1), wb.Study(_batches(effects=False), seed=1)


def test_a_variance_of_zero_is_judged_by_the_mixture(batches):
    larger, smaller = batches
    held = stats.norm.logpdf(YIELD, YIELD.mean(), YIELD.std()).sum()
    ratio = 2 * (-163.663529940563 - held)  # lme4: -2 log L = 327.327059881135
    for found in (larger.likelihood.test("tau", 0.0), larger.likelihood.nested(smaller)):
        assert found.mixture
        assert found.reference == "0.5 chi2_0 + 0.5 chi2_1"
        assert found.statistic["likelihood ratio"] == pytest.approx(ratio, abs=1e-6)
        assert found.p_value["likelihood ratio"] == pytest.approx(stats.chi2.sf(ratio, 1) / 2, rel=1e-6)
    assert "tau = 0" in larger.likelihood.nested(smaller).hypothesis
    assert set(larger.likelihood.test("tau", 0.0).missing) == {"Wald", "score"}


def test_the_score_of_a_value_inside_counts_where_the_maximum_is_at_the_bound():
    with pm.Model() as model:
        mu = pm.Uniform("mu", -5.0, 2.0)
        pm.Normal("y", mu, 2.0, observed=Y)
    found = wb.Study(model, seed=1).likelihood.test("mu", 1.0)
    slope = np.sum(Y - 1.0) / 4.0
    # The information is taken on z = log((mu + 5) / (2 - mu)): dmu/dz = 6/7, d2mu/dz2 = -5/7 (dmu/dz).
    on_z = slope * 6 / 7
    information = 20 / 4.0 * (6 / 7) ** 2 + slope * 6 / 7 * 5 / 7
    assert found.statistic["score"] == pytest.approx(on_z**2 / information, rel=1e-6)


def test_a_share_of_zero_is_impossible_once_there_was_a_success(share):
    found = share.likelihood.test("p", 0.0)
    assert found.statistic["likelihood ratio"] == np.inf
    assert found.table().loc["likelihood ratio", "p-value"] == "< 1e-4"


def test_the_mixture_halves_the_tail_and_gives_one_at_zero():
    assert tail(3.0, 1, True) == pytest.approx(stats.chi2.sf(3.0, 1) / 2)
    assert tail(0.0, 1, True) == 1.0
    assert tail(3.0, 2, True) == pytest.approx((stats.chi2.sf(3.0, 1) + stats.chi2.sf(3.0, 2)) / 2)


def test_p_values_are_never_printed_as_zero():
    assert [printed(p) for p in (0.0, 1e-300, 9.9e-5, 1e-4, 0.05, 1.0)] == [
        "< 1e-4", "< 1e-4", "< 1e-4", "0.0001", "0.05", "1",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [-0.1, 1.1, "half", np.nan])
def test_a_value_outside_the_support_is_an_error(share, value):
    with pytest.raises(wb.InputError):
        share.likelihood.test("p", value)


def test_an_unknown_name_is_an_error(share):
    with pytest.raises(wb.InputError, match="no scalar"):
        share.likelihood.test("q", 0.5)


def test_models_that_are_not_nested_are_refused(lines):
    larger, smaller = lines
    with pytest.raises(wb.InputError, match="parameters"):
        smaller.likelihood.nested(larger)
    other = wb.Study(_line(slope=False, y=Y + 1.0), seed=1)
    with pytest.raises(wb.InputError, match="different data"):
        larger.likelihood.nested(other)
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("a", 0, 10) + X, 2.0, observed=Y)
    with pm.Model() as better:
        sigma = pm.HalfNormal("sigma", 5)
        pm.Normal("y", np.linalg.lstsq(np.vander(X, 8), Y)[0] @ np.vander(X, 8).T, sigma, observed=Y)
    with pytest.raises(wb.InputError, match="parameters"):
        wb.Study(model, seed=1).likelihood.nested(wb.Study(better, seed=1))
    with pytest.raises(wb.RefusalError, match="not inside"):
        larger.likelihood.nested(wb.Study(better, seed=1))


@pytest.mark.parametrize("hypothesis", ["fixed", "nested"])
def test_a_test_reads_back_from_json(lines, hypothesis):
    larger, smaller = lines
    found = larger.likelihood.test("b", 0.0) if hypothesis == "fixed" else larger.likelihood.nested(smaller)
    again = result_from_json(found.to_json())
    assert isinstance(again, Test)
    assert again.to_json() == found.to_json()
    assert found.title in repr(found)


def test_only_a_study_can_be_the_smaller_model(lines):
    with pytest.raises(wb.InputError, match="the smaller model is a str"):
        lines[0].likelihood.nested("smaller")
