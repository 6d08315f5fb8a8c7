"""The role of every free variable, read from the graph of the model.

A variable whose distribution depends on other free variables is latent. So is the standardised half of a non-centred
effect, which looks like a coefficient: eta ~ Normal(0, 1), and tau * eta enters the model. What gives it away is that
an affine function of a variable centred on 0 (indexed, summed, shifted, multiplied by fixed numbers) is multiplied or
divided by a function of another free variable. With a vector and a scale that is positive the reading is settled;
otherwise, as in w * z, it stays open and the user is asked; but a scalar is a parameter unless its prior has scale 1,
and so is the height b of a curve b exp(-k x), and a vector of which every value has a factor of its own, such as the
difficulties b of a slope (ability - b): what is shared by no two values is no scale that they have in common. If such
a vector has a prior of scale 1 too the user is asked.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pymc as pm
from pytensor.graph.basic import Variable
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Dot

from workbench.errors import InputError
from workbench.model.terms import is_discrete

_POSITIVE = ("LogTransform", "LogExpM1", "CholeskyCovPacked")
# Distributions on the whole line that can be centred on 0, and which of their parameters is the centre; the next one is
# the scale.
_CENTRE = {
    "NormalRV": 0, "LaplaceRV": 0, "LogisticRV": 0, "CauchyRV": 0, "MvNormalRV": 0, "StudentTRV": 1, "MvStudentTRV": 1,
}  # fmt: skip
_LINEAR_SCALAR_OPS = ("Add", "Sub", "Neg", "Cast", "Identity", "Second")
_LINEAR_OPS = (
    "DimShuffle", "Subtensor", "AdvancedSubtensor", "AdvancedSubtensor1", "Reshape", "ViewOp", "SpecifyShape",
    "CumOp", "Sum", "Join", "MakeVector", "Alloc", "IncSubtensor", "AdvancedIncSubtensor", "MatrixTranspose",
)  # fmt: skip


def _op_name(variable: Variable) -> str:
    """The kind of operation that made a variable: the scalar operation for an elementwise one."""
    op = variable.owner.op
    op = op.core_op if isinstance(op, Blockwise) else op
    return type(op.scalar_op).__name__ if isinstance(op, Elemwise) else type(op).__name__


def _is_product(variable: Variable) -> bool:
    name = _op_name(variable)
    op = variable.owner.op
    core = op.core_op if isinstance(op, Blockwise) else op
    return name in ("Mul", "TrueDiv", "MatMul", "Dot22") or isinstance(core, Dot)


def _affine_in(variable: Variable, targets: set[Variable], free: set[Variable]) -> set[Variable]:
    """The targets of which a variable is an affine function with fixed coefficients."""
    if variable in targets:
        return {variable}
    if variable.owner is None or variable in free:
        return set()
    name = _op_name(variable)
    inputs = list(variable.owner.inputs)
    if _is_product(variable):
        moving = [i for i in inputs if free & set(ancestors([i]))]
        usable = len(moving) == 1 and not (name == "TrueDiv" and moving[0] is not inputs[0])
        return _affine_in(moving[0], targets, free) if usable else set()
    if name in _LINEAR_SCALAR_OPS or name in _LINEAR_OPS:
        return set().union(*(_affine_in(i, targets, free) for i in inputs))
    return set()


def _products(model: pm.Model) -> list[tuple[Variable, Variable]]:
    """Pairs (factor, what it is multiplied or divided by) of every product in the model."""
    pairs = []
    # Deterministics that nothing is drawn from or scored by, such as a ratio of coefficients, say nothing of roles.
    for node in toposort([*model.basic_RVs, *model.potentials]):
        if not _is_product(node.outputs[0]):
            continue
        if _op_name(node.outputs[0]) == "TrueDiv":
            pairs.append((node.inputs[0], node.inputs[1]))
            continue
        pairs += [(a, b) for i, a in enumerate(node.inputs) for j, b in enumerate(node.inputs) if i != j]
    return pairs


def _centred_on_zero(rv: Variable) -> bool:
    """Whether its prior is a distribution on the whole line around a fixed 0."""
    name = type(rv.owner.op).__name__
    if name == "ZeroSumNormalRV":
        return True
    if name not in _CENTRE:
        return False
    return _always(rv, _CENTRE[name], 0.0)


def _standard(rv: Variable) -> bool:
    """Whether the scale of its prior is 1: a scalar with any other is the coefficient of a curve, not an effect."""
    return _always(rv, _CENTRE[type(rv.owner.op).__name__] + 1, 1.0)


def _bends(factor: Variable, scales: list[Variable], free: set[Variable]) -> bool:
    """Whether a factor is another number for every observation, and not in proportion to its variables: a curve.

    In b exp(-k x) a scalar b is the height of a curve, whatever its prior; one effect is not scaled in many ways.
    """
    return factor.type.ndim > 0 and not all(factor.type.broadcastable) and not _affine_in(factor, set(scales), free)


def _one_each(model: pm.Model, rv: Variable, scales: list[Variable]) -> bool:
    """Whether every value of a vector has its own value of every scale."""
    if type(rv.owner.op).__name__ not in _CENTRE or rv.owner.op.ndim_supp or rv.type.ndim == 0:
        return False
    dims = model.named_vars_to_dims

    def alike(scale: Variable) -> bool:
        named = dims.get(rv.name)
        return (named is not None and dims.get(scale.name) == named) or (
            None not in rv.type.shape and scale.type.shape == rv.type.shape
        )

    return all(alike(scale) for scale in scales)


def _always(rv: Variable, place: int, value: float) -> bool:
    """Whether a parameter of a distribution is fixed at this value everywhere."""
    parameter = rv.owner.op.dist_params(rv.owner)[place]
    while parameter.owner is not None and _op_name(parameter) in _LINEAR_OPS:
        parameter = parameter.owner.inputs[0]
    data = getattr(parameter, "data", None)
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
    for factor, other in _products(model):
        # What is a latent value, such as a covariate measured with error, scales nothing, whatever scale it has itself.
        covariates = _affine_in(other, hidden, set(free))
        above = (
            set(ancestors([other], blockers=model.basic_RVs)) if covariates else set(ancestors([other]))
        ) - covariates
        for rv in _affine_in(factor, targets, set(free)):
            scales = [s for s in free if s is not rv and s in above]
            own = _one_each(model, rv, scales)
            if not scales or (own and not _standard(rv)):
                continue
            names = ", ".join(s.name for s in scales)
            positive = [type(model.rvs_to_transforms.get(s)).__name__ in _POSITIVE for s in scales]
            if any(positive) and own and found[rv.name][0] == "parameter":
                why = f"each of its values has a factor of its own in {names}: coefficients, or standardised effects"
                found[rv.name] = ("ambiguous", why)
            elif any(positive) and rv.type.ndim > 0 and not own:
                found[rv.name] = ("latent", f"it is a standardised effect around 0, scaled by {names} (non-centred)")
            elif found[rv.name][0] == "parameter" and (
                rv.type.ndim > 0 or (_standard(rv) and not _bends(other, scales, set(free)))
            ):
                found[rv.name] = ("ambiguous", f"it is multiplied by {names}: a coefficient, or a standardised effect")
    return found


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
