"""Terms of the theorem at draws that exist: what the account of information and the evidence are made of."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.evidence.audit import Audit
from workbench.information import marginal_information
from workbench.model.anatomy import Anatomy
from workbench.model.density import LogDensity


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


def prior_entropy(density: LogDensity, prior: xr.DataTree | None) -> tuple[float, float] | None:
    """Differential entropy of the prior on z, -E_prior[log prior(z)].

    Parameters
    ----------
    density : LogDensity
    prior : xarray.DataTree or None
        None where the prior cannot be drawn from.

    Returns
    -------
    (value, std_error) or None
        Nats; None where there are no draws, or a potential makes the prior's normaliser unknown.
    """
    if prior is None or density.symbolic.potential:
        return None
    log_prior, _, log_jacobian = density.sums(_prior_points(density, prior))
    total = log_prior + log_jacobian
    return -float(total.mean()), float(total.std(ddof=1) / np.sqrt(len(total)))


def taught_about(
    density: LogDensity, anatomy: Anatomy, z: NDArray[np.float64], audit: Audit
) -> dict[str, tuple[float, float]]:
    """What the data taught about each scalar variable whose prior stands on fixed numbers.

    With a potential in the prior the marginal prior of one variable is not known: then nothing.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
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
    terms, found = density.terms(z.reshape(-1, z.shape[-1])), {}
    for name in anatomy.named("parameter"):
        block = density.space.blocks[name]
        if block.stop - block.start != 1 or "depends on" in anatomy.variables[name]["why"]:
            continue
        prior = terms.log_prior[name] + terms.log_jacobian.get(name, 0.0) - audit.terms[name]["log_normaliser"]
        taught = marginal_information(z[..., block.start], prior.reshape(z.shape[:2]))
        if taught is not None:
            found[name] = taught
    return found
