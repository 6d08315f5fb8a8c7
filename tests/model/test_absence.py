"""What stands instead of a maximum has its right name, and the remedy in the message works."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb
from workbench.errors import NoMaximumError

pytestmark = pytest.mark.slow  # every model is compiled

# As NIST's Filip: a polynomial of degree 10 in raw powers, whose information has a condition number of 1e19.
X = np.linspace(-8.8, -3.1, 82)
Y = 0.8 + 0.05 * np.cos(X) + np.random.default_rng(1).normal(0.0, 0.003, size=X.size)


def powers(x, k=11):
    return np.stack([x**j for j in range(k)], axis=1)


def regression(columns, prior_sd=1000.0, known=False):
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, prior_sd, shape=columns.shape[1])
        pm.Normal("y", pm.Deterministic("mean", columns @ b), 0.003 if known else pm.HalfNormal("sigma", 1), observed=Y)
    return wb.Study(model, seed=1)


# Least squares finds the maximum of powers up to x^10 nevertheless (tests of `least_squares`); of x^20 no longer.
@pytest.mark.parametrize("known", [False, True])
def test_powers_that_double_precision_does_not_tell_apart_are_unmeasurable_and_not_at_infinity(known):
    with pytest.raises(NoMaximumError) as refusal:
        regression(powers(X, 21), known=known).likelihood.maximum()
    assert refusal.value.kind == "unmeasurable"
    assert "nearly combinations of each other" in refusal.value.what
    assert "b[" in refusal.value.what
    assert "centre and scale" in refusal.value.fix


@pytest.mark.parametrize("remedy", ["centre and scale", "QR", "none"])
def test_powers_with_and_without_the_remedies_give_the_least_squares_curve(remedy):
    scaled = powers((X - X.mean()) / X.std())
    columns = {"centre and scale": scaled, "QR": np.linalg.qr(powers(X))[0], "none": powers(X)}[remedy]
    mode = regression(columns).likelihood.maximum()
    # Exact by orthogonal columns: the fitted values and their errors sigma sqrt(h_i), h the diagonal of Q Q'.
    q = np.linalg.qr(scaled)[0]
    fitted = q @ (q.T @ Y)
    sigma = np.sqrt(np.mean((Y - fitted) ** 2))
    assert mode.theta["mean"].values == pytest.approx(fitted, rel=1e-9)
    assert float(mode.theta["sigma"]) == pytest.approx(sigma, rel=1e-8)
    assert mode.std_error["mean"].values == pytest.approx(
        sigma * np.linalg.norm(q, axis=1), rel=1e-6 if remedy != "none" else 1e-3
    )


def test_equal_columns_are_flat_and_separated_outcomes_at_infinity_as_before():
    x = (X - X.mean()) / X.std()
    with pytest.raises(NoMaximumError) as refusal:
        regression(np.stack([np.ones(82), x, x], axis=1)).likelihood.maximum()
    assert refusal.value.kind == "flat"
    with pm.Model() as model:
        pm.Bernoulli("y", logit_p=pm.Normal("a", 0, 10) + pm.Normal("b", 0, 10) * x, observed=(x > 0).astype(int))
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "at infinity"
