"""The likelihood over two parameters as a contour map, with the posterior draws on it.

Contours stand where the profile log likelihood has dropped by half the chi-square quantile with two degrees of
freedom (Wilks 1938), so that each encloses the region that a likelihood-ratio test of that level would keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.plots.scalars import Scalar, require_drawable
from workbench.plots.style import INK, LIKELIHOOD, POSTERIOR, new_figure, safe, styled

if TYPE_CHECKING:
    from workbench.comparison import Comparison
    from workbench.likelihood.surface import Surface

# level -> drop in nats: half the quantile of chi-square with 2 degrees of freedom, which is -log(1 - level)
DROPS = {level: -float(np.log(1.0 - level)) for level in (0.5, 0.8, 0.95, 0.99)}
_DOTS = 1000
_FLOOR = -50.0  # nats: lower values, even -inf, lie outside every contour


def plot_surface(surface: Surface, scalars: Mapping[str, Scalar], comparison: Comparison | None = None) -> Figure:
    """Contours of the likelihood of a pair of parameters, the draws, the MLE and the MAP.

    Parameters
    ----------
    surface : Surface
        With a pair.
    scalars : mapping of str to Scalar
        The posterior draws; without those of the pair no dots are drawn.
    comparison : Comparison, optional
        Source of the MLE and the MAP.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no pair, or the surface does not fit its axes.
    """
    if len(surface.pair) != 2:
        raise InputError("there is no pair of parameters", "likelihood surface", "")
    first, second = surface.pair
    values = np.asarray(surface.surface, dtype=np.float64)
    shape = tuple(len(axis) for axis in surface.axes)
    if values.shape != shape or np.any(np.isnan(values)):
        raise InputError(
            f"the surface has shape {values.shape} and its axes {shape}, or it holds NaN",
            f"{first}, {second}",
            "compute it again",
        )
    with styled():
        figure = new_figure(5.6, 4.2)
        axes = figure.add_subplot()
        if first in scalars and second in scalars:
            _draw_dots(axes, scalars[first], scalars[second])
        levels = sorted(-drop for drop in DROPS.values())
        lines = axes.contour(
            *surface.axes,
            np.maximum(values, _FLOOR).T,
            levels=levels,
            colors=LIKELIHOOD,
            linewidths=1.2,
            linestyles="solid",
        )
        axes.clabel(lines, fmt={-drop: f"{level:.0%}" for level, drop in DROPS.items()}, fontsize=8)
        axes.plot([], [], color=LIKELIHOOD, linewidth=1.2, label="likelihood regions")
        if comparison is not None and {first, second} <= set(comparison.labels):
            rows = [comparison.labels.index(label) for label in surface.pair]
            _draw_mode(axes, "MLE", comparison.mle[rows], "D", LIKELIHOOD)
            _draw_mode(axes, "MAP", comparison.map[rows], "^", INK)
        axes.set_xlabel(safe(first))
        axes.set_ylabel(safe(second))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.2, handlelength=1.6)
    return figure


def _draw_dots(axes: Axes, first: Scalar, second: Scalar) -> None:
    """Posterior draws of a pair, evenly thinned."""
    for scalar in (first, second):
        require_drawable(scalar)
    x, y = first.draws.ravel(), second.draws.ravel()
    picked = np.unique(np.linspace(0, x.size - 1, _DOTS).astype(int))
    axes.scatter(x[picked], y[picked], s=5, color=POSTERIOR, alpha=0.35, linewidths=0, rasterized=True)
    axes.plot([], [], "o", color=POSTERIOR, alpha=0.5, markersize=4, markeredgewidth=0, label="posterior draws")


def _draw_mode(axes: Axes, name: str, place: NDArray[np.float64], marker: str, colour: str) -> None:
    """A mode as a marker, where there is one."""
    if np.all(np.isfinite(place)):
        x, y = place
        axes.plot([x], [y], marker, color=colour, markersize=8, markeredgecolor="white", linestyle="none", label=name)
