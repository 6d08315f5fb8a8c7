"""Results on a terminal: rich tables with sensible digits, notes below them, the verdict last."""

from __future__ import annotations

import ast
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import Any, ClassVar

import pandas as pd
import xarray as xr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.comparison import Comparison
from workbench.errors import InputError
from workbench.information import BIT, Information
from workbench.result import Refusal, Result, counted, readable, rows_left_out, rows_to_show

_DOTS = Text("...")
_STYLES = {"ok": "green", "unknown": "blue", "caution": "yellow", "failed": "bold red"}
_IN_NATS = ("log_evidence", "nats")
_IN_ORDER = (
    "anatomy", "comparison", "evidence.estimate", "evidence.robustness", "evidence.sequential", "information",
    "prediction", "posterior.predictive", "diagnosis",
)  # fmt: skip


@dataclass(frozen=True, repr=False, eq=False)
class DrawsSummary(Result):
    """Draws in numbers: mean, sd and an equal-tailed interval of every scalar.

    Attributes
    ----------
    labels : tuple of str
    columns : dict of str to tuple of float
    """

    labels: tuple[str, ...]
    columns: dict[str, tuple[float, ...]]
    title: ClassVar[str] = "draws"

    def table(self) -> pd.DataFrame:
        """One row a scalar."""
        return pd.DataFrame(self.columns, index=list(self.labels))


def summary_of_draws(draws: xr.DataTree, group: str, level: float) -> DrawsSummary:
    """Draws of one group in numbers.

    Parameters
    ----------
    draws : xarray.DataTree
    group : {"prior", "posterior"}
    level : float
        Probability of the equal-tailed interval.

    Returns
    -------
    DrawsSummary
    """
    from arviz_stats import summary

    frame = summary(draws[group].to_dataset(), kind="stats", ci_prob=level, ci_kind="eti", round_to="none")
    columns = {str(name): tuple(float(x) for x in frame[name]) for name in frame.columns}
    return DrawsSummary((), tuple(map(str, frame.index)), columns)


def model_files(folder: Path) -> dict[str, str]:
    """Model files in a folder, each with the first line of its docstring; nothing is imported or run.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    dict of str to str

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError("there is no such folder", str(folder), "give the folder that holds your model files")
    found = {}
    for file in sorted(folder.glob("*.py")):
        try:
            text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        except SyntaxError as error:
            text = f"does not parse: line {error.lineno}"
        found[str(file)] = text.splitlines()[0] if text else ""
    return found


def _cell(value: Any) -> Text:
    """One cell; markup in names is shown, never obeyed."""
    return Text(readable(value) if isinstance(value, float) else str(value))


def _row(frame: pd.DataFrame, position: int) -> list[Text]:
    """One row; its estimate has the digits that the standard error beside it leaves, in nats at most five."""
    row = frame.iloc[position]
    cells = {name: _cell(row[name]) for name in frame.columns}
    if "std_error" in cells:
        estimate = str(frame.columns[0])
        error = float(row["std_error"])
        if estimate in _IN_NATS:
            error = max(error, 1e-4) if math.isfinite(error) else 1e-3
        cells[estimate] = Text(_digits(float(row[estimate]), error))
    return list(cells.values())


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False, width=None if Console().is_terminal else 160)


def show(answer: Result) -> None:
    """Print one result: title, table, notes.

    Parameters
    ----------
    answer : Result
    """
    console = _console()
    console.print(Text(f"\n{answer.title}", style="bold"))
    if isinstance(answer, Comparison):
        _show_comparison(console, answer)
    else:
        frame = answer.table()
        table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
        table.add_column("")
        for name in frame.columns:
            numeric = pd.api.types.is_numeric_dtype(frame[name])
            table.add_column(str(name), justify="right" if numeric else "left")
        shown = rows_to_show(frame.index)
        for position in shown:
            if position is None:
                table.add_row(*[_DOTS] * (frame.shape[1] + 1))
            else:
                table.add_row(Text(str(frame.index[position])), *_row(frame, position))
        console.print(table)
        for line in rows_left_out(shown, len(frame), "--json"):
            _print_note(console, line)
    for note in answer.notes():
        _print_note(console, note, _STYLES.get(note.split(" ", 1)[0], ""))


def _print_note(console: Console, note: str, style: str = "") -> None:
    """A sentence below a table; lines after its first are set in further."""
    lines = wrap(note, console.width - 4, break_long_words=False, break_on_hyphens=False)
    console.print(Text("\n".join(f"{'    ' if i else '  '}{line}" for i, line in enumerate(lines)), style=style))


def _digits(value: float, error: float) -> str:
    """A number with the digits that its error leaves: two significant digits of the error."""
    if math.isnan(value):
        return "-"
    if not math.isfinite(error) or error <= 0:
        return readable(value)
    places = max(0, 1 - math.floor(math.log10(error)))
    return f"{value:.{min(places, 12)}f}"


def _show_comparison(console: Console, answer: Comparison) -> None:
    """MLE | MAP | posterior, each interval with its kind and level, digits by the errors."""
    percent = f"{100 * answer.level:g}%"
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    for name in (
        "",
        "MLE +- std_error",
        f"Wald {percent}",
        f"profile {percent}",
        "MAP",
        "posterior mean +- sd",
        f"ETI {percent}",
        "shift/se",
    ):
        table.add_column(name, justify="left" if not name else "right")
    shown = rows_to_show(answer.labels)
    for i in shown:
        if i is None:
            table.add_row(*[_DOTS] * len(table.columns))
            continue
        error = float(answer.mle_error[i])
        sd = float(answer.sd[i])
        scale = sd if math.isnan(error) else error
        mle = "-" if math.isnan(answer.mle[i]) else f"{_digits(answer.mle[i], error)} +- {_digits(error, error)}"
        wald = "-" if math.isnan(error) else _pair(answer.wald_lower[i], answer.wald_upper[i], error)
        low, high = float(answer.profile_lower[i]), float(answer.profile_upper[i])
        table.add_row(
            Text(answer.labels[i]),
            mle,
            wald,
            "-" if math.isnan(low) else _pair(low, high, scale),
            _digits(float(answer.map[i]), scale),
            f"{_digits(float(answer.mean[i]), sd)} +- {_digits(sd, sd)}",
            _pair(answer.eti_lower[i], answer.eti_upper[i], sd),
            "-" if math.isnan(answer.shift[i]) else f"{answer.shift[i]:+.2f}",
        )
    console.print(table)
    for line in (*rows_left_out(shown, len(answer.labels), "--json"), *_reasons(answer, shown)):
        _print_note(console, line)


def _reasons(answer: Comparison, shown: list[int | None]) -> list[str]:
    """Why the three differ, by scalar; of those that are not shown, how many have which cause."""
    lines = [f"{answer.labels[i]}: {answer.reasons[i]}" for i in shown if i is not None]
    left = Counter(cause for i, causes in enumerate(answer.causes) if i not in shown for cause in causes)
    return [*lines, *(f"{counted(n, 'scalar')} not shown: {cause}" for cause, n in left.items())]


def _pair(lower: float, upper: float, error: float) -> str:
    return f"[{_digits(float(lower), error)}, {_digits(float(upper), error)}]"


def show_fit(answers: dict[str, Result], verdict: str, seed: int, path: Path, report: bool) -> None:
    """Print what `workbench fit` found: the model, the comparison, the evidence, the information, the verdict.

    Parameters
    ----------
    answers : dict of str to Result
    verdict : str
    seed : int
    path : Path
        The run folder.
    report : bool
        Whether it has a report.
    """
    for name in _IN_ORDER:
        if name in answers:  # some only where they were asked for
            show(answers[name])
    refused = [a for name, a in answers.items() if isinstance(a, Refusal) and name not in _IN_ORDER]
    console = _console()
    for answer in refused:
        _print_note(console, f"refused: {answer.question}: {answer.what}. {answer.fix}")
    information = answers["information"]
    if isinstance(information, Information):
        value, error, _ = information.entries["KL(posterior || prior)"]
        names = ", ".join(answers["anatomy"].named("parameter", "latent", "ambiguous"))  # type: ignore[attr-defined]
        bits, bits_error = value / BIT, error / BIT
        text = f"\nthe data taught {_digits(bits, max(bits_error, 1e-4))} bits about {names}"
        text += f" (std_error {bits_error:.1g})" if bits_error > 1e-4 else ""
        console.print(Text(text + (", if the draws could be trusted: see the verdict" if verdict == "failed" else "")))
    console.print(Text(f"verdict: {verdict}", style=_STYLES[verdict]))
    console.print(Text(f"seed {seed}"))
    console.print(Text(f"run folder: {path}"))
    if report:
        console.print(Text(f"report: {path / 'report.html'}"))
