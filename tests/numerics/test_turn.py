"""Angles are integrated over one turn: a von Mises density integrates to one, however often draws went round."""

import numpy as np
import pytest
from scipy import stats

from tests.tolerance import STANDARD_ERRORS
from workbench.evidence.bridge import bridge_sampling
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import FunctionObjective, values
from workbench.numerics.turn import OneTurn, Turn, folded_for, free_of_turns, turn_around

CENTRE, KAPPA = 3.0, 2.0
LOG_PEAK = stats.vonmises(KAPPA).logpdf(0.0) - KAPPA + stats.norm.logpdf(0.0)
ANGLES = np.array([True, False])


def repeating(z):
    """An angle near the end of PyMC's range beside a standard Normal: log f repeats itself along the first."""
    value = KAPPA * np.cos(z[0] - CENTRE) - z[1] ** 2 / 2 + LOG_PEAK
    return float(value), np.array([-KAPPA * np.sin(z[0] - CENTRE), -z[1]])


def draws(turns, seed=1):
    generator = np.random.default_rng(seed)
    angle = generator.vonmises(CENTRE, KAPPA, (4, 500)) + 2 * np.pi * generator.integers(0, turns, (4, 500))
    return np.stack([angle, generator.normal(size=(4, 500))], axis=-1)


def test_folded_draws_lie_in_one_turn_around_their_mean_direction_and_differ_by_whole_turns():
    z = draws(4)
    turn = turn_around(z, ANGLES)
    folded = turn.folded(z)
    assert turn.inside(folded).all()
    assert np.allclose(np.exp(1j * folded[..., 0]), np.exp(1j * z[..., 0]))
    assert np.array_equal(folded[..., 1], z[..., 1])
    assert np.exp(1j * turn.centre[0]) == pytest.approx(np.exp(1j * CENTRE), abs=0.1)


def test_without_angles_nothing_changes():
    z, objective = draws(1), FunctionObjective(2, repeating)
    turn = turn_around(z, np.zeros(2, dtype=bool))
    assert turn.folded(z) is z
    assert turn.within(objective) is objective
    assert free_of_turns(objective).all()
    assert folded_for(objective, z) is z


def test_outside_of_its_turn_an_objective_is_zero_and_inside_the_same():
    objective = FunctionObjective(2, repeating)
    one = Turn(ANGLES, np.array([CENTRE, 0.0])).within(objective)
    assert isinstance(one, OneTurn)
    inside, outside = np.array([CENTRE + 1.0, 5.0]), np.array([CENTRE + 4.0, 5.0])
    assert one.value(inside) == objective.value(inside)
    assert one.value(outside) == one.value_and_gradient(outside)[0] == -np.inf
    value, gradient = sweep_of(one)(np.stack([inside, outside]))
    assert np.array_equal(value, [objective.value(inside), -np.inf])
    assert np.array_equal(gradient[0], objective.value_and_gradient(inside)[1])
    assert np.array_equal(folded_for(one, outside[None])[0], [outside[0] - 2 * np.pi, 5.0])


def test_a_bridge_over_one_turn_finds_the_integral_and_without_folding_does_not():
    objective, z = FunctionObjective(2, repeating), draws(3)
    turn = turn_around(z, ANGLES)
    folded, one = turn.folded(z), turn.within(objective)
    log_f = values(objective, z.reshape(-1, 2)).reshape(4, 500)
    found = bridge_sampling(one, folded, log_f, seed=1)
    assert abs(found.log_evidence) < STANDARD_ERRORS * found.std_error
    assert found.std_error < 0.02
    assert all(check.status != "failed" for check in found.checks)
    assert bridge_sampling(objective, z, log_f, seed=1).log_evidence > 0.5  # every turn counts again
