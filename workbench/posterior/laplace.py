"""The Laplace approximation: a normal distribution at the mode of the target on z.

With f the target on z, z* its mode and I the information there,

    p(z given y) ~ Normal(z*, I^-1)      and      log p(y) ~ log f(z*) + d/2 log(2 pi) - 1/2 log det I.

It is exact for a Gaussian target. Its error is not known from itself; the evidence compares it with other routes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.check import Check
from workbench.errors import NumericalError, RefusalError
from workbench.model.agreement import starts_agree
from workbench.model.anatomy import Anatomy, require
from workbench.model.chart import jacobian, whole_chart
from workbench.model.density import TARGET, LogDensity
from workbench.model.exchange import with_exchanged
from workbench.numerics.climbs import Climb, falls_away
from workbench.numerics.gaussian import Gaussian, from_covariance
from workbench.numerics.objective import Vector
from workbench.numerics.optimise import climb
from workbench.numerics.turn import turn_around
from workbench.result import Result


@dataclass(frozen=True, repr=False, eq=False)
class Laplace(Result):
    """A normal approximation of the posterior on z, and its integral.

    Attributes
    ----------
    mode : ndarray, shape (d,)
        z*.
    covariance : ndarray, shape (d, d)
        On z.
    log_target : float
        Log f at the mode, nats.
    log_integral : float
        Log of the integral of the target under the approximation, nats: log p(y) if every term is normalised.
    labels : tuple of str
    estimate, std_error : ndarray, shape (k,)
        theta at the mode, and the delta-method standard deviations.
    other_modes : ndarray, shape (m, d)
        Other modes on z that were found.
    """

    mode: Vector
    covariance: NDArray[np.float64]
    log_target: float
    log_integral: float
    labels: tuple[str, ...]
    estimate: Vector
    std_error: Vector
    other_modes: NDArray[np.float64]
    title: ClassVar[str] = "Laplace approximation at the mode on z"

    @property
    def gaussian(self) -> Gaussian:
        """The approximation on z."""
        return from_covariance(self.mode, self.covariance)

    def table(self) -> pd.DataFrame:
        """One row a scalar: theta at the mode on z and its approximate posterior sd."""
        return pd.DataFrame({"mode on z": self.estimate, "sd": self.std_error}, index=list(self.labels))

    def notes(self) -> list[str]:
        """The approximate log integral."""
        return [f"log integral {self.log_integral:.6g} nats (approximate)", *super().notes()]


def approximate(density: LogDensity, anatomy: Anatomy, starts: NDArray[np.float64]) -> Laplace:
    """The Laplace approximation of the posterior on z.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    starts : ndarray, shape (m, d)
        Points on z to climb from.

    Returns
    -------
    Laplace

    Raises
    ------
    RefusalError
        If a free variable is discrete, or the target has no proper peak.
    NumericalError
        If the target is finite at none of the starts.

    References
    ----------
    Tierney, L. and Kadane, J. B. (1986). doi:10.1080/01621459.1986.10478240
    """
    require(anatomy, "posterior laplace")
    objective, space = density.objective(TARGET), density.space
    ends: list[Climb] = []
    for start in starts:
        try:
            ends.append(climb(objective, start, ends))
        except NumericalError:
            continue
    if not ends:
        raise NumericalError("the target is finite at none of the starting points", "laplace", "set an `initval`")
    ends = with_exchanged(objective, whole_chart(space), sorted(ends, key=lambda end: -end.value))
    best = ends[0]
    turn = turn_around(best.z, space.angles)
    ends = [replace(end, z=turn.folded(end.z)) for end in ends]
    falls, _ = falls_away(objective, best)
    if not falls:
        raise RefusalError(
            "the target on z has no proper peak, so there is no Laplace approximation",
            "laplace",
            "use draws: study.posterior.draws()",
        )
    covariance = best.curvature.covariance
    log_integral = best.value + 0.5 * space.dimension * np.log(2 * np.pi) - 0.5 * best.curvature.log_determinant
    slopes = jacobian(whole_chart(space).scalars, best.z, np.sqrt(np.diag(covariance)))
    variances = np.einsum("ij,jk,ik->i", slopes, covariance, slopes)
    several = "several modes: see whether the draws visit them all, in proportion"
    agree, _, _ = starts_agree(objective, ends, "mode", "modes", several)
    return Laplace(
        checks=(
            agree,
            Check("laplace-mass", "ok", f"a peak with smallest scaled eigenvalue {best.curvature.eigenvalues[0]:.2g}"),
        ),
        mode=best.z,
        covariance=covariance,
        log_target=best.value,
        log_integral=float(log_integral),
        labels=tuple(x for name in (*space.names, *space.deterministics) for x in space.labels(name)),
        estimate=space.flat(space.theta(best.z))[0],
        std_error=np.sqrt(variances),
        other_modes=np.array([end.z for end in ends[1:]]).reshape(-1, space.dimension),
    )
