"""Whether the evidence exists: every term of the joint density has to be a normalised density with a side.

    p(y) = integral of p(y given theta) p(theta) d theta

An improper prior has no normaliser, so the integral is known only up to an unknown constant; a potential without a
side may or may not belong to the prior; a discrete variable is a sum, not an integral. Each is refused by name.
"""

from __future__ import annotations

from workbench.model.anatomy import Anatomy, require


def require_evidence(anatomy: Anatomy, question: str = "evidence estimate") -> None:
    """Refuse the evidence of a model for which the number does not exist or is not known.

    Parameters
    ----------
    anatomy : Anatomy
    question : str
        What was asked, to be named in the refusal.

    Raises
    ------
    RefusalError
        For a prior that is improper or cut short by a transformation, a discrete variable, a potential that is not
        part of the likelihood, or no data.
    """
    require(anatomy, question)
