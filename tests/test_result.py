"""Results are read back from JSON exactly as they were written, whatever they hold."""

import dataclasses
import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.check import Check
from workbench.errors import InputError
from workbench.result import Refusal, Result, decode, encode, readable, result_from_json, rows_to_show


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Sample(Result):
    """A result that holds whatever a test gives it."""

    content: object
    title: ClassVar[str] = "a sample"

    def table(self) -> pd.DataFrame:
        return pd.DataFrame({"content": [str(self.content)]})


def round_trip(value):
    text = Sample((), value).to_json()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    back = result_from_json(text)
    assert type(back) is Sample
    return back.content


@pytest.mark.parametrize("value", [None, True, False, 0, -3, 2**60, 0.1, 1e-300, -2.5e300, "", 'a "quoted" é\n', np.pi])
def test_plain_values_come_back_as_they_were(value):
    back = round_trip(value)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinities_come_back(value):
    assert round_trip(value) == value


def test_nan_comes_back():
    assert np.isnan(round_trip(float("nan")))


@pytest.mark.parametrize(
    "value",
    [
        np.array([1.0, np.nan, np.inf, -np.inf, 1e-320, 0.1 + 0.2]),
        np.zeros((0, 3)),
        np.array(2.5),
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.array([True, False]),
        np.array(["mu", "sigma[control]"]),
        np.array([0.1, 0.2], dtype=np.float32),
    ],
    ids=["special", "empty", "scalar", "integers", "booleans", "text", "single precision"],
)
def test_arrays_come_back_bit_for_bit_with_type_and_shape(value):
    back = round_trip(value)
    assert back.dtype == value.dtype
    assert back.shape == value.shape
    assert back.tobytes() == value.tobytes() or np.array_equal(back, value, equal_nan=True)


def test_numpy_scalars_come_back_as_numbers():
    assert round_trip(np.float64(0.1)) == 0.1
    assert round_trip(np.int64(7)) == 7
    assert round_trip(np.bool_(True)) is True


def test_sequences_come_back_as_tuples_and_mappings_by_name():
    assert round_trip([1, (2, "x"), []]) == (1, (2, "x"), ())
    back = round_trip({"a": np.array([1.0, np.nan]), "b": {"c": (1.5,)}})
    assert np.array_equal(back["a"], [1.0, np.nan], equal_nan=True)
    assert back["b"] == {"c": (1.5,)}


def labelled():
    return xr.Dataset(
        {"beta": (("group",), np.array([1.0, np.nan])), "sigma": ((), 0.1), "n": (("group",), np.array([3, 4]))},
        coords={"group": ["control", "treated"]},
        attrs={"unit": "cm"},
    )


def test_datasets_and_arrays_with_coordinates_come_back():
    back = round_trip(labelled())
    assert isinstance(back, xr.Dataset)
    assert back.identical(labelled())
    array = labelled()["beta"]
    assert round_trip(array).identical(array)


def test_checks_and_results_inside_results_come_back():
    inner = Sample((Check("ess", "caution", "low", "more draws"),), labelled())
    back = round_trip({"inner": inner, "several": [inner, inner]})
    assert back["inner"].checks == inner.checks
    assert back["inner"].content.identical(labelled())
    assert [type(item) for item in back["several"]] == [Sample, Sample]


def test_checks_of_the_result_itself_come_back():
    checks = (Check("r-hat", "ok", "1.001"), Check("ess", "failed", "12 <\u00a0400", "draw more"))
    assert result_from_json(Sample(checks, None).to_json()).checks == checks


def test_a_refusal_comes_back_and_shows_what_why_and_the_way_out():
    refusal = Refusal((), "likelihood maximum", "theta is latent", "theta", "use draws")
    back = result_from_json(refusal.to_json())
    assert dataclasses.astuple(back) == dataclasses.astuple(refusal)
    assert "theta is latent" in repr(back)
    assert "use draws" in repr(back)


def test_a_mapping_that_looks_like_a_tag_is_not_taken_for_one():
    value = {"#": "Check", "note": "a user's own key"}
    assert round_trip(value) == value


def test_what_could_not_be_read_back_is_refused_when_it_is_written():
    for value in (object(), {1, 2}, lambda: 0, 1j, b"bytes"):
        with pytest.raises(TypeError, match="cannot hold"):
            Sample((), value).to_json()


def test_an_unknown_kind_is_refused_by_its_name():
    text = Sample((), 1).to_json().replace('"Sample"', '"Oracle"')
    with pytest.raises(InputError, match="'Oracle'"):
        result_from_json(text)


@pytest.mark.parametrize("text", ["", "{", "not json", '{"a": 1'])
def test_text_that_is_no_json_is_refused(text):
    with pytest.raises(InputError, match="not JSON"):
        result_from_json(text)


@pytest.mark.parametrize("change", [lambda d: d.pop("content"), lambda d: d.update(extra=1)])
def test_a_result_with_missing_or_unknown_fields_is_refused_as_input(change):
    content = json.loads(Sample((), 1).to_json())
    change(content)
    with pytest.raises(InputError):
        result_from_json(json.dumps(content))


def test_encode_and_decode_are_inverse_on_nested_values():
    value = {"a": (1, 2.5, None, "x", float("-inf")), "b": {"c": ()}}
    assert decode(json.loads(json.dumps(encode(value)))) == value


def test_results_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Sample((), 1).content = 2


def test_readable_form_shows_title_table_and_checks_that_are_not_ok():
    sample = Sample((Check("r-hat", "ok", "fine"), Check("ess", "caution", "only 12", "draw more")), "seven")
    text, page = repr(sample), sample._repr_html_()
    for shown in (text, page):
        assert "a sample" in shown
        assert "seven" in shown
        assert "only 12" in shown
        assert "fine" not in shown


def test_what_is_not_applicable_is_a_dash_in_the_readable_forms():
    class Bare(Sample):
        def table(self):
            return pd.DataFrame({"std_error": [0.5, float("nan")]})

    for shown in (repr(Bare((), None)), Bare((), None)._repr_html_()):
        assert "NaN" not in shown


def test_the_middle_of_a_long_vector_is_left_out_of_the_readable_forms_and_not_of_the_table():
    class Long(Sample):
        def table(self):
            labels = ["sigma", *(f"mu[{i}]" for i in range(300)), "gap"]
            return pd.DataFrame({"MLE": np.arange(302.0), "n": range(302), "why": None}, index=labels)

    found = Long((), None)
    for shown in (repr(found), found._repr_html_()):
        assert all(label in shown for label in ("sigma", "mu[0]", "mu[4]", "mu[295]", "mu[299]", "gap"))
        assert "mu[5]" not in shown
        assert "12 of 302 rows are shown: .table() has all of them" in shown
    assert len(found.table()) == 302
    assert len(repr(found).splitlines()) == 1 + 1 + 13 + 1


def test_a_vector_of_thirty_elements_is_shown_whole():
    assert rows_to_show([f"mu[{i}]" for i in range(30)]) == list(range(30))
    assert rows_to_show(range(100)) == list(range(100))  # steps, not elements of one vector


def test_readable_form_fits_the_terminal(monkeypatch):
    class Wide(Sample):
        def table(self):
            return pd.DataFrame({f"a column of some width {i}": [1.0] for i in range(9)}, index=["mu"])

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    lines = repr(Wide((), None)).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("1" in line for line in lines if line.startswith("mu")) > 1


def test_html_form_escapes_what_users_wrote():
    sample = Sample((Check("ess", "caution", "<script>alert(1)</script>"),), "<b>bold</b>")
    assert "<script>" not in sample._repr_html_()
    assert "<b>bold" not in sample._repr_html_()


def test_a_result_without_a_table_says_so():
    with pytest.raises(TypeError, match="no table"):
        Result(()).table()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (float("nan"), "-"),
        (0.0, "0"),
        (float("inf"), "inf"),
        (1000000123.4, "1000000123"),
        (1.5e20, "1.5e+20"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_readable(number, text):
    assert readable(number) == text
