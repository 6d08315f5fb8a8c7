"""The tables of docs/validation.md: their closed forms are right, and Workbench gives what they say it gives."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests import studies

PAGE = (Path(__file__).parents[1] / "docs" / "validation.md").read_text(encoding="utf-8")


def shown(section, quantity):
    """Numbers of a row of a table: all in its second column, all in its third."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## )", PAGE, re.DOTALL | re.MULTILINE).group(1)
    row = re.search(rf"^\| {re.escape(quantity)} \|(.*)\|(.*)\|$", text, re.MULTILINE)
    decimals = re.compile(r"-?\d+\.\d+")
    return decimals.findall(row.group(1)), decimals.findall(row.group(2))


def same(text, value):
    """Whether a number as it is written is the value, rounded to its digits."""
    return abs(float(text) - value) <= 0.51 * 10.0 ** -len(text.partition(".")[2])


def test_coin_column_of_closed_forms_is_right():
    truth, section = studies.coin_truth(), "Closed forms: the coin"
    expected = {
        "MLE": truth["mle"],
        "its standard error": truth["std_error"],
        "MAP": truth["map"],
        "posterior mean": truth["posterior"].mean(),
        "posterior sd": truth["posterior"].std(),
        "log evidence": truth["log_evidence"],
        "KL(posterior, prior)": truth["kl"],
    }
    for quantity, value in expected.items():
        (text,) = shown(section, quantity)[0]
        assert same(text, value), quantity


@pytest.mark.slow
def test_coin_column_of_workbench_is_what_it_gives():
    study, section = studies.study("coin_bias"), "Closed forms: the coin"
    grid, compared = study.posterior.grid(), study.compare()
    evidence, bridge = study.evidence.estimate(), study.evidence.bridge()
    expected = {
        "MLE": [study.likelihood.maximum().estimate[0]],
        "its standard error": [study.likelihood.maximum().errors[0]],
        "MAP": [study.posterior.mode().map.estimate[0]],
        "posterior mean": [grid.mean[0], compared.mean[0]],
        "posterior sd": [grid.sd[0], compared.sd[0]],
        "log evidence": [evidence.log_evidence, bridge.log_evidence, bridge.std_error],
        "KL(posterior, prior)": [grid.kl_divergence],
    }
    for quantity, values in expected.items():
        numbers = shown(section, quantity)[1]
        assert len(numbers) == len(values)
        for text, value in zip(numbers, values, strict=True):
            assert same(text, value), quantity


@pytest.mark.slow
def test_both_columns_of_the_heights_are_right():
    y = studies.heights()
    mle = studies.study("height_as_normal").likelihood.maximum()
    errors = [y.std() / np.sqrt(y.size), y.std() / np.sqrt(2 * y.size)]
    rows = re.findall(r"^\| (mu|sigma|its standard error) \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)
    closed = [y.mean(), errors[0], y.std(), errors[1]]
    found = [mle.estimate[0], mle.errors[0], mle.estimate[1], mle.errors[1]]
    assert len(rows) == 4
    for (name, left, right), value, number in zip(rows, closed, found, strict=True):
        assert same(left, value), name
        assert same(right, number), name
