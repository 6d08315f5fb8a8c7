"""Standard errors of the maximum likelihood estimate in four forms, side by side.

With the information I = -H of the whole log likelihood and the scores s_j of its independent units, which are the
observations or, where latent variables are integrated out, blocks of them (`workbench.likelihood.units`),

    observed        C = I^-1                      the curvature of these data
    expected        E[I(y_rep)]^-1                the curvature that data from the model would have, on average
    outer product   (sum s_j s_j')^-1             the spread of the scores (Berndt et al. 1974)
    sandwich        C (sum s_j s_j') C            valid if the model is wrong (Huber 1967, White 1982)

If the model is right all four estimate the same matrix. Where they differ by more than chance the model is wrong, and
only the sandwich is the spread of theta-hat; the test of it is White's: sum_j [(a's_j)^2 + a'H_j a] is 0 along every
direction a under the model, and its distribution is that over data simulated from the model. Everything is computed
on z and carried to theta by the delta method, so a K-simplex has its K x K covariance of rank K - 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from workbench.check import Check
from workbench.errors import InputError, RefusalError, WorkbenchError
from workbench.likelihood.expected import expected_objective
from workbench.likelihood.inside import Inside, inside_of
from workbench.likelihood.integral import as_at_the_maximum
from workbench.likelihood.least_squares import refuse_refits
from workbench.likelihood.problem import Problem
from workbench.likelihood.units import Units, independent_units
from workbench.model.censoring import look_at_limits
from workbench.model.chart import slopes_at
from workbench.model.mode import Mode
from workbench.model.simulate import Simulator
from workbench.numerics.curvature import FLAT, curvature_at, hessian
from workbench.numerics.objective import Vector
from workbench.result import Result

FORMS = ("observed", "expected", "outer product", "sandwich")
_REPLICATES = 200  # data sets; the least p-value is then 1 / 201
_WORK = 20_000_000  # observations times parameters over all data sets: large data sets need few, their spread is small
_INTEGRAL = 20  # times the work of a likelihood without latent variables
_LEAST = 4
_LOCATED = 50  # data sets that say where each observation lies
_SIGNIFICANT = 0.01
_ALIKE = 1e-12  # of the information: scores that vary less are rounding
_FEW = 3.0  # units a scalar: with 2 half of the true regressions tried had p < 0.01, with 3.3 none


@dataclass(frozen=True, repr=False, eq=False)
class StandardErrors(Result):
    """Standard errors of every scalar of the MLE, by form.

    Attributes
    ----------
    labels : tuple of str
    estimate : ndarray, shape (k,)
        The MLE.
    std_error : dict of str to ndarray, shape (k,)
        Form -> standard errors; NaN at the edge of the support, and where a scalar is not smooth.
    covariances : dict of str to ndarray, shape (k, k)
        Form -> joint covariance.
    mcse : ndarray, shape (k,)
        Monte Carlo error of the expected form, 0 where it was integrated; of shape (0,) where it is refused.
    replicates : int
        Data sets behind the expected form.
    unit : str
        What the scores belong to, in words; empty without scores.
    refused : dict of str to str
        Form that does not exist for this model -> the reason.
    misfit : float
        Largest sum of (a's_j)^2 + a'H_j a over the directions, in its standard deviations; NaN without scores.
    p_value : float
        How often data from the model give a larger one; NaN without scores.
    """

    labels: tuple[str, ...]
    estimate: Vector
    std_error: dict[str, Vector]
    covariances: dict[str, NDArray[np.float64]]
    mcse: Vector
    replicates: int
    unit: str
    refused: dict[str, str]
    misfit: float
    p_value: float
    title: ClassVar[str] = "standard errors of the maximum likelihood estimate"

    def covariance(self, form: str = "sandwich") -> xr.DataArray:
        """Joint covariance over flat labels in one form, shape ``(k, k)``.

        Parameters
        ----------
        form : {"observed", "expected", "outer product", "sandwich"}

        Returns
        -------
        xarray.DataArray

        Raises
        ------
        InputError
            If there is no such form.
        RefusalError
            If this form does not exist for the model.
        """
        if form not in FORMS:
            raise InputError(f"there is no form {form!r}", "form", f"say one of {', '.join(FORMS)}")
        if form in self.refused:
            raise RefusalError(f"there is no {form} covariance: {self.refused[form]}", form, "use another form")
        labels = list(self.labels)
        return xr.DataArray(self.covariances[form], coords={"row": labels, "column": labels}, dims=("row", "column"))

    def table(self) -> pd.DataFrame:
        """One row a scalar: the MLE and its standard error in every form."""
        columns = {"MLE": self.estimate} | {f"{form} std_error": errors for form, errors in self.std_error.items()}
        return pd.DataFrame(columns, index=list(self.labels))

    def notes(self) -> list[str]:
        """Forms that do not exist, the Monte Carlo error, and whether the forms agree."""
        lines = [f"no {form} form: {reason}" for form, reason in self.refused.items()]
        if self.mcse.size and not np.any(self.mcse > 0):
            lines.append("expected information integrated over each observation")
        elif self.mcse.size:
            share = np.nanmax(self.mcse / self.std_error["expected"], initial=0.0)
            lines.append(
                f"expected information averaged over {self.replicates} simulated data sets; Monte Carlo error at most "
                f"{100 * share:.2g}% of a standard error"
            )
        if self.unit:
            lines.append(f"outer product and sandwich take as independent: {self.unit}")
        rough = [x for x, e in zip(self.labels, self.std_error["observed"], strict=True) if np.isnan(e)]
        lines += [f"no standard error of {x}: it is constant, at an edge, or not smooth at the maximum" for x in rough]
        return lines + [str(check) for check in self.checks]


@dataclass(frozen=True)
class _Peak:
    """The maximum in the directions that are inside the support.

    Attributes
    ----------
    problem : Problem
    x : ndarray, shape (p,)
    inside : Inside
    covariance : ndarray, shape (f, f)
        Inverse observed information along them.
    """

    problem: Problem
    x: Vector
    inside: Inside
    covariance: NDArray[np.float64]

    @property
    def size(self) -> int:
        """The number f of these directions."""
        return self.inside.start.size

    def slopes(self, edges: tuple[str, ...]) -> NDArray[np.float64]:
        """Slope of every scalar along the free directions, shape ``(k, f)``; NaN at the edges."""
        found = self.inside.onto(slopes_at(self.problem.chart, self.x, self.inside.spread(self.covariance)))
        found[[self.problem.chart.labels.index(label) for label in edges]] = np.nan
        return found


def _peak(problem: Problem, mode: Mode) -> _Peak:
    """The maximum and its observed information, without the directions that lead to an edge."""
    refuse_refits(mode, "likelihood errors")
    inside = inside_of(problem, mode)
    if not inside.start.size:
        raise RefusalError(
            f"every parameter is at the edge of its support: {', '.join(mode.at_edge)}", "likelihood errors",
            "the profile likelihood gives one-sided intervals",
        )  # fmt: skip
    covariance = curvature_at(inside.section(problem.objective), inside.start).covariance
    return _Peak(problem, mode.z[problem.chart.coordinates], inside, covariance)


def _simulated(peak: _Peak, seed: int) -> tuple[NDArray[np.float64], list[dict[str, NDArray]]]:
    """Information of data sets drawn at the maximum, shape ``(R, f, f)``, and the data sets."""
    problem, density = peak.problem, peak.problem.density
    work = density.n_observations * peak.size * (_INTEGRAL if density.latents else 1)
    count = int(np.clip(_WORK // max(work, 1), _LEAST, _REPLICATES))
    simulator = Simulator(density, problem.chart.names)
    theta = {name: array[0] for name, array in problem.chart.theta(peak.x[None]).items()}
    informations, data = [], []
    scale = 1.0 / np.sqrt(np.diag(np.linalg.inv(peak.covariance)))  # theirs is much like that of the data themselves
    for b in range(count):
        drawn = simulator(theta, (seed, b))
        informations.append(-hessian(peak.inside.section(problem.on(drawn)), peak.inside.start, scale))
        data.append(drawn)
    return np.array(informations), data


def _integrated(peak: _Peak, data: list[dict[str, NDArray]]) -> NDArray[np.float64] | None:
    """The expected information by integrals over single observations, shape ``(f, f)``; None where there are none."""
    problem = peak.problem
    averaged = expected_objective(problem.density, peak.x, data[:_LOCATED])
    if averaged is None:
        return None
    scale = 1.0 / np.sqrt(np.diag(np.linalg.inv(peak.covariance)))
    return curvature_at(peak.inside.section(averaged), peak.inside.start, scale).information


def _imbalance(scores: NDArray[np.float64], curvatures: NDArray[np.float64]) -> tuple[Vector, Vector]:
    """Sum over observations of (a's)^2 + a'H a by direction, free of the error of theta-hat; its standard deviation.

    What the scores explain of each term is taken out (Chesher 1983, Lancaster 1984).
    """
    terms = scores**2 + curvatures
    rest = terms - scores @ np.linalg.lstsq(scores, terms, rcond=None)[0]
    rest[:, np.sum(rest**2, axis=0) < 1e-16 * np.sum(terms**2)] = 0.0  # such as one count: nothing to differ in
    return rest.sum(axis=0), np.sqrt(np.sum(rest**2, axis=0))


def _misfit(found: tuple[Vector, Vector], null: list[Vector]) -> tuple[float, float]:
    """The largest imbalance in its standard deviations, and how often data from the model have a larger one.

    Where enough data sets were simulated they give the standard deviation and the p-value; a large data set brings
    its own standard deviation, and the p-value is that of the normal limit times the number of directions.
    """
    total, size = found
    if len(null) < _REPLICATES:
        largest = float(np.max(np.abs(np.divide(total, size, out=np.zeros_like(size), where=size > 0))))
        return largest, float(min(1.0, 2 * size.size * stats.norm.sf(largest)))
    drawn = np.array(null)
    size = drawn.std(axis=0)
    moving = size > 0
    heights = np.abs(np.vstack([total, drawn])[:, moving] - drawn.mean(axis=0)[moving]) / size[moving]
    largest, *others = heights.max(axis=1, initial=0.0)
    return float(largest), float((1 + np.sum(np.array(others) >= largest)) / (1 + len(others)))


def standard_errors(problem: Problem, mode: Mode, seed: int) -> StandardErrors:
    """Observed, expected, outer-product and sandwich standard errors of every scalar of the MLE.

    Parameters
    ----------
    problem : Problem
    mode : Mode
        The maximum likelihood estimate.
    seed : int
        Of the simulated data sets.

    Returns
    -------
    StandardErrors
        A form that does not exist for this model stands in `refused` with its reason.

    Raises
    ------
    RefusalError
        If every parameter is at the edge of its support.

    References
    ----------
    White, H. (1982). Maximum likelihood estimation of misspecified models. doi:10.2307/1912526
    Berndt, E., Hall, B., Hall, R. and Hausman, J. (1974). Estimation and inference in nonlinear structural models.
    Efron, B. and Hinkley, D. (1978). The observed versus expected Fisher information. doi:10.1093/biomet/65.3.457
    """
    own = {"observed": mode.errors}, {"observed": mode.covariance_matrix}
    nothing = np.zeros(0)
    peak = _peak(as_at_the_maximum(problem, mode), mode)
    covariances: dict[str, NDArray[np.float64]] = {}
    refused = {}
    informations = np.zeros((0, 0, 0))
    data: list[dict[str, NDArray]] = []
    units: Units | None = None
    misfit, p_value = np.nan, np.nan
    try:
        informations, data = _simulated(peak, seed)
        exact = _integrated(peak, data)
        informations = informations if exact is None else exact[None]
        covariances["expected"] = _averaged(informations)
    except (WorkbenchError, np.linalg.LinAlgError) as error:
        refused["expected"] = getattr(error, "what", "the average information is singular")
    try:
        units = independent_units(peak.problem)
        scores, misfit, p_value = _from_scores(peak, units, data)
        meat = scores.T @ scores
        _require_spread(meat, peak.covariance)
        covariances["sandwich"] = peak.covariance @ meat @ peak.covariance
        covariances["outer product"] = _inverse(meat, peak.covariance)
    except WorkbenchError as error:
        refused |= {form: error.what for form in FORMS[2:] if form not in covariances}
    slopes = peak.slopes(mode.at_edge)
    matrices = own[1] | {form: slopes @ covariances[form] @ slopes.T for form in FORMS if form in covariances}
    errors = own[0] | {f: np.sqrt(np.maximum(np.diag(m), 0.0)) for f, m in matrices.items() if f != "observed"}
    mcse = _monte_carlo(slopes, informations, errors["expected"]) if "expected" in errors else nothing
    agreement = [_agreement(errors, p_value, units.count, peak.size)] if "sandwich" in errors and units else []
    checks = (*agreement, *units.checks) if agreement and units else ()
    limits = look_at_limits(problem.density) if data else ()
    return StandardErrors(
        (*checks, *limits), mode.labels, mode.estimate, errors, matrices, mcse, len(data),
        units.text if units and checks else "", refused, misfit, p_value,
    )  # fmt: skip


def _averaged(informations: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the average information, refused where that is no covariance, as next to an edge of the support."""
    average = informations.mean(axis=0)
    scale = np.sqrt(np.abs(np.diag(average)))
    if not np.all(scale > 0) or np.linalg.eigvalsh(average / np.outer(scale, scale))[0] < FLAT:
        raise RefusalError(
            "the average information is not positive definite", "simulated data", "quote the observed errors"
        )
    return np.linalg.inv(average)


def _require_spread(meat: NDArray[np.float64], covariance: NDArray[np.float64]) -> None:
    """Refuse scores that vary no more than rounding along a parameter, as those of groups that are all alike."""
    if np.any(np.diag(covariance @ meat @ covariance) < _ALIKE * np.diag(covariance)):
        raise RefusalError(
            "the scores of the units do not vary along every parameter: the units are alike", "observations",
            "quote the observed or the expected errors",
        )  # fmt: skip


def _inverse(meat: NDArray[np.float64], covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the sum of outer products, refused where the observations do not span all directions."""
    scale, root = np.sqrt(np.maximum(np.diag(meat), 1e-300)), np.linalg.cholesky(covariance)
    spans = np.linalg.eigvalsh(meat / np.outer(scale, scale))[0] > FLAT
    if not spans or np.linalg.eigvalsh(root.T @ meat @ root)[0] < _ALIKE:
        raise RefusalError(
            "the scores of the observations do not span all parameters", "observations", "use more observations"
        )
    return np.linalg.inv(meat)


def _from_scores(peak: _Peak, units: Units, data: list[dict[str, NDArray]]) -> tuple[NDArray[np.float64], float, float]:
    """Scores along the free directions, shape ``(n, f)``; the largest misfit of the information; its p-value."""
    if units.count < units.least:
        raise RefusalError(units.alone, ", ".join(units.urns), units.remedy)
    # Along the columns of C a step of one standard error moves every scalar by about its own.
    lengths = np.sqrt(np.diag(peak.covariance))
    directions = peak.inside.moves(peak.covariance / lengths).T
    scores, curvatures = units.along(peak.x, directions)
    # A large data set is compared with the normal limit instead.
    null = [_imbalance(*units.along(peak.x, directions, drawn))[0] for drawn in data if len(data) == _REPLICATES]
    misfit, p_value = _misfit(_imbalance(scores, curvatures), null)
    # a_i = C e_i / length_i, so the scores on the coordinates are S_a diag(length) I.
    return (scores * lengths) @ np.linalg.inv(peak.covariance), misfit, p_value


def _monte_carlo(slopes: NDArray[np.float64], informations: NDArray[np.float64], errors: Vector) -> Vector:
    """Monte Carlo error of the expected standard errors, by the derivative of the inverse: dC = -C dI C."""
    if len(informations) == 1:  # integrated
        return np.zeros(errors.size)
    covariance = np.linalg.inv(informations.mean(axis=0))
    along = slopes @ covariance  # an information may be indefinite: its own slopes would have no scale
    change = np.einsum("kf,rfg,kg->rk", along, informations, along)
    spread = change.std(axis=0, ddof=1) / np.sqrt(len(informations))
    return np.divide(spread, 2 * errors, out=np.full(errors.size, np.nan), where=errors > 0)


def _agreement(errors: dict[str, Vector], p_value: float, count: int, directions: int) -> Check:
    """Whether sandwich and observed errors differ by more than data from the model would make them."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = errors["sandwich"] / errors["observed"]
    spread = f"sandwich over observed errors: {np.nanmin(ratio):.3g} to {np.nanmax(ratio):.3g}"
    if count < _FEW * directions:
        why = f"{count} independent units for {directions} scalars are too few to judge that by"
        return Check(
            "errors-agree", "unknown", f"{spread}; {why}", "quote the observed errors, or the profile likelihood"
        )
    message = f"{spread}; data from the model differ as much with p = {p_value:.2g}"
    if p_value < _SIGNIFICANT:
        fix = "the model is wrong somewhere: quote the sandwich errors, and look for what it misses"
        return Check("errors-agree", "caution", message, fix)
    return Check("errors-agree", "ok", message)
