"""Numbers have the digits that their error leaves."""

import math

import pytest

from workbench.report.numbers import amount, count, interval, listed, measured, nats, nats_error, number, size


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (175.8546, 0.3036, "175.85"),
        (0.5076961, 0.000844, "0.50770"),
        (1234567.8, 250.0, "1234568"),
        (-0.0044, 0.11, "0.00"),
        (0.0, 0.1, "0.00"),
        (1e-9, 1e-10, "1e-09"),
        (3.0, math.nan, "3"),
        (math.nan, 1.0, "–"),
        (math.inf, 1.0, "∞"),
        (-math.inf, math.nan, "-∞"),
    ],
)
def test_a_number_keeps_two_digits_of_its_error(value: float, error: float, text: str) -> None:
    assert number(value, error) == text


def test_every_form_survives_every_pair_of_extreme_numbers() -> None:
    extremes = [0.0, -0.0, 1.0, -1e-300, 1e300, 5e-324, 1e-5, 123456789.123, math.inf, -math.inf, math.nan]
    for value in extremes:
        for error in extremes:
            for form in (number, measured, nats, amount):
                assert form(value, error)
            assert interval(value, error, abs(error))
        assert size(abs(value))
        assert nats_error(abs(value))


def test_an_error_stands_beside_its_number() -> None:
    assert measured(6.64324, 0.021657) == "6.643 ± 0.022"
    assert amount(-1601.98, 1e-13) == "-1601.9800"


def test_words_agree_with_their_number() -> None:
    assert [count(n, "draw") for n in (0, 1, 2, 40)] == ["no draws", "one draw", "two draws", "40 draws"]
    assert listed(["a"]) == "a"
    assert listed([]) == ""
    assert listed(["a", "b", "c"]) == "a, b and c"
