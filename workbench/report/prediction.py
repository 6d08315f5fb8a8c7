"""The section on prediction: every predictor's score, the baseline, and the most surprising observations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from workbench.plots.prediction import plot_predictors, plot_surprise
from workbench.report.content import Section, Table, anchor, answer, picture, plain
from workbench.report.numbers import amount, number, size
from workbench.result import Result

if TYPE_CHECKING:
    from workbench.prediction import Prediction

BIT = float(np.log(2.0))
_SHOWN = 10  # observations


def prediction_section(answers: Mapping[str, Result]) -> Section:
    """Cross-entropy, perplexity and surprise."""
    question, title = "prediction", "How well the model predicts"
    found: Prediction | None = answer(answers, question, "Prediction")
    if found is None:
        return plain(question, answers[question], title)
    pictures = []
    if found.whole:
        pictures.append(
            picture(
                lambda: plot_predictors(found),
                "Bits an observation by every predictor.",
                "The average surprise of each predictor: fewer bits are better. Hollow points were scored on the data "
                "that they were fitted to, which flatters them. The bars say how far other data would move each; they "
                "would move all together, so that differences are surer than the bars.",
            )
        )
    if found.surprise.size:
        pictures.append(
            picture(
                lambda: plot_surprise(found),
                "Surprise of every observation, the most surprising named.",
                "How many bits of surprise each observation brings to a model that was fitted to all the others; one "
                "bit more means half as probable. Those on the right are worth a look: a slip of the pen, or "
                "something that the model misses.",
            )
        )
    tables = [_scores(found), *_surprises(found), *_shares(found)]
    notes = [f"{where}: {why}." for where, why in found.reasons.items()]
    return Section(
        anchor(question), title, tuple(_sentences(found)), pictures=tuple(pictures), tables=tuple(tables),
        checks=found.checks, notes=tuple(notes),
    )  # fmt: skip


def _sentences(found: Prediction) -> list[str]:
    """What the scores say."""
    score, n = found.whole.get("posterior predictive, leave-one-out"), found.n_observations
    named = "; ".join(f"{name}: {text}" for name, text in found.baselines.items())
    sentences = []
    if score is not None:
        total, error, mcse, gain, gain_error = score
        bits, unsure = -total / n / BIT, float(np.hypot(error, mcse)) / n / BIT
        sentences.append(
            f"Predicted by the others, an observation costs {amount(bits, unsure)} bits on average (the "
            f"cross-entropy): its perplexity is {number(float(np.exp(-total / n)))}, as if the model hesitated between "
            "that many equally likely outcomes. For continuous data both depend on the unit of y."
        )
        if np.isfinite(gain):
            better, unsure = gain / n / BIT, float(np.hypot(gain_error, mcse)) / n / BIT
            sentences.append(
                f"Beside the baseline ({named}) it gains {amount(better, unsure)} bits an observation: a perplexity "
                f"{number(float(np.exp(-gain / n)))} times that of the baseline, in any unit."
            )
    sentences += [
        f"Of the {crossed / BIT:.4f} bits of the average predictive for {name}, {whole / BIT:.4f} are the entropy of "
        f"the data, which nobody avoids, and {apart / BIT:.4f} the divergence that the model adds: entropy + KL = "
        "cross-entropy."
        for name, (whole, apart, crossed, _) in found.split.items()
    ]
    return sentences


def _scores(found: Prediction) -> Table:
    """Every predictor."""
    frame = found.table()
    columns = ("", "log score / nats", "std_error", "mcse", "bits each", "perplexity", "over baseline's")
    rows = []
    for name, row in frame.iterrows():
        n = _count(found, str(name))
        error = float(np.hypot(np.nan_to_num(row["std_error"]), np.nan_to_num(row["mcse"])))
        rows.append((
            str(name), number(row["nats"], error), size(row["std_error"]), size(row["mcse"]),
            number(row["bits each"], error / n / BIT), number(row["perplexity"], row["its error"]),
            number(row["to baseline"], row["error of that"]),
        ))  # fmt: skip
    return Table(columns, tuple(rows), "Sums over the observations, and per observation.", frozenset(range(1, 7)))


def _count(found: Prediction, row: str) -> int:
    """Observations behind a row of the table."""
    return next((n for name, n in found.counts.items() if row.startswith(f"{name}: ")), found.n_observations)


def _surprises(found: Prediction) -> list[Table]:
    """The most surprising observations."""
    frame = found.surprising(_SHOWN)
    rows = tuple(
        (str(i), str(row["value"]), number(row["nats"]), number(row["bits"]), number(row["pareto_k"]))
        for i, row in frame.iterrows()
    )
    columns = ("observation", "value", "nats", "bits", "Pareto k")
    return [Table(columns, rows, "The most surprising observations.", frozenset({2, 3, 4}))] if rows else []


def _shares(found: Prediction) -> list[Table]:
    """Labels in the data and by the model."""
    return [
        Table(
            (name, "share in the data", "by the model"),
            tuple((label, number(p), number(q)) for label, (p, q) in shares.items()),
            f"Labels of {name}: their shares, and the model's average predictive.",
            frozenset({1, 2}),
        )
        for name, shares in found.shares.items()
    ]
