"""Sections on what the evidence is made of: the fixed numbers in the priors, the observations one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from workbench.plots.robustness import plot_robustness
from workbench.plots.sequential import plot_sequential
from workbench.report.content import Section, Table, anchor, answer, picture, plain
from workbench.report.numbers import amount, nats, size
from workbench.result import Result

if TYPE_CHECKING:
    from workbench.evidence.robustness import Robustness
    from workbench.evidence.sequential import Sequential


def robustness_section(answers: Mapping[str, Result]) -> Section:
    """The evidence over every number in a prior, in words, as a figure and as a table."""
    question, title = "evidence.robustness", "What the evidence owes to the priors"
    found: Robustness | None = answer(answers, question, "Robustness")
    if found is None:
        return plain(question, answers[question], title)
    frame = found.table()
    rows = tuple(
        (
            str(name),
            str(row["value"]),
            nats(row["slope"], row["std_error"]),
            size(row["std_error"]),
            nats(row["lower"], max(row["its error"], 1e-3)),
            nats(row["higher"], max(row["error"], 1e-3)),
            nats(row["range"], 0.01),
            str(int(row["refits"])),
        )
        for name, row in frame.to_dict(orient="index").items()
    )
    head = ("number", "value", "slope", "std_error", "if halved", "if doubled", "over 100-fold", "refits")
    caption = (
        "In nats. Slope: per e-fold of the number. A location is moved by one prior scale down and up, and over "
        "two scales either way."
    )
    drawn = picture(
        lambda: plot_robustness(found),
        "Change of the log evidence over the factor on each number in a prior.",
        "The posterior may hardly feel a prior, the evidence always does. Bands: two standard errors. Circles: here "
        "the curve goes on from draws under that prior.",
    )
    sentences = (
        "From the draws of this one fit, reweighted to other priors: d log p(y) / d η is the posterior average of "
        "d log p(θ; η) / d η.",
        *(f"{found.in_words(name)}." for name in found.kind),
    )
    table = Table(head, rows, caption, frozenset({2, 3, 4, 5, 6, 7}))
    return Section(anchor(question), title, sentences, pictures=(drawn,), tables=(table,), checks=found.checks)


def sequential_section(answers: Mapping[str, Result]) -> Section:
    """The evidence as it accumulates over the observations, as a figure and as a table."""
    question, title = "evidence.sequential", "The evidence, one observation after the other"
    found: Sequential | None = answer(answers, question, "Sequential")
    if found is None:
        return plain(question, answers[question], title)
    columns = (
        found.ends, found.score, found.score_error, found.cumulative, found.cumulative_error, found.information,
        found.information_error,
    )  # fmt: skip
    rows = tuple(
        (
            str(int(end)),
            nats(score, error),
            size(error),
            nats(total, doubt),
            size(doubt),
            nats(learnt, noise),
            size(noise),
        )
        for end, score, error, total, doubt, learnt, noise in zip(*columns, strict=True)
    )
    head = ("observations", "log score", "std_error", "cumulative", "std_error", "information", "std_error")
    drawn = picture(
        lambda: plot_sequential(found),
        "Cumulative log score over the observations, and the surprise of every step.",
        "Left: the log scores add up to the log evidence (dashed, by another route). Right: what lies high was not "
        "expected from the observations before it.",
    )
    sentences = (
        "Each observation, or block of them, is scored before it is seen, given those before it; the scores add up to "
        f"{amount(found.cumulative[-1], found.cumulative_error[-1])} nats, the log evidence.",
        f"By the end the observations have taught {amount(found.information[-1], found.information_error[-1])} nats.",
    )
    table = Table(head, rows, "In nats.", frozenset(range(1, 7)))
    return Section(anchor(question), title, sentences, pictures=(drawn,), tables=(table,), checks=found.checks)
