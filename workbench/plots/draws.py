"""Draws as pictures, by ArviZ: traces, ranks, and intervals of many scalars."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from workbench.plots.scalars import Scalar, require_drawable
from workbench.plots.style import INK, POSTERIOR, WIDTH, arviz_figure, safe

COLUMNS = 4


def plot_traces(scalars: Sequence[Scalar], diverging: np.ndarray | None = None) -> Figure:
    """Every draw of every chain in the order in which it was drawn.

    Parameters
    ----------
    scalars : sequence of Scalar
    diverging : ndarray of bool, shape (chains, draws), optional
        Draws to mark.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a draw is not finite, or all draws of a scalar are equal.
    """
    from arviz_plots import plot_trace

    tree, labeller = _tree(scalars, diverging)
    columns, rows = _layout(len(scalars))
    figure = arviz_figure(
        plot_trace,
        tree,
        width=WIDTH,
        height=0.5 + 1.5 * rows,
        labeller=labeller,
        col_wrap=columns,
        visuals={"trace": {"alpha": 0.6, "width": 0.5, "rasterized": True}},
    )
    _unify(figure)
    for axes in figure.axes:
        if axes.get_xlabel():
            axes.set_xlabel("draw")
    return figure


def plot_ranks(scalars: Sequence[Scalar]) -> Figure:
    """The ranks of each chain's draws among all draws, as differences from the uniform distribution.

    Parameters
    ----------
    scalars : sequence of Scalar

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a draw is not finite, or all draws of a scalar are equal.

    References
    ----------
    Säilynoja, T., Bürkner, P.-C. and Vehtari, A. (2022). doi:10.1007/s11222-022-10090-6
    """
    from arviz_plots import plot_rank

    tree, labeller = _tree(scalars)
    columns, rows = _layout(len(scalars))
    figure = arviz_figure(
        plot_rank,
        tree,
        width=WIDTH,
        height=0.5 + 1.5 * rows,
        labeller=labeller,
        col_wrap=columns,
        visuals={"ecdf_lines": {"width": 1.0}, "xlabel": {"text": "rank", "color": INK}, "remove_axis": False},
    )
    _unify(figure)
    return figure


def plot_intervals(scalars: Sequence[Scalar], level: float) -> Figure:
    """Mean and equal-tailed intervals of many scalars, one line each.

    Parameters
    ----------
    scalars : sequence of Scalar
    level : float
        Probability of the thin interval; the thick one holds half.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a draw is not finite, or all draws of a scalar are equal.
    """
    from arviz_plots import plot_forest

    tree, labeller = _tree(scalars)
    figure = arviz_figure(
        plot_forest,
        tree,
        width=WIDTH / 2,
        height=0.6 + 0.22 * len(scalars),
        labeller=labeller,
        combined=True,
        ci_kind="eti",
        ci_probs=(0.5, level),
        point_estimate="mean",
        visuals={"trunk": {"color": POSTERIOR}, "twig": {"color": POSTERIOR}, "point_estimate": {"color": INK}},
    )
    _unify(figure)
    for axes in figure.axes:
        axes.margins(y=0.0)
        axes.set_ylim(axes.get_ylim()[0] - 0.4, axes.get_ylim()[1] + 0.4)
    names, intervals = figure.axes[0], figure.axes[-1]
    names.set_xlabel("")
    names.spines["bottom"].set_visible(False)
    names.tick_params(bottom=False, labelbottom=False)
    intervals.set_xlabel("in the units of the model")
    return figure


def _tree(scalars: Sequence[Scalar], diverging: np.ndarray | None = None) -> tuple[xr.DataTree, object]:
    """The scalars under names that mean nothing to xarray or ArviZ, and a labeller that shows the real ones."""
    from arviz_base.labels import MapLabeller

    for scalar in scalars:
        require_drawable(scalar)
    names = {f"scalar_{i}": scalar for i, scalar in enumerate(scalars)}
    chains, count = scalars[0].draws.shape
    coords = {"chain": np.arange(chains), "draw": np.arange(count)}
    groups = {"posterior": xr.Dataset({n: (("chain", "draw"), s.draws) for n, s in names.items()}, coords=coords)}
    if diverging is not None and diverging.shape == (chains, count):
        groups["sample_stats"] = xr.Dataset({"diverging": (("chain", "draw"), diverging)}, coords=coords)
    shown: dict[Hashable, Hashable] = {name: safe(scalar.label, 24) for name, scalar in names.items()}
    return xr.DataTree.from_dict(groups), MapLabeller(var_name_map=shown)


def _layout(count: int) -> tuple[int, int]:
    """Columns and rows of the panels."""
    columns = min(count, COLUMNS)
    return columns, -(-count // columns)


def _unify(figure: Figure) -> None:
    """Sizes of text that ArviZ scales with the number of panels, back to those of every other figure."""
    for axes in figure.axes:
        axes.title.set_fontsize(9.0)
        axes.xaxis.label.set_fontsize(8.5)
        axes.tick_params(labelsize=7.5)
        for text in axes.texts:
            text.set_fontsize(7.5)
