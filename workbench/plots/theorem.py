"""Prior, likelihood and posterior of one scalar on one axis: Bayes' theorem as a picture.

    p(theta | y)  is proportional to  p(y | theta) * p(theta)

The three have different units, so that only their shapes can share an axis: each is divided by its own maximum. The
likelihood is the profile likelihood, exp(l_p(theta) - max l). Beside the posterior stands its Laplace approximation, a
normal distribution with the mode on z and the standard deviation of the curvature there. A second panel shows the whole
range of the prior, in which the posterior is often only a spike. Below stand the estimates with their intervals, named
by kind and level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from workbench.errors import InputError
from workbench.plots.scalars import Scalar, density, require_drawable, whole_numbers
from workbench.plots.style import DASHES, FAINT, LIKELIHOOD, POSTERIOR, PRIOR, QUIET, WIDTH, new_figure, safe, styled

if TYPE_CHECKING:
    from workbench.comparison import Comparison
    from workbench.likelihood.surface import Surface
    from workbench.posterior.laplace import Laplace

_REACH = 4.0  # interquartile ranges beyond a quartile: a Cauchy prior has no end to show
_SURPLUS = 0.01  # nats that a profile may rise above the maximum that it is relative to


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve: its points and its height relative to its maximum.

    Attributes
    ----------
    x, height : ndarray, shape (m,)
    """

    x: NDArray[np.float64]
    height: NDArray[np.float64]

    @property
    def shares(self) -> bool:
        """Whether these are the shares of whole numbers instead of a density."""
        return whole_numbers(self.x)


def plot_theorem(
    scalar: Scalar,
    comparison: Comparison | None,
    surface: Surface | None,
    fixed_prior: bool = False,
    laplace: Laplace | None = None,
) -> Figure:
    """Prior, likelihood and posterior of one scalar.

    Parameters
    ----------
    scalar : Scalar
    comparison : Comparison or None
        Source of the point estimates and intervals; without it only the curves are drawn.
    surface : Surface or None
        Source of the profile likelihood; without it, or where it has no curve for this scalar, none is drawn.
    fixed_prior : bool
        Whether the log prior at the draws is that of this scalar alone, so that it gives the exact curve.
    laplace : Laplace or None
        Source of the normal approximation; without it, or for a scalar of whole numbers, none is drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a draw is not finite, all draws are equal, or the results contradict each other.
    """
    require_drawable(scalar)
    row = _row(scalar, comparison)
    likelihood = likelihood_curve(scalar.label, surface)
    posterior = _scaled(*density(scalar.draws.ravel()))
    lower, upper = _limits(scalar, comparison, row)
    whole = whole_prior(scalar)
    prior = _prior_curve(scalar, whole, fixed_prior, (lower, upper))
    with styled():
        figure = new_figure(WIDTH, 3.5 if row is not None else 2.7)
        grid = figure.add_gridspec(2, 2, width_ratios=(3.2, 1), height_ratios=(3.2, 1.15 if row is not None else 0.01))
        main = figure.add_subplot(grid[0, 0] if whole is not None else grid[0, :])
        _draw_curves(main, prior, likelihood, posterior, _laplace_curve(scalar, laplace, (lower, upper)))
        main.set_xlim(lower, upper)
        main.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.2, handlelength=2.6)
        if row is not None and comparison is not None:
            below = figure.add_subplot(grid[1, 0] if whole is not None else grid[1, :], sharex=main)
            _draw_estimates(below, comparison, row)
            main.tick_params(labelbottom=False)
            main.spines["bottom"].set_visible(False)
            main.tick_params(bottom=False)
        bottom = main if row is None else below
        bottom.set_xlabel(safe(scalar.label))
        bottom.xaxis.set_major_locator(MaxNLocator(7))
        if whole is not None:
            _draw_whole(figure.add_subplot(grid[0, 1]), whole, posterior, safe(scalar.label, 16))
    return figure


def likelihood_curve(label: str, surface: Surface | None) -> Curve | None:
    """The profile likelihood of a scalar relative to its maximum, or None where there is none.

    Parameters
    ----------
    label : str
    surface : Surface or None

    Returns
    -------
    Curve or None

    Raises
    ------
    InputError
        If the curve and its points do not belong together, or it rises above the maximum it is relative to.
    """
    if surface is None or label not in surface.curves:
        return None
    points = np.asarray(surface.points.get(label, np.zeros(0)), dtype=np.float64)
    curve = np.asarray(surface.curves[label], dtype=np.float64)
    if points.shape != curve.shape or points.ndim != 1:
        raise InputError(f"the profile has {curve.size} heights at {points.size} points", label, "compute it again")
    if np.any(np.isnan(curve)) or not np.all(np.isfinite(points)) or np.max(curve) > _SURPLUS:
        raise InputError(
            "the profile rises above the maximum that it is relative to, or is NaN",
            label,
            "find the maximum again, from more starting points",
        )
    return Curve(points, np.exp(np.minimum(curve, 0.0)))


def _row(scalar: Scalar, comparison: Comparison | None) -> int | None:
    """The row of the comparison that belongs to these draws."""
    if comparison is None or scalar.label not in comparison.labels:
        return None
    row = comparison.labels.index(scalar.label)
    mean, sd = float(scalar.draws.mean()), float(scalar.draws.std())
    if not abs(mean - float(comparison.mean[row])) <= 1e-6 * (sd + abs(mean)):
        raise InputError(
            f"the draws have mean {mean:.6g}, the comparison says {float(comparison.mean[row]):.6g}",
            scalar.label,
            "draws and results are of different runs, or one of them was changed: fit again",
        )
    return row


def _scaled(x: NDArray[np.float64], height: NDArray[np.float64], top: float | None = None) -> Curve:
    return Curve(x, height / (float(np.max(height)) if top is None else top))


def _limits(scalar: Scalar, comparison: Comparison | None, row: int | None) -> tuple[float, float]:
    """The range of the axis: the posterior, and the Wald interval as far as that does not hide the posterior."""
    low, high = (float(q) for q in np.quantile(scalar.draws, (0.0005, 0.9995)))
    width = high - low
    if comparison is not None and row is not None:
        for ends in ((comparison.wald_lower, comparison.wald_upper), (comparison.hdi_lower, comparison.hdi_upper)):
            if np.isfinite(ends[0][row]) and np.isfinite(ends[1][row]):
                low = min(low, max(float(ends[0][row]), low - width))
                high = max(high, min(float(ends[1][row]), high + width))
    margin = 0.6 if whole_numbers(scalar.draws) else 0.04 * (high - low)
    return low - margin, high + margin


def whole_prior(scalar: Scalar) -> Curve | None:
    """The prior over its own range, from its draws, without its outermost draws and without far tails.

    Parameters
    ----------
    scalar : Scalar

    Returns
    -------
    Curve or None
        None where there are fewer than 50 prior draws, or they are all equal.
    """
    values = scalar.prior[np.isfinite(scalar.prior)]
    if values.size < 50 or np.ptp(values) == 0.0:
        return None
    lowest, first, third, highest = (float(q) for q in np.quantile(values, (0.002, 0.25, 0.75, 0.998)))
    reach = _REACH * (third - first)
    return Curve(*density(values, max(lowest, first - reach), min(highest, third + reach), smooth=True))


def _prior_curve(scalar: Scalar, whole: Curve | None, fixed: bool, limits: tuple[float, float]) -> Curve | None:
    """The prior over the range of the posterior: exact from the log prior at the draws, else from prior draws."""
    if fixed and scalar.size == 1 and scalar.log_prior.shape == scalar.draws.shape:
        order = np.argsort(scalar.draws, axis=None)
        x, height = scalar.draws.ravel()[order], np.exp(scalar.log_prior.ravel()[order])
        if np.all(np.isfinite(height)) and height.max() > 0 and not whole_numbers(x):
            top = max(float(height.max()), 0.0 if whole is None else float(whole.height.max()))
            picked = np.unique(np.linspace(0, x.size - 1, 200).astype(int))
            return _scaled(x[picked], height[picked], top)
    if whole is None:
        return None
    if whole.shares:
        return _scaled(whole.x, whole.height)
    x = np.linspace(max(limits[0], whole.x[0]), min(limits[1], whole.x[-1]), 200)
    if x[0] >= x[-1]:
        return None
    return _scaled(x, np.interp(x, whole.x, whole.height), float(whole.height.max()))


def _laplace_curve(scalar: Scalar, laplace: Laplace | None, limits: tuple[float, float]) -> Curve | None:
    """The normal approximation of this scalar, or None where there is none."""
    if laplace is None or scalar.label not in laplace.labels or whole_numbers(scalar.draws):
        return None
    place = laplace.labels.index(scalar.label)
    mode, sd = float(laplace.estimate[place]), float(laplace.std_error[place])
    if not (np.isfinite(mode) and 0 < sd < np.inf):
        return None
    x = np.linspace(*limits, 200)
    return Curve(x, np.exp(-0.5 * ((x - mode) / sd) ** 2))


def _draw_curves(
    axes: Axes, prior: Curve | None, likelihood: Curve | None, posterior: Curve, laplace: Curve | None
) -> None:
    """The curves, told apart by line and colour."""
    if posterior.shares:
        axes.bar(posterior.x, posterior.height, width=0.7, color=POSTERIOR, alpha=0.4, label="posterior")
    else:
        axes.fill_between(posterior.x, posterior.height, color=POSTERIOR, alpha=0.16, linewidth=0)
        axes.plot(posterior.x, posterior.height, color=POSTERIOR, linestyle=DASHES["posterior"], label="posterior")
    if laplace is not None:
        axes.plot(laplace.x, laplace.height, color=POSTERIOR, linestyle=DASHES["laplace"], label="Laplace")
    if likelihood is not None:
        axes.plot(likelihood.x, likelihood.height, color=LIKELIHOOD, linestyle=DASHES["likelihood"], label="likelihood")
    if prior is not None:
        axes.plot(
            prior.x,
            prior.height,
            marker="o" if prior.shares else "None",
            color=PRIOR,
            linestyle=DASHES["prior"],
            label="prior",
        )
    axes.set_ylim(0.0, 1.06)
    axes.set_yticks([0.0, 0.5, 1.0])
    axes.set_ylabel("height relative to\nown maximum")


def _draw_whole(axes: Axes, whole: Curve, posterior: Curve, label: str) -> None:
    """The whole prior, with the posterior inside it."""
    prior = _scaled(whole.x, whole.height)
    if posterior.shares:
        axes.bar(posterior.x, posterior.height, width=0.7, color=POSTERIOR, alpha=0.4)
    else:
        axes.fill_between(posterior.x, posterior.height, color=POSTERIOR, alpha=0.35, linewidth=0)
        axes.plot(posterior.x, posterior.height, color=POSTERIOR, linewidth=1.0)
    axes.plot(prior.x, prior.height, color=PRIOR, linestyle=DASHES["prior"])
    axes.set_ylim(0.0, 1.06)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_title("over the prior's range", fontsize=9.0, color=QUIET)
    axes.set_xlabel(label)


def _draw_estimates(axes: Axes, comparison: Comparison, row: int) -> None:
    """Point estimates with their intervals, one line each, named by kind and level."""
    percent = f"{100 * comparison.level:g}%"
    lines = [
        (f"MLE, {percent} Wald", comparison.mle, comparison.wald_lower, comparison.wald_upper, LIKELIHOOD, "D"),
        ("MAP", comparison.map, None, None, POSTERIOR, "^"),
        (f"mean, {percent} ETI", comparison.mean, comparison.eti_lower, comparison.eti_upper, POSTERIOR, "o"),
        (f"median, {percent} HDI", comparison.median, comparison.hdi_lower, comparison.hdi_upper, POSTERIOR, "s"),
    ]
    names: list[str] = []
    for name, value, lower, upper, colour, marker in lines:
        if not np.isfinite(value[row]):
            continue
        height = -len(names)
        names.append(name)
        axes.axhline(height, color=FAINT, linewidth=0.6, zorder=0)
        if lower is not None and upper is not None and np.isfinite(lower[row]):
            axes.plot([lower[row], upper[row]], [height, height], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot([value[row]], [height], marker=marker, color=colour, markersize=7, markeredgecolor="white")
    axes.set_yticks([-i for i in range(len(names))], names, fontsize=8.0)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.spines["left"].set_visible(False)
