"""Checks: what was looked at, what was found, and whether the number beside it can be trusted.

A `Check` is one finding. Its status is one of four words, from good to bad:

``ok``        looked at, nothing wrong;
``unknown``   cannot be judged from what there is (one chain has no R-hat);
``caution``   the number stands, but read the message before you quote it;
``failed``    do not use the number.

A verdict over several checks is the worst of them. Every code is listed in `CATALOGUE`, so a finding has one
meaning and one place in the documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "unknown", "caution", "failed"]
SEVERITY: dict[Status, int] = {"ok": 0, "unknown": 1, "caution": 2, "failed": 3}

CATALOGUE: dict[str, str] = {
    # preflight: before anything is optimised or sampled
    "terms-add-up": "log prior + log likelihood + log Jacobian equals the log density that PyMC itself computes.",
    "constants-widened": "Python numbers that PyTensor narrowed to int8 or float32 were widened to float64.",
    "start-finite": "The log density is finite at the starting point.",
    # likelihood
    "gradient-zero": "At the maximum the estimated distance to the maximum (EDM, in nats) is negligible.",
    "curvature-positive": "The observed information is positive definite: the maximum is a peak, not a ridge.",
    "starts-agree": "Optimisations from different starting points end at the same maximum.",
    "interior": "The maximum lies inside the parameter space, not at its edge or at infinity.",
    "support-fixed": "No parameter moves the support of the data: at the ends of a support errors are not the usual.",
    "latents-integrated": "Latent variables are integrated out finely enough: finer moves no maximum and no evidence.",
    "errors-agree": "Sandwich errors differ from the observed ones no more than data from the model would make them.",
    "replicates-complete": "Every bootstrap replicate has a maximum.",
    "nested": "The smaller model of a likelihood-ratio test lies inside the larger one, at a place of known reference.",
    "blocks-enough": "There are enough independent blocks of latent variables to see how they vary.",
    # posterior draws
    "draws-finite": "Every draw of every free variable is finite.",
    "draws-move": "No chain is stuck at one value.",
    "chains-distinct": "No two chains are copies of each other.",
    "r-hat": "Split R-hat compares the chains with each other; above 1.01 they have not mixed.",
    "ess": "Effective sample size, bulk and tail: how many independent draws these are worth.",
    "divergences": "Divergent transitions: places where the sampler could not follow the posterior.",
    "tree-depth": "Draws that hit the maximum tree depth: slow exploration.",
    "e-bfmi": "Energy Bayesian fraction of missing information: below 0.3 the tails are explored badly.",
    "mode-visited": "The chains came near the highest point of the target that an optimiser found.",
    "mcse": "Monte Carlo standard error of the posterior mean against the posterior standard deviation.",
    "pareto-k": "Pareto k of importance sampling leave-one-out; above the threshold an observation is too influential.",
    # approximations
    "grid-converged": "Refining the grid does not change the integral.",
    "laplace-mass": "The mode at which the Laplace approximation stands is a proper peak.",
    # evidence
    "priors-normalised": "Every prior integrates to one, or to a constant that is known and subtracted.",
    "bridge-error": "The standard error of the bridge estimate is small enough to use.",
    "bridge-overlap": "Proposal and posterior overlap: the bracket around the log evidence is narrow.",
    "bridge-tails": "The means of which the bridge is made do not hang on a few draws (Pareto k).",
    "bridge-ess": "The terms of the bridge at the posterior draws are worth enough independent draws.",
    "bridge-draws": "The draws are from the target: its gradients at them average as they must.",
    "bridge-chains": "Chain-wise estimates of the evidence agree with each other.",
    "tempering-error": "The standard error of the tempered estimate is small enough to use.",
    "tempering-islands": "Groups of particles that never meet give the same evidence.",
    "tempering-moves": "At every temperature the particles forgot where they were.",
    "importance-error": "The standard error of an integral over the modes is small enough to use.",
    "importance-tails": "The integral over the modes does not hang on a few draws (Pareto k).",
    "nested-error": "The standard error of nested sampling is small enough to use.",
    "nested-runs": "Runs of nested sampling with seeds of their own give the same evidence.",
    "basins-visited": "The chains left out no part of the posterior that holds more than 1% of its mass.",
    "evidence-reliable": "The evidence of every model that is compared, or accounted for, passed its own checks.",
    "robustness-tails": "Reweighting from one prior to another does not hang on a few draws (Pareto k).",
    "robustness-slope": "The slope of the evidence over a hyperparameter is that of its curve.",
    "robustness-prior": "Half and twice a number in a prior change the evidence by little.",
    "ordinate-tails": "The posterior density at a fixed value does not hang on a few draws (Pareto k).",
    "sequential-error": "The sum of one-step predictions is known well enough to be quoted.",
    "sequential-draws": "Every set of draws behind the one-step predictions counts as enough.",
    "routes-agree": "Independent routes to the same number agree within their errors.",
    # information
    "account-balances": "log evidence = E_post[log likelihood] - KL(posterior || prior), from independent routes.",
    # predictive
    "censoring-limits": "Simulated data are censored as the data are: every observation has its limit.",
    "replicated-data": "Test quantities of replicated data bracket those of the observed data.",
}


@dataclass(frozen=True)
class Check:
    """One finding: a code of the catalogue, a status, a message, and what to do.

    Parameters
    ----------
    code : str
        A key of `CATALOGUE`.
    status : {"ok", "unknown", "caution", "failed"}
    message : str
        What was found, with its number and the threshold.
    fix : str
        What to do; empty when the status is ``ok``.

    Raises
    ------
    ValueError
        If the code is not in the catalogue or the status is not one of the four words.

    Examples
    --------
    >>> Check("r-hat", "ok", "largest R-hat 1.001 (p), threshold 1.01").status
    'ok'
    """

    code: str
    status: Status
    message: str
    fix: str = ""

    def __post_init__(self) -> None:
        if self.code not in CATALOGUE:
            raise ValueError(f"{self.code!r} is not in the catalogue of checks")
        if self.status not in SEVERITY:
            raise ValueError(f"{self.status!r} is not one of {list(SEVERITY)}")

    def __str__(self) -> str:
        remedy = f" What to do: {self.fix}" if self.fix else ""
        return f"{self.status:<7} {self.code}: {self.message}{remedy}"


def worst_status(checks: Iterable[Check]) -> Status:
    """The verdict over several checks: the worst of their statuses, ``ok`` when there is none.

    Examples
    --------
    >>> worst_status([Check("r-hat", "ok", ""), Check("ess", "caution", "low")])
    'caution'
    """
    return max((check.status for check in checks), key=SEVERITY.__getitem__, default="ok")
