"""A whole cold process: ``workbench fit`` against a plain script of PyMC and ArviZ that gets the same answers.

Two states of the compile cache on disk: *warm cache*, where both have run on this model before, and *empty cache*,
where every run of either side starts with an empty folder, as on a new machine.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.processes import Finished, own_cache, report, run
from benchmarks.timings import Row, Side, Target, duration

STATES = ("warm cache", "empty cache")
TARGET = Target("ratio", 0.7)
SCRIPT = (
    "the plain script calls find_MAP twice (flat priors, posterior), each with standard errors, sample, "
    "compute_log_likelihood, loo, sample_posterior_predictive, sample_smc and summary, and saves netCDF; ours writes "
    "the run folder without the report; it holds prior draws, the information account and the diagnosis besides"
)
INTEGRATED = (
    "eight schools: Workbench integrates the eight effects out and maximises over the two parameters; find_MAP climbs "
    "in all ten variables, where the likelihood has no maximum, and prints what it reaches"
)


def measure(
    repetitions: int, models: Sequence[str], *, draws: int = 1000, states: Sequence[str] = STATES
) -> Iterator[Row]:
    """One row a model and state of the cache.

    Parameters
    ----------
    repetitions : int
    models : sequence of str
        Names from `CASES`.
    draws : int
        Draws a chain, and as many warm-up draws; four chains.
    states : sequence of {"warm cache", "empty cache"}

    Yields
    ------
    Row
    """
    for model in models:
        for state in states:
            report(f"whole process: {model}, {state}")
            ours, theirs = _pairs(model, state, repetitions, draws)
            parts = [json.loads(done.output.splitlines()[-1]) for done in theirs]
            middle = {part: statistics.median(p[part] for p in parts) for part in parts[0]}
            listed = ", ".join(f"{part} {duration(seconds)}" for part, seconds in middle.items())
            notes = [SCRIPT, f"parts of the plain script, {model}, {state}: {listed}"]
            notes += [] if CASES[model].has_maximum else [INTEGRATED]
            mine, other = _side("workbench fit", ours), _side("plain script", theirs)
            yield Row(f"fit, cold process, {model}, {state}", mine, other, TARGET, tuple(notes))


def _side(name: str, runs: Sequence[Finished]) -> Side:
    return Side(name, tuple(done.seconds for done in runs), max(done.peak_mib for done in runs))


def _pairs(model: str, state: str, repetitions: int, draws: int) -> tuple[list[Finished], list[Finished]]:
    """Both sides in turn, the warm ones after a first run of each that is not counted."""
    ours, theirs = [], []
    if state == "warm cache":
        with own_cache() as environment:
            for i in range(-1, repetitions):
                pair = _fit(model, draws, environment), _script(model, draws, environment)
                if i >= 0:
                    ours.append(pair[0])
                    theirs.append(pair[1])
    else:
        for _ in range(repetitions):
            with own_cache() as environment:
                ours.append(_fit(model, draws, environment))
            with own_cache() as environment:
                theirs.append(_script(model, draws, environment))
    return ours, theirs


def _fit(model: str, draws: int, environment: Mapping[str, str]) -> Finished:
    """One `workbench fit`; exit code 3 says that the diagnosis of the draws failed, which takes as long."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-report", "--seed", "1", "--draws", str(draws), "--tune", str(draws), "--out", folder]
        return run(["-m", "workbench", "fit", CASES[model].file, *options], environment, codes=(0, 3))


def _script(model: str, draws: int, environment: Mapping[str, str]) -> Finished:
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder, "draws.nc"))
        return run(["-m", "benchmarks.plain_script", model, "--draws", str(draws), "--out", out], environment)
