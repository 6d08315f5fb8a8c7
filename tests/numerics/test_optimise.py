"""Climbs end at the closed-form mode of every target, and what is no maximum is not called one."""

import numpy as np
import pytest
from scipy import special

from tests.targets import ALL, PEAKED, by_name
from workbench.errors import NumericalError
from workbench.numerics.climbs import Climb, distinct, falls_away
from workbench.numerics.curvature import curvature_at
from workbench.numerics.objective import FunctionObjective
from workbench.numerics.optimise import EDM_TOLERANCE, climb, climb_again


def height_left(target, z):
    """Nats between z and the mode in the quadratic of the closed-form Hessian."""
    away = z - target.mode
    return -0.5 * away @ target.hessian @ away


def starts(target):
    """Two local standard deviations to both sides of the mode along each axis at once, and three random draws."""
    sd = 1 / np.sqrt(-np.diag(target.hessian))
    draws = target.draw(3, np.random.default_rng(5))
    return [target.mode + 2 * sd, target.mode - 2 * sd, *draws]


@pytest.mark.parametrize("target", PEAKED, ids=str)
def test_climb_ends_at_the_mode_with_a_negligible_distance(target):
    for start in starts(target):
        end = climb(target.objective, start)
        assert end.edm < EDM_TOLERANCE
        assert height_left(target, end.z) < EDM_TOLERANCE  # what the EDM claims, by the closed form
        assert end.value == pytest.approx(target.objective.value(target.mode), rel=1e-14, abs=EDM_TOLERANCE)
        assert np.array_equal(end.start, start)
        assert falls_away(target.objective, end)[0]


def test_climb_from_far_away_ends_at_the_mode():
    # 50 to 200 standard deviations: the saturated start from which optimisers report success and stay.
    for name in ("heights under a conjugate prior", "logit beta of 2 and 5", "gaussian in 20 dimensions"):
        target = by_name(name)
        sd = 1 / np.sqrt(-np.diag(target.hessian))
        end = climb(target.objective, target.mode + 50 * sd)
        assert height_left(target, end.z) < EDM_TOLERANCE


def test_climb_in_more_than_two_hundred_dimensions_ends_at_the_mode():
    scale = np.logspace(-1, 1, 201)
    objective = FunctionObjective(201, lambda z: (-0.5 * float(np.sum((z / scale) ** 2)), -z / scale**2))
    end = climb(objective, np.ones(201))
    assert end.edm < EDM_TOLERANCE
    assert 0.5 * np.sum((end.z / scale) ** 2) < EDM_TOLERANCE


@pytest.mark.parametrize("name", ["two peaks in 1 dimension", "two peaks in 2 dimensions"])
def test_two_peaks_are_two_optima_and_the_higher_one_is_the_mode(name):
    target = by_name(name)
    ends = [climb(target.objective, start) for start in target.draw(8, np.random.default_rng(0))]
    ends.sort(key=lambda end: -end.value)
    labels = distinct(ends)
    assert set(labels.tolist()) == {0, 1}
    assert height_left(target, ends[0].z) < EDM_TOLERANCE
    near = [np.linalg.norm(end.z - target.mode) < 1e-3 for end in ends]
    assert near == [label == 0 for label in labels]


def test_ends_at_one_peak_are_one_optimum():
    target = by_name("five log gammas")
    ends = [climb(target.objective, start) for start in starts(target)]
    assert distinct(sorted(ends, key=lambda end: -end.value)).tolist() == [0] * len(ends)


def ridge(z):
    away = z[0] + z[1] - 1.0
    return -0.5 * away**2, np.full(2, -away)


def to_infinity(z):
    return -float(np.logaddexp(0.0, -z[0])), np.array([special.expit(-z[0])])


def slow_to_infinity(z):
    return -0.5 * z[1] ** 2 - 1 / (1 + z[0] ** 2) ** 0.5, np.array([z[0] / (1 + z[0] ** 2) ** 1.5, -z[1]])


def rising_to_a_wall(z):
    return (2 * z[0], np.array([2.0])) if z[0] < 1.0 else (-np.inf, np.zeros(1))


def peak_beyond_a_wall(z):
    return (-0.5 * (z[0] - 1.5) ** 2, 1.5 - z) if z[0] < 1.0 else (-np.inf, np.zeros(1))


def product_ridge(z):
    away = z[0] * z[1] - 1.0
    return -0.5 * away**2, -away * z[::-1]


@pytest.mark.parametrize(
    ("function", "start"),
    [
        (ridge, [0.0, 0.0]),
        (to_infinity, [0.0]),
        (slow_to_infinity, [1.0, 1.0]),
        (rising_to_a_wall, [0.0]),
        (peak_beyond_a_wall, [0.0]),
        (product_ridge, [0.5, 3.0]),
        (lambda _: (0.0, np.zeros(2)), [1.0, 1.0]),
        (lambda z: (z[0] ** 2 - z[1] ** 2, np.array([2 * z[0], -2 * z[1]])), [0.0, 0.5]),
    ],
    ids=["ridge", "infinity", "slowly to infinity", "wall", "peak beyond a wall", "product", "constant", "saddle"],
)
def test_what_is_no_peak_is_not_called_one(function, start):
    objective = FunctionObjective(len(start), function)
    end = climb(objective, np.array(start))
    falls, direction = falls_away(objective, end)
    assert not falls or end.edm > EDM_TOLERANCE
    assert falls or np.linalg.norm(direction) == pytest.approx(1.0)


def test_an_exact_saddle_between_two_peaks_is_not_called_a_peak():
    # Symmetric about 0, where the gradient vanishes and a climb has nowhere to go.
    def two(z):
        logs = -0.5 * np.array([(z[0] - 3) ** 2, (z[0] + 3) ** 2])
        top = logs.max()
        share = np.exp(logs - top) / np.exp(logs - top).sum()
        return float(top + np.log(np.exp(logs - top).sum())), np.array([share @ [3 - z[0], -3 - z[0]]])

    objective = FunctionObjective(1, two)
    end = climb(objective, np.zeros(1))
    at_saddle = Climb(
        np.zeros(1), np.zeros(1), objective.value(np.zeros(1)), 0.0, 0.0, curvature_at(objective, np.zeros(1))
    )
    assert not falls_away(objective, at_saddle)[0]
    assert not falls_away(objective, end)[0] or abs(abs(end.z[0]) - 3) < 1e-3


def test_an_infinite_wall_beside_the_way_up_is_survived():
    def walled(z):
        return (-np.inf, np.zeros(1)) if z[0] < -1.0 else (-0.5 * (z[0] - 0.5) ** 2, 0.5 - z)

    objective = FunctionObjective(1, walled)
    for start in (-0.99, 3.0, 40.0):
        end = climb(objective, np.array([start]))
        assert end.z == pytest.approx([0.5], abs=1e-6)
        assert falls_away(objective, end)[0]


def test_an_objective_that_raises_beyond_its_support_is_survived():
    def broken(z):
        if z[0] < -1.0:
            raise NumericalError("the log density is nan")
        return -0.5 * (z[0] - 0.5) ** 2, 0.5 - z

    assert climb(FunctionObjective(1, broken), np.array([30.0])).z == pytest.approx([0.5], abs=1e-6)


def test_a_start_outside_the_support_is_an_error():
    with pytest.raises(NumericalError, match="starting point"):
        climb(FunctionObjective(1, lambda z: (-np.inf, z)), np.zeros(1))


def test_an_objective_that_is_nan_at_the_start_is_an_error():
    with pytest.raises(NumericalError):
        climb(FunctionObjective(1, lambda z: (np.nan, z)), np.zeros(1))


@pytest.mark.parametrize("target", ALL, ids=str)
def test_climbing_from_the_mode_stays_there(target):
    assert height_left(target, climb(target.objective, target.mode).z) < EDM_TOLERANCE


def bump(z):
    height = 5.0 * np.exp(-0.5 * (z[0] - 3.0) ** 2)
    return height - 0.5 * z[1] ** 2, np.array([-(z[0] - 3.0) * height, -z[1]])


def test_a_climb_that_ended_on_a_plateau_finds_the_peak_from_its_start():
    objective, start, plateau = FunctionObjective(2, bump), np.array([0.5, 1.0]), np.array([60.0, 0.0])
    stuck = Climb(start, plateau, 0.0, 0.0, np.inf, curvature_at(objective, plateau))
    found = climb_again(objective, stuck)
    assert found.z == pytest.approx([3.0, 0.0], abs=1e-6)
    assert found.edm < EDM_TOLERANCE
    assert found.start is start
    assert climb_again(objective, found) is found


def test_a_climb_to_infinity_is_not_mended():
    objective = FunctionObjective(1, to_infinity)
    stuck = climb(objective, np.zeros(1))
    again = climb_again(objective, stuck)
    assert again is stuck or not falls_away(objective, again)[0]


@pytest.mark.parametrize(("d", "seed"), [(3, 6), (5, 3), (10, 0), (10, 2)])
def test_a_climb_without_end_stops_where_squares_of_lengths_are_still_numbers(d, seed):
    # The mode of Dirichlet(0.1, ..., 0.1) on its logits: as steep however far out, so that BFGS doubles every step.
    def poles(z):
        return 0.9 * (d * special.logsumexp(z) - z.sum()), 0.9 * (d * special.softmax(z) - 1)

    end = climb(FunctionObjective(d, poles), 5 * np.random.default_rng(seed).normal(size=d))
    assert np.isfinite(end.z @ end.z)
    assert end.edm == np.inf


def normal_data(y):
    """Log likelihood of mean and log standard deviation, without constants."""

    def log_f(z):
        away, precision = y - z[0], np.exp(-2 * z[1])
        squares = float(away @ away) * precision
        return -len(y) * z[1] - squares / 2, np.array([np.sum(away) * precision, squares - len(y)])

    return FunctionObjective(2, log_f)


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6, 1e9])
def test_a_climb_ends_at_the_same_place_wherever_the_data_lie(shift):
    y = shift + np.random.default_rng(0).normal(0.0, 150.0, 40)
    for start in ([0.0, 9.0], [1.2 * shift + 1e4, 9.4], [-2.4 * shift, 5.0], [0.19 * shift, 9.4]):
        end = climb(normal_data(y), np.array(start))
        assert end.edm < EDM_TOLERANCE
        assert end.z[0] == pytest.approx(y.mean(), abs=1e-5)
        assert end.z[1] == pytest.approx(np.log(y.std()), abs=1e-7)


def test_what_cannot_be_computed_has_not_been_seen_to_fall():
    def known_on_one_side(z):
        if z[0] < -0.5:
            raise NumericalError("not computable", "z")
        return -0.5 * z[0] ** 2, -z

    objective = FunctionObjective(1, known_on_one_side)
    at_top = Climb(np.ones(1), np.zeros(1), 0.0, 0.0, 0.0, curvature_at(objective, np.zeros(1)))
    assert not falls_away(objective, at_top)[0]


def test_the_curvature_is_measured_once_where_a_climb_ends_next_to_the_maximum():
    # Ten log odds of a million trials each: the maximum is logit(p), the information n p (1 - p).
    n, p, calls = 1e6, np.linspace(0.2, 0.6, 10), []

    def log_f(z):
        calls.append(z)
        return float(n * np.sum(p * z - np.logaddexp(0.0, z))), n * (p - 1 / (1 + np.exp(-z)))

    end = climb(FunctionObjective(10, log_f), np.zeros(10))
    assert end.z == pytest.approx(np.log(p / (1 - p)), rel=1e-10)
    # One point stands for a pair where the change of the gradient is straight to 2e-7: half of that is left.
    assert np.diag(end.curvature.information) == pytest.approx(n * p * (1 - p), rel=1e-7)
    assert len(calls) < 40  # 29; with a second Hessian it would be 53
