"""The cause that is named for a difference is the cause that was built in."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.causes import CAUSES, Measures, find_causes, in_words

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

Y = np.random.default_rng(0).normal(3.0, 1.0, size=200)
SCHOOLS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])


def much_data():
    pm.Normal("y", pm.Normal("mu", 0, 100.0), 1.0, observed=Y)


def strong_prior():
    pm.Normal("y", pm.Normal("mu", 0, 0.1), 1.0, observed=Y)


def prior_on_a_rate():
    pm.Poisson("y", pm.Gamma("rate", 400.0, 100.0), observed=np.repeat([1, 2, 3], 60))


def all_heads():
    pm.Binomial("k", 10, pm.Beta("p", 1.0, 1.0), observed=10)


def near_zero():
    pm.Poisson("y", pm.Gamma("rate", 1.0, 1e-3), observed=np.array([1, 0, 1]))


def skewed_with_enough_data():
    # A variance from 30 observations: skewed, and far from its edge.
    pm.Normal("y", 0.0, sigma=pm.math.sqrt(pm.HalfNormal("variance", 100.0)), observed=Y[:30] - 3)


def few():
    pm.Normal("y", pm.Normal("mu", 0, 1000.0), pm.HalfNormal("sigma", 1000.0), observed=np.array([1.0, 2.5, 3.0, 4.2]))


def sign_left_open():
    pm.Normal("y", pm.Normal("a", 0, 10.0) ** 2, 1.0, observed=np.full(40, 4.0))


def redundant():
    pm.Normal("y", pm.Normal("a", 0, 1.0) + pm.Normal("b", 0, 1.0), 1.0, observed=Y[:50])


def hardly_informative():
    pm.Normal("y", pm.Normal("a", 2, 1.0), 10.0, observed=np.array([5.0]))


def separated():
    b = pm.Normal("b", 0, 5.0, shape=2)
    pm.Bernoulli("y", logit_p=b[0] + b[1] * np.array([-2.0, -1, 1, 2]), observed=np.array([0, 0, 1, 1]))


def schools():
    mu, tau = pm.Normal("mu", 0, 20.0), pm.HalfNormal("tau", 10.0)
    pm.Normal("y", mu + tau * pm.Normal("eta", 0, 1.0, shape=8), SCHOOLS[1], observed=SCHOOLS[0])


def few_groups():
    rng, group = np.random.default_rng(8), np.repeat(np.arange(5), 40)
    effect = pm.HalfNormal("tau", 20.0) * pm.Normal("eta", 0.0, 1.0, shape=5)
    mean = pm.Normal("mu", 0.0, 100.0) + effect[group]
    y = 5.0 + 2.0 * rng.normal(size=5)[group] + rng.normal(size=200)
    pm.Normal("y", mean, pm.HalfNormal("sigma", 20.0), observed=y)


def variances_that_run_out():
    # A climb whose variance runs out to 0 ends lower, at no mode: the likelihood has one maximum.
    rng, block, plot = np.random.default_rng(9), np.repeat(np.arange(12), 9), np.repeat(np.arange(36), 3)
    a, c, e = pm.HalfNormal("a", 30.0), pm.HalfNormal("c", 30.0), pm.HalfNormal("e", 30.0)
    effect = pm.Normal("u", 0.0, a, shape=12)[block] + pm.Normal("v", 0.0, c, shape=36)[plot]
    y = 50.0 + 8.0 * rng.normal(size=12)[block] + 6.0 * rng.normal(size=36)[plot] + 5.0 * rng.normal(size=108)
    pm.Normal("y", pm.Normal("mu", 50.0, 100.0) + effect, e, observed=y)


def wide_prior_on_a_curve():
    # A logarithmic dose response whose asymptote hangs on few points near it.
    x = np.array([0.1, 0.2, 0.4, 0.6, 0.8, 1.0] * 4)
    rng = np.random.default_rng(2)
    top, half = pm.HalfNormal("top", 50.0), pm.HalfNormal("half", 50.0)
    pm.Normal("y", top * x / (half + x), 0.05, observed=3.0 * x / (2.0 + x) + 0.05 * rng.normal(size=24))


def sign_of_a_loading():
    rng = np.random.default_rng(3)
    y = rng.normal(size=(60, 1)) * [0.9, 0.8, 0.7] + 0.5 * rng.normal(size=(60, 3))
    w = pm.Normal("w", 0.0, 3.0, shape=3)
    pm.MvNormal("y", np.zeros(3), cov=w[:, None] * w + 0.25 * np.eye(3), observed=y)


def edge_of_a_uniform_prior():
    pm.Binomial("k", 50, pm.Uniform("p", 0.0, 0.5), observed=30)


def strong_prior_against_few_skewed_data():
    pm.Poisson("y", pm.LogNormal("rate", 2.0, 0.3), observed=np.array([1, 2]))


def data_far_out_in_the_prior():
    # Posterior Gamma(102, 2): its variance of 25 is twelve times that of the prior, of which the data took everything.
    pm.Poisson("y", pm.Gamma("rate", 2.0, 1.0), observed=np.array([100]))


def ratio_without_a_variance():
    rng = np.random.default_rng(0)
    a, b = pm.Normal("a", 0.0, 1.0), pm.Normal("b", 0.0, 1.0)
    pm.Deterministic("ratio", a / b)
    pm.Normal("y", pm.math.stack([a, b]), 1.0, observed=rng.normal([1.0, 0.3], 1.0, size=(50, 2)))


def two_labels():
    rng = np.random.default_rng(0)
    weights, mu = pm.Dirichlet("weights", np.ones(2)), pm.Normal("mu", 0.0, 5.0, shape=2)
    pm.NormalMixture("y", weights, mu, 1.0, observed=np.append(rng.normal(-2, 1, 60), rng.normal(2, 1, 40)))


def prior_and_skew():
    pm.Exponential("y", pm.Gamma("rate", 20.0, 100.0), observed=np.array([0.4, 1.3]))


@pytest.mark.parametrize(
    ("build", "label", "named", "not_named"),
    [
        (much_data, "mu", set(), set(CAUSES)),
        (strong_prior, "mu", {"prior pull"}, {"boundary", "skew", "few data", "several modes"}),
        (prior_on_a_rate, "rate", {"prior pull"}, {"boundary", "few data", "several modes"}),
        (all_heads, "p", {"boundary"}, {"prior pull", "skew"}),
        (near_zero, "rate", {"boundary", "skew", "few data"}, {"prior pull", "weak identification"}),
        (skewed_with_enough_data, "variance", {"skew"}, {"prior pull", "boundary", "few data"}),
        (few, "sigma", {"skew", "few data"}, {"prior pull", "boundary", "weak identification"}),
        (sign_left_open, "a", {"several modes"}, {"prior pull", "boundary"}),
        (redundant, "a", {"weak identification"}, {"prior pull", "boundary"}),
        (hardly_informative, "a", {"prior pull", "weak identification"}, {"boundary", "skew"}),
        (separated, "b[1]", {"boundary"}, {"weak identification", "prior pull"}),
        (schools, "tau", {"boundary"}, {"latent integration"}),
        (schools, "eta[0]", {"latent integration"}, {"prior pull", "boundary"}),
        (prior_and_skew, "rate", {"prior pull"}, {"several modes"}),
        (data_far_out_in_the_prior, "rate", {"prior pull"}, {"weak identification", "boundary", "several modes"}),
        (ratio_without_a_variance, "ratio", {"skew"}, {"weak identification", "several modes"}),
        (two_labels, "mu[0]", {"several modes"}, {"prior pull", "boundary", "weak identification"}),
        (few_groups, "mu", {"few data"}, {"prior pull", "boundary", "weak identification", "several modes"}),
        (few_groups, "tau", {"few data", "skew"}, {"prior pull", "weak identification", "several modes"}),
        (few_groups, "sigma", set(), {"few data", "prior pull", "boundary", "several modes"}),
        (variances_that_run_out, "a", set(), {"several modes", "prior pull", "weak identification"}),
        (wide_prior_on_a_curve, "top", {"skew"}, {"boundary", "prior pull", "several modes", "few data"}),
        (sign_of_a_loading, "w[0]", {"several modes"}, {"boundary", "prior pull"}),
        (edge_of_a_uniform_prior, "p", {"boundary"}, {"several modes", "prior pull", "weak identification"}),
        (strong_prior_against_few_skewed_data, "rate", {"prior pull", "few data"}, {"several modes"}),
    ],
)
def test_the_cause_that_was_built_in_is_named(build, label, named, not_named):
    with pm.Model() as model:
        build()
    found = wb.Study(model, seed=3).compare()
    causes = set(found.causes[found.labels.index(label)])
    assert named <= causes
    assert not causes & not_named


def measures(**changed):
    usual = {
        "label": "x", "mle": 1.0, "error": 0.1, "mean": 1.0, "sd": 0.1, "mcse": 0.001, "shift": 0.0, "pull": 0.0,
        "asymmetry": 0.0, "skewness": 0.0, "contraction": 0.99, "support": (-np.inf, np.inf), "at_edge": False,
        "latent": False,
    }  # fmt: skip
    return Measures(**(usual | changed))


def test_a_difference_without_a_measured_cause_is_said_to_have_none():
    odd = measures(shift=0.5, mean=1.05, asymmetry=0.02)
    assert find_causes(odd, 100.0, np.inf, 1, None) == []
    assert "no measured cause" in in_words(odd, [])


def test_monte_carlo_error_is_no_difference():
    noisy = measures(shift=0.3, mean=1.03, mcse=0.02)
    assert find_causes(noisy, 100.0, np.inf, 1, None) == []
    assert "Monte Carlo" in in_words(noisy, [])
