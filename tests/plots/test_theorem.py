"""Prior, likelihood and posterior stand where they belong on one axis."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from scipy import stats

from tests.report.finished import CENTRE, PRIOR_CENTRE, PRIOR_SPREAD, SPREAD, finished
from workbench.errors import InputError
from workbench.plots.scalars import scalars_of
from workbench.plots.theorem import plot_theorem

MADE = finished()
COMPARISON, SURFACE = MADE.answers["comparison"], MADE.answers["likelihood.surface"]
MU = scalars_of(MADE.draws)["mu"]


def curves(axes: Axes) -> dict[str, np.ndarray]:
    """Labelled lines as arrays of shape ``(2, m)``."""
    return {str(line.get_label()): np.array(line.get_data(), dtype=float) for line in axes.get_lines()}


@pytest.fixture(scope="module")
def main() -> Axes:
    return plot_theorem(MU, COMPARISON, SURFACE, fixed_prior=True).axes[0]


def test_every_curve_has_height_one_at_its_own_maximum(main: Axes) -> None:
    found = curves(main)
    assert set(found) == {"prior", "likelihood", "posterior"}
    assert found["posterior"][1].max() == pytest.approx(1.0)
    assert found["likelihood"][1].max() == pytest.approx(1.0)


def test_the_posterior_peaks_near_its_mean_and_is_as_wide_as_its_draws(main: Axes) -> None:
    x, height = curves(main)["posterior"]
    assert abs(x[np.argmax(height)] - MU.draws.mean()) < 0.35 * MU.draws.std()
    above_half = np.ptp(x[height > 0.5])
    assert above_half == pytest.approx(2.3548 * SPREAD[0], rel=0.15)  # full width at half maximum of a normal


def test_the_likelihood_is_the_exponential_of_the_profile(main: Axes) -> None:
    x, height = curves(main)["likelihood"]
    np.testing.assert_allclose(height, np.exp(-0.5 * ((x - CENTRE[0]) / SPREAD[0]) ** 2), rtol=1e-9)


def test_the_laplace_approximation_is_a_normal_curve_at_the_mode() -> None:
    laplace = MADE.answers["posterior.laplace"]
    x, height = curves(plot_theorem(MU, COMPARISON, SURFACE, laplace=laplace).axes[0])["Laplace"]
    place = laplace.labels.index("mu")
    expected = stats.norm.pdf(x, laplace.estimate[place], laplace.std_error[place])
    np.testing.assert_allclose(height / height[0], expected / expected[0], rtol=1e-9)
    assert x[np.argmax(height)] == pytest.approx(laplace.estimate[place], abs=2 * (x[1] - x[0]))


def test_a_laplace_approximation_without_a_spread_is_left_out() -> None:
    laplace = MADE.answers["posterior.laplace"]
    broken = replace(laplace, std_error=np.full(len(laplace.labels), np.nan))
    assert "Laplace" not in curves(plot_theorem(MU, COMPARISON, SURFACE, laplace=broken).axes[0])


def test_the_prior_has_its_exact_shape_where_it_stands_on_fixed_numbers(main: Axes) -> None:
    x, height = curves(main)["prior"]
    density = stats.norm.pdf(x, PRIOR_CENTRE[0], PRIOR_SPREAD[0])
    np.testing.assert_allclose(height / height[0], density / density[0], rtol=1e-9)
    assert np.all(height <= 1.0)


def test_the_prior_from_draws_alone_is_close_to_the_exact_one(main: Axes) -> None:
    drawn = curves(plot_theorem(MU, COMPARISON, SURFACE, fixed_prior=False).axes[0])["prior"]
    exact = curves(main)["prior"]
    assert abs(np.interp(CENTRE[0], *drawn) - np.interp(CENTRE[0], *exact)) < 0.15


def test_the_second_panel_holds_the_whole_prior() -> None:
    whole = plot_theorem(MU, COMPARISON, SURFACE).axes[-1]
    low, high = whole.get_xlim()
    assert low < PRIOR_CENTRE[0] - 2 * PRIOR_SPREAD[0]
    assert high > PRIOR_CENTRE[0] + 2 * PRIOR_SPREAD[0]


def test_a_prior_with_endless_tails_still_shows_its_middle() -> None:
    cauchy = np.abs(np.random.default_rng(3).standard_cauchy(1000)) * 5
    low, high = plot_theorem(replace(MU, prior=cauchy), COMPARISON, SURFACE).axes[-1].get_xlim()
    assert high - low < 400  # while the largest draw is above 1000


def test_estimates_and_intervals_are_those_of_the_comparison() -> None:
    figure = plot_theorem(MU, COMPARISON, SURFACE)
    names = [text.get_text() for text in figure.axes[1].get_yticklabels()]
    assert names == ["MLE, 95% Wald", "MAP", "mean, 95% ETI", "median, 95% HDI"]
    drawn = [line.get_xdata() for line in figure.axes[1].get_lines()]
    for ends in (("wald_lower", "wald_upper"), ("eti_lower", "eti_upper"), ("hdi_lower", "hdi_upper")):
        wanted = [getattr(COMPARISON, end)[0] for end in ends]
        assert any(len(x) == 2 and np.allclose(x, wanted) for x in drawn), ends
    for point in ("mle", "map", "mean", "median"):
        assert any(len(x) == 1 and np.isclose(x[0], getattr(COMPARISON, point)[0]) for x in drawn), point


def test_without_mle_prior_or_comparison_the_posterior_is_still_drawn() -> None:
    bare = replace(MU, prior=np.zeros(0), log_prior=np.zeros(0))
    assert set(curves(plot_theorem(bare, None, None).axes[0])) == {"posterior"}


def test_the_label_is_shown_as_it_is() -> None:
    figure = plot_theorem(replace(MU, label="$\\frac"), None, None)
    assert figure.axes[0].get_xlabel() == "\\$\\frac"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_draw_that_is_not_finite_is_refused(bad: float) -> None:
    draws = MU.draws.copy()
    draws[1, 3] = bad
    with pytest.raises(InputError, match="not finite"):
        plot_theorem(replace(MU, draws=draws), None, None)


def test_draws_that_are_all_equal_are_refused() -> None:
    with pytest.raises(InputError, match="all draws are equal"):
        plot_theorem(replace(MU, draws=np.ones((4, 100))), None, None)


def test_draws_that_contradict_the_comparison_are_refused() -> None:
    with pytest.raises(InputError, match="different runs"):
        plot_theorem(replace(MU, draws=MU.draws + 0.01), COMPARISON, SURFACE)


def test_a_profile_that_rises_above_its_maximum_or_misses_points_is_refused() -> None:
    curve = SURFACE.curves["mu"]
    for bad in (curve + 0.5, curve[:-1], np.where(curve < -7, np.nan, curve)):
        with pytest.raises(InputError, match="profile"):
            plot_theorem(MU, COMPARISON, replace(SURFACE, curves={"mu": bad}))


def test_whole_numbers_have_shares_and_no_density() -> None:
    counts = np.random.default_rng(4).poisson(3.0, size=(4, 500)).astype(float)
    figure = plot_theorem(replace(MU, draws=counts, prior=counts.ravel(), log_prior=np.zeros(0)), None, None)
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in figure.axes[0].patches}
    values, times = np.unique(counts, return_counts=True)
    np.testing.assert_allclose(list(bars), values)
    np.testing.assert_allclose(list(bars.values()), times / times.max())
