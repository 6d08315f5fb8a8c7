"""The bound of a profile interval: the value of a scalar at which the signed root of the deviance reaches its quantile.

It is root-solved on exact refits between two values, one inside the interval and one outside. Where the likelihood is
not continuous there may be no root; the bound is then the place of the jump.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize

from workbench.errors import NumericalError
from workbench.likelihood.section import Sections
from workbench.likelihood.summit import Summit
from workbench.numerics.objective import Vector

_JUMPY = "centre or rescale the data, or keep the model away from there by its priors"
_OPEN = "there is no maximum, and others run to their limits: give one that likelihood maximum names a fixed value"
MISSED = 1e-6  # nats of deviance: a bound that is further off than this is none
_JUMPS = 1e-2  # nats: a smaller jump is one of refits
_FARTHER = 1e-3  # of max(1, abs(place)): beyond a jump
_SOLVED = 1e-10  # of zeta at a bound


def refit(
    sections: Sections, summit: Summit, here: float, starts: Sequence[Vector], every: bool = False
) -> tuple[Vector, float]:
    """The maximum on a section and zeta there, from the first start that leads to one.

    Parameters
    ----------
    sections : Sections
    summit : Summit
    here : float
        The path value that is held.
    starts : sequence of ndarray, shape (p,)
    every : bool
        Whether to take the highest from all of them.

    Returns
    -------
    x : ndarray, shape (p,)
    zeta : float
        Infinite where the section could not be reached.

    Raises
    ------
    BetterMaximum
        If it is higher than the summit.
    """
    found, value = sections.peak(np.array([here]), starts[0])
    for start in starts[1:]:
        if np.isfinite(value) and not every:
            break
        other, height = sections.peak(np.array([here]), start)
        found, value = (other, height) if height > value or not np.isfinite(value) else (found, value)
    summit.compare(sections.objective, found, value)
    return found, float(np.sqrt(2.0 * max(summit.value - value, 0.0)))


def solve_bound(
    sections: Sections,
    summit: Summit,
    target: float,
    bracket: tuple[float, float],
    ends: tuple[Vector, Vector],
    spare: Sequence[Vector] = (),
) -> tuple[Vector, float]:
    """The point in a bracket at which zeta reaches its target, and the deviance there.

    Where the likelihood itself jumps over it, as at an observation beside a change point, the last point inside and the
    deviance beyond. So does the profile where another scalar comes to its edge there: the mean of data that are all
    censored at 3 may be anything above 3, with a scale of 0, and below 3 no scale makes up for it.

    Parameters
    ----------
    sections : Sections
    summit : Summit
    target : float
    bracket : (float, float)
        Path values, inside and outside.
    ends : (ndarray, ndarray)
        Refits there.
    spare : sequence of ndarray, shape (p,)
        Where there is no maximum: other starts, for there the highest of all refits counts.

    Returns
    -------
    x : ndarray, shape (p,)
    deviance : float
        Nats.

    Raises
    ------
    NumericalError
        If zeta jumps over it.
    """
    known, every = dict(zip(bracket, ends, strict=True)), bool(spare)

    def near(here: float) -> list[Vector]:
        return [known[min(known, key=lambda place: abs(place - here))], *ends, *spare]

    def gap(here: float) -> float:
        known[here], height = refit(sections, summit, here, near(here), every)
        return 0.0 if abs(height - target) < _SOLVED else height - target

    root = optimize.brentq(gap, *bracket, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=100, disp=False)
    found, height = refit(sections, summit, root, near(root), every)
    if every and np.isfinite(height) and sections.rises(np.array([root]), found):
        name, where = sections.quantities[0].name, float(sections.quantities[0](found)[0])
        what = (
            f"the refits of the profile of {name} end near {where:.6g} although the likelihood still rises: numbers end"
        )
        raise NumericalError(what, name, _OPEN)
    if abs(height**2 - target**2) > MISSED:
        inside, outside = _beside(sections, summit, target, known)
        if _steps(sections, inside, outside) or (every and _drops(sections, summit, target, inside, outside, spare)):
            return inside, float(2.0 * (summit.value - sections.objective.value(outside)))
        name = sections.quantities[0].name
        what = f"the profile of {name} jumps: refits next to each other reach different maxima"
        raise NumericalError(what, name, _OPEN if every else _JUMPY)
    return found, height**2


def _beside(sections: Sections, summit: Summit, target: float, known: Mapping[float, Vector]) -> tuple[Vector, Vector]:
    """The refits on both sides of the place where zeta passes its target."""
    inner, outer = list[float](), list[float]()
    for place, x in known.items():
        rises = 2.0 * (summit.value - sections.objective.value(x)) > target**2
        (outer if rises else inner).append(place)
    near, far = min(((a, b) for a in inner for b in outer), key=lambda pair: abs(pair[0] - pair[1]))
    return known[near], known[far]


def _steps(sections: Sections, inside: Vector, outside: Vector) -> bool:
    """Whether the likelihood itself jumps from one side to the other, with the other coordinates held."""
    quantity, objective = sections.quantities[0], sections.objective
    if quantity.coordinate < 0:
        return False
    moved = inside.copy()
    moved[quantity.coordinate] = outside[quantity.coordinate]
    drop = objective.value(inside) - objective.value(outside)
    return bool(drop > _JUMPS and objective.value(inside) - objective.value(moved) > drop / 2)


def _drops(
    sections: Sections, summit: Summit, target: float, inside: Vector, outside: Vector, spare: Sequence[Vector]
) -> bool:
    """Whether the profile is lower beyond a jump from wherever the others are sought, also farther on."""
    near, far = (sections.quantities[0].path(x) for x in (inside, outside))
    places = (far, far + _FARTHER * (far - near) / max(abs(far - near), 1e-300) * max(1.0, abs(far)))
    return all(refit(sections, summit, at, (inside, outside, *spare), every=True)[1] > target for at in places)
