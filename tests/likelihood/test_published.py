"""Published maximum likelihood fits, reproduced from their data."""

import numpy as np
import pymc as pm
import pytest

import workbench as wb

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`


def _budworm():
    """Collett 1991; Venables and Ripley, MASS (4th ed.) 7.2: moths killed of 20, by log2 dose and sex."""
    dose = np.array([0.0, 1, 2, 3, 4, 5] * 2)
    killed = np.array([1, 4, 9, 13, 18, 20, 0, 2, 6, 10, 12, 16])
    sex = np.repeat([1, 0], 6)
    with pm.Model(coords={"sex": ["F", "M"]}) as model:
        level = pm.Normal("level", 0.0, 10.0, dims="sex")
        slope = pm.Normal("slope", 0.0, 10.0)
        pm.Deterministic("ld50", -level / slope, dims="sex")
        pm.Binomial("killed", n=20, logit_p=level[sex] + slope * dose, observed=killed)
    return wb.Study(model, seed=1)


def _horse_kicks():
    """Poisson counts of horse kicks (von Bortkiewicz 1898): the maximum is the mean, 122 deaths in 200 corps-years."""
    with pm.Model() as model:
        rate = pm.Exponential("rate", 1.0)
        pm.Poisson("deaths", rate, observed=np.repeat([0, 1, 2, 3, 4], [109, 65, 22, 3, 1]))
    return wb.Study(model, seed=1)


def test_budworm_logistic_regression_matches_r():
    # R 4.2.2, glm(family = binomial): coefficients, standard errors, log likelihood, AIC.
    found = _budworm().likelihood.maximum()
    table = found.table()
    expected = {"level[F]": (-3.47315530708714, 0.468520379202049), "level[M]": (-2.37241194409178, 0.385510854965631),
                "slope": (1.06421396991937, 0.131077489527272)}  # fmt: skip
    for label, (estimate, error) in expected.items():
        assert table.loc[label, "MLE"] == pytest.approx(estimate, rel=1e-9)
        assert table.loc[label, "std_error"] == pytest.approx(error, rel=1e-6)
    assert found.log_likelihood == pytest.approx(-18.4337326168227, abs=1e-9)
    assert found.aic == pytest.approx(42.8674652336454, abs=1e-9)
    wald = found.interval(0.95)
    assert wald.loc["slope"].to_list() == pytest.approx([0.807306811261989, 1.32112112857675], rel=1e-6)


def test_budworm_lethal_dose_has_the_published_delta_method_error():
    # MASS dose.p: log2 dose that kills half of the females, 3.2636 with standard error 0.2298.
    table = _budworm().likelihood.maximum().table()
    assert table.loc["ld50[F]", "MLE"] == pytest.approx(3.26358740371568, rel=1e-9)
    assert table.loc["ld50[F]", "std_error"] == pytest.approx(0.229753865076835, rel=1e-6)


def test_horse_kick_rate_is_the_mean_with_its_poisson_error():
    table = _horse_kicks().likelihood.maximum().table()
    assert table.loc["rate", "MLE"] == pytest.approx(122 / 200, abs=1e-10)
    assert table.loc["rate", "std_error"] == pytest.approx(np.sqrt(122 / 200 / 200), rel=1e-6)


def test_gehan_censored_weibull_matches_r():
    # Gehan 1965, MASS 13.2: remission times in weeks, + censored. R survreg(dist = "weibull").
    control = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
    treated = [6, 6, 6, 7, 10, 13, 16, 22, 23]
    still_well = [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35]
    time = np.array([*control, *treated, *still_well], dtype=float)
    bound = np.where(np.arange(42) < 30, np.inf, time)
    is_control = (np.arange(42) < 21).astype(float)
    with pm.Model() as model:
        intercept = pm.Normal("intercept", 0.0, 10.0)
        effect = pm.Normal("effect", 0.0, 10.0)
        scale = pm.HalfNormal("scale", 10.0)
        weibull = pm.Weibull.dist(alpha=1 / scale, beta=pm.math.exp(intercept + effect * is_control))
        pm.Censored("time", weibull, lower=None, upper=bound, observed=time)
    table = wb.Study(model, seed=1).likelihood.maximum().table()
    assert table.loc["intercept", "MLE"] == pytest.approx(3.51568694649582, rel=1e-7)
    assert table.loc["effect", "MLE"] == pytest.approx(-1.26733458741908, rel=1e-7)
    assert np.log(table.loc["scale", "MLE"]) == pytest.approx(-0.311709220931072, rel=1e-6)
    assert table.loc["intercept", "std_error"] == pytest.approx(0.251781019724644, rel=1e-5)
    assert table.loc["effect", "std_error"] == pytest.approx(0.310639935975678, rel=1e-5)
