"""One look for every figure, and figures as SVG bytes that depend on nothing but the results.

Colours are from Okabe and Ito (2008), which people with any form of colour blindness can tell apart; every curve
differs in its line as well, so that a figure survives a black-and-white printer. Names from a model are shown
letter by letter: a ``$`` in one never starts mathematics.
"""

from __future__ import annotations

import io
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

INK, QUIET, FAINT = "#1b1f24", "#57606a", "#d0d7de"
PRIOR, LIKELIHOOD, POSTERIOR = "#57606a", "#d55e00", "#0072b2"
GAIN, LOSS = "#009e73", "#cc79a7"
CHAINS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#57606a", "#f0e442")
DASHES = {"prior": (0, (5, 2)), "likelihood": (0, (6, 1.6, 1.2, 1.6)), "posterior": "-", "laplace": (0, (1, 1.6))}

WIDTH = 8.0  # inches: the text width of the report

RC: dict[str, Any] = {
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=CHAINS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.unicode_minus": True,
    "axes.formatter.useoffset": False,
    "figure.facecolor": "white",
    "font.family": ["DejaVu Sans"],  # it comes with matplotlib, so the bytes are the same everywhere
    "font.size": 9.0,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "path.simplify": True,
    "savefig.dpi": 150,  # of what is drawn as pixels inside the SVG: thousands of draws
    "svg.fonttype": "path",
    "svg.hashsalt": "workbench",
    "text.color": INK,
    "text.usetex": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
}


def new_figure(width: float = WIDTH, height: float = 3.0) -> Figure:
    """An empty figure that pyplot knows nothing about, so that nothing is left open.

    Parameters
    ----------
    width, height : float
        Inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    return Figure(figsize=(width, height), layout="constrained")


@contextmanager
def styled() -> Iterator[None]:
    """The settings of matplotlib inside this block; afterwards they are as before."""
    with matplotlib.rc_context(RC):  # type: ignore[arg-type]
        yield


def arviz_figure(draw: Callable[..., Any], *args: Any, width: float, height: float, **kwargs: Any) -> Figure:
    """A figure of one of ArviZ's plots, in this style and closed in pyplot.

    Parameters
    ----------
    draw : callable
        A function of `arviz_plots` that returns a `PlotCollection`.
    *args, **kwargs
        For it; the backend is set here.
    width, height : float
        Inches.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib import pyplot as plt
    from matplotlib.backends.registry import BackendFilter, backend_registry

    before = matplotlib.get_backend()
    windows = before.lower() in backend_registry.list_builtin(BackendFilter.INTERACTIVE)
    if windows:  # no window may open while a report is written
        plt.switch_backend("agg")
    try:
        with styled(), plt.ioff(), np.errstate(all="ignore"), warnings.catch_warnings():
            # Advice to the caller of ArviZ, who has chosen this figure for every kind of data.
            warnings.filterwarnings("ignore", "Variables .* look (binary|discrete)", UserWarning)
            warnings.filterwarnings("ignore", "Found chain dimension to be longer than draw dimension", UserWarning)
            collection = draw(*args, backend="matplotlib", **kwargs)
            figure: Figure = collection.viz["figure"].item()
            plt.close(figure)
            figure.set_size_inches(width, height)
            figure.set_layout_engine("constrained")
            return figure
    finally:
        if windows:
            plt.switch_backend(before)


def svg(figure: Figure) -> bytes:
    """A figure as SVG: the same bytes for the same results.

    Parameters
    ----------
    figure : matplotlib.figure.Figure

    Returns
    -------
    bytes
    """
    target = io.BytesIO()
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # a name in another script
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def safe(text: str, limit: int = 34) -> str:
    r"""A name as a figure may show it: one line, at most `limit` characters, no mathematics, nothing invisible.

    Parameters
    ----------
    text : str
    limit : int
        Longer names lose their middle.

    Returns
    -------
    str

    Examples
    --------
    >>> safe("$x$"), safe("a" * 20, limit=9)
    ('\\$x\\$', 'aaaa…aaaa')
    """
    visible = "".join("\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c for c in text)
    if len(visible) > limit:
        half = (limit - 1) // 2
        visible = f"{visible[:half]}…{visible[-half:]}"
    return visible.replace("$", r"\$")
