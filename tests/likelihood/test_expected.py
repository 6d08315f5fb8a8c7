"""The expected information as integrals over single observations: against closed forms, refused elsewhere."""

import numpy as np
import pymc as pm
import pytest
from scipy import special

from workbench.likelihood.expected import expected_objective
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.simulate import Simulator
from workbench.numerics.curvature import hessian

X = np.linspace(-1.0, 1.0, 12)


def expected(build, z, count=20):
    """Expected information on z, and a few data sets of which it is the average; None where it is refused."""
    with pm.Model() as model:
        build()
    density = LogDensity(model)
    simulator = Simulator(density, density.space.names)
    theta = {name: array[0] for name, array in density.space.theta(z[None]).items()}
    data = [simulator(theta, (1, k)) for k in range(count)]
    averaged = expected_objective(density, z, data)
    observed = np.mean([-hessian(density.objective(LIKELIHOOD, data=one), z) for one in data], axis=0)
    return (None if averaged is None else -hessian(averaged, z)), observed


def line(family, **more):
    def build():
        a, b = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0)
        family(a + b * X, **more)

    return build


DESIGN = np.column_stack([np.ones_like(X), X])


def test_a_bent_normal_curve_has_the_sum_of_squared_slopes():
    def build():
        k = pm.Normal("k", 0.0, 2.0)
        pm.Normal("y", pm.math.exp(k * X), 0.3, observed=np.ones_like(X))

    found, observed = expected(build, np.array([0.7]), 60)
    exact = np.sum((X * np.exp(0.7 * X) / 0.3) ** 2)
    assert found[0, 0] == pytest.approx(exact, rel=1e-8)
    assert observed[0, 0] == pytest.approx(exact, rel=0.2)


@pytest.mark.parametrize(
    ("family", "weight"),
    [
        (lambda eta: pm.Poisson("y", pm.math.exp(eta), observed=np.ones(12, int)), lambda m: np.exp(m)),
        (lambda eta: pm.Bernoulli("y", p=pm.math.invprobit(eta), observed=np.ones(12, int)), None),
        (lambda eta: pm.Exponential("y", pm.math.exp(eta), observed=np.ones(12)), lambda m: np.ones_like(m)),
        (lambda eta: pm.StudentT("y", nu=5.0, mu=eta, sigma=0.7, observed=np.ones(12)),
         lambda m: np.full_like(m, 6.0 / 8.0 / 0.49)),
        (lambda eta: pm.Gamma("y", alpha=2.5, beta=pm.math.exp(-eta), observed=np.ones(12)),
         lambda m: np.full_like(m, 2.5)),
    ],
)  # fmt: skip
def test_regressions_of_other_families_have_their_closed_form(family, weight):
    z = np.array([0.4, -0.8])
    mean = DESIGN @ z
    if weight is None:
        p, slope = special.ndtr(mean), np.exp(-(mean**2) / 2) / np.sqrt(2 * np.pi)
        weights = slope**2 / (p * (1 - p))
    else:
        weights = weight(mean)
    found, _ = expected(line(family), z)
    assert found == pytest.approx(DESIGN.T @ (DESIGN * weights[:, None]), rel=1e-7, abs=1e-8)


def test_two_shapes_of_a_beta_have_their_trigamma_information():
    def build():
        a, b = pm.HalfNormal("a", 5.0), pm.HalfNormal("b", 5.0)
        pm.Beta("y", a, b, observed=np.full(7, 0.4))

    z = np.log([2.0, 3.5])
    found, _ = expected(build, z)
    a, b = 2.0, 3.5
    own = special.polygamma(1, [a, b])
    exact = 7 * (np.diag(own) - special.polygamma(1, a + b)) * np.outer([a, b], [a, b])
    assert found == pytest.approx(exact, rel=1e-7, abs=1e-8)


def censored():
    y = np.minimum(np.linspace(0.1, 3.0, 9), 2.0)
    pm.Censored("y", pm.Exponential.dist(pm.HalfNormal("rate", 2.0)), lower=None, upper=2.0, observed=y)


def dependent():
    mu = pm.Normal("mu", 0.0, 2.0)
    first = pm.Normal("first", mu, 1.0, observed=X)
    pm.Normal("second", mu * first, 1.0, observed=X)


def walk():
    pm.AR("y", rho=pm.Normal("rho", 0.0, 1.0, shape=1), sigma=1.0, init_dist=pm.Normal.dist(0, 1), observed=X)


@pytest.mark.parametrize("build", [censored, dependent, walk])
def test_what_does_not_fall_into_single_integrals_is_left_to_simulation(build):
    found, observed = expected(build, np.array([0.3]), 3)
    assert found is None
    assert np.all(np.isfinite(observed))


def test_data_from_another_place_are_noticed(monkeypatch):
    # Weights that are not the probabilities at x leave an expected score that is not zero.
    monkeypatch.setattr("workbench.likelihood.expected._LOST", 1.0)
    real = np.exp
    monkeypatch.setattr("workbench.likelihood.expected.np.exp", lambda a: real(np.asarray(a) * 0.9))
    found, _ = expected(line(lambda eta: pm.Poisson("y", pm.math.exp(eta), observed=np.ones(12, int))), np.zeros(2))
    assert found is None
