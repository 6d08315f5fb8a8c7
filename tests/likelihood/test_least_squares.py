"""Least squares behind the maximum of a Normal likelihood whose columns are nearly combinations of each other.

Data and certified answers: NIST StRD, linear regression, Filip (Filippelli), Wampler4 and Wampler5; nonlinear
regression, Lanczos1.
"""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import workbench as wb
from workbench.errors import NoMaximumError, RefusalError
from workbench.likelihood.least_squares import solved
from workbench.numerics.optimise import climb

pytestmark = pytest.mark.slow  # every model is compiled

# fmt: off
FILIP_X = np.array([
    -6.860120914, -4.324130045, -4.358625055, -4.358426747, -6.955852379, -6.661145254, -6.355462942, -6.118102026,
    -7.115148017, -6.815308569, -6.519993057, -6.204119983, -5.853871964, -6.109523091, -5.79832982, -5.482672118,
    -5.171791386, -4.851705903, -4.517126416, -4.143573228, -3.709075441, -3.499489089, -6.300769497, -5.953504836,
    -5.642065153, -5.031376979, -4.680685696, -4.329846955, -3.928486195, -8.56735134, -8.363211311, -8.107682739,
    -7.823908741, -7.522878745, -7.218819279, -6.920818754, -6.628932138, -6.323946875, -5.991399828, -8.781464495,
    -8.663140179, -8.473531488, -8.247337057, -7.971428747, -7.676129393, -7.352812702, -7.072065318, -6.774174009,
    -6.478861916, -6.159517513, -6.835647144, -6.53165267, -6.224098421, -5.910094889, -5.598599459, -5.290645224,
    -4.974284616, -4.64454848, -4.290560426, -3.885055584, -3.408378962, -3.13200249, -8.726767166, -8.66695597,
    -8.511026475, -8.165388579, -7.886056648, -7.588043762, -7.283412422, -6.995678626, -6.691862621, -6.392544977,
    -6.067374056, -6.684029655, -6.378719832, -6.065855188, -5.752272167, -5.132414673, -4.811352704, -4.098269308,
    -3.66174277, -3.2644011,
])
FILIP_Y = np.array([
    0.8116, 0.9072, 0.9052, 0.9039, 0.8053, 0.8377, 0.8667, 0.8809, 0.7975, 0.8162, 0.8515, 0.8766, 0.8885, 0.8859,
    0.8959, 0.8913, 0.8959, 0.8971, 0.9021, 0.909, 0.9139, 0.9199, 0.8692, 0.8872, 0.89, 0.891, 0.8977, 0.9035,
    0.9078, 0.7675, 0.7705, 0.7713, 0.7736, 0.7775, 0.7841, 0.7971, 0.8329, 0.8641, 0.8804, 0.7668, 0.7633, 0.7678,
    0.7697, 0.77, 0.7749, 0.7796, 0.7897, 0.8131, 0.8498, 0.8741, 0.8061, 0.846, 0.8751, 0.8856, 0.8919, 0.8934,
    0.894, 0.8957, 0.9047, 0.9129, 0.9209, 0.9219, 0.7739, 0.7681, 0.7665, 0.7703, 0.7702, 0.7761, 0.7809, 0.7961,
    0.8253, 0.8602, 0.8809, 0.8301, 0.8664, 0.8834, 0.8898, 0.8964, 0.8963, 0.9074, 0.9119, 0.9228,
])
FILIP_CERTIFIED = {  # estimate and standard deviation, with n - k in the denominator of the residual variance
    'B0': (-1467.4896142298, 298.084530995537),
    'B1': (-2772.17959193342, 559.77986547495),
    'B2': (-2316.37108160893, 466.477572127796),
    'B3': (-1127.97394098372, 227.204274477751),
    'B4': (-354.478233703349, 71.6478660875927),
    'B5': (-75.1242017393757, 15.28971787474),
    'B6': (-10.8753180355343, 2.23691159816033),
    'B7': (-1.06221498588947, 0.221624321934227),
    'B8': (-0.0670191154593408, 0.0142363763154724),
    'B9': (-0.00246781078275479, 0.000535617408889821),
    'B10': (-4.02962525080404e-05, 8.96632837373868e-06),
}
# fmt: on
WAMPLER_NOISE = 100.0 * np.array(
    [
        759.0,
        -2048.0,
        2048.0,
        -2048.0,
        2523.0,
        -2048.0,
        2048.0,
        -2048.0,
        1838.0,
        -2048.0,
        2048.0,
        -2048.0,
        1838.0,
        -2048.0,
        2048.0,
        -2048.0,
        2523.0,
        -2048.0,
        2048.0,
        -2048.0,
        759.0,
    ]
)  # fmt: skip
WAMPLER_ERRORS = {  # certified for Wampler5, a hundredth of them for Wampler4: the noise is a hundredth
    "b0": 21523262.467817, "b1": 23635517.3469681, "b2": 7793435.24331583, "b3": 1014755.0755035,
    "b4": 56456.6512170752, "b5": 1123.24854679312,
}  # fmt: skip

LANCZOS_Y = np.array([  # at x = 0, 0.05, ...: three exponentials, rounded to thirteen digits
    2.5134, 2.044333373291, 1.668404436564, 1.366418021208, 1.123232487372, 0.9268897180037, 0.7679338563728,
    0.6388775523106, 0.5337835317402, 0.4479363617347, 0.377584788435, 0.3197393199326, 0.2720130773746,
    0.2324965529032, 0.1996589546065, 0.1722704126914, 0.1493405660168, 0.1300700206922, 0.1138119324644,
    0.1000415587559, 0.0883320908454, 0.0783354401935, 0.06976693743449, 0.06239312536719,
])  # fmt: skip
LANCZOS_CERTIFIED = {  # by rate: height, its standard deviation, rate, its standard deviation
    1: (0.095100000027, 5.3347304234e-11, 1.0000000001, 2.7473038179e-10),
    3: (0.86070000013, 1.3576062225e-10, 3.0000000002, 3.3308253069e-10),
    5: (1.5575999998, 1.8815731448e-10, 5.0000000001, 1.1057500538e-10),
}


def powers(x, k):
    return np.stack([x**j for j in range(k)], axis=1)


def regression(columns, y, width=1.0, offset=0.0):
    """Scalars b0, b1, ... with priors that say nothing, and a common factor sigma of the standard deviations."""
    with pm.Model() as model:
        b = [pm.Flat(f"b{j}") for j in range(columns.shape[1])]
        mean = pm.Deterministic("mean", offset + sum(c * column for c, column in zip(b, columns.T, strict=True)))
        pm.Normal("y", mean, pm.HalfFlat("sigma", initval=np.std(y)) * width, observed=y)
    return wb.Study(model, seed=1)


def scalars(dataset, k):
    return np.array([float(dataset[f"b{j}"]) for j in range(k)])


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_wampler_4_and_5_to_nine_digits_where_normal_equations_leave_six(scale):
    x = np.arange(21.0)
    columns = powers(x, 6)
    study = regression(columns, columns.sum(axis=1) + scale * WAMPLER_NOISE)
    mode = study.likelihood.maximum()
    # The certified coefficients are 1; up to 2e7 standard errors of 1 lie between them and 0.
    assert scalars(mode.theta, 6) == pytest.approx(np.ones(6), rel=5e-9)
    certified = np.array(list(WAMPLER_ERRORS.values())) * scale / 100.0 * np.sqrt(15 / 21)
    assert scalars(mode.std_error, 6) == pytest.approx(certified, rel=1e-12)
    # Profile bounds in closed form: RSS over its minimum is exp(cut / n) there.
    half = certified * np.sqrt(21 * np.expm1(stats.chi2.ppf(0.95, 1) / 21))
    found = study.likelihood.profile("b0", "b5")
    assert found.upper - 1.0 == pytest.approx(half[[0, 5]], rel=1e-6)


def test_filip_in_raw_powers_to_the_digits_that_powers_in_double_precision_hold():
    study = regression(powers(FILIP_X, 11), FILIP_Y)
    mode = study.likelihood.maximum()
    estimate, error = np.array(list(FILIP_CERTIFIED.values())).T
    # Rounding of x^k moves the exact solution by 4e-8; so QR in double precision and 80 bits end at the same digits.
    assert scalars(mode.theta, 11) == pytest.approx(estimate, rel=1e-7)
    assert scalars(mode.std_error, 11) == pytest.approx(error * np.sqrt(71 / 82), rel=1e-6)
    assert mode.certificate.grade == "ok"
    # Fitted values and their errors do not depend on the columns: exact by orthogonal ones.
    q = np.linalg.qr(powers((FILIP_X - FILIP_X.mean()) / FILIP_X.std(), 11))[0]
    fitted = q @ (q.T @ FILIP_Y)
    sigma = np.sqrt(np.mean((FILIP_Y - fitted) ** 2))
    assert float(mode.theta["sigma"]) == pytest.approx(sigma, rel=1e-8)
    assert mode.theta["mean"].values == pytest.approx(fitted, rel=1e-9)
    # Slopes are differences of sums whose terms cancel to a millionth.
    assert mode.std_error["mean"].values == pytest.approx(sigma * np.linalg.norm(q, axis=1), rel=1e-3)
    for ask in (
        study.likelihood.errors,
        study.likelihood.bootstrap,
        lambda: study.likelihood.profile("b0"),
        lambda: study.likelihood.test("b0", 0.0),
        lambda: study.likelihood.contour("b0", "b1"),
    ):
        with pytest.raises(RefusalError, match="QR decomposition of the columns") as refusal:
            ask()
        assert "centre and scale" in refusal.value.fix


def test_known_proportions_of_the_widths_and_a_known_part_of_the_mean():
    x = np.linspace(10.0, 11.0, 40)
    generator = np.random.default_rng(3)
    width, offset = generator.uniform(0.5, 2.0, 40), 7.0 * np.sin(x)
    columns = powers(x, 5)
    y = offset + 2.0 * (x - 10.5) + width * generator.normal(0.0, 0.1, 40)
    mode = regression(columns, y, width, offset).likelihood.maximum()
    q, _ = np.linalg.qr(powers(x - 10.5, 5) / width[:, None])
    fitted = offset + width * (q @ (q.T @ ((y - offset) / width)))
    sigma = np.sqrt(np.mean(((y - fitted) / width) ** 2))
    assert mode.theta["mean"].values == pytest.approx(fitted, rel=1e-10)
    assert float(mode.theta["sigma"]) == pytest.approx(sigma, rel=1e-9)
    assert mode.std_error["mean"].values == pytest.approx(sigma * width * np.linalg.norm(q, axis=1), rel=1e-4)
    # The top coefficient is the same in centred powers, and has an error from the last diagonal of their R.
    centred = np.linalg.qr(powers(x - 10.5, 5) / width[:, None])[1]
    assert float(mode.std_error["b4"]) == pytest.approx(sigma / abs(centred[-1, -1]), rel=1e-6)


def test_a_standard_deviation_that_grows_with_another_parameter_is_left_to_the_climb():
    x = np.linspace(10.0, 10.2, 60)
    y = 1.0 + 0.3 * x + (0.01 + 0.02 * (x - 10.0)) * np.random.default_rng(5).normal(size=60)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0, 100), pm.Normal("b", 0, 10)
        log_width = pm.Normal("g", -4, 2) + pm.Normal("h", 0, 10) * (x - 10.1)
        pm.Normal("y", a + b * x, pm.math.exp(log_width), observed=y)
    mode = wb.Study(model, seed=1).likelihood.maximum()
    weights = np.exp(-float(mode.theta["g"]) - float(mode.theta["h"]) * (x - 10.1))
    columns = powers(x - 10.1, 2) * weights[:, None]
    slope = np.linalg.lstsq(columns, weights * y)[0][1]
    assert float(mode.theta["b"]) == pytest.approx(slope, rel=1e-7)
    # Where the widths move with h the errors of a and b are not those of least squares, and the scores of h enter.
    z = (y - float(mode.theta["a"]) - float(mode.theta["b"]) * x) * weights
    moved = np.stack([weights, weights * x], axis=1)
    away = np.stack([np.ones(60), x - 10.1], axis=1)
    cross = 2 * (moved * z[:, None]).T @ away
    information = np.block([[moved.T @ moved, cross], [cross.T, 2 * (away * (z**2)[:, None]).T @ away]])
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert [float(mode.std_error[label]) for label in "abgh"] == pytest.approx(errors, rel=1e-5)


def test_columns_that_not_even_qr_tells_apart_are_refused():
    x = np.linspace(1000.0, 1001.0, 50)
    with pytest.raises(NoMaximumError):
        regression(powers(x, 6), np.sin(x)).likelihood.maximum()


@pytest.mark.parametrize("case", ["curve", "tiny width", "straight line"])
def test_what_is_left_to_the_climb(case):
    x = np.linspace(10.0, 10.2, 30)
    y = 1.0 + 0.3 * x + 0.01 * np.cos(40 * x)
    with pm.Model() as model:
        a, b = pm.Flat("a", initval=1.0), pm.Flat("b", initval=0.3)
        mean = pm.math.exp(a + b * x - 4.0) + 3.0 if case == "curve" else a + b * x
        # Means of 4 hold about 4e-16: beside a width of 1e-14 that is a twentieth of a standard error.
        pm.Normal("y", mean, 1e-14 if case == "tiny width" else 0.01, observed=y)
    problem = wb.Study(model, seed=1).problem
    end = climb(problem.objective, np.array([1.0, 0.3]))
    assert end.curvature.eigenvalues[0] < 1e-4
    assert (solved(problem, [end])[0] is end) == (case != "straight line")


_DEEP = pytest.mark.deep


@pytest.mark.parametrize(
    "start",
    [
        (1.2, 0.3, 5.6, 5.5, 6.5, 7.6),
        pytest.param((0.5, 0.7, 3.6, 4.2, 4.0, 6.3), marks=_DEEP),
        pytest.param(None, marks=_DEEP),
    ],
)
def test_lanczos_1_whose_residuals_are_350_times_the_rounding_of_a_number(start):
    x, answers = 0.05 * np.arange(24), (0.0951, 1.0, 0.8607, 3.0, 1.5576, 5.0)
    with pm.Model() as model:
        b = [
            pm.Normal(
                f"b{k + 1}", 0.0 if start is None else start[k], 10 * abs(answers[k] if start is None else start[k])
            )
            for k in range(6)
        ]
        mean = sum(b[k] * pm.math.exp(-b[k + 1] * x) for k in (0, 2, 4))
        pm.Normal("y", mean, pm.HalfNormal("sigma", 10.0 * LANCZOS_Y.std()), observed=LANCZOS_Y)
    study = wb.Study(model, seed=1)
    mode = study.likelihood.maximum()
    assert float(mode.theta["b2"]) < float(mode.theta["b4"]) < float(mode.theta["b6"])  # as the starts are
    for k in (1, 3, 5):
        height, height_error, rate, rate_error = LANCZOS_CERTIFIED[round(float(mode.theta[f"b{k + 1}"]))]
        assert float(mode.theta[f"b{k}"]) == pytest.approx(height, rel=1e-9)
        assert float(mode.theta[f"b{k + 1}"]) == pytest.approx(rate, rel=1e-9)
        # Errors hold as many digits as the residuals do, which are 2e-14 to 2e-13 in numbers near 1.
        errors = [float(mode.std_error[f"b{j}"]) for j in (k, k + 1)]
        assert errors == pytest.approx(np.array([height_error, rate_error]) * np.sqrt(18 / 24), rel=5e-3)
    found = {check.code: check for check in mode.certificate.checks}["gradient-zero"]
    assert found.status == "caution"
    assert "rounding of the mean" in found.message
    assert 0 < np.sqrt(2 * mode.certificate.edm) < 0.03
    with pytest.raises(RefusalError, match="near the rounding of the mean"):
        study.likelihood.profile("b1")


def test_a_curve_that_fits_to_rounding_stays_unbounded():
    x = 0.05 * np.arange(24)
    with pm.Model() as model:
        a, b = pm.Normal("a", 1.0, 10.0), pm.Normal("b", 1.0, 10.0)
        pm.Normal("y", a * pm.math.exp(-b * x), pm.HalfNormal("sigma", 1.0), observed=2.5 * np.exp(-1.25 * x))
    with pytest.raises(NoMaximumError) as refusal:
        wb.Study(model, seed=1).likelihood.maximum()
    assert refusal.value.kind == "unbounded"
