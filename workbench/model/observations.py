"""What each observation says about the parameters: its score and its curvature, without one gradient an observation.

The log likelihood of the n observations at a few points around theta-hat gives, by a five-point stencil along a
direction a, for every observation at once

    a's_j   = d log p(y_j given z + t a) / dt          (its score),
    a'H_j a = d2 log p(y_j given z + t a) / dt2        (its curvature)

at t = 0, so p directions cost 4 p + 1 evaluations of the likelihood whatever n is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.compiled import batched, without_traces
from workbench.model.density import LogDensity
from workbench.numerics.objective import Vector

# Of a direction as long as a standard error: the stencil's own error is then 1e-8 of a score, and rounding, which
# grows as the square in the curvature, stays below 1e-5 of it for a million observations.
_STEP = 0.03
_CHUNK = 4_000_000  # log likelihood terms evaluated at a time, 32 MB


class Observations:
    """The elementwise log likelihood on any data of the model's shape.

    Parameters
    ----------
    density : LogDensity
    """

    @without_traces()
    def __init__(self, density: LogDensity) -> None:
        s, space = density.symbolic, density.space
        self._observed = dict(s.observed)
        self.shapes = dict(density.likelihood_shapes)
        graphs = space.on_vector(list(s.log_likelihood.values()))
        self._call = batched(space.vector, graphs, list(s.data.values()))

    @property
    def count(self) -> int:
        """The number n of observations: one per element, or per vector of a multivariate likelihood."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def log_likelihood(self, points: NDArray[np.float64], data: Mapping[str, NDArray] | None = None) -> NDArray:
        """Every term at m points, shape ``(m, n)``, nats."""
        merged = {**self._observed, **(data or {})}
        arrays = self._call(points, *(merged[n].astype(a.dtype) for n, a in self._observed.items()))
        return np.concatenate([a.reshape(len(points), -1) for a in arrays], axis=1)

    def along(
        self, z: Vector, directions: NDArray[np.float64], data: Mapping[str, NDArray] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and curvatures of every observation along directions.

        Parameters
        ----------
        z : ndarray, shape (d,)
        directions : ndarray, shape (p, d)
            Each about as long as a standard error.
        data : mapping of str to ndarray, optional
            Other observations of the same shape.

        Returns
        -------
        scores, curvatures : ndarray, shape (n, p)
            Nats per direction, and per direction squared.

        Raises
        ------
        NumericalError
            If an observation has no finite likelihood next to z.
        """
        return scores_along(lambda points: self.log_likelihood(points, data), z, directions)


def scores_along(
    terms: Callable[[NDArray[np.float64]], NDArray[np.float64]], z: Vector, directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and second derivatives of many terms along directions, by a five-point stencil.

    Parameters
    ----------
    terms : callable
        Points of shape ``(m, d)`` to log likelihoods of shape ``(m, n)``, nats.
    z : ndarray, shape (d,)
    directions : ndarray, shape (p, d)
        Each about as long as a standard error.

    Returns
    -------
    scores, curvatures : ndarray, shape (n, p)
        Nats per direction, and per direction squared.

    Raises
    ------
    NumericalError
        If a term is not finite next to z.
    """
    at = terms(z[None])[0]
    scores, curvatures = np.empty((at.size, len(directions))), np.empty((at.size, len(directions)))
    steps = _STEP * np.array([1.0, -1.0, 2.0, -2.0])
    batch = max(1, _CHUNK // (4 * max(at.size, 1)))
    for first in range(0, len(directions), batch):
        some = directions[first : first + batch]
        points = z + (steps[None, :, None] * some[:, None, :]).reshape(-1, z.size)
        values = terms(points).reshape(len(some), 4, at.size)
        plus, minus, plus2, minus2 = values.transpose(1, 0, 2)
        with np.errstate(invalid="ignore"):  # what is not finite is found below
            slope = (8 * (plus - minus) - (plus2 - minus2)) / (12 * _STEP)
            bend = (16 * (plus + minus) - (plus2 + minus2) - 30 * at) / (12 * _STEP**2)
        scores[:, first : first + len(some)], curvatures[:, first : first + len(some)] = slope.T, bend.T
    if not (np.all(np.isfinite(scores)) and np.all(np.isfinite(curvatures))):
        raise NumericalError(
            "an observation is impossible next to the maximum: the likelihood has no score there", "observations",
            "the support of the data depends on a parameter; use the profile or the bootstrap",
        )  # fmt: skip
    return scores, curvatures
