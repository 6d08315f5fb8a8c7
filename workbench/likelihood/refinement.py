"""The maximum of an integral over latent variables that is as fine as it has to be.

The starts climb a coarse integral. From where they end it is refined until what is finer neither moves the maximum nor
changes its height: with more and more nodes where blocks are small; where they are larger from Laplace to nodes
inside nodes or to importance draws (`workbench.likelihood.nested`). AIC, BIC and deviances compare heights, so that a
height which is known to less than a tenth of a deviance is said to be.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import numpy as np

from workbench.check import Check
from workbench.errors import NumericalError
from workbench.likelihood.integral import LARGER, LONG, ORDERS, corrected, corrected_otherwise
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.numerics.climbs import Climb, distinct
from workbench.numerics.curvature import curvature_at, mended
from workbench.numerics.optimise import EDM_TOLERANCE, climb

_STEPS = 30
_LOST = 1.0  # nats below the best of these steps
_FARTHEST = 2.0  # nats that one of them may promise
_WAY_OUT = (
    "if one of them is a parameter, say so (parameters=[...]), and the rest may fall apart; or use draws: "
    "study.posterior.draws()"
)
_LEAST_EFFECTIVE = 20  # draws behind an average over a block: its error is then a quarter of a nat
_UPGRADE = 0.1  # standard errors by which Laplace may be wrong before it is replaced
_KNOWN = 0.05  # nats by which it may: a deviance, an AIC or a BIC is then known to a tenth
_CHEAP = 10_000_000  # terms at all points: a second for a gradient; for less the height is mended too
_SEEN = 5e-5  # nats that more nodes inside nodes may change before they are taken: a deviance is right to 1e-4
_SHIFT = 1e-4  # standard errors that the next order may still move the maximum
_CLOSE = 2e-7  # nats that the next order may still change: a deviance is then right to 1e-6
_EXACT = 1e-7  # nats: twice as many nodes give the same, to the rounding of a near-singular covariance
_NOTHING = 1e-12  # of the log likelihood, or nats below 1: the same number


@dataclass(frozen=True)
class Refined:
    """Climbs that end at the top of an integral, the highest first, and what is known about its error.

    Attributes
    ----------
    objective : MarginalLikelihood
    climbs : list of Climb
    check : Check
    """

    objective: MarginalLikelihood
    climbs: list[Climb]
    check: Check


def refine(marginal: MarginalLikelihood, climbs: list[Climb]) -> Refined:
    """Refine the integral over the latent variables from where climbs of a coarser one ended.

    Parameters
    ----------
    marginal : MarginalLikelihood
    climbs : list of Climb

    Returns
    -------
    Refined

    Raises
    ------
    NumericalError
        If the integral cannot be computed near the maximum, or draws that would have to correct it are too few.
    """
    fine, finer, found, moved = (_by_nodes if marginal.all_by_nodes else _by_laplace)(marginal, climbs)
    return Refined(fine, found, _integral_check(fine, finer, *moved))


_Found = tuple[MarginalLikelihood, MarginalLikelihood, list[Climb], tuple[float, float]]


def _by_nodes(marginal: MarginalLikelihood, climbs: list[Climb]) -> _Found:
    """The integral with as many nodes as it needs, one that is finer, the climbs, and how far the finer moves them."""
    for order in ORDERS:
        fine = marginal.with_order(order)
        climbs = _refined(fine, climbs)
        finer = fine.with_order(2 * order + 1)
        shift, change = _moved_by(finer, climbs[0])
        arrived = climbs[0].edm < EDM_TOLERANCE or not climbs[0].curvature.is_peak
        # With too few nodes the gradient is not quite that of the value; where twice as many say the same it is. And
        # what is left to climb where rounding stopped a climb is no error of the integral.
        same = change < _NOTHING * max(1.0, abs(climbs[0].value))
        if same or (shift < _SHIFT and change < (_CLOSE if arrived else _EXACT)):
            break
    return fine, finer, climbs, (shift, change)


def _by_laplace(marginal: MarginalLikelihood, climbs: list[Climb]) -> _Found:
    """The same for larger blocks: by Laplace, or by what replaces it where it is wrong or better costs little."""
    laplace, finer = marginal.with_order(LARGER), corrected(marginal)
    climbs = _refined(laplace, climbs)
    shift, change = _moved_by(finer, climbs[0])
    exact, cheap = finer.nest is not None and finer.nest.by_nodes, finer.nest is not None and finer.nest.work < _CHEAP
    wrong = shift > _UPGRADE or (cheap and change > (_CLOSE if exact else _KNOWN))
    peak = climbs[0].curvature.is_peak
    if wrong and peak and _enough_draws(finer, climbs[0], shift, change):
        climbs = _followed(finer, climbs)
    elif wrong and exact:
        climbs = _refined(finer, climbs)
    else:
        if peak:
            bend = curvature_at(laplace, climbs[0].z, step=LONG)
            climbs[0] = replace(climbs[0], curvature=bend) if bend.is_peak else climbs[0]
        return laplace, finer, climbs, (shift, change)
    other = corrected_otherwise(marginal)
    moved = _moved_by(other, climbs[0])
    if exact and cheap and moved[1] > _SEEN and climbs[0].curvature.is_peak:
        climbs = _followed(other, climbs)
        return other, finer, climbs, _moved_by(finer, climbs[0])
    return finer, other, climbs, moved


def _followed(finer: MarginalLikelihood, climbs: list[Climb]) -> list[Climb]:
    """The highest of the climbs, and all that ended there, taken to the maximum of a finer integral."""
    labels, end = distinct(climbs), _follow(finer, climbs[0])
    return [replace(end, start=other.start) for other, k in zip(climbs, labels, strict=True) if k == labels[0]]


def _refined(fine: MarginalLikelihood, climbs: list[Climb]) -> list[Climb]:
    """The climbs taken to the top of a finer integral, one search for each distinct optimum.

    Raises
    ------
    NumericalError
        If no search ends.
    """
    labels, ends = distinct(climbs), {}
    for k in range(int(labels.max()) + 1):
        with contextlib.suppress(NumericalError):
            ends[k] = climb(fine, climbs[int(np.flatnonzero(labels == k)[0])].z)
    if not ends:
        raise NumericalError("the latent variables cannot be integrated near the maximum", "latents",
                             "use draws: study.posterior.draws()")  # fmt: skip
    return sorted((ends[k] for k in labels if k in ends), key=lambda end: -end.value)


def _moved_by(finer: MarginalLikelihood, end: Climb) -> tuple[float, float]:
    """How far a finer integral would move the maximum, in standard errors, and its value, in nats."""
    value, gradient = finer.value_and_gradient(end.z)
    change = abs(value - end.value)
    if not end.curvature.is_peak:  # at an edge: the integral itself has to agree
        return (0.0 if change < _SHIFT else np.inf), change
    covariance = end.curvature.covariance
    return float(np.max(np.abs(covariance @ gradient) / np.sqrt(np.diag(covariance)))), change


def _enough_draws(finer: MarginalLikelihood, end: Climb, shift: float, change: float) -> bool:
    """Whether draws can correct Laplace; refuses where it is wrong about the maximum and they cannot."""
    worth = finer.effective_draws(end.z)
    if worth < _LEAST_EFFECTIVE and shift > _UPGRADE:
        names, block = ", ".join(finer.density.latents), max(group.shape[1] for group in finer.structure.groups)
        how = finer.nest.words if finer.nest is not None else "draws"
        raise NumericalError(
            f"the integral over {names} is not known: Laplace and {how} differ by {change:.3g} nats, and {block} "
            f"latent values in one block leave {worth:.2g} effective draws",
            names,
            _WAY_OUT,
        )
    return worth >= _LEAST_EFFECTIVE


def _follow(finer: MarginalLikelihood, end: Climb) -> Climb:
    """The maximum of the finer integral, by steps with the information of the coarser one, mended on the way.

    Its value with draws is noisy from one seed to another; where its gradient vanishes both are as good as they get.
    """
    x, covariance = end.z.copy(), end.curvature.covariance
    value, gradient = finer.value_and_gradient(x)
    first, edm = value, float(gradient @ covariance @ gradient) / 2
    for _ in range(_STEPS):
        if edm < EDM_TOLERANCE:
            break
        step, before = covariance @ gradient * min(1.0, np.sqrt(_FARTHEST / edm)), gradient
        x = x + step
        value, gradient = finer.value_and_gradient(x)
        first = max(first, value)
        if not value > first - _LOST:
            names = ", ".join(finer.density.latents)
            raise NumericalError(
                f"steps to the maximum of the integral over {names} by importance draws lead down: Laplace is too far "
                "off there", names, _WAY_OUT,
            )  # fmt: skip
        covariance = mended(covariance, step, before - gradient)  # that of Laplace may be far off
        edm = float(gradient @ covariance @ gradient) / 2
    bend = curvature_at(finer, x, step=LONG)
    return Climb(end.start, x, value, float(np.max(np.abs(gradient))), edm, bend)


def _integral_check(fine: MarginalLikelihood, finer: MarginalLikelihood, shift: float, change: float) -> Check:
    """What is known about the error of the integral over the latent variables."""
    blocks, names = fine.structure.n_blocks, ", ".join(fine.density.latents)
    how, other = (_how(one) for one in (fine, finer))
    moved = f"{shift:.1e} standard errors" if np.isfinite(shift) else "an unknown distance"
    remedy = "" if shift < _UPGRADE else "use draws: study.posterior.draws()"
    if not remedy and change > _KNOWN:
        remedy = f"estimates and errors hold; differences of AIC, BIC or deviance below {2 * change:.1g} mean nothing"
    return Check(
        "latents-integrated",
        "caution" if remedy else "ok",
        f"{names} integrated out in {blocks} block{'s' * (blocks != 1)} by {how}; {other} move the log likelihood by "
        f"{change:.1e} nats and the maximum by {moved}",
        remedy,
    )


def _how(marginal: MarginalLikelihood) -> str:
    """How the latent variables are integrated, in words."""
    if marginal.all_by_nodes:
        return f"{marginal.order}-point quadrature"
    return marginal.nest.words if marginal.nest is not None else "Laplace"
