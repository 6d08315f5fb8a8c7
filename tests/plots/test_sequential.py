"""The accumulating evidence is drawn as it was computed, and ends at the evidence by another route."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import sequential
from workbench.errors import InputError
from workbench.plots.sequential import plot_sequential
from workbench.plots.style import svg

FOUND = sequential()


def test_the_sum_starts_at_nothing_and_ends_at_the_last_cumulative_score():
    line = plot_sequential(FOUND).axes[0].get_lines()[0]
    assert list(line.get_xdata()) == [0, *FOUND.ends]
    assert list(line.get_ydata()) == [0.0, *FOUND.cumulative]


def test_the_evidence_of_the_other_route_stands_beside_it():
    level = plot_sequential(FOUND).axes[0].get_lines()[1].get_ydata()
    assert list(level) == [FOUND.log_evidence, FOUND.log_evidence]


def test_every_step_has_its_surprise():
    drawn = plot_sequential(FOUND).axes[1].get_lines()[0].get_ydata()
    assert np.array_equal(drawn, FOUND.surprise)
    assert int(np.argmax(drawn)) == 2


def test_the_same_result_gives_the_same_bytes():
    assert svg(plot_sequential(FOUND)) == svg(plot_sequential(FOUND))


@pytest.mark.parametrize("broken", [{"cumulative": np.full(5, np.nan)}, {"ends": np.zeros(0, dtype=int)}])
def test_a_sequence_that_is_not_there_is_not_drawn(broken):
    with pytest.raises(InputError, match="not finite"):
        plot_sequential(replace(FOUND, **broken))
