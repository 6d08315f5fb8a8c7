"""Sections on the evidence: its routes, the bridge, and the account of information in nats and bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from workbench.plots.account import plot_account, plot_taught
from workbench.plots.learning import learnable, plot_learning
from workbench.plots.scalars import Scalar
from workbench.plots.tempering import plot_tempering
from workbench.report.content import Picture, Section, Table, anchor, answer, picture, plain
from workbench.report.numbers import amount, nats, nats_error, number, size
from workbench.report.summary import subject
from workbench.result import Result

if TYPE_CHECKING:
    from workbench.evidence.bridge import Bridge
    from workbench.evidence.estimate import Evidence
    from workbench.evidence.tempering import Tempering
    from workbench.information import Information

BIT = float(np.log(2.0))
_LEARNT = 6  # scalars with a row from prior to posterior
_ROUTES = {
    "grid": "quadrature on a grid: the reference in one and two dimensions",
    "bridge": "bridge sampling: from the posterior draws and a proposal fitted to other chains, with a standard error",
    "tempering": "a path of temperatures from the prior or a proposal, with a standard error of its own",
    "marginal": "latent variables integrated out first, the parameters by importance sampling around every mode",
    "modes": "importance sampling around every mode that an optimiser found, visited by the chains or not",
    "laplace": "a normal approximation at the mode: states no error, its difference from the main route is its error",
}

_PARTS = {
    "prior x likelihood": "of the prior as it is written",
    "prior": "what the prior as it is written integrates to: taken out of the row above",
}


def evidence_section(answers: Mapping[str, Result]) -> Section:
    """Log p(y) by every route."""
    question, title = "evidence.estimate", "The evidence"
    found: Evidence | None = answer(answers, question, "Evidence")
    if found is None:
        return plain(question, answers[question], title)
    routes = {found.method: (found.log_evidence, found.std_error), **found.cross_checks}
    finest = min((error for _, error in routes.values() if np.isfinite(error) and error > 1e-4), default=1e-4)
    rows = tuple(
        (
            name,
            nats(value, min(error, finest) if np.isfinite(error) else finest),
            nats_error(error),
            "the number quoted" if name == found.method else _difference(value - found.log_evidence),
            _ROUTES.get(name, ""),
        )
        for name, (value, error) in routes.items()
    )
    value = found.log_evidence
    if found.method == "no data":
        sentence = "There are no data: log p(y) is exactly 0, the log of the integral of the prior, which is one."
        return Section(anchor(question), title, (sentence,), checks=found.checks)
    each = f", {nats(value / found.n_observations)} nats an observation" if found.n_observations else ""
    sentences = (
        f"log p(y) = {amount(value, found.std_error)} nats ({nats(value / BIT)} bits; {nats(value / np.log(10))} "
        f"in log10{each}): the probability (density) that the model, prior included, gave to exactly these data. "
        "Alone it says little, since it depends on the unit of the data; the difference between two models of the "
        "same data is the log Bayes factor.",
        _agreement(found),
    )
    notes = tuple(f"The route {route} was not available: {reason}." for route, reason in found.refused.items())
    rows += tuple(
        (f"integral of {name}", nats(value, max(error, 1e-4)), nats_error(error), "", _PARTS.get(name, "another route"))
        for name, (value, error) in found.parts.items()
    )
    table = Table(
        ("route", "log evidence / nats", "std_error / nats", "difference / nats", "how"), rows, "", frozenset({1, 2, 3})
    )
    return Section(anchor(question), title, sentences, tables=(table,), checks=found.checks, notes=notes)


def _agreement(found: Evidence) -> str:
    """Whether there is a second route with an error, and what it says."""
    others = [name for name, (_, error) in found.cross_checks.items() if np.isfinite(error)]
    if not others:
        return "No second route with an error of its own could be taken, so that nothing independent confirms this one."
    same = "agree" if found.agrees else "DISAGREE"
    routes = ", ".join([found.method, *others])
    return f"The routes {same} ({routes}); they do not share their errors, so that each is a check of the others."


def _difference(value: float) -> str:
    return f"{value:+.4f}" if abs(value) >= 5e-5 else f"{value:+.0e}"


def bridge_section(answers: Mapping[str, Result]) -> Section:
    """The bridge estimate and its error budget."""
    question, title = "evidence.bridge", "The evidence by bridge sampling"
    found: Bridge | None = answer(answers, question, "Bridge")
    if found is None:
        return plain(question, answers[question], title)
    rows = (
        (
            "log evidence",
            nats(found.log_evidence, found.std_error),
            "from draws of the posterior and of a proposal fitted to other chains",
        ),
        ("std_error", size(found.std_error), "the largest of the next three, with the tail"),
        ("delta method", size(found.delta_error), "from the spread of the weights and the effective sample sizes"),
        ("without one chain", size(found.jackknife_error), "each chain left out in turn, the proposals fitted anew"),
        ("between splits", size(found.split_error), "spread over the ways to split the chains"),
        ("tail", size(found.tail_error), "what smoothing a heavy tail of the terms would change"),
        ("bracket, lower", nats(found.lower, 0.01), "average under the proposal: always below"),
        ("bracket, upper", nats(found.upper, 0.01), "average under the posterior: always above"),
    )
    sentence = (
        f"An estimate with an error budget, from the posterior draws and {found.n_proposal} draws of the proposal "
        f"({found.proposal}), which had the smallest error of {len(found.pilots)} that were tried."
    )
    table = Table(("", "nats", "what it is"), rows, "", frozenset({1}))
    return Section(anchor(question), title, (sentence,), tables=(table,), checks=found.checks)


def tempering_section(answers: Mapping[str, Result]) -> Section:
    """The path of temperatures and what it gives."""
    question, title = "evidence.tempering", "The evidence along a path of temperatures"
    found: Tempering | None = answer(answers, question, "Tempering")
    if found is None:
        return plain(question, answers[question], title)
    rows = (
        ("log evidence", nats(found.log_evidence, found.std_error), size(found.std_error), "the average height"),
        (
            "E_post[log likelihood]",
            nats(found.expected_log_likelihood, found.expected_error),
            size(found.expected_error),
            "the fit, averaged over the particles at the end",
        ),
        (
            "KL(posterior || prior)",
            nats(found.kl_divergence, found.kl_error),
            size(found.kl_error),
            "the fit minus the log evidence",
        ),
    )
    sentence = (
        f"{found.particles} particles went from the {found.start} to the posterior over {len(found.temperatures)} "
        "temperatures. "
    )
    sentence += (
        "No posterior draw enters, so that this route sees modes that the chains missed."
        if found.start == "prior"
        else "The path starts from a normal distribution fitted to the draws: it checks the number, not the chains."
    )
    drawn = picture(
        lambda: plot_tempering(found),
        "Average fit over the temperature.",
        "The average fit rises as the likelihood is let in. Its average over t is the log evidence; how far the end "
        "lies above the average is a divergence: the price of learning.",
    )
    table = Table(("", "nats", "std_error", "what it is"), rows, "", frozenset({1, 2}))
    return Section(anchor(question), title, (sentence,), pictures=(drawn,), tables=(table,), checks=found.checks)


def information_section(answers: Mapping[str, Result], scalars: Mapping[str, Scalar]) -> Section:
    """The account in nats and bits, with its figures."""
    question, title = "information", "The account of information"
    found: Information | None = answer(answers, question, "Information")
    if found is None:
        return plain(question, answers[question], title)
    rows = [_entry(name, value, error, text) for name, (value, error, text) in found.entries.items()]
    rows += [
        _entry(f"about {name} alone", value, error, f"information of the data about {name}, the others averaged out")
        for name, (value, error) in found.about.items()
    ]
    tables = [Table(("", "nats", "std_error", "bits", "what it is"), tuple(rows), "", frozenset({1, 2, 3}))]
    if found.contraction:
        taken = tuple((name, number(v, e), size(e)) for name, (v, e) in found.contraction.items())
        caption = (
            "Contraction: the share of the prior variance that the data took away, 1 - posterior / prior variance."
        )
        tables.append(Table(("", "contraction", "std_error"), taken, caption, frozenset({1, 2})))
    if found.prediction:
        scores = tuple((name, number(v, e), size(e), text) for name, (v, e, text) in found.prediction.items())
        tables.append(
            Table(("", "value", "std_error", "what it is"), scores, "How well the model predicts.", frozenset({1, 2}))
        )
    return Section(
        anchor(question),
        title,
        tuple(_told(found, answers)),
        pictures=_account_pictures(found, scalars),
        tables=tuple(tables),
        checks=found.checks,
    )


def _told(found: Information, answers: Mapping[str, Result]) -> list[str]:
    """What the account says."""
    taught = found.entries["KL(posterior || prior)"]
    sentences = [
        f"The data taught {amount(taught[0] / BIT, taught[1] / BIT)} bits about {subject(answers)}: to find theta "
        "in the posterior takes that many fewer yes-or-no questions than in the prior. This is also the price of "
        "learning: the log evidence is the average fit minus it.",
    ]
    if np.isfinite(found.dimensionality):
        beyond = found.too_many_directions
        sentences.append(
            f"The data constrain {amount(found.dimensionality, found.dimensionality_error)} directions of the unknowns "
            f"(twice the posterior variance of the log likelihood){', ' * bool(beyond)}{beyond}."
        )
    if "log Occam factor" in found.entries:
        occam, error, _ = found.entries["log Occam factor"]
        sentences.append(
            f"The log Occam factor, {nats(occam, error)} nats, is the price of having had to find the best θ: the "
            f"prior gave a share of about {np.exp(occam):.2g} of its probability to values that predict as well as "
            "the MLE."
        )
    return sentences


def _account_pictures(found: Information, scalars: Mapping[str, Scalar]) -> tuple[Picture, ...]:
    """The way down to the evidence, what was taught, and each scalar from prior to posterior."""
    shown = learnable(scalars, found.about, _LEARNT)
    pictures = [
        picture(
            lambda: plot_account(found),
            "Steps from the fit down to the log evidence, in nats.",
            "From the fit down to the log evidence, in nats. Hatched: what is paid for not having known θ beforehand.",
        ),
        picture(
            lambda: plot_taught(found),
            "What the data taught about each variable, in bits.",
            "What the data taught, in bits, with standard errors. The single ones need not add up to the whole: "
            "the posterior may tie the variables together.",
        ),
    ]
    if shown:
        rows = [(scalars[label], *found.about[label]) for label in shown]
        drawn = picture(
            lambda: plot_learning(rows),
            f"From prior to posterior of {', '.join(shown)}, with the bits between.",
            "Left the prior, with the place of the posterior shaded; right the posterior by itself. The bits between "
            "are how much the data narrowed it: every bit halves what is left to search.",
        )
        pictures.append(drawn)
    return tuple(pictures)


def _entry(name: str, value: float, error: float, text: str) -> tuple[str, ...]:
    return name, nats(value, error), nats_error(error) if error > 0 else "–", nats(value / BIT, error / BIT), text
