"""The normal distribution by its factor agrees with SciPy and with the closed-form targets."""

import numpy as np
import pytest
from scipy import stats

from tests.targets import GAUSSIANS, by_name
from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.numerics.gaussian import fitted, fitted_to_gradients, from_covariance
from workbench.numerics.objective import values


@pytest.mark.parametrize("target", GAUSSIANS, ids=str)
def test_log_density_is_the_target_divided_by_its_integral(target):
    points = target.draw(50, np.random.default_rng(0))
    expected = values(target.objective, points) - target.log_integral
    # The covariance is inverted with its condition number, 4000 at correlation 0.999; scales cancel.
    assert from_covariance(target.mean, target.covariance).log_density(points) == pytest.approx(expected, abs=1e-9)


def test_log_density_and_entropy_are_those_of_scipy():
    covariance = np.array([[2.0, 0.6, 0.0], [0.6, 1.0, -0.3], [0.0, -0.3, 0.5]])
    mean = np.array([1.0, -2.0, 0.0])
    ours, theirs = from_covariance(mean, covariance), stats.multivariate_normal(mean, covariance)
    points = np.random.default_rng(1).normal(size=(20, 3))
    assert ours.log_density(points) == pytest.approx(theirs.logpdf(points), rel=1e-12)
    assert ours.entropy == pytest.approx(theirs.entropy(), rel=1e-12)
    assert ours.log_determinant == pytest.approx(np.linalg.slogdet(covariance)[1], rel=1e-12)
    assert ours.dimension == 3


@pytest.mark.statistical
def test_draws_have_the_mean_and_covariance():
    target, m = by_name("gaussian in 5 dimensions"), 20_000
    normal = from_covariance(target.mean, target.covariance)
    draws = normal.draw(m, np.random.default_rng(2))
    white = np.linalg.solve(normal.factor, (draws - target.mean).T).T
    assert np.all(np.abs(white.mean(axis=0)) < STANDARD_ERRORS / np.sqrt(m))
    # A product of two independent standard normals has variance 1, a square has variance 2.
    limit = STANDARD_ERRORS * np.sqrt((1 + np.eye(5)) / m)
    assert np.all(np.abs(white.T @ white / m - np.eye(5)) < limit)


def test_the_same_seed_gives_the_same_draws():
    normal = from_covariance(np.zeros(2), np.eye(2))
    first, second = (normal.draw(3, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("d", [1, 3])
def test_fit_has_the_mean_and_covariance_of_the_points(d):
    points = np.random.default_rng(3).normal(size=(30, d)) * np.arange(1, d + 1)
    normal = fitted(points)
    assert normal.mean == pytest.approx(points.mean(axis=0), rel=1e-14)
    covariance = np.atleast_2d(np.cov(points, rowvar=False))
    assert normal.factor @ normal.factor.T == pytest.approx(covariance, rel=1e-12)
    assert np.array_equal(normal.factor, np.tril(normal.factor))


@pytest.mark.parametrize(
    "covariance",
    [np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros((2, 2)), np.array([[1.0, np.nan], [np.nan, 1.0]])],
    ids=["indefinite", "zero", "nan"],
)
def test_a_covariance_that_is_not_positive_definite_is_an_error(covariance):
    with pytest.raises(NumericalError):
        from_covariance(np.zeros(2), covariance)


THREE_POINTS = np.random.default_rng(4).normal(size=(3, 3))


@pytest.mark.parametrize(
    "points",
    [np.zeros((1, 2)), np.ones((9, 2)), THREE_POINTS, np.repeat(THREE_POINTS, 50, axis=0)],
    ids=["one", "equal", "a plane in space", "stuck at three places"],
)
def test_too_few_distinct_points_are_an_error(points):
    with pytest.raises(NumericalError):
        fitted(points)


@pytest.mark.parametrize("target", GAUSSIANS, ids=str)
def test_fit_to_gradients_of_a_gaussian_is_exact_from_a_few_points_more_than_dimensions(target):
    points = target.draw(target.dimension + 3, np.random.default_rng(4))
    gradients = np.array([target.objective.value_and_gradient(z)[1] for z in points])
    normal, scale = fitted_to_gradients(points, gradients), np.sqrt(np.diag(target.covariance))
    assert (normal.mean - target.mean) / scale == pytest.approx(0.0, abs=1e-4)
    found = normal.factor @ normal.factor.T / np.outer(scale, scale)
    assert found == pytest.approx(target.covariance / np.outer(scale, scale), abs=1e-4)


@pytest.mark.slow
@pytest.mark.statistical
def test_fit_to_gradients_agrees_with_the_covariance_of_a_skewed_target():
    target = by_name("log gamma of shape 3")
    points = target.draw(100_000, np.random.default_rng(5))
    gradients = np.array([target.objective.value_and_gradient(z)[1] for z in points])
    normal = fitted_to_gradients(points, gradients)
    assert normal.factor[0, 0] ** 2 == pytest.approx(target.covariance[0, 0], rel=0.05)


def test_gradients_that_are_not_finite_or_describe_no_peak_are_an_error():
    points = np.random.default_rng(6).normal(size=(50, 2))
    with pytest.raises(NumericalError, match="not finite"):
        fitted_to_gradients(points, np.full((50, 2), np.nan))
    with pytest.raises(NumericalError, match="peak"):
        fitted_to_gradients(points, points * np.array([-1.0, 1.0]))
