"""Why the posterior differs from the maximum of the likelihood: one rule a cause.

A cause is named only where it is measured; several can act at once:

prior pull           the maximum of likelihood times prior lies elsewhere than the maximum of the likelihood
boundary             the maximum is at the edge of the support, or so near that its Wald interval crosses it
skew                 the posterior is asymmetric, and its mean lies on the long side of its mode
several modes        the optimiser found more than one maximum, and posterior averages may mix them
weak identification  the likelihood is flat, or the posterior is about as wide as the prior
few data             few observations a parameter, or few groups: the normal approximation is not there yet
latent integration   a latent variable was estimated at fixed parameters; the posterior averages over them
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from workbench.errors import Absence

CAUSES = (
    "prior pull", "boundary", "skew", "several modes", "weak identification", "few data", "latent integration",
)  # fmt: skip
AGREE = 0.1  # standard errors within which two numbers are called the same
_SHARE = 0.3  # of the difference: a step that makes up less is not called its cause
_WIDTH = 0.1  # relative difference of posterior sd and standard error that is visible
_SKEW = 0.25  # skewness of the posterior that is visible
_FEW = 10.0  # observations a parameter, or groups
_SAID_NOTHING = 0.1  # contraction below which the posterior is hardly narrower than the prior
_WIDER = -0.5  # and below which it is another distribution: data far out in the prior, or a variance without limit
_AT_BOUND = ("at infinity", "unbounded", "moving support", "edge")  # kinds of an absent maximum
_REACH = stats.norm.ppf(0.975)  # standard errors of a 95% Wald interval


@dataclass(frozen=True)
class Measures:
    """What was measured of one scalar; in standard errors of the MLE where nothing else is said.

    Attributes
    ----------
    label : str
    mle, error : float
        Maximum of the likelihood and its standard error, NaN where there is none.
    mean, sd, mcse : float
        Of the posterior.
    shift, pull, asymmetry : float
        (mean - MLE), (MAP - MLE), (mean - MAP).
    skewness : float
    contraction : float
        1 - (posterior sd / prior sd)^2; NaN where the prior has no draws.
    support : (float, float)
        Edges of the support.
    at_edge : bool
        Whether the MLE is at one of them.
    latent : bool
        Whether it is a latent variable, or depends on one.
    """

    label: str
    mle: float
    error: float
    mean: float
    sd: float
    mcse: float
    shift: float
    pull: float
    asymmetry: float
    skewness: float
    contraction: float
    support: tuple[float, float]
    at_edge: bool
    latent: bool

    @property
    def differs(self) -> bool:
        """Whether mean or spread differ visibly from the MLE and its error."""
        moved = abs(self.shift) >= AGREE + 3 * self.mcse / self.error
        return bool(moved or abs(self.sd / self.error - 1.0) > _WIDTH)


def find_causes(
    m: Measures, observations_a_parameter: float, groups: float, modes: int, absence: Absence | None
) -> list[str]:
    """The causes of the difference of one scalar.

    Parameters
    ----------
    m : Measures
    observations_a_parameter : float
    groups : float
        Values of the latent variable that has the fewest; infinite where there is none. What stands above them is known
        from so many values, however many observations each of them has.
    modes : int
        Distinct maxima found.
    absence : str or None
        What stands instead of a maximum of the likelihood.

    Returns
    -------
    list of str
        Of `CAUSES`, in their order; empty where nothing differs.
    """
    if np.isnan(m.mle):
        return ["weak identification"] if absence == "flat" else ["boundary"] if absence in _AT_BOUND else []
    if m.at_edge or np.isnan(m.error):
        return ["boundary"] if m.at_edge else []
    if not m.differs:
        return []
    moved = max(abs(m.shift), AGREE)
    skewed = abs(m.skewness) > _SKEW and (np.isnan(m.asymmetry) or abs(m.asymmetry) >= _SHARE * moved)
    pulled = bool(abs(m.pull) >= max(_SHARE * moved, AGREE)) or (m.pull == m.pull and m.sd < (1 - _WIDTH) * m.error)
    near = m.mle - _REACH * m.error < m.support[0] or m.mle + _REACH * m.error > m.support[1]
    wide = m.sd > (1 + _WIDTH) * m.error
    rules = {
        "prior pull": pulled and not m.latent,
        "boundary": near,
        "skew": skewed,
        "several modes": modes > 1,
        "weak identification": _WIDER < m.contraction < _SAID_NOTHING,
        "few data": (observations_a_parameter < _FEW and (skewed or wide)) or (groups < _FEW and wide),
        "latent integration": m.latent,
    }
    return [cause for cause in CAUSES if rules[cause]]


def in_words(m: Measures, causes: list[str]) -> str:
    """The causes of one scalar in words, with the measured numbers.

    Parameters
    ----------
    m : Measures
    causes : list of str
        As `find_causes` gives them.

    Returns
    -------
    str
    """
    if np.isnan(m.mle):
        return f"no MLE to compare with{': ' + causes[0] if causes else ''}"
    if m.at_edge:
        return f"boundary: the MLE is at the edge of its support, {m.mle:.6g}; the posterior averages over the inside"
    if np.isnan(m.error):
        return "no standard error to compare with"
    if not m.differs:
        noise = ", within the Monte Carlo error" if abs(m.shift) >= AGREE else ""
        return f"they agree: {abs(m.shift):.2f} standard errors apart{noise}"
    ratio, past = (
        m.sd / m.error,
        "" if np.isnan(m.asymmetry) else f", its mean lies {m.asymmetry:+.2f} se past its mode",
    )
    said = (
        f"took {100 * m.contraction:.0f}% of the prior variance"
        if m.contraction >= 0
        else f"left {1 - m.contraction:.2g} times the prior variance"
    )
    words = {
        "prior pull": f"the prior moves the maximum by {m.pull:+.2f} se and leaves {ratio:.2f} of its error",
        "boundary": "the Wald interval crosses the edge of the support",
        "skew": f"the posterior is skewed (skewness {m.skewness:+.2f}){past}",
        "several modes": "more than one maximum was found",
        "weak identification": f"the data {said}",
        "few data": "too few observations a parameter, or groups, for the normal approximation",
        "latent integration": "the estimate fixes the parameters, the posterior averages over them",
    }
    found = "; ".join(f"{cause}: {words[cause]}" for cause in causes)
    return found or f"{abs(m.shift):.2f} standard errors apart, spread {ratio:.2f} of the MLE's, of no measured cause"
