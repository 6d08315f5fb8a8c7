"""The independent parts of a likelihood: what can be drawn again, and whose scores show how theta-hat would vary.

    log L(theta) = sum_u log L_u(theta)

Without latent variables the units are the observations. With latent variables integrated out, observations that share
one are dependent, and the unit is a block: latent values with every observation that they enter
(`workbench.model.elements`), such as a group effect with its group. An observation that no latent variable enters is
a unit of its own. Observations that share a discrete variable which was summed out, such as a change point, are
dependent too, and a unit together. A bootstrap then draws blocks (the cluster bootstrap), and a sandwich is made of
their scores (it is cluster-robust).

Units that share a variable are alike and lie in one urn; each urn is drawn from by itself, so that two samples keep
their sizes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from workbench.check import Check
from workbench.errors import RefusalError
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.problem import Problem
from workbench.model.observations import Observations, scores_along, together_of
from workbench.model.program import Weights
from workbench.numerics.objective import Objective, Vector

FEWEST_BLOCKS = 5  # with four, one resample in 64 is a single block four times over
_MANY = 30  # blocks: with fewer, cluster-robust errors are too small (Cameron, Gelbach and Miller 2008)


@dataclass(frozen=True)
class Units(ABC):
    """The independent units of a likelihood, in a fixed order.

    Attributes
    ----------
    problem : Problem
    urns : dict of str to ndarray of int
        Names of the variables that units share -> their places among all units.
    """

    problem: Problem
    urns: dict[str, NDArray[np.int64]]
    least: ClassVar[int]  # units an urn must hold to be drawn from
    remedy: ClassVar[str] = "give the observations one by one, or ask for the parametric kind"

    @property
    def count(self) -> int:
        """The number n of units."""
        return sum(urn.size for urn in self.urns.values())

    @property
    @abstractmethod
    def text(self) -> str:
        """What a unit is, in words."""

    @property
    @abstractmethod
    def checks(self) -> tuple[Check, ...]:
        """Whether there are enough of them."""

    @property
    @abstractmethod
    def alone(self) -> str:
        """Why so few units have no scores to compare."""

    @abstractmethod
    def too_few(self, name: str) -> str:
        """Why an urn that holds too few units says nothing of how they vary."""

    @abstractmethod
    def weighted(self, weights: Vector) -> Objective:
        """The weighted sum of log L_u over x, nats; weights of shape ``(n,)``."""

    @abstractmethod
    def along(
        self, x: Vector, directions: NDArray[np.float64], data: Mapping[str, NDArray] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and curvatures of every unit along directions of x, each of shape ``(n, q)``.

        Parameters
        ----------
        x : ndarray, shape (p,)
        directions : ndarray, shape (q, p)
            Each about as long as a standard error.
        data : mapping of str to ndarray, optional
            Other observations of the same shape.
        """


class ObservationUnits(Units):
    """Every observation is a unit: an element, or a vector of a multivariate likelihood."""

    least: ClassVar[int] = 2

    @property
    def text(self) -> str:
        """What a unit is."""
        return "an observation"

    @property
    def checks(self) -> tuple[Check, ...]:
        """Everybody sees how many observations there are."""
        return ()

    @property
    def alone(self) -> str:
        """Why one observation has no scores."""
        return "there is one log likelihood term, and its score is zero at the maximum"

    def too_few(self, name: str) -> str:
        """Why one observation is not enough."""
        return f"{name} has one log likelihood term, so there is nothing to draw from"

    def weighted(self, weights: Vector) -> Objective:
        """The likelihood with a weight for every observation."""
        density, position, given = self.problem.density, 0, {}
        for name, shape in density.likelihood_shapes.items():
            size = int(np.prod(shape))
            given[name] = weights[position : position + size].reshape(shape)
            position += size
        return density.objective(Weights(prior=0.0, jacobian=0.0, likelihood=given))

    @cached_property
    def _observations(self) -> Observations:
        return Observations(self.problem.density)

    def along(
        self, x: Vector, directions: NDArray[np.float64], data: Mapping[str, NDArray] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and curvatures of every observation."""
        chart = self.problem.chart
        on_z = np.zeros((len(directions), chart.space.dimension))
        on_z[:, chart.coordinates] = directions
        return self._observations.along(chart.z(x)[0], on_z, data)


class SharingUnits(ObservationUnits):
    """Observations that share a discrete variable which was summed out are dependent: together they are a unit."""

    least: ClassVar[int] = FEWEST_BLOCKS
    remedy: ClassVar[str] = "ask for the parametric bootstrap, or the profile likelihood"

    @property
    def text(self) -> str:
        """What a unit is."""
        return f"all observations that share {self._shared}"

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether there are enough of them to see how they vary."""
        return _enough(min(urn.size for urn in self.urns.values()), f"sets of observations that share {self._shared}")

    @property
    def alone(self) -> str:
        """Why so few have no scores."""
        return self.too_few(next(iter(self.urns)))

    def too_few(self, name: str) -> str:
        """Why so few are not enough."""
        return (
            f"observations of {name} that share {self._shared} are dependent, which leaves "
            f"{self.urns[name].size} independent units; fewer than {FEWEST_BLOCKS} do not show how units vary"
        )

    @property
    def _shared(self) -> str:
        return ", ".join(self.problem.density.summed)


def _enough(few: int, of_what: str) -> tuple[Check, ...]:
    """Whether there are enough units for errors from how they vary."""
    message = f"{few} independent {of_what}"
    if few >= _MANY:
        return (Check("blocks-enough", "ok", message),)
    fix = "errors from so few are too small: quote the profile likelihood, or collect more groups"
    return (Check("blocks-enough", "caution", f"only {message}", fix),)


class BlockUnits(Units):
    """Blocks of latent values with their observations, and observations outside all blocks."""

    least: ClassVar[int] = FEWEST_BLOCKS

    @cached_property
    def _marginal(self) -> MarginalLikelihood:
        marginal = self.problem.objective
        assert isinstance(marginal, MarginalLikelihood)
        return marginal

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """The place of every unit among the parts of the integral: those blocks that hold an observation come first."""
        n_blocks, block_of = self._marginal.structure.n_blocks, _blocks_of_observations(self._marginal)
        held = np.unique(block_of[block_of >= 0])
        return np.concatenate([held, n_blocks + np.arange(np.sum(block_of < 0))])

    @property
    def text(self) -> str:
        """What a unit is."""
        return f"a block of {', '.join(self.problem.density.latents)} with all its observations"

    @property
    def checks(self) -> tuple[Check, ...]:
        """Whether there are enough blocks to see how they vary."""
        return _enough(
            min(urn.size for urn in self.urns.values()), "blocks of latent variables with their observations"
        )

    @property
    def alone(self) -> str:
        """Why a few blocks have no scores."""
        return self.too_few(next(iter(self.urns)))

    def too_few(self, name: str) -> str:
        """Why a few blocks are not enough."""
        size = self.urns[name].size
        if size == 1:
            return f"all observations of {name} depend on common latent variables, so there is one block"
        return f"there are {size} independent blocks of {name}; fewer than {FEWEST_BLOCKS} do not show how blocks vary"

    def weighted(self, weights: Vector) -> Objective:
        """The integrated likelihood with a weight for every block."""
        n_blocks = self._marginal.structure.n_blocks
        shares = np.ones(n_blocks + int(np.sum(self._marginal.structure.block_of_term < 0)))
        shares[self._places] = weights
        return self._marginal.with_weights(shares)

    def along(
        self, x: Vector, directions: NDArray[np.float64], data: Mapping[str, NDArray] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores and curvatures of every block."""
        marginal = self._marginal if data is None else self._marginal.with_data(data)
        return scores_along(lambda points: marginal.parts(points)[:, self._places], x, directions)


def _blocks_of_observations(marginal: MarginalLikelihood) -> NDArray[np.int64]:
    """The block of every observation; -1 outside all blocks."""
    last = max(place.stop for place in marginal.elements.observations.values())
    return marginal.structure.block_of_term[:last]


def _urns_of_blocks(marginal: MarginalLikelihood) -> dict[str, NDArray[np.int64]]:
    """Which units share a variable, latent or observed, directly or through others."""
    structure, density = marginal.structure, marginal.density
    block_of = _blocks_of_observations(marginal)
    held = np.unique(block_of[block_of >= 0])
    unit_of_block = np.full(structure.n_blocks, -1)
    unit_of_block[held] = np.arange(held.size)
    outside = block_of < 0
    unit_of = np.where(outside, held.size + np.cumsum(outside) - 1, unit_of_block[block_of])
    names: list[str] = []
    units, variables = [], []
    for name, place in marginal.elements.observations.items():
        units.append(unit_of[place])
        variables.append(np.full(units[-1].size, len(names)))
        names.append(name)
    position = 0
    for name in density.latents:
        size = density.space.blocks[name].stop - density.space.blocks[name].start
        found = unit_of_block[structure.block_of_position[position : position + size]]
        position += size
        units.append(found[found >= 0])
        variables.append(np.full(units[-1].size, len(names)))
        names.append(name)
    rows, columns = np.concatenate(units), np.concatenate(variables)
    enters = sparse.csr_matrix((np.ones(rows.size), (rows, columns)), (held.size + int(outside.sum()), len(names)))
    number, urn_of = csgraph.connected_components(enters.T @ enters, directed=False)
    of_unit = urn_of[np.asarray(enters.argmax(axis=1)).ravel()]
    urns = {}
    for k in range(number):
        members = np.flatnonzero(of_unit == k)
        if members.size:
            urns[", ".join(name for name, urn in zip(names, urn_of, strict=True) if urn == k)] = members
    return urns


def independent_units(problem: Problem) -> Units:
    """The independent units of a likelihood.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    Units

    Raises
    ------
    RefusalError
        If a potential is part of the likelihood: it is one number for all observations.

    References
    ----------
    Cameron, A. C., Gelbach, J. B. and Miller, D. L. (2008). Bootstrap-based improvements for inference with clustered
    errors. doi:10.1162/rest.90.3.414
    """
    density = problem.density
    sided = [name for name, side in density.potentials.items() if side == "likelihood"]
    if sided:
        what = f"the potential {sided[0]} is one number: it cannot be shared out to observations"
        raise RefusalError(what, sided[0], "write the likelihood as a distribution with `observed=`")
    if isinstance(problem.objective, MarginalLikelihood):
        return BlockUnits(problem, _urns_of_blocks(problem.objective))
    urns, position = {}, 0
    for name, shape in density.likelihood_shapes.items():
        size = int(np.prod(shape))
        urns[name] = np.arange(position, position + size)
        position += size
    sharing = any(together_of(density, name) for name in urns)
    return SharingUnits(problem, urns) if sharing else ObservationUnits(problem, urns)
