"""The waterfall shows where every climb ended."""

from dataclasses import replace

import numpy as np

from tests.report.finished import mode
from workbench.plots.waterfall import plot_waterfall


def test_every_climb_is_a_point_below_the_highest() -> None:
    certificate = replace(mode("MLE", ("mu", "sigma")).certificate, heights=(-3.0, -3.0, -5.5))
    (line,) = plot_waterfall(certificate).axes[0].lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 0.0], [2, 0.0], [3, -2.5]])
