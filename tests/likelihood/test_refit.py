"""Refits without each observation: closed forms, and a maximum at infinity is minus infinity and not a large number."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from tests import studies
from workbench.likelihood.refit import scores_left_out


def _scores(study):
    return scores_left_out(study.problem, study.likelihood.maximum())


def test_refits_of_a_normal_are_the_mean_and_sd_of_the_others():
    y = studies.heights()
    found = _scores(studies.study("height_as_normal"))["height"]
    by_hand = [stats.norm.logpdf(y[i], np.delete(y, i).mean(), np.delete(y, i).std()) for i in range(0, 481, 40)]
    np.testing.assert_allclose(found[::40], by_hand, rtol=0, atol=1e-8)


def test_refits_of_the_coin_are_the_share_of_the_others():
    study = studies.study("coin_bias")
    found = _scores(study)["same_side"]
    k = study.density.symbolic.observed["same_side"]
    n = np.loadtxt(studies.MODELS / "data" / "coin_tosses.csv", delimiter=",", skiprows=1, usecols=2)
    by_hand = stats.binom.logpmf(k, n, (k.sum() - k) / (n.sum() - n))
    np.testing.assert_allclose(found, by_hand, rtol=0, atol=1e-7)


def _labels(values, kinds):
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(kinds))
        pm.Categorical("seen", p, observed=np.asarray(values))
    return wb.Study(model, seed=1)


@pytest.mark.slow
def test_a_label_that_occurs_once_is_impossible_without_it():
    found = _scores(_labels([0, 0, 0, 0, 1, 1, 1, 2], 3))["seen"]
    np.testing.assert_allclose(found[:-1], np.log([3 / 7] * 4 + [2 / 7] * 3), rtol=0, atol=1e-6)
    assert found[-1] == -np.inf


@pytest.mark.slow
def test_one_success_is_impossible_without_it():
    with pm.Model() as model:
        p = pm.Beta("p", 1.0, 1.0)
        pm.Bernoulli("y", p, observed=np.array([1, 0, 0, 0, 0]))
    found = _scores(wb.Study(model, seed=1))["y"]
    assert found[0] == -np.inf
    np.testing.assert_allclose(found[1:], np.log(3 / 4), rtol=0, atol=1e-8)


@pytest.mark.slow
def test_where_the_others_have_no_maximum_there_is_no_score():
    # A straight line goes through any two of the three points, and sigma falls to 0: the density is unbounded.
    x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0])
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 10.0), pm.Normal("b", 0.0, 10.0)
        pm.Normal("y", a + b * x, pm.HalfNormal("sigma", 5.0), observed=y)
    found = _scores(wb.Study(model, seed=1))["y"]
    assert np.isnan(found).all()


def test_a_coefficient_that_only_one_observation_informs_leaves_it_without_a_score():
    group, y = np.array([0, 0, 1]), np.array([1.0, 2.0, 5.0])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0, shape=2)
        pm.Normal("y", mu[group], 1.0, observed=y)
    found = _scores(wb.Study(model, seed=1))["y"]
    np.testing.assert_allclose(found[:2], stats.norm.logpdf(1.0), rtol=0, atol=1e-9)
    assert np.isnan(found[2])


def test_several_observed_variables_are_left_out_each():
    a, b = np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0])
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0)
        pm.Normal("a", mu, 1.0, observed=a)
        pm.Normal("b", mu, 1.0, observed=b)
    found = _scores(wb.Study(model, seed=1))
    for name, own, other in (("a", a, b), ("b", b, a)):
        means = [np.concatenate([np.delete(own, i), other]).mean() for i in range(own.size)]
        np.testing.assert_allclose(found[name], stats.norm.logpdf(own, means, 1.0), rtol=0, atol=1e-9)


def test_latent_variables_and_maxima_at_an_edge_are_refused():
    study = studies.eight_schools()
    with pytest.raises(wb.RefusalError, match="integrated out"):
        _scores(study)
    with pm.Model() as model:
        p = pm.Beta("p", 1.0, 1.0)
        pm.Bernoulli("y", p, observed=np.zeros(6, dtype=int))
    with pytest.raises(wb.RefusalError, match="edge of p"):
        _scores(wb.Study(model, seed=1))


def test_too_many_observations_are_refused_with_the_number(monkeypatch):
    monkeypatch.setattr("workbench.likelihood.refit.MOST_REFITS", 480)
    with pytest.raises(wb.RefusalError, match="481 refits"):
        _scores(studies.study("height_as_normal"))


def test_too_many_parameters_for_refits_are_refused_with_the_number(monkeypatch):
    monkeypatch.setattr("workbench.likelihood.refit.MOST_GRADIENTS", 2 * 481 * 2 - 1)
    with pytest.raises(wb.RefusalError, match="481 refits of 2 parameters"):
        _scores(studies.study("height_as_normal"))
