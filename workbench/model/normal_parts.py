"""Mean and standard deviation of every observation of a Normal likelihood, as functions of z."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.model.compiled import batched, without_traces
from workbench.model.constants import widened
from workbench.model.density import LogDensity
from workbench.model.terms import op_parameters
from workbench.numerics.objective import Vector


@dataclass(frozen=True)
class NormalParts:
    """What the log likelihood is made of where every observation is Normal and independent of the others.

    Attributes
    ----------
    observed : ndarray, shape (n,)
        Of all observed variables, one after the other.
    at : callable
        Points of shape ``(m, d)`` to means and standard deviations, each of shape ``(m, n)``.
    """

    observed: Vector
    at: Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]


@without_traces()
def parts_of_normals(density: LogDensity) -> NormalParts | None:
    """Means and standard deviations of Normal observations.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    NormalParts or None
        None where anything else is in the likelihood: another distribution, a potential, a label that is summed out.
    """
    model, space = density.model, density.space
    rvs = model.observed_RVs
    if not rvs or density.summation is not None or "likelihood" in density.potentials.values():
        return None
    if any(type(rv.owner.op).__name__ != "NormalRV" for rv in rvs):
        return None
    graphs = [graph for rv in rvs for graph in model.replace_rvs_by_values(op_parameters(rv))]
    call = batched(space.vector, space.on_vector(widened(graphs)))
    values = [np.asarray(density.symbolic.observed[rv.name], dtype=np.float64) for rv in rvs]
    shapes = [density.likelihood_shapes[rv.name] for rv in rvs]
    if any(value.shape != shape for value, shape in zip(values, shapes, strict=True)):
        return None

    def at(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        count, arrays = len(points), call(points)
        whole = []
        for array, shape in zip(arrays, [shape for shape in shapes for _ in range(2)], strict=True):
            rows = array.reshape(len(array), *(1,) * (len(shape) - array.ndim + 1), *array.shape[1:])
            whole.append(np.broadcast_to(rows, (count, *shape)).reshape(count, -1))
        return np.concatenate(whole[::2], axis=1), np.concatenate(whole[1::2], axis=1)

    return NormalParts(np.concatenate([value.ravel() for value in values]), at)
