"""A check is one finding with a known code, and a verdict is the worst of them."""

import dataclasses
import itertools

import pytest

from workbench.check import CATALOGUE, SEVERITY, Check, worst_status

STATUSES = ["ok", "unknown", "caution", "failed"]


def test_statuses_are_ordered_from_good_to_bad():
    assert sorted(SEVERITY, key=SEVERITY.get) == STATUSES


def test_every_code_has_one_meaning_in_one_sentence():
    assert all(text.endswith(".") and len(text) > 20 for text in CATALOGUE.values())
    assert all(code == code.lower() and " " not in code for code in CATALOGUE)
    assert len(set(CATALOGUE.values())) == len(CATALOGUE)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(STATUSES, STATUSES)))
def test_the_verdict_is_the_worse_of_two(first, second):
    checks = [Check("r-hat", first, ""), Check("ess", second, "")]
    assert worst_status(checks) == STATUSES[max(STATUSES.index(first), STATUSES.index(second))]
    assert worst_status(reversed(checks)) == worst_status(checks)


def test_the_verdict_over_nothing_is_ok():
    assert worst_status([]) == "ok"
    assert worst_status(iter(())) == "ok"


def test_an_unknown_code_or_status_is_an_error():
    with pytest.raises(ValueError, match="catalogue"):
        Check("astrology", "ok", "")
    with pytest.raises(ValueError, match="'good'"):
        Check("r-hat", "good", "")


def test_a_check_shows_status_code_message_and_remedy():
    assert str(Check("ess", "caution", "only 12", "draw more")) == "caution ess: only 12 What to do: draw more"
    assert str(Check("r-hat", "ok", "1.001")) == "ok      r-hat: 1.001"


def test_a_check_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Check("r-hat", "ok", "").status = "failed"
