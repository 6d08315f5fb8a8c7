"""Nodes and draws around the conditional modes of latent variables, and what is found there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.numerics.objective import Vector


@dataclass(frozen=True)
class Nodes:
    """Nodes around the conditional modes of the blocks of a group, or draws around those of all blocks.

    Attributes
    ----------
    x : ndarray, shape (q, s), or (q, n) for draws of all n latent coordinates
        In units of the curvature.
    points : ndarray, shape (q, d)
    log_average : ndarray, shape (B,)
        Of f over the nodes, in units of its Gaussian.
    weights : ndarray, shape (q, B), or (q, n) for draws
        Posterior weight of every node in every block, or of every draw for the terms of every latent coordinate.
    gradients : ndarray, shape (q, d), optional
        Of the terms of the block, where there is one.
    """

    x: NDArray[np.float64]
    points: NDArray[np.float64]
    log_average: Vector
    weights: NDArray[np.float64]
    gradients: NDArray[np.float64] | None


def draws_in_pairs(count: int, size: int, seed: int) -> NDArray[np.float64]:
    """Standard normal draws in pairs of opposite sign, so that their mean is 0.

    Parameters
    ----------
    count : int
        Even.
    size : int
    seed : int

    Returns
    -------
    ndarray, shape (count, size)
    """
    half = np.random.default_rng([seed, size]).standard_normal((count // 2, size))
    return np.concatenate([half, -half])
