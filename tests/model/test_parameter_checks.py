"""Checks of parameters go where nothing can fail them, and stay everywhere else."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from pymc.logprob.utils import CheckParameterValue
from pytensor.graph.traversal import toposort

from workbench.model.parameter_checks import without_idle_checks

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
