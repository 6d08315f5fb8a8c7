"""The maximum of the likelihood.

    theta-hat = argmax_theta log p(y given theta)

No prior term and no Jacobian takes part, so the answer is the same under every reparametrisation; the prior only says
where to start and, through its support, where theta may be. A maximum that does not exist is refused by name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.errors import RefusalError
from workbench.model.anatomy import Anatomy, require
from workbench.model.density import LIKELIHOOD, LogDensity
from workbench.model.mode import Mode, find_mode


def maximise_likelihood(
    density: LogDensity, anatomy: Anatomy, starts: NDArray[np.float64], level: float = 0.95
) -> Mode:
    """The maximum likelihood estimate with standard errors and a certificate.

    Parameters
    ----------
    density : LogDensity
    anatomy : Anatomy
    starts : ndarray, shape (m, d)
        Points on z to climb from.
    level : float
        Probability of the Wald intervals in the table.

    Returns
    -------
    Mode
        Of kind ``MLE``. Standard errors come from the observed information, by the delta method in theta.

    Raises
    ------
    RefusalError
        If the model has latent, ambiguous or discrete variables or a potential without a side; or if the likelihood
        has no maximum: it is flat, or keeps rising towards an edge or infinity.
    NumericalError
        If the likelihood is finite at none of the starts.

    References
    ----------
    Fisher, R. A. (1922). On the mathematical foundations of theoretical statistics. doi:10.1098/rsta.1922.0009
    """
    require(anatomy, "likelihood maximum")
    mode = find_mode(density, LIKELIHOOD, "MLE", starts, level)
    if mode.no_error:
        failed = [check for check in mode.checks if check.status == "failed"]
        raise RefusalError(
            f"the likelihood has no maximum: {mode.no_error}", "likelihood", failed[0].fix if failed else ""
        )
    return mode
