"""Several models of the same data, side by side: by evidence, by predictive accuracy, by information criteria.

    log Bayes factor = log p(y | first) - log p(y | second)
    p(model | y)     = p(y | model) p(model) / sum over models

The evidence asks which model, prior included, predicted these data before it saw them. Leave-one-out (elpd) asks which
would predict the next observation, having seen these. AIC and BIC are approximations of the two by the maximum alone.
They may well disagree, and the account says why: log p(y) = E_post[log likelihood] - KL(posterior || prior), so a
model may fit better and still lose because it had more to learn.

References: Kass and Raftery 1995, doi:10.1080/01621459.1995.10476572 (words for Bayes factors); Yao and others 2018,
doi:10.1214/17-BA1091 (stacking); Vehtari, Gelman and Gabry 2017, doi:10.1007/s11222-016-9696-4 (elpd).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from workbench.check import SEVERITY, Check, Status, worst_status
from workbench.errors import InputError, RefusalError, WorkbenchError
from workbench.evidence.estimate import strength
from workbench.leave_one_out import (
    arviz_loo,
    arviz_scores,
    observations_together,
    pareto_check,
    pointwise_tree,
    unscored,
)
from workbench.result import Result

BIT, TEN = float(np.log(2.0)), float(np.log(10.0))
_SIGMAS = 2.0  # standard errors that a difference has to exceed before one model is called better
_NOT = float("nan")


@dataclass(frozen=True, repr=False, eq=False)
class ModelsCompared(Result):
    """Models of the same data, the one with the highest evidence first and those without a reliable one last.

    Attributes
    ----------
    evidence : dict of str to (float, float, str)
        Model -> log p(y) and its standard error in nats, and the status of that number; NaN where it was refused.
    probability : dict of str to (float, float)
        Model -> its posterior probability and the standard error; NaN where one of the evidences is unreliable.
    elpd : dict of str to (float, float, float, float, float)
        Model -> elpd, its standard error, the difference from the best one, the standard error of that difference
        (nats), and the stacking weight: among the models that have scores, if there are two.
    criteria : dict of str to (float, float, float)
        Model -> maximised log likelihood (nats), AIC, BIC.
    fit : dict of str to float
        Model -> E_post[log likelihood], nats; NaN where the draws failed or there are none.
    reasons : dict of str to str
        Model and question -> why there is no number, or none to rely on.
    n_observations : int
    """

    evidence: dict[str, tuple[float, float, str]]
    probability: dict[str, tuple[float, float]]
    elpd: dict[str, tuple[float, float, float, float, float]]
    criteria: dict[str, tuple[float, float, float]]
    fit: dict[str, float]
    reasons: dict[str, str]
    n_observations: int
    title: ClassVar[str] = "models compared"

    @property
    def names(self) -> list[str]:
        """The models, highest evidence first, those without a reliable one last."""
        return list(self.evidence)

    def bayes_factor(self, first: str, second: str) -> tuple[float, float, str]:
        """The log Bayes factor of one model against another.

        Parameters
        ----------
        first, second : str

        Returns
        -------
        value, std_error : float
            Nats; positive where `first` is better.
        words : str
            Kass and Raftery's, or that the number cannot be relied on.

        Raises
        ------
        InputError
            If there is no model of this name.
        """
        for name in (first, second):
            if name not in self.evidence:
                raise InputError(f"there is no model {name!r}", "bayes_factor", f"the models are {self.names}")
        (a, a_error, a_status), (b, b_error, b_status) = self.evidence[first], self.evidence[second]
        value, error = a - b, float(np.hypot(a_error, b_error))
        if not np.isfinite(value) or "failed" in (a_status, b_status):
            return value, error, "unreliable"
        return value, error, strength(value, error)

    def table(self) -> pd.DataFrame:
        """One column a model; Bayes factors are against the first."""
        rows = {}
        for name, (value, error, status) in self.evidence.items():
            factor, factor_error, words = self.bayes_factor(name, self.names[0])
            found = self.elpd.get(name, (_NOT,) * 5)
            rows[name] = {
                "log_evidence": value, "std_error": error, "evidence is": status,
                "log BF": factor, "its error": factor_error if name != self.names[0] else 0.0,
                "bits": factor / BIT, "log10": factor / TEN, "words": "" if name == self.names[0] else words,
                "probability": self.probability[name][0], "prob. error": self.probability[name][1],
                "elpd": found[0], "elpd diff": found[2], "diff error": found[3], "stacking": found[4],
                "AIC": self.criteria.get(name, (_NOT,) * 3)[1], "BIC": self.criteria.get(name, (_NOT,) * 3)[2],
            }  # fmt: skip
        return pd.DataFrame(rows)

    def winners(self) -> dict[str, str]:
        """Criterion -> the model that it prefers, for every criterion that has a number for two models or more."""
        return {c: max(score, key=score.__getitem__) for c, score in self._scored().items()}

    def _scored(self) -> dict[str, dict[str, float]]:
        """Criterion -> its number of every model that has one, the higher the better; two models or more."""
        scores: dict[str, dict[str, float]] = {
            "evidence": {n: v for n, (v, _, status) in self.evidence.items() if status != "failed"},
            "elpd": {n: v[0] for n, v in self.elpd.items()},
            "AIC": {n: -v[1] for n, v in self.criteria.items()},
            "BIC": {n: -v[2] for n, v in self.criteria.items()},
        }
        known = {c: {n: v for n, v in score.items() if np.isfinite(v)} for c, score in scores.items()}
        return {c: score for c, score in known.items() if len(score) > 1}

    def notes(self) -> list[str]:
        """Where the criteria disagree and why, what has no number and why."""
        lines = ["Bayes factors are against the first column, in nats; words after Kass and Raftery (1995)"]
        best = self.winners()
        if len(set(best.values())) > 1:
            lines.append("the criteria disagree: " + ", ".join(f"{c} prefers {n}" for c, n in best.items()))
            first = best.get("evidence", "")
            lines += [
                self._why(first, other)
                for other in sorted(set(best.values()) - {first})
                if other in self._scored().get("evidence", ()) and np.isfinite([self.fit[first], self.fit[other]]).all()
            ]
        elif best:
            lines.append(f"{', '.join(best)}: all prefer {next(iter(best.values()))}")
        for criterion, score in self._scored().items():
            if left_out := [name for name in self.names if name not in score]:
                lines.append(f"{criterion} compares {', '.join(score)}: it has no number for {', '.join(left_out)}")
        lines += [f"{where}: {why}" for where, why in self.reasons.items()]
        return lines + super().notes()

    def _why(self, first: str, other: str) -> str:
        """Why the evidence prefers one model and another criterion another: fit and price of learning."""
        gain = self.fit[other] - self.fit[first]
        price = gain + self.evidence[first][0] - self.evidence[other][0]
        if gain > 0:
            text = (
                f"{other} fits better by {gain:.3g} nats on average over its posterior, but had to learn {price:.3g} "
                f"nats more to get there (KL from prior to posterior)"
            )
        else:
            text = f"{other} fits worse by {-gain:.3g} nats on average and learnt {-price:.3g} nats less"
        _, _, difference, error, _ = self.elpd.get(first, (_NOT,) * 5)
        if abs(difference) < _SIGMAS * error:
            text += f"; its lead in elpd, {-difference:.2g} +- {error:.2g}, is within its error"
        return text + "; the evidence counts the price of learning, elpd and AIC do not"


def observations_hash(observed: Mapping[str, NDArray]) -> str:
    """A fingerprint of the observations, whatever their variables are called and however they are shaped.

    Parameters
    ----------
    observed : mapping of str to ndarray

    Returns
    -------
    str
        Hexadecimal.
    """
    parts = sorted(hashlib.sha256(np.asarray(a, dtype=np.float64).tobytes()).hexdigest() for a in observed.values())
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def model_probabilities(log_evidence: NDArray[np.float64], errors: NDArray[np.float64]) -> tuple[NDArray, NDArray]:
    """Posterior probabilities of models with equal prior probabilities, and their errors by the delta method.

    Parameters
    ----------
    log_evidence, errors : ndarray, shape (k,)
        Nats.

    Returns
    -------
    probability, std_error : ndarray, shape (k,)

    Examples
    --------
    >>> import numpy as np
    >>> p, error = model_probabilities(np.array([0.0, 0.0]), np.array([0.1, 0.0]))
    >>> p.round(3).tolist(), error.round(3).tolist()
    ([0.5, 0.5], [0.025, 0.025])
    """
    p = np.exp(log_evidence - logsumexp(log_evidence))
    slopes = np.diag(p) - np.outer(p, p)  # d p_i / d log evidence_j
    return p, np.sqrt(slopes**2 @ errors**2)


def _scores(
    trees: Mapping[str, xr.DataTree], reasons: dict[str, str]
) -> tuple[dict[str, tuple[float, float, float, float, float]], list[Check]]:
    """Elpd, differences and stacking weights by ArviZ, of the models that it can score, where those are two or more."""
    from arviz_stats import compare

    scored = {}
    for name, tree in trees.items():
        try:
            scored[name] = arviz_loo(pointwise_tree(observations_together(tree), tree["posterior"].to_dataset()))
        except RefusalError as refusal:
            reasons[f"{name}, elpd"] = refusal.what
    if len(scored) < 2:
        return {}, []
    try:
        with arviz_scores():
            frame = compare(scored, method="stacking", round_to="none")
    except RefusalError as refusal:
        return {}, [unscored(refusal)]
    columns = frame[["elpd", "se", "elpd_diff", "dse", "weight"]].astype(float).itertuples(name=None)
    found = {str(name): (elpd, error, gap, gap_error, weight) for name, elpd, error, gap, gap_error, weight in columns}
    worst = {name: float(np.max(result.pareto_k)) for name, result in scored.items()}
    return found, [pareto_check(worst, min(float(result.good_k) for result in scored.values()))]


def _same_data(studies: Mapping[str, Any]) -> None:
    """Refuse models of different data."""
    marks = {name: observations_hash(study.density.symbolic.observed) for name, study in studies.items()}
    first = next(iter(marks))
    for name, mark in marks.items():
        if mark != marks[first]:
            raise InputError(
                f"{first} and {name} were fitted to different observations",
                "compare_models",
                "evidence and elpd compare models of the same data only: same values, same unit, same rows in the same "
                "order, none left out",
            )


def compare_models(studies: Mapping[str, Any]) -> ModelsCompared:
    """Several models of the same data: Bayes factors, probabilities, elpd, stacking weights, AIC and BIC.

    Parameters
    ----------
    studies : mapping of str to Study
        Two or more, by a name of your choice.

    Returns
    -------
    ModelsCompared

    Raises
    ------
    InputError
        If there are fewer than two models, or they were fitted to different observations.
    """
    if len(studies) < 2:
        raise InputError(f"{len(studies)} model", "compare_models", "give two or more, by name")
    _same_data(studies)
    evidence: dict[str, tuple[float, float, str]] = {}
    criteria: dict[str, tuple[float, float, float]] = {}
    reasons: dict[str, str] = {}
    fit: dict[str, float] = {}
    fixed = [name for name, study in studies.items() if not study.density.space.dimension]
    trees = {name: study.posterior.draws() for name, study in studies.items() if name not in fixed}
    for name, study in studies.items():
        evidence[name] = _evidence_of(name, study, reasons)
        if name in fixed:
            reasons[f"{name}, elpd, AIC and BIC"] = "it has no free variable: its log evidence is its log likelihood"
            fit[name] = _NOT
            continue
        fit[name] = sum(float(a.sum()) for a in trees[name]["log_likelihood"].to_dataset().data_vars.values())
        fit[name] /= trees[name]["posterior"].sizes["chain"] * trees[name]["posterior"].sizes["draw"]
        if doubts := study.doubts():
            reasons[f"{name}, elpd"] = f"the draws failed: {', '.join(check.code for check in doubts)}"
            fit[name] = _NOT
        try:
            mle = study.likelihood.maximum()
            criteria[name] = (mle.log_likelihood, mle.aic, mle.bic)
        except WorkbenchError as error:
            reasons[f"{name}, AIC and BIC"] = error.what
    for name, study in studies.items():
        if name in trees and study.density.symbolic.potential:
            reasons[f"{name}, elpd"] = "a potential is no observation, and may hold data that nobody can compare"
            del trees[name]
    elpd, scoring = _scores({name: tree for name, tree in trees.items() if np.isfinite(fit[name])}, reasons)
    order = sorted(
        evidence, key=lambda name: (evidence[name][2] == "failed", -np.nan_to_num(evidence[name][0], nan=-np.inf))
    )
    values = np.array([evidence[name][:2] for name in order])
    usable = all(status != "failed" for _, _, status in evidence.values())
    shares, errors = model_probabilities(*values.T) if usable else (np.full(len(order), _NOT),) * 2
    return ModelsCompared(
        checks=(_reliability(evidence, elpd), *scoring),
        evidence={name: evidence[name] for name in order},
        probability={n: (float(p), float(e)) for n, p, e in zip(order, shares, errors, strict=True)},
        elpd=elpd,
        criteria=criteria,
        fit=fit,
        reasons=reasons,
        n_observations=next(iter(studies.values())).density.n_observed,
    )


def _evidence_of(name: str, study: Any, reasons: dict[str, str]) -> tuple[float, float, str]:
    """Log p(y), its error and its status; the reason where it was refused or failed."""
    try:
        found = study.evidence.estimate()
    except WorkbenchError as error:
        reasons[f"{name}, evidence"] = f"refused: {error.what}"
        return _NOT, _NOT, "failed"
    status = worst_status(found.checks)
    if status == "failed":
        failed = [check for check in found.checks if check.status == "failed"]
        reasons[f"{name}, evidence"] = "unreliable: " + "; ".join(f"{c.code}: {c.message}" for c in failed[:3])
    return found.log_evidence, found.std_error, status


def _reliability(evidence: Mapping[str, tuple[float, float, str]], elpd: Mapping[str, Any]) -> Check:
    """Whether every evidence in the comparison can be relied on."""
    statuses: list[Status] = [status for _, _, status in evidence.values()]  # type: ignore[misc]
    worst = max(statuses, key=SEVERITY.__getitem__)
    guilty = ", ".join(name for name, (_, _, status) in evidence.items() if status == worst and worst != "ok")
    if worst == "failed":
        remedy = "see study.evidence.estimate() of that model" + ("; compare by elpd meanwhile" if elpd else "")
        return Check("evidence-reliable", "failed", f"no reliable evidence for {guilty}", remedy)
    message = f"the least reliable evidence is {worst}" + (f" ({guilty})" if guilty else "")
    return Check("evidence-reliable", worst, message, "" if worst == "ok" else "read the checks of that evidence")
