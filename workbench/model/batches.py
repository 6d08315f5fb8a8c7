"""Many values at once without a loop around an operation that has none of its own.

PyTensor vectorises an index by values that differ from state to state, and a concatenation of which only a part does,
as a loop around the operation (`Blockwise`). A mixture with labels, mu[k], is nothing but such an index. Compiled, the
loop costs more than all the rest of the density, and run by NumPy it is a call from Python for every state. An index by
arrays is one into the same array, what is the same for all states is repeated before it is concatenated, and a
recursion takes all of them at each of its steps (`workbench.model.recursions`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Variable
from pytensor.graph.replace import vectorize_graph
from pytensor.scan.op import Scan
from pytensor.tensor.basic import Join
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.subtensor import AdvancedSubtensor

from workbench.model.parameter_checks import with_checks_as_values
from workbench.model.rebuilding import rebuilt
from workbench.model.recursions import recursion_of_many


def over_states(graphs: Sequence[Variable], states: dict[Variable, Variable]) -> list[Variable]:
    """Graphs vectorised over a leading axis of some of their inputs.

    Parameters
    ----------
    graphs : sequence of pytensor variables
    states : dict of variable to variable
        Input -> the same with an axis more in front.

    Returns
    -------
    list of pytensor variables
        Each with that axis in front.
    """
    return rebuilt(list(vectorize_graph(with_checks_as_values(graphs), states)), _plain)


def _plain(node: Apply, inputs: list[Variable]) -> Variable | list[Variable] | None:
    """What a loop around an index, a concatenation or a recursion computes without it; None for anything else."""
    if not isinstance(node.op, Blockwise) or node.op.batch_ndim(node) != 1:
        return None
    core = node.op.core_op
    if isinstance(core, Scan):
        return recursion_of_many(node, inputs, over_states)
    if isinstance(core, AdvancedSubtensor) and core.idx_list == tuple(range(len(inputs) - 1)):
        return _picked(inputs[0], inputs[1:])
    if isinstance(core, Join):
        size = next((x.shape[0] for x in inputs if x.type.shape[0] != 1), inputs[0].shape[0])
        whole = [pt.broadcast_to(x, (size, *list(x.shape)[1:])) if x.type.shape[0] == 1 else x for x in inputs]
        return pt.join(core.axis + 1, *whole)
    return None


def _picked(array: Variable, indices: Sequence[Variable]) -> Variable | None:
    """Elements of an array that is the same in all states; None where it differs."""
    if array.type.shape[0] != 1:
        return None
    most = max(index.type.ndim for index in indices)
    aligned = [index.dimshuffle(0, *["x"] * (most - index.type.ndim), *range(1, index.type.ndim)) for index in indices]
    return array.dimshuffle(*range(1, array.type.ndim))[tuple(aligned)]
