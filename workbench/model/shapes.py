"""Changes of shape that move no number: axes put in order, added and dropped; a number in an array and out of it.

PyTensor's Numba functions for them build tuples of lengths and strides in functions of their own, four or five for one
new axis, and a small model has a dozen such operations. Here each is a few instructions written into its caller, which
costs the compiler nothing and a call as little.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
from pytensor.tensor.basic import Alloc, ScalarFromTensor, TensorFromScalar
from pytensor.tensor.elemwise import DimShuffle

_VERSION = 1
_ONE = "a dropped axis has a length other than one"


def shuffled(op: DimShuffle, node: Any, **_given: Any) -> tuple[Any, str]:
    """A view of an array with its axes in another order, some new or dropped, and its key for the cache."""
    order, lengths = tuple(op._new_order), node.inputs[0].type.shape
    dropped, single = tuple(op.drop), frozenset(axis for axis, length in enumerate(lengths) if length == 1)
    key = sha256(str((_VERSION, "shuffled", order, dropped, sorted(single))).encode()).hexdigest()
    return _shuffle(order, dropped, single), key


@cache
def _shuffle(order: tuple[int, ...], dropped: tuple[int, ...], single: frozenset[int]) -> Any:
    """The instructions that make the view."""
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.core.imputils import impl_ret_borrowed
    from numba.extending import intrinsic

    @intrinsic
    def shuffled(_typing_context: Any, x: Any) -> Any:
        if not isinstance(x, types.Array):  # Numba may hand on a number where an array without axes is meant
            return _new_array(types.Array(x, len(order), "C"), x)
        layout: Any = _layout(x.layout, [axis for axis in order if axis >= 0 and axis not in single])
        result = types.Array(x.dtype, len(order), layout)

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            source = context.make_array(x)(context, builder, arguments[0])
            view = context.make_array(result)(context, builder)
            long = context.get_value_type(types.intp)
            shape = cgutils.unpack_tuple(builder, source.shape, x.ndim)
            strides = cgutils.unpack_tuple(builder, source.strides, x.ndim)
            for axis in dropped:
                with builder.if_then(builder.icmp_unsigned("!=", shape[axis], ir.Constant(long, 1)), likely=False):
                    context.call_conv.return_user_exc(builder, ValueError, (_ONE,))
            context.populate_array(
                view,
                data=source.data,
                shape=cgutils.pack_array(builder, [shape[a] if a >= 0 else ir.Constant(long, 1) for a in order], long),
                strides=cgutils.pack_array(
                    builder, [strides[a] if a >= 0 else ir.Constant(long, 0) for a in order], long
                ),
                itemsize=source.itemsize,
                meminfo=source.meminfo,
                parent=source.parent,
            )
            return impl_ret_borrowed(context, builder, result, view._getvalue())

        return result(x), generate

    return shuffled


def _layout(layout: str, kept: list[int]) -> str:
    """What is known of the order in memory once axes longer than one are in this order."""
    if layout not in "CF":
        return "A"
    if kept == sorted(kept):
        return layout
    return {"C": "F", "F": "C"}[layout] if kept == sorted(kept, reverse=True) else "A"


def _new_array(kind: Any, number: Any) -> tuple[Any, Any]:
    """The signature and the instructions of a new array of one element, made from a number."""
    from llvmlite import ir
    from numba.core import types
    from numba.core.imputils import impl_ret_new_ref
    from numba.np.arrayobj import _empty_nd_impl, store_item

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        one = ir.Constant(context.get_value_type(types.intp), 1)
        array = _empty_nd_impl(context, builder, kind, [one] * kind.ndim)
        store_item(context, builder, kind, arguments[0], array.data)
        return impl_ret_new_ref(context, builder, kind, array._getvalue())

    return kind(number), generate


def filled(op: Alloc, node: Any, **given: Any) -> tuple[Any, str | None]:
    """An array filled with one number, and its key for the cache; PyTensor's own where an array is repeated.

    The number stands in an array without axes. To assign that one to a slice, Numba compiles the message of an error
    that cannot happen, for two seconds.
    """
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import numba_njit
    from pytensor.link.numba.dispatch.tensor_basic import numba_funcify_Alloc

    value, *lengths = node.inputs
    if value.type.ndim or not lengths:
        return numba_funcify_Alloc(op, node=node, **given)
    axes = range(len(lengths))
    lines = [f"def filled(value, {', '.join(f'n{axis}' for axis in axes)}):", "    number = unboxed(value)"]
    lines.append(f"    z = np.empty(({', '.join(f'unboxed(n{axis})' for axis in axes)},), dtype)")
    lines += [f"{'    ' * (axis + 1)}for i{axis} in range(z.shape[{axis}]):" for axis in axes]
    lines += [f"{'    ' * (len(lengths) + 1)}z[{', '.join(f'i{axis}' for axis in axes)}] = number", "    return z"]
    source, dtype = "\n".join(lines), value.type.dtype
    scope = {"np": np, "unboxed": _unbox(), "dtype": np.dtype(dtype)}
    function = numba_njit(compile_numba_function_src(source, "filled", scope), boundscheck=False)
    return function, sha256(str((_VERSION, source, dtype)).encode()).hexdigest()


def unboxed(_op: ScalarFromTensor, **_given: Any) -> tuple[Any, str]:
    """The number in an array without axes, and its key for the cache."""
    return _unbox(), f"workbench-unboxed-{_VERSION}"


@cache
def _unbox() -> Any:
    from numba.core import types
    from numba.extending import intrinsic
    from numba.np.arrayobj import load_item

    @intrinsic
    def unboxed(_typing_context: Any, x: Any) -> Any:
        if not isinstance(x, types.Array):
            return x(x), lambda _context, _builder, _signature, arguments: arguments[0]

        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return load_item(context, builder, x, context.make_array(x)(context, builder, arguments[0]).data)

        return x.dtype(x), generate

    return unboxed


def boxed(_op: TensorFromScalar, **_given: Any) -> tuple[Any, str]:
    """An array without axes that holds a number, and its key for the cache."""
    return _box(), f"workbench-boxed-{_VERSION}"


@cache
def _box() -> Any:
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def boxed(_typing_context: Any, x: Any) -> Any:
        return _new_array(types.Array(x, 0, "C"), x)

    return boxed
