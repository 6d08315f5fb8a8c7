"""Whether the evidence exists: every term of the joint density has to be a normalised density with a side.

    p(y) = integral of p(y given theta) p(theta) d theta

An improper prior has no normaliser, so the integral is known only up to an unknown constant; a potential without a
side may or may not belong to the prior; a discrete variable is a sum, not an integral. Each is refused by name.
"""

from __future__ import annotations

from workbench.errors import RefusalError
from workbench.model.anatomy import Anatomy, require


def audit(anatomy: Anatomy) -> None:
    """Refuse the evidence of a model for which the number does not exist or is not known.

    Parameters
    ----------
    anatomy : Anatomy

    Raises
    ------
    RefusalError
        For an improper prior, a discrete variable, a potential that is not part of the likelihood, or no data.
    """
    require(anatomy, "evidence estimate")
    for name in anatomy.named("potential"):
        if "likelihood" not in anatomy.variables[name]["why"]:
            raise RefusalError(
                f"the potential {name!r} is part of the prior, whose normaliser is then unknown",
                name,
                "write it as a normalised distribution (pm.CustomDist), or declare it as likelihood if it is data",
            )
