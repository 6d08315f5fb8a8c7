"""Parts of the posterior that no chain came near: basins that an evidence from draws would leave out.

Chains in one of two modes agree with each other, and a bridge over them states a small error, so only something that
does not start from them can say what they missed: particles that came from the prior, or an optimiser's other modes.

A place far from every draw need not lie in a basin of its own. Chains that walk a tail as heavy as Cauchy's stay short
of its last hundredth, and from there log f rises all the way to where they are. That costs the evidence no more than
the mass itself, so tails are told apart from basins and have a wider limit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from workbench.check import Check
from workbench.errors import NumericalError
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import curvature_at
from workbench.numerics.moves import Sweep, sweep_of
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import climb
from workbench.numerics.turn import folded_for

SHARE_LIMIT = 0.01  # of the posterior mass
TAIL_LIMIT = 0.05  # of the posterior mass: log p(y) without it is 0.05 nats too low
_KEPT = 4000  # draws that are looked at
_QUANTILE = 0.999  # of the distances between draws of different chains: beyond it nothing counts as near
_MARGIN = 1.5  # times that distance
_ASCENT = 30  # gradient steps of many points at once, before the best are climbed from
_CLIMBS = 12
_PART = 0.5  # of the odds of a mode that particles must have seen to be judges of it
_NOTHING = np.log(1e-6)  # log share of the mass below which a mode is not looked at any further
_FARTHEST = 1e100  # of z: squares of distances are numbers up to there
_FALL = 1.0  # nats: what log f may fall on a way that counts as rising
_WAY = np.union1d(np.linspace(0.0, 1.0, 33), np.geomspace(1e-3, 1.0, 16))  # where on a way log f is looked at


def _thinned(draws: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Evenly spaced draws of every chain, at most so many together."""
    every = max(1, -(-draws.shape[0] * draws.shape[1] // most))
    return draws[:, ::every]


def unvisited_share(
    points: NDArray[np.float64], weights: Vector, draws: NDArray[np.float64], sweep: Sweep
) -> tuple[float, float]:
    """The share of weighted points that lie farther from every draw than draws of one chain from those of others.

    Parameters
    ----------
    points : ndarray, shape (m, d)
        From the posterior, by a route of their own.
    weights : ndarray, shape (m,)
        Any scale.
    draws : ndarray, shape (chains, draws, d)
        From Markov chains.
    sweep : callable
        Log f and its gradient at many points.

    Returns
    -------
    apart : float
        Share of those behind a valley of log f, or on a peak of their own, in [0, 1]; NaN with one chain.
    tails : float
        Share of those from which log f rises all the way to where the draws are. Together with `apart` about 0.001
        where the chains miss nothing.
    """
    if len(draws) < 2:
        return float("nan"), float("nan")
    far = _far_from(points, draws)
    share = weights / np.sum(weights)
    tails = np.zeros(len(points), dtype=bool)
    if far.any():
        few = _thinned(draws, _KEPT // 4).reshape(-1, draws.shape[-1])
        tails[far] = _rises(points[far], few[np.argmax(sweep(few)[0])], sweep)
    return float(share[far & ~tails].sum()), float(share[tails].sum())


def _far_from(points: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie farther from every draw than draws of one chain from those of others, shape ``(m,)``."""
    kept = _thinned(draws, _KEPT)
    flat = kept.reshape(-1, kept.shape[-1])
    spread = np.maximum(flat.std(axis=0), 1e-300)
    correlation = np.atleast_2d(np.cov((flat / spread).T))
    values, axes = np.linalg.eigh(correlation)
    whiten = axes / np.sqrt(np.maximum(values, 1e-10 * values[-1]))

    def white(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return ((z - flat.mean(axis=0)) / spread) @ whiten

    few = _thinned(draws, _KEPT // 4)
    own = []
    for chain in range(len(kept)):
        others = white(np.delete(kept, chain, axis=0).reshape(-1, kept.shape[-1]))
        own.append(cKDTree(others).query(white(few[chain]))[0])
    limit = _MARGIN * float(np.quantile(np.concatenate(own), _QUANTILE))
    distance = np.asarray(cKDTree(white(flat)).query(white(points))[0])
    return distance > limit


def _rises(points: NDArray[np.float64], top: Vector, sweep: Sweep) -> NDArray[np.bool_]:
    """Whether log f rises all the straight way from each point to the highest draw, shape ``(m,)``."""
    ways = points[:, None] + _WAY[:, None] * (top - points)[:, None]
    along = sweep(ways.reshape(-1, points.shape[1]))[0].reshape(len(points), -1)
    return np.all(along >= np.maximum.accumulate(along, axis=1) - _FALL, axis=1)


def missed_modes(
    objective: Objective, modes: NDArray[np.float64], draws: NDArray[np.float64], log_integral: float
) -> float:
    """The share of the mass at modes near which no chain came, by the normal approximation at each of them.

    Parameters
    ----------
    objective : Objective
        Log f.
    modes : ndarray, shape (k, d)
        Modes that an optimiser found; the same one may be there twice.
    draws : ndarray, shape (chains, draws, d)
    log_integral : float
        Log of the integral of f as far as the draws have seen it, nats.

    Returns
    -------
    float
        In [0, 1].
    """
    flat = draws.reshape(-1, draws.shape[-1])
    d = flat.shape[1]
    missed: list[tuple[Vector, float]] = []
    for z in folded_for(objective, modes):
        try:
            bend = curvature_at(objective, z)
        except NumericalError:
            continue
        if not bend.is_peak:
            continue
        # Draws of a normal mode lie at a squared distance of d on average, with variance 2 d.
        away = np.concatenate([flat, *[known[None] for known, _ in missed]]) - z
        distance = np.sum((away @ bend.information) * away, axis=1)
        nearest = int(np.argmin(distance))
        if distance[nearest] < d + 8.0 * np.sqrt(2.0 * d) + 10.0:
            continue
        mass = objective.value(z) + 0.5 * d * np.log(2 * np.pi) - 0.5 * bend.log_determinant - log_integral
        if mass < _NOTHING:
            continue
        # A narrow peak may stand on a wide base where all the draws are: then a climb from one of them ends on it.
        try:
            end = climb(objective, z + away[nearest]).z - z
        except NumericalError:
            continue
        if end @ bend.information @ end < 1.0:
            continue
        missed.append((z, float(mass)))
    share = float(np.sum(np.exp(np.minimum([mass for _, mass in missed], 700.0)))) if missed else 0.0
    return share / (1.0 + share)


def _uphill(sweep: Sweep, points: NDArray[np.float64], unit: Vector) -> tuple[NDArray[np.float64], Vector]:
    """Many points uphill at once, each by gradient steps of its own length; where they end, and log f there.

    The length follows from the last change of the gradient (Barzilai and Borwein 1988, doi:10.1093/imanum/8.1.141); a
    step that does not rise is tried again at a quarter.
    """
    u = points / unit
    value, gradient = sweep(points)
    gradient = gradient * unit
    with np.errstate(all="ignore"):  # what is not finite does not rise
        length = 1.0 / np.linalg.norm(gradient, axis=1)
        for _ in range(_ASCENT):
            step = np.nan_to_num(length, posinf=0.0)[:, None] * gradient
            higher, slope = sweep((u + step) * unit)
            slope = slope * unit
            up = higher > value
            change = gradient - slope
            bend = np.sum(step * change, axis=1)
            longer = np.where(bend > 0, np.sum(step**2, axis=1) / bend, 2.0 * length)
            length = np.where(up, longer, length / 4)
            u, value = np.where(up[:, None], u + step, u), np.where(up, higher, value)
            gradient = np.where(up[:, None], slope, gradient)
    return u * unit, value


def _within(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points are numbers of which a square is one too, shape ``(m,)``."""
    return np.asarray((np.abs(points) < _FARTHEST).all(axis=1))


def modes_uphill(objective: Objective, starts: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Modes above many starting points, such as draws from the prior, that lie far from all posterior draws.

    A peak in 4 dimensions that is 0.3 times as wide as the one that the chains are in was above 6 of 4,000 draws from a
    prior ten times as wide (20 of 20 searches found it): too few for the particles of a path from the prior, or for
    sixteen climbs. One 0.1 times as wide was found by 2 searches of 20, one far narrower by none.

    Parameters
    ----------
    objective : Objective
        Log f.
    starts : ndarray, shape (m, d)
    draws : ndarray, shape (chains, draws, d)
        From Markov chains.

    Returns
    -------
    ndarray, shape (k, d)
        Ends of climbs from the highest places; the same one may be there more than once.
    """
    if len(draws) < 2 or not _within(starts).any():
        return np.zeros((0, draws.shape[-1]))
    starts = folded_for(objective, starts)
    starts = starts[_within(starts)]  # draws from a vague prior reach to where double precision ends
    unit = np.maximum(starts.std(axis=0), draws.reshape(-1, draws.shape[-1]).std(axis=0))
    with np.errstate(all="ignore"):  # what is not finite does not rise
        places, heights = _uphill(sweep_of(objective), starts, np.where(unit > 0, unit, 1.0))
    finite = np.isfinite(heights) & _within(places)
    places, heights = places[finite], heights[finite]
    far = np.flatnonzero(_far_from(places, draws)) if len(places) else np.zeros(0, dtype=np.int64)
    found: list[Climb] = []
    for i in far[np.argsort(-heights[far])][:_CLIMBS]:
        with contextlib.suppress(NumericalError):
            found.append(climb(objective, places[i], found))
    return np.array([end.z for end in found]).reshape(-1, draws.shape[-1])


def look_for_basins(
    objective: Objective,
    draws: NDArray[np.float64],
    routes: Mapping[str, Any],
    log_prior_integral: float = 0.0,
    elsewhere: NDArray[np.float64] | None = None,
) -> Check:
    """Whether the chains left out a part of the posterior, by every route to the evidence that can say so.

    Parameters
    ----------
    objective : Objective
        Log f.
    draws : ndarray, shape (chains, draws, d)
    routes : mapping of str to result
        Of the routes ``tempering``, ``laplace``, ``bridge`` and ``marginal`` those that were taken.
    log_prior_integral : float
        What the bridge's log evidence lacks to be the log of the integral of f, nats.
    elsewhere : ndarray, shape (k, d), optional
        Further modes, from `modes_uphill`.

    Returns
    -------
    Check
    """
    tempered, laplace, bridge, marginal = (routes.get(name) for name in ("tempering", "laplace", "bridge", "marginal"))
    unknown = float("nan")
    share, tails = (unknown, unknown) if tempered is None else (tempered.unvisited, tempered.tails)
    integrated, further = unknown, unknown
    if marginal is not None and all(check.status != "failed" for check in marginal.checks):
        integrated, further = marginal.unvisited, marginal.tails
    known = [] if laplace is None else [laplace.mode, laplace.other_modes]
    known += [] if elsewhere is None or not len(elsewhere) else [elsewhere]
    missed = unknown
    if known and bridge is not None:
        missed = missed_modes(objective, np.vstack(known), draws, bridge.log_evidence + log_prior_integral)
    return basin_check(share, float(np.fmax(tails, further)), missed, integrated)


def blind_routes(
    objective: Objective,
    draws: NDArray[np.float64],
    routes: Mapping[str, Any],
    log_prior_integral: float,
    elsewhere: NDArray[np.float64],
) -> dict[str, str]:
    """Routes that do without the draws and yet saw little of a mode that an optimiser found -> why they do not count.

    Parameters
    ----------
    objective, draws, routes, log_prior_integral
        As for `look_for_basins`.
    elsewhere : ndarray, shape (k, d)
        From `modes_uphill`.

    Returns
    -------
    dict of str to str
        Among ``tempering``, ``marginal`` and ``grid``.
    """
    laplace, bridge = routes.get("laplace"), routes.get("bridge")
    covered = [] if laplace is None else [laplace.mode, laplace.other_modes]
    if bridge is None or not (covered or len(elsewhere)):
        return {}

    def share(modes: NDArray[np.float64]) -> float:
        return missed_modes(objective, modes, draws, bridge.log_evidence + log_prior_integral)

    missed, found = share(np.vstack([*covered, elsewhere])), {}
    for name, what in {"tempering": "particles", "marginal": "points"}.items():
        route = routes.get(name)
        # Odds against what the chains saw, as shares near 1 differ little.
        seen = route is None or route.unvisited * (1.0 - missed) > _PART * missed * (1.0 - route.unvisited)
        if missed > SHARE_LIMIT and not seen:
            found[name] = f"its {what} saw little of a mode with {missed:.0%} of the mass that an optimiser found"
    if missed > SHARE_LIMIT and "grid" in routes and covered and share(np.vstack(covered)) < SHARE_LIMIT:
        found["grid"] = f"it does not reach for a mode with {missed:.0%} of the mass that an optimiser found"
    return found


def basin_check(tempered: float, tails: float, optimised: float, integrated: float = float("nan")) -> Check:
    """Whether the chains left out a part of the posterior that matters.

    Parameters
    ----------
    tempered, tails : float
        Result of `unvisited_share`; NaN if not looked at.
    optimised : float
        Result of `missed_modes`; NaN if not looked at.
    integrated : float
        Result of `unvisited_share` of points for which latent variables were integrated out; NaN if not looked at.

    Returns
    -------
    Check
    """
    found = {"tempered particles": tempered, "points with the latent variables integrated out": integrated}
    found["modes of an optimiser"] = optimised
    known = {name: share for name, share in found.items() if not np.isnan(share)}
    if not known:
        return Check("basins-visited", "unknown", "nothing else than the chains looked for other modes", "")
    message = ", ".join(f"{share:.1%} by {name}" for name, share in known.items())
    message = f"posterior mass where no chain came: {message}; limit {SHARE_LIMIT:.0%}"
    if tails > SHARE_LIMIT:
        message += f"; and {tails:.1%} far out in tails that they entered, limit {TAIL_LIMIT:.0%}"
    if max(known.values()) > SHARE_LIMIT:
        remedy = "the chains missed a mode: start them elsewhere (`initval`), order labels, or fix a sign"
        return Check("basins-visited", "failed", message, remedy)
    if tails > TAIL_LIMIT:
        remedy = "the chains stay short of a wide part of the posterior: draw more, or write it without heavy tails"
        return Check("basins-visited", "failed", message, remedy)
    return Check("basins-visited", "ok", message)
