"""Sections on the draws: traces, ranks, their diagnosis, and the data they imply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from workbench.plots.draws import plot_ranks, plot_traces
from workbench.plots.predictive import plot_pit, plot_replicates
from workbench.plots.scalars import Scalar, why_not_drawable
from workbench.report.content import Picture, Section, Table, anchor, answer, picture, plain
from workbench.report.numbers import count, listed, number
from workbench.result import Result

if TYPE_CHECKING:
    from workbench.diagnosis import Diagnosis
    from workbench.posterior.predictive import Predictive

SHOWN = 8  # scalars with a trace and a rank plot
_OBSERVED = 4  # observed variables with figures


def draws_section(answers: Mapping[str, Result], scalars: Mapping[str, Scalar], draws: xr.DataTree) -> Section:
    """Traces and ranks of the scalars that mix worst."""
    diagnosis: Diagnosis | None = answer(answers, "diagnosis", "Diagnosis")
    wanted = slowest(scalars, diagnosis)
    spoilt = {s.label: reason for s in wanted if (reason := why_not_drawable(s))}
    shown = [s for s in wanted if s.label not in spoilt]
    sampler = draws["posterior"].attrs.get("inference_library", "")
    sentences = [f"Draws from the posterior{f', by {sampler}' if sampler else ''}, in the units of the model."]
    total = len(diagnosis.labels) if diagnosis is not None else len(scalars)
    if total > len(wanted):
        sentences.append(f"Of {total} scalars, the {len(wanted)} with the smallest effective sample size are shown.")
    notes = tuple(f"Not drawn: {reason}" for reason in spoilt.values())
    if not wanted:
        notes = ("There are no draws of a free variable to show.",)
    pictures = _pictures(shown, draws) if shown else ()
    return Section("posterior-draws", "Traces and ranks", tuple(sentences), pictures=pictures, notes=notes)


def _pictures(shown: list[Scalar], draws: xr.DataTree) -> tuple[Picture, ...]:
    """Traces, and ranks where there is more than one chain to rank."""
    diverging = None
    if "sample_stats" in draws.children and "diverging" in draws["sample_stats"].to_dataset():
        diverging = draws["sample_stats"]["diverging"].transpose("chain", "draw").values.astype(bool)
    names = listed([s.label for s in shown], SHOWN)
    chains, length = shown[0].draws.shape
    marks = " Divergent transitions are marked at the bottom." if diverging is not None and diverging.any() else ""
    over = ", laid over each other. Good chains look alike and have no trend." if chains > 1 else "."
    traces = picture(
        lambda: plot_traces(shown, diverging),
        f"Traces of {names}.",
        f"Traces: {count(chains, 'chain')} of {length} draws{over}{marks}",
    )
    if chains < 2:
        return (traces,)
    ranks = picture(
        lambda: plot_ranks(shown),
        f"Rank plots of {names}.",
        "Ranks of each chain's draws among all draws, as the difference of their distribution from the uniform "
        "one: zero if the chains say the same. Each p is of a test that they do, and α its threshold; points "
        "that speak against it are marked. With many panels a few small p are to be expected.",
    )
    return traces, ranks


def slowest(scalars: Mapping[str, Scalar], diagnosis: Diagnosis | None) -> list[Scalar]:
    """The free scalars with the smallest effective sample size, in the order of the model.

    Parameters
    ----------
    scalars : mapping of str to Scalar
    diagnosis : Diagnosis or None
        Without it the first scalars are taken.

    Returns
    -------
    list of Scalar
    """
    if diagnosis is None:
        return list(scalars.values())[:SHOWN]
    ess = np.minimum(diagnosis.ess_bulk, diagnosis.ess_tail)
    order = np.argsort(np.where(np.isfinite(ess), ess, -1.0), kind="stable")[:SHOWN]
    kept = [diagnosis.labels[i] for i in sorted(order)]
    return [scalars[label] for label in kept if label in scalars]


def diagnosis_section(answers: Mapping[str, Result]) -> Section:
    """Every check of the draws, and the numbers behind them."""
    found: Diagnosis | None = answer(answers, "diagnosis", "Diagnosis")
    title = "Diagnosis of the draws"
    if found is None:
        return plain("diagnosis", answers["diagnosis"], title)
    rows = tuple(
        (
            label,
            f"{r:.4f}" if np.isfinite(r) else "–",
            *(f"{x:.0f}" if np.isfinite(x) else "–" for x in (bulk, tail)),
            f"{ratio:.4f}" if np.isfinite(ratio) else "–",
        )
        for label, r, bulk, tail, ratio in zip(
            found.labels, found.r_hat, found.ess_bulk, found.ess_tail, found.mcse_ratio, strict=True
        )
    )
    caption = (
        "R-hat (a ratio) compares the chains; ESS (a count) is how many independent draws these are worth in the "
        "centre (bulk) and in the tails; mcse / sd is the Monte Carlo error of the mean as a share of the posterior "
        "sd."
    )
    table = Table(("", "R-hat", "ESS bulk", "ESS tail", "mcse / sd"), rows, caption, frozenset({1, 2, 3, 4}))
    return Section(
        "diagnosis", title, (f"Verdict on the draws: {found.verdict}.",), tables=(table,), checks=found.checks
    )


def predictive_section(answers: Mapping[str, Result], draws: xr.DataTree) -> Section:
    """What data the fitted model would produce, beside the data."""
    question, title = "posterior.predictive", "Posterior predictive check"
    found: Predictive | None = answer(answers, question, "Predictive")
    if found is None:
        return plain(question, answers[question], title)
    pictures: list[Picture] = []
    comparison = answer(answers, "comparison", "Comparison")
    level = 0.95 if comparison is None else comparison.level
    replicates = _replicates(found, draws)
    for name in list(found.observed)[:_OBSERVED]:
        if name in replicates:
            pictures += _compared(name, found.observed[name], replicates[name], level)
    rows = tuple(
        (
            name,
            number(float(value), float(sd), 3),
            number(float(mean), float(sd), 3),
            number(float(sd), float(sd)),
            f"{float(p):.3f}",
        )
        for name, value, mean, sd, p in zip(
            found.quantities, found.observed_values, found.mean, found.sd, found.p_value, strict=True
        )
    )
    caption = (
        "p_value: Pr[T(y_rep) ≥ T(y)]; near 0 or 1 the model does not reproduce this feature. In the unit of the "
        "data (skewness: none)."
    )
    table = Table(
        ("test quantity T", "data", "replicates, mean", "replicates, sd", "p_value"),
        rows,
        caption,
        frozenset({1, 2, 3, 4}),
    )
    made = max((len(r) for r in replicates.values()), default=0)
    many = f"{count(made, 'data set').capitalize()} were made" if made else "Data sets were made (and not kept)"
    sentences = (
        f"If the model is right, data made by it look like the data. {many}, each from one draw of the posterior, and "
        "set beside the real one.",
    )
    left = len(found.observed) - _OBSERVED
    notes = (f"{count(left, 'more observed variable').capitalize()} without figures.",) if left > 0 else ()
    return Section(
        anchor(question), title, sentences, pictures=tuple(pictures), tables=(table,), checks=found.checks, notes=notes
    )


def _replicates(found: Predictive, draws: xr.DataTree) -> dict[str, np.ndarray]:
    """Replicated data by variable: those of the result, else those that a run keeps beside its draws."""
    if found.replicates or "posterior_predictive" not in draws.children:
        return found.replicates
    kept = draws["posterior_predictive"].to_dataset()
    return {
        str(name): array.transpose("chain", "draw", ...).values.reshape(-1, *array.shape[2:])
        for name, array in kept.data_vars.items()
    }


def _compared(name: str, observed: np.ndarray, replicates: np.ndarray, level: float) -> list[Picture]:
    """Data and replicates of one variable, and the PIT values."""
    reading = [""]

    def dist() -> object:
        figure, reading[0] = plot_replicates(name, observed, replicates, level)
        return figure

    first = picture(dist, f"Data and replicated data of {name}.", "")  # type: ignore[arg-type]
    pit = picture(
        lambda: plot_pit(name, observed, replicates),
        f"Difference of the distribution of PIT values of {name} from the uniform distribution.",
        f"PIT of {name}: where each observation falls among its replicates, as a difference from the uniform "
        "distribution. Flat is good; one arch means shifted data, a wave data that spread more (or less) than the "
        "model expects. p is of a test of uniformity, α its threshold.",
    )
    return [Picture(first.source, first.alt, f"{name}. {reading[0]}", first.missing), pit]
