"""The MAP is the closed form, moves with the units of the parameter, and is refused where it means nothing."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, special, stats

from tests.models_zoo import HEIGHTS
from workbench.errors import RefusalError
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.posterior.mode import maximise_posterior


def both(model):
    d = LogDensity(model)
    a = examine(d)
    starts = d.space.start + np.vstack([np.zeros(d.space.dimension), np.full(d.space.dimension, 0.5)])
    return maximise_posterior(pose(d), a, starts), maximise_likelihood(pose(d), a, starts)


def test_map_of_the_coin_is_the_mode_of_the_beta_posterior(density, anatomy, starts):
    data = density("coin_bias").symbolic.observed["same_side"]
    a, b = 50 + data.sum(), 50 + 350_757 - data.sum()
    found = maximise_posterior(pose(density("coin_bias")), anatomy("coin_bias"), starts(density("coin_bias")))
    assert found.map.kind == "MAP"
    assert found.map.estimate == pytest.approx([(a - 1) / (a + b - 2)], rel=1e-10)
    # Curvature of (a - 1) log p + (b - 1) log(1 - p) at its mode.
    p = (a - 1) / (a + b - 2)
    assert found.map.errors == pytest.approx([np.sqrt(p * (1 - p) / (a + b - 2))], rel=1e-6)
    assert found.on_z == pytest.approx([a / (a + b)], rel=1e-10)


def test_map_of_a_mean_with_known_spread_is_the_precision_weighted_mean():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 160, 2), 8, observed=HEIGHTS)
    found, _ = both(model)
    precision = 1 / 4 + 40 / 64
    mean = (160 / 4 + HEIGHTS.sum() / 64) / precision
    assert found.map.estimate == pytest.approx([mean], rel=1e-10)
    assert found.map.errors == pytest.approx([precision**-0.5], rel=1e-8)
    assert found.on_z == pytest.approx(found.map.estimate, rel=1e-10)  # nothing is transformed, so nothing moves
    assert "units" not in repr(found)  # and there is no difference to explain


def by_probability():
    with pm.Model() as model:
        p = pm.Beta("p", 2.0, 3.0)
        pm.Binomial("heads", n=10, p=p, observed=9)
    return model


def by_log_odds():
    """The same distribution of p, with log odds as the free variable: the density of logit(p) has its Jacobian."""
    with pm.Model() as model:
        x = pm.CustomDist(
            "x",
            logp=lambda x: -2.0 * pm.math.log1pexp(-x) - 3.0 * pm.math.log1pexp(x) - special.betaln(2.0, 3.0),
            random=lambda rng=None, size=None: special.logit(rng.beta(2.0, 3.0, size=size)),
        )
        p = pm.Deterministic("p", pm.math.sigmoid(x))
        pm.Binomial("heads", n=10, p=p, observed=9)
    return model


def test_map_moves_under_a_reparametrisation_and_the_maximum_of_the_likelihood_does_not():
    (first_map, first_mle), (second_map, second_mle) = both(by_probability()), both(by_log_odds())
    in_p, in_x = first_map.map.theta["p"].item(), second_map.map.theta["p"].item()
    assert in_p == pytest.approx((2 + 9 - 1) / (5 + 10 - 2), rel=1e-9)
    assert in_x == pytest.approx((2 + 9) / (5 + 10), rel=1e-9)
    assert first_mle.theta["p"].item() == pytest.approx(0.9, rel=1e-9)
    assert second_mle.theta["p"].item() == pytest.approx(0.9, rel=1e-9)
    # The mode on z of the first is the mode in theta of the second: both are modes in log odds.
    assert first_map.on_z[0] == pytest.approx(in_x, rel=1e-9)


def test_table_shows_both_modes_side_by_side(density, anatomy, starts):
    found = maximise_posterior(pose(density("height")), anatomy("height"), starts(density("height")))
    table = found.table()
    assert list(table.columns) == ["MAP", "std_error", "mode on z"]
    assert table.loc["sigma", "mode on z"] > table.loc["sigma", "MAP"]  # the Jacobian of a log adds log sigma
    assert "units" in repr(found)


def eight_schools(centred):
    y, se = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0.0, 5.0), pm.Gamma("tau", 3.0, 0.5)
        theta = pm.Normal("theta", mu, tau, shape=8) if centred else mu + tau * pm.Normal("eta", 0.0, 1.0, shape=8)
        pm.Normal("y", theta, se, observed=y)

    def height(mu, tau):
        prior = stats.norm.logpdf(mu, 0, 5) + stats.gamma.logpdf(tau, 3, scale=2)
        return prior + stats.norm.logpdf(y, mu, np.hypot(se, tau)).sum()

    return LogDensity(model), height


@pytest.mark.slow
@pytest.mark.parametrize("centred", [True, False])
def test_latent_variables_are_integrated_out_of_the_map_too(centred):
    # Eight schools: p(mu, tau given y) has a closed form, because a Normal effect in a Normal mean is a wider Normal.
    d, height = eight_schools(centred)
    found = maximise_posterior(pose(d), examine(d), d.space.start + np.zeros((2, 1)))
    second = optimize.minimize(lambda x: -height(*x), [5.0, 4.0], options={"gtol": 1e-10})
    assert found.map.integrated == d.latents
    assert found.map.labels == ("mu", "tau")
    assert found.map.estimate == pytest.approx(second.x, rel=1e-6)
    assert found.map.log_prior + found.map.log_likelihood == pytest.approx(-second.fun, abs=1e-8)
    on_z = optimize.minimize(lambda x: -height(*x) - np.log(x[1]), [5.0, 4.0], options={"gtol": 1e-10})
    assert found.on_z == pytest.approx(on_z.x, rel=1e-6)


def test_a_joint_density_that_rises_to_the_edge_is_refused():
    with pm.Model() as model:
        p = pm.Beta("p", 0.5, 0.5)
        pm.Binomial("heads", n=3, p=p, observed=3)
    d = LogDensity(model)
    with pytest.raises(RefusalError, match="no mode"):
        maximise_posterior(pose(d), examine(d), np.array([[0.0], [1.0]]))


def test_a_share_whose_mode_is_one_is_at_the_edge_and_not_at_infinity():
    with pm.Model() as model:
        pm.Binomial("heads", n=10, p=pm.Uniform("p", 0.0, 1.0), observed=10)
    d = LogDensity(model)
    with pytest.raises(RefusalError, match="the edge of the support, p = 1 ") as refusal:
        maximise_posterior(pose(d), examine(d), np.array([[0.0], [1.0]]))
    assert "infinity" not in str(refusal.value)


def test_the_edge_is_named_by_its_element_where_other_variables_have_to_find_their_place():
    groups, y = (
        np.repeat([0, 1], 20),
        np.concatenate([stats.norm.ppf(np.linspace(0.02, 0.98, 20), 3.0, s) for s in (2.0, 0.5)]),
    )
    with pm.Model() as model:
        mu, sd = pm.Normal("mu", 0, 5, shape=2), pm.Uniform("sd", 1, 10, shape=2)
        pm.Normal("y", mu[groups], sd[groups], observed=y)
    d = LogDensity(model)
    starts = np.random.default_rng(1).normal(size=(4, 4))
    with pytest.raises(RefusalError, match=r"the edge of the support, sd\[1\] = 1 ") as refusal:
        maximise_posterior(pose(d), examine(d), starts)
    assert "infinity" not in str(refusal.value)


@pytest.mark.slow
def test_the_edge_at_which_a_scale_of_latent_effects_ends_is_named():
    # Half-Cauchy's density is highest at 0, and so is the likelihood: tau = 0, also where a step of 30 underflows.
    y, sigma = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    with pm.Model() as model:
        mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
        pm.Normal("y", pm.Normal("theta", mu, tau, shape=8), sigma, observed=y)
    d = LogDensity(model)
    for start in (-4.0, -8.0, 1.0):
        starts = np.zeros((2, d.space.dimension))
        starts[:, d.space.blocks["tau"]] = start
        with pytest.raises(RefusalError, match="the edge of the support, tau = 0 ") as refusal:
            maximise_posterior(pose(d), examine(d), starts)
        assert "infinity" not in str(refusal.value)
