"""Integrals of many densities from draws of several: closed forms, the bridge of two, honest errors, a poor set."""

import numpy as np
import pytest

from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.evidence.reweighting import Joined
from workbench.evidence.several import Several

SCALES = np.array([1.0, 0.6, 0.3, 0.2])  # of Normal densities without their constants: the integrals are in their ratio
EXACT = np.log(SCALES / SCALES[0])


def _logs(z):
    return -0.5 * (z / SCALES.reshape(-1, 1, 1)) ** 2


def _sets(seed, shape=(4, 500)):
    generator = np.random.default_rng(seed)
    return [scale * generator.normal(size=shape) for scale in SCALES]


def _several(draws, effective=None):
    counted = [z.size for z in draws] if effective is None else effective
    return Several([_logs(z) for z in draws], np.array(counted, dtype=float))


def _between(several, draws, scale):
    every = np.concatenate([z.ravel() for z in draws])
    value, influence, shares = several.integral(-0.5 * (every / scale) ** 2)
    square, of_square = several.mean(shares, every**2)
    return (value, several.error(influence)), (square, several.error(of_square))


def test_integrals_and_means_between_the_sets_have_their_closed_forms():
    draws = _sets(1)
    several = _several(draws)
    assert several.constants == pytest.approx(EXACT, abs=0.1)
    for scale in (0.9, 0.45, 0.25, 0.2):
        (value, error), (square, square_error) = _between(several, draws, scale)
        assert 0.0 < error < 0.05
        assert abs(value - np.log(scale)) < STANDARD_ERRORS * error
        assert abs(square - scale**2) < STANDARD_ERRORS * square_error


def test_two_sets_are_the_bridge_between_them():
    draws = _sets(2)[:2]
    logs = [_logs(z)[:2] for z in draws]
    several = Several(logs, np.array([z.size for z in draws], dtype=float))
    both = Joined(*(tuple(array) for array in logs))
    value, error, _ = both.at(logs[0][1], logs[1][1])
    assert several.constants[1] == pytest.approx(value, abs=1e-5)
    _, influence, _ = several.integral(np.concatenate([array[1].ravel() for array in logs]))
    assert several.error(influence) == pytest.approx(error, rel=0.02)


@pytest.mark.statistical
def test_errors_are_honest_over_repetitions():
    found = []
    for seed in range(60):
        draws = _sets(100 + seed, (4, 200))
        (value, error), (square, square_error) = _between(_several(draws), draws, 0.25)
        found.append(((value - np.log(0.25)) / error, (square - 0.0625) / square_error))
    scores = np.array(found)
    assert np.all(np.abs(scores.mean(axis=0)) < 0.5)
    assert np.all((scores.std(axis=0) > 0.75) & (scores.std(axis=0) < 1.3))


def test_a_set_that_counts_as_few_is_reached_past():
    draws = _sets(3)
    draws[1] = 0.2 * draws[1]  # chains that saw a small part of their density only
    trusting, careful = _several(draws), _several(draws, [2000, 5, 2000, 2000])
    assert abs(trusting.constants[3] - EXACT[3]) > 0.2
    (value, error), _ = _between(careful, draws, SCALES[3])
    assert abs(value - EXACT[3]) < STANDARD_ERRORS * error
    assert error < 0.1


def test_a_single_set_is_its_own_origin():
    draws = _sets(4)[:1]
    several = Several([_logs(draws[0])[:1]], np.array([2000.0]))
    every = draws[0].ravel()
    value, influence, _ = several.integral(-0.5 * (every / 0.8) ** 2)
    assert several.constants == pytest.approx([0.0])
    assert abs(value - np.log(0.8)) < STANDARD_ERRORS * several.error(influence)


def test_sets_that_do_not_overlap_are_refused():
    rng = np.random.default_rng(7)
    places = (0.0, 200.0)
    draws = [place + rng.normal(size=(4, 250)) for place in places]
    sets = [np.stack([-0.5 * (x - place) ** 2 for place in places]) for x in draws]
    with pytest.raises(NumericalError, match="do not overlap"):
        Several(sets, np.full(2, 1000.0))
