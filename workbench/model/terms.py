"""The log density of a model, term by term, as graphs.

For a model with free variables theta, observations y and transformations theta = T(z) the joint density on the
unconstrained space is a sum of terms, each with one owner and one role:

    log_prior_v(theta)          one per free variable v
    log_jacobian_v(z)           one per transformed free variable: log abs det d theta_v / d z_v
    log_likelihood_o(y, theta)  one per observed variable o, elementwise over its observations
    potential_k(theta)          one per `pm.Potential`, which has no side until the user gives it one

`symbolic_terms` derives them from the model once, with constants widened and the observations as inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.initial_point import make_initial_point_expression
from pymc.logprob.basic import transformed_conditional_logp
from pymc.logprob.utils import replace_rvs_by_values
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import ancestors, toposort
from pytensor.scan.op import Scan
from pytensor.sparse.type import SparseTensorType
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.subtensor import AdvancedSubtensor

from workbench.errors import RefusalError
from workbench.model.compiled import interpreted, without_traces
from workbench.model.constants import replaced, widened, without_sums_of_numbers


@dataclass(frozen=True)
class SymbolicTerms:
    """Graphs of every log density term over the value variables and the data inputs.

    Attributes
    ----------
    values : dict of str to variable
        Free variable name -> its value variable (one block of z).
    data : dict of str to variable
        Observed variable name -> the input that stands for its observations.
    observed : dict of str to ndarray
        Observed variable name -> its observations.
    log_prior, log_jacobian, log_likelihood, potential : dict of str to variable
        Elementwise terms by owner, in nats.
    free, deterministic : dict of str to variable
        Free variables and deterministics in the model's own units, as functions of the value variables.
    variables, transforms : dict of str to random variable, and to transformation or None
        Free variable name -> its random variable with wide constants, and the transformation to its part of z.
    parameters : dict of str to list of variables
        Discrete free variable -> the parameters of its distribution over the value variables.
    start : dict of str to variable
        Free variable name -> where PyMC would start it (its `initval`, else its support point), as part of z.
    """

    values: dict[str, Variable]
    data: dict[str, Variable]
    observed: dict[str, np.ndarray]
    log_prior: dict[str, Variable]
    log_jacobian: dict[str, Variable]
    log_likelihood: dict[str, Variable]
    potential: dict[str, Variable]
    free: dict[str, Variable]
    deterministic: dict[str, Variable]
    start: dict[str, Variable]
    variables: dict[str, Variable]
    transforms: dict[str, Any]
    parameters: dict[str, list[Variable]]


def is_discrete(variable: Variable) -> bool:
    """Whether a variable takes whole numbers or truth values."""
    return not str(variable.dtype).startswith("float")


def op_parameters(rv: Variable) -> list[Variable]:
    """The parameters of a random variable's distribution, without generator and size."""
    return list(rv.owner.op.dist_params(rv.owner))


def missing_constant(rv: Variable) -> float:
    """What PyMC leaves out of the log density of a variable: of a CAR (2 pi)^(-d/2) and the determinant of D.

    The density is Normal with the precision tau (D - alpha W), with D the sums of W on its diagonal.

    Parameters
    ----------
    rv : random variable

    Returns
    -------
    float
        Log of what the density integrates to, nats: 0 for every other distribution, NaN where W is no fixed number.
    """
    if type(rv.owner.op).__name__ != "CARRV":
        return 0.0
    weights = op_parameters(rv)[1]
    random = any(v.owner is not None and hasattr(v.owner.op, "dist_params") for v in ancestors([weights]))
    if rv.type.ndim != 1 or random:
        return float("nan")
    numbers = interpreted([], [weights], stable=False)()[0]
    degrees = np.asarray(numbers.sum(axis=-1)).ravel()  # of a sparse matrix too
    return float(0.5 * degrees.size * np.log(2 * np.pi) - 0.5 * np.sum(np.log(degrees)))


def _completed(density: Variable, rv: Variable) -> Variable:
    """The log density of an observed variable with the constant that PyMC leaves out, where that is known."""
    lacks = missing_constant(rv)
    return density - lacks if np.isfinite(lacks) and lacks != 0.0 else density


def observed_array(value: Variable) -> NDArray:
    """The observations behind a value variable; constants are read, expressions run without a compiler."""
    return np.asarray(value.data) if isinstance(value, Constant) else interpreted([], [value], stable=False)()[0]


def _check_indices(graphs: list[Variable]) -> None:
    """Refuse a fixed index that lies outside the axis it goes into, before any rewrite trips over it.

    Compiled code does not check: it reads beside the array and returns a plausible, wrong fit.
    """
    for node in toposort(graphs):
        if not isinstance(node.op, AdvancedSubtensor):
            continue
        array = node.inputs[0]
        for axis, entry in enumerate(node.op.idx_list):
            index = node.inputs[1 + entry] if isinstance(entry, int) else None
            size = array.type.shape[axis] if axis < array.type.ndim else None
            if not isinstance(index, Constant) or size is None or np.asarray(index.data).dtype.kind != "i":
                continue
            codes = np.asarray(index.data)
            # A negative number counts from the end in Python; in a column of codes it is a missing value.
            if codes.size and (codes.max() >= size or codes.min() < (0 if codes.size > 1 else -size)):
                name = array.name or "an array"
                raise RefusalError(
                    f"an index into {name} is out of range: the codes run from {codes.min()} to {codes.max()}, "
                    f"but {name} has {size} elements, numbered from 0 to {size - 1}",
                    name,
                    "subtract 1 from codes that start at 1, remove rows whose code is missing (-1), or add elements",
                )


def _check_dense(owners: list[Variable]) -> None:
    """Refuse a sparse matrix, which PyTensor cannot take to many points at once."""
    for owner in owners:
        if any(isinstance(variable.type, SparseTensorType) for variable in ancestors([owner])):
            raise RefusalError(
                f"{owner.name} is computed with a sparse matrix", owner.name, "give the matrix as an array: W.toarray()"
            )


def _wide(
    model: pm.Model, owners: list[Variable], moved: Mapping[str, Callable[[Variable], Variable]]
) -> dict[Variable, Variable]:
    """The variables of a model -> the same with constants widened, and some random variables with other inputs."""
    _check_dense(owners)
    wide = dict(zip(owners, widened(owners), strict=True))
    for name, move in moved.items():
        rv = wide[model[name]]
        wide = dict(zip(owners, replaced(list(wide.values()), {rv: move(rv)}), strict=True))
    return wide


@without_traces()
def symbolic_terms(model: pm.Model, moved: Mapping[str, Callable[[Variable], Variable]] | None = None) -> SymbolicTerms:
    """Every term of the model's log density as a graph, with constants widened.

    Parameters
    ----------
    model : pm.Model
        It is not changed.
    moved : mapping of str to callable, optional
        Free variable name -> what takes its place: the same random variable with other inputs, such as other bounds,
        which its transformation then follows, and with it everything that the variable enters.

    Raises
    ------
    RefusalError
        If PyMC cannot derive a log density for one of the variables, an index is out of range, or a matrix is sparse.
    """
    owners = [*model.basic_RVs, *model.potentials, *model.deterministics]
    _check_indices(owners)
    wide = _wide(model, owners, moved or {})
    free = {rv.name: wide[rv] for rv in model.free_RVs}
    seen = {rv.name: wide[rv] for rv in model.observed_RVs}
    values = {rv.name: model.rvs_to_values[rv] for rv in model.free_RVs}
    observed = {rv.name: observed_array(model.rvs_to_values[rv]) for rv in model.observed_RVs}
    data = {
        rv.name: model.rvs_to_values[rv].type.clone(shape=observed[rv.name].shape)(f"data:{rv.name}")
        for rv in model.observed_RVs
    }
    rvs_to_values = {free[n]: values[n] for n in free} | {seen[n]: data[n] for n in seen}
    transforms = {wide[rv]: model.rvs_to_transforms.get(rv) for rv in model.basic_RVs}

    def by_values(graphs: list[Variable]) -> list[Variable]:
        return list(replace_rvs_by_values(graphs, rvs_to_values=rvs_to_values, rvs_to_transforms=transforms))

    try:
        densities = transformed_conditional_logp(
            list(rvs_to_values), rvs_to_values=rvs_to_values, rvs_to_transforms=transforms, jacobian=False
        )
    except (NotImplementedError, RuntimeError, ValueError) as error:
        remedy = (
            "see that observations, covariates and group codes are of the same length"
            if "shape" in str(error)
            else "give the variable a distribution with a density, or a CustomDist with `logp`"
        )
        raise RefusalError(f"PyMC cannot derive the log density of this model: {error}", "model", remedy) from error
    drawn = {**free, **seen}
    whole = [_completed(graph, drawn[n]) if n in seen else graph for n, graph in zip(drawn, densities, strict=True)]
    density = dict(zip(drawn, widened(without_sums_of_numbers(whole)), strict=True))
    jacobian = {}
    for name, rv in free.items():
        transform = transforms[rv]
        if transform is not None:
            parameters = by_values(list(rv.owner.inputs))
            jacobian[name] = transform.log_jac_det(values[name], *parameters)
    potentials = by_values([wide[p] for p in model.potentials])
    natural = widened(by_values([*free.values(), *(wide[d] for d in model.deterministics)]))

    initvals = {wide[rv]: model.rvs_to_initial_values.get(rv) for rv in model.free_RVs}
    start = make_initial_point_expression(
        free_rvs=list(free.values()), rvs_to_transforms=transforms, initval_strategies=initvals, return_transformed=True
    )
    return SymbolicTerms(
        start=dict(zip(free, start, strict=True)),
        variables=free,
        transforms={name: transforms[rv] for name, rv in free.items()},
        parameters={n: by_values(op_parameters(rv)) for n, rv in free.items() if is_discrete(rv)},
        values=values,
        data=data,
        observed=observed,
        log_prior={name: density[name] for name in free},
        log_likelihood={name: density[name] for name in seen},
        log_jacobian=dict(zip(jacobian, widened(list(jacobian.values())), strict=True)),
        potential={p.name: g for p, g in zip(model.potentials, widened(potentials), strict=True)},
        free=dict(zip(free, natural[: len(free)], strict=True)),
        deterministic={d.name: g for d, g in zip(model.deterministics, natural[len(free) :], strict=True)},
    )


@without_traces()
def symbolic_target(model: pm.Model) -> Variable:
    """The log density on z as PyMC itself adds it up (with its own Jacobian), constants widened: the second route.

    Parameters
    ----------
    model : pm.Model

    Returns
    -------
    pytensor scalar, nats, over the model's value variables.
    """
    owners = [*model.basic_RVs, *model.potentials]
    wide = dict(zip(owners, widened(owners), strict=True))
    rvs_to_values = {wide[rv]: model.rvs_to_values[rv] for rv in model.basic_RVs}
    transforms = {wide[rv]: model.rvs_to_transforms.get(rv) for rv in model.basic_RVs}
    densities = transformed_conditional_logp(
        list(rvs_to_values), rvs_to_values=rvs_to_values, rvs_to_transforms=transforms, jacobian=True
    )
    potentials = replace_rvs_by_values(
        [wide[p] for p in model.potentials], rvs_to_values=rvs_to_values, rvs_to_transforms=transforms
    )
    seen = set(model.observed_RVs)
    densities = [_completed(graph, wide[rv]) if rv in seen else graph
                 for rv, graph in zip(model.basic_RVs, densities, strict=True)]  # fmt: skip
    return sum(graph.sum() for graph in widened(without_sums_of_numbers([*densities, *potentials])))


def largest_array(terms: SymbolicTerms) -> float:
    """Elements of the largest array that the terms pass through, which is about what an evaluation costs.

    Parameters
    ----------
    terms : SymbolicTerms

    Returns
    -------
    float
        At least 1; infinite where linear algebra or a loop costs more than its arrays show.
    """
    groups = (terms.log_prior, terms.log_jacobian, terms.log_likelihood, terms.potential)
    variables = ancestors([graph for group in groups for graph in group.values()])
    largest = max((array.size for array in terms.observed.values()), default=1)
    for variable in variables:
        if variable.owner is not None and isinstance(variable.owner.op, Blockwise | Scan):
            return np.inf
        shape = variable.data.shape if isinstance(variable, Constant) else getattr(variable.type, "shape", ())
        if None not in shape:
            largest = max(largest, int(np.prod(shape)))
    return float(max(largest, 1))
