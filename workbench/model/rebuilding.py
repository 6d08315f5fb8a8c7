"""Graphs built anew from their inputs up, with some operations replaced by others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytensor.graph.basic import Apply, Variable
from pytensor.graph.traversal import toposort

Instead = Callable[[Apply, list[Variable]], "Variable | list[Variable] | None"]


def rebuilt(graphs: Sequence[Variable], instead: Instead) -> list[Variable]:
    """The same graphs with the output of some nodes replaced.

    Parameters
    ----------
    graphs : sequence of pytensor variables
        They are not changed.
    instead : callable
        ``instead(node, inputs)`` gives what takes the place of a node's only output, or a list for all of them, from
        its inputs as they are by then, or None for a node that stays what it is.

    Returns
    -------
    list of pytensor variables
        In the same order; a graph in which nothing was replaced is itself.
    """
    known: dict[Variable, Variable] = {}
    for node in toposort(list(graphs)):
        inputs = [known.get(variable, variable) for variable in node.inputs]
        other = instead(node, inputs)
        if other is not None:
            known.update(zip(node.outputs, other if isinstance(other, list) else [other], strict=True))
        elif any(new is not old for new, old in zip(inputs, node.inputs, strict=True)):
            known.update(zip(node.outputs, node.clone_with_new_inputs(inputs, strict=False).outputs, strict=True))
    return [known.get(graph, graph) for graph in graphs]
