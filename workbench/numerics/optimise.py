"""Climb a log density to a maximum, and measure how far away it still is.

A quasi-Newton method of SciPy does the climbing; Newton steps with the Hessian from gradient differences finish it. An
optimiser's own ``success`` is never trusted. What counts is the estimated distance to the maximum

    EDM = 1/2 g' I^-1 g    (nats; g the gradient, I the information),

the value that a quadratic with this gradient and curvature still has above the point, and whether the density really
falls on both sides along every axis of the information (`workbench.numerics.climbs.falls_away`): on a ridge, at
infinity or at an edge the EDM is small too, but there is no fall.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from workbench.errors import NumericalError
from workbench.numerics.climbs import ALIKE, Climb, near
from workbench.numerics.curvature import ALIGNED, Curvature, curvature_at, hessian, mended
from workbench.numerics.objective import FunctionObjective, Objective, Vector

EDM_TOLERANCE = 1e-10  # nats
_NEWTON_STEPS = 12
_NOTHING_LEFT = 1e-24  # nats: 1e-12 standard errors; further steps would be rounding
_SEARCHES = 5
_GRADIENT = 1e-6  # of log f over its size: near enough for Newton steps to end it
_WORTH = 1e-4  # nats that are worth another search
_Here = tuple[Vector, float, Vector]  # z, log f(z) and its gradient
_NEAR_STEPS = 30
_SHRINK = 0.5  # of the distance in nats, by one step with the curvature of a similar objective
_NEAR = 1e-16  # nats, 1e-8 standard deviations: one measurement of the curvature there is enough
_ROUNDING = 1e-13  # relative, of a log density that is a sum over very many observations
_SAME = 1e-8  # relative change of the curvature, and so of a standard error, that is none
_PROBE = 1e-4  # of max(1, abs(z)): a step along the gradient that shows how it bends
_KEPT = 0.1  # of what a Newton step promised
_LEAP = 30.0  # of z, from where a search started: e^-30 is nothing beside 1
_SMALL = 50  # dimensions up to which a Hessian a step is cheap
_CAREFUL = 0.1  # first radius of the trust region, in units of the curvature
_TRUSTED = 100  # its steps
_SCALED = 1e-5  # gradient in units of the curvature at which the trust region leaves the rest to Newton steps
_STEEP = 0.1  # gradient in units of the curvature: there is no top and no plateau here, whatever the units of z
_FARTHEST = 1e100  # of z: squares of lengths are numbers up to there
_ROUGH, _ROUGHLY = 300, 1e-4  # steps, and gradient, of a search that only has to show where it leads
_DENSE = 200  # up to this dimension BFGS keeps a full matrix; above it L-BFGS-B


def _downhill(objective: Objective, z: Vector, size: float, unit: Vector | float) -> tuple[float, Vector]:
    """What SciPy minimises: minus log f over a size, and its gradient in coordinates of these units."""
    value, gradient = -np.inf, np.zeros_like(z)
    if np.max(np.abs(z), initial=0.0) < _FARTHEST:
        with contextlib.suppress(NumericalError):
            value, gradient = objective.value_and_gradient(z)
    if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
        return 1e300, np.zeros_like(z)  # a wall: finite, so that the search can step back from it
    return -value / size, -gradient * unit / size


def _slide(objective: Objective, here: _Here, covariance: NDArray[np.float64]) -> tuple[_Here, float]:
    """Steps C g with a curvature that is nearly right, as long as they shrink the distance, at one gradient each.

    Each step mends the curvature by what it saw (the BFGS formula). Returns where they end and how many nats are left
    there by that curvature.
    """
    edm = np.inf
    z, value, gradient = here
    with np.errstate(all="ignore"):  # what is not finite ends it
        for _ in range(_NEAR_STEPS):
            step = covariance @ gradient
            left = float(gradient @ step) / 2
            if not 0 <= left < _SHRINK * edm:
                break
            here, edm = (z, value, gradient), left
            if left < _NEAR:
                break
            z, before = z + step, gradient
            value, gradient = objective.value_and_gradient(z)
            if not np.isfinite(value) or not 0 < float(step @ (before - gradient)) < np.inf:
                break
            covariance = mended(covariance, step, before - gradient)
    return here, edm


def _first_width(objective: Objective, here: _Here) -> float:
    """Inverse curvature along the gradient, so that the first step goes to the top of that line; 0 if it bends up.

    No longer than a step of length 1: far from the maximum a density may be all but flat.
    """
    z, _, gradient = here
    with np.errstate(over="ignore"):
        length = float(np.linalg.norm(gradient))
    if not 0 < length < np.inf:
        return 0.0
    h = _PROBE * max(1.0, float(np.max(np.abs(z))))
    try:
        change = gradient - objective.value_and_gradient(z + h / length * gradient)[1]
    except NumericalError:
        return 0.0
    with np.errstate(all="ignore"):  # what is not finite is no bend
        bend = float(change @ gradient) / (length * h)
    return min(1.0 / bend, 1.0 / length) if 0 < bend < np.inf else 0.0


def _no_farther(objective: Objective, start: Vector, here: _Here) -> _Here:
    """The end of a search, halved towards its start as long as that is as high: towards infinity a search leaps.

    What stands there is read from the slopes next to the end, and far out there is none left.
    """
    while np.max(np.abs(here[0] - start), initial=0.0) > _LEAP:
        half = (start + here[0]) / 2
        try:
            value, gradient = objective.value_and_gradient(half)
        except NumericalError:
            break
        if not value >= here[1] - EDM_TOLERANCE:
            break
        here = half, value, gradient
    return here


def _quasi_newton(objective: Objective, here: _Here) -> tuple[_Here, Vector | None]:
    """A first maximum by SciPy, the better of its end and its start; the scale of z there, if it is known.

    The search is for the maximum of log f over its size at the start: a tolerance for the gradient then means the
    same whether there are ten observations or a million. It is repeated as long as much remains to be gained.
    """
    size = 1.0

    def minus(z: Vector) -> tuple[float, Vector]:
        if np.array_equal(z, here[0]):  # SciPy asks for the start again
            return -here[1] / size, -here[2] / size
        return _downhill(objective, z, size, 1.0)

    origin, scale, dense = here[0], None, here[0].size <= _DENSE
    options: Any = {"maxiter": 2000, "gtol": _GRADIENT} if dense else {"maxiter": 2000}
    method: Literal["BFGS", "L-BFGS-B"] = "BFGS" if dense else "L-BFGS-B"
    width = _first_width(objective, here) if dense else 0.0
    for _ in range(_SEARCHES if dense else 1):
        start, value, gradient = here
        size = max(1.0, min(abs(value), float(np.max(np.abs(gradient), initial=0.0))))
        if scale is not None:
            options["hess_inv0"] = np.diag(scale**2) * size
        elif width > 0:
            options["hess_inv0"] = np.eye(start.size) * width * size
        with np.errstate(all="ignore"):
            found: Any = optimize.minimize(minus, start, jac=True, method=method, options=options)
        end = -size * float(found.fun)
        if not end >= value:
            break
        here = found.x, end, -size * found.jac
        if dense:
            diagonal = np.diag(found.hess_inv) / size
            scale = np.sqrt(diagonal) if np.all((diagonal > 0) & np.isfinite(diagonal)) else None
            with np.errstate(all="ignore"):  # far out it may overflow
                left = size * (found.jac @ found.hess_inv @ found.jac)
        if not dense or left < _WORTH or end - value < _WORTH:
            break
    here = _no_farther(objective, origin, here)
    if scale is not None:
        with contextlib.suppress(NumericalError):
            slid, _ = _slide(objective, here, found.hess_inv / size)
            here = slid if slid[1] >= here[1] - _ROUNDING * abs(here[1]) else here
    return here, scale


def _newton(objective: Objective, here: _Here, scale: Vector | None) -> tuple[Vector, float, Vector, float, Curvature]:
    """Newton steps until the EDM is negligible or a step no longer helps.

    The curvature is measured again after every step, unless it was measured next to the maximum, or the gradient there
    is so near to what the step promised that the curvature cannot have changed.
    """
    z, value, gradient = here
    bend, edm, fresh = curvature_at(objective, z, scale, gradient), np.inf, True
    last = z, value, gradient, edm, bend
    for _ in range(2 * _NEWTON_STEPS):
        if not bend.is_peak:
            return z, value, gradient, np.inf, bend
        step = np.linalg.solve(bend.information, gradient)
        left = float(gradient @ step) / 2
        try:
            if not fresh and left > _SAME**2 * edm and edm > _NEAR:
                width = 1.0 / np.sqrt(np.diag(bend.information))
                bend, fresh = curvature_at(objective, z, width, gradient), True
                continue
            edm, last = left, (z, value, gradient, left, bend)
            if edm < _NOTHING_LEFT:
                break
            new_value, new_gradient = objective.value_and_gradient(z + step)
        except NumericalError:
            break
        better = new_value > value or np.max(np.abs(new_gradient)) < np.max(np.abs(gradient))
        if not better or new_value < value - EDM_TOLERANCE - _ROUNDING * abs(value):
            break
        if left > EDM_TOLERANCE + 10 * _ROUNDING * abs(value) and new_value - value < _KEPT * left:
            break  # far less than the curvature promised: it is one of rounding, as far out on a plateau
        z, value, gradient, fresh = z + step, new_value, new_gradient, False
    z, value, gradient, edm, bend = last
    if bend.eigenvalues.min(initial=1.0) < ALIGNED:  # a step off a bent ridge it bends: only on top is it seen as flat
        with contextlib.suppress(NumericalError):
            bend = curvature_at(objective, z, None, gradient)
            edm = edm if bend.is_peak else np.inf
    return z, value, gradient, edm, bend


def _units(objective: Objective, end: _Here, bend: Curvature) -> Vector:
    """A length of every coordinate that is no matter of its units: 1 / sqrt(abs(H_ii)), or 1 where that is flat.

    A curvature of exactly nothing was measured with too short a step.
    """
    diagonal = np.abs(np.diag(bend.information))
    if not np.all(diagonal):
        with contextlib.suppress(NumericalError):
            diagonal = np.where(diagonal, diagonal, np.abs(np.diag(hessian(objective, end[0], None, end[2]))))
    return 1.0 / np.sqrt(np.where(diagonal, diagonal, 1.0))


def _in_units(objective: Objective, here: _Here, unit: Vector) -> tuple[_Here, Vector | None]:
    """The quasi-Newton search in other units of z, those of the curvature where an earlier one stopped.

    A search stops where its gradient is small, and how small that is depends on the units: with data near 1e9 a mean
    is still thousands of standard deviations away where log f changes by 1e-4 nats a unit.
    """
    z, value, gradient = here

    def scaled(u: Vector) -> tuple[float, Vector]:
        height, slope = objective.value_and_gradient(z + unit * u)
        return height, slope * unit

    (u, top, slope), scale = _quasi_newton(
        FunctionObjective(z.size, scaled), (np.zeros_like(z), value, gradient * unit)
    )
    return (z + unit * u, top, slope / unit), None if scale is None else scale * unit


def _trust_region(objective: Objective, here: _Here) -> _Here:
    """Newton steps as long as the quadratic can be trusted: out of a saddle and along bends, where others crawl.

    In units of the curvature where it begins, the size of a step means the same along every axis.
    """
    z, value, _ = here
    diagonal = np.abs(np.diag(hessian(objective, z)))
    unit = 1.0 / np.sqrt(np.maximum(diagonal, np.max(diagonal, initial=0.0) * 1e-16 + 1e-300))

    def minus(u: Vector) -> tuple[float, Vector]:
        return _downhill(objective, z + unit * u, 1.0, unit)

    def bend(u: Vector) -> NDArray[np.float64]:
        return -hessian(objective, z + unit * u, unit) * np.outer(unit, unit)

    options: Any = {"initial_trust_radius": _CAREFUL, "max_trust_radius": 1e6, "gtol": _SCALED, "maxiter": _TRUSTED}
    try:
        with np.errstate(all="ignore"):
            found: Any = optimize.minimize(minus, np.zeros_like(z), jac=True, hess=bend, method="trust-exact",
                                           options=options)  # fmt: skip
    except (NumericalError, np.linalg.LinAlgError, ValueError, OverflowError, UnboundLocalError):  # SciPy found no step
        return here
    end = z + unit * found.x
    return (end, *objective.value_and_gradient(end)) if -found.fun > value else here


def climb(objective: Objective, start: Vector, known: Sequence[Climb] = ()) -> Climb:
    """Climb from one starting point to a local maximum of log f.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (d,)
    known : sequence of Climb
        Ends of other climbs of the same objective. A climb that comes within a tenth of a standard deviation of one
        of them, and within 0.01 nats, ends there: its Hessian is not measured again.

    Returns
    -------
    Climb

    Raises
    ------
    NumericalError
        If log f is not finite at the start, or its gradient is not finite where the climb ends.
    """
    start = np.array(start, dtype=np.float64)
    value, gradient = objective.value_and_gradient(start)
    if not np.isfinite(value):
        raise NumericalError("the log density is -inf at the starting point", "start", "start inside the support")
    here, scale = _quasi_newton(objective, (start, value, gradient))
    for search in range(_SEARCHES + 1):
        for end in known:
            if end.curvature.is_peak and abs(end.value - here[1]) < ALIKE and near(here[0] - end.z, end):
                return replace(end, start=start)
        z, value, gradient, edm, bend = _newton(objective, here, scale)
        unit = _units(objective, (z, value, gradient), bend)
        if edm < EDM_TOLERANCE or search == _SEARCHES or not np.max(np.abs(gradient * unit), initial=0.0) > _STEEP:
            break
        here, scale = _in_units(objective, (z, value, gradient), unit)
        if here[1] < value + _WORTH:
            break
    return Climb(start, z, value, float(np.max(np.abs(gradient))), edm, bend)


def rough_climb(objective: Objective, start: Vector) -> tuple[Vector, float]:
    """The end of one quasi-Newton search, shape ``(d,)``, and its height, nats: no Hessian, and no word on the place.

    The height is -inf where log f is not a number at the start.
    """
    try:
        value, gradient = objective.value_and_gradient(start)
        if not np.isfinite(value) or not np.all(np.isfinite(gradient)):
            return start, -np.inf
        width = _first_width(objective, (start, value, gradient))
    except NumericalError:
        return start, -np.inf
    size = max(1.0, min(abs(value), float(np.max(np.abs(gradient), initial=0.0))))

    def minus(z: Vector) -> tuple[float, Vector]:
        return _downhill(objective, z, size, 1.0)

    options: Any = {"maxiter": _ROUGH, "gtol": _ROUGHLY}
    options |= {"hess_inv0": np.eye(start.size) * width * size} if width > 0 else {}
    with np.errstate(all="ignore"):
        found: Any = optimize.minimize(minus, start, jac=True, method="BFGS", options=options)
    end = -size * float(found.fun)
    return (found.x, end) if end > value else (start, value)


def climb_again(objective: Objective, stuck: Climb) -> Climb:
    """A climb that ended at no peak, once more: by trust region from where it started, then from where it ended.

    Quasi-Newton steps rush past bends to a plateau, where a curve meets no observation and nothing is left to climb.

    Parameters
    ----------
    objective : Objective
    stuck : Climb

    Returns
    -------
    Climb
        With the start of the other one; that one itself if no higher peak was found.
    """
    if stuck.edm < EDM_TOLERANCE or stuck.start.size > _SMALL:
        return stuck
    for origin in (stuck.start, stuck.z):
        try:
            value, gradient = objective.value_and_gradient(origin)
            far = _trust_region(objective, (origin, value, gradient))
            here, scale = _quasi_newton(objective, _no_farther(objective, origin, far))
            z, value, gradient, edm, bend = _newton(objective, here, scale)
        except NumericalError:
            continue
        if edm < EDM_TOLERANCE and value > stuck.value:
            return Climb(stuck.start, z, value, float(np.max(np.abs(gradient))), edm, bend)
    return stuck


def climb_near(objective: Objective, start: Vector, curvature: Curvature) -> Climb:
    """Climb from the maximum of a similar objective, such as that of the data of which these are a replicate.

    Steps with the curvature of the other one, C g, shrink the distance to the maximum by a constant factor and cost one
    gradient each; Newton steps finish. Where they do not shrink it, this is `climb`.

    Parameters
    ----------
    objective : Objective
    start : ndarray, shape (d,)
    curvature : Curvature
        Of the other objective at the start; a peak.

    Returns
    -------
    Climb

    Raises
    ------
    NumericalError
        As for `climb`.
    """
    scale = 1.0 / np.sqrt(np.diag(curvature.information))
    with contextlib.suppress(NumericalError):  # then it is no similar objective
        here, left = _slide(objective, (start, *objective.value_and_gradient(start)), curvature.covariance)
        if left < _WORTH:
            z, value, gradient, edm, bend = _newton(objective, here, scale)
            if edm < EDM_TOLERANCE:
                return Climb(start, z, value, float(np.max(np.abs(gradient))), edm, bend)
    return climb(objective, start)
