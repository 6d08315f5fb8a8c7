"""The mode of the latent variables at given parameters, block by block, and the curvature there.

H, minus the Hessian of log f over the latent coordinates, comes from differences of the compiled gradient that move all
blocks at once. Where the gradient is a straight line in the latent coordinates, as in every linear model with Normal
effects and errors, H is the same everywhere and the steps are as long as the scale itself, so that it is exact to
rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.elements import Structure
from workbench.numerics.curvature import representable
from workbench.numerics.objective import Objective, Vector

STENCIL = ((1.0, 8.0 / 12), (-1.0, -8.0 / 12), (2.0, -1.0 / 12), (-2.0, 1.0 / 12))  # five-point first derivative
_PAIR = ((1.0, 0.5), (-1.0, -0.5))  # exact at any distance for a straight line
_STRAIGHT = 1e-10  # of a change of the gradient over a scale: it is a straight line
_RESOLVED = 1e3  # numbers within a scale: with fewer all nodes of an integral are the mode
_NEWTON_STEPS, _AGAIN = 60, 5
_FIX = "start nearer to the data (initval), or use draws: study.posterior.draws()"
_Factor = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Expansion:
    """The integrand around its conditional mode.

    Attributes
    ----------
    z : ndarray, shape (d,)
        The parameters as given, the latent coordinates at their conditional mode.
    value : float
        Log f at z, nats.
    roots : tuple of ndarray
        Lower Cholesky factors of H by group, shapes ``(B_s, s, s)``.
    straight : bool
        Whether log f is a parabola in the latent coordinates.
    """

    z: Vector
    value: float
    roots: tuple[NDArray[np.float64], ...]
    straight: bool

    def log_determinants(self) -> list[Vector]:
        """Log determinant of H of every block, by group."""
        return [2.0 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1) for root in self.roots]


class ConditionalMode:
    """Newton steps to the mode of the latent variables, and H on the way.

    Parameters
    ----------
    joint : Objective
        Log f over all of z.
    structure : Structure
        The blocks of latent coordinates.

    Notes
    -----
    The local scale of the last place is kept for the steps at the next one.
    """

    def __init__(self, joint: Objective, structure: Structure) -> None:
        self.joint, self.structure = joint, structure
        self.scale = np.zeros(structure.coordinates.size)
        self.straight = False

    def on(self, joint: Objective) -> ConditionalMode:
        """The same search over another log f with the same blocks, from here on with scales of its own."""
        other = object.__new__(ConditionalMode)
        other.__dict__.update(self.__dict__, joint=joint, scale=self.scale.copy())
        return other

    def forget(self) -> None:
        """Forget the scales of the last place."""
        self.scale = np.zeros(self.structure.coordinates.size)

    def information(self, z: Vector) -> list[NDArray[np.float64]]:
        """H at a point z by group, shapes ``(B_s, s, s)``.

        Raises
        ------
        NumericalError
            If the gradient is not finite next to it, or the density is narrower than numbers can tell.
        """
        u = self.structure.coordinates
        known = self.scale > 0
        straight = self.straight and bool(known.all())
        h = np.where(known, 1e-3 * self.scale, 1e-4 * np.maximum(1.0, np.abs(z[u])))
        h = representable(z[u], self.scale) if straight else h
        columns = np.zeros((len(self.structure.colours), u.size))
        for c, colour in enumerate(self.structure.colours):
            for step, weight in _PAIR if straight else STENCIL:
                moved = z.copy()
                moved[u[colour]] += step * h[colour]
                columns[c] += weight * self.joint.value_and_gradient(moved)[1][u]
        colour_of = np.empty(u.size, dtype=np.int64)
        for c, colour in enumerate(self.structure.colours):
            colour_of[colour] = c
        found = []
        for group, shares in zip(self.structure.groups, self._shares, strict=True):
            # H[r, k] = change of the gradient at r when k moves, over the step of k.
            block = columns[colour_of[group][:, None, :], group[:, :, None]] / h[group][:, None, :]
            block = np.where(shares > 0, -shares * block, 0.0)
            found.append(block + block.transpose(0, 2, 1))
        diagonal = np.concatenate([np.diagonal(b, axis1=1, axis2=2).ravel() for b in found])
        order = np.concatenate([group.ravel() for group in self.structure.groups])
        fresh = np.full(u.size, -1.0)
        fresh[order] = diagonal
        first = not known.all()
        self.scale = np.where(fresh > 0, 1.0 / np.sqrt(np.maximum(fresh, 1e-300)), self.scale)
        if np.any(self.scale < _RESOLVED * np.spacing(np.abs(z[u])), where=fresh > 0):
            raise NumericalError("the density of the latent variables is too steep for numbers", "latents", _FIX)
        if first and np.all((fresh > 0) & (self.scale > 0)):
            return self.information(z)  # once more, with steps of the right size
        if not all(np.all(np.isfinite(block)) for block in found):
            raise NumericalError("the gradient is not finite", "latents", "look at the model there")
        return found

    def _is_straight(self, z: Vector, gradient: Vector) -> bool:
        """Whether the gradient is a straight line in the latent coordinates, as that of Normals around Normals is.

        Then H is the same everywhere, and a step of a whole scale keeps a thousand times more of its digits, which the
        differences of it over the parameters need.
        """
        u, step = self.structure.coordinates, np.zeros_like(z)
        sides = np.where(np.arange(u.size) % 2, -1.0, 1.0)
        step[u] = sides * representable(z[u], np.where(sides < 0, 0.7, 1.0) * self.scale)
        try:
            near, back, far = (self.joint.value_and_gradient(z + k * step)[1] - gradient for k in (1.0, -1.0, 2.0))
        except NumericalError:
            return False
        bent = np.abs(np.stack([near + back, far - 2.0 * near]))[:, u] * self.scale
        return bool(np.max(bent) < _STRAIGHT * np.max(np.abs(near[u]) * self.scale))

    @cached_property
    def _shares(self) -> list[NDArray[np.float64]]:
        """How much of each element of H is read from its own side: elsewhere a difference shows another coordinate."""
        read = self.structure.readings
        return [
            np.stack([read[rows][:, rows].toarray() for rows in group]) if group.shape[1] > 1
            else np.full((len(group), 1, 1), 0.5)
            for group in self.structure.groups
        ]  # fmt: skip

    def _factored(self, blocks: list[NDArray[np.float64]]) -> list[_Factor]:
        """Unit, absolute eigenvalues and eigenvectors of H of every block, by group, in units of its diagonal.

        Beside an effect whose scale is all but 0 another one is not flat.
        """
        found = []
        for block in blocks:
            unit = 1.0 / np.sqrt(np.maximum(np.abs(np.diagonal(block, axis1=1, axis2=2)), 1e-300))
            values, vectors = np.linalg.eigh(block * unit[:, :, None] * unit[:, None, :])
            floor = 1e-10 * np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-300)
            found.append((unit, np.maximum(np.abs(values), floor), vectors))
        return found

    def _newton_step(self, gradient: Vector, factors: list[_Factor]) -> Vector:
        """The Newton step of every block, with the absolute eigenvalues of H where it is not positive definite."""
        step = np.zeros_like(gradient)
        for group, (unit, values, vectors) in zip(self.structure.groups, factors, strict=True):
            along = np.einsum("bji,bj->bi", vectors, gradient[group] * unit)
            step[group] = np.einsum("bij,bj->bi", vectors, along / values) * unit
        return step

    def climb(self, z: Vector) -> tuple[Vector, float, list[NDArray[np.float64]]]:
        """The conditional mode with the parameters as in z, its height in nats, and H there.

        Raises
        ------
        NumericalError
            If log f cannot be computed on the way, or no mode is found.
        """
        u = self.structure.coordinates
        value, gradient = self.joint.value_and_gradient(z)
        if not np.isfinite(value):
            raise NumericalError("the log density is -inf at the start of the latent variables", "latents", _FIX)
        for count in range(_NEWTON_STEPS):
            if count % _AGAIN == 0:  # from afar, where the gradient is huge, its rounding may hide that it is straight
                straight = bool(np.all(self.scale > 0)) and self._is_straight(z, gradient)
                if count == 0 or straight != self.straight:
                    self.straight = straight
                    blocks = self.information(z)
                    factors = self._factored(blocks)
            step = self._newton_step(gradient[u], factors)
            if not np.all(np.isfinite(step)):
                raise NumericalError(
                    "the density of the latent variables is too steep or too flat there", "latents", _FIX
                )
            gain, rounding = float(gradient[u] @ step) / 2, 1e-13 * max(1.0, abs(value))
            if gain < 1e-5 * rounding:
                return z, value, blocks
            length = 1.0
            while length > 1e-10:
                moved = z.copy()
                moved[u] += length * step
                new_value, new_gradient = self.joint.value_and_gradient(moved)
                if new_value >= value - rounding and np.all(np.isfinite(new_gradient)):
                    break
                length /= 2
            else:
                raise NumericalError("the search for the mode of the latent variables got stuck", "latents", _FIX)
            at_rounding = new_value <= value and gain < 10 * rounding
            z, value, gradient = moved, new_value, new_gradient
            if not self.straight:  # else H is the same everywhere
                blocks = self.information(z)
            if at_rounding:
                return z, value, blocks
            if not self.straight:
                factors = self._factored(blocks)
        raise NumericalError("the search for the mode of the latent variables did not end", "latents", _FIX)
