"""What the observations of a model are: their measure, labels and rows, and probabilities of what did not happen."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from workbench.model.density import LogDensity
from workbench.model.element_priors import prior_by_element
from workbench.model.observations import Observations, labels_of, measure_of, rows_of


def _density():
    coords = {"person": ["ann", "bob", "cy"]}
    with pm.Model(coords=coords) as model:
        p = pm.Dirichlet("p", np.ones(3))
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Categorical("colour", p, observed=np.array([0, 2, 2]), dims="person")
        pm.Normal("size", mu, 1.0, observed=np.array([[1.0, 2.0], [3.0, 4.0]]))
        pm.Poisson("count", pm.math.exp(mu), observed=np.array([3, 5]))
        pm.Bernoulli("smokes", 0.3, observed=np.array([1, 0]))
        pm.Censored("time", pm.Exponential.dist(1.0), lower=None, upper=2.0, observed=np.array([0.5, 2.0]))
        pm.MvNormal("pair", mu * np.ones(2), np.eye(2), observed=np.array([[1.0, 2.0], [0.0, 1.0], [2.0, 2.0]]))
        pm.Binomial("wins", 10, 0.4, observed=7)
    return LogDensity(model)


@pytest.fixture(scope="module")
def density():
    return _density()


@pytest.mark.parametrize(
    ("name", "measure"),
    [
        ("colour", "labels"),
        ("smokes", "labels"),
        ("size", "continuous"),
        ("pair", "continuous"),
        ("count", "counts"),
        ("wins", "counts"),
        ("time", "mixed"),
    ],
)
def test_a_log_likelihood_is_that_of_a_density_or_of_a_probability(density, name, measure):
    assert measure_of(density, name) == measure


def test_observations_are_named_by_their_labels_or_counted_from_zero(density):
    assert labels_of(density, "colour") == ["colour[ann]", "colour[bob]", "colour[cy]"]
    assert labels_of(density, "size") == ["size[0, 0]", "size[0, 1]", "size[1, 0]", "size[1, 1]"]
    assert labels_of(density, "pair") == ["pair[0]", "pair[1]", "pair[2]"]
    assert labels_of(density, "wins") == ["wins"]


def test_a_row_is_what_one_log_likelihood_term_is_about(density):
    np.testing.assert_array_equal(rows_of(density, "size"), [1.0, 2.0, 3.0, 4.0])
    np.testing.assert_array_equal(rows_of(density, "pair"), [[1.0, 2.0], [0.0, 1.0], [2.0, 2.0]])
    np.testing.assert_array_equal(rows_of(density, "wins"), [7])


def test_probabilities_of_labels_are_those_of_the_parameters_at_every_point(density):
    generator = np.random.default_rng(1)
    points = generator.normal(size=(4, density.space.dimension))
    found = Observations(density).probabilities("colour", np.arange(3), points)
    np.testing.assert_allclose(found, density.space.theta(points)["p"], rtol=1e-12)
    counts = Observations(density).probabilities("count", np.arange(4), points)
    rate = np.exp(density.space.theta(points)["mu"])
    np.testing.assert_allclose(counts, stats.poisson.pmf(np.arange(4), rate[:, None]), rtol=1e-10)


def test_the_prior_of_every_element_is_its_density_on_z_where_elements_are_independent():
    with pm.Model() as model:
        pm.Normal("a", 1.0, 2.0, shape=2)
        s = pm.HalfNormal("s", 3.0)
        pm.Normal("below", 0.0, s, shape=3)
        pm.Dirichlet("p", np.ones(3))
        pm.MvNormal("joint", np.zeros(2), np.eye(2))
    density = LogDensity(model)
    points = np.random.default_rng(2).normal(size=(5, density.space.dimension))
    found, blocks = prior_by_element(density, points), density.space.blocks
    assert set(found) == {"a", "s"}
    np.testing.assert_allclose(found["a"], stats.norm.logpdf(points[:, blocks["a"]], 1.0, 2.0), rtol=1e-12)
    z = points[:, blocks["s"]]
    np.testing.assert_allclose(found["s"], stats.halfnorm.logpdf(np.exp(z), scale=3.0) + z, rtol=1e-12)
