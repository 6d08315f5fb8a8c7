"""Log densities keep their digits where a share rounds to one, or degrees of freedom are without bound."""

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

from workbench.model.density import LIKELIHOOD, LogDensity

Y = np.random.default_rng(3).normal(size=50)


def student():
    with pm.Model() as model:
        nu = pm.HalfNormal("nu", 30.0)
        pm.StudentT("y", nu=nu, mu=0.0, sigma=1.0, observed=Y)
    return LogDensity(model)


@pytest.mark.parametrize("nu", [0.7, 30.0, 1999.0, 2001.0, 1e5, 1e8])
def test_student_t_is_that_of_scipy_at_any_degrees_of_freedom(nu):
    density, z = student(), np.array([np.log(nu)])
    expected = stats.t.logpdf(Y, nu).sum()
    assert density.objective(LIKELIHOOD).value(z) == pytest.approx(expected, abs=1e-9)
    assert density.sums(z[None])[1][0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("nu", [1e10, 1e14, 1e18, 1e30])
def test_student_t_far_out_is_normal_with_the_slope_of_its_expansion(nu):
    # log t_nu = log Normal + (x^4 - 2 x^2 - 1) / (4 nu) + O(1 / nu^2), so the slope in log nu is minus that sum.
    value, slope = student().objective(LIKELIHOOD).value_and_gradient(np.array([np.log(nu)]))
    assert value == pytest.approx(stats.norm.logpdf(Y).sum(), abs=1e-8)
    assert slope[0] == pytest.approx(-(Y**4 - 2 * Y**2 - 1).sum() / (4 * nu), abs=1e-9)


@pytest.mark.parametrize("x", [0.3, 36.0, 40.0, 700.0])
def test_a_zero_inflated_count_has_a_slope_where_its_share_rounds_to_one(x):
    with pm.Model() as model:
        logit = pm.Normal("logit", 0.0, 10.0)
        pm.ZeroInflatedPoisson("y", psi=pm.math.sigmoid(logit), mu=2.0, observed=np.array([0, 3]))
    value, slope = LogDensity(model).objective(LIKELIHOOD).value_and_gradient(np.array([x]))
    zero = np.logaddexp(special.log_expit(-x), special.log_expit(x) - 2.0)
    assert value == pytest.approx(zero + special.log_expit(x) + stats.poisson.logpmf(3, 2.0), rel=1e-13)
    share = special.expit(x)
    moved = share * (1 - share) * (np.exp(-2.0) - 1.0) / np.exp(zero)
    assert slope[0] == pytest.approx(moved + 1 - share, abs=1e-15)
