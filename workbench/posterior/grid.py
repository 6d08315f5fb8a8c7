"""The posterior of a model with one or two dimensions, by quadrature: the reference for every other route.

    p(z given y) = f(z) / p(y),   p(y) = integral of f over z,   f = prior * likelihood * Jacobian

Means, standard deviations, the evidence, the entropy of the posterior and its divergence from the prior come out
near machine precision, with no Monte Carlo error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from workbench.check import Check, Status
from workbench.model.anatomy import Anatomy, require
from workbench.model.density import TARGET, LogDensity
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import integrate
from workbench.numerics.turn import turn_around
from workbench.posterior.laplace import Laplace
from workbench.result import Result

_NEGLIGIBLE = 1e-12  # probability


@dataclass(frozen=True, repr=False, eq=False)
class Grid(Result):
    """The posterior as weighted grid points.

    Attributes
    ----------
    log_integral, error : float
        Log of the integral of the target, and the bound on its error, nats.
    evaluated : int
        Points at which the density was looked at; those of no weight are not kept.
    points : ndarray, shape (m, d)
        On z.
    weights : ndarray, shape (m,)
        Posterior probability of each point.
    labels : tuple of str
    mean, sd : ndarray, shape (k,)
        Posterior mean and standard deviation of every scalar of theta.
    entropy : float
        Differential entropy of the posterior on z, nats.
    expected_log_likelihood, kl_divergence, variance_log_likelihood : float
        E_post[log p(y given theta)] and KL(posterior || prior) in nats, Var_post[log p(y given theta)] in nats
        squared; NaN where prior and likelihood cannot be told apart, the divergence also where the prior does not
        integrate to a known number.
    """

    log_integral: float
    error: float
    evaluated: int
    points: NDArray[np.float64]
    weights: Vector
    labels: tuple[str, ...]
    mean: Vector
    sd: Vector
    entropy: float
    expected_log_likelihood: float
    kl_divergence: float
    variance_log_likelihood: float
    title: ClassVar[str] = "posterior by quadrature"

    def table(self) -> pd.DataFrame:
        """One row a scalar: posterior mean and standard deviation."""
        return pd.DataFrame({"mean": self.mean, "sd": self.sd}, index=list(self.labels))

    def notes(self) -> list[str]:
        """The integral and its error."""
        return [f"log integral {self.log_integral:.10g} nats, error below {self.error:.1e}", *super().notes()]


def integrate_posterior(
    density: LogDensity, anatomy: Anatomy, laplace: Laplace, log_prior_integral: float = 0.0
) -> Grid:
    """The posterior of a model with at most two dimensions, by the trapezoidal rule on z.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    laplace : Laplace
        Where the peak is and how wide.
    log_prior_integral : float
        Log of what the prior as it is written integrates to, nats; NaN where that is not known.

    Returns
    -------
    Grid

    Raises
    ------
    RefusalError
        If the model has more than two dimensions or discrete variables, or the density does not fall off.
    NumericalError
        If the density is NaN somewhere on the grid.
    """
    require(anatomy, "posterior grid")
    factor = linalg.cholesky(laplace.covariance, lower=True)
    objective = turn_around(laplace.mode, density.space.angles).within(density.objective(TARGET))
    found = integrate(objective, laplace.mode, factor, laplace.other_modes)
    weights = found.weights
    kept = weights > 1e-18 * weights.max()  # what is left out adds less than 1e-12 to any expectation
    points, weights = found.points[kept], weights[kept] / weights[kept].sum()
    log_f = found.log_f[kept]
    space = density.space
    theta = space.flat(space.theta(points))
    mean = weights @ theta
    sd = np.sqrt(np.maximum(weights @ (theta - mean) ** 2, 0.0))
    log_posterior = log_f - found.log_integral
    likelihood = kl = spread = np.nan
    if not density.unlabelled:
        log_prior, log_likelihood, log_jacobian = density.sums(points)
        # Far out theta rounds to the edge of its support, where a log prior is -inf; nothing of weight lies there.
        apart = log_posterior - log_prior - log_jacobian
        seen = np.isfinite(apart) & np.isfinite(log_likelihood)
        if weights[~seen].sum() < _NEGLIGIBLE:
            log_likelihood, apart = np.where(seen, log_likelihood, 0.0), np.where(seen, apart, 0.0)
        likelihood, kl = float(weights @ log_likelihood), float(weights @ apart) + log_prior_integral
        spread = float(weights @ (log_likelihood - likelihood) ** 2)
    status: Status = "ok" if found.converged else "failed"
    message = f"spacing {found.spacing:.3g} sd, {len(found.points)} points, error below {found.error:.1e} nats"
    return Grid(
        checks=(Check("grid-converged", status, message, "" if found.converged else "use draws and the bridge"),),
        log_integral=found.log_integral,
        error=found.error,
        evaluated=len(found.points),
        points=points,
        weights=weights,
        labels=tuple(x for name in (*space.names, *space.deterministics) for x in space.labels(name)),
        mean=mean,
        sd=sd,
        entropy=-float(weights @ log_posterior),
        expected_log_likelihood=likelihood,
        kl_divergence=kl,
        variance_log_likelihood=spread,
    )
