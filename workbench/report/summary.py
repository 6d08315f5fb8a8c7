"""The top of the page: the verdict, what was found, and the few numbers that most readers came for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.check import SEVERITY, Check, worst_status
from workbench.errors import InputError
from workbench.report.content import Table, anchor, answer
from workbench.report.numbers import amount, count, interval, listed, measured, nats, nats_error
from workbench.result import Refusal, Result

SYMBOLS = {"ok": "✓", "unknown": "?", "caution": "!", "failed": "✗"}
_MEANINGS = {
    "ok": "Every check that could be made of the draws and of the evidence passed.",
    "unknown": "Nothing was found wrong with the draws or the evidence, but something could not be judged.",
    "caution": "The numbers stand, but read the findings before you quote them.",
    "failed": "Do not use the numbers before the findings are dealt with.",
}
_ROUTES = {
    "marginal": "integrating the latent variables out first",
    "modes": "importance sampling over all modes that were found",
}
_ROWS = 6


@dataclass(frozen=True)
class Finding:
    """A check that is not ok, and the questions in whose answers it was made.

    Attributes
    ----------
    check : Check
    questions : tuple of (question, anchor)
    """

    check: Check
    questions: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Card:
    """A key number: value with unit, and what it is."""

    value: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Summary:
    """The head of the page.

    Attributes
    ----------
    title : str
    verdict, symbol, sentence : str
    findings : tuple of Finding
        From the worst to the mildest.
    refusals : tuple of str
        Sentences, one a reason.
    cards : tuple of Card
    numbers : Table or None
    about : str
        Model, data, seed, time.
    """

    title: str
    verdict: str
    symbol: str
    sentence: str
    findings: tuple[Finding, ...]
    refusals: tuple[str, ...]
    cards: tuple[Card, ...]
    numbers: Table | None
    about: str


def summarise(
    answers: Mapping[str, Result], draws_shape: tuple[int, int], manifest: Mapping[str, Any], verdict: str
) -> Summary:
    """The head of the page from finished answers.

    Parameters
    ----------
    answers : mapping of str to Result
    draws_shape : (chains, draws)
    manifest : mapping
    verdict : {"ok", "unknown", "caution", "failed"}

    Returns
    -------
    Summary

    Raises
    ------
    InputError
        If the verdict is another word.
    """
    if verdict not in SEVERITY:
        raise InputError(f"{verdict!r} is no verdict", "report", f"a verdict is one of {', '.join(SEVERITY)}")
    findings = find(answers)
    name = str(manifest.get("name", "model"))
    return Summary(
        title=name.replace("_", " "),
        verdict=verdict,
        symbol=SYMBOLS[verdict],
        sentence=_sentence(verdict, findings),
        findings=findings,
        refusals=_refusals(answers),
        cards=tuple(_cards(answers, draws_shape)),
        numbers=_numbers(answers),
        about=_about(manifest),
    )


def find(answers: Mapping[str, Result]) -> tuple[Finding, ...]:
    """Every check that is not ok, once, from the worst to the mildest.

    Parameters
    ----------
    answers : mapping of str to Result

    Returns
    -------
    tuple of Finding
    """
    found: dict[Check, list[str]] = {}
    for question, result in answers.items():
        for check in dict.fromkeys(result.checks):
            if check.status != "ok":
                found.setdefault(check, []).append(question)
    ordered = sorted(found.items(), key=lambda item: -SEVERITY[item[0].status])
    return tuple(Finding(check, tuple((q, anchor(q)) for q in questions)) for check, questions in ordered)


def _sentence(verdict: str, findings: tuple[Finding, ...]) -> str:
    """What the verdict means, and that there are findings where it alone would not say so."""
    worst = worst_status(finding.check for finding in findings)
    if not findings or SEVERITY[worst] <= SEVERITY[verdict] and verdict != "ok":  # type: ignore[index]
        return _MEANINGS[verdict]
    where = listed(list(dict.fromkeys(q for finding in findings for q, _ in finding.questions)), 4)
    return (
        f"{_MEANINGS[verdict]} Elsewhere ({where}) there is something to read: {count(len(findings), 'finding')} below."
    )


def _refusals(answers: Mapping[str, Result]) -> tuple[str, ...]:
    """Refused questions, grouped by what is in the way."""
    reasons: dict[str, list[str]] = {}
    for question, result in answers.items():
        if isinstance(result, Refusal):
            reasons.setdefault(result.what, []).append(question)
    return tuple(f"{listed(questions)}: {what}" for what, questions in reasons.items())


def _cards(answers: Mapping[str, Result], shape: tuple[int, int]) -> list[Card]:
    """Evidence, information, draws: those that exist."""
    cards = []
    evidence = answer(answers, "evidence.estimate", "Evidence")
    if evidence is not None:
        second = any(np.isfinite(error) for _, error in evidence.cross_checks.values())
        route = _ROUTES.get(evidence.method, evidence.method)
        agree = "" if not second else "; the routes agree" if evidence.agrees else "; THE ROUTES DISAGREE"
        cards.append(
            Card(
                nats(evidence.log_evidence, evidence.std_error),
                "nats",
                "log evidence, log p(y): how well prior and likelihood together predicted the data. "
                f"By {route}, std_error {nats_error(evidence.std_error)} nats{agree}.",
            )
        )
    information = answer(answers, "information", "Information")
    if information is not None and "KL(posterior || prior)" in information.entries:
        value, error, _ = information.entries["KL(posterior || prior)"]
        cards.append(
            Card(
                amount(value / np.log(2), error / np.log(2)),
                "bits",
                f"what the data taught about {subject(answers)}: KL(posterior || prior) = {amount(value, error)} nats.",
            )
        )
    diagnosis = answer(answers, "diagnosis", "Diagnosis")
    if diagnosis is not None:
        ess = np.minimum(diagnosis.ess_bulk, diagnosis.ess_tail)
        quality = ""
        if np.any(np.isfinite(ess)):
            quality = f": smallest effective sample size {np.nanmin(ess):.0f}"
        if np.any(np.isfinite(diagnosis.r_hat)):
            quality += f", largest R-hat {np.nanmax(diagnosis.r_hat):.3f}"
        chains = count(shape[0], "chain")
        cards.append(Card(str(shape[0] * shape[1]), "draws", f"from the posterior, in {chains}{quality}."))
    return cards


def subject(answers: Mapping[str, Result]) -> str:
    """The free variables in words: ``mu and sigma``."""
    anatomy = answer(answers, "anatomy", "Anatomy")
    if anatomy is None:
        return "the free variables"
    return listed(anatomy.named("parameter", "latent", "ambiguous", "discrete"))


def _numbers(answers: Mapping[str, Result]) -> Table | None:
    """MLE beside posterior of the first scalars."""
    comparison = answer(answers, "comparison", "Comparison")
    if comparison is None:
        return None
    percent = f"{100 * comparison.level:g}%"
    columns = ["", "MLE ± std_error", "posterior mean ± sd", f"{percent} ETI"]
    rows = []
    for i, label in enumerate(comparison.labels[:_ROWS]):
        error, sd = float(comparison.mle_error[i]) if comparison.mle_error.size else np.nan, float(comparison.sd[i])
        rows.append(
            (
                label,
                measured(float(comparison.mle[i]), error),
                measured(float(comparison.mean[i]), sd),
                interval(float(comparison.eti_lower[i]), float(comparison.eti_upper[i]), sd),
            )
        )
    more = len(comparison.labels) - len(rows)
    caption = "In the units of the model. ETI: equal-tailed interval of the posterior."
    if more > 0:
        caption += f" {count(more, 'more scalar').capitalize()} below."
    if np.all(np.isnan(comparison.mle)):
        columns.pop(1)
        return Table(tuple(columns), tuple((row[0], *row[2:]) for row in rows), caption, frozenset(range(1, 3)))
    return Table(tuple(columns), tuple(rows), caption, frozenset(range(1, len(columns))))


def _about(manifest: Mapping[str, Any]) -> str:
    """Model, data, seed and time in one line, as far as they are known."""
    parts = []
    for key in ("model", "data"):
        value = manifest.get(key)
        path = value.get("path") if isinstance(value, Mapping) else value
        if path:
            parts.append(f"{key} {path}")
    parts += [f"{key} {manifest[key]}" for key in ("seed",) if key in manifest]
    parts += [str(manifest[key]) for key in ("created", "started") if manifest.get(key)][:1]
    return " · ".join(parts)
