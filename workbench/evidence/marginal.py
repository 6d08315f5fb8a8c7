"""The evidence with the latent variables integrated out first, the parameters by importance sampling.

    p(y) = integral of L(theta) p(theta) d theta,    L(theta) = integral of p(y given u, theta) p(u given theta) du

In a centred hierarchy, a ~ Normal(mu, tau), the joint density of a and tau is a funnel: it has no mode, chains stay out
of its neck, and no proposal in (a, tau) has its shape. L(theta) knows nothing of that. It is the same however the
effects are written, bounded, and smooth in a few parameters; the inner integral falls into blocks
(`workbench.likelihood.marginal`) and is exact where effects and errors are Normal. So the modes of L(theta) p(theta)
are sought, and the integral taken over all of them (`workbench.evidence.modes`). No posterior draw enters.

What could be wrong is checked. Quadrature is made finer, and Laplace corrected by importance draws, at points of the
posterior; their effect is added and its error counted. Latent variables that have several modes at given parameters are
refused: the inner integral would be around one of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from workbench.check import Check
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.basins import unvisited_share
from workbench.evidence.modes import OverModes, Peak, Weighted, different, importance_checks, integrate_peaks
from workbench.likelihood.conditional_draws import draw_latents
from workbench.likelihood.conditional_mode import Expansion
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.nested import LARGE
from workbench.likelihood.problem import Problem
from workbench.model.density import PRIOR, TARGET
from workbench.numerics.climbs import Climb
from workbench.numerics.moves import sweep_of
from workbench.numerics.objective import FunctionObjective, Vector
from workbench.numerics.optimise import climb

Matrix = NDArray[np.float64]

_WHERE = "evidence estimate"
_MOST_PARAMETERS = 20  # above, the draws of a Student t that count are few
_WORK = 3_000_000  # operations of the factors of all blocks: thousands of integrals then take seconds
_NODES = 500_000  # terms at the nodes of quadrature, for the same reason
_COARSE, _ORDER = 5, 15  # nodes an axis for the climbs and for the integral
_APART = 1.0  # conditional standard deviations between two modes of the latent variables
_LOOKS, _PEAKS = 8, 3  # starts of the latent variables, and peaks at which they are looked at
_POINTS = 40  # of the posterior, at which the inner integral is made finer
_FINER_DRAWS, _INSIDE = 256, (7, 7, 9, 9)  # draws that correct a Laplace approximation, or nodes, each time
_INNER_LIMIT = 0.1  # nats: by how much a finer inner integral may move the evidence
_DRAWN = 400  # points with latent variables: the fit is then known to a fourteenth of its spread
_ERROR = 0.03  # nats: a second opinion, and a number where there is no better


def integrate_latents_first(problem: Problem, starts: Matrix, seed: int, draws: Matrix | None = None) -> OverModes:
    """The log evidence of a model with latent variables, which are integrated out first.

    Parameters
    ----------
    problem : Problem
    starts : ndarray, shape (m, d)
        Points on z to climb from.
    seed : int
    draws : ndarray, shape (chains, draws, d), optional
        Posterior draws; if given, the share of the mass is found to which none of them came near.

    Returns
    -------
    OverModes

    Raises
    ------
    RefusalError
        If the model has no latent variables, or more than can be integrated here, or several modes of them.
    NumericalError
        If nothing can be computed at any of the starts.
    """
    marginal = _required(problem)
    x = problem.chart.coordinates
    peaks = _peaks(problem, marginal, starts)
    for peak in peaks[:_PEAKS]:
        _require_one_mode(marginal, peak.place, starts)
    fine = marginal.with_order(_ORDER)
    log_prior = _log_prior(problem)

    def values(points: Matrix) -> Vector:
        return log_prior(points) + _inner(fine, points)

    found = integrate_peaks(values, peaks, seed, _ERROR)
    generator = np.random.default_rng([seed, 1])
    chosen = _resampled(found, generator)
    shift, own, inner = _correction(fine, found.points[chosen[:: _DRAWN // _POINTS]], seed)
    z = np.array([draw_latents(fine, fine.expand(point), generator) for point in found.points[chosen]])
    fit = problem.density.sums(z)[1]
    share = _DRAWN / min(float(_DRAWN), found.effective)
    expected, expected_error = float(fit.mean()), float(fit.std() * np.sqrt(2.0 * share / _DRAWN))
    value, error = found.log_integral + shift, float(np.hypot(found.error, own))
    unvisited = tails = float("nan")
    if draws is not None:
        sweep = sweep_of(problem.density.objective(TARGET))
        unvisited, tails = unvisited_share(z, np.ones(len(z)), draws, sweep)
    return OverModes(
        checks=(*importance_checks(found, error), inner),
        log_evidence=value, std_error=error, expected_log_likelihood=expected, expected_error=expected_error,
        kl_divergence=expected - value, kl_error=float(np.hypot(expected_error, error)),
        pareto_k=found.pareto_k, effective=found.effective, modes=len(peaks), dimension=x.size,
        unvisited=unvisited, tails=tails,
    )  # fmt: skip


def _required(problem: Problem) -> MarginalLikelihood:
    """The integral over the latent variables, where it exists and is cheap enough to be taken thousands of times."""
    marginal, space = problem.objective, problem.density.space
    if not isinstance(marginal, MarginalLikelihood):
        raise RefusalError("the model has no latent variables", _WHERE, "see the other routes")
    p, sizes = marginal.dimension, [group.shape for group in marginal.structure.groups]
    work = sum(count * size**3 for count, size in sizes)
    nodes = marginal.elements.count * max(_ORDER ** min(size, LARGE) for _, size in sizes)
    what = ""
    if not 0 < p <= _MOST_PARAMETERS:
        what = f"there are {p} parameters beside the latent variables, and importance sampling suits 1 to "
        what += f"{_MOST_PARAMETERS}"
    elif work > _WORK:
        what = f"{max(size for _, size in sizes)} latent values depend on each other and would have to be integrated "
        what += "together, thousands of times"
    elif marginal.all_by_nodes and nodes > _NODES:
        what = f"quadrature over the latent variables would need {nodes} terms at each of thousands of points"
    elif space.angles.any():
        what = "a variable is an angle"
    if what:
        raise RefusalError(what, _WHERE, "see the other routes")
    return marginal


def _log_prior(problem: Problem) -> Callable[[Matrix], Vector]:
    """Log prior of the parameters with their Jacobians at many points x, nats, potentials of the prior included."""
    density, chart = problem.density, problem.chart
    sweep = sweep_of(density.objective(replace(PRIOR, latent=0.0)))
    # The Jacobians of the latent variables are in the inner integral; here they are a constant.
    extra = sum(float(density.terms(density.space.start).log_jacobian[n][0]) for n in density.latents
                if n in density.symbolic.log_jacobian)  # fmt: skip
    return lambda points: sweep(chart.z(points))[0] - extra


def _peaks(problem: Problem, marginal: MarginalLikelihood, starts: Matrix) -> list[Peak]:
    """The modes of L(theta) p(theta) on z, from every start."""
    chart, coarse = problem.chart, marginal.with_order(_COARSE)
    prior = problem.density.objective(replace(PRIOR, latent=0.0))

    def value_and_gradient(x: Vector) -> tuple[float, Vector]:
        (z,) = chart.z(x)
        (a, slope), (b, inner) = prior.value_and_gradient(z), coarse.value_and_gradient(x)
        return a + b, slope[chart.coordinates] + inner

    objective = FunctionObjective(chart.dimension, value_and_gradient)
    ends: list[Climb] = []
    for start in starts[:, chart.coordinates]:
        with contextlib.suppress(NumericalError):
            ends.append(climb(objective, start, ends))
    peaks = different([Peak(end.z, end.value, end.curvature) for end in ends])
    if not peaks:
        raise NumericalError("no peak of the parameters was found", _WHERE, "see the other routes")
    return peaks


def _require_one_mode(marginal: MarginalLikelihood, x: Vector, starts: Matrix) -> None:
    """Refuse latent variables of which searches from several places find several modes at the same parameters."""
    at, u = marginal.expand(x), marginal.structure.coordinates
    width = np.ones(at.z.size)
    for group, root in zip(marginal.structure.groups, at.roots, strict=True):
        width[u[group]] = np.sqrt(np.sum(np.linalg.inv(root) ** 2, axis=1))
    for start in starts[:_LOOKS]:
        with contextlib.suppress(NumericalError):
            away = np.abs(marginal.expand_from(x, start).z - at.z)[u] / width[u]
            if np.max(away) > _APART:
                raise RefusalError(
                    "the latent variables have several modes at the same parameters", _WHERE, "see the other routes"
                )


def _inner(marginal: MarginalLikelihood, points: Matrix) -> Vector:
    """L(theta) at many points, NaN where it cannot be computed, shape ``(m,)``, nats."""
    found = np.full(len(points), np.nan)
    for i, point in enumerate(points):
        with contextlib.suppress(NumericalError):
            found[i] = marginal.value(point)
    return found


def _resampled(found: Weighted, generator: np.random.Generator) -> NDArray[np.int64]:
    """Positions of points in proportion to their weights, systematic, in random order, shape ``(_DRAWN,)``."""
    edges = np.cumsum(found.weights)
    ticks = (np.arange(_DRAWN) + generator.random()) / _DRAWN * edges[-1]
    return generator.permutation(np.minimum(np.searchsorted(edges, ticks), len(edges) - 1))


def _correction(marginal: MarginalLikelihood, points: Matrix, seed: int) -> tuple[float, float, Check]:
    """What a finer inner integral adds to the log evidence, the error of that, and whether it is little, nats."""
    places: list[Expansion] = [marginal.expand(point) for point in points]
    if all(at.straight for at in places):
        return 0.0, 0.0, Check("latents-integrated", "ok", "effects and errors are Normal: Laplace is exact")
    rough = _inner(marginal, points)
    if marginal.all_by_nodes:
        finer, how = [marginal.with_order(2 * _ORDER + 1)], f"{2 * _ORDER + 1} points an axis for {_ORDER}"
    else:
        finer = [marginal.with_draws(_FINER_DRAWS, seed + k, order) for k, order in enumerate(_INSIDE)]
        how = f"{' and '.join(sorted({one.nest.words for one in finer if one.nest is not None}))} for Laplace"
    gains = [_inner(one, points) - rough for one in finer]
    shifts = np.array([logsumexp(gain) - np.log(len(gain)) for gain in gains])
    shift, apart = float(shifts.mean()), float(np.std(gains))
    error = float(shifts.std(ddof=1) / np.sqrt(len(shifts))) if len(shifts) > 1 else abs(shift)
    error = float(np.hypot(error, apart / np.sqrt(len(points))))
    fine = bool(abs(shift) < _INNER_LIMIT or (not marginal.all_by_nodes and error < _INNER_LIMIT))
    message = f"{how} moves the evidence by {shift:+.2g} +- {error:.2g} nats, limit {_INNER_LIMIT}"
    remedy = "" if fine else "the latent variables are far from normal: use another route"
    return shift, error, Check("latents-integrated", "ok" if fine else "failed", message, remedy)
