"""The Hessian from gradient differences is the closed form, and a ridge or a saddle is no peak."""

import numpy as np
import pytest

from tests.targets import ALL, GAUSSIANS, by_name
from workbench.errors import NumericalError
from workbench.model.chart import jacobian
from workbench.numerics.curvature import curvature_at, hessian
from workbench.numerics.objective import FunctionObjective

# The module promises truncation and rounding near 1e-11 of the local scale, and calls eigenvalues below 1e-8 flat:
# an error of 1e-9 is ten times smaller than the smallest eigenvalue that decides anything.
IN_LOCAL_UNITS = 1e-9


def local(target, matrix):
    """A matrix of second derivatives in units of the local scales."""
    sd = 1 / np.sqrt(-np.diag(target.hessian))
    return matrix * np.outer(sd, sd)


@pytest.mark.parametrize("target", ALL, ids=str)
def test_hessian_at_the_mode_is_the_closed_form(target):
    found = hessian(target.objective, target.mode)
    assert np.abs(local(target, found) - local(target, target.hessian)).max() < IN_LOCAL_UNITS
    assert np.array_equal(found, found.T)


@pytest.mark.parametrize("target", GAUSSIANS, ids=str)
def test_hessian_of_a_gaussian_is_the_same_everywhere(target):
    sd = np.sqrt(np.diag(target.covariance))
    found = hessian(target.objective, target.mode + 3 * sd)
    assert np.abs(local(target, found) - local(target, target.hessian)).max() < IN_LOCAL_UNITS


@pytest.mark.parametrize("target", ALL, ids=str)
def test_every_mode_is_a_peak_with_the_inverse_covariance_and_determinant(target):
    bend = curvature_at(target.objective, target.mode)
    assert bend.is_peak
    sd = 1 / np.sqrt(-np.diag(target.hessian))
    expected = np.linalg.inv(local(target, -target.hessian))
    # An error of 1e-9 in the information grows by its condition number, at most 4000 here (correlation 0.999).
    assert bend.covariance / np.outer(sd, sd) == pytest.approx(expected, rel=1e-5, abs=1e-8)
    log_determinant = np.linalg.slogdet(local(target, -target.hessian))[1] - 2 * np.log(sd).sum()
    assert bend.log_determinant == pytest.approx(log_determinant, abs=1e-5)


@pytest.mark.parametrize("units", [np.array([1e-5, 1e5]), np.array([1e3, 1e3])])
def test_verdict_and_eigenvalues_do_not_depend_on_the_units_of_z(units):
    target = by_name("gentle banana")

    def rescaled(z):
        value, gradient = target.objective.value_and_gradient(z * units)
        return value, gradient * units

    plain = curvature_at(target.objective, target.mode + 0.5)
    other = curvature_at(FunctionObjective(2, rescaled), (target.mode + 0.5) / units)
    assert other.is_peak == plain.is_peak
    assert other.eigenvalues == pytest.approx(plain.eigenvalues, rel=1e-7)


def test_a_flat_ridge_is_no_peak_and_its_direction_is_the_weakest():
    def ridge(z):
        away = z[0] + z[1] - 1.0
        return -0.5 * away**2, np.full(2, -away)

    bend = curvature_at(FunctionObjective(2, ridge), np.array([0.3, 0.7]))
    assert not bend.is_peak
    assert np.abs(bend.weakest) == pytest.approx(np.full(2, np.sqrt(0.5)), abs=1e-6)
    assert bend.weakest[0] * bend.weakest[1] < 0
    with pytest.raises(NumericalError):
        _ = bend.covariance


def test_a_ridge_that_no_axis_shows_is_no_peak():
    # Every diagonal element of the information is positive, but the direction (1, 1, 1) is flat.
    def ridge(z):
        centred = z - z.mean()
        return -0.5 * float(centred @ centred), -centred

    bend = curvature_at(FunctionObjective(3, ridge), np.zeros(3))
    assert np.all(np.diag(bend.information) > 0)
    assert not bend.is_peak


def test_a_saddle_is_no_peak_and_the_weakest_direction_rises():
    saddle = FunctionObjective(2, lambda z: (z[0] ** 2 - z[1] ** 2, np.array([2 * z[0], -2 * z[1]])))
    bend = curvature_at(saddle, np.zeros(2))
    assert not bend.is_peak
    assert np.abs(bend.weakest) == pytest.approx([1.0, 0.0], abs=1e-9)


def test_the_bottom_of_a_valley_is_no_peak():
    bend = curvature_at(FunctionObjective(2, lambda z: (float(z @ z), 2 * z)), np.zeros(2))
    assert not bend.is_peak


def test_a_constant_is_no_peak():
    assert not curvature_at(FunctionObjective(2, lambda z: (0.0, np.zeros_like(z))), np.ones(2)).is_peak


@pytest.mark.parametrize("slope", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_an_error(slope):
    objective = FunctionObjective(1, lambda z: (0.0, np.array([slope]) if abs(z[0]) > 0 else -z))
    with pytest.raises(NumericalError):
        hessian(objective, np.zeros(1))


@pytest.mark.parametrize("apart", [1e-6, 3e-9, 1e-11])
def test_coordinates_that_nearly_share_a_direction_have_their_covariance(apart):
    # Two columns with the correlation 1 - apart: the smaller eigenvalue is `apart` itself.
    shared, difference = np.array([1.0, 1.0]) / np.sqrt(2.0), np.array([1.0, -1.0]) / np.sqrt(2.0)

    def collinear(z):
        a, b = shared @ z, difference @ z
        return -0.5 * ((2.0 - apart) * a**2 + apart * b**2), -((2.0 - apart) * a * shared + apart * b * difference)

    bend = curvature_at(FunctionObjective(2, collinear), np.array([0.3, -0.2]))
    assert bend.is_peak
    variance = (1.0 / (2.0 - apart) + 1.0 / apart) / 2.0
    # Inverting an information whose smallest eigenvalue is 1e-11 leaves five digits of it.
    assert np.diag(bend.covariance) == pytest.approx([variance, variance], rel=max(1e-6, 1e-15 / apart))


def test_a_wide_axis_that_leads_to_an_edge_is_no_peak():
    def edge(z):
        rising = 1e-9 * np.exp(np.minimum(z[0] - z[1], 700.0))
        return -0.5 * z.sum() ** 2 - rising, -z.sum() - rising * np.array([1.0, -1.0])

    assert not curvature_at(FunctionObjective(2, edge), np.zeros(2)).is_peak


def test_a_curvature_beyond_what_numbers_hold_is_an_error_and_no_traceback():
    # As next to the peak without height of a vector and its own scale.
    matrix = np.array([[-1e-300, 1e200], [1e200, -1.0]])
    objective = FunctionObjective(2, lambda z: (0.0, matrix @ z))
    with pytest.raises(NumericalError, match="too large"):
        curvature_at(objective, np.zeros(2), np.ones(2))


def test_the_bend_next_to_an_edge_is_not_measured_where_the_density_is_another_function():
    # -log(1 + variance) on the log scale of the deviation: level towards 0, steep twelve units higher.
    objective = FunctionObjective(1, lambda z: (-np.log1p(np.exp(2 * z[0])), -2 / (1 + np.exp(-2 * z))))
    z = np.array([-11.187])
    variance = np.exp(2 * z[0])
    assert hessian(objective, z)[0, 0] == pytest.approx(-4 * variance / (1 + variance) ** 2, rel=1e-4)


def test_a_large_number_does_not_round_the_step_that_measures_its_bend():
    objective = FunctionObjective(1, lambda z: (-0.5 * float(z[0] - 1e9) ** 2 / 0.03, -(z - 1e9) / 0.03))
    assert hessian(objective, np.array([1e9]))[0, 0] == pytest.approx(-1 / 0.03, rel=1e-12)
    assert jacobian(lambda points: points, np.array([1e9, 1.0]), np.array([0.2, 0.3])) == pytest.approx(np.eye(2))


def test_a_long_step_takes_the_noise_out_of_the_hessian_without_a_loss_where_the_curvature_changes():
    rng = np.random.default_rng(0)

    def noisy(z):
        return float(np.sum(z - np.exp(z))), 1.0 - np.exp(z) + 1e-9 * rng.normal(size=z.size)

    objective = FunctionObjective(3, noisy)
    short, long = hessian(objective, np.zeros(3)), hessian(objective, np.zeros(3), step=5e-2)
    assert np.abs(short + np.eye(3)).max() > 1e-7  # the noise is there
    assert np.abs(long + np.eye(3)).max() < 1e-7
    silent = FunctionObjective(1, lambda z: (float(z[0] - np.exp(z[0])), 1.0 - np.exp(z)))
    assert hessian(silent, np.zeros(1), step=5e-2)[0, 0] == pytest.approx(-1.0, abs=1e-12)


def test_a_bent_ridge_that_is_no_flat_one_has_its_covariance():
    # Bennett's magnetisation curve y = b1 (b2 + x)^(-1 / b3) (NIST StRD): along a straight line it falls by a hundred
    # thousand nats within one standard error, and the smallest scaled eigenvalue is near 1e-9.
    x, b = np.linspace(7.4, 14.0, 154), np.array([-2523.5, 46.7366, 0.932185])

    def slopes(b):
        curve = b[0] * (b[1] + x) ** (-1.0 / b[2])
        return curve, np.stack([curve / b[0], -curve / b[2] / (b[1] + x), curve * np.log(b[1] + x) / b[2] ** 2])

    y, width = slopes(b)[0], 1.8e-3

    def function(z):
        curve, slope = slopes(z)
        return -float(np.sum((y - curve) ** 2)) / 2 / width**2, slope @ (y - curve) / width**2

    found = curvature_at(FunctionObjective(3, function), b)
    assert found.is_peak
    exact = slopes(b)[1] @ slopes(b)[1].T / width**2
    scale = np.sqrt(np.diag(exact))
    errors = np.sqrt(np.diag(np.linalg.inv(exact / np.outer(scale, scale)))) / scale
    assert np.sqrt(np.diag(found.covariance)) == pytest.approx(errors, rel=1e-4)


def test_a_bent_ridge_that_is_flat_is_no_peak():
    def product(z):
        gap = z[0] * z[1] - 1.3
        return -500.0 * gap**2, -1000.0 * gap * z[::-1]

    assert not curvature_at(FunctionObjective(2, product), np.array([1.0, 1.3])).is_peak
    assert not curvature_at(FunctionObjective(2, product), np.array([0.01, 130.0])).is_peak


def test_the_weakest_direction_is_one_of_length_one_however_wide_it_is():
    a, b, c = 1.0, 1e-310, 0.5e-155
    objective = FunctionObjective(
        2,
        lambda z: (
            -0.5 * (a * z[0] ** 2 + b * z[1] ** 2) - c * z[0] * z[1],
            -np.array([a * z[0] + c * z[1], c * z[0] + b * z[1]]),
        ),
    )
    assert np.abs(curvature_at(objective, np.zeros(2)).weakest) == pytest.approx([0.0, 1.0], abs=1e-12)
