"""What a page is made of: sections with sentences, figures, tables and checks; nothing here knows HTML.

Everything is plain text until the template writes it, so that escaping happens in one place.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from workbench.check import Check
from workbench.errors import WorkbenchError
from workbench.plots.style import svg
from workbench.report.numbers import number
from workbench.result import Refusal, Result, rows_left_out, rows_to_show

_ALL = "results.json of a run"


@dataclass(frozen=True)
class Table:
    """A table: the first cell of each row is its heading.

    Attributes
    ----------
    columns : tuple of str
    rows : tuple of tuple of str
    caption : str
    numeric : frozenset of int
        Columns that are set flush right.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    numeric: frozenset[int] = frozenset()

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """The rows that fit a page: one of dots stands for the middle of a long vector."""
        dots = ("…",) * len(self.columns)
        return tuple(dots if i is None else self.rows[i] for i in rows_to_show(row[0] for row in self.rows))

    @property
    def legend(self) -> str:
        """The caption, and how many rows are shown if not all are."""
        shown = rows_to_show(row[0] for row in self.rows)
        return " ".join(
            filter(None, [self.caption, *(f"{text}." for text in rows_left_out(shown, len(self.rows), _ALL))])
        )


@dataclass(frozen=True)
class Picture:
    """A figure, or the reason why it is missing.

    Attributes
    ----------
    source : str
        A data URI; empty where the figure could not be drawn.
    alt : str
        What it shows, for those who cannot see it.
    caption : str
    missing : str
        Why there is none.
    """

    source: str
    alt: str
    caption: str
    missing: str = ""


@dataclass(frozen=True)
class Term:
    """One term of the theorem: its expression, and what it is called."""

    expression: str
    name: str


@dataclass(frozen=True)
class Section:
    """One question and its answer.

    Attributes
    ----------
    anchor, title : str
    sentences : tuple of str
        Before the figures and tables.
    theorem : tuple of Term
        Posterior, likelihood, prior, evidence; empty except in the section on the theorem.
    pictures, tables : tuple
    checks : tuple of Check
    notes : tuple of str
        After the tables.
    refusal : Refusal or None
    """

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    theorem: tuple[Term, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Part:
    """Sections under one heading."""

    title: str
    sections: tuple[Section, ...]


def anchor(question: str) -> str:
    """The anchor of a question on the page.

    Parameters
    ----------
    question : str

    Returns
    -------
    str

    Examples
    --------
    >>> anchor("likelihood.maximum")
    'likelihood-maximum'
    """
    return question.replace(".", "-").replace(" ", "-")


def picture(draw: Callable[[], Figure], alt: str, caption: str) -> Picture:
    """A figure for the page; one that cannot be drawn is said to be missing, with the reason, and costs no other.

    Parameters
    ----------
    draw : callable
        Makes the figure.
    alt, caption : str

    Returns
    -------
    Picture
    """
    try:
        code = base64.b64encode(svg(draw())).decode("ascii")
    except WorkbenchError as error:
        return Picture("", alt, caption, str(error))
    except Exception as error:  # a plotting library that fails on one figure must not take the report with it
        return Picture("", alt, caption, f"{type(error).__name__}: {error}")
    return Picture(f"data:image/svg+xml;base64,{code}", alt, caption)


def table(frame: pd.DataFrame, heading: str = "", caption: str = "") -> Table:
    """A data frame as a table of the page.

    Parameters
    ----------
    frame : pandas.DataFrame
    heading : str
        Over the index.
    caption : str

    Returns
    -------
    Table
    """
    numeric = frozenset(i + 1 for i, c in enumerate(frame.columns) if pd.api.types.is_numeric_dtype(frame[c]))
    rows = tuple(
        (str(i), *(_cell(v) for v in row)) for i, row in zip(frame.index, frame.itertuples(index=False), strict=True)
    )
    return Table((heading, *(str(c) for c in frame.columns)), rows, caption, numeric)


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)


def refused(question: str, title: str, refusal: Refusal) -> Section:
    """The section of a question that was refused.

    Parameters
    ----------
    question, title : str
    refusal : Refusal

    Returns
    -------
    Section
    """
    return Section(anchor(question), title, refusal=refusal)


def plain(question: str, result: Result, title: str = "") -> Section:
    """A result of a kind that has no section of its own: its table, its notes, its checks.

    Parameters
    ----------
    question : str
    result : Result
    title : str

    Returns
    -------
    Section
    """
    if isinstance(result, Refusal):
        return refused(question, title or question, result)
    said = {str(check) for check in result.checks}
    notes = tuple(note for note in result.notes() if note not in said)
    return Section(
        anchor(question), title or result.title, tables=(table(result.table()),), checks=result.checks, notes=notes
    )


def answer(answers: Mapping[str, Result], question: str, kind: str) -> Any:
    """The answer to a question if it is of the expected kind, else None.

    The kind is given by name, so that a page can be written without importing PyMC.

    Parameters
    ----------
    answers : mapping of str to Result
    question, kind : str

    Returns
    -------
    Result or None
    """
    found = answers.get(question)
    return found if type(found).__name__ == kind else None
