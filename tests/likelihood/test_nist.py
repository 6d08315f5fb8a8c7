"""Nonlinear regressions of NIST from both official starts and from the prior, and published regressions with profiles.

The Misra1a table is written down here; the others are read from the folder of published cases beside the checkout, and
the tests say so where it is absent.
"""

import json
from pathlib import Path

import numpy as np
import pymc as pm
import pytest
from scipy.optimize import least_squares

import workbench as wb

pytestmark = pytest.mark.slow  # every model is compiled

CASES = Path(__file__).parents[3] / "shared" / "cases" / "mle"
EIGHT_DIGITS, NINE_DIGITS = 1e-8, 1e-9
ERRORS = 1e-6  # relative
CURVES = {
    "Eckerle4": lambda b, x: (b[0] / b[1]) * pm.math.exp(-(((x - b[2]) / b[1]) ** 2) / 2),
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "Misra1a": lambda b, x: b[0] * (1 - pm.math.exp(-b[1] * x)),
    "Thurber": lambda b, x: (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3),
}
# NIST StRD, Misra1a (monomolecular adsorption); certified to 11 digits, the errors from the observed information at it.
MISRA1A = {
    "parameters": ["b1", "b2", "sigma"],
    "starts": {"start1": [500.0, 0.0001], "start2": [250.0, 0.0005]},
    "data": {
        "y": [10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.4, 75.47, 81.78],
        "x": [77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1, 689.1, 760.0],
    },
    "certified": {"estimates": {"b1": 238.94212918, "b2": 0.00055015643181}},
    "derived": {
        "sigma_mle": 0.0943214068053655,
        "loglik_at_mle": 13.1895200418847,
        "se_ml_observed_information": {
            "b1": 2.5097730478787037,
            "b2": 6.737423147826683e-06,
            "sigma": 0.017825070408339458,
        },
    },
}


def published(name):
    """A published case; Misra1a from this file."""
    if name == "nist_nonlinear/Misra1a":
        return MISRA1A
    path = CASES / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"the published case {name} is not here")
    return json.loads(path.read_text(encoding="utf-8"))


def _curve(name, case, start):
    """The regression with priors ten times as wide as the start; without one, as the answer, and around 0."""
    x, y = (np.array(case["data"][axis]) for axis in "xy")
    certified = case["certified"]["estimates"]
    with pm.Model() as model:
        b = []
        for k, label in enumerate(certified):
            if start == "prior":
                b.append(pm.Normal(label, 0.0, 10.0 * abs(certified[label])))
            else:
                first = case["starts"][start][k]
                b.append(pm.Normal(label, first, 10.0 * abs(first), initval=first))
        sigma = pm.HalfNormal("sigma", 10.0 * np.std(y))
        pm.Normal("y", CURVES[name](b, x), sigma, observed=y)
    return model


@pytest.mark.parametrize("start", ["start1", "start2", "prior"])
@pytest.mark.parametrize("name", CURVES)
def test_nist_nonlinear_regressions_are_solved_from_every_start(name, start):
    case = published(f"nist_nonlinear/{name}")
    found = wb.Study(_curve(name, case, start), seed=1).likelihood.maximum()
    expected = {**case["certified"]["estimates"], "sigma": case["derived"]["sigma_mle"]}
    for label, value in expected.items():
        assert float(found.theta[label]) == pytest.approx(value, rel=NINE_DIGITS), label
    for label, error in case["derived"]["se_ml_observed_information"].items():
        assert float(found.std_error[label]) == pytest.approx(error, rel=ERRORS), label
    assert found.log_likelihood == pytest.approx(case["derived"]["loglik_at_mle"], abs=1e-8)


# NIST StRD: the same table with other curves, certified to 11 digits: curve, answer, second start.
_X = np.array(MISRA1A["data"]["x"])
MISRA1BCD = {
    "Misra1b": (lambda a, b: a * (1 - (1 + b * _X / 2) ** -2), (337.99746163, 3.9039091287e-4), (300.0, 2e-4)),
    "Misra1c": (lambda a, b: a * (1 - (1 + 2 * b * _X) ** -0.5), (636.42725809, 2.0813627256e-4), (600.0, 2e-4)),
    "Misra1d": (lambda a, b: a * b * _X / (1 + b * _X), (437.36970754, 3.0227324449e-4), (450.0, 3e-4)),
}


@pytest.mark.parametrize("start", ["start1", "start2", "prior"])
@pytest.mark.parametrize("name", MISRA1BCD)
def test_a_plateau_to_which_several_climbs_lead_is_no_maximum(name, start):
    curve, certified, second = MISRA1BCD[name]
    first = {"start1": (500.0, 1e-4), "start2": second, "prior": (None, None)}[start]
    y = np.array(MISRA1A["data"]["y"])
    with pm.Model() as model:
        a, b = (
            pm.Normal(label, at or 0.0, 10.0 * abs(at or answer), initval=at)
            for label, at, answer in zip("ab", first, certified, strict=True)
        )
        pm.Normal("y", curve(a, b), pm.HalfNormal("sigma", 10.0 * np.std(y)), observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    assert [float(found.theta[label]) for label in "ab"] == pytest.approx(certified, rel=NINE_DIGITS)


@pytest.mark.parametrize("seed", range(5))
def test_a_start_on_the_plateau_of_a_curve_finds_the_peak_whatever_the_seed(seed):
    case = published("nist_nonlinear/Eckerle4")
    found = wb.Study(_curve("Eckerle4", case, "prior"), seed=seed).likelihood.maximum()
    # (b1, b2) and (-b1, -b2) are the same curve
    assert abs(float(found.theta["b1"])) == pytest.approx(case["certified"]["estimates"]["b1"], rel=NINE_DIGITS)
    assert float(found.theta["b3"]) == pytest.approx(case["certified"]["estimates"]["b3"], rel=NINE_DIGITS)


@pytest.mark.parametrize("name", ["Norris", "Longley"])
def test_nist_linear_regressions_in_their_raw_columns(name):
    case = published(f"nist_linear/{name}")
    certified, derived = case["certified"]["estimates"], case["derived"]
    y = np.array(case["data"]["y"])
    columns = [np.ones(len(y)), *(np.array(case["data"][key]) for key in case["data"] if key != "y")]
    with pm.Model() as model:
        b = [pm.Normal(label, 0.0, 100.0 * abs(value)) for label, value in certified.items()]
        sigma = pm.HalfNormal("sigma", 10.0 * np.std(y))
        pm.Normal("y", sum(c * one for c, one in zip(b, columns, strict=True)), sigma, observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    for label, value in certified.items():
        assert float(found.theta[label]) == pytest.approx(value, rel=EIGHT_DIGITS), label
    for label, error in derived["se_ml_(observed=expected)"].items():
        assert float(found.std_error[label]) == pytest.approx(error, rel=ERRORS), label


def _gehan(case):
    data = case["data"]
    time, observed = np.array(data["time"], float), np.array(data["cens"]) == 1
    control = np.array([kind == "control" for kind in data["treat"]], float)
    with pm.Model() as model:
        intercept = pm.Normal("intercept", 0.0, 10.0)
        effect = pm.Normal("treatcontrol", 0.0, 10.0)
        log_scale = pm.Normal("log_scale", 0.0, 10.0)
        weibull = pm.Weibull.dist(pm.math.exp(-log_scale), pm.math.exp(intercept + effect * control))
        pm.Censored("time", weibull, lower=None, upper=np.where(observed, np.inf, time), observed=time)
    return model, ["intercept", "treatcontrol", "log_scale"]


def _quine(case):
    data = {key: np.array(value) for key, value in case["data"].items()}
    columns = [np.ones(len(data["Days"])), data["Eth"] == "N", data["Sex"] == "M"]
    columns += [data["Age"] == f"F{k}" for k in (1, 2, 3)] + [data["Lrn"] == "SL"]
    names = case["parameters"][:-1]
    with pm.Model(coords={"column": names}) as model:
        b = pm.Normal("b", 0.0, 10.0, dims="column")
        log_theta = pm.Normal("log_theta", 0.0, 10.0)
        mean = pm.math.exp(np.stack(columns, axis=1).astype(float) @ b)
        pm.NegativeBinomial("days", mu=mean, alpha=pm.math.exp(log_theta), observed=data["Days"])
    return model, [*(f"b[{name}]" for name in names), "log_theta"]


def _marietta(case):
    x, y = np.array(case["data"]["CRSP"]), np.array(case["data"]["m_marietta"])
    with pm.Model() as model:
        intercept, slope = pm.Normal("intercept", 0.0, 1.0), pm.Normal("CRSP", 0.0, 10.0)
        log_scale, log_df = pm.Normal("log_scale", 0.0, 10.0), pm.Normal("log_df", 0.0, 10.0)
        pm.StudentT("y", nu=pm.math.exp(log_df), mu=intercept + slope * x, sigma=pm.math.exp(log_scale), observed=y)
    return model, ["intercept", "CRSP", "log_scale", "log_df"]


@pytest.mark.parametrize("build", [_gehan, _quine, _marietta])
def test_published_regressions_with_their_profiles(build):
    name = {"_gehan": "gehan_weibull", "_quine": "quine_negbin", "_marietta": "marietta_student_t"}[build.__name__]
    case = published(f"glm/{name}")
    derived, (model, labels) = case["derived"], build(case)
    study = wb.Study(model, seed=1)
    found = study.likelihood.maximum()
    table = found.table()
    for label, key in zip(labels, derived["mle"], strict=True):
        assert table.loc[label, "MLE"] == pytest.approx(derived["mle"][key], rel=NINE_DIGITS), label
        error = derived["se_observed_information"][key]
        assert table.loc[label, "std_error"] == pytest.approx(error, rel=ERRORS), label
        lower, upper = derived["profile_likelihood_95"][key]
        profile = study.likelihood.profile(label)
        assert float(profile.lower[0]) == pytest.approx(lower, rel=ERRORS, abs=1e-7), label
        assert float(profile.upper[0]) == pytest.approx(upper, rel=ERRORS, abs=1e-7), label
    assert found.log_likelihood == pytest.approx(derived["loglik"], abs=1e-8)


def _sum_of_peaks():
    """A decay and two peaks, as NIST's Gauss2 (generated there with noise of sd 2.5): x, y and the numbers behind."""
    behind = np.array([98.0, 0.0105, 103.0, 105.0, 25.0, 72.0, 151.0, 18.0])
    x = np.arange(1.0, 251.0)
    return x, _peaks(behind, x, np) + np.random.default_rng(11).normal(0.0, 2.5, 250), behind


def _peaks(b, x, exp_of):
    exp = exp_of.exp
    return b[0] * exp(-b[1] * x) + b[2] * exp(-(((x - b[3]) / b[4]) ** 2)) + b[5] * exp(-(((x - b[6]) / b[7]) ** 2))


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3))
def test_two_peaks_that_overlap_are_found_from_priors_ten_times_as_wide(seed):
    x, y, behind = _sum_of_peaks()
    solved = least_squares(lambda b: _peaks(b, x, np) - y, behind, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    with pm.Model() as model:
        b = [pm.Normal(f"b{k}", 0.0, 10.0 * value) for k, value in enumerate(behind)]
        sigma = pm.HalfNormal("sigma", 10.0 * np.std(y))
        pm.Normal("y", _peaks(b, x, pm.math), sigma, observed=y)
    found = wb.Study(model, seed=seed).likelihood.maximum()
    least = 2.0 * solved.cost
    assert found.log_likelihood == pytest.approx(-125.0 * (np.log(2 * np.pi * least / 250) + 1.0), abs=1e-6)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(3))
def test_of_the_aliases_of_a_period_that_of_the_size_the_prior_expects_is_found(seed):
    month = np.arange(1.0, 169.0)
    angle = 2 * np.pi * month
    noise = np.random.default_rng(3).normal(0.0, 1.0, month.size)
    y = 10.0 + 3.0 * np.cos(angle / 12) + 1.5 * np.sin(angle / 44.0) + 1.5 * np.cos(angle / 27.0) + noise
    with pm.Model() as model:
        a, slow, fast = pm.Normal("a", 0.0, 100.0), pm.Normal("slow", 0.0, 440.0), pm.Normal("fast", 0.0, 270.0)
        c = [pm.Normal(f"c{k}", 0.0, 10.0) for k in range(6)]
        mean = a + c[0] * np.cos(angle / 12) + c[1] * np.sin(angle / 12)
        for k, period in ((2, slow), (4, fast)):
            mean = mean + c[k] * pm.math.cos(angle / period) + c[k + 1] * pm.math.sin(angle / period)
        pm.Normal("y", mean, pm.HalfNormal("sigma", 30.0), observed=y)
    found = wb.Study(model, seed=seed).likelihood.maximum()
    # periods of 44 and 1/(1 - 1/44) months, or of -44, are the same at whole months; and either may be the first
    assert sorted(abs(float(found.theta[name])) for name in ("slow", "fast")) == pytest.approx([27.0, 44.0], rel=0.03)
