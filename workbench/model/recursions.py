"""A recursion at many points at once: one loop over its steps, instead of one for every point.

A likelihood that goes step by step, such as the variance of GARCH or a moving average, is a `Scan`. PyTensor vectorises
it over points as a loop around the loop (`Blockwise`), each step of which is a call from Python: 250 steps at 4,000
draws are a million. Here the operations within a step take all points together, and the loop is run once.

A `Scan` keeps its steps in the first axis of sequences and states; points are put into the second,

    (points, steps, ...)  ->  (steps, points, ...),

so that what one step sees has the points in front, as everything else that is vectorised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Variable
from pytensor.scan.op import Scan
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.type import TensorType

Vectorised = Callable[[Sequence[Variable], dict[Variable, Variable]], list[Variable]]


@dataclass(frozen=True)
class _Parts:
    """The inputs of a recursion by what they are, each with an axis of points in front."""

    steps: Variable
    sequences: Sequence[Variable]
    states: Sequence[Variable]  # with all the past that a step looks at
    lengths: Sequence[Variable]  # of what is given out at every step and not fed back
    fixed: Sequence[Variable]


def _parts(op: Scan, inputs: Sequence[Variable]) -> _Parts:
    """The inputs of a recursion without random numbers, a condition, or states that it writes into."""
    rest = iter(inputs[1:])
    sequences = list(islice(rest, op.info.n_seqs))
    states = list(islice(rest, op.info.n_mit_sot + op.info.n_sit_sot))
    lengths = list(islice(rest, op.info.n_nit_sot))
    return _Parts(inputs[0], sequences, states, lengths, list(rest))


def recursion_of_many(node: Apply, inputs: Sequence[Variable], vectorised: Vectorised) -> list[Variable] | None:
    """What a loop around a recursion computes, with one loop over the steps.

    Parameters
    ----------
    node : Apply
        Any node.
    inputs : sequence of pytensor variables
        What takes the place of its inputs.
    vectorised : callable
        Graphs, and their inputs -> the same with an axis more in front, to graphs with that axis: for one step.

    Returns
    -------
    list of pytensor variables or None
        Its outputs; None for anything but a loop over one axis around a recursion of fixed length that neither draws
        random numbers nor stops on a condition.
    """
    if not isinstance(node.op, Blockwise) or not isinstance(node.op.core_op, Scan) or node.op.batch_ndim(node) != 1:
        return None
    op = node.op.core_op
    info = op.info
    if info.as_while or info.n_untraced_sit_sot or info.n_mit_mot:
        return None
    parts = _parts(op, inputs)
    if any(length.type.shape[0] != 1 for length in (parts.steps, *parts.lengths)):
        return None
    batches = [x.shape[0] for x in (*parts.sequences, *parts.states, *parts.fixed) if x.type.shape[0] != 1]
    if not batches:
        return None
    whole = [pt.broadcast_to(x, (batches[0], *tuple(x.shape)[1:])) for x in parts.states]
    step = _Step(op, parts, vectorised)
    batched = Scan(step.inputs, step.outputs, info, mode=op.mode, name=op.name, allow_gc=op.allow_gc, strict=op.strict)
    outputs = batched.make_node(
        parts.steps[0],
        *(pt.moveaxis(x, 0, 1) for x in (*parts.sequences, *whole)),
        *(length[0] for length in parts.lengths),
        *parts.fixed,
    ).outputs
    return [pt.moveaxis(output, 1, 0) for output in outputs]


class _Step:
    """One step of a recursion, with points in front of whatever it takes and gives."""

    def __init__(self, op: Scan, parts: _Parts, vectorised: Vectorised) -> None:
        graph = op.fgraph.unfreeze()
        points = [x.type.shape[0] for x in parts.sequences]
        points += [None for slices in (*op.info.mit_sot_in_slices, *op.info.sit_sot_in_slices) for _ in slices]
        points += [x.type.shape[0] for x in parts.fixed]
        one_point = list(graph.inputs)
        self.inputs = [
            TensorType(one.type.dtype, shape=(size, *one.type.shape))()
            for one, size in zip(one_point, points, strict=True)
        ]
        many = next(x.shape[0] for x in self.inputs if x.type.shape[0] != 1)
        found = vectorised(list(graph.outputs), dict(zip(one_point, self.inputs, strict=True)))
        self.outputs = [_of_many(x, one, many) for x, one in zip(found, graph.outputs, strict=True)]


def _of_many(found: Variable, one: Variable, many: Variable) -> Variable:
    """What a step gives, with a value for each point, also where it is the same at all of them."""
    if found.type.ndim == one.type.ndim or found.type.shape[0] == 1:
        found = pt.broadcast_to(found, (many, *tuple(found.shape)[found.type.ndim - one.type.ndim :]))
    return pt.specify_shape(found, (None, *one.type.shape))
