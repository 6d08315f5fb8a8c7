"""Why a maximum can be trusted.

An optimiser's word is not enough: it reports success on ridges, at saddles and on the way to infinity. A certificate
checks what a maximum has to be: the gradient vanishes (to a distance in nats), the information is positive definite,
the density falls on both sides of every axis, and other starting points end at the same place. Where one of these
fails `workbench.model.absence` says what is there instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.check import Check, Status, worst_status
from workbench.model.absence import Missing, level_once_followed, what_is_there
from workbench.model.agreement import RESCALE, starts_agree
from workbench.model.chart import Chart
from workbench.numerics.climbs import Climb, falls_away
from workbench.numerics.curvature import FLAT, Curvature
from workbench.numerics.objective import Objective
from workbench.numerics.optimise import EDM_TOLERANCE
from workbench.result import Result


@dataclass(frozen=True, repr=False, eq=False)
class Certificate(Result):
    """Why a mode can be trusted, instead of an optimiser's word.

    Attributes
    ----------
    edm : float
        Estimated distance to the maximum, nats.
    gradient_norm : float
        Largest absolute element of the gradient on z, nats per unit of z.
    smallest_eigenvalue : float
        Of the information scaled to unit diagonal; at most 1, near 0 on a ridge.
    starts, agreeing, optima : int
        Starting points that could be climbed from, how many of them reached the best optimum, how many different
        optima there were.
    """

    edm: float
    gradient_norm: float
    smallest_eigenvalue: float
    starts: int
    agreeing: int
    optima: int
    heights: tuple[float, ...]
    inertia: tuple[int, int, int]
    title: ClassVar[str] = "certificate of the maximum"

    @property
    def grade(self) -> Status:
        """The worst status of its checks, whose messages are the reasons."""
        return worst_status(self.checks)

    @property
    def valid(self) -> bool:
        """Whether no check failed."""
        return all(check.status != "failed" for check in self.checks)

    def table(self) -> pd.DataFrame:
        """One row a check: code, status and what was found."""
        rows = [(c.code, c.status, c.message) for c in self.checks]
        return pd.DataFrame(rows, columns=["check", "status", "found"]).set_index("check")


def _inertia(curvature: Curvature) -> tuple[int, int, int]:
    """How many eigenvalues are positive, zero and negative."""
    eigenvalues = curvature.eigenvalues
    if curvature.is_peak:  # also where one is small, but was measured along its own axis
        return eigenvalues.size, 0, 0
    positive, negative = int(np.sum(eigenvalues > FLAT)), int(np.sum(eigenvalues < -FLAT))
    return positive, eigenvalues.size - positive - negative, negative


def certify(objective: Objective, chart: Chart, climbs: list[Climb]) -> tuple[Certificate, Missing | None]:
    """The checks on the best of several climbs.

    Parameters
    ----------
    objective : Objective
    chart : Chart
        Names the directions.
    climbs : list of Climb
        Highest first.

    Returns
    -------
    certificate : Certificate
    missing : Missing or None
        Why there is no maximum with standard errors; None if there is one.
    """
    best = climbs[0]
    falls, direction = falls_away(objective, best)
    ridge = level_once_followed(objective, best) if falls else None
    falls, direction = (falls, direction) if ridge is None else (False, ridge)
    checks = []
    missing = None if falls else what_is_there(objective, chart, climbs, direction)
    smallest = float(best.curvature.eigenvalues[0])
    if missing and not best.curvature.is_peak:
        message = f"the information is not positive definite: {missing.reason}"
        checks.append(Check("curvature-positive", "failed", message, missing.fix))
    else:
        checks.append(Check("curvature-positive", "ok", f"smallest scaled eigenvalue {smallest:.2g}"))
        if missing:
            checks.append(Check("interior", "failed", missing.reason, missing.fix))
        else:
            checks.append(Check("interior", "ok", "the density falls on both sides of every axis"))
    if best.edm < EDM_TOLERANCE:
        message = f"EDM {best.edm:.1e} nats, largest gradient {best.gradient_norm:.1e}"
        checks.append(Check("gradient-zero", "ok", message))
    elif best.curvature.is_peak and best.curvature.factor is not None:
        message = f"EDM {best.edm:.1e} nats, {np.sqrt(2 * best.edm):.1g} standard errors: the rounding of the mean"
        checks.append(Check("gradient-zero", "caution", message, "quote no more digits of estimates and errors"))
    elif best.curvature.is_peak:
        stopped = Missing("unmeasurable", f"the climb stopped {best.edm:.1e} nats below the maximum", RESCALE)
        missing = missing or stopped
        message = f"EDM {best.edm:.1e} nats exceeds {EDM_TOLERANCE:.0e}"
        checks.append(Check("gradient-zero", "failed", message, RESCALE))
    agree, agreeing, optima = starts_agree(
        objective, climbs, "optimum", "optima", "the model has several modes: look at each"
    )
    checks.append(agree)
    certificate = Certificate(
        tuple(checks), best.edm, best.gradient_norm, smallest, len(climbs), agreeing, optima,
        tuple(end.value for end in climbs), _inertia(best.curvature),
    )  # fmt: skip
    return certificate, missing
