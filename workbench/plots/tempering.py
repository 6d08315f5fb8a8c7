"""The path of temperatures: how the average fit rises as the likelihood is let in.

log p(y) is the average height of E_t[l] over t in [0, 1], and KL(posterior || prior) how far its end lies above that
average, if the path starts from the prior and l is the log likelihood.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.plots.style import LIKELIHOOD, LOSS, POSTERIOR, QUIET, new_figure, styled

if TYPE_CHECKING:
    from workbench.evidence.tempering import Tempering

_SHOWN = 12.0  # times the distance from the end to the average: what lies below is cut off


def plot_tempering(found: Tempering) -> Figure:
    """E_t[l] over the temperature t, its end, and its average, the log evidence.

    Parameters
    ----------
    found : Tempering

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the log evidence is not finite or the curve is empty.
    """
    t, curve, errors = found.temperatures, found.curve, found.curve_error
    if not np.isfinite(found.log_evidence) or not len(t) or not np.isfinite(curve[-1]):
        raise InputError("the tempering curve is missing or not finite", "tempering", "fit again")
    with styled():
        figure = new_figure(8.0, 3.2)
        axes = figure.add_subplot()
        axes.axhline(found.log_evidence, color=POSTERIOR, linewidth=1.4)
        axes.errorbar(t, curve, 2 * errors, color=LIKELIHOOD, marker="o", markersize=3.5, linewidth=1.2)
        axes.plot([1.0, 1.0], [found.log_evidence, curve[-1]], color=LOSS, linewidth=3.0, alpha=0.75)
        axes.set_xscale("log")
        prior = found.start == "prior"
        axes.set_xlabel("t, the weight of the likelihood" if prior else "t, from proposal to posterior")
        axes.set_ylabel("nats")
        reach = max(_SHOWN * (curve[-1] - found.log_evidence), 1.0)
        axes.set_ylim(max(curve.min() - 0.1 * reach, found.log_evidence - reach), curve[-1] + 0.25 * reach)
        level = f"log evidence {found.log_evidence:.2f}"
        axes.annotate(level, (t[0], found.log_evidence), (4, 4), textcoords="offset points")
        gap = curve[-1] - found.log_evidence
        name = "KL(posterior, prior)" if prior else "KL(posterior, proposal)"
        axes.annotate(f"{name} {gap:.2f}", (1.0, curve[-1]), (-4, 8), textcoords="offset points", ha="right")
        axes.tick_params(axis="y", colors=QUIET)
    return figure
