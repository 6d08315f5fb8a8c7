"""From the unit cube to the prior: theta = F^-1(u) variable by variable, as nested sampling needs it.

If u is uniform in (0, 1)^d and F_v is the distribution function of the prior of v, then theta_v = F_v^-1(u_v) is a draw
from the prior. This works where the variables are independent and each has a quantile function of its own.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.basic import icdf
from pytensor.graph.basic import Variable

from workbench.errors import RefusalError
from workbench.model.compiled import batched, without_traces
from workbench.model.constants import widened
from workbench.model.density import LogDensity
from workbench.model.proper import prior_forms
from workbench.model.roles import parents_of

_INSIDE = 1e-15  # from the faces of the cube: a quantile of 0 or 1 may be infinite


class PriorQuantiles:
    """The map from the unit cube to z under which a uniform point becomes a draw from the prior.

    Parameters
    ----------
    density : LogDensity

    Raises
    ------
    RefusalError
        If a variable depends on another one, is not made of independent elements, has no quantile function, or is
        changed by a potential or a transformation.
    """

    def __init__(self, density: LogDensity) -> None:
        self._space = density.space
        tilted = [name for name, side in density.potentials.items() if side == "prior"]
        if tilted:
            raise _refusal(tilted[0], f"the potential {tilted[0]!r} is part of the prior")
        forms, parents = prior_forms(density.model), parents_of(density.model)
        graphs = []
        unit = pt.TensorType("float64", shape=(self._space.dimension,))("u")
        for rv in density.model.free_RVs:
            name, form = rv.name, forms[rv.name]
            if parents[name]:
                raise _refusal(name, f"the prior of {name} depends on {', '.join(parents[name])}")
            if form.kind in ("cut", "improper") or not form.elementwise:
                raise _refusal(name, form.why or f"the elements of {name} are not independent")
            part = unit[self._space.blocks[name]].reshape(self._space.block_shapes[name])
            graphs.append(_on_z(rv, density.model.rvs_to_transforms.get(rv), part).ravel())
        self._unit, self._z = unit, pt.concatenate(graphs)

    @cached_property
    def _call(self) -> Any:
        return batched(self._unit, [self._z])

    def __call__(self, unit: NDArray[np.float64]) -> NDArray[np.float64]:
        """The points z of points in the cube.

        Parameters
        ----------
        unit : ndarray, shape (m, d)
            In [0, 1].

        Returns
        -------
        ndarray, shape (m, d)
        """
        return self._call(np.clip(np.atleast_2d(unit), _INSIDE, 1.0 - _INSIDE))[0]


@without_traces()
def _on_z(rv: Variable, transform: Any, unit: Variable) -> Variable:
    """The quantiles of one variable at its part of the cube, on z."""
    wide = widened([rv])[0]
    try:
        theta = icdf(wide, unit, warn_rvs=False)
    except NotImplementedError as error:
        raise _refusal(rv.name, f"the prior of {rv.name} has no quantile function in PyMC") from error
    return widened([theta if transform is None else transform.forward(theta, *wide.owner.inputs)])[0]


def _refusal(name: str, why: str) -> RefusalError:
    return RefusalError(
        f"evidence nested is refused: {why}, and nested sampling starts from independent quantiles", name,
        "use study.evidence.bridge() and .tempering(), which need none",
    )  # fmt: skip
