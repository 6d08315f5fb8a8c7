"""Every number that a user may turn, with its unit, its default and the reason for the default."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TypeGuard

from workbench.errors import InputError


def _is_number(value: object) -> TypeGuard[Real]:
    return isinstance(value, Real) and not isinstance(value, bool)


@dataclass(frozen=True)
class Settings:
    """The numbers behind a study; every one has a default that is safe to leave alone.

    Parameters
    ----------
    chains : int
        Markov chains. Four are needed for R-hat and for an evidence error from splits by chain.
    draws : int
        Draws a chain after warm-up.
    tune : int
        Warm-up draws a chain, discarded.
    target_accept : float
        Mean acceptance probability that NUTS aims at, in (0, 1).
    level : float
        Probability of every interval, in (0, 1).
    prior_draws : int
        Draws from the prior and the prior predictive.
    starts : int
        Starting points of an optimisation at most: the model's own, the rest from the prior. It stops when four climbs
        are done and two of them end equally high.
    replicates : int
        Replicated data sets of the posterior predictive check.
    evidence_error : float
        Error of the log evidence, nats, at which the bridge stops drawing from its proposal. A fiftieth of a nat is 2%
        of a Bayes factor.

    Raises
    ------
    InputError
        If a number lies outside its range.
    """

    chains: int = 4
    draws: int = 1000
    tune: int = 1000
    target_accept: float = 0.8
    level: float = 0.95
    prior_draws: int = 1000
    starts: int = 16
    replicates: int = 1000
    evidence_error: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("target_accept", "level"):
                good, wanted = _is_number(value) and 0.0 < float(value) < 1.0, "a number between 0 and 1"
            elif field.name == "evidence_error":
                good, wanted = _is_number(value) and 0.0 < float(value) < float("inf"), "a positive number of nats"
            else:
                whole = isinstance(value, Integral) and not isinstance(value, bool)
                good, wanted = whole and value >= 1, "a whole number of at least 1"
            if not good:
                raise InputError(f"{field.name} is {value!r}", "settings", f"give {wanted}")
