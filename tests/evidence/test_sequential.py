"""The evidence one observation after the other: exact one-step predictions, the whole sum, honest errors, sabotage."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.special import betaln, digamma, logsumexp

import workbench as wb
from tests import models_zoo, studies
from tests.tolerance import STANDARD_ERRORS
from workbench.evidence import sequential as sequential_module
from workbench.evidence.estimate import Evidence
from workbench.evidence.sequential import prior_groups, score_in_order
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity

TOSSES = np.random.default_rng(4).random(30) < 0.8
Y = np.random.default_rng(6).normal(3.0, 1.0, size=24)
_MADE = {}


def _tosses():
    with pm.Model() as model:
        p = pm.Beta("p", 2, 3)
        pm.Bernoulli("y", p, observed=TOSSES.astype(int))
    return model


def _mean():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0)
        pm.Normal("y", mu, 1.0, observed=Y)
    return model


def _study(build):
    if build not in _MADE:
        _MADE[build] = wb.Study(build(), seed=1)
    return _MADE[build]


def _exact_tosses():
    """One-step predictions, and the information gained after each, under Beta(2, 3)."""
    a, b = 2.0 + np.cumsum(TOSSES), 3.0 + np.cumsum(~TOSSES)
    before_a, before_b = a - TOSSES, b - ~TOSSES
    score = np.log(np.where(TOSSES, before_a, before_b) / (before_a + before_b))
    learnt = (
        betaln(2.0, 3.0) - betaln(a, b) + (a - 2) * digamma(a) + (b - 3) * digamma(b) - (a + b - 5) * digamma(a + b)
    )
    return score, learnt


def _exact_mean():
    score, learnt, mean, variance = [], [], 0.0, 100.0
    for y in Y:
        score.append(stats.norm(mean, np.sqrt(variance + 1.0)).logpdf(y))
        mean, variance = (mean / variance + y) / (1 / variance + 1), 1 / (1 / variance + 1)
        learnt.append(0.5 * (variance / 100.0 + mean**2 / 100.0 - 1 - np.log(variance / 100.0)))
    return np.array(score), np.array(learnt)


CASES = {"tosses": (_tosses, _exact_tosses), "mean": (_mean, _exact_mean)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_prediction_matches_its_closed_form_within_its_error(name):
    build, exact = CASES[name]
    score, learnt = exact()
    found = _study(build).evidence.sequential()
    assert np.array_equal(found.ends, np.arange(1, score.size + 1))
    assert np.all(np.abs(found.score - score) < STANDARD_ERRORS * found.score_error + 1e-12)
    assert np.all(np.abs(found.cumulative - np.cumsum(score)) < STANDARD_ERRORS * found.cumulative_error)
    assert np.all(np.abs(found.information - learnt) < STANDARD_ERRORS * found.information_error)
    assert found.cumulative_error.max() < 0.15
    assert found.score.sum() == pytest.approx(found.cumulative[-1], abs=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coin_bias", "height_as_normal"])
def test_the_sum_is_the_evidence_of_the_other_routes(name):
    study = studies.study(name)
    found = study.evidence.sequential()
    assert len(found.ends) <= 50
    assert found.ends[-1] == study.density.n_observations
    assert next(c for c in found.checks if c.code == "routes-agree").status == "ok"
    assert abs(found.cumulative[-1] - found.log_evidence) < STANDARD_ERRORS * found.cumulative_error[-1]
    # What all the observations have taught is the divergence of the account.
    taught = study.posterior.grid().kl_divergence
    assert abs(found.information[-1] - taught) < STANDARD_ERRORS * found.information_error[-1]


@pytest.mark.deep
@pytest.mark.statistical
@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_stated_errors_are_honest_over_repetitions(name):
    build, exact = CASES[name]
    density, (score, learnt) = LogDensity(build()), exact()
    evidence = Evidence((), float(score.sum()), 0.0, "grid", {}, None, {}, score.size, {})
    reading, rows = examine(density), []
    for seed in range(30):
        found = score_in_order(density, prior_groups(density, reading, 1000 + seed), evidence, 5000 * seed)
        total = (found.cumulative[-1] - score.sum()) / found.cumulative_error[-1]
        gained = (found.information[-1] - learnt[-1]) / found.information_error[-1]
        rows.append((total, gained, (found.score[4] - score[4]) / found.score_error[4]))
    scores = np.array(rows)
    assert np.all(np.abs(scores.mean(axis=0)) < 0.6)
    assert np.all((scores.std(axis=0) > 0.7) & (scores.std(axis=0) < 1.4))


@pytest.mark.slow
def test_an_outlier_is_the_most_surprising_observation():
    y = np.r_[Y[:8], 40.0, Y[8:12]]
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0)
        pm.StudentT("y", 3.0, mu=mu, sigma=1.0, observed=y)
    found = wb.Study(model, seed=1).evidence.sequential()
    assert int(np.argmax(found.surprise)) == 8
    assert any("most surprising: observation 9" in note for note in found.notes())


@pytest.mark.slow
def test_many_observations_are_taken_in_blocks_and_an_order_is_kept():
    study = studies.study("height_as_normal")
    found = study.evidence.sequential()
    sizes = np.diff(found.ends, prepend=0)
    assert sizes.sum() == 481
    assert set(sizes) <= {9, 10}
    assert found.surprise == pytest.approx(-found.score / sizes)


def _penguins():
    """Body masses on flipper length and species, with hardly more observations than coefficients to begin with."""
    generator = np.random.default_rng(1)
    species = generator.choice(3, 300)
    flipper = 10 * generator.standard_normal(300)
    noise = 0.35 * generator.standard_normal(300)
    mass = 4.2 + 0.05 * flipper + np.array([-0.4, -0.2, 0.6])[species] + noise
    return np.column_stack([np.eye(3)[species], flipper])[:24], mass[:24]


def _exact_regression(x, y):
    """Log p(y) with Normal(4, 2) intercepts, a Normal(0, 0.5) slope and a HalfNormal(1) sigma, by quadrature."""
    grid = np.linspace(-8.0, 2.5, 2001)
    mean, wide = x @ [4.0, 4.0, 4.0, 0.0], (x * [4.0, 4.0, 4.0, 0.25]) @ x.T
    heights = [
        stats.multivariate_normal.logpdf(y, mean, wide + np.eye(len(y)) * np.exp(2 * u))
        + stats.halfnorm.logpdf(np.exp(u)) + u
        for u in grid
    ]  # fmt: skip
    return logsumexp(heights) + np.log(grid[1] - grid[0])


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.statistical
def test_a_funnel_on_the_way_is_marked_and_does_not_spoil_the_sum(monkeypatch):
    # Six observations leave most of the mass at sigma near 0.01, where NUTS hardly comes; twelve leave none there.
    monkeypatch.setattr(sequential_module, "MOST_STEPS", 4)
    x, y = _penguins()
    with pm.Model() as model:
        a, b = pm.Normal("a", 4.0, 2.0, shape=3), pm.Normal("b", 0.0, 0.5)
        pm.Normal("y", x[:, :3] @ a + x[:, 3] * b, pm.HalfNormal("sigma", 1.0), observed=y)
    density = LogDensity(model)
    exact = np.array([_exact_regression(x[:n], y[:n]) for n in (6, 12, 18, 24)])
    evidence = Evidence((), float(exact[-1]), 0.0, "grid", {}, None, {}, y.size, {})
    rows = []
    for seed in range(3):
        found = score_in_order(density, prior_groups(density, examine(density), seed), evidence, 77 * seed)
        rows.append((found.cumulative - exact) / found.cumulative_error)
        assert found.cumulative_error.max() < 0.25
        assert {c.code: c.status for c in found.checks}["sequential-draws"] == "caution"
        assert {c.code: c.status for c in found.checks}["routes-agree"] == "ok"
    assert np.all(np.abs(rows) < STANDARD_ERRORS)


def test_an_observation_that_is_counted_twice_is_a_conflict(monkeypatch):
    right = sequential_module._Ladder.by_block

    def twice(self, z):
        found = right(self, z)
        found[..., 3] *= 2.0
        return found

    monkeypatch.setattr(sequential_module._Ladder, "by_block", twice)
    study = _study(_mean)
    found = score_in_order(
        study.density, prior_groups(study.density, study.reading, 1), study.evidence.estimate(), seed=1
    )
    assert next(c for c in found.checks if c.code == "routes-agree").status == "failed"


def test_questions_without_an_order_are_refused():
    with pytest.raises(wb.RefusalError, match="one log likelihood term"):
        wb.Study(models_zoo.coin(), seed=1).evidence.sequential()
    with pm.Model() as walk:
        sigma = pm.HalfNormal("sigma", 1.0)
        pm.GaussianRandomWalk("y", sigma=sigma, init_dist=pm.Normal.dist(), observed=np.cumsum(Y))
        pm.Normal("x", 0.0, sigma, observed=Y)
    with pytest.raises(wb.RefusalError, match="y is one term"):
        wb.Study(walk, seed=1).evidence.sequential()
    with pm.Model() as tilted:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Normal("y", mu, 1.0, observed=Y)
        pm.Potential("extra", -(mu**2))
    with pytest.raises(wb.RefusalError, match="extra"):
        wb.Study(tilted, seed=1, potentials={"extra": "likelihood"}).evidence.sequential()
