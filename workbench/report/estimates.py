"""Sections on estimates: the comparison, the MLE, the likelihood around it, the MAP, Laplace, the grid."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from workbench.plots.profile import plot_profile
from workbench.plots.scalars import CONSTANT, Scalar
from workbench.plots.surface import DROPS, plot_surface
from workbench.plots.waterfall import plot_waterfall
from workbench.report.content import Picture, Section, Table, anchor, answer, picture, plain
from workbench.report.numbers import count, interval, measured, nats, number, size
from workbench.result import Result

if TYPE_CHECKING:
    from workbench.comparison import Comparison
    from workbench.likelihood.profile import Profile
    from workbench.likelihood.surface import Surface
    from workbench.model.mode import Mode
    from workbench.posterior.mode import PosteriorMode

TITLES = {
    "comparison": "MLE, MAP and posterior side by side",
    "likelihood.maximum": "The maximum of the likelihood (MLE)",
    "likelihood.surface": "The likelihood around its maximum",
    "likelihood.profile": "Profile likelihood intervals",
    "posterior.mode": "The mode of the posterior (MAP)",
    "posterior.laplace": "The Laplace approximation",
    "posterior.grid": "The posterior by quadrature",
}


def comparison_section(answers: Mapping[str, Result]) -> Section:
    """MLE | MAP | posterior with errors, intervals and reasons."""
    found: Comparison | None = answer(answers, "comparison", "Comparison")
    if found is None:
        return plain("comparison", answers["comparison"], TITLES["comparison"])
    percent = f"{100 * found.level:g}%"
    rows = [_row(found, i) for i in range(len(found.labels))]
    tables = [
        _without_empty(
            ("", "MLE ± std_error", "MAP", "posterior mean ± mcse", "sd", "median", "shift / se"),
            [row[:7] for row in rows],
            "In the units of the model. Each number has the digits that its error leaves.",
        ),
        _without_empty(
            ("", f"{percent} Wald", f"{percent} profile", f"{percent} ETI", f"{percent} HDI"),
            [(row[0], *row[7:]) for row in rows],
            f"Intervals, each at {percent}: Wald and profile likelihood for the MLE, equal-tailed and highest-density "
            "for the posterior.",
        ),
    ]
    notes: tuple[str, ...] = ()
    if len(set(found.reasons)) > 1 or len(found.labels) == 1:
        reasons = tuple(zip(found.labels, found.reasons, strict=True))
        tables.append(Table(("", "why they differ, or that they agree"), reasons))
    else:
        notes = tuple(f"For all scalars: {reason}." for reason in sorted(set(found.reasons)))
    notes += tuple(f"No {column}: {reason}." for column, reason in found.refused.items())
    sentences = (
        "Three answers from one model. The MLE is where the likelihood is highest: data alone, no prior. The MAP is "
        "where prior times likelihood is highest; it moves when a parameter is written on another scale. The "
        "posterior mean is an average over everything that is still plausible.",
        "std_error: spread of the MLE over repetitions of the experiment. sd: what is still uncertain after the "
        "data. mcse: how far the mean is off because the draws are finite in number. Wald, profile, ETI and HDI "
        f"intervals are at {percent}. shift / se: from the MLE to the posterior mean, in standard errors of the MLE.",
    )
    return Section(
        "comparison", TITLES["comparison"], sentences, tables=tuple(tables), checks=found.checks, notes=notes
    )


def _without_empty(columns: tuple[str, ...], rows: list[tuple[str, ...]], caption: str) -> Table:
    """A table without the columns that hold nothing for this model."""
    kept = [j for j in range(len(columns)) if j == 0 or any(row[j] != "–" for row in rows)]
    return Table(
        tuple(columns[j] for j in kept),
        tuple(tuple(row[j] for j in kept) for row in rows),
        caption,
        frozenset(range(1, len(kept))),
    )


def _row(found: Comparison, i: int) -> tuple[str, ...]:
    """One scalar of the comparison in text."""

    def at(column: np.ndarray) -> float:
        return float(column[i]) if column.size else float("nan")

    error, sd, mcse = at(found.mle_error), at(found.sd), at(found.mcse)
    shift = at(found.shift)
    if sd <= CONSTANT * abs(at(found.mean)):  # a deterministic that only rounding moves, or one that never does
        return (found.labels[i], "–", "–", number(float(f"{at(found.mean):.9g}")), "constant", *"–" * 6)
    return (
        found.labels[i],
        f"{number(at(found.mle), error, 3)} ± {number(error, error, 3)}"
        if np.isfinite(error)
        else number(at(found.mle)),
        number(at(found.map), sd, 3),
        measured(at(found.mean), mcse),
        number(sd, mcse, 1),
        number(at(found.median), mcse, 1),
        "–" if np.isnan(shift) else f"{shift:+.2f}",
        interval(at(found.wald_lower), at(found.wald_upper), error, 3),
        interval(at(found.profile_lower), at(found.profile_upper), error if np.isfinite(error) else sd, 3),
        interval(at(found.eti_lower), at(found.eti_upper), 3.0 * mcse, 1),
        interval(at(found.hdi_lower), at(found.hdi_upper), 3.0 * mcse, 1),
    )


def maximum_section(answers: Mapping[str, Result]) -> Section:
    """The MLE, its errors and its certificate."""
    question = "likelihood.maximum"
    found: Mode | None = answer(answers, question, "Mode")
    if found is None:
        return plain(question, answers[question], TITLES[question])
    sentences = [
        f"The likelihood is highest here: log p(y | θ) = {nats(found.log_likelihood)} nats, with "
        f"{count(found.n_parameters, 'free dimension')} and {count(found.n_observations, 'observation')}. It is the "
        "same whichever way the model is written.",
        f"AIC {number(found.aic)}{f' and BIC {number(found.bic)}' if found.n_observations > 1 else ''} (twice nats; "
        "lower is better, and only differences on the same data count).",
    ]
    if found.no_error:
        sentences.append(f"There are no standard errors: {found.no_error}.")
    if found.integrated:
        sentences.append(
            f"Integrated out, not maximised over: {', '.join(found.integrated)}. Given the parameters they have a "
            "distribution of their own; a joint maximum would be no estimate."
        )
    if found.at_edge:
        sentences.append(
            f"At the edge of the support, without a standard error: {', '.join(found.at_edge)}. The errors of the "
            "others hold there."
        )
    return Section(
        anchor(question),
        TITLES[question],
        tuple(sentences),
        pictures=(
            picture(
                lambda: plot_waterfall(found.certificate),
                "How far below the highest end each climb ended, the highest first.",
                "Waterfall of the climbs: nats below the highest end, one point a starting point. A plateau at 0 says "
                "that several starts agree on the maximum; a lone first point would be a reason to doubt it.",
            ),
        ),
        tables=(_estimates(found),),
        checks=found.certificate.checks,
        notes=(
            f"{found.certificate.agreeing} of {found.certificate.starts} starting points ended here; estimated "
            f"distance to the maximum {found.certificate.edm:.1e} nats; largest gradient "
            f"{found.certificate.gradient_norm:.1e} nats per unit of z; smallest scaled eigenvalue of the "
            f"information {found.certificate.smallest_eigenvalue:.2g} (1: independent, near 0: a ridge).",
        ),
    )


def _estimates(found: Mode) -> Table:
    """Estimate, standard error and Wald interval of every scalar."""
    if found.no_error:
        rows = tuple((label, number(float(v))) for label, v in zip(found.labels, found.estimate, strict=True))
        return Table(("", found.kind), rows, "In the units of the model.", frozenset({1}))
    wald = found.interval()
    rows3 = tuple(
        (label, number(float(v), float(e), 3), size(float(e)), interval(float(low), float(high), float(e)))
        for label, v, e, low, high in zip(
            found.labels, found.estimate, found.errors, wald["lower"], wald["upper"], strict=True
        )
    )
    percent = f"{100 * found.level:g}%"
    caption = f"In the units of the model. {percent} Wald interval: estimate ± a multiple of its standard error."
    return Table(("", found.kind, "std_error", f"{percent} Wald"), rows3, caption, frozenset({1, 2, 3}))


def surface_section(answers: Mapping[str, Result], scalars: Mapping[str, Scalar]) -> Section:
    """Where the likelihood has dropped, and its contours over a pair."""
    question = "likelihood.surface"
    found: Surface | None = answer(answers, question, "Surface")
    if found is None:
        return plain(question, answers[question], TITLES[question])
    comparison = answer(answers, "comparison", "Comparison")
    pictures: tuple[Picture, ...] = ()
    if found.pair:
        first, second = found.pair
        drops = ", ".join(f"{drop:.2f} nats for {level:.0%}" for level, drop in DROPS.items())
        pictures = (
            picture(
                lambda: plot_surface(found, scalars, comparison),
                f"Contours of the likelihood over {first} and {second}, with posterior draws, MLE and MAP.",
                f"Contours of the likelihood over {first} and {second}: where it has dropped by {drops} (Wilks, two "
                "degrees of freedom). Other parameters, if there are any, are at their best values everywhere. Dots: "
                "draws from the posterior. Where the dots fill the contours evenly, likelihood and posterior say the "
                "same.",
            ),
        )
    sentence = (
        "How fast the likelihood falls off on both sides of its maximum, the other parameters at their best at "
        "every point (profile likelihood). A drop of 1.92 nats bounds the 95% interval of a likelihood-ratio test."
    )
    frame = found.table()
    width = {label: float(np.ptp(np.asarray(frame.loc[label], dtype=float)[1:])) for label in frame.index}
    rows = tuple(
        (str(label), *(number(float(v), 0.25 * width[label], 2) for v in frame.loc[label])) for label in frame.index
    )
    columns = ("", "maximum", "1.92 nats lower, below", "1.92 nats lower, above")
    table = Table(
        columns,
        rows,
        "95% profile-likelihood interval, in the units of the model.",
        frozenset({1, 2, 3}),
    )
    return Section(
        anchor(question), TITLES[question], (sentence,), pictures=pictures, tables=(table,), checks=found.checks
    )


def profile_section(answers: Mapping[str, Result]) -> Section:
    """Profile likelihood intervals beside Wald's, and the signed root."""
    question = "likelihood.profile"
    found: Profile | None = answer(answers, question, "Profile")
    if found is None:
        return plain(question, answers[question], TITLES[question])
    sentences = [
        "Every value that a likelihood-ratio test would keep, the other parameters at their best for each. Where the "
        "signed root is a straight line, Wald says the same; where it bends, use the profile. At a bound the deviance "
        f"is {found.cut:.4g} (chi-square, {100 * found.level:g}%)."
    ]
    pictures = (
        picture(
            lambda: plot_profile(found),
            f"Signed root and fall of the profile likelihood of {', '.join(found.names)}.",
            "Left: the signed root of the deviance, shaded where a value is kept. Right: the fall of the log "
            "likelihood. Dashed: what the Wald interval takes for granted. Dotted: the bounds.",
        ),
    )
    beside = answer(answers, "comparison", "Comparison") is not None
    if beside:
        sentences.append(f"The intervals stand under {TITLES['comparison']}.")
    notes = tuple(note for note in found.notes() if " bound short of " in note)
    return Section(
        anchor(question), TITLES[question], tuple(sentences), pictures=pictures,
        tables=() if beside else (_profile_intervals(found),), checks=found.checks, notes=notes,
    )  # fmt: skip


def _profile_intervals(found: Profile) -> Table:
    """MLE, profile and Wald interval of every scalar."""
    percent, (low, high) = f"{100 * found.level:g}%", found.wald
    rows = []
    for i, name in enumerate(found.names):
        ends = [found.estimate[i], found.lower[i], found.upper[i]]
        finite = [end for end in ends if np.isfinite(end)]
        digits = (max(finite, default=0.0) - min(finite, default=0.0)) / 4 or float("nan")
        wald = interval(float(low[i]), float(high[i]), float(found.std_error[i]), 3)
        rows.append(
            (name, number(float(ends[0]), digits, 3), interval(float(ends[1]), float(ends[2]), digits, 3), wald)
        )
    columns = ("", "MLE", f"{percent} profile", f"{percent} Wald")
    return Table(columns, tuple(rows), "In the units of the model.", frozenset({1, 2, 3}))


def mode_section(answers: Mapping[str, Result]) -> Section:
    """The MAP in theta and the mode on z."""
    question = "posterior.mode"
    found: PosteriorMode | None = answer(answers, question, "PosteriorMode")
    if found is None:
        return plain(question, answers[question], TITLES[question])
    mode = found.map
    rows = tuple(
        (label, number(float(v), float(e), 3), size(float(e)), number(float(z), float(e), 3))
        for label, v, e, z in zip(mode.labels, mode.estimate, mode.errors, found.on_z, strict=True)
    )
    sentence = (
        "Where prior times likelihood is highest. A mode depends on the scale on which one looks: the last column "
        "is the mode of the same posterior on the unconstrained scale z on which the sampler moves, mapped back. "
        "The likelihood has no such freedom."
    )
    table = Table(("", "MAP", "std_error", "mode on z"), rows, "In the units of the model.", frozenset({1, 2, 3}))
    note = f"At the MAP: log likelihood {nats(mode.log_likelihood)} nats, log prior {nats(mode.log_prior)} nats."
    return Section(anchor(question), TITLES[question], (sentence,), tables=(table,), checks=found.checks, notes=(note,))


def laplace_section(answers: Mapping[str, Result]) -> Section:
    """The normal approximation at the mode on z."""
    question = "posterior.laplace"
    found = answer(answers, question, "Laplace")
    if found is None:
        return plain(question, answers[question], TITLES[question])
    rows = tuple(
        (label, number(float(v), float(e)), size(float(e)))
        for label, v, e in zip(found.labels, found.estimate, found.std_error, strict=True)
    )
    sentence = (
        "A normal distribution at the mode on z, as wide as the curvature there. Fast and crude: its error is only "
        f"known by comparing it with other routes. Its log integral is {nats(found.log_integral)} nats, an "
        "approximation of the log evidence."
    )
    table = Table(("", "mode on z", "approximate sd"), rows, "In the units of the model.", frozenset({1, 2}))
    return Section(anchor(question), TITLES[question], (sentence,), tables=(table,), checks=found.checks)


def grid_section(answers: Mapping[str, Result]) -> Section:
    """The posterior by quadrature, the reference in one and two dimensions."""
    question = "posterior.grid"
    found = answer(answers, question, "Grid")
    if found is None:
        return plain(question, answers[question], TITLES[question])
    rows = tuple(
        (label, number(float(m), float(s), 4), number(float(s), float(s), 4))
        for label, m, s in zip(found.labels, found.mean, found.sd, strict=True)
    )
    sentence = (
        f"The posterior on {found.evaluated} grid points, without any random draw: the reference by which draws "
        f"and approximations are judged. Its log integral is {nats(found.log_integral, found.error)} nats, error "
        f"below {found.error:.0e} nats."
    )
    table = Table(("", "mean", "sd"), rows, "In the units of the model.", frozenset({1, 2}))
    return Section(anchor(question), TITLES[question], (sentence,), tables=(table,), checks=found.checks)
