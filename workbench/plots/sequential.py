"""The evidence as it accumulates, and the surprise of every step.

Left, the cumulative log score against the number of observations, ending at the evidence by another route. Right, minus
the log predictive density an observation: what lies high was not expected from what came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.plots.style import DASHES, LIKELIHOOD, POSTERIOR, QUIET, new_figure, styled

if TYPE_CHECKING:
    from workbench.evidence.sequential import Sequential


def plot_sequential(found: Sequential) -> Figure:
    """Cumulative log score with its error beside the evidence, and the surprise by step.

    Parameters
    ----------
    found : Sequential

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no step, or one is not finite.
    """
    if not len(found.ends) or not np.all(np.isfinite(found.cumulative)):
        raise InputError("the sequence is missing or not finite", "sequential", "fit again")
    t = np.concatenate([[0], found.ends])
    total = np.concatenate([[0.0], found.cumulative])
    error = np.concatenate([[0.0], found.cumulative_error])
    with styled():
        figure = new_figure(8.0, 3.2)
        axes, right = figure.subplots(1, 2)
        axes.plot(t, total, color=POSTERIOR, marker="o", markersize=2.5)
        axes.fill_between(t, total - 2 * error, total + 2 * error, color=POSTERIOR, alpha=0.25, linewidth=0)
        axes.axhline(found.log_evidence, color=LIKELIHOOD, linestyle=DASHES["likelihood"], linewidth=1.2)
        label = f"log evidence {found.log_evidence:.2f}"
        axes.annotate(label, (0, found.log_evidence), (4, 4), textcoords="offset points")
        axes.set_xlabel("observations seen")
        axes.set_ylabel("cumulative log score, nats")
        middle = 0.5 * (t[1:] + t[:-1]) + 0.5
        right.vlines(middle, 0.0, found.surprise, color=QUIET, linewidth=1.0)
        right.plot(middle, found.surprise, "o", color=LIKELIHOOD, markersize=3.5)
        right.set_xlabel("observation")
        right.set_ylabel("surprise, nats an observation")
    return figure
