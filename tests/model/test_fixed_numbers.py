"""Numbers that a distribution does not allow are refused by the name of their variable, without a warning."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from tests.models_zoo import NAMES
from workbench.model.fixed_numbers import as_held, has_fixed_numbers, refuse_impossible

Y = np.array([1.0, 2.0, 3.0])


def _location(build):
    return lambda: pm.Normal("y", build(), 1.0, observed=Y)


def _scale(build):
    return lambda: pm.Normal("y", 0.0, build(), observed=Y)


def _cholesky():
    chol, *_ = pm.LKJCholeskyCov("c", n=2, eta=-1.0, sd_dist=pm.HalfNormal.dist(1.0))
    pm.MvNormal("y", np.zeros(2), chol=chol, observed=np.zeros((3, 2)))


IMPOSSIBLE = {
    "a standard deviation of 0": (_location(lambda: pm.Normal("a", 0, 0)), "needs sigma > 0, and is Normal(0, 0)"),
    "a negative one": (_location(lambda: pm.Normal("a", 0.0, -1.0)), "Normal(0, -1)"),
    "one of three": (_location(lambda: pm.Normal("a", 0.0, np.array([1.0, 0.0, 2.0]))), "[1. 0. 2.]"),
    "one of data": (_location(lambda: pm.Normal("a", 0.0, pm.Data("s", 0.0))), "Normal(0, 0)"),
    "one below another variable": (_location(lambda: pm.Normal("a", pm.Normal("b"), -1.0)), "Normal(..., -1)"),
    "an infinite one": (_location(lambda: pm.Normal("a", 0.0, np.inf)), "finite nowhere: it is Normal(0, inf)"),
    "a mean that is no number": (_location(lambda: pm.Normal("a", np.nan, 1.0)), "Normal(nan, 1)"),
    "a precision of 0": (_location(lambda: pm.Normal("a", 0.0, tau=0.0)), "sigma > 0"),
    "half a normal of 0": (_scale(lambda: pm.HalfNormal("a", 0.0)), "HalfNormal(0, 0)"),
    "a negative shape": (_scale(lambda: pm.Gamma("a", -1.0, 2.0)), "alpha > 0, beta > 0"),
    "a rate of 0": (_scale(lambda: pm.Gamma("a", 1.0, 0.0)), "Gamma(1, inf)"),
    "a rate of 0 alone": (_scale(lambda: pm.Exponential("a", 0.0)), "Exponential(inf)"),
    "bounds in reverse": (_location(lambda: pm.Uniform("a", 1.0, 0.0)), "lower <= upper"),
    "bounds that are equal": (_location(lambda: pm.Uniform("a", 1.0, 1.0)), "Uniform(1, 1)"),
    "a truncated normal in reverse": (
        _location(lambda: pm.TruncatedNormal("a", 0.0, 1.0, lower=3.0, upper=1.0)), "lower_bound <= upper_bound",
    ),
    "a covariance that is none": (
        lambda: pm.MvNormal("y", pm.MvNormal("a", np.zeros(2), cov=np.array([[1.0, 2.0], [2.0, 1.0]])), cov=np.eye(2),
                            observed=np.zeros((3, 2))), "posdef covariance",
    ),
    "weights that do not add up": (
        _location(lambda: pm.NormalMixture("a", w=[0.5, 0.9], mu=[0.0, 1.0], sigma=[1.0, 1.0])), "sum(weights) == 1",
    ),
    "a negative mean count": (_location(lambda: pm.Poisson("a", -1.0)), "Poisson(-1)"),
}  # fmt: skip


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_numbers_are_refused_by_the_name_of_their_variable(name):
    build, found = IMPOSSIBLE[name]
    with pm.Model() as model:
        build()
    with pytest.raises(wb.RefusalError) as refusal:
        wb.Study(model, seed=1)
    assert refusal.value.where == "a"
    assert found in refusal.value.what
    assert "numbers" in refusal.value.fix


def test_impossible_numbers_of_the_likelihood_are_refused_by_its_name():
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu"), 0.0, observed=Y)
    with pytest.raises(wb.RefusalError, match=r"needs sigma > 0, and is Normal\(\.\.\., \[0.\]\)") as refusal:
        wb.Study(model, seed=1)
    assert refusal.value.where == "y"


def test_numbers_that_only_the_starting_point_trips_over_are_refused_too():
    with pm.Model() as model:
        _cholesky()
    with pytest.raises(wb.RefusalError, match="no starting point"):
        wb.Study(model, seed=1)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_good_models_are_not_refused(density, name):
    found = density(name)
    refuse_impossible(found.model, found.symbolic)


def test_numbers_are_shown_as_far_as_they_are_fixed():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 2.5)
        pm.Gamma("rate", 2.0, 4.0)
        pm.Normal("long", mu, np.arange(1.0, 9.0))
    assert as_held(model["mu"]) == "Normal(0, 2.5)"
    assert as_held(model["rate"]) == "Gamma(2, 0.25)"
    assert as_held(model["long"]) == "Normal(..., [1. 2. ... 7. 8.])"
    assert has_fixed_numbers(model["mu"])
    assert not has_fixed_numbers(model["long"])
