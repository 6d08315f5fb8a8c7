"""A second maximum of the likelihood on other data of the same shape, with standard errors, in a warm process.

Ours puts the data into the compiled density and climbs from the maximum that it found before; theirs builds the model
with flat priors on the new data and calls ``pm.find_MAP`` with the Hessian. Every repetition has new data: the real
observations drawn with replacement, or counts simulated at the pooled share. Only models whose likelihood has a
maximum in every free variable take part.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks.cases import CASES, build_flat, build_model, read_columns
from benchmarks.processes import own_cache, report, run_module
from benchmarks.timings import Row, Side, Target

SIDES = {"ours": "objective(data=...) and climb", "theirs": "new flat model and find_MAP"}
TARGET = Target("seconds", 0.005)


def measure(repetitions: int, models: Sequence[str]) -> Iterator[Row]:
    """One row a model whose likelihood has a maximum.

    Parameters
    ----------
    repetitions : int
    models : sequence of str
        Names from `CASES`.

    Yields
    ------
    Row
    """
    for model in models:
        if not CASES[model].has_maximum:
            report(f"refit: {model} is left out: its likelihood has no maximum in every free variable")
            continue
        report(f"refit: {model}")
        task = {"model": model, "sides": list(SIDES), "repetitions": repetitions}
        with own_cache() as environment:
            answer, _ = run_module(__name__, task, environment)
            sides = {}
            for side, name in SIDES.items():
                _, peak = run_module(__name__, {**task, "sides": [side], "repetitions": 1}, environment)
                sides[side] = Side(name, tuple(answer[side]["seconds"]), peak)
        ours, theirs = answer["ours"], answer["theirs"]
        triples = zip(ours["estimate"], ours["std_error"], theirs["estimate"], strict=True)
        gap = max(abs(a[n] - b[n]) / error[n] for a, error, b in triples for n in a)
        notes = (f"the estimates of {model} differ by {gap:.1g} standard errors at most",)
        yield Row(f"second MLE, {model}", sides["ours"], sides["theirs"], TARGET, notes)


# -- inside the child process ----------------------------------------------------------------------------------------


def _ours(name: str, columns: Any) -> Callable[[Any], tuple[dict[str, float], dict[str, float]]]:
    """A function from data to estimates and standard errors, after a first fit."""
    import numpy as np

    from workbench.model.chart import jacobian, whole_chart
    from workbench.model.density import LIKELIHOOD, LogDensity
    from workbench.model.mode import find_mode
    from workbench.numerics.optimise import climb

    density = LogDensity(build_model(name, columns))
    first, space = find_mode(density, LIKELIHOOD, "MLE", density.space.start[None]), density.space

    def refit(data: Any) -> tuple[dict[str, float], dict[str, float]]:
        top = climb(density.objective(LIKELIHOOD, data={CASES[name].observed: data}), first.z)
        covariance = top.curvature.covariance
        slopes = jacobian(whole_chart(space).scalars, top.z, np.sqrt(np.diag(covariance)))
        errors = np.sqrt(np.diag(slopes @ covariance @ slopes.T))
        estimate = space.flat(space.theta(top.z))[0]
        named = (dict(zip(first.labels, array.tolist(), strict=True)) for array in (estimate, errors))
        return next(named), next(named)

    return refit


def _theirs(name: str, columns: Any) -> Callable[[Any], tuple[dict[str, float], dict[str, float]]]:
    """A function from data to estimates; the errors stay in the result's own coordinates."""
    import pymc as pm

    def refit(data: Any) -> tuple[dict[str, float], dict[str, float]]:
        with build_flat(name, {**columns, CASES[name].observed: data}):
            found = pm.find_MAP(compute_hessian=True, return_inferencedata=True, progressbar=False)
        return {str(n): float(a.values.item()) for n, a in found["posterior"].data_vars.items()}, {}

    return refit


def main(task: dict[str, Any]) -> None:
    """Fit the real data once, then new data with both sides in turn; print times and estimates as JSON."""
    import numpy as np

    columns = read_columns(task["model"])
    data = columns[CASES[task["model"]].observed]
    makers = {"ours": _ours, "theirs": _theirs}
    refits = {side: makers[side](task["model"], columns) for side in task["sides"]}
    answer: dict[str, Any] = {side: {"seconds": [], "estimate": [], "std_error": []} for side in refits}
    for refit in refits.values():
        refit(data)
    generator = np.random.default_rng(1)
    for _ in range(task["repetitions"]):
        new = _resampled(columns, data, generator)
        for side, refit in refits.items():
            start = time.perf_counter()
            estimate, error = refit(new)
            answer[side]["seconds"].append(time.perf_counter() - start)
            answer[side]["estimate"].append(estimate)
            answer[side]["std_error"].append(error)
    print(json.dumps(answer))


def _resampled(columns: Any, data: Any, generator: Any) -> Any:
    """New observations of the same shape: heights drawn with replacement, or counts from the pooled share."""
    if "tosses" in columns:
        return generator.binomial(columns["tosses"], data.sum() / columns["tosses"].sum())
    return generator.choice(data, size=data.shape)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
