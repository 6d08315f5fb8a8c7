"""Coordinates whose best values are known in closed form are found, and no others are taken for such."""

import numpy as np
import pytest

from workbench.numerics.objective import FunctionObjective
from workbench.numerics.projection import find_projection

X = np.linspace(0.0, 10.0, 40)
Y = 2.0 * np.exp(-((X - 4.0) ** 2)) + 0.5 * np.sin(7.0 * X)
POOL = np.random.default_rng(5).normal(0.0, 3.0, size=(20, 4))


def peak_with(noise):
    """A peak with height, place and constant, and the logarithm of a scale of Normal or Cauchy noise around it."""

    def function(z):
        height, place, constant, log_scale = z
        bump = np.exp(-((X - place) ** 2))
        u = (Y - height * bump - constant) * np.exp(-log_scale)
        value, slope = (-u * u / 2, u) if noise == "normal" else (-np.log1p(u * u), 2 * u / (1 + u * u))
        mean = np.stack([bump, height * bump * 2 * (X - place), np.ones_like(X)]) @ slope * np.exp(-log_scale)
        return float(value.sum()) - X.size * log_scale, np.append(mean, slope @ u - X.size)

    return FunctionObjective(4, function)


def test_heights_are_parabolas_a_place_is_none_and_a_residual_scale_is_a_scale():
    found = find_projection(peak_with("normal"), np.array([1.0, 4.2, 0.1, 0.0]), POOL)
    assert list(found.parabolas) == [0, 2]
    assert list(found.scales) == [3]
    constant, power = found.scales[3]
    assert constant == pytest.approx(-X.size)
    assert power == pytest.approx(2.0)


def test_the_top_is_that_of_linear_regression():
    objective = peak_with("normal")
    found = find_projection(objective, np.array([1.0, 4.2, 0.1, 0.0]), POOL)
    z, height = found.on_top(objective, np.array([-30.0, 4.5, 17.0, 3.0]))
    design = np.stack([np.exp(-((X - 4.5) ** 2)), np.ones_like(X)], axis=1)
    coefficients, (squares,) = np.linalg.lstsq(design, Y)[:2]
    assert z == pytest.approx([coefficients[0], 4.5, coefficients[1], np.log(squares / X.size) / 2], rel=1e-9)
    assert height == pytest.approx(objective.value(z), rel=1e-14)
    assert np.abs(objective.value_and_gradient(z)[1][[0, 2, 3]]).max() < 1e-8


def test_noise_of_heavy_tails_has_no_closed_form():
    found = find_projection(peak_with("cauchy"), np.array([1.0, 4.2, 0.1, 0.0]), POOL)
    assert not found.parabolas.size
    assert not found.scales


def test_a_place_far_from_the_data_is_no_parabola_because_nothing_moves_there():
    far = POOL + np.array([0.0, 500.0, 0.0, 0.0])
    found = find_projection(peak_with("normal"), np.array([1.0, 4.2, 0.1, 0.0]), far)
    assert 1 not in found.parabolas


def test_where_log_f_is_not_a_number_nothing_is_known():
    nowhere = FunctionObjective(2, lambda z: (-np.inf, 0.0 * z))
    found = find_projection(nowhere, np.zeros(2), np.ones((3, 2)))
    assert not found.parabolas.size
    assert not found.scales
    z, height = found.on_top(nowhere, np.ones(2))
    assert list(z) == [1.0, 1.0]
    assert height == -np.inf
