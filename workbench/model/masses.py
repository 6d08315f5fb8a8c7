"""Whether a likelihood is a probability, so that it can be no higher than 1: 0 nats, where every outcome is certain.

Counts and categories have probabilities. So has a censored observation at its limit: that the waiting time was longer.
"""

from __future__ import annotations

import numpy as np
from pymc.distributions.censored import CensoredRV

from workbench.model.compiled import interpreted
from workbench.model.density import LogDensity
from workbench.model.fixed_numbers import is_fixed


def is_probability(density: LogDensity) -> bool:
    """Whether every observation is a count, a category, or censored, and nothing else is part of the likelihood.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    bool
    """
    if not density.symbolic.observed or "likelihood" in density.potentials.values():
        return False
    return all(
        np.asarray(data).dtype.kind in "iub" or _all_censored(density, name, np.asarray(data))
        for name, data in density.symbolic.observed.items()
    )


def _all_censored(density: LogDensity, name: str, data: np.ndarray) -> bool:
    """Whether every observation of a variable is at its limit of censoring."""
    owner = density.model[name].owner
    if owner is None or not isinstance(owner.op, CensoredRV) or not all(map(is_fixed, owner.inputs[1:3])):
        return False
    lower, upper = (interpreted([], [limit], stable=False)()[0] for limit in owner.inputs[1:3])
    return bool(np.all((data <= lower) | (data >= upper)))
