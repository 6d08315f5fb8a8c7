"""The likelihood along one coordinate, the others at their best."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.errors import NoMaximumError
from workbench.likelihood.followed import heights_along, multiplied
from workbench.likelihood.problem import pose
from workbench.model.density import LogDensity

pytestmark = pytest.mark.slow  # every model is compiled

TRANSFORMS = pm.distributions.transforms


def test_ordered_vectors_real_numbers_and_scales_are_multiplied():
    with pm.Model() as model:
        a, s = pm.Normal("a"), pm.HalfNormal("s")
        c = pm.Normal("c", 0.0, 1.0, shape=3, transform=TRANSFORMS.ordered, initval=[-2.0, 0.0, 1.0])
        pm.Normal("y", a + c, s, observed=np.zeros(3))
    problem = pose(LogDensity(model))
    x = problem.chart.space.z({"a": 2.0, "s": 3.0, "c": [-2.0, 0.5, 1.0]})
    before = problem.chart.scalars(x[None])[0]
    by = {
        (True, False): np.array([4.0, 1.0, 4.0, 4.0, 4.0]),
        (True, True): np.full(5, 4.0),
        (False, False): np.array([1.0, 1.0, 4.0, 4.0, 4.0]),
    }
    for (real, scales), factors in by.items():
        after = problem.chart.scalars(multiplied(problem, x, 4.0, real, scales)[None])[0]
        assert after == pytest.approx(before * factors, rel=1e-12)


def test_cutpoints_keep_up_with_a_slope_that_grows_by_a_factor():
    x = np.random.default_rng(3).normal(size=60)
    with pm.Model() as model:
        c = pm.Normal("c", [-1.0, 0.0, 1.0], 1.0, transform=TRANSFORMS.ordered)
        pm.OrderedProbit("y", eta=pm.Normal("b") * x, cutpoints=c, observed=np.digitize(x, [-1.0, 0.0, 0.7]))
    study = wb.Study(model, seed=1)
    with pytest.raises(NoMaximumError, match="as b -> infinity .* where it levels off: .* 0 nats") as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "at infinity"
    found = study.likelihood.profile("b")
    assert found.upper[0] == np.inf
    assert 10.0 < found.lower[0] < 100.0
    held = study.likelihood.test("b", float(found.lower[0]))
    assert -2 * held.log_likelihood_held == pytest.approx(3.84146, rel=1e-5)


def test_one_more_place_is_looked_at_before_a_probability_rounds_to_one():
    with pm.Model() as model:
        b, kappa = pm.Normal("b", 0.0, 2.0), pm.HalfNormal("kappa", 20.0)
        mu = pm.math.invlogit(b)
        n = np.full(6, 10)
        pm.BetaBinomial("y", n=n, alpha=mu * kappa, beta=(1 - mu) * kappa, observed=n)
    study = wb.Study(model, seed=1)
    heights = [height for height, _ in heights_along(study.problem, 0, iter([0.0, 3.0, 9.0, 27.0, 81.0]))]
    assert len(heights) == 5
    assert heights[-1] > -1e-12
    with pytest.raises(NoMaximumError, match="as b -> infinity, where it levels off: .* 0 nats") as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "at infinity"
    # Of the least kappa every row is all or nothing: log L = 6 log mu.
    cut = np.exp(-1.920729410 / 6)
    assert study.likelihood.profile("b").lower[0] == pytest.approx(np.log(cut / (1 - cut)), rel=1e-6)
