"""The components of a mixture say the same in any order, and a search that met one order knows of the others."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.model.chart import whole_chart
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.exchange import with_exchanged
from workbench.numerics.optimise import climb

Y = np.array([-4.2, -3.1, -2.9, -3.6, -2.5, 2.4, 3.3, 3.1])


def mixture(ordered=False):
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        far = {"transform": pm.distributions.transforms.ordered, "initval": [-3.0, 3.0]} if ordered else {}
        mu = pm.Normal("mu", 0.0, 10.0, shape=2, **far)
        pm.NormalMixture("y", w, mu, pm.HalfNormal("sigma", 3.0), observed=Y)
    return model


def alone(model, z=None):
    """The peak of one climb, with its image if there is one."""
    density = LogDensity(model)
    objective = density.objective(LIKELIHOOD)
    end = climb(objective, density.space.start if z is None else z)
    chart = whole_chart(density.space)
    return chart, with_exchanged(objective, chart, [end])


def test_the_image_has_weights_and_means_in_the_other_order_and_the_same_height():
    start = np.array([0.2, -3.0, 3.0, 0.0])
    chart, (end, image) = alone(mixture(), start)
    here, there = (dict(zip(chart.labels, chart.scalars(at.z[None])[0], strict=True)) for at in (end, image))
    for name in ("w", "mu"):
        assert [there[f"{name}[0]"], there[f"{name}[1]"]] == pytest.approx([here[f"{name}[1]"], here[f"{name}[0]"]])
    assert there["sigma"] == pytest.approx(here["sigma"])
    assert image.value == pytest.approx(end.value, abs=1e-10)


def test_values_in_order_have_no_image_nor_have_groups_with_their_own_data():
    assert len(alone(mixture(ordered=True))[1]) == 1
    with pm.Model() as groups:
        effect = pm.Normal("effect", 0.0, 10.0, shape=3)
        pm.Normal("y", effect[np.array([0, 0, 1, 1, 2, 2])], 1.0, observed=Y[:6])
    assert len(alone(groups)[1]) == 1


def test_equal_elements_are_one_point_and_no_second_optimum():
    with pm.Model() as twins:
        effect = pm.Normal("effect", 0.0, 10.0, shape=2)
        pm.Normal("y", effect[np.array([0, 1])], 1.0, observed=np.array([2.0, 2.0]))
    assert len(alone(twins)[1]) == 1


@pytest.mark.parametrize("seed", [1, 2])
def test_the_maximum_of_a_mixture_never_passes_for_the_only_one(seed):
    study = wb.Study(mixture(), seed=seed)
    agree = next(c for c in study.likelihood.maximum().certificate.checks if c.code == "starts-agree")
    assert agree.status == "caution"
    assert "2 optima of the same height" in agree.message
    assert "ordered" in agree.fix
    modes = study.posterior.laplace()
    assert any(np.sign(z[1]) != np.sign(modes.mode[1]) for z in modes.other_modes)
