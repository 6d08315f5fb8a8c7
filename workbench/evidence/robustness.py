"""How the evidence depends on the fixed numbers of the priors, from the draws of one fit.

With eta a number in the prior of a free variable and p(theta; eta) that prior,

    d log p(y) / d eta           = E_post[ d log p(theta; eta) / d eta ]
    log p(y; eta') - log p(y; eta) = log E_post[ p(theta; eta') / p(theta; eta) ]

so the draws of the model as it stands give the whole curve: each is reweighted by a ratio of priors, which costs no
evaluation of the likelihood. Where the reweighting breaks down (Pareto k above 0.7) the curve goes on from draws of its
own under the prior that was reached, and what lies between is averaged over both; the compiled target takes the moved
number as an input.

A scale or a shape goes through a tenth to ten times its value, t = log factor; a location through two prior scales on
either side, t = shift in prior scales.

References: Kass and Raftery 1995, doi:10.1080/01621459.1995.10476572, section 5 (sensitivity to the prior); Vehtari and
others 2024, https://jmlr.org/papers/v25/19-556.html (Pareto smoothing).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.check import Check
from workbench.errors import InputError
from workbench.evidence.bridge_equation import effective_size
from workbench.evidence.estimate import Evidence
from workbench.evidence.narrowing import Narrowing
from workbench.evidence.reweighting import TAIL_LIMIT, Walk
from workbench.model.hyperparameters import Hyperparameters
from workbench.model.nuts import run_nuts
from workbench.model.prior_numbers import Hyperparameter
from workbench.numerics.objective import Vector
from workbench.result import Result

Matrix = NDArray[np.float64]

_MOVED = 1.0  # nats between half and twice a scale: the least difference that Kass and Raftery call positive evidence
_CHAINS, _DRAWS, _TUNE = 4, 500, 400  # of a refit
_FACTORS = np.union1d(10.0 ** (np.arange(-20, 21) / 20), [0.5, 2.0])
_STEP = 0.01  # in t, between which the curve's own slope is taken
_SLOPES = 1e-3  # relative: by which the two slopes, of the same draws, may differ
_SIGMAS = 4.0  # combined standard errors by which they may do so where they are of different draws


@dataclass(frozen=True, repr=False, eq=False)
class Robustness(Result):
    """The evidence as a curve over every hyperparameter that was asked for.

    Attributes
    ----------
    log_evidence, std_error : float
        Of the model as it stands, nats.
    kind : dict of str to {"scale", "shape", "location"}
        Hyperparameter, such as ``mu.sigma`` -> how it is moved.
    value : dict of str to ndarray
        In the model as it stands.
    move : dict of str to ndarray, shape (k,)
        Factors of a scale or a shape, shifts of a location in prior scales; ascending.
    change : dict of str to ndarray, shape (k,)
        log p(y) there minus log p(y) of the model as it stands, nats.
    error : dict of str to ndarray, shape (k,)
        Standard errors of the changes, nats.
    pareto_k : dict of str to ndarray, shape (k,)
        Of the reweighting that led there.
    refits : dict of str to ndarray
        Moves at which the curve goes on from draws of its own.
    slope : dict of str to (float, float)
        d log p(y) / d log factor, or per prior scale for a location, and its standard error, nats.
    """

    log_evidence: float
    std_error: float
    kind: dict[str, str]
    value: dict[str, NDArray[np.float64]]
    move: dict[str, Vector]
    change: dict[str, Vector]
    error: dict[str, Vector]
    pareto_k: dict[str, Vector]
    refits: dict[str, Vector]
    slope: dict[str, tuple[float, float]]
    title: ClassVar[str] = "the evidence as its priors change"

    def at(self, name: str, move: float) -> tuple[float, float]:
        """The change of log p(y) at a move of the curve, and its standard error, nats.

        Parameters
        ----------
        name : str
            A hyperparameter.
        move : float
            The nearest move of the curve is taken.

        Returns
        -------
        change, std_error : float

        Raises
        ------
        InputError
            If there is no curve of this name.
        """
        if name not in self.move:
            raise InputError(f"there is no curve of {name!r}", "evidence robustness", f"there are {list(self.move)}")
        nearest = int(np.argmin(np.abs(self.move[name] - move)))
        return float(self.change[name][nearest]), float(self.error[name][nearest])

    def against(self, other: Robustness, name: str) -> pd.DataFrame:
        """The log Bayes factor of this model against another while a hyperparameter moves.

        It moves in both models if both have a curve of that name over the same moves, else in this one only.

        Parameters
        ----------
        other : Robustness
            Of another model of the same data.
        name : str
            A hyperparameter of this model.

        Returns
        -------
        pandas.DataFrame
            One row a move: ``log BF`` and ``std_error``, nats.

        Raises
        ------
        InputError
            If this model has no curve of that name.
        """
        self.at(name, 1.0)
        both = name in other.move and np.array_equal(other.move[name], self.move[name])
        theirs = (other.change[name], other.error[name]) if both else (0.0, 0.0)
        factor = self.log_evidence + self.change[name] - other.log_evidence - theirs[0]
        error = np.sqrt(self.std_error**2 + other.std_error**2 + self.error[name] ** 2 + theirs[1] ** 2)
        return pd.DataFrame({"log BF": factor, "std_error": error}, index=pd.Index(self.move[name], name=name))

    def table(self) -> pd.DataFrame:
        """One row a hyperparameter: value, slope, and what a smaller and a larger one would do to log p(y)."""
        rows = {}
        for name, kind in self.kind.items():
            low, high = _near(kind)
            rows[name] = {
                "value": _shown(self.value[name]), "slope": self.slope[name][0], "std_error": self.slope[name][1],
                "lower": self.at(name, low)[0], "its error": self.at(name, low)[1],
                "higher": self.at(name, high)[0], "error": self.at(name, high)[1],
                "range": float(np.ptp(self.change[name])), "refits": len(self.refits[name]),
            }  # fmt: skip
        return pd.DataFrame.from_dict(rows, orient="index")

    def notes(self) -> list[str]:
        """What the columns mean, and what changes with each number, in words."""
        lines = [
            f"log p(y) = {self.log_evidence:.6g} nats as the model stands; slope in nats per e-fold (a location: per "
            "prior scale), lower and higher: changes of log p(y) at half and twice the number (a location: one prior "
            "scale down and up), range: over a tenth to ten times (two scales either way)"
        ]
        return [*lines, *(self.in_words(name) for name in self.kind), *super().notes()]

    def in_words(self, name: str) -> str:
        """What happens to log p(y) if a hyperparameter is changed, in one sentence.

        Parameters
        ----------
        name : str

        Returns
        -------
        str
        """
        low, high = _near(self.kind[name])
        down, up = self.at(name, low)[0], self.at(name, high)[0]
        turned = ("halved", "doubled") if self.kind[name] != "location" else ("one scale lower", "one scale higher")
        text = f"log p(y) {_goes(up)} if {name} is {turned[1]}, and {_goes(down)} if it is {turned[0]}"
        most = max(abs(down), abs(up))
        return f"{text}: Bayes factors up to {most:.2g} nats hang on it" if most >= _MOVED else text


def _near(kind: str) -> tuple[float, float]:
    """The moves that are spoken of."""
    return (-1.0, 1.0) if kind == "location" else (0.5, 2.0)


def _shown(value: NDArray[np.float64]) -> str:
    """A number, or the range of an array."""
    if np.ptp(value) == 0:
        return f"{value.flat[0]:.6g}"
    return f"{value.min():.4g} to {value.max():.4g}"


def _goes(change: float) -> str:
    """A change in words."""
    if np.isnan(change):
        return "is not known"
    if abs(change) < 0.005:
        return "stays the same"
    return f"{'rises' if change > 0 else 'falls'} by {abs(change):.2g} nats"


def moves_of(kind: str) -> tuple[Vector, Vector]:
    """The moves of a curve, and t at each.

    Parameters
    ----------
    kind : {"scale", "shape", "location"}

    Returns
    -------
    move, t : ndarray, shape (k,)
        Ascending, with the model as it stands among them.
    """
    if kind == "location":
        shifts = np.arange(-10, 11) / 5.0
        return shifts, shifts
    return _FACTORS, np.log(_FACTORS)


def vary_priors(
    hyperparameters: Hyperparameters,
    names: Iterable[str],
    z: Matrix,
    evidence: Evidence,
    seed: int,
) -> Robustness:
    """The evidence as a function of hyperparameters, from posterior draws.

    Parameters
    ----------
    hyperparameters : Hyperparameters
    names : iterable of str
        Of hyperparameters or of free variables; by default the scales of the priors of parameters.
    z : ndarray, shape (chains, draws, d)
        Posterior draws.
    evidence : Evidence
        Of the model as it stands; its doubts are those of every curve.
    seed : int
        Of the draws under other priors.

    Returns
    -------
    Robustness

    Raises
    ------
    InputError
        If a name is unknown.
    RefusalError
        If a variable has no fixed number that can be moved.
    """
    curves: dict[str, dict[str, Vector]] = {"change": {}, "error": {}, "pareto_k": {}, "refits": {}, "move": {}}
    chosen, slopes, gaps = hyperparameters.chosen(names), {}, {}
    for number, one in enumerate(chosen):
        move, t = moves_of(one.kind)
        rows, anchors = _curve(hyperparameters, one, z, t, np.random.SeedSequence([seed, number]))
        change, error, k = np.array(rows).T
        kept = np.array([move_of(one.kind, anchor) for anchor in anchors])
        for key, array in zip(curves, (change, error, k, kept, move), strict=True):
            curves[key][one.name] = array
        average = _slope(hyperparameters, one, z)
        if one.widens:
            slopes[one.name], gaps[one.name] = slope_over_bounds(average, t, change, error)
        else:
            slopes[one.name], gaps[one.name] = average, _slope_gap(hyperparameters, one, z, average[0])
    found = Robustness(
        checks=(),
        log_evidence=evidence.log_evidence,
        std_error=evidence.std_error,
        kind={one.name: one.kind for one in chosen},
        value={one.name: one.value for one in chosen},
        slope=slopes,
        **curves,
    )
    return replace(found, checks=(*_checks(found, gaps), *evidence.doubts))


def move_of(kind: str, t: float) -> float:
    """The move that t means: a factor, or a shift in prior scales.

    Parameters
    ----------
    kind : {"scale", "shape", "location"}
    t : float

    Returns
    -------
    float
    """
    return t if kind == "location" else float(np.exp(t))


def _curve(
    hyperparameters: Hyperparameters, one: Hyperparameter, z: Matrix, t: Vector, seeds: np.random.SeedSequence
) -> tuple[list[tuple[float, float, float]], list[float]]:
    """Change, error and Pareto k at every t, ascending, and where there were refits."""

    def log_prior(points: Matrix, move: float, own: float = 0.0) -> Matrix:
        flat = points.reshape(-1, points.shape[-1])
        return hyperparameters.log_prior(one, flat, move, own).reshape(points.shape[:2])

    def refit(move: float) -> Matrix:
        # Each set of draws has a seed of its own: with one for all, neighbours would share their errors.
        seed, target = int(seeds.spawn(1)[0].generate_state(1)[0]), hyperparameters.target(one, move)
        start = hyperparameters.carried(one, z.mean(axis=(0, 1)), move)
        return run_nuts(target, start, draws=_DRAWS, tune=_TUNE, chains=_CHAINS, seed=seed).z

    if one.widens:  # the widest support first
        block = hyperparameters.density.space.blocks[one.variable]
        narrowing = Narrowing(lambda points, own, move: log_prior(points, move, own), refit, z, block)
        return narrowing.follow(t[:: -one.widens])[:: -one.widens], sorted(narrowing.refits)
    sides = [Walk(log_prior, refit, z) for _ in range(2)]
    down, up = sides[0].follow(t[t < 0][::-1]), sides[1].follow(t[t > 0])
    return [*down[::-1], (0.0, 0.0, 0.0), *up], sorted([*sides[0].refits, *sides[1].refits])


def _slope(hyperparameters: Hyperparameters, one: Hyperparameter, z: Matrix) -> tuple[float, float]:
    """The average derivative with its standard error."""
    terms = hyperparameters.slope(one, z.reshape(-1, z.shape[-1])).reshape(z.shape[:2])
    return float(terms.mean()), float(terms.std() / np.sqrt(effective_size(terms)))


def slope_over_bounds(
    average: tuple[float, float], t: Vector, change: Vector, error: Vector
) -> tuple[tuple[float, float], float]:
    """The better known of two slopes where the support moves, and by how much more than their errors they differ.

    The first is the average derivative of the target at a fixed z, the second that of the curve around t = 0. What half
    the step would change in the latter, a third of what twice the step does, is a part of its error.

    Parameters
    ----------
    average : (float, float)
        The first, with its standard error.
    t, change, error : ndarray, shape (k,)
        The curve.

    Returns
    -------
    slope : (float, float)
        With its standard error.
    gap : float
        Relative; 0 where the two agree within four combined standard errors.
    """
    here, fixed = int(np.flatnonzero(t == 0.0)[0]), np.full(2, np.nan)
    for number, step in enumerate((1, 2)):
        ends = [here - step, here + step]
        fixed[number] = np.diff(change[ends])[0] / np.diff(t[ends])[0]
    noise = float(np.linalg.norm(error[[here - 1, here + 1]]) / (t[here + 1] - t[here - 1]))
    counted = (float(fixed[0]), float(np.hypot(noise, (fixed[1] - fixed[0]) / 3.0)))
    if not np.isfinite(counted).all():
        return average, 0.0
    slope = min(average, counted, key=lambda found: found[1])
    apart = abs(average[0] - counted[0]) - _SIGMAS * float(np.hypot(average[1], counted[1]))
    return slope, max(0.0, apart) / (1.0 + abs(slope[0]))


def _slope_gap(hyperparameters: Hyperparameters, one: Hyperparameter, z: Matrix, slope: float) -> float:
    """How far the slope of the curve lies from the average derivative of the same draws, relative."""
    flat = z.reshape(-1, z.shape[-1])
    here = hyperparameters.log_prior(one, flat, 0.0)
    high, low = (
        float(np.log(np.mean(np.exp(hyperparameters.log_prior(one, flat, step) - here)))) for step in (_STEP, -_STEP)
    )
    return abs((high - low) / (2 * _STEP) - slope) / (1.0 + abs(slope))


def _checks(found: Robustness, gaps: dict[str, float]) -> tuple[Check, ...]:
    """Whether the curves can be relied on, whether their slopes are right, whether a conclusion hangs on a prior."""
    worst = {name: float(k.max()) for name, k in found.pareto_k.items()}
    guilty = max(worst, key=worst.__getitem__)
    bad = worst[guilty] > TAIL_LIMIT
    message = f"largest Pareto k {worst[guilty]:.2f} ({guilty}), limit {TAIL_LIMIT}"
    if bad:
        unknown = found.move[guilty][found.pareto_k[guilty] > TAIL_LIMIT]
        message += f": not known from {unknown.min():.3g} to {unknown.max():.3g} times the move"
    remedy = "draw more, or fit the model with that prior and compare the two"
    checks = [Check("robustness-tails", "failed" if bad else "ok", message, remedy if bad else "")]
    guilty = max(gaps, key=gaps.__getitem__)
    bad = not gaps[guilty] <= _SLOPES
    message = (
        f"average derivative and slope of the curve differ by {gaps[guilty]:.1e} ({guilty}), relative, limit {_SLOPES}"
    )
    remedy = "the two are of the same draws and must agree: please report the model"
    checks.append(Check("robustness-slope", "failed" if bad else "ok", message, remedy if bad else ""))
    moved = {n: max(abs(found.at(n, m)[0]) for m in _near(kind)) for n, kind in found.kind.items()}
    guilty = max(moved, key=moved.__getitem__)
    bad = moved[guilty] > _MOVED
    message = f"half and twice {guilty} change log p(y) by up to {moved[guilty]:.2g} nats, limit {_MOVED:g}"
    remedy = "say why this number and no other, or show the Bayes factor over its range"
    checks.append(Check("robustness-prior", "caution" if bad else "ok", message, remedy if bad else ""))
    return tuple(checks)
