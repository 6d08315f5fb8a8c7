"""Every question on every model: an answer with the common parts, or a refusal with its three.

A new question in `QUESTIONS` or a new file in models/ is tested by existing.
"""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr

import workbench as wb
from tests import studies
from workbench.check import CATALOGUE
from workbench.evidence import nested
from workbench.result import Refusal, Result, result_from_json

FILES = sorted(path.stem for path in studies.MODELS.glob("*.py"))
QUESTIONS = {
    "anatomy": lambda s: s.anatomy,
    "prior.draws": lambda s: s.prior.draws(),
    "likelihood.maximum": lambda s: s.likelihood.maximum(),
    "likelihood.latents": lambda s: s.likelihood.latents(),
    "likelihood.errors": lambda s: s.likelihood.errors(),
    "likelihood.bootstrap": lambda s: s.likelihood.bootstrap(50),
    "likelihood.surface": lambda s: s.likelihood.surface(),
    "likelihood.profile": lambda s: s.likelihood.profile(),
    "posterior.mode": lambda s: s.posterior.mode(),
    "posterior.laplace": lambda s: s.posterior.laplace(),
    "posterior.grid": lambda s: s.posterior.grid(),
    "posterior.draws": lambda s: s.posterior.draws(),
    "posterior.predictive": lambda s: s.posterior.predictive(),
    "evidence.audit": lambda s: s.evidence.audit(),
    "evidence.bridge": lambda s: s.evidence.bridge(),
    "evidence.tempering": lambda s: s.evidence.tempering(),
    "evidence.nested": lambda s: s.evidence.nested(),
    "evidence.estimate": lambda s: s.evidence.estimate(),
    "evidence.robustness": lambda s: s.evidence.robustness(),
    "evidence.sequential": lambda s: s.evidence.sequential(),
    "evidence.savage_dickey": lambda s: s.evidence.savage_dickey(*_start_of(s)),
    "comparison": lambda s: s.compare(),
    "information": lambda s: s.information(),
    "prediction": lambda s: s.prediction(),
    "diagnosis": lambda s: s.diagnosis(),
}


def _start_of(study):
    """The first scalar of a model, and a value inside its support."""
    space = study.density.space
    if not space.names:
        return "none", 0.0
    return space.labels(space.names[0])[0], float(space.theta(space.start)[space.names[0]].flat[0])


LONG = (
    "evidence.nested", "evidence.savage_dickey", "evidence.sequential", "likelihood.bootstrap", "likelihood.errors",
    "likelihood.surface",
)  # fmt: skip
TREES = ("prior.draws", "posterior.draws")
ON_REQUEST = (  # not in a report
    "likelihood.latents", "likelihood.errors", "likelihood.bootstrap", "evidence.nested", "evidence.savage_dickey",
    "evidence.sequential",
)  # fmt: skip


def _labels():
    with pm.Model() as model:
        w = pm.Beta("w", 2.0, 2.0)
        label = pm.Bernoulli("label", w, shape=4)
        pm.Normal("y", 3.0 * label, 1.0, observed=np.array([0.1, 2.9, 3.3, -0.2]))
    return model


def _infinite():
    with pm.Model() as model:
        number = pm.Poisson("number", pm.Exponential("rate", 1.0), shape=2)
        pm.Normal("y", number, 1.0, observed=np.array([0.1, 2.9]))
    return model


def _imputed():
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        sigma = pm.HalfNormal("sigma", 5.0)
        with pytest.warns(UserWarning, match="missing values"):
            pm.Normal("y", mu, sigma, observed=np.array([1.0, np.nan, 2.0, 3.5, 0.2]))
    return model


def _no_data():
    with pm.Model() as model:
        pm.Normal("x", 0.0, 1.0)
    return model


def _simplex():
    with pm.Model(coords={"colour": ["red", "green", "blue"]}) as model:
        share = pm.Dirichlet("share", np.array([1.0, 2.0, 3.0]), dims="colour")
        pm.Multinomial("seen", n=60, p=share, observed=np.array([10, 20, 30]))
    return model


def _fixed():
    with pm.Model() as model:
        pm.Binomial("heads", n=20, p=0.5, observed=13)
    return model


OTHERS = {
    "fixed": _fixed,
    "labels": _labels,
    "discrete": _infinite,
    "imputed": _imputed,
    "no data": _no_data,
    "simplex": _simplex,
}
_SHORT = wb.Settings(draws=200, tune=200, prior_draws=100, replicates=100)
_MADE = {}


def _study(name):
    if name in FILES:
        return studies.study(name)
    if name == "eight schools":
        return studies.eight_schools()
    if name not in _MADE:
        _MADE[name] = wb.Study(OTHERS[name](), seed=1, settings=_SHORT)
    return _MADE[name]


def _answer_or_refusal(question, study):
    try:
        return QUESTIONS[question](study)
    except wb.RefusalError as error:
        return error


def _check_result(answer):
    assert isinstance(answer, Result)
    assert isinstance(answer.table(), pd.DataFrame)
    assert len(answer.table())
    assert answer.title in repr(answer)
    assert "<table" in answer._repr_html_()
    assert all(check.code in CATALOGUE for check in answer.checks)
    assert all(check.fix for check in answer.checks if check.status == "failed")
    again = result_from_json(answer.to_json())
    assert type(again) is type(answer)
    assert again.to_json() == answer.to_json()


@pytest.mark.parametrize("question", [pytest.param(q, marks=pytest.mark.slow) if q in LONG else q for q in QUESTIONS])
@pytest.mark.parametrize("name", [*FILES, "eight schools", *OTHERS])
def test_every_question_is_answered_whole_or_refused_with_a_remedy(name, question, monkeypatch):
    study = _study(name)
    monkeypatch.setattr(nested, "_LIVE", 30)  # what is looked at here is the form of an answer
    monkeypatch.setattr(nested, "_LIVE_PER_DIMENSION", 4)
    monkeypatch.setattr(nested, "_RUNS", 2)
    answer = _answer_or_refusal(question, study)
    if isinstance(answer, wb.RefusalError):
        assert answer.what
        assert answer.where
        assert answer.fix
        return
    if question in TREES:
        assert isinstance(answer, xr.DataTree)
        group = "prior" if "prior" in question else "posterior"
        assert all(np.all(np.isfinite(variable.values)) for variable in answer[group].values())
    else:
        _check_result(answer)


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("name", FILES)
def test_model_files_refuse_nothing_but_latent_variables_that_they_do_not_have(name, question):
    if question == "likelihood.latents":
        with pytest.raises(wb.RefusalError):
            QUESTIONS[question](_study(name))
        return
    assert QUESTIONS[question](_study(name)) is not None


@pytest.mark.parametrize(
    ("name", "question", "reason"),
    [
        ("height_as_normal", "likelihood.latents", "no latent"),
        ("eight schools", "posterior.grid", "dimensions"),
        ("discrete", "likelihood.maximum", "discrete"),
        ("discrete", "evidence.estimate", "discrete"),
        ("discrete", "posterior.laplace", "discrete"),
        ("no data", "likelihood.maximum", "no data"),
        ("no data", "evidence.bridge", "no data"),
        ("no data", "information", "no data"),
        ("no data", "posterior.predictive", "no data"),
    ],
)
def test_what_is_not_known_is_refused_by_name(name, question, reason):
    with pytest.raises(wb.RefusalError, match=reason):
        QUESTIONS[question](_study(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FILES, "eight schools", *OTHERS])
def test_answers_hold_every_question_of_the_report(name):
    found = _study(name).answers()
    assert set(found) - {"evidence.sequential"} == set(QUESTIONS) - set(TREES) - set(ON_REQUEST)
    assert ("evidence.sequential" in found) == ("evidence.sequential" in _study(name)._kept)
    for answer in found.values():
        assert isinstance(answer, Result)
        if isinstance(answer, Refusal):
            assert answer.fix


@pytest.mark.parametrize("name", FILES)
def test_the_same_seed_gives_the_same_answers(name):
    first = studies.study(name)
    second = wb.load(studies.MODELS / f"{name}.py", seed=1)
    # Another order of questions: seeds belong to questions, not to their order.
    bridge = second.evidence.bridge()
    assert bridge.to_json() == first.evidence.bridge().to_json()
    assert second.posterior.predictive().to_json() == first.posterior.predictive().to_json()
