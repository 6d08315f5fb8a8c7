"""The tempering curve is drawn as it was computed, with its average and its end."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import tempering
from workbench.errors import InputError
from workbench.plots.style import svg
from workbench.plots.tempering import plot_tempering

FOUND = tempering()


def test_the_curve_is_drawn_at_its_temperatures():
    drawn = plot_tempering(FOUND).axes[0].get_lines()
    assert any(
        np.array_equal(line.get_xdata(), FOUND.temperatures) and np.array_equal(line.get_ydata(), FOUND.curve)
        for line in drawn
    )


def test_the_average_is_the_log_evidence():
    level = plot_tempering(FOUND).axes[0].get_lines()[0].get_ydata()
    assert list(level) == [FOUND.log_evidence, FOUND.log_evidence]


def test_the_gap_at_the_end_is_named_after_the_start_of_the_path():
    from_prior = [text.get_text() for text in plot_tempering(FOUND).axes[0].texts]
    assert any("KL(posterior, prior)" in text for text in from_prior)
    from_proposal = [text.get_text() for text in plot_tempering(replace(FOUND, start="proposal")).axes[0].texts]
    assert any("KL(posterior, proposal)" in text for text in from_proposal)


def test_the_same_result_gives_the_same_bytes():
    assert svg(plot_tempering(FOUND)) == svg(plot_tempering(FOUND))


@pytest.mark.parametrize("broken", [{"log_evidence": np.nan}, {"temperatures": np.zeros(0)}])
def test_a_curve_that_is_not_there_is_not_drawn(broken):
    with pytest.raises(InputError, match="not finite"):
        plot_tempering(replace(FOUND, **broken))
