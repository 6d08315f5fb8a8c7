"""Proposals are normalised, draw what they say, and fit what they are made for."""

import numpy as np
import pytest
from scipy import integrate, stats

from tests.targets import by_name, student_t, two_peaks
from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.evidence.proposal import FAMILY, Material, StudentT, fitted_mixture, fitted_warp, heavier
from workbench.numerics.gaussian import fitted, from_covariance


def _material(target, m=2000, seed=1):
    points = target.draw(m, np.random.default_rng(seed))
    gradients = np.array([target.objective.value_and_gradient(z)[1] for z in points])
    return Material(points, gradients)


SHAPES = {name: "two peaks in 1 dimension" if name == "mixture" else "student t with 5 degrees" for name in FAMILY}


@pytest.mark.parametrize(("name", "target"), SHAPES.items())
def test_every_member_of_the_family_integrates_to_one(name, target):
    proposal = FAMILY[name](_material(by_name(target)))
    edges = np.linspace(-100.0, 100.0, 41)
    parts = [integrate.quad(lambda x: np.exp(proposal.log_density(np.array([[x]]))[0]), a, b, epsabs=1e-9)[0]
             for a, b in zip(edges[:-1], edges[1:], strict=True)]  # fmt: skip
    assert sum(parts) == pytest.approx(1.0, abs=1e-4)  # what lies beyond 50 scales under 5 degrees of freedom is 1e-6


@pytest.mark.parametrize(("name", "target"), SHAPES.items())
@pytest.mark.statistical
def test_draws_of_every_member_follow_its_density(name, target):
    proposal = FAMILY[name](_material(by_name(target)))
    z = proposal.draw(4000, np.random.default_rng(2))[:, 0]
    grid = np.linspace(z.min() - 1, z.max() + 1, 40_001)
    below = integrate.cumulative_trapezoid(np.exp(proposal.log_density(grid[:, None])), grid, initial=0.0)
    assert stats.kstest(z, lambda x: np.interp(x, grid, below)).pvalue > 1e-4


def test_student_t_is_that_of_scipy():
    covariance, mean = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])
    points = np.random.default_rng(3).normal(size=(10, 2))
    theirs = stats.multivariate_t(mean, covariance, df=4).logpdf(points)
    assert StudentT(from_covariance(mean, covariance), 4.0).log_density(points) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.statistical
def test_the_tail_index_is_found():
    target = student_t("t", 5.0, np.zeros(3), np.eye(3))
    points = target.draw(20_000, np.random.default_rng(4))
    assert heavier(fitted(points), points).freedom == pytest.approx(5.0, rel=0.1)


def test_a_normal_has_no_heavy_tail_nothing_to_warp_and_one_cluster():
    points = np.random.default_rng(5).normal(size=(2000, 4))
    with pytest.raises(NumericalError, match="no heavier"):
        heavier(fitted(points), points)
    with pytest.raises(NumericalError, match="as normal"):
        fitted_warp(points)
    with pytest.raises(NumericalError, match="one cluster"):
        fitted_mixture(points)


def test_a_warp_is_undone_by_its_inverse_and_only_touches_what_gains():
    generator = np.random.default_rng(6)
    points = np.column_stack([np.log(generator.gamma(0.5, size=2000)), generator.normal(size=2000)])
    warp = fitted_warp(points)
    assert warp.backward(warp.forward(points)) == pytest.approx(points, abs=1e-9)
    assert (warp.skew[1], warp.tail[1]) == (0.0, 1.0)
    assert abs(stats.skew(warp.forward(points)[:, 0])) < 0.3 < abs(stats.skew(points[:, 0]))


def test_slopes_and_gradients_of_a_warp_are_those_of_differences():
    target = by_name("two log gammas")
    material = _material(target)
    warp, h = material.warp, 1e-6
    z = material.points[:5]
    slope = (warp.forward(z + h) - warp.forward(z - h)) / (2 * h)
    assert warp.log_slope(z) == pytest.approx(np.log(slope), abs=1e-6)

    def of_u(u):  # log density of u
        point = warp.backward(u[None])
        return target.objective.value(point[0]) - warp.log_slope(point).sum()

    u = warp.forward(z)
    for row, gradient in zip(u, warp.gradients(z, material.gradients[:5]), strict=True):
        numeric = [(of_u(row + h * e) - of_u(row - h * e)) / (2 * h) for e in np.eye(2)]
        assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("d", [2, 10])
def test_clusters_of_unlike_size_are_found_in_two_and_in_ten_dimensions(d):
    centres, weights = np.array([np.zeros(d), np.full(d, 6.0 / np.sqrt(d))]), np.array([0.8, 0.2])
    points = two_peaks("two", centres, weights).draw(2000, np.random.default_rng(7))
    mixture = fitted_mixture(points)
    assert sorted(np.exp(mixture.log_weights)) == pytest.approx([0.2, 0.8], abs=STANDARD_ERRORS * 0.01)


def test_where_the_gradients_are_unknown_the_fits_to_them_do_not_apply():
    points = np.random.default_rng(8).normal(size=(100, 2))
    material = Material(points, np.full((100, 2), np.nan))
    assert FAMILY["normal"](material).dimension == 2
    with pytest.raises(NumericalError, match="gradient"):
        FAMILY["normal by gradients"](material)
