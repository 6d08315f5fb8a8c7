"""The integral over every mode that was found: closed forms, honest errors, and what it cannot carry."""

import numpy as np
import pytest
from scipy import stats

from tests.evidence.annealing import two_modes
from tests.targets import ALL, RowsObjective, by_name
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.modes import importance_checks, integrate_peaks, over_modes, peaks_at
from workbench.numerics.moves import sweep_of


def _values(objective):
    return lambda points: sweep_of(objective)(points)[0]


def _found(target, places, seed=1):
    return integrate_peaks(_values(target.objective), peaks_at(target.objective, places), seed)


_ONE_PEAK = [t for t in ALL if t.modes == 1 and t.dimension <= 20 and "funnel" not in t.name]


@pytest.mark.parametrize("target", _ONE_PEAK, ids=str)
def test_integral_matches_the_closed_form_within_its_error_or_its_checks_fail(target):
    found = _found(target, target.mode[None])
    near = abs(found.log_integral - target.log_integral) < STANDARD_ERRORS * found.error + 1e-9
    assert near or worst_status(importance_checks(found, found.error)) == "failed"
    if target.gaussian:
        assert near
        assert found.error < 0.05


@pytest.mark.parametrize(("d", "share"), [(1, 0.3), (4, 0.1), (10, 0.02)])
def test_modes_that_no_chain_could_connect_are_added_up(d, share):
    target = two_modes(d, share)
    found = integrate_peaks(_values(target.objective), peaks_at(target.objective, _both(target)), seed=1)
    assert abs(found.log_integral) < STANDARD_ERRORS * found.error
    assert found.error < 0.05
    mass, error = found.mean((found.points @ target.centre < 0).astype(float))
    assert abs(mass - share) < STANDARD_ERRORS * error


def _both(target):
    return np.stack([target.centre, -target.centre, -target.centre])


@pytest.mark.statistical
def test_its_error_is_honest_over_repetitions():
    target = two_modes(3, 0.2)
    peaks = peaks_at(target.objective, _both(target))
    found = [integrate_peaks(_values(target.objective), peaks, seed) for seed in range(100)]
    scores = np.array([one.log_integral / one.error for one in found])
    assert abs(scores.mean()) < STANDARD_ERRORS / 10
    assert 0.75 < scores.std() < 1.25  # the sampling error of a standard deviation from 100 values is 7%


def test_one_of_two_modes_alone_has_its_own_mass():
    target = two_modes(4, 0.3)
    found = integrate_peaks(_values(target.objective), peaks_at(target.objective, target.centre[None]), seed=1)
    assert abs(found.log_integral - np.log(0.7)) < STANDARD_ERRORS * found.error


def test_places_count_once_and_only_if_they_are_peaks():
    target = two_modes(2, share=0.3)
    peaks = peaks_at(target.objective, np.vstack([_both(target), np.zeros((1, 2))]))
    assert [tuple(peak.place) for peak in peaks] == [tuple(target.centre), tuple(-target.centre)]
    assert [peak.log_mass for peak in peaks] == pytest.approx([np.log(0.7), np.log(0.3)], abs=1e-6)


def test_tails_heavier_than_the_mixture_fail_the_check():
    def rows(z):
        value = -np.log1p(z**2 / 1e-2).sum(axis=1) * 0.55  # heavier than Cauchy's
        return value, -1.1 * z / (1e-2 + z**2)

    objective = RowsObjective(1, rows)
    found = integrate_peaks(_values(objective), peaks_at(objective, np.zeros((1, 1))), seed=1)
    assert worst_status(importance_checks(found, found.error)) == "failed"


def test_what_cannot_be_computed_is_in_the_error():
    target = by_name("gaussian in 1 dimension")
    peaks = peaks_at(target.objective, target.mode[None])

    def broken(points):
        return np.where(points[:, 0] > target.mode[0] + 1.0, np.nan, _values(target.objective)(points))

    found = integrate_peaks(broken, peaks, seed=1)
    assert abs(found.log_integral - target.log_integral) < STANDARD_ERRORS * found.error
    assert found.error > 0.05
    with pytest.raises(NumericalError, match="vanishes at every draw"):
        integrate_peaks(lambda points: np.full(len(points), -np.inf), peaks, seed=1)


def test_fit_and_divergence_follow_their_closed_form():
    # theta ~ Normal(0, I) in two dimensions, one observation of each at 1.5 with sd 1: everything is Gaussian.
    def rows(z):
        gaps = z - 1.5
        value = -0.5 * np.sum(z**2 + gaps**2, axis=1) - 2.0 * np.log(2 * np.pi)
        return value, -z - gaps

    objective = RowsObjective(2, rows)

    def log_likelihood(points):
        return stats.norm(points, 1.0).logpdf(1.5).sum(axis=1)

    found = over_modes(objective, log_likelihood, np.full((1, 2), 0.75), seed=1)
    truth = 2 * stats.norm(0.0, np.sqrt(2.0)).logpdf(1.5)
    fit = 2 * (-0.5 * np.log(2 * np.pi) - 0.5 * (0.75**2 + 0.5))
    assert abs(found.log_evidence - truth) < STANDARD_ERRORS * found.std_error
    assert abs(found.expected_log_likelihood - fit) < STANDARD_ERRORS * found.expected_error
    assert abs(found.kl_divergence - (fit - truth)) < STANDARD_ERRORS * found.kl_error
    moved = found.over(0.5, 0.1)
    assert moved.log_evidence == found.log_evidence - 0.5
    assert moved.kl_divergence + moved.log_evidence == pytest.approx(found.expected_log_likelihood)
    assert list(found.table().index) == ["log evidence", "E_post[log likelihood]", "KL(posterior || prior)"]


def test_without_a_proper_peak_there_is_nothing_to_go_from():
    objective = RowsObjective(1, lambda z: (np.zeros(len(z)), np.zeros_like(z)))
    with pytest.raises(RefusalError, match="no proper peak"):
        over_modes(objective, lambda points: np.zeros(len(points)), np.zeros((1, 1)), seed=1)
