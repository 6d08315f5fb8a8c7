"""The likelihood of the parameters alone, with latent variables integrated out.

    L(theta) = log of the integral of p(y given u, theta) p(u given theta) du

The integral falls into blocks of latent coordinates that share no term (`workbench.model.elements`). Each block is
expanded around its conditional mode u-hat(theta) with information H:

* one or two dimensions: adaptive Gauss-Hermite quadrature (Liu and Pierce 1994), nodes u-hat + H^(-1/2) x. The gradient
  is Fisher's identity, dL/dtheta = E[d log f/dtheta given y, theta], with the weights of the same nodes;
* more: Laplace, log f(u-hat) + s/2 log 2 pi - 1/2 log det H, with the gradient

      dL/dtheta = d log f/dtheta - 1/2 tr(H^-1 dH),   dH along (d u-hat/dtheta, 1),

  where d u-hat/dtheta = H^-1 d2 log f/du dtheta by the implicit function theorem (Kristensen et al. 2016).
  Nodes inside nodes, or importance draws of the normal approximation, check and correct it
  (`workbench.likelihood.nested`). They are the same at every theta, so what they add is smooth, and nothing where
  Laplace is exact; Fisher's identity would bring the whole noise of draws into the gradient.

Every derivative comes from the one compiled gradient of the density: H from differences of it that move all blocks at
once, so nothing is compiled for the integral.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError, RefusalError
from workbench.likelihood.conditional_mode import STENCIL, ConditionalMode, Expansion
from workbench.likelihood.nested import FINEST, LARGE, Nest, nest_of
from workbench.likelihood.nodes import Nodes
from workbench.likelihood.third_derivative import contracted, moves_of_blocks, moves_of_colours, stretched
from workbench.model.chart import Chart, chart_without
from workbench.model.density import INTEGRAND, LogDensity
from workbench.model.elements import Elements, Structure, find_structure
from workbench.numerics.objective import Vector
from workbench.numerics.quadrature import nodes_of

_MODE_STEP = 1e-2  # of the conditional standard deviations: a difference of the gradient along the latents


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
        self.nest: Nest | None = None
        self.chart: Chart = chart_without(density, density.latents)
        self.elements = Elements(density)
        joint = density.objective(INTEGRAND)
        self.structure: Structure = find_structure(density, self.elements, joint)
        self._mode = ConditionalMode(joint, self.structure)
        self._weight = np.zeros(self.elements.count)  # what `_weighted` reads; written anew before every use
        self._weighted = density.objective(self.elements.weights(self._weight))
        self._transformed = any(name in density.symbolic.log_jacobian for name in density.latents)
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

    def with_draws(self, draws: int, seed: int, order: int = FINEST) -> MarginalLikelihood:
        """The same integral with nodes inside nodes, or draws, where Laplace was used; the same at every theta.

        Draws are as many as said, or none for Laplace; `order` is that of nodes inside nodes, at most 15.
        """
        other = self.with_order(self.order)
        other.nest = nest_of(self.structure, draws, seed, order, self._transformed) if draws else None
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

    def _by_laplace(self, group: NDArray[np.int64], at: Expansion) -> bool:
        """Whether the blocks of a group are integrated by Laplace, which draws may correct, and not by quadrature.

        Where log f is a parabola in the latent coordinates nodes would give the same.
        """
        return self.order == 1 or group.shape[1] > LARGE or at.straight

    def _by_draws(self, group: NDArray[np.int64]) -> bool:
        """Whether nodes inside nodes or draws correct the Laplace approximation of a group."""
        return self.nest is not None and group.shape[1] > LARGE

    @property
    def all_by_nodes(self) -> bool:
        """Whether every block is small enough for quadrature."""
        return all(group.shape[1] <= LARGE for group in self.structure.groups)

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

    def expand_from(self, theta: Vector, start: Vector) -> Expansion:
        """The same with the search begun at the latent coordinates of a point z, shape ``(d,)``; raises as `expand`."""
        other = self.with_order(self.order)
        other._mode.forget()
        return other._expanded(self.chart.z(theta[None], start)[0])

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
        return Expansion(z, value, roots, self._mode.straight)

    # -- the integral ---------------------------------------------------------------------------------------------

    def value(self, theta: Vector) -> float:
        """L(theta), nats."""
        return self._integrated(theta, gradient=False)[0]

    def value_and_gradient(self, theta: Vector) -> tuple[float, Vector]:
        """L(theta), nats, and its gradient, shape ``(p,)``."""
        return self._integrated(theta, gradient=True)

    def parts(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log L of every block, then of every observation outside all blocks, at many theta; each row sums to L(theta).

        Parameters
        ----------
        points : ndarray, shape (m, p)

        Returns
        -------
        ndarray, shape (m, number of parts)
            Nats.
        """
        with np.errstate(all="ignore"):
            places = [self.expand(theta) for theta in points]
            terms = self.elements(np.stack([at.z for at in places]))
            return np.stack(
                [self._by_block(at, here, gradient=False)[0] for at, here in zip(places, terms, strict=True)]
            )

    def effective_draws(self, theta: Vector) -> float:
        """The smallest number of equally weighted draws that an average over the draws of a block is worth."""
        with np.errstate(all="ignore"):
            draws = self._draws_around(self.expand(theta))
        return np.inf if draws is None or self.nest is None else self.nest.effective(draws.weights)

    def _integrated(self, theta: Vector, gradient: bool) -> tuple[float, Vector]:
        with np.errstate(all="ignore"):  # what is not finite is an error of its own below
            at, groups = self.expand(theta), self.structure.groups
            laplace = [self._by_laplace(group, at) for group in groups]
            # Where every term enters at the mode and with the weight 1 their sum there is enough, which is known.
            whole = all(laplace) and bool(np.all(self._shares == 1.0)) and not any(map(self._by_draws, groups))
            read = not whole and (any(laplace) or self._shares.size > self.structure.n_blocks)
            at_mode = self.elements(at.z[None])[0] if read else np.zeros(self.elements.count)
            parts, slope = self._by_block(at, at_mode, gradient)
            value = float(np.where(self._shares == 0.0, 0.0, self._shares * parts).sum()) + at.value * whole
        if np.isnan(value) or value == np.inf or not np.all(np.isfinite(slope)):
            raise NumericalError(
                f"the integral over the latent variables is {value}, slope {slope}", "latents",
                "use draws: study.posterior.draws()",
            )  # fmt: skip
        return value, slope

    def _by_block(self, at: Expansion, at_mode: Vector, gradient: bool) -> tuple[Vector, Vector]:
        """The parts, each block by quadrature or by Laplace, and the gradient of their weighted sum.

        `at_mode` holds the terms at the mode, shape ``(T,)``.
        """
        p, blocks = self.chart.coordinates, self.structure.n_blocks
        block_of = self.structure.block_of_term
        outside, slope = block_of < 0, np.zeros(at.z.size)
        parts = np.concatenate([np.zeros(blocks), at_mode[outside]])
        expanded = np.zeros(block_of.size)  # weights of terms whose gradient is taken at the mode
        expanded[outside] = self._shares[blocks:]
        resting = np.zeros(blocks)
        middles, determinants = [], at.log_determinants()
        draws = self._draws_around(at)
        moved = self._slopes_nested(draws) if gradient and draws is not None else np.zeros((0, at.z.size))
        slope[p] += moved[:, p].sum(axis=0)
        for (numbers, group), root, log_det in zip(self.structure.numbered(), at.roots, determinants, strict=True):
            mine, shares = (block_of >= numbers.start) & (block_of < numbers.stop), self._shares[numbers]
            parts[numbers] = 0.5 * (group.shape[1] * np.log(2 * np.pi) - log_det)
            drawn = self._by_draws(group)
            middles.append(shares * self._by_laplace(group, at))
            if self._by_laplace(group, at) and not drawn:
                parts[numbers] += np.bincount(block_of[mine] - numbers.start, at_mode[mine], len(group))
                expanded[mine] = shares[block_of[mine] - numbers.start]
                resting[numbers] = shares
                continue
            if draws is not None and drawn:
                parts[numbers] += draws.log_average[numbers]
                if gradient:  # draws are few: what they say moves with their places, which follow mode and H
                    here = moved[:, self.structure.coordinates[group]]
                    slope[self.structure.coordinates[group]] = here.sum(axis=0)
                    middles[-1] = stretched(shares, here, draws.x[:, group], root)
                continue
            nodes = self._nodes_around(at.z, numbers, group, root)
            parts[numbers] += nodes.log_average
            if gradient:
                slope[p] += self._slopes_at(nodes, numbers)[:, p].sum(axis=0)
        if gradient:
            slope[p] += self._slope(at.z, expanded)
            # Along the latent coordinates it is what rounding left at the mode, whose first order the mode then undoes.
            slope[self.structure.coordinates] += self._gradients(at.z[None], resting)[0, self.structure.coordinates]
            slope[p] += self._following(at, slope, middles)
        return parts, slope[p]

    def _slope(self, z: Vector, weight: Vector) -> Vector:
        """Gradient over the parameters of the weighted sum of terms."""
        if not weight.any():
            return np.zeros(self.chart.coordinates.size)
        self._weight[:] = weight
        return self._weighted.value_and_gradient(z)[1][self.chart.coordinates]

    def _gradients(self, points: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gradients over z of log f with a weight for every block and none outside, shape ``(m, d)``.

        Weights have the shape ``(B,)``, or ``(m, B)`` where each point has its own.
        """
        structure = self.structure
        inside = structure.block_of_term >= 0
        return self._summed(
            points, weights[..., structure.block_of_term[inside]], weights[..., structure.block_of_position]
        )

    def _summed(self, points: NDArray[np.float64], own: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray:
        """The same with a weight for every term of a block, and for the Jacobian of every latent coordinate."""
        u, inside = self.structure.coordinates, self.structure.block_of_term >= 0
        self._weight[:] = 0.0
        if own.ndim == 1:
            self._weight[inside] = own
            found = self._weighted.sweep(points)[1]
        else:
            found = np.empty(points.shape)
            for k, point in enumerate(points):
                self._weight[inside] = own[k]
                found[k] = self._weighted.sweep(point[None])[1][0]
        if self._transformed:  # the Jacobians of the latent variables have the weight 1 whatever their terms have
            self._weight[:] = 0.0
            found[:, u] += (at - 1.0) * self._weighted.sweep(points)[1][:, u]
        return found

    def _nodes_around(self, z: Vector, numbers: slice, group: NDArray[np.int64], root: NDArray[np.float64]) -> Nodes:
        """Nodes in every block of a group, and what its terms say at them."""
        x, log_weights = nodes_of(self.order, group.shape[1])
        points = np.tile(z, (len(x), 1))
        self._place(points, group, root, x[:, None])
        order, starts = self.structure.terms_of[numbers.start]
        sums = np.add.reduceat(self.elements(points)[:, order], starts, axis=1)
        heights = sums + (log_weights + 0.5 * (x**2).sum(axis=1))[:, None]
        log_average = np.logaddexp.reduce(heights, axis=0)
        return Nodes(x, points, log_average, np.exp(heights - log_average), None)

    def _place(
        self, points: NDArray[np.float64], group: NDArray[np.int64], root: NDArray[np.float64], x: NDArray[np.float64]
    ) -> None:
        """Move the blocks of a group away from their modes at many points at once."""
        # u = u-hat + H^(-1/2) x with H = R R': the factor is the transposed inverse of R.
        points[:, self.structure.coordinates[group]] += np.einsum("bji,qbj->qbi", np.linalg.inv(root), x)

    def _draws_around(self, at: Expansion) -> Nodes | None:
        """Nodes inside nodes or draws, of all blocks of groups that need them at once; None where there is none.

        Blocks share no term, so that each may move while the others do; each has draws of its own, or their errors
        would add up. Log averages have a number for every block, weights one for every latent coordinate.
        """
        groups = [part for part in zip(self.structure.groups, at.roots, strict=True) if self._by_draws(part[0])]
        if not groups or self.nest is None:
            return None
        x, large = self.nest.x, np.zeros(self.structure.coordinates.size, dtype=bool)
        points = np.tile(at.z, (len(x), 1))
        for group, root in groups:
            self._place(points, group, root, x[:, group])
            large[group] = True
        gradients = None
        if self.structure.n_blocks == 1 and not self.nest.levels:  # one sum of terms: the compiled one is faster
            self._weight[:] = self.structure.block_of_term == 0
            values, gradients = self._weighted.sweep(points)
            sums = np.where(np.arange(large.size) == 0, values[:, None], 0.0)
        else:
            sums = self.nest.owned(self.elements, points)
        averages, weights = self.nest.averages(sums)
        return Nodes(x, points, averages, np.where(large, weights, 0.0), gradients)

    def _slopes_nested(self, draws: Nodes) -> NDArray[np.float64]:
        """Gradients over z of the terms of all blocks by posterior weight and share, shape ``(q, d)``."""
        weights = draws.weights * self._shares[self.structure.block_of_position]
        if draws.gradients is not None:
            return np.where(weights[:, :1] > 0, weights[:, :1] * draws.gradients, 0.0)
        owner = self.structure.owner_of_term
        return self._summed(draws.points, weights[:, owner[owner >= 0]], weights)

    def _slopes_at(self, nodes: Nodes, numbers: slice) -> NDArray[np.float64]:
        """Gradients over z of the terms of a group at its nodes, by posterior weight and share, shape ``(q, d)``."""
        weights = nodes.weights * self._shares[numbers]
        spread = np.zeros((len(weights), self.structure.n_blocks))
        spread[:, numbers] = weights
        return self._gradients(nodes.points, spread)

    def _following(self, at: Expansion, slope: Vector, middles: list[NDArray[np.float64]]) -> Vector:
        """What the gradient gains because H moves with theta and z, and the conditional mode with theta.

        `slope` holds the slopes along the latent coordinates with H as it is.
        """
        p, u, structure = self.chart.coordinates, self.structure.coordinates, self.structure
        if not any(self._by_laplace(group, at) for group in structure.groups):
            return np.zeros(p.size)
        factors = [np.linalg.inv(root).transpose(0, 2, 1) for root in at.roots]
        few = 2 * len(structure.colours) < max(group.shape[1] for group in structure.groups)
        plain = all(middle.ndim == 1 for middle in middles)
        moves = (moves_of_colours if few and plain else moves_of_blocks)(structure, factors, middles)
        found = 0.5 * contracted(self._gradients, structure.coordinates, at.z, moves, at.straight)
        pull, direction, scale = slope + found, np.zeros(at.z.size), np.ones(at.z.size)
        for group, factor in zip(structure.groups, factors, strict=True):
            direction[u[group]] = np.einsum("bij,bkj,bk->bi", factor, factor, pull[u[group]])
            scale[u[group]] = np.sqrt(np.sum(factor**2, axis=2))
        length = float(np.max(np.abs(direction) / scale))
        if length > 0:  # the mode moves by H^-1 d2 log f/du dtheta
            h = _MODE_STEP / length
            slopes = [w * self._mode.joint.value_and_gradient(at.z + k * h * direction)[1] for k, w in STENCIL]
            found += np.sum(slopes, axis=0) / h
        return found[p]
