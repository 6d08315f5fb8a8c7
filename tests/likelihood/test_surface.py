"""Profile curves and surfaces are the closed forms, relative to the maximum."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from tests.models_zoo import HEIGHTS, _normals
from workbench.errors import InputError, RefusalError
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.problem import pose, scalar_parameters
from workbench.likelihood.surface import _profile, explore_surface
from workbench.model.anatomy import examine
from workbench.model.density import LogDensity
from workbench.numerics.objective import FunctionObjective

# A climb stops within 1e-10 nats of the profile (the EDM); the maximum adds as much.
NATS = 1e-8


@pytest.fixture(scope="module")
def surface(density, anatomy, starts):
    def make(name, names=()):
        d, a = density(name), anatomy(name)
        return explore_surface(pose(d), a, maximise_likelihood(pose(d), a, starts(d)), names)

    return make


def test_coin_curve_is_the_binomial_log_likelihood_relative_to_its_maximum(surface):
    found = surface("coin")
    p = found.points["p"]
    expected = stats.binom.logpmf(61, 100, p) - stats.binom.logpmf(61, 100, 0.61)
    assert found.curves["p"] == pytest.approx(expected, abs=NATS)
    assert found.pair == ()
    assert found.surface.size == 0
    assert np.all(np.diff(p) > 0)
    assert p[0] < 0.45 < 0.75 < p[-1]


def test_height_curves_are_the_closed_form_profiles(surface):
    found, n = surface("height"), len(HEIGHTS)
    sigma, s = found.points["sigma"], HEIGHTS.std()
    expected = -n * np.log(sigma / s) - 0.5 * n * (s**2 / sigma**2 - 1)
    assert found.curves["sigma"] == pytest.approx(expected, abs=NATS)
    mu = found.points["mu"]
    expected = -0.5 * n * np.log1p((mu - HEIGHTS.mean()) ** 2 / s**2)
    assert found.curves["mu"] == pytest.approx(expected, abs=NATS)


def test_height_surface_is_the_log_likelihood_of_the_pair(surface):
    found = surface("height")
    assert found.pair == ("mu", "sigma")
    mu, sigma = (axis for axis in found.axes)
    highest = stats.norm.logpdf(HEIGHTS, HEIGHTS.mean(), HEIGHTS.std()).sum()
    expected = np.array([[stats.norm.logpdf(HEIGHTS, m, s).sum() - highest for s in sigma] for m in mu])
    assert found.surface == pytest.approx(expected, abs=NATS)


def test_names_in_another_order_turn_the_surface_around(surface):
    straight, turned = surface("height"), surface("height", ("sigma", "mu"))
    assert turned.pair == ("sigma", "mu")
    assert turned.surface == pytest.approx(straight.surface.T, abs=NATS)
    assert list(turned.curves) == ["sigma", "mu"]


@pytest.mark.slow
def test_surface_of_two_of_three_coefficients_is_the_profile_over_the_third(surface):
    found = surface("logistic", ("beta[2]", "beta[0]"))
    assert found.surface.max() == pytest.approx(0.0, abs=NATS)
    # The best over beta[0] of the profile over the pair is the curve of beta[2]: compared at the maximum itself.
    middle = len(found.axes[1]) // 2
    assert np.all(
        found.surface[:, middle] <= np.interp(found.axes[0], found.points["beta[2]"], found.curves["beta[2]"]) + NATS
    )


def test_table_brackets_the_maximum_where_the_curve_has_dropped_by_the_chi_square_quantile(surface):
    row = surface("coin").table().loc["p"]
    low, high = row["-1.92 nats below"], row["-1.92 nats above"]
    assert row["maximum"] == pytest.approx(0.61, abs=1e-9)

    def drop(p):
        return stats.binom.logpmf(61, 100, p) - stats.binom.logpmf(61, 100, 0.61)

    half = stats.chi2.ppf(0.95, 1) / 2
    # The ends are where the drop is 1.92 nats: a tenth of a standard error off is 0.2 nats.
    assert drop(low) == pytest.approx(-half, abs=0.01)
    assert drop(high) == pytest.approx(-half, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("labelled", ["beta[control]", "beta[treated]", "beta[late]", "sigma"]),
        ("simplex", []),
        ("ordered", ["eta"]),
        ("cholesky", []),
        ("bounded", ["a", "b", "c"]),
        ("zero_sum", []),
    ],
)
def test_only_parameters_that_are_a_function_of_one_coordinate_have_a_curve(density, name, labels):
    assert list(scalar_parameters(pose(density(name)))) == labels


@pytest.mark.parametrize("names", [("nothing",), ("beta",), ("beta[0]", "beta[1]", "beta[2]")])
def test_unknown_labels_and_more_than_two_are_refused(surface, names):
    with pytest.raises(InputError):
        surface("logistic", names)


def test_a_model_without_a_scalar_parameter_is_refused(surface):
    with pytest.raises(RefusalError, match="scalar"):
        surface("simplex")


def test_a_parameter_at_the_edge_of_its_support_has_no_curve_but_the_others_do(surface):
    # Eight schools: the standard deviation between schools is 0 at the maximum; then mu is a weighted mean.
    found = surface("noncentred")
    assert list(found.curves) == ["mu"]
    weight = np.sum(1.0 / np.array([15.0, 10, 16, 11, 9, 11, 10, 18]) ** 2)
    top = found.points["mu"][np.argmax(found.curves["mu"])]
    assert found.curves["mu"] == pytest.approx(-0.5 * weight * (found.points["mu"] - top) ** 2, abs=1e-6)


def test_a_parameter_with_an_upper_bound_has_the_closed_form_curve():
    with pm.Model() as model:
        top = pm.Truncated("top", pm.Normal.dist(0, 10), upper=5)
        pm.Normal("y", top, 1, observed=_normals(60, 30))
    d = LogDensity(model)
    a = examine(d)
    found = explore_surface(pose(d), a, maximise_likelihood(pose(d), a, d.space.start[None]))
    y = _normals(60, 30)
    expected = -15 * (found.points["top"] - y.mean()) ** 2
    assert found.curves["top"] == pytest.approx(expected, abs=NATS)


def test_a_walk_along_a_bent_profile_is_its_closed_form_from_few_gradients():
    # The best y at x is x^2, at a height of -x^2 / 2.
    asked = []

    def function(z):
        asked.append(z)
        x, y = z
        return float(-0.5 * x**2 - 5.0 * (y - x**2) ** 2), np.array([-x + 20.0 * x * (y - x**2), -10.0 * (y - x**2)])

    along = np.linspace(0.0, 2.0, 41)
    found = _profile(FunctionObjective(2, function), np.zeros(2), np.array([0]), along[:, None])
    assert found == pytest.approx(-0.5 * along**2, abs=1e-9)
    assert len(asked) < 25 * along.size


def test_a_straight_line_that_leaves_the_support_is_no_end_of_the_walk():
    # The best y at x is exp(-x) > 0: the line through two points before, with long steps, runs below 0.
    def function(z):
        x, y = z
        if y <= 0:
            return -np.inf, np.zeros(2)
        gap = np.log(y) + x
        return float(-0.5 * gap**2), np.array([-gap, -gap / y])

    found = _profile(
        FunctionObjective(2, function), np.array([0.0, 1.0]), np.array([0]), np.array([[0.0], [1.0], [3.0]])
    )
    assert found == pytest.approx(np.zeros(3), abs=1e-8)
