"""Studies that are made once a session, and the closed forms of the two models on real data."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
from scipy import stats
from scipy.special import betaln, digamma, gammaln

import workbench as wb

MODELS = Path(__file__).parents[1] / "models"


@cache
def study(name):
    """The study of a model file, seed 1; answers are kept, so tests share them."""
    return wb.load(MODELS / f"{name}.py", seed=1)


@cache
def eight_schools():
    """Rubin's eight schools, non-centred: a latent vector, ten dimensions."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfCauchy("tau", 5.0)
        eta = pm.Normal("eta", shape=8)
        theta = pm.Deterministic("theta", mu + tau * eta)
        pm.Normal(
            "y",
            theta,
            np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0]),
            observed=np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]),
        )
    return wb.Study(model, seed=1)


def coin_truth():
    """Everything about the pooled coin in closed form: Beta(50, 50) prior, binomial rows."""
    table = pd.read_csv(MODELS / "data" / "coin_tosses.csv")
    k, n = table["same_side"].sum(), table["tosses"].sum()
    a, b = 50.0, 50.0
    ways = np.sum(gammaln(table["tosses"] + 1) - gammaln(table["same_side"] + 1)
                  - gammaln(table["tosses"] - table["same_side"] + 1))  # fmt: skip
    posterior = stats.beta(a + k, b + n - k)
    log_evidence = float(ways + betaln(a + k, b + n - k) - betaln(a, b))
    fit = float(ways + k * (digamma(a + k) - digamma(a + b + n)) + (n - k) * (digamma(b + n - k) - digamma(a + b + n)))
    return {
        "k": int(k),
        "n": int(n),
        "mle": k / n,
        "std_error": float(np.sqrt(k / n * (1 - k / n) / n)),
        "map": (a + k - 1) / (a + b + n - 2),
        "posterior": posterior,
        "log_evidence": log_evidence,
        "fit": fit,
        "kl": fit - log_evidence,
    }


def heights():
    """The observations of the height model, cm."""
    return pd.read_csv(MODELS / "data" / "heights.csv")["height"].to_numpy()
