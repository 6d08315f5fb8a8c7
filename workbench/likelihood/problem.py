"""The likelihood of a model's parameters as one objective, whether or not latent variables are integrated out.

Every question to the likelihood (its maximum, a profile, a bootstrap) climbs a `Problem`: a log likelihood over the
coordinates x of the parameters, and the chart that says what x means.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.likelihood.marginal import MarginalLikelihood
from workbench.model.chart import Chart, whole_chart
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.mode import Mode
from workbench.numerics.objective import Objective, Vector

_SHOWN = 6  # scalars in a message


@dataclass(frozen=True)
class Problem:
    """A likelihood to climb.

    Attributes
    ----------
    density : LogDensity
    objective : Objective
        Log likelihood over x, nats; latent variables are integrated out.
    chart : Chart
        What x means: free variables and deterministics by name.
    """

    density: LogDensity
    objective: Objective
    chart: Chart

    def on(self, data: Mapping[str, NDArray]) -> Objective:
        """The likelihood of other observations of the same shape, by observed variable.

        Raises
        ------
        RefusalError
            If an observation now depends on latent variables on which it did not depend before.
        """
        if isinstance(self.objective, MarginalLikelihood):
            return self.objective.with_data(data)
        return self.density.objective(LIKELIHOOD, data=data)


def pose(density: LogDensity) -> Problem:
    """The likelihood of the parameters of a model.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    Problem

    Raises
    ------
    RefusalError
        If the latent variables cannot be integrated out.
    """
    if density.latents:
        marginal = MarginalLikelihood(density)
        return Problem(density, marginal, marginal.chart)
    return Problem(density, density.objective(LIKELIHOOD), whole_chart(density.space))


def origin(problem: Problem) -> Vector:
    """Where the model itself starts, shape ``(p,)``; a climb may have started far out."""
    return problem.chart.space.start[problem.chart.coordinates]


def scalar_parameters(problem: Problem) -> dict[str, int]:
    """Labels of the scalars that are a function of one coordinate of x each -> that coordinate.

    A simplex, an ordered vector or a Cholesky factor has no such coordinates and is left out.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    dict of str to int
    """
    density, space, found = problem.density, problem.density.space, {}
    parents, blocks = density.parents, problem.chart.blocks
    for name in problem.chart.names:
        if parents[name]:  # its transformation may move with them
            continue
        transform = density.model.rvs_to_transforms.get(density.model[name])
        elementwise = transform is None or transform.ndim_supp in (0, None)
        if elementwise and space.block_shapes[name] == space.shapes[name]:
            for offset, label in enumerate(space.labels(name)):
                found[label] = blocks[name].start + offset
    return found


def edge_coordinates(problem: Problem, mode: Mode) -> NDArray[np.int64]:
    """The coordinates of the scalars that a maximum has at the edge of their support.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.

    Returns
    -------
    ndarray of int
        Ascending. The categories of a simplex have none: all coordinates of a simplex move with each of its elements.
    """
    of = scalar_parameters(problem)
    return np.array(sorted(of[label] for label in mode.at_edge if label in of), dtype=np.int64)


def scalars_in_words(problem: Problem, x: Vector, without: Collection[str] = ()) -> str:
    """The first scalars at a point for a message, such as ``mu = 3.2, sigma = 1``; empty if there are none.

    Parameters
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    without : collection of str
        Labels to leave out.

    Returns
    -------
    str
    """
    scalars = zip(problem.chart.labels, problem.chart.scalars(x[None])[0], strict=True)
    return ", ".join([f"{label} = {value:.6g}" for label, value in scalars if label not in without][:_SHOWN])
