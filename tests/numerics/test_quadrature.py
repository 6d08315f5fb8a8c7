"""Integrals on a grid equal the closed form in one and two dimensions, or say that they do not know."""

from functools import cache

import numpy as np
import pytest
from scipy import special, stats

from tests.targets import ALL, by_name
from workbench.errors import NumericalError, RefusalError
from workbench.numerics.objective import FunctionObjective, values
from workbench.numerics.quadrature import integrate, integrate_lines, log_sum

COSTLY = ("dirichlet on three categories", "two peaks in 2 dimensions")
# Too wide or too bent for a grid of bounded size: a refusal or "not converged" is a good answer, a wrong one is not.
HARD = ("funnel", "thin banana")
SMOOTH = [
    pytest.param(target, id=target.name, marks=[pytest.mark.slow] if target.name in COSTLY else [])
    for target in ALL
    if target.dimension <= 2 and target.name not in HARD
]
ACCURACY = 1e-9  # nats; the rule stops at 1e-10 between two refinements


class Many:
    """An objective whose log f, over an array of shape ``(m, d)``, is computed for many points in one call."""

    def __init__(self, dimension, log_f):
        self.dimension, self.log_f = dimension, log_f

    def sweep(self, points):
        return self.log_f(points), np.zeros(points.shape)

    def value(self, z):
        return float(self.log_f(z[None])[0])

    def value_and_gradient(self, z):
        return self.value(z), np.zeros(z.size)


def factor(target):
    """Cholesky factor of the covariance at the mode."""
    return np.linalg.cholesky(np.linalg.inv(-target.hessian))


def grid(target):
    return integrate(target.objective, target.mode, factor(target))


@cache
def grid_by_name(name):
    return grid(by_name(name))


@pytest.mark.parametrize("target", SMOOTH)
def test_integral_is_the_closed_form(target):
    found = grid_by_name(target.name)
    assert found.converged
    assert found.log_integral == pytest.approx(target.log_integral, abs=ACCURACY)
    assert abs(found.log_integral - target.log_integral) <= max(found.error, 1e-12 * abs(target.log_integral), 1e-12)
    # A log density of the size of a million is itself rounded at 1e-10 nats, and the stated error says so.
    assert found.error < max(ACCURACY, 1e-14 * abs(target.log_integral))


@pytest.mark.parametrize("target", SMOOTH)
def test_expectations_are_the_closed_form_mean_and_covariance(target):
    found = grid_by_name(target.name)
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
    sd = np.sqrt(np.diag(target.covariance))
    standard = (found.points - target.mean) / sd
    # The tail of a Student t with 5 degrees beyond the grid holds 1e-10 of the second moment: x^2 f(x) falls as x^-4.
    accuracy = 1e-6 if "student" in target.name else 1e-8
    assert np.all(np.abs(found.expectation(standard)) < accuracy)
    second = found.expectation(standard[:, :, None] * standard[:, None, :])
    assert second == pytest.approx(target.covariance / np.outer(sd, sd), abs=accuracy)


@pytest.mark.slow
@pytest.mark.parametrize("name", HARD)
def test_a_density_too_wide_for_a_grid_is_refused_or_right(name):
    target = by_name(name)
    try:
        found = grid(target)
    except RefusalError:
        return  # a good answer: it names no number
    assert not found.converged or abs(found.log_integral - target.log_integral) < ACCURACY


@pytest.mark.parametrize(
    "name", ["gaussian with correlation 0.999", "heights under a conjugate prior", "log gamma of shape 3"]
)
def test_integral_does_not_depend_on_a_rough_centre_and_scale(name):
    target = by_name(name)
    found = integrate(target.objective, target.mode + factor(target).sum(axis=1), 1.7 * factor(target))
    assert found.log_integral == pytest.approx(target.log_integral, abs=ACCURACY)


def test_two_peaks_far_apart_are_both_covered_when_they_are_named():
    # 60 standard deviations apart: nothing at the edge of the grid around one of them betrays the other.
    def far(z):
        logs = np.log([0.25, 0.75]) - 0.5 * (z[0] - np.array([0.0, 60.0])) ** 2 - 0.5 * np.log(2 * np.pi)
        share = np.exp(logs - np.logaddexp(*logs))
        return float(np.logaddexp(*logs)), np.array([share @ (np.array([0.0, 60.0]) - z[0])])

    found = integrate(FunctionObjective(1, far), np.zeros(1), np.eye(1), cover=np.array([[60.0]]))
    assert found.log_integral == pytest.approx(0.0, abs=ACCURACY)


def test_grid_holds_the_values_of_the_objective_at_its_points():
    target = by_name("logit beta of 2 and 5")
    found = grid_by_name(target.name)
    assert np.array_equal(found.log_f, values(target.objective, found.points))
    assert found.weights.shape == (len(found.points),)


@pytest.mark.parametrize("name", ["student t in 4 dimensions", "gaussian in 5 dimensions"])
def test_more_than_two_dimensions_are_refused(name):
    target = by_name(name)
    with pytest.raises(RefusalError, match="dimensions"):
        grid(target)
    three = FunctionObjective(3, lambda z: (-0.5 * float(z @ z), -z))
    with pytest.raises(RefusalError, match="3 dimensions"):
        integrate(three, np.zeros(3), np.eye(3))


def test_a_density_that_does_not_fall_off_is_refused():
    with pytest.raises(RefusalError):
        integrate(Many(1, lambda points: np.zeros(len(points))), np.zeros(1), np.eye(1))


def test_a_density_that_does_not_fall_off_on_one_side_is_refused():
    one_sided = Many(1, lambda points: -np.logaddexp(0.0, -points[:, 0]))
    with pytest.raises(RefusalError):
        integrate(one_sided, np.zeros(1), np.eye(1))


def test_a_grid_larger_than_memory_is_refused_before_it_is_laid_out():
    away = np.array([[1e9, 1e9]])
    with pytest.raises(RefusalError, match="points"):
        integrate(FunctionObjective(2, lambda z: (-0.5 * float(z @ z), -z)), np.zeros(2), np.eye(2), cover=away)


def test_far_from_zero_the_rounding_of_the_points_is_in_the_error():
    far = np.array([1e9, 0.0])
    found = integrate(FunctionObjective(2, lambda z: (-0.5 * float((z - far) @ (z - far)), far - z)), far, np.eye(2))
    assert found.converged
    assert abs(found.log_integral - np.log(2 * np.pi)) < found.error < 1e-6


def test_a_density_that_is_zero_everywhere_is_an_error():
    with pytest.raises(NumericalError):
        integrate(FunctionObjective(1, lambda z: (-np.inf, z)), np.zeros(1), np.eye(1))


def test_a_density_that_is_nan_on_the_grid_is_an_error():
    half = FunctionObjective(1, lambda z: (np.nan if z[0] > 1 else -0.5 * z[0] ** 2, -z))
    with pytest.raises(NumericalError):
        integrate(half, np.zeros(1), np.eye(1))


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize("beyond", [-np.inf, -6.0, -0.3])
def test_a_jump_in_the_density_is_refused_after_few_points(beyond, side):
    # The trapezoidal rule loses half a spacing at a wall and gains nothing by smoothness.
    seen = []

    def log_f(z):
        seen.append(z)
        return -0.5 * float(z @ z) + (0.0 if side * z[0] > 0.1234 else beyond), -z

    with pytest.raises(RefusalError, match="jumps by") as refusal:
        integrate(FunctionObjective(2, log_f), np.array([0.5 * side, 0.0]), np.eye(2))
    assert f"{-beyond:.3g} nats" in refusal.value.what
    assert len(seen) < 60_000  # and not half a million


def test_what_is_steep_or_has_a_corner_is_no_jump():
    for width in (1e-3, 1e-5):

        def cliff(z, width=width):
            return -0.5 * z[0] ** 2 - 5.0 / (1.0 + np.exp(-z[0] / width)), -z

        with np.errstate(over="ignore"):
            assert not integrate(FunctionObjective(1, cliff), np.zeros(1), np.eye(1)).converged
    corner = integrate(FunctionObjective(1, lambda z: (-abs(z[0] - 0.1), -z)), np.zeros(1), np.eye(1))
    assert corner.log_integral == pytest.approx(np.log(2.0), abs=1e-4)


def test_integrals_along_lines_are_the_closed_form_and_those_of_one_line_at_a_time():
    def log_f(points):  # log N(x | y^2, e^y) + log N(y | 0, 1)
        x, y = points.T
        return -0.5 * ((x - y**2) / np.exp(y)) ** 2 - y - 0.5 * np.log(2 * np.pi) + stats.norm.logpdf(y)

    y = np.random.default_rng(2).normal(size=150)  # peaks that are up to a hundred times as wide as others
    points, objective = np.stack([y**2, y], axis=1), Many(2, log_f)
    logs, errors = integrate_lines(objective, points, 0, 1.0, np.array([-3.0]))
    assert logs == pytest.approx(stats.norm.logpdf(y), abs=ACCURACY)
    assert np.all(np.abs(logs - stats.norm.logpdf(y)) <= np.maximum(errors, 1e-12))
    assert errors.max() < ACCURACY
    for point, log in zip(points[:20], logs[:20], strict=True):
        line = Many(1, lambda x, at=point[1]: log_f(np.column_stack([x[:, 0], np.full(len(x), at)])))
        assert log == pytest.approx(integrate(line, point[:1], np.eye(1)).log_integral, abs=ACCURACY)


def test_what_a_line_has_to_cover_is_covered():
    def far(z):
        return float(np.logaddexp(*(np.log([0.25, 0.75]) - 0.5 * (z[0] - np.array([0.0, 60.0])) ** 2))), z

    objective, points = FunctionObjective(1, far), np.zeros((1, 1))
    for cover, share in ((0.0, 0.25), (60.0, 1.0)):
        logs, _ = integrate_lines(objective, points, 0, 1.0, np.array([cover]))
        assert logs[0] == pytest.approx(0.5 * np.log(2 * np.pi) + np.log(share), abs=ACCURACY)


def test_lines_along_which_the_density_does_not_fall_off_or_vanishes_are_refused():
    flat = Many(1, lambda points: np.zeros(len(points)))
    with pytest.raises(RefusalError):
        integrate_lines(flat, np.zeros((1, 1)), 0, 1.0, np.array([4000.0]))
    nowhere = FunctionObjective(1, lambda z: (-np.inf, z))
    with pytest.raises(NumericalError, match="zero everywhere"):
        integrate_lines(nowhere, np.zeros((1, 1)), 0, 1.0, np.zeros(1))
    half = FunctionObjective(1, lambda z: (np.nan if z[0] > 1 else -0.5 * z[0] ** 2, -z))
    with pytest.raises(NumericalError):
        integrate_lines(half, np.zeros((1, 1)), 0, 1.0, np.zeros(1))


def test_a_jump_along_a_line_has_an_error_that_covers_the_truth():
    wall = FunctionObjective(1, lambda z: (-0.5 * z[0] ** 2 if z[0] > 0.1 else -np.inf, -z))
    (log,), (error,) = integrate_lines(wall, np.array([[0.5]]), 0, 1.0, np.zeros(1))
    truth = 0.5 * np.log(2 * np.pi) + np.log(0.460172162722971)  # 1 - Phi(0.1)
    assert 0 < abs(log - truth) <= 2 * error


@pytest.mark.parametrize("logs", [[0.0], [1.0, 2.0], [-1e5, -1e5 - 1.0], [-np.inf, 3.0], [-np.inf, -np.inf]])
def test_the_log_of_a_sum_is_that_of_scipy(logs):
    assert log_sum(np.array([logs])) == pytest.approx(float(special.logsumexp(logs)), rel=1e-15)


def test_a_rougher_tolerance_looks_at_fewer_points_and_is_kept():
    # A log Gamma density of shape 0.6 falls slowly on one side: most of the way down to 45 nats is of no weight.
    looked = []

    def function(z):
        looked.append(z)
        return float(0.6 * z[0] - np.exp(z[0])), np.array([0.6 - np.exp(z[0])])

    objective, exact = FunctionObjective(1, function), special.gammaln(0.6)
    counts = []
    for tolerance in (1e-10, 1e-5):
        looked.clear()
        found = integrate(objective, np.array([np.log(0.6)]), np.eye(1), tolerance=tolerance)
        counts.append(len(looked))
        assert found.converged
        assert abs(found.log_integral - exact) < tolerance
        along, error = integrate_lines(objective, np.zeros((1, 1)), 0, 1.0, np.zeros(1), tolerance)
        assert abs(along[0] - exact) < tolerance
        assert error[0] < tolerance
    assert counts[1] < 0.6 * counts[0]
