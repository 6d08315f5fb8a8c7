"""The evidence p(y), by every route that applies, and whether the routes agree.

For one or two dimensions quadrature gives it near machine precision; in general a bridge over the posterior draws
does, with a standard error. The Laplace approximation stands beside them as the crude version: its difference from
the best route is the error that nobody could know from Laplace alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.check import Check
from workbench.evidence.bridge import Bridge
from workbench.evidence.importance import PriorAverage
from workbench.posterior.grid import Grid
from workbench.posterior.laplace import Laplace
from workbench.result import Result

_OF_THE_GRID = ("grid-converged", "routes-agree")
_SIGMAS = 3.0  # combined standard errors within which independent routes have to agree


@dataclass(frozen=True, repr=False, eq=False)
class Evidence(Result):
    """Log p(y) in nats with its error, and the routes behind it.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats, by `method`.
    method : str
        ``grid`` or ``bridge``.
    cross_checks : dict of str to (float, float)
        Every other route -> its value and standard error (NaN where a route has none), nats.
    agrees : bool or None
        Whether all routes that have an error lie within 3 combined standard errors; None if there is only one.
    refused : dict of str to str
        Routes that could not be taken -> why.
    n_observations : int
    """

    log_evidence: float
    std_error: float
    method: str
    cross_checks: dict[str, tuple[float, float]]
    agrees: bool | None
    refused: dict[str, str]
    n_observations: int
    title: ClassVar[str] = "log evidence, log p(y)"

    def table(self) -> pd.DataFrame:
        """One row a route: value, standard error, difference from the main one."""
        rows = {self.method: (self.log_evidence, self.std_error, 0.0)}
        for name, (value, error) in self.cross_checks.items():
            rows[name] = (value, error, value - self.log_evidence)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["log_evidence", "std_error", "difference"])

    def notes(self) -> list[str]:
        """Units, refused routes and checks."""
        lines = [f"in nats; {self.log_evidence / np.log(2):.6g} bits; {self.log_evidence / np.log(10):.6g} in log10"]
        if "laplace" in self.cross_checks:
            lines.append("laplace states no error of its own: its difference from the main route is its error")
        lines += [f"{route} was not available: {reason}" for route, reason in self.refused.items()]
        return lines + super().notes()


def combine(
    routes: dict[str, Grid | Bridge | Laplace | PriorAverage],
    refused: dict[str, str],
    n_observations: int,
    extra: tuple[Check, ...],
) -> Evidence:
    """One statement of the evidence from every route that could be taken.

    Parameters
    ----------
    routes : dict of str to result
        ``grid``, ``bridge``, ``laplace``, ``prior average``: those that could be taken; at least one of the first
        two.
    refused : dict of str to str
        Routes that could not, and why.
    n_observations : int
    extra : tuple of Check
        Checks that concern every route, such as a failed diagnosis of the draws.

    Returns
    -------
    Evidence
    """
    stated: dict[str, tuple[float, float]] = {}
    checks: list[Check] = []
    grid, found, laplace = routes.get("grid"), routes.get("bridge"), routes.get("laplace")
    if isinstance(grid, Grid):
        stated["grid"] = (grid.log_integral, grid.error)
        checks += grid.checks
    if isinstance(found, Bridge):
        stated["bridge"] = (found.log_evidence, found.std_error)
        checks += found.checks
    average = routes.get("prior average")
    if isinstance(average, PriorAverage):
        stated["prior average"] = (average.log_evidence, average.std_error)
    main = "grid" if isinstance(grid, Grid) and grid.checks[0].status == "ok" else "bridge"
    main = main if main in stated else "bridge" if "bridge" in stated else "grid"
    value, error = stated.pop(main)
    gaps = {n: abs(v - value) / np.hypot(e, error) for n, (v, e) in stated.items()}
    agrees = all(gap <= _SIGMAS for gap in gaps.values()) if gaps else None
    crosses = dict(stated)
    if isinstance(laplace, Laplace):
        crosses["laplace"] = (laplace.log_integral, float("nan"))
        checks += [check for check in laplace.checks if check.code == "starts-agree"]
    if gaps:
        found_gaps = ", ".join(f"{name} {gap:.1f}" for name, gap in gaps.items())
        message = f"distance from {main} in combined standard errors: {found_gaps}"
        remedy = "" if agrees else "do not quote one of them: draw more, and look for modes that the chains missed"
        checks.append(Check("routes-agree", "ok" if agrees else "failed", message, remedy))
    elif main == "bridge" and isinstance(laplace, Laplace):
        message = f"only one route with an error; laplace differs by {laplace.log_integral - value:+.3g} nats"
        checks.append(Check("routes-agree", "unknown", message, "a second route is available for up to 2 dimensions"))
    checks += extra
    if main == "grid":  # what failed beside a converged grid is a finding about the draws, not about the number
        checks = [c if c.status != "failed" or c.code in _OF_THE_GRID else Check(c.code, "caution", c.message, c.fix)
                  for c in checks]  # fmt: skip
    return Evidence(tuple(checks), value, error, main, crosses, agrees, refused, n_observations)
