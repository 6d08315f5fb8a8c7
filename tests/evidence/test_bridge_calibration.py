"""The error that the bridge states is the error that it makes."""

import numpy as np
import pytest

from benchmarks.calibration import NAMES, scores
from tests.tolerance import STANDARD_ERRORS

pytestmark = pytest.mark.slow  # minutes of repetitions, in a file of their own: files are shared out among processes


# 5 seeds each are 55 scores, whose standard deviation is known to 10%; `python -m benchmarks.calibration` takes 50.
@pytest.mark.deep
@pytest.mark.statistical
def test_stated_error_is_honest_over_closed_forms_and_repetitions():
    found = np.concatenate([scores(name, range(1000, 1005)) for name in NAMES])
    assert 0.75 < np.sqrt(np.mean(np.square(found))) < 1.2
    assert 0.9 < np.mean(np.abs(found) < 1.96) <= 0.995
    assert np.max(np.abs(found)) < STANDARD_ERRORS
