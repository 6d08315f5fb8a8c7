"""One theta walked through Bayes' theorem, term by term.

log p(theta given y) = log p(y given theta) + log p(theta) - log p(y)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from workbench.model.density import LogDensity
from workbench.result import Result


@dataclass(frozen=True, repr=False, eq=False)
class Point(Result):
    """The terms of the theorem at one theta, in nats.

    Attributes
    ----------
    theta : dict of str to object
        The values that were given.
    log_prior, log_likelihood : dict of str to float
        By free variable; by observed variable. Potentials count on their side.
    log_jacobian : float
        log abs det d theta / d z: what the density on z has beside these.
    log_joint : float
        Sum of all priors and likelihoods.
    log_evidence, evidence_error : float
        Log p(y) and its standard error; NaN while it is not known.
    """

    theta: dict[str, Any]
    log_prior: dict[str, float]
    log_likelihood: dict[str, float]
    log_jacobian: float
    log_joint: float
    log_evidence: float
    evidence_error: float
    title: ClassVar[str] = "the theorem at one point"

    def __post_init__(self) -> None:
        total = sum(self.log_prior.values()) + sum(self.log_likelihood.values())
        if np.isfinite(total) and not np.isclose(total, self.log_joint, rtol=1e-10, atol=1e-10):
            raise ValueError(f"the terms add up to {total}, not to the log joint density {self.log_joint}")

    @property
    def log_posterior(self) -> float:
        """Log posterior density at theta, nats; NaN while the evidence is not known."""
        return self.log_joint - self.log_evidence

    def table(self) -> pd.DataFrame:
        """One row a term, from the prior to the posterior."""
        rows = [(f"log p({name})", value, "prior") for name, value in self.log_prior.items()]
        rows += [(f"log p({name} | theta)", value, "likelihood") for name, value in self.log_likelihood.items()]
        rows.append(("log p(y, theta)", self.log_joint, "joint: the sum of the rows above"))
        if not np.isnan(self.log_evidence):
            rows.append(("- log p(y)", 0.0 - self.log_evidence, "evidence"))
            rows.append(("log p(theta | y)", self.log_posterior, "posterior density: joint - evidence"))
        frame = pd.DataFrame(rows, columns=["term", "nats", "what it is"]).set_index("term")
        frame.insert(1, "log10", frame["nats"] / np.log(10))
        return frame

    def notes(self) -> list[str]:
        """The Jacobian, if there is one, and how to get the evidence if it is missing."""
        values = ", ".join(f"{name} = {value}" for name, value in self.theta.items())
        lines = [f"at {values}"]
        if self.log_jacobian != 0.0:
            lines.append(f"on the unconstrained z the log Jacobian {self.log_jacobian:.6g} nats counts too")
        if np.isnan(self.log_evidence):
            lines.append("log p(y) is not known yet: ask study.evidence.estimate() first")
        return lines + super().notes()


def walk_through(density: LogDensity, theta: Mapping[str, Any], evidence: tuple[float, float] | None) -> Point:
    """Every term of the theorem at one theta.

    Parameters
    ----------
    density : LogDensity
    theta : mapping of str to array_like
        A value for every free variable, in the model's own units.
    evidence : (value, std_error) or None
        Log p(y) in nats, if it is known.

    Returns
    -------
    Point

    Raises
    ------
    InputError
        If a name is unknown or missing, a shape is wrong, or a value lies outside its support.
    RefusalError
        If a potential has no side.
    """
    z = density.space.z(theta)
    log_prior, log_likelihood, log_jacobian = density.sums(z)
    terms = density.terms(z)
    prior = {name: float(array[0]) for name, array in terms.log_prior.items()}
    likelihood = {name: float(array[0].sum()) for name, array in terms.log_likelihood.items()}
    for name, array in terms.potential.items():
        side = likelihood if density.potentials[name] == "likelihood" else prior
        side[name] = float(array[0])
    value, error = (float("nan"), float("nan")) if evidence is None else evidence
    given = {name: np.asarray(v).tolist() for name, v in theta.items()}
    joint = float(log_prior[0] + log_likelihood[0])
    return Point((), given, prior, likelihood, float(log_jacobian[0]), joint, value, error)
