"""The errors that a user can act on: what is wrong, where it is, what to do about it.

Every error that Workbench raises on purpose derives from `WorkbenchError` and has three parts, so that the
terminal, the report and a notebook can all say the same thing. `exit_code` is what the command line returns.
"""

from __future__ import annotations

from typing import ClassVar


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


class NumericalError(WorkbenchError, ArithmeticError):
    """A computation that broke down: a log density that is NaN, an optimiser with no finite start."""
