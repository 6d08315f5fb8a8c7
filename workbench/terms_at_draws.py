"""Terms of the theorem at draws that exist: what the account of information and the evidence are made of."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.evidence.audit import Audit
from workbench.information import Learnt, Pair, marginal_information
from workbench.model.density import LogDensity
from workbench.model.element_priors import prior_by_element
from workbench.numerics.monte_carlo import mcse_of_mean, mcse_of_variance, tail_index
from workbench.posterior.grid import Grid

_NO_VARIANCE = 0.5  # Pareto k of a tail from which on its variance is infinite


def _prior_points(density: LogDensity, prior: xr.DataTree) -> NDArray[np.float64]:
    """Prior draws on z, shape ``(m, d)``."""
    group = prior["prior"].to_dataset()
    return density.space.z_of_draws({name: group[name].values[0] for name in density.space.names})


def likelihood_at_prior(density: LogDensity, prior: xr.DataTree) -> NDArray[np.float64]:
    """Log likelihood at prior draws.

    Parameters
    ----------
    density : LogDensity
    prior : xarray.DataTree
        With a group ``prior``.

    Returns
    -------
    ndarray, shape (m,)
        Nats; ``-inf`` where a draw lies on the edge of its support.
    """
    log_likelihood = density.sums(_prior_points(density, prior))[1]
    return np.where(np.isnan(log_likelihood), -np.inf, log_likelihood)


def prior_entropy(density: LogDensity, prior: xr.DataTree | None) -> dict[str, Pair]:
    """Differential entropy of the prior on z and in theta, -E_prior[log prior] with and without the Jacobian.

    Parameters
    ----------
    density : LogDensity
    prior : xarray.DataTree or None
        None where the prior cannot be drawn from.

    Returns
    -------
    dict of str to (value, std_error)
        ``z`` and ``theta``, nats; empty where there are no draws, or a potential makes the normaliser unknown. One is
        absent where a draw is so close to the edge of its support that it was rounded to it, and has no log density.
    """
    if prior is None or density.symbolic.potential:
        return {}
    log_prior, _, log_jacobian = density.sums(_prior_points(density, prior))
    with np.errstate(invalid="ignore"):  # at an edge one may be inf where the other is -inf
        totals = {"z": log_prior + log_jacobian, "theta": log_prior}
    found = {}
    for name, total in totals.items():
        if np.isfinite(total).all():
            found[name] = -float(total.mean()), float(total.std(ddof=1) / np.sqrt(len(total)))
    return found


def learnt_about(
    density: LogDensity,
    draws: xr.DataTree,
    log_prior: NDArray[np.float64],
    prior: xr.DataTree | None,
    grid: Grid | None,
    audit: Audit,
    sound: bool = True,
) -> Learnt:
    """What the data taught about single scalars, and the entropies that do not follow from the identity.

    Parameters
    ----------
    density : LogDensity
    draws : xarray.DataTree
        Posterior draws, with ``log_prior``, in the model's own units, beside them.
    log_prior : ndarray, shape (chains, draws)
        On z at the same draws, nats.
    prior : xarray.DataTree or None
        Prior draws, where there are any.
    grid : Grid or None
        Quadrature, which gives the expected log Jacobian without Monte Carlo error.
    audit : Audit
        With what each prior integrates to.
    sound : bool
        Whether the draws passed their checks: else nothing is said of single scalars, which they alone could tell.

    Returns
    -------
    Learnt
    """
    z = draws["unconstrained_posterior"].to_dataset()["z"].values
    if grid is not None and grid.checks[0].status == "ok":
        stretch = float(grid.weights @ density.sums(grid.points)[2]), grid.error
    else:
        own = sum((a.values for a in draws["log_prior"].to_dataset().data_vars.values()), np.zeros(z.shape[:2]))
        stretch = float(np.mean(log_prior - own)), mcse_of_mean(log_prior - own)
    return Learnt(
        variables=density.space.names,
        dimension=density.space.dimension,
        about=taught_about(density, z, audit) if sound else {},
        contraction=contraction(density, draws, prior) if sound and prior is not None else {},
        prior_entropy=prior_entropy(density, prior),
        stretch=stretch,
    )


def taught_about(density: LogDensity, z: NDArray[np.float64], audit: Audit) -> dict[str, Pair]:
    """What the data taught about each scalar whose prior stands on fixed numbers and is independent of the others.

    With a potential in the prior the marginal prior of one variable is not known: then nothing.

    Parameters
    ----------
    density : LogDensity
    z : ndarray, shape (chains, draws, d)
        Posterior draws.
    audit : Audit
        With what each prior integrates to.

    Returns
    -------
    dict of str to (value, std_error)
        Nats.
    """
    if audit.routes:
        return {}
    found = {}
    points = z.reshape(-1, z.shape[-1])
    for name, log_prior in prior_by_element(density, points).items():
        block, log_normaliser = density.space.blocks[name], audit.terms[name]["log_normaliser"]
        if audit.terms[name]["proper"] == "cut" and log_prior.shape[1] > 1:
            continue  # of the share that is kept, nobody knows each element's part
        for place, label in enumerate(density.space.labels(name)):
            column = log_prior[:, place].reshape(z.shape[:2]) - log_normaliser
            taught = marginal_information(z[..., block.start + place], column)
            if taught is not None:
                found[label] = taught
    return found


def contraction(density: LogDensity, draws: xr.DataTree, prior: xr.DataTree) -> dict[str, Pair]:
    """1 - posterior variance / prior variance of every scalar of the free variables, in its own unit.

    Parameters
    ----------
    density : LogDensity
    draws, prior : xarray.DataTree

    Returns
    -------
    dict of str to (value, std_error)
        Without the scalars whose prior has no variance that its draws could tell, such as a Cauchy.
    """
    found = {}
    for name in density.space.names:
        after = draws["posterior"].to_dataset()[name].transpose("chain", "draw", ...).values.astype(np.float64)
        before = prior["prior"].to_dataset()[name].values[0].astype(np.float64)
        after, before = after.reshape(*after.shape[:2], -1), before.reshape(len(before), -1)
        for place, label in enumerate(density.space.labels(name)):
            one, other = after[..., place], before[:, place]
            variance = float(other.var())
            if not 0 < variance < np.inf or tail_index(other) >= _NO_VARIANCE:
                continue
            unsure = float(np.std((other - other.mean()) ** 2) / np.sqrt(len(other))) / variance
            ratio = float(one.var()) / variance
            found[label] = 1.0 - ratio, float(np.hypot(mcse_of_variance(one) / variance, ratio * unsure))
    return found
