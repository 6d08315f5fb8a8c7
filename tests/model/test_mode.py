"""A mode carries errors by the delta method, criteria, intervals, and a certificate that can fail."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

from tests.models_zoo import HEIGHTS, OUTCOMES
from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.chart import jacobian, whole_chart
from workbench.model.density import JOINT, LIKELIHOOD, LogDensity
from workbench.model.mode import climb_all, find_mode
from workbench.numerics.climbs import distinct
from workbench.numerics.objective import FunctionObjective
from workbench.result import result_from_json


@pytest.fixture(scope="module")
def height_mode(density):
    d = density("height")
    return find_mode(d, LIKELIHOOD, "MLE", d.space.start + np.array([[0.0, 0.0], [3.0, 0.5], [-5.0, -0.5]]))


def test_slopes_of_theta_are_the_derivatives_of_the_transformations(density):
    z = np.array([0.3, -0.2, 1.5])
    found = jacobian(whole_chart(density("bounded").space).scalars, z, np.ones(3))
    p, q = 1 / (1 + np.exp(-z[:2]))
    expected = np.diag([200 * p * (1 - p), q * (1 - q), np.exp(1.5)])
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_slopes_of_deterministics_stand_below_those_of_the_free_variables(density):
    found = jacobian(whole_chart(density("labelled").space).scalars, np.array([1.0, 2.0, 3.0, 0.5]), np.ones(4))
    assert found.shape == (4 + 6, 4)
    assert found[4:, :3] == pytest.approx(np.kron(np.eye(3), [[1.0], [2.0]]), abs=1e-10)


def test_standard_errors_of_mean_and_sd_are_the_closed_form(height_mode):
    n, sd = len(HEIGHTS), HEIGHTS.std()
    assert height_mode.labels == ("mu", "sigma")
    assert height_mode.errors == pytest.approx([sd / np.sqrt(n), sd / np.sqrt(2 * n)], rel=1e-8)
    covariance = height_mode.covariance
    assert covariance.sel(row="mu", column="sigma").item() == pytest.approx(0.0, abs=1e-8)
    assert covariance.sel(row="sigma", column="sigma").item() == pytest.approx(sd**2 / (2 * n), rel=1e-8)


@pytest.mark.slow
def test_standard_errors_have_the_shape_of_theta(density):
    d = density("labelled")
    mode = find_mode(d, LIKELIHOOD, "MLE", d.space.start[None])
    assert isinstance(mode.std_error, xr.Dataset)
    assert mode.std_error["beta"].dims == ("group",)
    table = mode.std_error["table"].sel(group="late").values
    assert table == pytest.approx(mode.std_error["beta"].sel(group="late").item() * np.array([1.0, 2.0]), rel=1e-8)


def test_criteria_are_two_k_and_k_log_n_minus_twice_the_log_likelihood(height_mode):
    log_likelihood = stats.norm.logpdf(HEIGHTS, HEIGHTS.mean(), HEIGHTS.std()).sum()
    assert height_mode.log_likelihood == pytest.approx(log_likelihood, rel=1e-12)
    assert height_mode.aic == pytest.approx(4 - 2 * log_likelihood, rel=1e-12)
    assert height_mode.aicc == pytest.approx(height_mode.aic + 12 / (40 - 3), rel=1e-12)
    assert height_mode.bic == pytest.approx(2 * np.log(len(HEIGHTS)) - 2 * log_likelihood, rel=1e-12)


def test_bic_is_refused_where_a_potential_is_the_whole_likelihood():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Potential("term", -0.5 * (mu - 1.0) ** 2)
    d = LogDensity(model, {"term": "likelihood"})
    mode = find_mode(d, LIKELIHOOD, "MLE", d.space.start[None])
    assert mode.estimate == pytest.approx([1.0], abs=1e-9)
    with pytest.raises(RefusalError, match="observations"):
        _ = mode.bic


def test_one_observation_is_counted_in_the_singular_and_shows_no_bic():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=2.5)
    d = LogDensity(model)
    said = " ".join(find_mode(d, LIKELIHOOD, "MLE", d.space.start[None]).notes())
    assert "1 parameter, 1 observation," in said
    assert "AIC 3.8" in said
    assert "BIC" not in said  # log n = 0: it would charge nothing for a parameter


def test_wald_interval_is_the_estimate_and_the_normal_quantiles(height_mode):
    wald = height_mode.interval(0.9)
    half = stats.norm.ppf(0.95) * height_mode.errors
    assert wald["lower"].to_numpy() == pytest.approx(height_mode.estimate - half, rel=1e-14)
    assert wald["upper"].to_numpy() == pytest.approx(height_mode.estimate + half, rel=1e-14)
    assert list(wald.index) == ["mu", "sigma"]


@pytest.mark.parametrize(("level", "kind"), [(0.0, "wald"), (1.0, "wald"), (95, "wald"), (0.95, "profile")])
def test_levels_and_kinds_that_do_not_exist_are_refused(height_mode, level, kind):
    with pytest.raises(InputError):
        height_mode.interval(level, kind)


def test_starts_outside_the_support_are_left_out_and_counted(density):
    d = density("height")
    mode = find_mode(d, LIKELIHOOD, "MLE", np.array([[170.0, -800.0], [170.0, 2.0]]))
    assert mode.certificate.starts == mode.certificate.agreeing == 1
    with pytest.raises(NumericalError, match="none of the starting points"):
        find_mode(d, LIKELIHOOD, "MLE", np.array([[170.0, -800.0]]))


def test_two_optima_are_found_and_the_higher_one_is_given():
    # y = (mu^2 - 4) with one side favoured a little: maxima near +2 and -2.
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 10)
        pm.Normal("y", mu**2 + 0.1 * mu, 1, observed=np.array([4.3, 4.1]))
        pm.Normal("side", mu, 10, observed=np.array([2.0]))
    d = LogDensity(model)
    mode = find_mode(d, LIKELIHOOD, "MLE", np.array([[-3.0], [-1.5], [1.5], [3.0]]))
    assert mode.estimate[0] == pytest.approx(2.0, abs=0.1)
    assert (mode.certificate.optima, mode.certificate.agreeing, mode.certificate.starts) == (2, 2, 4)
    assert [c.status for c in mode.checks if c.code == "starts-agree"] == ["caution"]
    assert mode.certificate.valid


def test_a_separated_regression_has_no_errors_and_a_certificate_that_failed():
    x = np.array([-2.0, -1.0, 1.0, 2.0])
    with pm.Model() as model:
        b = pm.Normal("b", 0, 10)
        pm.Bernoulli("y", logit_p=b * x, observed=np.array([0, 0, 1, 1]))
    d = LogDensity(model)
    mode = find_mode(d, LIKELIHOOD, "MLE", np.array([[0.0], [1.0]]))
    assert not mode.certificate.valid
    assert "b" in mode.no_error
    assert mode.std_error == mode.no_error
    assert mode.covariance_matrix.shape == (0, 0)
    assert list(mode.table().columns) == ["MLE"]
    with pytest.raises(RefusalError):
        _ = mode.covariance
    with pytest.raises(RefusalError):
        mode.interval()


def test_mode_says_what_it_is_and_survives_json(density, height_mode):
    back = result_from_json(height_mode.to_json())
    assert repr(back) == repr(height_mode)
    assert back.kind == "MLE"
    assert back.errors.tolist() == height_mode.errors.tolist()
    assert back.theta.equals(height_mode.theta)
    assert back.certificate.edm == height_mode.certificate.edm
    assert "AIC" in repr(height_mode)
    d = density("height")
    assert "AIC" not in repr(find_mode(d, JOINT, "MAP", d.space.start[None]))


def test_log_prior_and_likelihood_at_the_mode_are_those_of_the_density(density):
    d = density("logistic")
    mode = find_mode(d, JOINT, "MAP", d.space.start[None])
    beta = mode.estimate
    assert mode.log_prior == pytest.approx(stats.norm.logpdf(beta, 0, 2).sum(), rel=1e-12)
    assert mode.n_observations == len(OUTCOMES)
    assert mode.n_parameters == 3


@pytest.mark.parametrize("start", [[2.5, 2.8, 0.1], [-2.5, -2.8, 0.1], [-2.5, -2.8, -3.0]])
def test_of_mirror_images_the_one_with_positive_numbers_is_reported_whichever_the_climbs_reached(start):
    # Highest where a b = 6, a^2 = 4 and c^2 = 9: the signs of a and b together, and that of c, are anybody's choice.
    def function(x):
        a, b, c = x
        gaps = np.array([a * b - 6.0, a**2 - 4.0, c**2 - 9.0])
        return -float(gaps @ gaps), -2.0 * np.array([gaps[0] * b + 2 * gaps[1] * a, gaps[0] * a, 2 * gaps[2] * c])

    climbs = climb_all(FunctionObjective(3, function), np.array([start]), "MLE", persistent=True)
    assert climbs[0].z == pytest.approx([2.0, 3.0, 3.0], abs=1e-6)
    assert distinct(climbs).max() == (
        0 if start[0] > 0 else 1 if start[2] > 0 else 2
    )  # each image counts as an optimum


def test_three_signs_that_change_together_are_one_choice():
    def function(x):
        a, b, c = x
        gaps = np.array([a * b - 6.0, b * c - 12.0, a**2 - 4.0])
        slopes = [gaps[0] * b + 2 * gaps[2] * a, gaps[0] * a + gaps[1] * c, gaps[1] * b]
        return -float(gaps @ gaps), -2.0 * np.array(slopes)

    climbs = climb_all(FunctionObjective(3, function), np.array([[-2.2, -2.8, -4.1]]), "MLE", persistent=True)
    assert climbs[0].z == pytest.approx([2.0, 3.0, 4.0], abs=1e-6)


def test_where_signs_matter_no_mirror_image_is_taken():
    def function(x):
        return -float((x[0] * x[1] - 6.0) ** 2 + (x[0] + 2.0) ** 2), np.array(
            [-2 * (x[0] * x[1] - 6.0) * x[1] - 2 * (x[0] + 2.0), -2 * (x[0] * x[1] - 6.0) * x[0]]
        )

    climbs = climb_all(FunctionObjective(2, function), np.array([[-1.0, -1.0]]), "MLE", persistent=True)
    assert climbs[0].z == pytest.approx([-2.0, -3.0], abs=1e-6)
    assert len(climbs) == 1
