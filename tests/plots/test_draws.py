"""Traces, ranks and intervals show every scalar that they are given."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.report.finished import finished
from workbench.errors import InputError
from workbench.plots.draws import plot_intervals, plot_ranks, plot_traces
from workbench.plots.scalars import Scalar, scalars_of
from workbench.plots.style import svg

FIRST, SECOND = scalars_of(finished().draws).values()
HOSTILE = replace(SECOND, label="$\\frac <b> ~chain")


def titles(figure: Figure) -> list[str]:
    return [title for axes in figure.axes for title in (axes.get_title(), axes.get_title("left")) if title]


def test_a_trace_shows_every_draw_of_every_chain() -> None:
    figure = plot_traces([FIRST, HOSTILE])
    assert titles(figure) == ["mu", "\\$\\frac <b> ~chain"]
    lines = [line for line in figure.axes[0].get_lines() if len(line.get_ydata()) == FIRST.draws.shape[1]]
    np.testing.assert_array_equal([line.get_ydata() for line in lines], FIRST.draws)


def test_divergent_draws_are_marked_on_the_trace() -> None:
    diverging = np.zeros(FIRST.draws.shape, dtype=bool)
    diverging[0, 7] = True

    def artists(figure: Figure) -> int:
        return len(figure.axes[0].get_lines()) + len(figure.axes[0].collections)

    assert artists(plot_traces([FIRST], diverging)) > artists(plot_traces([FIRST]))


def test_ranks_of_one_distribution_stay_near_zero_and_a_shifted_chain_leaves_it() -> None:
    def largest(scalar: Scalar) -> float:
        heights = [line.get_ydata() for line in plot_ranks([scalar]).axes[0].get_lines()]
        return max(float(np.abs(np.asarray(y, dtype=float)).max()) for y in heights if len(y) > 10)

    shifted = FIRST.draws + np.array([2.0, 0.0, 0.0, 0.0])[:, None] * FIRST.draws.std()
    assert largest(FIRST) < 0.08
    assert largest(replace(FIRST, draws=shifted)) > 0.4


def test_intervals_have_one_line_a_scalar() -> None:
    figure = plot_intervals([FIRST, HOSTILE], 0.95)
    shown = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert shown == ["mu", "\\$\\frac <b> ~chain"]


@pytest.mark.parametrize("draw", [plot_traces, plot_ranks, lambda s: plot_intervals(s, 0.9)])
def test_every_figure_of_draws_is_deterministic_and_refuses_what_is_not_finite(draw: Callable[..., Figure]) -> None:
    assert svg(draw([FIRST, HOSTILE])) == svg(draw([FIRST, HOSTILE]))
    spoilt = FIRST.draws.copy()
    spoilt[2, 5] = np.nan
    with pytest.raises(InputError, match="not finite"):
        draw([replace(FIRST, draws=spoilt)])


def test_labels_of_vectors_are_those_of_the_results() -> None:
    tree = finished().draws
    posterior = tree["posterior"].to_dataset()
    posterior["beta"] = (("chain", "draw", "group", "step"), np.zeros((4, 500, 2, 2)))
    posterior = posterior.assign_coords(group=["a", "b"])
    tree["posterior"] = posterior
    assert list(scalars_of(tree)) == ["mu", "sigma", "beta[a, 0]", "beta[a, 1]", "beta[b, 0]", "beta[b, 1]"]
