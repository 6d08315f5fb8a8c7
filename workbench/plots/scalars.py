"""The scalars of a model as figures need them: label, draws, prior, and whether they can be drawn at all."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.errors import InputError

CONSTANT = 1e-12  # spread relative to size below which draws differ by rounding alone


@dataclass(frozen=True, eq=False)
class Scalar:
    """One scalar of the model.

    Attributes
    ----------
    label : str
        Such as ``mu`` or ``beta[treated]``.
    variable : str
    size : int
        Scalars in the variable.
    draws : ndarray, shape (chains, draws)
        From the posterior, in the model's own units.
    prior : ndarray, shape (m,)
        Draws from the prior; empty where there are none.
    log_prior : ndarray, shape (chains, draws)
        Log prior density of the whole variable at the posterior draws, nats; empty where it is not known.
    """

    label: str
    variable: str
    size: int
    draws: NDArray[np.float64]
    prior: NDArray[np.float64]
    log_prior: NDArray[np.float64]


def scalars_of(draws: xr.DataTree) -> dict[str, Scalar]:
    """Every scalar of the posterior, by label.

    Parameters
    ----------
    draws : xarray.DataTree
        With a group ``posterior``; ``prior`` and ``log_prior`` are used where they exist.

    Returns
    -------
    dict of str to Scalar

    Raises
    ------
    InputError
        If there is no group ``posterior``.
    """
    if "posterior" not in draws.children:
        raise InputError("there are no posterior draws", "draws", "save the draws with the results")
    groups = {name: draws[name].to_dataset() for name in ("prior", "log_prior") if name in draws.children}
    found: dict[str, Scalar] = {}
    for name, array in draws["posterior"].to_dataset().data_vars.items():
        ordered = array.transpose("chain", "draw", ...)
        values = ordered.values.reshape(*ordered.shape[:2], -1).astype(np.float64)
        prior = _flat(groups.get("prior"), str(name), values.shape[-1])
        log_prior = np.zeros(0)
        if "log_prior" in groups and name in groups["log_prior"]:
            log_prior = groups["log_prior"][name].transpose("chain", "draw", ...).values
        for position, label in enumerate(_labels(str(name), ordered)):
            found[label] = Scalar(
                label, str(name), values.shape[-1], values[..., position], prior[:, position], log_prior
            )
    return found


def _labels(name: str, array: xr.DataArray) -> list[str]:
    """Flat labels of the elements of a variable, in C order."""
    own = array.dims[2:]
    if not own:
        return [name]
    axes = [array[d].values if d in array.coords else np.arange(array.sizes[d]) for d in own]
    return [f"{name}[{', '.join(str(label) for label in labels)}]" for labels in itertools.product(*axes)]


def _flat(group: xr.Dataset | None, name: str, size: int) -> NDArray[np.float64]:
    """Prior draws of a variable, shape ``(m, size)``; of shape ``(0, size)`` where there are none."""
    if group is None or name not in group:
        return np.zeros((0, size))
    values = group[name].transpose("chain", "draw", ...).values.astype(np.float64)
    values = values.reshape(values.shape[0] * values.shape[1], -1)
    return values if values.shape[1] == size else np.zeros((0, size))


def require_drawable(scalar: Scalar) -> None:
    """Refuse draws of which a figure would be wrong.

    Parameters
    ----------
    scalar : Scalar

    Raises
    ------
    InputError
        If a draw is not finite, or all are equal.
    """
    if not np.all(np.isfinite(scalar.draws)):
        count = f"{int(np.sum(~np.isfinite(scalar.draws)))} of {scalar.draws.size}"
        raise InputError(f"{count} draws are not finite", scalar.label, "see the diagnosis of the draws")
    if np.ptp(scalar.draws) <= CONSTANT * np.max(np.abs(scalar.draws)):
        raise InputError("all draws are equal, so there is no distribution to draw", scalar.label, "")


def why_not_drawable(scalar: Scalar) -> str:
    """Why a figure of these draws would be wrong; empty if it would not.

    Parameters
    ----------
    scalar : Scalar

    Returns
    -------
    str
    """
    try:
        require_drawable(scalar)
    except InputError as error:
        return str(error)
    return ""


def whole_numbers(values: NDArray[np.float64]) -> bool:
    """Whether draws are whole numbers, which have shares instead of a density.

    Parameters
    ----------
    values : ndarray

    Returns
    -------
    bool
    """
    return bool(values.size) and bool(np.all(values == np.round(values)))


def density(
    values: NDArray[np.float64], lower: float = -np.inf, upper: float = np.inf, smooth: bool = False
) -> tuple[NDArray, NDArray]:
    """A density curve of draws by ArviZ's kernel estimate, over the part of them between two limits.

    Parameters
    ----------
    values : ndarray, shape (m,)
    lower, upper : float
        Draws outside do not count: one draw of a Cauchy would stretch the grid until nothing is seen.
    smooth : bool
        Whether the density is known to be smooth, as priors are, so that a few draws need not show as bumps.

    Returns
    -------
    x, height : ndarray, shape (m,)
        The height is a density among the draws that count; of whole numbers, their shares.
    """
    from arviz_stats.base import array_stats

    kept = values[(values >= lower) & (values <= upper)]
    if whole_numbers(kept):
        x, times = np.unique(kept, return_counts=True)
        return x, times / times.sum()
    x, height, _ = array_stats.kde(kept, bw="scott" if smooth else "experimental", bw_fct=1.25 if smooth else 1.0)
    return x, height
