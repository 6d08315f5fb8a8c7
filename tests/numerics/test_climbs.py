"""What stands where a climb ended: a corner is told from a smooth peak, however sharp."""

from dataclasses import replace

import numpy as np
import pytest

from workbench.numerics.climbs import Climb, corners, level_directions
from workbench.numerics.curvature import curvature_at
from workbench.numerics.objective import FunctionObjective


@pytest.mark.parametrize("sharpness", [1.0, 1e4, 1e12])
def test_a_corner_is_no_smooth_peak_however_sharp(sharpness):
    def function(z):
        value = -np.abs(z[0]) - sharpness * z[1] ** 2
        return value, np.array([-np.sign(z[0]), -2 * sharpness * z[1]])

    smooth = FunctionObjective(2, lambda z: (-sharpness * z @ z, -2 * sharpness * z))
    z = np.zeros(2)
    end = Climb(z, z, 0.0, 0.0, 0.0, curvature_at(smooth, z))
    assert corners(FunctionObjective(2, function), end) == [0]
    assert corners(smooth, end) == []


@pytest.mark.parametrize("z", [[3e6, 2e-6], [0.0, 0.0], [1e-9, 1.0]])
def test_a_peak_in_any_unit_falls_along_all_its_axes_and_is_left_by_no_more_than_its_width(z):
    z, widths, farthest = np.array(z), np.array([1e5, 1e-7]), [0.0]

    def function(x):
        away = (x - z) / widths
        farthest.append(float(np.max(np.abs(away))))
        tied = away[0] * away[1]
        value = -0.5 * float(away @ away) - 0.45 * tied
        return value, -(away + 0.45 * away[::-1]) / widths

    objective = FunctionObjective(2, function)
    information = np.array([[1.0, 0.45], [0.45, 1.0]]) / np.outer(widths, widths)
    bend = replace(curvature_at(FunctionObjective(2, lambda x: (-0.5 * x @ x, -x)), z), information=information)
    assert not list(level_directions(objective, Climb(z, z, 0.0, 0.0, 0.0, bend)))
    assert max(farthest) < 2.0
