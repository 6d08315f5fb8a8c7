"""Child processes with their wall-clock time and peak memory, and disk caches of their own.

The process that starts them stays small and imports none of the libraries that are measured: on Linux a child's peak
memory counts that of its parent at the moment it was started.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Libraries come compiled to byte code, a checkout does not: without this flag its first process compiles it, once.
_NO_BYTE_CODE = "PYTHONDONTWRITEBYTECODE"


@dataclass(frozen=True)
class Finished:
    """A child process that ended well.

    Attributes
    ----------
    seconds : float
        From its start to its end, by the wall clock.
    peak_mib : float
        Its largest resident memory, or that of its largest child process, in MiB.
    output : str
        What it printed.
    """

    seconds: float
    peak_mib: float
    output: str


def run(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, codes: Sequence[int] = (0,)
) -> Finished:
    """Run this Python with these arguments in the checkout, and wait for it.

    Parameters
    ----------
    arguments : sequence of str
    environment : mapping of str to str, optional
        By default that of this process.
    codes : sequence of int
        Exit codes that count as a good end.

    Returns
    -------
    Finished

    Raises
    ------
    RuntimeError
        If it ends with another exit code.
    """
    variables = os.environ if environment is None else environment
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=ROOT,
            env={k: v for k, v in variables.items() if k != _NO_BYTE_CODE},
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if child.returncode not in codes:
            said = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"python {' '.join(arguments)} ended with {child.returncode}:\n{said}")
        mebibyte = 2**20 if sys.platform == "darwin" else 2**10  # the unit of ru_maxrss: bytes there, KiB on Linux
        return Finished(seconds, usage.ru_maxrss / mebibyte, output.read().decode(errors="replace"))


def run_module(module: str, task: Mapping[str, Any], environment: Mapping[str, str]) -> tuple[Any, float]:
    """Give a task to a module that runs as a program; what it prints last is its answer, as JSON.

    Parameters
    ----------
    module : str
    task : mapping
        Plain values.
    environment : mapping of str to str

    Returns
    -------
    answer : object
    peak_mib : float
    """
    done = run(["-m", module, json.dumps(task)], environment)
    return json.loads(done.output.splitlines()[-1]), done.peak_mib


@contextlib.contextmanager
def own_cache() -> Iterator[dict[str, str]]:
    """An environment in which PyTensor's and Numba's compiled functions go to a new, empty folder."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as folder:
        flags = [os.environ["PYTENSOR_FLAGS"]] if os.environ.get("PYTENSOR_FLAGS") else []
        yield {**os.environ, "PYTENSOR_FLAGS": ",".join([*flags, f"base_compiledir={folder}"])}


def report(text: str) -> None:
    """Say on the error stream what is being measured."""
    print(text, file=sys.stderr, flush=True)
