"""NUTS on the compiled density: nutpie called with the C function that everything else uses.

Nutpie (Seyboldt and others) is the sampler; this file only hands it a density. It builds nutpie's own
`CompiledPyMCModel` from two C functions: the density of `workbench.model.compiled`, and one that copies z, since
theta is computed from all draws at once afterwards. Where nutpie has changed so that this no longer fits, the model
is compiled by nutpie itself instead; both ways draw from the same density.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.density import NativeObjective

Progress = Callable[[str, int, int], None]

# nutpie's names of the sample statistics -> the names of the ArviZ schema, by which az.diagnose looks for them.
_STATISTICS = {
    "diverging": "diverging",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "logp": "lp",
    "mean_tree_accept": "acceptance_rate",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "energy": "energy",
}


class IncompatibleSampler(NumericalError):
    """The installed nutpie cannot be handed a compiled density; let it compile the model itself."""


@dataclass(frozen=True)
class NutsDraws:
    """Draws on z and the sampler's statistics.

    Attributes
    ----------
    z : ndarray, shape (chains, draws, d)
    statistics : dict of str to ndarray, shape (chains, draws)
        Under the names of the ArviZ schema.
    """

    z: NDArray[np.float64]
    statistics: dict[str, NDArray]


@functools.cache
def _copy_function() -> Any:
    """A C function that copies z: nutpie's *expand* when there is nothing to expand."""
    import numba
    from pytensor.link.numba.cache import compile_numba_function_src

    source = (
        "def copy_z(d, expanded, z_, out_, inputs_):\n"
        "    if d != expanded: return -1\n"
        "    z = numba.carray(z_, (d,))\n"
        "    out = numba.carray(out_, (d,))\n"
        "    for i in range(d):\n"
        "        out[i] = z[i]\n"
        "    return 0\n"
    )
    scope = {"numba": numba, "__name__": __name__}
    function = compile_numba_function_src(source, "copy_z", scope, cache_key=f"workbench-copy-z-{numba.__version__}")
    pointer = numba.types.CPointer(numba.types.double)
    sizes = numba.types.uint64
    return numba.cfunc(numba.types.int64(sizes, sizes, pointer, pointer, numba.types.voidptr), cache=True)(function)


def _around(start: NDArray[np.float64]) -> Callable[[Any], NDArray[np.float64]]:
    """Starting points for the chains: the model's own plus uniform jitter in (-1, 1), as PyMC does it."""

    def point(seed: Any = None) -> NDArray[np.float64]:
        return start + np.random.default_rng(seed).uniform(-1.0, 1.0, size=start.size)

    return point


def _from_density(objective: NativeObjective, start: NDArray[np.float64]) -> Any:
    """Nutpie's compiled model around the C function of an objective."""
    d = objective.dimension
    try:
        from nutpie.compile_pymc import CompiledPyMCModel
    except ImportError as error:
        raise IncompatibleSampler(f"nutpie has no CompiledPyMCModel: {error}", "nutpie") from error
    arguments: dict[str, Any] = dict(
        _n_dim=d,
        dims={},
        _coords={},
        _shapes={"z": (d,)},
        compiled_logp_func=objective.function,
        compiled_expand_func=_copy_function(),
        initial_point_func=_around(start),
        shared_data={},
        shared_var_keys={},
        user_data=objective.table,
        n_expanded=d,
        shape_info=(["z"], [slice(0, d)], [(d,)]),
        logp_func=objective,  # not called: kept so that the arrays behind the pointer table stay alive
        expand_func=None,
        reparameterized_names=[],
    )
    try:
        return CompiledPyMCModel(**arguments)
    except TypeError as error:
        raise IncompatibleSampler(f"nutpie's CompiledPyMCModel has changed: {error}", "nutpie") from error


def _from_pymc(model: pm.Model, start: NDArray[np.float64]) -> Any:
    """Nutpie's own compilation of a model: the fallback, and the second route in the tests."""
    import dataclasses

    import nutpie

    return dataclasses.replace(nutpie.compile_pymc_model(model), initial_point_func=_around(start))


def run_nuts(
    objective: NativeObjective,
    start: NDArray[np.float64],
    *,
    draws: int,
    tune: int,
    chains: int,
    seed: int,
    target_accept: float = 0.8,
    model: pm.Model | None = None,
    progress: Progress | None = None,
) -> NutsDraws:
    """Draw from an objective with NUTS.

    Parameters
    ----------
    objective : NativeObjective
    start : ndarray, shape (d,)
    draws, tune, chains : int
        Draws and warm-up draws a chain; number of chains.
    seed : int
        Chain k depends on the seed and on k, not on how many chains run.
    target_accept : float
        In (0, 1).
    model : pm.Model, optional
        If given, nutpie compiles this model itself and `objective` is not used.
    progress : callable, optional
        Called as ``progress("sampling", done, total)`` from another thread.

    Returns
    -------
    NutsDraws

    Raises
    ------
    NumericalError
        If no chain finds a point with a finite density and gradient to start from.
    IncompatibleSampler
        If nutpie has changed so that it cannot take the compiled density; calling again with `model` still works.
    """
    import nutpie

    compiled = _from_density(objective, start) if model is None else _from_pymc(model, start)
    total = chains * (draws + tune)

    def report(states: list[Any]) -> None:
        if progress is not None:
            progress("sampling", sum(state.finished_draws for state in states), total)

    try:
        sampler = nutpie.sample(
            compiled,
            draws=draws,
            tune=tune,
            chains=chains,
            seed=seed,
            target_accept=target_accept,
            progress_bar=False,
            progress_callback=report if progress is not None else None,
            store_unconstrained=model is not None,
            return_raw_trace=True,
            blocking=False,
        )
        trace = _wait(sampler)
    except RuntimeError as error:
        raise NumericalError(
            f"the sampler could not run: {str(error).splitlines()[0]}",
            "model",
            "give the free variables an `initval` at which the density and its gradient are finite",
        ) from error
    if progress is not None:
        progress("sampling", total, total)
    return _collect(trace, objective.dimension, "z" if model is None else "")


def _wait(sampler: Any) -> Any:
    """Wait for the sampler; an interrupt stops it instead of leaving its threads behind."""
    try:
        return sampler.wait()
    except KeyboardInterrupt:
        sampler.cancel()
        raise


def _matrix(column: Any, d: int) -> NDArray[np.float64]:
    """A column of vectors as an array of shape ``(draws, d)``."""
    from arro3.core import list_flatten

    return np.asarray(list_flatten(column).to_numpy(), dtype=np.float64).reshape(-1, d)


def _collect(trace: Any, d: int, column: str) -> NutsDraws:
    """Draws and statistics of all chains from nutpie's Arrow tables, without the detour through xarray."""
    tables, statistics = trace.get_arrow_trace()
    if column:
        z = np.stack([_matrix(table.column(column), d) for table in tables])
    else:
        z = np.stack([_matrix(table.column("unconstrained_draw"), d) for table in statistics])
    found = {}
    for theirs, ours in _STATISTICS.items():
        found[ours] = np.stack([np.asarray(table.column(theirs).to_numpy()) for table in statistics])
    # The raw trace holds the warm-up whatever `save_warmup` says; every chain warms up equally long.
    kept = ~np.asarray(statistics[0].column("tuning").to_numpy())
    return NutsDraws(z[:, kept], {name: array[:, kept] for name, array in found.items()})
