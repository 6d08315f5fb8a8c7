"""Finite probability, spelled out: joint distributions with named axes, Bayes' theorem, and information.

When a question has finitely many outcomes, all that can be said about it stands in one table: the joint
distribution p(x, y), one number per combination, none negative, together one. Summing over what is not asked
gives a marginal, p(x) = sum_y p(x, y); dividing by what is known gives a conditional,
p(y | x) = p(x, y) / p(x). One joint in its two orders, p(theta) p(y | theta) = p(y) p(theta | y), is already
Bayes' theorem::

    p(theta | y)  =  p(y | theta) * p(theta) / p(y)
    posterior        likelihood     prior      evidence

An outcome of probability p carries the information -log p: none if it is certain, the sum of both if it is
two independent ones. Its average is the entropy, and the other quantities compare such averages.

Axes and outcomes are found by name and label, never by position. A quantity of information is in nats, or in
bits with ``base="bits"`` (1 bit = log 2 = 0.693 nats); its `p` and `q` are a `Distribution` or an array of
probabilities of any shape. 0 * log 0 is 0. Everywhere an `InputError` (a `ValueError`) refuses what is not a
distribution, an axis or outcome that does not exist, and a condition of probability zero.

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
type Probabilities = Distribution | ArrayLike
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
            raise InputError("Labels are missing or not unique.", f"{coords}", "Label each outcome.")
        values.flags.writeable = False
        object.__setattr__(self, "probabilities", xr.DataArray(values, coords, table.dims, "probability"))

    @classmethod
    def from_table(cls, table: Mapping[Any, float], axes: Axes, *, normalised: bool = True) -> Distribution:
        """Distribution from {outcome: p}, or from {(outcome of x, outcome of y): p} for several axes.

        What is not listed has probability zero. ``normalised=False`` takes weights of any total but zero.

        Examples
        --------
        >>> Distribution.from_table({"+": 0.1, "-": 0.9}, "test")
        Distribution over test
        +    0.1
        -    0.9
        """
        weights = _tabulated(table, axes)
        if not normalised:
            weights = weights / _positive(weights.values.sum(), "the total of the weights")
        return cls(weights)

    @classmethod
    def from_counts(cls, counts: Mapping[Any, int], axes: Axes) -> Distribution:
        """Relative frequencies of counts, given as in `from_table`: p(x) = count(x) / sum of the counts.

        Examples
        --------
        >>> Distribution.from_counts({"heads": 3, "tails": 1}, "coin").probability(coin="heads")
        0.75
        """
        return cls.from_table(counts, axes, normalised=False)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes, in order."""
        return tuple(str(axis) for axis in self.probabilities.dims)

    def __repr__(self) -> str:
        """Axes and probabilities as a table."""
        series = self.probabilities.to_series().rename_axis([None] * len(self.axes))
        return f"Distribution over {', '.join(self.axes)}\n{series.to_string(max_rows=20)}"

    def probability(self, **outcome: Hashable) -> float:
        """Probability of an outcome of some axes, the others summed out: p(x) = sum_y p(x, y)."""
        return float(_select(self.probabilities, outcome).sum())

    def marginal(self, *axes: str) -> Distribution:
        """Marginal distribution of some axes, in the order asked: p(x) = sum_y p(x, y)."""
        return Distribution(_sum_to(self.probabilities, axes))

    def conditional(self, *axes: str, given: Mapping[str, Hashable]) -> Distribution:
        """Conditional distribution of some axes once others are known: p(y | x) = p(x, y) / p(x)."""
        row = _sum_to(_select(self.probabilities, given), axes)
        return Distribution(row / _positive(row.values.sum(), f"given {given}"))

    def expectation(self, f: Callable[..., float]) -> float:
        """Mean value of f, in its unit: E[f] = sum_x p(x) f(x).

        f takes the label of a single axis, or the labels of several as keywords; only those with p > 0.

        Raises
        ------
        InputError
            If f is NaN at a possible outcome, or infinite with both signs.

        Examples
        --------
        >>> joint = Distribution.from_counts({(1, 5): 1, (2, 6): 1}, ("first", "second"))
        >>> joint.expectation(lambda first, second: first + second)
        7.0
        """
        possible: Any = [(labels, p) for labels, p in self.probabilities.to_series().items() if p > 0]
        if len(self.axes) == 1:
            terms = [p * f(label) for label, p in possible]
        else:
            terms = [p * f(**dict(zip(self.axes, labels, strict=True))) for labels, p in possible]
        if math.isnan(sum(terms)):
            raise InputError("f is NaN, or infinite with both signs.", f"p * f = {terms}", "Correct f.")
        return math.fsum(terms)

    def variance(self, f: Callable[..., float]) -> float:
        """Mean squared distance of f from its mean, in its unit squared: Var[f] = E[(f - E[f])^2]."""
        mean = self.expectation(f)
        return self.expectation(lambda *label, **labels: (f(*label, **labels) - mean) ** 2)


@dataclass(frozen=True, eq=False)
class BayesTheorem:
    """Terms of Bayes' theorem for one observed y: posterior * evidence = likelihood * prior."""

    prior: Distribution  # p(theta), shape (K,)
    likelihood: xr.DataArray  # p(y | theta) at the observed y, shape (K,); over theta it does not sum to one
    joint: Distribution  # p(theta, y) for every y, shape (K, J)
    evidence: float  # p(y), a probability
    posterior: Distribution  # p(theta | y), shape (K,)


def bayes(
    prior: Distribution, likelihood: xr.DataArray | Mapping[Any, Mapping], observed: Mapping[str, Hashable]
) -> BayesTheorem:
    """Posterior by Bayes' theorem, with every term kept: p(theta | y) = p(y | theta) p(theta) / p(y).

    Parameters
    ----------
    prior : Distribution
        p(theta), over one or several axes.
    likelihood : xarray.DataArray or mapping
        p(y | theta), over the axes of the prior and of the data, summing to one over the data; or, with one
        axis each, {outcome of theta: {outcome of y: p}}.
    observed : mapping
        {axis of the data: outcome}; axes of the data that were not observed are summed out.

    Raises
    ------
    InputError
        If axes or outcomes do not fit, p(y | theta) is not a distribution for each theta, or p(y) is zero.

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
        likelihood = _tabulated(cells, (*prior.axes, *observed))
    likelihood = _aligned(likelihood, prior.probabilities)
    data = [axis for axis in likelihood.dims if axis not in prior.axes]
    _checked(likelihood.values, "the likelihood", normalised=False)
    totals = likelihood.sum(data)
    if not np.allclose(totals, 1.0, rtol=0.0, atol=TOTAL_TOLERANCE):
        raise InputError("A likelihood does not sum to 1 over the data.", f"{totals.values}", "Correct it.")
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
    values = _checked(p, "p", normalised=False)
    if (values > 1.0 + TOTAL_TOLERANCE).any():
        raise InputError("A probability is above 1.", f"p = {values}", "Divide weights by their total.")
    return _in_unit(-xlogy(1.0, values), base)


def entropy(p: Probabilities, base: Base = "nats") -> float:
    """Shannon entropy, the mean information content: H(p) = -sum_i p_i log p_i (CT 2.1).

    Examples
    --------
    >>> entropy([0.5, 0.5], base="bits")
    1.0
    """
    return float(_in_unit(np.sum(entr(_values(p))), base))


def cross_entropy(p: Probabilities, q: Probabilities, base: Base = "nats") -> float:
    """Cross-entropy, the mean information content by q of what p produces: H(p, q) = -sum_i p_i log q_i.

    Never below H(p); infinite if p produces what q holds impossible.

    Examples
    --------
    >>> round(cross_entropy([0.5, 0.5], [0.25, 0.75], base="bits"), 4)
    1.2075
    """
    return float(_in_unit(np.sum(-xlogy(*_pair(p, q))), base))


def kl_divergence(p: Probabilities, q: Probabilities, base: Base = "nats") -> float:
    """Kullback-Leibler divergence of q from p, what believing q costs: KL(p || q) = sum_i p_i log(p_i / q_i).

    Zero if and only if p = q; infinite if p produces what q holds impossible; not symmetric (CT 2.26).

    Examples
    --------
    >>> round(kl_divergence([0.5, 0.5], [0.25, 0.75], base="bits"), 4)
    0.2075
    """
    return float(_in_unit(np.sum(rel_entr(*_pair(p, q))), base))


def conditional_entropy(joint: Distribution, y: Axes, given: Axes, base: Base = "nats") -> float:
    """Conditional entropy, what stays unknown of y once x is given: H(Y | X) = H(X, Y) - H(X) (CT 2.14).

    Examples
    --------
    >>> conditional_entropy(Distribution.from_counts({(0, 0): 1, (1, 1): 1}, ("x", "y")), "y", given="x")
    0.0
    """
    both, known = joint.marginal(*_names(given), *_names(y)), joint.marginal(*_names(given))
    return float(_in_unit(np.sum(-rel_entr(*xr.broadcast(both.probabilities, known.probabilities))), base))


def mutual_information(joint: Distribution, x: Axes, y: Axes, base: Base = "nats") -> float:
    """Mutual information, what x and y tell of each other: I(X; Y) = KL(p(x, y) || p(x) p(y)) (CT 2.28).

    Zero if and only if x and y are independent; symmetric.

    Examples
    --------
    >>> mutual_information(Distribution.from_counts({(0, 0): 1, (1, 1): 1}, ("x", "y")), "x", "y", "bits")
    1.0
    """
    both = joint.marginal(*_names(x), *_names(y))
    product = joint.marginal(*_names(x)).probabilities * joint.marginal(*_names(y)).probabilities
    return kl_divergence(both, Distribution(product), base)


def perplexity(p: Probabilities, q: Probabilities | None = None) -> float:
    """Perplexity, how many equally likely outcomes are as uncertain: exp H(p), or exp H(p, q) with a q.

    Examples
    --------
    >>> round(perplexity([0.25, 0.25, 0.25, 0.25]), 12)
    4.0
    """
    return math.exp(entropy(p) if q is None else cross_entropy(p, q))


def _in_unit(nats: ArrayLike, base: Base) -> np.ndarray:
    """Amount of information in the unit asked; below zero it is by rounding only."""
    if base not in NATS_PER_UNIT:
        raise InputError("Unknown unit of information.", f"base={base!r}", "Use 'nats' or 'bits'.")
    return (np.maximum(nats, 0.0) + 0.0) / NATS_PER_UNIT[base]


def _names(axes: Axes) -> tuple[str, ...]:
    return (axes,) if isinstance(axes, str) else tuple(axes)


def _tabulated(cells: Mapping[Any, float], axes: Axes) -> xr.DataArray:
    """Labelled table of {outcome: number}, labels in the order of their first appearance, zero elsewhere."""
    names = tuple(dict.fromkeys(_names(axes)))  # no key fits axes of which one is named twice
    keys = [(key,) if isinstance(axes, str) else key for key in cells]
    for key in keys:
        if not isinstance(key, tuple) or len(key) != len(names) or any(isinstance(k, tuple) for k in key):
            raise InputError("A key does not fit the axes.", f"{key!r}, {names}", "Give a label per axis.")
    labels = [list(dict.fromkeys(key[j] for key in keys)) for j in range(len(names))]
    places = [{label: i for i, label in enumerate(column)} for column in labels]
    table = np.zeros([len(column) for column in labels])
    for key, number in zip(keys, _checked(list(cells.values()), f"axes {names}", False), strict=True):
        table[tuple(place[k] for place, k in zip(places, key, strict=True))] = number
    # Labels of several types stay what they are; NumPy alone would turn 1 beside "a" into "1".
    dtypes = [object if len({type(k) for k in column}) > 1 else None for column in labels]
    coords = [np.array(column, dtype) for column, dtype in zip(labels, dtypes, strict=True)]
    return xr.DataArray(table, coords, names)


def _checked(values: ArrayLike, where: str, normalised: bool = True) -> np.ndarray:
    """Copy of finite numbers that are not negative, as float64; normalised, they also sum to one."""
    try:
        numbers = np.array(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("A probability is not a number.", where, "Use numbers only.") from error
    if (wrong := ~np.isfinite(numbers) | (numbers < 0)).any():
        raise InputError(f"{numbers[wrong][0]} is not a probability.", where, "Use finite numbers from 0 up.")
    total = numbers.sum()
    if normalised and abs(total - 1.0) > TOTAL_TOLERANCE:
        raise InputError(f"Probabilities add up to {total:.12g}, not 1.", where, "Correct or rescale them.")
    return numbers / total if normalised else numbers


def _positive(probability: float, where: str) -> float:
    if not probability > 0:
        raise InputError("Its probability is zero: nothing follows.", where, "Choose what can happen.")
    return float(probability)


def _select(table: xr.DataArray, outcome: Mapping[str, Hashable]) -> xr.DataArray:
    """Part of the table at the named outcomes, without their axes."""
    for axis, label in outcome.items():
        labels = table[axis].values.tolist() if axis in table.dims else []
        if label not in labels:
            raise InputError(f"No outcome {axis} = {label!r}.", f"axes {table.dims}", f"Use one of {labels}.")
        table = table.isel({axis: labels.index(label)}, drop=True)
    return table


def _sum_to(table: xr.DataArray, axes: tuple[str, ...]) -> xr.DataArray:
    """Table over the named axes only, in their order, the others summed out."""
    if not axes or len(set(axes)) < len(axes) or not set(axes) <= set(table.dims):
        raise InputError("The axes do not fit.", f"{axes}", f"Name each once, out of {table.dims}.")
    return table.sum([axis for axis in table.dims if axis not in axes]).transpose(*axes)


def _aligned(table: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Table with the axes of `like` first and their outcomes in the same order as there."""
    for axis in like.dims:
        labels = table[axis].values.tolist() if axis in table.coords else []
        wanted = like[axis].values.tolist()
        if len(labels) != len(wanted) or set(labels) != set(wanted):
            raise InputError(f"Outcomes of {axis!r} differ.", f"{labels}, {wanted}", "Use the same.")
        order = [labels.index(label) for label in wanted]
        table = table.isel({axis: order}).assign_coords({axis: like[axis].values})
    return table.transpose(*like.dims, ...)


def _values(p: Probabilities) -> np.ndarray:
    return p.probabilities.values if isinstance(p, Distribution) else _checked(p, "the array")


def _pair(p: Probabilities, q: Probabilities) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of p and q, matched by label if both have labels and by place otherwise."""
    if isinstance(p, Distribution) and isinstance(q, Distribution):
        q = _aligned(q.probabilities, p.probabilities)
    left, right = _values(p), _values(q)
    if left.shape != right.shape:
        raise InputError("p and q differ in shape.", f"{left.shape}, {right.shape}", "Use the same outcomes.")
    return left, right
