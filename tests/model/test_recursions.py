"""A recursion at many points equals the recursion point by point, with one loop over its steps."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.traversal import toposort
from pytensor.scan.op import Scan
from pytensor.scan.utils import until
from pytensor.tensor.blockwise import Blockwise

from workbench.model.batches import over_states
from workbench.model.compiled import batched, interpreted

GENERATOR = np.random.default_rng(8)
POINTS = GENERATOR.uniform(0.1, 0.9, size=(7, 3))
SERIES = GENERATOR.normal(size=12)
TABLE = GENERATOR.normal(size=(12, 3))
ZERO = pt.constant(np.float64(0.0), dtype="float64")
z = pt.TensorType("float64", shape=(3,))("z")


def run(step, first, *others, along=(SERIES,), **more):
    return pytensor.scan(
        step, sequences=[pt.as_tensor(a) for a in along], outputs_info=first, non_sequences=list(others),
        return_updates=False, **more,
    )  # fmt: skip


def garch():
    value = pm.logp(pm.GARCH11.dist(z[0], z[1], z[2], initial_vol=1.3, steps=11), pt.as_tensor(SERIES))
    return value.sum()


ONE_LOOP = {
    "the variance of GARCH": garch,
    "a moving average from a fixed start": lambda: run(lambda y, e, th: y - th * e, [ZERO], z[1]),
    "a start that differs": lambda: run(lambda y, e: y - 0.5 * e, [z[0]]),
    "two steps back": lambda: run(
        lambda y, before, last: y + 0.3 * last - 0.2 * before * z[2],
        [{"initial": pt.stack([z[0], pt.as_tensor(1.0)]), "taps": [-2, -1]}],
    ),
    "a vector": lambda: run(lambda row, state: 0.9 * state + row * z, [pt.zeros(3)], along=(TABLE,)),
    "what is not fed back": lambda: run(lambda y: pt.exp(-y * z[0]) + z, [None]),
    "two results": lambda: pt.concatenate(
        [x.ravel() for x in run(lambda y, e, th: [y - th * e, e * z], [ZERO, None], z[1])]
    ),
    "a part that no point enters": lambda: run(lambda y, e: [0.5 * e + y, e * z[0]], [ZERO + 2.0, None])[1],
    "a loop in a loop": lambda: run(
        lambda y, e: e + run(lambda x, inner: inner * 0.5 + x * y * z[0], [ZERO])[-1], [ZERO]
    ),
    "an index within": lambda: run(lambda y, k, e: e + z[k] * y, [z[2]], along=(SERIES, np.arange(12) % 3)),
}
LOOPED = {
    "a condition to stop": lambda: run(
        lambda y, e, th: (e + th, until(y > 0.5)), [ZERO], z[0], along=(np.arange(12.0) / 12,)
    )[-1],
}


@pytest.mark.parametrize("name", [*ONE_LOOP, *LOOPED])
def test_a_recursion_of_many_points_is_that_of_every_point(name):
    graph = (ONE_LOOP | LOOPED)[name]()
    (found,) = batched(z, [graph])(POINTS)
    one = interpreted([z], [graph], stable=False)
    np.testing.assert_allclose(found, np.stack([one(point)[0] for point in POINTS]), rtol=1e-12)
    (single,) = batched(z, [graph])(POINTS[:1])
    np.testing.assert_allclose(single, found[:1], rtol=1e-12)


@pytest.mark.parametrize("name", ONE_LOOP)
def test_there_is_no_loop_around_the_loop(name):
    points = pt.TensorType("float64", shape=(None, 3))("points")
    order = toposort(over_states([ONE_LOOP[name]()], {z: points}))
    assert not any(isinstance(node.op, Blockwise) and isinstance(node.op.core_op, Scan) for node in order)


def test_a_parameter_out_of_range_within_a_step_is_minus_infinity_at_its_own_point_only():
    graph = run(lambda y, total: total + pm.logp(pm.Normal.dist(0.0, z[0]), y), [ZERO])[-1]
    points = POINTS.copy()
    points[2, 0] = -1.0
    (found,) = batched(z, [graph])(points)
    assert np.isneginf(found[2])
    assert np.isfinite(np.delete(found, 2)).all()
