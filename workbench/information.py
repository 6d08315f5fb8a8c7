"""The account of information: what the data taught, what it cost, and how well the model predicts. In nats and bits.

    log p(y) = E_post[log p(y given theta)] - KL(posterior || prior)
    log p(y) = log p(y given theta-hat)     + log Occam factor

The first line says that the evidence is fit minus what had to be learnt to fit: the divergence of the posterior from
the prior is the information that the data carried about theta. The second compares with the maximum: the Occam factor
is the price of having had to find it.

The entries are estimated from the same draws, so that their errors are not independent: that of a difference follows
from the errors of both and their covariance. How well the model predicts is a question of its own
(`workbench.prediction`); its headline stands here as well.

References: Kullback and Leibler 1951, doi:10.1214/aoms/1177729694; MacKay 2003, chapter 28 (Occam factor); Handley and
Lemos 2019, doi:10.1103/PhysRevD.100.023512 (the identity with joint errors, model dimensionality); Betancourt 2018,
arXiv:1803.08393 (contraction).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, TypeGuard

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import differential_entropy

from workbench.check import Check, worst_status
from workbench.evidence.estimate import Evidence
from workbench.evidence.modes import OverModes
from workbench.evidence.tempering import Tempering
from workbench.model.mode import Mode
from workbench.numerics.monte_carlo import mcse_of_mean, mcse_of_variance
from workbench.posterior.grid import Grid
from workbench.result import Result

BIT = float(np.log(2.0))  # nats in a bit
_SIGMAS = 3.0
_SHOWN = 8  # scalars in sentences
_HALF = 0.5  # of a direction beyond those that there are: less is what a slightly skewed posterior does
_NOT = float("nan")
_NEGLIGIBLE = 1e-4  # bits: an error below this is not printed

Pair = tuple[float, float]  # a value and its standard error


@dataclass(frozen=True, repr=False, eq=False)
class Information(Result):
    """The account, every entry with its error.

    Attributes
    ----------
    entries : dict of str to (float, float, str)
        Quantity -> value in nats, standard error in nats (NaN where it is exact or has none), meaning. Entries that
        do not exist for this model are absent.
    about : dict of str to (float, float)
        Scalar -> nats that the data taught about it alone, and the standard error.
    contraction : dict of str to (float, float)
        Scalar -> 1 - posterior variance / prior variance, in its own unit, and the standard error: 0 where the data
        told nothing, 1 where they left nothing open, negative where the posterior is the wider one.
    prediction : dict of str to (float, float, str)
        Predictive scores -> value, standard error, meaning with unit.
    dimensionality, dimensionality_error : float
        2 Var_post(log likelihood): how many directions of theta the data constrain.
    variables : tuple of str
        The free variables.
    dimension : int
        Coordinates of z: how many directions there are; 0 where that is not known.
    n_observations : int
    """

    entries: dict[str, tuple[float, float, str]]
    about: dict[str, Pair]
    contraction: dict[str, Pair]
    prediction: dict[str, tuple[float, float, str]]
    dimensionality: float
    dimensionality_error: float
    variables: tuple[str, ...]
    dimension: int
    n_observations: int
    title: ClassVar[str] = "the account of information"

    @property
    def taught_bits(self) -> float:
        """KL(posterior || prior) in bits: what the data taught about all free variables together."""
        return self.entries["KL(posterior || prior)"][0] / BIT

    @property
    def too_many_directions(self) -> str:
        """What to make of a dimensionality well above the number of coordinates; empty where it is none."""
        above = self.dimensionality - 2.0 * self.dimensionality_error - _HALF
        if not self.dimension or not above > self.dimension:
            return ""
        why = "the posterior is far from normal, or prior and likelihood pull apart"
        return f"more than the {self.dimension} that there are: {why}, and this number counts nothing"

    def table(self) -> pd.DataFrame:
        """One row an entry: nats, standard error, bits, meaning."""
        rows = {n: (v, e, v / BIT, text) for n, (v, e, text) in self.entries.items()}
        for name, (value, error) in self.about.items():
            rows[f"about {name} alone"] = (value, error, value / BIT, f"information of the data about {name}")
        return pd.DataFrame.from_dict(rows, orient="index", columns=["nats", "std_error", "bits", "meaning"])

    def scalars(self) -> pd.DataFrame:
        """One row a scalar: bits that the data taught about it alone, and contraction, with their errors."""
        labels = dict.fromkeys((*self.about, *self.contraction))
        rows = {
            label: (*np.divide(self.about.get(label, (_NOT, _NOT)), BIT), *self.contraction.get(label, (_NOT, _NOT)))
            for label in labels
        }
        columns = ["bits", "std_error", "contraction", "its error"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns)

    def words(self) -> list[str]:
        """What the data taught, in sentences: about all free variables together, then about each scalar alone."""
        together = self.entries["KL(posterior || prior)"]
        lines = [f"the data taught {_bits(*together[:2])} about {', '.join(self.variables)}"]
        for label in [*self.about][:_SHOWN]:
            line = f"the data taught {_bits(*self.about[label])} about {label} alone"
            if label in self.contraction:
                taken, error = self.contraction[label]
                line += (
                    f", and took {_measured(100 * taken, 100 * error)}% of its variance away"
                    if taken > -error
                    else f", and left it {_measured(1 - taken, error)} times the variance of the prior"
                )
            lines.append(line)
        if len(self.about) > _SHOWN:
            lines.append(f"{len(self.about) - _SHOWN} more scalars: see .scalars()")
        return lines

    def notes(self) -> list[str]:
        """What was learnt in words, dimensionality and predictive scores."""
        value = self.entries["log evidence"][0]
        lines = self.words()
        if self.n_observations > 1:
            lines.append(
                f"one after the other, each predicted from those before it, the {self.n_observations} observations "
                f"cost {-value / BIT / self.n_observations:.4g} bits each: -log p(y) over their number"
            )
        if np.isfinite(self.dimensionality):
            error = f" +- {self.dimensionality_error:.2g}" if self.dimensionality_error > 0 else ""
            lines.append(
                f"the data constrain {self.dimensionality:.2f}{error} directions (2 Var_post[log likelihood])"
                f"{', ' * bool(self.too_many_directions)}{self.too_many_directions}"
            )
        for name, (score, std_error, text) in self.prediction.items():
            error_text = "" if np.isnan(std_error) else f" (std_error {std_error:.2g})"
            lines.append(f"{name}: {score:.6g}{error_text}; {text}")
        return lines + super().notes()


def _measured(value: float, error: float) -> str:
    """A number and its error, with the digits that two significant ones of the error leave."""
    places = int(np.clip(1 - np.floor(np.log10(max(error, 1e-9))), 0, 6))
    return f"{value:.{places}f} +- {error:.{places}f}"


def _bits(nats: float, error: float) -> str:
    """An amount of information in words, with its error where that can be seen."""
    value, error = nats / BIT, error / BIT
    return f"{_measured(value, error) if error > _NEGLIGIBLE else f'{value:.2f}'} bits"


def marginal_information(z: NDArray[np.float64], log_prior: NDArray[np.float64]) -> Pair | None:
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


@dataclass(frozen=True)
class Learnt:
    """What is known about single scalars, and about the prior as a whole.

    Attributes
    ----------
    variables : tuple of str
        The free variables.
    dimension : int
        Coordinates of z; 0 where that is not known.
    about, contraction : dict of str to (value, std_error)
        See `Information`.
    prior_entropy : dict of str to (value, std_error)
        ``z`` and ``theta`` -> differential entropy of the prior in these coordinates, nats; empty where unknown.
    stretch : (value, std_error) or None
        E_post[log abs det d theta / dz], nats: entropy in theta minus entropy in z.
    """

    variables: tuple[str, ...] = ()
    dimension: int = 0
    about: dict[str, Pair] = field(default_factory=dict)
    contraction: dict[str, Pair] = field(default_factory=dict)
    prior_entropy: dict[str, Pair] = field(default_factory=dict)
    stretch: Pair | None = None


@dataclass(frozen=True)
class _Parts:
    """Evidence, fit and divergence with their joint errors, and the entropy of the posterior where it is known."""

    evidence: Pair
    fit: Pair
    divergence: Pair
    entropy: Pair | None
    dimensionality: Pair


def account(
    evidence: Evidence,
    log_likelihood: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    learnt: Learnt | None = None,
    mle: Mode | None = None,
    grid: Grid | None = None,
    undrawn: Tempering | OverModes | None = None,
    covariances: Mapping[str, float] | None = None,
    prediction: Mapping[str, tuple[float, float, str]] | None = None,
) -> Information:
    """Put the account together and check that it balances.

    Parameters
    ----------
    evidence : Evidence
    log_likelihood, log_prior : ndarray, shape (chains, draws)
        Summed log likelihood, and log prior density on z, at the posterior draws, nats.
    learnt : Learnt, optional
    mle : Mode, optional
    grid : Grid, optional
        The independent route to the divergence and the expected log likelihood.
    undrawn : Tempering or OverModes, optional
        Another independent route to the divergence: an integral over modes, or a path that starts from the prior.
    covariances : mapping of str to float, optional
        ``log likelihood`` and ``log target`` -> covariance of the log evidence with their means over the draws, nats
        squared: those of the bridge, where the evidence is the bridge's.
    prediction : mapping of str to (value, std_error, meaning), optional
        The headline of `workbench.prediction.Prediction`.

    Returns
    -------
    Information
    """
    learnt, shared = learnt or Learnt(), covariances or {}
    drawn = float(log_likelihood.mean()), mcse_of_mean(log_likelihood)
    parts = _parts(evidence, log_likelihood, log_prior, grid, undrawn, shared)
    entries = {
        "log evidence": (*parts.evidence, "log p(y): how well prior and likelihood together predicted the data"),
        "E_post[log likelihood]": (*parts.fit, "fit, averaged over the posterior"),
        "KL(posterior || prior)": (*parts.divergence, "what the data taught about theta, and the price of it"),
    }
    if mle is not None:
        entries["maximised log likelihood"] = (mle.log_likelihood, _NOT, "log p(y | theta-hat), at the MLE")
        occam = parts.evidence[0] - mle.log_likelihood
        entries["log Occam factor"] = (occam, parts.evidence[1], "the price of having had to find the MLE")
    entries |= _entropies(learnt, parts.entropy)
    checks = [_reliability(evidence)]
    checks.append(_balance(evidence, drawn, _divergences(grid, undrawn), shared.get("log likelihood", 0.0)))
    divergence, error = parts.divergence
    if divergence < -_SIGMAS * error - 1e-9:
        message = f"KL(posterior || prior) = {divergence:.3g} nats, but a divergence cannot be negative"
        remedy = "some prior does not integrate to one (a CustomDist?), or the evidence is wrong"
        checks.append(Check("account-balances", "failed", message, remedy))
    return Information(
        checks=tuple(checks),
        entries=entries,
        about=learnt.about,
        contraction=learnt.contraction,
        prediction=dict(prediction or {}),
        dimensionality=parts.dimensionality[0],
        dimensionality_error=parts.dimensionality[1],
        variables=learnt.variables,
        dimension=learnt.dimension,
        n_observations=evidence.n_observations,
    )


def _parts(
    evidence: Evidence,
    log_likelihood: NDArray[np.float64],
    log_prior: NDArray[np.float64],
    grid: Grid | None,
    undrawn: Tempering | OverModes | None,
    shared: Mapping[str, float],
) -> _Parts:
    """The terms of the identity by one route: quadrature, the particles that gave the evidence, or the draws."""
    value, error = evidence.log_evidence, evidence.std_error
    spread = 2.0 * float(log_likelihood.var()), 2.0 * mcse_of_variance(log_likelihood)
    if _exact(grid):
        return _Parts(
            (value, error),
            (grid.expected_log_likelihood, grid.error),
            (grid.expected_log_likelihood - value, float(np.hypot(grid.error, error))),
            (grid.entropy, grid.error),
            (2.0 * grid.variance_log_likelihood, 0.0),
        )
    if evidence.method in ("marginal", "modes", "tempering") and undrawn is not None and undrawn.free_of_draws:
        # The draws failed, so that nothing is taken from them.
        fit = undrawn.expected_log_likelihood, undrawn.expected_error
        return _Parts((value, error), fit, (fit[0] - value, undrawn.kl_error), None, (_NOT, _NOT))
    log_f = log_likelihood + log_prior
    fit = float(log_likelihood.mean()), mcse_of_mean(log_likelihood)
    return _Parts(
        (value, error),
        fit,
        (fit[0] - value, _error_of_difference(fit[1], error, shared.get("log likelihood", 0.0))),
        (value - float(log_f.mean()), _error_of_difference(mcse_of_mean(log_f), error, shared.get("log target", 0.0))),
        spread,
    )


def _error_of_difference(first: float, second: float, covariance: float) -> float:
    """Standard error of a difference of two estimates from the same draws."""
    return float(np.sqrt(max(first**2 + second**2 - 2.0 * covariance, 0.0)))


def _entropies(learnt: Learnt, posterior: Pair | None) -> dict[str, tuple[float, float, str]]:
    """Differential entropies of prior and posterior, in z and in theta."""
    found: dict[str, tuple[float, float, str]] = {}
    where = {"z": "in the unconstrained coordinates z", "theta": "in the model's own coordinates theta"}
    after = {} if posterior is None else {"z": posterior}
    if posterior is not None and learnt.stretch is not None:
        value, error = learnt.stretch
        after["theta"] = posterior[0] + value, float(np.hypot(posterior[1], error))
    for name, entropies in {"prior": learnt.prior_entropy, "posterior": after}.items():
        for coordinates, pair in entropies.items():
            suffix = "" if coordinates == "z" else ", in theta"
            found[f"entropy of the {name}{suffix}"] = (*pair, f"differential, {where[coordinates]}")
    return found


def _exact(grid: Grid | None) -> TypeGuard[Grid]:
    """Whether quadrature gives fit and divergence without Monte Carlo error."""
    return grid is not None and grid.checks[0].status == "ok" and not np.isnan(grid.kl_divergence)


def _divergences(grid: Grid | None, undrawn: Tempering | OverModes | None) -> tuple[str, float, float] | None:
    """KL(posterior || prior) from a route that needs no draws: its name, the value and the error, nats."""
    if _exact(grid):
        return "the grid", grid.kl_divergence, 0.0
    if undrawn is not None and undrawn.free_of_draws and np.isfinite(undrawn.kl_divergence):
        name = "tempering" if isinstance(undrawn, Tempering) else "an integral over the modes"
        return name, undrawn.kl_divergence, undrawn.kl_error
    return None


def _reliability(evidence: Evidence) -> Check:
    """Whether the evidence passed its checks: fit and divergence stand and fall with it."""
    status = worst_status(evidence.checks)
    if status == "ok":
        return Check("evidence-reliable", "ok", "the evidence passed its own checks")
    guilty = dict.fromkeys(check.code for check in evidence.checks if check.status == status)
    message = f"the evidence is {status}: {', '.join(guilty)}"
    if evidence.without_draws:
        message += "; the draws failed, so that what they alone could tell of single scalars and prediction is left out"
    return Check("evidence-reliable", status, message, "read the checks of study.evidence.estimate()")


def _balance(evidence: Evidence, fit: Pair, independent: tuple[str, float, float] | None, covariance: float) -> Check:
    """Log evidence = fit - divergence, with the fit from the draws and the divergence from an independent route."""
    if independent is None:
        return Check(
            "account-balances",
            "unknown",
            "KL follows from the identity; no independent route to it is available here",
            "compare models by differences, in which its error largely cancels",
        )
    route, divergence, divergence_error = independent
    gap = evidence.log_evidence - (fit[0] - divergence)
    error = float(np.hypot(_error_of_difference(fit[1], evidence.std_error, covariance), divergence_error))
    message = f"log evidence - (E_post[log likelihood] - KL) = {gap:+.2g} +- {error:.2g} nats: KL by {route}"
    if abs(gap) <= _SIGMAS * error + 1e-9:
        return Check("account-balances", "ok", message)
    return Check("account-balances", "failed", message, f"draws and {route} disagree: see study.diagnosis()")
