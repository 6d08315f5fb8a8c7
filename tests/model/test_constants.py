"""Constants are widened where they enter arithmetic, an index stays as it is, and nothing is changed in place."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import toposort
from pytensor.tensor.elemwise import Elemwise

from workbench.model.compiled import interpreted
from workbench.model.constants import replaced, widened

NARROW = ("float16", "float32", "int8", "int16", "int32", "uint8", "uint16", "uint32")


def constants_in_arithmetic(graphs):
    """Types of the constants that enter elementwise operations."""
    nodes = [node for node in toposort(graphs) if isinstance(node.op, Elemwise)]
    return {v.type.dtype for node in nodes for v in node.inputs if isinstance(v, Constant)}


@pytest.mark.parametrize(
    "distribution",
    [
        lambda: pm.Beta.dist(100, 100),
        lambda: pm.Gamma.dist(20.0, 3.0),
        lambda: pm.HalfStudentT.dist(nu=3, sigma=36),
        lambda: pm.Uniform.dist(-100, 100),
        lambda: pm.Censored.dist(pm.Normal.dist(1, 2), lower=None, upper=3),
    ],
)
def test_no_narrow_constant_is_left_in_the_arithmetic_of_a_log_density(distribution):
    value = pt.dscalar()
    (wide,) = widened([distribution()])
    (density,) = widened([pm.logp(wide, value)])
    assert constants_in_arithmetic([pm.logp(distribution(), value)]) & set(NARROW)  # there was something to widen
    assert not constants_in_arithmetic([density]) & set(NARROW)


def test_integers_that_overflow_eight_bits_no_longer_do():
    product = pt.constant(100) + pt.constant(100)
    (wide,) = widened([product])
    assert int(interpreted([], [product], stable=False)()[0]) == -56  # int8 wraps: this is what is being prevented
    assert int(interpreted([], [wide], stable=False)()[0]) == 200


def test_an_integer_that_is_reshaped_or_repeated_on_its_way_is_widened():
    for graph in (
        pt.constant(np.int8(100)).dimshuffle("x") + pt.constant(np.full(3, 100, dtype=np.int8)),
        pt.alloc(np.int8(100), 3) + pt.constant(np.int8(100)),
        pt.stack([pt.constant(np.int8(100)), pt.constant(np.int8(27))]) + pt.constant(np.int8(100)),
    ):
        (wide,) = widened([graph])
        assert interpreted([], [wide], stable=False)()[0].max() == 200


def test_a_negative_power_of_an_integer_is_not_rounded_to_zero():
    exponent = pt.lscalar()
    (wide,) = widened([pt.constant(2) ** exponent])
    assert float(interpreted([exponent], [wide], stable=False)(np.int64(-1))[0]) == 0.5


def test_an_index_keeps_its_type():
    vector, codes = pt.dvector(), pt.constant(np.array([1, 0], dtype=np.int8))
    graph = pt.exp(vector)[codes]
    (wide,) = widened([graph])
    assert wide is graph


def test_a_graph_without_narrow_constants_is_returned_as_it_is():
    x = pt.dvector()
    graph = pt.exp(x) * np.float64(0.1) + pt.constant(np.arange(3.0))
    assert widened([graph])[0] is graph
    assert widened([]) == []


def test_the_given_graph_is_not_changed():
    beta = pm.Beta.dist(100, 100)
    before = [v.type for node in toposort([beta]) for v in node.inputs]
    (wide,) = widened([beta])
    assert [v.type for node in toposort([beta]) for v in node.inputs] == before
    assert wide is not beta


def test_names_survive_widening():
    with pm.Model() as model:
        pm.Beta("share", 100, 100)
    assert widened([model["share"]])[0].name == "share"


def test_a_replaced_constant_takes_part_instead_of_the_old_one():
    x, constant = pt.dscalar(), pt.constant(np.float64(2.5))
    stand_in = pt.dscalar()
    (graph,) = replaced([x * constant], {constant: stand_in})
    assert float(interpreted([x, stand_in], [graph])(np.float64(3.0), np.float64(10.0))[0]) == 30.0
    assert replaced([], {constant: stand_in}) == []
