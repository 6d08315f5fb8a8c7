"""Changes of shape written into their caller give what NumPy gives, and refuse what NumPy refuses."""

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key

from workbench.model.dispatch import plain_functions
from workbench.model.shapes import filled, shuffled

pytestmark = pytest.mark.usefixtures("late")

CUBE = np.random.default_rng(2).normal(size=(2, 1, 3))


@pytest.fixture
def asked(monkeypatch):
    """Names of our functions that were asked for."""
    from workbench.model import dispatch

    names = []

    def noted(function):
        def ask(*given, **options):
            names.append(function.__name__)
            return function(*given, **options)

        return ask

    monkeypatch.setattr(dispatch, "_PLAIN", {op: noted(function) for op, function in dispatch._PLAIN.items()})
    return names


def ours(inputs, outputs):
    with plain_functions():
        return pytensor.function(inputs, outputs, mode="NUMBA")


@pytest.mark.parametrize("order", [(0, 2), (2, 0), ("x", 0, 2), ("x", 2, "x", 0), (2, 1, 0), (0, 1, 2, "x")])
def test_axes_are_ordered_added_and_dropped_as_by_numpy_in_every_layout(order, asked):
    x = pt.tensor("x", shape=(None, 1, None), dtype="float64")
    function = ours([x], [x.dimshuffle(order), pt.exp(x).dimshuffle(order).sum()])
    kept = [axis for axis in order if axis != "x"]
    for array in (CUBE, np.asfortranarray(CUBE), np.repeat(CUBE, 2, axis=2)[:, :, ::2], CUBE[::-1]):
        right = array.transpose(*kept, *(axis for axis in range(3) if axis not in kept))
        right = right[(..., *[0] * (3 - len(kept)))]
        right = right[tuple(None if axis == "x" else slice(None) for axis in order)]
        view, total = function(array)
        np.testing.assert_array_equal(view, right)
        np.testing.assert_allclose(total, np.exp(array).sum(), rtol=1e-14)
    assert "shuffled" in asked


def test_a_dropped_axis_that_is_not_one_long_is_refused():
    node = pt.tensor("x", shape=(None, 1), dtype="float64").dimshuffle(0).owner
    view, _ = shuffled(node.op, node)
    function = numba.njit(lambda x: view(x))
    np.testing.assert_array_equal(function(np.ones((3, 1))), [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="length other than one"):
        function(np.ones((3, 2)))


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_numbers_become_arrays_and_arrays_numbers(dtype, asked):
    x, n = pt.scalar("x", dtype=dtype), pt.vector("n", dtype=dtype)
    function = ours([x, n], [x.dimshuffle("x", "x"), n[1].dimshuffle("x"), pt.stack([n[0], x]), n[0].copy()])
    one, two, three, four = function(np.array(1, dtype=dtype), np.array([0, 1], dtype=dtype))
    np.testing.assert_array_equal(one, np.ones((1, 1), dtype=dtype))
    np.testing.assert_array_equal(two, np.ones(1, dtype=dtype))
    np.testing.assert_array_equal(three, np.array([0, 1], dtype=dtype))
    assert four.shape == ()
    assert not four
    assert one.dtype == two.dtype == three.dtype == four.dtype == dtype
    assert "unboxed" in asked


def test_a_view_outlives_what_it_was_made_from():
    x = pt.vector("x")
    function = ours([x], pt.cumsum(x).dimshuffle("x", 0))
    views = [function(np.arange(4.0) + k) for k in range(200)]
    for k, view in enumerate(views):
        np.testing.assert_array_equal(view, np.cumsum(np.arange(4.0) + k)[None])


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 0, 3)])
@pytest.mark.parametrize("value", [1.5, True, -3], ids=str)
def test_an_array_is_filled_with_a_number_as_by_numpy(shape, value, asked):
    x, lengths = pt.scalar("x", dtype=np.asarray(value).dtype), [pt.lscalar() for _ in shape]
    found = ours([x, *lengths], pt.alloc(x, *lengths))(value, *shape)
    np.testing.assert_array_equal(found, np.full(shape, value))
    assert found.dtype == np.asarray(value).dtype
    assert "filled" in asked


def test_an_array_is_repeated_by_pytensor():
    node = pt.alloc(pt.vector("x"), 3, 2).owner
    function, key = filled(node.op, node=node)
    assert function.py_func.__name__ == "alloc"
    assert key == numba_funcify_and_cache_key(node.op, node=node)[1]
