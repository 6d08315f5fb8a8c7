"""What data the fitted model would produce: the posterior predictive, and test quantities against the data.

For a test quantity T the posterior predictive p-value is Pr[T(y_rep) >= T(y)] over draws of y_rep (Gelman, Meng and
Stern 1996). Values near 0 or 1 say that the model does not reproduce that feature of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from pytensor.compile.mode import Mode

from workbench.check import Check
from workbench.errors import RefusalError
from workbench.model.anatomy import Anatomy, require
from workbench.model.censoring import look_at_limits
from workbench.model.compiled import without_compiler
from workbench.model.density import LogDensity
from workbench.prior.draws import quiet
from workbench.result import Result

_INTERPRETED = {"mode": Mode("py", "fast_compile")}
_EXTREME = 0.005  # a p-value this far out, on either side, is reported

QUANTITIES: dict[str, Callable[[NDArray], NDArray]] = {
    "mean": lambda y: y.mean(axis=-1),
    "sd": lambda y: y.std(axis=-1),
    "min": lambda y: y.min(axis=-1),
    "max": lambda y: y.max(axis=-1),
    "skewness": lambda y: _skewness(y),
}


def _skewness(y: NDArray) -> NDArray:
    deviation = y - y.mean(axis=-1, keepdims=True)
    scale = np.sqrt((deviation**2).mean(axis=-1))
    return (deviation**3).mean(axis=-1) / np.where(scale > 0, scale, 1.0) ** 3


def _dispersion(y: NDArray[np.float64], simulated: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Mean squared deviation of each observation from its own prediction, in units of its predictive variance.

    Near 1 if the model spreads its observations as the data are spread; it sees what the spread of raw values hides
    where observations differ in size. Pearson's chi-square over n, with moments from the replicates.
    """
    centre, variance = simulated.mean(axis=0), simulated.var(axis=0)
    moving = variance > 0
    if not moving.any():
        return 0.0, np.zeros(len(simulated))

    def score(data: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((data[..., moving] - centre[moving]) ** 2 / variance[moving]).mean(axis=-1)

    return float(score(y)), score(simulated)


@dataclass(frozen=True, repr=False, eq=False)
class Predictive(Result):
    """Replicated data and how they compare with the observed.

    Attributes
    ----------
    replicates : dict of str to ndarray, shape (m, *observations)
        Observed variable -> replicated data.
    observed : dict of str to ndarray, shape (*observations)
    quantities : tuple of str
        Names such as ``height: sd``.
    observed_values, mean, sd, p_value : ndarray, shape (q,)
        The quantity of the data; mean and standard deviation over replicates; Pr[T(y_rep) >= T(y)].
    """

    replicates: dict[str, NDArray]
    observed: dict[str, NDArray]
    quantities: tuple[str, ...]
    observed_values: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    p_value: NDArray[np.float64]
    title: ClassVar[str] = "posterior predictive check"
    apart: ClassVar[tuple[str, ...]] = ("replicates",)

    def table(self) -> pd.DataFrame:
        """One row a test quantity: data, replicates, p-value."""
        columns = {
            "observed": self.observed_values,
            "replicated mean": self.mean,
            "replicated sd": self.sd,
            "p_value": self.p_value,
        }
        return pd.DataFrame(columns, index=list(self.quantities))


def replicate(density: LogDensity, draws: xr.DataTree, count: int, seed: int) -> dict[str, NDArray]:
    """Data sets that the fitted model would produce.

    Parameters
    ----------
    density : LogDensity
    draws : xarray.DataTree
        Posterior draws.
    count : int
        Replicates; at most as many as there are draws, spread evenly over them.
    seed : int

    Returns
    -------
    dict of str to ndarray, shape (count, *observations)
    """
    held = [*density.space.names, *density.summed]
    posterior = draws["posterior"].to_dataset()[held]
    stacked = posterior.stack(sample=("chain", "draw")).transpose("sample", ...)
    total = stacked.sizes["sample"]
    chosen = np.linspace(0, total - 1, min(count, total)).astype(int)
    picked = stacked.isel(sample=chosen).drop_vars(["sample", "chain", "draw"])
    single = picked.rename(sample="draw").expand_dims("chain")
    with quiet(), without_compiler():
        tree = pm.sample_posterior_predictive(
            xr.DataTree.from_dict({"posterior": single}),
            model=density.model,
            random_seed=seed,
            var_names=list(density.symbolic.observed),  # without what PyMC derives, such as data with imputed values
            freeze_vars=held,  # as drawn, also under `pm.do`, whose data PyMC takes for changed ones
            progressbar=False,
            compile_kwargs=_INTERPRETED,
        )
    return {name: array.values[0] for name, array in tree["posterior_predictive"].data_vars.items()}


def check_predictive(density: LogDensity, anatomy: Anatomy, draws: xr.DataTree, count: int, seed: int) -> Predictive:
    """Replicated data sets, and test quantities of the data among those of the replicates.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    draws : xarray.DataTree
        Posterior draws.
    count : int
        Replicates.
    seed : int

    Returns
    -------
    Predictive

    Raises
    ------
    RefusalError
        If the model has no observed variable, or one that cannot be drawn from.

    References
    ----------
    Gelman, A., Meng, X.-L. and Stern, H. (1996). Posterior predictive assessment of model fitness.
    """
    require(anatomy, "posterior predictive")
    try:
        replicates = replicate(density, draws, count, seed)
    except (NotImplementedError, ArithmeticError, ValueError) as error:
        raise RefusalError(
            f"the data cannot be replicated: {(str(error).splitlines() or [type(error).__name__])[0]}",
            ", ".join(density.symbolic.observed),
            "give the distribution a `random` method",
        ) from error
    names, rows = [], []
    for name, data in density.symbolic.observed.items():
        y, simulated = np.ravel(data), replicates[name].reshape(len(replicates[name]), -1)
        for quantity, function in QUANTITIES.items():
            if y.size < 3 and quantity != "mean":
                continue
            value, distribution = float(function(y.astype(float))), function(simulated.astype(float))
            above = (np.sum(distribution > value) + 0.5 * np.sum(distribution == value)) / len(distribution)
            names.append(f"{name}: {quantity}")
            rows.append((value, distribution.mean(), distribution.std(), above))
        if y.size >= 3:
            value, distribution = _dispersion(y.astype(float), simulated.astype(float))
            above = (np.sum(distribution > value) + 0.5 * np.sum(distribution == value)) / len(distribution)
            names.append(f"{name}: dispersion")
            rows.append((value, distribution.mean(), distribution.std(), above))
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    extreme = [n for n, p in zip(names, table[:, 3], strict=True) if not _EXTREME < p < 1 - _EXTREME]
    if extreme:
        message = f"the data are extreme among replicates in {', '.join(extreme)}"
        check = Check(
            "replicated-data", "caution", message, "the model misses this feature: extend it before you conclude"
        )
    else:
        check = Check("replicated-data", "ok", f"the data lie among the replicates in all {len(names)} quantities")
    return Predictive(
        (check, *look_at_limits(density)),
        replicates,
        dict(density.symbolic.observed),
        tuple(names),
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3],
    )
