"""``python -m benchmarks.calibration``: the error that the bridge states against the error that it makes.

Eleven densities of which the integral is known and to which no proposal is exact, each bridged from independent draws
under many seeds. A z-score is (log evidence - truth) / standard error. Honest errors give scores of mean 0 and standard
deviation 1, of which 95% lie within 1.96. The stated error is the largest of three estimates of one number, so it errs
upwards by some 15%.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.targets import by_name
from workbench.evidence.bridge import bridge_sampling
from workbench.numerics.objective import values

NAMES = (
    "log gamma of shape 0.5", "log gamma of shape 3", "two log gammas", "five log gammas", "logit beta of 2 and 5",
    "dirichlet on three categories", "dirichlet on five categories", "student t with 5 degrees", "gentle banana",
    "funnel", "two peaks in 2 dimensions",
)  # fmt: skip
SPREAD, COVERAGE = (0.8, 1.2), (0.90, 0.99)  # what was promised, over all scores
_CHAINS, _DRAWS = 4, 1000
_INSIDE = 1.96  # standard errors: the middle 95% of a normal distribution


def scores(name: str, seeds: Sequence[int]) -> NDArray[np.float64]:
    """The z-scores of the bridge for one density.

    Parameters
    ----------
    name : str
        From `NAMES`.
    seeds : sequence of int
        One repetition each: draws and proposal draws.

    Returns
    -------
    ndarray, shape (len(seeds),)
        In standard errors.
    """
    target, found = by_name(name), []
    for seed in seeds:
        z = target.draw(_CHAINS * _DRAWS, np.random.default_rng(seed))
        log_f = values(target.objective, z).reshape(_CHAINS, _DRAWS)
        bridge = bridge_sampling(target.objective, z.reshape(_CHAINS, _DRAWS, -1), log_f, seed=seed)
        found.append((bridge.log_evidence - target.log_integral) / bridge.std_error)
    return np.array(found)


def table(found: Mapping[str, NDArray[np.float64]]) -> str:
    """Mean, standard deviation and coverage of the scores by density and over all, as a Markdown table."""
    rows = ["| density | mean | sd | within 1.96 | largest |", "|---|---|---|---|---|"]
    for name, array in {**found, "all": np.concatenate(list(found.values()))}.items():
        inside, largest = np.mean(np.abs(array) < _INSIDE), np.abs(array).max()
        rows.append(f"| {name} | {array.mean():+.2f} | {array.std(ddof=1):.2f} | {inside:.1%} | {largest:.1f} |")
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> None:
    """Run every density under as many seeds as asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="repetitions of every density (default 50: 3 minutes)")
    given = parser.parse_args(arguments)
    if given.seeds < 2:
        parser.error("a standard deviation needs at least 2 seeds")
    found = {}
    for name in NAMES:
        print(name, file=sys.stderr, flush=True)
        found[name] = scores(name, range(5000, 5000 + given.seeds))
    print(table(found))
    print(f"\npromised over all: sd {SPREAD[0]} to {SPREAD[1]}, coverage {COVERAGE[0]:.0%} to {COVERAGE[1]:.0%}")


if __name__ == "__main__":
    main(sys.argv[1:])
