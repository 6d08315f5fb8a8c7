"""The evidence as its priors change: one curve a hyperparameter, with its error.

Factors of scales and shapes stand on a logarithmic axis; shifts of locations, in prior scales, have a panel of their
own. Circles are places where a curve goes on from draws under another prior.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.plots.style import CHAINS, QUIET, new_figure, safe, styled

if TYPE_CHECKING:
    from workbench.evidence.robustness import Robustness

_DASHES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 1.6, 1.2, 1.6)))
_MOST = 8  # curves in one figure: colours that can be told apart
_SHOWN = 12.0  # nats below the highest: what lies below is cut off


def plot_robustness(found: Robustness) -> Figure:
    """Change of log p(y) over the moves of every hyperparameter, with bands of two standard errors.

    Parameters
    ----------
    found : Robustness

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no curve with a finite value.
    """
    names = [name for name, change in found.change.items() if np.isfinite(change).any()]
    if not names:
        raise InputError("there is no curve to draw", "robustness", "fit again")
    largest = sorted(names, key=lambda name: -float(np.nanmax(np.abs(found.change[name]))))[:_MOST]
    panels = [
        [n for n in names if n in largest and (found.kind[n] == "location") is located] for located in (False, True)
    ]
    panels = [panel for panel in panels if panel]
    with styled():
        figure = new_figure(8.0, 3.2)
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            _panel(axes, found, panel)
    return figure


def _panel(axes: Any, found: Robustness, names: list[str]) -> None:
    """One axis with the curves of these hyperparameters."""
    located = found.kind[names[0]] == "location"
    axes.axvline(0.0 if located else 1.0, color=QUIET, linewidth=0.8)
    axes.axhline(0.0, color=QUIET, linewidth=0.8)
    for number, name in enumerate(names):
        move, change, error = found.move[name], found.change[name], found.error[name]
        colour, dashes = CHAINS[number % len(CHAINS)], _DASHES[number % len(_DASHES)]
        axes.plot(move, change, color=colour, linestyle=dashes, label=safe(name))
        axes.fill_between(move, change - 2 * error, change + 2 * error, color=colour, alpha=0.2, linewidth=0)
        if len(found.refits[name]):
            height = np.interp(found.refits[name], move, change)
            axes.plot(found.refits[name], height, "o", color=colour, markersize=4, markerfacecolor="white")
    values = np.concatenate([found.change[name] for name in names])
    top = float(values[np.isfinite(values)].max())
    low = float(values[np.isfinite(values)].min())
    margin = 0.08 * max(min(top - low, _SHOWN), 0.1)
    axes.set_ylim(max(low, top - _SHOWN) - margin, top + margin)
    if located:
        axes.set_xlabel("shift of the location, in prior scales")
    else:
        axes.set_xscale("log")
        axes.set_xlabel("factor on the number in the prior")
    axes.set_ylabel("change of log p(y), nats")
    axes.legend()
