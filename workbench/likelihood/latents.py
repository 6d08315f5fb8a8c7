"""Estimates of the latent variables at the maximum of the likelihood (empirical Bayes).

A latent variable u is no parameter: given theta it has a distribution, p(u given y, theta). Its mode u-hat(theta-hat)
is the estimate. Two things are uncertain, u around its mode and theta around the maximum, and the covariance of
(theta-hat, u - u-hat) has both (Kass and Steffey 1989):

    cov = [ V      V J'            ]
          [ J V    H^-1 + J V J'   ]        J = d u-hat / d theta,

with V the covariance of the MLE and H the information about u at fixed theta.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import RefusalError
from workbench.likelihood.conditional_mode import Expansion
from workbench.likelihood.inside import inside_of
from workbench.likelihood.integral import as_maximised
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.problem import Problem
from workbench.model.chart import delta_method, whole_chart
from workbench.model.mode import Mode
from workbench.numerics.curvature import curvature_at
from workbench.numerics.objective import Vector
from workbench.result import Result

_LARGEST = 4000  # coordinates of z; the joint covariance is dense


@dataclass(frozen=True, repr=False, eq=False)
class Latents(Result):
    """Latent variables, and deterministics that they enter, at the maximum of the likelihood.

    Attributes
    ----------
    labels : tuple of str
        Flat labels of every scalar that depends on a latent variable.
    estimate : ndarray, shape (k,)
        At the conditional mode of the latent variables.
    conditional_error : ndarray, shape (k,)
        Standard error if the parameters were known to be at their MLE.
    std_error : ndarray, shape (k,)
        With the uncertainty of the parameters; NaN for what is no smooth function.
    """

    labels: tuple[str, ...]
    estimate: Vector
    conditional_error: Vector
    std_error: Vector
    title: ClassVar[str] = "latent variables at the maximum of the likelihood"

    def table(self) -> pd.DataFrame:
        """One row a scalar: estimate, error with the parameters known, error with their uncertainty."""
        columns = {"estimate": self.estimate, "error at theta-hat": self.conditional_error, "std_error": self.std_error}
        return pd.DataFrame(columns, index=list(self.labels))

    def notes(self) -> list[str]:
        """What the two errors are."""
        return ["the first error holds the parameters at their MLE; the second adds their uncertainty"]


def _conditional_covariance(marginal: MarginalLikelihood, at: Expansion) -> NDArray[np.float64]:
    """H^-1 over the latent coordinates, shape ``(n, n)``."""
    n = marginal.structure.coordinates.size
    found = np.zeros((n, n))
    for group, root in zip(marginal.structure.groups, at.roots, strict=True):
        inverse = np.linalg.inv(root)
        blocks = np.einsum("bji,bjk->bik", inverse, inverse)
        found[group[:, :, None], group[:, None, :]] = blocks
    return found


def _moves(marginal: MarginalLikelihood, x: Vector, scale: Vector) -> NDArray[np.float64]:
    """J, how the conditional mode moves with each coordinate of the parameters, shape ``(n, p)``."""
    u = marginal.structure.coordinates
    slopes = np.zeros((u.size, x.size))
    for k in np.flatnonzero(scale > 0):
        step = np.zeros_like(x)
        step[k] = 1e-3 * scale[k]
        slopes[:, k] = (marginal.expand(x + step).z[u] - marginal.expand(x - step).z[u]) / (2 * step[k])
    return slopes


def estimate_latents(problem: Problem, mode: Mode) -> Latents:
    """The latent variables at the maximum of the likelihood, with their errors.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.

    Returns
    -------
    Latents

    Raises
    ------
    RefusalError
        If the model has no latent variables, or too many for a joint covariance.

    References
    ----------
    Kass, R. E. and Steffey, D. (1989). Approximate Bayesian inference in conditionally independent hierarchical
    models. doi:10.1080/01621459.1989.10478825
    """
    marginal, space = problem.objective, problem.density.space
    if not isinstance(marginal, MarginalLikelihood):
        raise RefusalError("the model has no latent variables", "likelihood latents", "see likelihood.maximum()")
    if space.dimension > _LARGEST:
        raise RefusalError(
            f"{space.dimension} coordinates have too large a joint covariance", "likelihood latents",
            "use draws: study.posterior.draws()",
        )  # fmt: skip
    p, u = problem.chart.coordinates, marginal.structure.coordinates
    x = mode.z[p]
    parameters, inside = np.zeros((p.size, p.size)), inside_of(problem, mode)
    if inside.start.size:
        objective = as_maximised(problem, mode).objective
        parameters = inside.spread(curvature_at(inside.section(objective), inside.start).covariance)
    at = marginal.expand(x)
    given = np.zeros((space.dimension,) * 2)
    given[np.ix_(u, u)] = _conditional_covariance(marginal, at)
    slopes = np.zeros((space.dimension, p.size))
    slopes[p], slopes[u] = np.eye(p.size), _moves(marginal, x, np.sqrt(np.diag(parameters)))
    whole, known = whole_chart(space), set(problem.chart.labels)
    kept = [i for i, label in enumerate(whole.labels) if label not in known]
    conditional = np.sqrt(np.maximum(np.diag(delta_method(whole, at.z, given)), 0.0))
    total = np.sqrt(np.maximum(np.diag(delta_method(whole, at.z, given + slopes @ parameters @ slopes.T)), 0.0))
    return Latents(
        checks=mode.checks,
        labels=tuple(whole.labels[i] for i in kept),
        estimate=whole.scalars(at.z[None])[0][kept],
        conditional_error=conditional[kept],
        std_error=total[kept],
    )
