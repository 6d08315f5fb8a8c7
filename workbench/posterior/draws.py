"""Draws from the posterior: NUTS on z, and every quantity of the model at each draw.

The result is an `xarray.DataTree` in the ArviZ schema, so that every ArviZ function works on it: ``posterior``,
``unconstrained_posterior`` (z itself), ``sample_stats`` under ArviZ's names, ``log_likelihood`` per observation,
``log_prior`` per variable, ``observed_data``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.anatomy import Anatomy, require
from workbench.model.density import TARGET, LogDensity
from workbench.model.nuts import IncompatibleSampler, Progress, run_nuts
from workbench.numerics.turn import turn_around
from workbench.prior.draws import quiet
from workbench.settings import Settings

# Pointwise log likelihood is kept up to this many numbers (0.8 GB); beyond it only its sum over the observations.
_POINTWISE = 100_000_000
_CHUNK = 4_000_000  # numbers evaluated at a time
_SAME_TARGET = 1e-6  # relative; rounding of sums over many observations stays far below, a wrong density far above


def _in_chunks(
    function: Callable[[NDArray], dict[str, NDArray]], points: NDArray[np.float64], per_point: int
) -> dict[str, NDArray]:
    """A function of many points, a bounded number of results at a time."""
    size = max(1, _CHUNK // max(per_point, 1))
    parts = [function(points[i : i + size]) for i in range(0, len(points), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _by_chain(array: NDArray, chains: int) -> NDArray:
    return array.reshape(chains, len(array) // chains, *array.shape[1:])  # -1 fails where nothing is observed


def describe_draws(
    density: LogDensity, z: NDArray[np.float64], statistics: dict[str, NDArray], seed: int = 0, verify: bool = True
) -> xr.DataTree:
    """Everything the model says at draws on z, as a DataTree in the ArviZ schema.

    Parameters
    ----------
    density : LogDensity
    z : ndarray, shape (chains, draws, d)
    statistics : dict of str to ndarray, shape (chains, draws)
    seed : int
        Of discrete variables that were summed out: each is drawn once at every draw.
    verify : bool
        Whether to hold the sampler's own log density, ``lp``, against the sum of the terms.

    Returns
    -------
    xarray.DataTree

    Raises
    ------
    NumericalError
        If the sampler drew from another density than the model's.
    """
    space, chains = density.space, len(z)
    z = turn_around(z, space.angles).folded(z)
    flat = z.reshape(-1, space.dimension)
    observations = density.n_observations
    pointwise = observations * len(flat) <= _POINTWISE

    def evaluate(points: NDArray) -> dict[str, NDArray]:
        terms = density.terms(points)
        likelihood = {n: a if pointwise else a.reshape(len(a), -1).sum(axis=1) for n, a in terms.log_likelihood.items()}
        found = {f"prior {n}": a for n, a in (terms.log_prior | terms.potential).items()}
        return (
            found
            | {f"jacobian {n}": a for n, a in terms.log_jacobian.items()}
            | {f"likelihood {n}": a for n, a in likelihood.items()}
        )

    lead = ("chain", "draw")
    coords = {"chain": np.arange(chains), "draw": np.arange(z.shape[1])}
    theta = _in_chunks(space.theta, flat, sum(int(np.prod(shape)) for shape in space.shapes.values()))
    theta = {n: _by_chain(a, chains) for n, a in theta.items()}
    posterior = space.dataset(theta, lead)
    if density.summed:
        discrete = {n: _by_chain(a, chains) for n, a in density.recovery.draw(flat, seed).items()}
        posterior = posterior.merge(_with_dimensions(density, discrete, lead))
    groups = {
        "posterior": posterior.assign_coords(coords),
        "unconstrained_posterior": xr.Dataset({"z": ((*lead, "coordinate"), z)}, coords=coords),
        "sample_stats": xr.Dataset({n: (lead, a) for n, a in statistics.items()}, coords=coords),
    }
    terms = _in_chunks(evaluate, flat, density.work)
    if verify:
        _check_target(terms, statistics["lp"], chains)
    likelihood = _of("likelihood ", terms, chains)
    if likelihood:
        groups["log_likelihood"] = _with_dimensions(density, likelihood, lead).assign_coords(coords)
        groups["observed_data"] = _with_dimensions(density, density.symbolic.observed, ())
    prior = _of("prior ", terms, chains)
    groups["log_prior"] = xr.Dataset({n: (lead, a) for n, a in prior.items()}, coords=coords)
    groups["posterior"].attrs["inference_library"] = "nutpie"
    return xr.DataTree.from_dict(groups)


def _of(kind: str, terms: dict[str, NDArray], chains: int) -> dict[str, NDArray]:
    """The terms of one kind, by owner, with axes for chain and draw."""
    return {name.removeprefix(kind): _by_chain(a, chains) for name, a in terms.items() if name.startswith(kind)}


def _check_target(terms: dict[str, NDArray], reported: NDArray, chains: int) -> None:
    """Refuse draws whose log density, as the sampler reports it, is not the one that the terms add up to."""
    total = _by_chain(sum((a.reshape(len(a), -1).sum(axis=1) for a in terms.values()), np.zeros(1)), chains)
    gap = np.abs(total - reported) / np.maximum(1.0, np.abs(total))
    if not np.max(gap) < _SAME_TARGET:
        raise NumericalError(
            f"the sampler's log density differs from the model's by {np.max(gap):.1e} (relative)",
            "posterior draws",
            "the density is at the limit of double precision there, or the installed nutpie does not fit: look at the "
            "scale of the parameters, and install the versions of constraints.txt",
        )


def _with_dimensions(density: LogDensity, arrays: dict[str, NDArray], lead: tuple[str, ...]) -> xr.Dataset:
    """Arrays with the model's own dimensions where the shapes agree."""
    variables, lengths = {}, {k: len(v) for k, v in density.model.coords.items() if v is not None}
    for name, array in arrays.items():
        shape = array.shape[len(lead) :]
        own = density.model.named_vars_to_dims.get(name) or ()
        # Where labels were summed out, a log likelihood has one element a block, not one an observation.
        fits = len(own) == len(shape) and all(lengths.get(d, n) == n for d, n in zip(own, shape, strict=True))
        dims = own if fits else [f"{name}_dim_{i}" for i in range(len(shape))]
        variables[name] = ((*lead, *dims), array)
    used = {dim for dims, _ in variables.values() for dim in dims}
    known = {k: np.asarray(v) for k, v in density.model.coords.items() if k in used and v is not None}
    return xr.Dataset(variables, coords=known)


def draw_posterior(
    density: LogDensity, anatomy: Anatomy, settings: Settings, seed: int, progress: Progress | None = None
) -> xr.DataTree:
    """Draws from the posterior.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    settings : Settings
        Chains, draws, warm-up and target acceptance.
    seed : int
    progress : callable, optional
        Called as ``progress("sampling", done, total)``.

    Returns
    -------
    xarray.DataTree
        In the ArviZ schema; see the module.

    Raises
    ------
    RefusalError
        If the model has no free variable.
    NumericalError
        If no chain finds a point to start from, or the sampler drew from another density than the model's.

    References
    ----------
    Hoffman, M. D. and Gelman, A. (2014). The No-U-Turn Sampler. jmlr.org/papers/v15/hoffman14a.html
    """
    require(anatomy, "posterior draws")
    if anatomy.named("discrete"):
        return _step_by_step(density, settings, seed)
    draw = partial(
        run_nuts,
        density.objective(TARGET),
        density.space.start,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        seed=seed,
        target_accept=settings.target_accept,
        progress=progress,
    )
    try:
        found = draw()
    except IncompatibleSampler:
        if density.summed:
            raise  # nutpie would have to sum as well
        found = draw(model=density.model)
    return describe_draws(density, found.z, found.statistics, seed)


def _step_by_step(density: LogDensity, settings: Settings, seed: int) -> xr.DataTree:
    """Draws of a model with discrete variables, by PyMC's own step methods."""
    with quiet(), density.model:
        tree = pm.sample(
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            random_seed=seed,
            progressbar=False,
            nuts_sampler="pymc",
            cores=1,
            compute_convergence_checks=False,
        )
    posterior = tree["posterior"]
    chains, draws = posterior.sizes["chain"], posterior.sizes["draw"]
    stacked = {n: posterior[n].values.reshape(chains * draws, *density.space.shapes[n]) for n in density.space.names}
    z = density.space.z_of_draws(stacked)
    statistics = {n: a.values for n, a in tree["sample_stats"].items() if a.dims == ("chain", "draw")}
    # PyMC reports the log density that each step method saw, not the one at the end of the step.
    described = describe_draws(density, z.reshape(chains, draws, -1), statistics, seed, verify=False)
    described["posterior"].attrs["inference_library"] = "pymc"
    return described
