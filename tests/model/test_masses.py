"""Whether a likelihood is a probability, of which 0 nats is the most."""

import numpy as np
import pymc as pm
import pytest

from workbench.model.density import LogDensity
from workbench.model.masses import is_probability

COUNTS = np.array([0, 2, 1])


def censored(data):
    return lambda mu: pm.Censored("y", pm.Normal.dist(mu, 1.0), lower=-3.0, upper=3.0, observed=np.array(data))


@pytest.mark.parametrize(
    ("observe", "expected"),
    [
        (lambda mu: pm.Poisson("y", pm.math.exp(mu), observed=COUNTS), True),
        (lambda mu: pm.Bernoulli("y", logit_p=mu, observed=[1, 0]), True),
        (censored([3.0, -3.0]), True),
        (censored([3.0, 1.0]), False),
        (lambda mu: pm.Normal("y", mu, 1.0, observed=[1.0]), False),
        (lambda _: None, False),
    ],
)
def test_counts_categories_and_censored_observations_have_probabilities(observe, expected):
    with pm.Model() as model:
        observe(pm.Normal("mu", 0.0, 1.0))
    assert is_probability(LogDensity(model)) is expected


def test_a_potential_of_the_likelihood_may_be_anything():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Poisson("y", pm.math.exp(mu), observed=COUNTS)
        pm.Potential("more", -(mu**2))
    assert is_probability(LogDensity(model, {"more": "likelihood"})) is False
    assert is_probability(LogDensity(model, {"more": "prior"})) is True
