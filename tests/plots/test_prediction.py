"""Surprise and scores in pictures: what is drawn are the numbers, and what is infinite is said."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import prediction
from workbench.errors import InputError
from workbench.plots.prediction import plot_predictors, plot_surprise

FOUND = prediction("height")


def test_every_observation_is_a_point_and_the_most_surprising_are_named() -> None:
    left, right = plot_surprise(FOUND).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), FOUND.surprise / np.log(2))
    assert [text.get_text() for text in right.get_yticklabels()][:2] == ["height[7] = 1.5", "height[11] = 1.5"]
    assert [bar.get_width() for bar in right.patches][:2] == pytest.approx([9 / np.log(2), 8 / np.log(2)])


def test_scores_that_are_not_finite_or_missing_are_not_drawn() -> None:
    with pytest.raises(InputError, match="no finite score"):
        plot_surprise(replace(FOUND, surprise=np.array([1.0, np.inf])))
    with pytest.raises(InputError, match="no finite score"):
        plot_surprise(replace(FOUND, surprise=np.zeros(0)))


def test_every_predictor_has_a_row_and_the_infinite_one_a_word() -> None:
    (axes,) = plot_predictors(FOUND).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == list(FOUND.whole)
    texts = [text.get_text() for text in axes.texts]
    assert "infinite: it held an observation impossible" in texts
    bits = FOUND.surprise.mean() / np.log(2)
    assert f"{bits:.3f}" in texts


def test_without_finite_scores_there_is_no_picture() -> None:
    with pytest.raises(InputError, match="no finite scores"):
        plot_predictors(replace(FOUND, scores={"height": {}}))
