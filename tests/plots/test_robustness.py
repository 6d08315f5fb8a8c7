"""Robustness curves are drawn as they were computed, factors and shifts apart."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import robustness
from workbench.errors import InputError
from workbench.plots.robustness import plot_robustness
from workbench.plots.style import svg

FOUND = robustness(("mu", "sigma"))


def _curves(figure):
    return {line.get_label(): line for axes in figure.axes for line in axes.get_lines() if line.get_label()[0] != "_"}


def test_every_curve_is_drawn_at_its_moves():
    drawn = _curves(plot_robustness(FOUND))
    assert set(drawn) == {"mu.sigma", "sigma.sigma"}
    for name, line in drawn.items():
        assert np.array_equal(line.get_xdata(), FOUND.move[name])
        assert np.array_equal(line.get_ydata(), FOUND.change[name])


def test_shifts_of_a_location_have_a_panel_of_their_own():
    shifted = replace(FOUND, kind=FOUND.kind | {"mu.sigma": "location"})
    scales = [axes.get_xscale() for axes in plot_robustness(shifted).axes]
    assert sorted(scales) == ["linear", "log"]


def test_places_of_new_draws_are_marked():
    line = next(line for line in plot_robustness(FOUND).axes[0].get_lines() if line.get_marker() == "o")
    assert list(line.get_xdata()) == list(FOUND.refits["mu.sigma"])


def test_the_same_result_gives_the_same_bytes():
    assert svg(plot_robustness(FOUND)) == svg(plot_robustness(FOUND))


def test_curves_without_a_number_are_not_drawn():
    broken = {name: np.full(change.size, np.nan) for name, change in FOUND.change.items()}
    with pytest.raises(InputError, match="no curve"):
        plot_robustness(replace(FOUND, change=broken))
