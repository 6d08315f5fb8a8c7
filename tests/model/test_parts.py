"""Parts of arrays, taken and changed by plain loops, are those that NumPy takes and changes."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key

from workbench.model.dispatch import plain_functions
from workbench.model.parts import picked

pytestmark = pytest.mark.usefixtures("late")

X = np.random.default_rng(3).normal(size=(5, 4))


def ours(inputs, outputs):
    with plain_functions():
        return pytensor.function(inputs, outputs, mode="NUMBA", on_unused_input="ignore")


SLICES = {
    "from": np.s_[2:], "to": np.s_[:-1], "between": np.s_[1:3], "two": np.s_[1:, :2], "row": np.s_[2, 1:],
    "column": np.s_[:, 3],
}  # fmt: skip


@pytest.mark.parametrize("where", SLICES.values(), ids=SLICES)
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("broadcast", [False, True])
def test_slices_are_set_and_added_to_as_by_numpy(where, added, broadcast, sources):
    x = pt.matrix("x")
    part = X[where] * 3.0
    part = part[:1] if broadcast else part
    y = pt.tensor("y", shape=part.shape, dtype="float64")
    function = ours([x, y], (pt.inc_subtensor if added else pt.set_subtensor)(x[where], y))
    for array in (X.copy(), np.asfortranarray(X)):
        before, right = array.copy(), array.copy()
        right[where] = right[where] + part if added else part
        np.testing.assert_array_equal(function(array, part), right)
        np.testing.assert_array_equal(array, before)
    assert "changed" in sources


def test_a_part_of_another_shape_is_refused():
    x, y = pt.vector("x"), pt.tensor("y", shape=(3,), dtype="float64")
    function = ours([x, y], pt.set_subtensor(x[1:], y))
    with pytest.raises(ValueError, match="do not agree"):
        function(np.zeros(3), np.zeros(3))


def test_a_part_whose_shape_is_not_known_is_left_to_pytensor(sources):
    x, y = pt.vector("x"), pt.vector("y")
    function = ours([x, y], pt.set_subtensor(x[1:], y))
    assert "changed" not in sources
    np.testing.assert_array_equal(function(np.zeros(3), np.ones(2)), [0.0, 1.0, 1.0])


INDICES = {
    "vector": (np.array([3, 0, 3]),),
    "negative": (np.array([-1, 2]),),
    "pairs": (np.array([0, 4, 4]), np.array([1, 3, 3])),
    "outer": (np.array([[0], [4]]), np.array([[1, 2, 2]])),
}


def of(index):
    return tuple(pt.constant(one) for one in index)


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_elements_are_taken_by_integers_as_by_numpy(index, sources):
    x = pt.matrix("x")
    function = ours([x], x[of(index)])
    for array in (X, np.asfortranarray(X)):
        np.testing.assert_array_equal(function(array), array[index])
    assert "picked" in sources


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
@pytest.mark.parametrize("added", [False, True])
def test_elements_are_set_and_added_to_once_for_every_time_that_they_are_named(index, added, sources):
    x = pt.matrix("x")
    part = np.broadcast_to(2.0, X[index].shape).copy()  # equal, as the last of different ones set wins
    y = pt.tensor("y", shape=part.shape, dtype="float64")
    function = ours([x, y], (pt.inc_subtensor if added else pt.set_subtensor)(x[of(index)], y))
    right = X.copy()
    if added:
        np.add.at(right, index, part)
    else:
        right[index] = part
    array = X.copy()
    np.testing.assert_array_equal(function(array, part), right)
    np.testing.assert_array_equal(array, X)
    assert "picked_changed" in sources


def test_indices_mixed_with_slices_are_left_to_pytensor():
    node = pt.matrix("x")[1:, pt.constant(np.array([0, 3, 3]))].owner
    function, key = picked(node.op, node=node)
    assert function.py_func.__name__ == "advanced_integer_vector_indexing"
    assert key == numba_funcify_and_cache_key(node.op, node=node)[1]
