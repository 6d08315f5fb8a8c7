"""What the model believes before it has seen the data: draws from the prior and the prior predictive."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pymc as pm
import xarray as xr
from pytensor.compile.mode import Mode

from workbench.errors import InputError, RefusalError
from workbench.model.anatomy import Anatomy, require
from workbench.model.compiled import without_compiler
from workbench.model.density import LogDensity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# A thousand draws run faster through NumPy than a compiler starts.
_INTERPRETED = {"mode": Mode("py", "fast_compile")}
_NEAR_STARTS = 5  # starts before those that are scattered
_SCATTERED = 128  # points, if the data are few
_VALUES = 10_000_000  # log densities of single observations that they may cost
_DECADES = 7.0  # over which they are scattered: from the width of the prior, or a thousand, down


@contextmanager
def quiet() -> Iterator[None]:
    """PyMC announces every run through its logger and warns of every potential; both are said elsewhere, once.

    Prior draws of a model with a potential in its prior are refused. A potential in the likelihood has no part in
    prior draws, and draws from the posterior hold its effect already.
    """
    logger = logging.getLogger("pymc")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The effect of Potentials on other parameters is ignored", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _drawn(model: pm.Model, names: list[str] | None, draws: int, seed: int) -> xr.DataTree:
    """PyMC's forward draws of these variables, or of all, run through NumPy."""
    with quiet(), without_compiler():
        return pm.sample_prior_predictive(
            draws, model=model, var_names=names, random_seed=seed, compile_kwargs=_INTERPRETED
        )


def places_to_hold(density: LogDensity, count: int, seed: int) -> NDArray[np.float64]:
    """Values of z at which variables are held while another one is looked at: draws from the prior as it is written.

    Where the prior cannot be drawn from they lie around the model's own start, as far away as PyMC's jitter.

    Parameters
    ----------
    density : LogDensity
    count : int
    seed : int

    Returns
    -------
    ndarray, shape (count, d)
    """
    space = density.space
    try:
        group = _drawn(density.model, list(space.names), count, seed)["prior"].to_dataset()
        z = space.z_of_draws({name: group[name].values[0] for name in space.names})
    except (NotImplementedError, ArithmeticError, ValueError):
        z = space.start + np.random.default_rng(seed).uniform(-1.0, 1.0, size=(count, space.dimension))
    return np.where(np.isfinite(z), z, space.start)  # a draw on the edge of its support, or outside of a cut one


def draws_given(
    density: LogDensity, name: str, z: NDArray[np.float64] | None, count: int, seed: int
) -> NDArray[np.float64]:
    """Independent draws of one free variable as its distribution is written, the others held.

    Parameters
    ----------
    density : LogDensity
    name : str
    z : ndarray, shape (d,), or None
        Where the others are held; None for a variable that depends on no other.
    count : int
    seed : int

    Returns
    -------
    ndarray, shape (count, d)
        On z; NaN where a draw lies outside of what a transformation keeps.

    Raises
    ------
    RefusalError
        If it cannot be drawn from.
    """
    space = density.space
    held = {n: a[0] for n, a in space.theta(space.start if z is None else z).items() if n in space.names and n != name}
    model = density.model if z is None else pm.do(density.model, held)
    try:
        drawn = _drawn(model, [name], count, seed)["prior"].to_dataset()[name].values[0]
    except (NotImplementedError, ArithmeticError, ValueError) as error:
        raise RefusalError(f"{name} cannot be drawn from", name, "give it a `random` method") from error
    with np.errstate(invalid="ignore"):
        return space.z_of_draws({n: drawn if n == name else np.repeat(held[n][None], count, 0) for n in space.names})


def draw_prior(density: LogDensity, anatomy: Anatomy, draws: int, seed: int, data: bool = True) -> xr.DataTree:
    """Draws of the free variables from the prior, and of the data from the prior predictive.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    draws : int
    seed : int
    data : bool
        Whether to draw data from the prior predictive as well.

    Returns
    -------
    xarray.DataTree
        Groups ``prior`` and, where the model has data, ``prior_predictive``; dimensions ``chain`` (1), ``draw``.

    Raises
    ------
    RefusalError
        If a prior is improper, holds a potential, or cannot be drawn from.
    InputError
        If `draws` is less than one.
    """
    if draws < 1:
        raise InputError(f"{draws} draws", "draws", "ask for at least 1")
    require(anatomy, "prior draws")
    try:
        tree = _drawn(density.model, None if data else list(density.space.names), draws, seed)
    except (NotImplementedError, ArithmeticError, ValueError) as error:
        # ArithmeticError: a prior so vague that its draws overflow, such as InverseGamma(0.001, 0.001).
        raise RefusalError(
            f"the prior cannot be drawn from: {(str(error).splitlines() or [type(error).__name__])[0]}",
            "model",
            "give every variable a distribution with a `random` method, and a prior with finite draws",
        ) from error
    # PyMC's order of variables follows a set and changes between processes.
    known = [*density.space.names, *density.space.deterministics, *density.symbolic.observed]
    groups = {}
    for name in ("prior", "prior_predictive") if data and density.symbolic.observed else ("prior",):
        dataset = tree[name].to_dataset()
        groups[name] = dataset[[n for n in known if n in dataset]]
    return xr.DataTree.from_dict(groups)


def starting_points(density: LogDensity, prior: xr.DataTree | None, count: int, seed: int) -> NDArray[np.float64]:
    """Where optimisations start: the model's own start, then draws from the prior (jitter where there are none).

    Every other draw is one of those with the highest likelihood: a peak that is narrow beside the prior is found by few
    others, as in nonlinear regressions. From the sixth start on every other one is the best of points scattered over
    all orders of magnitude: under a prior that is a thousand times too wide every draw may lie where a curve is dead.

    Parameters
    ----------
    density : LogDensity
    prior : xarray.DataTree or None
        Result of `draw_prior`; None where the prior is improper.
    count : int
    seed : int

    Returns
    -------
    ndarray, shape (count, d)
        Points on z.
    """
    space, generator = density.space, np.random.default_rng(seed)
    drawn = np.zeros((0, space.dimension))
    if prior is not None:
        group = prior["prior"].to_dataset()
        order = generator.permutation(group.sizes["draw"])
        drawn, inside = space.z_where_inside({name: group[name].values[0, order] for name in space.names})
        drawn = drawn[inside]  # a draw may lie on the edge of the support in double precision
    points = [space.start]
    if len(drawn):
        best = drawn[np.argsort(-_heights(density, drawn), kind="stable")]
        alternately = dict.fromkeys(tuple(z) for pair in zip(best, drawn, strict=True) for z in pair)
        points += [np.array(z) for z in alternately][: count - 1]
    while len(points) < count:
        points.append(space.start + generator.uniform(-1.0, 1.0, size=space.dimension))
    if count > _NEAR_STARTS and not density.unlabelled:
        scattered = _scattered(density, drawn, generator)
        best = scattered[np.argsort(-_heights(density, scattered), kind="stable")]
        places = range(_NEAR_STARTS, count, 2)
        for place, z in zip(places, best, strict=False):
            points[place] = z
    return np.stack(points)


def _heights(density: LogDensity, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log likelihood of points, shape ``(m,)``; -inf where it is not a number."""
    return np.nan_to_num(density.sums(points)[1], nan=-np.inf, posinf=-np.inf)


def _scattered(density: LogDensity, drawn: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Points around the model's start with a length of its own along every coordinate, over many orders of magnitude.

    With draws they are the draws, drawn in towards the start; without, coordinates of the real line are moved by up to
    a thousand, and those that are a logarithm or a logit by a few units.
    """
    space = density.space
    if len(drawn):
        return space.start + (drawn - space.start) * 10.0 ** generator.uniform(-_DECADES, 0.0, size=drawn.shape)
    shape = (min(_SCATTERED, 1 + _VALUES // density.work), space.dimension)
    real = np.zeros(space.dimension, dtype=bool)
    for name in space.names:
        real[space.blocks[name]] = density.model.rvs_to_transforms.get(density.model[name]) is None
    lengths = 10.0 ** generator.uniform(3.0 - _DECADES, 3.0, size=shape) * generator.choice([-1.0, 1.0], size=shape)
    return space.start + np.where(real, lengths, generator.uniform(-2.0, 2.0, size=shape))
