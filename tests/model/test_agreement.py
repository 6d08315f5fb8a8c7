"""Climbs that ran out to where it is lower and flat are no optima; two peaks are two."""

import numpy as np
import pytest

from workbench.model.agreement import starts_agree
from workbench.numerics.objective import FunctionObjective
from workbench.numerics.optimise import climb

NAMES = ("optimum", "optima", "several")


def spread_of_effects(z):
    """Log likelihood of log tau: 12 effects whose mean square is 3, each known with variance 1."""
    total = 1.0 + np.exp(2.0 * z[0])
    slope = (-6.0 / total + 18.0 / total**2) * 2.0 * np.exp(2.0 * z[0])
    return -6.0 * np.log(total) - 18.0 / total, np.array([slope])


def two_hills(z):
    x = np.array([2.0, -2.0])
    heights = np.array([0.0, -1.0]) - 0.5 * (z[0] - x) ** 2
    weights = np.exp(heights - heights.max())
    return heights.max() + np.log(weights.sum()), np.array([weights @ (x - z[0]) / weights.sum()])


def agreement(function, starts):
    objective = FunctionObjective(1, function)
    climbs = sorted((climb(objective, np.array([start])) for start in starts), key=lambda end: -end.value)
    return starts_agree(objective, climbs, *NAMES)


def test_a_variance_that_ran_out_to_zero_is_no_second_optimum():
    check, agreeing, optima = agreement(spread_of_effects, [0.0, 1.0, -40.0, -300.0])
    assert (check.status, agreeing, optima) == ("ok", 2, 1)
    assert check.message == "2 of 4 starts reached the only optimum; 2 ran out to where it is lower and flat"


def test_one_start_alone_is_not_confirmed_by_others_that_ran_out():
    check, agreeing, optima = agreement(spread_of_effects, [0.0, -40.0])
    assert (check.status, agreeing, optima) == ("caution", 1, 1)


@pytest.mark.parametrize("starts", [[1.0, -1.0], [3.0, 1.0, -3.0]])
def test_two_peaks_are_two_optima(starts):
    check, agreeing, optima = agreement(two_hills, starts)
    assert (check.status, agreeing, optima) == ("caution", len(starts) - 1, 2)
    assert check.fix == "several"
