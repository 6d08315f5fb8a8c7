"""Bootstrap maxima spread as closed forms say, BCa is SciPy's, and what has no maximum is counted."""

from functools import cache

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from workbench.errors import InputError, RefusalError
from workbench.likelihood.bootstrap import bootstrap_maximum
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.likelihood.units import independent_units
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.result import result_from_json

HEIGHTS = 170 + 8 * np.random.default_rng(1).normal(size=60)
WAITS = np.random.default_rng(2).exponential(3.0, size=25)


def _height():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 170, 20), pm.HalfNormal("sigma", 20), observed=HEIGHTS)
    return model


def _wait():
    with pm.Model() as model:
        rate = pm.HalfNormal("rate", 5)
        pm.Deterministic("mean", 1 / rate)
        pm.Exponential("y", rate, observed=WAITS)
    return model


def _coin(y=(1, 1, 1, 0, 1, 1, 1, 1)):
    with pm.Model() as model:
        pm.Bernoulli("y", pm.Beta("p", 1, 1), observed=np.array(y))
    return model


def _vectors():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5, shape=2)
        pm.MvNormal("y", mu, np.array([[1.0, 0.5], [0.5, 1.0]]), observed=np.random.default_rng(3).normal(size=(30, 2)))
    return model


def _separable():
    with pm.Model() as model:
        b = pm.Normal("b", 0, 5, shape=2)
        x = np.linspace(-2, 2, 12)
        y = np.array([0, 0, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1])
        pm.Bernoulli("y", logit_p=b[0] + b[1] * x, observed=y)
    return model


MODELS = {"height": _height, "wait": _wait, "coin": _coin, "vectors": _vectors, "separable": _separable}


@cache
def posed(name):
    density = LogDensity(MODELS[name]())
    problem = pose(density)
    return problem, maximise_likelihood(problem, examine(density), density.space.start[None])


@cache
def drawn(name, kind, count=400, seed=1):
    return bootstrap_maximum(*posed(name), count, kind, 0.9, seed)


def close(found, exact, boot, factor=4.0):
    assert np.all(np.abs(found - exact) < factor * boot.mcse)


@pytest.mark.slow
def test_the_parametric_spread_of_height_is_the_textbook_standard_error():
    boot, n, sd = drawn("height", "parametric"), HEIGHTS.size, HEIGHTS.std()
    close(boot.std_error, [sd / np.sqrt(n), sd * np.sqrt((n - 1) / 2) / n], boot, factor=5.0)
    assert boot.maximum == pytest.approx([HEIGHTS.mean(), sd], rel=1e-8)


def test_every_parametric_maximum_is_that_of_its_data():
    # sigma-hat of each replicate is a chi with n - 1 degrees of freedom.
    sigma = drawn("height", "parametric").estimates[:, 1]
    n = HEIGHTS.size
    assert stats.kstest(n * sigma**2 / HEIGHTS.var(), stats.chi2(n - 1).cdf).pvalue > 0.001


def test_nonparametric_maxima_are_those_of_the_weighted_data():
    boot = drawn("height", "nonparametric", 50)
    weights = np.random.default_rng((1, 7)).multinomial(HEIGHTS.size, np.full(HEIGHTS.size, 1 / HEIGHTS.size))
    again = np.repeat(HEIGHTS, weights)
    assert boot.estimates[7] == pytest.approx([again.mean(), again.std()], rel=1e-8)


def test_bayesian_maxima_of_a_mean_are_a_dirichlet_average():
    boot = drawn("height", "bayesian")
    exact = HEIGHTS.std() / np.sqrt(HEIGHTS.size + 1)  # Rubin 1981
    close(boot.std_error[0], exact, boot, factor=5.0)
    assert "BCa" not in " ".join(boot.table().columns)
    assert np.isnan(boot.acceleration).all()


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_bca_intervals_are_those_of_scipy_from_the_same_replicates(level):
    boot = drawn("wait", "nonparametric")
    for column, statistic in enumerate((lambda y, axis: 1 / y.mean(axis), lambda y, axis: y.mean(axis))):

        class Before:
            bootstrap_distribution = boot.estimates[:, column]

        theirs = stats.bootstrap(
            (WAITS,), statistic, n_resamples=0, bootstrap_result=Before, confidence_level=level, method="BCa"
        ).confidence_interval  # fmt: skip
        ours = boot.interval(level).iloc[column]
        assert (ours["lower"], ours["upper"]) == pytest.approx((theirs.low, theirs.high), rel=1e-8)
        percentile = boot.interval(level, kind="percentile").iloc[column]
        tails = np.percentile(boot.estimates[:, column], [50 * (1 - level), 50 * (1 + level)])
        assert percentile.to_list() == pytest.approx(tails.tolist(), rel=1e-12)


@pytest.mark.slow
def test_the_parametric_acceleration_of_a_rate_is_minus_a_third_of_the_root():
    # The score n / rate - sum y has skewness -2 / sqrt(n); a sixth of it is the acceleration (Efron 1987).
    boot = drawn("wait", "parametric", 4000)
    assert boot.acceleration[0] == pytest.approx(-1 / (3 * np.sqrt(WAITS.size)), abs=0.02)
    scaled = 2 * WAITS.sum()
    exact = stats.chi2(2 * WAITS.size).ppf([0.05, 0.95]) / scaled
    assert boot.interval(0.9).loc["rate"].to_list() == pytest.approx(exact.tolist(), rel=0.03)


def test_acceleration_by_scores_is_near_that_of_leaving_out():
    by_scores = bootstrap_maximum(*posed("wait"), 20, "nonparametric", 0.9, 1)  # fewer replicates than observations
    assert by_scores.acceleration == pytest.approx(drawn("wait", "nonparametric").acceleration, abs=0.02)


def test_vector_valued_observations_are_drawn_as_rows():
    boot = drawn("vectors", "nonparametric")
    y = posed("vectors")[0].density.symbolic.observed["y"]
    close(boot.std_error, y.std(axis=0) / np.sqrt(30), boot, factor=5.0)
    weights = np.random.default_rng((1, 0)).multinomial(30, np.full(30, 1 / 30))
    assert boot.estimates[0] == pytest.approx(np.repeat(y, weights, axis=0).mean(axis=0), rel=1e-6)


@pytest.mark.slow
def test_maxima_at_the_edge_are_kept_with_their_edge_and_counted():
    boot = drawn("coin", "parametric")
    assert boot.edges["p"] == np.sum(boot.estimates == 1.0)
    assert boot.edges["p"] / 400 == pytest.approx(0.875**8, abs=0.08)
    assert np.all(np.isin(np.round(8 * boot.estimates[:, 0], 9), np.arange(9)))
    assert any("edge" in note for note in boot.notes())


@pytest.mark.slow
def test_replicates_without_a_maximum_are_counted_and_the_check_fails():
    boot = drawn("separable", "nonparametric")
    missing = np.isnan(boot.estimates).all(axis=1).sum()
    assert missing == sum(boot.failures.values()) > 20
    assert any("no maximum" in reason for reason in boot.failures)
    assert boot.checks[0].status == "failed"
    assert boot.checks[0].fix


@pytest.mark.parametrize("kind", ["parametric", "nonparametric", "bayesian"])
def test_a_replicate_depends_on_the_seed_and_its_number_alone(kind):
    few, many = drawn("wait", kind, 10), drawn("wait", kind)
    assert np.array_equal(few.estimates, many.estimates[:10])
    assert not np.array_equal(few.estimates, drawn("wait", kind, 10, seed=2).estimates)


def test_a_bootstrap_survives_json():
    for boot in (drawn("coin", "parametric"), drawn("separable", "nonparametric"), drawn("height", "bayesian")):
        assert result_from_json(boot.to_json()).to_json() == boot.to_json()


def test_bad_questions_are_refused_by_name():
    boot = drawn("coin", "parametric")
    with pytest.raises(InputError, match="level"):
        boot.interval(1.2)
    with pytest.raises(InputError, match="kind"):
        boot.interval(kind="basic")
    with pytest.raises(InputError, match="kind"):
        bootstrap_maximum(*posed("coin"), 10, "wild")
    with pytest.raises(InputError, match="replicates"):
        bootstrap_maximum(*posed("coin"), 1)


def _refused(model, kind, **sides):
    density = LogDensity(model, **sides)
    problem = pose(density)
    mode = maximise_likelihood(problem, examine(density), density.space.start[None])
    with pytest.raises(RefusalError) as refusal:
        bootstrap_maximum(problem, mode, 10, kind)
    return refusal.value


def test_one_observation_cannot_be_drawn_again_but_simulated():
    with pm.Model() as model:
        pm.Binomial("k", 100, pm.Beta("p", 1, 1), observed=61)
    assert _refused(model, "nonparametric").where == "k"
    density = LogDensity(model)
    problem = pose(density)
    mode = maximise_likelihood(problem, examine(density), density.space.start[None])
    boot = bootstrap_maximum(problem, mode, 400)
    close(boot.std_error, np.sqrt(0.61 * 0.39 / 100), boot, factor=5.0)


def _change_point():
    counts = np.random.default_rng(8).poisson(np.where(np.arange(40) < 18, 3.0, 1.0))
    with pm.Model() as model:
        switch = pm.DiscreteUniform("switch", 0, 39)
        early, late = pm.Exponential("early", 1.0), pm.Exponential("late", 1.0)
        pm.Poisson("y", pm.math.switch(switch >= np.arange(40), early, late), observed=counts)
    return model


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nonparametric", "bayesian"])
def test_observations_that_share_a_change_point_cannot_be_drawn_again(kind):
    refusal = _refused(_change_point(), kind)
    assert refusal.where == "y"
    assert "share switch are dependent, which leaves 2 independent units" in refusal.what


@pytest.mark.slow
def test_criteria_count_every_observation_of_a_change_point_and_the_sandwich_is_refused():
    density = LogDensity(_change_point())
    problem = pose(density)
    mode = maximise_likelihood(problem, examine(density), density.space.start[None])
    assert mode.n_observations == 40
    assert mode.bic == pytest.approx(2 * np.log(40) - 2 * mode.log_likelihood)
    assert mode.aicc == pytest.approx(mode.aic + 2 * 2 * 3 / 37)
    units = independent_units(problem)
    assert (units.count, units.least) == (2, 5)
    assert "independent units" in units.alone


@pytest.mark.slow
def test_many_sequences_with_a_label_each_are_drawn_as_sequences():
    generator = np.random.default_rng(9)
    label = generator.random(40) < 0.4
    y = generator.normal(np.where(label, 3.0, 0.0)[:, None], 1.0, size=(40, 3))
    with pm.Model() as model:
        z, mu = pm.Bernoulli("z", 0.4, shape=40), pm.Normal("mu", [0.0, 3.0], 0.5)
        pm.Normal("y", mu[z][:, None], 1.0, observed=y)
    density = LogDensity(model)
    problem = pose(density)
    mode = maximise_likelihood(problem, examine(density), density.space.start[None])
    boot = bootstrap_maximum(problem, mode, 200, "nonparametric", seed=2)
    assert (mode.n_observations, boot.unit) == (120, "all observations that share z")
    assert {c.code: c.status for c in boot.checks}["blocks-enough"] == "ok"
    close(boot.std_error, mode.errors, boot, factor=8.0)


def test_the_rounding_of_a_constant_is_no_standard_error():
    # The diagonal of a correlation matrix is 1, give or take a bit, as this sum of squares is.
    with pm.Model() as model:
        p = pm.Beta("p", 1, 1)
        pm.Deterministic("one", pm.math.sin(9.0 * p) ** 2 + pm.math.cos(9.0 * p) ** 2)
        pm.Binomial("k", 100, p, observed=61)
    density = LogDensity(model)
    problem = pose(density)
    boot = bootstrap_maximum(problem, maximise_likelihood(problem, examine(density), density.space.start[None]), 50)
    assert 0.0 < np.ptp(boot.estimates[:, 1]) < 1e-15
    assert np.isnan(boot.std_error[1])
    assert boot.std_error[0] > 0.0
    assert "1e-1" not in repr(boot)


def test_a_potential_in_the_likelihood_is_refused_for_every_kind():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 10)
        pm.Potential("pull", -((mu - 1) ** 2))
        pm.Normal("y", mu, 1, observed=np.array([4.8, 5.3]))
    for kind in ("parametric", "nonparametric", "bayesian"):
        assert _refused(model, kind, potentials={"pull": "likelihood"}).where == "pull"


KINDS = [("parametric", "BCa"), ("nonparametric", "BCa"), ("parametric", "percentile")]


@pytest.mark.deep
@pytest.mark.slow
def test_intervals_of_an_exponential_rate_cover_as_often_as_they_say():
    # 25 data sets of 40 waits; 90% intervals from 200 replicates. Nonparametric BCa is known to be a little short.
    rng, trials, covered = np.random.default_rng(9), 25, dict.fromkeys(KINDS, 0)
    for _ in range(trials):
        with pm.Model() as model:
            pm.Exponential("y", pm.HalfNormal("rate", 5), observed=rng.exponential(2.0, size=40))
        density = LogDensity(model)
        problem = pose(density)
        mode = maximise_likelihood(problem, examine(density), density.space.start[None])
        found = {kind: bootstrap_maximum(problem, mode, 200, kind, 0.9, seed=1) for kind, _ in KINDS}
        for kind, interval in KINDS:
            ends = found[kind].interval(kind=interval)
            covered[kind, interval] += ends["lower"].iloc[0] <= 0.5 <= ends["upper"].iloc[0]
    shares = {kind: count / trials for kind, count in covered.items()}
    error = np.sqrt(0.09 / trials)
    for (kind, interval), share in shares.items():
        allowance = 0.05 if kind == "nonparametric" else 0.0
        assert 0.9 - allowance - 3 * error <= share <= 0.9 + 3 * error, (kind, interval)
