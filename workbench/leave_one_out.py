"""Leave-one-out: how well each observation is predicted by a model that was fitted to all the others.

    p(y_i | y_-i) = E_post[p(y_i | theta) w_i(theta)] / E_post[w_i(theta)],    w_i = 1 / p(y_i | theta)

from one set of posterior draws. ArviZ smooths the largest weights by a fitted Pareto tail (PSIS); the shape k of that
tail says whether they can be trusted. What it warns of becomes a check here, and what it cannot score a refusal, so
that every part of Workbench that scores predictions says the same.

References: Vehtari, Gelman and Gabry 2017, doi:10.1007/s11222-016-9696-4; Vehtari and others 2024,
jmlr.org/papers/v25/19-556.html (Pareto smoothing).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logsumexp

from workbench.check import Check
from workbench.errors import RefusalError

if TYPE_CHECKING:
    from arviz_stats.utils import ELPDDataLOO

_CHUNK = 4_000_000  # numbers at a time, 32 MB
_FEWEST = 10  # draws a chain


@contextmanager
def arviz_scores(where: str = "leave-one-out") -> Iterator[None]:
    """ArviZ's scoring inside this block: its advice is left to the check of Pareto k, its failure is a refusal.

    Parameters
    ----------
    where : str
        What is scored, for the message.

    Raises
    ------
    RefusalError
        If ArviZ cannot score the observations.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Estimated shape parameter of Pareto", UserWarning)
        warnings.filterwarnings("ignore", "The point-wise LOO is the same with the sum LOO", UserWarning)  # one alone
        try:
            yield
        except ValueError as failure:
            raise RefusalError(
                f"no leave-one-out scores: {failure}",
                where,
                "nothing to do where an observation depends on no parameter; else look at the diagnosis",
            ) from failure


def pointwise_tree(log_likelihood: NDArray[np.float64], posterior: xr.Dataset) -> xr.DataTree:
    """Draws whose log likelihood is one array over all observations, as ArviZ wants them.

    Parameters
    ----------
    log_likelihood : ndarray, shape (chains, draws, n)
        Nats.
    posterior : xarray.Dataset
        The draws themselves, whose effective size scales the weights.

    Returns
    -------
    xarray.DataTree
    """
    together = xr.Dataset({"y": (("chain", "draw", "observation"), log_likelihood)})
    return xr.DataTree.from_dict({"/posterior": posterior, "/log_likelihood": together})


def observations_together(draws: xr.DataTree, names: Sequence[str] | None = None) -> NDArray[np.float64]:
    """Log likelihood of every observation, whatever variables they belong to, shape ``(chains, draws, n)``.

    Parameters
    ----------
    draws : xarray.DataTree
        With a group ``log_likelihood``.
    names : sequence of str, optional
        Observed variables in the order wanted; by default all.

    Returns
    -------
    ndarray, shape (chains, draws, n)
        Nats.
    """
    group = draws["log_likelihood"].to_dataset()
    arrays = [group[n].transpose("chain", "draw", ...).values for n in names or group.data_vars]
    return np.concatenate([a.reshape(*a.shape[:2], -1) for a in arrays], axis=-1)


def require_pointwise(draws: xr.DataTree, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse draws from which observations cannot be scored one by one.

    Parameters
    ----------
    draws : xarray.DataTree
    shapes : mapping of str to tuple of int
        Observed variable -> shape of its log likelihood terms.

    Raises
    ------
    RefusalError
        If the log likelihood is not kept per observation, or there are too few draws to average over.
    """
    chains, count = draws["posterior"].sizes["chain"], draws["posterior"].sizes["draw"]
    if count < _FEWEST:
        raise RefusalError(f"{count} draws a chain are too few to average over", "prediction", "draw more")
    group = draws["log_likelihood"].to_dataset()
    for name, shape in shapes.items():
        if group[name].shape[2:] != shape:
            numbers = f"{sum(int(np.prod(s)) for s in shapes.values())} observations at {chains * count} draws"
            raise RefusalError(
                f"{numbers} are more log likelihoods than are kept", name, "ask for fewer draws: --draws"
            )


def arviz_loo(tree: xr.DataTree) -> ELPDDataLOO:
    """ArviZ's own result for draws made by `pointwise_tree`; raises `RefusalError` where it has no scores."""
    from arviz_stats import loo

    with arviz_scores():
        return loo(tree, pointwise=True)


def pareto_check(worst: Mapping[str, float], limit: float) -> Check:
    """Whether every observation can be left out by reweighting.

    Parameters
    ----------
    worst : mapping of str to float
        Name of a model (or empty) -> its largest Pareto k.
    limit : float

    Returns
    -------
    Check
    """
    guilty = max(worst, key=worst.__getitem__)
    whose = f" ({guilty})" if guilty else ""
    if worst[guilty] > limit:
        return Check("pareto-k", "caution", f"largest Pareto k {worst[guilty]:.4g}{whose} exceeds {limit:.2g}",
                     "an observation is very influential: leave it out and refit to score it")  # fmt: skip
    return Check("pareto-k", "ok", f"largest Pareto k {worst[guilty]:.2f}{whose}, limit {limit:.2f}")


def unscored(refusal: RefusalError) -> Check:
    """The check that says why there are no leave-one-out scores."""
    return Check("pareto-k", "unknown", refusal.what, refusal.fix)


@dataclass(frozen=True)
class LeftOut:
    """Leave-one-out scores of one set of draws.

    Attributes
    ----------
    scores : ndarray, shape (n,)
        Log p(y_i | y_-i), nats.
    effective : ndarray, shape (n,)
        What each observation adds to the effective number of parameters, p_loo.
    pareto_k : ndarray, shape (n,)
        NaN for an observation that depends on no parameter, whose score needs no weights.
    limit : float
        Of Pareto k.
    influence : ndarray, shape (chains, draws, groups)
        Influence of every draw on the sum of the scores of each group of observations, nats: the error of its mean is
        the Monte Carlo error of that sum.
    """

    scores: NDArray[np.float64]
    effective: NDArray[np.float64]
    pareto_k: NDArray[np.float64]
    limit: float
    influence: NDArray[np.float64]

    @property
    def check(self) -> Check:
        """Whether the weights can be trusted."""
        return pareto_check({"": float(np.nanmax(self.pareto_k, initial=0.0))}, self.limit)


def leave_each_out(
    log_likelihood: NDArray[np.float64], posterior: xr.Dataset, groups: NDArray[np.intp] | None = None
) -> LeftOut:
    """Leave-one-out scores of every observation with their Monte Carlo error.

    Errors of different observations come from the same draws and are far from independent, so they are not added in
    quadrature: to first order the sum of the scores has the error of one mean, that of its influence

        g_s = sum_i S w_is [p(y_i | theta_s) / p(y_i | y_-i) - 1],    sum_s w_is = 1.

    Parameters
    ----------
    log_likelihood : ndarray, shape (chains, draws, n)
        Nats.
    posterior : xarray.Dataset
    groups : ndarray of int, shape (n,), optional
        Group of each observation, from 0; by default one group.

    Returns
    -------
    LeftOut

    Raises
    ------
    RefusalError
        If ArviZ cannot score the observations.
    """
    chains, draws, n = log_likelihood.shape
    groups = np.zeros(n, dtype=np.intp) if groups is None else groups
    scores, effective = log_likelihood[0, 0].copy(), np.zeros(n)
    pareto_k, influence = np.full(n, np.nan), np.zeros((chains, draws, int(groups.max(initial=0)) + 1))
    moving = np.flatnonzero(np.ptp(log_likelihood, axis=(0, 1)) > 0)
    limit = min(1.0 - 1.0 / np.log10(chains * draws), 0.7)
    size = max(1, _CHUNK // (chains * draws))
    for first in range(0, moving.size, size):
        some = moving[first : first + size]
        part = log_likelihood[..., some]
        found = arviz_loo(pointwise_tree(part, posterior))
        scores[some], pareto_k[some], limit = found.elpd_i.values, found.pareto_k.values, float(found.good_k)
        effective[some] = logsumexp(part, axis=(0, 1)) - np.log(chains * draws) - scores[some]
        weights = found.log_weights.transpose("chain", "draw", "observation").values
        weights = np.exp(weights - logsumexp(weights, axis=(0, 1)))
        pull = chains * draws * weights * np.expm1(part - scores[some])
        for group in np.unique(groups[some]):
            influence[..., group] += pull[..., groups[some] == group].sum(axis=-1)
    return LeftOut(scores, effective, pareto_k, limit, influence)
