"""The errors that a user can act on: what is wrong, where it is, what to do about it.

Every error that Workbench raises on purpose derives from `WorkbenchError` and has three parts, so that the
terminal, the report and a notebook can all say the same thing. `exit_code` is what the command line returns.
"""

from __future__ import annotations

from typing import ClassVar, Literal

# What stands instead of a maximum that has standard errors.
Absence = Literal[
    "flat",  # the data determine only a combination of the parameters, or nothing of them
    "saddle",
    "at infinity",  # it keeps rising towards a limit: separated outcomes, a simpler model
    "unbounded",  # it rises without limit: data without spread, a component on one observation
    "moving support",  # it is highest where the data are about to become impossible
    "edge",  # the edge of the support of a vector, or of what has no errors there
    "corner",  # a maximum without curvature: a median
    "interval",  # every value between two is a maximum: a median of an even number
    "unmeasurable",  # a peak whose curvature drowns in rounding
]


class WorkbenchError(Exception):
    """An error with three parts: what is wrong, where it is, and what to do.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    where : str
        The file, column, variable or option that it is about; empty if there is none.
    fix : str
        What the user can do about it; empty if nothing is known to help.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what, where, fix)

    def __str__(self) -> str:
        place = f" [{self.where}]" if self.where else ""
        remedy = f" What to do: {self.fix}" if self.fix else ""
        return f"{self.what}{place}{remedy}"


class InputError(WorkbenchError, ValueError):
    """What the user gave cannot be read or understood: a file, a column, a value, a name."""


class UsageError(InputError):
    """A command or an option that does not exist, or options that contradict each other."""

    exit_code = 2


class RefusalError(WorkbenchError):
    """A question that the model and the data cannot answer: the number does not exist or would be wrong."""

    exit_code = 4


class NoMaximumError(RefusalError):
    """A likelihood without a maximum that has standard errors.

    Parameters
    ----------
    kind : str
        What stands instead, one of `Absence`.
    what, where, fix : str
    """

    def __init__(self, kind: Absence, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.kind: Absence = kind


class NumericalError(WorkbenchError, ArithmeticError):
    """A computation that broke down: a log density that is NaN, an optimiser with no finite start."""
