"""What every result has in common: a table, a readable form, its checks, and JSON that can be read back.

A result is a frozen dataclass that derives from `Result`, beside the function that makes it. The JSON form keeps
every field, so a saved run can be shown, compared and reported on without the model and without computing anything
again (`result_from_json`).
"""

from __future__ import annotations

import html
import json
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from workbench.check import Check
from workbench.errors import InputError

_KINDS: dict[str, type] = {}
_LARGE = 1e15  # up to which a double holds every whole number
_MOST_ROWS = 30  # of one variable in a readable table
_ROWS_OF_AN_END = 5  # of a longer one
_OTHER_VERSION = "open it with the version that wrote it"


@dataclass(frozen=True, repr=False, eq=False)
class Result:
    """A finished answer: frozen, with a `table`, its `checks`, and `to_json`."""

    checks: tuple[Check, ...]
    title: ClassVar[str] = "result"
    apart: ClassVar[tuple[str, ...]] = ()  # large mappings that a run keeps beside its draws, not in JSON

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _KINDS[cls.__name__] = cls

    def table(self) -> pd.DataFrame:
        """The numbers of this result, one row a quantity.

        Raises
        ------
        TypeError
            If the kind of result has none.
        """
        raise TypeError(f"{type(self).__name__} has no table")  # an abstract method, without the metaclass

    def notes(self) -> list[str]:
        """Sentences that belong under the table: what the numbers mean, every check that is not ``ok``."""
        return [str(check) for check in self.checks if check.status != "ok"]

    def __repr__(self) -> str:
        frame, left_out = abridged(self.table())
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        return "\n".join([self.title, frame.to_string(line_width=width), *left_out, *self.notes()])

    def _repr_html_(self) -> str:
        frame, left_out = abridged(self.table())
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in (*left_out, *self.notes()))
        return f"<p><b>{html.escape(self.title)}</b></p>{frame.to_html()}{notes}"

    def to_json(self) -> str:
        """This result as JSON text (RFC 8259; NaN and infinities as tagged strings); fields in `apart` are empty."""
        return json.dumps(encode(self), allow_nan=False)


@dataclass(frozen=True, repr=False, eq=False)
class Refusal(Result):
    """A question that was refused: what cannot be known, about which variable, why, and what to do instead."""

    question: str
    what: str
    where: str
    fix: str

    @property
    def title(self) -> str:  # type: ignore[override]
        """What was refused."""
        return f"{self.question}: refused"

    def table(self) -> pd.DataFrame:
        """One row: the question, what was refused, where, and the way out."""
        return pd.DataFrame(
            {"refused": [self.what], "where": [self.where], "what to do": [self.fix]}, index=[self.question]
        )


def readable(value: float) -> str:
    """A number as text with six significant digits, more where it is a large one; NaN, *not applicable*, as a dash.

    In powers of ten a mean of 1000000123 with an error of 145 would lose the digits in which it differs from others.

    Examples
    --------
    >>> readable(float("nan")), readable(1234.56789), readable(-0.000012345678), readable(1234567890.1)
    ('-', '1234.57', '-1.23457e-05', '1234567890')
    """
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if 1e6 <= abs(value) < _LARGE else f"{value:.6g}"


def rows_to_show(labels: Iterable[object]) -> list[int | None]:
    """Positions of the rows that a reader needs; None stands for the middle of a vector of more than 30 elements.

    Examples
    --------
    >>> rows_to_show(["sigma", *(f"mu[{i}]" for i in range(40))])
    [0, 1, 2, 3, 4, 5, None, 36, 37, 38, 39, 40]
    """
    shown: list[int | None] = []
    for _, group in groupby(
        enumerate(map(str, labels)), lambda row: row[1].partition("[")[0] if "[" in row[1] else row
    ):
        rows = [position for position, _ in group]
        shown += rows if len(rows) <= _MOST_ROWS else [*rows[:_ROWS_OF_AN_END], None, *rows[-_ROWS_OF_AN_END:]]
    return shown


def rows_left_out(shown: Sequence[int | None], rows: int, remedy: str) -> list[str]:
    """A sentence on the rows that are not shown, if there are any, and where they are."""
    kept = sum(position is not None for position in shown)
    return [] if kept == rows else [f"{kept} of {rows} rows are shown: {remedy} has all of them"]


def abridged(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A table as text, with the middle of long vectors left out, and a sentence that says so.

    Parameters
    ----------
    frame : pandas.DataFrame

    Returns
    -------
    frame : pandas.DataFrame
        Of str; a row of dots where rows were left out.
    notes : list of str
        One, or none.
    """
    shown = rows_to_show(frame.index)
    dots = ["..."] * frame.shape[1]
    rows = [dots if i is None else [_cell(frame.iat[i, j]) for j in range(frame.shape[1])] for i in shown]
    labels = pd.Index(["..." if i is None else str(frame.index[i]) for i in shown], name=frame.index.name)
    return pd.DataFrame(rows, labels, frame.columns, dtype=str), rows_left_out(shown, len(frame), ".table()")


def _cell(value: Any) -> str:
    """One cell of a readable table."""
    if value is None:
        return "-"
    return readable(float(value)) if isinstance(value, float | np.floating) else str(value)


def counted(number: int, noun: str) -> str:
    """A number of things, in the plural unless there is one.

    Examples
    --------
    >>> counted(1, "observation"), counted(481, "observation")
    ('1 observation', '481 observations')
    """
    return f"{number} {noun}{'s' * (number != 1)}"


def encode(value: Any) -> Any:
    """Any value that a result may hold, in JSON's own types; what JSON lacks becomes a tagged object.

    Raises
    ------
    TypeError
        If the value is of a type that a result must not hold (an object that could not be read back).
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        number = float(value)
        return number if math.isfinite(number) else {"#": "float", "value": repr(number)}
    if isinstance(value, np.bool_):
        return bool(value)
    if isinstance(value, dict):
        content = {str(key): encode(item) for key, item in value.items()}
        return {"#": "mapping", "value": content} if "#" in content else content  # else it would look like a tag
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "mM":  # dates and durations, as coordinates are read back as their ISO text
            value = value.astype(str)
        flat = [encode(item) for item in value.ravel().tolist()]
        return {"#": "array", "dtype": value.dtype.str, "shape": list(value.shape), "value": flat}
    if isinstance(value, xr.DataArray | xr.Dataset):
        kind = "DataArray" if isinstance(value, xr.DataArray) else "Dataset"
        return {"#": kind, "value": encode(value.to_dict(data="array"))}
    if isinstance(value, Check):
        return {"#": "Check", **{f.name: encode(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Result):
        content = {f.name: {} if f.name in value.apart else encode(getattr(value, f.name)) for f in fields(value)}
        return {"#": type(value).__name__, **content}
    raise TypeError(f"a result cannot hold a {type(value).__name__}")


def decode(value: Any) -> Any:
    """The inverse of `encode`; sequences come back as tuples.

    Raises
    ------
    InputError
        If a tag names a kind of result that this version of Workbench does not know, or knows with other fields.
    """
    if isinstance(value, list):
        return tuple(decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    tag = value.get("#")
    if tag is None:
        return {key: decode(item) for key, item in value.items()}
    if tag == "float":
        return float(value["value"])
    if tag == "mapping":
        return {key: decode(item) for key, item in value["value"].items()}
    if tag == "array":
        flat = [decode(item) for item in value["value"]]
        return np.array(flat, dtype=np.dtype(value["dtype"])).reshape(value["shape"])
    if tag in ("DataArray", "Dataset"):
        kind = xr.DataArray if tag == "DataArray" else xr.Dataset
        return kind.from_dict(decode(value["value"]))
    if tag == "Check" or tag in _KINDS:
        content = {key: decode(item) for key, item in value.items() if key != "#"}
        try:
            return Check(**content) if tag == "Check" else _KINDS[tag](**content)
        except (TypeError, ValueError) as error:  # other fields, or a code that is no longer in the catalogue
            raise InputError(f"a {tag} of another version: {error}", "results.json", _OTHER_VERSION) from error
    raise InputError(f"a result of kind {tag!r} is unknown", "results.json", _OTHER_VERSION)


def result_from_json(text: str) -> Any:
    """The result that `Result.to_json` wrote.

    Raises
    ------
    InputError
        If the text is no JSON, or holds a kind of result that is unknown here or had other fields.
    """
    try:
        return decode(json.loads(text))
    except json.JSONDecodeError as error:
        raise InputError(f"not JSON: {error}", "results.json", "restore the file from a backup") from error
