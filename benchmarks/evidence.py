"""The evidence: what it costs beside the draws, beside sequential Monte Carlo and nested sampling, and its memory.

* Cost: a bridge to an error of 0.05 nats, its pilots included, against compiling the model and drawing from its
  posterior, in a process whose caches are empty; every model has at most 20 dimensions. A row of tempering explains.
* SMC: compile, draw and bridge, against `pm.sample_smc` with more and more draws until its actual error is as small as
  ours or the draws reach a limit. The actual error is the root mean square, over seeds, of the distance from a bridge
  over many more draws.
* Nested: evaluations of the likelihood, warm-up and proposal draws included, against dynesty. The error of nested
  sampling falls with the root of the evaluations, so those of dynesty are scaled to our actual error by its square; the
  note has the numbers as they were measured.
* Memory: the peak of a process that bridges 4 x 1,000 draws in 1,000 dimensions, against one that only makes the draws.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks import regressions
from benchmarks.cases import build_model, read_columns
from benchmarks.processes import own_cache, report, run_module
from benchmarks.timings import Row, Side, Target

SMALL_ERROR = 0.05  # nats
DIMENSIONS = 1000
PARTS = ("cost", "smc", "nested", "memory")
SHARE, MEMORY = Target("ratio", 0.15), Target("MiB", 2048)
ROWS = {
    "smc": ("log evidence", Target("ratio", 0.05), "s"),
    "nested": ("likelihoods for one error", Target("ratio", 0.02), "calls"),
}


def measure(
    repetitions: int, models: Sequence[str], draws: int = 1000, parts: Sequence[str] = PARTS, most: int = 32_000
) -> Iterator[Row]:
    """The rows of every part.

    Parameters
    ----------
    repetitions : int
        Of the cost; seeds of the actual errors.
    models : sequence of str
        Names from `CASES` whose cost is measured beside that of the regressions.
    draws : int
        Draws a chain, and warm-up draws; the reference has 25 times as many.
    parts : sequence of str
        Of `PARTS`.
    most : int
        Draws a chain of SMC at which the search for an equal error ends.

    Yields
    ------
    Row
    """
    for name in (*models, *regressions.NAMES) if "cost" in parts else ():
        report(f"evidence: cost, {name}")
        yield from _costs(name, repetitions, draws)
    for part in ("smc", "nested"):
        for name in regressions.NAMES if part in parts else ():
            report(f"evidence: {part}, {name}")
            task = {"task": part, "model": name, "repetitions": repetitions, "draws": draws, "most": most}
            with own_cache() as environment:
                answer, peak = run_module(__name__, task, environment)
            sides = [Side(answer[s]["name"], tuple(answer[s]["cost"]), peak) for s in ("ours", "theirs")]
            what, target, unit = ROWS[part]
            yield Row(f"{what}, {name} regression", *sides, target, (answer["note"],), unit)
    if "memory" in parts:
        report("evidence: memory")
        yield _memory(draws)


def _costs(name: str, repetitions: int, draws: int) -> Iterator[Row]:
    """A bridge, and tempering, beside compiling and drawing; every repetition in a process with empty caches."""
    found, peak = [], 0.0
    for seed in range(repetitions):
        with own_cache() as environment:
            task = {"task": "cost", "model": name, "draws": draws, "seed": seed}
            answer, own = run_module(__name__, task, environment)
        found.append(answer)
        peak = max(peak, own)
    theirs = Side("compile and draw", tuple(a["compile"] + a["draw"] for a in found), peak)
    for route, target in (("bridge", SHARE), ("tempering", None)):
        errors = ", ".join(f"{a[f'{route} error']:.2g}" for a in found)
        note = f"{name}: {route} stated errors of {errors} nats; drawing alone took {found[-1]['draw']:.2g} s"
        what = f"{route} to {SMALL_ERROR:g} nats, {name}" if route == "bridge" else f"tempering, {name}"
        yield Row(what, Side(route, tuple(a[route] for a in found), peak), theirs, target, (note,))


def _memory(draws: int) -> Row:
    """Peak memory of a bridge in many dimensions, beside that of its draws."""
    sides, note = [], ""
    for side, name in (("ours", "bridge"), ("theirs", "the draws alone")):
        task = {"task": "memory", "side": side, "dimensions": DIMENSIONS, "draws": draws}
        with own_cache() as environment:
            answer, peak = run_module(__name__, task, environment)
        sides.append(Side(name, (peak,), peak))
        off, error = answer["off"], answer["error"]
        note = note or f"memory: the bridge of a normal density is off by {off:.2g} nats, stated error {error:.2g}"
    return Row(f"peak memory, {DIMENSIONS} dimensions x {4 * draws} draws", *sides, MEMORY, (note,), "MiB")


# -- inside the child process ----------------------------------------------------------------------------------------


def _timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    answer = action()
    return time.perf_counter() - start, answer


def _study(name: str, draws: int, seed: int) -> Any:
    """A study of a regression or of one of the cases."""
    import workbench as wb

    model = regressions.build(name) if name in regressions.NAMES else build_model(name, read_columns(name))
    return wb.Study(model, seed=seed, settings=wb.Settings(draws=draws, tune=draws, evidence_error=SMALL_ERROR))


def _cost(task: dict[str, Any]) -> dict[str, float]:
    """Seconds of compiling, drawing, bridging and tempering one model."""
    study = _study(task["model"], task["draws"], task["seed"])
    compiling, _ = _timed(study.density.compile)
    drawing, _ = _timed(study.posterior.draws)
    _ = study.log_terms, study.diagnosis(), study.starts_with_maximum  # which the draws need anyway
    bridging, bridge = _timed(study.evidence.bridge)
    tempering, tempered = _timed(study.evidence.tempering)
    return {
        "compile": compiling, "draw": drawing, "bridge": bridging, "bridge error": bridge.std_error,
        "tempering": tempering, "tempering error": tempered.std_error,
    }  # fmt: skip


def _actual(values: Sequence[float], truth: float) -> float:
    """Root mean square distance from the truth."""
    return float((sum((value - truth) ** 2 for value in values) / len(values)) ** 0.5)


def _reference(name: str, draws: int) -> float:
    """Log evidence by a bridge over 25 times as many draws."""
    return float(_study(name, 25 * draws, 1000).evidence.bridge().log_evidence)


def _ours(task: dict[str, Any]) -> list[tuple[float, float, int]]:
    """Seconds, log evidence and evaluations of the likelihood of a bridge from nothing, for every seed."""
    found = []
    for seed in range(task["repetitions"]):
        start = time.perf_counter()
        study = _study(task["model"], task["draws"], seed)
        bridge = study.evidence.bridge()
        seconds = time.perf_counter() - start
        steps = study.posterior.draws()["sample_stats"]["n_steps"].values
        # Warm-up is as long as the draws and takes about as many steps; pilots: 300 draws for 2 fits of each proposal.
        evaluations = 2 * int(steps.sum()) + steps.size + bridge.n_proposal + 600 * len(bridge.pilots)
        found.append((seconds, bridge.log_evidence, evaluations))
    return found


def _smc(task: dict[str, Any]) -> dict[str, Any]:
    """Seconds of both sides at the same actual error, or at the most draws of SMC."""
    import logging

    import numpy as np
    import pymc as pm

    logging.getLogger("pymc").setLevel(logging.ERROR)
    truth, ours = _reference(task["model"], task["draws"]), _ours(task)
    wanted, draws = _actual([value for _, value, _ in ours], truth), task["draws"]
    while True:
        seconds, values = [], []
        for seed in range(task["repetitions"]):
            with regressions.build(task["model"]):
                took, tree = _timed(
                    lambda d=draws, s=seed: pm.sample_smc(d, chains=4, cores=1, random_seed=s, progressbar=False)
                )
            seconds.append(took)
            ends = [np.asarray(c, dtype=float)[-1] for c in np.ravel(_log_evidence_of(tree))]
            values.append(float(np.log(np.mean(np.exp(np.array(ends) - max(ends)))) + max(ends)))
        reached = _actual(values, truth)
        if reached <= wanted or 4 * draws > task["most"]:
            break
        draws *= 4
    note = (
        f"{task['model']}, SMC: actual error {reached:.2g} nats with 4 x {draws} draws, of the bridge {wanted:.2g}"
        f"{'' if reached <= wanted else ', where the search ended: its time is that of the larger error'}"
    )
    return {
        "ours": {"name": "bridge", "cost": [took for took, _, _ in ours]},
        "theirs": {"name": "pm.sample_smc", "cost": seconds},
        "note": note,
    }


def _log_evidence_of(tree: Any) -> Any:
    """One path of log evidence a chain, ragged, as `pm.sample_smc` leaves it."""
    import numpy as np

    kept = tree["sample_stats"]["log_marginal_likelihood"].values
    found = np.empty(len(kept), dtype=object)
    for chain, path in enumerate(kept):
        flat = np.array([v for v in np.ravel(path) if v is not None], dtype=float)
        found[chain] = flat[np.isfinite(flat)]
    return found


def _nested(task: dict[str, Any]) -> dict[str, Any]:
    """Evaluations of the likelihood of both sides, those of dynesty scaled to the same actual error."""
    truth, ours = _reference(task["model"], task["draws"]), _ours(task)
    wanted = _actual([value for _, value, _ in ours], truth)
    found = [_study(task["model"], task["draws"], seed).evidence.nested() for seed in range(task["repetitions"])]
    reached = _actual([nested.log_evidence for nested in found], truth)
    scale = max((reached / wanted) ** 2, 1.0)
    measured = sorted(nested.evaluations for nested in found)[len(found) // 2]
    note = (
        f"{task['model']}, nested: dynesty made {measured} evaluations for an actual error of {reached:.2g} nats, "
        f"the bridge one of {wanted:.2g}; its evaluations are scaled by {scale:.3g}"
    )
    return {
        "ours": {"name": "draw and bridge", "cost": [count for _, _, count in ours]},
        "theirs": {"name": "dynesty", "cost": [scale * nested.evaluations for nested in found]},
        "note": note,
    }


def _peak(task: dict[str, Any]) -> dict[str, float]:
    """Bridge independent draws of a normal density, or only make them."""
    import numpy as np

    from workbench.evidence.bridge import bridge_sampling
    from workbench.numerics.objective import FunctionObjective

    d, generator = task["dimensions"], np.random.default_rng(1)
    scale = np.exp(generator.normal(size=d))
    objective = FunctionObjective(d, lambda z: (-0.5 * float(np.sum((z / scale) ** 2)), -z / scale**2))
    z = scale * generator.normal(size=(4, task["draws"], d))
    log_f = -0.5 * np.sum((z / scale) ** 2, axis=-1)
    if task["side"] == "theirs":
        return {"off": 0.0, "error": 0.0}
    found = bridge_sampling(objective, z, log_f, 1)
    truth = 0.5 * d * np.log(2 * np.pi) + float(np.log(scale).sum())
    return {"off": abs(found.log_evidence - truth), "error": found.std_error}


def main(task: dict[str, Any]) -> None:
    """Do one task and print its answer as JSON."""
    done: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "cost": _cost, "smc": _smc, "nested": _nested, "memory": _peak,
    }  # fmt: skip
    print(json.dumps(done[task["task"]](task)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
