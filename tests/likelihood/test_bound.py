"""Bounds of profiles where there is no maximum, and where the likelihood jumps, against closed forms."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from workbench import intervals
from workbench.errors import NoMaximumError, NumericalError, RefusalError
from workbench.likelihood import maximum
from workbench.likelihood.bound import solve_bound
from workbench.likelihood.holding import scatter
from workbench.likelihood.summit import BetterMaximum, Summit
from workbench.numerics.objective import FunctionObjective

pytestmark = pytest.mark.slow  # every model is compiled

CUT = stats.chi2.ppf(0.95, 1)
SOLVED = 1e-6  # relative
COUNTS = np.array([3, 4, 3, 4, 5, 4, 3, 4, 4, 3])  # less dispersed than Poisson counts
EVENTS = np.array([3, 2, 4, 3, 1, 3, 2, 4, 3, 3, 9, 7, 8, 10, 7, 8, 9, 6, 8, 9])
X6 = np.arange(1.0, 7.0)


def profile(build, *names):
    with pm.Model() as model:
        build()
    study = wb.Study(model, seed=1)
    with pytest.raises(NoMaximumError):
        study.likelihood.maximum()
    return study.likelihood.profile(*names)


def test_a_mean_beside_a_dispersion_at_infinity_has_the_interval_of_poisson_counts():
    found = profile(
        lambda: pm.NegativeBinomial(
            "y", mu=pm.Exponential("mu", 0.2), alpha=pm.Exponential("alpha", 0.2), observed=COUNTS
        )
    )

    def deviance(mu):
        return 2 * (stats.poisson.logpmf(COUNTS, COUNTS.mean()) - stats.poisson.logpmf(COUNTS, mu)).sum()

    bounds = [optimize.brentq(lambda mu: deviance(mu) - CUT, *ends, xtol=1e-12) for ends in ((1.0, 3.7), (3.7, 9.0))]
    assert [found.lower[0], found.upper[0]] == pytest.approx(bounds, rel=1e-5)
    assert (found.estimate[1], found.upper[1]) == (np.inf, np.inf)
    assert found.lower[1] > 1.0


def test_a_slope_that_separates_is_best_at_infinity_whatever_the_link():
    found = profile(
        lambda: pm.Bernoulli(
            "y", p=pm.math.invprobit(pm.Normal("a", 0, 10) + pm.Normal("b", 0, 10) * X6), observed=[0, 0, 0, 1, 1, 1]
        )
    )
    assert (found.estimate[0], found.lower[0]) == (-np.inf, -np.inf)
    assert (found.estimate[1], found.upper[1]) == (np.inf, np.inf)
    slope = found.lower[1]

    def height(a):
        return stats.norm.logcdf(np.where(X6 > 3.5, 1.0, -1.0) * (a + slope * X6)).sum()

    best = optimize.minimize_scalar(
        lambda a: -height(a), bounds=(-20.0, 10.0), method="bounded", options={"xatol": 1e-12}
    )
    assert 2 * best.fun == pytest.approx(CUT, rel=SOLVED)


def test_separated_grades_have_a_one_sided_interval():
    x = np.arange(12.0)
    found = profile(
        lambda: pm.OrderedLogistic(
            "y", eta=pm.Normal("b", 0, 2) * x, observed=np.repeat([0, 1, 2], 4),
            cutpoints=pm.Normal("c", 0, 5, shape=2, transform=pm.distributions.transforms.ordered, initval=[2.0, 6.0]),
        ),
        "b",
    )  # fmt: skip
    assert (found.estimate[0], found.upper[0]) == (np.inf, np.inf)

    def minus(theta):
        low, gap = theta[0], np.exp(theta[1])
        edges = np.array([-np.inf, low, low + gap, np.inf])
        grade = np.repeat([0, 1, 2], 4)
        eta = found.lower[0] * x
        upper, lower = stats.logistic.cdf(edges[grade + 1] - eta), stats.logistic.cdf(edges[grade] - eta)
        return -np.log(np.maximum(upper - lower, 1e-300)).sum()

    best = optimize.minimize(minus, [5.6, 1.8], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-12})
    assert 2 * best.fun == pytest.approx(CUT, rel=SOLVED)


def test_the_interval_of_a_change_point_ends_where_the_likelihood_jumps_and_says_so():
    t = np.arange(20.0)

    def build():
        tau, early, late = pm.Uniform("tau", 0, 19), pm.Exponential("early", 0.2), pm.Exponential("late", 0.2)
        pm.Poisson("y", pm.math.switch(t < tau, early, late), observed=EVENTS)

    found = profile(build)

    def height(k):  # the first k observations before the change
        parts = EVENTS[:k], EVENTS[k:]
        return sum(stats.poisson.logpmf(part, part.mean()).sum() for part in parts)

    heights = np.array([height(k) for k in range(1, 20)])
    inside = 1 + np.flatnonzero(2 * (heights.max() - heights) <= CUT)
    assert [found.lower[0], found.upper[0]] == pytest.approx([inside.min() - 1, inside.max()], abs=1e-9)
    beyond = [2 * (heights.max() - height(k)) for k in (inside.min() - 1, inside.max() + 1)]
    assert [found.lower_deviance[0], found.upper_deviance[0]] == pytest.approx(beyond, rel=1e-6)
    assert sum("the likelihood jumps" in line for line in found.notes()) == 2


def test_a_curve_that_is_hardly_bent_keeps_its_maximum_when_profiled_into_rounding():
    # 1 - exp(-k x) at k = 1e-13 is made of rounding, which looked like a maximum 0.4 nats higher.
    x = np.linspace(0.0, 1.0, 30)
    y = 2.0 * x + 0.05 * np.random.default_rng(21).standard_normal(30)
    with pm.Model() as model:
        curve = pm.Normal("a", 0, 10) * (1 - pm.math.exp(-pm.HalfNormal("k", 5) * x))
        pm.Normal("y", curve, pm.HalfNormal("sigma", 3), observed=y)
    study = wb.Study(model, seed=1)
    before = study.likelihood.maximum().log_likelihood
    found = study.likelihood.profile()
    assert study.likelihood.maximum().log_likelihood == before
    assert found.upper[0] == np.inf

    def squares(k):
        column = -np.expm1(-k * x)
        return np.sum((y - column * (column @ y) / (column @ column)) ** 2)

    least = optimize.minimize_scalar(squares, bounds=(1e-6, 1.0), method="bounded", options={"xatol": 1e-10}).fun
    upper = optimize.brentq(lambda k: 30 * np.log(squares(k) / least) - CUT, 0.01, 1.0, xtol=1e-12)
    assert found.upper[1] == pytest.approx(upper, rel=1e-4)
    assert found.lower[1] < 1e-10


def test_scatter_measures_rounding_and_not_curvature():
    smooth = FunctionObjective(2, lambda x: (-float(np.exp(x[0]) + 50 * x[1] ** 2), np.zeros(2)))
    noise = np.random.default_rng(1)
    rough = FunctionObjective(2, lambda x: (-float(x @ x) + 1e-3 * noise.normal(), np.zeros(2)))
    assert scatter(smooth, np.array([1.0, 2.0]), np.ones(2)) < 1e-6
    assert 1e-4 < scatter(rough, np.array([1.0, 2.0]), np.ones(2)) < 1e-1


def test_a_jump_between_refits_is_an_error_and_no_bound():
    class Jumping:  # two branches, of which a refit finds now the one and now the other
        quantities = (type("Named", (), {"name": "a", "coordinate": 0}),)
        objective = FunctionObjective(2, lambda x: (-0.5 if x[1] == 0 else -8.0, np.zeros(2)))

        def peak(self, held, _):
            return (np.append(held, 0.0), -0.5) if held[0] < 1.0 else (np.append(held, 1.0), -8.0)

    summit = Summit(np.zeros(2), 0.0, np.eye(2), np.ones(2), {}, ())
    with pytest.raises(wb.NumericalError, match="jumps"):
        solve_bound(Jumping(), summit, 1.96, (0.5, 2.0), (np.zeros(2), np.array([2.0, 1.0])))


def a_mean():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0, 10), 1.0, observed=np.array([0.3, 1.1, 0.7]))
    return wb.Study(model, seed=1)


@pytest.mark.parametrize(("kind", "rough"), [("unmeasurable", False), ("interval", True)])
def test_a_higher_place_at_which_nothing_can_be_measured_leaves_the_maximum_alone(monkeypatch, kind, rough):
    study = a_mean()
    before = study.likelihood.maximum()

    def nowhere(*_):
        raise NoMaximumError(kind, "nothing", "mu", "nothing")

    def better(*_):
        raise BetterMaximum(np.array([3.0]), 0.5)

    monkeypatch.setattr(intervals, "maximise_likelihood", nowhere)
    monkeypatch.setattr(intervals, "is_rough", lambda *_: rough)
    monkeypatch.setattr(intervals, "profile_likelihood", better)
    starts = len(study.starts)
    with pytest.raises(RefusalError, match=r"0.5 nats higher, at mu = 3.*may be one of rounding"):
        study.likelihood.profile()
    assert study.likelihood.maximum() is before
    assert len(study.starts) == starts


def test_ever_higher_places_on_the_way_to_infinity_are_followed_a_few_times(monkeypatch):
    x = np.arange(6.0)
    with pm.Model() as model:  # separated: the maximum is at infinity
        a, b = pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
        pm.Bernoulli("y", logit_p=a + b * x, observed=(x > 2).astype(int))
    looks = []

    def higher(_, end):
        looks.append(end)
        return None, end.z * 1.1

    monkeypatch.setattr(maximum, "look_far", higher)
    with pytest.raises(NoMaximumError):
        wb.Study(model, seed=1).likelihood.maximum()
    assert 1 < len(looks) < 10


def test_where_all_are_censored_the_profile_of_the_mean_jumps_at_the_limit():
    def build():
        mu, sigma = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("sigma", 5.0)
        pm.Censored("y", pm.Normal.dist(mu, sigma), lower=None, upper=3.0, observed=np.full(10, 3.0))

    found = profile(build)
    assert found.lower == pytest.approx([3.0, 0.0], rel=1e-9)
    assert list(found.upper) == [np.inf, np.inf]
    assert found.lower_deviance[0] == pytest.approx(20 * np.log(2), rel=1e-6)  # below it half of them at best
    assert "at the lower bound the likelihood jumps" in repr(found)


def test_of_separated_ordered_outcomes_the_intervals_are_mirror_images():
    x = np.arange(12.0) - 5.5

    def build():
        cuts = pm.Normal("c", [-1.0, 1.0], 2.0, transform=pm.distributions.transforms.ordered)
        slope = pm.Normal("b", 0.0, 2.0)
        pm.OrderedProbit("y", eta=slope * x, cutpoints=cuts, observed=np.repeat([0, 1, 2], 4))

    found = profile(build)
    assert found.names == ("c[0]", "c[1]", "b")
    assert found.lower[1] == pytest.approx(-found.upper[0], rel=1e-6)
    assert list(found.estimate) == [-np.inf, np.inf, np.inf]


def test_a_ridge_that_a_walk_has_left_is_found_again():
    n = np.full(6, 10)

    def build():
        mu, precision = pm.Uniform("mu", 0.0, 1.0), pm.math.exp(pm.Normal("lk", 1.0, 1.0))
        pm.BetaBinomial("y", n=n, alpha=mu * precision, beta=(1 - mu) * precision, observed=n)

    assert profile(build, "mu").lower[0] == pytest.approx(np.exp(-CUT / 2 / 6), rel=SOLVED)


def test_a_simplex_that_the_data_do_not_determine_ends_at_zero_and_one():
    def build():
        pm.Dirichlet("share", np.ones(3))
        pm.Normal("y", pm.Normal("mu", 0.0, 2.0), 1.0, observed=X6)

    found = profile(build, "share[0]", "share[2]")
    assert list(found.lower) == [0.0, 0.0]
    assert list(found.upper) == [1.0, 1.0]


def test_no_bound_is_given_where_numbers_end_before_the_others_have_followed():
    x = np.linspace(-2.0, 2.0, 16)

    def build():
        b = pm.Normal("b", 0.0, 2.0, shape=2)
        # Of any b[0] the outcomes can be separated, but exp(b[0] + b[1] * 2) has no number beyond e^709.
        chance = 1 - pm.math.exp(-pm.math.exp(b[0] + b[1] * x))
        pm.Bernoulli("y", p=chance, observed=(x > 0.1).astype(int))

    with pytest.raises(NumericalError, match=r"refits of the profile of b\[0\] end near .* although .* still rises"):
        profile(build, "b[0]")
