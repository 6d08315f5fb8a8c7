"""Free covariances that lose their rank: without bound where data have no spread in some direction, else at an edge."""

import re

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.errors import NoMaximumError

pytestmark = pytest.mark.slow  # every model is compiled


def rows(y, centred=False):
    size = y.shape[1]
    with pm.Model() as model:
        factor, _, _ = pm.LKJCholeskyCov("factor", n=size, eta=1.0, sd_dist=pm.HalfNormal.dist(3.0, shape=size))
        mu = np.zeros(size) if centred else pm.Normal("mu", 0.0, 3.0, shape=size)
        pm.MvNormal("y", mu, chol=factor, observed=y)
    return model


def refused(model):
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    return refusal.value


def combination(text, size):
    """The weights of the other elements in ``element 2 = 0.5 element 0 - 2 element 1 + constant``."""
    weights = np.zeros(size)
    for sign, weight, element in re.findall(r"([-+=]) ([.e0-9+]+|[.0-9]+e-[0-9]+) element ([0-9])", text):
        weights[int(element)] = (-1 if sign == "-" else 1) * float(weight)
    return weights


@pytest.mark.deep
@pytest.mark.parametrize(("count", "size", "centred"), [(3, 3, False), (2, 2, False), (2, 3, True)])
def test_with_no_more_rows_than_columns_the_likelihood_of_a_free_covariance_has_no_bound(count, size, centred):
    y = np.random.default_rng(16).normal(size=(count, size))
    error = refused(rows(y, centred))
    last = size * (size + 1) // 2 - 1
    assert error.kind == "unbounded"
    assert error.where == f"factor[{last}]"
    assert f"rises without bound as factor[{last}] -> 0, where the covariance of factor has no inverse" in error.what
    # The combination that is named is the exact one: the last column is this combination of the others in every row.
    columns = y[:, :-1] if centred else y[:, :-1] - y[:, :-1].mean(axis=0)
    goal = y[:, -1] if centred else y[:, -1] - y[:, -1].mean()
    assert columns @ combination(error.what, size)[:-1] == pytest.approx(goal, abs=2e-3)


@pytest.mark.deep
def test_a_column_that_is_twice_another_is_named():
    y = np.random.default_rng(3).normal(size=(20, 3))
    y[:, 2] = 2 * y[:, 1] + 1
    error = refused(rows(y))
    assert error.kind == "unbounded"
    assert "element 2 = 2 element 1 + constant" in error.what


def test_one_row_more_has_a_maximum():
    y = np.random.default_rng(16).normal(size=(5, 3))
    mode = wb.Study(rows(y), seed=1).likelihood.maximum()
    sign, log_determinant = np.linalg.slogdet(np.cov(y.T, bias=True))
    assert sign == 1
    assert mode.log_likelihood == pytest.approx(-2.5 * (3 * np.log(2 * np.pi) + log_determinant + 3), abs=1e-9)


def test_effects_that_leave_a_direction_out_are_at_the_edge_and_the_height_is_that_of_pooled_roots():
    rng = np.random.default_rng(12)
    count, repeats = 10, 3
    effects = rng.normal(size=(count, 2)) @ np.array([[2.0, 1.0, 0.5], [0.0, 1.5, -1.0]])
    y = effects[:, None, :] + rng.normal(size=(count, repeats, 3))
    with pm.Model() as model:
        factor, _, _ = pm.LKJCholeskyCov("factor", n=3, eta=1.0, sd_dist=pm.HalfNormal.dist(3.0, shape=3))
        mu, sigma = pm.Normal("mu", 0.0, 5.0, shape=3), pm.HalfNormal("sigma", 2.0)
        z = pm.Normal("z", 0.0, 1.0, shape=(count, 3))
        pm.Normal("y", (mu + z @ factor.T)[:, None, :], sigma, observed=y)
    # With sigma^2 / 3 below every root of the covariance of the means each is its own maximum; the smallest is not, and
    # is pooled with the variance within (Anderson, Anderson and Olkin 1986).
    means = y.mean(axis=1)
    roots = np.linalg.eigvalsh(np.cov(means.T, bias=True))
    degrees = count * 3 * (repeats - 1)
    within = np.sum((y - means[:, None, :]) ** 2)
    assert roots[0] < within / degrees / repeats
    sigma2 = (within + count * repeats * roots[0]) / (degrees + count)
    assert roots[1] > sigma2 / repeats
    exponent = np.array([sigma2 / repeats, roots[1], roots[2]])
    height = -count / 2 * np.sum(np.log(2 * np.pi * exponent) + roots / exponent)
    height -= degrees / 2 * np.log(2 * np.pi * sigma2) + within / sigma2 / 2 + count * 3 / 2 * np.log(repeats)
    error = refused(model)
    assert error.kind == "edge"
    assert error.where == "factor"
    assert f"the highest point, {height:.6g} nats" in error.what.replace("its", "the")
    assert "the covariance of factor has no inverse: element 2 = " in error.what
    # The direction that is left out is the eigenvector of the smallest root.
    left_out = np.linalg.eigh(np.cov(means.T, bias=True))[1][:, 0]
    assert combination(error.what, 3)[:2] == pytest.approx(-left_out[:2] / left_out[2], rel=2e-3)
