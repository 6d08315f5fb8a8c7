"""The components of a mixture say the same in any order, and a search that met one order knows of the others."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.model.chart import whole_chart
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.exchange import in_the_order_of_the_prior, with_exchanged
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


def decays(first, second):
    """A sum of two decays with priors of their own: rates 0.5 and 2, heights 3 and 1, in either order."""
    x = np.linspace(0.0, 6.0, 25)
    y = 3.0 * np.exp(-0.5 * x) + np.exp(-2.0 * x) + 0.01 * np.sin(17 * x)
    with pm.Model() as model:
        a, k = pm.Normal("a", first[0], 2.0), pm.Normal("k", first[1], 2.0, initval=first[1])
        b, m = pm.Normal("b", second[0], 2.0), pm.Normal("m", second[1], 2.0, initval=second[1])
        pm.Normal("y", a * pm.math.exp(-k * x) + b * pm.math.exp(-m * x), pm.HalfNormal("sigma", 1.0), observed=y)
    return model


@pytest.mark.parametrize("swapped", [False, True])
def test_of_alike_curves_the_order_is_that_of_the_priors_whichever_a_climb_reached(swapped):
    pairs = [(3.0, 0.4), (1.0, 2.5)]
    density = LogDensity(decays(*(pairs[::-1] if swapped else pairs)))
    objective, chart = density.objective(LIKELIHOOD), whole_chart(density.space)
    end = climb(objective, np.array([3.0, 0.5, 1.0, 2.0, -3.0]))
    found = in_the_order_of_the_prior(density, objective, chart, [end])
    rates = found[0].z[[3, 1]] if swapped else found[0].z[[1, 3]]
    assert rates == pytest.approx([0.5, 2.0], abs=0.1)
    assert found[0].value == pytest.approx(end.value, abs=1e-9)
    assert len(found) == (2 if swapped else 1)


def test_curves_that_are_not_alike_keep_their_places():
    density = LogDensity(mixture(ordered=True))
    objective, chart = density.objective(LIKELIHOOD), whole_chart(density.space)
    end = climb(objective, density.space.start)
    assert in_the_order_of_the_prior(density, objective, chart, [end]) == [end]
