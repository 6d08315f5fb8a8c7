"""Nested sampling agrees with closed forms within an honest error, and refuses what it cannot do."""

import sys

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from tests import studies
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.evidence import nested

pytest.importorskip("dynesty", reason="dynesty is not installed: python -m pip install 'workbench[nested]'")
Y = np.array([1.0, 2.0, 4.0])


def _means(d=1, seed=1):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 3.0, shape=d)
        pm.Normal("y", mu[:, None], 1.0, observed=np.tile(Y, (d, 1)))
    truth = d * stats.multivariate_normal(np.zeros(3), np.eye(3) + 9.0).logpdf(Y)
    return wb.Study(model, seed=seed), truth


@pytest.mark.deep
@pytest.mark.slow
def test_nested_sampling_matches_the_closed_form_within_its_error(monkeypatch):
    monkeypatch.setattr(nested, "_LIVE", 50)
    study, truth = _means(3)
    found = study.evidence.nested()
    assert abs(found.log_evidence - truth) < STANDARD_ERRORS * found.std_error
    assert found.std_error >= max(found.stated_error, found.spread_error)
    assert found.std_error < 0.2
    assert worst_status(found.checks) == "ok"
    divergence = study.information().entries["KL(posterior || prior)"][0]
    assert abs(found.information - divergence) < STANDARD_ERRORS * found.std_error


@pytest.mark.slow
def test_nested_sampling_agrees_with_the_bridge_on_the_tosses(monkeypatch):
    monkeypatch.setattr(nested, "_LIVE", 25)
    study = studies.study("coin_bias")
    found, bridge = study.evidence.nested(), study.evidence.bridge()
    assert abs(found.log_evidence - bridge.log_evidence) < STANDARD_ERRORS * found.std_error


@pytest.mark.deep
@pytest.mark.statistical
@pytest.mark.slow
def test_stated_error_covers_the_truth_over_seeds(monkeypatch):
    monkeypatch.setattr(nested, "_LIVE", 50)
    # Over 24 seeds the root mean square was 1.12; more than a few would take longer than all other tests of the file.
    study, truth = _means(1)
    found = [nested.nest(study.density, seed) for seed in range(3)]
    scores = np.array([(f.log_evidence - truth) / f.std_error for f in found])
    assert np.sqrt(np.mean(scores**2)) < 2.33  # one in a thousand of chi-square with three degrees of freedom
    assert np.all(np.abs(scores) < STANDARD_ERRORS)


@pytest.mark.deep
@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(monkeypatch):
    monkeypatch.setattr(nested, "_LIVE", 25)
    first, second = (_means(seed=3)[0].evidence.nested() for _ in range(2))
    assert first.to_json() == second.to_json()


def test_runs_that_disagree_are_failed():
    runs = np.array([-10.0, -10.1, -9.9, -16.0])
    codes = {check.code: check.status for check in nested._checks(1.5, runs, 0.1)}
    assert codes == {"nested-error": "failed", "nested-runs": "failed"}


def test_without_dynesty_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "dynesty", None)
    with pytest.raises(wb.RefusalError, match="not installed") as refusal:
        _means()[0].evidence.nested()
    assert "workbench[nested]" in refusal.value.fix


@pytest.mark.slow
def test_dynesty_is_imported_only_when_it_is_asked_for():
    import subprocess

    script = "import sys, workbench.cli, workbench.study; print('dynesty' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_hierarchical_prior_is_refused_by_name_and_so_are_many_dimensions():
    with pm.Model() as model:
        tau = pm.HalfNormal("tau", 1.0)
        theta = pm.Normal("theta", 0.0, tau, shape=3)
        pm.Normal("y", theta, 1.0, observed=Y)
    with pytest.raises(wb.RefusalError, match="theta depends on tau"):
        wb.Study(model, seed=1).evidence.nested()
    with pytest.raises(wb.RefusalError, match="too many"):
        _means(21)[0].evidence.nested()
