"""Joint likelihood regions stand where the exact deviance is the quantile."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from workbench.likelihood.contour import Contour, find_contour
from workbench.likelihood.summit import find_summit
from workbench.result import result_from_json

pytestmark = pytest.mark.slow  # every model is compiled

Y = np.random.default_rng(5).normal(3.0, 2.0, size=20)
CUT = stats.chi2.ppf(0.95, 2)


@pytest.fixture(scope="module")
def study():
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0, 10), pm.HalfNormal("sigma", 5)
        pm.Deterministic("cv", sigma / mu)
        pm.Deterministic("double", 2 * mu)
        pm.Normal("y", mu, sigma, observed=Y)
    return wb.Study(model, seed=1)


def _deviance(mu, sigma):
    return 2 * (stats.norm.logpdf(Y, Y.mean(), Y.std()).sum() - stats.norm.logpdf(Y, mu, sigma).sum())


def test_every_point_of_the_rim_has_the_deviance_of_the_quantile(study):
    found = study.likelihood.contour("mu", "sigma")
    assert len(found.rim) == 49
    for mu, sigma in found.rim:
        assert _deviance(mu, sigma) == pytest.approx(CUT, abs=1e-8)
    np.testing.assert_allclose(found.deviance, CUT, atol=1e-8)
    np.testing.assert_array_equal(found.rim[0], found.rim[-1])


def test_a_region_of_a_deterministic_is_solved_for_as_exactly(study):
    for mu, cv in study.likelihood.contour("mu", "cv").rim:
        assert _deviance(mu, cv * mu) == pytest.approx(CUT, abs=1e-7)


def test_the_region_of_a_normal_likelihood_is_an_ellipse():
    x = np.linspace(-1, 2, 20)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
        pm.Normal("y", a + b * x, 2.0, observed=Y)
    found = wb.Study(model, seed=1).likelihood.contour("a", {"b": 2.0}, level=0.5)
    design = np.column_stack([np.ones(20), x / 2])
    off = found.rim - np.linalg.lstsq(design, Y)[0]
    np.testing.assert_allclose(np.einsum("mi,ij,mj->m", off, design.T @ design / 4, off), -2 * np.log(0.5), rtol=1e-8)


def test_a_region_without_end_is_said_to_be_open():
    # The rate of a decay that is not seen, and its height: any height goes with a rate that is large enough.
    with pm.Model() as model:
        a, b = pm.Normal("a", 0, 10), pm.Normal("b", 0, 10)
        pm.Normal("y", pm.math.tanh(a) + b, 1.0, observed=np.array([0.1, -0.2, 0.3]))
        pm.Normal("w", pm.math.tanh(a), 1.0, observed=np.array([0.2]))
    found = wb.Study(model, seed=1).likelihood.contour("a", "b")
    assert np.any(np.isnan(found.rim))
    assert "open" in repr(found)


def test_a_maximum_at_the_edge_has_no_contour():
    with pm.Model() as model:
        p, q = pm.Uniform("p", 0, 1), pm.Uniform("q", 0, 1)
        pm.Binomial("k", 10, p, observed=10)
        pm.Binomial("m", 10, q, observed=4)
    with pytest.raises(wb.RefusalError, match="inside the support.*: p = 1 there"):
        wb.Study(model, seed=1).likelihood.contour("p", "q")


def test_on_a_face_the_category_is_named_and_with_it_left_out_there_is_a_contour():
    counts = np.array([4, 3, 3, 0])
    studies = []
    for seen in (counts, counts[:3]):
        with pm.Model() as model:
            pm.Multinomial("y", n=10, p=pm.Dirichlet("p", np.ones(seen.size)), observed=seen)
        studies.append(wb.Study(model, seed=1))
    with pytest.raises(wb.RefusalError, match=r"p\[3\] = 0 there"):
        studies[0].likelihood.contour("p[0]", "p[1]")
    for p, q in studies[1].likelihood.contour("p[0]", "p[1]").rim:
        height = counts[:3] @ np.log([p / 0.4, q / 0.3, (1 - p - q) / 0.3])
        assert -2 * height == pytest.approx(CUT, abs=1e-7)


def test_separated_outcomes_have_no_maximum_to_draw_around():
    with pm.Model() as model:
        logit = pm.Normal("a", 0, 10) + pm.Normal("b", 0, 10) * np.arange(6.0)
        pm.Bernoulli("y", logit_p=logit, observed=[0, 0, 0, 1, 1, 1])
    with pytest.raises(wb.RefusalError, match="no maximum to draw a contour around"):
        wb.Study(model, seed=1).likelihood.contour("a", "b")


@pytest.mark.parametrize("names", [("mu", "nothing"), ("mu", "mu"), ("mu", "double")])
def test_unknown_and_dependent_pairs_are_errors(study, names):
    with pytest.raises(wb.InputError):
        study.likelihood.contour(*names)


def test_one_name_and_a_level_of_one_are_errors(study):
    summit = find_summit(study.problem, study.likelihood.maximum(), study.starts)
    with pytest.raises(wb.InputError, match="give two"):
        find_contour(study.problem, summit, ["mu"])
    with pytest.raises(wb.InputError, match="level"):
        study.likelihood.contour("mu", "sigma", level=1.0)


def test_a_contour_reads_back_from_json(study):
    found = study.likelihood.contour("mu", "sigma")
    again = result_from_json(found.to_json())
    assert isinstance(again, Contour)
    assert again.to_json() == found.to_json()
    assert list(found.table().index) == ["mu", "sigma"]
