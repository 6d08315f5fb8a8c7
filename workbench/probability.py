"""Finite probability, spelled out: joint distributions with named axes, Bayes' theorem, and information.

When a question has finitely many outcomes, all that can be said about it stands in one table: the joint
distribution p(x, y), one number per combination, none negative, together one. Summing over what is not asked
gives a marginal, p(x) = sum_y p(x, y); dividing by what is known gives a conditional,
p(y | x) = p(x, y) / p(x). One joint in its two orders, p(theta) p(y | theta) = p(y) p(theta | y), is already
Bayes' theorem::

    p(theta | y)  =  p(y | theta) * p(theta) / p(y)
    posterior        likelihood     prior      evidence

An outcome of probability p carries the information -log p: none if it is certain, the sum of both if it is
two independent ones. Its average is the entropy, and the other quantities compare such averages. All are exact
to rounding, so that approximate answers can be held against them.

Axes and outcomes are found by name and label, never by position. A quantity of information is in nats, or in
bits with ``base="bits"`` (1 bit = log 2 = 0.693 nats); its `p` and `q` are a `Distribution` or an array of
probabilities of any shape. 0 * log 0 is 0. Everywhere, what is not a distribution, or names an axis or an
outcome that does not exist, is refused with an `InputError`, which is a `ValueError`.

References
----------
Cover, T. M. and Thomas, J. A. (2006). Elements of Information Theory, 2nd ed., here "CT",
https://doi.org/10.1002/047174882X. MacKay, D. J. C. (2003). Information Theory, Inference, and Learning
Algorithms, chapters 2 and 8, https://www.inference.org.uk/mackay/itila/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import entr, rel_entr, xlogy

from workbench.errors import InputError

type Axes = str | Sequence[str]
type Base = Literal["nats", "bits"]
NATS_PER_UNIT = {"nats": 1.0, "bits": math.log(2.0)}
# Ten correct digits pass and a mistyped one does not; the rounding of a million terms stays far below.
TOTAL_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Distribution:
    """Joint distribution over named axes of labelled outcomes: p(x, y, ..) >= 0, together one.

    Parameters
    ----------
    probabilities : xarray.DataArray, shape (K_1, .., K_m)
        One dimension per axis, with K_j labels for its outcomes. Copied, and read-only afterwards.

    Raises
    ------
    InputError
        If an axis or a label is missing, a label stands twice, or the numbers are not a distribution.
    """

    probabilities: xr.DataArray

    def __post_init__(self) -> None:
        """Check the table and keep a read-only copy of it."""
        table = self.probabilities
        values = _checked(table.values, f"axes {table.dims}")
        coords = {axis: table[axis].values if axis in table.coords else () for axis in table.dims}
        if not coords or any(not 0 < len(column) == len(set(column)) for column in coords.values()):
            raise InputError("An axis needs one label per outcome, all different.", f"labels {coords}")
        values.flags.writeable = False
        object.__setattr__(
            self, "probabilities", xr.DataArray(values, coords, table.dims, name="probability")
        )

    @classmethod
    def from_table(cls, table: Mapping[Any, float], axes: Axes, *, normalised: bool = True) -> Distribution:
        """Distribution from {outcome: p}, or from {(outcome of x, outcome of y): p} for several axes.

        What is not listed has probability zero. With ``normalised=False`` the numbers are weights of any total.

        Raises
        ------
        InputError
            If an outcome does not fit the axes, or the numbers are not a distribution.

        Examples
        --------
        >>> Distribution.from_table({"+": 0.1, "-": 0.9}, "test")
        Distribution over test
        +    0.1
        -    0.9
        """
        names = _names(axes)
        keys = [(key,) if isinstance(axes, str) else key for key in table]
        for key in keys:
            if not isinstance(key, tuple) or len(key) != len(names) or any(isinstance(k, tuple) for k in key):
                raise InputError("An outcome needs one label for each axis.", f"{key!r} for axes {names}")
        labels = [list(dict.fromkeys(key[j] for key in keys)) for j in range(len(names))]
        values = np.zeros([len(column) for column in labels], dtype=object)
        for key, number in zip(keys, table.values(), strict=True):
            values[tuple(column.index(k) for column, k in zip(labels, key, strict=True))] = number
        if not normalised:
            values = _checked(values, f"axes {names}", total=None)
            values = values / _positive(values.sum(), "the total of the weights")
        # Labels of several types stay what they are; NumPy would turn 1 beside "a" into "1".
        dtypes = [object if len({type(k) for k in column}) > 1 else None for column in labels]
        coords = [np.array(column, dtype=dtype) for column, dtype in zip(labels, dtypes, strict=True)]
        return cls(xr.DataArray(values, coords, names))

    @classmethod
    def from_counts(cls, counts: Mapping[Any, int], axes: Axes) -> Distribution:
        """Relative frequencies of counts, given as in `from_table`: p(x) = count(x) / sum of the counts.

        Raises
        ------
        InputError
            If a count is negative or not whole, all are zero, or an outcome does not fit the axes.

        Examples
        --------
        >>> Distribution.from_counts({"heads": 3, "tails": 1}, "coin").probability(coin="heads")
        0.75
        """
        numbers = _checked(list(counts.values()), "the counts", total=None)
        if not np.array_equal(numbers, np.floor(numbers)):
            raise InputError("A count is not whole.", f"{numbers}", "Use from_table(.., normalised=False).")
        return cls.from_table(counts, axes, normalised=False)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return tuple(str(axis) for axis in self.probabilities.dims)

    def __repr__(self) -> str:
        """Axes and probabilities as a table."""
        series = self.probabilities.to_series().rename_axis([None] * len(self.axes))
        return f"Distribution over {', '.join(self.axes)}\n{series.to_string()}"

    def probability(self, **outcome: Hashable) -> float:
        """Probability of an outcome of some axes, the others summed out: p(x) = sum_y p(x, y)."""
        return float(_select(self.probabilities, outcome).sum())

    def marginal(self, *axes: str) -> Distribution:
        """Marginal distribution of some axes, in the order asked: p(x) = sum_y p(x, y)."""
        return Distribution(_sum_to(self.probabilities, axes))

    def conditional(self, *axes: str, given: Mapping[str, Hashable]) -> Distribution:
        """Conditional distribution of some axes once others are known: p(y | x) = p(x, y) / p(x).

        Raises
        ------
        InputError
            If an axis is on both sides, or what is given has probability zero.
        """
        row = _sum_to(_select(self.probabilities, given), axes)
        return Distribution(row / _positive(row.values.sum(), f"given {given}"))

    def expectation(self, f: Callable[..., float]) -> float:
        """Mean value of f, in its unit: E[f] = sum_x p(x) f(x).

        f takes the label of a single axis, or the labels of several as keywords; only those with p > 0.

        Raises
        ------
        InputError
            If f is NaN at a possible outcome.

        Examples
        --------
        >>> joint = Distribution.from_counts({(1, 5): 1, (2, 6): 1}, ("first", "second"))
        >>> joint.expectation(lambda first, second: first + second)
        7.0
        """
        possible = [(labels, p) for labels, p in self.probabilities.to_series().items() if p > 0]
        if len(self.axes) == 1:
            terms = [p * f(label) for label, p in possible]
        else:
            terms = [p * f(**dict(zip(self.axes, labels, strict=True))) for labels, p in possible]
        if np.isnan(terms).any():
            raise InputError("f is NaN at a possible outcome.", f"{possible[np.isnan(terms).argmax()][0]}")
        return math.fsum(terms)

    def variance(self, f: Callable[..., float]) -> float:
        """Mean squared distance of f from its mean, in its unit squared: Var[f] = E[(f - E[f])^2]."""
        mean = self.expectation(f)
        return self.expectation(lambda *label, **labels: (f(*label, **labels) - mean) ** 2)


type Probabilities = Distribution | ArrayLike


@dataclass(frozen=True, eq=False)
class BayesTheorem:
    """Terms of Bayes' theorem for one observed y: posterior * evidence = likelihood * prior."""

    prior: Distribution  # p(theta), shape (K,)
    likelihood: xr.DataArray  # p(y | theta) at the observed y, shape (K,); over theta it does not sum to one
    joint: Distribution  # p(theta, y) for every y, shape (K, J)
    evidence: float  # p(y), a probability
    posterior: Distribution  # p(theta | y), shape (K,)


def bayes(
    prior: Distribution,
    likelihood: xr.DataArray | Mapping[Any, Mapping[Any, float]],
    observed: Mapping[str, Hashable],
) -> BayesTheorem:
    """Posterior by Bayes' theorem, with every term kept: p(theta | y) = p(y | theta) p(theta) / p(y).

    Parameters
    ----------
    prior : Distribution
        p(theta), over one or several axes.
    likelihood : xarray.DataArray or mapping
        p(y | theta), over the axes of the prior and those of the data, which it sums to one over; or, if theta
        and y have one axis each, {outcome of theta: {outcome of y: p}}.
    observed : mapping
        {axis of the data: outcome}; axes of the data that were not observed are summed out.

    Raises
    ------
    InputError
        If axes or outcomes do not fit, a row of the likelihood is not a distribution, or the evidence is zero.

    Examples
    --------
    >>> prior = Distribution.from_table({"ill": 0.01, "well": 0.99}, "state")
    >>> test = {"ill": {"+": 0.9, "-": 0.1}, "well": {"+": 0.05, "-": 0.95}}
    >>> result = bayes(prior, test, observed={"test": "+"})
    >>> round(result.evidence, 4), round(result.posterior.probability(state="ill"), 4)
    (0.0585, 0.1538)
    """
    if isinstance(likelihood, Mapping):
        cells = {(theta, y): p for theta, row in likelihood.items() for y, p in row.items()}
        flat = Distribution.from_table(cells, (*prior.axes, *observed), normalised=False)
        likelihood = flat.probabilities * sum(cells.values())
    likelihood = _aligned(likelihood, prior.probabilities)
    data = [axis for axis in likelihood.dims if axis not in prior.axes]
    totals = likelihood.sum(data)
    if not data or not np.allclose(totals, 1.0, rtol=0.0, atol=TOTAL_TOLERANCE):
        raise InputError(
            "The likelihood does not sum to one over the data.", f"{totals.to_series().to_dict()}"
        )
    joint = Distribution(prior.probabilities * likelihood)
    return BayesTheorem(
        prior=prior,
        likelihood=_select(likelihood, observed).sum([axis for axis in data if axis not in observed]),
        joint=joint,
        evidence=_positive(joint.probability(**observed), f"observed {observed}"),
        posterior=joint.conditional(*prior.axes, given=observed),
    )


def information_content(p: ArrayLike, base: Base = "nats") -> np.ndarray:
    """Information content of outcomes of probability p, an array of any shape: I = -log p.

    Raises
    ------
    InputError
        If a probability is not between 0 and 1.

    Examples
    --------
    >>> information_content([1.0, 0.5, 0.125, 0.0], base="bits")
    array([ 0.,  1.,  3., inf])
    """
    values = _checked(p, "p", total=None)
    if (values > 1).any():
        raise InputError("A probability is above 1.", f"p = {values}")
    return (0.0 - xlogy(1.0, values)) / _nats_per(base)


def entropy(p: Probabilities, base: Base = "nats") -> float:
    """Shannon entropy, the mean information content: H(p) = -sum_i p_i log p_i (CT 2.1).

    Examples
    --------
    >>> entropy([0.5, 0.5], base="bits")
    1.0
    """
    return _amount(entr(_values(p)), base)


def cross_entropy(p: Probabilities, q: Probabilities, base: Base = "nats") -> float:
    """Cross-entropy, the mean information content by q of what p produces: H(p, q) = -sum_i p_i log q_i.

    Never below H(p); infinite if p produces what q holds impossible.

    Examples
    --------
    >>> round(cross_entropy([0.5, 0.5], [0.25, 0.75], base="bits"), 4)
    1.2075
    """
    return _amount(-xlogy(*_pair(p, q)), base)


def kl_divergence(p: Probabilities, q: Probabilities, base: Base = "nats") -> float:
    """Kullback-Leibler divergence of q from p, what believing q costs: KL(p || q) = sum_i p_i log(p_i / q_i).

    Zero if and only if p = q; infinite if p produces what q holds impossible; not symmetric (CT 2.26).

    Examples
    --------
    >>> round(kl_divergence([0.5, 0.5], [0.25, 0.75], base="bits"), 4)
    0.2075
    """
    return _amount(rel_entr(*_pair(p, q)), base)


def conditional_entropy(joint: Distribution, y: Axes, given: Axes, base: Base = "nats") -> float:
    """Conditional entropy, what stays unknown of y once x is given: H(Y | X) = H(X, Y) - H(X) (CT 2.14).

    Examples
    --------
    >>> conditional_entropy(Distribution.from_counts({(0, 0): 1, (1, 1): 1}, ("x", "y")), "y", given="x")
    0.0
    """
    both, known = joint.marginal(*_names(given), *_names(y)), joint.marginal(*_names(given))
    return _amount(-rel_entr(*xr.broadcast(both.probabilities, known.probabilities)), base)


def mutual_information(joint: Distribution, x: Axes, y: Axes, base: Base = "nats") -> float:
    """Mutual information, what x and y tell of each other: I(X; Y) = KL(p(x, y) || p(x) p(y)) (CT 2.28).

    Zero if and only if x and y are independent; symmetric.

    Examples
    --------
    >>> mutual_information(Distribution.from_counts({(0, 0): 1, (1, 1): 1}, ("x", "y")), "x", "y", base="bits")
    1.0
    """
    both = joint.marginal(*_names(x), *_names(y))
    product = joint.marginal(*_names(x)).probabilities * joint.marginal(*_names(y)).probabilities
    return kl_divergence(both, Distribution(product), base)


def perplexity(p: Probabilities, q: Probabilities | None = None) -> float:
    """Perplexity, how many equally likely outcomes are as uncertain: exp H(p), or exp H(p, q) if q is given.

    Examples
    --------
    >>> round(perplexity([0.25, 0.25, 0.25, 0.25]), 12)
    4.0
    """
    return math.exp(entropy(p) if q is None else cross_entropy(p, q))


def _nats_per(base: Base) -> float:
    if base not in NATS_PER_UNIT:
        raise InputError("Unknown unit of information.", f"base={base!r}", "Use 'nats' or 'bits'.")
    return NATS_PER_UNIT[base]


def _amount(terms: np.ndarray, base: Base) -> float:
    """Sum of terms in nats, in the unit asked; none of the quantities is negative but by rounding."""
    return max(0.0, float(np.sum(terms))) / _nats_per(base)


def _names(axes: Axes) -> tuple[str, ...]:
    return (axes,) if isinstance(axes, str) else tuple(axes)


def _checked(values: ArrayLike, where: str, total: float | None = 1.0) -> np.ndarray:
    """Copy of the numbers as float64, if they are finite, not negative, and of the given total."""
    try:
        numbers = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("A probability is not a number.", where) from error
    for fault, wrong in (("not finite", ~np.isfinite(numbers)), ("negative", numbers < 0)):
        if wrong.any():
            raise InputError(f"A probability is {fault}: {numbers[wrong][0]}.", where)
    if total is not None and abs(numbers.sum() - total) > TOTAL_TOLERANCE:
        fix = "Correct them, or use from_table(.., normalised=False) for weights."
        raise InputError(f"The probabilities add up to {numbers.sum():.12g}, not to {total}.", where, fix)
    return numbers


def _positive(probability: float, where: str) -> float:
    if not probability > 0:
        raise InputError("The probability is zero, so nothing follows from it.", where)
    return float(probability)


def _select(table: xr.DataArray, outcome: Mapping[str, Hashable]) -> xr.DataArray:
    """Part of the table at the named outcomes, without their axes."""
    for axis, label in outcome.items():
        labels = table[axis].values.tolist() if axis in table.dims else []
        if label not in labels:
            raise InputError(
                f"There is no outcome {axis} = {label!r}.", f"axes {table.dims}, labels {labels}"
            )
        table = table.isel({axis: labels.index(label)}, drop=True)
    return table


def _sum_to(table: xr.DataArray, axes: tuple[str, ...]) -> xr.DataArray:
    """Table over the named axes only, in their order, the others summed out."""
    if not axes or len(set(axes)) < len(axes) or not set(axes) <= set(table.dims):
        raise InputError("The axes asked for do not fit.", f"{axes}", f"Name each once, out of {table.dims}.")
    return table.sum([axis for axis in table.dims if axis not in axes]).transpose(*axes)


def _aligned(table: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Table with the axes of `like` first and their outcomes in the same order as there."""
    for axis in like.dims:
        labels = table[axis].values.tolist() if axis in table.coords else []
        wanted = like[axis].values.tolist()
        if len(labels) != len(wanted) or set(labels) != set(wanted):
            raise InputError(f"The outcomes of axis {axis!r} differ.", f"{labels} and {wanted}")
        table = table.isel({axis: [labels.index(label) for label in wanted]})
    return table.transpose(*like.dims, ...)


def _values(p: Probabilities) -> np.ndarray:
    return p.probabilities.values if isinstance(p, Distribution) else _checked(p, "the array")


def _pair(p: Probabilities, q: Probabilities) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of p and q, matched by label if both have labels and by place otherwise."""
    if isinstance(p, Distribution) and isinstance(q, Distribution):
        q = _aligned(q.probabilities, p.probabilities)
    left, right = _values(p), _values(q)
    if left.shape != right.shape:
        raise InputError("The two distributions differ in shape.", f"{left.shape} and {right.shape}")
    return left, right
