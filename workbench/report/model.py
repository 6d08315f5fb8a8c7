"""Sections on the model: what it says, the theorem with its numbers, and each scalar on one axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from workbench.plots.draws import plot_intervals
from workbench.plots.scalars import Scalar, why_not_drawable
from workbench.plots.theorem import plot_theorem
from workbench.report.content import Picture, Section, Table, Term, answer, picture, plain
from workbench.report.numbers import count, interval, listed, nats, number
from workbench.report.summary import subject
from workbench.result import Refusal, Result

if TYPE_CHECKING:
    from workbench.comparison import Comparison
    from workbench.model.anatomy import Anatomy

FIGURES = 12  # scalars that have a figure of their own
_VECTORS, _LINES = 4, 40  # vectors that have a figure of intervals, and elements in it
_SYMBOLS = 24  # letters of names that fit into the equation
_FREE = ("parameter", "latent", "ambiguous", "discrete")


def anatomy_section(answers: Mapping[str, Result]) -> Section:
    """What the model says: variables, roles, what cannot be asked, constants that were widened."""
    anatomy: Anatomy | None = answer(answers, "anatomy", "Anatomy")
    title = "What the model says"
    if anatomy is None:
        return plain("anatomy", answers["anatomy"], title) if "anatomy" in answers else Section("anatomy", title)
    rows = tuple(
        (
            name,
            v["role"],
            v["distribution"],
            " x ".join(map(str, v["shape"])) or "scalar",
            v["support"] or "–",
            v["why"] or "–",
        )
        for name, v in anatomy.variables.items()
    )
    tables = [Table(("variable", "role", "distribution", "shape", "support", "why this role"), rows)]
    closed = tuple((question, reason) for question, reason in anatomy.questions.items() if reason)
    sentences = [
        f"{count(anatomy.dimension, 'free dimension').capitalize()}, {count(anatomy.n_observations, 'observation')}. "
        "A parameter has a prior that stands on fixed numbers; a latent variable is part of the story of the data "
        "and is integrated out, never maximised."
    ]
    if closed:
        tables.append(Table(("question", "why it cannot be asked"), closed, "What cannot be asked of this model."))
    else:
        sentences.append("Every question can be asked of this model.")
    notes = []
    if anatomy.widened:
        notes.append(
            "Constants were widened to 64 bits before anything was computed; the narrow types in which the libraries "
            f"below keep Python numbers would have changed {'; '.join(anatomy.widened)}."
        )
    return Section("anatomy", title, tuple(sentences), tables=tuple(tables), checks=anatomy.checks, notes=tuple(notes))


def theorem_section(answers: Mapping[str, Result]) -> Section:
    """Bayes' theorem with the names and the numbers of this model."""
    anatomy: Anatomy | None = answer(answers, "anatomy", "Anatomy")
    title = "Bayes' theorem for this model"
    if anatomy is None:
        return Section("theorem", title, notes=("The anatomy of the model is missing.",))
    free, data = anatomy.named(*_FREE), anatomy.named("observed")
    theta, y = ", ".join(free), ", ".join(data)
    theta = theta if len(theta) <= _SYMBOLS else "θ"
    y = y if 0 < len(y) <= _SYMBOLS else "y"
    terms = (
        Term(f"p({theta} | {y})", "posterior"),
        Term(f"p({y} | {theta})", "likelihood"),
        Term(f"p({theta})", "prior"),
        Term(f"p({y})", "evidence"),
    )
    rows = [("likelihood", name, anatomy.variables[name]["distribution"]) for name in data]
    rows += [("prior", name, anatomy.variables[name]["distribution"]) for name in free]
    rows += [("potential", name, anatomy.variables[name]["why"]) for name in anatomy.named("potential")]
    factors = Table(
        ("term", "variable", "distribution"), tuple(rows), "The factors of the likelihood and of the prior."
    )
    names = f" Here θ stands for {listed(free, 12)}." if theta == "θ" else ""
    sentence = (
        "The posterior is what is held about the unknowns after the data. It is the likelihood, which says how well "
        "each value predicted the data, times the prior, which says what was held before, divided by the evidence: "
        f"the likelihood averaged over the prior, one number.{names}"
    )
    numbers = [found for found in (_at_the_mode(answers), _balance(answers)) if found is not None]
    return Section("theorem", title, (sentence,), theorem=terms, tables=(factors, *numbers))


def _at_the_mode(answers: Mapping[str, Result]) -> Table | None:
    """The theorem in logarithms at the MAP."""
    mode, evidence = (
        answer(answers, "posterior.mode", "PosteriorMode"),
        answer(answers, "evidence.estimate", "Evidence"),
    )
    if mode is None or evidence is None:
        return None
    found = mode.map
    joint = found.log_likelihood + found.log_prior
    shown = [
        f"{label} = {number(float(v), float(e), 3)}"
        for label, v, e in zip(found.labels, found.estimate, found.errors, strict=True)
    ]
    rows = (
        ("log likelihood", nats(found.log_likelihood), "log p(y | θ): how well this θ predicted the data"),
        ("+ log prior", nats(found.log_prior), "log p(θ): how probable this θ was before"),
        ("= log joint", nats(joint), "log p(y, θ)"),
        ("- log evidence", nats(-evidence.log_evidence), "log p(y), the same at every θ"),
        (
            "= log posterior density",
            nats(joint - evidence.log_evidence),
            "log p(θ | y); its unit is one over that of θ",
        ),
    )
    caption = f"In logarithms, in nats, at the MAP: {listed(shown, 6)}."
    return Table(("term", "nats", "what it is"), rows, caption, frozenset({1}))


def _balance(answers: Mapping[str, Result]) -> Table | None:
    """The theorem in logarithms, averaged over the posterior: fit minus divergence."""
    information = answer(answers, "information", "Information")
    if information is None:
        return None
    fit, kl = (information.entries[k] for k in ("E_post[log likelihood]", "KL(posterior || prior)"))
    value = information.entries["log evidence"]
    rows = (
        ("average log likelihood", nats(*fit[:2]), "the fit, averaged over the posterior"),
        ("- KL(posterior || prior)", nats(-kl[0], kl[1]), f"what the data had to teach about {subject(answers)}"),
        ("= log evidence", nats(*value[:2]), "log p(y)"),
    )
    return Table(
        ("term", "nats", "what it is"), rows, "In logarithms, in nats, averaged over the posterior.", frozenset({1})
    )


def scalars_section(answers: Mapping[str, Result], scalars: Mapping[str, Scalar], draws: xr.DataTree) -> Section:
    """Prior, likelihood and posterior of each scalar on one axis; vectors as intervals."""
    anatomy: Anatomy | None = answer(answers, "anatomy", "Anatomy")
    comparison: Comparison | None = answer(answers, "comparison", "Comparison")
    surface = answer(answers, "likelihood.surface", "Surface")
    laplace = answer(answers, "posterior.laplace", "Laplace")
    roles = {} if anatomy is None else {name: v["role"] for name, v in anatomy.variables.items()}
    own, vectors = choose(scalars, roles)
    pictures = []
    for scalar in own[:FIGURES]:
        fixed = anatomy is not None and fixed_prior(anatomy, scalar.variable)
        pictures.append(
            picture(
                lambda s=scalar, f=fixed: plot_theorem(s, comparison, surface, f, laplace),  # type: ignore[misc]
                _alt(scalar, comparison),
                f"{scalar.label}: {_reading(scalar, comparison)}",
            )
        )
    drawn = {s.label for s in own[:FIGURES]}
    names = [name for name in dict.fromkeys(s.variable for s in vectors)]
    for name in [n for n in names if any(s.label not in drawn for s in vectors if s.variable == n)][:_VECTORS]:
        pictures.append(_intervals(name, [s for s in vectors if s.variable == name], comparison))
    left = [s.label for s in own[FIGURES:]]
    notes = (
        (f"{count(len(left), 'more scalar').capitalize()} without a figure of its own: {listed(left)}.",)
        if left
        else ()
    )
    return Section(
        "parameters",
        "Prior, likelihood and posterior on one axis",
        tuple(_how_to_read(answers, comparison, draws)),
        pictures=tuple(pictures),
        notes=notes,
    )


def _how_to_read(answers: Mapping[str, Result], comparison: Comparison | None, draws: xr.DataTree) -> list[str]:
    """What the figures of single scalars show, and what they lack for this model."""
    level = f"{100 * comparison.level:g}%" if comparison is not None else "same"
    sentences = [
        "Each curve is divided by its own maximum, since the three have different units: compare places and widths, "
        "not heights. Where likelihood and posterior coincide, the data speak alone; where they part, the prior (or "
        "the shape of the posterior) is seen at work. The dotted curve is a normal distribution with the "
        "mode and sd of the Laplace approximation: where it leaves the posterior, mode and curvature do not tell all. "
        "The panel on the right has the whole range of the prior.",
        f"Below the curves: MLE with its {level} Wald interval (estimate ± a multiple of its standard error), the "
        f"posterior mean with the {level} equal-tailed interval (ETI) and the median with the {level} "
        "highest-density interval (HDI).",
    ]
    refusal = answers.get("likelihood.surface")
    if isinstance(refusal, Refusal):
        sentences.append(f"There is no likelihood curve: {refusal.what}.")
    if "prior" not in draws.children:
        sentences.append("There are no draws from the prior, so its whole range is not shown.")
    return sentences


def choose(scalars: Mapping[str, Scalar], roles: Mapping[str, str]) -> tuple[list[Scalar], list[Scalar]]:
    """Scalars with a figure of their own, parameters first, and scalars of vectors that share one.

    Parameters
    ----------
    scalars : mapping of str to Scalar
    roles : mapping of str to str
        Variable -> role.

    Returns
    -------
    own, vectors : list of Scalar
    """
    first = [s for s in scalars.values() if roles.get(s.variable, "parameter") in ("parameter", "ambiguous")]
    rest = [s for s in scalars.values() if s not in first and s.size == 1]
    return first + rest, [s for s in scalars.values() if s.size > 1]


def fixed_prior(anatomy: Anatomy, variable: str) -> bool:
    """Whether the log prior of a variable is a function of this variable alone."""
    found = anatomy.variables.get(variable)
    return found is not None and found["role"] == "parameter" and "depends on" not in found["why"]


def _intervals(name: str, elements: list[Scalar], comparison: Comparison | None) -> Picture:
    """The elements of a vector as intervals; those that do not vary, such as a diagonal of ones, are left out."""
    varying = [s for s in elements if "all draws are equal" not in why_not_drawable(s)]
    shown = varying[:_LINES]
    level = comparison.level if comparison is not None else 0.95
    caption = (
        f"Elements of {name}. Dot: posterior mean; thick line: 50% equal-tailed interval; thin line: {100 * level:g}% "
        "equal-tailed interval."
    )
    if len(varying) > len(shown):
        caption += f" {count(len(varying) - len(shown), 'more element').capitalize()} not drawn."
    alt = (
        f"Posterior intervals of {count(len(shown), 'element')} of {name}; the table of the comparison has the numbers."
    )
    return picture(lambda: plot_intervals(shown, level), alt, caption)


def _reading(scalar: Scalar, comparison: Comparison | None) -> str:
    """What the comparison says of a scalar, in one sentence."""
    if comparison is None or scalar.label not in comparison.labels:
        return ""
    row = comparison.labels.index(scalar.label)
    sd = float(comparison.sd[row])
    within = interval(float(comparison.eti_lower[row]), float(comparison.eti_upper[row]), sd)
    mle = float(comparison.mle[row])
    maximum = "" if np.isnan(mle) else f"MLE {number(mle, sd)}; "
    return (
        f"{maximum}posterior mean {number(float(comparison.mean[row]), sd)}, sd {number(sd, sd)}, "
        f"{100 * comparison.level:g}% ETI {within}."
    )


def _alt(scalar: Scalar, comparison: Comparison | None) -> str:
    return f"Prior, likelihood and posterior of {scalar.label} on one axis. {_reading(scalar, comparison)}"
