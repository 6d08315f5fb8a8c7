"""What chains left out is found, and what they did not leave out is not."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.evidence.annealing import two_modes
from tests.targets import RowsObjective, by_name
from workbench.evidence.basins import (
    SHARE_LIMIT,
    TAIL_LIMIT,
    basin_check,
    blind_routes,
    look_for_basins,
    missed_modes,
    modes_uphill,
    unvisited_share,
)
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import FunctionObjective


def _sweep(target):
    return sweep_of(target.objective)


@pytest.mark.parametrize("name", ["gaussian in 20 dimensions", "student t in 4 dimensions", "gentle banana", "funnel"])
def test_points_from_the_same_density_are_not_called_unvisited(name):
    target = by_name(name)
    generator = np.random.default_rng(1)
    draws = target.draw(4000, generator).reshape(4, 1000, -1)
    assert sum(unvisited_share(target.draw(2000, generator), np.ones(2000), draws, _sweep(target))) < SHARE_LIMIT


@pytest.mark.parametrize("d", [1, 2, 10])
def test_the_share_of_a_mode_that_no_chain_visited_is_its_mass(d):
    generator = np.random.default_rng(2)
    draws = generator.normal(size=(4, 500, d)) + 6.0
    points = np.concatenate([generator.normal(size=(900, d)) + 6.0, generator.normal(size=(100, d)) - 6.0])
    sweep = _sweep(two_modes(d, share=0.1, away=6.0))
    assert unvisited_share(points, np.ones(1000), draws, sweep) == pytest.approx((0.1, 0.0), abs=0.005)
    weights = np.repeat([1.0, 3.0], [900, 100])
    assert unvisited_share(points, weights, draws, sweep) == pytest.approx((0.25, 0.0), abs=0.005)


def test_one_chain_cannot_say_what_is_near():
    sweep = _sweep(two_modes(1, share=0.1))
    assert np.isnan(unvisited_share(np.zeros((3, 1)), np.ones(3), np.zeros((1, 100, 1)), sweep)).all()


def _cauchy(d, share=0.0, away=0.0):
    """Independent Cauchy coordinates, and a round unit normal with a share of the mass at `away` in each of them."""

    def log_f(z):
        one = np.log1p(-share) - d * np.log(np.pi) - np.log1p(z**2).sum()
        if not share:
            return float(one), -2.0 * z / (1.0 + z**2)
        other = np.log(share) - 0.5 * np.sum((z - away) ** 2) - 0.5 * d * np.log(2.0 * np.pi)
        total = np.logaddexp(one, other)
        return float(total), -np.exp(one - total) * 2.0 * z / (1.0 + z**2) - np.exp(other - total) * (z - away)

    return sweep_of(FunctionObjective(d, log_f))


@pytest.mark.parametrize("d", [1, 3, 5])
def test_the_far_end_of_a_heavy_tail_that_chains_stay_short_of_is_no_basin(d):
    generator = np.random.default_rng(5)
    draws = generator.standard_cauchy(size=(8000, d))
    draws = draws[np.abs(draws).max(axis=1) < 60.0][:4000].reshape(4, 1000, d)
    apart, tails = unvisited_share(generator.standard_cauchy(size=(4000, d)), np.ones(4000), draws, _cauchy(d))
    assert apart == 0.0
    assert 0.0 < tails < TAIL_LIMIT
    assert basin_check(apart, tails, 0.0).status == "ok"


@pytest.mark.parametrize(("d", "away"), [(1, 1000.0), (3, 80.0), (5, 50.0)])
def test_a_mode_of_one_and_a_half_per_cent_beyond_heavy_tails_is_still_found(d, away):
    generator = np.random.default_rng(6)
    draws = generator.standard_cauchy(size=(8000, d))
    draws = draws[np.abs(draws).max(axis=1) < 60.0][:4000].reshape(4, 1000, d)
    points = np.concatenate([generator.standard_cauchy(size=(1970, d)), away + generator.normal(size=(30, d))])
    apart, tails = unvisited_share(points, np.ones(2000), draws, _cauchy(d, 0.015, away))
    assert apart == pytest.approx(0.015, abs=1e-9)
    assert basin_check(apart, tails, 0.0).status == "failed"


def test_a_peak_of_its_own_on_the_flank_of_what_was_visited_is_no_tail():
    def log_f(z):
        gaps = z - np.array([[0.0, 0.0], [8.0, 0.0]])
        each = np.array([0.0, 9.0]) - 0.5 * np.sum(gaps**2 / np.array([[4.0], [0.01]]), axis=1)
        total = np.logaddexp(*each)
        return float(total), -np.exp(each - total) @ (gaps / np.array([[4.0], [0.01]]))

    generator = np.random.default_rng(7)
    draws = 2.0 * generator.normal(size=(4, 500, 2))
    points = np.array([8.0, 0.0]) + 0.1 * generator.normal(size=(50, 2))
    sweep = sweep_of(FunctionObjective(2, log_f))
    assert unvisited_share(points, np.ones(50), draws, sweep) == (1.0, 0.0)


def test_a_mode_of_an_optimiser_counts_with_its_mass_if_no_draw_is_near():
    target = two_modes(4, share=0.3)
    generator = np.random.default_rng(3)
    main = target.centre + generator.normal(size=(4, 500, 4))
    modes = np.stack([target.centre, -target.centre, -target.centre])  # found twice, counted once
    found = missed_modes(target.objective, modes, main, log_integral=np.log(0.7))
    assert found == pytest.approx(0.3, abs=1e-3)
    both = np.where(generator.random((4, 500, 1)) < 0.3, main - 2 * target.centre, main)
    assert missed_modes(target.objective, modes, both, log_integral=0.0) == 0.0


def _peak_aside(width, share=0.9, d=4, away=3.0):
    """A round normal of width 1 at 0, and beside it a narrow one that holds most of the mass."""
    centre = np.full(d, away)

    def rows(z):
        wide = np.log1p(-share) - 0.5 * np.sum(z**2, axis=1) - 0.5 * d * np.log(2 * np.pi)
        move = (z - centre) / width
        narrow = np.log(share) - 0.5 * np.sum(move**2, axis=1) - d * np.log(width) - 0.5 * d * np.log(2 * np.pi)
        total = np.logaddexp(wide, narrow)
        return total, -np.exp(wide - total)[:, None] * z - np.exp(narrow - total)[:, None] * move / width

    return RowsObjective(d, rows), centre


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_peak_a_third_as_wide_is_found_from_four_thousand_draws_of_a_wide_prior(seed):
    objective, centre = _peak_aside(0.3)
    generator = np.random.default_rng(seed)
    draws, starts = generator.normal(size=(4, 500, 4)), 10.0 * generator.normal(size=(4000, 4))
    found = modes_uphill(objective, starts, draws)
    assert np.min(np.linalg.norm(found - centre, axis=1)) < 1e-4
    # 0.9 of the mass lies there, and the draws have seen the 0.1.
    assert missed_modes(objective, found, draws, np.log(0.1)) == pytest.approx(0.9, abs=1e-3)
    bridge, laplace = SimpleNamespace(log_evidence=np.log(0.1)), SimpleNamespace()
    laplace.mode, laplace.other_modes = np.zeros(4), np.zeros((0, 4))
    routes = {"bridge": bridge, "laplace": laplace, "grid": None}
    routes["tempering"] = SimpleNamespace(unvisited=0.002, tails=0.0)
    assert look_for_basins(objective, draws, routes, 0.0).status == "ok"  # what it was without the search
    assert look_for_basins(objective, draws, routes, 0.0, found).status == "failed"
    assert set(blind_routes(objective, draws, routes, 0.0, found)) == {"tempering", "grid"}
    routes["tempering"] = SimpleNamespace(unvisited=0.45, tails=0.0)  # odds of 0.8 where they are 9
    assert "tempering" in blind_routes(objective, draws, routes, 0.0, found)
    routes["tempering"] = SimpleNamespace(unvisited=0.88, tails=0.0)
    laplace.other_modes = found[:1]
    assert blind_routes(objective, draws, routes, 0.0, found) == {}


def test_the_maximum_of_the_likelihood_leads_to_a_needle_that_nothing_else_would_find():
    objective, centre = _peak_aside(1e-3)
    generator = np.random.default_rng(1)
    draws, starts = generator.normal(size=(4, 500, 4)), 10.0 * generator.normal(size=(200, 4))
    assert not len(modes_uphill(objective, starts, draws))
    found = modes_uphill(objective, np.vstack([centre + 1e-3, starts]), draws)
    assert missed_modes(objective, found, draws, np.log(0.1)) == pytest.approx(0.9, abs=1e-3)


def test_starts_where_double_precision_ends_are_left_out():
    # Draws from Gamma(0.01, 0.01) precisions: effects with such a precision are anywhere up to 1e300.
    target = by_name("gaussian in 20 dimensions")
    generator = np.random.default_rng(5)
    draws = target.draw(4000, generator).reshape(4, 1000, -1)
    starts = generator.normal(size=(200, 20))
    far = starts * 10.0 ** np.linspace(0, 307, 200)[:, None]
    found = modes_uphill(target.objective, far, draws)
    assert np.isfinite(found).all()
    assert missed_modes(target.objective, found, draws, 0.0) == 0.0
    assert not len(modes_uphill(target.objective, 1e200 * starts, draws))


def test_one_peak_has_no_other_uphill():
    target = by_name("gaussian in 20 dimensions")
    generator = np.random.default_rng(1)
    draws, starts = target.draw(4000, generator).reshape(4, 1000, -1), target.draw(200, generator)
    found = modes_uphill(target.objective, 3.0 * starts, draws)
    assert missed_modes(target.objective, found, draws, 0.0) == 0.0
    assert blind_routes(target.objective, draws, {}, 0.0, found) == {}
    assert not len(modes_uphill(target.objective, starts[:0], draws))
    assert not len(modes_uphill(target.objective, starts, draws[:1]))


def test_a_point_that_is_no_peak_counts_nothing():
    target = two_modes(2, share=0.5)
    draws = target.centre + np.random.default_rng(4).normal(size=(2, 100, 2))
    assert missed_modes(target.objective, np.zeros((1, 2)), draws, 0.0) == 0.0


@pytest.mark.parametrize(
    ("shares", "status"),
    [
        ((0.0, 0.0, np.nan), "ok"),
        ((0.02, 0.0, 0.0), "failed"),
        ((np.nan, np.nan, 0.3), "failed"),
        ((0.0, 0.04, 0.0), "ok"),
        ((0.0, 0.06, 0.0), "failed"),
        ((np.nan, np.nan, np.nan), "unknown"),
    ],  # fmt: skip
)
def test_more_than_a_hundredth_left_out_is_called_failed(shares, status):
    assert basin_check(*shares).status == status
