"""From the prior to the posterior of each scalar, with the bits that the data gave on the way.

A bit halves: b bits take one part in 2^b of what the prior held possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import MaxNLocator

from workbench.errors import InputError
from workbench.plots.scalars import Scalar, density, require_drawable, whole_numbers
from workbench.plots.style import DASHES, INK, POSTERIOR, PRIOR, QUIET, WIDTH, new_figure, safe, styled
from workbench.plots.theorem import Curve, whole_prior

_BIT = float(np.log(2.0))
_SEEN = (0.005, 0.995)  # of the posterior: what the eye takes for its range


def learnable(scalars: Mapping[str, Scalar], about: Mapping[str, tuple[float, float]], most: int) -> list[str]:
    """Scalars of which the figure can be drawn, those with the most to tell first.

    Parameters
    ----------
    scalars : mapping of str to Scalar
    about : mapping of str to (nats, std_error)
    most : int

    Returns
    -------
    list of str
        With a prior to show and draws that differ, in the order of the model.
    """
    known = [label for label, s in scalars.items() if label in about and s.prior.size and not whole_numbers(s.draws)]
    chosen = sorted(known, key=lambda label: -about[label][0])[:most]
    return [label for label in known if label in chosen]


def plot_learning(rows: Sequence[tuple[Scalar, float, float]]) -> Figure:
    """Prior, bits, posterior: one row a scalar.

    Parameters
    ----------
    rows : sequence of (Scalar, nats, std_error)

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no row, a draw or an amount is not finite, or there is no prior to show.
    """
    if not rows:
        raise InputError("there is no scalar to show", "information", "see the table")
    curves = []
    for scalar, nats, _ in rows:
        require_drawable(scalar)
        prior = whole_prior(scalar)
        if prior is None or not np.isfinite(nats):
            raise InputError("there is no prior to show, or no amount of information", scalar.label, "fit again")
        curves.append((prior, Curve(*density(scalar.draws.ravel()))))
    with styled():
        figure = new_figure(WIDTH, 0.35 + 1.45 * len(rows))
        grid = figure.add_gridspec(len(rows), 3, width_ratios=(3, 1.15, 3))
        for i, ((scalar, nats, error), (prior, posterior)) in enumerate(zip(rows, curves, strict=True)):
            left, middle, right = (figure.add_subplot(grid[i, j]) for j in range(3))
            low, high = (float(q) for q in np.quantile(scalar.draws, _SEEN))
            left.axvspan(low, high, color=POSTERIOR, alpha=0.22, linewidth=0)
            _curve(left, prior, PRIOR, DASHES["prior"], f"{safe(scalar.label)}, prior", 0.06)
            _curve(right, posterior, POSTERIOR, DASHES["posterior"], f"{safe(scalar.label)}, posterior", 0.2)
            _zoom(figure, left, right, high)
            _arrow(middle, nats / _BIT, error / _BIT)
    return figure


def _curve(axes: Axes, curve: Curve, colour: str, dashes: object, title: str, shade: float) -> None:
    """One distribution, scaled to its own maximum."""
    height = curve.height / curve.height.max()
    axes.fill_between(curve.x, height, color=colour, alpha=shade, linewidth=0)
    axes.plot(curve.x, height, color=colour, linestyle=dashes)
    axes.set_ylim(0.0, 1.08)
    axes.set_xlim(curve.x[0], curve.x[-1])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_title(title, fontsize=9.0, color=QUIET)
    axes.patch.set_visible(False)  # the lines between the panels pass behind it


def _zoom(figure: Figure, left: Axes, right: Axes, edge: float) -> None:
    """Lines from the place of the posterior under the prior to the panel that shows it."""
    for height in (0.0, 1.0):
        line = ConnectionPatch((edge, height), (0.0, height / 1.08), left.get_xaxis_transform(), right.transAxes,
                               color=QUIET, linewidth=0.7, linestyle=(0, (1, 2)), zorder=0)  # fmt: skip
        figure.add_artist(line)


def _arrow(axes: Axes, bits: float, error: float) -> None:
    """The amount of information between the two."""
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.annotate("", (0.98, 0.42), (0.02, 0.42), arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 1.2})
    amount = f"{bits:.2f} ± {error:.2f}" if error >= 0.005 else f"{bits:.2f}"
    axes.text(0.5, 0.48, f"{amount} bits", ha="center", va="bottom", weight="bold")
    if 1.0 <= bits < 40.0:
        axes.text(0.5, 0.36, f"1 part in {2**bits:.3g}", ha="center", va="top", fontsize=8.0, color=QUIET)
