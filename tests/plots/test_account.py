"""The account in pictures adds up to the log evidence."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import BEST, EVIDENCE, FIT, information
from workbench.errors import InputError
from workbench.plots.account import plot_account, plot_taught, waterfalls

ACCOUNT = information(("mu", "sigma"))


def test_both_ways_arrive_at_the_log_evidence() -> None:
    assert waterfalls(ACCOUNT) == [
        ("maximised log likelihood", BEST, "log Occam factor", EVIDENCE - BEST, EVIDENCE),
        ("E_post[log likelihood]", FIT, "KL(posterior || prior)", -(FIT - EVIDENCE), EVIDENCE),
    ]


def test_every_bar_spans_from_the_fit_to_the_log_evidence() -> None:
    bars = [patch.get_bbox() for patch in plot_account(ACCOUNT).axes[0].patches]
    assert [sorted((bar.x0, bar.x1)) for bar in bars] == [
        pytest.approx([EVIDENCE, BEST]),
        pytest.approx([EVIDENCE, FIT]),
    ]


def test_without_an_mle_one_way_is_left() -> None:
    kept = {k: v for k, v in ACCOUNT.entries.items() if "Occam" not in k and "maximised" not in k}
    assert len(plot_account(replace(ACCOUNT, entries=kept)).axes[0].patches) == 1


@pytest.mark.parametrize("value", [EVIDENCE + 0.1, np.nan, np.inf])
def test_an_account_that_does_not_balance_is_refused(value: float) -> None:
    entries = ACCOUNT.entries | {"log evidence": (value, 0.0, "")}
    with pytest.raises(InputError, match="do not add up"):
        plot_account(replace(ACCOUNT, entries=entries))


def test_an_account_without_evidence_is_refused() -> None:
    with pytest.raises(InputError, match="no log evidence"):
        plot_account(replace(ACCOUNT, entries={}))


def test_what_was_taught_is_drawn_in_bits() -> None:
    bars = plot_taught(ACCOUNT).axes[0].patches
    wanted = np.array([FIT - EVIDENCE, 3.0, 3.0]) / np.log(2)
    np.testing.assert_allclose([bar.get_width() for bar in bars], wanted)


def test_a_value_that_is_not_finite_is_not_drawn() -> None:
    with pytest.raises(InputError, match="not finite"):
        plot_taught(replace(ACCOUNT, about={"mu": (np.nan, 0.1)}))
