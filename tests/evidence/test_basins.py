"""What chains left out is found, and what they did not leave out is not."""

import numpy as np
import pytest

from tests.evidence.annealing import two_modes
from tests.targets import by_name
from workbench.evidence.basins import SHARE_LIMIT, basin_check, missed_modes, unvisited_share


@pytest.mark.parametrize("name", ["gaussian in 20 dimensions", "student t in 4 dimensions", "gentle banana", "funnel"])
def test_points_from_the_same_density_are_not_called_unvisited(name):
    target = by_name(name)
    generator = np.random.default_rng(1)
    draws = target.draw(4000, generator).reshape(4, 1000, -1)
    assert unvisited_share(target.draw(2000, generator), np.ones(2000), draws) < SHARE_LIMIT


@pytest.mark.parametrize("d", [1, 2, 10])
def test_the_share_of_a_mode_that_no_chain_visited_is_its_mass(d):
    generator = np.random.default_rng(2)
    draws = generator.normal(size=(4, 500, d)) + 6.0
    points = np.concatenate([generator.normal(size=(900, d)) + 6.0, generator.normal(size=(100, d)) - 6.0])
    assert unvisited_share(points, np.ones(1000), draws) == pytest.approx(0.1, abs=0.005)
    weights = np.repeat([1.0, 3.0], [900, 100])
    assert unvisited_share(points, weights, draws) == pytest.approx(0.25, abs=0.005)


def test_one_chain_cannot_say_what_is_near():
    assert np.isnan(unvisited_share(np.zeros((3, 1)), np.ones(3), np.zeros((1, 100, 1))))


def test_a_mode_of_an_optimiser_counts_with_its_mass_if_no_draw_is_near():
    target = two_modes(4, share=0.3)
    generator = np.random.default_rng(3)
    main = target.centre + generator.normal(size=(4, 500, 4))
    modes = np.stack([target.centre, -target.centre, -target.centre])  # found twice, counted once
    found = missed_modes(target.objective, modes, main, log_integral=np.log(0.7))
    assert found == pytest.approx(0.3, abs=1e-3)
    both = np.where(generator.random((4, 500, 1)) < 0.3, main - 2 * target.centre, main)
    assert missed_modes(target.objective, modes, both, log_integral=0.0) == 0.0


def test_a_point_that_is_no_peak_counts_nothing():
    target = two_modes(2, share=0.5)
    draws = target.centre + np.random.default_rng(4).normal(size=(2, 100, 2))
    assert missed_modes(target.objective, np.zeros((1, 2)), draws, 0.0) == 0.0


@pytest.mark.parametrize(
    ("shares", "status"),
    [((0.0, np.nan), "ok"), ((0.02, 0.0), "failed"), ((np.nan, 0.3), "failed"), ((np.nan, np.nan), "unknown")],
)
def test_more_than_a_hundredth_left_out_is_called_failed(shares, status):
    assert basin_check(*shares).status == status
