"""Nodes inside nodes and inside draws, beside integrals of another kind."""

import numpy as np
import pymc as pm
import pytest
from scipy import optimize, special, stats

import workbench as wb
from workbench.likelihood import refinement
from workbench.likelihood.marginal import MarginalLikelihood
from workbench.model.density import LogDensity

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

X, W = np.polynomial.hermite_e.hermegauss(41)
LOG_W = np.log(W / W.sum())


def _differences(marginal, theta, step=1e-4):
    steps = step * np.eye(theta.size)
    return np.array([(marginal.value(theta + e) - marginal.value(theta - e)) / (2 * step) for e in steps])


def _pupils():
    """Counts of pupils in classes in schools of several sizes, each count with an effect of its own."""
    rng = np.random.default_rng(6)
    school_of_class = np.repeat(np.arange(6), [1, 2, 3, 2, 1, 3])
    of_class = np.repeat(np.arange(12), rng.integers(3, 7, size=12))
    n = of_class.size
    eta = 0.6 + 0.5 * rng.normal(size=6)[school_of_class][of_class] + 0.6 * rng.normal(size=12)[of_class]
    y = rng.poisson(np.exp(eta + 0.5 * rng.normal(size=n)))
    with pm.Model() as model:
        level = pm.Normal("level", 0.0, 2.0)
        a, b, c = (pm.HalfNormal(name, 1.0) for name in ("a", "b", "c"))
        school, own = pm.Normal("school", 0.0, a, shape=6), c * pm.Normal("own", 0.0, 1.0, shape=n)
        room = pm.Normal("room", school[school_of_class], b, shape=12)
        pm.Poisson("y", pm.math.exp(level + room[of_class] + own), observed=y)
    return model, y, school_of_class, of_class


def _exact_pupils(theta, y, school_of_class, of_class):
    level, (a, b, c) = theta[0], np.exp(theta[1:])
    rooms = level + a * X[:, None] + b * X  # school, room
    rates = np.exp(rooms[..., None] + c * X)
    each = np.stack([special.logsumexp(stats.poisson.logpmf(k, rates) + LOG_W, axis=-1) for k in y])
    by_class = np.stack([special.logsumexp(each[of_class == k].sum(axis=0) + LOG_W, axis=-1) for k in range(12)])
    return sum(special.logsumexp(by_class[school_of_class == s].sum(axis=0) + LOG_W) for s in range(6))


def test_three_rounds_of_effects_are_integrated_by_nodes_inside_nodes_with_the_slope_of_their_value():
    model, *data = _pupils()
    marginal, theta = MarginalLikelihood(LogDensity(model)), np.array([0.5, -0.6, -0.5, -0.8])
    found = marginal.with_draws(2000, seed=1)
    assert found.nest.by_nodes
    exact = _exact_pupils(theta, *data)
    assert abs(marginal.value(theta) - exact) > 0.01
    assert found.value(theta) == pytest.approx(exact, abs=2e-6)
    value, slope = found.value_and_gradient(theta)
    assert value == pytest.approx(found.value(theta), abs=1e-10)
    assert slope == pytest.approx(_differences(found, theta), abs=1e-6)
    weights = np.linspace(0.0, 2.0, marginal.structure.n_blocks)
    some = found.with_weights(weights)
    assert some.value(theta) == pytest.approx(weights @ found.parts(theta[None])[0], abs=1e-10)
    assert some.value_and_gradient(theta)[1] == pytest.approx(_differences(some, theta), abs=1e-6)


def test_three_rounds_have_their_maximum_and_their_height():
    model, *data = _pupils()
    found = wb.Study(model, seed=1).likelihood.maximum()
    theta = np.concatenate([[float(found.theta["level"])], np.log([float(found.theta[name]) for name in "abc"])])
    assert found.log_likelihood == pytest.approx(_exact_pupils(theta, *data), abs=2e-5)
    best = optimize.minimize(lambda t: -_exact_pupils(t, *data), theta, method="BFGS", options={"gtol": 1e-6})
    assert found.log_likelihood == pytest.approx(-best.fun, abs=2e-5)
    check = next(check for check in found.checks if check.code == "latents-integrated")
    assert check.status == "ok"
    assert "in 3 rounds" in check.message


def _table(rows, columns, seed):
    """Yes or no of people (rows) to items (columns)."""
    rng = np.random.default_rng(seed)
    row, column = np.repeat(np.arange(rows), columns), np.tile(np.arange(columns), rows)
    y = rng.binomial(1, special.expit(0.3 + 1.5 * rng.normal(size=rows)[row] + 0.8 * rng.normal(size=columns)[column]))
    with pm.Model() as model:
        level, a, b = pm.Normal("level", 0.0, 2.0), pm.HalfNormal("a", 2.0), pm.HalfNormal("b", 2.0)
        effects = pm.Normal("u", 0.0, a, shape=rows)[row] + pm.Normal("v", 0.0, b, shape=columns)[column]
        pm.Bernoulli("y", logit_p=level + effects, observed=y)
    return model, y.reshape(rows, columns)


def _exact_table(theta, y, nodes=21):
    """By nodes for every column, and for a row inside them."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    log_w, (level, a, b) = np.log(w / w.sum()), (theta[0], *np.exp(theta[1:]))
    total = 0.0
    here = np.array(np.meshgrid(*[np.arange(nodes)] * y.shape[1], indexing="ij")).reshape(y.shape[1], -1)
    logit = level + a * X[:, None, None] + b * x[here]  # row, column, point
    yes, no = special.log_expit(logit), special.log_expit(-logit)
    patterns, counts = np.unique(y, axis=0, return_counts=True)
    for pattern, count in zip(patterns, counts, strict=True):
        height = np.where(pattern[:, None] == 1, yes, no).sum(axis=1)
        total = total + count * special.logsumexp(height + LOG_W[:, None], axis=0)
    return special.logsumexp(total + log_w[here].sum(axis=0))


def test_a_table_with_more_columns_than_rounds_has_nodes_inside_draws_of_which_most_count():
    model, y = _table(40, 4, 2)
    marginal, theta = MarginalLikelihood(LogDensity(model)), np.array([0.2, 0.4, -0.3])
    found = [marginal.with_draws(2000, seed) for seed in range(8)]
    assert found[0].nest.levels == 1
    errors = np.array([one.value(theta) for one in found]) - _exact_table(theta, y)
    assert abs(errors.mean()) < 4 * errors.std() / np.sqrt(8) + 1e-3
    assert errors.std() < 0.05
    assert found[0].effective_draws(theta) > 0.5 * found[0].nest.draws
    assert found[0].value_and_gradient(theta)[1] == pytest.approx(_differences(found[0], theta), abs=1e-5)


def test_a_height_that_laplace_does_not_know_is_mended_or_said(monkeypatch):
    model, y = _table(40, 4, 2)
    found = wb.Study(model, seed=1).likelihood.maximum()
    theta = np.array([float(found.theta["level"]), *np.log([float(found.theta[name]) for name in "ab"])])
    assert found.log_likelihood == pytest.approx(_exact_table(theta, y), abs=0.05)
    monkeypatch.setattr(refinement, "_CHEAP", 0)
    monkeypatch.setattr(refinement, "_UPGRADE", 10.0)
    rough = wb.Study(model, seed=1).likelihood.maximum()
    theta = np.array([float(rough.theta["level"]), *np.log([float(rough.theta[name]) for name in "ab"])])
    assert abs(rough.log_likelihood - _exact_table(theta, y)) > 0.1
    check = next(check for check in rough.checks if check.code == "latents-integrated")
    assert check.status == "caution"
    assert "AIC" in check.fix


def test_an_outer_variance_of_nothing_is_zero_and_leaves_the_inner_effects_alone():
    r = np.random.default_rng(2)
    family = np.repeat(np.arange(160), 3)
    x, outer, inner = r.normal(size=480), r.normal(0.0, 1.0, 40), r.normal(0.0, 3.0, 160)
    y = r.binomial(1, special.expit(0.3 + 0.8 * x + outer[family // 4] + inner[family]))

    def model(nested):
        with pm.Model() as built:
            a, b = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0)
            effect = pm.Normal("v", 0.0, pm.HalfNormal("s2", 3.0), shape=160)[family]
            if nested:
                effect = effect + pm.Normal("u", 0.0, pm.HalfNormal("s1", 3.0), shape=40)[family // 4]
            pm.Bernoulli("y", logit_p=a + b * x + effect, observed=y)
        return wb.Study(built, seed=1).likelihood.maximum()

    found, alone = model(True), model(False)
    assert found.at_edge == ("s1",)
    assert float(found.theta["s1"]) == 0.0
    # Nodes inside nodes are at most fifteen an axis, nodes of one axis as many as they need.
    assert found.log_likelihood == pytest.approx(alone.log_likelihood, abs=0.05)
    for name in ("a", "b", "s2"):
        assert abs(float(found.theta[name] - alone.theta[name])) < 0.05 * float(alone.std_error[name])


def _correlated(groups, size, seed):
    """Yes or no with a level and two slopes a group that are correlated."""
    rng, group = np.random.default_rng(seed), np.repeat(np.arange(groups), size)
    z = np.column_stack([np.ones(group.size), rng.normal(size=(group.size, 2))])
    root = np.array([[0.9, 0.0, 0.0], [0.3, 0.8, 0.0], [-0.2, 0.2, 0.7]])
    effects = rng.normal(size=(groups, 3)) @ root.T
    y = rng.binomial(1, special.expit(z @ [0.3, 0.5, -0.4] + np.sum(z * effects[group], axis=1)))
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 5.0, shape=3)
        factor, _, _ = pm.LKJCholeskyCov("factor", n=3, eta=1.5, sd_dist=pm.HalfNormal.dist(2.0, shape=3))
        u = pm.MvNormal("u", np.zeros(3), chol=factor, shape=(groups, 3))
        pm.Bernoulli("y", logit_p=pm.math.dot(z, b) + (u[group] * z).sum(axis=1), observed=y)
    return model, y, z, group


def _exact_correlated(theta, y, z, group, nodes=15):
    """By nodes on a product grid around the mode of every group."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    log_w = np.log(np.einsum("i,j,k->ijk", w, w, w).ravel()) - 1.5 * np.log(2 * np.pi)
    root, total = np.zeros((3, 3)), 0.0
    root[np.tril_indices(3)] = theta[3:]
    root[np.diag_indices(3)] = np.exp(np.diag(root))
    for g in range(group.max() + 1):
        own, rows, at = y[group == g], z[group == g], np.zeros(3)
        scaled = rows @ root
        for _ in range(30):
            p = special.expit(rows @ theta[:3] + scaled @ at)
            information = scaled.T @ (scaled * (p * (1 - p))[:, None]) + np.eye(3)
            at = at + np.linalg.solve(information, scaled.T @ (own - p) - at)
        spread = np.linalg.inv(np.linalg.cholesky(information)).T
        effects = at + grid @ spread.T
        logit = rows @ theta[:3] + effects @ scaled.T
        heights = special.log_expit(logit * (2 * own - 1)).sum(axis=1) + (grid**2 - effects**2).sum(axis=1) / 2
        total += special.logsumexp(heights + log_w) + np.log(np.linalg.det(spread))
    return total


@pytest.mark.deep
def test_three_correlated_effects_of_yes_or_no_have_their_height_and_their_maximum_inside():
    model, *data = _correlated(30, 20, 1)
    study = wb.Study(model, seed=1)
    found = study.likelihood.maximum()
    assert not found.at_edge
    x = found.z[study.problem.chart.coordinates]
    assert found.log_likelihood == pytest.approx(_exact_correlated(x, *data), abs=1e-4)
    rise = [_exact_correlated(x + e, *data) - _exact_correlated(x - e, *data) for e in 0.01 * np.eye(9)]
    assert np.max(np.abs(rise)) / 0.02 < 2e-3  # nats for a change by one of a logarithm or a coefficient


def test_a_middle_variance_of_nothing_is_zero_where_its_effects_are_centred_on_others():
    # As b goes to 0 the differences of rooms and schools lose their digits before the likelihood has quite settled.
    rng = np.random.default_rng(3)
    school_of_class = np.repeat(np.arange(6), [1, 2, 3, 2, 1, 3])
    of_class = np.repeat(np.arange(12), rng.integers(1, 4, size=12))
    school, room = 0.5 * rng.normal(size=6), 0.6 * rng.normal(size=12)
    n = of_class.size
    y = rng.poisson(np.exp(0.6 + school[school_of_class][of_class] + room[of_class] + 0.5 * rng.normal(size=n)))

    def model(rooms):
        with pm.Model() as built:
            level, a, c = pm.Normal("level", 0.0, 2.0), pm.HalfNormal("a", 1.0), pm.HalfNormal("c", 1.0)
            place = pm.Normal("school", 0.0, a, shape=6)[school_of_class]
            if rooms:
                place = pm.Normal("room", place, pm.HalfNormal("b", 1.0), shape=12)
            own = c * pm.Normal("own", 0.0, 1.0, shape=n)
            pm.Poisson("y", pm.math.exp(level + place[of_class] + own), observed=y)
        return wb.Study(built, seed=1).likelihood.maximum()

    found, without = model(True), model(False)
    assert found.at_edge == ("b",)
    assert found.log_likelihood == pytest.approx(without.log_likelihood, abs=1e-4)
    for name in ("level", "a", "c"):
        assert float(found.theta[name]) == pytest.approx(float(without.theta[name]), abs=1e-3)
        assert float(found.std_error[name]) == pytest.approx(float(without.std_error[name]), rel=1e-2)
