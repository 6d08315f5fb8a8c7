"""The evidence p(y), by every route that applies, and whether the routes agree.

For one or two dimensions quadrature gives it near machine precision; in general a bridge over the posterior draws
does, with a standard error. A path of temperatures from the prior is the second opinion: it shares neither draws nor
proposal with the bridge and finds modes that no chain visited. Where routes disagree there is no final number. The
Laplace approximation stands beside them as the crude version: its difference from the best route is the error that
nobody could know from Laplace alone. Where there are latent variables, they are integrated out first and the parameters
by importance sampling (`marginal`); where chains missed a mode that an optimiser found, all modes are integrated over
(`modes`). Neither uses a draw, so either may stand where the draws failed.

Where the prior as it is written does not integrate to one (a potential in it, an order of its values) the log of its
own integral is subtracted from every route, and its error added in squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd

from workbench.check import Check, worst_status
from workbench.evidence.audit import Audit
from workbench.evidence.bridge import Bridge
from workbench.evidence.corroboration import (
    SIGMAS,
    bore_out,
    from_bad_draws,
    lost_draws,
    lost_particles,
    may_stand,
    short_of_modes,
    stands_alone,
)
from workbench.evidence.importance import PriorAverage
from workbench.evidence.modes import OverModes
from workbench.evidence.tempering import ERROR_LIMIT, Tempering
from workbench.posterior.grid import Grid
from workbench.posterior.laplace import Laplace
from workbench.result import Result

# What may fail the number of a route that does not hang on the draws; all else is then a finding about the draws.
_OWN = {
    "grid": ("grid-converged", "routes-agree"),
    "marginal": ("importance-error", "importance-tails", "latents-integrated", "routes-agree"),
    "modes": ("importance-error", "importance-tails", "routes-agree"),
    "tempering": ("tempering-error", "tempering-islands", "routes-agree"),
}
_OVER_MODES = ("marginal", "modes")
# What is found about the draws themselves; where a route carries the evidence without them it is a caution there.
_OF_DRAWS = frozenset(
    ("draws-finite", "draws-move", "chains-distinct", "r-hat", "ess", "mcse", "divergences", "mode-visited",
     "bridge-draws", "bridge-chains", "basins-visited")
)  # fmt: skip
_RESOLVED = 2.0  # standard errors that a log Bayes factor has to exceed
_WORDS = ((1.0, "not worth more than a bare mention"), (3.0, "positive"), (5.0, "strong"), (np.inf, "very strong"))


@dataclass(frozen=True, repr=False, eq=False)
class Evidence(Result):
    """Log p(y) in nats with its error, and the routes behind it.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats, by `method`.
    method : str
        ``grid`` or ``bridge``; ``marginal``, ``modes`` or ``tempering`` where neither could be taken, or the draws
        behind the bridge failed; ``no data``: exactly 0; ``no parameters``: the likelihood itself.
    cross_checks : dict of str to (float, float)
        Every other route -> its value and standard error (NaN where a route has none), nats.
    agrees : bool or None
        Whether all routes that have an error lie within 3 combined standard errors; None if there is only one.
    refused : dict of str to str
        Routes that could not be taken -> why.
    n_observations : int
    parts : dict of str to (float, float)
        Where the prior as it is written does not integrate to one: ``prior x likelihood`` and ``prior``, the logs of
        the two integrals whose difference the evidence is, with their standard errors, nats; every route to the
        second, such as ``prior, bridge``. Else empty.
    """

    log_evidence: float
    std_error: float
    method: str
    cross_checks: dict[str, tuple[float, float]]
    agrees: bool | None
    refused: dict[str, str]
    n_observations: int
    parts: dict[str, tuple[float, float]]
    title: ClassVar[str] = "log evidence, log p(y)"

    @property
    def doubts(self) -> tuple[Check, ...]:
        """What failed, and what speaks against the draws although another route gave the evidence without them."""
        against = (c for c in self.checks if c.status == "failed" or (c.status == "caution" and c.code in _OF_DRAWS))
        return tuple(replace(check, status="failed") for check in against)

    @property
    def without_draws(self) -> bool:
        """Whether the draws failed, and quadrature or particles from the prior gave the evidence without them."""
        return self.method in _OWN and any(c.status == "caution" and c.code in _OF_DRAWS for c in self.checks)

    def table(self) -> pd.DataFrame:
        """One row a route: value, standard error, difference from the main one; and the parts, if there are two."""
        rows = {self.method: (self.log_evidence, self.std_error, 0.0)}
        for name, (value, error) in self.cross_checks.items():
            rows[name] = (value, error, value - self.log_evidence)
        for name, (value, error) in self.parts.items():
            rows[f"integral of {name}"] = (value, error, float("nan"))
        return pd.DataFrame.from_dict(rows, orient="index", columns=["log_evidence", "std_error", "difference"])

    def notes(self) -> list[str]:
        """A conflict, units, refused routes and checks."""
        if self.method == "no data":
            return ["there are no data: the integral of the prior, which is one", *super().notes()]
        lines = ["conflict: the routes disagree, so none of these numbers is final"] if self.agrees is False else []
        if self.method == "no parameters":
            lines.append("there is no free variable to integrate over: this is the likelihood itself")
        if self.parts:
            lines.append("the prior as it is written does not integrate to one: its integral is taken out of the other")
        lines += [f"in nats; {self.log_evidence / np.log(2):.6g} bits; {self.log_evidence / np.log(10):.6g} in log10"]
        if "laplace" in self.cross_checks:
            lines.append("laplace states no error of its own: its difference from the main route is its error")
        lines += [f"{route} was not available: {reason}" for route, reason in self.refused.items()]
        return lines + super().notes()


def strength(value: float, error: float) -> str:
    """How strong a log Bayes factor is, in the words of Kass and Raftery (1995).

    Parameters
    ----------
    value, error : float
        Nats.

    Returns
    -------
    str
        That it is not resolved, if it is smaller than two standard errors.

    Examples
    --------
    >>> strength(-4.0, 0.1), strength(0.1, 0.2)
    ('strong', 'not resolved: within its error')
    """
    if abs(value) < _RESOLVED * error:
        return "not resolved: within its error"
    return next(words for limit, words in _WORDS if abs(value) < limit)


def without_data(audit: Audit) -> Evidence:
    """The evidence of a model without data: exactly 0, the log of the integral of its prior.

    Parameters
    ----------
    audit : Audit
        In which every prior is proper.

    Returns
    -------
    Evidence
    """
    return Evidence(audit.checks[:1], 0.0, 0.0, "no data", {}, None, {}, 0, {})


def without_parameters(audit: Audit, log_likelihood: float, n_observations: int) -> Evidence:
    """The evidence of a model without free variables, such as a null hypothesis: the likelihood itself.

    Parameters
    ----------
    audit : Audit
    log_likelihood : float
        Nats.
    n_observations : int

    Returns
    -------
    Evidence
    """
    return Evidence(audit.checks[:1], log_likelihood, 0.0, "no parameters", {}, None, {}, n_observations, {})


def combine(
    routes: dict[str, Grid | Bridge | OverModes | Tempering | Laplace | PriorAverage],
    refused: dict[str, str],
    n_observations: int,
    extra: tuple[Check, ...],
    audit: Audit,
    r_hat: float = np.inf,
) -> Evidence:
    """One statement of the evidence from every route that could be taken.

    Parameters
    ----------
    routes : dict of str to result
        ``grid``, ``bridge``, ``marginal``, ``modes``, ``tempering``, ``laplace``, ``prior average``: those that could
        be taken; at least one of the first five. Tempering whose islands disagree, or that is both too wide and too
        low, is left out with the reason; so is an integral over the modes that failed its checks, and a bridge over
        draws that failed, if it lies below a route that stands without them.
    refused : dict of str to str
        Routes that could not, and why.
    n_observations : int
    extra : tuple of Check
        Checks that concern every route, such as a failed diagnosis of the draws.
    audit : Audit
        With the integral of the prior, which is taken out of grid and Laplace here; the others come without it
        (`Bridge.over`, `OverModes.over`, `Tempering.over`).
    r_hat : float
        The largest R-hat of the draws; not known by default, which counts as large.

    Returns
    -------
    Evidence
    """
    stated, checks, refused = _stated(routes, refused, audit)
    laplace, tempered = (routes.get(name) for name in ("laplace", "tempering"))
    peak = laplace.log_integral - audit.log_normaliser if isinstance(laplace, Laplace) else -np.inf
    main = _carrier(routes, stated, (*checks, *extra))
    stands = main in _OVER_MODES or (
        isinstance(tempered, Tempering) and main == "tempering" and tempered.start == "prior"
    )
    if main in (*_OVER_MODES, "tempering"):
        checks += routes[main].checks
        for name, reason in _lost(routes, main, stated).items():
            del stated[name]
            refused = refused | {name: reason}
    value, error = stated.pop(main)
    if isinstance(tempered, Tempering) and main == "tempering":
        error = _widened(tempered, error, stated)
    if isinstance(tempered, Tempering) and "tempering" in stated:
        lost = lost_particles(tempered, value, error, peak)
        if lost:
            low, _ = stated.pop("tempering")
            refused = refused | {"tempering": f"{low - value:+.3g} nats, as if particles were lost: {lost}"}
    gaps = {n: abs(v - value) / np.hypot(e, error) for n, (v, e) in stated.items()}
    agrees = all(gap <= SIGMAS for gap in gaps.values()) if gaps else None
    if main == "bridge" and agrees:
        checks, extra, error = bore_out(checks, extra, r_hat, (value, error), stated)
    crosses = dict(stated)
    if isinstance(laplace, Laplace):
        crosses["laplace"] = (peak, float("nan"))
        checks += [check for check in laplace.checks if check.code == "starts-agree"]
    checks += _agreement(main, gaps, agrees, peak - value)
    checks += [*audit.checks, *extra]
    if main == "grid" or stands:
        checks = [c if c.status != "failed" or c.code in _OWN[main] else Check(c.code, "caution", c.message, c.fix)
                  for c in checks]  # fmt: skip
    parts = _parts(value, error, audit)
    return Evidence(tuple(checks), value, error, main, crosses, agrees, refused, n_observations, parts)


def _carrier(routes: Mapping[str, Result], stated: Mapping[str, tuple[float, float]], checks: tuple[Check, ...]) -> str:
    """The route whose number is quoted: a converged grid, else the bridge unless it failed and another stands alone.

    Where the draws cannot carry a number, integrals over modes can, and particles that came from the prior: of those
    that stand alone the one with the smallest error is quoted, and the others have to agree with it.
    """
    grid, tempered = routes.get("grid"), routes.get("tempering")
    main = "grid" if isinstance(grid, Grid) and grid.checks[0].status == "ok" else "bridge"
    main = next(name for name in (main, "bridge", "grid", *_OVER_MODES, "tempering") if name in stated)
    if main != "bridge" or worst_status(checks) != "failed":
        return main
    # A bridge so wide may have seen a mode that neither of the others did.
    average = stated.get("prior average") if stated["bridge"][1] <= ERROR_LIMIT else None
    over = {name: routes[name] for name in _OVER_MODES if name in stated}
    able = [n for n, r in over.items() if isinstance(r, OverModes) and may_stand(r, tempered, stated)]
    able += ["tempering"] * (isinstance(tempered, Tempering) and stands_alone(tempered, average))
    return min(able, key=lambda name: stated[name][1]) if able else main


def _lost(routes: Mapping[str, Result], main: str, stated: Mapping[str, tuple[float, float]]) -> dict[str, str]:
    """Routes from draws that failed which say nothing against the one that is quoted in their place -> why."""
    tempered, found = routes.get("tempering"), {}
    alone = isinstance(tempered, Tempering) and (stands_alone(tempered, None) or "prior average" in stated)
    if main in _OVER_MODES or alone:
        found["bridge"] = lost_draws(stated[main], stated)
    if main in _OVER_MODES and isinstance(tempered, Tempering):
        found["tempering"] = from_bad_draws(tempered, stated[main], stated)
    return {name: reason for name, reason in found.items() if reason}


def _widened(tempered: Tempering, error: float, stated: Mapping[str, tuple[float, float]]) -> float:
    """The error of a quoted tempering, whose own comes from its own particles, which err to one side.

    It is no less than that of a prior average which it needs to stand, nor than half of its distance to a bridge that
    agrees with it, unless that one is too wide to say anything.
    """
    if not stands_alone(tempered, None) and "prior average" in stated:
        error = max(error, stated["prior average"][1])
    value, wide = stated.get("bridge", (np.nan, np.inf))
    gap = abs(value - tempered.log_evidence)
    near = wide <= ERROR_LIMIT and gap <= SIGMAS * np.hypot(error, wide)
    return max(error, gap / 2) if near else error


def _agreement(main: str, gaps: Mapping[str, float], agrees: bool | None, beyond: float) -> list[Check]:
    """Whether the routes agree; `beyond` is how far Laplace's approximation lies above, nats, ``-inf`` without it."""
    if gaps:
        found = ", ".join(f"{name} {gap:.1f}" for name, gap in gaps.items())
        message = f"{'' if agrees else 'conflict: '}distance from {main} in combined standard errors: {found}"
        remedy = "" if agrees else "do not quote one of them: draw more, and look for modes that the chains missed"
        return [Check("routes-agree", "ok" if agrees else "failed", message, remedy)]
    if main == "bridge" and np.isfinite(beyond):
        message = f"only one route with an error; laplace differs by {beyond:+.3g} nats"
        return [Check("routes-agree", "unknown", message, "see why tempering was not available")]
    return []


def contradicts(tempered: Tempering, bridge: Bridge, peak: float) -> bool:
    """Whether tempering lies more than 3 combined standard errors from the bridge, and counts.

    Parameters
    ----------
    tempered : Tempering
    bridge : Bridge
    peak : float
        Log evidence by Laplace's approximation, nats; ``-inf`` where there is none.

    Returns
    -------
    bool
    """
    gap = abs(tempered.log_evidence - bridge.log_evidence)
    apart = gap > SIGMAS * np.hypot(tempered.std_error, bridge.std_error)
    return bool(apart) and not lost_particles(tempered, bridge.log_evidence, bridge.std_error, peak)


def does_not_count(tempered: Tempering, bridge: Bridge, peak: float) -> bool:
    """Whether a path from the prior is left out: its islands disagree, or it lost its particles.

    Parameters
    ----------
    tempered : Tempering
    bridge : Bridge
    peak : float
        Log evidence by Laplace's approximation, nats; ``-inf`` where there is none.

    Returns
    -------
    bool
    """
    torn = any(c.code == "tempering-islands" and c.status == "failed" for c in tempered.checks)
    lost = lost_particles(tempered, bridge.log_evidence, bridge.std_error, peak)
    return tempered.start == "prior" and (torn or bool(lost))


def _stated(
    routes: Mapping[str, Result], refused: dict[str, str], audit: Audit
) -> tuple[dict[str, tuple[float, float]], list[Check], dict[str, str]]:
    """Value and error of every route that states one, the checks of the first two, and the routes that do not count."""
    stated: dict[str, tuple[float, float]] = {}
    checks: list[Check] = []
    grid, found = routes.get("grid"), routes.get("bridge")
    if isinstance(grid, Grid):
        value, error = grid.log_integral - audit.log_normaliser, float(np.hypot(grid.error, audit.std_error))
        stated["grid"] = (value, error)
        checks += grid.checks
    if isinstance(found, Bridge):
        stated["bridge"] = (found.log_evidence, found.std_error)
        checks += found.checks
    tempered = routes.get("tempering")
    if isinstance(tempered, Tempering):
        torn = next((c.message for c in tempered.checks if c.code == "tempering-islands" and c.status == "failed"), "")
        if torn and stated:
            refused = refused | {"tempering": torn}
        else:
            stated["tempering"] = (tempered.log_evidence, tempered.std_error)
    for name in _OVER_MODES:
        over = routes.get(name)
        bad = next((c.message for c in over.checks if c.status == "failed"), "") if over is not None else ""
        if isinstance(over, OverModes) and bad and stated:
            refused = refused | {name: bad}
        elif isinstance(over, OverModes):
            stated[name] = (over.log_evidence, over.std_error)
    average = routes.get("prior average")
    if isinstance(average, PriorAverage):
        stated["prior average"] = (average.log_evidence, average.std_error)
    for name in _OVER_MODES:
        short = short_of_modes(name, tempered, stated) if isinstance(tempered, Tempering) else ""
        if short:
            del stated[name]
            refused = refused | {name: short}
    return stated, checks, refused


def _parts(value: float, error: float, audit: Audit) -> dict[str, tuple[float, float]]:
    """The two integrals whose ratio the evidence is; empty where the prior integrates to one as it is written."""
    if audit.log_normaliser == 0.0 and audit.std_error == 0.0:
        return {}
    joint = float(np.sqrt(max(error**2 - audit.std_error**2, 0.0)))
    parts = {"prior x likelihood": (value + audit.log_normaliser, joint)}
    parts["prior"] = (audit.log_normaliser, audit.std_error)
    main = next(iter(audit.routes), "")
    return parts | {f"prior, {name}": found for name, found in audit.routes.items() if name != main}
