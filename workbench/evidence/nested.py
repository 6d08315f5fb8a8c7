"""The evidence by nested sampling with dynesty: a third route, which needs neither draws nor gradients.

Points are drawn from the prior; the one with the lowest likelihood is replaced again and again by a draw from the prior
above that likelihood. After k replacements among n points the prior mass above is near exp(-k / n), so that

    p(y) = integral over the mass X of L(X)   ~   sum_k L_k (X_k-1 - X_k).

It costs many more evaluations than a bridge for the same error, since it cannot use gradients and works through all the
likelihoods between prior and posterior; it is a check from outside, by another program. Several runs are made with
seeds of their own. The error that dynesty states comes from the prior masses alone, and leaves out how well the points
were drawn; so the stated error is the larger of it and of the spread between runs.

References: Skilling 2006, doi:10.1214/06-BA127; Speagle 2020, doi:10.1093/mnras/staa278 (dynesty); Higson and others
2018, doi:10.1214/17-BA1075 (runs are merged).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy import stats
from scipy.special import logsumexp

from workbench.check import Check, Status
from workbench.errors import NumericalError, RefusalError
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.quantiles import PriorQuantiles
from workbench.numerics.objective import Vector
from workbench.result import Result

ERROR_LIMIT = 0.2  # nats, as for the bridge
AGREE_LIMIT = 4.0  # standard errors between a run and the mean of all
_RUNS = 8  # their spread is known to 27%
_LIVE = 150  # points a run, at least 25 a dimension: what bounding ellipsoids are fitted to
_LIVE_PER_DIMENSION = 25
_MOST = 20  # dimensions: measured by others to be off by tens of nats in 32
_LEFT = 0.01  # nats of the evidence that may be left in the last points
_ZERO = -1e300  # dynesty takes no -inf


@dataclass(frozen=True, repr=False, eq=False)
class Nested(Result):
    """The log evidence by nested sampling.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    stated_error, spread_error : float
        What dynesty states for all runs together; the standard error by the spread between runs, widened by Student's
        t; nats. The error is the larger.
    information : float
        KL(posterior || prior) by dynesty, nats, mean over runs.
    runs : ndarray, shape (r,)
        Log evidence by run, nats.
    evaluations : int
        Of the likelihood, all runs together.
    live : int
        Points a run.
    """

    log_evidence: float
    std_error: float
    stated_error: float
    spread_error: float
    information: float
    runs: Vector
    evaluations: int
    live: int
    title: ClassVar[str] = "log evidence by nested sampling"

    def table(self) -> pd.DataFrame:
        """The estimate, its error and where that comes from, and the divergence."""
        rows = {
            "log evidence": self.log_evidence,
            "std_error": self.std_error,
            "  by dynesty": self.stated_error,
            "  between runs": self.spread_error,
            "KL(posterior || prior)": self.information,
        }
        return pd.DataFrame({"nats": rows})

    def notes(self) -> list[str]:
        """What it cost, and every check that is not ``ok``."""
        cost = f"{len(self.runs)} runs of dynesty with {self.live} points each, {self.evaluations} likelihoods"
        return [cost, *super().notes()]


def _dynesty() -> Any:
    """The package, which is an extra.

    Raises
    ------
    RefusalError
        If it is not installed.
    """
    try:
        import dynesty
    except ImportError as error:
        raise RefusalError(
            "evidence nested needs dynesty, which is not installed", "dynesty",
            "install the extra: python -m pip install 'workbench[nested]'",
        ) from error  # fmt: skip
    return dynesty


def nest(density: LogDensity, seed: int) -> Nested:
    """The log evidence by nested sampling from the prior.

    Parameters
    ----------
    density : LogDensity
    seed : int

    Returns
    -------
    Nested

    Raises
    ------
    RefusalError
        If dynesty is not installed, the model has more than twenty dimensions, or its prior has no quantile functions.
    """
    dynesty, d = _dynesty(), density.space.dimension
    if d > _MOST:
        raise RefusalError(
            f"evidence nested is refused: {d} dimensions are too many for bounding ellipsoids, limit {_MOST}", "model",
            "use study.evidence.bridge()",
        )  # fmt: skip
    quantiles, likelihood = PriorQuantiles(density), density.objective(LIKELIHOOD)

    def prior_transform(unit: Vector) -> Vector:
        return quantiles(unit)[0]

    def log_likelihood(z: Vector) -> float:
        try:
            return max(likelihood.value(z), _ZERO) if np.isfinite(z).all() else _ZERO
        except NumericalError:  # NaN where no posterior mass is
            return _ZERO

    live = max(_LIVE, _LIVE_PER_DIMENSION * d)
    found = []
    for child in np.random.SeedSequence(seed).spawn(_RUNS):
        sampler = dynesty.NestedSampler(
            log_likelihood, prior_transform, d, nlive=live, rstate=np.random.default_rng(child)
        )
        sampler.run_nested(dlogz=_LEFT, print_progress=False)
        found.append(sampler.results)
    runs = np.array([float(r.logz[-1]) for r in found])
    stated = float(np.sqrt(np.mean([float(r.logzerr[-1]) ** 2 for r in found]) / _RUNS))
    spread = float(runs.std(ddof=1) / np.sqrt(_RUNS) * stats.t.ppf(0.975, _RUNS - 1) / stats.norm.ppf(0.975))
    value = float(logsumexp(runs) - np.log(_RUNS))
    error = max(stated, spread)
    return Nested(
        checks=_checks(error, runs, float(np.max([float(r.logzerr[-1]) for r in found]))),
        log_evidence=value,
        std_error=error,
        stated_error=stated,
        spread_error=spread,
        information=float(np.mean([float(r.information[-1]) for r in found])),
        runs=runs,
        evaluations=int(sum(int(np.sum(r.ncall)) for r in found)),
        live=live,
    )


def _checks(error: float, runs: Vector, single: float) -> tuple[Check, ...]:
    """Whether the estimate can be used: its error, and the agreement of the runs."""
    status: Status = "ok" if error <= ERROR_LIMIT else "failed"
    fix = "" if status == "ok" else "the likelihood is hard to bound: rely on the bridge and on tempering"
    checks = [Check("nested-error", status, f"standard error {error:.2g} nats, limit {ERROR_LIMIT}", fix)]
    worst = float(np.max(np.abs(runs - runs.mean())) / single)
    status = "ok" if worst <= AGREE_LIMIT else "failed"
    message = f"a run lies {worst:.1f} of its own standard errors from the mean of all, limit {AGREE_LIMIT:g}"
    fix = "" if status == "ok" else "runs that miss a part of the posterior disagree: rely on the other routes"
    checks.append(Check("nested-runs", status, message, fix))
    return tuple(checks)
