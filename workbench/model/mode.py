"""The place of the highest value of an objective, with errors and a certificate. MLE and MAP share it.

The climb is on z, where nothing is bounded; the answer is in theta. For a function theta = T(z) of the mode the
covariance follows by the delta method, cov(theta) = J I^-1 J' with J = dT/dz from differences of T.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import stats

from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.certificate import Certificate, certify
from workbench.model.density import LogDensity, Weights
from workbench.model.space import Space
from workbench.numerics.objective import Vector
from workbench.numerics.optimise import climb
from workbench.result import Result

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
    log_likelihood, log_prior : float
        At the mode, nats.
    n_parameters, n_observations : int
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
            f"log likelihood {self.log_likelihood:.6g} nats, {self.n_parameters} parameters, "
            f"{self.n_observations} observations, EDM {self.certificate.edm:.1e} nats"
        ]
        if self.kind == "MLE":
            lines.append(f"AIC {self.aic:.6g}" + (f", BIC {self.bic:.6g}" if self.n_observations else ""))
        if self.no_error:
            lines.append(f"no standard errors: {self.no_error}")
        else:
            rough = [x for x, error in zip(self.labels, self.errors, strict=True) if np.isnan(error)]
            lines += [f"no standard error of {x}: it is not a smooth function of theta at the maximum" for x in rough]
        return lines + [str(check) for check in self.certificate.checks if check.status != "ok"]


def jacobian(space: Space, z: Vector, scale: Vector) -> NDArray[np.float64]:
    """D theta / d z of every scalar at z, by a five-point stencil.

    Parameters
    ----------
    space : Space
    z : ndarray, shape (d,)
    scale : ndarray, shape (d,)
        Local scale of each coordinate, such as its standard deviation.

    Returns
    -------
    ndarray, shape (k, d)
    """
    steps = np.diag(1e-3 * scale)
    points = np.concatenate([z + steps, z - steps, z + 2 * steps, z - 2 * steps])
    plus, minus, plus2, minus2 = np.split(space.flat(space.theta(points)), 4)
    return ((8 * (plus - minus) - (plus2 - minus2)) / (12e-3 * scale[:, None])).T


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
    objective, space = density.objective(weights), density.space
    climbs = []
    for start in starts:
        try:
            climbs.append(climb(objective, start))
        except NumericalError:
            continue
    if not climbs:
        raise NumericalError(
            "the log density is finite at none of the starting points", kind, "give the variables an `initval` inside"
        )
    climbs.sort(key=lambda end: -end.value)
    certificate, reason = certify(objective, space, climbs)
    best = climbs[0]
    theta = space.theta(best.z)
    estimate = space.flat(theta)[0]
    matrix = np.zeros((0, 0))
    if not reason:
        covariance = best.curvature.covariance
        scale = np.sqrt(np.diag(covariance))
        slopes, finer = jacobian(space, best.z, scale), jacobian(space, best.z, 0.1 * scale)
        # Where two step sizes disagree, or nothing moves, the quantity is not smooth there and has no such error.
        moves = np.abs(slopes * scale)
        rough = np.max(np.abs(slopes - finer) * scale, axis=1) > 1e-3 * np.max(moves, axis=1)
        slopes[rough | (np.max(moves, axis=1) == 0.0)] = np.nan
        matrix = slopes @ covariance @ slopes.T
    log_prior, log_likelihood, _ = density.sums(best.z)
    return Mode(
        checks=certificate.checks,
        kind=kind,
        theta=space.dataset({name: array[0] for name, array in theta.items()}),
        z=best.z,
        labels=tuple(label for name in (*space.names, *space.deterministics) for label in space.labels(name)),
        estimate=estimate,
        covariance_matrix=matrix,
        no_error=reason,
        log_likelihood=float(log_likelihood[0]),
        log_prior=float(log_prior[0]),
        n_parameters=space.dimension,
        n_observations=density.n_observations,
        level=level,
        certificate=certificate,
    )
