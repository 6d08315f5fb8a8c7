"""Tests of a fixed value of a scalar.

For the hypothesis g(theta) = c, with the maximum L-hat and the maximum L-0 where it holds:

    likelihood ratio   2 (L-hat - L-0)
    Wald               (g-hat - c)^2 / var(g-hat)
    score              U' I^-1 U,   U and I the gradient and the observed information on z where the hypothesis holds

Each is compared with chi-square with one degree of freedom (Wilks 1938; Wald 1943; Rao 1948). Where c is the edge of
the support, such as a variance of 0, half of the probability lies at 0: the reference is the mixture
0.5 chi2_0 + 0.5 chi2_1 (Self and Liang 1987), and only the likelihood ratio has a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy import optimize, stats

from workbench.errors import InputError, NumericalError
from workbench.likelihood.followed import rays
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.likelihood.profile import Name, wald_of
from workbench.likelihood.quantity import FAR, Quantity, edges_of, is_number, resolve
from workbench.likelihood.section import Sections
from workbench.likelihood.summit import Summit, refuse_still
from workbench.model.mode import Mode
from workbench.numerics.curvature import curvature_at
from workbench.numerics.objective import Vector
from workbench.result import Result

NOTHING = 1e-9  # a likelihood ratio below this is the rounding of 0
EQUAL = 1e-6  # nats: two likelihoods that differ by less are the same maximum
_LEVEL = 1e-10  # nats, relative to the log likelihood: no change any more on the way to the edge
_HOPELESS = 1e5  # nats below the maximum: that edge is impossible
_STRIDE, _STRIDES = 2.0, 40  # of z, on that way; beyond exp(-80) of its scale a variance is 0
_PATHS = 40  # stops on the way from the maximum to the fixed value, at most
_STRETCH = 3.0  # standard deviations between them


def printed(p: float) -> str:
    """A p-value as text: four digits, never 0.

    Examples
    --------
    >>> printed(0.03127), printed(3e-9), printed(1.0), printed(float("nan"))
    ('0.0313', '< 1e-4', '1', '-')
    """
    if np.isnan(p):
        return "-"
    return "< 1e-4" if p < 1e-4 else f"{p:.3g}"


@dataclass(frozen=True, repr=False, eq=False)
class Test(Result):
    """Tests of one hypothesis about the parameters.

    Attributes
    ----------
    hypothesis : str
    statistic : dict of str to float
        Kind of test -> statistic; NaN where it has no meaning.
    p_value : dict of str to float
        Probability of at least this statistic where the hypothesis holds.
    degrees : int
        Degrees of freedom of the hypothesis.
    mixture : bool
        Whether the reference is the mixture at an edge.
    log_likelihood, log_likelihood_held : float
        At the maximum, and where the hypothesis holds, nats.
    missing : dict of str to str
        Kind of test -> why it has no meaning here.
    """

    hypothesis: str
    statistic: dict[str, float]
    p_value: dict[str, float]
    degrees: int
    mixture: bool
    log_likelihood: float
    log_likelihood_held: float
    missing: dict[str, str]
    __test__: ClassVar[bool] = False  # it is no test of pytest

    @property
    def title(self) -> str:  # type: ignore[override]
        """The hypothesis."""
        return f"test of {self.hypothesis}"

    @property
    def reference(self) -> str:
        """The distribution under the hypothesis."""
        return f"0.5 chi2_{self.degrees - 1} + 0.5 chi2_{self.degrees}" if self.mixture else f"chi2_{self.degrees}"

    def table(self) -> pd.DataFrame:
        """One row a test: statistic, reference distribution, p-value."""
        rows = [(value, self.reference, printed(self.p_value[kind])) for kind, value in self.statistic.items()]
        return pd.DataFrame(rows, columns=["statistic", "reference", "p-value"], index=list(self.statistic))

    def notes(self) -> list[str]:
        """Log likelihoods, what is missing and why, and every check that is not ok."""
        first = (
            f"log likelihood {self.log_likelihood:.6g} nats at the maximum, {self.log_likelihood_held:.6g} where the "
            "hypothesis holds"
        )
        return [first, *(f"no {kind} test: {why}" for kind, why in self.missing.items()), *super().notes()]


def tail(statistic: float, degrees: int, mixture: bool) -> float:
    """Probability of at least this statistic where the hypothesis holds.

    Parameters
    ----------
    statistic : float
    degrees : int
    mixture : bool
        0.5 chi2 with one degree less + 0.5 chi2, instead of chi2.

    Returns
    -------
    float

    Examples
    --------
    >>> round(tail(2.7055434540954146, 1, False), 6), round(tail(2.7055434540954146, 1, True), 6), tail(0.0, 1, True)
    (0.1, 0.05, 1.0)
    """
    upper = float(stats.chi2.sf(statistic, degrees))
    if not mixture:
        return upper
    lower = float(stats.chi2.sf(statistic, degrees - 1)) if degrees > 1 else float(statistic <= 0.0)
    return 0.5 * lower + 0.5 * upper


def fix_value(problem: Problem, summit: Summit, mode: Mode | None, name: Name, value: float) -> Test:
    """Likelihood-ratio, Wald and score tests of a fixed value of a scalar.

    Parameters
    ----------
    problem : Problem
    summit : Summit
        The maximum of its objective.
    mode : Mode or None
        The maximum likelihood estimate, for the Wald test.
    name : str or mapping of str to float
        A label, or a linear combination of labels.
    value : float
        In the units of the scalar.

    Returns
    -------
    Test

    Raises
    ------
    InputError
        If the name is unknown or means a vector, or the value is no number or outside the support.
    BetterMaximum
        If the maximum where the hypothesis holds is higher than the summit.

    References
    ----------
    Self, S. G. and Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood estimators and likelihood ratio
    tests under nonstandard conditions. doi:10.1080/01621459.1987.10478472
    """
    if not is_number(value):
        raise InputError(f"the value is {value!r}", "likelihood test", "give a finite number")
    quantity = resolve(problem.chart, name, summit.x, summit.scale)
    x, held, at_edge = held_at(problem, summit, quantity, float(value))
    missing = {}
    ratio = 2.0 * max(summit.value - held, 0.0)
    statistic = {"likelihood ratio": ratio, "Wald": float("nan"), "score": float("nan")}
    estimate, error = wald_of(mode, summit, quantity)
    if at_edge:
        missing = dict.fromkeys(("Wald", "score"), "the value is the edge of the support")
    else:
        if np.isfinite(error):
            statistic["Wald"] = (quantity.beyond(value, estimate) / error) ** 2
        else:
            missing["Wald"] = "the scalar has no standard error"
        statistic["score"], why = _score(problem, summit, x)
        if why:
            missing["score"] = why
    p_value = {
        kind: float("nan") if np.isnan(s) else tail(s if s > NOTHING else 0.0, 1, at_edge)
        for kind, s in statistic.items()
    }
    hypothesis = f"{quantity.name} = {value:.6g}"
    return Test(summit.checks, hypothesis, statistic, p_value, 1, at_edge, summit.value, held, missing)


def _score(problem: Problem, summit: Summit, x: Vector) -> tuple[float, str]:
    """The score statistic at a point, or why there is none; coordinates at their edge take no part."""
    if summit.cells:
        return float("nan"), f"the probability of {' and '.join(summit.cells)} is 0 at the maximum"
    at_edge = [k for k, place in summit.places.items() if x[k] == place]  # the one that is tested has left its edge
    free = np.setdiff1d(np.arange(x.size), at_edge)
    gradient = problem.objective.value_and_gradient(x)[1][free]
    try:
        bend = curvature_at(problem.objective, x)
        information = bend.information[np.ix_(free, free)]
        np.linalg.cholesky(information)
    except (NumericalError, np.linalg.LinAlgError):
        return float("nan"), "the observed information is not positive definite where the hypothesis holds"
    return float(gradient @ np.linalg.solve(information, gradient)), ""


def held_at(problem: Problem, summit: Summit, quantity: Quantity, value: float) -> tuple[Vector, float, bool]:
    """The maximum with a scalar at a value, its height, and whether the value is the edge of the support.

    Parameters
    ----------
    problem : Problem
    summit : Summit
    quantity : Quantity
    value : float

    Returns
    -------
    x : ndarray, shape (p,)
    height : float
        Nats.
    at_edge : bool

    Raises
    ------
    InputError
        If the value is outside the support.
    """
    refuse_still(summit, quantity)
    edges = edges_of(problem.chart, summit.x, scalar_parameters(problem))
    edges |= {k: (side,) for k, side in summit.infinite.items()}
    places, infinite = dict(summit.places), tuple(summit.infinite)
    sections = Sections(problem.objective, [quantity], summit.scale, edges, places, summit.inside, infinite)
    if quantity.name in summit.cells:
        return *_in_category(sections, quantity, summit, value), value == 0.0
    for side in (-1.0, 1.0):
        edge = quantity.edge(summit.x, side)
        if np.isfinite(edge) and abs(value - edge) <= 1e-12 * max(1.0, abs(edge)):
            x, height = _at_edge(sections, quantity, summit, side)
            summit.compare(sections.objective, x, height)
            return x, height, True
    path = _path_to(quantity, summit, value)
    x, height, here = summit.x, summit.value, quantity.path(summit.x)
    stops = int(np.clip(np.ceil(abs(path - here) / (_STRETCH * summit.deviation(quantity))), 1, _PATHS))
    for stop in np.linspace(here, path, stops + 1)[1:]:
        last = x
        for start in (last, *(rays(problem, quantity, last, float(stop)) if summit.checks else ())):
            x, height = sections.peak(np.array([stop]), start)
            if np.isfinite(height):
                break
        if not np.isfinite(height):
            raise InputError(
                f"{quantity.name} cannot be {value:.6g}", quantity.name, "choose a value inside its support"
            )
        summit.compare(sections.objective, x, height)
    return x, height, False


def _in_category(sections: Sections, quantity: Quantity, summit: Summit, value: float) -> tuple[Vector, float]:
    """The maximum with a category at a value that has the probability 0 at the maximum itself.

    Raises
    ------
    InputError
        If the value is no probability below 1.
    """
    if value == 0.0:
        return summit.x, summit.value
    if not 0.0 < value < 1.0:
        raise InputError(f"{quantity.name} cannot be {value:.6g}", quantity.name, "choose a value inside its support")
    x, height = sections.peak(np.array([value]), summit.entered(summit.x, quantity.name, value))
    summit.compare(sections.objective, x, height)
    return x, height


def _at_edge(sections: Sections, quantity: Quantity, summit: Summit, side: float) -> tuple[Vector, float]:
    """The maximum with a scalar at its edge: as far out as the likelihood still changes.

    Raises
    ------
    NumericalError
        If the likelihood cannot be computed on the way there.
    """
    x, here = summit.x, quantity.path(summit.x)
    if quantity.coordinate in summit.places and quantity.edge(x, side) == quantity.edge(x, np.sign(here)):
        return summit.x, summit.value
    best, least, before = -np.inf, EQUAL, summit.value
    for _ in range(_STRIDES):
        here += side * _STRIDE
        found, height = sections.peak(np.array([here]), x)
        if not np.isfinite(height):
            if quantity.coordinate < 0:
                raise NumericalError(f"the refits of {quantity.name} fail near its edge", quantity.name, "rescale it")
            # So near the edge a search can drown in rounding; the other coordinates hardly move there any more.
            found = np.where(np.arange(x.size) == quantity.coordinate, here, x)
            height = sections.objective.value(found)
        if height < summit.value - _HOPELESS:
            break
        change = abs(height - before)
        if change > 10.0 * least and least < EQUAL:  # from here on it is rounding that changes
            break
        x, before = found, height
        if change < least:
            best, least = height, change
        if change < _LEVEL * max(1.0, abs(height)):
            break
    return x, best


def _path_to(quantity: Quantity, summit: Summit, value: float) -> float:
    """The path value at which a scalar has this value.

    Raises
    ------
    InputError
        If it never has.
    """
    if quantity.coordinate < 0:
        return value
    if quantity.angle:
        return quantity.path(summit.x) + quantity.beyond(value, float(quantity(summit.x)[0])) / quantity.weights[0]

    def gap(here: float) -> float:
        point = summit.x.copy()
        point[quantity.coordinate] = here
        return float(quantity(point[None])[0]) - value

    here, step = quantity.path(summit.x), summit.deviation(quantity)
    start = gap(here)
    if start == 0.0:
        return here
    for _ in range(60):
        for side in (-1.0, 1.0):
            end = gap(here + side * step)
            if np.sign(end) != np.sign(start):
                return float(optimize.brentq(gap, here, here + side * step, xtol=1e-300, rtol=1e-15))
        step *= 2.0
        if not quantity.real and step > 2 * FAR:
            break
    raise InputError(f"{quantity.name} cannot be {value:.6g}", quantity.name, "choose a value inside its support")
