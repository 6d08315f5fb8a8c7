"""Whether the likelihood is higher far from a peak, where a positive scalar or a probability nears its edge.

Climbs from many starts may all end at one peak while the likelihood rises again behind a valley: the length scale of a
Gaussian process goes to infinity, or one rate of two does. Each is moved outwards, the others at their best.
"""

from __future__ import annotations

import contextlib

import numpy as np

from workbench.errors import NumericalError
from workbench.likelihood.followed import is_scalar
from workbench.likelihood.holding import is_rough, settle
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.numerics.climbs import Climb
from workbench.numerics.objective import Vector

_MOST = 8  # coordinates: a look is a climb over all others
_WORK = 20_000  # numbers behind log L
_STEPS, _STRIDE = 3, 3.0  # of z: out to a factor of e^9
_HIGHER = 0.01  # nats
_LOST = 30.0  # nats below the peak: it does not come back


def higher_beyond(problem: Problem, peak: Climb) -> Vector | None:
    """A place behind a valley that is higher than a peak.

    Parameters
    ----------
    problem : Problem
        Without latent variables.
    peak : Climb

    Returns
    -------
    ndarray, shape (p,), or None
        None where there is none, or the model is too large to look.
    """
    objective, labels = problem.objective, problem.chart.labels
    if peak.z.size > _MOST or problem.density.work > _WORK:
        return None
    for label, i in scalar_parameters(problem).items():
        if is_scalar(problem, peak, i, labels.index(label)):  # on the real line it has no edge to go to
            continue
        for side in (-1.0, 1.0):
            place = peak.z.copy()
            for _ in range(_STEPS):
                place[i] += side * _STRIDE
                with contextlib.suppress(NumericalError):
                    best = settle(objective, place, [i])
                    if best.value > peak.value + _HIGHER and not is_rough(objective, best.x, np.ones(place.size)):
                        return best.x
                    if best.value > peak.value - _LOST:
                        place = best.x.copy()
                        continue
                break
    return None
