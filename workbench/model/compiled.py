"""Two ways to run a graph: many points at once through NumPy, or one point at a time as a C function.

`batched` vectorises graphs over a leading axis and runs them operation by operation through NumPy. It needs no
compiler (tens of milliseconds to build) and suits terms and transformations at thousands of points.

`native` compiles value and gradient through Numba into a C function

    int64 f(uint64 d, const double *z, double *gradient, double *value, void *inputs)

where ``inputs`` is a table of pointers to the run-time inputs. Changing a weight or the data is a write to memory;
nothing is compiled again, and nutpie can call the same function. The function is kept in PyTensor's own cache on
disk under a key of the whole graph, so a model is compiled once a machine, not once a process. Nutpie's own wrapper
cannot be cached, and half of its compile time goes into an error message (see docs/design.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import pytensor
import pytensor.scalar as ps
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.rewriting.utils import rewrite_graph
from pytensor.tensor.elemwise import Elemwise

from workbench.model.batches import over_states
from workbench.model.dispatch import plain_functions
from workbench.model.interpreter import Interpreter
from workbench.model.late import late_machine_code
from workbench.model.parameter_checks import without_idle_checks
from workbench.model.rebuilding import rebuilt
from workbench.model.stable_forms import in_stable_forms, with_both_tails

# CheckParameter raises inside PyTensor; as a switch it gives -inf, which is what a density outside its support is.
STABLE = ("canonicalize", "stabilize", "local_check_parameter_to_ninf_switch")


# PyTensor notes for every variable where in the user's program it was made; ours are made here, so that is noise.
# Each use makes a decorator of its own: one object could not restore the setting after nested calls.
def without_traces() -> Any:
    """A decorator under which PyTensor keeps no stack traces; building graphs is a fifth faster."""
    return pytensor.config.change_flags(traceback__limit=0)


def without_compiler() -> Any:
    """A context in which PyTensor starts no C compiler; the inner graphs of an interpreted operation would start one.

    For an LKJ prior they cost 20 seconds a machine, and a search for BLAS that ends in a warning.
    """
    return pytensor.config.change_flags(cxx="")


@without_traces()
def stabilised(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs in PyTensor's canonical and numerically stable form, without checks that cannot fail."""
    if not graphs:
        return []
    stable = rewrite_graph(in_stable_forms(without_idle_checks(graphs)), include=STABLE, clone=True)
    return with_both_tails(list(stable))


def _softplus(x: Variable) -> Variable:
    return pt.maximum(x, 0.0) + pt.log1p(pt.exp(-pt.abs(x)))


def _log1mexp(x: Variable) -> Variable:
    near_zero = x > -0.6931471805599453  # log 2: Maechler (2012), "Accurately computing log(1 - exp(-|a|))"
    return pt.switch(near_zero, pt.log(-pt.expm1(x)), pt.log1p(-pt.exp(x)))


_IN_NUMPY: dict[type, Callable[[Variable], Variable]] = {ps.Softplus: _softplus, ps.Log1mexp: _log1mexp}


def _with_array_functions(graphs: Sequence[Variable]) -> list[Variable]:
    """Scalar operations that PyTensor would run element by element in Python, in terms of NumPy's functions."""

    def in_numpy(node: Apply, inputs: list[Variable]) -> Variable | None:
        scalar_op = type(node.op.scalar_op) if isinstance(node.op, Elemwise) else None
        return _IN_NUMPY[scalar_op](inputs[0]) if scalar_op in _IN_NUMPY else None

    return rebuilt(graphs, in_numpy)


@without_traces()
def interpreted(
    inputs: Sequence[Variable], graphs: Sequence[Variable], stable: bool = True
) -> Callable[..., list[NDArray]]:
    """A function of arrays that runs the graphs operation by operation, without any compiler.

    Parameters
    ----------
    inputs, graphs : sequence of pytensor variables
    stable : bool
        Whether to bring the graphs into numerically stable form first; without it they run as they were written.
    """
    if stable:
        graphs = _with_array_functions(stabilised(graphs))
    with without_compiler():
        return Interpreter(inputs, graphs)


@without_traces()
def batched(z: Variable, graphs: Sequence[Variable], inputs: Sequence[Variable] = ()) -> Callable[..., list[NDArray]]:
    """A function of many points: arrays of shape ``(m, d)`` to one array of shape ``(m, *shape)`` per graph.

    Parameters
    ----------
    z : pytensor vector, shape (d,)
    graphs : sequence of pytensor variables over z and the inputs
    inputs : sequence of pytensor variables
        What else the graphs depend on, the same at every point, such as data; arguments after the points.

    Returns
    -------
    callable
    """
    if not graphs:
        return lambda *_: []
    points = pt.TensorType("float64", shape=(None, z.type.shape[0]))("Z")
    # A graph that does not depend on z has no leading axis until it is given one.
    zero = pt.zeros_like(z[:1].sum())
    tied = [graph + zero.astype(graph.dtype) for graph in graphs]
    call = interpreted([points, *inputs], over_states(tied, {z: points}))
    return lambda array, *others: call(np.ascontiguousarray(array, dtype=np.float64), *others)


@dataclass(frozen=True)
class NativeFunction:
    """A C function for value and gradient, and the objects that must outlive it.

    Attributes
    ----------
    address : int
        Where the C function is; nutpie takes it as it is.
    call : ctypes function
    cached : bool
        Whether it came from the cache on disk.
    owner : object
        Keeps the machine code alive.
    """

    address: int
    call: Any
    cached: bool
    owner: Any


_SIGNATURE = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No search for cyclic garbage: a compiler makes many objects and keeps them, and one search costs 0.3 s."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _copied(name: str, shape: tuple[int, ...], offset: int) -> list[str]:
    """Source lines that copy an array into its part of the gradient, element by element.

    A slice assignment says the same, but Numba would compile the message of an error that cannot happen with it.
    """
    lines, index = [], []
    for axis, size in enumerate(shape):
        lines.append(f"{'    ' * (axis + 1)}for i{axis} in range({size}):")
        index.append(f"i{axis}")
    place = str(offset)
    for axis, i in enumerate(index):
        place += f" + {i} * {int(np.prod(shape[axis + 1 :]))}"
    indent = "    " * (len(shape) + 1)
    element = f"{name}[{', '.join(index)}]" if shape else f"{name}.item()"
    return [
        *lines,
        f"{indent}slope = {element}",
        f"{indent}gradient_[{place}] = slope",
        f"{indent}doubt += slope - slope",
    ]


_NOT_COMPUTED = (
    "    except Exception:",
    "        value_[0] = np.nan",
    "        for i in range(d):",
    "            gradient_[i] = np.nan",
    "        return 4",
)


def _source(shapes: Sequence[tuple[int, ...]], examples: Sequence[NDArray]) -> str:
    """The C function as Python source: z taken apart, inputs read through the table, the gradient put together."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    d, offsets = sum(sizes), np.cumsum([0, *sizes])
    lines = ["def log_density(d, z_, gradient_, value_, inputs_):", f"    if d != {d}: return -1"]
    lines += [
        f"    z{i} = numba.carray(shifted(z_, {int(offset)}), {tuple(map(int, shape))!r})"
        for i, (offset, shape) in enumerate(zip(offsets, shapes, strict=False))
    ]
    lines.append(f"    table = numba.carray(inputs_, ({max(len(examples), 1)},), np.uintp)")
    for i, array in enumerate(examples):
        shape = tuple(int(n) for n in array.shape)
        lines.append(f"    a{i} = numba.carray(as_pointer(table[{i}]), {shape!r}, np.{array.dtype.name})")
    names = [*(f"z{i}" for i in range(len(shapes))), *(f"a{i}" for i in range(len(examples)))]
    slopes = [f"g{i}" for i in range(len(shapes))]
    # Numba lets no error out of a C function: it prints it and returns as if all were well, with nothing computed.
    # It does not know a call with more than 30 arguments where errors are caught, but one with a tuple of them.
    lines += [f"    given = ({', '.join(names)},)", "    try:"]
    lines += [f"        {', '.join(['value', *slopes])}, = inner(*given)", *_NOT_COMPUTED]
    lines += ["    value_[0] = value.item()", "    doubt = 0.0"]  # NaN as soon as one slope is not finite
    for name, shape, offset in zip(slopes, shapes, offsets, strict=False):
        lines += _copied(name, tuple(map(int, shape)), int(offset))
    return "\n".join(
        [*lines, "    if value_[0] - value_[0] != 0.0: return 4", "    if doubt != 0.0: return 3", "    return 0"]
    )


@without_traces()
@_without_collection()
def native(
    parts: Sequence[Variable],
    inputs: Sequence[Variable],
    examples: Sequence[NDArray],
    value: Variable,
    gradient: Sequence[Variable],
) -> NativeFunction:
    """Compile a value and its gradient over z and the run-time inputs into a C function.

    The parts of z are taken from memory and those of the gradient are put back there one by one: as slices of one
    vector they would cost half of the compile time of a small model.

    Parameters
    ----------
    parts : sequence of pytensor variables
        Side by side, in C order, they are z.
    inputs : sequence of pytensor variables
        The run-time inputs after z, in the order of the pointer table.
    examples : sequence of ndarray
        One array per input; their shapes and types are fixed in the compiled function.
    value : pytensor scalar
    gradient : sequence of pytensor variables
        One a part, of its shape.

    Returns
    -------
    NativeFunction
    """
    import numba
    from pytensor.link.numba.cache import CACHED_SRC_FUNCTIONS, compile_numba_function_src

    mode = pytensor.compile.mode.get_mode("NUMBA").including("local_check_parameter_to_ninf_switch")
    with plain_functions():
        function = pytensor.function([*parts, *inputs], [value, *gradient], mode=mode, on_unused_input="ignore")
    outer = function.vm.jit_fn
    # PyTensor's entry point packs its arguments into a tuple; what it wraps can be called without that detour.
    inner = outer.py_func.__globals__.get("jitable_func", outer)
    source = _source([part.type.shape for part in parts], examples)
    graph_key = CACHED_SRC_FUNCTIONS.get(outer.py_func)
    versions = f"{pytensor.__version__} {numba.__version__}"
    key = None if graph_key is None else sha256(f"{graph_key} {versions} {source}".encode()).hexdigest()
    as_pointer, shifted = _pointers()
    scope = {"numba": numba, "np": np, "inner": inner, "as_pointer": as_pointer, "shifted": shifted}
    wrapper = compile_numba_function_src(source, "log_density", scope | {"__name__": __name__}, cache_key=key)
    pointer = numba.types.CPointer(numba.types.double)
    signature = numba.types.int64(numba.types.uint64, pointer, pointer, pointer, numba.types.voidptr)
    with late_machine_code():
        compiled = numba.cfunc(signature, cache=key is not None)(wrapper)
    return NativeFunction(compiled.address, _SIGNATURE(compiled.address), compiled.cache_hits > 0, (compiled, function))


_MANY = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t,
    ctypes.c_size_t,
)  # fmt: skip


@cache
def caller_of_many() -> Any:
    """A C function that calls a density at many points: ``(m, d, density, points, gradients, values, inputs)``.

    All but the first two arguments are addresses. It belongs to no model: it calls through the address that it is
    given, so it is compiled once a machine, and a point costs no call from Python.
    """
    import numba
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic
    from pytensor.link.numba.cache import compile_numba_function_src

    @intrinsic
    def call_density(_typing_context: Any, address: Any, d: Any, z: Any, gradient: Any, value: Any, inputs: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            long, pointer = context.get_value_type(types.int64), cgutils.voidptr_t
            kind = ir.FunctionType(long, [context.get_value_type(types.uint64), *[pointer] * 4])
            function = builder.inttoptr(arguments[0], kind.as_pointer())
            places = [builder.inttoptr(argument, pointer) for argument in arguments[2:]]
            return builder.call(function, [arguments[1], *places])

        return types.int64(address, d, z, gradient, value, inputs), generate

    source = "\n".join(
        [
            "def call_many(m, d, address, points, gradients, values, inputs):",
            "    for i in range(m):",
            "        step = np.uint64(8 * i)",
            "        call(address, d, points + step * d, gradients + step * d, values + step, inputs)",
        ]
    )
    scope = {"np": np, "call": call_density, "__name__": __name__}
    key = f"workbench-call-many-{numba.__version__}"
    wrapper = compile_numba_function_src(source, "call_many", scope, cache_key=key)
    signature = numba.types.void(numba.types.int64, *[numba.types.uint64] * 6)
    compiled = numba.cfunc(signature, cache=True)(wrapper)
    return _MANY(compiled.address), compiled


@cache
def _pointers() -> tuple[Any, Any]:
    """Numba's cast from an address to a pointer, and a pointer moved by some elements; made when first needed."""
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    @intrinsic
    def as_pointer(_typing_context: Any, address: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(address), generate

    @intrinsic
    def shifted(_typing_context: Any, pointer: Any, _elements: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.gep(arguments[0], [arguments[1]])

        return pointer(pointer, types.intp), generate

    return as_pointer, shifted
