"""What is wrong with data or model is found before a fit, and named with its row and value."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, stats

import workbench as wb
from tests.models_zoo import NAMES
from workbench.errors import RefusalError
from workbench.model.density import LogDensity
from workbench.model.preflight import check_before_fit, narrow_constants


def refused(build):
    """The refusal of a model, wherever on the way to a fit it comes."""
    with pm.Model() as model:
        build()
    with pytest.raises(RefusalError) as refusal:
        check_before_fit(LogDensity(model))
    return refusal.value


@pytest.mark.parametrize("name", NAMES)
def test_every_good_model_passes(density, name):
    checks = check_before_fit(density(name))
    assert {check.code for check in checks} == {"terms-add-up", "start-finite"}
    assert {check.status for check in checks} == {"ok"}


def test_a_probability_that_rounds_to_zero_as_pymc_writes_it_is_compared_in_stable_form():
    # 1,000 times a coefficient of the probes: written out, log(1 - sigmoid) is minus infinity.
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1.0)
        pm.Bernoulli("y", logit_p=b * np.array([3000.0, -3000.0]), observed=[1, 1])
    checks = check_before_fit(LogDensity(model))
    assert [check.status for check in checks] == ["ok", "ok"]


def test_a_density_without_its_support_is_refused_also_where_both_routes_are_in_stable_form(monkeypatch):
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1.0)
        pm.Uniform("y", -1.0, 1.0 + 0.01 * b, observed=[0.99])
    density = LogDensity(model)
    monkeypatch.setattr(density, "pymc_target", lambda points, **_: np.full(len(points), -np.inf))
    with pytest.raises(RefusalError, match="do not add up"):
        check_before_fit(density)


def test_a_start_where_the_curve_is_not_a_number_moves_near_by():
    with pm.Model() as model:
        width = pm.Normal("width", 0.0, 10.0)  # 0 where the model starts: 0 / 0
        pm.Normal("y", pm.math.exp(-((np.array([0.0, 1.0]) / width) ** 2)), 1.0, observed=np.array([1.0, 0.5]))
    density = LogDensity(model)
    checks = {check.code: check for check in check_before_fit(density)}
    assert "moved" in checks["start-finite"].message
    assert np.isfinite(density.sums(density.space.start[None])[1]).all()
    assert 0.0 < abs(density.space.start[0]) <= 1.0


def test_a_likelihood_that_is_not_a_number_on_one_side_of_the_start_is_refused():
    def build():
        pm.Normal("y", pm.math.log(pm.Normal("mu", 0.0, 1.0)), 1.0, observed=np.array([0.5, 1.0]))

    assert "not a number" in refused(build).what


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gamma", "wald"])
def test_a_log_link_on_a_raw_column_is_looked_at_where_numbers_hold_its_mean(family):
    rng = np.random.default_rng(1)
    x = rng.uniform(1000.0, 5000.0, size=80)
    y = rng.gamma(3.0, np.exp(0.5 + 0.0004 * x) / 3.0)
    with pm.Model() as model:
        b, a = pm.Normal("b", 0.0, 1.0, shape=2), pm.HalfNormal("a", 5.0)
        mean = pm.math.exp(b[0] + b[1] * x)  # one step of 1 along b[1] is e^5000
        if family == "gamma":
            pm.Gamma("y", alpha=a, beta=a / mean, observed=y)
        else:
            pm.Wald("y", mu=mean, lam=a, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    scaled = (x - x.mean()) / x.std()

    def minus(theta):
        mean, a = np.exp(theta[0] + theta[1] * scaled), np.exp(theta[2])
        if family == "gamma":
            return -stats.gamma.logpdf(y, a, scale=mean / a).sum()
        return -stats.invgauss.logpdf(y, mean / a, scale=a).sum()

    best = optimize.minimize(minus, [1.0, 0.3, 1.0], method="BFGS")
    slope = best.x[1] / x.std()
    assert found.log_likelihood == pytest.approx(-best.fun, abs=1e-7)
    expected = [best.x[0] - slope * x.mean(), slope, np.exp(best.x[2])]
    assert [*found.theta["b"].values, float(found.theta["a"])] == pytest.approx(expected, rel=1e-4)


def test_a_root_of_what_may_be_negative_is_no_refusal_where_the_start_itself_is_finite():
    with pm.Model() as model:
        rate = pm.Normal("rate", 0.0, 10.0)  # 0 where the model starts, and below 0 the root is of a negative number
        pm.Normal("y", (1.0 + 2.0 * rate * np.array([1.0, 2.0])) ** -0.5, 1.0, observed=np.array([0.7, 0.5]))
    codes = {check.code: check.status for check in check_before_fit(LogDensity(model))}
    assert codes["start-finite"] == "ok"


def test_parameters_that_are_impossible_at_the_start_ask_for_another_one():
    def build():
        mean = 1.0 / pm.Normal("b", 0.0, 1.0)  # infinite where the model starts
        pm.Gamma("y", alpha=2.0, beta=2.0 / mean, observed=np.array([1.0, 2.0]))

    found = refused(build)
    assert "beta > 0" in found.what
    assert "initval" in found.fix


def test_infinite_observations_are_refused_with_row_and_value():
    def build():
        pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=np.array([1.0, np.inf, 3.0, -np.inf]))

    error = refused(build)
    assert error.where == "y"
    assert "2 values" in error.what
    assert "row 1: inf" in error.what
    assert "row 3: -inf" in error.what


def test_missing_observations_in_shared_data_are_refused_with_their_row():
    with pm.Model() as model:
        data = pm.Data("data", np.array([1.0, 2.0, 3.0]))
        pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=data)
        pm.set_data({"data": np.array([1.0, 2.0, np.nan])})
    with pytest.raises(RefusalError, match="row 2: nan") as refusal:
        check_before_fit(LogDensity(model))
    assert refusal.value.where == "y"


@pytest.mark.parametrize(
    ("build", "family", "found"),
    [
        (lambda: pm.Gamma("y", pm.Exponential("a", 1), 1, observed=np.array([1.0, -2.0, 3.0])), "Gamma", "row 1: -2.0"),
        (lambda: pm.LogNormal("y", pm.Normal("a"), 1, observed=np.array([0.5, 1.0, 0.0])), "LogNormal", "row 2: 0.0"),
        (lambda: pm.Poisson("y", pm.Exponential("a", 1), observed=np.array([-3, 1])), "Poisson", "row 0: -3"),
        (lambda: pm.Bernoulli("y", pm.Beta("a", 2, 2), observed=np.array([0, 1, 2])), "Bernoulli", "row 2: 2"),
        (lambda: pm.Binomial("y", 10, pm.Beta("a", 2, 2), observed=np.array([11, 3])), "Binomial", "row 0: 11"),
        (lambda: pm.Beta("y", pm.Exponential("a", 1), 2, observed=np.array([0.5, 1.5])), "Beta", "row 1: 1.5"),
        (
            lambda: pm.Categorical("y", pm.Dirichlet("a", np.ones(3)), observed=np.array([1, 3])),
            "Categorical",
            "row 1: 3",
        ),
        (
            lambda: pm.Truncated("y", pm.Normal.dist(pm.Normal("a"), 1), lower=0, observed=np.array([-1.0, 2.0])),
            "Truncated",
            "row 0: -1.0",
        ),
    ],
)
def test_observations_outside_the_support_are_refused_with_row_value_and_family(build, family, found):
    error = refused(build)
    assert error.where == "y"
    assert "1 observation of y is" in error.what
    assert found in error.what
    assert family in error.what


def test_a_fractional_count_is_refused_with_its_row_and_value():
    # PyMC cuts 2.5 to 2 without a word. Of an array it keeps nothing else; of `pm.Data` the cast can be seen.
    def build():
        counts = pm.Data("counts", np.array([1.0, 2.5, 3.0]))
        pm.Poisson("y", pm.Exponential("a", 1), observed=counts)

    error = refused(build)
    assert error.where == "y"
    assert "row 1: 2.5" in error.what


def test_many_bad_rows_are_counted_and_the_first_five_shown():
    error = refused(lambda: pm.Gamma("y", pm.Exponential("a", 1), 1, observed=-np.arange(1.0, 9.0)))
    assert "8 observations" in error.what
    assert "row 4: -5.0 and 3 more" in error.what


def test_a_bad_cell_of_a_matrix_is_named_by_both_indices():
    data = np.ones((3, 2))
    data[2, 1] = -4.0
    error = refused(lambda: pm.Gamma("y", pm.Exponential("a", 1), 1, observed=data))
    assert "row (2, 1): -4.0" in error.what


def test_a_missing_covariate_is_refused_and_the_observed_variable_named():
    def build():
        x = np.array([1.0, np.nan, 2.0])
        pm.Normal("y", pm.Normal("slope", 0, 1) * x, 1, observed=np.zeros(3))

    error = refused(build)
    assert error.where == "y"
    assert "NaN" in error.fix


def test_codes_that_start_at_one_are_refused():
    def build():
        effect = pm.Normal("effect", 0, 1, shape=3)
        pm.Normal("y", effect[np.array([1, 2, 3])], 1, observed=np.zeros(3))

    error = refused(build)
    assert error.where == "effect"
    assert "start at 1" in error.fix


def test_a_start_at_which_the_data_are_impossible_is_refused_with_a_remedy():
    def build():
        top = pm.Exponential("top", 1, initval=1.0)
        pm.Uniform("y", 0, top, observed=np.array([0.5, 4e9]))

    error = refused(build)
    assert "y" in error.where
    assert "`initval`" in error.fix


def test_a_prior_that_is_impossible_at_the_start_is_named():
    def build():
        mu = pm.Normal("mu", 0, 1)
        pm.Potential("never", pm.math.log(mu * 0.0))
        pm.Normal("y", mu, 1, observed=np.zeros(2))

    error = refused(build)
    assert "never" in error.what


def test_narrow_constants_are_found_where_pymc_is_wrong(density):
    (found,) = [text for text in narrow_constants(density("bounded")) if "(b)" in text]
    assert found in ("log_prior(b) to nan", "log_prior(b) to inf")  # 100 + 100 overflows eight bits
    (found,) = [text for text in narrow_constants(density("autoregression")) if "(sigma)" in text]
    assert "nats" in found


def test_nothing_is_found_where_every_constant_is_wide():
    with pm.Model() as model:
        mu = pm.Normal("mu", np.float64(170), np.float64(20))
        pm.Normal("y", mu, np.float64(3), observed=np.array([171.0, 168.5]))
    assert narrow_constants(LogDensity(model)) == ()


def test_single_precision_is_found_with_its_size():
    with pm.Model() as model:
        p = pm.Beta("p", 20.0, 30.0)
        pm.Bernoulli("y", p, observed=np.array([0, 1]))
    (found,) = narrow_constants(LogDensity(model))
    assert found.startswith("log_prior(p) by ")
    # The design measured 5.5e-6 for this prior; single precision of log B(20, 30), about 34 nats.
    assert 1e-8 < float(found.split("by ")[1].split(" ")[0]) < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_narrow_constants_can_be_looked_for_in_every_model(density, name):
    for text in narrow_constants(density(name)):
        assert text.startswith(("log_prior(", "log_likelihood("))
