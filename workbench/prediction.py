"""How well the model predicts each observation: cross-entropy, perplexity and surprise, beside a named baseline.

A predictor gives every observation a probability (a density for continuous ones). Its scores are the logarithms;

    self-information     I_i = -log p(y_i)                nats: how surprising observation i was
    cross-entropy        H = (1/n) sum_i I_i              nats an observation
    perplexity           exp H                            among how many equally likely outcomes it hesitates
    gain                 H(baseline) - H                  nats an observation, whatever the unit of y
    perplexity ratio     exp(-gain)                       below 1 if the predictor beats the baseline

The predictors are the plug-in MLE, p(y_i | theta-hat), and the posterior predictive, E_post[p(y_i | theta)]; each in
sample, and leave-one-out, fitted without the observation that it predicts. In sample flatters: the data predict
themselves. For labels the cross-entropy of the model's average predictive q splits into what no predictor can avoid and
what the model adds, H(p, q) = H(p) + KL(p || q), with p the shares of the data.

Every score has two errors: `std_error`, how far it would move with other observations of the same kind, and `mcse`, how
far with other draws. Differences to the baseline are taken observation by observation, so that what both find
surprising cancels.

References: Cover and Thomas 2006, chapter 2 (cross-entropy); Vehtari, Gelman and Gabry 2017,
doi:10.1007/s11222-016-9696-4 (leave-one-out by importance sampling); Good 1952, doi:10.1111/j.2517-6161.1952.tb00104.x
(the logarithmic score).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from workbench.baseline import baseline_for
from workbench.check import Check
from workbench.errors import NumericalError, RefusalError, WorkbenchError
from workbench.leave_one_out import LeftOut, leave_each_out, observations_together, require_pointwise, unscored
from workbench.likelihood.problem import Problem
from workbench.likelihood.refit import scores_left_out
from workbench.model.density import LogDensity
from workbench.model.mode import Mode
from workbench.model.observations import labels_of, measure_of, rows_of, together_of
from workbench.numerics.monte_carlo import mcse_of_mean
from workbench.outcomes import expected_outcomes
from workbench.result import Result

BIT = float(np.log(2.0))
LEFT_OUT, IN_SAMPLE = "posterior predictive, leave-one-out", "posterior predictive, in sample"
MLE_LEFT_OUT, MLE_IN_SAMPLE = "MLE, leave-one-out", "MLE, in sample"
BASELINE = "baseline, leave-one-out"
TOGETHER = "all observations"
_NOT = float("nan")
_ROUNDING = 1e-9  # nats
_SURPRISES = 10
_ADD_UP = 1e-9  # nats


@dataclass(frozen=True, repr=False, eq=False)
class Prediction(Result):
    """Scores of every predictor, and the surprise of every observation.

    Attributes
    ----------
    scores : dict of str to dict of str to (float, float, float, float, float)
        Observed variable -> predictor -> sum of the log scores, its std_error over observations, its mcse over draws,
        gain over the baseline summed over observations and the std_error of that; nats, NaN where there is none. With
        several observed variables there is an entry for all observations, if their scores are of one kind.
    counts : dict of str to int
        Entry of `scores` -> observations.
    baselines : dict of str to str
        Observed variable -> what its baseline is.
    shares : dict of str to dict of str to (float, float)
        Observed variable of labels -> label -> share in the data, and probability by the model's average predictive.
    split : dict of str to (float, float, float, float)
        The same variable -> H(p), KL(p || q), H(p, q) and the mcse of the last two, nats.
    labels, values : tuple of str
        Every observation that was left out: where it stands, such as ``height[12]``, and what it is.
    surprise, pareto_k : ndarray, shape (n,)
        Its self-information leave-one-out, nats, and the Pareto k of its weights.
    p_loo, p_loo_error : float
        Effective number of parameters, and its std_error over observations.
    reasons : dict of str to str
        Score -> why it is missing or infinite.
    n_observations : int
    """

    scores: dict[str, dict[str, tuple[float, float, float, float, float]]]
    counts: dict[str, int]
    baselines: dict[str, str]
    shares: dict[str, dict[str, tuple[float, float]]]
    split: dict[str, tuple[float, float, float, float]]
    labels: tuple[str, ...]
    values: tuple[str, ...]
    surprise: NDArray[np.float64]
    pareto_k: NDArray[np.float64]
    p_loo: float
    p_loo_error: float
    reasons: dict[str, str]
    n_observations: int
    title: ClassVar[str] = "how well the model predicts"

    def __post_init__(self) -> None:
        """Refuse to exist if entropy and divergence do not add up to the cross-entropy."""
        for name, (whole, apart, crossed, _) in self.split.items():
            if np.isfinite(crossed) and not abs(whole + apart - crossed) < _ADD_UP * (1 + crossed):
                raise NumericalError(f"H + KL = {whole + apart}, H(p, q) = {crossed}", name, "please report it")

    @property
    def whole(self) -> dict[str, tuple[float, float, float, float, float]]:
        """Scores of all observations together; empty where they are of several kinds."""
        if len(self.scores) == 1:
            return next(iter(self.scores.values()))
        return self.scores.get(TOGETHER, {})

    def table(self) -> pd.DataFrame:
        """One row a predictor: total, errors, bits an observation, perplexity, and its ratio to the baseline's."""
        rows = {}
        for name, found in self.scores.items():
            n = self.counts[name]
            for predictor, (total, error, mcse, gain, gain_error) in found.items():
                perplexity, ratio = _exp(-total / n), _exp(-gain / n)
                rows[predictor if len(self.scores) == 1 else f"{name}: {predictor}"] = {
                    "nats": total, "std_error": error, "mcse": mcse, "bits each": -total / n / BIT,
                    "perplexity": perplexity, "its error": _times(perplexity, float(np.hypot(error, mcse)) / n),
                    "to baseline": ratio, "error of that": _times(ratio, float(np.hypot(gain_error, mcse)) / n),
                }  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index")

    def surprising(self, count: int = _SURPRISES) -> pd.DataFrame:
        """The observations that the others led one to expect least, the most surprising first.

        Parameters
        ----------
        count : int

        Returns
        -------
        pandas.DataFrame
            Columns ``value``, ``nats``, ``bits`` (self-information) and ``pareto_k``.
        """
        order = np.argsort(-self.surprise, kind="stable")[:count]
        frame = {
            "value": [self.values[i] for i in order],
            "nats": self.surprise[order],
            "bits": self.surprise[order] / BIT,
            "pareto_k": self.pareto_k[order],
        }
        return pd.DataFrame(frame, index=[self.labels[i] for i in order])

    def headline(self) -> dict[str, tuple[float, float, str]]:
        """The scores that the account of information shows: quantity -> value, standard error, meaning."""
        found: dict[str, tuple[float, float, str]] = {}
        scores, n = self.whole, self.n_observations
        if LEFT_OUT in scores:
            total, error, mcse, gain, gain_error = scores[LEFT_OUT]
            both, perplexity = float(np.hypot(error, mcse)), _exp(-total / n)
            found["elpd_loo"] = (total, both, "nats; expected log predictive density of new data, leave-one-out")
            found["p_loo"] = (self.p_loo, self.p_loo_error, "effective number of parameters")
            found["cross-entropy"] = (-total / n, both / n, "nats an observation, leave-one-out")
            text = "equally likely outcomes; for continuous data in units of y, so compare it only on the same data"
            found["perplexity"] = (perplexity, _times(perplexity, both / n), text)
            if np.isfinite(gain):
                against = float(np.hypot(gain_error, mcse)) / n
                text = "perplexity over that of the baseline: below 1 is better, whatever the unit of y"
                found["perplexity ratio"] = (_exp(-gain / n), _times(_exp(-gain / n), against), text)
        for predictor, text in {
            MLE_LEFT_OUT: "nats an observation, each predicted by the MLE of the others",
            MLE_IN_SAMPLE: "nats an observation, in sample: too good by design",
        }.items():
            if predictor in scores:
                total, error = scores[predictor][:2]
                name = "cross-entropy of the MLE" + (", left out" if predictor == MLE_LEFT_OUT else "")
                found[name] = (-total / n, error / n, text)
        return found

    def notes(self) -> list[str]:
        """Baselines, the split of the cross-entropy, the most surprising observations, and what is missing."""
        lines = [f"the baseline{self._of(name)} is: {text}" for name, text in self.baselines.items()]
        if np.isfinite(self.p_loo):
            lines.append(f"p_loo: {self.p_loo:.4g} (std_error {self.p_loo_error:.2g}); effective number of parameters")
        for name, (whole, apart, crossed, error) in self.split.items():
            lines.append(
                f"entropy + KL = cross-entropy{self._of(name)}: {whole / BIT:.4f} + {apart / BIT:.4f} = "
                f"{crossed / BIT:.4f} bits (mcse {error / BIT:.1g}), shares of the data against the average predictive"
            )
        most = self.surprising(3)
        if len(most):
            named = "; ".join(f"{i} = {row['value']}, {row['bits']:.1f} bits" for i, row in most.iterrows())
            lines.append(f"most surprising: {named}")
        lines += [f"{where}: {why}" for where, why in self.reasons.items()]
        return lines + super().notes()

    def _of(self, name: str) -> str:
        return "" if len(self.baselines) == 1 and name in self.baselines else f" of {name}"


def _exp(value: float) -> float:
    """The exponential, infinite beyond what a number holds."""
    with np.errstate(over="ignore"):
        return float(np.exp(value))


def _times(value: float, error: float) -> float:
    """The error of an exponential by the delta method; NaN where it is infinite."""
    return value * error if np.isfinite(value) else _NOT


def score(
    scores: NDArray[np.float64], mcse: float, baseline: NDArray[np.float64] | None
) -> tuple[float, float, float, float, float]:
    """Sum of log scores with its errors, and what it gains over a baseline.

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Log probability (density) of every observation, nats; ``-inf`` is allowed.
    mcse : float
        Of the sum, nats.
    baseline : ndarray, shape (n,), or None
        Log scores of the baseline, nats.

    Returns
    -------
    total, std_error, mcse, gain, gain_error : float
        Nats; NaN where there is none: an infinite sum has no error.
    """
    total, error = _sum_and_error(scores)
    gain, gain_error = (_NOT, _NOT) if baseline is None else _sum_and_error(scores - baseline)
    return total, error, mcse if np.isfinite(total) else _NOT, gain, gain_error


def _sum_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """A sum over observations, and its standard error if they are independent; NaN for one, or an infinite one."""
    total, n = float(values.sum()), values.size
    if n < 2 or not np.isfinite(total):
        return total, _NOT
    error = float(np.sqrt(n) * values.std(ddof=1))
    return total, error if error > _ROUNDING else 0.0


@dataclass
class _Scored:
    """Log scores of every observation by predictor, with the influence of every draw on their sums."""

    names: list[str]
    groups: NDArray[np.intp]
    scores: dict[str, NDArray[np.float64]]  # (n,)
    influence: dict[str, NDArray[np.float64]]  # (chains, draws, groups)
    reasons: dict[str, str]

    def table(self, together: bool) -> tuple[dict[str, dict], dict[str, int]]:
        """Scores by observed variable, and of all observations where they are of one kind; their numbers."""
        chosen = {name: (self.groups == g, [g]) for g, name in enumerate(self.names)}
        if len(self.names) > 1 and together:
            chosen[TOGETHER] = np.ones(self.groups.size, dtype=bool), list(range(len(self.names)))
        found: dict[str, dict] = {}
        for name, (own, places) in chosen.items():
            base = self.scores.get(BASELINE, np.full(self.groups.size, _NOT))[own]
            kept = {p: s[own] for p, s in self.scores.items() if not np.isnan(s[own]).any()}
            pull = {p: self.influence[p][..., places].sum(axis=-1) for p in kept if p in self.influence}
            mcse = {p: mcse_of_mean(pull[p]) if p in pull else 0.0 for p in kept}
            found[name] = {p: score(s, mcse[p], None if np.isnan(base).any() else base) for p, s in kept.items()}
        return found, {name: int(own.sum()) for name, (own, _) in chosen.items()}


def predict(
    density: LogDensity, draws: xr.DataTree, mle: Mode | None, why_no_mle: str, problem: Callable[[], Problem]
) -> Prediction:
    """Every predictor scored on every observation.

    Parameters
    ----------
    density : LogDensity
    draws : xarray.DataTree
        Posterior draws with a ``log_likelihood`` per observation.
    mle : Mode or None
    why_no_mle : str
        The reason where there is none.
    problem : callable
        Gives the likelihood of the parameters, for refits.

    Returns
    -------
    Prediction

    Raises
    ------
    RefusalError
        If the log likelihood is not kept per observation, or there are too few draws.
    """
    require_pointwise(draws, density.likelihood_shapes)
    sizes = {name: int(np.prod(shape)) for name, shape in density.likelihood_shapes.items() if 0 not in shape}
    names = list(sizes)
    groups = np.repeat(np.arange(len(names)), list(sizes.values()))
    labels = tuple(label for name in names for label in labels_of(density, name))
    scored = _Scored(names, groups, {}, {}, {})
    left, checks = _add_posterior(scored, draws)
    if mle is None:
        scored.reasons["MLE"] = why_no_mle
    else:
        _add_mle(scored, density, mle, problem, labels)
    kinds = {name: measure_of(density, name) for name in names}
    baselines = _add_baseline(scored, density, kinds)
    outcomes = expected_outcomes(density, draws["unconstrained_posterior"].to_dataset()["z"].values)
    scores, counts = scored.table(set(kinds.values()) in ({"continuous"}, {"labels"}, {"counts"}, {"labels", "counts"}))
    nothing = np.zeros(0)
    p_loo, p_loo_error = (_NOT, _NOT) if left is None else _sum_and_error(left.effective)
    return Prediction(
        checks=checks,
        scores=scores,
        counts=counts,
        baselines=baselines,
        shares={name: found.shares for name, found in outcomes.items()},
        split={n: (o.entropy, o.divergence, o.cross_entropy, o.mcse) for n, o in outcomes.items()},
        labels=() if left is None else labels,
        values=() if left is None else tuple(map(_text, (row for name in names for row in rows_of(density, name)))),
        surprise=nothing if left is None else -left.scores,
        pareto_k=nothing if left is None else left.pareto_k,
        p_loo=p_loo,
        p_loo_error=p_loo_error,
        reasons=scored.reasons,
        n_observations=groups.size,
    )


def _add_posterior(scored: _Scored, draws: xr.DataTree) -> tuple[LeftOut | None, tuple[Check, ...]]:
    """The posterior predictive, in sample and leave-one-out."""
    log_likelihood = observations_together(draws, scored.names)
    chains, count, n = log_likelihood.shape
    inside = logsumexp(log_likelihood, axis=(0, 1)) - np.log(chains * count)
    pull = np.zeros((chains, count, len(scored.names)))
    for i in range(n):
        pull[..., scored.groups[i]] += np.expm1(log_likelihood[..., i] - inside[i])
    scored.scores[IN_SAMPLE], scored.influence[IN_SAMPLE] = inside, pull
    if n < 2:
        scored.reasons[LEFT_OUT] = "one observation leaves nothing to predict it from"
        return None, ()
    try:
        left = leave_each_out(log_likelihood, draws["posterior"].to_dataset(), scored.groups)
    except RefusalError as refusal:
        return None, (unscored(refusal),)
    scored.scores[LEFT_OUT], scored.influence[LEFT_OUT] = left.scores, left.influence
    return left, (left.check,)


def _add_mle(
    scored: _Scored, density: LogDensity, mle: Mode, problem: Callable[[], Problem], labels: tuple[str, ...]
) -> None:
    """The plug-in MLE, in sample and by refits."""
    if mle.integrated:
        hidden = ", ".join(mle.integrated)
        scored.reasons["MLE"] = f"{hidden} is integrated out, so that no observation has a likelihood of its own"
        return
    inside = density.terms(mle.z).log_likelihood
    scored.scores[MLE_IN_SAMPLE] = np.concatenate([inside[name].ravel() for name in scored.names])
    if scored.groups.size < 2:
        return
    try:
        found = scores_left_out(problem(), mle)
    except WorkbenchError as error:
        scored.reasons[MLE_LEFT_OUT] = error.what
        return
    scores = np.concatenate([found[name] for name in scored.names])
    missing, impossible = int(np.isnan(scores).sum()), np.flatnonzero(scores == -np.inf)
    if missing:
        scored.reasons[MLE_LEFT_OUT] = f"the likelihood has no maximum without {missing} of the observations"
        return
    scored.scores[MLE_LEFT_OUT] = scores
    if impossible.size:
        more = f" and {impossible.size - 3} more" if impossible.size > 3 else ""
        named = ", ".join(labels[i] for i in impossible[:3])
        scored.reasons[MLE_LEFT_OUT] = f"infinite: fitted without it, the MLE holds {named}{more} impossible"


def _add_baseline(scored: _Scored, density: LogDensity, kinds: Mapping[str, str]) -> dict[str, str]:
    """The baseline of every observed variable that has one; their names."""
    found, scores = {}, np.full(scored.groups.size, _NOT)
    for g, name in enumerate(scored.names):
        if together_of(density, name) or (density.summation is not None and name in density.summation.joined):
            why = "observations that share a label are predicted together, which no simple baseline does"
            scored.reasons[f"baseline of {name}"] = why
            continue
        try:
            baseline = baseline_for(np.array(rows_of(density, name)), kinds[name], name)
        except RefusalError as refusal:
            scored.reasons[f"baseline of {name}"] = refusal.what
            continue
        found[name], scores[scored.groups == g] = baseline.name, baseline.scores
    if found:
        scored.scores[BASELINE] = scores
    return found


def _text(row: NDArray) -> str:
    """One observation as text."""
    return f"{row:.6g}" if np.ndim(row) == 0 else np.array2string(row, threshold=4, precision=4)
