"""Whether climbs from different starts ended at one place, and what the ends elsewhere are."""

from __future__ import annotations

import numpy as np

from workbench.check import Check
from workbench.numerics.climbs import Climb, distinct, falls_away
from workbench.numerics.objective import Objective

RESCALE = "scale the data so that parameters are near 1"
_STEEP = 1.0  # nats a unit of z
_AS_HIGH = 1e-9  # of log f, or nats below 1
_IMAGES = "components in another order, or a sign: set `transform=pm.distributions.transforms.ordered`, or other priors"


def starts_agree(
    objective: Objective, climbs: list[Climb], one: str, many: str, several: str
) -> tuple[Check, int, int]:
    """Whether climbs from different starts ended at one place.

    A climb that stopped lower, where the density still rises steeply, as beside an overflow, is at no optimum; nor is
    one that ran out to where it is flat, as that of a variance does to 0. Optima of one height are images of each
    other: labels or signs that can be exchanged.

    Parameters
    ----------
    objective : Objective
    climbs : list of Climb
        Highest first.
    one, many : str
        What such a place is called, and several of them.
    several : str
        What to do where there are several.

    Returns
    -------
    check : Check
        Of code ``starts-agree``.
    agreeing, optima : int
        Climbs that reached the highest, and how many there are.
    """
    labels = distinct(climbs)
    level = np.array([c.value > climbs[0].value - _AS_HIGH * max(1.0, abs(climbs[0].value)) for c in climbs])
    lower = (labels > 0) & np.array([not falls_away(objective, c)[0] for c in climbs])
    stopped = lower & np.array([not c.curvature.is_peak and c.gradient_norm > _STEEP for c in climbs])
    ran_out = lower & ~stopped & ~level
    agreeing, optima = int(np.sum(labels == 0)), len(np.unique(labels[~stopped & ~ran_out]))
    images = len(np.unique(labels[level & ~stopped]))
    place = f"the only {one}" if optima == 1 else f"the highest of {optima} {many}"
    if images > 1:
        place, several = f"one of {images} {many} of the same height{f', of {optima}' * (optima > images)}", _IMAGES
    message = f"{agreeing} of {len(climbs)} starts reached {place}"
    if stopped.any():
        message += f"; {np.sum(stopped)} stopped on a slope"
    if ran_out.any():
        message += f"; {np.sum(ran_out)} ran out to where it is lower and flat"
    if optima == 1 and not stopped.any() and (agreeing > 1 or not ran_out.any()):
        return Check("starts-agree", "ok", message), agreeing, optima
    return Check("starts-agree", "caution", message, several if optima > 1 else RESCALE), agreeing, optima
