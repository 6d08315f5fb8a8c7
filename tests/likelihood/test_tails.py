"""Likelihoods that rise for ever: to a limit, against the simpler model there, or without bound."""

import re

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench.errors import NoMaximumError, RefusalError
from workbench.likelihood.tails import Tail, refuse_tail

pytestmark = pytest.mark.slow  # every model is compiled

Y = stats.expon.ppf((np.arange(1, 31) - 0.5) / 30)
SPREAD = Y**1.4  # further than a truncated normal can spread: its coefficient of variation exceeds one

CUT = stats.chi2.ppf(0.95, 1)
COUNTS = np.array([3, 4, 3, 4, 4, 3, 5, 3, 4, 4, 3, 4])  # less dispersed than Poisson counts
NORMAL = stats.norm.ppf((np.arange(1, 41) - 0.5) / 40)  # lighter tails than any Student t


def refused(model):
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == ("unbounded" if "without bound" in refusal.value.what else "at infinity")
    return refusal.value


def upper_bound(error):
    return float(re.search(r"least upper bound is (\S+) nats", error.what).group(1))


def test_data_without_spread_have_no_bound_as_the_scale_shrinks():
    x = np.arange(10.0)
    with pm.Model() as model:
        a, b, sigma = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0), pm.HalfNormal("sigma", 5.0)
        pm.Normal("y", a + b * x, sigma, observed=1.0 + 2.0 * x)
    error = refused(model)
    assert "rises without bound as sigma -> 0, with a = 1, b = 2" in error.what
    assert error.where == "sigma"


def test_tails_so_heavy_that_one_observation_may_have_the_whole_scale_have_no_bound():
    y = np.array([0.0, 1.0, 2.0, 100.0])
    with pm.Model() as model:
        mu, sigma, nu = pm.Normal("mu", 0.0, 50.0), pm.HalfNormal("sigma", 10.0), pm.Gamma("nu", 2.0, 0.1)
        pm.StudentT("y", nu=nu, mu=mu, sigma=sigma, observed=y)
    error = refused(model)
    assert "rises without bound as sigma -> 0, with mu = " in error.what
    assert error.where == "sigma"
    nu, mu = (float(re.search(rf"{name} = ([-.e0-9]+)", error.what).group(1)) for name in ("nu", "mu"))
    assert np.min(np.abs(y - mu)) < 1e-6
    near, nearer = (stats.t.logpdf(y, nu, y[np.argmin(np.abs(y - mu))], s).sum() for s in (1e-20, 1e-30))
    assert nearer - near == pytest.approx((1 - 3 * nu) * 10 * np.log(10), rel=1e-6)  # the others gain -nu log s each
    assert nu < 1 / 3


def test_equal_waiting_times_have_no_bound_as_two_parameters_grow_together():
    with pm.Model() as model:
        shape, rate = pm.HalfNormal("shape", 10.0), pm.HalfNormal("rate", 10.0)
        pm.Gamma("y", shape, rate, observed=np.full(10, 3.0))
    assert "rises without bound as shape -> infinity and rate -> infinity" in refused(model).what


def test_a_skew_normal_tends_to_the_half_normal_of_the_same_data():
    with pm.Model() as model:
        mu, sigma, alpha = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("sigma", 5.0), pm.Normal("alpha", 0.0, 10.0)
        pm.SkewNormal("y", mu=mu, sigma=sigma, alpha=alpha, observed=Y)
    error, least = refused(model), Y.min()
    assert "as alpha -> infinity, where it levels off" in error.what
    sigma = np.sqrt(np.mean((Y - least) ** 2))
    assert upper_bound(error) == pytest.approx(stats.halfnorm.logpdf(Y, least, sigma).sum(), abs=1e-3)


def test_a_truncated_normal_tends_to_the_exponential():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("sigma", 5.0)
        pm.Truncated("y", pm.Normal.dist(mu, sigma), lower=0.0, observed=SPREAD)
    error = refused(model)
    assert "as mu -> -infinity and sigma -> infinity, where it levels off" in error.what
    assert upper_bound(error) == pytest.approx(stats.expon.logpdf(SPREAD, 0, SPREAD.mean()).sum(), abs=1e-3)


def test_where_every_observation_is_censored_no_mean_is_too_large():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("sigma", 5.0)
        pm.Censored("y", pm.Normal.dist(mu, sigma), lower=None, upper=3.0, observed=np.full(10, 3.0))
    error = refused(model)
    assert "as mu -> infinity, where it levels off" in error.what
    assert upper_bound(error) == pytest.approx(0.0, abs=1e-9)


def test_a_group_without_events_has_a_limit_and_a_one_sided_interval():
    group = np.repeat([0, 1], 8)
    with pm.Model() as model:
        rate = pm.Normal("rate", 0.0, 5.0, shape=2)
        pm.Poisson("y", pm.math.exp(rate[group]), observed=np.where(group == 0, 3, 0))
    study = wb.Study(model, seed=1)
    with pytest.raises(NoMaximumError) as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "at infinity"
    assert "as rate[1] -> -infinity, where it levels off" in refusal.value.what
    assert upper_bound(refusal.value) == pytest.approx(8 * stats.poisson.logpmf(3, 3), rel=1e-5)
    found, cut = study.likelihood.profile(), stats.chi2.ppf(0.95, 1) / 2
    assert found.estimate == pytest.approx([np.log(3), -np.inf])
    assert found.upper[1] == pytest.approx(np.log(cut / 8), rel=1e-6)  # of a mean m the log likelihood is -8 m
    assert found.lower[1] == -np.inf
    assert 8 * (3 * found.lower[0] - np.exp(found.lower[0])) == pytest.approx(8 * (3 * np.log(3) - 3) - cut, rel=1e-6)


def test_no_interval_is_measured_where_the_others_are_on_the_way_to_infinity_too():
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0)
        pm.Bernoulli("y", logit_p=a + b * x, observed=(x > 0).astype(int))
    study = wb.Study(model, seed=1)
    with pytest.raises(NoMaximumError, match="as b -> infinity, where it levels off: .* 0 nats ") as refusal:
        study.likelihood.maximum()
    assert "a =" not in refusal.value.what  # any value would do
    found = study.likelihood.profile()
    assert np.isnan(found.estimate[0])
    assert found.estimate[1] == np.inf
    assert found.lower[0] == -np.inf  # a can be anything while b is large
    assert found.upper == pytest.approx([np.inf, np.inf])
    assert found.lower[1] > 0


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


def test_events_that_took_no_time_have_no_bound_although_no_climb_gets_away_from_its_start():
    with pm.Model() as model:
        pm.Exponential("y", lam=pm.HalfNormal("lam", 10.0), observed=np.zeros(4))
    error = refused(model)
    assert "as lam -> infinity" in error.what


@pytest.mark.deep
def test_separated_grades_send_slope_and_cutpoints_to_infinity():
    x, ordered = np.arange(9.0) - 4, pm.distributions.transforms.ordered
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 3.0)
        c = pm.Normal("c", 0.0, 3.0, shape=2, transform=ordered, initval=[-1.0, 1.0])
        pm.OrderedLogistic("y", eta=b * x, cutpoints=c, observed=np.repeat([0, 1, 2], 3), compute_p=False)
    error = refused(model)
    assert "as b -> infinity and c[0] -> -infinity and c[1] -> infinity" in error.what
    assert "least upper bound is 0 nats" in error.what


def test_equal_lifetimes_are_unbounded_and_move_no_support():
    with pm.Model() as model:
        pm.Weibull("y", pm.HalfNormal("shape", 5.0), pm.HalfNormal("scale", 5.0), observed=np.full(5, 2.0))
    assert "rises without bound as shape -> infinity, with scale = 2" in refused(model).what


def test_a_variance_of_zero_on_the_log_scale_is_at_minus_infinity():
    y = np.array([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [1.0, 3.0, 2.1]])
    with pm.Model() as model:
        tau = pm.Normal("log_tau", 0.0, 2.0)
        u = pm.Normal("u", 0.0, pm.math.exp(tau), shape=4)
        pm.Normal("y", pm.Normal("mu", 0.0, 5.0) + u[:, None], pm.HalfNormal("sigma", 5.0), observed=y)
    error = refused(model)
    assert error.where == "log_tau"
    assert "log_tau -> -infinity, where it levels off" in error.what
    assert upper_bound(error) == pytest.approx(stats.norm(y.mean(), y.std()).logpdf(y).sum(), abs=1e-3)


def test_no_number_is_shown_for_a_scalar_that_is_at_infinity_too():
    right = (np.arange(24).reshape(8, 3) * 7 % 5 < 2).astype(int)
    right[:, 2] = 1
    with pm.Model() as model:
        ability = pm.Normal("ability", 0.0, pm.HalfNormal("spread", 2.0), shape=8)
        hard = pm.Normal("hard", 0.0, 3.0, shape=3)
        pm.Bernoulli("y", logit_p=ability[:, None] - hard[None], observed=right)
    error = refused(model)
    assert error.where == "hard[2]"
    assert "hard[2] -> -infinity, where it levels off" in error.what
    assert "hard[2] =" not in error.what


def test_a_message_names_a_few_of_many_scalars_that_go_to_infinity():
    along = {f"b[{i}]": "infinity" for i in range(1, 9)}
    tail = Tail("b[0]", 0, 1.0, "infinity", True, 0.0, np.zeros(9), False, along)
    with pytest.raises(NoMaximumError) as refusal:
        refuse_tail(None, tail)
    assert "b[0] -> infinity and " in refusal.value.what
    assert "b[4] -> infinity and 4 more with them, where it levels off" in refusal.value.what
    assert "b[5]" not in refusal.value.what


def two_exponentials(y):
    """The sum of two exponentials at 40 places from 0 to 5."""
    x = np.linspace(0.0, 5.0, 40)
    with pm.Model() as model:
        k, a = pm.HalfNormal("k", 3.0, shape=2), pm.Normal("a", 0.0, 3.0, shape=2)
        curve = a[0] * pm.math.exp(-k[0] * x) + a[1] * pm.math.exp(-k[1] * x)
        pm.Normal("y", curve, pm.HalfNormal("sigma", 1.0), observed=y(x))
    return wb.Study(model, seed=1)


def test_two_exponentials_that_do_the_work_of_one_become_the_same_at_the_limit_of_equal_rates():
    def y(x):
        return 2.0 * np.exp(-x) + 0.05 * np.random.default_rng(22).standard_normal(x.size)

    with pytest.raises(NoMaximumError) as refusal:
        two_exponentials(y).likelihood.maximum()
    assert refusal.value.kind == "at infinity"
    assert re.search(
        r"a\[[01]\] -> infinity and a\[[01]\] -> -infinity, while k\[0\] and k\[1\] become the same", refusal.value.what
    )
    # As k[1] - k[0] -> 0 with a[1] (k[1] - k[0]) fixed the sum becomes (c + d x) exp(-k x), fitted by least squares.
    x = np.linspace(0.0, 5.0, 40)
    limit = optimize.least_squares(lambda p: (p[0] + p[1] * x) * np.exp(-p[2] * x) - y(x), [2.0, 0.0, 1.0], xtol=1e-15)
    bound = -20.0 * (np.log(2 * np.pi * np.mean(limit.fun**2)) + 1)
    assert float(re.search(r"bound is (\S+) nats", refusal.value.what)[1]) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize("seed", [5, 8])
def test_a_higher_place_on_the_way_to_infinity_is_climbed_from(seed):
    # Climbs end on the ridge of equal rates; there is a maximum elsewhere, for seed 8 with a rate of exactly 0.
    def y(x):
        return 2.0 * np.exp(-x) + 0.05 * np.random.default_rng(seed).standard_normal(x.size)

    x = np.linspace(0.0, 5.0, 40)
    found = two_exponentials(y).likelihood.maximum()
    squares = min(
        2 * optimize.least_squares(
            lambda p: p[0] * np.exp(-p[1] * x) + p[2] * np.exp(-p[3] * x) - y(x), [-0.1, rate, 2.0, 1.0], xtol=1e-15,
            bounds=([-np.inf, 0.0, -np.inf, 0.0], np.inf),
        ).cost for rate in (0.001, 0.01, 0.1, 0.4)
    )  # fmt: skip
    assert found.log_likelihood == pytest.approx(-20.0 * (np.log(2 * np.pi * squares / 40) + 1), abs=1e-6)
    assert len(found.at_edge) == (seed == 8)  # k[0] or k[1]: the terms can be exchanged


def test_counts_above_zero_that_are_all_one_have_no_log_mean():
    with pm.Model() as model:
        rate = pm.Normal("rate", 0.0, 2.0)
        pm.Truncated("y", pm.Poisson.dist(pm.math.exp(rate)), lower=1, observed=np.ones(12, dtype=int))
    error = refused(model)
    assert "as rate -> -infinity, where it levels off" in error.what
    assert upper_bound(error) == pytest.approx(0.0, abs=1e-9)
    upper = wb.Study(model, seed=1).likelihood.profile("rate").upper[0]
    assert 12 * (upper - np.exp(upper) - np.log(-np.expm1(-np.exp(upper)))) == pytest.approx(-CUT / 2, rel=1e-6)


TIMES = np.linspace(0.1, 5.0, 25)


def one_rate_as_two(seed):
    y = 3 * np.exp(-TIMES) + 0.05 * np.random.default_rng(seed).normal(size=TIMES.size)  # of one rate alone
    with pm.Model() as model:
        a, k = pm.Normal("a", 0.0, 5.0, shape=2), pm.LogNormal("k", 0.0, 1.0, shape=2)
        curve = a[0] * pm.math.exp(-k[0] * TIMES) + a[1] * pm.math.exp(-k[1] * TIMES)
        pm.Normal("y", curve, pm.HalfNormal("s", 1.0), observed=y)
    return model, y


def log_likelihood_of(columns, y):
    rest = columns @ np.linalg.lstsq(columns, y)[0] - y
    return -y.size / 2 * (np.log(2 * np.pi * np.mean(rest**2)) + 1)


def test_two_rates_that_become_the_same_are_followed_from_where_the_climb_ended():
    model, y = one_rate_as_two(10)
    error = refused(model)
    assert "a[0] -> infinity and a[1] -> -infinity, while k[0] and k[1] become the same" in error.what

    def confluent(k):
        return -log_likelihood_of(np.column_stack([np.exp(-k * TIMES), TIMES * np.exp(-k * TIMES)]), y)

    best = optimize.minimize_scalar(confluent, bounds=(0.5, 1.0), method="bounded", options={"xatol": 1e-10})
    assert upper_bound(error) == pytest.approx(-best.fun, abs=1e-3)


@pytest.mark.parametrize("seed", [13, 19])
def test_a_ridge_that_bends_is_no_peak_nor_is_one_behind_a_valley(seed):
    # A curve that has died down before the second observation fits the first one: amplitude and rate grow together.
    # With seed 13 the ridge falls away on straight lines; with 19 all climbs end at a peak that is 0.4 nats lower.
    model, y = one_rate_as_two(seed)
    error, first = refused(model), np.eye(25)[0]

    def spiked(k):
        return -log_likelihood_of(np.column_stack([np.exp(-k * TIMES), first]), y)

    best = optimize.minimize_scalar(spiked, bounds=(0.3, 3.0), method="bounded", options={"xatol": 1e-10})
    assert upper_bound(error) == pytest.approx(-best.fun, abs=1e-3)


def test_a_threshold_whose_prior_ends_at_the_least_observation_has_no_bound_where_the_shape_is_below_one():
    y = np.random.default_rng(2).weibull(0.8, size=30) * 2 + 1
    with pm.Model() as model:
        threshold = pm.Uniform("threshold", -5.0, float(y.min()))
        shape, scale = pm.HalfNormal("shape", 3.0), pm.HalfNormal("scale", 3.0)
        pm.Potential("waiting", pm.logp(pm.Weibull.dist(shape, scale), y - threshold).sum())
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1, potentials={"waiting": "likelihood"}).likelihood.maximum()
    assert refusal.value.kind == "unbounded"
    assert "threshold" in refusal.value.what
