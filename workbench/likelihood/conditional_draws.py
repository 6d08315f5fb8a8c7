"""Draws of the latent variables at given parameters, u ~ p(u given y, theta), block by block.

At its conditional mode each block is nearly normal: candidates come from that normal distribution, and one of them is
taken in proportion to its importance weight (Rubin 1987, sampling importance resampling). Blocks share no term given
the parameters, so that each block chooses on its own, and a hundred of them need no more candidates than one. Where
log f is a parabola in the latent coordinates the normal distribution is p itself, and one candidate is enough.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.likelihood.conditional_mode import Expansion
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.numerics.objective import Vector

_CANDIDATES = 16  # the bias is of the order of the variance of a block's weights over their number


def draw_latents(marginal: MarginalLikelihood, at: Expansion, generator: np.random.Generator) -> Vector:
    """One draw of the latent variables given the parameters.

    Parameters
    ----------
    marginal : MarginalLikelihood
    at : Expansion
        Around the conditional mode at these parameters.
    generator : numpy.random.Generator

    Returns
    -------
    ndarray, shape (d,)
        A point z with these parameters.

    References
    ----------
    Rubin, D. B. (1987). Comment on Tanner and Wong. doi:10.1080/01621459.1987.10478461
    """
    structure, count = marginal.structure, 1 if at.straight else _CANDIDATES
    points, steps = np.tile(at.z, (count, 1)), []
    for group, root in zip(structure.groups, at.roots, strict=True):
        x = generator.standard_normal((count, *group.shape))
        # u = u-hat + H^(-1/2) x with H = R R': the factor is the transposed inverse of R.
        points[:, structure.coordinates[group]] += np.einsum("bji,qbj->qbi", np.linalg.inv(root), x)
        steps.append(x)
    if count == 1:
        return points[0]
    terms, chosen = marginal.elements(points), at.z.copy()
    for (numbers, group), x in zip(structure.numbered(), steps, strict=True):
        order, starts = structure.terms_of[numbers.start]
        logs = np.add.reduceat(terms[:, order], starts, axis=1) + 0.5 * np.sum(x**2, axis=2)
        taken = _one_of_each(logs, generator)
        places = structure.coordinates[group]
        chosen[places] = points[taken[:, None], places]
    return chosen


def _one_of_each(logs: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """For every column of log weights of shape ``(q, B)`` a row in proportion to them, shape ``(B,)``."""
    edges = np.cumsum(np.exp(logs - logs.max(axis=0)), axis=0)
    return np.sum(edges < generator.random(edges.shape[1]) * edges[-1], axis=0)
