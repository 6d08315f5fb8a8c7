"""Profile likelihood intervals against closed forms, published answers and each other."""

import json
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench.errors import RefusalError
from workbench.likelihood.profile import Profile, profile_likelihood
from workbench.likelihood.summit import BetterMaximum, Summit, find_summit
from workbench.numerics.objective import FunctionObjective
from workbench.result import result_from_json

pytestmark = pytest.mark.slow  # every model is compiled

CASES = Path(__file__).parents[3] / "shared" / "cases" / "mle"
CUT = stats.chi2.ppf(0.95, 1)
SOLVED = 1e-8  # how near the deviance at a bound has to come to the quantile
PUBLISHED = 1e-6  # relative


def case(name):
    """A published case from the folder beside the checkout."""
    path = CASES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the published case {name} is not here")
    return json.loads(path.read_text(encoding="utf-8"))


def _normal(y, mu_sd=10.0):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, mu_sd)
        sigma = pm.HalfNormal("sigma", 10.0)
        pm.Deterministic("cv", sigma / mu)
        pm.Deterministic("table", pm.math.stack([mu, sigma]))
        pm.Normal("y", mu, sigma, observed=y)
    return model


Y = np.random.default_rng(5).normal(3.0, 2.0, size=20)
_MADE = {}


def study_of(name, build):
    """One study a model and session."""
    if name not in _MADE:
        _MADE[name] = wb.Study(build(), seed=1)
    return _MADE[name]


def normal():
    return study_of("normal", lambda: _normal(Y))


def check_deviance(found):
    """Every closed side ends where the deviance is the quantile."""
    for bounds, deviance in ((found.lower, found.lower_deviance), (found.upper, found.upper_deviance)):
        closed = np.abs(deviance - CUT) < 1e-3
        np.testing.assert_allclose(deviance[closed], CUT, atol=SOLVED, rtol=0)
        assert np.all(np.isfinite(bounds[closed]))


def test_the_interval_of_a_normal_mean_is_the_closed_form():
    found = normal().likelihood.profile("mu", "sigma")
    n, mean, variance = len(Y), Y.mean(), Y.var()
    half = np.sqrt(variance * (np.exp(CUT / n) - 1.0))
    assert found.lower[0] == pytest.approx(mean - half, rel=1e-10)
    assert found.upper[0] == pytest.approx(mean + half, rel=1e-10)

    def deviance(sigma):
        return n * (2 * np.log(sigma) - np.log(variance) + variance / sigma**2 - 1.0) - CUT

    assert found.lower[1] == pytest.approx(optimize.brentq(deviance, 0.2, np.sqrt(variance)), rel=1e-10)
    assert found.upper[1] == pytest.approx(optimize.brentq(deviance, np.sqrt(variance), 20), rel=1e-10)
    check_deviance(found)


def test_a_ratio_of_two_parameters_agrees_with_a_brute_force_refit():
    found = normal().likelihood.profile("cv")

    def deviance(cv):
        def minus(log_mu):
            return -stats.norm.logpdf(Y, np.exp(log_mu), cv * np.exp(log_mu)).sum()

        best = optimize.minimize_scalar(minus, bounds=(-1.0, 3.0), method="bounded", options={"xatol": 1e-12})
        return 2 * (best.fun + stats.norm.logpdf(Y, Y.mean(), Y.std()).sum())

    assert deviance(found.lower[0]) == pytest.approx(CUT, abs=1e-7)
    assert deviance(found.upper[0]) == pytest.approx(CUT, abs=1e-7)


def test_a_linear_combination_has_the_interval_of_the_same_deterministic():
    with pm.Model() as model:
        a, b = pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
        sigma = pm.HalfNormal("sigma", 5)
        x = np.linspace(-1, 2, 20)
        pm.Deterministic("end", a + 2 * b)
        pm.Deterministic("steep", pm.math.exp(a) * b)
        pm.Normal("y", a + b * x, sigma, observed=Y)
    likelihood = wb.Study(model, seed=1).likelihood
    found, own = likelihood.profile({"a": 1, "b": 2}), likelihood.profile("end")
    assert found.names == ("a + 2*b",)
    np.testing.assert_allclose([found.lower, found.upper], [own.lower, own.upper], rtol=1e-12)
    design = np.column_stack([np.ones(20), x])
    contrast = np.array([1.0, 2.0])
    beta, rss = np.linalg.lstsq(design, Y)[:2]
    half = np.sqrt(rss[0] * np.expm1(CUT / 20) * (contrast @ np.linalg.inv(design.T @ design) @ contrast))
    assert found.upper[0] == pytest.approx(contrast @ beta + half, rel=1e-9)
    assert found.lower[0] == pytest.approx(contrast @ beta - half, rel=1e-9)


def _share(kind):
    with pm.Model() as model:
        if kind == "p":
            p = pm.Beta("p", 2.0, 2.0)
            pm.Deterministic("lo", pm.math.logit(p))
        elif kind == "logit":
            lo = pm.Normal("lo", 0.0, 2.0)
            p = pm.Deterministic("p", pm.math.invlogit(lo))
        else:
            q = pm.Uniform("q", 0.0, 1.0)
            p = pm.Deterministic("p", 1.0 - q)
            pm.Deterministic("lo", pm.math.logit(p))
        pm.Binomial("k", 10, p, observed=7)
    return model


@pytest.mark.parametrize("kind", ["p", "logit", "complement"])
def test_the_interval_of_a_share_is_the_same_in_three_parametrisations(kind):
    # Closed form: the two roots of 2 [log p(7 | 0.7) - log p(7 | p)] = 3.841.
    found = study_of(f"share {kind}", lambda: _share(kind)).likelihood.profile("p", "lo")
    expected = np.array([0.39346096909551476, 0.9154413450183405])
    np.testing.assert_allclose([found.lower[0], found.upper[0]], expected, rtol=1e-10)
    np.testing.assert_allclose([found.lower[1], found.upper[1]], np.log(expected / (1 - expected)), rtol=1e-9)
    check_deviance(found)


def test_another_level_moves_the_bounds_and_is_printed():
    found = normal().likelihood.profile("mu", level=0.5)
    assert found.level == 0.5
    assert found.lower_deviance[0] == pytest.approx(stats.chi2.ppf(0.5, 1), abs=SOLVED)
    assert "profile 50% lower" in found.table().columns


def test_the_signed_root_is_a_straight_line_where_the_likelihood_is_a_parabola():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 10)
        pm.Normal("y", mu, 2.0, observed=Y)
    found = wb.Study(model, seed=1).likelihood.profile("mu")
    error = 2.0 / np.sqrt(20)
    np.testing.assert_allclose(found.zeta["mu"], (found.points["mu"] - Y.mean()) / error, atol=1e-7)
    low, high = found.wald
    np.testing.assert_allclose([found.lower, found.upper], [low, high], rtol=1e-7)


def test_elements_of_a_simplex_have_the_interval_of_their_binomial():
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(3))
        pm.Multinomial("k", 50, p, observed=[12, 30, 8])
    found = wb.Study(model, seed=1).likelihood.profile()
    for i, k in enumerate([12, 30, 8]):
        for bound in (found.lower[i], found.upper[i]):
            drop = stats.binom.logpmf(k, 50, k / 50) - stats.binom.logpmf(k, 50, bound)
            assert 2 * drop == pytest.approx(CUT, abs=1e-7)


@pytest.mark.deep
def test_a_correlation_agrees_with_the_closed_form_of_a_bivariate_normal():
    rng = np.random.default_rng(2)
    y = rng.multivariate_normal([0, 0], [[1, 0.5], [0.5, 2]], size=40)
    with pm.Model() as model:
        factor, corr, _ = pm.LKJCholeskyCov("factor", n=2, eta=1, sd_dist=pm.HalfNormal.dist(2.0))
        pm.Deterministic("rho", corr[0, 1])
        pm.MvNormal("y", np.zeros(2), chol=factor, observed=y)
    found = wb.Study(model, seed=1).likelihood.profile("rho")
    # With both variances at their best for a given rho: deviance = n log[(1 - rho r)^2 / ((1 - rho^2)(1 - r^2))].
    r = (y[:, 0] @ y[:, 1]) / np.sqrt((y[:, 0] @ y[:, 0]) * (y[:, 1] @ y[:, 1]))
    for bound in (found.lower[0], found.upper[0]):
        deviance = 40 * np.log((1 - bound * r) ** 2 / ((1 - bound**2) * (1 - r**2)))
        assert deviance == pytest.approx(CUT, abs=1e-6)


# -- edges, ridges, infinity -----------------------------------------------------------------------------------------


def test_all_successes_give_a_one_sided_interval_that_ends_at_one():
    with pm.Model() as model:
        p = pm.Uniform("p", 0, 1)
        pm.Binomial("k", 10, p, observed=10)
    found = wb.Study(model, seed=1).likelihood.profile("p")
    assert found.lower[0] == pytest.approx(np.exp(-CUT / 20), rel=1e-9)  # p^10 has dropped by half the quantile
    assert found.upper[0] == 1.0
    assert "the edge of the support" in repr(found)
    assert np.isnan(found.wald[0][0])


def test_an_active_bound_of_the_prior_ends_the_interval():
    with pm.Model() as model:
        p = pm.Uniform("p", 0, 0.5)
        pm.Binomial("k", 10, p, observed=8)
    found = wb.Study(model, seed=1).likelihood.profile("p")
    assert found.upper[0] == 0.5
    drop = stats.binom.logpmf(8, 10, 0.5) - stats.binom.logpmf(8, 10, found.lower[0])
    assert 2 * drop == pytest.approx(CUT, abs=1e-7)


def test_a_ridge_is_flat_and_its_sum_is_not():
    y = np.array([1.2, 0.7, 2.1, 1.5, 0.9, 1.8])
    with pm.Model() as model:
        first, second = pm.Normal("first", 0, 10), pm.Normal("second", 0, 10)
        sigma = pm.HalfNormal("sigma", 1)
        pm.Normal("y", first + second, sigma, observed=y)
    likelihood = wb.Study(model, seed=1).likelihood
    found = likelihood.profile("first", {"first": 1, "second": 1})
    assert (found.lower[0], found.upper[0]) == (-np.inf, np.inf)
    half = np.sqrt(y.var() * np.expm1(CUT / 6))
    np.testing.assert_allclose([found.lower[1], found.upper[1]], [y.mean() - half, y.mean() + half], rtol=1e-8)
    assert any(check.code == "interior" for check in found.checks)
    assert result_from_json(found.to_json()).upper[0] == np.inf


def test_separated_data_bound_the_slope_on_one_side_only():
    x, answer = np.arange(1.0, 7.0), np.array([0, 0, 0, 1, 1, 1])
    with pm.Model() as model:
        a, b = pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
        pm.Bernoulli("answer", logit_p=pm.Deterministic("eta", a + b * x), observed=answer)
    likelihood = wb.Study(model, seed=1).likelihood
    # Neither has a best value, so neither is given one: the climb stopped somewhere on the way of both.
    with pytest.raises(wb.RefusalError, match="as a -> -infinity and b -> infinity, where it levels off: .* 0 nats"):
        likelihood.maximum()
    found = likelihood.profile("b", "a")
    assert found.upper[0] == np.inf
    assert found.lower[1] == -np.inf
    assert found.estimate.tolist() == [np.inf, -np.inf]

    def deviance(b):
        def minus(a):
            return np.logaddexp(0, np.where(answer == 1, -1, 1) * (a + b * x)).sum()

        return 2 * optimize.minimize_scalar(minus, bounds=(-30, 30), method="bounded", options={"xatol": 1e-10}).fun

    assert deviance(found.lower[0]) == pytest.approx(CUT, abs=1e-7)


def test_an_unbounded_likelihood_is_refused():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 10), pm.HalfNormal("sigma", 5)
        pm.Normal("y", mu, sigma, observed=np.array([1.0]))
    with pytest.raises(wb.RefusalError):
        wb.Study(model, seed=1).likelihood.profile("mu")


def _two_peaks():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 0.5, initval=-3.0)
        s = pm.HalfNormal("s", 1.0)
        low = pm.logp(pm.Normal.dist(-3.0, 1.0), mu) - 1.0
        high = pm.logp(pm.Normal.dist(3.0, 1.0), mu)
        pm.Potential("peaks", pm.math.logaddexp(low, high) - (s - 1.0) ** 2)
    return model


@pytest.mark.deep
def test_a_bound_just_below_the_level_of_infinity_is_found_without_going_there():
    # The deviance of an infinite concentration is 4.78, a little above the quantile 3.84. Far out the density of PyMC
    # is the difference of large numbers, and seems to be higher than the maximum.
    generator = np.random.default_rng(25)
    y = np.array([generator.multinomial(50, generator.dirichlet([6.0, 5.0, 3.0, 1.0])) for _ in range(10)])
    with pm.Model() as model:
        share, concentration = pm.Dirichlet("share", np.ones(4)), pm.LogNormal("concentration", 1.0, 1.0)
        pm.DirichletMultinomial("counts", n=50, a=share * concentration, observed=y)

    def height(x):
        share = np.exp(np.append(x[:3], 0.0)) / np.exp(np.append(x[:3], 0.0)).sum()
        return stats.dirichlet_multinomial.logpmf(y, np.exp(x[3]) * share, 50).sum()

    top = optimize.minimize(lambda x: -height(x), [1.4, 1.4, 0.6, 4.0], method="BFGS")

    def gap(log_concentration):
        rest = optimize.minimize(lambda x: -height(np.append(x, log_concentration)), top.x[:3], method="BFGS")
        return 2.0 * (rest.fun - top.fun) - CUT

    found = wb.Study(model, seed=1).likelihood.profile("concentration")
    exact = [np.exp(optimize.brentq(gap, *bracket)) for bracket in ((1.0, top.x[3]), (top.x[3], 9.0))]
    assert [*found.lower, *found.upper] == pytest.approx(exact, rel=1e-5)
    check_deviance(found)


def test_a_better_maximum_on_the_way_restarts_the_whole_fit():
    study = wb.Study(_two_peaks(), seed=1, potentials={"peaks": "likelihood"}, settings=wb.Settings(starts=1))
    study.starts = np.array([[-3.0, 0.0]])  # a single climb, into the lower of two peaks
    assert study.likelihood.maximum().theta["mu"] == pytest.approx(-3.0, abs=1e-3)  # the deviance of the valley is 9
    found = study.likelihood.profile("mu", level=0.9999)
    assert found.estimate[0] == pytest.approx(3.0, abs=1e-3)
    assert study.likelihood.maximum().theta["mu"] == pytest.approx(3.0, abs=1e-3)
    assert any("started again" in check.message for check in found.checks)


def test_an_interval_that_leaves_out_another_optimum_says_so():
    with pm.Model() as model:
        centre = pm.Normal("centre", 0.0, 10.0)
        pm.Cauchy("y", centre, 0.3, observed=np.array([-5.0, -4.5, -4.8, 0.2, 4.6, 5.2, 5.0]))
    found = wb.Study(model, seed=1).likelihood.profile("centre")
    assert found.upper[0] < 0  # yet the log likelihood at 5 is less than 1.92 nats lower
    assert any("another optimum" in check.message for check in found.checks)


def test_the_median_of_laplace_data_is_a_corner_without_a_standard_error_but_with_an_interval():
    y = np.random.default_rng(0).laplace(size=21)
    with pm.Model() as model:
        mu, b = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("b", 3.0)
        pm.Laplace("y", mu, b, observed=y)
    study, middle = wb.Study(model, seed=1), np.median(y)
    with pytest.raises(RefusalError, match="corner along mu") as refusal:
        study.likelihood.maximum()
    assert f"at mu = {middle:.6g}, b = {np.abs(y - middle).mean():.6g}" in refusal.value.what
    found = study.likelihood.profile("mu")

    def gap(value):
        return 42 * np.log(np.abs(y - value).sum() / np.abs(y - middle).sum()) - stats.chi2.ppf(0.95, 1)

    assert found.lower[0] == pytest.approx(optimize.brentq(gap, -5, middle), rel=1e-5)
    assert found.upper[0] == pytest.approx(optimize.brentq(gap, middle, 5), rel=1e-5)


def test_a_summit_says_that_something_is_higher():
    summit = Summit(np.zeros(1), -1.0, np.eye(1), np.ones(1), {}, ())
    smooth = FunctionObjective(1, lambda x: (-0.5 * float(x @ x), -x))
    summit.compare(smooth, np.ones(1), -1.0 + 1e-9)
    with pytest.raises(BetterMaximum, match="higher") as caught:
        summit.compare(smooth, np.ones(1), -0.5)
    assert caught.value.x == 1.0
    noise = np.random.default_rng(1)
    summit.compare(FunctionObjective(1, lambda x: (-0.5 + noise.normal(), -x)), np.ones(1), -0.5)  # it is rounding


# -- latent variables ------------------------------------------------------------------------------------------------

DYESTUFF = np.array(
    [1545, 1440, 1440, 1520, 1580, 1540, 1555, 1490, 1560, 1495, 1595, 1550, 1605, 1510, 1560,
     1445, 1440, 1595, 1465, 1545, 1595, 1630, 1515, 1635, 1625, 1520, 1455, 1450, 1480, 1445], dtype=float,
).reshape(6, 5)  # fmt: skip  # Davies 1947; lme4


def _one_way(y):
    groups, size = y.shape
    with pm.Model() as model:
        mu = pm.Normal("mu", y.mean(), 10 * y.std())
        sd, sigma = pm.HalfNormal("sd", y.std()), pm.HalfNormal("sigma", y.std())
        effect = pm.Normal("effect", mu, sd, shape=groups)
        pm.Normal("y", effect[np.repeat(np.arange(groups), size)], sigma, observed=y.ravel())
    return model


def _one_way_profile(y, label, value, peak):
    """Deviance of a balanced one-way layout from its closed-form likelihood, the rest maximised by Nelder-Mead."""
    groups, size = y.shape
    within, means = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(), y.mean(axis=1)

    def log_likelihood(mu, sd, sigma):
        total = sigma**2 + size * sd**2
        between = size * ((means - mu) ** 2).sum()
        logs = groups * (size * np.log(2 * np.pi) + (size - 1) * np.log(sigma**2) + np.log(total))
        return -0.5 * (logs + within / sigma**2 + between / total)

    def minus(rest):
        theta = dict(zip([n for n in ("mu", "sd", "sigma") if n != label], rest, strict=True)) | {label: value}
        return -log_likelihood(theta["mu"], abs(theta["sd"]), abs(theta["sigma"]))

    start = [peak[n] for n in ("mu", "sd", "sigma") if n != label]
    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    best = min(
        optimize.minimize(minus, np.array(start) * f, method="Nelder-Mead", options=options).fun for f in (1, 1.3)
    )
    return 2 * (best + log_likelihood(**peak))


def test_dyestuff_intervals_match_the_closed_form_and_lme4():
    study = study_of("dyestuff", lambda: _one_way(DYESTUFF))
    found = study.likelihood.profile("mu", "sd", "sigma")
    peak = {name: float(study.likelihood.maximum().theta[name]) for name in ("mu", "sd", "sigma")}
    for i, label in enumerate(found.names):
        for bound in (found.lower[i], found.upper[i]):
            assert _one_way_profile(DYESTUFF, label, bound, peak) == pytest.approx(CUT, abs=1e-6)
    # R 4.2.2, lme4 1.1.31, confint(profile): splined, so good to about four digits.
    published = np.array([[1486.45149996883, 1568.54849436813], [12.1985352008205, 84.0630467201724],
                          [38.2299848823972, 67.6576962451717]])  # fmt: skip
    np.testing.assert_allclose(np.column_stack([found.lower, found.upper]), published, rtol=3e-4)
    check_deviance(found)


def test_dyestuff2_has_a_variance_of_zero_and_a_one_sided_interval():
    data = case("mixed/dyestuff2_boundary")
    y = np.array(data["data"]["Yield"], dtype=float).reshape(6, 5)
    study = study_of("dyestuff2", lambda: _one_way(y))
    found = study.likelihood.profile("mu", "sd", "sigma")
    assert found.lower[1] == 0.0
    published = data["reference_R"]["profile95"]
    assert found.upper[1] == pytest.approx(published["sd_(Intercept)|Batch"][1], rel=1e-4)
    np.testing.assert_allclose([found.lower[2], found.upper[2]], published["sigma"], rtol=3e-4)
    # The variance comes back inside on the way to both bounds of the mean, which lie evenly around it.
    np.testing.assert_allclose([found.lower[0], found.upper[0]], published["(Intercept)"], rtol=3e-4)
    assert found.lower[0] + found.upper[0] == pytest.approx(2 * y.mean(), abs=1e-6)
    check_deviance(found)


def _schools(centred):
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
        eta = pm.Normal("eta", mu if centred else 0.0, tau if centred else 1.0, shape=8)
        theta = eta if centred else mu + tau * eta
        errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
        pm.Normal("y", theta, errors, observed=np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]))
    return model


@pytest.mark.parametrize("centred", [True, False], ids=["centred", "non-centred"])
def test_eight_schools_bound_tau_from_above_only(centred):
    found = study_of(f"schools {centred}", lambda: _schools(centred)).likelihood.profile("tau")
    assert found.lower[0] == 0.0
    # Closed form, theta integrated out: tau at which the profile has dropped by half the quantile.
    assert found.upper[0] == pytest.approx(13.017526010993638, rel=PUBLISHED)


# -- published ------------------------------------------------------------------------------------------------------


def test_budworm_intervals_match_the_exact_profile_of_the_published_fit():
    data = case("glm/budworm_logit")
    dose, sex = np.array([0.0, 1, 2, 3, 4, 5] * 2), np.repeat([1, 0], 6)
    with pm.Model(coords={"sex": ["F", "M"]}) as model:
        level, slope = pm.Normal("level", 0, 10, dims="sex"), pm.Normal("slope", 0, 10)
        logit = level[sex] + slope * dose
        pm.Binomial("killed", n=20, logit_p=logit, observed=np.array([1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16]))
    found = wb.Study(model, seed=1).likelihood.profile("level[F]", "level[M]", "slope")
    exact = data["derived"]["profile_likelihood_95"]
    expected = [exact["sexF"], exact["sexM"], exact["ldose"]]
    np.testing.assert_allclose(np.column_stack([found.lower, found.upper]), expected, rtol=PUBLISHED)
    check_deviance(found)


def _curve(name, b, x):
    if name == "Misra1a":
        return b[0] * (1 - pm.math.exp(-b[1] * x))
    if name == "MGH09":
        return b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3])
    return (b[0] / b[1]) * pm.math.exp(-(((x - b[2]) / b[1]) ** 2) / 2)


@pytest.mark.parametrize("name", ["Misra1a", "MGH09", "Eckerle4"])
def test_nist_nonlinear_intervals_match_to_six_digits(name):
    data = case(f"nist_nonlinear/{name}")
    x, y = (np.array(data["data"][key], dtype=float) for key in ("x", "y"))
    start = data["starts"]["start2"]
    with pm.Model() as model:
        b = [pm.Normal(f"b{i + 1}", v, 0.1 * abs(v), initval=v) for i, v in enumerate(start)]
        sigma = pm.HalfNormal("sigma", float(np.std(y)))
        pm.Normal("y", _curve(name, b, x), sigma, observed=y)
    likelihood = wb.Study(model, seed=1).likelihood
    for level, expected in data["derived"]["profile_likelihood_intervals"].items():
        quantile = 0.6826894921370859 if level == "0.682689" else float(level)
        found = likelihood.profile(*expected, level=quantile)
        bounds = np.column_stack([found.lower, found.upper])
        np.testing.assert_allclose(bounds, list(expected.values()), rtol=PUBLISHED)


def test_norris_intervals_match_the_closed_form_of_nist():
    data = case("nist_linear/Norris")
    x, y = (np.array(data["data"][key], dtype=float) for key in ("x", "y"))
    with pm.Model() as model:
        b = pm.Normal("b", [0.0, 1.0], [5.0, 0.1], shape=2)
        sigma = pm.HalfNormal("sigma", 2.0)
        pm.Normal("y", b[0] + b[1] * x, sigma, observed=y)
    found = wb.Study(model, seed=1).likelihood.profile()
    expected = list(data["derived"]["profile_likelihood_intervals_0.95"].values())
    np.testing.assert_allclose(np.column_stack([found.lower, found.upper]), expected, rtol=PUBLISHED)


def test_longley_intervals_match_nist_where_its_collinear_columns_are_scaled():
    data = case("nist_linear/Longley")
    x = np.column_stack([data["data"][f"x{i}"] for i in range(1, 7)]).astype(float)
    y = np.array(data["data"]["y"], dtype=float)
    centre, scale = x.mean(axis=0), x.std(axis=0)
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 2000.0, shape=6)
        intercept, sigma = pm.Normal("intercept", y.mean(), 1000.0), pm.HalfNormal("sigma", 500.0)
        pm.Deterministic("B", b / scale)
        pm.Deterministic("B0", intercept - (b * (centre / scale)).sum())
        pm.Normal("y", intercept + pm.math.dot((x - centre) / scale, b), sigma, observed=y)
    found = wb.Study(model, seed=1).likelihood.profile("B0", *(f"B[{i}]" for i in range(6)), "sigma")
    expected = list(data["derived"]["profile_likelihood_intervals_0.95"].values())
    np.testing.assert_allclose(np.column_stack([found.lower, found.upper]), expected, rtol=PUBLISHED)
    check_deviance(found)


# -- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "level", "message"),
    [
        ("nothing", 0.95, "no scalar 'nothing'"),
        ("table", 0.95, "2 elements"),
        ("mu", 0.0, "level"),
        ("mu", 1.0, "level"),
        ("mu", "0.9", "level"),
        ({"mu": "one"}, 0.95, "weight"),
        ({"mu": 0.0}, 0.95, "nothing"),
        ({}, 0.95, "nothing"),
    ],
)
def test_wrong_names_levels_and_weights_are_errors_that_say_what_there_is(name, level, message):
    with pytest.raises(wb.InputError, match=message):
        normal().likelihood.profile(name, level=level)


def test_an_element_of_a_vector_is_named_by_its_index():
    found = normal().likelihood.profile("table[1]", "sigma")
    np.testing.assert_allclose(found.upper[0], found.upper[1], rtol=1e-12)


def test_a_profile_reads_back_from_json_and_says_its_level():
    found = normal().likelihood.profile()
    again = result_from_json(found.to_json())
    assert isinstance(again, Profile)
    assert again.to_json() == found.to_json()
    assert "95%" in repr(found)


def test_a_profile_of_a_given_summit_needs_no_study():
    study = normal()
    mode = study.likelihood.maximum()
    found = profile_likelihood(study.problem, find_summit(study.problem, mode, study.starts), mode, ["mu"])
    assert found.lower[0] == study.likelihood.profile("mu").lower[0]
