"""Whether data that a model would produce are censored as its own were.

A survival time that was seen has no limit of censoring on record, so that it is often written as infinite:

    pm.Censored("time", waiting, lower=None, upper=np.where(censored, time, np.inf), observed=time)

The likelihood is right. But data that are drawn anew from this model end at a limit only where the first data did:
all others run as long as they will, past the end of any study. Their spread, and estimates made from them, are then
those of an experiment that nobody made.
"""

from __future__ import annotations

import numpy as np
from pymc.distributions.censored import CensoredRV

from workbench.check import Check
from workbench.model.compiled import interpreted
from workbench.model.density import LogDensity
from workbench.model.fixed_numbers import is_fixed


def look_at_limits(density: LogDensity) -> tuple[Check, ...]:
    """Whether simulated data would be censored as the data are; empty for a model without fixed limits.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    tuple of Check
        One, of code ``censoring-limits``, or none.
    """
    looked_at, open_ended = [], []
    for name, data in density.symbolic.observed.items():
        owner = density.model[name].owner
        if owner is None or not isinstance(owner.op, CensoredRV):
            continue
        for sign, limit in zip((-1.0, 1.0), owner.inputs[1:], strict=True):
            if not is_fixed(limit):
                continue
            (array,) = interpreted([], [limit], stable=False)()
            limits = np.broadcast_to(sign * np.asarray(array, dtype=np.float64), data.shape)
            limited = np.isfinite(limits)
            if not limited.any():
                continue
            looked_at.append(name)
            if not limited.all() and np.all(sign * data[limited] >= limits[limited]):
                open_ended.append(name)
    if not looked_at:
        return ()
    if not open_ended:
        return (Check("censoring-limits", "ok", f"every observation of {', '.join(looked_at)} has a limit"),)
    return (
        Check(
            "censoring-limits",
            "caution",
            f"only the censored observations of {', '.join(open_ended)} have a limit: simulated data run past it where "
            "the data were seen, and tell more than the data could",
            "give every observation the limit at which it would have been censored: the likelihood stays the same",
        ),
    )
