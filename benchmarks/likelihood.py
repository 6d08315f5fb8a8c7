"""Maxima of the likelihood in bulk: a thousand bootstrap replicates, a million rows, a thousand groups.

* Bootstrap: 1,000 parametric replicates of the height model, simulated and fitted, against a loop of `pm.set_data` and
  `pm.find_MAP` on a model with flat priors, of which three steps are timed and scaled to 1,000.
* Rows: the MLE of a logistic regression with 1,000,000 rows and 10 columns, with its covariance, against NumPy: L-BFGS
  with a hand-written gradient, and the covariance from the textbook information.
* Groups: the MLE of a random-intercept model with 1,000 groups of 20, latents integrated out, against the same with 250
  groups: the ratio is how it grows, and 4 is linear.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.cases import build_model, read_columns
from benchmarks.processes import own_cache, report, run_module
from benchmarks.timings import Row, Side, Target

REPLICATES, SCALED = 1000, 3
ROWS, COLUMNS = 1_000_000, 10
GROUPS, FEWER, IN_GROUP = 1000, 250, 20
TASKS: dict[str, tuple[str, str, list[Target]]] = {
    "bootstrap": (
        "bootstrap_maximum",
        "loop of set_data and find_MAP",
        [Target("seconds", 3.0), Target("ratio", 0.02)],
    ),
    "rows": ("climb", "NumPy L-BFGS and information", [Target("ratio", 2.0)]),
    "groups": ("1,000 groups", "250 groups", [Target("seconds", 10.0), Target("ratio", 4.0)]),
}
NAMES = {
    "bootstrap": "1,000 bootstrap maxima, height_as_normal",
    "rows": "logistic MLE, 1,000,000 x 10",
    "groups": "random-intercept MLE, 1,000 x 20",
}


def measure(repetitions: int) -> Iterator[Row]:
    """One row a target.

    Parameters
    ----------
    repetitions : int

    Yields
    ------
    Row
    """
    for name, (ours, theirs, targets) in TASKS.items():
        report(f"likelihood: {name}")
        task = {"task": name, "sides": ["ours", "theirs"], "repetitions": repetitions}
        with own_cache() as environment:
            answer, _ = run_module(__name__, task, environment)
            peaks = [
                run_module(__name__, {**task, "sides": [side], "repetitions": 1}, environment)[1]
                for side in task["sides"]
            ]
        sides = [
            Side(label, tuple(answer[side]), peak)
            for label, side, peak in zip((ours, theirs), task["sides"], peaks, strict=True)
        ]
        note = f"{name}: {answer['note']}"
        for target in targets:
            yield Row(NAMES[name], *sides, target, (note,))


# -- inside the child process ----------------------------------------------------------------------------------------


def _bootstrap(sides: list[str]) -> tuple[dict[str, Callable[[], float]], str]:
    """Seconds of 1,000 replicates on each side."""
    import numpy as np
    import pymc as pm

    from workbench.likelihood.bootstrap import bootstrap_maximum
    from workbench.likelihood.maximum import maximise_likelihood
    from workbench.likelihood.problem import pose
    from workbench.model.anatomy import examine
    from workbench.model.density import LogDensity

    columns = read_columns("height_as_normal")
    height, generator = columns["height"], np.random.default_rng(1)
    calls: dict[str, Callable[[], float]] = {}
    if "ours" in sides:
        density = LogDensity(build_model("height_as_normal", columns))
        problem = pose(density)
        mode = maximise_likelihood(problem, examine(density), density.space.start[None])
        calls["ours"] = lambda: _seconds(lambda: bootstrap_maximum(problem, mode, REPLICATES, "parametric"))
    if "theirs" in sides:
        with pm.Model() as model:
            data = pm.Data("data", height)
            pm.Normal("height", pm.Flat("mu"), pm.HalfFlat("sigma"), observed=data)

        def loop() -> float:
            def step() -> None:
                pm.set_data({"data": generator.choice(height, size=height.size)}, model=model)
                pm.find_MAP(model=model, start={"mu": height.mean(), "sigma": height.std()}, progressbar=False)

            return REPLICATES / SCALED * _seconds(lambda: [step() for _ in range(SCALED)])

        loop()
        calls["theirs"] = loop
    return calls, f"find_MAP: {SCALED} replicates timed, scaled to {REPLICATES:,}; no standard errors on either side"


def _rows(sides: list[str]) -> tuple[dict[str, Callable[[], float]], str]:
    """Seconds of one MLE with its covariance on each side."""
    import numpy as np
    import pymc as pm
    from scipy import optimize, special

    from workbench.model.density import LIKELIHOOD, LogDensity
    from workbench.numerics.optimise import climb

    generator = np.random.default_rng(0)
    x = generator.normal(size=(ROWS, COLUMNS))
    x[:, 0] = 1.0
    y = (generator.uniform(size=ROWS) < special.expit(x @ generator.normal(size=COLUMNS) * 0.3)).astype(np.float64)
    start, found = np.zeros(COLUMNS), {}

    def minus(b: Any) -> tuple[float, Any]:
        eta = x @ b
        return float(np.logaddexp(0.0, eta).sum() - y @ eta), -(x.T @ (y - special.expit(eta)))

    def by_hand() -> None:
        top = optimize.minimize(minus, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-2})
        p = special.expit(x @ top.x)
        found["theirs"] = top.x, np.linalg.inv(x.T @ (x * (p * (1 - p))[:, None]))

    calls: dict[str, Callable[[], float]] = {}
    if "ours" in sides:
        with pm.Model() as model:
            pm.Bernoulli("y", logit_p=pm.math.dot(x, pm.Normal("b", 0.0, 10.0, shape=COLUMNS)), observed=y.astype(int))
        objective = LogDensity(model).compile().objective(LIKELIHOOD)

        def ours() -> None:
            top = climb(objective, start)
            found["ours"] = top.z, top.curvature.covariance

        calls["ours"] = lambda: _seconds(ours)
    if "theirs" in sides:
        calls["theirs"] = lambda: _seconds(by_hand)
    mib = (x.nbytes + y.nbytes) / 2**20
    return calls, f"one start on each side; the data are {mib:.0f} MiB, a process that has imported PyMC about 300 MiB"


def _groups(sides: list[str]) -> tuple[dict[str, Callable[[], float]], str]:
    """Seconds of one marginal MLE with many groups, and with fewer."""
    import numpy as np
    import pymc as pm

    from workbench.likelihood.problem import pose
    from workbench.model.density import LogDensity
    from workbench.numerics.optimise import climb

    def prepared(groups: int) -> Callable[[], float]:
        generator = np.random.default_rng(0)
        code = np.repeat(np.arange(groups), IN_GROUP)
        y = 3.0 + 1.5 * generator.normal(size=groups)[code] + generator.normal(size=code.size)
        with pm.Model() as model:
            mu, tau, sigma = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("tau", 5.0), pm.HalfNormal("sigma", 5.0)
            pm.Normal("y", mu + pm.Normal("u", 0.0, tau, shape=groups)[code], sigma, observed=y)
        density = LogDensity(model, latents=["u"]).compile()
        return lambda: _seconds(lambda: climb(pose(density).objective, np.zeros(3)))

    sizes = {"ours": GROUPS, "theirs": FEWER}
    return {
        side: prepared(sizes[side]) for side in sides
    }, "ours with 1,000 and with 250 groups; a ratio of 4 is linear"


def _seconds(call: Callable[[], Any]) -> float:
    """Wall-clock time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(task: dict[str, Any]) -> None:
    """Time both sides in turn; print their seconds as JSON."""
    calls, note = {"bootstrap": _bootstrap, "rows": _rows, "groups": _groups}[task["task"]](task["sides"])
    answer: dict[str, Any] = {side: [] for side in calls} | {"note": note}
    for _ in range(task["repetitions"]):
        for side, call in calls.items():
            answer[side].append(call())
    print(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
