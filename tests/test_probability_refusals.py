"""What is no distribution, or cannot be answered from one, is refused with what, where and fix."""

import math

import pytest
import xarray as xr

from workbench.errors import InputError, WorkbenchError
from workbench.probability import (
    Distribution,
    bayes,
    conditional_entropy,
    cross_entropy,
    entropy,
    information_content,
    kl_divergence,
    mutual_information,
)

COIN = Distribution.from_counts({"heads": 1, "tails": 1}, "coin")
PRIOR = Distribution.from_table({"ill": 0.01, "well": 0.99}, "state")
TEST = {"ill": {"+": 0.9, "-": 0.1}, "well": {"+": 0.05, "-": 0.95}}
CHANNEL = Distribution.from_counts({(0, 0): 9, (0, 1): 1, (1, 1): 9, (1, 0): 1}, ("sent", "received"))
SILENT = Distribution.from_counts({(0, 0): 9, (0, 1): 1, (1, 0): 0, (1, 1): 0}, ("sent", "received"))

REFUSALS = {
    "negative": lambda: Distribution.from_table({"a": 1.5, "b": -0.5}, "x"),
    "nan": lambda: Distribution.from_table({"a": math.nan, "b": 1.0}, "x"),
    "infinite": lambda: Distribution.from_counts({"a": math.inf, "b": 1}, "x"),
    "text": lambda: Distribution.from_table({"a": "half", "b": 0.5}, "x"),
    "total above one": lambda: Distribution.from_table({"a": 0.5, "b": 0.6}, "x"),
    "total below one": lambda: entropy([0.5, 0.4]),
    "all counts zero": lambda: Distribution.from_counts({"a": 0, "b": 0}, "x"),
    "negative count": lambda: Distribution.from_counts({"a": 3, "b": -1}, "x"),
    "empty table": lambda: Distribution.from_table({}, "x"),
    "no axis": lambda: Distribution(xr.DataArray(1.0)),
    "no labels": lambda: Distribution(xr.DataArray([0.5, 0.5], dims="x")),
    "label twice": lambda: Distribution(xr.DataArray([0.5, 0.5], {"x": ["a", "a"]}, "x")),
    "key too short": lambda: Distribution.from_table({("a",): 1.0}, ("x", "y")),
    "key not a tuple": lambda: Distribution.from_table({"ab": 1.0}, ("x", "y")),
    "axis named twice": lambda: Distribution.from_table({("a", "b"): 1.0}, ("x", "x")),
    "tuple for one axis": lambda: Distribution.from_table({("a", "b"): 1.0}, "x"),
    "unknown axis": lambda: COIN.marginal("die"),
    "no axis asked": lambda: COIN.marginal(),
    "axis asked twice": lambda: COIN.marginal("coin", "coin"),
    "unknown label": lambda: COIN.probability(coin="edge"),
    "unknown axis of an outcome": lambda: COIN.probability(die=6),
    "axis on both sides": lambda: CHANNEL.conditional("sent", given={"sent": 1}),
    "impossible condition": lambda: SILENT.conditional("received", given={"sent": 1}),
    "function without mean": lambda: COIN.expectation(lambda coin: math.nan),  # noqa: ARG005
    "both infinities": lambda: COIN.expectation(lambda coin: math.inf if coin == "heads" else -math.inf),
    "likelihood without an outcome": lambda: bayes(PRIOR, {"ill": TEST["ill"]}, {"test": "+"}),
    "likelihood not normalised": lambda: bayes(PRIOR, {"ill": {"+": 0.9}, "well": {"+": 0.1}}, {"test": "+"}),
    "likelihood negative": lambda: bayes(PRIOR, {"ill": {"+": 1.5, "-": -0.5}, "well": TEST["well"]}, {"test": "+"}),
    "likelihood on other axes": lambda: bayes(COIN, CHANNEL.probabilities, {"sent": 1}),
    "observed is not in the data": lambda: bayes(PRIOR, TEST, {"test": "?"}),
    "observed is the parameter": lambda: bayes(PRIOR, TEST, {"state": "ill"}),
    "evidence zero": lambda: bayes(PRIOR, {"ill": {"+": 0.0, "-": 1.0}, "well": {"+": 0.0, "-": 1.0}}, {"test": "+"}),
    "probability above one": lambda: information_content(1.2),
    "probability below zero": lambda: information_content([0.5, -0.1]),
    "different outcomes": lambda: kl_divergence(COIN, Distribution.from_counts({"heads": 1, "edge": 1}, "coin")),
    "different axes": lambda: cross_entropy(COIN, CHANNEL),
    "more axes": lambda: kl_divergence(CHANNEL.marginal("sent"), CHANNEL),
    "different shapes": lambda: kl_divergence([0.5, 0.5], [0.2, 0.3, 0.5]),
    "information of an axis with itself": lambda: mutual_information(CHANNEL, "sent", "sent"),
    "entropy given itself": lambda: conditional_entropy(CHANNEL, "sent", given="sent"),
    "unknown unit": lambda: entropy([1.0], base="trits"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_answered_is_refused_with_what_where_and_fix(case):
    with pytest.raises(InputError) as caught:
        REFUSALS[case]()
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, WorkbenchError)
    assert caught.value.what
    assert caught.value.where
    assert caught.value.fix
