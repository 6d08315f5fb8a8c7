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


def in_a_potential(distribution, y, threshold, *names):
    """The same density written as a potential, in which the data are constants."""
    with pm.Model() as model:
        a = threshold(y)
        others = [pm.HalfNormal(name, 10.0) for name in names]
        pm.Potential("density", pm.math.sum(pm.logp(distribution.dist(*others, shape=y.shape), y - a)))
    return wb.Study(model, seed=1, potentials={"density": "likelihood"})


THRESHOLDS = {
    "anywhere": lambda y: pm.Normal("a", 3.0, 10.0, initval=y.min() - 1.0),
    "below the data": lambda y: pm.Uniform("a", -10.0, float(y.min())),
}


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("distribution", [pm.Weibull, pm.LogNormal])
def test_a_threshold_in_a_potential_is_as_unbounded_as_one_of_observations(distribution, threshold):
    y = 5.0 + stats.weibull_min.ppf(SHARES, 1.7, scale=3.0)
    with pytest.raises(NoMaximumError) as refusal:
        in_a_potential(distribution, y, THRESHOLDS[threshold], "first", "second").likelihood.maximum()
    assert refusal.value.kind == "unbounded"
    assert f"unbounded as a -> {y.min():.7g}; the highest peak inside" in refusal.value.what


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_a_density_that_vanishes_at_a_threshold_in_a_potential_has_a_maximum_with_a_caution(threshold):
    y = 3.0 + stats.gamma.ppf(SHARES, 4.0)
    with pm.Model() as model:
        a, rate = THRESHOLDS[threshold](y), pm.HalfNormal("rate", 10.0)
        pm.Potential("density", pm.logp(pm.Gamma.dist(4.0, rate, shape=y.shape), y - a))
    found = wb.Study(model, seed=1, potentials={"density": "likelihood"}).likelihood.maximum()
    best = optimize.minimize(
        lambda x: -stats.gamma.logpdf(y - x[0], 4.0, scale=1 / x[1]).sum(), [2.9, 1.0], method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-12},
    )  # fmt: skip
    assert [float(found.theta[name]) for name in ("a", "rate")] == pytest.approx(best.x, rel=1e-6)
    (check,) = [check for check in found.checks if check.code == "support-fixed"]
    assert f"the support of density depends on a: beyond a = {y.min():.6g}, " in check.message


def test_a_scale_in_a_potential_moves_no_support():
    y = stats.norm.ppf(SHARES)
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("sigma", 10.0)
        pm.Potential("density", pm.logp(pm.Normal.dist(mu, sigma, shape=y.shape), y))
    found = wb.Study(model, seed=1, potentials={"density": "likelihood"}).likelihood.maximum()
    assert float(found.theta["sigma"]) == pytest.approx(y.std(), rel=1e-9)
    assert all(check.code != "support-fixed" for check in found.checks)
