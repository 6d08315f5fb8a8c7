"""Every setting has a range, and a number outside it is refused by name."""

import dataclasses

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.settings import Settings

NO_COUNTS = ("target_accept", "level", "evidence_error")
COUNTS = [f.name for f in dataclasses.fields(Settings) if f.name not in NO_COUNTS]


def test_defaults_are_inside_their_ranges():
    assert Settings() == Settings()
    assert Settings().chains >= 4  # R-hat and the evidence error by chain need them
    assert 0.8 <= Settings().target_accept < 1.0


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, 2.0, "4", None, float("nan"), True])
def test_a_count_that_is_no_whole_number_of_at_least_one_is_refused(name, value):
    with pytest.raises(InputError, match=name):
        Settings(**{name: value})


@pytest.mark.parametrize("name", ["target_accept", "level"])
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 95, float("nan"), "0.9", None])
def test_a_probability_outside_the_open_unit_interval_is_refused(name, value):
    with pytest.raises(InputError, match=name):
        Settings(**{name: value})


@pytest.mark.parametrize("value", [0.0, -0.1, float("inf"), float("nan"), "0.1", None, True])
def test_an_error_to_aim_at_that_is_no_positive_number_is_refused(value):
    with pytest.raises(InputError, match="evidence_error"):
        Settings(evidence_error=value)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_one_and_many_are_accepted(name):
    assert getattr(Settings(**{name: 1}), name) == 1
    assert getattr(Settings(**{name: 10**6}), name) == 10**6
    assert getattr(Settings(**{name: np.int64(3)}), name) == 3


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().chains = 8
