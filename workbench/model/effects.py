"""What multiplies what in a model, and whether a factor may be the scale of a standardised effect.

A non-centred effect is tau * eta with eta ~ Normal(0, 1): an affine function of eta with fixed coefficients (indexed,
summed, multiplied by numbers), times a function of another free variable. So are many products that hold no effect:

    (y - X b) / sigma      a residual: b is a vector of coefficients
    b_1 exp(-k x)          the height of a curve
    b_1 (x - x_0)          a covariate counted from a point that is unknown

The functions here tell them apart by where the data stand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pymc as pm
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.math import Dot

from workbench.model.compiled import interpreted
from workbench.model.fixed_numbers import is_fixed

_LINEAR_SCALAR_OPS = ("Add", "Sub", "Neg", "Cast", "Identity", "Second")
_LINEAR_OPS = (
    "DimShuffle", "Subtensor", "AdvancedSubtensor", "AdvancedSubtensor1", "Reshape", "ViewOp", "SpecifyShape",
    "CumOp", "Sum", "Join", "MakeVector", "Alloc", "IncSubtensor", "AdvancedIncSubtensor", "MatrixTranspose",
)  # fmt: skip
_ROOTS = ("Cholesky", "Eigh", "SVD")  # of a covariance matrix: what they multiply is standardised


@dataclass(frozen=True)
class Product:
    """A factor and what it is multiplied or divided by.

    Attributes
    ----------
    factor, other, whole : pytensor variable
        Whole is their product.
    """

    factor: Variable
    other: Variable
    whole: Variable

    @property
    def is_dot(self) -> bool:
        """Whether it is a matrix product."""
        return _op_name(self.whole) not in ("Mul", "TrueDiv")


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


def underlying(parameter: Variable) -> Variable:
    """What a parameter of a distribution is made of, before it was given its shape."""
    while parameter.owner is not None and _op_name(parameter) in (*_LINEAR_OPS, "Second"):
        parameter = parameter.owner.inputs[1 if _op_name(parameter) == "Second" else 0]
    return parameter


def _moving(variable: Variable, free: set[Variable]) -> Variable | None:
    """The one factor of a product that holds free variables; None if there are several, or if it is divided by."""
    inputs = variable.owner.inputs
    moving = [i for i in inputs if free & set(ancestors([i]))]
    usable = len(moving) == 1 and not (_op_name(variable) == "TrueDiv" and moving[0] is not inputs[0])
    return moving[0] if usable else None


def affine_in(variable: Variable, targets: set[Variable], free: set[Variable]) -> set[Variable]:
    """The targets of which a variable is an affine function with fixed coefficients."""
    if variable in targets:
        return {variable}
    if variable.owner is None or variable in free:
        return set()
    if _is_product(variable):
        moving = _moving(variable, free)
        return affine_in(moving, targets, free) if moving is not None else set()
    if _op_name(variable) in (*_LINEAR_SCALAR_OPS, *_LINEAR_OPS):
        return set().union(*(affine_in(i, targets, free) for i in variable.owner.inputs))
    return set()


def products_of(model: pm.Model) -> list[Product]:
    """Every product in the model, once for each of its factors."""
    found = []
    # Deterministics that nothing is drawn from or scored by, such as a ratio of coefficients, say nothing of roles.
    for node in toposort([*model.basic_RVs, *model.potentials]):
        whole, inputs = node.outputs[0], node.inputs
        if not _is_product(whole):
            continue
        if _op_name(whole) == "TrueDiv":
            found.append(Product(inputs[0], inputs[1], whole))
            continue
        found += [Product(a, b, whole) for i, a in enumerate(inputs) for j, b in enumerate(inputs) if i != j]
    return found


def _varies(variable: Variable, data: Collection[Variable]) -> bool:
    """Whether a variable is data with more than one value."""
    if variable in data:
        return True
    if not is_fixed(variable) or (variable.type.ndim == 0 and isinstance(variable, Constant)):
        return False
    return np.ptp(np.asarray(interpreted([], [variable], stable=False)()[0], dtype=np.float64).ravel()) > 0.0


def _addends(variable: Variable, free: set[Variable]) -> list[tuple[Variable, float]]:
    """What is added up in a variable, through fixed factors, each with its sign."""
    if variable.owner is None or variable in free:
        return [(variable, 1.0)]
    name, inputs = _op_name(variable), variable.owner.inputs
    if name in ("Add", "Sub", "Neg"):
        signs = [1.0] * len(inputs) if name == "Add" else [1.0, -1.0][-len(inputs) :]
        return [(a, sign * s) for i, sign in zip(inputs, signs, strict=True) for a, s in _addends(i, free)]
    if is_fixed(variable):
        return [(variable, 1.0)]
    if _is_product(variable):
        moving = _moving(variable, free)
        return _addends(moving, free) if moving is not None else [(variable, 1.0)]
    if name in ("DimShuffle", "Reshape", "ViewOp", "SpecifyShape", "Subtensor", "AdvancedSubtensor", "Sum", "Cast"):
        return _addends(inputs[0], free)
    return [(variable, 1.0)]


def from_data(variable: Variable, free: set[Variable], data: Collection[Variable]) -> bool:
    """Whether a variable is a distance from data, such as a residual or a covariate counted from a free point.

    Known numbers to which one that is free is added are none: they may be a standard deviation.
    """
    if variable.owner is not None and variable not in free and _is_product(variable) and not is_fixed(variable):
        return any(from_data(i, free, data) for i in variable.owner.inputs)
    addends = _addends(variable, free)
    known = {sign for a, sign in addends if _varies(a, data)}
    moving = {sign for a, sign in addends if free & set(ancestors([a]))}
    return bool(known) and bool(moving) and len(known | moving) > 1


def bends(other: Variable, scales: Iterable[Variable], free: set[Variable]) -> bool:
    """Whether a factor is another number for every observation, and not in proportion to its variables: a curve.

    In b exp(-k x) and in b / (1 + k x) the number b is the height of a curve, whatever its prior; one effect is not
    scaled in many ways.
    """
    if other.owner is not None and other not in free and _op_name(other) == "Mul":
        moving = [i for i in other.owner.inputs if free & set(ancestors([i]))]
        if len(moving) > 1:
            return all(bends(i, scales, free) for i in moving)
    several = other.type.ndim > 0 and not all(other.type.broadcastable)
    return several and (not affine_in(other, set(scales), free) or shifted(other, free))


def shifted(variable: Variable, free: set[Variable]) -> bool:
    """Whether known numbers are added in a variable, as the 1 of the denominator 1 + b x of a rational function."""
    return any(is_fixed(a) for a, _ in _addends(variable, free))


def is_basis(product: Product, free: set[Variable], data: Collection[Variable]) -> bool:
    """Whether the other factor is a matrix of curves over data, whose weights the factor holds."""
    inside = list(ancestors([product.other], blockers=free))
    root = any(v.owner is not None and _op_name(v) in _ROOTS for v in inside)
    known = any(v.type.dtype.startswith("float") and _varies(v, data) for v in inside if v.owner is None)
    return product.is_dot and known and not root


def beside_others(factor: Variable, target: Variable, free: set[Variable]) -> bool:
    """Whether a target enters by a matrix of data, with something else that is free beside it: a linear predictor."""
    addends = [a for a, _ in _addends(factor, free)]
    own = [a for a in addends if target in set(ancestors([a]))]
    by_matrix = any(
        v.owner is not None and _is_product(v) and _op_name(v) not in ("Mul", "TrueDiv") and target in ancestors([v])
        for v in ancestors([factor], blockers=free)
    )
    return by_matrix and any(a not in own and free & set(ancestors([a])) for a in addends)


def only_scales(model: pm.Model, scale: Variable, products: Iterable[Product]) -> bool:
    """Whether a variable enters what these products enter by way of them alone, or as that of another free variable."""
    wholes = {p.whole for p in products if scale in set(ancestors([p.other]))}
    free = set(model.free_RVs) - {scale}
    for root in [*model.observed_RVs, *model.potentials]:
        inputs = root.owner.inputs if root.owner is not None else []
        if wholes & set(ancestors(inputs)) and scale in set(ancestors(inputs, blockers=wholes | free)):
            return False
    return True
