"""Posterior draws have the exact mean and spread, in a DataTree on which ArviZ works."""

import arviz as az
import numpy as np
import pymc as pm
import pytest
from scipy import stats

from tests.models_zoo import HEIGHTS
from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError, RefusalError
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.posterior.draws import describe_draws, draw_posterior
from workbench.posterior.grid import integrate_posterior
from workbench.posterior.laplace import approximate
from workbench.settings import Settings

SETTINGS = Settings(draws=500, tune=500, chains=4)


@pytest.fixture(scope="module")
def tree(density, anatomy):
    cache = {}

    def draws(name):
        if name not in cache:
            cache[name] = draw_posterior(density(name), anatomy(name), SETTINGS, seed=7)
        return cache[name]

    return draws


def agree(values, mean, sd):
    """Mean and standard deviation of draws, shape ``(chains, draws)``, lie within the shared number of errors."""
    assert abs(values.mean() - mean) < STANDARD_ERRORS * az.mcse(values, method="mean")
    assert abs(values.std() - sd) < STANDARD_ERRORS * az.mcse(values, method="sd")


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["coin", "coin_bias"])
def test_coin_draws_have_the_mean_and_spread_of_the_beta_posterior(density, tree, name):
    (data,) = density(name).symbolic.observed.values()
    a, b = (62, 40) if name == "coin" else (50 + data.sum(), 50 + 350_757 - data.sum())
    agree(tree(name)["posterior"]["p"].values, stats.beta(a, b).mean(), stats.beta(a, b).std())


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.parametrize("name", ["height", "height_as_normal", "several"])
def test_draws_agree_with_the_grid(density, anatomy, tree, name):
    d, a = density(name), anatomy(name)
    exact = integrate_posterior(d, a, approximate(d, a, d.space.start[None]))
    for label, mean, sd in zip(exact.labels, exact.mean, exact.sd, strict=True):
        agree(tree(name)["posterior"][label].values, mean, sd)


@pytest.mark.slow
def test_tree_has_the_groups_of_the_schema_and_nothing_of_the_warm_up(tree):
    found = tree("labelled")
    assert set(found.children) == {
        "posterior",
        "unconstrained_posterior",
        "sample_stats",
        "log_likelihood",
        "log_prior",
        "observed_data",
    }
    assert dict(found["posterior"].sizes)["chain"] == 4
    assert dict(found["posterior"].sizes)["draw"] == 500
    assert found["posterior"]["table"].dims == ("chain", "draw", "group", "contrast")
    assert found["posterior"]["group"].values.tolist() == ["control", "treated", "late"]
    assert {"diverging", "tree_depth", "reached_max_treedepth", "lp", "energy"} <= set(found["sample_stats"].data_vars)
    assert found["posterior"].attrs["inference_library"] == "nutpie"


def test_log_likelihood_and_log_prior_are_those_of_scipy_at_every_draw(tree):
    found = tree("height")
    mu, sigma = (found["posterior"][n].values for n in ("mu", "sigma"))
    expected = stats.norm.logpdf(HEIGHTS, mu[..., None], sigma[..., None])
    assert found["log_likelihood"]["height"].values == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert found["log_prior"]["mu"].values == pytest.approx(stats.norm.logpdf(mu, 170, 20), rel=1e-12)
    assert found["observed_data"]["height"].values.tolist() == HEIGHTS.tolist()


def test_terms_at_the_draws_add_up_to_what_the_sampler_saw(tree):
    found = tree("height")
    total = (
        found["log_likelihood"]["height"].sum("height_dim_0") + found["log_prior"]["mu"] + found["log_prior"]["sigma"]
    )
    jacobian = np.log(found["posterior"]["sigma"])
    assert (total + jacobian).values == pytest.approx(found["sample_stats"]["lp"].values, rel=1e-10)


def test_deterministics_are_computed_from_the_same_draw(tree):
    posterior = tree("noncentred")["posterior"]
    expected = posterior["mu"] + posterior["tau"] * posterior["eta"]
    assert posterior["theta"].values == pytest.approx(expected.values, rel=1e-12, abs=1e-12)
    assert posterior["theta"].dims == ("chain", "draw", "school")


@pytest.mark.slow
def test_constraints_hold_in_every_draw(tree):
    assert tree("simplex")["posterior"]["w"].sum("w_dim_0").values == pytest.approx(1.0, abs=1e-12)
    assert np.all(np.diff(tree("ordered")["posterior"]["cuts"].values, axis=-1) > 0)
    assert np.all(tree("missing")["posterior"]["sigma"].values > 0)


@pytest.mark.parametrize("name", ["height", "noncentred", "several"])
def test_arviz_works_on_the_tree(tree, name):
    found = tree(name)
    rhat = az.rhat(found)
    assert max(float(v.max()) for v in rhat.data_vars.values()) < 1.05  # four chains of 500 draws of an easy target
    assert min(float(v.min()) for v in az.ess(found).data_vars.values()) > 100
    assert len(az.summary(found)) > 0


def test_leave_one_out_of_arviz_is_near_the_closed_form(tree):
    # Exact leave-one-out predictive densities of the height model lie within the Monte Carlo error of 2000 draws of
    # the Student t that a flat prior on (mu, log sigma) gives: the priors are wide, n = 40.
    loo = az.loo(tree("height"), pointwise=True)
    n = len(HEIGHTS)
    exact = []
    for i, y in enumerate(HEIGHTS):
        rest = np.delete(HEIGHTS, i)
        exact.append(stats.t.logpdf(y, n - 2, rest.mean(), rest.std(ddof=1) * np.sqrt(1 + 1 / (n - 1))))
    assert loo.elpd == pytest.approx(sum(exact), abs=0.5)
    assert np.all(loo.pareto_k.values < 0.7)


def test_the_same_seed_gives_the_same_tree(density, anatomy):
    short = Settings(draws=20, tune=50, chains=2)
    first, again, other = (draw_posterior(density("coin"), anatomy("coin"), short, seed) for seed in (1, 1, 2))
    assert first["posterior"].to_dataset().equals(again["posterior"].to_dataset())
    assert not first["posterior"].to_dataset().equals(other["posterior"].to_dataset())


def test_progress_is_passed_on(density, anatomy):
    seen = []
    draw_posterior(
        density("coin"), anatomy("coin"), Settings(draws=20, tune=50, chains=2), 1, lambda *s: seen.append(s)
    )
    assert seen[-1] == ("sampling", 140, 140)


def test_draws_of_a_latent_model_are_not_refused(tree):
    assert tree("missing")["posterior"]["y_unobserved"].shape == (4, 500, 2)


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")
def test_discrete_variables_are_drawn_with_their_exact_probability():
    # Pr[k = 1 | y] by Bayes' theorem on two hypotheses, mu integrated out.
    y = np.array([0.9, 1.6])
    with pm.Model() as model:
        k = pm.Bernoulli("k", 0.3)
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu + k, 1, observed=y)
    d = LogDensity(model)
    found = draw_posterior(d, examine(d), Settings(draws=1000, tune=300, chains=2), 5)
    covariance = np.eye(2) + np.ones((2, 2))
    odds = (
        0.3
        / 0.7
        * np.exp(
            stats.multivariate_normal(np.ones(2), covariance).logpdf(y)
            - stats.multivariate_normal(np.zeros(2), covariance).logpdf(y)
        )
    )
    values = found["posterior"]["k"].values.astype(float)
    assert abs(values.mean() - odds / (1 + odds)) < STANDARD_ERRORS * az.mcse(values, method="mean")
    assert found["posterior"].attrs["inference_library"] == "nutpie"
    assert found["log_likelihood"]["y"].shape == (2, 1000, 1)  # both observations share the label


@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")
def test_counts_that_cannot_be_summed_out_are_drawn_step_by_step():
    # Pr[k | y] of a Poisson count behind one normal observation.
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Normal("y", mu + pm.Poisson("k", 0.5), 1, observed=np.array([1.6]))
    d = LogDensity(model)
    found = draw_posterior(d, examine(d), Settings(draws=1000, tune=300, chains=2), 5)
    counts = np.arange(30)
    weights = stats.poisson.pmf(counts, 0.5) * stats.norm.pdf(1.6, counts, np.sqrt(2.0))
    values = found["posterior"]["k"].values.astype(float)
    assert abs(values.mean() - counts @ weights / weights.sum()) < STANDARD_ERRORS * az.mcse(values, method="mean")
    assert found["posterior"].attrs["inference_library"] == "pymc"


def test_a_model_without_free_variables_is_refused():
    with pm.Model() as model:
        pm.Normal("y", 0, 1, observed=np.array([0.2]))
    with pytest.raises(RefusalError, match="no free variable"):
        draw_posterior(d := LogDensity(model), examine(d), SETTINGS, 1)


@pytest.mark.slow
def test_z_and_theta_of_the_tree_are_the_same_draws(density, tree):
    found, space = tree("bounded"), density("bounded").space
    z = found["unconstrained_posterior"]["z"].values
    theta = space.theta(z.reshape(-1, 3))
    for name in space.names:
        assert np.array_equal(found["posterior"][name].values.ravel(), theta[name])


def drawn_around_zero(d):
    """Draws of the labelled model near zero, and the log density there."""
    z = np.random.default_rng(0).normal(size=(2, 50, d.space.dimension))
    return z, {"lp": d.pymc_target(z.reshape(100, -1)).reshape(2, 50)}


def test_draws_described_in_pieces_are_the_draws_described_at_once(density, monkeypatch):
    d = density("labelled")
    whole = describe_draws(d, *drawn_around_zero(d))
    monkeypatch.setattr("workbench.posterior.draws._CHUNK", 30)
    pieces = describe_draws(d, *drawn_around_zero(d))
    for group in whole.children:
        assert whole[group].to_dataset().equals(pieces[group].to_dataset())


@pytest.mark.parametrize("sabotage", ["shifted", "scaled", "one wrong draw", "nan"])
def test_draws_from_another_density_are_not_accepted(density, sabotage):
    d = density("labelled")
    z, statistics = drawn_around_zero(d)
    lp = statistics["lp"]
    if sabotage == "one wrong draw":
        lp[1, 17] += 0.1
    elif sabotage == "nan":
        lp[0, 3] = np.nan
    else:
        lp = lp + 1.0 if sabotage == "shifted" else lp * 1.01
    with pytest.raises(NumericalError, match="differs from the model"):
        describe_draws(d, z, {"lp": lp})
