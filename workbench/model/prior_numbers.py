"""Which numbers of a prior can be moved, and how: read from the graph of its distribution.

A number is moved by one real t, which is 0 in the model as it stands:

    eta(t) = eta exp(t)                   a scale or a shape, which is positive, also a whole covariance
    eta(t) = eta + t unit                 a location, or the one finite bound of a truncated Normal
    a(t), b(t) = c + exp(t) (a - c), ...  bounds of an interval; c is its end nearest 0, or its centre if 0 is inside

The last two and the minimum of a Pareto move the support of the prior with them. Distributions that are made of others,
such as a random walk of its innovations, have the numbers of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions.mixture import MixtureRV
from pymc.distributions.truncated import TruncatedRV
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable

from workbench.model.compiled import interpreted

Kind = Literal["scale", "shape", "location"]

# Parameters of the distributions in the order of PyMC's log densities, under the names there. A rate is the inverse of
# a scale; `made` stands for a distribution inside; what is left empty is a part of the distribution's definition.
_PARAMETERS: dict[str, str] = {
    "NormalRV": "mu:location sigma:scale",
    "HalfNormalRV": "- sigma:scale",
    "LogNormalRV": "mu:location sigma:scale",
    "TruncatedNormalRV": "mu:location sigma:scale lower:bound upper:bound",
    "SkewNormalRV": "mu:location sigma:scale alpha:location",
    "StudentTRV": "nu:shape mu:location sigma:scale",
    "HalfStudentTRV": "nu:shape sigma:scale",
    "SkewStudentTRV": "a:shape b:shape mu:location sigma:scale",
    "CauchyRV": "alpha:location beta:scale",
    "HalfCauchyRV": "beta:scale",
    "LaplaceRV": "mu:location b:scale",
    "AsymmetricLaplaceRV": "b:rate kappa:shape mu:location",
    "LogisticRV": "mu:location s:scale",
    "GumbelRV": "mu:location beta:scale",
    "MoyalRV": "mu:location sigma:scale",
    "ExGaussianRV": "mu:location sigma:scale nu:scale",
    "ExponentialRV": "scale:scale",
    "GammaRV": "alpha:shape scale:scale",
    "InvGammaRV": "alpha:shape beta:scale",
    "WeibullBetaRV": "alpha:shape beta:scale",
    "WaldRV": "mu:shape lam:shape -",
    "RiceRV": "b:shape sigma:scale",
    "ParetoRV": "alpha:shape m:minimum",
    "BetaRV": "alpha:shape beta:shape",
    "BetaClippedRV": "alpha:shape beta:shape",
    "KumaraswamyRV": "a:shape b:shape",
    "VonMisesRV": "mu:location kappa:shape",
    "UniformRV": "lower:bound upper:bound",
    "TriangularRV": "lower:bound c:inside upper:bound",
    "DirichletRV": "a:shape",
    "StickBreakingWeightsRV": "alpha:shape -",
    "MvNormalRV": "mu:location cov:covariance",
    "MvStudentTRV": "nu:shape mu:location scale:covariance",
    "ZeroSumNormalRV": "sigma:scale -",
    "CARRV": "mu:location - - tau:shape -",
    "LKJCorrRV": "- eta:shape",
    "_LKJCholeskyCovRV": "- eta:shape sd_dist:made",
    "RandomWalkRV": "init_dist:made innovation_dist:made -",
    "AutoRegressiveRV": "- sigma:scale init_dist:made -",
}
_KINDS: dict[str, Kind] = {"scale": "scale", "covariance": "scale", "rate": "scale", "minimum": "scale"}


@dataclass(frozen=True)
class Hyperparameter:
    """A fixed number, or an array of them, in the prior of a free variable.

    Attributes
    ----------
    name : str
        Variable and parameter, such as ``mu.sigma``.
    variable : str
    kind : {"scale", "shape", "location"}
        How it is moved: by a factor, or by a shift.
    value : ndarray
        In the model as it stands; of an interval its width.
    unit : float
        What a location moves by while t goes from 0 to 1: the scale of the prior if that is fixed, else 1.
    places : tuple of (tuple of int, ndarray, ndarray)
        What moves with it: positions among the inputs of the distribution (further ones lead into a distribution
        inside), the value there, and what does not move, so that a factor applies to the difference of the two.
    widens : {-1, 0, 1}
        Whether the support of the prior grows (1) or shrinks (-1) with t, or stays (0).
    """

    name: str
    variable: str
    kind: Kind
    value: NDArray[np.float64]
    unit: float
    places: tuple[tuple[tuple[int, ...], NDArray[np.float64], NDArray[np.float64]], ...]
    widens: int = 0

    def at(self, t: float) -> NDArray[np.float64]:
        """Its value after a move t."""
        return self.value + t * self.unit if self.kind == "location" else self.value * np.exp(t)

    def inputs(self, inputs: Sequence[Variable], t: Variable) -> list[Variable]:
        """The inputs of the distribution with this number moved by a symbolic t."""
        moved = list(inputs)
        for (first, *rest), value, fixed in self.places:
            if self.kind == "location":
                new = pt.constant(value) + t * self.unit
            else:
                new = pt.constant(fixed) + pt.constant(value - fixed) * pt.exp(t)
            moved[first] = _with_input(moved[first], rest, new) if rest else new
        return moved

    def moved(self, rv: Variable, t: Variable) -> Variable:
        """The random variable with this number moved by a symbolic t."""
        return _with_inputs(rv, self.inputs(rv.owner.inputs, t))


def _with_inputs(rv: Variable, inputs: list[Variable]) -> Variable:
    """The same random variable of other inputs."""
    node = rv.owner
    return node.clone_with_new_inputs(inputs, strict=False).outputs[node.outputs.index(rv)]


def _with_input(rv: Variable, path: Sequence[int], new: Variable) -> Variable:
    """The same random variable with one other input, which may be that of a distribution inside."""
    first, *rest = path
    inputs = list(rv.owner.inputs)
    inputs[first] = _with_input(inputs[first], rest, new) if rest else new
    return _with_inputs(rv, inputs)


@dataclass(frozen=True)
class _Number:
    """A fixed parameter of a distribution as it was found."""

    label: str
    word: str
    value: NDArray[np.float64]
    path: tuple[int, ...]

    def named(self, variable: str, kind: Kind, widens: int = 0) -> Hyperparameter:
        """The hyperparameter that moves this number alone."""
        place = (self.path, self.value, np.zeros_like(self.value))
        return Hyperparameter(f"{variable}.{self.label}", variable, kind, self.value, 1.0, (place,), widens)


def _parameters(rv: Variable) -> list[tuple[str, Variable]]:
    """The words for the parameters of a distribution, and the parameters; empty if it is not known."""
    node = rv.owner
    if node is None:
        return []
    op = node.op
    if isinstance(op, TruncatedRV):  # the parameters of what is truncated; its bounds stay
        words = _PARAMETERS.get(type(op.base_rv_op).__name__, "").split()
        kept = [word for word in words if not word.endswith(":bound")]
        return list(zip(kept, op.base_rv_op.dist_params(node)[: len(kept)], strict=True)) if words == kept else []
    if isinstance(op, MixtureRV):
        made = [v for v in node.inputs if v.owner is not None and hasattr(v.owner.op, "ndim_supp")]
        return [("components:made" if len(made) == 1 else f"component{i}:made", v) for i, v in enumerate(made)]
    words = _PARAMETERS.get(type(op).__name__, "").split()
    return list(zip(words, op.dist_params(node), strict=True)) if words else []


def _numbers(rv: Variable, free: set[Variable], label: str = "", path: tuple[int, ...] = ()) -> Iterator[list[_Number]]:
    """The fixed parameters of a distribution, and of those inside it, one list for each of them."""
    node, own = rv.owner, []
    for word, parameter in _parameters(rv):
        name, _, kind = word.partition(":")
        position = next(i for i, v in enumerate(node.inputs) if v is parameter)
        if kind == "made" and isinstance(parameter.owner.op, RandomVariable):
            yield from _numbers(parameter, free, f"{label}{name}.", (*path, position))
        elif isinstance(node.op, TruncatedRV) and parameter.type.dtype != "float64":
            continue  # it takes no other type than it was made with, and t needs 64 bits
        elif kind not in ("", "made") and not free & set(ancestors([parameter])):
            value = np.asarray(interpreted([], [parameter], stable=False)()[0], dtype=np.float64)
            own.append(_Number(f"{label}{name}", kind, value, (*path, position)))
    yield own


def numbers_of(rv: Variable, free: set[Variable]) -> list[Hyperparameter]:
    """The hyperparameters of one variable.

    Parameters
    ----------
    rv : random variable
    free : set of random variables
        All free variables: what depends on one of them is no fixed number.

    Returns
    -------
    list of Hyperparameter
    """
    found = []
    for numbers in _numbers(rv, free):
        unit = _unit(numbers)
        for number in numbers:
            if number.word == "minimum":
                found.append(number.named(rv.name, "scale", widens=-1))
            elif number.word not in ("bound", "inside"):
                kind: Kind = _KINDS.get(number.word, number.word)  # type: ignore[arg-type]
                found.append(replace(number.named(rv.name, kind), unit=unit))
        found += _bounds(rv, numbers, unit)
    return found


def _unit(numbers: list[_Number]) -> float:
    """The scale of a prior, if it is fixed, else 1."""
    for number in numbers:
        if number.word == "scale":
            return float(np.sqrt(np.mean(number.value**2)))
        if number.word == "rate":
            return float(np.sqrt(np.mean(number.value**-2.0)))
        if number.word == "covariance":
            return float(np.sqrt(np.mean(np.diagonal(number.value, axis1=-2, axis2=-1))))
    return 1.0


def _bounds(rv: Variable, numbers: list[_Number], unit: float) -> list[Hyperparameter]:
    """The width of an interval with two fixed bounds, or the one finite bound of a half line."""
    bounds = [n for n in numbers if n.word == "bound"]
    finite = [n for n in bounds if np.all(np.isfinite(n.value))]
    if len(bounds) < 2:
        return []
    if len(finite) == 1 and all(np.all(np.isinf(n.value)) for n in bounds if n is not finite[0]):
        widens = 1 if finite[0] is bounds[1] else -1
        return [replace(finite[0].named(rv.name, "location", widens=widens), unit=unit)]
    if len(finite) < 2:
        return []
    low, high = finite
    inside = [n for n in numbers if n.word == "inside"]
    if len(inside) < (type(rv.owner.op).__name__ == "TriangularRV"):  # its peak has to stay between the bounds
        return []
    fixed, label, value = 0.5 * (low.value + high.value), "width", np.asarray(high.value - low.value)
    if np.all(low.value >= 0):  # what is positive stays positive
        fixed, label = low.value, "width" if np.any(low.value) else high.label
    elif np.all(high.value <= 0):
        fixed, label = high.value, "width" if np.any(high.value) else low.label
        value = value if np.any(high.value) else low.value
    places = tuple((n.path, n.value, np.broadcast_to(fixed, np.broadcast_shapes(n.value.shape, fixed.shape)))
                   for n in (low, *inside, high))  # fmt: skip
    return [Hyperparameter(f"{rv.name}.{label}", rv.name, "scale", value, 1.0, places, widens=1)]


def why_none(rv: Variable) -> str:
    """Why a variable has no number that can be moved."""
    kind = type(rv.owner.op).__name__.removesuffix("RV")
    if isinstance(rv.owner.op, TruncatedRV) and _parameters(rv):
        return "PyMC keeps the numbers of a Truncated in 32 bits, unless they are given as np.float64(...)"
    if _parameters(rv):
        return "all of its numbers hang on other free variables, or bound its support together with one"
    return f"the numbers of its distribution, {kind}, are not known by name"


def why_fixed(rv: Variable, label: str) -> tuple[str, str]:
    """Why a number of a distribution that is known by name is not moved, and what to do instead.

    Parameters
    ----------
    rv : random variable
    label : str
        Such as ``w`` of a mixture.

    Returns
    -------
    why, fix : str
        Empty where the distribution has no number of that name, or moves it.
    """
    op, ends = rv.owner.op, ("lower", "upper")
    other = "fit the model with other numbers, and compare_models"
    if isinstance(op, MixtureRV) and label in ("w", "weights"):
        return "the weights of a mixture add up to one, so that none of them moves alone", other
    if type(op).__name__ == "AutoRegressiveRV" and label == "rho":
        return "a coefficient of an autoregression has no scale of its own, and decides whether it is stationary", other
    if isinstance(op, TruncatedRV) and label in ends:
        why = (
            f"the bounds of a Truncated {type(op.base_rv_op).__name__.removesuffix('RV')} stay: its density is derived"
        )
        return f"{why} with them inside", f"{other}; the bounds of a TruncatedNormal or a Uniform can be moved"
    if label in ends and any(word.partition(":")[0] == label for word, _ in _parameters(rv)):
        return (
            "of two bounds the one that is nearer to 0 stays, or both move with the width",
            "move the other, or width",
        )
    return "", ""
