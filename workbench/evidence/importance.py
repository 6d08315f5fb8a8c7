"""The evidence as the likelihood averaged over draws from the prior: simple importance sampling.

    p(y) = E_prior[p(y given theta)]  ~  mean_s p(y given theta_s),   theta_s from the prior

It shares nothing with the posterior draws, so it sees modes that the chains missed. It is useful only while the data
teach little: the number of prior draws that count falls like exp(-KL), and below a hundred the average is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.special import logsumexp

from workbench.errors import RefusalError
from workbench.numerics.objective import Vector
from workbench.result import Result

_ENOUGH = 100.0  # draws that count; with fewer, the tail of the weights decides and the error is not known


@dataclass(frozen=True, repr=False, eq=False)
class PriorAverage(Result):
    """The likelihood averaged over prior draws.

    Attributes
    ----------
    log_evidence, std_error : float
        Nats.
    effective : float
        Number of draws that count, (sum w)^2 / sum w^2 (Kong 1992).
    """

    log_evidence: float
    std_error: float
    effective: float
    title: ClassVar[str] = "log evidence by averaging over the prior"

    def table(self) -> pd.DataFrame:
        """The estimate, its error and the draws that count."""
        columns = {
            "log_evidence": [self.log_evidence],
            "std_error": [self.std_error],
            "draws that count": [self.effective],
        }
        return pd.DataFrame(columns, index=["prior average"])


def average_over_prior(log_likelihood: Vector) -> PriorAverage:
    """The log of the mean likelihood over draws from the prior.

    Parameters
    ----------
    log_likelihood : ndarray, shape (m,)
        At independent draws from the prior, nats; ``-inf`` is allowed.

    Returns
    -------
    PriorAverage

    Raises
    ------
    RefusalError
        If fewer than a hundred draws count.
    """
    m = len(log_likelihood)
    total = logsumexp(log_likelihood)
    effective = float(np.exp(2 * total - logsumexp(2 * log_likelihood))) if np.isfinite(total) else 0.0
    if not effective >= _ENOUGH:
        raise RefusalError(
            f"only {effective:.0f} of {m} prior draws count: the data teach too much for an average over the prior",
            "evidence",
            "use the bridge or the grid",
        )
    # Relative variance of a mean: (m / effective - 1) / m by the delta method.
    return PriorAverage((), float(total - np.log(m)), float(np.sqrt(1.0 / effective - 1.0 / m)), effective)
