"""The Bayes factor of a fixed value against the model that leaves it free, from the free model alone.

With psi everything else, and the prior of psi given theta = v that of the model in which theta is fixed at v,

    p(y | theta = v) / p(y)  =  p(theta = v | y) / p(theta = v)

(Dickey 1971): the posterior ordinate over the prior ordinate. The prior ordinate is the model's own prior density. The
posterior ordinate is an average over draws of the normalised conditional density,

    p(theta = v | y) = E_post[ p(theta = v | psi, y) ]

each by quadrature of the compiled target along one coordinate. No density is estimated from a histogram of draws, so it
reaches as far out as the conditional densities do; where that is too far, Pareto k of the average says so.

References: Dickey 1971, doi:10.1214/aoms/1177693507; Gelfand, Smith and Lee 1992, doi:10.1080/01621459.1992.10475235
(conditional averages); Verdinelli and Wasserman 1995, doi:10.1080/01621459.1995.10476554; Heck 2019,
doi:10.1111/bmsp.12150 (the condition on the priors of the rest).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg

from workbench.check import Check
from workbench.errors import InputError, NumericalError, RefusalError
from workbench.evidence.estimate import Evidence, strength
from workbench.evidence.reweighting import TAIL_LIMIT, Reweighted, reweight
from workbench.likelihood.quantity import is_number
from workbench.model.density import TARGET, LogDensity
from workbench.model.element_priors import prior_elements, summed_into
from workbench.numerics.objective import Objective, ObjectiveOfMany, Vector, values
from workbench.numerics.optimise import climb
from workbench.numerics.quadrature import GridIntegral, integrate, integrate_lines
from workbench.result import Result

Matrix = NDArray[np.float64]

_QUESTION = "evidence savage-dickey"
_ERROR_LIMIT = 0.2  # nats, as for the bridge
_SIGMAS = 3.0  # combined standard errors within which the two routes have to agree
_FIRST = 400  # draws whose conditional density is integrated at first, all chains together
_EXACT = 1e-10  # nats between two refinements of the quadrature that is the answer itself
_FINE = 1e-5  # the same of one whose result has a Monte Carlo error of 0.02 nats, or is held against one that has
_FAR = 1000.0  # widths of the conditional density: a value beyond is far from all that it holds
_STARTS = 16  # draws from which the fixed model is climbed
_MOST_QUADRATURE = 2  # dimensions of the rest up to which the fixed model is integrated as well


@dataclass(frozen=True, repr=False, eq=False)
class SavageDickey(Result):
    """The Bayes factor of a fixed value against the free model.

    Attributes
    ----------
    name : str
        The scalar that is fixed.
    value : float
        In its own unit.
    log_bayes_factor, std_error : float
        log p(y | value) - log p(y), nats; positive where the data speak for the value.
    posterior_ordinate, prior_ordinate : float
        Log densities at the value, in nats, per unit of the scalar.
    pareto_k : float
        Of the conditional densities that are averaged.
    n_draws : int
        Draws over which they were averaged.
    other_route, other_error : float
        The same number by integrating the model in which the value is fixed, and its error, nats; NaN where the rest
        has more than two dimensions.
    depending : tuple of str
        Variables whose prior depends on the fixed one.
    """

    name: str
    value: float
    log_bayes_factor: float
    std_error: float
    posterior_ordinate: float
    prior_ordinate: float
    pareto_k: float
    n_draws: int
    other_route: float
    other_error: float
    depending: tuple[str, ...]
    title: ClassVar[str] = "Bayes factor of a fixed value, Savage-Dickey"

    @property
    def words(self) -> str:
        """Kass and Raftery's words for the size of the Bayes factor, and for whom it speaks."""
        text = strength(self.log_bayes_factor, self.std_error)
        if text.startswith("not "):
            return text
        return f"{text} evidence {'for' if self.log_bayes_factor > 0 else 'against'} {self.name} = {self.value:g}"

    def table(self) -> pd.DataFrame:
        """The Bayes factor and the two ordinates, with errors."""
        rows = {
            f"log BF of {self.name} = {self.value:g}": (self.log_bayes_factor, self.std_error),
            "log posterior ordinate": (self.posterior_ordinate, self.std_error),
            "log prior ordinate": (self.prior_ordinate, 0.0),
        }
        if np.isfinite(self.other_route):
            rows["log BF by quadrature of both models"] = (self.other_route, self.other_error)
        return pd.DataFrame.from_dict(rows, orient="index", columns=["nats", "std_error"])

    def notes(self) -> list[str]:
        """The number in words, and which prior the fixed model has."""
        given = "the priors of all else are those of this model"
        if self.depending:
            given = f"the priors of {', '.join(self.depending)} are taken at that value, all others are unchanged"
        how = f"averaged over the conditional densities at {self.n_draws} draws"
        lines = [
            f"{self.log_bayes_factor / np.log(10):.4g} in log10: {self.words}",
            f"in the model with {self.name} = {self.value:g} {given}",
            how if self.n_draws > 1 else "by quadrature: there is nothing else to average over",
        ]
        return [*lines, *super().notes()]


@dataclass(frozen=True)
class _Place:
    """A scalar of a free variable as one coordinate of z.

    Attributes
    ----------
    label : str
    coordinate : int
        Of z.
    z : float
        The fixed value there.
    log_prior, log_jacobian : float
        Density of theta at the value, and log d theta / d z, nats.
    """

    label: str
    coordinate: int
    z: float
    log_prior: float
    log_jacobian: float


def fix_scalar(
    density: LogDensity,
    label: str,
    value: float,
    z: Matrix,
    evidence: Evidence,
    target_error: float = 0.02,
) -> SavageDickey:
    """The Bayes factor of a fixed value of a scalar, from posterior draws of the model that leaves it free.

    Parameters
    ----------
    density : LogDensity
    label : str
        A scalar free variable or an element of one, such as ``mu`` or ``beta[1]``.
    value : float
        In its own unit, inside its support.
    z : ndarray, shape (chains, draws, d)
        Posterior draws.
    evidence : Evidence
        Of the free model; for the second route, and with what speaks against the draws.
    target_error : float
        Nats; more draws are averaged over until the error is no larger, or all are used.

    Returns
    -------
    SavageDickey

    Raises
    ------
    InputError
        If there is no such scalar, or the value is no number or not inside its support.
    RefusalError
        If the prior of the scalar depends on other free variables, or is not one of independent scalars.
    NumericalError
        If the target is NaN where it is integrated.
    """
    place = _place(density, label, value, z)
    objective = density.objective(TARGET)
    found, count, rounding = _posterior_ordinate(objective, place, z, target_error)
    posterior = found.log_mean - place.log_jacobian
    error = float(np.hypot(found.error, rounding))
    factor = posterior - place.log_prior
    other, other_error = _other_route(objective, place, z, evidence)
    name = density.space.variable_of(label)
    return SavageDickey(
        checks=(*_checks(found, error, factor, other, other_error), *evidence.doubts),
        name=label,
        value=float(value),
        log_bayes_factor=factor,
        std_error=error,
        posterior_ordinate=posterior,
        prior_ordinate=place.log_prior,
        pareto_k=found.pareto_k,
        n_draws=count,
        other_route=other,
        other_error=other_error,
        depending=tuple(child for child, parents in density.parents.items() if name in parents),
    )


def _place(density: LogDensity, label: str, value: float, z: Matrix) -> _Place:
    """Where the scalar is in z, with its prior density; refusals by name."""
    space = density.space
    name = space.variable_of(label)
    if not is_number(value):
        raise InputError(f"the value of {label} is {value!r}", label, "give a finite number")
    if density.parents[name]:
        above = ", ".join(density.parents[name])
        raise RefusalError(
            f"the prior of {name} depends on {above}: with {label} fixed, that of {above} would not be this model's",
            name,
            "write the model with that value fixed, and compare the two by their evidence: compare_models",
        )
    shape, index = space.shapes[name], space.labels(name).index(label)
    point = z.reshape(-1, z.shape[-1])[:1]
    theta = {n: array for n, array in space.theta(point).items() if n in space.names}
    theta[name] = theta[name].astype(np.float64).copy()
    theta[name].reshape(-1)[index] = value
    fixed = space.z_of_draws(theta)[0] if space.block_shapes[name] == shape else np.full(point.size, np.nan)
    log_prior, log_jacobian = prior_elements(density, name, fixed)
    if space.block_shapes[name] != shape or log_prior.shape != shape or summed_into(density, name):
        raise RefusalError(
            f"the elements of {name} are not independent in the prior, so the others would not keep theirs",
            name,
            "write the model with that value fixed, and compare the two by their evidence: compare_models",
        )
    coordinate = space.blocks[name].start + index
    back = space.theta(fixed)[name].reshape(-1)[index]
    if not np.isfinite(fixed[coordinate]) or not np.isclose(back, value, rtol=1e-6, atol=1e-8):
        raise InputError(f"{label} = {value:g} lies outside its support or on its edge", label, "choose a value inside")
    return _Place(
        label, coordinate, float(fixed[coordinate]), float(log_prior.flat[index]), float(log_jacobian.flat[index])
    )


@dataclass(frozen=True)
class _Slice:
    """Log f over some coordinates, the others being those of a point: an objective of many points."""

    objective: ObjectiveOfMany
    point: Vector
    free: NDArray[np.intp]

    @property
    def dimension(self) -> int:
        """How many coordinates are free."""
        return len(self.free)

    def _whole(self, points: Matrix) -> Matrix:
        found = np.tile(self.point, (len(points), 1))
        found[:, self.free] = points
        return found

    def value(self, x: Vector) -> float:
        """Log f, nats."""
        return self.objective.value(self._whole(x[None])[0])

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """Log f and its gradient over the free coordinates."""
        value, gradient = self.objective.value_and_gradient(self._whole(x[None])[0])
        return value, gradient[self.free]

    def sweep(self, points: Matrix) -> tuple[Vector, Matrix]:
        """The same at many points."""
        value, gradient = self.objective.sweep(self._whole(points))
        return value, gradient[:, self.free]


def _conditionals(
    objective: Objective, place: _Place, z: Matrix, spread: float, cover: Vector, tolerance: float
) -> tuple[Vector, Vector]:
    """Log of the normalised conditional densities on z of the coordinate at the value, and their errors."""
    log_integrals, errors = integrate_lines(objective, z, place.coordinate, spread, cover, tolerance)
    fixed = z.copy()
    fixed[:, place.coordinate] = place.z
    return values(objective, fixed) - log_integrals, errors


def _posterior_ordinate(
    objective: ObjectiveOfMany, place: _Place, z: Matrix, target_error: float
) -> tuple[Reweighted, int, float]:
    """The average of the conditional densities on z, the draws it was taken over, and the error of the quadrature."""
    d, own = z.shape[-1], z[..., place.coordinate]
    if d == 1:
        spread = float(z.std())
    else:
        spread = float(np.sqrt(1.0 / linalg.pinvh(np.cov(z.reshape(-1, d).T))[place.coordinate, place.coordinate]))
    # The density may have several peaks: the line is integrated over all places that any draw has, and over the value.
    near = float(np.clip(place.z, own.min() - _FAR * spread, own.max() + _FAR * spread))
    cover = np.array([own.min(), own.max(), near])
    if d == 1:  # there is nothing to average over
        (value,), (rounding,) = _conditionals(objective, place, z[0, :1], spread, cover, _EXACT)
        return reweight(np.full(z.shape[:2], value)), 1, float(rounding)
    every = max(1, z.shape[0] * z.shape[1] // _FIRST)
    while True:
        used = z[:, ::every]
        logs, errors = _conditionals(objective, place, used.reshape(-1, d), spread, cover, _FINE)
        found = reweight(logs.reshape(used.shape[:2]))
        if every == 1 or found.error <= target_error:
            return found, logs.size, float(errors.max())
        every = max(1, every // 4)


def _over_peaks(objective: Objective, draws: Matrix) -> GridIntegral:
    """The integral over the rest, on a grid that holds every peak found from any draw, as fine as the narrowest needs.

    Raises
    ------
    NumericalError
        If no climb ends on a peak.
    RefusalError
        If that grid is too large.
    """
    starts = [draws.mean(axis=0), *draws[:: max(1, len(draws) // _STARTS)]]
    peaks = []
    for start in starts:
        with contextlib.suppress(NumericalError, RefusalError):
            peak = climb(objective, start)
            peaks.append((peak.z, linalg.cholesky(peak.curvature.covariance, lower=True)))
    if not peaks:
        raise NumericalError("no climb ends on a peak", _QUESTION, "draw more")
    top = max((z for z, _ in peaks), key=objective.value)
    narrowest = min((factor for _, factor in peaks), key=lambda factor: float(np.linalg.slogdet(factor)[1]))
    return integrate(objective, top, narrowest, np.concatenate([np.array([z for z, _ in peaks]), draws]), _FINE)


def _other_route(objective: ObjectiveOfMany, place: _Place, z: Matrix, evidence: Evidence) -> tuple[float, float]:
    """Log p(y | value) - log p(y) with the first term by quadrature over the rest, and its error; NaN if too many."""
    d, fixed = z.shape[-1], place.z
    if d - 1 > _MOST_QUADRATURE:
        return float("nan"), float("nan")
    point = np.full(d, fixed)
    log_integral, error = objective.value(point) if d == 1 else 0.0, 0.0
    if d > 1:
        rest = np.delete(np.arange(d), place.coordinate)
        try:
            found = _over_peaks(_Slice(objective, point, rest), z.reshape(-1, d)[:, rest])
        except (NumericalError, RefusalError):
            return float("nan"), float("nan")
        log_integral, error = found.log_integral, found.error
    value = log_integral - place.log_prior - place.log_jacobian - evidence.log_evidence
    return float(value), float(np.hypot(error, evidence.std_error))


def _checks(found: Reweighted, error: float, factor: float, other: float, other_error: float) -> tuple[Check, ...]:
    """Whether the average can be relied on, and whether the second route agrees."""
    bad = found.pareto_k > TAIL_LIMIT or error > _ERROR_LIMIT
    message = f"Pareto k {found.pareto_k:.2f} of the conditional densities, limit {TAIL_LIMIT}; "
    message += f"standard error {error:.2g} nats, limit {_ERROR_LIMIT}"
    remedy = "the value lies where no draw of the rest suits it: fit the model with it fixed, and compare_models"
    checks = [Check("ordinate-tails", "failed" if bad else "ok", message, remedy if bad else "")]
    if np.isnan(other):
        message = "the model with the value fixed has more than two dimensions, and was not integrated"
        return (*checks, Check("routes-agree", "unknown", message, "fit it, and compare the two: compare_models"))
    gap = abs(factor - other) / np.hypot(error, other_error)
    agree = gap <= _SIGMAS or abs(factor - other) < 1e-6
    message = f"{'' if agree else 'conflict: '}the two routes lie {gap:.1f} combined standard errors apart"
    remedy = "" if agree else "do not quote the number: draw more, and look at study.diagnosis()"
    return (*checks, Check("routes-agree", "ok" if agree else "failed", message, remedy))
