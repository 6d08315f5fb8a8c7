"""Reductions and splits compiled to plain loops give what NumPy gives, whatever the layout of the array in memory."""

import numpy as np
import pytensor
import pytensor.scalar.basic as ps
import pytensor.tensor as pt
import pytest
from pytensor.link.numba.dispatch.basic import numba_funcify_and_cache_key
from pytensor.tensor.basic import Split
from pytensor.tensor.elemwise import CAReduce, DimShuffle
from pytensor.tensor.subtensor import IncSubtensor

from workbench.model.dispatch import plain_functions
from workbench.model.reductions import reduced

pytestmark = pytest.mark.usefixtures("late")

CUBE = np.random.default_rng(1).normal(size=(3, 4, 5))
LAYOUTS = {
    "C": CUBE,
    "Fortran": np.asfortranarray(CUBE),
    "transposed": np.ascontiguousarray(CUBE.transpose(1, 2, 0)).transpose(2, 0, 1),
    "every other": np.repeat(np.repeat(CUBE, 2, axis=1), 2, axis=2)[:, ::2, ::2],
    "backwards": np.ascontiguousarray(CUBE[::-1, :, ::-1])[::-1, :, ::-1],
    "broadcast": np.broadcast_to(CUBE[:, :1], CUBE.shape),
    "empty": CUBE[:, :0],
}


def ours(inputs, outputs):
    with plain_functions():
        return pytensor.function(inputs, outputs, mode="NUMBA")


def test_sums_agree_with_numpy_in_every_layout(sources):
    x, axes = pt.tensor3("x"), [None, (0, 2)]
    function = ours([x], [pt.sum(x, axis=axis) for axis in axes])
    assert sources.count("reduced") == len(axes)
    for layout, array in LAYOUTS.items():
        for axis, found in zip(axes, function(array), strict=True):
            np.testing.assert_allclose(found, array.sum(axis=axis), rtol=1e-14, atol=1e-14, err_msg=f"{layout} {axis}")


@pytest.mark.parametrize("axis", [0, 1, None])
def test_maxima_agree_with_numpy_also_where_there_is_nan_or_infinity(axis, sources):
    x = pt.matrix("x")
    function = ours([x], pt.max(x, axis=axis))
    assert "reduced" in sources
    array = np.array([[1.0, -np.inf, np.nan], [3.0, -np.inf, 2.0], [np.inf, -np.inf, 5.0], [0.5, 1.0, 0.25]])
    for some in (array, np.ascontiguousarray(array[::2]), np.full((2, 2), -np.inf), np.ones((2, 3))):
        np.testing.assert_array_equal(function(some), some.max(axis=axis))


def test_conjunctions_agree_with_numpy(sources):
    x = pt.matrix("x", dtype="bool")
    function = ours([x], [pt.all(x, axis=0), pt.all(x)])
    assert sources.count("reduced") == 2
    for some in (np.array([[True, False], [True, True]]), np.ones((2, 3), dtype=bool)):
        for found, right in zip(function(some), [some.all(axis=0), some.all()], strict=True):
            np.testing.assert_array_equal(found, right)


X, N = pt.matrix("x"), pt.lmatrix("n")


@pytest.mark.parametrize("form", [pt.prod(X, axis=0), pt.sum(N, axis=1), pt.sum(X[0]), pt.sum(pt.cast(X, "float32"))])
def test_what_has_no_plain_form_is_left_to_pytensor(form):
    node = form.owner
    function, key = reduced(node.op, node=node)
    assert function.py_func.__name__.startswith("careduce_")
    assert key == numba_funcify_and_cache_key(node.op, node=node)[1]


@pytest.mark.parametrize("axis", [0, 1])
def test_splits_agree_with_numpy_and_refuse_sizes_that_do_not_add_up(axis, sources):
    x, sizes = pt.matrix("x"), pt.lvector("sizes")
    parts = pt.split(x, sizes, n_splits=3, axis=axis)
    function = ours([x, sizes], [part * 1.0 for part in parts])
    assert "divided" in sources
    array = np.arange(42.0).reshape(6, 7)
    last = array.shape[axis] - 3
    for some in (array, np.asfortranarray(array)):
        for found, right in zip(function(some, [1, 2, last]), np.split(some, [1, 3], axis=axis), strict=True):
            np.testing.assert_array_equal(found, right)
    assert function(array, [0, 3, last])[0].size == 0
    for wrong in ([1, 2, last + 1], [1, 2, last - 1], [-1, 4, last]):
        with pytest.raises(ValueError, match=r"add up|negative"):
            function(array, wrong)


@pytest.mark.parametrize("operation", [ps.Composite, CAReduce, Split, DimShuffle, IncSubtensor])
def test_other_users_of_pytensor_keep_their_own_compilation(operation):
    usual = numba_funcify_and_cache_key.dispatch(operation)
    with plain_functions():
        assert numba_funcify_and_cache_key.dispatch(operation).__module__.startswith("workbench.")
    assert numba_funcify_and_cache_key.dispatch(operation) is usual
    assert not usual.__module__.startswith("workbench.")
