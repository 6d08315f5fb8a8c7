"""A target that is the log of a sum is taken apart, so that a peak to which nothing leads is found all the same."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

import workbench as wb
from workbench.model.branches import branch_peaks, taken_apart
from workbench.model.compiled import interpreted
from workbench.model.density import LogDensity

NEEDLE, WIDTH, SHARE = 5.0, 1e-3, 0.9


def value(graphs, x, at):
    return sorted(np.ravel(interpreted([x], graphs)(np.asarray(at))).tolist())


def test_a_sum_is_taken_apart_however_it_is_written():
    x = pt.dvector("x")
    a, b, c = (-((x - k) ** 2).sum() for k in (0.0, 3.0, 7.0))
    written = [
        pt.logaddexp(pt.logaddexp(a, b), c),
        pt.logsumexp(pt.stack([a, b, c])),
        pt.log(pt.exp(a) + pt.exp(b) + pt.exp(c)),
        pt.log(pt.sum(pt.exp(pt.stack([a, b, c])))),
    ]
    for graph in written:
        assert value(taken_apart(graph, [x]), x, [1.0]) == pytest.approx([-36.0, -4.0, -1.0])
    weighted = taken_apart(pt.log(0.2 * pt.exp(a) + 0.8 * pt.exp(b)), [x])
    assert value(weighted, x, [1.0]) == pytest.approx([np.log(0.8) - 4.0, np.log(0.2) - 1.0])


def test_a_density_of_products_and_quotients_is_taken_apart_without_an_exponential_that_underflows():
    x = pt.TensorType("float64", shape=(2,))("x")
    wide, narrow = pt.prod(pt.exp(-(x**2) / 2)), pt.prod(pt.exp(-(((x - 5.0) / 0.01) ** 2) / 2) / 0.01)
    found = value(taken_apart(pt.log(0.5 * wide + narrow / 2.0), [x]), x, [1.0, 1.0])
    apart = [2 * np.log(100.0) - 400.0**2 - np.log(2.0), np.log(0.5) - 1.0]
    assert found == pytest.approx(apart)


def test_a_choice_is_taken_apart_like_a_sum():
    x = pt.TensorType("float64", shape=(2,))("x")
    a, b = -((x - 1.0) ** 2).sum(), 4.0 - ((x - 5.0) ** 2).sum()
    for graph in (pt.maximum(a, b), pt.switch(b > a, b, a), pt.switch(pt.all(x > 4.0), b, a), pt.max(pt.stack([a, b]))):
        assert value(taken_apart(graph, [x]), x, [1.0, 1.0]) == pytest.approx([-28.0, 0.0])
    for graph in (a + pt.log1p(pt.exp(b)), a + pt.softplus(b), a + pt.log(1.0 + pt.exp(b))):
        assert value(taken_apart(graph, [x]), x, [1.0, 1.0]) == pytest.approx([-28.0, 0.0])
    assert taken_apart(pt.switch(pt.all(x > 0.0), a, -np.inf), [x]) == []  # a support


def test_two_sums_make_every_choice_of_both_and_too_many_are_left_whole():
    x = pt.dvector("x")
    one = pt.logaddexp(x.sum(), 2.0 * x.sum())
    other = pt.logaddexp(10.0 * x.sum(), 20.0 * x.sum())
    assert value(taken_apart(one + other, [x]), x, [1.0]) == pytest.approx([11.0, 12.0, 21.0, 22.0])
    many = pt.TensorType("float64", shape=(17,))("many")
    assert taken_apart(pt.logsumexp(many), [many]) == []


def test_what_is_no_sum_of_two_moving_densities_is_left_alone():
    x, y = pt.TensorType("float64", shape=(3,))("x"), pt.dscalar("y")
    for graph in (pt.log1p(y**2), pt.logaddexp(x, 2.0 * x).sum(), pt.log(1.0 + y**2), pt.logaddexp(1.0, 2.0) + y):
        assert taken_apart(graph, [x, y]) == []
    for graph in (-pt.logaddexp(0.0, y), y - pt.logsumexp(x), pt.exp(pt.logaddexp(0.0, y)), 3.0 * pt.logsumexp(x)):
        assert taken_apart(graph, [x, y]) == []  # a normaliser, a curve: no choice between densities
    assert len(taken_apart(y + pt.logaddexp(0.0, y), [x, y])) == 2


def needle(d):
    with pm.Model() as model:
        x = pm.Normal("x", 0.0, 10.0, shape=d)
        wide = pm.logp(pm.Normal.dist(0.0, 1.0), x).sum() + np.log(1.0 - SHARE)
        narrow = pm.logp(pm.Normal.dist(NEEDLE, WIDTH), x).sum() + np.log(SHARE)
        pm.Potential("data", pm.math.logaddexp(wide, narrow))
    return model


def test_the_peaks_are_those_of_the_summands_under_the_prior():
    density = LogDensity(needle(2), {"data": "likelihood"})
    found = branch_peaks(density, density.space.start[None])
    centre = NEEDLE / WIDTH**2 / (1.0 / WIDTH**2 + 0.01)
    np.testing.assert_allclose(found, [[centre, centre], [0.0, 0.0]], atol=1e-9)


def test_a_prior_that_is_a_mixture_has_the_peaks_of_its_components():
    with pm.Model() as model:
        pm.NormalMixture("x", [0.3, 0.7], [0.0, 8.0], [1.0, 0.01])
        means, variances = [np.zeros(2), np.full(2, 9.0)], [np.eye(2), 1e-4 * np.eye(2)]
        pm.Mixture("v", [0.5, 0.5], [pm.MvNormal.dist(m, c) for m, c in zip(means, variances, strict=True)])
    density = LogDensity(model)
    found = branch_peaks(density, density.space.start[None])
    expected = [[x, v, v] for x in (0.0, 8.0) for v in (0.0, 9.0)]
    np.testing.assert_allclose(sorted(found.round(6).tolist()), expected, atol=1e-6)


def test_a_model_without_such_a_sum_has_no_branches():
    with pm.Model() as model:
        pm.NormalMixture("y", [0.4, 0.6], pm.Normal("mu", 0, 5, shape=2), 1.0, observed=np.array([-1.0, 0.5, 4.0]))
    density = LogDensity(model)
    assert branch_peaks(density, density.space.start[None]).shape == (0, 2)
    with pm.Model() as simplex:
        pm.Multinomial("y", 9, pm.Dirichlet("p", np.ones(3)), observed=np.array([2, 3, 4]))
    density = LogDensity(simplex)
    assert branch_peaks(density, density.space.start[None]).shape == (0, 2)
    with pm.Model() as fixed:
        pm.Normal("y", 0.0, 1.0, observed=np.array([1.0, 2.0]))
    density = LogDensity(fixed)
    assert branch_peaks(density, density.space.start[None]).shape == (0, 0)


@pytest.mark.parametrize("written", ["maximum", "switch", "softplus", "product"])
def test_a_needle_is_found_however_it_is_written(written):
    with pm.Model() as model:
        x = pm.Normal("x", 0.0, 10.0, shape=3)
        wide = pm.logp(pm.Normal.dist(0.0, 1.0), x).sum() + np.log(1.0 - SHARE)
        narrow = pm.logp(pm.Normal.dist(NEEDLE, WIDTH), x).sum() + np.log(SHARE)
        near = pt.prod(pt.exp(-(((x - NEEDLE) / WIDTH) ** 2) / 2)) * SHARE / (WIDTH * np.sqrt(2 * np.pi)) ** 3
        graph = {
            "maximum": pt.maximum(wide, narrow),
            "switch": pm.math.switch(pt.abs(x - NEEDLE).max() < 8 * WIDTH, narrow, wide),
            "softplus": wide + pt.softplus(narrow - wide),
            "product": pt.log(pt.exp(wide) + near),
        }[written]
        pm.Potential("data", graph)
    density = LogDensity(model, {"data": "likelihood"})
    found = branch_peaks(density, density.space.start[None])
    assert np.any(np.all(np.abs(found - NEEDLE) < 0.01 * WIDTH, axis=1))


def test_a_needle_is_the_maximum_and_its_mass_is_in_the_evidence_though_no_draw_came_near():
    study = wb.Study(needle(3), seed=1, potentials={"data": "likelihood"})
    mle = study.likelihood.maximum()
    np.testing.assert_allclose(mle.theta["x"].values, NEEDLE, rtol=1e-9)
    height = np.log(SHARE) + 3 * stats.norm.logpdf(0.0, 0.0, WIDTH)
    assert mle.log_likelihood == pytest.approx(height, abs=1e-6)
    evidence = study.evidence.estimate()
    each = [3 * stats.norm.logpdf(m, 0.0, np.hypot(10.0, s)) for m, s in ((0.0, 1.0), (NEEDLE, WIDTH))]
    truth = np.logaddexp(np.log(1.0 - SHARE) + each[0], np.log(SHARE) + each[1])
    assert study.evidence.bridge().log_evidence < truth - 1.0  # no chain, no particle and no grid comes near it
    assert study.evidence.tempering().log_evidence < truth - 1.0
    assert evidence.method == "modes"
    assert abs(evidence.log_evidence - truth) < 3 * evidence.std_error < 0.2
    assert {check.code for check in evidence.doubts} == {"basins-visited", "mode-visited"}
    assert study.posterior.mode().map.theta["x"].values == pytest.approx([NEEDLE] * 3, abs=1e-5)
