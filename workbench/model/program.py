"""The compiled form of a density: one C function, the layout of its run-time inputs, and objectives over it.

Whatever depends on the data alone, such as a log-gamma of counts, is computed once per data set and becomes an input;
so do large constants. The C function is therefore the same for all data of one shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable, equal_computations
from pytensor.graph.traversal import toposort
from pytensor.tensor.shape import Shape, Shape_i
from pytensor.tensor.type import TensorType

from workbench.errors import InputError, NumericalError
from workbench.model.compiled import NativeFunction, caller_of_many, interpreted, native, stabilised, without_traces
from workbench.model.constants import replaced
from workbench.numerics.objective import Vector

if TYPE_CHECKING:
    from workbench.model.space import Space
    from workbench.model.terms import SymbolicTerms

# A constant with more elements than this becomes an input: Numba would print it into the machine code.
_INLINE_ELEMENTS = 8
_KEPT = 32  # functions kept in a process for another study of the same model


@dataclass(frozen=True)
class Weights:
    """The weights of one question.

    Parameters
    ----------
    prior, jacobian : float
    likelihood : float or mapping of str to array_like
        One weight for all, or per observed variable an array that broadcasts to its observations.
    latent : float or mapping of str to array_like, optional
        Weights of the elements of the latent variables' log prior, with their Jacobian at weight 1, as an integral
        over them needs it. By default latent variables share the weights of the prior and the Jacobian.
    """

    prior: float = 1.0
    likelihood: float | Mapping[str, Any] = 1.0
    jacobian: float = 1.0
    latent: float | Mapping[str, Any] | None = None


def _switched(weight: Variable, term: Variable) -> Variable:
    """Weight times term, with 0 * -inf = 0."""
    return pt.switch(pt.eq(weight, 0.0), 0.0, weight * term)


@dataclass(frozen=True)
class _Known:
    """A graph that was compiled in this process, and its function."""

    roots: list[Variable]
    shapes: list[tuple[tuple[int, ...], np.dtype]]
    graphs: list[Variable]
    function: NativeFunction

    def computes(self, roots: list[Variable], shapes: list, graphs: list[Variable]) -> bool:
        """Whether other graphs over other variables say the same, operation by operation."""
        if shapes != self.shapes or [root.type for root in roots] != [root.type for root in self.roots]:
            return False
        return len(graphs) == len(self.graphs) and equal_computations(graphs, self.graphs, roots, self.roots)


_known: list[_Known] = []


def _compiled(
    parts: list[Variable], inputs: list[Variable], examples: list[NDArray], graphs: list[Variable]
) -> NativeFunction:
    """`native`, or what it gave when the same graphs were compiled lately.

    Data are inputs, so another study of a model, or of its other data, is of the same graphs: to see that takes
    milliseconds, to bring them into the form that Numba compiles a fraction of a second even if the disk has the rest.
    """
    roots, shapes = [*parts, *inputs], [(array.shape, array.dtype) for array in examples]
    for known in _known:
        if known.computes(roots, shapes, graphs):
            return known.function
    function = native(parts, inputs, examples, graphs[0], graphs[1:])
    _known.append(_Known(roots, shapes, graphs, function))
    del _known[:-_KEPT]
    return function


class Program:
    """The compiled function of a density, and the layout of its run-time inputs."""

    def __init__(
        self,
        space: Space,
        symbolic: SymbolicTerms,
        likelihood_shapes: Mapping[str, tuple[int, ...]],
        likelihood_side: list[str],
        latent_shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        self.space, self.symbolic = space, symbolic
        self.weight_shapes = {**likelihood_shapes, **dict.fromkeys(likelihood_side, ())}
        self.latent_shapes = dict(latent_shapes)
        scalars = [pt.dscalar(f"{name} weight") for name in ("prior", "jacobian", "latent jacobian")]
        scalars = scalars if latent_shapes else scalars[:2]
        weights, latent = (
            {n: pt.TensorType("float64", shape=shape)(f"w:{n}") for n, shape in shapes.items()}
            for shapes in (self.weight_shapes, self.latent_shapes)
        )
        parts = {n: pt.TensorType("float64", shape=shape)(n) for n, shape in space.block_shapes.items()}
        inputs = [*scalars, *latent.values(), *weights.values()]
        total = self._total(parts, scalars, weights, latent)
        # What is known of the data is computed as it was written: in canonical form n - y + beta is n + beta - y, of
        # which nothing is left for a tiny beta.
        known = _of_data(static_border([total], [*parts.values(), *inputs], symbolic.data.values()))
        kept = [v.type() for v in known]
        graphs = self._graphs(replaced([total], dict(zip(known, kept, strict=True))), parts)
        border = static_border(graphs, [*parts.values(), *inputs], [*symbolic.data.values(), *kept])
        self._derived = replaced(border, dict(zip(kept, known, strict=True)))
        self._derive = interpreted(list(symbolic.data.values()), self._derived) if self._derived else None
        self._observed_static = self._static(symbolic.observed)
        stand_ins = [v.type() for v in border]
        value, *gradient = replaced(graphs, dict(zip(border, stand_ins, strict=True)))
        examples = [np.ones(variable.type.shape) for variable in inputs] + self._observed_static
        self.function = _compiled(list(parts.values()), [*inputs, *stand_ins], examples, [value, *gradient])

    def _total(
        self,
        parts: Mapping[str, Variable],
        scalars: list[Variable],
        weights: Mapping[str, Variable],
        latent: Mapping[str, Variable],
    ) -> Variable:
        """The weighted log density over the parts of z."""
        s, zero = self.symbolic, pt.constant(0.0)
        elementwise = {**s.log_likelihood, **{n: s.potential[n].sum() for n in weights if n in s.potential}}
        likelihood = [_switched(weights[n], g).sum() for n, g in elementwise.items()]
        prior = [g.sum() for n, g in s.log_prior.items() if n not in latent]
        prior += [g.sum() for n, g in s.potential.items() if n not in weights and n not in latent]
        latent_prior = [_switched(w, (s.log_prior.get(n, s.potential.get(n)))).sum() for n, w in latent.items()]
        jacobian = [g.sum() for n, g in s.log_jacobian.items() if n not in latent]
        latent_jacobian = [g.sum() for n, g in s.log_jacobian.items() if n in latent]
        total = _switched(scalars[0], sum(prior, zero)) + sum(likelihood, zero) + sum(latent_prior, zero)
        total += _switched(scalars[1], sum(jacobian, zero))
        if latent_jacobian:
            total += _switched(scalars[2], sum(latent_jacobian, zero))
        return replaced([total], {v: parts[n].astype(v.dtype) for n, v in s.values.items()})[0]

    @without_traces()
    def _graphs(self, totals: list[Variable], parts: Mapping[str, Variable]) -> list[Variable]:
        """A log density in stable form, and its gradient part by part."""
        (total,) = stabilised(totals)
        # `native` brings the gradient into its final form; doing so here as well would cost as much again.
        return [total, *pt.grad(total, list(parts.values()), disconnected_inputs="ignore")]

    def _static(self, data: Mapping[str, NDArray]) -> list[NDArray]:
        """Everything that depends on the data alone, computed once per data set."""
        if self._derive is None:
            return []
        arrays = self._derive(*[data[n] for n in self.symbolic.data])
        return [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]

    def objective(self, weights: Weights, data: Mapping[str, NDArray]) -> NativeObjective:
        """The objective with these weights and data; see `LogDensity.objective`."""
        static = self._observed_static
        if data:
            static = self._static(self._checked_data(data))
        scalars = [weights.prior, weights.jacobian]
        if self.latent_shapes:
            scalars.append(weights.jacobian if weights.latent is None else 1.0)
        latent = _checked_weights(weights.prior if weights.latent is None else weights.latent, self.latent_shapes)
        vectors = _checked_weights(weights.likelihood, self.weight_shapes)
        arrays = [*(np.array(float(x)) for x in scalars), *latent, *vectors, *static]
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


def _of_data(border: list[Variable]) -> list[Variable]:
    """Those of a border that are computed from the values of data; what a shape enters stays visible to rewrites."""
    return [
        v
        for v in border
        if v.owner is not None and not any(isinstance(node.op, Shape | Shape_i) for node in toposort([v]))
    ]


def _checked_weights(weights: float | Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> list[NDArray]:
    """One array of weights per term, in the order of the shapes."""
    if not isinstance(weights, Mapping):
        return [np.full(shape, float(weights)) for shape in shapes.values()]
    for name in weights:
        if name not in shapes:
            raise InputError(f"there is no weighted term {name!r}", "weights", f"there are {list(shapes)}")
    vectors = []
    for name, shape in shapes.items():
        given = np.asarray(weights.get(name, 1.0), dtype=np.float64)
        try:
            vectors.append(np.ascontiguousarray(np.broadcast_to(given, shape)).reshape(shape))
        except ValueError as error:
            raise InputError(f"weights of {name} have shape {given.shape}", "weights", f"need {shape}") from error
    return vectors


def static_border(graphs: list[Variable], moving: Iterable[Variable], data: Iterable[Variable]) -> list[Variable]:
    """The variables at which the part of the graphs that depends on data alone meets the part that moves.

    They are computed once per data set instead of once per call. Shared variables are always among them, so that
    the compiled function has no hidden inputs; an index or a shape that no data enter stays visible to the compiler.

    Parameters
    ----------
    graphs : list of pytensor variables
    moving, data : iterable of pytensor variables
        The inputs that change from call to call, and those that change with the data set.

    Returns
    -------
    list of pytensor variables
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

    def sweep(self, points: NDArray[np.float64]) -> tuple[Vector, NDArray[np.float64]]:
        """Log f and its gradient at points of shape ``(m, d)``, in one call of compiled code.

        Where log f is NaN it is returned as it is; what that means is for the caller to say.
        """
        points = np.ascontiguousarray(points, dtype=np.float64)
        value, gradient = np.zeros(len(points)), np.zeros(points.shape)
        call, _ = caller_of_many()
        call(len(points), self.dimension, self.function.address, points.ctypes.data, gradient.ctypes.data,
             value.ctypes.data, self.table.ctypes.data)  # fmt: skip
        return value, gradient

    def value_and_gradient(self, z: Vector) -> tuple[float, Vector]:
        """Log f(z) in nats and its gradient, shape ``(d,)``; see `value`."""
        number = self.value(z)
        return number, self._buffers[1].copy()
