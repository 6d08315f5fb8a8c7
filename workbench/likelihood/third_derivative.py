"""How the curvature over the latent coordinates changes along every coordinate of z, all of them at once.

With Q = A M A' for every block, where A A' = H^-1 and M is symmetric with eigenvalues lambda_j and eigenvectors v_j,

    - tr(Q dH) = sum_j lambda_j d2/dt2 grad f(z + t A v_j)    at t = 0,

so that the derivative of log det H (M = 1), or of an average over draws that H has scaled, along all of z costs a few
gradients a latent coordinate of a block, however many parameters there are and however many blocks. Where few latent
coordinates meet, as in a random walk, moves of all those that do not are made at once: the sum of H^-1_ij d H_ij over j
of one colour is a mixed second difference along e_j and along column j of H^-1, in which an element that is read from
one side alone counts twice (`workbench.model.colouring`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.model.elements import Structure
from workbench.numerics.objective import Vector

Move = tuple[Vector, Vector]  # of all latent coordinates, shape (n,), and the weight of every block, shape (B,)
# Seven-point second derivative; with steps of a twentieth of a conditional standard deviation its truncation and its
# rounding are near 1e-10.
_SECOND = ((1.0, 1.5), (2.0, -3.0 / 20), (3.0, 1.0 / 90))
_CENTRE = -49.0 / 18
_STEP = 0.05
_PARABOLA = ((1.0, 1.0),)  # exact at any distance where f is a parabola
_PARABOLA_CENTRE = -2.0


def moves_of_blocks(
    structure: Structure, factors: Sequence[NDArray[np.float64]], middles: Sequence[NDArray[np.float64]]
) -> list[Move]:
    """The moves A v_j of all blocks, and lambda_j of each block; blocks with fewer latent coordinates rest.

    Parameters
    ----------
    structure : Structure
    factors : sequence of ndarray
        A by group, shapes ``(B_s, s, s)``.
    middles : sequence of ndarray
        M by group, shapes ``(B_s, s, s)``; of shape ``(B_s,)`` multiples of the identity.

    Returns
    -------
    list of (ndarray, ndarray)
    """
    size = max(group.shape[1] for group in structure.groups)
    directions = np.zeros((size, structure.coordinates.size))
    weights = np.zeros((size, structure.n_blocks))
    for (numbers, group), factor, middle in zip(structure.numbered(), factors, middles, strict=True):
        s = group.shape[1]
        if middle.ndim == 1:
            values, along = np.tile(middle[:, None], s), factor
        else:
            values, vectors = np.linalg.eigh(middle)
            along = factor @ vectors
        weights[:s, numbers] = values.T
        for j in range(s):
            directions[j, group] = along[:, :, j]
    return [(direction, weight) for direction, weight in zip(directions, weights, strict=True) if weight.any()]


def moves_of_colours(
    structure: Structure, factors: Sequence[NDArray[np.float64]], middles: Sequence[Vector]
) -> list[Move]:
    """The moves for multiples of the identity as M where few latent coordinates meet: two a colour.

    Parameters
    ----------
    structure : Structure
    factors : sequence of ndarray
        A by group.
    middles : sequence of ndarray
        The multiples by group, shapes ``(B_s,)``.

    Returns
    -------
    list of (ndarray, ndarray)
    """
    n, read = structure.coordinates.size, structure.readings.tocsc()
    plain, columns = np.zeros((len(structure.colours), n)), np.zeros((len(structure.colours), n))
    colour_of, weight = np.empty(n, dtype=np.int64), np.zeros(structure.n_blocks)
    for c, colour in enumerate(structure.colours):
        colour_of[colour] = c
    for (numbers, group), factor, middle in zip(structure.numbered(), factors, middles, strict=True):
        weight[numbers] = middle
        for rows, one in zip(group, factor, strict=True):
            inverse = one @ one.T
            place = np.full(n, -1)
            place[rows] = np.arange(rows.size)
            for j, k in enumerate(rows):
                scale = np.sqrt(inverse[j, j])
                here = slice(read.indptr[k], read.indptr[k + 1])
                met, share = read.indices[here], read.data[here]
                met, share = met[share > 0], share[share > 0]
                plain[colour_of[k], k] = scale
                columns[colour_of[k], met] = 2.0 * share * inverse[place[met], j] / scale
    signed = [((columns + sign * plain) / 2, sign * weight) for sign in (1.0, -1.0)]
    return [(direction, given) for directions, given in signed for direction in directions]


def contracted(
    gradients: Callable[[NDArray[np.float64], Vector], NDArray[np.float64]],
    coordinates: NDArray[np.int64],
    z: Vector,
    moves: Sequence[Move],
    straight: bool,
) -> Vector:
    """Minus the sum of tr(Q dH) over the blocks, along every coordinate of z.

    Parameters
    ----------
    gradients : callable
        From points, shape ``(m, d)``, and weights of the blocks, shape ``(B,)``, to gradients of log f, ``(m, d)``.
    coordinates : ndarray of int, shape (n,)
        The latent coordinates of z.
    z : ndarray, shape (d,)
    moves : sequence of (ndarray, ndarray)
    straight : bool
        Whether log f is a parabola in the latent coordinates.

    Returns
    -------
    ndarray, shape (d,)
    """
    stencil, centre, step = (_PARABOLA, _PARABOLA_CENTRE, 1.0) if straight else (_SECOND, _CENTRE, _STEP)
    steps = step * np.array([sign * s for s, _ in stencil for sign in (1.0, -1.0)])
    factors = np.array([w for _, w in stencil for _ in (1.0, -1.0)])
    found, resting = np.zeros(z.size), np.zeros(moves[0][1].size if moves else 0)
    for direction, weights in moves:
        points = np.tile(z, (steps.size, 1))
        points[:, coordinates] += steps[:, None] * direction
        found += factors @ gradients(points, weights)
        resting += weights
    if resting.any():
        found += centre * gradients(z[None], resting)[0]
    return found / step**2


def stretched(
    shares: Vector, slopes: NDArray[np.float64], x: NDArray[np.float64], root: NDArray[np.float64]
) -> NDArray[np.float64]:
    """M of every block, so that -tr(A M A' dH) / 2 is what log det H and the places u-hat + A x of the draws change.

    With A = R^-T, dA = -A F' where F is the lower triangle of A' dH A with half of its diagonal.

    Parameters
    ----------
    shares : ndarray, shape (B,)
    slopes : ndarray, shape (q, B, s)
        Of the weighted average, along the latent coordinates of every draw.
    x : ndarray, shape (q, B, s)
        The draws in units of the curvature.
    root : ndarray, shape (B, s, s)
        R with H = R R'.

    Returns
    -------
    ndarray, shape (B, s, s)
    """
    turned = np.linalg.solve(root, np.einsum("qbi,qbj->bij", slopes, x))  # sum of A' slope x'
    upper = np.triu(turned)
    return shares[:, None, None] * np.eye(x.shape[2]) + np.triu(turned, 1).transpose(0, 2, 1) + upper
