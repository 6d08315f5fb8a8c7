"""The maximum of the likelihood again, of data that differ a little: a replicate, or all observations but one.

Weights and data are run-time inputs of the compiled density, so that a refit is one climb from the maximum of the data
themselves, with their curvature: milliseconds. Leaving out observation i is the weight w_i = 0, and

    log p(y_i | theta-hat without i)

says how well an estimate predicts what it has not seen. Without i the likelihood may have its maximum at infinity, as
the share of a category that occurs once has; the score is then the limit along the direction in which that maximum
lies, which may be minus infinity: the estimate holds impossible what then happened.

References: Stone 1974, doi:10.1111/j.2517-6161.1974.tb00994.x (leaving out one); Efron and Tibshirani 1993.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError, RefusalError
from workbench.likelihood.boundary import peaks_slightly, settle_at_edge
from workbench.likelihood.face import settle_on_face
from workbench.likelihood.inside import Inside, inside_of
from workbench.likelihood.least_squares import refuse_refits
from workbench.likelihood.problem import Problem, origin, scalar_parameters
from workbench.model.mode import Mode
from workbench.model.program import Weights
from workbench.numerics.climbs import Climb, falls_away
from workbench.numerics.curvature import Curvature, curvature_at
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import EDM_TOLERANCE, climb, climb_near

NO_MAXIMUM = "its likelihood has no maximum"
STUCK = "the climb did not reach a maximum"
BROKEN = "its likelihood is not a number"
MOST_REFITS = 2000  # each costs a few passes over all observations, so that the whole grows with their square
MOST_GRADIENTS = 400_000  # of all refits together, each of which measures a curvature by two gradients a parameter
_FAR = (100.0, 200.0)  # on a log or logit scale both are the edge itself
_FLAT = 0.01  # nats
_AS_HIGH = 1e-7  # of the log likelihood, or nats below 1: ends that differ by less are equally high
_ENTERED = 0.01  # share of a category that has none, to start from
_SETTLED = 1e-6  # nats between the two that is no change


@dataclass(frozen=True)
class Refitter:
    """Finds the maximum of a likelihood that is much like another one, from that one's maximum.

    Attributes
    ----------
    problem : Problem
    starts : list of ndarray, shape (p,)
    scalars : dict of str to int
        Labels that are a function of one coordinate -> that coordinate.
    curvature : Curvature
        Of the other one at its maximum, in the directions in which that is inside its support.
    inside : Inside
        These directions.
    """

    problem: Problem
    starts: list[Vector]
    scalars: dict[str, int]
    curvature: Curvature
    inside: Inside

    def climb(self, objective: Objective) -> Climb:
        """The end of the climb; raises `NumericalError` where the likelihood is not a number."""
        if self.curvature.is_peak and self.inside.everywhere:
            return climb_near(objective, self.starts[0], self.curvature)
        ends = [climb(objective, start) for start in self.starts]
        top = max(end.value for end in ends)
        return next(end for end in ends if end.value >= top - _AS_HIGH * max(1.0, abs(top)))

    def __call__(self, objective: Objective) -> tuple[Vector, dict[str, float], str]:
        """The maximum, the scalars at their edge, and why there is no maximum (empty if there is)."""
        try:
            on_face = self._on_face(objective)
            if on_face is not None:
                return on_face, dict.fromkeys(self.inside.cells, 0.0), ""
            end = self.climb(objective)
        except NumericalError:
            return self.starts[0], {}, BROKEN
        if falls_away(objective, end)[0]:
            return end.z, {}, "" if end.edm < EDM_TOLERANCE else STUCK
        problem = replace(self.problem, objective=objective)
        edge = settle_at_edge(problem, end, self.scalars) or settle_on_face(problem, end)
        if edge is not None:
            return edge.x, edge.values, ""
        return end.z, {}, "" if peaks_slightly(objective, end) else NO_MAXIMUM

    def _on_face(self, objective: Objective) -> Vector | None:
        """The maximum if it has the same categories at 0 as that of the other one, and no more; else None."""
        inside = self.inside
        if not inside.cells:
            return None
        x = inside.point(inside.start)
        if inside.start.size:
            section = inside.section(objective)
            end = climb_near(section, inside.start, self.curvature)
            if not falls_away(section, end)[0] or not end.edm < EDM_TOLERANCE:
                return None
            x = inside.point(end.z)
        return None if inside.leaves(objective, x, objective.value(x)) else x


def refitter_at(problem: Problem, mode: Mode) -> Refitter:
    """What refits start from: the maximum; where it is at an edge, first a point inside.

    No slope leads back from an edge, and far out is rounding.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate of the data themselves.

    Returns
    -------
    Refitter
    """
    refuse_refits(mode, "refits")
    scalars = scalar_parameters(problem)
    x = mode.z[problem.chart.coordinates]
    starts, inside = [x], inside_of(problem, mode)
    if mode.at_edge:
        nearer = x.copy()
        nearer[inside.fixed] = origin(problem)[inside.fixed]
        for label in inside.cells:
            nearer = inside.entered(nearer, label, _ENTERED)
        starts = [nearer, x]
    on_face = inside.cells and inside.start.size
    place = (inside.section(problem.objective), inside.start) if on_face else (problem.objective, x)
    return Refitter(problem, starts, scalars, curvature_at(*place), inside)


def without(density_shapes: dict[str, tuple[int, ...]], name: str, place: int) -> Weights:
    """Weights of the likelihood of all observations but one.

    Parameters
    ----------
    density_shapes : dict of str to tuple of int
        Observed variable -> shape of its log likelihood terms.
    name : str
    place : int
        Position among the observations of this variable, in C order.

    Returns
    -------
    Weights
    """
    weights = np.ones(int(np.prod(density_shapes[name])))
    weights[place] = 0.0
    return Weights(prior=0.0, jacobian=0.0, likelihood={name: weights.reshape(density_shapes[name])})


def scores_left_out(problem: Problem, mode: Mode) -> dict[str, NDArray[np.float64]]:
    """Log p(y_i | theta-hat without i) of every observation, each by a refit.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate of all observations.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        Observed variable -> nats, ``-inf`` where the refit holds the observation impossible, NaN where the likelihood
        of the others has no maximum.

    Raises
    ------
    RefusalError
        If latent variables were integrated out, the maximum lies at an edge, or there are too many observations or
        parameters.
    """
    density = problem.density
    _require_refits(problem, mode)
    fit, found = refitter_at(problem, mode), {}
    nothing = {n: np.zeros(shape) for n, shape in density.likelihood_shapes.items()}
    nothing |= {n: np.zeros(()) for n, side in density.potentials.items() if side == "likelihood"}
    for name, shape in density.likelihood_shapes.items():
        scores = np.full(int(np.prod(shape)), np.nan)
        for place in range(scores.size):
            alone = np.zeros(scores.size)
            alone[place] = 1.0
            given = Weights(prior=0.0, jacobian=0.0, likelihood=nothing | {name: alone.reshape(shape)})
            others = density.objective(without(density.likelihood_shapes, name, place))
            scores[place] = _score(fit, others, density.objective(given))
        found[name] = scores
    return found


def _require_refits(problem: Problem, mode: Mode) -> None:
    """Refuse observations that cannot be left out one by one."""
    density = problem.density
    if density.latents:
        names = ", ".join(density.latents)
        raise RefusalError(f"{names} is integrated out, so that no observation has a likelihood of its own", names,
                           "the posterior predictive has one")  # fmt: skip
    if mode.at_edge:
        names = ", ".join(mode.at_edge)
        raise RefusalError(f"the maximum lies at the edge of {names}, where refits have no curvature", names,
                           "the posterior predictive has none of this trouble")  # fmt: skip
    if density.n_observations > MOST_REFITS:
        raise RefusalError(
            f"{density.n_observations} refits over as many observations; the limit is {MOST_REFITS}", "observations",
            "with so many the score in sample is nearly the same: the difference is about one nat a parameter",
        )  # fmt: skip
    gradients = 2 * density.n_observations * problem.objective.dimension
    if gradients > MOST_GRADIENTS:
        raise RefusalError(
            f"{density.n_observations} refits of {problem.objective.dimension} parameters take {gradients} gradients; "
            f"the limit is {MOST_GRADIENTS}", "observations", "the posterior predictive needs no refits",
        )  # fmt: skip


def _score(fit: Refitter, others: Objective, alone: Objective) -> float:
    """Log likelihood of one observation at the maximum of the others; NaN where there is none."""
    try:
        end = fit.climb(others)
        falls, direction = falls_away(others, end)
        if falls:
            return alone.value(end.z) if end.edm < EDM_TOLERANCE else np.nan
        heights = [others.value(end.z + sign * _FAR[1] * direction) for sign in (1.0, -1.0)]
        level = [abs(height - end.value) < _FLAT for height in heights]
        if level[0] == level[1]:  # it falls or rises on both sides, or stays as high on both: a ridge
            return np.nan
        side = direction if level[0] else -direction
        near, far = (alone.value(end.z + step * side) for step in _FAR)
    except NumericalError:
        return np.nan
    if far < near - 1.0:
        return -np.inf  # it falls on as far as one goes
    return far if abs(far - near) < _SETTLED else np.nan
