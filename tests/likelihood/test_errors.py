"""Four forms of standard errors agree with the textbook's, and disagree where the model is wrong."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pymc as pm
import pytest

from workbench.errors import InputError, RefusalError
from workbench.likelihood.errors import FORMS, _averaged, standard_errors
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.result import result_from_json

GENERATOR = np.random.default_rng(2)
X = GENERATOR.normal(size=200)
DESIGN = np.column_stack([np.ones(200), X])
OVERDISPERSED = GENERATOR.negative_binomial(2, 2 / (2 + np.exp(1 + 0.5 * X)))
POISSON = GENERATOR.poisson(np.exp(1 + 0.5 * X))
CASE = Path(__file__).parents[3] / "shared" / "cases" / "mle" / "analytic" / "multinomial_simplex.json"


def found(model, **sides):
    density = LogDensity(model, **sides)
    problem = pose(density)
    mode = maximise_likelihood(problem, examine(density), density.space.start[None])
    return standard_errors(problem, mode, seed=1)


@cache
def poisson(kind):
    with pm.Model() as model:
        b = pm.Normal("b", 0, 5, shape=2)
        y = OVERDISPERSED if kind == "overdispersed" else POISSON
        pm.Poisson("y", pm.math.exp(b[0] + b[1] * X), observed=y)
    return found(model), y


@pytest.mark.slow
def test_height_has_the_textbook_errors_in_every_form():
    y = 170 + 8 * np.random.default_rng(3).normal(size=120)
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 170, 20), pm.HalfNormal("sigma", 20), observed=y)
    errors = found(model)
    n, sd = y.size, y.std()
    deviation = y - y.mean()
    scores = np.column_stack([deviation / sd**2, (deviation**2 / sd**2 - 1) / sd])
    information = np.diag([n, 2 * n]) / sd**2
    meat = scores.T @ scores
    bread = np.linalg.inv(information)
    assert errors.covariances["observed"] == pytest.approx(bread, rel=1e-6, abs=1e-7)
    assert errors.covariances["outer product"] == pytest.approx(np.linalg.inv(meat), rel=1e-6)
    assert errors.covariances["sandwich"] == pytest.approx(bread @ meat @ bread, rel=1e-6, abs=1e-7)
    # The observed information of a data set is not the expected one, but its average is.
    gap = errors.std_error["expected"] - np.sqrt(np.diag(bread))
    assert np.all(np.abs(gap) < 4 * errors.mcse + 1e-9)
    assert np.all(errors.mcse < 0.01 * errors.std_error["expected"])


@pytest.mark.slow
def test_sandwich_of_a_linear_regression_is_hc0():
    y = DESIGN @ [1.0, 2.0] + np.random.default_rng(4).normal(size=200) * np.exp(X / 2)
    with pm.Model() as model:
        b, sigma = pm.Normal("b", 0, 10, shape=2), pm.HalfNormal("sigma", 5)
        pm.Normal("y", b[0] + b[1] * X, sigma, observed=y)
    errors = found(model)
    bread = np.linalg.inv(DESIGN.T @ DESIGN)
    residual = y - DESIGN @ bread @ DESIGN.T @ y
    hc0 = bread @ (DESIGN.T @ (DESIGN * (residual**2)[:, None])) @ bread
    assert errors.covariance("sandwich").values[:2, :2] == pytest.approx(hc0, rel=1e-6)
    assert errors.checks[0].status == "caution"  # the variances are not equal


@pytest.mark.slow
def test_an_overdispersed_poisson_is_seen_and_a_true_one_is_not():
    wrong, y = poisson("overdispersed")
    mean = np.exp(DESIGN @ wrong.estimate)
    bread = np.linalg.inv(DESIGN.T @ (DESIGN * mean[:, None]))
    meat = DESIGN.T @ (DESIGN * ((y - mean) ** 2)[:, None])
    assert wrong.covariances["sandwich"] == pytest.approx(bread @ meat @ bread, rel=1e-6)
    assert wrong.covariances["outer product"] == pytest.approx(np.linalg.inv(meat), rel=1e-6)
    assert np.all(wrong.std_error["sandwich"] > 1.2 * wrong.std_error["observed"])
    assert wrong.checks[0].status == "caution"
    assert wrong.checks[0].fix
    right, _ = poisson("true")
    assert right.checks[0].status == "ok"


def test_observed_and_expected_agree_for_a_canonical_link():
    errors, _ = poisson("true")
    assert errors.covariances["expected"] == pytest.approx(errors.covariances["observed"], rel=1e-6)


def simplex(counts):
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(3))
        pm.Categorical("colour", p=p, observed=np.repeat([0, 1, 2], counts))
    return found(model)


@pytest.mark.slow
def test_a_simplex_of_three_has_a_covariance_of_rank_two():
    share = np.array([12, 30, 8]) / 50
    errors = simplex([12, 30, 8])
    exact = (np.diag(share) - np.outer(share, share)) / 50
    for form in FORMS:  # one draw of a category is a saturated model: all four are the same matrix
        assert errors.covariances[form] == pytest.approx(exact, rel=1e-6, abs=1e-12)
        assert np.linalg.matrix_rank(errors.covariances[form], tol=1e-8) == 2


@pytest.mark.slow
@pytest.mark.skipif(not CASE.is_file(), reason="the folder of published cases does not stand beside this checkout")
def test_a_simplex_matches_the_published_case():
    case = json.loads(CASE.read_text(encoding="utf-8"))
    errors = simplex(case["data"]["counts"])
    assert errors.estimate == pytest.approx(case["derived"]["mle"]["p"], rel=1e-8)
    assert errors.covariances["observed"] == pytest.approx(np.array(case["derived"]["cov_p"]), rel=1e-6)


def test_deterministics_have_errors_in_every_form():
    y = np.random.default_rng(5).exponential(3.0, size=60)
    with pm.Model() as model:
        rate = pm.HalfNormal("rate", 5)
        pm.Deterministic("mean", 1 / rate)
        pm.Exponential("y", rate, observed=y)
    errors = found(model)
    assert errors.labels == ("rate", "mean")
    assert errors.std_error["observed"][1] == pytest.approx(y.mean() / np.sqrt(60), rel=1e-6)
    assert errors.std_error["sandwich"][1] == pytest.approx(y.std() / np.sqrt(60), rel=1e-6)


def test_one_count_has_no_scores_but_an_expected_information():
    with pm.Model() as model:
        pm.Binomial("k", 100, pm.Beta("p", 1, 1), observed=61)
    errors = found(model)
    assert set(errors.refused) == {"outer product", "sandwich"}
    assert "one log likelihood term" in errors.refused["sandwich"]
    assert errors.std_error["expected"] == pytest.approx([np.sqrt(0.61 * 0.39 / 100)], rel=0.02)
    with pytest.raises(RefusalError, match="one log likelihood term"):
        errors.covariance("sandwich")


@pytest.mark.slow
def test_a_scalar_at_the_edge_has_no_error_and_the_others_have():
    y = np.array([0.3, 1.2, -0.4, 0.8, 0.1])
    with pm.Model() as model:
        p = pm.Beta("p", 1, 1)
        mu = pm.Normal("mu", 0, 5)
        pm.Bernoulli("k", p, observed=np.ones(5, dtype=int))
        pm.Normal("y", mu, 1.0, observed=y)
    errors = found(model)
    at, inside = errors.labels.index("p"), errors.labels.index("mu")
    for form in FORMS:
        assert np.isnan(errors.std_error[form][at])
    assert errors.std_error["observed"][inside] == pytest.approx(1 / np.sqrt(5), rel=1e-6)
    assert errors.std_error["sandwich"][inside] == pytest.approx(y.std() / np.sqrt(5), rel=1e-6)
    assert any("edge" in note for note in errors.notes())


@pytest.mark.slow
def test_an_information_that_is_indefinite_leaves_the_monte_carlo_error_of_the_others():
    y = np.random.default_rng(8).standard_t(2.0, size=30)
    with pm.Model() as model:
        mu, sigma, nu = pm.Normal("mu", 0, 5), pm.HalfNormal("sigma", 5), pm.Gamma("nu", 2, 0.1)
        pm.StudentT("y", nu=nu, mu=mu, sigma=sigma, observed=y)
    errors = found(model)  # at theta-hat some of the simulated data sets have no peak, and bend upwards
    assert np.all(np.isfinite(errors.mcse))
    assert np.all(errors.mcse < 0.2 * errors.std_error["expected"])


@pytest.mark.slow
def test_a_true_model_with_two_observations_a_parameter_is_not_called_wrong():
    generator = np.random.default_rng(1)
    design = generator.normal(size=(100, 50))
    y = design[:, 0] + generator.normal(size=100)
    with pm.Model() as model:
        b, sigma = pm.Normal("b", 0, 5, shape=50), pm.HalfNormal("sigma", 5)
        pm.Normal("y", pm.math.dot(design, b), sigma, observed=y)
    errors = found(model)
    (check,) = errors.checks
    assert errors.p_value < 0.01  # the fit follows the data so closely that their scores are too small
    assert (check.code, check.status) == ("errors-agree", "unknown")
    assert "100 independent units for 51 scalars" in check.message


def test_a_potential_in_the_likelihood_refuses_scores_and_simulation():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 10)
        pm.Potential("pull", -((mu - 1) ** 2))
        pm.Normal("y", mu, 1, observed=np.array([4.8, 5.3]))
    errors = found(model, potentials={"pull": "likelihood"})
    assert set(errors.std_error) == {"observed"}
    assert all("pull" in reason for reason in errors.refused.values())


def test_a_form_that_does_not_exist_is_an_error():
    errors, _ = poisson("true")
    with pytest.raises(InputError, match="no form"):
        errors.covariance("robust")


@pytest.mark.slow
def test_errors_survive_json_and_the_same_seed_repeats_them():
    errors, _ = poisson("true")
    assert result_from_json(errors.to_json()).to_json() == errors.to_json()
    with pm.Model() as model:
        pm.Poisson("y", pm.HalfNormal("rate", 5), observed=POISSON)
    assert found(model).to_json() == found(model).to_json()


@pytest.mark.deep
@pytest.mark.slow
def test_the_check_of_a_true_model_fails_no_more_often_than_it_says():
    # p below 0.05 for 5% of true models, within three standard errors of that count.
    rng, low = np.random.default_rng(8), 0
    for _ in range(20):
        with pm.Model() as model:
            pm.Normal("y", pm.Normal("mu", 0, 5), pm.HalfNormal("sigma", 5), observed=rng.normal(size=40))
        low += found(model).p_value < 0.05
    assert low <= 20 * 0.05 + 3 * np.sqrt(20 * 0.05 * 0.95)


@pytest.mark.slow
def test_groups_that_are_all_alike_have_no_errors_made_of_rounding():
    with pm.Model() as model:
        a, tau = pm.Normal("a", 0, 3), pm.HalfNormal("tau", 1)
        effect = pm.Normal("effect", 0, 1, shape=10)
        rate = pm.math.exp(a + tau * effect[np.repeat(np.arange(10), 5)])
        pm.Poisson("y", rate, observed=np.tile([3, 4, 5, 4, 3], 10))
    errors = found(model)
    assert errors.std_error["observed"][0] == pytest.approx(1 / np.sqrt(190), rel=1e-6)
    assert errors.std_error["expected"][0] == pytest.approx(1 / np.sqrt(190), rel=1e-6)
    assert {"outer product", "sandwich"} <= set(errors.refused)
    assert "alike" in errors.refused["sandwich"]


@pytest.mark.slow
def test_two_observations_have_no_outer_product_made_of_rounding():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0, 10), pm.HalfNormal("sigma", 5), observed=np.array([1.0, 2.0]))
    errors = found(model)  # (y - mu)^2 = sigma^2 for both: the scores of sigma are 0
    assert errors.std_error["observed"] == pytest.approx([0.5 / np.sqrt(2), 0.25], rel=1e-6)
    assert {"outer product", "sandwich"} <= set(errors.refused)


def test_an_average_information_that_is_no_covariance_is_refused():
    with pytest.raises(RefusalError, match="not positive definite"):
        _averaged(np.array([[[1.0, 0.0], [0.0, -3.0]], [[1.0, 0.0], [0.0, 1.0]]]))
    assert _averaged(np.eye(2)[None] * 4.0) == pytest.approx(np.eye(2) / 4.0)
