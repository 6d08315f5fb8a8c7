"""Profile likelihood intervals of the ten coefficients of a logistic regression with 1,000 rows, after compiling.

Ours solves every bound to a deviance within 1e-8 of the quantile, and walks the curve of the signed root on the way.
The other side is what one would write without it: for each bound, SciPy's root finder on SciPy's L-BFGS over the other
nine coefficients, with a hand-written gradient and no curve.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.processes import own_cache, report, run_module
from benchmarks.timings import Row, Side, Target

ROWS, COLUMNS = 1000, 10
SIDES = {"ours": "profile_likelihood", "theirs": "SciPy brentq on L-BFGS"}
TARGET = Target("seconds", 5.0)


def measure(repetitions: int) -> Iterator[Row]:
    """One row.

    Parameters
    ----------
    repetitions : int

    Yields
    ------
    Row
    """
    report("profile: logistic regression")
    task = {"sides": list(SIDES), "repetitions": repetitions}
    with own_cache() as environment:
        answer, _ = run_module(__name__, task, environment)
        sides = {}
        for side, name in SIDES.items():
            _, peak = run_module(__name__, {"sides": [side], "repetitions": 1}, environment)
            sides[side] = Side(name, tuple(answer[side]["seconds"]), peak)
    gap = max(abs(a - b) for a, b in zip(answer["ours"]["bounds"], answer["theirs"]["bounds"], strict=True))
    notes = (f"the twenty bounds differ by {gap:.1g} at most; both walk the same likelihood",)
    yield Row(f"profile of {COLUMNS} coefficients, {ROWS:,} rows", sides["ours"], sides["theirs"], TARGET, notes)


# -- inside the child process ----------------------------------------------------------------------------------------


def _data() -> tuple[Any, Any]:
    """Covariates and answers of a logistic regression, the same every time."""
    import numpy as np

    generator = np.random.default_rng(3)
    x = generator.normal(size=(ROWS, COLUMNS))
    x[:, 0] = 1.0
    chance = 1.0 / (1.0 + np.exp(-x @ np.linspace(-1.0, 1.0, COLUMNS)))
    return x, (generator.random(ROWS) < chance).astype(int)


def _ours() -> Callable[[], list[float]]:
    """A function that profiles every coefficient, after a first fit."""
    import pymc as pm

    import workbench as wb
    from workbench.likelihood.profile import profile_likelihood
    from workbench.likelihood.summit import find_summit

    x, answer = _data()
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, 2.0, shape=COLUMNS)
        pm.Bernoulli("answer", logit_p=pm.math.dot(x, beta), observed=answer)
    study = wb.Study(model, seed=1)
    mode = study.likelihood.maximum()

    def bounds() -> list[float]:
        found = profile_likelihood(study.problem, find_summit(study.problem, mode, study.starts), mode)
        return [*found.lower.tolist(), *found.upper.tolist()]

    return bounds


def _theirs() -> Callable[[], list[float]]:
    """The same by hand."""
    import numpy as np
    from scipy import optimize, special, stats

    x, answer = _data()
    sign = 2.0 * answer - 1.0
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-8}

    def minus(beta: Any) -> tuple[float, Any]:
        margin = sign * (x @ beta)
        return float(np.logaddexp(0.0, -margin).sum()), -x.T @ (sign * special.expit(-margin))

    def bounds() -> list[float]:
        top = optimize.minimize(minus, np.zeros(COLUMNS), jac=True, method="L-BFGS-B", options=options)
        weight = special.expit(x @ top.x) * special.expit(-x @ top.x)
        error = np.sqrt(np.diag(np.linalg.inv(x.T @ (weight[:, None] * x))))
        found: dict[float, list[float]] = {-1.0: [], 1.0: []}
        for k in range(COLUMNS):
            free = np.delete(np.arange(COLUMNS), k)

            def deviance(value: float, k: int = k, free: Any = free) -> float:
                def rest(u: Any) -> tuple[float, Any]:
                    beta = np.empty(COLUMNS)
                    beta[free], beta[k] = u, value
                    height, slope = minus(beta)
                    return height, slope[free]

                best = optimize.minimize(rest, top.x[free], jac=True, method="L-BFGS-B", options=options).fun
                return 2.0 * (best - top.fun) - stats.chi2.ppf(0.95, 1)

            for side in found:
                inner, outer = top.x[k] + side * error[k], top.x[k] + side * 4.0 * error[k]
                found[side].append(optimize.brentq(deviance, inner, outer, xtol=1e-10))
        return [*found[-1.0], *found[1.0]]

    return bounds


def main(task: dict[str, Any]) -> None:
    """Profile with both sides in turn; print times and bounds as JSON."""
    makers = {"ours": _ours, "theirs": _theirs}
    sides = {side: makers[side]() for side in task["sides"]}
    answer: dict[str, Any] = {side: {"seconds": []} for side in sides}
    for _ in range(task["repetitions"]):
        for side, bounds in sides.items():
            start = time.perf_counter()
            answer[side]["bounds"] = bounds()
            answer[side]["seconds"].append(time.perf_counter() - start)
    print(json.dumps(answer))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
