"""Outcomes that a model can make certain: their likelihood rises to 0 nats, the most that a probability can be.

Where a slope grows, or a scale shrinks, every outcome of separated data becomes certain. Often there are many such ways
at once, and none of the scalars alone has to go anywhere: then no limit of one of them says what is there.
"""

from __future__ import annotations

import numpy as np

from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.problem import Problem, origin
from workbench.model.masses import is_probability
from workbench.numerics.climbs import Climb

_CERTAIN = 1e-4  # nats below 0
_REAL = 0.02  # nats: what is closer to 0 at the start of the model is certain everywhere
_SHOWN = 4  # variables in a message


def refuse_certain(problem: Problem, end: Climb) -> None:
    """Say that every outcome is certain in the limit, if that is where a climb was going.

    Parameters
    ----------
    problem : Problem
    end : Climb
        The highest climb, which found no peak.

    Raises
    ------
    NoMaximumError
        If all data are counts, categories or censored, and the climb ended at 0 nats.
    """
    start = origin(problem)
    if not end.value > -_CERTAIN or not is_probability(problem.density):
        return
    try:
        if problem.objective.value(start) > -_REAL:
            return
    except NumericalError:
        return
    moved = {name: float(np.max(np.abs((end.z - start)[block]))) for name, block in problem.chart.blocks.items()}
    names = sorted((name for name, far in moved.items() if far > 1.0), key=lambda name: -moved[name])[:_SHOWN]
    raise NoMaximumError(
        "at infinity",
        "the likelihood has no maximum: it rises to 0 nats, its least upper bound, where every outcome is certain, "
        f"along {' and '.join(names or problem.chart.names)}",
        "likelihood",
        "separated outcomes, or observations that are all censored, do this: report the one-sided profile interval, "
        "give a scale that the data do not determine a fixed value, or use the posterior",
    )
