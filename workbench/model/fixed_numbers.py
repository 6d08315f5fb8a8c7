"""Numbers that are fixed in a model's distributions, and whether the distributions allow them.

PyMC states with every log density what its parameters must be, such as ``sigma > 0``. Where the parameters are numbers
this is known before anything is computed, and it is said of the variable whose numbers they are: later it would be a
log density of ``-inf``, a division by zero, or a complaint about a variable further down.
"""

from __future__ import annotations

import numpy as np
import pymc as pm
from numpy.typing import NDArray
from pymc.logprob.utils import CheckParameterValue
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.type import RandomType

from workbench.errors import RefusalError
from workbench.model.compiled import interpreted
from workbench.model.terms import SymbolicTerms, op_parameters

_SHOWN = 4  # elements of an array in a message


def is_fixed(variable: Variable) -> bool:
    """Whether a variable is made of constants and data alone.

    Parameters
    ----------
    variable : pytensor variable

    Returns
    -------
    bool
    """
    roots = (v for v in ancestors([variable]) if v.owner is None)
    return all(isinstance(v, Constant | SharedVariable) and not isinstance(v.type, RandomType) for v in roots)


def has_fixed_numbers(rv: Variable) -> bool:
    """Whether the distribution of a random variable has parameters, none of which depends on another variable.

    Parameters
    ----------
    rv : pytensor variable

    Returns
    -------
    bool
    """
    parameters = op_parameters(rv)
    return bool(parameters) and all(map(is_fixed, parameters))


def as_held(rv: Variable) -> str:
    """The distribution of a random variable with its numbers, for a message.

    Parameters
    ----------
    rv : pytensor variable

    Returns
    -------
    str
        Such as ``Normal(..., 0)``: as PyMC holds them, a rate as the scale 1 / rate; dots where they are not fixed.
    """
    with np.errstate(all="ignore"):  # a rate of 0 is a scale of 1 / 0
        shown = [_short(interpreted([], [p], stable=False)()[0]) if is_fixed(p) else "..." for p in op_parameters(rv)]
    return f"{type(rv.owner.op).__name__.removesuffix('RV')}({', '.join(shown)})"


def _short(array: NDArray) -> str:
    """A number, or the first elements of an array."""
    if np.ndim(array) == 0:
        return f"{float(array):.6g}"
    text = np.array2string(np.asarray(array, dtype=np.float64), precision=4, threshold=_SHOWN, edgeitems=2)
    return " ".join(text.split())


def refuse_impossible(model: pm.Model, symbolic: SymbolicTerms) -> None:
    """Refuse a distribution whose fixed numbers are not what it asks for, before anything is computed.

    Parameters
    ----------
    model : pm.Model
    symbolic : SymbolicTerms

    Raises
    ------
    RefusalError
        That names the variable, its numbers, and what they must be.
    """
    asked: list[tuple[str, str, Variable]] = []
    for name, graph in {**symbolic.log_prior, **symbolic.log_likelihood}.items():
        checks = [v.owner for v in ancestors([graph]) if v.owner and isinstance(v.owner.op, CheckParameterValue)]
        asked += [(name, node.op.msg, found) for node in checks for found in node.inputs[1:] if is_fixed(found)]
    if not asked:
        return
    with np.errstate(all="ignore"):
        found = interpreted([], [condition for _, _, condition in asked], stable=False)()
    for (name, needed, _), holds in zip(asked, found, strict=True):
        if not np.all(holds):
            raise RefusalError(
                f"the distribution of {name} does not exist: it needs {needed}, and is {as_held(model[name])}",
                name,
                "correct its numbers; a quantity that is known exactly is a number and needs no distribution",
            )
