"""The likelihood of the parameters alone, with latent variables integrated out.

    L(theta) = log of the integral of p(y given u, theta) p(u given theta) du

The integral falls into blocks of latent coordinates that share no term (`workbench.model.elements`). Each block is
expanded around its conditional mode u-hat(theta) with information H:

* one or two dimensions: adaptive Gauss-Hermite quadrature (Liu and Pierce 1994), nodes u-hat + H^(-1/2) x. The gradient
  is Fisher's identity, dL/dtheta = E[d log f/dtheta given y, theta], with the weights of the same nodes;
* more: Laplace, log f(u-hat) + s/2 log 2 pi - 1/2 log det H, with the gradient

      dL/dtheta = d log f/dtheta - 1/2 tr(H^-1 dH),   dH along (d u-hat/dtheta, 1),

  where d u-hat/dtheta = H^-1 d2 log f/du dtheta by the implicit function theorem (Kristensen et al. 2016).
  Importance draws of the normal approximation check and correct it. They are the same at every theta, so what they add
  is smooth, and nothing where Laplace is exact; Fisher's identity would bring their whole noise into the gradient.

Every derivative comes from the one compiled gradient of the density: H from differences of it that move all blocks at
once, so nothing is compiled for the integral.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError, RefusalError
from workbench.likelihood.conditional_mode import STENCIL, ConditionalMode
from workbench.model.chart import Chart, chart_without
from workbench.model.density import INTEGRAND, LogDensity
from workbench.model.elements import Elements, Structure, find_structure
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import nodes_of

QUADRATURE_DIMENSIONS = 2
_CORRECTION_STEP = 2e-2  # of the scale of the integrand, along which the determinant of H varies slowly


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
    """

    z: Vector
    value: float
    roots: tuple[NDArray[np.float64], ...]

    def log_determinants(self) -> list[Vector]:
        """Log determinant of H of every block, by group."""
        return [2.0 * np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1) for root in self.roots]


class MarginalLikelihood:
    """L(theta) as an objective over the coordinates of the parameters, with its exact gradient.

    Parameters
    ----------
    density : LogDensity
        With the latent variables set apart.
    order : int
        Gauss-Hermite nodes an axis for blocks of one or two dimensions; 1 is Laplace.

    Notes
    -----
    The search for the conditional mode starts where the last one ended, so the same theta gives the same value to
    rounding, not bit for bit.
    """

    def __init__(self, density: LogDensity, order: int = 15) -> None:
        self.density, self.order = density, order
        self.draws, self._seed = 0, 0
        self.chart: Chart = chart_without(density, density.latents)
        self.elements = Elements(density)
        joint = density.objective(INTEGRAND)
        self.structure: Structure = find_structure(density, self.elements, joint)
        self._mode = ConditionalMode(joint, self.structure)
        self._weight = np.zeros(self.elements.count)  # what `_weighted` reads; written anew before every use
        self._weighted = density.objective(self.elements.weights(self._weight))
        self._last = density.space.start.copy()
        outside = int(np.sum(self.structure.block_of_term < 0))
        self._shares = np.ones(self.structure.n_blocks + outside)  # weights of blocks, then of terms outside them

    def with_order(self, order: int) -> MarginalLikelihood:
        """The same integral with another order of quadrature; nothing is searched for again."""
        other = object.__new__(MarginalLikelihood)
        other.__dict__.update(
            self.__dict__, order=order, _last=self._last.copy(), _mode=self._mode.on(self._mode.joint)
        )
        return other

    @property
    def dimension(self) -> int:
        """The number of coordinates of the parameters."""
        return self.chart.dimension

    def with_draws(self, draws: int, seed: int) -> MarginalLikelihood:
        """The same integral with importance sampling where Laplace was used; the same draws at every theta."""
        other = self.with_order(self.order)
        other.draws, other._seed = draws, seed
        return other

    def with_data(self, data: Mapping[str, NDArray]) -> MarginalLikelihood:
        """The likelihood of other observations of the same shape, in the same blocks; nothing is searched for again.

        Raises
        ------
        RefusalError
            If an observation now depends on latent variables on which it did not depend before.
        """
        other = self.with_order(self.order)
        other.elements = self.elements.with_data(data)
        if not self.structure.holds_for(self.density, other.elements):
            names = ", ".join(self.density.latents)
            raise RefusalError(
                f"which observations depend on {names} changes with the data", names, "resample: --kind nonparametric"
            )
        other._mode = self._mode.on(self.density.objective(INTEGRAND, data))
        other._weighted = self.density.objective(self.elements.weights(self._weight), data)
        return other

    def with_weights(self, shares: Vector) -> MarginalLikelihood:
        """The weighted sum of `parts` instead of their sum; the integrals stay the same."""
        other = self.with_order(self.order)
        other._shares = shares
        return other

    def _by_laplace(self, group: NDArray[np.int64]) -> bool:
        """Whether the blocks of a group are integrated by Laplace, which draws may correct, and not by quadrature."""
        return self.order == 1 or group.shape[1] > QUADRATURE_DIMENSIONS

    def _by_draws(self, group: NDArray[np.int64]) -> bool:
        """Whether importance draws correct the Laplace approximation of a group."""
        return self.draws > 0 and group.shape[1] > QUADRATURE_DIMENSIONS

    def _nodes(self, size: int) -> tuple[NDArray[np.float64], Vector]:
        """Standardised nodes of a block and their log weights: Gauss-Hermite, or draws in pairs of opposite sign."""
        if size <= QUADRATURE_DIMENSIONS:
            return nodes_of(self.order, size)
        half = np.random.default_rng([self._seed, size]).standard_normal((self.draws // 2, size))
        return np.concatenate([half, -half]), np.full(2 * len(half), -np.log(2 * len(half)))

    @property
    def all_by_nodes(self) -> bool:
        """Whether every block is small enough for quadrature."""
        return all(group.shape[1] <= QUADRATURE_DIMENSIONS for group in self.structure.groups)

    # -- the conditional mode -------------------------------------------------------------------------------------

    def expand(self, theta: Vector) -> Expansion:
        """The conditional mode of the latent variables at these parameters, and the curvature there.

        Parameters
        ----------
        theta : ndarray, shape (p,)
            Coordinates of the parameters on z.

        Returns
        -------
        Expansion

        Raises
        ------
        NumericalError
            If the integrand has no peak there.
        """
        u, start = self.structure.coordinates, self._last.copy()
        start[self.chart.coordinates] = theta
        if not np.isfinite(self._mode.joint.value(start)):
            start[u] = self.density.space.start[u]
        try:
            return self._expanded(start)
        except NumericalError:  # the last place, or its scales, may be those of a theta far away
            self._mode.forget()
            start[u] = self.density.space.start[u]
            return self._expanded(start)

    def _expanded(self, start: Vector) -> Expansion:
        """The expansion that a climb from here leads to; raises `NumericalError` where there is no peak."""
        try:
            with np.errstate(all="ignore"):
                z, value, blocks = self._mode.climb(start)
            roots = tuple(np.linalg.cholesky(block) for block in blocks)
        except np.linalg.LinAlgError as error:
            raise NumericalError(
                "the density of the latent variables has no peak there", "latents", "use draws: study.posterior.draws()"
            ) from error
        self._last = z
        return Expansion(z, value, roots)

    # -- the integral ---------------------------------------------------------------------------------------------

    def value(self, theta: Vector) -> float:
        """L(theta), nats."""
        return self._integrated(theta, gradient=False)[0]

    def value_and_gradient(self, theta: Vector) -> tuple[float, Vector]:
        """L(theta), nats, and its gradient, shape ``(p,)``."""
        return self._integrated(theta, gradient=True)

    def parts(self, theta: Vector) -> Vector:
        """Log L of every block, then of every observation outside all blocks, nats; their sum is L(theta)."""
        with np.errstate(all="ignore"):
            return self._by_block(self.expand(theta), gradient=False)[0]

    def _integrated(self, theta: Vector, gradient: bool) -> tuple[float, Vector]:
        with np.errstate(all="ignore"):  # what is not finite is an error of its own below
            parts, slope = self._by_block(self.expand(theta), gradient)
            value = float(np.where(self._shares == 0.0, 0.0, self._shares * parts).sum())
        if np.isnan(value) or value == np.inf or not np.all(np.isfinite(slope)):
            raise NumericalError(f"the integral over the latent variables is {value}, slope {slope}", "latents")
        return value, slope

    def _by_block(self, at: Expansion, gradient: bool) -> tuple[Vector, Vector]:
        """The parts, each block by quadrature or by Laplace, and the gradient of their weighted sum."""
        p, blocks = self.chart.coordinates, self.structure.n_blocks
        block_of = self.structure.block_of_term
        outside, slope = block_of < 0, np.zeros(p.size)
        looked_at = outside.any() or any(self._by_laplace(group) for group in self.structure.groups)
        at_mode = self.elements(at.z[None])[0] if looked_at else np.zeros(block_of.size)
        parts = np.concatenate([np.zeros(blocks), at_mode[outside]])
        expanded = np.zeros(block_of.size)  # weights of terms whose gradient is taken at the mode
        expanded[outside] = self._shares[blocks:]
        determinants = at.log_determinants()
        for (numbers, group), root, log_det in zip(self.structure.numbered(), at.roots, determinants, strict=True):
            mine = (block_of >= numbers.start) & (block_of < numbers.stop)
            own, shares = block_of[mine] - numbers.start, self._shares[numbers]
            if self._by_laplace(group):
                sums = np.bincount(own, at_mode[mine], len(group))
                parts[numbers] = sums + 0.5 * (group.shape[1] * np.log(2 * np.pi) - log_det)
                if self._by_draws(group):
                    parts[numbers] = self._quadrature(at.z, numbers, group, root, log_det)[0]
                expanded[mine] = shares[own]
                continue
            parts[numbers], of_nodes, points = self._quadrature(at.z, numbers, group, root, log_det)
            if gradient:
                for of_node, point in zip(of_nodes, points, strict=True):
                    weight = np.zeros(block_of.size)
                    weight[mine] = (shares * of_node)[own]
                    slope += self._slope(point, weight)
        if gradient:
            slope += self._slope(at.z, expanded)
            slope += self._correction_slope(at)
        return parts, slope

    def _slope(self, z: Vector, weight: Vector) -> Vector:
        """Gradient over the parameters of the weighted sum of terms."""
        if not weight.any():
            return np.zeros(self.chart.coordinates.size)
        self._weight[:] = weight
        return self._weighted.value_and_gradient(z)[1][self.chart.coordinates]

    def _quadrature(
        self, z: Vector, numbers: slice, group: NDArray[np.int64], root: NDArray[np.float64], log_det: Vector
    ) -> tuple[Vector, NDArray[np.float64], NDArray[np.float64]]:
        """Log integral of every block of a group, the posterior weight of every node in every block, and the nodes."""
        x, log_weights = self._nodes(group.shape[1])
        inverse = np.linalg.inv(root)
        points = np.tile(z, (len(x), 1))
        # u = u-hat + H^(-1/2) x with H = R R': the factor is the transposed inverse of R.
        points[:, self.structure.coordinates[group]] += np.einsum("bji,qj->qbi", inverse, x)
        terms = self.elements(points)
        order, starts = self.structure.terms_of[numbers.start]
        sums = np.add.reduceat(terms[:, order], starts, axis=1)
        heights = sums + (log_weights + 0.5 * (x**2).sum(axis=1))[:, None]
        log_sums = np.logaddexp.reduce(heights, axis=0)
        log_integrals = log_sums + 0.5 * (group.shape[1] * np.log(2 * np.pi) - log_det)
        return log_integrals, np.exp(heights - log_sums), points

    def _correction(self, z: Vector) -> float:
        """What Laplace, and draws where there are any, add to log f at the mode: a sum over their blocks, nats."""
        total, block_of = 0.0, self.structure.block_of_term
        drawn = any(self._by_draws(group) for group in self.structure.groups)
        at_mode = self.elements(z[None])[0] if drawn else np.zeros(block_of.size)
        for block, (numbers, group) in zip(self._mode.information(z), self.structure.numbered(), strict=True):
            log_det = np.linalg.slogdet(block)[1]
            gain = 0.5 * (group.shape[1] * np.log(2 * np.pi) - log_det) * self._by_laplace(group)
            if self._by_draws(group):
                mine = (block_of >= numbers.start) & (block_of < numbers.stop)
                sums = np.bincount(block_of[mine] - numbers.start, at_mode[mine], len(group))
                gain = self._quadrature(z, numbers, group, np.linalg.cholesky(block), log_det)[0] - sums
            total += float(gain @ self._shares[numbers])
        return total

    def _correction_slope(self, at: Expansion) -> Vector:
        """Total derivative of `_correction` over the parameters, the latent variables following their mode."""
        p, u, slope = self.chart.coordinates, self.structure.coordinates, np.zeros(self.dimension)
        if not any(self._by_laplace(group) for group in self.structure.groups):
            return slope
        for k, coordinate in enumerate(p):
            cross = self._difference(at.z, np.eye(at.z.size)[coordinate], 1e-4 * max(1.0, abs(at.z[coordinate])))
            curvature = abs(cross[coordinate])
            direction = np.zeros_like(at.z)
            direction[coordinate] = 1.0
            for group, root in zip(self.structure.groups, at.roots, strict=True):
                half = np.linalg.solve(root, cross[u[group]][..., None])
                direction[u[group]] = np.linalg.solve(root.transpose(0, 2, 1), half)[..., 0]
            h = _CORRECTION_STEP / np.sqrt(curvature) if curvature > 0 else 1e-3
            slope[k] = sum(weight * self._correction(at.z + step * h * direction) for step, weight in STENCIL) / h
        return slope

    def _difference(self, z: Vector, direction: Vector, h: float) -> Vector:
        """Derivative of the gradient of log f along a direction of z."""
        slopes = [w * self._mode.joint.value_and_gradient(z + s * h * direction)[1] for s, w in STENCIL]
        return np.sum(slopes, axis=0) / h
