"""What stands where a climb ended: a corner is told from a smooth peak, however sharp."""

import numpy as np
import pytest

from workbench.numerics.climbs import Climb, corners
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
