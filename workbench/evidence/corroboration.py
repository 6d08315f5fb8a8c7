"""What one route to the evidence says about another: which may stand alone, which is borne out, which does not count.

Every route errs to a side of its own. Draws that left out a part of the posterior, and a bridge over them, are too low;
so are particles that did not follow where the mass went. Neither invents mass. So a route that failed its checks has
no say against a higher one that passed, and where two routes of different making agree, what was found about the
draws alone is no longer a reason to leave the number aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from workbench.check import Check, worst_status
from workbench.evidence.modes import OverModes
from workbench.evidence.tempering import ERROR_LIMIT, Tempering
from workbench.result import Result

SIGMAS = 3.0  # combined standard errors within which independent routes have to agree
# What draws are found to be when they are too few or too alike, not when they are wrong or from elsewhere; the remedy
# for a wide bracket is to compare with another route.
_SLOW = frozenset(("r-hat", "ess", "mcse", "divergences", "bridge-overlap"))
_FEW_MODES = 4  # that are taken for all: of more some may not have been found
_R_HAT = 1.05  # largest of slow chains; of chains in different modes it is far larger (Vehtari and others 2021)

Stated = Mapping[str, tuple[float, float]]


def stands_alone(tempered: Tempering, average: tuple[float, float] | None) -> bool:
    """Whether a tempered estimate hangs on no posterior draw and passes its own checks, or is confirmed.

    Where the moves go nowhere, as between separated modes, islands share what the common shape of their moves does to
    them, and their spread understates the error (measured: by a factor near 1.7). Such an estimate may contradict
    another, but not stand in its place, unless the average over the prior, which has no moves, says the same; the
    larger of the two errors is then stated.

    Parameters
    ----------
    tempered : Tempering
    average : (float, float) or None
        Value and standard error of the prior average, nats.

    Returns
    -------
    bool
    """
    status = worst_status(tempered.checks)
    if tempered.start != "prior" or status == "failed":
        return False
    if status == "ok" or average is None:
        return status == "ok"
    gap = abs(tempered.log_evidence - average[0])
    return bool(gap <= SIGMAS * np.hypot(tempered.std_error, average[1]) and average[1] <= ERROR_LIMIT)


def lost_particles(tempered: Tempering, value: float, error: float, peak: float) -> str:
    """Why a tempered estimate far below the main route says nothing against it; empty where it does.

    Particles that do not follow where the mass goes make it too low, and their islands agree on that: a narrow peak
    under a prior 1e9 times as wide was 3 nats low, with a stated error of 0.25, and a regression under priors 1e3 times
    as wide as the data 10 nats, with one of 0.16. So from below it does not count if it is too wide by its own check,
    or if Laplace's approximation, which knows nothing of draws, is nearer to the main route. From above it may have
    found what the other one left out.

    Parameters
    ----------
    tempered : Tempering
    value, error : float
        Of the main route, nats.
    peak : float
        By Laplace's approximation, nats; ``-inf`` where there is none.

    Returns
    -------
    str
    """
    low = value - tempered.log_evidence
    if not low > SIGMAS * float(np.hypot(tempered.std_error, error)):
        return ""
    wide = next((c.message for c in tempered.checks if c.code == "tempering-error" and c.status == "failed"), "")
    nearer = abs(peak - value) < abs(peak - tempered.log_evidence)
    return wide or "the peak that an optimiser found has as much mass as the draws say" * bool(nearer)


def lost_draws(main: tuple[float, float], stated: Stated) -> str:
    """Why a bridge over draws that failed says nothing against the route in its place; empty where it does.

    From below it does not count: draws that stayed short of a part of the posterior make it too low. From above it has
    seen what that route did not.

    Parameters
    ----------
    main : (float, float)
        Value and standard error of the route that is quoted instead, nats.
    stated : mapping of str to (float, float)
        Value and standard error of the routes, nats.

    Returns
    -------
    str
    """
    low = _below("bridge", main, stated)
    if not low:
        return ""
    return (
        f"{low:+.3g} nats, as draws that failed their checks and stayed short of a part of the posterior would have it"
    )


def from_bad_draws(tempered: Tempering, main: tuple[float, float], stated: Stated) -> str:
    """Why a path that starts from draws that failed says nothing against the route in their place; empty where it does.

    Parameters
    ----------
    tempered : Tempering
    main : (float, float)
        Value and standard error of the route that is quoted, nats.
    stated : mapping of str to (float, float)
        Value and standard error of the routes, nats.

    Returns
    -------
    str
    """
    low = _below("tempering", main, stated)
    if not low or tempered.start == "prior":
        return ""
    return f"{low:+.3g} nats: its path starts from draws that failed their checks"


def short_of_modes(name: str, tempered: Tempering, stated: Stated) -> str:
    """Why an integral over the modes that were found does not count; empty where it does.

    It lacks what no climb found, and says nothing of it: its draws are near the others. So from below it says nothing
    against particles that came from the prior and pass their checks. From above it has seen what they did not.

    Parameters
    ----------
    name : str
        Of that route.
    tempered : Tempering
    stated : mapping of str to (float, float)
        Value and standard error of the routes, nats.

    Returns
    -------
    str
    """
    if "tempering" not in stated or not stands_alone(tempered, stated.get("prior average")):
        return ""
    low = _below(name, stated["tempering"], stated)
    return f"{low:+.3g} nats, as if some modes were found by particles from the prior and by no climb" if low else ""


def may_stand(over: OverModes, tempered: Result | None, stated: Stated) -> bool:
    """Whether an integral over modes may be quoted where the draws failed.

    Of many modes some may not have been found. Then particles or draws from the prior have to say as much, with an
    error that is small enough to say anything.

    Parameters
    ----------
    over : OverModes
    tempered : Result or None
        The path of temperatures, if one was taken.
    stated : mapping of str to (float, float)
        Value and standard error of the routes, nats.

    Returns
    -------
    bool
    """
    heard = ["prior average"]
    heard += ["tempering"] * (isinstance(tempered, Tempering) and tempered.start == "prior")
    return over.modes <= _FEW_MODES or any(name in stated and stated[name][1] <= ERROR_LIMIT for name in heard)


def _below(name: str, main: tuple[float, float], stated: Stated) -> float:
    """By how much a route lies below another one, nats, negative; 0 where it is not more than 3 combined errors."""
    value, error = stated.get(name, (np.nan, np.nan))
    low = value - main[0]
    return low if -low > SIGMAS * float(np.hypot(main[1], error)) else 0.0


def bore_out(
    checks: Iterable[Check], extra: Iterable[Check], r_hat: float, bridge: tuple[float, float], stated: Stated
) -> tuple[list[Check], tuple[Check, ...], float]:
    """Checks and error of a bridge over slow draws that a route with no draws as its terms agrees with.

    What a bridge is short of where draws are few or alike is in its error, which counts effective draws and leaves out
    chains. That the error is honest, another route has to say. Divergences, few effective draws and an R-hat up to 1.05
    are then a caution; draws from another density, chains that disagree or left out a mode stay what they are.

    Parameters
    ----------
    checks, extra : iterable of Check
        Of the bridge, and of the draws.
    r_hat : float
        The largest R-hat.
    bridge : (float, float)
        Value and standard error, nats.
    stated : mapping of str to (float, float)
        The other routes, all in agreement with the bridge.

    Returns
    -------
    checks : list of Check
    extra : tuple of Check
    error : float
        Nats; no less than the distance to the farthest of these routes, as both are too low where the draws, which the
        path of either may start from, stayed short of something; twice that where R-hat failed.
    """
    checks, extra, (value, error) = list(checks), tuple(extra), bridge
    failed = {check.code for check in (*checks, *extra) if check.status == "failed"}
    gaps = [abs(other - value) for other, wide in stated.values() if wide <= ERROR_LIMIT]
    # Of seven such bridges two, both with a large R-hat, were 2.2 and 2.7 of their own errors too low.
    wider = max(error, *gaps, 0.0) * (2.0 if "r-hat" in failed else 1.0)
    heard = bool(gaps) and wider <= ERROR_LIMIT
    if not failed or not failed <= _SLOW or not heard or ("r-hat" in failed and not r_hat < _R_HAT):
        return checks, extra, error

    def eased(check: Check) -> Check:
        return replace(check, status="caution") if check.status == "failed" else check

    return [eased(c) for c in checks], tuple(eased(c) for c in extra), wider
