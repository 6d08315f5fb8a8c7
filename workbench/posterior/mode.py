"""The maximum a posteriori estimate (MAP), and how it depends on the space in which one looks.

    theta-MAP = argmax_theta [log p(y given theta) + log p(theta)]

A density has its mode where the units put it: in theta the joint density counts alone, on the unconstrained z the
Jacobian counts too and moves the mode. The likelihood has no such freedom. Both modes are given, so that nobody
mistakes one of them for *the* summary of the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import NumericalError, RefusalError
from workbench.model.anatomy import Anatomy, require
from workbench.model.density import JOINT, TARGET, LogDensity
from workbench.model.mode import Mode, find_mode
from workbench.numerics.objective import Vector
from workbench.result import Result


@dataclass(frozen=True, repr=False, eq=False)
class PosteriorMode(Result):
    """The MAP in theta, and theta at the mode of the density on z.

    Attributes
    ----------
    map : Mode
        Mode of log_prior + log_likelihood in the model's own space, with errors from its curvature.
    on_z : ndarray, shape (k,)
        The same scalars at the mode of the target on z; NaN where that has no mode.
    """

    map: Mode
    on_z: Vector
    title: ClassVar[str] = "maximum a posteriori"

    def table(self) -> pd.DataFrame:
        """One row a scalar: MAP, its error, and the mode on z mapped to theta."""
        frame = pd.DataFrame({"MAP": self.map.estimate, "std_error": self.map.errors}, index=list(self.map.labels))
        frame["mode on z"] = self.on_z
        return frame

    def notes(self) -> list[str]:
        """What the difference between the columns means."""
        return [*self.map.notes(), "the two modes differ because a mode depends on the units of the parameter"]


def maximise_posterior(
    density: LogDensity, anatomy: Anatomy, starts: NDArray[np.float64], level: float = 0.95
) -> PosteriorMode:
    """The MAP estimate with errors and a certificate, and the mode on z beside it.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    starts : ndarray, shape (m, d)
        Points on z to climb from.
    level : float
        Probability of the intervals of the MAP's own table.

    Returns
    -------
    PosteriorMode

    Raises
    ------
    RefusalError
        If the model has latent, ambiguous or discrete variables (their joint mode is no estimate), a potential
        without a side, or if the joint density has no mode.
    NumericalError
        If the density is finite at none of the starts.
    """
    require(anatomy, "posterior mode")
    mode = find_mode(density, JOINT, "MAP", starts, level)
    if mode.no_error:
        raise RefusalError(
            f"the joint density has no mode in theta: {mode.no_error}",
            "posterior",
            "use a prior that falls off towards the edge, or draws: study.posterior.draws()",
        )
    try:
        target = find_mode(density, TARGET, "mode on z", np.vstack([mode.z, starts]))
        on_z = target.estimate if not target.no_error else np.full_like(mode.estimate, np.nan)
    except NumericalError:
        on_z = np.full_like(mode.estimate, np.nan)
    return PosteriorMode(mode.checks, mode, on_z)
