"""Differently built PyMC models by name: `ZOO[name]()` builds one, with data drawn once from fixed seeds.

Between them they use every transformation and every way of building a model that Workbench promises to understand.
A builder that takes ``y`` can be built again on other observations; `OTHER_DATA` holds such observations. Numbers are
written as users write them (``100``, ``20.0``), because how PyTensor stores them is part of what is tested.
"""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
from numpy.typing import NDArray
from pymc.distributions import transforms
from pymc.exceptions import ImputationWarning

MODELS = Path(__file__).parents[1] / "models"
MODEL_FILES = tuple(sorted(path.stem for path in MODELS.glob("*.py")))


def _normals(seed: int, *shape: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


HEIGHTS = 170.0 + 8.0 * _normals(1, 40)
EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])  # eight schools (Rubin 1981), points
EFFECT_ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
COVARIATES = _normals(2, 60, 3)
OUTCOMES = (_normals(3, 60) < COVARIATES @ [1.0, -0.5, 0.25]).astype(int)
VECTORS = _normals(4, 6, 3)
OBSERVED: dict[str, NDArray] = {
    "bounded": _normals(5, 5),
    "dependent_bounds": np.array([0.4, 1.1, 2.5]),
    "simplex": np.array([10, 20, 5, 15]),
    "ordered": np.array([0, 1, 2, 3, 1, 2]),
    "potential": np.array([4.8, 5.3]),
    "truncated": np.array([1.0, 2.0, 9.0]),
    "censored": np.array([1.0, 2.0, 3.0, 3.0]),
    "mixture": _normals(6, 10),
    "mvnormal": _normals(7, 5, 2),
    "autoregression": _normals(8, 12),
    "shared": _normals(9, 20),
    "labelled": _normals(11, 9),
    "zero_sum": _normals(12, 8),
    "circular": np.array([0.3, -0.2, 1.0]),
    "heavy": _normals(13, 30),
}


def coin(y: int = 61) -> pm.Model:
    """Heads in 100 tosses under a flat Beta prior: every answer has a closed form."""
    with pm.Model() as model:
        p = pm.Beta("p", alpha=1, beta=1)
        pm.Binomial("heads", n=100, p=p, observed=y)
    return model


def height(y: NDArray = HEIGHTS) -> pm.Model:
    """Mean and standard deviation of a Normal."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 170, 20)
        sigma = pm.HalfNormal("sigma", 20)
        pm.Normal("height", mu, sigma, observed=y)
    return model


def bounded(y: NDArray = OBSERVED["bounded"]) -> pm.Model:
    """Bounded and positive supports; PyTensor's narrow integers overflow in the Beta density."""
    with pm.Model() as model:
        a = pm.Uniform("a", -100, 100)
        b = pm.Beta("b", 100, 100)
        c = pm.Gamma("c", 20.0, 3.0)
        pm.Normal("y", a * b, c, observed=y)
    return model


def dependent_bounds(y: NDArray = OBSERVED["dependent_bounds"]) -> pm.Model:
    """An interval whose upper end is another free variable: the Jacobian depends on both."""
    with pm.Model() as model:
        top = pm.Exponential("top", 0.1)
        inside = pm.Uniform("inside", 0, top)
        pm.Normal("y", inside, 1, observed=y)
    return model


def simplex(y: NDArray = OBSERVED["simplex"]) -> pm.Model:
    """Proportions on a simplex, one coordinate fewer than elements."""
    with pm.Model() as model:
        w = pm.Dirichlet("w", a=np.ones(4))
        pm.Multinomial("counts", n=50, p=w, observed=y)
    return model


def ordered(y: NDArray = OBSERVED["ordered"]) -> pm.Model:
    """Increasing cutpoints of an ordered regression."""
    with pm.Model() as model:
        cuts = pm.Normal("cuts", 0, 3, shape=3, transform=transforms.ordered, initval=[-1.0, 0.0, 1.0])
        eta = pm.Normal("eta", 0, 1)
        pm.OrderedLogistic("answer", eta=eta, cutpoints=cuts, observed=y)
    return model


def cholesky(y: NDArray = VECTORS) -> pm.Model:
    """A covariance matrix by its Cholesky factor, with deterministic correlations and deviations."""
    with pm.Model() as model:
        factor, _, _ = pm.LKJCholeskyCov("factor", n=3, eta=2, sd_dist=pm.HalfNormal.dist(1.0))
        pm.MvNormal("y", np.zeros(3), chol=factor, observed=y)
    return model


def potential(y: NDArray = OBSERVED["potential"]) -> pm.Model:
    """A term that belongs to neither side until the user says so."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 10)
        pm.Potential("pull", -abs(mu) / 2)
        pm.Normal("y", mu, 1, observed=y)
    return model


def several() -> pm.Model:
    """Two observed variables that share a parameter."""
    with pm.Model() as model:
        rate = pm.HalfCauchy("rate", 5)
        spread = pm.Exponential("spread", 2)
        pm.Poisson("count", rate, observed=np.array([1, 2, 3]))
        pm.Normal("size", rate, spread, observed=np.array([1.0, 2.0]))
    return model


def missing() -> pm.Model:
    """Two of five responses are missing and become a free variable."""
    with pm.Model() as model, warnings.catch_warnings():
        warnings.simplefilter("ignore", ImputationWarning)  # PyMC announces what is the point of this model
        mu = pm.Normal("mu", 0, 5)
        sigma = pm.HalfNormal("sigma", 3)
        pm.Normal("y", mu, sigma, observed=np.array([1.0, np.nan, 2.0, 3.0, np.nan]))
    return model


def truncated(y: NDArray = OBSERVED["truncated"]) -> pm.Model:
    """Truncation by `pm.Truncated` for the data and by `pm.TruncatedNormal` for a free variable."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        pm.TruncatedNormal("positive", mu, 1, lower=0)
        pm.Truncated("y", pm.Normal.dist(mu, 2), lower=0, upper=10, observed=y)
    return model


def censored(y: NDArray = OBSERVED["censored"]) -> pm.Model:
    """Values above 3 are recorded as 3."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 5)
        pm.Censored("y", pm.Normal.dist(mu, 2), lower=None, upper=3, observed=y)
    return model


def mixture(y: NDArray = OBSERVED["mixture"]) -> pm.Model:
    """Two Normals with their labels summed out."""
    with pm.Model() as model:
        w = pm.Dirichlet("w", [1, 1])
        mu = pm.Normal("mu", 0, 3, shape=2, transform=transforms.ordered, initval=[-1, 1])
        pm.NormalMixture("y", w=w, mu=mu, sigma=1, observed=y)
    return model


def mvnormal(y: NDArray = OBSERVED["mvnormal"]) -> pm.Model:
    """Vector-valued prior and observations: one likelihood term per row."""
    with pm.Model() as model:
        mu = pm.MvNormal("mu", np.zeros(2), cov=np.array([[2.0, 0.5], [0.5, 1.0]]))
        pm.MvNormal("y", mu, cov=np.eye(2), observed=y)
    return model


def autoregression(y: NDArray = OBSERVED["autoregression"]) -> pm.Model:
    """A time series: one likelihood term for all observations; the integer scale 36 overflows when squared."""
    with pm.Model() as model:
        rho = pm.Normal("rho", 0, 0.5, shape=2)
        sigma = pm.HalfStudentT("sigma", nu=3, sigma=36)
        pm.AR("y", rho=rho, sigma=sigma, constant=False, init_dist=pm.Normal.dist(0, 100), observed=y)
    return model


def centred() -> pm.Model:
    """Eight schools with their effects as they are."""
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        theta = pm.Normal("theta", mu, tau, dims="school")
        pm.Normal("effect", theta, EFFECT_ERRORS, observed=EFFECTS, dims="school")
    return model


def noncentred() -> pm.Model:
    """Eight schools with standardised effects."""
    with pm.Model(coords={"school": list("ABCDEFGH")}) as model:
        mu = pm.Normal("mu", 0, 5)
        tau = pm.HalfCauchy("tau", 5)
        eta = pm.Normal("eta", 0, 1, dims="school")
        theta = pm.Deterministic("theta", mu + tau * eta, dims="school")
        pm.Normal("effect", theta, EFFECT_ERRORS, observed=EFFECTS, dims="school")
    return model


def logistic(y: NDArray = OUTCOMES, x: NDArray = COVARIATES) -> pm.Model:
    """A logistic regression on three covariates."""
    with pm.Model() as model:
        beta = pm.Normal("beta", 0, 2, shape=3)
        pm.Bernoulli("y", logit_p=x @ beta, observed=y)
    return model


def shared(y: NDArray = OBSERVED["shared"]) -> pm.Model:
    """Covariates and observations in `pm.Data`."""
    with pm.Model() as model:
        x = pm.Data("x", _normals(10, 20, 2))
        data = pm.Data("data", y)
        beta = pm.Normal("beta", 0, 2, shape=2)
        sigma = pm.HalfNormal("sigma", 1)
        pm.Normal("y", pm.math.dot(x, beta), sigma, observed=data)
    return model


def labelled(y: NDArray = OBSERVED["labelled"]) -> pm.Model:
    """Named dimensions, an index into groups, and a deterministic with two axes."""
    coords = {"group": ["control", "treated", "late"], "contrast": ["first", "second"]}
    group = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    with pm.Model(coords=coords) as model:
        beta = pm.Normal("beta", 0, 2, dims="group")
        sigma = pm.LogNormal("sigma", 0, 1)
        pm.Deterministic("table", pm.math.stack([beta, 2 * beta]).T, dims=("group", "contrast"))
        pm.Normal("y", beta[group], sigma, observed=y)
    return model


def zero_sum(y: NDArray = OBSERVED["zero_sum"]) -> pm.Model:
    """Effects that sum to zero: one coordinate fewer than elements."""
    with pm.Model() as model:
        effects = pm.ZeroSumNormal("effects", sigma=2, shape=4)
        pm.Normal("y", effects[np.array([0, 1, 2, 3, 0, 1, 2, 3])], 1, observed=y)
    return model


def circular(y: NDArray = OBSERVED["circular"]) -> pm.Model:
    """A direction on the circle."""
    with pm.Model() as model:
        direction = pm.VonMises("direction", 0, 2)
        kappa = pm.Exponential("kappa", 1)
        pm.VonMises("y", direction, kappa, observed=y)
    return model


def heavy(y: NDArray = OBSERVED["heavy"]) -> pm.Model:
    """A regression with Student t errors and a matrix of coefficients."""
    with pm.Model() as model:
        b = pm.Laplace("b", 0, 1, shape=(2, 2))
        nu = pm.Gamma("nu", 2, 0.1)
        sigma = pm.HalfCauchy("sigma", 1)
        x = np.linspace(-1, 1, 30)
        pm.StudentT("y", nu=nu, mu=b[0, 0] + b[0, 1] * x + b.sum() * x**2, sigma=sigma, observed=y)
    return model


ZOO: dict[str, Callable[..., pm.Model]] = {
    builder.__name__: builder
    for builder in (
        coin,
        height,
        bounded,
        dependent_bounds,
        simplex,
        ordered,
        cholesky,
        potential,
        several,
        missing,
        truncated,
        censored,
        mixture,
        mvnormal,
        autoregression,
        centred,
        noncentred,
        logistic,
        shared,
        labelled,
        zero_sum,
        circular,
        heavy,
    )
}
SIDES = {"potential": {"pull": "prior"}}

# Other observations of the same shape, for every builder that takes `y`.
OTHER_DATA: dict[str, NDArray] = {
    "coin": np.array(38),
    "height": 165.0 + 9.0 * _normals(21, 40),
    "bounded": _normals(22, 5),
    "dependent_bounds": np.array([0.1, 0.2, 3.0]),
    "simplex": np.array([1, 40, 4, 5]),
    "ordered": np.array([3, 0, 0, 2, 2, 1]),
    "cholesky": _normals(23, 6, 3),
    "potential": np.array([-1.0, 0.5]),
    "truncated": np.array([0.5, 5.0, 6.0]),
    "censored": np.array([3.0, -2.0, 0.0, 3.0]),
    "mixture": _normals(24, 10),
    "mvnormal": _normals(25, 5, 2),
    "autoregression": _normals(26, 12),
    "logistic": 1 - OUTCOMES,
    "shared": _normals(27, 20),
    "labelled": _normals(28, 9),
    "zero_sum": _normals(29, 8),
    "circular": np.array([-3.0, 0.0, 2.0]),
    "heavy": _normals(30, 30),
}


def from_file(name: str) -> pm.Model:
    """The model of `models/<name>.py` on its own data."""
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    columns = pd.read_csv(MODELS / module.DATA)
    needed = [
        p.name for p in inspect.signature(module.build).parameters.values() if p.default is inspect.Parameter.empty
    ]
    return module.build(**{column: columns[column].to_numpy() for column in needed})


def build(name: str) -> pm.Model:
    """A model of the zoo or of the folder `models`, by name."""
    return ZOO[name]() if name in ZOO else from_file(name)


NAMES = (*ZOO, *MODEL_FILES)
