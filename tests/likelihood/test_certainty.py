"""Separated outcomes where none of the scalars alone has to go anywhere."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.errors import NoMaximumError
from workbench.likelihood.certainty import refuse_certain
from workbench.likelihood.problem import pose
from workbench.model.density import LogDensity
from workbench.numerics.climbs import Climb
from workbench.numerics.curvature import curvature_at

pytestmark = pytest.mark.slow  # every model is compiled

X12 = np.arange(12.0) - 5.5


def ordered(scale):
    with pm.Model() as model:
        cuts = pm.Normal("c", [-1.0, 1.0], 2.0, transform=pm.distributions.transforms.ordered)
        slope, sigma = pm.Normal("b", 0.0, 2.0), pm.HalfNormal("s", 1.0) if scale else 1.0
        pm.OrderedProbit("y", eta=slope * X12, cutpoints=cuts, sigma=sigma, observed=np.repeat([0, 1, 2], 4))
    return wb.Study(model, seed=1)


def test_a_scale_that_means_nothing_leaves_separated_outcomes_at_infinity():
    with pytest.raises(NoMaximumError, match="rises to 0 nats, .* where every outcome is certain, along ") as refusal:
        ordered(scale=True).likelihood.maximum()
    assert refusal.value.kind == "at infinity"


def test_where_all_are_censored_below_the_limit_is_certainty_and_the_mean_is_below_it():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("sigma", 5.0)
        pm.Censored("y", pm.Normal.dist(mu, sigma), lower=1.0, upper=None, observed=np.full(10, 1.0))
    study = wb.Study(model, seed=1)
    with pytest.raises(NoMaximumError, match="every outcome is certain, along mu and sigma") as refusal:
        study.likelihood.maximum()
    assert refusal.value.kind == "at infinity"
    found = study.likelihood.profile()
    assert found.upper == pytest.approx([1.0, np.inf], rel=1e-9)  # of any sigma the mean may be far enough below
    assert found.lower == pytest.approx([-np.inf, 0.0])


def test_an_outcome_that_is_certain_everywhere_is_no_limit():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Binomial("y", n=0, logit_p=mu, observed=np.zeros(3, dtype=int))
    problem, z = pose(LogDensity(model)), np.array([5.0])
    end = Climb(z, z, problem.objective.value(z), 0.0, 0.0, curvature_at(problem.objective, z))
    refuse_certain(problem, end)
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "flat"
