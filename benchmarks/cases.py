"""The models that are measured: each can be built afresh, on other data, and with flat priors.

A flat prior turns PyMC's maximum of the joint density into the maximum of the likelihood. Libraries are imported
inside the functions, so that the names of the models cost nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm

    Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One model.

    Attributes
    ----------
    file : str
        The model file, from the root of the checkout.
    table, columns : str, tuple of str
        Its data file, and the columns that `build` takes; both empty where the data are inside the model file.
    observed : str
        Name of the observed variable, which is also its column.
    has_maximum : bool
        Whether the likelihood as a function of every free variable has a maximum, so that flat priors make sense.
    """

    file: str
    table: str
    columns: tuple[str, ...]
    observed: str
    has_maximum: bool


CASES = {
    "height_as_normal": Case("models/height_as_normal.py", "models/data/heights.csv", ("height",), "height", True),
    "coin_bias": Case("models/coin_bias.py", "models/data/coin_tosses.csv", ("same_side", "tosses"), "same_side", True),
    "eight_schools": Case("benchmarks/eight_schools.py", "", (), "effect", False),
}


def read_columns(name: str) -> dict[str, np.ndarray]:
    """The data of a model, by column.

    Parameters
    ----------
    name : str
        One of `CASES`.

    Returns
    -------
    dict of str to ndarray, shape (n,)
    """
    import pandas as pd

    from benchmarks.processes import ROOT

    case = CASES[name]
    if not case.table:
        return {}
    table = pd.read_csv(ROOT / case.table)
    return {column: table[column].to_numpy() for column in case.columns}


def build_model(name: str, columns: Columns) -> pm.Model:
    """A model, built afresh.

    Parameters
    ----------
    name : str
        One of `CASES`.
    columns : mapping of str to ndarray, shape (n,)
    """
    module = importlib.import_module(CASES[name].file.removesuffix(".py").replace("/", "."))
    return module.build(**columns)


def build_flat(name: str, columns: Columns) -> pm.Model:
    """The same likelihood under flat priors.

    Parameters
    ----------
    name : str
        One of `CASES`.
    columns : mapping of str to ndarray, shape (n,)
    """
    import pymc as pm

    with pm.Model() as model:
        if name == "height_as_normal":
            mu, sigma = pm.Flat("mu"), pm.HalfFlat("sigma")
            pm.Normal("height", mu=mu, sigma=sigma, observed=columns["height"])
        elif name == "coin_bias":
            p = pm.Uniform("p", 0.0, 1.0)
            pm.Binomial("same_side", n=columns["tosses"], p=p, observed=columns["same_side"])
        else:
            from benchmarks.eight_schools import EFFECT, STANDARD_ERROR

            mu, tau, eta = pm.Flat("mu"), pm.HalfFlat("tau"), pm.Flat("eta", shape=8)
            gain = pm.Deterministic("gain", mu + tau * eta)
            pm.Normal("effect", mu=gain, sigma=STANDARD_ERROR, observed=EFFECT)
    return model


def build_other() -> pm.Model:
    """A model that is none of `CASES`: what a process warms up on before it meets a model that it has never seen."""
    import pymc as pm

    with pm.Model() as model:
        rate = pm.Gamma("rate", alpha=2.0, beta=1.0)
        pm.Poisson("count", mu=rate, observed=[1, 4, 2, 0, 3])
    return model
