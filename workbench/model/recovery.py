"""Discrete variables that were summed out, drawn back from their conditional distribution given everything else.

    p(states of block b given y, theta) = exp(S_b(s)) / sum_s exp(S_b(s)),    S_b(s) the terms of the block in state s

Blocks are independent given theta, so one draw of theta gives one draw of each of them, exactly and without a chain.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.replace import vectorize_graph

from workbench.model.compiled import batched, interpreted, without_traces
from workbench.model.constants import replaced
from workbench.model.space import Space
from workbench.model.summation import Summation
from workbench.numerics.objective import Vector

_CHUNK = 4_000_000  # log weights evaluated at a time, 32 MB


class Recovery:
    """The way back from points on z to the discrete variables.

    Parameters
    ----------
    summation : Summation
    space : Space
        Of the variables that are left.
    """

    def __init__(self, summation: Summation, space: Space) -> None:
        self.summation, self.space = summation, space
        self._observed = {v: pt.constant(summation.terms.observed[n]) for n, v in summation.terms.data.items()}
        graph = space.on_vector(replaced([summation.log_weights], self._observed))
        self._log_weights = batched(space.vector, graph)

    def log_weights(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log density of every block in every state at m points, shape ``(m, J, B)``, nats."""
        return self._log_weights(np.atleast_2d(points))[0]

    def choose(self, log_weights: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
        """One state a block from its conditional distribution, shape ``(m, B)``."""
        # The largest of log weights plus Gumbel noise is a draw from the normalised weights (Gumbel 1954).
        return np.argmax(log_weights + generator.gumbel(size=log_weights.shape), axis=1)

    def values(self, chosen: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """The discrete variables when the blocks are in these states, arrays of shape ``(m, *shape)``."""
        s, found = self.summation, {}
        for name, shape in s.shapes.items():
            columns = np.array([s.slots[name, rank] for rank in s.blocks.rank[name]], dtype=np.int64)
            found[name] = s.states[chosen[:, s.blocks.of_element[name]], columns].reshape(len(chosen), *shape)
        return found

    def excess(self, log_weights: NDArray[np.float64], chosen: NDArray[np.int64]) -> Vector:
        """What the log density in these states has more than the sum over all of them, shape ``(m,)``, nats."""
        at = np.take_along_axis(log_weights, chosen[:, None, :], axis=1)[:, 0]
        whole = np.logaddexp.reduce(log_weights, axis=1)
        return at.sum(axis=1) - whole[:, self.summation.kept].sum(axis=1)

    def draw(self, points: NDArray[np.float64], seed: int) -> dict[str, NDArray]:
        """The discrete variables, and the deterministics that they enter, one draw at each of many points.

        Parameters
        ----------
        points : ndarray, shape (m, d)
        seed : int

        Returns
        -------
        dict of str to ndarray, shape (m, *shape)
        """
        generator, size = np.random.default_rng(seed), max(1, _CHUNK // max(self.summation.work, 1))
        parts = []
        for first in range(0, len(points), size):
            some = points[first : first + size]
            values = self.values(self.choose(self.log_weights(some), generator))
            arrays = self._entered(some, *values.values()) if self.summation.deterministics else []
            parts.append(values | dict(zip(self.summation.deterministics, arrays, strict=True)))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @cached_property
    @without_traces()
    def _entered(self) -> Any:
        """The function from points and discrete variables to the deterministics that both enter."""
        s, z = self.summation, self.space.vector
        graphs = [s.terms.deterministic[n] for n in s.deterministics]
        graphs = self.space.on_vector(replaced(graphs, self._observed))
        points = pt.TensorType("float64", shape=(None, z.type.shape[0]))("Z")
        values = [s.terms.values[n] for n in s.names]
        many = [pt.TensorType(v.dtype, (None, *v.type.shape))() for v in values]
        tied = [g + (z[:1].sum() * 0.0).astype(g.dtype) for g in graphs]
        batch = {z: points, **dict(zip(values, many, strict=True))}
        return interpreted([points, *many], list(vectorize_graph(tied, batch)))
