"""Timings, or other costs, of two sides measured in turn, their ratio, and the table that they are printed in.

The two sides run alternately, ours, theirs, ours, theirs, so that a slow moment of the machine hits both. The ratio of
a row is the median over the pairs of seconds(ours) / seconds(theirs), not the ratio of the two medians.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Side:
    """The repetitions of one of the two things compared.

    Attributes
    ----------
    name : str
    seconds : tuple of float
        Wall-clock time of each repetition, in the order in which they ran; or another cost, in the unit of the row.
    peak_mib : float
        Largest resident memory of the process, or of its largest child process, in MiB.
    """

    name: str
    seconds: tuple[float, ...]
    peak_mib: float

    @property
    def median(self) -> float:
        """Median of `seconds`."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Target:
    """What was promised.

    Attributes
    ----------
    kind : {"ratio", "seconds", "MiB"}
        Whether the limit is on the ratio or on our own time or memory.
    limit : float
        Largest allowed median.
    ceiling : float
        Largest allowed single repetition.
    """

    kind: Literal["ratio", "seconds", "MiB"]
    limit: float
    ceiling: float = math.inf

    def __str__(self) -> str:
        unit = {"ratio": " x", "seconds": " s", "MiB": " MiB"}[self.kind]
        limit = duration(self.limit) if self.kind == "seconds" else f"{self.limit:g}{unit}"
        return f"<= {limit}" + (f", each <= {self.ceiling:g}{unit}" if self.ceiling < math.inf else "")


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes
    ----------
    what : str
    ours, theirs : Side
        With equally many repetitions; the k-th of both ran next to each other.
    target : Target or None
        None for a row that only explains another one.
    notes : tuple of str
        What a reader has to know to judge the row.
    unit : str
        Of the costs: ``s``, or what is counted instead.
    """

    what: str
    ours: Side
    theirs: Side
    target: Target | None
    notes: tuple[str, ...] = ()
    unit: str = "s"

    @property
    def ratios(self) -> list[float]:
        """seconds(ours) / seconds(theirs) of each pair."""
        return [a / b for a, b in zip(self.ours.seconds, self.theirs.seconds, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of `ratios`."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        numbers = self.ratios if self.target.kind == "ratio" else list(self.ours.seconds)
        return statistics.median(numbers) <= self.target.limit and max(numbers) <= self.target.ceiling


def duration(seconds: float) -> str:
    """A time with three digits and the unit that suits it."""
    return f"{seconds:.3g} s" if seconds >= 0.1 else f"{seconds * 1e3:.3g} ms"


def _spread(side: Side, unit: str) -> str:
    def text(cost: float) -> str:
        return duration(cost) if unit == "s" else f"{cost:.3g} {unit}"

    return f"{text(side.median)} ({text(min(side.seconds))} - {text(max(side.seconds))})"


def _cells(row: Row, mark: str) -> list[str]:
    met = {True: "yes", False: "**no**", None: "-"}[row.met]
    memory = f"{row.ours.peak_mib:.0f} / {row.theirs.peak_mib:.0f}"
    target = "-" if row.target is None else str(row.target)
    return [
        row.what + mark, _spread(row.ours, row.unit), f"{row.theirs.name}: {_spread(row.theirs, row.unit)}",
        f"{row.ratio:.3g}", memory,
        target, met,
    ]  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """All rows as an aligned Markdown table, followed by the notes.

    Parameters
    ----------
    rows : sequence of Row

    Returns
    -------
    str
    """
    notes = list(dict.fromkeys(note for row in rows for note in row.notes))
    header = ["what", "ours", "theirs", "ratio", "peak MiB", "target", "met"]
    body = []
    for row in rows:
        numbers = sorted(notes.index(note) + 1 for note in set(row.notes))
        body.append(_cells(row, f" [{', '.join(map(str, numbers))}]" if numbers else ""))
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
        for cells in [header, ["-" * width for width in widths], *body]
    ]
    legend = [f"{i}. {note}" for i, note in enumerate(notes, 1)]
    return "\n".join([*lines, *([""] if legend else []), *legend])
