"""Bayes' theorem adds up: every term, by every route, on every model.

Three routes to the log density on z are compared. The first is the compiled function. The second is every term on its
own, run operation by operation. The third is PyMC's own sum: once with the constants widened, and once on a model
that was built while PyTensor was told never to narrow a number, so that nothing of Workbench takes part in it.
"""

import dataclasses

import numpy as np
import pymc as pm
import pytensor
import pytest
from pymc.distributions import transforms
from scipy import special, stats

from tests.models_zoo import COVARIATES, HEIGHTS, NAMES, OTHER_DATA, OUTCOMES, SIDES, ZOO, build, height, logistic
from workbench.errors import InputError, RefusalError
from workbench.model.density import JOINT, LIKELIHOOD, PRIOR, TARGET, LogDensity, Weights
from workbench.model.preflight import check_before_fit
from workbench.numerics.optimise import climb
from workbench.numerics.quadrature import integrate

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

ADDS_UP = 1e-10  # relative; the promise of the design
# Two orders of the same 64-bit sums; the tolerance of the promise, with room for 480 observations.
SAME = 1e-12


def relative(found, expected):
    """Largest difference, relative to the expected value or to 1 nat."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert np.array_equal(np.isfinite(found), np.isfinite(expected))
    finite = np.isfinite(expected)
    assert np.array_equal(found[~finite], expected[~finite])
    return np.max(np.abs(found - expected)[finite] / np.maximum(1.0, np.abs(expected[finite])), initial=0.0)


def at(objective, points):
    return np.array([objective.value(z) for z in points])


@pytest.mark.parametrize("name", NAMES)
def test_terms_add_up_to_the_log_density_of_pymc(density, points, name):
    d = density(name)
    z = points(d)
    assert relative(sum(d.sums(z)), d.pymc_target(z)) < ADDS_UP
    assert np.isfinite(d.pymc_target(z)).sum() >= 50  # agreement at -inf alone would prove nothing


@pytest.mark.parametrize("name", NAMES)
def test_compiled_target_is_the_log_density_of_pymc(density, points, name):
    d = density(name)
    z = points(d)
    assert relative(at(d.objective(TARGET), z), d.pymc_target(z)) < ADDS_UP


@pytest.mark.parametrize("name", NAMES)
def test_target_is_what_pymc_computes_where_no_number_was_ever_narrowed(density, points, name):
    # PyTensor's other casting policy keeps Python numbers as int64 and float64 wherever they appear.
    with pytensor.config.change_flags(cast_policy="numpy+floatX", cxx=""):
        model = build(name)
        plain = model.compile_logp(mode="FAST_COMPILE")
    d = density(name)
    z = points(d, 20)
    values = [d.symbolic.values[n].name for n in d.space.names]
    blocks = [(d.space.blocks[n], d.space.block_shapes[n]) for n in d.space.names]
    expected = [float(plain({v: p[b].reshape(s) for v, (b, s) in zip(values, blocks, strict=True)})) for p in z]
    assert relative(at(d.objective(TARGET), z), expected) < ADDS_UP


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", [LIKELIHOOD, JOINT, PRIOR, Weights(0.3, 0.7, 0.0)], ids=str)
def test_every_choice_of_weights_is_the_weighted_sum_of_the_terms(density, points, name, weights):
    d = density(name)
    z = points(d)
    log_prior, log_likelihood, log_jacobian = d.sums(z)
    expected = np.zeros(len(z))
    for weight, term in (
        (weights.prior, log_prior),
        (weights.likelihood, log_likelihood),
        (weights.jacobian, log_jacobian),
    ):
        if weight:
            expected = expected + weight * term
    # Prior and Jacobian can cancel, so the size of the terms counts, not of their sum.
    size = np.maximum(1.0, np.abs(log_prior) + np.abs(log_likelihood) + np.abs(log_jacobian))
    assert np.max(np.abs(at(d.objective(weights), z) - expected) / size) < ADDS_UP


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", [TARGET, LIKELIHOOD, PRIOR], ids=str)
def test_gradient_is_the_slope_of_the_value(density, points, name, weights):
    d = density(name)
    objective = d.objective(weights)
    h = 1e-4
    for z in points(d, 5):
        value, gradient = objective.value_and_gradient(z)
        assert value == objective.value(z)
        slopes = []
        for i in range(d.space.dimension):
            e = np.zeros_like(z)
            e[i] = h
            near = objective.value(z + e) - objective.value(z - e)
            slopes.append((8 * near - objective.value(z + 2 * e) + objective.value(z - 2 * e)) / (12 * h))
        # Five-point differences: rounding eps |log f| / h, truncation h^4 times the fifth derivative.
        scale = max(1.0, np.abs(gradient).max())
        assert np.abs(gradient - slopes).max() < 1e-7 * scale + 1e-11 * abs(value) / h * 1e-1


def independent(transform, theta):
    """The elements of theta that are functions of as many coordinates: a simplex loses its last one."""
    return theta[..., :-1] if isinstance(transform, transforms.SimplexTransform) else theta


@pytest.mark.parametrize("name", NAMES)
def test_log_jacobian_is_the_volume_that_the_map_from_z_to_theta_really_has(density, points, name):
    # A Jacobian that is wrong in PyMC or was overridden would add up and still be wrong: this is the map itself.
    d, h = density(name), 1e-4
    for z in points(d, 4):
        found = d.terms(z).log_jacobian
        for variable, block in d.space.blocks.items():
            if variable not in found or variable == "effects":  # zero-sum effects are rotated: 3 into 4 coordinates
                continue
            transform = d.model.rvs_to_transforms[d.model[variable]]
            shifts = (
                np.repeat(np.eye(z.size)[block], 4, axis=0)
                * np.tile([h, -h, 2 * h, -2 * h], block.stop - block.start)[:, None]
            )
            theta = independent(transform, d.space.theta(z + shifts)[variable])
            plus, minus, plus2, minus2 = theta.reshape(block.stop - block.start, 4, -1).swapaxes(0, 1)
            slopes = (8 * (plus - minus) - (plus2 - minus2)) / (12 * h)
            # Each element to 1e-11 of its size; determinants of up to 6 x 6 lose two digits.
            assert found[variable][0] == pytest.approx(np.linalg.slogdet(slopes)[1], abs=1e-7)


# -- weights and data that change at run time --------------------------------------------------------------------


@pytest.mark.parametrize("name", OTHER_DATA)
def test_replaced_data_give_the_density_of_a_rebuilt_model(density, points, name):
    d, new = density(name), OTHER_DATA[name]
    observed = next(iter(d.symbolic.observed))
    rebuilt = LogDensity(ZOO[name](y=new), SIDES.get(name))
    z = points(d, 20)
    assert relative(at(d.objective(TARGET, {observed: new}), z), rebuilt.pymc_target(z)) < ADDS_UP
    assert relative(at(d.objective(TARGET), z), d.pymc_target(z)) < ADDS_UP  # and the old data are still there


@pytest.mark.parametrize("row", [0, 17])
def test_weight_zero_of_one_observation_is_the_model_without_it(density, points, row):
    cases = {
        "height": ("height", lambda: height(np.delete(HEIGHTS, row))),
        "logistic": ("y", lambda: logistic(np.delete(OUTCOMES, row), np.delete(COVARIATES, row, axis=0))),
    }
    for name, (observed, rebuild) in cases.items():
        d, without = density(name), LogDensity(rebuild())
        w = np.ones(d.likelihood_shapes[observed])
        w[row] = 0.0
        z = points(d, 20)
        found = at(d.objective(Weights(likelihood={observed: w})), z)
        assert relative(found, without.pymc_target(z)) < ADDS_UP


def test_whole_weights_are_repeated_observations(density, points):
    d = density("height")
    w = np.random.default_rng(1).multinomial(len(HEIGHTS), np.full(len(HEIGHTS), 1 / len(HEIGHTS))).astype(float)
    repeated = LogDensity(height(np.repeat(HEIGHTS, w.astype(int))))
    z = points(d, 20)
    found = at(d.objective(Weights(prior=0.0, likelihood={"height": w}, jacobian=0.0)), z)
    assert relative(found, repeated.sums(z)[1]) < ADDS_UP


def test_an_observed_variable_that_the_weights_do_not_name_keeps_weight_one(density, points):
    d = density("several")
    z = points(d, 10)
    found = at(d.objective(Weights(0.0, {"count": 0.0}, 0.0)), z)
    assert relative(found, d.terms(z).log_likelihood["size"].sum(axis=1)) < SAME


@pytest.fixture(scope="module")
def impossible():
    """The third of three observations lies above the support for small theta."""
    with pm.Model() as model:
        top = pm.HalfNormal("top", 1)
        pm.Uniform("y", 0, top, observed=np.array([0.1, 0.2, 5.0]), initval=None)
    return LogDensity(model)


def test_weight_zero_times_minus_infinity_is_zero(impossible):
    z = np.array([0.0])  # top = 1
    assert impossible.objective(LIKELIHOOD).value(z) == -np.inf
    without = impossible.objective(Weights(0.0, {"y": [1.0, 1.0, 0.0]}, 0.0))
    value, gradient = without.value_and_gradient(z)
    assert value == pytest.approx(0.0, abs=1e-15)  # two densities of 1 / top, top = 1
    assert gradient == pytest.approx([-2.0], rel=1e-12)  # d/dz of -2 log top
    off = impossible.objective(PRIOR)
    assert off.value(z) == pytest.approx(stats.halfnorm.logpdf(1.0), rel=1e-14)
    assert np.isfinite(off.value_and_gradient(z)[1]).all()


def test_all_weights_zero_give_zero_everywhere(impossible):
    nothing = impossible.objective(Weights(0.0, 0.0, 0.0))
    assert nothing.value(np.array([-3.0])) == 0.0
    assert nothing.value_and_gradient(np.array([-3.0]))[1].tolist() == [0.0]


@pytest.mark.parametrize(
    ("weights", "data", "wanted"),
    [
        (Weights(likelihood={"nothing": 1.0}), None, "nothing"),
        (Weights(likelihood={"height": np.ones(3)}), None, "height"),
        (TARGET, {"nothing": np.ones(40)}, "nothing"),
        (TARGET, {"height": np.ones(3)}, "height"),
    ],
)
def test_unknown_names_and_shapes_of_weights_and_data_are_named(density, weights, data, wanted):
    with pytest.raises(InputError, match=wanted):
        density("height").objective(weights, data)


# -- potentials ----------------------------------------------------------------------------------------------------


def test_a_potential_without_a_side_takes_part_in_the_target_and_nowhere_else(density, points):
    unlabelled = LogDensity(build("potential"))
    z = points(unlabelled, 20)
    assert relative(at(unlabelled.objective(TARGET), z), density("potential").pymc_target(z)) < ADDS_UP
    for weights in (LIKELIHOOD, PRIOR, Weights(likelihood=0.5)):
        with pytest.raises(RefusalError, match="pull"):
            unlabelled.objective(weights)
    with pytest.raises(RefusalError, match="pull"):
        unlabelled.sums(z)


def test_a_potential_counts_on_the_side_that_it_was_given(density, points):
    prior, likelihood = density("potential"), LogDensity(build("potential"), {"pull": "likelihood"})
    z = points(prior, 20)
    pull = -np.abs(z[:, 0]) / 2
    assert relative(at(prior.objective(PRIOR), z) - pull, at(likelihood.objective(PRIOR), z)) < ADDS_UP
    assert relative(at(likelihood.objective(LIKELIHOOD), z) - pull, at(prior.objective(LIKELIHOOD), z)) < ADDS_UP
    assert relative(prior.sums(z)[0] - pull, likelihood.sums(z)[0]) < SAME
    assert relative(likelihood.sums(z)[1] - pull, prior.sums(z)[1]) < SAME


# -- the prior is a distribution ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["coin", "height", "several", "dependent_bounds", "coin_bias", "height_as_normal"])
def test_prior_on_z_integrates_to_one(density, name):
    # log_prior + log_jacobian: an error in either would move the evidence by its logarithm.
    d = density(name)
    objective = d.objective(PRIOR)
    top = climb(objective, d.space.start)
    found = integrate(objective, top.z, np.linalg.cholesky(top.curvature.covariance))
    assert found.converged
    assert found.log_integral == pytest.approx(0.0, abs=1e-8)


# -- sabotage: what is wrong is found ------------------------------------------------------------------------------


def sabotaged(name, **changes):
    """A density whose symbolic terms were changed after they were derived."""
    d = LogDensity(build(name), SIDES.get(name))
    symbolic = {key: change(getattr(d.symbolic, key)) for key, change in changes.items()}
    d.symbolic = dataclasses.replace(d.symbolic, **symbolic)
    return d


def scaled(factor):
    return lambda terms: {name: factor * graph for name, graph in terms.items()}


def shifted(nats):
    return lambda terms: {name: graph + nats for name, graph in terms.items()}


SABOTAGE = {
    "a prior with a wrong scale": ("height", {"log_prior": scaled(1.01)}),
    "a prior off by a millionth of a nat": ("coin", {"log_prior": shifted(1e-6)}),
    "the prior counted twice": ("simplex", {"log_prior": scaled(2.0)}),
    "a missing Jacobian": ("height", {"log_jacobian": lambda _: {}}),
    "a Jacobian of the wrong sign": ("cholesky", {"log_jacobian": scaled(-1.0)}),
    "the likelihood counted twice": ("logistic", {"log_likelihood": scaled(2.0)}),
    "a likelihood without its constant": ("censored", {"log_likelihood": shifted(0.9189)}),
    "a forgotten potential": ("potential", {"potential": lambda _: {}}),
    "a forgotten prior": ("several", {"log_prior": lambda terms: {"rate": terms["rate"]}}),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_sabotage_is_refused_because_the_terms_do_not_add_up(name):
    model, changes = SABOTAGE[name]
    with pytest.raises(RefusalError, match="do not add up"):
        check_before_fit(sabotaged(model, **changes))


def test_an_honest_density_passes_where_the_sabotaged_ones_fail(density):
    for name in {model for model, _ in SABOTAGE.values()}:
        assert [check.status for check in check_before_fit(density(name))] == ["ok", "ok"]


def test_a_transformation_that_misreports_its_jacobian_is_refused(monkeypatch):
    with monkeypatch.context() as patched:
        honest = transforms.LogTransform.log_jac_det
        patched.setattr(transforms.LogTransform, "log_jac_det", lambda self, v, *p: 1.5 * honest(self, v, *p))
        d = LogDensity(build("height"))
    with pytest.raises(RefusalError, match="do not add up"):
        check_before_fit(d)


# -- densities of widened constants are SciPy's -------------------------------------------------------------------

Y = np.array([0.2, 0.45, 0.5, 0.61, 0.9])
COUNTS = np.array([0, 3, 10, 25, 50])


def discrete_weibull(k, q, beta):
    return np.log(q ** (k**beta) - q ** ((k + 1.0) ** beta))


def student_half(y, nu, sigma):
    return np.log(2) + stats.t.logpdf(y, nu, scale=sigma)


DISTRIBUTIONS = {
    "Beta(100, 100)": (pm.Beta, (100, 100), Y, stats.beta(100, 100).logpdf),
    "Beta(20.0, 30.0)": (pm.Beta, (20.0, 30.0), Y, stats.beta(20, 30).logpdf),
    "Gamma(20.0, 3.0)": (pm.Gamma, (20.0, 3.0), 9 * Y, stats.gamma(20, scale=1 / 3).logpdf),
    "HalfStudentT(3, 36)": (
        lambda name, **kwargs: pm.HalfStudentT(name, nu=3, sigma=36, **kwargs),
        (),
        90 * Y,
        lambda y: student_half(y, 3, 36),
    ),
    "ExGaussian(100, 20, 40)": (
        lambda name, **kwargs: pm.ExGaussian(name, mu=100, sigma=20, nu=40, **kwargs),
        (),
        300 * Y,
        stats.exponnorm(2.0, loc=100, scale=20).logpdf,
    ),
    "Triangular(0, 100, 30)": (
        lambda name, **kwargs: pm.Triangular(name, lower=0, c=30, upper=100, **kwargs),
        (),
        100 * Y,
        stats.triang(0.3, 0, 100).logpdf,
    ),
    "BetaBinomial(100, 100, 50)": (pm.BetaBinomial, (100, 100, 50), COUNTS, stats.betabinom(50, 100, 100).logpmf),
    "DiscreteWeibull(0.9, 2)": (
        pm.DiscreteWeibull,
        (0.9, 2),
        np.array([0, 1, 3, 8, 15]),
        lambda k: discrete_weibull(k, 0.9, 2.0),
    ),
    "Multinomial(50)": (
        pm.Multinomial,
        (50, np.array([0.2, 0.3, 0.5])),
        np.array([[10, 15, 25], [50, 0, 0], [0, 20, 30]]),
        stats.multinomial(50, [0.2, 0.3, 0.5]).logpmf,
    ),
    "Censored Normal(1, 2) at 3": (
        lambda name, **kwargs: pm.Censored(name, pm.Normal.dist(1, 2), lower=None, upper=3, **kwargs),
        (),
        np.array([-1.0, 2.5, 3.0]),
        lambda y: np.where(y < 3, stats.norm(1, 2).logpdf(y), stats.norm(1, 2).logsf(3)),
    ),
    "Uniform(-100, 100)": (pm.Uniform, (-100, 100), 100 * Y, stats.uniform(-100, 200).logpdf),
    "NegativeBinomial(100, 100)": (
        lambda name, **kwargs: pm.NegativeBinomial(name, mu=100, alpha=100, **kwargs),
        (),
        5 * COUNTS,
        stats.nbinom(100, 0.5).logpmf,
    ),
    "InverseGamma(20, 3)": (pm.InverseGamma, (20, 3), Y, stats.invgamma(20, scale=3).logpdf),
    "StudentT(3, 0, 100)": (
        lambda name, **kwargs: pm.StudentT(name, nu=3, mu=0, sigma=100, **kwargs),
        (),
        100 * Y,
        stats.t(3, 0, 100).logpdf,
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_log_likelihood_with_constants_as_users_write_them_is_that_of_scipy(name):
    distribution, parameters, y, expected = DISTRIBUTIONS[name]
    with pm.Model() as model:
        pm.Normal("unrelated", 0, 1)
        distribution("y", *parameters, observed=y)
    found = LogDensity(model).terms(np.zeros(1)).log_likelihood["y"][0]
    # 1e-12 of the density; of 1 nat where SciPy's own log density passes through zero.
    assert found == pytest.approx(expected(y), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["Beta(100, 100)", "HalfStudentT(3, 36)", "Gamma(20.0, 3.0)", "Beta(20.0, 30.0)"])
def test_log_prior_with_constants_as_users_write_them_is_that_of_scipy(name):
    distribution, parameters, _, expected = DISTRIBUTIONS[name]
    with pm.Model() as model:
        distribution("theta", *parameters, default_transform=None, initval=0.5)
    theta = np.array([[0.2], [0.5], [0.61]])  # without a transformation z is theta
    found = LogDensity(model).terms(theta).log_prior["theta"]
    assert found == pytest.approx(expected(theta[:, 0]), rel=1e-12, abs=1e-12)


def test_widened_anatomy_of_a_beta_prior_is_the_closed_form_with_its_jacobian(density):
    # log Beta(p; 100, 100) + log p(1 - p) on the logit scale, at the start and one step beside it.
    d = density("bounded")
    for z in (0.0, 1.0):
        point = d.space.start.copy()
        point[d.space.blocks["b"]] = z
        p = special.expit(z)
        assert d.terms(point).log_prior["b"][0] == pytest.approx(stats.beta.logpdf(p, 100, 100), rel=1e-12, abs=1e-12)
        assert d.terms(point).log_jacobian["b"][0] == pytest.approx(np.log(p * (1 - p)), rel=1e-12)
