"""The closed-form targets are what they claim to be, before any algorithm is judged by them."""

import numpy as np
import pytest

from tests.targets import ALL, PEAKED, by_name
from tests.tolerance import STANDARD_ERRORS
from workbench.numerics.objective import values

# Fourth moments of these do not exist or are carried by draws that never come up: a sample covariance says nothing.
HEAVY = ("funnel", "thin banana", "student t with 5 degrees", "student t in 4 dimensions")


def scales(target):
    """Standard deviations at the mode, from the curvature of each coordinate alone."""
    return 1 / np.sqrt(-np.diag(target.hessian))


def points(target, m=20):
    """Points within two local standard deviations of the mode."""
    generator = np.random.default_rng(3)
    return target.mode + scales(target) * generator.uniform(-2, 2, size=(m, target.dimension))


def differences(function, z, steps):
    """Five-point differences of a function of z along every axis; relative error near 1e-10 for smooth functions."""
    columns = []
    for i, h in enumerate(steps):
        e = np.zeros_like(z)
        e[i] = h
        columns.append((8 * (function(z + e) - function(z - e)) - function(z + 2 * e) + function(z - 2 * e)) / (12 * h))
    return np.array(columns)


def test_names_are_unique_and_there_are_at_least_twelve():
    assert len({target.name for target in ALL}) == len(ALL) >= 12
    assert by_name("funnel").dimension == 2
    assert {t.name for t in ALL} - {t.name for t in PEAKED} == {"two peaks in 1 dimension", "two peaks in 2 dimensions"}


@pytest.mark.parametrize("target", ALL, ids=str)
def test_gradient_is_the_slope_of_the_value(target):
    # In units of the local scale; rounding of the value, |log f| eps / h, dominates: 1e-16 * |log f| / 1e-3.
    steps = 1e-3 * scales(target)
    for z in points(target):
        value, gradient = target.objective.value_and_gradient(z)
        expected = differences(target.objective.value, z, steps) * scales(target)
        assert gradient * scales(target) == pytest.approx(expected, rel=1e-7, abs=1e-11 * max(1.0, abs(value)))


@pytest.mark.parametrize("target", ALL, ids=str)
def test_many_points_at_once_give_what_each_gives_alone_bit_for_bit(target):
    log_f, gradients = target.objective.sweep(points(target))
    alone = [target.objective.value_and_gradient(z) for z in points(target)]
    assert np.array_equal(log_f, [value for value, _ in alone])
    assert np.array_equal(gradients, [gradient for _, gradient in alone])


@pytest.mark.parametrize("target", ALL, ids=str)
def test_mode_has_a_zero_gradient_and_the_stated_hessian(target):
    _, gradient = target.objective.value_and_gradient(target.mode)
    # The mode itself is rounded: its gradient in local units is of the order |mode| eps / scale.
    rounding = 1e-14 * (1 + np.abs(target.mode) / scales(target)) * np.linalg.cond(whitened_hessian(target))
    assert np.all(np.abs(gradient) * scales(target) < np.maximum(rounding, 1e-9))
    slopes = differences(lambda z: target.objective.value_and_gradient(z)[1], target.mode, 1e-3 * scales(target))
    in_units = slopes * np.outer(scales(target), scales(target))
    assert in_units == pytest.approx(whitened_hessian(target), rel=1e-8, abs=1e-8)


def whitened_hessian(target):
    """The Hessian in units of the local scales: -1 on its diagonal."""
    return target.hessian * np.outer(scales(target), scales(target))


@pytest.mark.parametrize("target", ALL, ids=str)
def test_value_at_the_mode_is_the_highest_of_all_draws(target):
    draws = target.draw(2000, np.random.default_rng(1))
    assert draws.shape == (2000, target.dimension)
    assert values(target.objective, draws).max() <= target.objective.value(target.mode)


@pytest.mark.statistical
@pytest.mark.parametrize("target", ALL, ids=str)
def test_draws_have_the_stated_mean_and_covariance(target):
    m = 20_000
    sd = np.sqrt(np.diag(target.covariance))
    standard = (target.draw(m, np.random.default_rng(2)) - target.mean) / sd
    assert np.all(np.abs(standard.mean(axis=0)) < STANDARD_ERRORS * standard.std(axis=0) / np.sqrt(m))
    if target.name in HEAVY:
        return
    products = standard[:, :, None] * standard[:, None, :]
    errors = products.std(axis=0) / np.sqrt(m)
    assert np.all(np.abs(products.mean(axis=0) - target.covariance / np.outer(sd, sd)) < STANDARD_ERRORS * errors)


@pytest.mark.statistical
@pytest.mark.parametrize("target", PEAKED, ids=str)
def test_draws_and_density_give_the_stated_integral(target):
    # E_draws[q / f] = 1 / integral for any density q: here a Gaussian at the mode, narrower than the peak so that it
    # lies inside the bulk and the average has a finite error. In many dimensions a very narrow one would catch no
    # draw; in two a banana needs it.
    m, d = 20_000, target.dimension
    narrower = 10.0 if d <= 2 else 2.0
    draws = target.draw(m, np.random.default_rng(4))
    unit = scales(target)
    factor = np.linalg.cholesky(-whitened_hessian(target)) * narrower
    away = ((draws - target.mode) / unit) @ factor
    log_q = -0.5 * np.sum(away**2, axis=1) - 0.5 * d * np.log(2 * np.pi)
    log_q += np.log(np.diag(factor)).sum() - np.log(unit).sum()
    ratio = np.exp(log_q - values(target.objective, draws) + target.log_integral)
    assert abs(ratio.mean() - 1.0) < STANDARD_ERRORS * ratio.std() / np.sqrt(m)
    assert ratio.std() / np.sqrt(m) < 0.2
