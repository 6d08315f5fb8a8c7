"""Log densities in forms that keep their digits where PyTensor's own rewrites do not see how.

The weights 1 - p and p of a zero-inflated count are joined before their log is taken, so that nothing shows that p is a
sigmoid: where it rounds to 1 the log of 1 - p would be -inf, and its gradient not a number. And the normalisation of a
Student t, log Gamma((nu + 1) / 2) - log Gamma(nu / 2), is the difference of two large numbers when nu is large: at
nu = 1e14 nothing is left of it, and the likelihood of a hundred observations is off by dozens of nats. There both are
taken by Stirling's series, log Gamma(x) = (x - 1/2) log x - x + log(2 pi) / 2 + 1 / (12 x) - 1 / (360 x^3) + ..., whose
difference for x = y + d is

    (y - 1/2) log(1 + d / y) + d log x - d + [1 / (12 x) - 1 / (360 x^3)] - [1 / (12 y) - 1 / (360 y^3)].

The probability that a count is above a limit, as one that is truncated there needs it, is 1 minus the incomplete gamma
or beta function that is the probability of the others: where that is near 1 nothing is left of it. There the function
of the other tail, P(a, x) = 1 - Q(a, x) or I_x(a, b) = 1 - I_(1 - x)(b, a), says it to the last digit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytensor.scalar as ps
import pytensor.tensor as pt
from pytensor.graph.basic import Apply, Constant, Variable, equal_computations
from pytensor.scalar.math import BetaInc, GammaInc, GammaIncC
from pytensor.tensor.basic import Join, MakeVector
from pytensor.tensor.elemwise import DimShuffle, Elemwise

from workbench.model.rebuilding import rebuilt

_LARGE = 1e3  # from here on the first term left out, 1 / (1260 x^5), is below 1e-18


def _made_by(variable: Variable, kind: type) -> bool:
    """Whether a variable is made by an elementwise operation of this kind."""
    owner = variable.owner
    return owner is not None and isinstance(owner.op, Elemwise) and isinstance(owner.op.scalar_op, kind)


def _gap(x: Variable, y: Variable) -> Variable:
    """X - y, without rounding where the graph shows what it is, as for (nu + 1) / 2 and nu / 2."""
    if _made_by(x, ps.TrueDiv) and _made_by(y, ps.TrueDiv):
        (over, below), (other, same) = x.owner.inputs, y.owner.inputs
        if equal_computations([below], [same]):
            return _gap(over, other) / below
    if _made_by(x, ps.Add):
        rest = [addend for addend in x.owner.inputs if addend is not y]
        if len(rest) == len(x.owner.inputs) - 1:
            return sum(rest[1:], rest[0])
    return x - y


def _subtracted(first: Variable, second: Variable, gap: Variable | None = None) -> Variable:
    """Log Gamma(x) - log Gamma(y) from the two, by the series where both are large; x - y may be known better."""
    x, y = first.owner.inputs[0], second.owner.inputs[0]
    # What is not chosen has to be a number too, or its gradient would spoil that of the other.
    u, v = pt.maximum(x, _LARGE), pt.maximum(y, _LARGE)
    d = _gap(x, y) if gap is None else gap
    rest = [1.0 / (12.0 * w) - 1.0 / (360.0 * w**3) for w in (u, v)]
    series = (v - 0.5) * pt.log1p(d / v) + d * pt.log(u) - d + rest[0] - rest[1]
    return pt.switch(pt.and_(x > _LARGE, y > _LARGE), series, first - second)


def _log_beta(variable: Variable) -> list[Variable] | None:
    """The log Gammas of x, y and x + y in log Beta(x, y) = log Gamma(x) + log Gamma(y) - log Gamma(x + y); or None."""
    if not _made_by(variable, ps.Sub) or not _made_by(variable.owner.inputs[0], ps.Add):
        return None
    parts = [*variable.owner.inputs[0].owner.inputs, variable.owner.inputs[1]]
    if len(parts) != 3 or not all(_made_by(part, ps.GammaLn) for part in parts):
        return None
    (x,), (y,), (both,) = (part.owner.inputs for part in parts)
    return parts if _made_by(both, ps.Add) and equal_computations([both], [x + y]) else None


def _log_betas_apart(node: Apply) -> Variable | None:
    """Log Beta(x + k, y + m) - log Beta(x, y), and what is added to it, as three differences of log Gammas; or None.

    Of two that are large nothing is left of their difference: a beta-binomial at the limit of no overdispersion.
    """
    below = _log_beta(node.inputs[1])
    first = list(node.inputs[0].owner.inputs) if _made_by(node.inputs[0], ps.Add) else [node.inputs[0]]
    place = next((k for k, addend in enumerate(first) if _log_beta(addend) is not None), None)
    if below is None or place is None:
        return None
    above = _log_beta(first[place])
    assert above is not None
    gaps = [_gap(above[k].owner.inputs[0], below[k].owner.inputs[0]) for k in (0, 1)]
    x, y, both = (_subtracted(a, b, d) for a, b, d in zip(above, below, (*gaps, gaps[0] + gaps[1]), strict=True))
    return sum(first[:place] + first[place + 1 :], x + y - both)


def in_stable_forms(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs with logs of joined parts and differences of log Gammas in forms that keep their digits.

    Parameters
    ----------
    graphs : sequence of pytensor variables

    Returns
    -------
    list of pytensor variables
    """

    def stable(node: Apply, inputs: list[Variable]) -> Variable | None:
        if not isinstance(node.op, Elemwise):
            return None
        joined = inputs[0].owner
        if isinstance(node.op.scalar_op, ps.Log) and joined is not None and isinstance(joined.op, Join | MakeVector):
            return joined.op(*(pt.log(part) for part in joined.inputs))
        if isinstance(node.op.scalar_op, ps.Sub) and (apart := _log_betas_apart(node)) is not None:
            return apart
        if isinstance(node.op.scalar_op, ps.Sub) and _made_by(inputs[1], ps.GammaLn):
            first = list(inputs[0].owner.inputs) if _made_by(inputs[0], ps.Add) else [inputs[0]]
            place = next((k for k, addend in enumerate(first) if _made_by(addend, ps.GammaLn)), None)
            if place is not None:
                return sum(first[:place] + first[place + 1 :], _subtracted(first[place], inputs[1]))
        return None

    return rebuilt(graphs, stable)


def _other_than(share: Variable) -> Variable:
    """One minus a share, without rounding where the graph shows what that is."""
    inner = share
    while inner.owner is not None and isinstance(inner.owner.op, DimShuffle):
        inner = inner.owner.inputs[0]
    if _made_by(share, ps.Sub) and isinstance(one := share.owner.inputs[0], Constant) and np.all(one.data == 1):
        return share.owner.inputs[1]
    if _made_by(inner, ps.Sigmoid):
        return rebuilt([share], lambda node, _: None if node is not inner.owner else pt.sigmoid(-node.inputs[0]))[0]
    return 1.0 - share


def _log_of_the_other_tail(log_share: Variable) -> Variable | None:
    """Log of one minus a probability, from the log of an incomplete gamma or beta function; None for any other."""
    if isinstance(log_share, Constant) and np.all((log_share.data == 0.0) | np.isneginf(log_share.data)):
        return pt.constant(np.where(log_share.data == 0.0, -np.inf, 0.0))  # a probability of 1, or of 0
    if _made_by(log_share, ps.Switch):
        holds, *cases = log_share.owner.inputs
        others = [_log_of_the_other_tail(case) for case in cases]
        return None if others[0] is None or others[1] is None else pt.switch(holds, *others)
    share = log_share.owner.inputs[0] if _made_by(log_share, ps.Log) else log_share
    if _made_by(share, GammaIncC):
        return pt.log(pt.gammainc(*share.owner.inputs))
    if _made_by(share, GammaInc):
        return pt.log(pt.gammaincc(*share.owner.inputs))
    if _made_by(share, BetaInc):
        a, b, x = share.owner.inputs
        return pt.log(pt.betainc(b, a, _other_than(x)))
    return None


def with_both_tails(graphs: Sequence[Variable]) -> list[Variable]:
    """The same graphs with log(1 - p) of an incomplete gamma or beta function taken from that of the other tail.

    Parameters
    ----------
    graphs : sequence of pytensor variables
        In stable form, in which such a log is an operation of its own.

    Returns
    -------
    list of pytensor variables
    """

    def other_tail(node: Apply, inputs: list[Variable]) -> Variable | None:
        return _log_of_the_other_tail(inputs[0]) if _made_by(node.outputs[0], ps.Log1mexp) else None

    return rebuilt(graphs, other_tail)
