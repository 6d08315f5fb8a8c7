"""A uniform point of the cube becomes a draw from the prior, or the map is refused by name."""

import numpy as np
import pymc as pm
import pytest
from pymc.distributions import transforms
from scipy import stats

from workbench.errors import RefusalError
from workbench.model.density import LogDensity
from workbench.model.quantiles import PriorQuantiles

PRIORS = {
    "normal": (lambda: pm.Normal("x", 3.0, 2.0), stats.norm(3.0, 2.0)),
    "half normal": (lambda: pm.HalfNormal("x", 2.0), stats.halfnorm(0.0, 2.0)),
    "half Cauchy": (lambda: pm.HalfCauchy("x", 5.0), stats.halfcauchy(0.0, 5.0)),
    "uniform": (lambda: pm.Uniform("x", -1.0, 4.0), stats.uniform(-1.0, 5.0)),
    "exponential": (lambda: pm.Exponential("x", 0.5), stats.expon(0.0, 2.0)),
    "beta": (lambda: pm.Beta("x", 2.0, 3.0), stats.beta(2.0, 3.0)),
    "Student t": (lambda: pm.StudentT("x", nu=4.0, mu=1.0, sigma=2.0), stats.t(4.0, 1.0, 2.0)),
    "integers": (lambda: pm.Normal("x", 100, 20), stats.norm(100.0, 20.0)),
}


def _density(build, **options):
    with pm.Model() as model:
        build()
    return LogDensity(model, **options)


@pytest.mark.parametrize("name", PRIORS)
def test_quantiles_are_those_of_scipy(name):
    build, truth = PRIORS[name]
    density = _density(build)
    unit = np.array([1e-6, 0.1, 0.5, 0.9, 1.0 - 1e-6])
    found = density.space.theta(PriorQuantiles(density)(unit[:, None]))["x"]
    assert found == pytest.approx(truth.ppf(unit), rel=1e-8, abs=1e-10)


def test_every_block_gets_its_own_part_of_the_cube():
    def build():
        pm.Normal("a", np.array([0.0, 10.0]), 1.0)
        pm.HalfNormal("s", 1.0)
        pm.Uniform("m", 0.0, np.array([[1.0, 2.0], [3.0, 4.0]]))

    density = _density(build)
    theta = density.space.theta(PriorQuantiles(density)(np.full((1, 7), 0.5)))
    assert theta["a"][0] == pytest.approx([0.0, 10.0], abs=1e-12)
    assert theta["s"][0] == pytest.approx(stats.halfnorm.ppf(0.5))
    assert theta["m"][0] == pytest.approx(np.array([[0.5, 1.0], [1.5, 2.0]]))


def test_faces_of_the_cube_stay_finite():
    density = _density(lambda: pm.Normal("x", 0.0, 1.0))
    assert np.isfinite(PriorQuantiles(density)(np.array([[0.0], [1.0]]))).all()


REFUSED = {
    "depends on mu": lambda: pm.Normal("x", pm.Normal("mu"), 1.0),
    "not independent": lambda: pm.Dirichlet("x", np.ones(3)),
    "no quantile function": lambda: pm.SkewNormal("x", mu=0.0, sigma=1.0, alpha=2.0),
    "only in part": lambda: pm.Normal("x", 0.0, 1.0, shape=2, transform=transforms.ordered, initval=[0.0, 1.0]),
    "improper": lambda: pm.Flat("x"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_prior_without_independent_quantiles_is_refused_by_name(reason):
    with pytest.raises(RefusalError, match=reason) as refusal:
        PriorQuantiles(_density(REFUSED[reason]))
    assert refusal.value.where == "x"
    assert "bridge" in refusal.value.fix


def test_a_potential_in_the_prior_is_refused():
    def build():
        x = pm.Normal("x", 0.0, 1.0)
        pm.Potential("tilt", -(x**2))

    with pytest.raises(RefusalError, match="tilt"):
        PriorQuantiles(_density(build, potentials={"tilt": "prior"}))
