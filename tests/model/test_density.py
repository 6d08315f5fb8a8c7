"""The density keeps the objective's contract, counts its observations, and refuses what has no gradient."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from tests.models_zoo import EFFECT_ERRORS, EFFECTS, HEIGHTS, NAMES
from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.density import LIKELIHOOD, PRIOR, TARGET, LogDensity, _by_row
from workbench.numerics.objective import values


def test_terms_of_the_height_model_are_those_of_scipy(density):
    terms = density("height").terms(np.array([[172.0, np.log(7.5)], [165.0, np.log(20.0)]]))
    for k, (mu, sigma) in enumerate([(172.0, 7.5), (165.0, 20.0)]):
        assert terms.log_prior["mu"][k] == pytest.approx(stats.norm.logpdf(mu, 170, 20), rel=1e-14)
        assert terms.log_prior["sigma"][k] == pytest.approx(stats.halfnorm.logpdf(sigma, scale=20), rel=1e-14)
        assert terms.log_jacobian["sigma"][k] == pytest.approx(np.log(sigma), rel=1e-14)
        expected = stats.norm.logpdf(HEIGHTS, mu, sigma)
        assert terms.log_likelihood["height"][k] == pytest.approx(expected, rel=1e-13)
    assert list(terms.log_jacobian) == ["sigma"]
    assert terms.potential == {}


def test_pointwise_log_likelihood_of_eight_schools_is_that_of_scipy(density):
    d = density("noncentred")
    z = d.space.z({"mu": 4.0, "tau": 3.0, "eta": np.linspace(-1, 1, 8)})
    expected = stats.norm.logpdf(EFFECTS, 4.0 + 3.0 * np.linspace(-1, 1, 8), EFFECT_ERRORS)
    assert d.terms(z).log_likelihood["effect"][0] == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("coin", 1),
        ("height", 40),
        ("several", 5),
        ("missing", 3),
        ("mvnormal", 5),
        ("cholesky", 6),
        ("simplex", 1),
        ("autoregression", 1),
        ("coin_bias", 48),
        ("height_as_normal", 481),
    ],
)
def test_observations_are_counted_one_a_likelihood_term(density, name, count):
    assert density(name).n_observations == count


@pytest.mark.parametrize(("name", "count"), [("mvnormal", 5), ("autoregression", None), ("coin_bias", 48)])
def test_each_observation_of_a_joint_density_counts_and_a_row_counts_once(density, name, count):
    found = density(name)
    (observed,) = found.symbolic.observed.values()
    assert found.n_observed == (observed.size if count is None else count)


def test_counts_by_category_are_one_observation_a_row():
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(3))
        pm.Multinomial("one", n=6, p=p, observed=[1, 2, 3])
        pm.DirichletMultinomial("two", n=6, a=p, observed=[[1, 2, 3], [3, 2, 1]])
    assert LogDensity(model).n_observed == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_objective_gives_the_same_value_bit_for_bit_and_a_gradient_of_its_own(density, points, name):
    objective = density(name).objective(TARGET)
    first, second = points(density(name), 2)
    value, gradient = objective.value_and_gradient(first)
    kept = gradient.copy()
    objective.value_and_gradient(second)
    assert np.array_equal(gradient, kept)
    gradient[:] = 0.0
    again, same = objective.value_and_gradient(first)
    assert again == value == objective.value(first)
    assert np.array_equal(same, kept)
    assert objective.dimension == first.size


def test_objectives_of_one_density_do_not_disturb_each_other(density):
    d = density("height")
    z = np.array([170.0, 2.0])
    target, likelihood, prior = (d.objective(w) for w in (TARGET, LIKELIHOOD, PRIOR))
    alone = [o.value(z) for o in (target, likelihood, prior)]
    assert [o.value(z) for o in (target, likelihood, prior)] == alone
    assert alone[0] == pytest.approx(alone[1] + alone[2], rel=1e-13)
    other = d.objective(TARGET, {"height": HEIGHTS + 5.0})
    assert other.value(z) != alone[0]
    assert target.value(z) == alone[0]


def test_given_data_and_weights_are_copied_so_that_later_changes_do_nothing(density):
    data = HEIGHTS + 5.0
    objective = density("height").objective(TARGET, {"height": data})
    z = np.array([170.0, 2.0])
    before = objective.value(z)
    data += 100.0
    assert objective.value(z) == before


def test_points_that_are_not_contiguous_are_read_rightly(density):
    objective = density("height").objective(TARGET)
    points = np.array([[170.0, 165.0], [2.0, 2.5]])
    assert values(objective, points.T).tolist() == [objective.value(points[:, 0].copy()), objective.value(points[:, 1])]


def test_one_dimension_short_is_an_error_not_a_read_beside_the_array(density):
    with pytest.raises(ValueError, match="broadcast"):
        density("height").objective(TARGET).value(np.array([1.0, 2.0, 3.0]))


def test_minus_infinity_is_a_value(density):
    # exp(-800) rounds to a standard deviation of zero.
    assert density("height").objective(LIKELIHOOD).value(np.array([170.0, -800.0])) == -np.inf


def test_nan_is_an_error_that_names_the_point():
    with pm.Model() as model:
        mu = pm.Normal("mu", 1, 1)
        pm.Potential("broken", pm.math.log(mu))
    objective = LogDensity(model, {"broken": "likelihood"}).objective(TARGET)
    assert np.isfinite(objective.value(np.array([1.0])))
    with pytest.raises(NumericalError, match="nan at z = "):
        objective.value(np.array([-1.0]))
    with pytest.raises(NumericalError):
        objective.value_and_gradient(np.array([-1.0]))


def test_a_discrete_variable_has_terms_but_no_objective():
    with pm.Model() as model:
        k = pm.Poisson("k", 0.3)
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu + k, 1, observed=np.array([0.2, 1.4]))
    d = LogDensity(model)
    z = np.array([[1.0, 0.5], [0.0, 0.5]])
    assert sum(d.sums(z)) == pytest.approx(d.pymc_target(z), rel=1e-14)
    assert d.terms(z).log_prior["k"] == pytest.approx([np.log(0.3) - 0.3, -0.3], rel=1e-14)
    with pytest.raises(RefusalError, match="'k' is discrete"):
        d.objective(TARGET)


def test_a_model_without_free_variables_has_a_likelihood_and_nothing_else():
    with pm.Model() as model:
        pm.Normal("y", 0, 1, observed=np.array([0.2]))
    log_prior, log_likelihood, log_jacobian = LogDensity(model).sums(np.zeros((2, 0)))
    assert log_likelihood == pytest.approx(stats.norm.logpdf([0.2, 0.2]), rel=1e-14)
    assert not log_prior.any()
    assert not log_jacobian.any()


def test_a_model_without_data_has_the_prior_as_its_target():
    with pm.Model() as model:
        pm.Normal("mu", 2, 3)
    d = LogDensity(model)
    assert d.n_observations == 0
    assert d.objective(TARGET).value(np.array([1.0])) == pytest.approx(stats.norm.logpdf(1, 2, 3), rel=1e-14)


@pytest.mark.parametrize("sides", [{"nothing": "prior"}, {"pull": "both"}])
def test_potentials_that_do_not_exist_and_sides_that_are_none_are_named(sides):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Potential("pull", -(mu**2))
    with pytest.raises(InputError) as error:
        LogDensity(model, sides)
    assert any(word in str(error.value) for word in (*sides, *sides.values()))


def test_a_covariate_of_a_hundred_thousand_rows_is_an_input_and_not_part_of_the_code():
    # Numba would print a constant into the machine code: minutes to compile, if it ends at all.
    x = np.random.default_rng(0).normal(size=(100_000, 3))
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 1, shape=3)
        pm.Normal("y", x @ beta, 1, observed=x @ np.ones(3))
    objective = LogDensity(model).objective(LIKELIHOOD)
    assert sum(array.size for array in objective.inputs) > x.size
    # The residuals at beta = 1 are rounding alone; 1e5 terms of -log sqrt(2 pi).
    assert objective.value(np.ones(3)) == pytest.approx(-0.5 * np.log(2 * np.pi) * 100_000, rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["height", "noncentred", "simplex", "cholesky"])
def test_many_points_in_one_call_give_the_same_bits_as_one_at_a_time(density, name):
    d = density(name)
    objective = d.objective(TARGET)
    points = d.space.start + 0.3 * np.random.default_rng(1).normal(size=(9, d.space.dimension))
    value, gradient = objective.sweep(points)
    singly = [objective.value_and_gradient(point) for point in points]
    assert np.array_equal(value, [v for v, _ in singly])
    assert np.array_equal(gradient, [g for _, g in singly])
    assert np.array_equal(objective.sweep(np.asfortranarray(points))[0], value)
    assert np.array_equal(values(objective, points), value)
    assert objective.sweep(points[:0])[0].shape == (0,)


def test_a_point_among_many_that_cannot_be_computed_is_an_error_that_names_it(density):
    objective = density("height").objective(TARGET)
    points = np.array([[170.0, 2.0], [np.nan, 2.0], [171.0, 2.0]])
    value, _ = objective.sweep(points)
    assert np.isfinite(value).tolist() == [True, False, True]
    with pytest.raises(NumericalError, match="nan"):
        values(objective, points)


def _normal(y, prior_sd=3.0):
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0.0, prior_sd), 1.0, observed=y)
    return LogDensity(model)


def test_another_study_of_the_same_model_takes_the_same_function_with_its_own_data():
    first, second = _normal(np.array([1.0, 2.0])), _normal(np.array([-4.0, 7.0]))
    ours, theirs = first.objective(), second.objective()
    assert ours.function is theirs.function
    for density, objective in ((first, ours), (second, theirs)):
        z = np.array([0.3])
        assert objective.value(z) == pytest.approx(density.pymc_target(z)[0], rel=1e-12)


@pytest.mark.parametrize("other", [{"y": np.array([1.0, 2.0, 3.0])}, {"y": np.array([1.0, 2.0]), "prior_sd": 2.0}])
def test_another_prior_or_number_of_data_is_another_function(other):
    first, second = _normal(np.array([1.0, 2.0])), _normal(**other)
    assert first.objective().function is not second.objective().function
    z = np.array([0.3])
    assert second.objective().value(z) == pytest.approx(second.pymc_target(z)[0], rel=1e-12)


def test_a_sum_over_infinities_of_both_signs_is_not_a_number_and_no_warning():
    found = _by_row(np.array([[np.inf, -np.inf], [1.0, -np.inf], [1.0, 2.0]]))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [-np.inf, 3.0]
