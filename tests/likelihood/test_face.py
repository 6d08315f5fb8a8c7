"""Maxima on a face of a simplex, against counts; and ordered values that coincide."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from tests import models_zoo
from workbench.errors import RefusalError

pytestmark = pytest.mark.slow  # every model is compiled

COUNTS = np.array([30, 0, 20, 0])


@pytest.fixture(scope="module")
def shares():
    return wb.Study(models_zoo.simplex(COUNTS), seed=1)


def test_categories_without_counts_have_the_probability_zero_and_the_others_their_share(shares):
    found, parts = shares.likelihood.maximum(), COUNTS / 50
    (name,) = (name for name, array in found.theta.items() if array.shape == (4,))
    np.testing.assert_allclose(found.theta[name], parts, rtol=1e-8, atol=0)
    assert found.at_edge == (f"{name}[1]", f"{name}[3]")
    assert found.log_likelihood == pytest.approx(stats.multinomial.logpmf(COUNTS, 50, parts), rel=1e-12)
    errors = found.std_error[name].to_numpy()
    np.testing.assert_allclose(errors[COUNTS > 0], np.sqrt(0.6 * 0.4 / 50), rtol=1e-6)
    assert np.isnan(errors[COUNTS == 0]).all()
    assert found.certificate.grade == "caution"
    assert any(f"{name}[1] = 0, {name}[3] = 0" in check.message for check in found.checks)


@pytest.mark.parametrize("question", ["errors", "bootstrap"])
def test_what_needs_single_coordinates_is_refused_on_a_face(shares, question):
    with pytest.raises(RefusalError, match=r"face of the simplex: \w+\[1\] = 0"):
        getattr(shares.likelihood, question)()


def test_thresholds_of_a_grade_that_nobody_gave_coincide():
    grades = np.array([0] * 19 + [2] * 11)
    with pm.Model() as model:
        cuts = pm.Normal(
            "cuts", 0.0, 5.0, shape=2, transform=pm.distributions.transforms.ordered, initval=np.array([-1.0, 1.0])
        )
        pm.OrderedLogistic("y", eta=0.0, cutpoints=cuts, observed=grades)
    with pytest.raises(RefusalError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert f"cuts[0] = cuts[1] = {np.log(19 / 11):.6g}" in refusal.value.what
    height = 19 * np.log(19 / 30) + 11 * np.log(11 / 30)
    assert f"{height:.6g} nats" in refusal.value.what
