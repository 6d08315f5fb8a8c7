"""One log density, compiled once, whose every term has a weight that is set at run time.

For a point z in the unconstrained space R^d

    log f(z) = a * log_prior(z) + sum_i w_i * log_likelihood_i(z) + c * log_jacobian(z)

where a, c, every w_i and the observations are run-time inputs of one compiled function. A question is a choice of
weights (`Weights`): the likelihood alone (0, 1, 0), the joint density in the model's own units (1, 1, 0), the target
of MCMC and of the evidence integral (1, 1, 1), the prior on z (1, 0, 1). A weight of 0 switches a term off, also where the
term is ``-inf``. `LogDensity.terms` gives every term on its own at many points by a second, independent route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import toposort
from pytensor.tensor.type import TensorType

from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.compiled import NativeFunction, batched, interpreted, native, stabilised
from workbench.model.constants import replaced
from workbench.model.space import Space, build_space
from workbench.model.terms import SymbolicTerms, symbolic_target, symbolic_terms
from workbench.numerics.objective import Vector

Side = Literal["prior", "likelihood"]

# A constant with more elements than this becomes an input: Numba would print it into the machine code.
_INLINE_ELEMENTS = 8


@dataclass(frozen=True)
class Weights:
    """The weights of one question: prior, likelihood and Jacobian (see the module).

    Parameters
    ----------
    prior, jacobian : float
    likelihood : float or mapping of str to array_like
        One weight for all, or per observed variable an array that broadcasts to its observations.
    """

    prior: float = 1.0
    likelihood: float | Mapping[str, Any] = 1.0
    jacobian: float = 1.0


LIKELIHOOD = Weights(prior=0.0, jacobian=0.0)
JOINT = Weights(jacobian=0.0)
TARGET = Weights()
PRIOR = Weights(likelihood=0.0)


@dataclass(frozen=True)
class TermValues:
    """Every log density term at m points, in nats.

    Attributes
    ----------
    log_prior, log_jacobian, potential : dict of str to ndarray, shape (m,)
        Summed over the elements of each variable.
    log_likelihood : dict of str to ndarray, shape (m, *observations)
        Elementwise.
    """

    log_prior: dict[str, NDArray]
    log_jacobian: dict[str, NDArray]
    potential: dict[str, NDArray]
    log_likelihood: dict[str, NDArray]


def _by_row(array: NDArray) -> NDArray:
    """Sums over everything but the leading axis."""
    return array.reshape(len(array), -1).sum(axis=1)


class LogDensity:
    """The log density of a model with run-time weights and data.

    Parameters
    ----------
    model : pm.Model
        It is not changed.
    potentials : mapping of str to {"prior", "likelihood"}
        The side on which each `pm.Potential` counts. One without a side only takes part when prior and likelihood
        are both there with weight 1.

    Raises
    ------
    InputError
        If `potentials` names a potential that the model lacks, or a side that is neither of the two.
    RefusalError
        If PyMC cannot derive the log density, or an index in the model is out of range.
    """

    def __init__(self, model: pm.Model, potentials: Mapping[str, Side] | None = None) -> None:
        self.model = model
        self.symbolic: SymbolicTerms = symbolic_terms(model)
        try:
            self.space: Space = build_space(model, self.symbolic)
            at_start = self._likelihood_at_start()
        except IndexError as error:
            raise RefusalError(
                f"an index in the model is out of range: {error}",
                "model",
                "group codes start at 0 in Python: subtract 1 from codes that start at 1, or enlarge the effect",
            ) from error
        self.likelihood_shapes = {name: array.shape for name, array in at_start.items()}
        self.potentials = dict(potentials or {})
        known = list(self.symbolic.potential)
        for name, side in self.potentials.items():
            if name not in known:
                raise InputError(f"there is no potential {name!r}", "potentials", f"the model has: {known or 'none'}")
            if side not in ("prior", "likelihood"):
                raise InputError(f"{side!r} is no side", f"potentials[{name!r}]", "say 'prior' or 'likelihood'")
        self.unlabelled = tuple(name for name in known if name not in self.potentials)
        self.discrete = tuple(n for n, v in self.symbolic.values.items() if not v.dtype.startswith("float"))

    def _likelihood_at_start(self) -> dict[str, NDArray]:
        """Every log likelihood term at the start, run as it was written.

        Compiled code reads beside the array where an index is out of range; run operation by operation it raises.
        """
        s, space = self.symbolic, self.space
        graphs = space.on_vector(list(s.log_likelihood.values()))
        call = interpreted([space.vector, *s.data.values()], graphs, stable=False)
        return dict(zip(s.log_likelihood, call(space.start, *(s.observed[n] for n in s.data)), strict=True))

    @cached_property
    def n_observations(self) -> int:
        """The number of log likelihood terms: one per observation, or per vector of a multivariate likelihood."""
        return sum(int(np.prod(shape)) for shape in self.likelihood_shapes.values())

    # -- the second route: every term on its own, at many points -------------------------------------------------

    @cached_property
    def _terms(self) -> Any:
        symbolic = self.symbolic
        graphs = [g.sum() for g in (symbolic.log_prior | symbolic.potential).values()]
        graphs += [g.sum() for g in symbolic.log_jacobian.values()]
        graphs += list(symbolic.log_likelihood.values())
        constants = {v: pt.constant(symbolic.observed[n]) for n, v in symbolic.data.items()}
        return batched(self.space.vector, self.space.on_vector(replaced(graphs, constants)))

    def terms(self, points: NDArray[np.float64]) -> TermValues:
        """Every term at many points, without the compiled function.

        Parameters
        ----------
        points : ndarray, shape (m, d)

        Returns
        -------
        TermValues
        """
        s = self.symbolic
        arrays = iter(self._terms(np.atleast_2d(points)))
        return TermValues(
            log_prior={name: next(arrays) for name in s.log_prior},
            potential={name: next(arrays) for name in s.potential},
            log_jacobian={name: next(arrays) for name in s.log_jacobian},
            log_likelihood={name: next(arrays) for name in s.log_likelihood},
        )

    def sums(self, points: NDArray[np.float64]) -> tuple[Vector, Vector, Vector]:
        """log_prior, log_likelihood and log_jacobian at many points, each summed, potentials on their sides.

        Parameters
        ----------
        points : ndarray, shape (m, d)

        Returns
        -------
        log_prior, log_likelihood, log_jacobian : ndarray, shape (m,)
            Nats.

        Raises
        ------
        RefusalError
            If a potential has no side.
        """
        self._need_sides("split the joint density into prior and likelihood")
        points = np.atleast_2d(points)
        terms, zero = self.terms(points), np.zeros(len(points))
        sides: dict[str, Vector] = {"prior": zero.copy(), "likelihood": zero.copy()}
        for array in terms.log_prior.values():
            sides["prior"] += array
        for array in terms.log_likelihood.values():
            sides["likelihood"] += _by_row(array)
        for name, array in terms.potential.items():
            sides[self.potentials[name]] += array
        return sides["prior"], sides["likelihood"], zero + sum(terms.log_jacobian.values(), zero)

    def _need_sides(self, purpose: str) -> None:
        if self.unlabelled:
            name = self.unlabelled[0]
            raise RefusalError(
                f"cannot {purpose}: the potential {name!r} belongs to neither side",
                name,
                f"say which: Study(model, potentials={{{name!r}: 'likelihood'}}), or 'prior'",
            )

    # -- the first route: one compiled function -------------------------------------------------------------------

    @cached_property
    def _program(self) -> _Program:
        return _Program(self)

    def compile(self) -> LogDensity:
        """Compile now instead of at first use; returns the density itself."""
        _ = self._program
        return self

    def objective(self, weights: Weights = TARGET, data: Mapping[str, NDArray] | None = None) -> NativeObjective:
        """The objective of one question; costs microseconds once the density is compiled.

        Parameters
        ----------
        weights : Weights
        data : mapping of str to ndarray, optional
            Other observations of the same shape, by observed variable.

        Returns
        -------
        NativeObjective

        Raises
        ------
        RefusalError
            If a free variable is discrete, or a potential has no side and the weights split prior and likelihood.
        InputError
            If weights or data name an unknown observed variable or have a shape that does not fit.
        """
        if self.discrete:
            raise RefusalError(
                f"{self.discrete[0]!r} is discrete: there is no gradient with respect to it",
                self.discrete[0],
                "sum it out of the model (a mixture instead of a label); draws work: study.posterior.draws()",
            )
        if self.space.dimension == 0:
            raise RefusalError("the model has no free variable", "model", "give at least one parameter a prior")
        whole = weights.prior == 1.0 and not isinstance(weights.likelihood, Mapping) and weights.likelihood == 1.0
        if not whole:
            self._need_sides("weigh prior and likelihood apart")
        return self._program.objective(weights, data or {})

    def pymc_target(self, points: NDArray[np.float64]) -> Vector:
        """The log density on z as PyMC adds it up itself (constants widened), to compare with.

        Parameters
        ----------
        points : ndarray, shape (m, d)

        Returns
        -------
        ndarray, shape (m,)
            Nats.
        """
        return self._pymc_target(np.atleast_2d(points))[0]

    @cached_property
    def _pymc_target(self) -> Any:
        return batched(self.space.vector, self.space.on_vector([symbolic_target(self.model)]))


def _switched(weight: Variable, term: Variable) -> Variable:
    """Weight times term, with 0 * -inf = 0."""
    return pt.switch(pt.eq(weight, 0.0), 0.0, weight * term)


class _Program:
    """The compiled function of a density, and the layout of its run-time inputs."""

    def __init__(self, density: LogDensity) -> None:
        self.space, self.symbolic = density.space, density.symbolic
        s, z = self.symbolic, self.space.vector
        a, c = pt.dscalar("prior weight"), pt.dscalar("jacobian weight")
        prior = [g.sum() for g in s.log_prior.values()]
        likelihood_side = []
        for name, graph in s.potential.items():
            side = likelihood_side if density.potentials.get(name) == "likelihood" else prior
            side.append(graph.sum())
        shapes = density.likelihood_shapes
        self.weight_shapes = {n: shapes[n] for n in s.log_likelihood} | {p: () for p in self._sided(density)}
        weights = {n: pt.TensorType("float64", shape=shape)(f"w:{n}") for n, shape in self.weight_shapes.items()}
        likelihood = [_switched(weights[n], g).sum() for n, g in s.log_likelihood.items()]
        likelihood += [
            _switched(w, g) for w, g in zip([weights[p] for p in self._sided(density)], likelihood_side, strict=True)
        ]
        jacobian = [g.sum() for g in s.log_jacobian.values()]
        total = _switched(a, sum(prior, pt.constant(0.0))) + sum(likelihood, pt.constant(0.0))
        total = total + _switched(c, sum(jacobian, pt.constant(0.0)))
        (total,) = stabilised(self.space.on_vector([total]))
        gradient = pt.grad(total, z, disconnected_inputs="ignore")
        (total, gradient) = stabilised([total, gradient])
        self._derived = _static_border([total, gradient], [z, a, c, *weights.values()], s.data.values())
        self._derive = interpreted(list(s.data.values()), self._derived) if self._derived else None
        self.weight_names = tuple(weights)
        data = self._static(s.observed)
        examples = [np.array(1.0), np.array(1.0), *(np.ones(sh) for sh in self.weight_shapes.values()), *data]
        inputs = [a, c, *weights.values(), *(v.type() for v in self._derived)]
        stand_ins = dict(zip(self._derived, inputs[2 + len(weights) :], strict=True))
        total, gradient = replaced([total, gradient], stand_ins)
        self.function: NativeFunction = native(z, inputs, examples, (total, gradient))
        self._observed_static = data

    @staticmethod
    def _sided(density: LogDensity) -> list[str]:
        return [n for n in density.symbolic.potential if density.potentials.get(n) == "likelihood"]

    def _static(self, data: Mapping[str, NDArray]) -> list[NDArray]:
        """Everything that depends on the data alone, computed once per data set."""
        if self._derive is None:
            return []
        arrays = self._derive(*[data[n] for n in self.symbolic.data])
        return [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]

    def objective(self, weights: Weights, data: Mapping[str, NDArray]) -> NativeObjective:
        static = self._observed_static
        if data:
            static = self._static(self._checked_data(data))
        vectors = self._checked_weights(weights.likelihood)
        arrays = [np.array(float(weights.prior)), np.array(float(weights.jacobian)), *vectors, *static]
        return NativeObjective(self.space.dimension, self.function, arrays)

    def _checked_data(self, data: Mapping[str, NDArray]) -> dict[str, NDArray]:
        observed = dict(self.symbolic.observed)
        for name, array in data.items():
            if name not in observed:
                raise InputError(f"there is no observed variable {name!r}", "data", f"there are: {list(observed)}")
            new = np.asarray(array)
            if new.shape != observed[name].shape:
                raise InputError(f"{name} has shape {new.shape}, not {observed[name].shape}", "data", "keep the shape")
            observed[name] = new.astype(observed[name].dtype)
        return observed

    def _checked_weights(self, weights: float | Mapping[str, Any]) -> list[NDArray]:
        if not isinstance(weights, Mapping):
            return [np.full(shape, float(weights)) for shape in self.weight_shapes.values()]
        for name in weights:
            if name not in self.weight_shapes:
                raise InputError(f"there is no likelihood term {name!r}", "weights", f"there are {self.weight_names}")
        vectors = []
        for name, shape in self.weight_shapes.items():
            given = np.asarray(weights.get(name, 1.0), dtype=np.float64)
            try:
                vectors.append(np.ascontiguousarray(np.broadcast_to(given, shape)).reshape(shape))
            except ValueError as error:
                raise InputError(f"weights of {name} have shape {given.shape}", "weights", f"need {shape}") from error
        return vectors


def _static_border(graphs: list[Variable], moving: Iterable[Variable], data: Iterable[Variable]) -> list[Variable]:
    """The variables at which the part of the graphs that depends on data alone meets the part that moves.

    They are computed once per data set instead of once per call. Shared variables are always among them, so that
    the compiled function has no hidden inputs; an index or a shape that no data enter stays visible to the compiler.
    """
    moves, from_data = set(moving), set(data)
    nodes = list(toposort(graphs))
    for node in nodes:
        if any(v in moves for v in node.inputs):
            moves.update(node.outputs)
        elif any(v in from_data or isinstance(v, SharedVariable) for v in node.inputs):
            from_data.update(node.outputs)
    border: dict[Variable, None] = {}
    for node in nodes:
        if not any(v in moves for v in node.inputs):
            continue
        for v in node.inputs:
            if v in moves or not isinstance(v.type, TensorType):
                continue
            large = isinstance(v, Constant) and np.size(v.data) > _INLINE_ELEMENTS
            if large or v in from_data or isinstance(v, SharedVariable):
                border[v] = None
    return list(border)


@dataclass(frozen=True)
class NativeObjective:
    """The compiled density with one choice of weights and data: an `Objective`, and a C function for nutpie.

    Attributes
    ----------
    dimension : int
    function : NativeFunction
    inputs : list of ndarray
        What the pointer table points at; kept alive here.
    """

    dimension: int
    function: NativeFunction
    inputs: list[NDArray]

    @cached_property
    def table(self) -> NDArray[np.uintp]:
        """The pointer table that the C function reads."""
        return np.array([array.ctypes.data for array in self.inputs] or [0], dtype=np.uintp)

    @cached_property
    def _buffers(self) -> tuple[Vector, Vector, Vector]:
        return np.zeros(self.dimension), np.zeros(self.dimension), np.zeros(1)

    @cached_property
    def _addresses(self) -> tuple[int, int, int, int]:
        z, gradient, value = self._buffers
        return z.ctypes.data, gradient.ctypes.data, value.ctypes.data, self.table.ctypes.data

    def value(self, z: Vector) -> float:
        """Log f(z) in nats: finite or ``-inf``.

        Raises
        ------
        NumericalError
            If it is NaN or ``+inf``.
        """
        buffer, _, value = self._buffers
        buffer[:] = z
        self.function.call(self.dimension, *self._addresses)
        number = float(value[0])
        if number != number or number == np.inf:
            raise NumericalError(
                f"the log density is {number} at z = {np.array2string(np.asarray(z), threshold=10)}",
                "model",
                "look for a division by zero or a log of a negative number in the model",
            )
        return number

    def value_and_gradient(self, z: Vector) -> tuple[float, Vector]:
        """Log f(z) in nats and its gradient, shape ``(d,)``; see `value`."""
        number = self.value(z)
        return number, self._buffers[1].copy()
