"""Supports that move with a parameter although the likelihood has a peak inside."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench.errors import NoMaximumError

pytestmark = pytest.mark.slow  # every model is compiled

SHARES = (np.arange(1, 41) - 0.5) / 40


def shifted(distribution, y, *names):
    """Observations minus a threshold, from a distribution with two positive parameters."""
    with pm.Model() as model:
        a = pm.Normal("a", 3.0, 10.0, initval=1.0)
        others = [pm.HalfNormal(name, 10.0) for name in names]
        pm.CustomDist(
            "y", a, *others, observed=y,
            logp=lambda value, a, *rest: pm.logp(distribution.dist(*rest, shape=value.shape), value - a),
        )  # fmt: skip
    return wb.Study(model, seed=1)


def test_a_weibull_with_a_threshold_has_a_peak_and_no_maximum():
    y = 5.0 + stats.weibull_min.ppf(SHARES, 2.5, scale=3.0)
    with pytest.raises(NoMaximumError) as refusal:
        shifted(pm.Weibull, y, "shape", "scale").likelihood.maximum()
    assert refusal.value.kind == "unbounded"
    assert f"unbounded as a -> {y.min():.7g}; the highest peak inside" in refusal.value.what

    def minus(theta):
        a, shape, scale = theta
        return -stats.weibull_min.logpdf(y, shape, a, scale).sum()

    best = optimize.minimize(minus, [4.9, 2.5, 3.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert f"log likelihood {-best.fun:.6g} nats" in refusal.value.what


def lognormal_profile(y, distance):
    """The likelihood at a distance from the smallest observation, the other two at their closed-form best."""
    logs = np.log(y - y.min() + distance)
    return -y.size / 2 * (np.log(2 * np.pi * logs.var()) + 1) - logs.sum()


@pytest.mark.parametrize("count", [40, 200])
def test_a_lognormal_with_a_threshold_has_no_bound_however_far_away_it_wins(count):
    y = 2.0 + np.exp(stats.norm.ppf((np.arange(1, count + 1) - 0.5) / count, 0.5, 0.6))
    with pytest.raises(NoMaximumError) as refusal:
        shifted(pm.LogNormal, y, "mu", "sigma").likelihood.maximum()
    assert refusal.value.kind == "unbounded"
    assert refusal.value.where == "a"
    local = optimize.minimize_scalar(
        lambda log_distance: -lognormal_profile(y, np.exp(log_distance)), bounds=(-4.0, 2.0), method="bounded"
    )
    assert f"unbounded as a -> {y.min():.7g}; the highest peak inside" in refusal.value.what
    assert f"log likelihood {-local.fun:.6g} nats, at a = {y.min() - np.exp(local.x):.5g}" in refusal.value.what
    near, nearer = (lognormal_profile(y, np.exp(-d)) for d in (600.0, 700.0))
    assert nearer > near + 50  # at the closed form as well


def test_a_density_that_vanishes_at_the_threshold_has_a_maximum_whose_support_moves():
    y = 3.0 + stats.gamma.ppf(SHARES, 4.0)
    with pm.Model() as model:
        a, scale = pm.Normal("a", 3.0, 10.0, initval=1.0), pm.HalfNormal("scale", 10.0)
        pm.CustomDist(
            "y", a, scale, observed=y,
            logp=lambda value, a, scale: pm.logp(pm.Gamma.dist(4.0, 1 / scale, shape=value.shape), value - a),
        )  # fmt: skip
    found = wb.Study(model, seed=1).likelihood.maximum()
    (check,) = [check for check in found.checks if check.code == "support-fixed"]
    assert check.status == "caution"
    assert f"beyond a = {y.min():.6g}, " in check.message


def test_probabilities_that_underflow_move_no_support():
    x = np.linspace(-2.0, 2.0, 40)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0)
        pm.Bernoulli("y", logit_p=a + b * x, observed=(np.arange(40) % 3 == 0).astype(int))
        pm.Poisson("n", pm.math.exp(a), observed=np.array([3, 4, 2]))
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert all(check.code != "support-fixed" for check in found.checks)
