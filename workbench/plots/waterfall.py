"""Where every climb ended, the highest first: a plateau at the top is what makes a maximum trustworthy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from workbench.plots.style import LIKELIHOOD, new_figure, styled

if TYPE_CHECKING:
    from workbench.model.certificate import Certificate


def plot_waterfall(certificate: Certificate) -> Figure:
    """Heights of the ends of all climbs, relative to the highest, in nats.

    Parameters
    ----------
    certificate : Certificate

    Returns
    -------
    matplotlib.figure.Figure
    """
    heights = np.array(certificate.heights)
    with styled():
        figure = new_figure(4.0, 2.2)
        axes = figure.add_subplot()
        axes.plot(np.arange(1, heights.size + 1), heights - heights[0], "o-", color=LIKELIHOOD)
        axes.set_yscale("symlog", linthresh=1e-3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("starting point, by where it ended")
        axes.set_ylabel("nats below the highest")
    return figure
