"""The two ways to run a graph agree, survive extreme arguments, and the compiled one is kept on disk."""

import json
import subprocess
import sys
from decimal import Decimal, getcontext
from pathlib import Path

import numpy as np
import pytensor.tensor as pt
import pytest
from pytensor.link.c.op import COp
from scipy import special

from tests.models_zoo import build
from workbench.model.anatomy import examine
from workbench.model.compiled import batched, interpreted, native, stabilised
from workbench.model.density import LogDensity
from workbench.prior.draws import draw_prior

ROOT = Path(__file__).parents[2]
EXTREMES = np.array([-1e4, -746.0, -745.0, -100.0, -37.0, -1.0, -0.6931471805599453, -0.1, -1e-8, -1e-20, -1e-300])


def run(function, z):
    """Value and gradient of a native function without run-time inputs."""
    gradient, value, table = np.zeros(z.size), np.zeros(1), np.zeros(1, dtype=np.uintp)
    status = function.call(z.size, z.ctypes.data, gradient.ctypes.data, value.ctypes.data, table.ctypes.data)
    return status, float(value[0]), gradient


def exact_log1mexp(x):
    """Log(1 - e^x) with sixty digits, which no rounding reaches."""
    getcontext().prec = 400  # 1e-300 needs 300 digits before the first that counts
    return float((1 - Decimal(float(x)).exp()).ln()) if x > -746 else -0.0


def test_softplus_in_array_form_is_that_of_scipy_from_end_to_end():
    z = pt.TensorType("float64", shape=(1,))("z")
    x = np.concatenate([EXTREMES, -EXTREMES, [0.0]])
    (found,) = batched(z, [pt.softplus(z)[0]])(x[:, None])
    assert found == pytest.approx(np.logaddexp(0.0, x), rel=4e-16, abs=0)
    assert found == pytest.approx(-special.log_expit(-x), rel=4e-16, abs=0)


def test_log1mexp_in_array_form_is_exact_from_end_to_end():
    z = pt.TensorType("float64", shape=(1,))("z")
    (found,) = batched(z, [pt.log1mexp(z)[0]])(EXTREMES[:, None])
    # exp(-745) is the smallest number there is, with one significant bit; everywhere else two roundings.
    expected = np.array([exact_log1mexp(x) for x in EXTREMES])
    assert found == pytest.approx(expected, rel=4e-16, abs=5e-324)


@pytest.mark.parametrize("function", [pt.softplus, pt.log1mexp])
def test_compiled_and_interpreted_forms_agree_at_extremes(function):
    z = pt.TensorType("float64", shape=(1,))("z")
    value = function(z).sum()
    (value, gradient) = stabilised([value, pt.grad(value, z)])
    compiled = native([z], [], [], value, [gradient])
    call = batched(z, [value, gradient])
    for x in EXTREMES:
        status, found, slope = run(compiled, np.array([x]))
        expected, expected_slope = (float(a.ravel()[0]) for a in call(np.array([[x]])))
        assert found == pytest.approx(expected, rel=1e-14, abs=5e-324)
        assert slope[0] == pytest.approx(expected_slope, rel=1e-14, abs=5e-324)
        assert status == (0 if np.isfinite(slope[0]) else 3)


@pytest.mark.parametrize("x", [0.3, 36.0, 40.0, 800.0])
def test_the_log_of_a_share_that_rounds_to_nothing_is_exact_beside_the_share_that_rounds_to_one(x):
    # So PyMC writes the weights of a zero-inflated count: the gradient of log(1 - p) was not a number from 37 on.
    z = pt.TensorType("float64", shape=(1,))("z")
    share = pt.sigmoid(z)
    shares = pt.log(pt.stack([1 - share, share], axis=-1))
    (total,) = stabilised([shares.sum()])
    status, value, gradient = run(native([z], [], [], total, [pt.grad(total, z)]), np.array([x]))
    assert status == 0
    assert value == pytest.approx(special.log_expit(-x) + special.log_expit(x), rel=1e-14)
    assert gradient == pytest.approx(special.expit(-x) - special.expit(x), rel=1e-14)


def test_interpreted_gives_values_where_numpy_would_warn():
    x = pt.dscalar()
    values = interpreted([x], [pt.log(x), x / (x - x)])(np.float64(0.0))
    assert values[0] == -np.inf
    assert np.isnan(values[1])


def test_interpreted_starts_no_compiler_even_for_operations_with_graphs_inside(monkeypatch):
    def refuse(*_):
        raise AssertionError("a C compiler was asked for")

    monkeypatch.setattr(COp, "make_c_thunk", refuse)
    for name in ("cholesky", "simplex"):
        d = LogDensity(build(name))
        assert np.isfinite(d.pymc_target(d.space.start)).all()
        assert np.isfinite(d.terms(d.space.start).log_prior[d.space.names[0]]).all()
        draw_prior(d, examine(d), 3, 1)


def test_batched_runs_every_point_and_gives_constants_a_leading_axis():
    z = pt.TensorType("float64", shape=(2,))("z")
    points = np.arange(6.0).reshape(3, 2)
    total, outer, constant = batched(z, [z.sum(), pt.outer(z, z), pt.constant(np.array([7.0, 8.0]))])(points)
    assert total.tolist() == [1.0, 5.0, 9.0]
    assert np.array_equal(outer, points[:, :, None] * points[:, None, :])
    assert np.array_equal(constant, [[7.0, 8.0]] * 3)
    assert batched(z, [])(points) == []


def quadratic(factor):
    """Compile -factor/2 |z|^2 + the sum of a run-time vector, from a fresh graph."""
    z = pt.TensorType("float64", shape=(3,))("z")
    shift = pt.TensorType("float64", shape=(2,))("shift")
    value = -0.5 * factor * (z**2).sum() + shift.sum()
    return native([z], [shift], [np.zeros(2)], value, [pt.grad(value, z)])


def test_the_second_compilation_of_the_same_graph_comes_from_the_cache():
    quadratic(1.25)
    assert quadratic(1.25).cached


def test_another_constant_is_another_function_and_inputs_are_read_at_run_time():
    for factor in (1.25, 1.5):
        function, shift = quadratic(factor), np.array([10.0, 1.0])
        z, gradient, value = np.array([1.0, 2.0, 3.0]), np.zeros(3), np.zeros(1)
        table = np.array([shift.ctypes.data], dtype=np.uintp)
        arguments = (3, z.ctypes.data, gradient.ctypes.data, value.ctypes.data, table.ctypes.data)
        assert function.call(*arguments) == 0
        assert value[0] == 11.0 - 7.0 * factor
        assert gradient.tolist() == [-factor, -2 * factor, -3 * factor]
        shift[0] = -20.0
        assert function.call(*arguments) == 0
        assert value[0] == -19.0 - 7.0 * factor


def test_a_wrong_dimension_is_reported_instead_of_read():
    function = quadratic(1.25)
    assert function.call(2, 0, 0, 0, 0) == -1


@pytest.mark.parametrize(
    ("graph", "z", "status"),
    [
        (lambda z: pt.log(z).sum(), 0.0, 4),  # -inf
        (lambda z: pt.log(z).sum(), -1.0, 4),  # NaN
        (lambda z: pt.sqrt(z).sum(), 0.0, 3),  # finite with an infinite slope
        (lambda z: (z**2).sum(), 2.0, 0),
    ],
)
def test_status_tells_the_sampler_what_is_not_finite(graph, z, status):
    vector = pt.TensorType("float64", shape=(1,))("z")
    value = graph(vector)
    assert run(native([vector], [], [], value, [pt.grad(value, vector)]), np.array([z]))[0] == status


@pytest.mark.slow
def test_a_model_is_compiled_once_a_machine_and_not_once_a_process(density):
    density("coin").compile()
    program = (
        "import json, numpy as np\n"
        "from tests.models_zoo import build\n"
        "from workbench.model.density import LogDensity, TARGET\n"
        "objective = LogDensity(build('coin')).objective(TARGET)\n"
        "print(json.dumps([objective.function.cached, objective.value(np.array([0.25]))]))\n"
    )
    for _ in range(2):  # a test beside this one that compiles the same model may overwrite the index of the cache once
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
        cached, value = json.loads(done.stdout)
        if cached:
            break
    assert cached
    assert value == density("coin").objective().value(np.array([0.25]))


def test_an_error_in_compiled_code_is_a_value_that_is_not_a_number_and_nothing_is_printed(capfd):
    z = pt.TensorType("float64", shape=(2,))("z")
    value = pt.linalg.inv(pt.outer(z, z) + z[0] * pt.eye(2)).sum()  # singular where z[0] is zero
    compiled = native([z], [], [], value, [pt.grad(value, z)])
    assert run(compiled, np.array([1.0, 2.0]))[0] == 0
    status, found, gradient = run(compiled, np.array([0.0, 2.0]))
    assert status > 0
    assert np.isnan([found, *gradient]).all()
    assert capfd.readouterr().err == ""


def test_forty_parts_are_compiled_together():
    parts = [pt.TensorType("float64", shape=())(f"z{i}") for i in range(40)]
    value = sum(part**2 for part in parts)
    compiled = native(parts, [], [], value, pt.grad(value, parts))
    status, found, gradient = run(compiled, np.arange(40.0))
    assert status == 0
    assert found == np.sum(np.arange(40.0) ** 2)
    np.testing.assert_array_equal(gradient, 2 * np.arange(40.0))
