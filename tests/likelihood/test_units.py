"""Blocks of latent variables are the units that are drawn again and whose scores are added up, as closed forms say."""

from functools import cache

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, special, stats

from workbench.errors import RefusalError
from workbench.likelihood import errors as errors_of
from workbench.likelihood.bootstrap import bootstrap_maximum
from workbench.likelihood.errors import FORMS, standard_errors
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose
from workbench.likelihood.units import BlockUnits, independent_units
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.model.simulate import Simulator
from workbench.result import result_from_json

pytestmark = pytest.mark.slow  # every replicate is an integral over all groups

GENERATOR = np.random.default_rng(11)
GROUP = np.repeat(np.arange(32), GENERATOR.integers(2, 7, size=32))
NOISE = GENERATOR.normal(size=GROUP.size)
EFFECT = GENERATOR.normal(size=32)
SIZES = GENERATOR.integers(4, 12, size=40)
SUCCESSES = GENERATOR.binomial(SIZES, GENERATOR.beta(1.0, 1.5, size=40))


def _intercepts(spread=1.0, centred=True):
    with pm.Model() as model:
        mu, tau, sigma = pm.Normal("mu", 0, 10), pm.HalfNormal("tau", 5), pm.HalfNormal("sigma", 5)
        b = pm.Normal("b", mu, tau, shape=32) if centred else mu + tau * pm.Normal("eta", 0, 1, shape=32)
        pm.Deterministic("share", tau**2 / (tau**2 + sigma**2))
        pm.Normal("y", b[GROUP], sigma, observed=2 + spread * EFFECT[GROUP] + NOISE)
    return model


def _successes():
    with pm.Model() as model:
        a, b = pm.HalfNormal("a", 10), pm.HalfNormal("b", 10)
        pm.Binomial("k", n=SIZES, p=pm.Beta("p", a, b, shape=40), observed=SUCCESSES)
    return model


def _crossed():
    row, column = np.repeat(np.arange(6), 5), np.tile(np.arange(5), 6)
    y = np.random.default_rng(3).normal(size=6)[row] + np.random.default_rng(4).normal(size=5)[column]
    with pm.Model() as model:
        s, t = pm.HalfNormal("s", 3), pm.HalfNormal("t", 3)
        effect = pm.Normal("u", 0, s, shape=6)[row] + pm.Normal("v", 0, t, shape=5)[column]
        pm.Normal("y", effect, 0.5, observed=y + 0.5 * np.random.default_rng(5).normal(size=30))
    return model


MODELS = {
    "intercepts": _intercepts,
    "standardised": lambda: _intercepts(centred=False),
    "little spread": lambda: _intercepts(spread=0.1),
    "successes": _successes,
    "crossed": _crossed,
}


@cache
def posed(name):
    density = LogDensity(MODELS[name]())
    problem = pose(density)
    return problem, maximise_likelihood(problem, examine(density), density.space.start[None])


@cache
def drawn(name, kind, count, seed=1):
    return bootstrap_maximum(*posed(name), count, kind, 0.9, seed)


def by_group(y):
    """Size, mean and sum of squares around it of every group."""
    n = np.bincount(GROUP)
    mean = np.bincount(GROUP, y) / n
    return n, mean, np.bincount(GROUP, (y - mean[GROUP]) ** 2)


def closed_form(theta, groups):
    """Log likelihood of every group and its gradient over mu, tau, sigma: compound symmetry."""
    (mu, tau, sigma), (n, mean, within) = theta, groups
    noise, total, off = sigma**2, sigma**2 + n * tau**2, mean - mu
    value = -0.5 * ((n - 1) * np.log(noise) + np.log(total) + within / noise + n * off**2 / total)
    by_noise = -0.5 * ((n - 1) / noise + 1 / total - within / noise**2 - n * off**2 / total**2)
    by_spread = -0.5 * (n / total - n**2 * off**2 / total**2)
    return value, np.stack([n * off / total, 2 * tau * by_spread, 2 * sigma * by_noise], axis=1)


def maximum_of(y, weights):
    """Mu, tau and sigma at the weighted maximum of the closed form; tau may be 0."""
    groups = by_group(y)

    def minus(theta):
        value, gradient = closed_form(theta, groups)
        return -weights @ value, -weights @ gradient

    # A slope in tau vanishes at 0, so climb from inside and from near 0.
    ends = [
        optimize.minimize(
            minus, [y.mean(), tau, y.std()], jac=True, method="L-BFGS-B",
            bounds=[(None, None), (0, None), (1e-3, None)], options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000},
        )
        for tau in (1.0, 0.3, 0.0)
    ]  # fmt: skip
    theta = min(ends, key=lambda end: end.fun).x
    if theta[1] == 0:
        return theta
    polished = optimize.root(lambda t: weights @ closed_form(t, groups)[1], theta, tol=1e-12)
    return polished.x


def assert_maxima(boot, exact):
    assert boot.estimates[:, :3] == pytest.approx(np.array(exact), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["intercepts", "standardised"])
def test_parametric_maxima_are_those_of_the_closed_form_on_the_same_data(name):
    boot, (problem, mode) = drawn(name, "parametric", 12), posed(name)
    simulator = Simulator(problem.density, problem.chart.names)
    theta = dict(zip(("mu", "tau", "sigma"), mode.estimate[:3], strict=True))
    exact = [maximum_of(simulator(theta, (1, b))["y"], np.ones(32)) for b in range(12)]
    assert_maxima(boot, exact)
    assert "drawn anew" in boot.unit


@pytest.mark.parametrize("kind", ["nonparametric", "bayesian"])
def test_whole_blocks_are_drawn_again(kind):
    boot, y = drawn("intercepts", kind, 12), posed("intercepts")[0].density.symbolic.observed["y"]
    exact = []
    for b in range(12):
        generator = np.random.default_rng((1, b))
        weights = generator.multinomial(32, np.full(32, 1 / 32)).astype(float)
        if kind == "bayesian":
            weights = np.random.default_rng((1, b)).standard_exponential(32)
            weights *= 32 / weights.sum()
        exact.append(maximum_of(y, weights))
    assert_maxima(boot, exact)
    assert "block of b" in boot.unit
    assert any("block of b" in note for note in boot.notes())


@pytest.mark.deep
def test_the_spread_over_new_data_and_over_blocks_is_near_the_wald_error():
    for kind in ("parametric", "nonparametric"):
        boot = drawn("intercepts", kind, 150)
        # Both are estimates: the Wald error of a spread from 32 groups is itself off by 1 / sqrt(64).
        assert np.all(np.abs(boot.std_error - boot.wald_error) < 4 * boot.mcse + 0.15 * boot.wald_error), kind
        assert np.all(np.isfinite(boot.interval().to_numpy()))


def test_variances_of_zero_are_counted_as_the_closed_form_counts_them():
    boot, (problem, mode) = drawn("little spread", "parametric", 40), posed("little spread")
    simulator = Simulator(problem.density, problem.chart.names)
    theta = dict(zip(("mu", "tau", "sigma"), mode.estimate[:3], strict=True))
    exact = np.array([maximum_of(simulator(theta, (1, b))["y"], np.ones(32)) for b in range(40)])
    assert boot.edges["tau"] == np.sum(exact[:, 1] == 0) > 5
    assert np.sum(boot.estimates[:, 1] == 0) == boot.edges["tau"]
    assert boot.estimates[:, :3] == pytest.approx(exact, rel=1e-5, abs=1e-6)


def test_maxima_of_a_latent_probability_are_those_of_the_beta_binomial():
    boot = drawn("successes", "nonparametric", 8)
    for b in range(8):
        weights = np.random.default_rng((1, b)).multinomial(40, np.full(40, 1 / 40))

        def minus(x, weights=weights):
            return -weights @ stats.betabinom(SIZES, *np.exp(x)).logpmf(SUCCESSES)

        exact = optimize.minimize(minus, [0.7, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
        assert boot.estimates[b] == pytest.approx(np.exp(exact.x), abs=1e-3 * boot.wald_error.min())


def test_scores_of_blocks_are_those_of_the_closed_form_in_every_form():
    problem, mode = posed("intercepts")
    errors, y = standard_errors(problem, mode, seed=1), problem.density.symbolic.observed["y"]
    theta, groups = mode.estimate[:3], by_group(y)
    scores = closed_form(theta, groups)[1]
    meat, step = scores.T @ scores, 1e-5
    moved = [closed_form(theta + step * e, groups)[1] - closed_form(theta - step * e, groups)[1] for e in np.eye(3)]
    bread = np.linalg.inv(-np.stack([change.sum(axis=0) for change in moved]) / (2 * step))
    assert errors.covariances["outer product"][:3, :3] == pytest.approx(np.linalg.inv(meat), rel=1e-5)
    assert errors.covariances["sandwich"][:3, :3] == pytest.approx(bread @ meat @ bread, rel=1e-5)
    _, tau, sigma = theta
    n = groups[0]
    total = sigma**2 + n * tau**2
    information = np.diag([np.sum(n / total), *np.zeros(2)])
    information[1, 1] = np.sum(n**2 / total**2 / 2) * 4 * tau**2
    information[1, 2] = information[2, 1] = np.sum(n / total**2 / 2) * 4 * tau * sigma
    information[2, 2] = np.sum((n - 1) / sigma**4 + 1 / total**2) / 2 * 4 * sigma**2
    exact = np.sqrt(np.diag(np.linalg.inv(information)))
    assert np.all(np.abs(errors.std_error["expected"][:3] - exact) < 4 * errors.mcse[:3])
    assert np.all(errors.mcse[:3] < 0.02 * exact)
    assert set(errors.std_error) == set(FORMS)
    assert "block of b" in errors.unit
    assert errors.checks[0].status == "ok"  # the model is true
    assert {check.code for check in errors.checks} == {"errors-agree", "blocks-enough"}
    assert result_from_json(errors.to_json()).to_json() == errors.to_json()


def test_groups_that_differ_in_their_noise_are_seen():
    noise = np.random.default_rng(12).normal(size=GROUP.size) * np.where(GROUP < 8, 3.0, 0.3)
    with pm.Model() as model:
        mu, tau, sigma = pm.Normal("mu", 0, 10), pm.HalfNormal("tau", 5), pm.HalfNormal("sigma", 5)
        pm.Normal("y", pm.Normal("b", mu, tau, shape=32)[GROUP], sigma, observed=EFFECT[GROUP] + noise)
    density = LogDensity(model)
    problem = pose(density)
    errors = standard_errors(problem, maximise_likelihood(problem, examine(density), density.space.start[None]), 1)
    assert errors.checks[0].status == "caution"
    assert errors.std_error["sandwich"][2] > 2 * errors.std_error["observed"][2]


def test_one_block_cannot_be_drawn_again_but_simulated(monkeypatch):
    monkeypatch.setattr(errors_of, "_REPLICATES", 10)
    problem, mode = posed("crossed")
    with pytest.raises(RefusalError, match="one block"):
        bootstrap_maximum(problem, mode, 10, "nonparametric")
    boot = drawn("crossed", "parametric", 3)
    assert np.isfinite(boot.estimates).all()
    errors = standard_errors(problem, mode, seed=1)
    assert set(errors.refused) == {"outer product", "sandwich"}
    assert "one block" in errors.refused["sandwich"]


def test_few_blocks_are_refused_and_not_many_are_a_caution():
    group = np.repeat(np.arange(6), 5)
    y = np.random.default_rng(6).normal(size=30) + 2 * np.random.default_rng(7).normal(size=6)[group]
    for groups, refused in ((4, True), (6, False)):
        rows = group < groups
        with pm.Model() as model:
            u = pm.Normal("u", pm.Normal("mu", 0, 5), pm.HalfNormal("tau", 5), shape=groups)
            pm.Normal("y", u[group[rows]], 1.0, observed=y[rows])
        density = LogDensity(model)
        problem = pose(density)
        mode = maximise_likelihood(problem, examine(density), density.space.start[None])
        if refused:
            with pytest.raises(RefusalError, match="4 independent blocks"):
                bootstrap_maximum(problem, mode, 10, "bayesian")
            continue
        boot = bootstrap_maximum(problem, mode, 20, "bayesian")
        assert next(check for check in boot.checks if check.code == "blocks-enough").status == "caution"


def test_units_are_blocks_with_data_and_the_observations_outside_in_urns_of_their_own():
    group = np.repeat(np.arange(8), 2)
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        u = pm.Normal("u", mu, pm.HalfNormal("tau", 5), shape=10)  # the last two groups have no data
        pm.Normal("y", u[group], 1.0, observed=np.random.default_rng(8).normal(size=16))
        pm.Normal("z", mu, 1.0, observed=np.random.default_rng(9).normal(size=5))
    problem = pose(LogDensity(model))
    units = independent_units(problem)
    assert isinstance(units, BlockUnits)
    assert {name: urn.size for name, urn in units.urns.items()} == {"y, u": 8, "z": 5}
    x, weights = np.array([0.3, -0.2]), np.random.default_rng(10).uniform(size=13)
    y, z = (problem.density.symbolic.observed[name] for name in ("y", "z"))
    covariance = np.eye(2) + np.exp(-0.4)
    exact = weights[:8] @ stats.multivariate_normal([0.3, 0.3], covariance).logpdf(y.reshape(8, 2))
    exact += weights[8:] @ stats.norm(0.3, 1).logpdf(z)
    objective = units.weighted(weights)
    assert objective.value(x) == pytest.approx(exact, rel=1e-10)
    gradient = objective.value_and_gradient(x)[1]
    differences = [(objective.value(x + e) - objective.value(x - e)) / 2e-4 for e in 1e-4 * np.eye(2)]
    assert gradient == pytest.approx(differences, rel=1e-6)


def test_weights_of_blocks_reach_the_gradient_of_laplace():
    problem = pose(LogDensity(_successes()))
    problem.objective.order = 1
    units, x = independent_units(problem), np.array([0.6, 0.9])
    objective = units.weighted(np.random.default_rng(10).uniform(size=40))
    gradient = objective.value_and_gradient(x)[1]
    differences = [(objective.value(x + e) - objective.value(x - e)) / 2e-4 for e in 1e-4 * np.eye(2)]
    assert gradient == pytest.approx(differences, rel=1e-5)


def test_data_that_change_what_depends_on_the_latent_variables_are_refused():
    # A zero says nothing of the rate of the counts above zero; a replicate has its zeros elsewhere.
    group, rate = np.repeat(np.arange(6), 5), np.exp([2.2, 0.8, 1.4, 3.1, 1.9, 2.5])
    y = np.where(np.arange(30) % 3, np.random.default_rng(13).poisson(rate[group]) + 1, 0)
    with pm.Model() as model:
        u = pm.Normal("u", pm.Normal("level", 0, 2), pm.HalfNormal("tau", 1), shape=6)
        pm.HurdlePoisson("y", psi=pm.Beta("psi", 1, 1), mu=pm.math.exp(u[group]), observed=y)
    density = LogDensity(model)
    problem = pose(density)
    mode = maximise_likelihood(problem, examine(density), density.space.start[None])
    with pytest.raises(RefusalError, match="changes with the data"):
        bootstrap_maximum(problem, mode, 10)
    assert np.isfinite(bootstrap_maximum(problem, mode, 10, "nonparametric").estimates).all()


def test_a_potential_that_tilts_the_latent_variables_is_not_simulated():
    with pm.Model() as model:
        u = pm.Normal("u", pm.Normal("mu", 0, 5), pm.HalfNormal("tau", 5), shape=8)
        pm.Potential("tilt", -special.expit(1.0) * u.sum() ** 2)
        pm.Normal("y", u, 1.0, observed=np.random.default_rng(14).normal(size=8))
    density = LogDensity(model, potentials={"tilt": "prior"})
    with pytest.raises(RefusalError, match="tilt"):
        Simulator(density, ["mu", "tau"])
