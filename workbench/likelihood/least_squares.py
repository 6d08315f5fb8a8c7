"""The maximum of a Normal likelihood whose mean is linear, where its columns are nearly combinations of each other.

With y ~ Normal(X b, sigma w) the maximum over b is that of least squares whatever sigma is. The gradient X'r and the
information X'X square the condition number of X: of columns such as x, x^2, ..., x^10 they leave no digit. So b comes
from X itself, by its QR decomposition and refinement of solution and residuals together, with residuals in extended
precision (Bjorck), and the curvature is kept as the factor R of X'X = R'R. X is read off the mean of the model.
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
from workbench.model.normal_parts import NormalParts, normal_parts
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import FLAT_ALONG_AXES, curvature_from
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import EDM_TOLERANCE

_ALIKE = 1e-4  # least eigenvalue of the scaled information: above it the gradient keeps twelve digits of b
_LARGEST = 1_000_000  # numbers in X
_AFFINE = 1e-10  # of the terms of a mean
_SAME = 1e-12  # relative, of ratios of standard deviations
_REFINEMENTS = 10
_ROUNDING = 1.1e-16  # of each term of a mean
_LOST = 1e-3  # standard errors by which it may move the solution


@dataclass(frozen=True)
class _Design:
    """A mean that is linear in some coordinates, and standard deviations that share one factor.

    Attributes
    ----------
    parts : NormalParts
    linear, others : ndarray of int
        The coordinates b that the mean depends on, and those of the factor.
    columns : ndarray, shape (n, k)
        X.
    target : ndarray, shape (n,)
        The observations less what the mean is at b = 0.
    """

    parts: NormalParts
    linear: NDArray[np.int64]
    others: NDArray[np.int64]
    columns: NDArray[np.float64]
    target: NDArray[np.longdouble]

    def widths(self, z: Vector) -> NDArray[np.float64]:
        """Standard deviations of the observations at z, shape ``(n,)``."""
        return self.parts.at(z[None])[1][0]


def solved(problem: Problem, climbs: list[Climb]) -> list[Climb]:
    """The climbs, ended by least squares where the columns of a linear Normal mean are nearly alike.

    Parameters
    ----------
    problem : Problem
        Without latent variables.
    climbs : list of Climb
        Highest first.

    Returns
    -------
    list of Climb
        As they were, unless the mean is linear: then the one highest point there is, from each of the starts.

    References
    ----------
    Bjorck, A. (1967). Iterative refinement of linear least squares solutions I. doi:10.1007/BF01939321
    """
    end = climbs[0]
    if end.z.size < 2 or end.curvature.eigenvalues[0] > _ALIKE:
        return climbs
    try:
        design = _find_design(problem, end.z)
        found = None if design is None else _solve(problem.objective, end, design)
    except (NumericalError, np.linalg.LinAlgError):
        return climbs
    if found is None or not found.value >= end.value - EDM_TOLERANCE * max(1.0, abs(end.value)):
        return climbs
    return [replace(found, start=other.start) for other in climbs]


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
    smallest = mode.certificate.smallest_eigenvalue
    if 0.0 < smallest < FLAT_ALONG_AXES:
        raise RefusalError(
            f"columns of the mean are nearly combinations of each other (the information along one, {smallest:.1g} of "
            "the others', is rounding): the maximum and its observed errors come from a QR decomposition of the "
            "columns, and nothing that climbs again has one",
            question,
            ORTHOGONAL,
        )


def _find_design(problem: Problem, z: Vector) -> _Design | None:
    """X and y; None where the mean is not linear, or the standard deviations are not in proportion."""
    parts, size = normal_parts(problem.density), z.size
    if parts is None or parts.observed.size * size > _LARGEST:
        return None
    reach = np.maximum(1.0, np.abs(z)) * (1.0 + 0.3 * np.arange(size))
    with np.errstate(all="ignore"):  # what is not finite is no design
        means, widths = parts.at(np.vstack([z, z + np.diag(reach), z + 0.1 * np.eye(size)]))
        moves = np.any(means[1 : size + 1] != means[0], axis=1)
        scales = np.any(widths[size + 1 :] != widths[0], axis=1)
        linear, others = np.flatnonzero(moves), np.flatnonzero(scales)
        if np.any(moves & scales) or not np.all(moves | scales) or not linear.size:
            return None
        origin = np.where(moves, 0.0, z)
        together = np.where(moves, reach, 0.1)
        means, deviations = parts.at(np.vstack([origin, origin + np.eye(size)[linear], origin + together]))
        columns, ratio = means[1:-1] - means[0], deviations[-1] / deviations[0]
        off = means[-1] - means[0] - reach[linear] @ columns
        terms = np.abs(means[0]) + reach[linear] @ np.abs(columns)
        proportional = np.ptp(ratio) <= _SAME * np.max(ratio) if ratio.size else False
        if not (np.all(np.abs(off) <= _AFFINE * terms) and proportional):
            return None
    target = parts.observed.astype(np.longdouble) - means[0]
    return _Design(parts, linear, others, columns.T, target)


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
    if np.linalg.norm(_ROUNDING * shrunk * (np.abs(x) @ np.abs(b) + np.abs(t))) > _LOST:
        return None
    white = linalg.solve_triangular(r, shrunk * (x.T @ (t - x @ b)).astype(np.float64), trans=1)
    gradient = np.max(np.abs(objective.value_and_gradient(rest.x)[1]))
    return Climb(end.start, rest.x, rest.value, float(gradient), left + float(white @ white) / 2, bend)


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
