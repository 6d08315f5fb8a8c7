"""From prior to posterior: the curves are those of the draws, and the bits stand between them."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.plots.learning import learnable, plot_learning
from workbench.plots.scalars import Scalar


def _scalar(label="mu", centre=175.0, sd=0.3):
    generator = np.random.default_rng(1)
    draws, prior = generator.normal(centre, sd, size=(4, 500)), generator.normal(170.0, 20.0, size=1000)
    return Scalar(label, label, 1, draws, prior, np.zeros(0))


def _texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_row_shows_prior_bits_and_posterior() -> None:
    scalar, bits = _scalar(), 5.43
    left, middle, right = plot_learning([(scalar, bits * np.log(2), 0.02 * np.log(2))]).axes
    assert left.get_title(loc="left") == "mu, prior"
    assert right.get_title(loc="left") == "mu, posterior"
    assert "5.43 ± 0.02 bits" in _texts(middle)
    assert "1 part in 43.1" in _texts(middle)
    low, high = right.get_xlim()
    assert low < 174.5 < 175.5 < high
    assert high - low < 5
    wide = left.get_xlim()
    assert wide[1] - wide[0] > 60


def test_the_place_of_the_posterior_is_shaded_under_the_prior() -> None:
    left = plot_learning([(_scalar(), 3.0, 0.0)]).axes[0]
    (band,) = [patch.get_bbox() for patch in left.patches]
    assert (band.x0, band.x1) == pytest.approx((175 - 0.77, 175 + 0.77), abs=0.15)


def test_those_with_most_to_tell_are_chosen_in_the_order_of_the_model() -> None:
    scalars = {name: _scalar(name) for name in ("a", "b", "c")}
    scalars["whole"] = replace(_scalar("whole"), draws=np.ones((4, 500)))
    scalars["none"] = replace(_scalar("none"), prior=np.zeros(0))
    about = {"a": (1.0, 0.1), "b": (0.1, 0.1), "c": (2.0, 0.1), "whole": (9.0, 0.1), "none": (9.0, 0.1)}
    assert learnable(scalars, about, 2) == ["a", "c"]


@pytest.mark.parametrize("spoilt", [np.nan, np.inf])
def test_an_amount_that_is_not_finite_is_not_drawn(spoilt) -> None:
    with pytest.raises(InputError, match="no amount"):
        plot_learning([(_scalar(), spoilt, 0.0)])


def test_no_row_is_an_error() -> None:
    with pytest.raises(InputError, match="no scalar"):
        plot_learning([])
