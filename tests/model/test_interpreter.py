"""The interpreter gives what PyTensor's own Python mode gives, bit for bit, and hands out arrays of its own."""

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.compile.mode import Mode
from pytensor.conditional.op import ifelse
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.utils import MissingInputError
from pytensor.tensor.linalg.solvers.triangular import SolveTriangular

from tests import models_zoo
from workbench.model import compiled
from workbench.model.density import LogDensity
from workbench.model.interpreter import Interpreter

X = pt.TensorType("float64", shape=(None, 3))("x")
N = pt.TensorType("int8", shape=(None, 3))("n")


def by_pytensor(inputs, graphs):
    return pytensor.function(list(inputs), list(graphs), mode=Mode("py", None), on_unused_input="ignore")


def same(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        theirs = np.asarray(theirs)
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert ours.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("name", ["simplex", "cholesky", "mixture", "autoregression", "censored", "zero_sum"])
def test_every_function_of_a_model_gives_what_pytensor_gives_bit_for_bit(name, monkeypatch, points):
    calls = []

    class Both:
        def __init__(self, inputs, graphs):
            self._ours, self._theirs = Interpreter(inputs, graphs), by_pytensor(inputs, graphs)

        def __call__(self, *arrays):
            found = self._ours(*arrays)
            with np.errstate(all="ignore"):
                same(found, self._theirs(*arrays))
            calls.append(len(arrays))
            return found

    monkeypatch.setattr(compiled, "Interpreter", Both)
    density = LogDensity(models_zoo.build(name), models_zoo.SIDES.get(name))
    density.terms(points(density, 20))
    density.space.theta(points(density, 20))
    assert len(calls) >= 3


def test_small_integers_are_computed_in_the_type_of_the_result():
    graphs = [pt.exp(N), pt.log1p(N), N / 3, pt.sqrt(N), N + N, pt.cast(N, "float32"), pt.sigmoid(N)]
    numbers = np.array([[1, 2, 100], [0, 7, 120]], dtype=np.int8)
    same(Interpreter([N], graphs)(numbers), by_pytensor([N], graphs)(numbers))


def test_many_terms_conditions_loops_and_linear_algebra_run():
    total, steps = (
        pt.add(X, X, 2.0 * X, 1.0),
        pytensor.scan(lambda row, last: last + row, X, pt.zeros(3), return_updates=False),
    )
    graphs = [total, steps, ifelse(pt.gt(X.sum(), 0), X, -X), pt.linalg.cholesky(X.T @ X), pt.sort(X, axis=0)]
    points = np.random.default_rng(1).normal(size=(5, 3))
    same(Interpreter([X], graphs)(points), by_pytensor([X], graphs)(points))


def test_more_terms_than_numpy_takes_at_once_are_added_and_multiplied():
    points = np.random.default_rng(1).normal(size=(5, 3))
    parts = [X, *(X[:, :1] + float(k) for k in range(20)), *(X[:1] * (k / 10 - 1.0) for k in range(25))]
    total, product = Interpreter([X], [pt.add(*parts), pt.mul(*parts)])(points)
    arrays = [np.broadcast_to(a, (5, 3)) for a in Interpreter([X], parts)(points)]
    np.testing.assert_allclose(total, np.sum(arrays, axis=0), rtol=1e-12)
    np.testing.assert_allclose(product, np.prod(arrays, axis=0), rtol=1e-12)


def test_results_are_nobody_elses_arrays():
    shared = pytensor.shared(np.ones((2, 3)))
    call = Interpreter([X], [X, X[:1], X.T, pt.as_tensor(np.ones(3)), shared, X + 0.0, X + 0.0, (X + 1.0)[:, 0]])
    points = np.arange(6.0).reshape(2, 3)
    before = points.copy()
    found = call(points)
    for array in found:
        array[...] = -1.0
    assert np.array_equal(points, before)
    assert np.array_equal(shared.get_value(), np.ones((2, 3)))
    assert not any(np.shares_memory(a, b) for i, a in enumerate(found) for b in found[:i])
    assert np.array_equal(call(points)[3], np.ones(3))


def test_one_result_that_is_asked_for_twice_is_two_arrays():
    twice = pt.exp(X)
    first, second = Interpreter([X], [twice, twice])(np.zeros((1, 3)))
    first += 1.0
    assert second.tolist() == [[1.0, 1.0, 1.0]]


def test_a_shared_variable_is_read_at_every_call():
    shared = pytensor.shared(2.0)
    call = Interpreter([X], [shared * X])
    assert call(np.ones((1, 3)))[0].tolist() == [[2.0, 2.0, 2.0]]
    shared.set_value(5.0)
    assert call(np.ones((1, 3)))[0].tolist() == [[5.0, 5.0, 5.0]]


def test_an_axis_of_length_one_is_not_stretched_where_the_type_does_not_say_so():
    y = pt.TensorType("float64", shape=(None, 3))("y")
    call = Interpreter([X, y], [X + y])
    assert call(np.ones((1, 3)), np.ones((1, 3)))[0].shape == (1, 3)
    with pytest.raises(ValueError, match="Runtime broadcasting not allowed"):
        call(np.ones((4, 3)), np.ones((1, 3)))
    assert call(np.ones((4, 3)), np.ones((4, 3)))[0].shape == (4, 3)  # a failure leaves nothing behind


def test_an_input_of_another_type_is_refused():
    with pytest.raises(TypeError):
        Interpreter([N], [N + 1])(np.array([[1.5, 2.0, 3.0]]))
    with pytest.raises(TypeError):
        Interpreter([X], [X + 1.0])(np.ones((2, 4)))


def test_what_is_missing_among_the_inputs_is_named():
    with pytest.raises(MissingInputError, match="x"):
        Interpreter([N], [X + N])


def test_an_input_may_be_in_the_middle_of_a_graph_and_another_unused():
    middle = pt.exp(X)
    (found,) = Interpreter([middle, N], [middle * 2.0])(np.ones((1, 3)), np.ones((1, 3), dtype=np.int8))
    assert found.tolist() == [[2.0, 2.0, 2.0]]


def test_the_graph_itself_stays_as_it_was():
    graph = pt.sigmoid(pt.log1p(N))
    before = [dict(vars(node.tag)) for node in (graph.owner, graph.owner.inputs[0].owner)]
    Interpreter([N], [graph])(np.ones((1, 3), dtype=np.int8))
    assert [dict(vars(node.tag)) for node in (graph.owner, graph.owner.inputs[0].owner)] == before


def test_a_function_of_many_points_takes_none_at_all():
    z = pt.TensorType("float64", shape=(3,))("z")
    points = pt.TensorType("float64", shape=(None, 3))("Z")
    (graph,) = vectorize_graph([pt.exp(z).sum()], {z: points})
    assert Interpreter([points], [graph])(np.ones((0, 3)))[0].shape == (0,)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("unit", [True, False])
@pytest.mark.parametrize("columns", [0, 2])
def test_many_small_triangular_systems_are_solved_at_once_as_one_by_one(lower, unit, columns):
    rng = np.random.default_rng(1)
    left, right = (
        pt.tensor4("left", shape=(None, 1, None, None)),
        pt.TensorType("float64", (None,) * (4 if columns else 3))(),
    )
    solved = pt.linalg.solve_triangular(left, right, lower=lower, unit_diagonal=unit, b_ndim=2 if columns else 1)
    a = rng.normal(size=(30, 1, 3, 3)) + 2.0 * np.eye(3)
    b = rng.normal(size=(30, 5, 3, columns) if columns else (30, 5, 3))
    a[4, 0, 1, 1] = 0.0
    once = Interpreter([left, right], [solved])
    with np.errstate(divide="ignore", invalid="ignore"):
        (found,) = once(a, b)
        few = np.concatenate([once(a[k : k + 1], b[k : k + 1])[0] for k in range(30)])  # one by one
    assert found == pytest.approx(few, rel=1e-12, nan_ok=True)
    assert np.isnan(found[4]).all() == (not unit)
    with pytest.raises(ValueError, match="[Ii]ncompatible|broadcast"):
        once(a[:1], b)


def test_many_small_systems_need_no_call_of_lapack_each(monkeypatch):
    left, right = pt.tensor3("left"), pt.matrix("right")
    once = Interpreter([left, right], [pt.linalg.solve_triangular(left, right, lower=True, b_ndim=1)])
    monkeypatch.setattr(SolveTriangular, "perform", lambda *_: pytest.fail("one by one"))
    (found,) = once(np.tile(2.0 * np.eye(3), (40, 1, 1)), np.ones((40, 3)))
    assert np.all(found == 0.5)
