"""The audit: every term of the joint density, its side, and whether each prior integrates to one.

    p(y) = integral of p(y given theta) p(theta) d theta,     integral of p(theta) d theta = 1

is a number of the model only if the second line holds. Most priors are normalised by their formula. Those that PyMC
cannot vouch for are measured on z, the other variables held at several values drawn from their prior: by quadrature
where the elements are independent, elsewhere by a bridge over draws of the variable, or by
importance sampling where it cannot be drawn. What is left of a known distribution under a
transformation that keeps a part of it, such as the one order of K values that `ordered` keeps, is a density again
once it is divided by the share that it kept; if that share is the same whatever the other variables are, its logarithm
is subtracted from the evidence. A prior that is wrong by its own formula is refused with the number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.check import Check, Status
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.bridge import bridge_sampling
from workbench.evidence.importance import integrate_by_importance
from workbench.evidence.prior_integral import PriorIntegral
from workbench.model.density import LogDensity
from workbench.model.proper import PriorForm, PriorTerm, known_likelihoods, prior_forms
from workbench.numerics.line import integrate_lines
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import Vector
from workbench.prior.draws import draws_given, places_to_hold
from workbench.result import Result

Proper = Literal["yes", "no", "cut", "unknown"]
_EXACT = 1e-6  # nats: what quadrature leaves of a density that is written with constants of 8 digits
_SIGMAS = 4.0  # standard errors of an importance estimate; of 5 values of the others, one leaves 4 in 3,000 audits
_ROUGH = 0.05  # nats: a normaliser that is not known to this is not known
_TAIL = 0.7  # Pareto k
_HELD = 5  # values of the other variables at which a prior that depends on them is integrated
_CHAINS, _DRAWS = 4, 4000  # independent draws in four parts, as the bridge wants them
_VERDICTS: tuple[tuple[Proper, Status, str], ...] = (
    ("no", "failed", "see study.evidence.audit()"),
    ("unknown", "unknown", "compare with a distribution of PyMC, or give it a `random` method to be measured with"),
)


@dataclass(frozen=True)
class TermAudit:
    """One term of the joint density.

    Attributes
    ----------
    side : str
        ``prior``, ``latent``, ``likelihood`` or ``no side yet``.
    proper : {"yes", "no", "cut", "unknown"}
        Whether it integrates to one; ``cut``: to a constant that is known and subtracted.
    how : str
        ``known distribution``, ``quadrature``, ``bridge over prior draws``, ``importance sampling``, ``symmetry``,
        ``formula``, ``integral of the whole prior`` for a potential in it, or ``taken as it stands``.
    log_normaliser, std_error : float
        Log of what it integrates to, nats; NaN where nothing was measured.
    why : str
        What is wrong or not known; empty for a proper term.
    """

    side: str
    proper: Proper
    how: str
    log_normaliser: float
    std_error: float
    why: str


@dataclass(frozen=True, repr=False, eq=False)
class Audit(Result):
    """Every term of the joint density, and what the prior as a whole integrates to.

    Attributes
    ----------
    terms : dict of str to dict
        Variable or potential -> the fields of `TermAudit`.
    log_normaliser, std_error : float
        Log of the integral of the prior, with cuts and with potentials on its side, nats: exactly 0 where every prior
        is normalised, NaN where it does not exist or is not known.
    routes : dict of str to (float, float)
        With a potential in the prior: every route to that integral -> its value and standard error, nats.
    """

    terms: dict[str, dict]
    log_normaliser: float
    std_error: float
    routes: dict[str, tuple[float, float]]
    title: ClassVar[str] = "audit of the terms"

    def table(self) -> pd.DataFrame:
        """One row a term: side, whether it is normalised, how that is known, what it integrates to."""
        columns = {
            "side": "side", "normalised": "proper", "established by": "how", "log normaliser": "log_normaliser",
            "std_error": "std_error",
        }  # fmt: skip
        rows = {n: {label: term[field] for label, field in columns.items()} for n, term in self.terms.items()}
        for route, (value, error) in self.routes.items():
            rows[f"prior with potentials, {route}"] = dict(
                zip(columns, ("prior", "subtracted", route, value, error), strict=True)
            )
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(columns))

    def notes(self) -> list[str]:
        """Why a term is not proper, what is subtracted from the evidence, and checks that are not ``ok``."""
        lines = [term["why"] for term in self.terms.values() if term["why"]]
        if np.isfinite(self.log_normaliser) and self.log_normaliser != 0.0:
            lines.append(
                f"the prior integrates to exp({self.log_normaliser:.6g}) +- {self.std_error:.1g} nats, "
                "which is subtracted from the log of every integral over it"
            )
        return lines + super().notes()

    @property
    def refused(self) -> tuple[str, str] | None:
        """The first term that does not integrate to one, and why; None where the evidence exists."""
        return next(((name, t["why"]) for name, t in self.terms.items() if t["proper"] == "no"), None)


def _by_bridge(density: LogDensity, term: PriorTerm, z: Vector, seed: int) -> tuple[float, float] | None:
    """Value and error by a bridge over independent draws of the variable; None where it has none, or none inside."""
    try:
        drawn = draws_given(density, term.name, z if term.depends_on else None, _DRAWS, seed)[:, term.block]
    except RefusalError:
        return None
    objective = term.at(z)
    log_f = sweep_of(objective)(drawn)[0]
    drawn, log_f = drawn[np.isfinite(log_f)], log_f[np.isfinite(log_f)]
    length = len(drawn) // _CHAINS
    try:
        bridge = bridge_sampling(
            objective, drawn[: _CHAINS * length].reshape(_CHAINS, length, -1),
            log_f[: _CHAINS * length].reshape(_CHAINS, length), seed, _ROUGH / 5,
        )  # fmt: skip
    except (RefusalError, NumericalError):
        return None
    sound = all(check.status != "failed" for check in bridge.checks)
    return bridge.log_evidence, bridge.std_error if sound else float("inf")


def _by_importance(term: PriorTerm, z: Vector, seed: int) -> tuple[float, float]:
    """Value and error by importance sampling; an infinite error where few draws decide."""
    found = integrate_by_importance(term.at(z), z[term.block], seed)
    return found.log_integral, found.std_error if found.pareto_k <= _TAIL else float("inf")


def _integrals(
    density: LogDensity, term: PriorTerm, form: PriorForm, others: NDArray[np.float64], seed: int
) -> tuple[Vector, Vector, str]:
    """What a term integrates to at each value of the other variables, its error, and how: nats.

    Raises
    ------
    RefusalError
        If the density does not fall off.
    NumericalError
        If the density vanishes wherever it was looked at.
    """
    if form.elementwise or term.dimension == 1:
        lines = [integrate_lines(lambda t, z=z: term.elements(t, z), z[term.block]) for z in others]  # type: ignore[misc]
        found = np.array([(line.log_integral.sum(), line.error.sum()) for line in lines])
        return found[:, 0], found[:, 1], "quadrature"
    bridges = [_by_bridge(density, term, z, seed + k) for k, z in enumerate(others)]
    drawn = [bridge for bridge in bridges if bridge is not None]
    if len(drawn) == len(bridges):
        return *np.array(drawn).T, "bridge over prior draws"
    found = np.array([_by_importance(term, z, seed + k) for k, z in enumerate(others)])
    return found[:, 0], found[:, 1], "importance sampling"


def _unmeasured(name: str, form: PriorForm, how: str, what: str) -> TermAudit:
    """A prior whose integral could not be measured: known to be less than one if a transformation cuts it short."""
    why = f"what the prior of {name} integrates to could not be measured: {what}"
    return TermAudit("prior", "no" if form.kind == "cut" else "unknown", how, float("nan"), float("inf"), why)


def _judged(name: str, form: PriorForm, values: Vector, errors: Vector, how: str, parents: str) -> TermAudit:
    """The verdict on one prior from its integrals at several values of the other variables."""
    if not np.all(errors <= _ROUGH):
        return _unmeasured(name, form, how, form.why)
    weights = 1.0 / np.maximum(errors, 1e-12) ** 2
    weights /= weights.sum()
    mean, error = float(weights @ values), float(np.linalg.norm(weights * errors))
    slack = _SIGMAS * errors + (_EXACT if how == "quadrature" else 0.0)
    if np.all(np.abs(values) <= slack):
        return TermAudit("prior", "yes", how, mean, error, "")
    if not np.all(np.abs(values - mean) <= slack):
        low, high = np.exp([values.min(), values.max()])
        why = f"the prior of {name} integrates to {low:.3g} or to {high:.3g}, depending on {parents}, not to one"
        return TermAudit("prior", "no", how, float("nan"), float("nan"), why)
    if form.kind == "cut":
        why = f"{form.why}: a share of {np.exp(mean):.4g}, by which it is divided"
        return TermAudit("prior", "cut", how, mean, error, why)
    why = f"the prior of {name} integrates to {np.exp(mean):.4g}, not to one"
    return TermAudit("prior", "no", how, mean, error, why)


def _measured(density: LogDensity, name: str, form: PriorForm, seed: int) -> TermAudit:
    """Measure what one prior integrates to."""
    term = PriorTerm(density, name)
    if np.isfinite(form.log_share):
        what = "a share of" if form.log_share < 0 else "it integrates to"
        why = f"{form.why}: {what} {np.exp(form.log_share):.4g}, by which it is divided"
        return TermAudit("prior", "cut", form.how, form.log_share, 0.0, why)
    places = places_to_hold(density, _HELD, seed) if term.depends_on else density.space.start[None]
    try:
        values, errors, how = _integrals(density, term, form, places, seed)
    except (RefusalError, NumericalError, NotImplementedError) as error:
        what = error.what if isinstance(error, RefusalError | NumericalError) else "it has no gradient"
        if "fall off" in what:
            why = f"the prior of {name} does not integrate to one: {what}"
            return TermAudit("prior", "no", "quadrature", float("inf"), float("nan"), why)
        return _unmeasured(name, form, "-", what)
    return _judged(name, form, values, errors, how, ", ".join(term.depends_on))


def examine_terms(density: LogDensity, seed: int) -> Audit:
    """Every term of the joint density, each prior that PyMC cannot vouch for measured.

    Parameters
    ----------
    density : LogDensity
    seed : int
        Of the values at which other variables are held, and of draws.

    Returns
    -------
    Audit
        Potentials on the side of the prior are not in its `log_normaliser` yet; see `with_potentials`.
    """
    found: dict[str, TermAudit] = {}
    for name, form in prior_forms(density.model).items():
        if form.kind == "known":
            term = TermAudit("prior", "yes", "known distribution", 0.0, 0.0, "")
        elif form.kind == "improper":
            term = TermAudit("prior", "no", "known distribution", float("inf"), 0.0, form.why)
        elif name in density.discrete:
            term = TermAudit("prior", "unknown", "-", float("nan"), float("inf"), f"{name} is discrete: {form.why}")
        else:
            term = _measured(density, name, form, seed)
        found[name] = replace(term, side="latent" if name in density.latents else "prior")
    nothing = (float("nan"), float("nan"))
    for name, known in known_likelihoods(density.model).items():
        how = "known distribution" if known else "taken as it stands"
        why = f"PyMC does not vouch for the likelihood of {name}: constants left out of it are missing"
        found[name] = TermAudit("likelihood", "yes" if known else "unknown", how, *nothing, "" if known else why)
    for name in density.symbolic.potential:
        side = density.potentials.get(name, "no side yet")
        how = "integral of the whole prior" if side == "prior" else "taken as it stands"
        found[name] = TermAudit(side, "unknown", how, *nothing, "")
    priors = [term for name, term in found.items() if name in density.space.names]
    total = sum(term.log_normaliser for term in priors if term.proper == "cut")
    error = float(np.sqrt(sum(term.std_error**2 for term in priors if term.proper == "cut")))
    tilted = density.unlabelled or "prior" in density.potentials.values()
    if tilted or any(term.proper == "no" for term in priors):
        total, error = nothing
    terms = {name: {**term.__dict__} for name, term in found.items()}
    return Audit((_normalised(priors),), terms, float(total), error, {})


def _normalised(priors: list[TermAudit]) -> Check:
    """Whether every prior integrates to one, or to a constant that is known."""
    for proper, status, fix in _VERDICTS:
        message = next((term.why for term in priors if term.proper == proper), "")
        if message:
            return Check("priors-normalised", status, message, fix)
    hows = sorted({term.how for term in priors})
    message = f"every prior is normalised, by {', '.join(hows)}" if hows else "there is no prior"
    return Check("priors-normalised", "ok", message)


def with_potentials(audit: Audit, integral: PriorIntegral) -> Audit:
    """The audit of a model with a potential in its prior, whose integral was estimated as a whole.

    Parameters
    ----------
    audit : Audit
    integral : PriorIntegral

    Returns
    -------
    Audit
    """
    return replace(
        audit,
        checks=(*audit.checks, *integral.checks),
        log_normaliser=integral.log_integral,
        std_error=integral.std_error,
        routes={integral.method: (integral.log_integral, integral.std_error), **integral.cross_checks},
    )


def require_proper(audit: Audit, question: str) -> None:
    """Refuse the evidence of a model with a prior that does not integrate to one.

    Parameters
    ----------
    audit : Audit
    question : str
        What was asked, to be named in the refusal.

    Raises
    ------
    RefusalError
        With the variable, what its prior integrates to, and the remedy.
    """
    if audit.refused is not None:
        name, why = audit.refused
        value = audit.terms[name]["log_normaliser"]
        remedy = "write its log density with every constant, so that it integrates to one whatever its parameters are"
        if np.isfinite(value):
            remedy = f"subtract {value:.4g} from its log density: {remedy}"
        raise RefusalError(f"{question} is refused: {why}", name, remedy)
