"""Fused scalar expressions as one Numba function each, instead of one function an operation.

PyTensor turns every multiplication inside a fused expression into a Numba function of its own, with a wrapper around
it; each costs 20 to 40 ms to compile, and a small model has dozens. Here a fused expression is written out as the
source of a single function. Operations that have no plain form (a log-gamma, a cast) stay calls to PyTensor's own.
What only one branch of a switch needs is computed there: of log p and log(1 - p) an observation needs one.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import Any

import numpy as np
import pytensor.scalar.basic as ps
from pytensor.graph.basic import Constant, Variable
from pytensor.scalar.math import Sigmoid, Softplus

# Operations as Python that Numba compiles to what PyTensor's own function for them does. Only where every type is one
# that Python arithmetic keeps (no narrow integers, no float32 result).
_KEPT = {"bool", "int64", "float64"}
_PLAIN: dict[type, str] = {
    ps.Sub: "{0} - {1}", ps.Neg: "-{0}", ps.TrueDiv: "{0} / {1}", ps.Sqr: "{0} * {0}",
    ps.Exp: "np.exp({0})", ps.Log: "np.log({0})", ps.Log1p: "np.log1p({0})", ps.Expm1: "np.expm1({0})",
    ps.Sqrt: "np.sqrt({0})", ps.Abs: "abs({0})", ps.Identity: "{0}", ps.Reciprocal: "1.0 / {0}",
    ps.Switch: "({1} if {0} else {2})", ps.EQ: "{0} == {1}", ps.NEQ: "{0} != {1}", ps.LT: "{0} < {1}",
    ps.LE: "{0} <= {1}", ps.GT: "{0} > {1}", ps.GE: "{0} >= {1}", Sigmoid: "1.0 / (1.0 + np.exp(-{0}))",
    Softplus: "softplus({0})",
}  # fmt: skip
_FLOAT_ONLY = (ps.Neg, ps.Abs, ps.Sqr, Sigmoid, Softplus, ps.Exp, ps.Log, ps.Log1p, ps.Expm1, ps.Sqrt, ps.Reciprocal)
_JOINED: dict[type, str] = {ps.Add: " + ", ps.Mul: " * "}
_LOGICAL: dict[type, str] = {ps.AND: " and ", ps.OR: " or "}
_VERSION = 4
# What costs no more than to branch around it.
_CHEAP = (ps.Add, ps.Mul, ps.Sub, ps.Neg, ps.Sqr, ps.Abs, ps.Identity, ps.Switch, ps.EQ, ps.NEQ, ps.LT, ps.LE, ps.GT,
          ps.GE, ps.AND, ps.OR, ps.Cast)  # fmt: skip


@cache
def _softplus() -> Any:
    """Log(1 + e^x): with u = 1 + e rounded, log u + (e - (u - 1)) / u is log(1 + e) at half the time of `log1p`."""
    from pytensor.link.numba.dispatch.basic import numba_njit

    def softplus(x: float) -> Any:
        e = np.exp(-abs(x))
        u = 1.0 + e
        return max(x, 0.0) + (np.log(u) + (e - (u - 1.0)) / u)

    return numba_njit(softplus, fastmath=False)  # it lives from an order of rounding


def _expression(node: Any, names: list[str]) -> str | None:
    """One operation as an expression of its inputs' names; None where PyTensor's own function has to be called."""
    op, dtypes = type(node.op), {v.type.dtype for v in node.inputs}
    if len(node.outputs) != 1 or node.outputs[0].type.dtype not in _KEPT:
        return None
    if op in _LOGICAL:
        return _LOGICAL[op].join(names) if dtypes == {"bool"} else None
    if not dtypes <= _KEPT | {"float32"} or (op in _FLOAT_ONLY and dtypes != {"float64"}):
        return None
    if op in _JOINED:
        return _JOINED[op].join(names) if node.outputs[0].type.dtype == "float64" else None
    if op is ps.Sub and node.outputs[0].type.dtype != "float64":
        return None
    form = _PLAIN.get(op)
    return None if form is None else form.format(*names)


def _only_in_a_branch(graph: Any) -> set[Variable]:
    """Variables that nothing but one branch of one switch needs, where computing them costs more than the branch."""
    found: set[Variable] = set()
    outputs, nodes = set(graph.outputs), list(graph.toposort())
    for node in reversed(nodes):
        (variable, *others), clients = node.outputs, [c for v in node.outputs for c in graph.clients[v]]
        if others or len(clients) != 1 or variable in outputs:
            continue
        client, position = clients[0]
        if client.outputs[0] in found or (isinstance(client.op, ps.Switch) and position > 0):
            found.add(variable)
    costly: set[Variable] = set()
    for node in nodes:
        if not isinstance(node.op, _CHEAP) or any(v in costly and v in found for v in node.inputs):
            costly.update(node.outputs)
    # A cheap part of a costly expression goes with it; one that feeds a branch by itself stays where it is.
    kept: set[Variable] = set()
    for node in reversed(nodes):
        variable = node.outputs[0]
        if variable in found and (variable in costly or graph.clients[variable][0][0].outputs[0] in kept):
            kept.add(variable)
    return kept


def written_out(op: ps.Composite, **given: Any) -> tuple[Any, str | None]:
    """A fused scalar expression as one Numba function, and its key for the cache (None where it has none)."""
    from pytensor.link.numba.cache import compile_numba_function_src
    from pytensor.link.numba.dispatch.basic import cache_key_for_constant, numba_funcify_and_cache_key, numba_njit

    for name in ("node", "storage_map"):
        given.pop(name, None)
    graph = op.fgraph
    # No name ends in a digit: Numba appends the offset in the bytecode to it, and x2 at 166 would meet x21 at 66.
    names: dict[Variable, str] = {v: f"x{i}_" for i, v in enumerate(graph.inputs)}
    scope: dict[str, Any] = {"np": np, "softplus": _softplus()}
    keys: list[str | None] = []

    def name_of(variable: Variable) -> str:
        if variable not in names and isinstance(variable, Constant):
            names[variable] = f"c{len(scope)}_"
            scope[names[variable]] = np.asarray(variable.data)[()]
            keys.append(str(cache_key_for_constant(scope[names[variable]])))
        return names[variable]

    lazy = _only_in_a_branch(graph)
    lines = [f"def written_out({', '.join(names[v] for v in graph.inputs)}):"]
    for step, inner in enumerate(graph.toposort()):
        inputs = [name_of(v) for v in inner.inputs]
        expression = _expression(inner, inputs)
        if expression is None:
            function, key = numba_funcify_and_cache_key(inner.op, node=inner, **given)
            keys.append(key)
            scope[f"f{step}_"] = function
            expression = f"f{step}_({', '.join(inputs)})"
        if inner.outputs[0] in lazy:
            names[inner.outputs[0]] = f"({expression})"
            continue
        for i, output in enumerate(inner.outputs):
            names[output] = f"t{step}_{i}_"
        lines.append(f"    {', '.join(names[v] for v in inner.outputs)} = {expression}")
    lines.append(f"    return {', '.join(name_of(v) for v in graph.outputs)}")
    source = "\n".join(lines)
    function = numba_njit(compile_numba_function_src(source, "written_out", scope), error_model="numpy")
    if any(key is None for key in keys):
        return function, None
    types = [v.type.dtype for v in (*graph.inputs, *graph.outputs)]
    return function, sha256(str((_VERSION, source, keys, types)).encode()).hexdigest()
