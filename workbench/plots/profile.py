"""A profile of the likelihood: its signed root, and its fall beside the parabola of the Wald interval.

Where the signed root is a straight line the likelihood is a parabola in this scalar, and the Wald interval is right;
where it bends, the two intervals part company, and the profile is the one to use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.errors import InputError
from workbench.plots.style import FAINT, INK, LIKELIHOOD, QUIET, new_figure, safe, styled

if TYPE_CHECKING:
    from workbench.likelihood.profile import Profile

_HEIGHT = 2.3  # inches a scalar
_LARGEST = 6  # scalars in one figure

_BENT = 0.05  # of zeta: more than this is away from the level part of an open side


def plot_profile(profile: Profile, names: tuple[str, ...] = ()) -> Figure:
    """Signed root and fall of the likelihood, one row a scalar.

    Parameters
    ----------
    profile : Profile
    names : tuple of str
        Of the profile; by default its first six.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If a name is not in the profile, or a curve is empty or holds NaN.
    """
    names = names or profile.names[:_LARGEST]
    for name in names:
        if name not in profile.names:
            raise InputError(f"the profile has no {name!r}", "profile", f"it has {', '.join(profile.names)}")
        points, zeta = profile.points[name], profile.zeta[name]
        if points.size != zeta.size or not points.size or np.any(np.isnan(zeta)) or not np.all(np.isfinite(points)):
            raise InputError(f"the curve of {name} is empty or holds NaN", name, "profile it again")
    with styled():
        figure = new_figure(height=_HEIGHT * len(names))
        grid = figure.subplots(len(names), 2, squeeze=False)
        for (left, right), name in zip(grid, names, strict=True):
            _draw_root(left, profile, name)
            _draw_fall(right, profile, name)
        grid[0, 0].set_title("signed root of the deviance")
        grid[0, 1].set_title("log likelihood below its maximum, nats")
        grid[0, 1].legend(loc="upper right", handlelength=1.6)
    return figure


def _window(profile: Profile, name: str) -> tuple[float, float]:
    """What is shown along the scalar: the closed bounds and some more, but no walk to infinity."""
    points, zeta = profile.points[name], profile.zeta[name]
    place = profile.names.index(name)
    error = profile.std_error[place]
    ends = (profile.lower[place], profile.upper[place], profile.estimate[place])
    finite = [end for end in ends if np.isfinite(end)] or [points[points.size // 2]]
    width = max(float(np.ptp(finite)), 4.0 * error if np.isfinite(error) else 0.0)
    if width == 0.0:  # one bound, or none: as far as the curve bends
        finite = [*points[np.abs(zeta) > _BENT], *finite]
        width = float(np.ptp(finite)) or float(np.diff(points).min(initial=np.inf))
    return max(points[0], min(finite) - 0.3 * width), min(points[-1], max(finite) + 0.3 * width)


def _mark(axes: Axes, profile: Profile, name: str) -> None:
    """Bounds as vertical lines, the name below."""
    place = profile.names.index(name)
    for bound in (profile.lower[place], profile.upper[place]):
        if np.isfinite(bound):
            axes.axvline(bound, color=QUIET, linewidth=0.8, linestyle=(0, (2, 2)))
    axes.set_xlabel(safe(name))
    low, high = _window(profile, name)
    if low < high:
        axes.set_xlim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _draw_root(axes: Axes, profile: Profile, name: str) -> None:
    """Zeta along the scalar, and the straight line of Wald."""
    place = profile.names.index(name)
    root, error = np.sqrt(profile.cut), profile.std_error[place]
    axes.axhspan(-root, root, color=FAINT, alpha=0.45, linewidth=0)
    axes.plot(profile.points[name], profile.zeta[name], color=LIKELIHOOD, label="profile")
    if np.isfinite(error):
        along = np.array(_window(profile, name))
        axes.plot(
            along, (along - profile.estimate[place]) / error, color=INK, linewidth=1.0, linestyle="--", label="Wald"
        )
    axes.set_ylim(-1.25 * root, 1.25 * root)
    _mark(axes, profile, name)


def _draw_fall(axes: Axes, profile: Profile, name: str) -> None:
    """The profile log likelihood, and the parabola of Wald."""
    place = profile.names.index(name)
    drop, error = profile.cut / 2, profile.std_error[place]
    low, high = _window(profile, name)
    fine = np.linspace(low, high, 201)
    # The signed root is nearly straight between points, its square is not.
    root = np.interp(fine, profile.points[name], profile.zeta[name])
    axes.plot(fine, -(root**2) / 2, color=LIKELIHOOD, label="profile")
    if np.isfinite(error):
        wald = -(((fine - profile.estimate[place]) / error) ** 2) / 2
        axes.plot(fine, wald, color=INK, linewidth=1.0, linestyle="--", label="Wald")
    axes.axhline(-drop, color=QUIET, linewidth=0.8)
    axes.set_ylim(-1.6 * drop, 0.1 * drop)
    _mark(axes, profile, name)
