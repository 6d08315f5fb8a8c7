"""Integrals over the real line of densities with jumps, kinks, long tails and peaks far from where one looks."""

import numpy as np
import pytest
from scipy import stats

from workbench.errors import NumericalError, RefusalError
from workbench.numerics.line import integrate_lines

ONE = {
    "normal": (stats.norm(0.0, 1.0), 0.0),
    "narrow and far away": (stats.norm(1e4, 1e-3), 0.0),
    "wide": (stats.norm(0.0, 1e12), 0.0),
    "with a kink": (stats.laplace(3.0, 2.0), 0.3),
    "with a long tail": (stats.cauchy(0.0, 5.0), 1.0),
    "with a jump": (stats.expon(2.0, 3.0), 4.0),
    "with two jumps": (stats.uniform(-1.0, 7.0), 0.0),
    "with a pole at its edge": (stats.gamma(0.8), 1.0),
}


@pytest.mark.parametrize("name", ONE)
def test_a_normalised_density_integrates_to_one(name):
    density, centre = ONE[name]
    found = integrate_lines(density.logpdf, np.array([centre]))
    assert abs(found.log_integral[0]) < 1e-8
    assert found.error[0] < 1e-8


def test_several_lines_at_once_are_each_integrated():
    centres, scales = np.array([0.0, 100.0, -3.0]), np.array([1.0, 1e-4, 50.0])
    shift = np.log([1.0, 0.31, 7.0])
    found = integrate_lines(lambda t: stats.norm(centres, scales).logpdf(t) + shift, centres)
    assert found.log_integral == pytest.approx(shift, abs=1e-9)


def test_a_density_that_does_not_fall_off_is_refused():
    with pytest.raises(RefusalError, match="does not fall off"):
        integrate_lines(lambda t: np.zeros_like(t), np.zeros(1))
    with pytest.raises(RefusalError, match="does not fall off"):
        integrate_lines(lambda t: np.where(t > 0, 0.0, -np.inf), np.zeros(1))


def test_a_density_that_is_zero_everywhere_is_an_error():
    with pytest.raises(NumericalError, match="zero wherever"):
        integrate_lines(lambda t: np.full_like(t, -np.inf), np.zeros(1))


def test_a_density_too_narrow_for_double_precision_is_refused():
    with pytest.raises(RefusalError, match="too narrow"):
        integrate_lines(lambda t: np.where(t == 1.0, 0.0, -np.inf), np.ones(1))
