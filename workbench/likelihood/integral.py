"""Which integral over the latent variables stands behind a maximum.

The maximum is sought with few nodes, then with as many as it needs, or with importance draws where Laplace is not
enough (`workbench.likelihood.maximum`). What is measured from it has to climb the same likelihood: beside another one
it would find places that are higher, or no peak.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from workbench.likelihood.inside import inside_of
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.problem import Problem
from workbench.model.mode import Mode
from workbench.numerics.curvature import curvature_at

COARSE = 3  # nodes an axis while the starts are still far apart
ORDERS = (7, 15, 31, 61, 121)  # Gauss-Hermite nodes an axis, one rung after the other
LARGER = 15  # nodes an axis of small blocks beside others that are larger
_DRAWS = 2000  # points at which Laplace is checked, and replaced where it has to be replaced
_INSIDE = 11  # nodes inside nodes, whose number is a power of it; `FINEST` check them
LONG = 5e-2  # of the local scale: the gradient of Laplace is known to seven digits, that of nodes to twelve
_NEARLY = 1e-3  # standard errors: replicates and scores are not worth more nodes than this asks for
_SAME = 1e-9  # of the log likelihood, or nats below 1: the conditional mode is sought from elsewhere


def as_maximised(problem: Problem, mode: Mode) -> Problem:
    """The same problem with the integral whose maximum this is.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.

    Returns
    -------
    Problem
    """
    marginal = problem.objective
    if not isinstance(marginal, MarginalLikelihood):
        return problem
    x, finer = mode.z[problem.chart.coordinates], _integrals(marginal)
    near = _SAME * max(1.0, abs(mode.log_likelihood))
    used = (objective for objective in finer if abs(objective.value(x) - mode.log_likelihood) < near)
    return replace(problem, objective=next(used, marginal))


def _integrals(marginal: MarginalLikelihood) -> list[MarginalLikelihood]:
    """What a maximum may have been sought with, the coarsest first."""
    if marginal.all_by_nodes:
        return [marginal.with_order(order) for order in ORDERS]
    replaced = corrected(marginal)
    by_nodes = replaced.nest is not None and replaced.nest.by_nodes
    return [marginal.with_order(LARGER), replaced, *([corrected_otherwise(marginal)] if by_nodes else [])]


def corrected(marginal: MarginalLikelihood) -> MarginalLikelihood:
    """The same with nodes inside nodes, or importance draws, in place of Laplace."""
    return marginal.with_order(LARGER).with_draws(_DRAWS, seed=1, order=_INSIDE)


def corrected_otherwise(marginal: MarginalLikelihood) -> MarginalLikelihood:
    """The same with more nodes, or with other draws."""
    return marginal.with_order(2 * LARGER + 1).with_draws(_DRAWS, seed=2)


def as_at_the_maximum(problem: Problem, mode: Mode) -> Problem:
    """The same problem, its latent variables integrated as finely as the maximum needs and no finer.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.

    Returns
    -------
    Problem
        With the first integral whose own maximum is less than 1e-3 standard errors away; the finest if there is none.
    """
    marginal = problem.objective
    if not isinstance(marginal, MarginalLikelihood):
        return problem
    finer = [*([marginal.with_order(COARSE)] if marginal.all_by_nodes else []), *_integrals(marginal)]
    x, inside = mode.z[problem.chart.coordinates], inside_of(problem, mode)
    if not inside.start.size:
        return replace(problem, objective=finer[-1])
    bend = curvature_at(inside.section(marginal), inside.start)
    if not bend.is_peak:  # the maximum is that of the finest
        bend = curvature_at(inside.section(finer[-1]), inside.start, step=LONG)
    covariance = bend.covariance
    for objective in finer:
        slope = inside.onto(objective.value_and_gradient(x)[1])
        move = np.abs(covariance @ slope) / np.sqrt(np.diag(covariance))
        if np.max(move) < _NEARLY:
            break
    return replace(problem, objective=objective)
