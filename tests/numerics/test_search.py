"""A wider search leaves plateaus and local maxima, and spares itself where there is one hill."""

import numpy as np
import pytest

from workbench.numerics.objective import FunctionObjective
from workbench.numerics.optimise import rough_climb
from workbench.numerics.search import search_wider

X = np.linspace(0.0, 10.0, 60)


def two_bumps():
    """A sum of two bumps with known heights 2 and 1, at 3 and 7, as wide as 0.5; log f is minus the squared misfit."""

    def curve(z):
        return sum(z[i] * np.exp(-(((X - z[i + 1]) / z[i + 2]) ** 2) / 2) for i in (0, 3))

    y = curve(np.array([2.0, 3.0, 0.5, 1.0, 7.0, 0.5]))

    def function(z):
        with np.errstate(all="ignore"):
            gap = y - curve(z)
            slopes = []
            for i in (0, 3):
                u = (X - z[i + 1]) / z[i + 2]
                bump = np.exp(-(u**2) / 2)
                slopes += [bump, z[i] * bump * u / z[i + 2], z[i] * bump * u**2 / z[i + 2]]
            return -50.0 * float(gap @ gap), 100.0 * np.stack(slopes) @ gap

    return FunctionObjective(6, function)


def test_bumps_beside_the_data_are_brought_back():
    objective = two_bumps()
    dead = np.array([2.0, 3.0, 0.5, 1.0, 40.0, 0.5])  # the second is where there are no data
    assert rough_climb(objective, dead)[1] < -10.0
    pool = np.random.default_rng(2).normal(0.0, 8.0, size=(40, 6))
    found = search_wider(objective, dead, np.ones(6), pool, seed=1, work=60)
    assert objective.value(found) > -1e-3


def test_where_nothing_is_higher_it_says_so():
    objective = two_bumps()
    best = np.array([2.0, 3.0, 0.5, 1.0, 7.0, 0.5])
    pool = np.random.default_rng(2).normal(0.0, 8.0, size=(10, 6))
    assert search_wider(objective, best, np.ones(6), pool, seed=1, work=10_000) is None


def test_one_hill_is_not_searched():
    calls = []

    def hill(z):
        calls.append(z)
        return -float(z @ z), -2.0 * z

    pool = np.random.default_rng(3).normal(size=(20, 3))
    assert search_wider(FunctionObjective(3, hill), np.ones(3), np.zeros(3), pool, seed=1, work=1) is None
    assert len(calls) < 300


def test_a_rough_climb_ends_higher_or_where_it_was():
    def valley(z):
        return -float((z[0] ** 2 - 4.0) ** 2), np.array([-4.0 * z[0] * (z[0] ** 2 - 4.0)])

    place, value = rough_climb(FunctionObjective(1, valley), np.array([0.5]))
    assert abs(place[0]) == pytest.approx(2.0, abs=1e-3)
    assert value > -1e-6
    nowhere = FunctionObjective(1, lambda z: (-np.inf, 0.0 * z))
    assert rough_climb(nowhere, np.array([1.0]))[1] == -np.inf


def test_where_every_hill_has_a_higher_one_beyond_the_search_ends():
    hills = FunctionObjective(
        1, lambda z: (z[0] + 6.0 * np.cos(5.0 * z[0]), np.array([1.0 - 30.0 * np.sin(5.0 * z[0])]))
    )
    pool = np.random.default_rng(4).normal(0.0, 10.0, size=(20, 1))
    found = search_wider(hills, np.zeros(1), np.zeros(1), pool, seed=1, work=30_000)
    assert hills.value(found) > hills.value(pool[np.argmax([hills.value(z) for z in pool])])
    assert abs(hills.value_and_gradient(found)[1][0]) < 0.1


def test_of_hills_of_one_height_that_nearest_to_the_size_of_the_starts_is_taken():
    month = np.arange(1.0, 61.0)
    y = np.sin(2 * np.pi * month / 20.0)

    def function(z):  # a wave of a free period: 20 months, and its aliases 1 / (k +- 1 / 20)
        with np.errstate(all="ignore"):
            angle = 2 * np.pi * month / z[0]
            gap = y - np.sin(angle)
            return -5.0 * float(gap @ gap), np.array([-10.0 * float(gap @ (np.cos(angle) * angle / z[0]))])

    objective = FunctionObjective(1, function)
    assert objective.value(np.array([1 / (1 + 1 / 20)])) == pytest.approx(0.0, abs=1e-20)
    pool = np.random.default_rng(6).normal(0.0, 30.0, size=(80, 1))
    for seed in range(5):
        found = search_wider(objective, np.array([300.0]), np.array([1.0]), pool, seed=seed, work=60)
        assert found[0] == pytest.approx(20.0, rel=1e-4)
