"""Models compared: closed-form Bayes factors, probabilities with errors, refusals, and why criteria disagree."""

from functools import cache

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats
from scipy.special import betaln, gammaln

import workbench as wb
from workbench import models_compared
from workbench.check import Check
from workbench.models_compared import ModelsCompared, _scores, model_probabilities, observations_hash

pytestmark = pytest.mark.slow

KICKS = np.repeat([0, 1, 2, 3, 4], [109, 65, 22, 3, 1])  # von Bortkiewicz 1898: deaths in 200 corps-years


def _poisson(scale=1.0):
    with pm.Model() as model:
        rate = pm.Gamma("rate", 1.0, scale)
        pm.Poisson("deaths", rate, observed=KICKS)
    return model


def _geometric(observed=KICKS):
    with pm.Model() as model:
        p = pm.Beta("p", 1.0, 1.0)
        pm.NegativeBinomial("count", n=1.0, p=p, observed=observed)
    return model


@cache
def _studies():
    return {"geometric": wb.Study(_geometric(), seed=1), "poisson": wb.Study(_poisson(), seed=1)}


@cache
def _compared():
    return wb.compare_models(_studies())


def _truth():
    n, total = KICKS.size, KICKS.sum()
    poisson = gammaln(1 + total) - (1 + total) * np.log(1 + n) - gammaln(KICKS + 1.0).sum()
    return {"poisson": float(poisson), "geometric": float(betaln(1 + n, 1 + total))}


def test_log_bayes_factor_equals_the_closed_form():
    truth = _truth()
    value, error, words = _compared().bayes_factor("poisson", "geometric")
    assert value == pytest.approx(truth["poisson"] - truth["geometric"], abs=max(1e-6, 4 * error))
    assert words == "very strong"
    assert _compared().names == ["poisson", "geometric"]


def test_units_of_the_bayes_factor_are_nats_bits_and_log10():
    row = _compared().table()["geometric"]
    assert row["bits"] == pytest.approx(row["log BF"] / np.log(2))
    assert row["log10"] == pytest.approx(row["log BF"] / np.log(10))


def test_elpd_and_criteria_follow_from_their_definitions():
    found = _compared()
    mle = KICKS.mean()
    log_likelihood = stats.poisson(mle).logpmf(KICKS).sum()
    assert found.criteria["poisson"] == pytest.approx(
        (log_likelihood, 2 - 2 * log_likelihood, np.log(200) - 2 * log_likelihood), abs=1e-6
    )
    # Exact leave-one-out of the conjugate model: y_i given the others is negative binomial.
    total, n = KICKS.sum(), KICKS.size
    shapes = 1.0 + total - KICKS
    exact = stats.nbinom(shapes, n / (n + 1.0)).logpmf(KICKS).sum()
    assert found.elpd["poisson"][0] == pytest.approx(exact, abs=0.05)
    assert found.elpd["poisson"][4] > 0.9
    assert set(found.winners().values()) == {"poisson"}


def test_probabilities_and_their_errors_agree_with_simulation():
    values, errors = np.array([-10.0, -10.5, -12.0]), np.array([0.05, 0.1, 0.02])
    p, spread = model_probabilities(values, errors)
    draws = values + errors * np.random.default_rng(1).normal(size=(20_000, 3))
    each = np.exp(draws) / np.exp(draws).sum(axis=1, keepdims=True)
    assert p == pytest.approx(np.exp(values) / np.exp(values).sum())
    assert spread == pytest.approx(each.std(axis=0), rel=0.05)


def test_models_of_different_data_are_refused():
    other = {"all": wb.Study(_poisson(), seed=1), "without the last": wb.Study(_geometric(KICKS[:-1]), seed=1)}
    with pytest.raises(wb.InputError, match="different observations"):
        wb.compare_models(other)


def test_one_model_cannot_be_compared():
    with pytest.raises(wb.InputError, match="two or more"):
        wb.compare_models({"alone": _studies()["poisson"]})


def test_the_fingerprint_of_data_ignores_names_and_shapes_and_notices_values_and_order():
    y = np.arange(6)
    assert observations_hash({"y": y}) == observations_hash({"height": y.reshape(2, 3).astype(float)})
    assert observations_hash({"y": y}) != observations_hash({"y": y[::-1]})
    assert observations_hash({"y": y}) != observations_hash({"y": y + 1e-9})


def test_an_improper_prior_leaves_the_evidence_unreliable_with_the_reason_and_elpd_as_it_is():
    with pm.Model() as flat:
        rate = pm.HalfFlat("rate")
        pm.Poisson("deaths", rate, observed=KICKS)
    found = wb.compare_models({"flat": wb.Study(flat, seed=1), "poisson": _studies()["poisson"]})
    assert "improper" in found.reasons["flat, evidence"]
    assert found.bayes_factor("flat", "poisson")[2] == "unreliable"
    assert np.isnan(found.probability["poisson"][0])
    assert [check.status for check in found.checks if check.code == "evidence-reliable"] == ["failed"]
    assert np.isfinite(found.elpd["flat"][0])
    assert "evidence" not in found.winners()


def _by_hand(**changes):
    fields = {
        "checks": (),
        "evidence": {"narrow": (-100.0, 0.05, "ok"), "wide": (-102.0, 0.05, "ok")},
        "probability": {"narrow": (0.88, 0.01), "wide": (0.12, 0.01)},
        "elpd": {"narrow": (-96.0, 5.0, -1.0, 0.4, 0.2), "wide": (-95.0, 5.0, 0.0, 0.0, 0.8)},
        "criteria": {"narrow": (-95.0, 194.0, 196.0), "wide": (-92.0, 192.0, 199.0)},
        "fit": {"narrow": -96.5, "wide": -93.5},
        "reasons": {},
        "n_observations": 30,
    }
    return ModelsCompared(**{**fields, **changes})


def test_disagreement_is_named_with_fit_and_price_of_learning():
    found = _by_hand()
    assert found.winners() == {"evidence": "narrow", "elpd": "wide", "AIC": "wide", "BIC": "narrow"}
    text = " ".join(found.notes())
    # The fit of the wide model is 3 better and its evidence 2 worse, so it learnt 5 nats more.
    assert "fits better by 3 nats" in text
    assert "learn 5 nats more" in text


def test_a_difference_within_its_error_is_not_resolved():
    near = _by_hand(evidence={"narrow": (-100.0, 0.3, "ok"), "wide": (-100.4, 0.3, "ok")})
    assert near.bayes_factor("narrow", "wide")[2].startswith("not resolved")


@pytest.mark.parametrize(
    ("gap", "words"),
    [(0.5, "not worth more than a bare mention"), (2.0, "positive"), (4.0, "strong"), (6.0, "very strong")],
)
def test_words_are_those_of_kass_and_raftery(gap, words):
    found = _by_hand(evidence={"narrow": (-100.0, 0.01, "ok"), "wide": (-100.0 - gap, 0.01, "ok")})
    assert found.bayes_factor("narrow", "wide")[2] == words


def test_an_unknown_model_is_an_error():
    with pytest.raises(wb.InputError, match="no model"):
        _by_hand().bayes_factor("narrow", "nonsense")


def test_scores_that_arviz_cannot_give_are_a_finding_and_no_traceback(monkeypatch):
    def fail(*_, **__):
        raise ValueError("all log likelihoods are the same")

    monkeypatch.setattr("arviz_stats.loo", fail)
    shape = (2, 20)
    tree = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset({"mu": (("chain", "draw"), np.zeros(shape))}),
            "/log_likelihood": xr.Dataset({"y": (("chain", "draw", "row"), np.zeros((*shape, 3)))}),
        }
    )
    reasons = {}
    assert _scores({"a": tree, "b": tree}, reasons) == ({}, [])
    assert all("all log likelihoods are the same" in reasons[f"{name}, elpd"] for name in "ab")


def test_scores_that_cannot_be_compared_are_a_finding_and_no_traceback(monkeypatch):
    def fail(*_, **__):
        raise ValueError("the numbers of observations differ")

    monkeypatch.setattr("arviz_stats.compare", fail)
    reasons = {}
    found, checks = _scores({name: study.posterior.draws() for name, study in _studies().items()}, reasons)
    assert (found, reasons) == ({}, {})
    assert [(check.code, check.status) for check in checks] == [("pareto-k", "unknown")]
    assert "the numbers of observations differ" in checks[0].message


def test_a_model_whose_draws_failed_leaves_the_scores_of_the_others_and_stands_last(monkeypatch):
    studies = {**_studies(), "wide": wb.Study(_poisson(0.01), seed=1)}
    honest = models_compared._evidence_of
    high = {"wide": (0.0, 0.01, "failed")}
    with monkeypatch.context() as patch:
        patch.setattr(studies["wide"], "doubts", lambda: (Check("r-hat", "failed", "R-hat 1.7", "draw more"),))
        patch.setattr(models_compared, "_evidence_of", lambda name, *rest: high.get(name) or honest(name, *rest))
        found = wb.compare_models(studies)
    whole = _compared()
    assert found.names == ["poisson", "geometric", "wide"]
    assert found.bayes_factor("poisson", "geometric") == whole.bayes_factor("poisson", "geometric")
    assert found.elpd == whole.elpd
    assert found.winners()["elpd"] == found.winners()["evidence"] == "poisson"
    notes = " ".join(found.notes())
    assert "elpd compares poisson, geometric: it has no number for wide" in notes
    assert "nan" not in notes


def test_scores_from_draws_that_failed_are_left_out_and_the_evidence_without_draws_stays(monkeypatch):
    studies = _studies()
    studies["geometric"].evidence.estimate()  # by quadrature
    monkeypatch.setattr(studies["geometric"], "doubts", lambda: (Check("r-hat", "failed", "R-hat 1.7", "draw more"),))
    found = wb.compare_models(studies)
    assert found.elpd == {}
    assert found.reasons["geometric, elpd"] == "the draws failed: r-hat"
    assert np.isnan(found.fit["geometric"])
    assert found.bayes_factor("poisson", "geometric") == _compared().bayes_factor("poisson", "geometric")
    assert "elpd" not in found.winners()
    assert "nan" not in " ".join(found.notes())


def test_a_hypothesis_without_free_variables_is_compared_by_its_likelihood():
    with pm.Model() as fair:
        pm.Binomial("heads", n=20, p=0.5, observed=17)
    with pm.Model() as any_coin:
        p = pm.Beta("p", 1.0, 1.0)
        pm.Binomial("heads", n=20, p=p, observed=17)
    found = wb.compare_models({"fair": wb.Study(fair, seed=1), "any": wb.Study(any_coin, seed=1)})
    truth = -np.log(21.0) - stats.binom.logpmf(17, 20, 0.5)
    assert found.bayes_factor("any", "fair")[0] == pytest.approx(truth, abs=1e-7)
    assert found.elpd == {}
    assert "no free variable" in found.reasons["fair, elpd, AIC and BIC"]
    assert "nan" not in " ".join(found.notes())
