"""The maximum a posteriori estimate (MAP), and how it depends on the space in which one looks.

    theta-MAP = argmax_theta [log p(y given theta) + log p(theta)]

A density has its mode where the units put it: in theta the joint density counts alone, on the unconstrained z the
Jacobian counts too and moves the mode. The likelihood has no such freedom. Both modes are given, so that nobody
mistakes one of them for *the* summary of the posterior.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import NumericalError, RefusalError
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.problem import Problem
from workbench.model.anatomy import Anatomy, require
from workbench.model.certificate import certify
from workbench.model.density import JOINT, TARGET, Weights
from workbench.model.exchange import with_exchanged
from workbench.model.mode import Mode, climb_all, describe_mode, find_mode
from workbench.numerics.objective import FunctionObjective, Vector
from workbench.result import Result

_SAME = 1e-6  # relative: places that look alike with six digits
_WHY = "the two modes differ because a mode depends on the units of the parameter"


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
        """What the difference between the columns means, where there is one."""
        same = np.allclose(self.map.estimate, self.on_z, rtol=_SAME, atol=0.0) or np.isnan(self.on_z).all()
        return [*self.map.notes(), *([] if same else [_WHY])]


def maximise_posterior(
    problem: Problem, anatomy: Anatomy, starts: NDArray[np.float64], level: float = 0.95
) -> PosteriorMode:
    """The MAP estimate with errors and a certificate, and the mode on z beside it.

    Latent variables are integrated out: it is the mode of p(theta given y), the marginal posterior of the parameters.
    Their joint mode with the parameters is no estimate, and often does not exist.

    Parameters
    ----------
    problem : Problem
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
        If the model has ambiguous or discrete variables, a potential without a side, or if the joint density has no
        mode.
    NumericalError
        If the density is finite at none of the starts.
    """
    require(anatomy, "posterior mode")
    mode = _highest(problem, JOINT, "MAP", starts, level)
    try:
        on_z = _highest(problem, TARGET, "mode on z", np.vstack([mode.z, starts]), level).estimate
    except (NumericalError, RefusalError):
        on_z = np.full_like(mode.estimate, np.nan)
    return PosteriorMode(mode.checks, mode, on_z)


def _highest(
    problem: Problem, weights: Weights, kind: Literal["MAP", "mode on z"], starts: NDArray[np.float64], level: float
) -> Mode:
    """The mode of prior times likelihood over the parameters, latent variables integrated out."""
    density, chart, marginal = problem.density, problem.chart, problem.objective
    if not isinstance(marginal, MarginalLikelihood):
        mode = find_mode(density, weights, kind, starts, level)
        _need_peak(mode.no_error)
        return mode
    # What the latent variables add to the prior is in the integral; here it is a constant, without a slope.
    prior = density.objective(replace(weights, likelihood=0.0, latent=0.0))

    def value_and_gradient(x: Vector) -> tuple[float, Vector]:
        (z,) = chart.z(x)
        (a, slope), (b, marginal_slope) = prior.value_and_gradient(z), marginal.value_and_gradient(x)
        return a + b, slope[chart.coordinates] + marginal_slope

    objective = FunctionObjective(chart.dimension, value_and_gradient)
    climbs = with_exchanged(objective, chart, climb_all(objective, starts[:, chart.coordinates], kind))
    certificate, missing = certify(objective, chart, climbs)
    _need_peak(missing.reason if missing else "")
    x, covariance = climbs[0].z, climbs[0].curvature.covariance
    mode = describe_mode(
        density, chart, x, covariance, certificate, "", kind, level, marginal.value(x), marginal.expand(x).z
    )
    return replace(mode, integrated=density.latents)


def _need_peak(reason: str) -> None:
    """Refuse what is no mode; the reason is empty where it is one."""
    if reason:
        raise RefusalError(
            f"the joint density has no mode in theta: {reason}",
            "posterior",
            "use a prior that falls off towards the edge, or draws: study.posterior.draws()",
        )
