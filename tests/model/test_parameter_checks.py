"""Checks of parameters go where nothing can fail them, and stay everywhere else."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.logprob.utils import CheckParameterValue
from pytensor.graph.traversal import toposort
from scipy import stats

from workbench.model.batches import over_states
from workbench.model.compiled import batched
from workbench.model.parameter_checks import with_checks_as_values, without_idle_checks

X = pt.dvector("x")
Y = np.array([0, 1, 1])
IDLE = {
    "logit": lambda: pm.logp(pm.Bernoulli.dist(logit_p=X), Y),
    "sigmoid": lambda: pm.logp(pm.Binomial.dist(n=3, p=pt.sigmoid(X)), Y),
    "indexed": lambda: pm.logp(pm.Bernoulli.dist(p=pt.sigmoid(X)[np.array([0, 0, 1])]), Y),
    "constant": lambda: pm.logp(pm.Bernoulli.dist(p=np.array([0.0, 0.2, 1.0])), Y),
}
NEEDED = {
    "p itself": lambda: pm.logp(pm.Bernoulli.dist(p=X), Y),
    "a multiple": lambda: pm.logp(pm.Bernoulli.dist(p=1.1 * pt.sigmoid(X)), Y),
    "sigma": lambda: pm.logp(pm.Normal.dist(0.0, X), Y),
    "exp underflows": lambda: pm.logp(pm.Normal.dist(0.0, pt.exp(X)), Y),
    "one of two": lambda: pm.logp(pm.Beta.dist(1.0 + pt.sigmoid(X), X), np.array([0.1, 0.2, 0.3])),
    "a constant outside": lambda: pm.logp(pm.Bernoulli.dist(p=np.array([0.0, 0.2, 1.1])), Y),
}


def checks(graph):
    return sum(isinstance(node.op, CheckParameterValue) for node in toposort([graph]))


@pytest.mark.parametrize("name", IDLE)
def test_a_check_that_nothing_can_fail_is_gone_and_the_values_stay(name):
    graph = IDLE[name]()
    (slim,) = without_idle_checks([graph])
    assert checks(graph) > checks(slim) == 0
    at = np.array([-800.0, 0.3, 40.0])
    given = {X: at} if X in pytensor.graph.traversal.explicit_graph_inputs([graph]) else {}
    assert slim.eval(given, mode="FAST_COMPILE").tolist() == graph.eval(given, mode="FAST_COMPILE").tolist()


@pytest.mark.parametrize("name", NEEDED)
def test_a_check_that_something_can_fail_stays(name):
    graph = NEEDED[name]()
    assert checks(without_idle_checks([graph])[0]) == checks(graph) > 0


def test_a_graph_inside_another_keeps_the_checks_that_it_needs():
    inner = pm.logp(pm.Bernoulli.dist(logit_p=X), Y)
    outer = pm.logp(pm.Normal.dist(inner, pt.exp(X)), 0.0)
    (slim,) = without_idle_checks([outer])
    assert checks(slim) == checks(outer) - 1


def test_a_parameter_outside_its_range_makes_its_own_point_impossible_and_no_other():
    z = pt.TensorType("float64", shape=(1,))("z")
    graph = pm.logp(pm.Gamma.dist(2.0, z[0]), np.array([0.5, 1.5]))
    (values,) = batched(z, [graph])(np.array([[1.0], [-1.0], [3.0]]))
    assert values[[0, 2]] == pytest.approx(stats.gamma(2.0, scale=1 / np.array([[1.0], [3.0]])).logpdf([0.5, 1.5]))
    assert np.all(values[1] == -np.inf)


def test_in_values_no_check_is_left():
    graph = NEEDED["sigma"]()
    (valued,) = with_checks_as_values([graph])
    assert checks(graph) > checks(valued) == 0
    assert valued.eval({X: np.array([1.0, 2.0, 0.5])}) == pytest.approx(graph.eval({X: np.array([1.0, 2.0, 0.5])}))
    assert np.all(valued.eval({X: np.array([1.0, -2.0, 0.5])}) == -np.inf)


def test_a_state_with_a_parameter_outside_its_range_leaves_the_others_possible():
    k, p = pt.lscalar("k"), 0.3
    graph = pm.logp(pm.Normal.dist(0.0, pt.as_tensor([-1.0, 2.0])[k]), 0.7) + pt.log(p)
    (many,) = over_states([graph], {k: pt.as_tensor([0, 1])})
    assert many.eval() == pytest.approx([-np.inf, stats.norm(0, 2).logpdf(0.7) + np.log(p)])
