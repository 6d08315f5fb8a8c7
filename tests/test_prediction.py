"""Prediction against closed forms: real heights, tosses, eye colours and letters, beside a baseline."""

import json

import numpy as np
import pymc as pm
import pytest
from scipy import stats
from scipy.special import betaln, gammaln

import workbench as wb
from tests import studies
from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.information import BIT
from workbench.prediction import (
    BASELINE,
    IN_SAMPLE,
    LEFT_OUT,
    MLE_IN_SAMPLE,
    MLE_LEFT_OUT,
    TOGETHER,
    Prediction,
    score,
)
from workbench.result import result_from_json

pytestmark = pytest.mark.slow  # a dozen compiled models

EYES = np.repeat([0, 1, 2, 3], [220, 215, 93, 64])  # brown, blue, hazel, green: 592 students (Snee 1974)
SPEECH = (
    "four score and seven years ago our fathers brought forth on this continent a new nation conceived in liberty and "
    "dedicated to the proposition that all men are created equal"
)  # Lincoln 1863
LETTERS = np.array([2 if letter == " " else int(letter not in "aeiou") for letter in SPEECH])  # vowel, consonant, space


def _study(model):
    return wb.Study(model, seed=1)


def _shares(values, kinds, name="seen", **coords):
    with pm.Model(coords=coords) as model:
        p = pm.Dirichlet("p", np.ones(kinds))
        pm.Categorical(name, p, observed=np.asarray(values), dims=next(iter(coords), None))
    return _study(model)


@pytest.fixture(scope="module")
def eyes():
    return _shares(EYES, 4)


def _dirichlet_left_out(values, kinds):
    """Log predictive probability of every label after the others, Dirichlet(1, ..., 1) prior."""
    counts = np.bincount(values, minlength=kinds)
    return np.log(counts[values] / (len(values) - 1 + kinds))


# -- heights: a density -------------------------------------------------------------------------------------------


def test_heights_left_out_by_refits_are_exactly_the_normal_baseline():
    # The model is the baseline: two routes to one number, 481 climbs and a closed form.
    found = studies.study("height_as_normal").prediction().scores["height"]
    assert found[MLE_LEFT_OUT][0] == pytest.approx(found[BASELINE][0], abs=1e-7)
    assert found[MLE_LEFT_OUT][3] == pytest.approx(0.0, abs=1e-7)


def test_in_sample_flatters_by_about_a_nat_a_parameter():
    found = studies.study("height_as_normal").prediction().scores["height"]
    assert found[MLE_IN_SAMPLE][0] - found[MLE_LEFT_OUT][0] == pytest.approx(2.0, abs=0.5)
    assert found[IN_SAMPLE][0] - found[LEFT_OUT][0] == pytest.approx(2.0, abs=0.5)


def test_scores_equal_arviz_and_the_maximised_likelihood():
    from arviz_stats import loo

    study = studies.study("height_as_normal")
    found, reference = study.prediction(), loo(study.posterior.draws(), pointwise=True)
    total, error = found.scores["height"][LEFT_OUT][:2]
    assert total == pytest.approx(float(reference.elpd), abs=1e-9)
    assert error == pytest.approx(float(reference.se), rel=2e-3)  # divisor n - 1 here, n there
    assert found.p_loo == pytest.approx(float(reference.p), abs=1e-9)
    np.testing.assert_allclose(-found.surprise, reference.elpd_i.values, atol=1e-12)
    maximised = study.likelihood.maximum().log_likelihood
    assert found.scores["height"][MLE_IN_SAMPLE][0] == pytest.approx(maximised, abs=1e-9)


def test_the_ratio_to_the_baseline_survives_a_change_of_units_and_perplexity_does_not():
    centimetres = studies.study("height_as_normal")
    inches = wb.load(
        studies.MODELS / "height_as_normal.py", {"height": studies.heights() / 2.54}, seed=1,
        prior_mean=170.0 / 2.54, prior_sd=20.0 / 2.54, sigma_scale=10.0 / 2.54,
    )  # fmt: skip
    first, second = centimetres.prediction().table(), inches.prediction().table()
    for predictor in (MLE_LEFT_OUT, MLE_IN_SAMPLE, BASELINE):
        assert first.loc[predictor, "perplexity"] / second.loc[predictor, "perplexity"] == pytest.approx(2.54, rel=1e-9)
        assert first.loc[predictor, "to baseline"] == pytest.approx(second.loc[predictor, "to baseline"], rel=1e-9)
    for predictor in (LEFT_OUT, IN_SAMPLE):  # other draws
        error = np.hypot(first.loc[predictor, "mcse"], second.loc[predictor, "mcse"]) / 481
        gap = np.log(first.loc[predictor, "to baseline"] / second.loc[predictor, "to baseline"])
        assert abs(gap) < STANDARD_ERRORS * error
        ratio = first.loc[predictor, "perplexity"] / second.loc[predictor, "perplexity"]
        assert abs(np.log(ratio / 2.54)) < STANDARD_ERRORS * error


def test_the_most_surprising_height_is_the_one_farthest_out():
    found, y = studies.study("height_as_normal").prediction().surprising(3), studies.heights()
    farthest = int(np.argmax(np.abs(y - y.mean())))
    assert found.index[0] == f"height[{farthest}]"
    assert found["value"].iloc[0] == f"{y[farthest]:.6g}"
    assert (np.diff(found["nats"]) <= 0).all()
    np.testing.assert_allclose(found["bits"], found["nats"] / BIT)


# -- the coin: counts ---------------------------------------------------------------------------------------------


def test_the_coin_is_scored_as_beta_binomial():
    study = studies.study("coin_bias")
    found, truth = study.prediction(), studies.coin_truth()
    k = study.density.symbolic.observed["same_side"]
    n = np.loadtxt(studies.MODELS / "data" / "coin_tosses.csv", delimiter=",", skiprows=1, usecols=2)
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    a, b = 50 + truth["k"], 50 + truth["n"] - truth["k"]
    left_out = ways + betaln(a, b) - betaln(a - k, b - (n - k))
    inside = ways + betaln(a + k, b + n - k) - betaln(a, b)
    scores = found.scores["same_side"]
    # 48 people differ more than one p allows, so that some weights are heavy-tailed: the stated error covers it.
    assert abs(scores[LEFT_OUT][0] - left_out.sum()) < STANDARD_ERRORS * scores[LEFT_OUT][2] + 0.1
    assert abs(scores[IN_SAMPLE][0] - inside.sum()) < STANDARD_ERRORS * scores[IN_SAMPLE][2]
    assert scores[MLE_IN_SAMPLE][0] == pytest.approx(stats.binom.logpmf(k, n, truth["mle"]).sum(), abs=1e-7)
    assert "rounded" in found.baselines["same_side"]
    assert scores[LEFT_OUT][3] > 0  # the baseline does not know how often each person tossed


# -- eye colours: labels ------------------------------------------------------------------------------------------


def test_eye_colours_are_scored_as_their_closed_forms(eyes):
    found = eyes.prediction().scores["seen"]
    exact = _dirichlet_left_out(EYES, 4)
    total, error, mcse, *_ = found[LEFT_OUT]
    assert abs(total - exact.sum()) < STANDARD_ERRORS * mcse
    assert error == pytest.approx(np.sqrt(592) * exact.std(ddof=1), rel=0.01)
    counts = np.bincount(EYES)
    assert found[MLE_IN_SAMPLE][0] == pytest.approx(np.sum(counts * np.log(counts / 592)), abs=1e-7)
    assert found[MLE_LEFT_OUT][0] == pytest.approx(np.sum(counts * np.log((counts - 1) / 591)), abs=1e-5)
    assert found[BASELINE][0] == pytest.approx(np.sum(counts * np.log((counts - 1) / 591)), abs=1e-9)


def test_entropy_and_divergence_of_eye_colours_add_up_to_their_cross_entropy(eyes):
    found = eyes.prediction()
    counts = np.bincount(EYES)
    p, q = counts / 592, (counts + 1) / 596
    whole, apart, crossed, mcse = found.split["seen"]
    assert whole == pytest.approx(stats.entropy(p), abs=1e-12)
    assert abs(apart - stats.entropy(p, q)) < STANDARD_ERRORS * mcse + 1e-4
    assert whole + apart == pytest.approx(crossed, abs=1e-12)
    # Everybody is predicted alike, so that this is the cross-entropy in sample.
    assert crossed == pytest.approx(-found.scores["seen"][IN_SAMPLE][0] / 592, abs=1e-9)
    assert "entropy + KL = cross-entropy" in " ".join(found.notes())


def test_a_label_seen_once_makes_the_mle_infinite_and_nothing_else():
    colours = np.append(np.repeat([0, 1], [6, 5]), 2)
    found = _shares(colours, 3, person=[f"p{i}" for i in range(12)]).prediction()
    scores, table = found.scores["seen"], found.table()
    assert scores[MLE_LEFT_OUT][0] == -np.inf
    assert table.loc[MLE_LEFT_OUT, "perplexity"] == np.inf
    assert np.isnan(scores[MLE_LEFT_OUT][1])
    assert found.reasons[MLE_LEFT_OUT] == "infinite: fitted without it, the MLE holds seen[p11] impossible"
    assert (
        abs(scores[LEFT_OUT][0] - _dirichlet_left_out(colours, 3).sum()) < STANDARD_ERRORS * scores[LEFT_OUT][2] + 0.02
    )
    assert np.isfinite(table.loc[[LEFT_OUT, IN_SAMPLE, BASELINE], "perplexity"]).all()
    assert not table["perplexity"].isna().any()
    again = result_from_json(found.to_json())
    json.loads(found.to_json(), parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert again.scores["seen"][MLE_LEFT_OUT][0] == -np.inf
    assert "inf" in repr(found)


# -- letters: a sequence ------------------------------------------------------------------------------------------


def test_letters_have_a_total_and_a_perplexity_per_letter():
    found = _shares(LETTERS, 3).prediction()
    exact = _dirichlet_left_out(LETTERS, 3)
    row = found.table().loc[LEFT_OUT]
    assert abs(row["nats"] - exact.sum()) < STANDARD_ERRORS * row["mcse"]
    assert row["bits each"] == pytest.approx(-row["nats"] / len(LETTERS) / BIT)
    assert row["perplexity"] == pytest.approx(np.exp(-row["nats"] / len(LETTERS)))


@pytest.mark.deep
def test_letters_that_depend_on_the_one_before_are_predicted_better():
    before, letters = LETTERS[:-1], LETTERS[1:]
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones((3, 3)))
        pm.Categorical("letter", p[before], observed=letters)
    study = _study(model)
    found = study.prediction()
    counts = np.zeros((3, 3))
    np.add.at(counts, (before, letters), 1)
    exact = np.log(counts[before, letters] / (counts.sum(axis=1)[before] - 1 + 3))
    total, _, mcse, gain, gain_error = found.scores["letter"][LEFT_OUT]
    assert abs(total - exact.sum()) < STANDARD_ERRORS * mcse + 0.05
    assert gain > 3 * gain_error  # a space follows a consonant, and never a space
    # One after the other from the prior: the evidence is the product of three Dirichlet-multinomials.
    log_evidence = np.sum(gammaln(3) - gammaln(3 + counts.sum(axis=1)) + gammaln(1 + counts).sum(axis=1))
    information = study.information()
    value, error, _ = information.entries["log evidence"]
    assert abs(value - log_evidence) < STANDARD_ERRORS * error
    assert f"cost {-value / BIT / len(letters):.4g} bits each" in " ".join(information.notes())


# -- what stands together, and what is missing ---------------------------------------------------------------------


def test_several_variables_are_scored_apart_and_together_if_they_are_of_one_kind():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        pm.Normal("a", mu, 1.0, observed=np.array([0.5, 1.0, 2.0, 0.1]))
        pm.Normal("b", mu, 2.0, observed=np.array([1.5, -1.0, 2.0]))
    found = _study(model).prediction()
    assert found.counts == {"a": 4, "b": 3, TOGETHER: 7}
    for predictor in (LEFT_OUT, IN_SAMPLE, MLE_LEFT_OUT, BASELINE):
        apart = found.scores["a"][predictor][0] + found.scores["b"][predictor][0]
        assert found.scores[TOGETHER][predictor][0] == pytest.approx(apart, abs=1e-9)
    assert f"a: {LEFT_OUT}" in found.table().index


def test_densities_and_probabilities_are_not_added_up():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        pm.Normal("a", mu, 1.0, observed=np.array([0.5, 1.0, 2.0, 0.1]))
        pm.Bernoulli("b", pm.math.invlogit(mu), observed=np.array([1, 0, 1, 1]))
    found = _study(model).prediction()
    assert set(found.scores) == {"a", "b"}
    assert found.whole == {}
    assert set(found.split) == {"b"}


def test_latent_variables_leave_the_posterior_predictive_and_say_so():
    found = studies.eight_schools().prediction()
    assert set(found.scores["y"]) == {IN_SAMPLE, LEFT_OUT, BASELINE}
    assert "eta is integrated out" in found.reasons["MLE"]


def test_censored_observations_have_no_baseline():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        pm.Censored("y", pm.Normal.dist(mu, 1.0), lower=None, upper=2.0, observed=np.array([1.0, 2.0, 2.0, 0.3, 1.1]))
    found = _study(model).prediction()
    assert "some a probability" in found.reasons["baseline of y"]
    assert np.isnan(found.table()["to baseline"]).all()


def test_one_observation_is_scored_in_sample_only():
    with pm.Model() as model:
        p = pm.Beta("p", 1.0, 1.0)
        pm.Binomial("k", n=10, p=p, observed=7)
    found = _study(model).prediction()
    assert set(found.scores["k"]) == {IN_SAMPLE, MLE_IN_SAMPLE}
    assert "one observation" in found.reasons[LEFT_OUT]
    assert len(found.surprising()) == 0


def test_an_improper_prior_does_not_stop_prediction():
    with pm.Model() as model:
        mu = pm.Flat("mu")
        pm.Normal("y", mu, 1.0, observed=np.array([0.5, 1.0, 2.0, 0.1]))
    study = _study(model)
    assert np.isfinite(study.prediction().scores["y"][LEFT_OUT][0])
    with pytest.raises(wb.RefusalError):
        study.information()


def test_without_data_prediction_is_refused():
    with pm.Model() as model:
        pm.Normal("x", 0.0, 1.0)
    with pytest.raises(wb.RefusalError, match="no data"):
        _study(model).prediction()


def test_log_likelihoods_that_were_not_kept_are_a_refusal(monkeypatch):
    monkeypatch.setattr("workbench.posterior.draws._POINTWISE", 100)
    with pm.Model() as model:
        pm.Normal("y", pm.Normal("mu", 0.0, 5.0), 1.0, observed=np.array([0.5, 1.0, 2.0, 0.1]))
    with pytest.raises(wb.RefusalError, match="4 observations at 4000 draws"):
        _study(model).prediction()


def test_the_error_over_observations_is_honest():
    generator = np.random.default_rng(1)
    totals = [score(stats.norm.logpdf(generator.normal(size=30)), 0.0, None) for _ in range(500)]
    off = np.array([total for total, *_ in totals]) + 30 * (0.5 * np.log(2 * np.pi) + 0.5)
    assert off.std() / np.sqrt(np.mean([error**2 for _, error, *_ in totals])) == pytest.approx(1.0, abs=0.13)


def test_paired_differences_are_surer_than_the_scores_themselves():
    generator = np.random.default_rng(2)
    own = generator.normal(size=200)
    _, error, _, gain, gain_error = score(own, 0.0, own - 0.1 + 0.01 * generator.normal(size=200))
    assert gain == pytest.approx(20.0, abs=0.7)
    assert gain_error < 0.05 * error


def test_parts_of_a_cross_entropy_that_do_not_add_up_are_refused(eyes):
    kept = eyes.prediction()
    with pytest.raises(NumericalError, match="please report it"):
        Prediction(**{**kept.__dict__, "split": {"seen": (1.0, 0.5, 1.4, 0.0)}})
