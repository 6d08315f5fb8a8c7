"""Baselines against leaving out each observation by hand."""

import numpy as np
import pytest
from scipy import stats

from workbench.baseline import baseline_for
from workbench.errors import RefusalError

EYES = np.repeat([0, 1, 2, 3], [220, 215, 93, 64])  # brown, blue, hazel, green: 592 students (Snee 1974)


def _without(values, i):
    return np.delete(values, i, axis=0)


def test_a_normal_is_fitted_to_the_others_alone():
    y = np.random.default_rng(1).normal(1e6, 3.0, size=40)  # far from zero: nothing may cancel
    by_hand = [stats.norm.logpdf(y[i], _without(y, i).mean(), _without(y, i).std()) for i in range(40)]
    np.testing.assert_allclose(baseline_for(y, "continuous").scores, by_hand, rtol=1e-9)


def test_columns_of_vectors_are_predicted_one_by_one_and_added():
    y = np.random.default_rng(2).normal(size=(30, 2)) * [1.0, 5.0]
    alone = [baseline_for(column, "continuous").scores for column in y.T]
    np.testing.assert_allclose(baseline_for(y, "continuous").scores, sum(alone), rtol=1e-12)


def test_a_change_of_units_moves_every_score_of_a_normal_by_the_same_amount():
    y = np.random.default_rng(3).normal(175.0, 6.0, size=50)
    moved = baseline_for(y / 2.54, "continuous").scores - baseline_for(y, "continuous").scores
    np.testing.assert_allclose(moved, np.log(2.54), rtol=1e-12)


def test_frequencies_are_those_of_the_others():
    found = baseline_for(EYES, "labels")
    assert found.name == "frequencies of the others"
    by_hand = [np.log(np.mean(_without(EYES, i) == EYES[i])) for i in range(len(EYES))]
    np.testing.assert_allclose(found.scores, by_hand, rtol=1e-12)


def test_a_label_that_occurs_once_gets_half_a_count_instead_of_minus_infinity():
    y = np.array([0, 0, 0, 1, 1, 2])
    found = baseline_for(y, "labels")
    assert "half a count" in found.name
    np.testing.assert_allclose(np.exp(found.scores), np.array([2.5, 2.5, 2.5, 1.5, 1.5, 0.5]) / (5 + 1.5), rtol=1e-12)


def test_scattered_counts_are_predicted_by_a_rounded_normal():
    y = np.array([780, 1126, 2204, 7056, 353, 10148, 0])
    found = baseline_for(y, "counts")
    assert "rounded" in found.name
    for i, score in enumerate(found.scores):
        others = stats.norm(_without(y, i).mean(), _without(y, i).std())
        assert score == pytest.approx(np.log(others.cdf(y[i] + 0.5) - others.cdf(y[i] - 0.5)), rel=1e-6)


def test_a_count_far_in_the_tail_keeps_its_digits():
    y = np.array([10, 11, 12, 10, 11, 13, 500])
    others = y[:-1]
    away = (y[-1] - 0.5 - others.mean()) / others.std()
    assert baseline_for(y, "counts").scores[-1] == pytest.approx(stats.norm.logsf(away), rel=1e-6)


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        (np.array([1.0, 2.0]), "continuous", "three observations"),
        (np.array([1.0, 1.0, 1.0, 5.0]), "continuous", "no width"),
        (np.array([1.0, 2.0, 3.0]), "mixed", "some a probability"),
        (np.ones((4, 3), dtype=int), "counts", "vectors of counts"),
    ],
)
def test_what_has_no_baseline_is_refused(values, kind, reason):
    with pytest.raises(RefusalError, match=reason):
        baseline_for(values, kind)
