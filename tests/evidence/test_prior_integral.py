"""A potential in the prior: its normaliser is estimated, taken out, and its error carried."""

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
from scipy import integrate

import workbench as wb
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.evidence import prior_integral
from workbench.evidence.prior_integral import integrate_prior
from workbench.result import result_from_json

Y = np.array([4.8, 5.3, 5.1, 4.6, 5.9])
# Constructed; by one-dimensional quadrature: log of the joint integral and of the prior's, nats.
JOINT, PRIOR = -10.8807502076, -1.8718512134
FIT, DIVERGENCE = -5.6299776049, 3.378921


def _soft(side="prior", sd=10.0, extra=0):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, sd)
        pm.Potential("soft", -abs(mu) / 2)
        if extra:
            pm.Normal("others", 0.0, 1.0, shape=extra)
        pm.Normal("y", mu, 1.0, observed=Y)
    return wb.Study(model, seed=1, potentials={"soft": side})


def test_evidence_of_a_soft_prior_is_the_ratio_of_two_integrals():
    study = _soft()
    found = study.evidence.estimate()
    assert found.log_evidence == pytest.approx(JOINT - PRIOR, abs=1e-8)
    assert found.parts["prior x likelihood"][0] == pytest.approx(JOINT, abs=1e-8)
    assert found.parts["prior"][0] == pytest.approx(PRIOR, abs=1e-8)
    assert {"prior, bridge", "prior, tempering"} <= set(found.parts)
    assert worst_status(found.checks) == "ok"
    for route in (study.evidence.bridge(), study.evidence.tempering()):
        assert abs(route.log_evidence - (JOINT - PRIOR)) < STANDARD_ERRORS * route.std_error


@pytest.mark.slow
def test_the_sides_of_a_potential_are_not_mixed():
    assert _soft("likelihood").evidence.estimate().log_evidence == pytest.approx(JOINT, abs=1e-6)


def test_information_of_a_soft_prior_uses_the_normalised_prior():
    study = _soft()
    found = study.information()
    assert found.entries["KL(posterior || prior)"][0] == pytest.approx(DIVERGENCE, abs=1e-5)
    assert found.entries["E_post[log likelihood]"][0] == pytest.approx(FIT, abs=1e-6)
    assert study.posterior.grid().kl_divergence == pytest.approx(DIVERGENCE, abs=1e-5)
    tempered = study.evidence.tempering()
    assert abs(tempered.kl_divergence - DIVERGENCE) < STANDARD_ERRORS * tempered.kl_error
    assert worst_status(found.checks) == "ok"
    assert study.at(mu=5.0).log_evidence == pytest.approx(JOINT - PRIOR, abs=1e-8)


@pytest.mark.slow
def test_in_more_dimensions_the_bridge_carries_both_integrals_and_their_errors():
    study = _soft(extra=4)
    found = study.evidence.estimate()
    assert found.method == "bridge"
    assert abs(found.log_evidence - (JOINT - PRIOR)) < 3 * found.std_error
    (_, joint), (_, prior) = found.parts["prior x likelihood"], found.parts["prior"]
    assert found.std_error == pytest.approx(np.hypot(joint, prior))
    assert prior > 0


@pytest.mark.slow
def test_two_variables_tied_by_a_potential_match_a_quadrature():
    with pm.Model() as model:
        a = pm.Normal("a", 0.0, 1.0)
        b = pm.Gamma("b", 2.0, 1.0)
        pm.Potential("tie", -2.0 * (a - b) ** 2)
        pm.Normal("y", a, b, observed=Y)
    study = wb.Study(model, seed=1, potentials={"tie": "prior"})

    # The normal variable integrated out by hand, exp(-2 b^2 / 5) / sqrt 5; b e^-b is the density of the other.
    integral = integrate.quad(lambda b: b * np.exp(-b - 0.4 * b**2) / np.sqrt(5.0), 0.0, np.inf, epsabs=1e-14)[0]
    truth = np.log(integral)
    audit = study.evidence.audit()
    assert audit.log_normaliser == pytest.approx(truth, abs=1e-7)
    value, error = audit.routes["bridge"]
    assert abs(value - truth) < STANDARD_ERRORS * error


@pytest.mark.deep
@pytest.mark.statistical
@pytest.mark.slow
def test_stated_error_of_the_priors_integral_covers_the_truth():
    study = _soft(extra=3)
    settings = replace(wb.Settings(), draws=300, tune=300)
    found = [integrate_prior(study.density, settings, seed) for seed in range(25)]
    scores = np.array([(f.log_integral - PRIOR) / f.std_error for f in found])
    assert 0.5 < np.sqrt(np.mean(scores**2)) < 1.4


def test_dividing_by_an_integral_moves_the_bracket_along_and_adds_its_error():
    bridge = _soft().evidence.bridge()
    moved = bridge.over(0.5, 0.1)
    assert moved.log_evidence == pytest.approx(bridge.log_evidence - 0.5)
    assert moved.upper - moved.lower == pytest.approx(bridge.upper - bridge.lower)
    assert moved.std_error == pytest.approx(np.hypot(bridge.std_error, 0.1))
    assert bridge.over(0.0, 0.0).to_json() == bridge.to_json()


def test_a_wrong_integral_of_the_prior_is_noticed_by_its_other_routes(monkeypatch):
    study = _soft()
    right = prior_integral._by_quadrature
    monkeypatch.setattr(prior_integral, "_by_quadrature", lambda *a: (right(*a)[0] + 0.3, right(*a)[1]))
    found = integrate_prior(study.density, study.settings, 1)
    assert [c.status for c in found.checks if c.code == "routes-agree"] == ["failed"]


def test_the_audit_and_the_parts_survive_json():
    study = _soft()
    for answer in (study.evidence.audit(), study.evidence.estimate()):
        again = result_from_json(answer.to_json())
        assert again.to_json() == answer.to_json()
        assert again.table().equals(answer.table())


def test_prior_draws_of_a_tilted_prior_are_refused():
    with pytest.raises(wb.RefusalError, match="soft"):
        _soft().prior.draws()
