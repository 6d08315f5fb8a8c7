"""The expected information where it is an integral over one observation at a time.

Where observations are independent given theta, and each is one number, the average of minus the Hessian over data from
the model is a sum of one-dimensional integrals,

    E[I] = - sum_i sum_y p(y given theta, i) d2 log p(y given theta, i) / d theta2,

a sum over whole numbers or a quadrature over real ones. With w_i = p(y_k given theta-hat, i) dy_k as weights of the
observations, all of them set to the node y_k, it is minus the Hessian of a weighted log likelihood, which costs one
gradient a node. It is used where the probabilities of every observation add up to 1 and the expected score is 0, as
they must; elsewhere (censored or dependent observations, heavy tails) data have to be simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.errors import NumericalError
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.observations import Observations, depend_on_each_other
from workbench.model.program import Weights
from workbench.numerics.objective import FunctionObjective, Objective, Vector

_LOST = 1e-10  # of the probability of an observation
_ZERO = 1e-7  # of a score, in standard errors of its own
_MOST = 4000  # whole numbers
_WORK = 100_000_000  # log densities of single observations that the integrals may cost
_STEP = 0.08  # of the trapezoidal rule after y = m + s sinh(t), which makes it converge exponentially
_REACHES = (4.5, 14.0)  # of t: for tails of a Normal, and for those of a Student t

_Node = tuple[str, NDArray, NDArray[np.float64]]  # observed variable, its data at a node, the weights there


def expected_objective(density: LogDensity, x: Vector, simulated: list[dict[str, NDArray]]) -> Objective | None:
    """A log likelihood averaged over data from the model: its Hessian at x is minus the expected information.

    Parameters
    ----------
    density : LogDensity
        Without latent variables.
    x : ndarray, shape (d,)
        Where the data are from.
    simulated : list of dict of str to ndarray
        A few data sets from there: they say where each observation lies.

    Returns
    -------
    Objective or None
        None where the integrals do not fall apart, or cannot be trusted.
    """
    if not simulated or density.latents or density.summation is not None or depend_on_each_other(density):
        return None
    observations, nodes = Observations(density), []
    for name, shape in density.likelihood_shapes.items():
        data = np.asarray(density.symbolic.observed[name])
        if data.shape != shape or not data.size:
            return None
        found = _nodes(observations, name, data, x, simulated, density.work)
        if found is None:
            return None
        nodes += found
    averaged = _averaged(density, nodes)
    return averaged if _balanced(density, averaged, x, simulated) else None


def _nodes(
    observations: Observations,
    name: str,
    data: NDArray,
    x: Vector,
    simulated: list[dict[str, NDArray]],
    work: int,
) -> list[_Node] | None:
    """Nodes and weights of one observed variable; None where its probabilities do not add up to 1."""
    drawn = np.stack([one[name] for one in simulated]).astype(np.float64)
    whole = data.dtype.kind in "iub"
    for y, widths in _places(drawn, whole, max(1, _WORK // (work * max(1, x.size) ** 2))):
        found, total = list[_Node](), np.zeros(data.shape)
        for place, width in zip(y, widths, strict=True):
            at = np.broadcast_to(place, data.shape).astype(data.dtype)
            weights = np.exp(_terms(observations, name, at, x)) * width
            if not np.all(np.isfinite(weights)):
                break
            found.append((name, at, weights))
            total += weights
            if whole and np.max(np.abs(total - 1.0)) < _LOST / 100:
                break
        if np.max(np.abs(total - 1.0)) < _LOST:
            return found
    return None


def _terms(observations: Observations, name: str, data: NDArray, x: Vector) -> NDArray[np.float64]:
    """The log likelihood of every observation of one variable, in the shape of its data, nats."""
    place, sizes = list(observations.shapes).index(name), [int(np.prod(s)) for s in observations.shapes.values()]
    first = sum(sizes[:place])
    with np.errstate(all="ignore"):
        return observations.log_likelihood(x[None], {name: data})[0, first : first + sizes[place]].reshape(data.shape)


def _places(drawn: NDArray[np.float64], whole: bool, most: int) -> Iterator[tuple[NDArray, NDArray]]:
    """Nodes, shape ``(k, ...)``, and what stands for dy there: whole numbers, or a rule on one of three lines."""
    if whole:
        count = min(_MOST, most)
        yield np.arange(count).reshape(-1, *(1,) * (drawn.ndim - 1)), np.ones(count)
        return
    lines = []
    if np.all(drawn > 0):
        if np.all(drawn < 1):
            lines.append((np.log(drawn / (1 - drawn)), lambda u: 1 / (1 + np.exp(-u)), lambda y: y * (1 - y)))
        lines.append((np.log(drawn), np.exp, lambda y: y))
    lines.append((drawn, lambda u: u, np.ones_like))
    for reach in _REACHES:
        t = np.arange(-reach, reach + _STEP / 2, _STEP)
        if t.size > most:
            return
        t = t.reshape(-1, *(1,) * (drawn.ndim - 1))
        for u, back, slope in lines:
            centre, scale = u.mean(axis=0), u.std(axis=0)
            with np.errstate(all="ignore"):
                y = back(centre + scale * np.sinh(t))
                yield y, slope(y) * scale * np.cosh(t) * _STEP


def _averaged(density: LogDensity, nodes: list[_Node]) -> Objective:
    """The sum of the weighted log likelihoods of all nodes."""
    nothing = {name: np.zeros(shape) for name, shape in density.likelihood_shapes.items()}
    parts = []
    for name, data, weights in nodes:
        given: Mapping[str, NDArray] = nothing | {name: weights}
        parts.append(density.objective(Weights(prior=0.0, jacobian=0.0, likelihood=given), {name: data}))

    def function(z: Vector) -> tuple[float, Vector]:
        values = [part.value_and_gradient(z) for part in parts]
        return float(sum(value for value, _ in values)), np.sum([gradient for _, gradient in values], axis=0)

    return FunctionObjective(density.space.dimension, function)


def _balanced(density: LogDensity, averaged: Objective, x: Vector, simulated: list[dict[str, NDArray]]) -> bool:
    """Whether the expected score is 0, beside the scores of data sets: what holds for every regular model."""
    try:
        scores = [density.objective(LIKELIHOOD, data=one).value_and_gradient(x)[1] for one in simulated]
        expected = averaged.value_and_gradient(x)[1]
    except NumericalError:
        return False
    spread = np.sqrt(np.mean(np.square(scores), axis=0))
    return bool(np.all(np.abs(expected) <= _ZERO * spread + 1e-12))
