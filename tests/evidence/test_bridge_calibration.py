"""The error that the bridge states is the error that it makes."""

import numpy as np
import pytest

from tests.evidence.test_bridge import _draws
from tests.targets import by_name
from tests.tolerance import STANDARD_ERRORS
from workbench.evidence.bridge import bridge_sampling

pytestmark = pytest.mark.slow  # minutes of repetitions, in a file of their own: files are shared out among processes


# Shapes of every kind for which no proposal is exact; 5 seeds each are 55 scores, whose standard deviation is known
# to 10%. The stated error is the largest of three estimates of one number, so it errs upwards by some 15%.
@pytest.mark.statistical
def test_stated_error_is_honest_over_closed_forms_and_repetitions():
    names = ("log gamma of shape 0.5", "log gamma of shape 3", "two log gammas", "five log gammas",
             "logit beta of 2 and 5", "dirichlet on three categories", "dirichlet on five categories",
             "student t with 5 degrees", "gentle banana", "funnel", "two peaks in 2 dimensions")  # fmt: skip
    scores = []
    for name in names:
        target = by_name(name)
        for seed in range(5):
            found = bridge_sampling(target.objective, *_draws(target, seed=1000 + seed), seed=seed)
            scores.append((found.log_evidence - target.log_integral) / found.std_error)
    assert 0.75 < np.sqrt(np.mean(np.square(scores))) < 1.2
    assert 0.9 < np.mean(np.abs(scores) < 1.96) <= 0.995
    assert np.max(np.abs(scores)) < STANDARD_ERRORS
