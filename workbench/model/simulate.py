"""Data that the model would produce at one theta: what a parametric bootstrap and an expectation over data need.

Every data set has a seed of its own, so that it is the same whoever draws it, in whatever order. Latent variables are
drawn anew with each of them; the parameters stay where they are put.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pymc as pm
import pytensor
from numpy.typing import NDArray
from pymc.pytensorf import compile as compile_graphs
from pymc.pytensorf import reseed_rngs
from pytensor.compile.mode import Mode
from pytensor.graph.traversal import ancestors

from workbench.errors import RefusalError
from workbench.model.compiled import without_compiler, without_traces
from workbench.model.constants import widened
from workbench.model.density import LogDensity

_INTERPRETED = Mode("py", "fast_compile")


class Simulator:
    """Draws data from p(y | theta).

    Parameters
    ----------
    density : LogDensity
    parameters : sequence of str
        Free variables that are held at given values; the others are drawn from their distributions.

    Raises
    ------
    RefusalError
        If there are no observed variables, a likelihood is a potential, a potential tilts what has to be drawn, or a
        distribution cannot be drawn from.
    """

    @without_traces()
    def __init__(self, density: LogDensity, parameters: Sequence[str]) -> None:
        model: pm.Model = density.model
        sided = [name for name, side in density.potentials.items() if side == "likelihood"]
        if sided or not model.observed_RVs:
            what = f"the potential {sided[0]} is part of the likelihood" if sided else "no variable is observed"
            raise RefusalError(
                f"data cannot be simulated: {what}", sided[0] if sided else "model",
                "write the likelihood as a distribution with `observed=`",
            )  # fmt: skip
        tilted = [name for name in density.latent_shapes if name not in density.latents]
        if tilted:
            raise RefusalError(
                f"data cannot be simulated: the potential {tilted[0]} changes the distribution of the latent variables",
                tilted[0], "write it as a distribution of the latent variables, or ask for the nonparametric kind",
            )  # fmt: skip
        self._model, self.names = model, tuple(rv.name for rv in model.observed_RVs)
        owners = [*model.basic_RVs, *model.deterministics]
        wide = dict(zip((rv.name for rv in owners), widened(owners), strict=True))
        outputs = [wide[name] for name in self.names]
        above = set(ancestors(outputs))
        self.inputs = tuple(name for name in parameters if wide[name] in above)
        # No two data sets share a state of the generators, so nothing has to be updated between calls.
        with without_compiler():
            self._function, updates = compile_graphs(
                [wide[name] for name in self.inputs],
                outputs,
                random_seed=False,
                return_updates=True,
                mode=_INTERPRETED,
            )
        self._generators = [v for v in updates if isinstance(v, pytensor.compile.sharedvalue.SharedVariable)]

    def __call__(self, theta: Mapping[str, NDArray], seed: Sequence[int]) -> dict[str, NDArray]:
        """One data set, by observed variable.

        Parameters
        ----------
        theta : mapping of str to ndarray
            Values of the parameters, in the model's own units.
        seed : sequence of int

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        RefusalError
            If a distribution cannot be drawn from.
        """
        reseed_rngs(self._generators, list(seed))
        try:
            with np.errstate(all="ignore"):
                arrays = self._function(*(np.asarray(theta[name]) for name in self.inputs))
        except (NotImplementedError, ArithmeticError, ValueError) as error:
            raise RefusalError(
                f"data cannot be simulated: {error}", ", ".join(self.names),
                "give the distribution a `random` method, or ask for the nonparametric kind",
            ) from error  # fmt: skip
        return dict(zip(self.names, map(np.array, arrays), strict=True))
