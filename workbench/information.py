"""The account of information: what the data taught, what it cost, and how well the model predicts. In nats and bits.

    log p(y) = E_post[log p(y given theta)] - KL(posterior || prior)
    log p(y) = log p(y given theta-hat)     + log Occam factor

The first line says that the evidence is fit minus what had to be learnt to fit: the divergence of the posterior from
the prior is the information that the data carried about theta. The second compares with the maximum: the Occam factor
is the price of having had to find it.

Prediction is scored by the expected log predictive density under leave-one-out (elpd); minus it per observation is a
cross-entropy, and its exponential a perplexity: how many equally likely outcomes the model hesitates between. For
continuous observations both depend on the unit of y.

References: Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; MacKay 2003, chapter 28 (Occam factor); Handley and
Lemos 2019, doi:10.1103/PhysRevD.100.023512 (model dimensionality); Vehtari, Gelman and Gabry 2017 (loo).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import differential_entropy

from workbench.check import Check
from workbench.evidence.estimate import Evidence
from workbench.evidence.tempering import Tempering
from workbench.model.mode import Mode
from workbench.posterior.grid import Grid
from workbench.result import Result

BIT = float(np.log(2.0))  # nats in a bit
_SIGMAS = 3.0


@dataclass(frozen=True, repr=False, eq=False)
class Information(Result):
    """The account, every entry with its error.

    Attributes
    ----------
    entries : dict of str to (float, float, str)
        Quantity -> value in nats, standard error in nats (NaN where it is exact or has none), meaning. Entries that
        do not exist for this model are absent.
    about : dict of str to (float, float)
        Scalar variable -> nats that the data taught about it alone, and the standard error.
    prediction : dict of str to (float, float, str)
        Predictive scores -> value, standard error, meaning with unit.
    dimensionality : float
        2 Var_post(log likelihood): how many directions of theta the data constrain.
    n_observations : int
    """

    entries: dict[str, tuple[float, float, str]]
    about: dict[str, tuple[float, float]]
    prediction: dict[str, tuple[float, float, str]]
    dimensionality: float
    n_observations: int
    title: ClassVar[str] = "the account of information"

    @property
    def taught_bits(self) -> float:
        """KL(posterior || prior) in bits: what the data taught about all free variables together."""
        return self.entries["KL(posterior || prior)"][0] / BIT

    def table(self) -> pd.DataFrame:
        """One row an entry: nats, standard error, bits, meaning."""
        rows = {n: (v, e, v / BIT, text) for n, (v, e, text) in self.entries.items()}
        for name, (value, error) in self.about.items():
            rows[f"about {name} alone"] = (value, error, value / BIT, f"information of the data about {name}")
        return pd.DataFrame.from_dict(rows, orient="index", columns=["nats", "std_error", "bits", "meaning"])

    def notes(self) -> list[str]:
        """Dimensionality and predictive scores."""
        lines = [f"the data constrain {self.dimensionality:.2f} directions (2 Var_post[log likelihood])"]
        for name, (value, error, text) in self.prediction.items():
            error_text = "" if np.isnan(error) else f" (std_error {error:.2g})"
            lines.append(f"{name}: {value:.6g}{error_text}; {text}")
        return lines + super().notes()


def _mcse(values: NDArray[np.float64]) -> float:
    """Monte Carlo standard error of the mean of draws of shape ``(chains, draws)``."""
    from arviz_stats.base import array_stats

    if np.ptp(values) == 0:
        return 0.0
    return float(array_stats.mcse(values, method="mean", chain_axis=0, draw_axis=1))


def marginal_information(z: NDArray[np.float64], log_prior: NDArray[np.float64]) -> tuple[float, float] | None:
    """KL of one scalar's marginal posterior from its prior, from draws: -H(z_i) - E_post[log prior(z_i)].

    Parameters
    ----------
    z : ndarray, shape (chains, draws)
        Posterior draws of the scalar, on the unconstrained scale.
    log_prior : ndarray, shape (chains, draws)
        Log prior density on that scale at the draws, nats.

    Returns
    -------
    value, std_error : float
        Nats. The entropy is SciPy's spacing estimate; the error comes from the spread between chains and
        from the difference to a second estimate of the entropy (Ebrahimi and others 1994). None where the
        draws repeat so often that there is no such estimate.
    """
    with np.errstate(divide="ignore", invalid="ignore"):  # draws that repeat have no entropy: not finite, see below
        value = -float(differential_entropy(z.ravel())) - float(log_prior.mean())
        single = np.array(
            [-float(differential_entropy(c)) - float(p.mean()) for c, p in zip(z, log_prior, strict=True)]
        )
    if not np.isfinite(value) or not np.all(np.isfinite(single)):
        return None
    other = -float(differential_entropy(z.ravel(), method="ebrahimi")) - float(log_prior.mean())
    spread = float(single.std(ddof=1) / np.sqrt(len(single))) if len(single) > 1 else float("nan")
    error = float(np.hypot(spread, value - other))
    return max(value, 0.0), error


def score_predictions(
    draws: xr.DataTree, mle: Mode | None, n: int, potentials: bool = False
) -> tuple[dict, tuple[Check, ...]]:
    """Predictive scores: leave-one-out elpd, cross-entropy and perplexity, and those of the plug-in MLE.

    Parameters
    ----------
    draws : xarray.DataTree
        With a pointwise ``log_likelihood`` group.
    mle : Mode or None
    n : int
        Observations.
    potentials : bool
        Whether a potential is part of the likelihood; then the MLE has no score per observation.

    Returns
    -------
    prediction : dict of str to (value, std_error, meaning)
    checks : tuple of Check
    """
    from arviz_stats import loo

    found: dict[str, tuple[float, float, str]] = {}
    checks: list[Check] = []
    # A potential is no observation to be scored by; with latents integrated out no observation has a score of its own.
    plugged = mle is not None and not potentials and not mle.integrated
    likelihood = draws["log_likelihood"].to_dataset() if "log_likelihood" in draws.children else xr.Dataset()
    arrays = list(likelihood.data_vars.values())
    pointwise = bool(arrays) and all(array.ndim > 2 or n == len(arrays) for array in arrays)
    if pointwise and n > 1 and likelihood.sizes["draw"] >= 10:
        elpd = variance = p_loo = 0.0
        worst, limit = -np.inf, 0.7
        for name in likelihood.data_vars:
            with warnings.catch_warnings():
                # What ArviZ warns of becomes a check below, with what to do about it.
                warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
                try:
                    result = loo(draws, var_name=name, pointwise=True)
                except ValueError as failure:
                    remedy = "nothing to do where an observation depends on no parameter; else look at the diagnosis"
                    return {}, (Check("pareto-k", "unknown", f"no leave-one-out score of {name}: {failure}", remedy),)
            elpd, variance, p_loo = elpd + float(result.elpd), variance + float(result.se) ** 2, p_loo + float(result.p)
            worst, limit = max(worst, float(np.max(result.pareto_k))), float(result.good_k)
        entropy = -elpd / n
        error = float(np.sqrt(variance))
        found["elpd_loo"] = (elpd, error, "nats; expected log predictive density of new data, leave-one-out")
        found["p_loo"] = (p_loo, float("nan"), "effective number of parameters")
        found["cross-entropy"] = (entropy, error / n, "nats an observation, leave-one-out")
        found["perplexity"] = (
            float(np.exp(entropy)), float(np.exp(entropy)) * error / n,
            "equally likely outcomes; for continuous data in units of y, so compare it only on the same data",
        )  # fmt: skip
        if worst > limit:
            checks.append(Check("pareto-k", "caution", f"largest Pareto k {worst:.2f} exceeds {limit:.2f}",
                                "an observation is very influential: leave it out and refit to score it"))  # fmt: skip
        else:
            checks.append(Check("pareto-k", "ok", f"largest Pareto k {worst:.2f}, limit {limit:.2f}"))
    if mle is not None and n and plugged:
        plug = -mle.log_likelihood / n
        found["cross-entropy of the MLE"] = (plug, float("nan"), "nats an observation, in sample: too good by design")
    return found, tuple(checks)


def account(
    evidence: Evidence,
    log_likelihood: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    about: dict[str, tuple[float, float]],
    mle: Mode | None,
    grid: Grid | None,
    prior_entropy: tuple[float, float] | None,
    prediction: tuple[dict, tuple[Check, ...]],
    tempered: Tempering | None = None,
) -> Information:
    """Put the account together and check that it balances.

    Parameters
    ----------
    evidence : Evidence
    log_likelihood, log_prior : ndarray, shape (chains, draws)
        Summed log likelihood, and log prior density on z, at the posterior draws, nats.
    about : dict of str to (value, std_error)
        `marginal_information` of scalar variables.
    mle : Mode or None
    grid : Grid or None
        The independent route to the divergence and the expected log likelihood.
    prior_entropy : (value, std_error) or None
        Differential entropy of the prior on z, nats.
    prediction : tuple
        Result of `score_predictions`.
    tempered : Tempering, optional
        Another independent route to the divergence, if its path starts from the prior.

    Returns
    -------
    Information
    """
    value, value_error = evidence.log_evidence, evidence.std_error
    drawn_fit, drawn_error = float(log_likelihood.mean()), _mcse(log_likelihood)
    fit, fit_error = drawn_fit, drawn_error
    posterior_entropy = value - float((log_likelihood + log_prior).mean())
    entropy_error = float(np.hypot(_mcse(log_likelihood + log_prior), value_error))
    if _exact(grid):
        fit, fit_error = grid.expected_log_likelihood, grid.error
        posterior_entropy, entropy_error = grid.entropy, grid.error
    divergence, divergence_error = fit - value, float(np.hypot(fit_error, value_error))
    entries = {
        "log evidence": (value, value_error, "log p(y): how well prior and likelihood together predicted the data"),
        "E_post[log likelihood]": (fit, fit_error, "fit, averaged over the posterior"),
        "KL(posterior || prior)": (
            divergence,
            divergence_error,
            "what the data taught about theta, and the price of it",
        ),
    }
    if mle is not None:
        entries["maximised log likelihood"] = (mle.log_likelihood, float("nan"), "log p(y | theta-hat), at the MLE")
        occam = value - mle.log_likelihood
        entries["log Occam factor"] = (occam, value_error, "the price of having had to find the MLE")
    if prior_entropy is not None:
        entries["entropy of the prior"] = (*prior_entropy, "differential, in the unconstrained coordinates z")
    entries["entropy of the posterior"] = (posterior_entropy, entropy_error, "differential, in the same coordinates z")
    checks = [_balance(evidence, drawn_fit, drawn_error, _divergences(grid, tempered)), *prediction[1]]
    if divergence < -_SIGMAS * divergence_error - 1e-9:
        message = f"KL(posterior || prior) = {divergence:.3g} nats, but a divergence cannot be negative"
        remedy = "some prior does not integrate to one (a CustomDist?), or the evidence is wrong"
        checks.append(Check("account-balances", "failed", message, remedy))
    spread = grid.variance_log_likelihood if _exact(grid) else float(log_likelihood.var())
    dimensionality = 2.0 * spread
    return Information(tuple(checks), entries, about, prediction[0], dimensionality, evidence.n_observations)


def _exact(grid: Grid | None) -> TypeGuard[Grid]:
    """Whether quadrature gives fit and divergence without Monte Carlo error."""
    return grid is not None and grid.checks[0].status == "ok" and not np.isnan(grid.kl_divergence)


def _divergences(grid: Grid | None, tempered: Tempering | None) -> tuple[str, float, float] | None:
    """KL(posterior || prior) from a route that needs no draws: its name, the value and the error, nats."""
    if _exact(grid):
        return "the grid", grid.kl_divergence, 0.0
    if tempered is not None and tempered.start == "prior" and np.isfinite(tempered.kl_divergence):
        return "tempering", tempered.kl_divergence, tempered.kl_error
    return None


def _balance(evidence: Evidence, fit: float, fit_error: float, independent: tuple[str, float, float] | None) -> Check:
    """Log evidence = fit - divergence, with the fit from the draws and the divergence from an independent route."""
    if independent is None:
        return Check(
            "account-balances",
            "unknown",
            "KL follows from the identity; no independent route to it is available here",
            "compare models by differences, in which its error largely cancels",
        )
    route, divergence, divergence_error = independent
    gap = evidence.log_evidence - (fit - divergence)
    error = float(np.hypot(np.hypot(fit_error, evidence.std_error), divergence_error))
    message = f"log evidence - (E_post[log likelihood] - KL) = {gap:+.2g} +- {error:.2g} nats: KL by {route}"
    if abs(gap) <= _SIGMAS * error + 1e-9:
        return Check("account-balances", "ok", message)
    return Check("account-balances", "failed", message, f"draws and {route} disagree: see study.diagnosis()")
