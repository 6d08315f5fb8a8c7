"""The maximum of a Normal likelihood by least squares, where its gradient has too few digits.

With y ~ Normal(X b, sigma w) the maximum over b is that of least squares whatever sigma is. The gradient X'r and the
information X'X square the condition number of X: of columns such as x, x^2, ..., x^10 they leave no digit. So b comes
from X itself, by its QR decomposition and refinement of solution and residuals together, with residuals in extended
precision (Bjorck), and the curvature is kept as the factor R of X'X = R'R. X is read off the mean of the model.

A curve whose residuals are a few hundred times its rounding has a maximum that a climb sees through noise. There the
tangents of the curve stand for X, again and again (Gauss and Newton), and what rounding leaves open is told as EDM.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from workbench.errors import NumericalError, RefusalError
from workbench.likelihood.holding import settle
from workbench.likelihood.problem import Problem
from workbench.model.absence import ORTHOGONAL
from workbench.model.chart import Chart, delta_method
from workbench.model.mode import Mode
from workbench.model.normal_parts import NormalParts, parts_of_normals
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import FLAT_ALONG_AXES, curvature_from, representable
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import EDM_TOLERANCE

_ALIKE = 1e-4  # least eigenvalue of the scaled information: above it the gradient keeps twelve digits of b
_LARGEST = 1_000_000  # numbers in X
_AFFINE = 1e-10  # of the terms of a mean
_SAME = 1e-12  # relative, of ratios of standard deviations
_REFINEMENTS = 10
_ROUNDING = 1.1e-16  # of each term of a mean
_LOST = 0.03  # standard errors by which it may move the solution
_EXACT, _NOISY = 1e-14, 1e-9  # widths beside means: below a curve fits to rounding, above climbs have digits enough
_TANGENTS = 20
_HIGHEST = 4.0  # standard deviations of noise, of many places
_STEP = 1e-3  # of a coordinate


@dataclass(frozen=True)
class _Design:
    """A mean that is linear in some coordinates, or its tangents, and standard deviations that share one factor.

    Attributes
    ----------
    parts : NormalParts
    linear : ndarray of int
        The coordinates b that the mean depends on.
    columns : ndarray, shape (n, k)
        X.
    target : ndarray, shape (n,)
        The observations less what the mean is at b = 0.
    affine : bool
        Whether that is the mean everywhere.
    """

    parts: NormalParts
    linear: NDArray[np.int64]
    columns: NDArray[np.float64]
    target: NDArray[np.longdouble]
    affine: bool

    def widths(self, z: Vector) -> NDArray[np.float64]:
        """Standard deviations of the observations at z, shape ``(n,)``."""
        return self.parts.at(z[None])[1][0]


def solved(problem: Problem, climbs: list[Climb]) -> list[Climb]:
    """The climbs, ended by least squares where their gradient has too few digits.

    Parameters
    ----------
    problem : Problem
        Without latent variables.
    climbs : list of Climb
        Highest first.

    Returns
    -------
    list of Climb
        As they were, unless that is so: the one highest point that a linear mean has, from each of the starts; or, of a
        curve whose residuals are near its rounding, the top to which the highest climb led, before the others.

    References
    ----------
    Bjorck, A. (1967). Iterative refinement of linear least squares solutions I. doi:10.1007/BF01939321
    """
    end = climbs[0]
    if end.z.size < 2 or (end.curvature.eigenvalues[0] > _ALIKE and end.edm < EDM_TOLERANCE):
        return climbs
    try:
        found, curved = _found(problem, end)
    except (NumericalError, np.linalg.LinAlgError):
        return climbs
    # Rounding by a share of a standard error moves log L by about as many nats, and a climb takes the highest place.
    noise = EDM_TOLERANCE * max(1.0, abs(end.value)) + (0.0 if found is None else _HIGHEST * np.sqrt(2 * found.edm))
    if found is None or not found.value >= end.value - noise:
        return climbs
    return [found, *climbs[1:]] if curved else [replace(found, start=other.start) for other in climbs]


def _found(problem: Problem, end: Climb) -> tuple[Climb | None, bool]:
    """The maximum by least squares, and whether the mean is curved, so that there may be others.

    None where the likelihood is not of that kind, or climbs have digits enough.
    """
    parts = parts_of_normals(problem.density)
    design = None if parts is None else _find_design(parts, end.z)
    if design is None or design.affine:
        return None if design is None else _solve(problem.objective, end, design), False
    return _by_tangents(problem.objective, end, design), True


def _by_tangents(objective: Objective, end: Climb, design: _Design) -> Climb | None:
    """The maximum of a curve whose residuals are near its rounding; None if they are not, or it is not reached."""
    noise = design.widths(end.z) / np.maximum(np.abs(design.parts.at(end.z[None])[0][0]), 1e-300)
    if not _EXACT < float(np.median(noise)) < _NOISY:
        return None
    for _ in range(_TANGENTS):
        found = _solve(objective, end, _at_tangents(design, end.z))
        if found is None or found.curvature.length(found.z - end.z) < _LOST**2:
            return found
        end = found
    return None


def with_errors(mode: Mode, chart: Chart, end: Climb) -> Mode:
    """A mode with the covariance of its scalars from the factor, where there is one: what cancels in sums is kept."""
    if end.curvature.factor is None:
        return mode
    x, covariance = end.z, end.curvature.covariance
    return replace(mode, covariance_matrix=delta_method(chart, x, covariance, end.curvature.axes))


def refuse_refits(mode: Mode, question: str) -> None:
    """Refuse what climbs again where only least squares can tell the columns apart.

    Parameters
    ----------
    mode : Mode
        The maximum likelihood estimate.
    question : str
        What is asked, for the message.

    Raises
    ------
    RefusalError
        If the information in its coordinates is rounding.
    """
    certificate, smallest = mode.certificate, mode.certificate.smallest_eigenvalue
    if any(check.code == "gradient-zero" and check.status == "caution" for check in certificate.checks):
        raise RefusalError(
            "the residuals are so near the rounding of the mean that the highest place is only known to "
            f"{np.sqrt(2 * certificate.edm):.1g} standard errors: it comes from least squares, with its observed "
            "errors, and nothing that climbs again has enough digits",
            question,
            "give the model the error of measurement, or data with more noise",
        )
    if 0.0 < smallest < FLAT_ALONG_AXES:
        raise RefusalError(
            f"columns of the mean are nearly combinations of each other (the information along one, {smallest:.1g} of "
            "the others', is rounding): the maximum and its observed errors come from a QR decomposition of the "
            "columns, and nothing that climbs again has one",
            question,
            ORTHOGONAL,
        )


def _find_design(parts: NormalParts, z: Vector) -> _Design | None:
    """X and y; None where standard deviations are not in proportion, or a coordinate moves both them and the mean."""
    size = z.size
    if parts.observed.size * size > _LARGEST:
        return None
    reach = np.maximum(1.0, np.abs(z)) * (1.0 + 0.3 * np.arange(size))
    with np.errstate(all="ignore"):  # what is not finite is no design
        means, widths = parts.at(np.vstack([z, z + np.diag(reach), z + 0.1 * np.eye(size)]))
        moves = np.any(means[1 : size + 1] != means[0], axis=1)
        scales = np.any(widths[size + 1 :] != widths[0], axis=1)
        linear = np.flatnonzero(moves)
        if np.any(moves & scales) or not np.all(moves | scales) or not linear.size:
            return None
        origin = np.where(moves, 0.0, z)
        together = np.where(moves, reach, 0.1)
        means, deviations = parts.at(np.vstack([origin, origin + np.eye(size)[linear], origin + together]))
        columns, ratio = means[1:-1] - means[0], deviations[-1] / deviations[0]
        off = means[-1] - means[0] - reach[linear] @ columns
        terms = np.abs(means[0]) + reach[linear] @ np.abs(columns)
        if not ratio.size or not np.ptp(ratio) <= _SAME * np.max(ratio):
            return None
        affine = bool(np.all(np.abs(off) <= _AFFINE * terms))
    target = parts.observed.astype(np.longdouble) - means[0]
    return _Design(parts, linear, columns.T, target, affine)


def _at_tangents(design: _Design, z: Vector) -> _Design:
    """The tangents of the mean at a point, by differences of it, as if it were linear."""
    moved = design.linear
    steps = representable(z[moved], _STEP * np.where(z[moved] == 0.0, 1.0, np.abs(z[moved])))
    aside = np.zeros((moved.size, z.size))
    aside[np.arange(moved.size), moved] = steps
    with np.errstate(all="ignore"):  # what is not finite has no solution
        means = design.parts.at(np.vstack([z, z + aside, z - aside, z + 2 * aside, z - 2 * aside]))[0]
        ahead, behind, far, back = means[1:].reshape(4, moved.size, -1)
        columns = ((8 * (ahead - behind) - (far - back)) / (12 * steps[:, None])).T
    along = columns.astype(np.longdouble) @ z[moved]
    return replace(design, columns=columns, target=design.parts.observed.astype(np.longdouble) - means[0] + along)


def _solve(objective: Objective, end: Climb, design: _Design) -> Climb | None:
    """The highest point, with its curvature from the factor; None if X has not full rank or the rest no peak."""
    width = design.widths(end.z)
    with np.errstate(all="ignore"):  # what is not finite has no solution
        whitened = design.columns.astype(np.longdouble) / width[:, None]
        lengths = np.sqrt(np.sum(whitened**2, axis=0)).astype(np.float64)
        x, t = whitened / lengths, design.target / width
    if len(t) < lengths.size or not np.all(np.isfinite(x)) or not np.all(np.isfinite(t)):
        return None
    q, r = np.linalg.qr(x.astype(np.float64))
    z = end.z.copy()
    z[design.linear] = (_refined(x, t, q, r) / lengths).astype(np.float64)
    b = z[design.linear] * lengths.astype(np.longdouble)
    rest = settle(objective, z, design.linear)
    if not rest.peaks:
        return None
    shrunk = float(width[0] / design.widths(rest.x)[0])
    factor, left = np.zeros((z.size, z.size)), 0.0
    factor[: lengths.size, design.linear] = r * lengths * shrunk
    if rest.end is not None:
        factor[lengths.size :, rest.free] = np.linalg.cholesky(rest.end.curvature.information).T
        left = rest.end.edm
    bend = curvature_from(factor)
    if not bend.is_peak:
        return None
    mean, tail = np.abs(design.parts.at(rest.x[None])[0][0]) / width, np.abs(t) if design.affine else 0.0
    lost = float(np.linalg.norm(_ROUNDING * shrunk * ((np.abs(x) @ np.abs(b) if design.affine else mean) + tail)))
    if not lost < _LOST:
        return None
    white = linalg.solve_triangular(r, shrunk * (x.T @ (t - x @ b)).astype(np.float64), trans=1)
    gradient = np.max(np.abs(objective.value_and_gradient(rest.x)[1]))
    return Climb(end.start, rest.x, rest.value, float(gradient), left + float(white @ white + lost**2) / 2, bend)


def _refined(
    x: NDArray[np.floating], t: NDArray[np.floating], q: NDArray[np.float64], r: NDArray[np.float64]
) -> NDArray[np.longdouble]:
    """The solution b of least squares, shape ``(k,)``."""
    b, residual, moved = np.zeros(len(r), dtype=np.longdouble), np.zeros_like(t), np.inf
    for _ in range(_REFINEMENTS):
        # r + X b = t and X'r = 0 are mended together: a correction of b alone keeps what rounding left in r.
        short, slope = (t - residual - x @ b).astype(np.float64), (-(x.T @ residual)).astype(np.float64)
        across, along = linalg.solve_triangular(r, slope, trans=1), q.T @ short
        step = linalg.solve_triangular(r, along - across)
        size = float(np.linalg.norm(r @ step))
        if not size < moved / 2:
            break
        b, residual, moved = b + step, residual + (short - q @ along + q @ across), size
    return b
