"""Replicated data beside the observed, by ArviZ: their distribution, and where each observation falls.

The second figure shows PIT values, Pr[y_rep_i <= y_i] for every observation. If the model describes the data they are
spread evenly over (0, 1); the curve is the difference of their distribution from that.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.plots.style import INK, POSTERIOR, arviz_figure, safe

_LINES = 50  # replicated data sets that are drawn
_VALUES = 5_000  # observations that are drawn
_BARS = 60  # counts up to this many different values have a bar each
_SIZE = {"width": 4.4, "height": 2.9}  # inches
_FEW = 25  # observations that have an interval each


def plot_replicates(name: str, observed: NDArray, replicates: NDArray, level: float = 0.95) -> tuple[Figure, str]:
    """Observed and replicated data of one variable.

    Parameters
    ----------
    name : str
    observed : ndarray, shape (*observations)
    replicates : ndarray, shape (m, *observations)
    level : float
        Probability of intervals, where there are any.

    Returns
    -------
    figure : matplotlib.figure.Figure
    reading : str
        What is drawn and how to read it.

    Raises
    ------
    InputError
        If the shapes do not fit or a value is not finite.
    """
    y, simulated = _matched(name, observed, replicates)
    discrete = np.issubdtype(y.dtype, np.integer) or np.issubdtype(y.dtype, np.bool_)
    if discrete and np.unique(simulated).size <= _BARS:
        figure, reading = _counts(y.astype(int), simulated.astype(int), level)
    elif y.size <= _FEW:
        figure, reading = _each(y, simulated, level)
        figure.axes[0].set_xlabel("observation")
        figure.axes[0].set_ylabel(safe(name))
        return _plain(figure), reading
    else:
        figure, reading = _distributions(y, simulated, "ecdf" if discrete else "kde")
    figure.axes[0].set_xlabel(safe(name))
    return _plain(figure), reading


def _counts(y: NDArray, simulated: NDArray, level: float) -> tuple[Figure, str]:
    """How often each count occurs."""
    from arviz_plots import plot_ppc_rootogram

    figure = arviz_figure(plot_ppc_rootogram, _tree(y, simulated), visuals={"title": False}, ci_prob=level, **_SIZE)
    return (
        figure,
        f"How often each count occurs: dots in the data, {100 * level:g}% intervals in the replicated data sets.",
    )


def _each(y: NDArray, simulated: NDArray, level: float) -> tuple[Figure, str]:
    """Each observation on the interval of its replicates."""
    from arviz_plots import plot_ppc_interval

    figure = arviz_figure(plot_ppc_interval, _tree(y, simulated), ci_kind="eti", ci_probs=(0.5, level), **_SIZE)
    shown = f"Each observation (black) on equal-tailed intervals of its replicates: thick 50%, thin {100 * level:g}%."
    return figure, shown


def _distributions(y: NDArray, simulated: NDArray, kind: str) -> tuple[Figure, str]:
    """The distribution of the data over those of some replicated data sets."""
    from arviz_plots import plot_ppc_dist

    lines = simulated[np.linspace(0, len(simulated) - 1, min(_LINES, len(simulated))).astype(int)]
    visuals = {
        "title": False,
        "predictive_dist": {"color": POSTERIOR, "alpha": 0.25, "width": 0.6},
        "observed_dist": {"color": INK, "width": 1.6},
    }
    figure = arviz_figure(plot_ppc_dist, _tree(y, lines), kind=kind, num_samples=len(lines), visuals=visuals, **_SIZE)
    shape = "Density" if kind == "kde" else "Distribution function"
    return figure, f"{shape} of the data (black) and of {len(lines)} replicated data sets (blue)."


def plot_pit(name: str, observed: NDArray, replicates: NDArray) -> Figure:
    """Where each observation falls among its replicates, as a difference from the uniform distribution.

    Parameters
    ----------
    name : str
    observed : ndarray, shape (*observations)
    replicates : ndarray, shape (m, *observations)

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the shapes do not fit or a value is not finite.
    """
    from arviz_plots import plot_ppc_pit

    y, simulated = _matched(name, observed, replicates)
    figure = arviz_figure(plot_ppc_pit, _tree(y, simulated), width=3.5, height=2.9, visuals={"title": False})
    figure.axes[0].set_xlabel(f"PIT of {safe(name, 20)}")
    figure.axes[0].set_ylabel("difference from uniform")
    return _plain(figure)


def _matched(name: str, observed: NDArray, replicates: NDArray) -> tuple[NDArray, NDArray]:
    """Observations as a vector and replicates as a table, thinned where there are very many."""
    y, simulated = np.asarray(observed), np.asarray(replicates)
    if simulated.shape[1:] != y.shape:
        raise InputError(f"replicates of shape {simulated.shape[1:]} for data of shape {y.shape}", name, "fit again")
    y, simulated = y.ravel(), simulated.reshape(len(simulated), -1)
    if not np.all(np.isfinite(y)) or not np.all(np.isfinite(simulated)):
        raise InputError("data or replicates are not finite", name, "see the diagnosis of the draws")
    if y.size > _VALUES:
        kept = np.linspace(0, y.size - 1, _VALUES).astype(int)
        y, simulated = y[kept], simulated[:, kept]
    return y, simulated


def _tree(y: NDArray, simulated: NDArray) -> xr.DataTree:
    """Data and replicates as ArviZ takes them: one observation axis without a coordinate of the model's."""
    predictive = xr.Dataset({"y": (("chain", "draw", "observation"), simulated[None])})
    return xr.DataTree.from_dict(
        {"posterior_predictive": predictive, "observed_data": xr.Dataset({"y": (("observation",), y)})}
    )


def _plain(figure: Figure) -> Figure:
    """The text sizes of every other figure."""
    for axes in figure.axes:
        axes.xaxis.label.set_fontsize(9.0)
        axes.yaxis.label.set_fontsize(9.0)
        axes.tick_params(labelsize=8.0)
        for text in axes.texts:
            text.set_fontsize(8.0)
    return figure
