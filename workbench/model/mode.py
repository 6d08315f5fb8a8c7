"""The place of the highest value of an objective, with errors and a certificate. MLE and MAP share it.

The climb is on z, where nothing is bounded; the answer is in theta. For a function theta = T(z) of the mode the
covariance follows by the delta method, cov(theta) = J I^-1 J' with J = dT/dz from differences of T.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.absence import refuse_starts
from workbench.model.certificate import Certificate, certify
from workbench.model.chart import Chart, delta_method, whole_chart
from workbench.model.density import LogDensity, Weights
from workbench.model.exchange import with_exchanged
from workbench.numerics.climbs import Climb, near
from workbench.numerics.objective import Objective, Vector
from workbench.numerics.optimise import EDM_TOLERANCE, climb, climb_again
from workbench.result import Result, counted

_FEWEST = 4  # climbs, even if the first two end equally high
_AS_HIGH = 0.01  # nats
_MIRRORED = 20  # coordinates up to which mirror images are looked for
_TITLES = {
    "MLE": "maximum of the likelihood (MLE)",
    "MAP": "maximum a posteriori (MAP)",
    "mode on z": "mode of the target on z",
}


@dataclass(frozen=True, repr=False, eq=False)
class Mode(Result):
    """Where an objective is highest: the MLE (of the likelihood) or the MAP (of the joint density in theta).

    Attributes
    ----------
    kind : {"MLE", "MAP", "mode on z"}
    theta : xarray.Dataset
        Free variables and deterministics at the mode, in the model's own units.
    z : ndarray, shape (d,)
    labels : tuple of str
        Flat labels of every scalar in `theta`.
    estimate : ndarray, shape (k,)
        The scalars of `theta` in the order of `labels`.
    covariance_matrix : ndarray, shape (k, k)
        By the delta method; of shape (0, 0) where there is none.
    no_error : str
        Why there is no covariance; empty where there is one.
    at_edge : tuple of str
        Scalars at the edge of their support, which have no standard error.
    integrated : tuple of str
        Latent variables that were integrated out.
    log_likelihood, log_prior : float
        At the mode, nats.
    n_parameters, n_observations : int
        Free dimensions, and observations as `LogDensity.n_observed` counts them.
    level : float
        Probability of the intervals in the table.
    certificate : Certificate
    """

    kind: Literal["MLE", "MAP", "mode on z"]
    theta: xr.Dataset
    z: Vector
    labels: tuple[str, ...]
    estimate: Vector
    covariance_matrix: NDArray[np.float64]
    no_error: str
    at_edge: tuple[str, ...]
    integrated: tuple[str, ...]
    log_likelihood: float
    log_prior: float
    n_parameters: int
    n_observations: int
    level: float
    certificate: Certificate

    @property
    def title(self) -> str:  # type: ignore[override]
        """Which mode it is."""
        return _TITLES[self.kind]

    @property
    def covariance(self) -> xr.DataArray:
        """Covariance over flat labels, shape ``(k, k)``.

        Raises
        ------
        RefusalError
            If the curvature gives no covariance; the reason is in the message.
        """
        if self.no_error:
            raise RefusalError(f"there is no covariance: {self.no_error}", self.kind, "see the certificate")
        labels = list(self.labels)
        return xr.DataArray(self.covariance_matrix, coords={"row": labels, "column": labels}, dims=("row", "column"))

    @property
    def errors(self) -> Vector:
        """Standard errors in the order of `labels`, shape ``(k,)``; empty where there are none."""
        return np.sqrt(np.maximum(np.diag(self.covariance_matrix), 0.0))

    @property
    def std_error(self) -> xr.Dataset | str:
        """Standard errors in the shape of `theta`, or the reason why there are none."""
        if self.no_error:
            return self.no_error
        errors, variables, position = self.errors, {}, 0
        for name, array in self.theta.data_vars.items():
            block = errors[position : position + array.size].reshape(array.shape)
            variables[name] = xr.DataArray(block, dims=array.dims, coords=array.coords)
            position += array.size
        return xr.Dataset(variables)

    @property
    def aic(self) -> float:
        """Akaike's information criterion, 2 k - 2 log L (Akaike 1974)."""
        return 2.0 * self.n_parameters - 2.0 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """AIC corrected for few observations, AIC + 2 k (k + 1) / (n - k - 1) (Hurvich and Tsai 1989).

        Raises
        ------
        RefusalError
            If there are no more than k + 1 observations.
        """
        k, n = self.n_parameters, self.n_observations
        if n <= k + 1:
            raise RefusalError(f"AICc needs more than {k + 1} observations, and there are {n}", self.kind, "use AIC")
        return self.aic + 2.0 * k * (k + 1) / (n - k - 1)

    @property
    def bic(self) -> float:
        """Schwarz's Bayesian information criterion, k log n - 2 log L (Schwarz 1978).

        Raises
        ------
        RefusalError
            If there are no observations to count, only potentials.
        """
        if not self.n_observations:
            raise RefusalError("BIC counts observations, and the likelihood is a potential", self.kind, "use AIC")
        return float(self.n_parameters * np.log(self.n_observations) - 2.0 * self.log_likelihood)

    def interval(self, level: float | None = None, kind: str = "wald") -> pd.DataFrame:
        """Wald interval of every scalar: estimate -+ z standard errors.

        Parameters
        ----------
        level : float, optional
            Coverage in (0, 1); by default the mode's own.
        kind : {"wald"}

        Returns
        -------
        pandas.DataFrame
            Columns ``lower`` and ``upper``, one row a label.

        Raises
        ------
        InputError
            If the level is outside (0, 1) or the kind is unknown.
        RefusalError
            If there are no standard errors.
        """
        level = self.level if level is None else level
        if not 0.0 < level < 1.0:
            raise InputError(f"the level is {level}", "level", "give a number between 0 and 1")
        if kind != "wald":
            raise InputError(f"there is no interval of kind {kind!r}", "kind", "say 'wald'")
        if self.no_error:
            raise RefusalError(f"there is no Wald interval: {self.no_error}", self.kind, "see the certificate")
        half = stats.norm.ppf(0.5 + level / 2) * self.errors
        return pd.DataFrame({"lower": self.estimate - half, "upper": self.estimate + half}, index=list(self.labels))

    def table(self) -> pd.DataFrame:
        """One row a scalar: estimate, standard error, Wald interval at `level`."""
        frame = pd.DataFrame({self.kind: self.estimate}, index=list(self.labels))
        if not self.no_error:
            frame["std_error"] = self.errors
            wald = self.interval()
            percent = f"Wald {100 * self.level:g}%"
            frame[f"{percent} lower"], frame[f"{percent} upper"] = wald["lower"], wald["upper"]
        return frame

    def notes(self) -> list[str]:
        """Log likelihood and criteria, the reason for missing errors, and every check that is not ok."""
        lines = [
            f"log likelihood {self.log_likelihood:.6g} nats, {counted(self.n_parameters, 'parameter')}, "
            f"{counted(self.n_observations, 'observation')}, EDM {self.certificate.edm:.1e} nats"
        ]
        if self.kind == "MLE":
            corrected = f", AICc {self.aicc:.6g}" if self.n_observations > self.n_parameters + 1 else ""
            # With one observation log n = 0, and BIC would charge nothing.
            bic = f", BIC {self.bic:.6g}" if self.n_observations > 1 else ""
            lines.append(f"AIC {self.aic:.6g}{corrected}{bic}")
        if self.no_error:
            lines.append(f"no standard errors: {self.no_error}")
        else:
            without = [x for x, error in zip(self.labels, self.errors, strict=True) if np.isnan(error)]
            edge, rough = [x for x in without if x in self.at_edge], [x for x in without if x not in self.at_edge]
            lines += [f"no standard error of {', '.join(edge)}: at the edge of the support"] * bool(edge)
            lines += [f"no standard error of {', '.join(rough)}: constant, or not smooth, there"] * bool(rough)
        return lines + [str(check) for check in self.certificate.checks if check.status != "ok"]


def climb_all(objective: Objective, starts: NDArray[np.float64], kind: str, persistent: bool = False) -> list[Climb]:
    """Climbs from starts inside the support until two of them end equally high; the highest end first.

    Parameters
    ----------
    objective : Objective
    starts : ndarray, shape (m, p)
    kind : str
        What is sought, for the message.
    persistent : bool
        Climb once more, at the price of a Hessian a step, where a climb ends at no peak; and go on to the next start
        where two end equally high at none.

    Returns
    -------
    list of Climb

    Raises
    ------
    NumericalError
        If the log density is finite at none of the starts, or every climb ends where it is no number.
    """
    climbs: list[Climb] = []
    for start in starts:
        try:
            end = climb(objective, start, climbs)
            climbs.append(climb_again(objective, end) if persistent else end)
        except NumericalError:
            continue
        if len(climbs) >= _FEWEST:
            best, second = sorted(climbs, key=lambda end: -end.value)[:2]
            if best.value - second.value < _AS_HIGH and (best.curvature.is_peak or not persistent):
                break
    if not climbs:
        refuse_starts(objective, starts, kind)
    top = max(end.value for end in climbs)
    first = next(end for end in climbs if end.value >= top - EDM_TOLERANCE)  # of mirror images the nearest to the start
    while persistent and first.z.size <= _MIRRORED and (upright := _upright(objective, first)) is not None:
        climbs, first = [upright, *climbs], upright
    return [first, *sorted((end for end in climbs if end is not first), key=lambda end: -end.value)]


def _upright(objective: Objective, end: Climb) -> Climb | None:
    """The image of a peak under a change of signs that leaves log f as it is and makes the coordinates larger, if any.

    Which image a climb reaches is chance, down to rounding: the curve (b / c) exp(-(x / c)^2) is the same with both
    signs changed, and the one with positive numbers is what is published. Being another optimum, it is counted as one.
    """
    if not end.curvature.is_peak or not end.edm < EDM_TOLERANCE:
        return None
    for some in chain.from_iterable(combinations(range(end.z.size), count) for count in (1, 2, 3)):
        image = end.z.copy()
        image[list(some)] *= -1.0
        if not np.sum(image - end.z) > 0 or near(image - end.z, end):
            continue
        with contextlib.suppress(NumericalError):
            if abs(objective.value(image) - end.value) < EDM_TOLERANCE * max(1.0, abs(end.value)):
                found = climb(objective, image)
                return found if found.value >= end.value - EDM_TOLERANCE and near(found.z - image, found) else None
    return None


def find_mode(
    density: LogDensity,
    weights: Weights,
    kind: Literal["MLE", "MAP", "mode on z"],
    starts: NDArray[np.float64],
    level: float = 0.95,
) -> Mode:
    """The highest point of the density under these weights.

    Parameters
    ----------
    density : LogDensity
    weights : Weights
    kind : {"MLE", "MAP", "mode on z"}
    starts : ndarray, shape (m, d)
        Points in z to climb from; those outside the support are left out.
    level : float
        Probability of the intervals in the mode's table.

    Returns
    -------
    Mode

    Raises
    ------
    NumericalError
        If the log density is finite at none of the starts.
    """
    objective, chart = density.objective(weights), whole_chart(density.space)
    climbs = with_exchanged(objective, chart, climb_all(objective, starts, kind))
    certificate, missing = certify(objective, chart, climbs)
    covariance = np.zeros((0, 0)) if missing else climbs[0].curvature.covariance
    reason = missing.reason if missing else ""
    return describe_mode(density, chart, climbs[0].z, covariance, certificate, reason, kind, level)


def describe_mode(
    density: LogDensity,
    chart: Chart,
    x: Vector,
    covariance: NDArray[np.float64],
    certificate: Certificate,
    reason: str,
    kind: Literal["MLE", "MAP", "mode on z"],
    level: float,
    log_likelihood: float | None = None,
    z: Vector | None = None,
    edge: Mapping[str, float] | None = None,
) -> Mode:
    """A mode in the model's own units.

    Parameters
    ----------
    density : LogDensity
    chart : Chart
    x : ndarray, shape (p,)
        The mode in the coordinates of the chart.
    covariance : ndarray, shape (p, p)
        Of x; of shape (0, 0) where there is none. Zero for a coordinate at the edge of its support.
    certificate : Certificate
    reason : str
        Why there is no covariance.
    kind, level
        As in `find_mode`.
    log_likelihood : float, optional
        With latent variables integrated out; by default the density's own at x.
    z : ndarray, shape (d,), optional
        With the latent variables at their conditional mode; by default all of z is in the chart.
    edge : mapping of str to float, optional
        Labels of scalars that lie at the edge of their support -> that edge.

    Returns
    -------
    Mode
    """
    z = x if z is None else z
    theta = chart.theta(x[None])
    estimate, labels = chart.scalars(x[None])[0], chart.labels
    matrix = delta_method(chart, x, covariance) if covariance.size else np.zeros((0, 0))
    for label, value in (edge or {}).items():
        position = labels.index(label)
        estimate[position] = value
        if matrix.size:
            matrix[position], matrix[:, position] = np.nan, np.nan
    terms = density.terms(z[None])
    log_prior = [terms.log_prior[name][0] for name in chart.names]
    log_prior += [terms.potential[n][0] for n, side in density.potentials.items() if side == "prior"]
    if log_likelihood is None:
        log_likelihood = float(density.sums(z)[1][0])
    return Mode(
        checks=certificate.checks,
        kind=kind,
        theta=chart.dataset(_filled(chart, {name: array[0] for name, array in theta.items()}, estimate)),
        z=z,
        labels=labels,
        estimate=estimate,
        covariance_matrix=matrix,
        no_error=reason,
        at_edge=tuple(edge or ()),
        integrated=(),
        log_likelihood=log_likelihood,
        log_prior=float(sum(log_prior)),
        n_parameters=chart.dimension,
        n_observations=density.n_observed,
        level=level,
        certificate=certificate,
    )


def _filled(chart: Chart, arrays: dict[str, NDArray], estimate: Vector) -> dict[str, NDArray]:
    """Arrays by name with the scalars of a flat vector in them."""
    found, position = {}, 0
    for name in (*chart.names, *chart.deterministics):
        array = arrays[name]
        found[name] = estimate[position : position + array.size].reshape(array.shape)
        position += array.size
    return found
