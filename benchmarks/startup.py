"""What one waits for before anything happens: ``import workbench`` and ``workbench --help``, each in a new process.

The other side is the bare interpreter, ``python -c pass``; the limits hold for the whole process, interpreter included.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.processes import Finished, report, run
from benchmarks.timings import Row, Side, Target, duration

COMMANDS = {
    "import workbench": (["-c", "import workbench"], Target("seconds", 0.1)),
    "workbench --help": (["-m", "workbench", "--help"], Target("seconds", 0.4)),
}


def measure(repetitions: int) -> Iterator[Row]:
    """One row a command.

    Parameters
    ----------
    repetitions : int

    Yields
    ------
    Row
    """
    for what, (command, target) in COMMANDS.items():
        report(f"start-up: {what}")
        run(command)  # bytecode and disk are warm from here on
        ours: list[Finished] = []
        bare: list[Finished] = []
        for _ in range(repetitions):
            ours.append(run(command))
            bare.append(run(["-c", "pass"]))
        mine, theirs = _side(what, ours), _side("python -c pass", bare)
        extra = duration(max(0.0, mine.median - theirs.median))
        yield Row(what, mine, theirs, target, (f"{what} costs {extra} more than the bare interpreter",))


def _side(name: str, runs: list[Finished]) -> Side:
    return Side(name, tuple(done.seconds for done in runs), max(done.peak_mib for done in runs))
