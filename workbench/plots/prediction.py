"""Predictive scores as pictures: how surprising every observation was, and which predictor is surprised least."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.errors import InputError
from workbench.plots.style import FAINT, INK, LIKELIHOOD, LOSS, POSTERIOR, QUIET, WIDTH, new_figure, safe, styled

if TYPE_CHECKING:
    from workbench.prediction import Prediction

_BIT = float(np.log(2.0))
_NAMED = 8  # observations


def plot_surprise(prediction: Prediction) -> Figure:
    """Self-information of every observation, leave-one-out, in bits; the most surprising are named.

    Parameters
    ----------
    prediction : Prediction

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If no observation was left out, or a score is not finite.
    """
    bits = prediction.surprise / _BIT
    if not bits.size or not np.all(np.isfinite(bits)):
        raise InputError("there is no finite score of every observation", "prediction", "see the reasons beside it")
    most = prediction.surprising(_NAMED)
    worst = np.argsort(-bits, kind="stable")[: len(most)]
    with styled():
        figure = new_figure(WIDTH, 0.9 + 0.26 * max(len(most), 6))
        grid = figure.add_gridspec(1, 2, width_ratios=(1.25, 1))
        left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
        left.plot(
            np.arange(bits.size), bits, ".", color=POSTERIOR, alpha=0.6, markersize=4, rasterized=bits.size > 2000
        )
        left.plot(worst, bits[worst], "o", color=LIKELIHOOD, markersize=5)
        left.axhline(bits.mean(), color=INK, linewidth=1.0, linestyle=(0, (5, 2)))
        left.set_title(f"dashed: the mean, {bits.mean():.2f} bits", fontsize=9.0, color=QUIET)
        left.set_xlabel("observation, in the order of the data")
        left.set_ylabel("surprise in bits")
        left.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        names = [
            f"{safe(label, 22)} = {safe(value, 14)}" for label, value in zip(most.index, most["value"], strict=True)
        ]
        heights = -np.arange(len(most))
        right.barh(heights, most["bits"], height=0.62, color=LIKELIHOOD, alpha=0.8)
        right.axvline(bits.mean(), color=INK, linewidth=1.0, linestyle=(0, (5, 2)))
        for height, value in zip(heights, most["bits"], strict=True):
            right.annotate(
                f"{value:.1f}", (value, height), (4, 0), textcoords="offset points", va="center", fontsize=8.0
            )
        right.set_yticks(heights, names, fontsize=8.0)
        right.set_xlabel("surprise in bits")
        right.set_xlim(min(0.0, float(bits.min())), 1.15 * float(most["bits"].max()))
        right.tick_params(axis="y", length=0)
        right.spines["left"].set_visible(False)
    return figure


def plot_predictors(prediction: Prediction) -> Figure:
    """Bits an observation by every predictor, with standard errors; what is infinite is said and not drawn.

    Parameters
    ----------
    prediction : Prediction

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there are no finite scores of all observations together.
    """
    scores, n = prediction.whole, prediction.n_observations
    finite = {name: found for name, found in scores.items() if np.isfinite(found[0])}
    if not finite:
        raise InputError("there are no finite scores of all observations", "prediction", "see the table")
    with styled():
        figure = new_figure(WIDTH, 0.8 + 0.36 * len(scores))
        axes = figure.add_subplot()
        values = {name: -found[0] / n / _BIT for name, found in finite.items()}
        for height, (name, (_, error, mcse, *_)) in zip(range(0, -len(scores), -1), scores.items(), strict=True):
            axes.axhline(height, color=FAINT, linewidth=0.6, zorder=0)
            if name not in finite:
                place, text = ("axes fraction", "data"), "infinite: it held an observation impossible"
                axes.annotate(text, (0.02, height), xycoords=place, va="center", color=QUIET, fontsize=8.0,
                              backgroundcolor="white")  # fmt: skip
                continue
            width = float(np.hypot(0.0 if np.isnan(error) else error, mcse)) / n / _BIT
            colour = LOSS if name.startswith("baseline") else LIKELIHOOD if name.startswith("MLE") else POSTERIOR
            marker = "D" if "in sample" in name else "o"
            axes.plot([values[name] - width, values[name] + width], [height] * 2, color=colour, linewidth=1.6)
            axes.plot([values[name]], [height], marker, color=colour, markersize=6,
                      markerfacecolor="white" if "in sample" in name else colour)  # fmt: skip
            axes.annotate(f"{values[name]:.3f}", (values[name], height), (0, 6), textcoords="offset points",
                          ha="center", fontsize=8.0)  # fmt: skip
        axes.set_yticks(range(0, -len(scores), -1), list(scores))
        axes.set_ylim(-len(scores) + 0.4, 0.7)
        axes.margins(x=0.1)
        axes.set_xlabel("bits an observation; less is better")
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
    return figure
