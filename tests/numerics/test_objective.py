"""The objective's contract: values in nats, gradients that the caller owns, -inf allowed, NaN an error."""

import numpy as np
import pytest

from tests.targets import ALL, by_name
from workbench.errors import NumericalError
from workbench.numerics.objective import FunctionObjective, values


@pytest.mark.parametrize("target", ALL, ids=str)
def test_value_is_the_first_half_of_value_and_gradient(target):
    z = target.mode + 0.1
    value, gradient = target.objective.value_and_gradient(z)
    assert isinstance(value, float)
    assert target.objective.value(z) == value
    assert gradient.shape == (target.dimension,)
    assert gradient.dtype == np.float64


def test_gradient_is_a_new_array_that_the_caller_owns():
    kept = np.zeros(2)
    objective = FunctionObjective(2, lambda _: (0.0, kept))
    _, gradient = objective.value_and_gradient(np.zeros(2))
    gradient += 1.0
    assert np.all(kept == 0.0)


def test_values_at_many_points_are_the_values_at_each():
    target = by_name("gentle banana")
    points = target.draw(7, np.random.default_rng(0))
    expected = [target.objective.value(point) for point in points]
    assert values(target.objective, points).tolist() == expected
    assert values(target.objective, points[:, ::-1][:, ::-1]).tolist() == expected  # not contiguous


def test_minus_infinity_is_a_value():
    objective = FunctionObjective(1, lambda z: (-np.inf if z[0] < 0 else 0.0, np.zeros(1)))
    assert values(objective, np.array([[-1.0], [1.0]])).tolist() == [-np.inf, 0.0]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nan_and_plus_infinity_are_errors(number):
    objective = FunctionObjective(1, lambda z: (number, z))
    with pytest.raises(NumericalError):
        objective.value(np.zeros(1))
    with pytest.raises(NumericalError):
        objective.value_and_gradient(np.zeros(1))
    with pytest.raises(NumericalError):
        values(objective, np.zeros((2, 1)))
