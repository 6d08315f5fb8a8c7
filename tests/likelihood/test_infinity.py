"""Likelihoods that level off as a positive scalar goes to infinity, against the simpler model that is the limit."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench.errors import NoMaximumError, RefusalError

pytestmark = pytest.mark.slow  # every model is compiled

CUT = stats.chi2.ppf(0.95, 1)
COUNTS = np.array([3, 4, 3, 4, 4, 3, 5, 3, 4, 4, 3, 4])  # less dispersed than Poisson counts
NORMAL = stats.norm.ppf((np.arange(1, 41) - 0.5) / 40)  # lighter tails than any Student t


def bounds(deviance, *brackets):
    return [optimize.brentq(lambda value: deviance(value) - CUT, *bracket) for bracket in brackets]


def test_counts_without_excess_spread_bound_the_dispersion_of_a_negative_binomial_from_below():
    with pm.Model() as model:
        mu, alpha = pm.HalfNormal("mu", 10.0), pm.HalfNormal("alpha", 10.0)
        pm.NegativeBinomial("y", mu=mu, alpha=alpha, observed=COUNTS)
    study, mean = wb.Study(model, seed=1), COUNTS.mean()
    highest = stats.poisson.logpmf(COUNTS, mean).sum()
    match = rf"as alpha -> infinity, .* {highest:.6g} nats, with mu = {mean:.6g}"
    with pytest.raises(NoMaximumError, match=match) as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "at infinity"
    found = study.likelihood.profile("alpha", "mu")

    def dispersion(a):
        return 2 * (highest - stats.nbinom.logpmf(COUNTS, a, a / (a + mean)).sum())

    lower = bounds(dispersion, (1.0, 1000.0))
    both = bounds(lambda m: 2 * (highest - stats.poisson.logpmf(COUNTS, m).sum()), (1.0, mean), (mean, 9.0))
    assert found.lower == pytest.approx([*lower, both[0]], rel=1e-5)
    assert found.upper == pytest.approx([np.inf, both[1]], rel=1e-5)
    assert found.estimate == pytest.approx([np.inf, mean], rel=1e-5)
    assert study.likelihood.test("alpha", 5.0).statistic["likelihood ratio"] == pytest.approx(dispersion(5.0), abs=1e-4)


def test_light_tails_send_the_degrees_of_freedom_to_infinity_and_not_to_zero():
    with pm.Model() as model:
        sigma, nu = pm.HalfNormal("sigma", 5.0), pm.Gamma("nu", 2.0, 0.1)
        pm.StudentT("y", nu=nu, mu=0.0, sigma=sigma, observed=NORMAL)
    study, sd = wb.Study(model, seed=1), NORMAL.std()
    with pytest.raises(RefusalError, match=rf"as nu -> infinity, .* with sigma = {sd:.6g}"):
        study.likelihood.maximum()
    highest = stats.norm.logpdf(NORMAL, 0.0, sd).sum()

    def deviance(nu):
        best = optimize.minimize_scalar(lambda s: -stats.t.logpdf(NORMAL, nu, 0, s).sum(), bounds=(0.3, 2.0))
        return 2 * (highest + best.fun)

    found = study.likelihood.profile("nu")
    assert found.lower == pytest.approx(bounds(deviance, (0.5, 100.0)), rel=1e-4)
    assert found.upper[0] == np.inf


def test_a_probability_that_rounding_hides_is_not_called_unbounded():
    with pm.Model() as model:
        psi, mu = pm.Beta("psi", 1.0, 1.0), pm.HalfNormal("mu", 10.0)
        pm.ZeroInflatedPoisson("y", psi=psi, mu=mu, observed=np.zeros(8, dtype=int))
    with pytest.raises(RefusalError, match="level, to rounding"):
        wb.Study(model, seed=1).likelihood.profile("mu")
