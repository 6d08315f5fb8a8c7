"""Hamiltonian moves leave a density as it is, forget their start, and are turned away where there is no density."""

import numpy as np
import pytest

from tests.targets import by_name
from tests.tolerance import STANDARD_ERRORS
from workbench.numerics.moves import Cloud, hamiltonian_move, mix, shape_of, sweep_of
from workbench.numerics.objective import FunctionObjective


def _cloud(target, m, seed):
    points = target.draw(m, np.random.default_rng(seed))
    return Cloud(points, *sweep_of(target.objective)(points))


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["gaussian in 5 dimensions", "two log gammas", "student t in 2 dimensions"])
def test_moves_leave_exact_draws_exact(name):
    target = by_name(name)
    cloud = _cloud(target, 4000, 1)
    factor = np.linalg.cholesky(target.covariance)
    for seed in range(3):
        cloud, _ = hamiltonian_move(sweep_of(target.objective), cloud, factor, 0.7, 2, np.random.default_rng(seed))
    error = np.sqrt(np.diag(target.covariance) / 4000)
    assert np.all(np.abs(cloud.points.mean(axis=0) - target.mean) < STANDARD_ERRORS * error)
    assert cloud.points.std(axis=0) == pytest.approx(np.sqrt(np.diag(target.covariance)), rel=0.15)


def test_a_gradient_of_another_density_is_corrected_by_the_acceptance():
    # Values are right and gradients wrong by a factor: proposals are poor, but the density that is left is the same.
    target = by_name("gaussian in 5 dimensions")

    def sweep(points):
        value, gradient = sweep_of(target.objective)(points)
        return value, 0.3 * gradient

    cloud, acceptance = _cloud(target, 4000, 2), 1.0
    for seed in range(3):
        cloud, acceptance = hamiltonian_move(
            sweep, cloud, np.linalg.cholesky(target.covariance), 0.5, 2, np.random.default_rng(seed)
        )
    assert acceptance < 0.9
    assert cloud.points.std(axis=0) == pytest.approx(np.sqrt(np.diag(target.covariance)), rel=0.06)


def test_values_and_gradients_stay_those_of_the_points():
    target = by_name("two log gammas")
    cloud, mixing = mix(
        sweep_of(target.objective), _cloud(target, 200, 3), np.eye(2), 0.3, np.random.default_rng(1), most=3
    )
    value, gradient = sweep_of(target.objective)(cloud.points)
    assert np.array_equal(value, cloud.value)
    assert np.array_equal(gradient, cloud.gradient)
    assert mixing.correlation < 0.5
    assert mixing.sweeps >= 1


def test_points_stay_out_of_places_without_density():
    def log_f(z):
        return (-0.5 * z[0] ** 2 if z[0] > 0 else -np.inf), -z

    half = FunctionObjective(1, log_f)
    points = np.abs(np.random.default_rng(1).normal(size=(500, 1)))
    cloud, _ = mix(sweep_of(half), Cloud(points, *sweep_of(half)(points)), np.eye(1), 1.0, np.random.default_rng(2), 4)
    assert np.all(cloud.points > 0)


def test_a_density_that_is_not_a_number_counts_as_zero():
    bad = FunctionObjective(1, lambda z: (np.nan if z[0] > 1 else 0.0, np.zeros(1)))
    value, gradient = sweep_of(bad)(np.array([[0.0], [2.0]]))
    assert value.tolist() == [0.0, -np.inf]
    assert not gradient.any()


def test_the_shape_of_a_cloud_is_its_covariance_or_its_diagonal_where_points_are_few():
    target = by_name("gaussian in 5 dimensions")
    points = target.draw(20_000, np.random.default_rng(4))
    factor = shape_of(points)
    assert factor @ factor.T == pytest.approx(np.cov(points.T), rel=1e-6, abs=1e-8)
    few = shape_of(points[:20])
    assert few == pytest.approx(np.diag(points[:20].std(axis=0)))


def test_points_on_a_line_have_a_shape_all_the_same():
    line = np.random.default_rng(5).normal(size=(100, 1)) * np.ones(2)
    assert np.all(np.isfinite(shape_of(line)))
