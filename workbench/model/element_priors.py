"""The log prior of single elements, where they have one of their own."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray

from workbench.model.compiled import batched
from workbench.model.density import LogDensity
from workbench.numerics.objective import Vector

# The functions behind `prior_elements` by variable: to make one takes as long as to use it ten thousand times.
_MADE: WeakKeyDictionary[LogDensity, dict[str, Callable[..., list[NDArray]]]] = WeakKeyDictionary()


def summed_into(density: LogDensity, name: str) -> bool:
    """Whether labels were summed out of the prior of a variable, so that its terms may stand in another order.

    Parameters
    ----------
    density : LogDensity
    name : str

    Returns
    -------
    bool
    """
    return density.summation is not None and name in density.summation.owners


def prior_by_element(density: LogDensity, points: NDArray[np.float64]) -> dict[str, NDArray]:
    """Log prior density on z of every element, where the elements are independent and stand on fixed numbers.

    Parameters
    ----------
    density : LogDensity
    points : ndarray, shape (m, d)

    Returns
    -------
    dict of str to ndarray, shape (m, elements)
        Nats. Variables with a joint prior (a simplex, a multivariate normal), with free variables among their
        parents, and discrete ones are left out.
    """
    s, space, chosen = density.symbolic, density.space, {}
    for name in space.names:
        shape = space.shapes[name]
        graphs = [s.log_prior[name], *([s.log_jacobian[name]] if name in s.log_jacobian else [])]
        single = space.block_shapes[name] == shape and all(g.type.ndim == len(shape) for g in graphs)
        fixed = not density.parents[name] and name not in density.discrete
        if single and fixed and not summed_into(density, name):
            chosen[name] = sum(graphs[1:], graphs[0])
    points = np.atleast_2d(points)
    arrays = zip(chosen, batched(space.vector, space.on_vector(list(chosen.values())))(points), strict=True)
    return {n: np.broadcast_to(a, (len(points), *space.shapes[n])).reshape(len(points), -1) for n, a in arrays}


def prior_elements(density: LogDensity, name: str, z: Vector) -> tuple[NDArray, NDArray]:
    """The log prior of one variable at one point, element by element, and the log Jacobian of its transformation.

    Parameters
    ----------
    density : LogDensity
    name : str
        A free variable.
    z : ndarray, shape (d,)

    Returns
    -------
    log_prior, log_jacobian : ndarray
        Nats; of the shape of the variable where its elements have densities of their own.
    """
    made = _MADE.setdefault(density, {})
    if name not in made:
        s, space = density.symbolic, density.space
        graphs = [s.log_prior[name], s.log_jacobian.get(name, pt.zeros_like(s.values[name]))]
        made[name] = batched(space.vector, space.on_vector(graphs))
    log_prior, log_jacobian = made[name](z[None])
    return log_prior[0], log_jacobian[0]
