"""The role of every free variable, read from the graph of the model.

A variable whose distribution depends on other free variables is latent. So is the standardised half of a non-centred
effect, which looks like a coefficient: eta ~ Normal(0, 1), and tau * eta enters the model. What gives it away is that
an affine function of a variable centred on 0 (indexed, summed, multiplied by fixed numbers) is multiplied or divided by
a function of another free variable (`workbench.model.effects`). With a vector of scale 1 and a factor that is positive
and enters in no other way the reading is settled; otherwise, as in w * z, it stays open and the user is asked; but a
scalar is a parameter unless its prior has scale 1, and so is the height b of a curve b exp(-k x), what stands in a
residual (y - X b) / sigma or beside a covariate b (x - x0), and a vector of which every value has a factor of its own,
such as the difficulties b of a slope (ability - b): what is shared by no two values is no scale that they have in
common. If such a vector has a prior of scale 1 too the user is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pymc as pm
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors

from workbench.errors import InputError
from workbench.model.effects import (
    Product,
    affine_in,
    bends,
    beside_others,
    from_data,
    is_basis,
    only_scales,
    products_of,
    shifted,
    underlying,
)
from workbench.model.terms import is_discrete

_POSITIVE = ("LogTransform", "LogExpM1", "CholeskyCovPacked")
# Distributions on the whole line that can be centred on 0 -> which of their parameters are centre and scale; None where
# they have no centre but 0, or where a fixed covariance matrix, such as that of neighbours, is a shape to be scaled.
_PLACES: dict[str, tuple[int | None, int | None]] = {
    "NormalRV": (0, 1), "LaplaceRV": (0, 1), "LogisticRV": (0, 1), "CauchyRV": (0, 1), "StudentTRV": (1, 2),
    "MvNormalRV": (0, None), "MvStudentTRV": (1, None), "ZeroSumNormalRV": (None, 0), "ICARRV": (None, 1),
    "CARRV": (0, 3),
}  # fmt: skip


def _steps(rv: Variable) -> Variable:
    """The steps of a random walk, which are centred and scaled as it is; anything else is itself."""
    return rv.owner.inputs[1] if type(rv.owner.op).__name__ == "RandomWalkRV" else rv


def _centred_on_zero(rv: Variable) -> bool:
    """Whether its prior is a distribution on the whole line around a fixed 0."""
    rv = _steps(rv)
    name = type(rv.owner.op).__name__
    return name in _PLACES and _always(rv, _PLACES[name][0], 0.0)


def _standard(rv: Variable) -> bool:
    """Whether the scale of its prior is 1: a scalar with any other is the coefficient of a curve, not an effect."""
    rv = _steps(rv)
    return _always(rv, _PLACES[type(rv.owner.op).__name__][1], 1.0)


def _one_each(model: pm.Model, rv: Variable, scales: list[Variable]) -> bool:
    """Whether every value of a vector has its own value of every scale."""
    if type(rv.owner.op).__name__ not in _PLACES or rv.owner.op.ndim_supp or rv.type.ndim == 0:
        return False
    dims = model.named_vars_to_dims

    def alike(scale: Variable) -> bool:
        named = dims.get(rv.name)
        return (named is not None and dims.get(scale.name) == named) or (
            None not in rv.type.shape and scale.type.shape == rv.type.shape
        )

    return all(alike(scale) for scale in scales)


def _always(rv: Variable, place: int | None, value: float) -> bool:
    """Whether a parameter of a distribution is fixed at this value everywhere."""
    if place is None:
        return True
    data = getattr(underlying(rv.owner.op.dist_params(rv.owner)[place]), "data", None)
    return data is not None and bool(np.all(np.asarray(data) == value))


def parents_of(model: pm.Model, summed: Iterable[str] = ()) -> dict[str, list[str]]:
    """Free variable -> the free variables on which its distribution depends, without those that are summed out."""
    free = [rv for rv in model.free_RVs if rv.name not in set(summed)]
    found = {}
    for rv in free:
        above = set(ancestors(rv.owner.inputs))
        found[rv.name] = [other.name for other in free if other is not rv and other in above]
    return found


def read_roles(model: pm.Model, summed: Iterable[str] = ()) -> dict[str, tuple[str, str]]:
    """The role of every free variable as the graph tells it, and why.

    Parameters
    ----------
    model : pm.Model
    summed : iterable of str
        Discrete variables that are summed out.

    Returns
    -------
    dict of str to (role, why)
        Role ``parameter``, ``latent``, ``ambiguous`` or ``discrete``.
    """
    free, summed = list(model.free_RVs), set(summed)
    parents = parents_of(model, summed)
    found: dict[str, tuple[str, str]] = {}
    for rv in free:
        if rv.name in summed:
            found[rv.name] = ("latent", "it is discrete: the sum over its values is part of the likelihood")
        elif is_discrete(rv):
            found[rv.name] = ("discrete", f"its values are of type {rv.dtype}")
        elif parents[rv.name]:
            found[rv.name] = ("latent", f"its distribution depends on {', '.join(parents[rv.name])}")
        else:
            found[rv.name] = ("parameter", "")
    targets = {rv for rv in free if found[rv.name][0] == "parameter" and _centred_on_zero(rv)}
    hidden = {rv for rv in free if found[rv.name][0] == "latent"}
    reader = _Reader(model, free, targets, hidden)
    # What is multiplied by an effect is read when it is known what the effects are.
    for product in sorted(reader.products, key=lambda p: bool(targets & set(ancestors([p.other])))):
        for rv in affine_in(product.factor, targets, reader.free):
            role, why = reader.read(product, rv)
            if role == "latent":
                reader.effects.append(product.whole)
            if role and found[rv.name][0] != "latent":
                found[rv.name] = (role, why)
    return found


class _Reader:
    """Reads from a product what its factor is: a standardised effect, a coefficient, or either of them.

    Parameters
    ----------
    model : pm.Model
    free : list of random variables
    targets, hidden : set of random variables
        What may be a standardised effect, and what is latent for sure.
    """

    def __init__(self, model: pm.Model, free: list[Variable], targets: set[Variable], hidden: set[Variable]) -> None:
        self.model, self.order, self.free, self.hidden = model, free, set(free), hidden
        self.data = [*model.observed_RVs, *(model.rvs_to_values[rv] for rv in model.observed_RVs)]
        self.products = products_of(model)
        self.scaling = [p for p in self.products if affine_in(p.factor, targets, self.free)]
        self.effects: list[Variable] = []

    def _scales(self, rv: Variable, other: Variable) -> list[Variable]:
        """The free variables that a factor depends on otherwise than by effects."""
        # What is a latent value, such as a covariate measured with error, scales nothing, whatever scale it has itself.
        covariates = affine_in(other, self.hidden, self.free)
        blockers = [*self.effects, *(self.model.basic_RVs if covariates else [])]
        above = set(ancestors([other], blockers=blockers)) - covariates
        return [s for s in self.order if s is not rv and s in above]

    def read(self, product: Product, rv: Variable) -> tuple[str, str]:
        """The role of a variable as one product has it, and why; empty where the product says nothing."""
        factor, other, free, standard = product.factor, product.other, self.free, _standard(rv)
        scales = self._scales(rv, other)
        own = _one_each(self.model, rv, scales)
        if not scales or (own and not standard) or any(from_data(f, free, self.data) for f in (factor, other)):
            return "", ""
        one = factor.type.ndim == 0 or all(factor.type.broadcastable)
        number = rv.type.ndim == 0
        if ((one or number) and bends(other, scales, free)) or (number and (not standard or shifted(factor, free))):
            return "", ""
        names = ", ".join(s.name for s in scales)
        positive = [s for s in scales if type(self.model.rvs_to_transforms.get(s)).__name__ in _POSITIVE]
        if positive and own:
            return "ambiguous", (
                f"each of its values has a factor of its own in {names}: coefficients, or standardised effects"
            )
        unsure = f"it is multiplied by {names}: a coefficient, or a standardised effect"
        if number:
            return "ambiguous", unsure
        alone = any(only_scales(self.model, s, self.scaling) for s in positive)
        mixed = beside_others(factor, rv, free)
        if not standard:
            return ("ambiguous", unsure) if alone and not mixed else ("", "")
        if not alone or mixed or (bends(other, scales, free) and is_basis(product, free, self.data)):
            return "ambiguous", unsure
        return "latent", f"it is a standardised effect around 0, scaled by {names} (non-centred)"


def decide_roles(
    model: pm.Model, parameters: Iterable[str] = (), latents: Iterable[str] = (), summed: Iterable[str] = ()
) -> dict[str, tuple[str, str]]:
    """The role of every free variable, read from the graph unless the user decides.

    Parameters
    ----------
    model : pm.Model
    parameters, latents : iterable of str
        Free variables whose role the user decides.
    summed : iterable of str
        Discrete variables that are summed out.

    Returns
    -------
    dict of str to (role, why)

    Raises
    ------
    InputError
        If `parameters` or `latents` name something that is no free variable, or name it twice; or if `parameters`
        names a discrete variable.
    """
    summed, parameters, latents = set(summed), tuple(parameters), tuple(latents)
    found = read_roles(model, summed)
    for name in (*parameters, *latents):
        twice = name in parameters and name in latents
        if name not in found or twice:
            what = f"{name!r} is named twice" if twice else f"there is no free variable {name!r}"
            raise InputError(what, "parameters / latents", f"the free variables are {', '.join(found)}")
        discrete = name in summed or found[name][0] == "discrete"
        if discrete and name in parameters:
            raise InputError(
                f"{name!r} is discrete, and nothing climbs over whole numbers",
                "parameters",
                "leave it to be summed out, or build the model once for each of its values and compare",
            )
        if not discrete:
            found[name] = ("parameter" if name in parameters else "latent", "you said so")
    return found
