"""The maximum of the likelihood.

    theta-hat = argmax_theta log p(y given theta)

No prior term and no Jacobian takes part, so the answer is the same under every reparametrisation; the prior only says
where to start and, through its support, where theta may be. Latent variables are integrated out, never maximised. A
maximum at the edge of the support is reported there; one that does not exist is refused by name.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workbench.check import Check
from workbench.errors import NoMaximumError, NumericalError
from workbench.likelihood.beyond import higher_beyond
from workbench.likelihood.boundary import Edge, peaks_slightly, refuse_empty_edge, settle_at_edge
from workbench.likelihood.certainty import refuse_certain
from workbench.likelihood.corner import is_rounding, refuse_corner, refuse_rounding
from workbench.likelihood.face import refuse_meeting, settle_on_face
from workbench.likelihood.integral import COARSE
from workbench.likelihood.least_squares import solved, with_errors
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.moving_support import find_jump, refuse_jump
from workbench.likelihood.plateau import find_plateau, refuse_plateau
from workbench.likelihood.problem import Problem, origin, scalar_parameters, scalars_in_words
from workbench.likelihood.refinement import refine
from workbench.likelihood.tails import find_collapse, find_rise, look_far, refuse_tail
from workbench.likelihood.threshold import find_threshold
from workbench.likelihood.unbounded import find_spike, refuse_spike
from workbench.model.absence import Missing
from workbench.model.anatomy import Anatomy, require
from workbench.model.certificate import Certificate, certify
from workbench.model.exchange import in_the_order_of_the_prior, with_exchanged
from workbench.model.identified import too_alike
from workbench.model.mode import Mode, climb_all, describe_mode
from workbench.numerics.climbs import ALIKE, Climb, distinct, falls_away
from workbench.numerics.optimise import EDM_TOLERANCE
from workbench.numerics.search import search_wider

_MANY = 100_000  # observations above which a Hessian a step takes too long
_MANY_STARTS = 8  # who asks for fewer wants no wider search
_SEVERAL = 4  # climbs
_LEVEL = 1e-6  # of the log likelihood, or nats below 1: climbs that ended without a peak at the same height
_WITNESSES = 3  # climbs that end at the same height, and more than half of all: the highest is hardly another
_RENEWED = 4  # climbs from where the one before stopped on its way, or from higher places on the way to infinity
_WIDEST = 20  # coordinates up to which a wider search, and an exchange of any of them, is tried
_ELSEWHERE = ("flat", "saddle", "unmeasurable")  # kinds of what a climb from another start may have missed
_ONE_SIDED = "the profile likelihood gives a one-sided interval"
_LEFT_OUT = "the errors of the others hold with that category left out, and "


def maximise_likelihood(
    problem: Problem,
    anatomy: Anatomy,
    starts: NDArray[np.float64],
    level: float = 0.95,
    further: NDArray[np.float64] | None = None,
) -> Mode:
    """The maximum likelihood estimate with standard errors and a certificate.

    Parameters
    ----------
    problem : Problem
    anatomy : Anatomy
    starts : ndarray, shape (m, d)
        Points on z to climb from.
    level : float
        Probability of the Wald intervals in the table.
    further : ndarray, shape (k, d), optional
        More such points, for a wider search where the climbs do not agree; without them there is none.

    Returns
    -------
    Mode
        Of kind ``MLE``. Standard errors come from the observed information, by the delta method in theta. Scalars at
        the edge of their support are named in `at_edge` and have none.

    Raises
    ------
    RefusalError
        If the model has ambiguous or discrete variables or a potential without a side.
    NoMaximumError
        If the likelihood has no maximum with standard errors; `kind` says what stands instead, the message where.
    NumericalError
        If the likelihood is finite at none of the starts, or the latent variables cannot be integrated out.

    References
    ----------
    Fisher, R. A. (1922). On the mathematical foundations of theoretical statistics. doi:10.1098/rsta.1922.0009
    """
    require(anatomy, "likelihood maximum")
    points = starts[:, problem.chart.coordinates]
    if isinstance(problem.objective, MarginalLikelihood):
        return _integrated(problem, problem.objective, points, level)
    persistent = problem.density.n_observations <= _MANY
    climbs = solved(problem, climb_all(problem.objective, points, "MLE", persistent))
    if persistent and further is not None and len(further) and len(points) >= _MANY_STARTS:
        climbs = _widened(problem, climbs, points, further[:, problem.chart.coordinates])
    if climbs[0].z.size <= _WIDEST and not _all_agree(climbs):
        climbs = in_the_order_of_the_prior(problem.density, problem.objective, problem.chart, climbs)
    climbs = with_exchanged(problem.objective, problem.chart, climbs)
    peak = next((end for end in climbs if end.edm < EDM_TOLERANCE and falls_away(problem.objective, end)[0]), None)
    threshold = None
    if peak is not None:
        spike, threshold = find_spike(problem, peak), find_threshold(problem, peak) if persistent else None
        if spike is None and threshold is not None and threshold.rises:
            spike = threshold.spike
        if spike is not None:
            refuse_spike(problem, peak, spike)
        climbs = _with_beyond(problem, climbs, peak) if persistent and peak is climbs[0] else climbs
    return _described(problem, climbs, level, (threshold.check,) if threshold is not None else ())


def _with_beyond(problem: Problem, climbs: list[Climb], peak: Climb) -> list[Climb]:
    """The climbs, with one before them from a place behind a valley that is higher than the peak, if there is one."""
    place = higher_beyond(problem, peak)
    if place is None:
        return climbs
    with contextlib.suppress(NumericalError):
        found = climb_all(problem.objective, place[None], "MLE")
        return [*found, *climbs] if found[0].value > peak.value and not is_rounding(problem, found[0]) else climbs
    return climbs


def _all_agree(climbs: list[Climb]) -> bool:
    """Whether all of several climbs ended at one place: had it images, some would have ended there."""
    return len(climbs) >= _SEVERAL and not distinct(climbs).any()


def _widened(
    problem: Problem, climbs: list[Climb], starts: NDArray[np.float64], further: NDArray[np.float64]
) -> list[Climb]:
    """The climbs, with one from a wider search before them if few others confirm the highest and that leads higher."""
    objective, best = problem.objective, climbs[0]
    climbed = [end for end in climbs if np.any(np.all(end.start == starts, axis=1))]  # and is no image of another
    agree = sum(end.value > best.value - ALIKE and end.edm < EDM_TOLERANCE for end in climbed)
    if (agree >= _WITNESSES and 2 * agree > len(climbed)) or best.z.size > _WIDEST:
        return climbs
    place = search_wider(objective, best.z, origin(problem), further, len(further), problem.density.work)
    if place is None:
        return climbs
    with contextlib.suppress(NumericalError):
        for _ in range(_RENEWED):
            found = climb_all(objective, place[None], "MLE", persistent=True)
            place = found[0].z
            if found[0].edm < EDM_TOLERANCE:
                break
        arrived = found[0].edm < EDM_TOLERANCE or not (best.edm < EDM_TOLERANCE or is_rounding(problem, found[0]))
        return [*found, *climbs] if found[0].value > best.value and arrived else climbs
    return climbs


def _described(
    problem: Problem, climbs: list[Climb], level: float, checks: tuple[Check, ...], renewed: int = 0
) -> Mode:
    """The mode of the best climb: inside the support, or at its edge."""
    objective, chart, density = problem.objective, problem.chart, problem.density
    collapse = find_collapse(problem, climbs[0])
    if collapse is not None:
        refuse_tail(problem, collapse)
    certificate, missing = certify(objective, chart, climbs)
    x, covariance, edge = climbs[0].z, np.zeros((0, 0)), None
    if not missing and climbs[0].curvature.factor is None:
        refuse_rounding(problem, climbs[0])
    elif missing:
        refuse_corner(problem, climbs[0])
        edge = settle_at_edge(problem, climbs[0], scalar_parameters(problem)) or settle_on_face(problem, climbs[0])
        slight = edge is None and peaks_slightly(objective, climbs[0])
        if edge is None and not slight:
            for end in climbs[:_SEVERAL]:  # where one is lost in rounding another may show what is there
                if end.value > climbs[0].value - _LEVEL * max(1.0, abs(end.value)):
                    refuse_empty_edge(problem, end, scalar_parameters(problem))
            refuse_meeting(problem, climbs[0])
            jump = find_jump(problem, climbs[0])
            if jump is not None and (jump.settled or jump.unbounded):
                refuse_jump(problem, jump)
            tail, higher = look_far(problem, climbs[0])
            if higher is not None and renewed < _RENEWED and not too_alike(objective, chart, climbs[0]):
                climbs = [*climb_all(objective, higher[None], "MLE"), *climbs]
                return _described(problem, climbs, level, checks, renewed + 1)
            tail = tail or find_rise(problem, climbs[0])
            if tail is not None:
                refuse_tail(problem, tail)
            if jump is not None:
                refuse_jump(problem, jump)
            refuse_certain(problem, climbs[0])
            plateau = find_plateau(problem, climbs[0])
            if plateau is not None:
                refuse_plateau(problem, plateau)
            fix = missing.fix + _other_starts(problem, climbs, missing)
            raise NoMaximumError(missing.kind, f"the likelihood has no maximum: {missing.reason}", "likelihood", fix)
    if edge:
        certificate = _certificate_at(edge, certificate, set(edge.values) <= set(scalar_parameters(problem)))
        x, covariance = edge.x, edge.covariance
    else:
        certificate = _certificate_near(certificate) if missing else certificate
        covariance = climbs[0].curvature.covariance
    certificate = replace(certificate, checks=(*certificate.checks, *checks))
    marginal = objective if isinstance(objective, MarginalLikelihood) else None
    mode = describe_mode(
        density, chart, x, covariance, certificate, "", "MLE", level,
        log_likelihood=edge.value if edge else climbs[0].value,
        z=marginal.expand(x).z if marginal else None,
        edge=edge.values if edge else None,
    )  # fmt: skip
    return mode if edge else with_errors(mode, chart, climbs[0])


def _other_starts(problem: Problem, climbs: list[Climb], missing: Missing) -> str:
    """Which starts were tried, where climbs ended at different heights and at no peak: another one may lead to it."""
    heights = [end.value for end in climbs]
    if missing.kind not in _ELSEWHERE or max(heights) - min(heights) < ALIKE:
        return ""
    start = scalars_in_words(problem, climbs[0].start)
    return (
        f"; or set `initval` elsewhere: {len(climbs)} starts ended between {min(heights):.6g} and {max(heights):.6g} "
        f"nats, the highest from {start}, and there may be a peak where none of them led"
    )


def _certificate_at(edge: Edge, inside: Certificate, single: bool) -> Certificate:
    """The certificate of a maximum at the edge, from that of the climbs that headed there."""
    where = ", ".join(f"{label} = {value:.6g}" for label, value in edge.values.items())
    kept = [check for check in inside.checks if check.code == "starts-agree"]
    checks = (
        Check("curvature-positive", "ok", f"of the others; smallest scaled eigenvalue {edge.smallest_eigenvalue:.2g}"),
        Check(
            "interior",
            "caution",
            f"the maximum is at the edge of the support: {where}",
            f"there is no standard error there; {'' if single else _LEFT_OUT}{_ONE_SIDED}",
        ),
        Check("gradient-zero", "ok", f"EDM {edge.edm:.1e} nats, largest gradient {edge.gradient_norm:.1e}"),
        *kept,
    )
    return replace(
        inside,
        checks=checks,
        edm=edge.edm,
        gradient_norm=edge.gradient_norm,
        smallest_eigenvalue=edge.smallest_eigenvalue,
    )


def _certificate_near(inside: Certificate) -> Certificate:
    """The certificate of a maximum that hardly rises above the edge beyond it: no failure, and no normal peak."""
    near = Check(
        "interior",
        "caution",
        "one standard error on z towards an edge of the support the likelihood is less than 0.02 nats lower",
        "the standard error there says little; the profile likelihood gives the interval",
    )
    return replace(inside, checks=tuple(near if check.code == "interior" else check for check in inside.checks))


def _integrated(problem: Problem, marginal: MarginalLikelihood, points: NDArray[np.float64], level: float) -> Mode:
    """The maximum of a marginal likelihood: coarse from every start, then as fine as it has to be."""
    climbs = climb_all(marginal.with_order(COARSE), points, "MLE")
    found = refine(marginal, climbs)
    fine, check = found.objective, found.check
    climbs = with_exchanged(fine, problem.chart, found.climbs)
    try:
        mode = _described(replace(problem, objective=fine), climbs, level, (check,))
    except NoMaximumError as error:
        if check.status == "ok":
            raise
        raise NoMaximumError(error.kind, f"{error.what} ({check.message})", error.where, error.fix) from error
    return replace(mode, integrated=problem.density.latents)
