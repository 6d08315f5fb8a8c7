"""Whether the draws can be trusted: a verdict with coded findings and what to do about each.

The simple things come first, because the usual statistics are blind to them: a chain stuck at one value, a NaN, an
infinite draw, two identical chains all pass R-hat. Then ArviZ computes R-hat, ESS, E-BFMI and the rest.

References: Vehtari and others 2021, doi:10.1214/20-BA1221 (R-hat, ESS); Betancourt 2016, arXiv:1604.00695 (E-BFMI);
Vehtari, Gelman and Gabry 2017, doi:10.1007/s11222-016-9696-4 (Pareto k).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from workbench.check import Check, Status, worst_status
from workbench.errors import NumericalError
from workbench.numerics.climbs import ALIKE
from workbench.numerics.objective import Objective
from workbench.numerics.optimise import climb
from workbench.result import Result

RHAT_LIMIT = 1.01
ESS_PER_CHAIN = 100
BFMI_LIMIT = 0.3
MCSE_LIMIT = 0.1  # of the posterior standard deviation


@dataclass(frozen=True, repr=False, eq=False)
class Diagnosis(Result):
    """The verdict on draws.

    Attributes
    ----------
    verdict : {"ok", "unknown", "caution", "failed"}
        The worst status of the checks.
    labels : tuple of str
        Scalars of the free variables.
    r_hat, ess_bulk, ess_tail, mcse_ratio : ndarray, shape (k,)
        By scalar; `mcse_ratio` is the MCSE of the mean over the posterior sd.
    """

    verdict: Status
    labels: tuple[str, ...]
    r_hat: NDArray[np.float64]
    ess_bulk: NDArray[np.float64]
    ess_tail: NDArray[np.float64]
    mcse_ratio: NDArray[np.float64]
    title: ClassVar[str] = "diagnosis of the draws"

    def table(self) -> pd.DataFrame:
        """One row a scalar: R-hat, bulk and tail ESS, MCSE relative to the posterior sd."""
        columns = {
            "r_hat": self.r_hat,
            "ess_bulk": self.ess_bulk,
            "ess_tail": self.ess_tail,
            "mcse / sd": self.mcse_ratio,
        }
        return pd.DataFrame(columns, index=list(self.labels))

    def notes(self) -> list[str]:
        """The verdict, then every check."""
        return [f"verdict: {self.verdict}", *(str(check) for check in self.checks)]


def _flat(posterior: xr.Dataset) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Labels and draws of every scalar: an array of shape ``(chains, draws, k)``."""
    labels, columns = [], []
    for name, array in posterior.data_vars.items():
        block = array.transpose("chain", "draw", ...).values.astype(np.float64)
        block = block.reshape(*block.shape[:2], -1)
        own = [d for d in array.dims if d not in ("chain", "draw")]
        coords = [array[d].values if d in array.coords else np.arange(array.sizes[d]) for d in own]
        for index in np.ndindex(*(len(c) for c in coords)):
            inside = ", ".join(str(c[i]) for c, i in zip(coords, index, strict=True))
            labels.append(f"{name}[{inside}]" if own else str(name))
        columns.append(block)
    return tuple(labels), np.concatenate(columns, axis=-1)


def _plain_checks(labels: tuple[str, ...], draws: NDArray[np.float64]) -> list[Check]:
    """Non-finite draws, stuck chains, copied chains."""
    found = []

    def add(code: str, bad: list[str], message: str, fix: str) -> None:
        if bad:
            found.append(Check(code, "failed", f"{message}: {', '.join(bad[:5])}", fix))
        else:
            found.append(Check(code, "ok", f"none of {draws.shape[0]} chains x {draws.shape[1]} draws"))

    finite = np.isfinite(draws).all(axis=(0, 1))
    add("draws-finite", [x for x, good in zip(labels, finite, strict=True) if not good],
        "draws that are not finite", "the run broke off or the density overflows: look at these variables")  # fmt: skip
    stuck = (np.ptp(draws, axis=1) == 0).any(axis=0)
    add("draws-move", [x for x, bad in zip(labels, stuck, strict=True) if bad],
        "a chain never moved", "start elsewhere, or look for a density that is flat or infinite there")  # fmt: skip
    copies = [
        f"chains {i} and {j}"
        for i in range(len(draws))
        for j in range(i)
        if draws.shape[1] > 1 and np.array_equal(draws[i], draws[j])
    ]
    add("chains-distinct", copies, "identical chains", "give every chain its own seed")
    return found


def _by_limit(
    code: str, values: NDArray, limit: float, above: bool, labels: tuple[str, ...], what: str, fix: str
) -> Check:
    """A check of one number a scalar against a limit; not-a-number counts as failed."""
    bad = ~(values < limit) if above else ~(values > limit)
    worst = int(np.argmax(np.where(np.isnan(values), np.inf, values)) if above else
                np.argmin(np.where(np.isnan(values), -np.inf, values)))  # fmt: skip
    side = "largest" if above else "smallest"
    message = f"{side} {what} {values[worst]:.4g} ({labels[worst]}), limit {limit:g}"
    if bad.any():
        return Check(code, "failed", f"{message}; {int(bad.sum())} of {len(values)} beyond it", fix)
    return Check(code, "ok", message)


def _sampler_checks(statistics: xr.Dataset) -> list[Check]:
    """Divergences, tree depth and E-BFMI, where the sampler reports them."""
    found = []
    if "diverging" in statistics:
        count, total = int(statistics["diverging"].sum()), statistics["diverging"].size
        if count:
            status: Status = "failed" if count > 0.001 * total else "caution"
            found.append(Check("divergences", status, f"{count} of {total} draws diverged",
                               "raise target_accept to 0.95, or write group effects non-centred"))  # fmt: skip
        else:
            found.append(Check("divergences", "ok", f"0 of {total} draws diverged"))
    if "reached_max_treedepth" in statistics:
        share = float(statistics["reached_max_treedepth"].mean())
        if share > 0.05:
            found.append(Check("tree-depth", "caution", f"{share:.0%} of draws hit the maximum tree depth",
                               "rescale the parameters, or draw more"))  # fmt: skip
        else:
            found.append(Check("tree-depth", "ok", f"{share:.1%} of draws hit the maximum tree depth"))
    if "energy" in statistics:
        energy = statistics["energy"].values
        bfmi = np.mean(np.diff(energy, axis=1) ** 2, axis=1) / np.maximum(np.var(energy, axis=1), 1e-300)
        low = float(bfmi.min())
        if low < BFMI_LIMIT:
            found.append(Check("e-bfmi", "caution", f"smallest E-BFMI {low:.2f}, limit {BFMI_LIMIT}",
                               "heavy tails or a funnel: reparametrise"))  # fmt: skip
        else:
            found.append(Check("e-bfmi", "ok", f"smallest E-BFMI {low:.2f}, limit {BFMI_LIMIT}"))
    return found


def _mode_check(draws: xr.DataTree, highest: float | None, objective: Objective | None, d: int) -> list[Check]:
    """Whether the chains came near the highest point that an optimiser found.

    For a normal target in d dimensions log f at a draw lies d/2 nats below the peak on average, and at the best of
    thousands of draws well above that average; 5 nats more is where a mode may never have been visited. In many
    dimensions, as with the effects of a hundred groups, a peak that holds hardly any mass can lie farther above the
    draws than that: then a climb from the best of them ends on it, which it does not from another mode.
    """
    statistics = draws["sample_stats"].to_dataset()
    if highest is None or "lp" not in statistics:
        return []
    gap = highest - float(statistics["lp"].max())
    message = f"the best draw lies {gap:.1f} nats below the highest point that an optimiser found"
    if gap <= d / 2 + 5.0:
        return [Check("mode-visited", "ok", message)]
    if objective is not None:
        z = draws["unconstrained_posterior"].to_dataset()["z"].values
        best = np.unravel_index(int(np.argmax(statistics["lp"].values)), z.shape[:2])
        with contextlib.suppress(NumericalError):
            if climb(objective, z[best]).value > highest - ALIKE:
                return [Check("mode-visited", "ok", f"{message}, and a climb from it ends there")]
    return [Check("mode-visited", "failed", message, "the chains missed the main mode: start them near it (`initval`)")]


def diagnose_draws(
    draws: xr.DataTree, free: list[str], highest: float | None = None, objective: Objective | None = None
) -> Diagnosis:
    """The verdict on posterior draws.

    Parameters
    ----------
    draws : xarray.DataTree
        With groups ``posterior`` and ``sample_stats`` in the ArviZ schema.
    free : list of str
        Free variables; deterministics are left out (one may be constant for good reasons).
    highest : float, optional
        Log density on z at the highest mode that an optimiser found, nats.
    objective : Objective, optional
        Log density on z: to climb from the best draw where that lies far below the highest mode.

    Returns
    -------
    Diagnosis
    """
    from arviz_stats.base import array_stats

    labels, array = _flat(draws["posterior"].to_dataset()[free])
    chains, count, k = array.shape
    checks = _plain_checks(labels, array)
    usable = worst_status(checks) == "ok"
    nothing = np.full(k, np.nan)
    r_hat, bulk, tail, ratio = nothing, nothing, nothing, nothing
    if usable and count >= 4:
        axes = {"chain_axis": 0, "draw_axis": 1}
        bulk = np.asarray(array_stats.ess(array, method="bulk", **axes))
        tail = np.asarray(array_stats.ess(array, method="tail", prob=(0.05, 0.95), **axes))
        mcse = np.asarray(array_stats.mcse(array, method="mean", **axes))
        ratio = mcse / array.std(axis=(0, 1))
        more = "draw more; if that does not help, reparametrise the model"
        if chains > 1:
            r_hat = np.asarray(array_stats.rhat(array, **axes))
            checks.append(_by_limit("r-hat", r_hat, RHAT_LIMIT, True, labels, "R-hat", more))
        else:
            checks.append(Check("r-hat", "unknown", "one chain cannot be compared with another", "draw 4 chains"))
        least = ESS_PER_CHAIN * chains
        checks.append(_by_limit("ess", np.minimum(bulk, tail), least, False, labels, "ESS", more))
        checks.append(_by_limit("mcse", ratio, MCSE_LIMIT, True, labels, "MCSE / sd", more))
    elif usable:
        checks.append(Check("ess", "unknown", f"{count} draws a chain are too few to judge", "draw at least 100"))
    if "sample_stats" in draws.children:
        checks += _sampler_checks(draws["sample_stats"].to_dataset())
        checks += _mode_check(draws, highest, objective, k)
    return Diagnosis(tuple(checks), worst_status(checks), labels, r_hat, bulk, tail, ratio)
