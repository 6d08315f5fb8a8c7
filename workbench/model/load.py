"""A model file and its data become a `pm.Model`.

A model file is plain Python with a docstring and a function ``build``. The parameters of ``build`` that have no default
are columns of the data and are bound to them by name, as arrays of numbers, or of labels where a column holds no number
at all; those with a default are hyperparameters. ``DATA`` names the file that is used when the user gives none,
relative to the model file.
"""

from __future__ import annotations

import ast
import contextlib
import csv
import hashlib
import importlib.util
import inspect
import sys
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
from numpy.typing import NDArray

from workbench.errors import InputError, RefusalError, UsageError, WorkbenchError
from workbench.model.terms import observed_array

_LARGEST_INT = 2**31 - 1
Data = str | Path | pd.DataFrame | Mapping[str, Any]


@dataclass(frozen=True)
class LoadedModel:
    """A model with everything that is needed to say where it came from.

    Attributes
    ----------
    model : pm.Model
    name : str
        The file's name without its ending.
    path, data_path : str
        Of the model file and of the data; `data_path` is empty for data that were given as an object.
    text : str
        The model file.
    columns : pandas.DataFrame
        The columns that were bound.
    hyperparameters : dict of str to object
    """

    model: pm.Model
    name: str
    path: str
    text: str
    data_path: str
    columns: pd.DataFrame
    hyperparameters: dict[str, Any]


def sha256_of(text: str | bytes) -> str:
    """SHA-256 of a text or of bytes, in hexadecimal."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def _import_model(path: Path) -> ModuleType:
    """Run a model file as a module of its own."""
    if not path.is_file():
        raise InputError("there is no such model file", str(path), "give the path of a Python file with a `build`")
    name = f"workbench_model_{path.stem}_{sha256_of(str(path.resolve()))[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError("this is no Python file", str(path), "a model file ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what a model file prints is no answer
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise InputError(
            f"the model file does not import: {_said(error, path)}", str(path), "correct the file"
        ) from error
    if not callable(getattr(module, "build", None)):
        raise InputError("the model file has no function `build`", str(path), "define build(columns...) -> pm.Model")
    return module


def _said(error: BaseException, path: Path) -> str:
    """An error of the user's file in one line, with the line where it happened."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    here = path.resolve()
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve() == here]
    where = f"line {lines[-1]}: " if lines else ""
    first = str(error).strip().splitlines()
    return f"{where}{type(error).__name__}: {first[0] if first else ''}"


def _read_table(data: Data) -> tuple[pd.DataFrame, str]:
    """The data as a table, and the path that they came from."""
    if isinstance(data, pd.DataFrame):
        return data, ""
    if isinstance(data, Mapping):
        return pd.DataFrame({name: np.asarray(column) for name, column in data.items()}), ""
    path = Path(data)
    if not path.is_file():
        raise InputError("there is no such data file", str(path), "give the path of a CSV file with a header line")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(path, index_col=False)
    except pd.errors.ParserWarning as error:
        raise InputError(
            "rows have more fields than the header has columns", str(path), "write decimals with a point, not a comma"
        ) from error
    except pd.errors.EmptyDataError as error:
        raise InputError("the data file is empty", str(path), "it needs a header line and rows") from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise InputError(f"the data file is no CSV: {error}", str(path), "save it as CSV with commas") from error
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        header = next(csv.reader(file), [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"the header names {twice[0]!r} twice", str(path), "give every column a name of its own")
    (only, *others) = map(str, table.columns)
    if not others and (";" in only or "\t" in only):
        raise InputError(
            f"the columns are not separated by commas: {only!r}",
            str(path),
            "save it as CSV with commas and decimal points",
        )
    if table.empty:
        raise InputError("the data file has a header but no rows", str(path), "it needs at least one row")
    return table, str(path)


def _column(table: pd.DataFrame, name: str, where: str) -> NDArray:
    """One column as numbers, or as labels where no row is a number; a row that is neither is named by its line."""
    column = table[name].reset_index(drop=True)
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    numbers = pd.to_numeric(column, errors="coerce")
    text = column[numbers.isna() & column.notna()]
    commas = text.astype(str).str.fullmatch(r"\s*[+-]?\d*,\d+\s*")
    labels = len(text) > 0 and not numbers.notna().any() and not commas.any()
    if len(text) and not labels:
        row, value = text.index[0], text.iloc[0]
        raise InputError(
            f"column {name!r} has text where a number belongs: {str(value)!r} in row {row}"
            + (f" and {len(text) - 1} more" if len(text) > 1 else ""),
            where,
            "write decimals with a point, not a comma"
            if commas.any()
            else "correct these rows, or bind another column; a column of labels holds no numbers at all",
        )
    absent = column.isna() if labels else ~np.isfinite(numbers.astype(np.float64))
    bad = np.flatnonzero(absent)
    if len(bad):
        missing = int(column.isna().sum())
        kinds = [f"{missing} missing"] * bool(missing) + [f"{len(bad) - missing} infinite"] * bool(len(bad) - missing)
        shown = ("row " if len(bad) == 1 else "rows ") + ", ".join(str(i) for i in bad[:5])
        raise RefusalError(
            f"column {name!r} has values that are no {'labels' if labels else 'finite numbers'} ({', '.join(kinds)}): "
            f"{shown}" + (f" and {len(bad) - 5} more" if len(bad) > 5 else ""),
            where,
            "remove or fill in these rows; rows are counted from 0 after the header",
        )
    if labels:
        return column.to_numpy(dtype=str)
    array = numbers.to_numpy()
    # PyMC stores whole numbers as int32 and wraps what is larger, without a word.
    wraps = array.dtype.kind in "iu" and array.size and np.max(np.abs(array.astype(np.float64))) > _LARGEST_INT
    return array.astype(np.float64) if wraps else array


def _bind(
    build: Any, table: pd.DataFrame | None, where: str, given: Mapping[str, Any], path: Path
) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Columns and hyperparameters for the parameters of `build`, by name."""
    parameters = inspect.signature(build).parameters
    columns = [name for name, p in parameters.items() if p.default is inspect.Parameter.empty]
    defaults = {name: p.default for name, p in parameters.items() if p.default is not inspect.Parameter.empty}
    for name in given:
        if name not in defaults:
            raise UsageError(
                f"{path.name} has no hyperparameter {name!r}", "--set", f"it has: {', '.join(defaults) or 'none'}"
            )
    if columns and table is None:
        raise InputError(
            f"{path.name} needs data with the columns {', '.join(columns)}", str(path), "give --data FILE.csv"
        )
    bound = {}
    for name in columns:
        assert table is not None
        if name not in table.columns:
            found = ", ".join(map(str, table.columns))
            raise InputError(f"there is no column {name!r}", where, f"the columns are: {found}; rename one to {name!r}")
        bound[name] = _column(table, name, where)
    chosen = dict(defaults)
    for name, value in given.items():
        default = defaults[name]
        if isinstance(default, int | float) and not isinstance(default, bool):
            try:
                chosen[name] = type(default)(value) if isinstance(default, float) else value
            except (TypeError, ValueError) as error:
                raise UsageError(f"{name} = {value!r} is no number", "--set", f"the default is {default}") from error
        else:
            chosen[name] = value
    return bound, chosen


def parse_setting(text: str) -> tuple[str, Any]:
    """``name=value`` from the command line as a name and a Python value.

    Raises
    ------
    UsageError
        If there is no ``=`` in it.

    Examples
    --------
    >>> parse_setting("prior_sd=10")
    ('prior_sd', 10)
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{text!r} is no setting", "--set", "write --set name=value")
    try:
        return name.strip(), ast.literal_eval(value.strip())
    except (ValueError, SyntaxError):
        return name.strip(), value.strip()


def _check_counts(model: pm.Model, bound: Mapping[str, NDArray], where: str) -> None:
    """Refuse fractional observations of a counting distribution, which PyMC would silently cut to whole numbers."""
    for rv in model.observed_RVs:
        data = observed_array(model.rvs_to_values[rv])
        if data.dtype.kind not in "iu":
            continue
        for name, column in bound.items():
            if column.dtype.kind == "U":
                continue
            fractional = np.flatnonzero(column != np.floor(column))
            if len(fractional) and column.shape == data.shape and np.array_equal(np.trunc(column), data):
                row = int(fractional[0])
                raise RefusalError(
                    f"{rv.name} counts, but column {name!r} holds {column[row]} in row {row}",
                    where,
                    "use whole numbers, or a continuous distribution",
                )


def load_model(
    path: str | Path, data: Data | None = None, hyperparameters: Mapping[str, Any] | None = None
) -> LoadedModel:
    """Build the model of a file on data.

    Parameters
    ----------
    path : str or Path
        The model file.
    data : path, DataFrame or mapping, optional
        A CSV file or columns by name; by default the file that ``DATA`` names.
    hyperparameters : mapping of str to object, optional
        Instead of the defaults of ``build``.

    Returns
    -------
    LoadedModel

    Raises
    ------
    InputError
        If a file is missing or empty, the model file does not import or its `build` fails, a column is missing or
        holds numbers and text.
    RefusalError
        If a column holds missing or infinite values, or fractions where the model counts.
    UsageError
        If a hyperparameter is unknown.
    """
    file = Path(path)
    module = _import_model(file)
    source = data
    if source is None and isinstance(getattr(module, "DATA", None), str):
        source = file.parent / module.DATA
    table, data_path = (None, "") if source is None else _read_table(source)
    where = data_path or "data"
    bound, chosen = _bind(module.build, table, where, hyperparameters or {}, file)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            model = module.build(**bound, **chosen)
    except WorkbenchError:
        raise
    except Exception as error:
        labels = [f"{name!r} holds labels, as {str(a[0])!r}" for name, a in bound.items() if a.dtype.kind == "U"]
        remedy = "correct the model or its data" + (f" (column {', column '.join(labels)})" if labels else "")
        raise InputError(f"`build` failed: {_said(error, file)}", str(file), remedy) from error
    if not isinstance(model, pm.Model):
        raise InputError(
            f"`build` returned {type(model).__name__}, not a pm.Model", str(file), "end `build` with `return model`"
        )
    _check_counts(model, bound, where)
    return LoadedModel(
        model, file.stem, str(file), file.read_text(encoding="utf-8"), data_path, pd.DataFrame(bound), chosen
    )
