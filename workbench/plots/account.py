"""The account of information as pictures: where the evidence comes from, and what the data taught about what.

log p(y) = log p(y | theta-hat)      + log Occam factor
log p(y) = E_post[log p(y | theta)]  - KL(posterior || prior)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbench.errors import InputError
from workbench.plots.style import FAINT, INK, LIKELIHOOD, LOSS, POSTERIOR, new_figure, safe, styled

if TYPE_CHECKING:
    from workbench.information import Information

_TOLERANCE = 1e-6  # nats, beside rounding: by how much the terms may fail to add up
_SCALARS = 12  # that are shown at most: those about which the data taught most


def waterfalls(information: Information) -> list[tuple[str, float, str, float, float]]:
    """The ways down to the log evidence that this account holds, each checked to arrive there.

    Parameters
    ----------
    information : Information

    Returns
    -------
    list of (start, value, step, change, end)
        Names of start and step; value, change and end in nats.

    Raises
    ------
    InputError
        If an entry is missing or not finite, or the terms do not add up.
    """
    entries = information.entries
    if "log evidence" not in entries:
        raise InputError("the account holds no log evidence", "information", "fit again")
    end = entries["log evidence"][0]
    found = []
    for start, step, sign in (
        ("maximised log likelihood", "log Occam factor", 1.0),
        ("E_post[log likelihood]", "KL(posterior || prior)", -1.0),
    ):
        if start in entries and step in entries:
            value, change = entries[start][0], sign * entries[step][0]
            if not np.isfinite([value, change, end]).all() or abs(value + change - end) > _TOLERANCE * (1 + abs(end)):
                raise InputError(f"{start} and {step} do not add up to the log evidence", "information", "fit again")
            found.append((start, value, step, change, end))
    if not found:
        raise InputError("the account holds no way to the log evidence", "information", "fit again")
    return found


def plot_account(information: Information) -> Figure:
    """From the fit down to the log evidence, in nats.

    Parameters
    ----------
    information : Information

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If an entry is missing or not finite, or the terms do not add up.
    """
    ways = waterfalls(information)
    with styled():
        figure = new_figure(8.0, 0.75 + 1.25 * len(ways))
        axes = figure.add_subplot()
        end = ways[0][4]
        values = [end, *(way[1] for way in ways)]
        span = max(max(values) - min(values), 1e-9)
        ticks, names = [], []
        for position, (start, value, step, change, _) in enumerate(ways):
            top = -3.0 * position
            axes.plot([value, value], [top + 0.35, top - 1.35], color=FAINT, linewidth=1, zorder=0)
            axes.plot([value], [top], "D", color=LIKELIHOOD, markersize=7)
            axes.annotate(f"{value:.2f}", (value, top), (8, 0), textcoords="offset points", va="center")
            axes.barh(
                top - 1.0,
                change,
                left=value,
                height=0.62,
                color=LOSS,
                edgecolor=INK,
                linewidth=0.6,
                hatch="///",
                alpha=0.75,
            )
            axes.annotate(f"{change:+.2f}", (value, top - 1.0), (8, 0), textcoords="offset points", va="center")
            ticks += [top, top - 1.0]
            names += [start, f"- {step}" if step.startswith("KL") else step]
        last = -3.0 * (len(ways) - 1) - 2.0
        axes.axvline(end, color=POSTERIOR, linewidth=1.4)
        axes.plot([end], [last], "o", color=POSTERIOR, markersize=7)
        axes.annotate(f"{end:.2f}", (end, last), (8, 0), textcoords="offset points", va="center", weight="bold")
        axes.set_yticks([*ticks, last], [*names, "log evidence"])
        axes.set_ylim(last - 0.7, 0.7)
        axes.set_xlim(min(values) - 0.06 * span, max(values) + 0.22 * span)
        _frame(axes, "nats")
    return figure


def plot_taught(information: Information) -> Figure:
    """What the data taught about each scalar alone and about all together, in bits with standard errors.

    Of more than twelve scalars those about which it taught most are shown.

    Parameters
    ----------
    information : Information

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a value is not finite or there is none.
    """
    bit = float(np.log(2.0))
    together = information.entries.get("KL(posterior || prior)")
    rows = [] if together is None else [("all together", together[0] / bit, together[1] / bit)]
    most = sorted(information.about, key=lambda name: -information.about[name][0])[:_SCALARS]
    chosen = {name: pair for name, pair in information.about.items() if name in most}
    rows += [(f"{safe(name)} alone", value / bit, error / bit) for name, (value, error) in chosen.items()]
    if not rows or not np.all(np.isfinite([value for _, value, _ in rows])):
        raise InputError("what the data taught is missing or not finite", "information", "fit again")
    with styled():
        figure = new_figure(8.0, 0.8 + 0.36 * len(rows))
        axes = figure.add_subplot()
        widest = max(max(value for _, value, _ in rows), 1e-9)
        for position, (_, value, error) in enumerate(rows):
            axes.barh(-position, value, height=0.6, color=POSTERIOR, alpha=0.9 if position == 0 else 0.45)
            if np.isfinite(error):
                axes.plot([value - error, value + error], [-position] * 2, color=INK, linewidth=1.2)
            text = f"{value:.2f} ± {error:.2f}" if error >= 0.005 else f"{value:.2f}"  # NaN compares false
            axes.annotate(
                text,
                (value + (error if np.isfinite(error) else 0), -position),
                (6, 0),
                textcoords="offset points",
                va="center",
            )
        axes.set_yticks([-i for i in range(len(rows))], [name for name, _, _ in rows])
        axes.set_xlim(0, 1.2 * widest)
        _frame(axes, "bits")
    return figure


def _frame(axes: Axes, unit: str) -> None:
    """The axis in its unit, without lines that carry nothing."""
    axes.set_xlabel(unit)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
