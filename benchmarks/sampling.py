"""Compile and sample in a warm process: Workbench against ``pm.sample``, with the same sampler (nutpie).

Each repetition builds the model afresh (not timed) and then draws from it (timed), in a process that has done the
same once before. Two states of the compile cache on disk:

* *seen*: the model was compiled before on this machine, by both sides; all run in one process, in turn;
* *never seen*: every repetition of either side has a process and an empty cache of its own, and warms up on another
  model, so that neither side finds anything that it has compiled for this model.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.cases import build_model, build_other, read_columns
from benchmarks.processes import own_cache, report, run_module
from benchmarks.timings import Row, Side, Target

SIDES = {"density": "density, compile, NUTS, DataTree", "study": "Study(model).posterior.draws()", "pymc": "pm.sample"}
# From the design: at most half of the time, and never slower, whatever the state of the cache.
TARGETS = {"seen": Target("ratio", 0.5, 1.05), "never seen": Target("ratio", 1.05, 1.05)}
MORE = "both sides return an xarray.DataTree; ours holds the log likelihood and log prior of every draw besides"


def measure(
    repetitions: int, models: Sequence[str], *, draws: int = 1000, states: Sequence[str] = tuple(TARGETS)
) -> Iterator[Row]:
    """Two rows a model and state: the bare path to the draws, and a whole study with its checks before sampling.

    Parameters
    ----------
    repetitions : int
    models : sequence of str
        Names from `CASES`.
    draws : int
        Draws a chain, and as many warm-up draws; four chains.
    states : sequence of {"seen", "never seen"}

    Yields
    ------
    Row
    """
    for model in models:
        for state in states:
            report(f"sampling: {model}, {state}")
            sides, gap = (_seen if state == "seen" else _never_seen)(model, repetitions, draws)
            notes = [MORE]
            if gap > 0.3:
                notes.append(f"the posterior means of the two sides of {model} differ by {gap:.2g} standard deviations")
            for ours in ("density", "study"):
                what = f"4 x {draws} draws, {model}, {state}: {SIDES[ours]}"
                yield Row(what, sides[ours], sides["pymc"], TARGETS[state], tuple(notes))


def _seen(model: str, repetitions: int, draws: int) -> tuple[dict[str, Side], float]:
    """All sides in one process in turn; their memory from a process each."""
    task = {"model": model, "draws": draws, "warm_up": "itself"}
    with own_cache() as environment:
        answer, _ = run_module(__name__, {**task, "sides": list(SIDES), "repetitions": repetitions}, environment)
        found = {}
        for side, name in SIDES.items():
            _, peak = run_module(__name__, {**task, "sides": [side], "repetitions": 1}, environment)
            found[side] = Side(name, tuple(answer[side]["seconds"]), peak)
    return found, max(_gap(answer, side) for side in ("density", "study"))


def _never_seen(model: str, repetitions: int, draws: int) -> tuple[dict[str, Side], float]:
    """A process with an empty cache for each repetition of each side."""
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    peaks, last = dict.fromkeys(SIDES, 0.0), {}
    for i in range(repetitions):
        for side in SIDES:
            task = {"model": model, "draws": draws, "warm_up": "other", "sides": [side], "repetitions": 1, "first": i}
            with own_cache() as environment:
                answer, peak = run_module(__name__, task, environment)
            seconds[side] += answer[side]["seconds"]
            peaks[side] = max(peaks[side], peak)
            last[side] = answer[side]
    found = {side: Side(name, tuple(seconds[side]), peaks[side]) for side, name in SIDES.items()}
    return found, max(_gap(last, side) for side in ("density", "study"))


def _gap(answer: dict[str, Any], side: str) -> float:
    """Largest difference of a posterior mean between a side and ``pm.sample``, in standard deviations."""
    ours, theirs = answer[side]["moments"], answer["pymc"]["moments"]
    return max(abs(ours[n][0] - theirs[n][0]) / theirs[n][1] for n in theirs)


# -- inside the child process ----------------------------------------------------------------------------------------


def _draw_density(model: Any, draws: int, seed: int) -> Any:
    from workbench.model.density import TARGET, LogDensity
    from workbench.model.nuts import run_nuts
    from workbench.posterior.draws import describe_draws

    density = LogDensity(model)
    found = run_nuts(
        density.objective(TARGET), density.space.start, draws=draws, tune=draws, chains=4, seed=seed
    )  # fmt: skip
    return describe_draws(density, found.z, found.statistics)


def _draw_study(model: Any, draws: int, seed: int) -> Any:
    import workbench as wb

    return wb.Study(model, seed=seed, settings=wb.Settings(draws=draws, tune=draws)).posterior.draws()


def _draw_pymc(model: Any, draws: int, seed: int) -> Any:
    import pymc as pm

    with model:
        return pm.sample(
            draws=draws, tune=draws, chains=4, nuts_sampler="nutpie", random_seed=seed, progressbar=False
        )  # fmt: skip


DRAW: dict[str, Callable[[Any, int, int], Any]] = {"density": _draw_density, "study": _draw_study, "pymc": _draw_pymc}


def _moments(tree: Any) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of each scalar parameter, to see that the sides answer the same question."""
    posterior = tree["posterior"]
    scalars = [name for name, array in posterior.data_vars.items() if array.ndim == 2]
    return {str(n): (float(posterior[n].mean()), float(posterior[n].std())) for n in scalars}


def main(task: dict[str, Any]) -> None:
    """Warm up, run the repetitions in turn, and print times and moments as JSON."""
    columns = read_columns(task["model"])
    answer: dict[str, Any] = {side: {"seconds": [], "moments": {}} for side in task["sides"]}
    for side in task["sides"]:
        model = build_model(task["model"], columns) if task["warm_up"] == "itself" else build_other()
        DRAW[side](model, task["draws"], 0)
    for i in range(task["repetitions"]):
        for side in task["sides"]:
            model = build_model(task["model"], columns)
            start = time.perf_counter()
            tree = DRAW[side](model, task["draws"], 1 + task.get("first", 0) + i)
            answer[side]["seconds"].append(time.perf_counter() - start)
            answer[side]["moments"] = _moments(tree)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
