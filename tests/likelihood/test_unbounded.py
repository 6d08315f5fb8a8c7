"""A mixture whose scales are free has no maximum and a peak to offer; regular models raise no alarm."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from tests import studies
from workbench.errors import NoMaximumError, NumericalError, RefusalError
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.likelihood.unbounded import find_spike
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.numerics.optimise import climb
from workbench.prior.draws import starting_points

pytestmark = pytest.mark.slow  # a compiled model each

GENERATOR = np.random.default_rng(5)
FIRST = GENERATOR.random(80) < 0.4
Y = np.where(FIRST, GENERATOR.normal(-2.0, 1.0, size=80), GENERATOR.normal(3.0, 0.7, size=80))
X = GENERATOR.normal(size=80)


def maximum(model):
    d = LogDensity(model)
    return maximise_likelihood(pose(d), examine(d), starting_points(d, None, 6, seed=1))


def refused(model):
    with pytest.raises(NoMaximumError) as refusal:
        maximum(model)
    assert refusal.value.kind == "unbounded"
    return refusal.value


def _mixture(**scales):
    with pm.Model() as model:
        w = pm.Beta("w", 2, 2)
        mu = pm.Normal("mu", [-2.0, 3.0], 3.0, shape=2)
        sigma = pm.HalfNormal("sigma", 3.0, **scales)
        pm.NormalMixture("y", w=pm.math.stack([w, 1 - w]), mu=mu, sigma=sigma, observed=Y)
    return model


def test_a_mixture_with_free_scales_has_no_maximum_but_a_peak():
    error = refused(_mixture(shape=2))
    assert "unbounded as sigma[0] -> 0 (at mu[0] = " in error.what
    place = float(error.what.split("at mu[0] = ")[1].split(")")[0])
    assert np.min(np.abs(Y - place)) < 1e-5  # six digits of an observation
    peak = dict(part.split(" = ") for part in error.what.split("nats, at ")[1].split(", "))
    # EM of the same mixture, from the true labels.
    share = FIRST.astype(float)
    for _ in range(2000):
        weights = np.stack([share, 1 - share])
        mean = weights @ Y / weights.sum(axis=1)
        sd = np.sqrt((weights * (Y - mean[:, None]) ** 2).sum(axis=1) / weights.sum(axis=1))
        heights = weights.mean(axis=1)[:, None] / sd[:, None] * np.exp(-0.5 * ((Y - mean[:, None]) / sd[:, None]) ** 2)
        share = heights[0] / heights.sum(axis=0)
    assert [float(peak[f"mu[{k}]"]) for k in (0, 1)] == pytest.approx(mean, rel=1e-4)
    assert [float(peak[f"sigma[{k}]"]) for k in (0, 1)] == pytest.approx(sd, rel=1e-4)
    assert error.fix


def test_a_mixture_with_one_common_scale_has_a_maximum():
    assert np.isfinite(maximum(_mixture()).errors).all()


def test_two_scales_with_names_of_their_own_are_found_in_a_mixture():
    with pm.Model() as model:
        w, m, n = pm.Beta("w", 2, 2), pm.Normal("m", -2, 3), pm.Normal("n", 3, 3)
        parts = [pm.Normal.dist(m, pm.HalfNormal("s", 3)), pm.Normal.dist(n, pm.HalfNormal("t", 3))]
        pm.Mixture("y", w=pm.math.stack([w, 1 - w]), comp_dists=parts, observed=Y)
    assert "unbounded as s -> 0 (at m = " in refused(model).what


@pytest.mark.deep
def test_ordered_means_and_precisions_do_not_hide_it():
    with pm.Model() as model:
        ordered = pm.distributions.transforms.ordered
        mu = pm.Normal("mu", [-2.0, 3.0], 3.0, shape=2, transform=ordered, initval=[-1.0, 1.0])
        tau = pm.Gamma("tau", 2.0, 2.0, shape=2)
        w = pm.Dirichlet("w", np.ones(2))
        pm.NormalMixture("y", w=w, mu=mu, tau=tau, observed=Y)
    assert "-> infinity (at mu[" in refused(model).what


def test_a_mixture_of_lines_is_found_by_refitting():
    y = np.where(FIRST, 1.0 + 2.0 * X, -1.0 - X) + 0.5 * np.random.default_rng(6).normal(size=80)
    with pm.Model() as model:
        w, a = pm.Beta("w", 2, 2), pm.Normal("a", [1.0, -1.0], 1.0, shape=2)
        b, sigma = pm.Normal("b", [2.0, -1.0], 1.0, shape=2), pm.HalfNormal("sigma", 1.0, shape=2)
        parts = [pm.Normal.dist(a[k] + b[k] * X, sigma[k]) for k in (0, 1)]
        pm.Mixture("y", w=pm.math.stack([w, 1 - w]), comp_dists=parts, observed=y)
    assert "unbounded as sigma[" in refused(model).what


def test_what_hangs_on_the_maximum_is_refused_with_it():
    study = wb.Study(_mixture(shape=2), seed=1)
    with pytest.raises(RefusalError, match="unbounded as sigma"):
        study.likelihood.profile("w")


def _groups():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 5, shape=2), pm.HalfNormal("sigma", 5, shape=2)
        pm.Normal("y", mu[FIRST.astype(int)], sigma[FIRST.astype(int)], observed=Y)
    return model


def _rates():
    with pm.Model() as model:
        rate = pm.HalfNormal("rate", 5, shape=3)
        pm.Poisson("k", rate[np.arange(30) % 3], observed=np.random.default_rng(7).poisson(3.0, size=30))
    return model


def _gammas():
    with pm.Model() as model:
        shape, scale = pm.HalfNormal("shape", 5, shape=2), pm.HalfNormal("scale", 5, shape=2)
        pm.Gamma("y", shape[FIRST.astype(int)], 1 / scale[FIRST.astype(int)], observed=np.exp(0.3 * Y))
    return model


def _heavy():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 5, shape=2), pm.HalfNormal("sigma", 5, shape=2)
        nu = pm.Gamma("nu", 2, 0.1)
        pm.StudentT("y", nu=nu, mu=mu[FIRST.astype(int)], sigma=sigma[FIRST.astype(int)], observed=Y)
    return model


@pytest.mark.parametrize("build", [_groups, _rates, _gammas, _heavy])
def test_positive_vectors_of_regular_models_raise_no_alarm(build):
    density = LogDensity(build())
    problem = pose(density)
    end = climb(problem.objective, density.space.start)
    assert find_spike(problem, end) is None


def test_two_groups_have_their_own_mean_and_spread():
    found = maximum(_groups())
    exact = [Y[~FIRST].mean(), Y[FIRST].mean(), Y[~FIRST].std(), Y[FIRST].std()]
    assert found.estimate == pytest.approx(exact, rel=1e-6)


def test_the_height_model_and_a_hierarchy_raise_no_alarm():
    assert np.isfinite(studies.study("height_as_normal").likelihood.maximum().errors).all()
    assert studies.eight_schools().likelihood.maximum().at_edge == ("tau",)


def test_a_group_of_one_is_unbounded_by_itself():
    group = np.array([0, 0, 0, 1])
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 5, shape=2), pm.HalfNormal("sigma", 5, shape=2)
        pm.Normal("y", mu[group], sigma[group], observed=np.array([1.0, 2.0, 4.0, 3.0]))
    with pytest.raises(RefusalError, match="no maximum"):
        maximum(model)


@pytest.mark.parametrize("scales", ["a vector", "two variables"])
def test_one_observation_with_a_scale_of_its_own_is_fitted_exactly(scales):
    # There is a peak inside; with the mean on that observation its scale goes to 0, and the others lose what is finite.
    y = np.random.default_rng(13).normal(0.0, 1.0, size=11)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        if scales == "a vector":
            sigma = pm.HalfNormal("sigma", 3.0, shape=2)
            first, rest = sigma[0], sigma[1]
        else:
            first, rest = pm.HalfNormal("first", 3.0), pm.HalfNormal("rest", 3.0)
        pm.Normal("one", mu, first, observed=y[:1])
        pm.Normal("others", mu, rest, observed=y[1:])
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "unbounded"
    assert f"unbounded as {'sigma[0]' if scales == 'a vector' else 'first'} -> 0; the highest peak inside" in (
        refusal.value.what
    )


def test_two_scales_that_many_observations_share_have_a_maximum():
    y = np.random.default_rng(13).normal(0.0, 1.0, size=20)
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 5.0), pm.HalfNormal("sigma", 3.0, shape=2)
        pm.Normal("y", mu, sigma[np.arange(20) % 2], observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    mean = float(found.theta["mu"])
    assert found.theta["sigma"].values == pytest.approx([np.sqrt(np.mean((y[k::2] - mean) ** 2)) for k in (0, 1)])


def test_a_scale_that_a_regression_sends_to_zero_at_an_exact_observation_is_no_lack_of_a_start():
    x, y = np.repeat([0.0, 1.0], [1, 6]), np.append(0.0, np.random.default_rng(14).normal(0.0, 1.0, size=6))
    with pm.Model() as model:
        scale = pm.math.exp(pm.Normal("a", 0.0, 3.0) + pm.Normal("b", 0.0, 3.0) * x)
        pm.Normal("y", pm.Normal("mu", 0.0, 5.0), scale, observed=y)
    with pytest.raises(NumericalError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert "without bound" in refusal.value.what
    assert "scales away from 0" in refusal.value.fix or "error of measurement" in refusal.value.fix
