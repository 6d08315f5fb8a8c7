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
        with quiet(), without_compiler():
            tree = pm.sample_prior_predictive(
                draws,
                model=density.model,
                var_names=None if data else list(density.space.names),
                random_seed=seed,
                compile_kwargs=_INTERPRETED,
            )
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
    others, as in nonlinear regressions.

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
    drawn: list[NDArray[np.float64]] = []
    available = 0 if prior is None else prior["prior"].sizes["draw"]
    for index in generator.permutation(available):
        theta = {name: prior["prior"][name].values[0, index] for name in space.names}  # type: ignore[index]
        try:
            drawn.append(space.z(theta))
        except InputError:  # a draw on the edge of the support in double precision
            continue
    points = [space.start]
    if drawn:
        candidates = np.stack(drawn)
        heights = np.nan_to_num(density.sums(candidates)[1], nan=-np.inf, posinf=-np.inf)
        best = np.argsort(-heights, kind="stable")
        alternately = dict.fromkeys(np.column_stack([best, np.arange(len(drawn))]).ravel())
        points += [drawn[i] for i in alternately][: count - 1]
    while len(points) < count:
        points.append(space.start + generator.uniform(-1.0, 1.0, size=space.dimension))
    return np.stack(points)
