"""The likelihood-ratio test of a smaller model inside a larger one.

    2 (L-larger - L-smaller),  each at its maximum, against chi2_k,  k parameters more

Where the smaller model is the larger one with a scalar at a limit, such as a variance of 0 or a dispersion that goes to
infinity, half of the probability lies on the side that cannot be reached, and the reference is the mixture
0.5 chi2_(k-1) + 0.5 chi2_k (Self and Liang 1987; Stram and Lee 1994). That the smaller model lies inside the larger one
is looked at, and not assumed (`workbench.likelihood.departure`).
"""

from __future__ import annotations

from workbench.check import Check
from workbench.errors import InputError, NumericalError, RefusalError
from workbench.likelihood.departure import Departure, find_departure
from workbench.likelihood.hypothesis import EQUAL, NOTHING, Test, held_at, tail
from workbench.likelihood.problem import Problem, scalar_parameters
from workbench.likelihood.quantity import edges_of, resolve
from workbench.likelihood.summit import Summit


def compare_nested(
    larger: tuple[Problem, Summit], smaller: tuple[Problem, Summit], same_data: bool, names: tuple[str, str]
) -> Test:
    """The likelihood-ratio test of a model inside a larger one.

    Parameters
    ----------
    larger, smaller : tuple of (Problem, Summit)
    same_data : bool
        Whether both have seen the same observations.
    names : tuple of str
        Of the larger and the smaller model.

    Returns
    -------
    Test
        With the mixture as reference where the smaller model is the larger one with one scalar at a limit, such as a
        variance of 0.

    Raises
    ------
    InputError
        If the data differ, or the smaller model does not have fewer parameters.
    RefusalError
        If the smaller model has a higher likelihood, or the larger one cannot reproduce it: then it is not nested.

    References
    ----------
    Stram, D. O. and Lee, J. W. (1994). Variance components testing in the longitudinal mixed effects model.
    doi:10.2307/2533455
    """
    (problem, summit), (inner, base) = larger, smaller
    if not same_data:
        raise InputError(
            "the two models have seen different data", "likelihood nested", "observe the same values in both"
        )
    degrees = problem.chart.dimension - inner.chart.dimension
    if degrees < 1:
        raise InputError(
            f"the smaller model has {inner.chart.dimension} parameters and the larger {problem.chart.dimension}",
            "likelihood nested",
            "call it on the larger model and give it the smaller one",
        )
    if base.value > summit.value + EQUAL:
        raise RefusalError(
            f"the smaller model is {base.value - summit.value:.3g} nats more likely: it is not inside the larger one",
            "likelihood nested",
            "compare them by evidence, or by AIC",
        )
    ratio = 2.0 * max(summit.value - base.value, 0.0)
    # Where the smaller model is at an edge of its own, as without any spread between groups, many models agree there.
    edge = "" if base.places or base.cells else _edge_that_nests(problem, summit, base.value)
    if edge:
        check = Check("nested", "ok", f"where {edge} the larger model has the maximum of the smaller one")
    else:
        departure = find_departure(larger, smaller)
        check = _inside(departure)
        edge = departure.limits[0] if len(departure.limits) == 1 else ""
    p_value = tail(ratio if ratio > NOTHING else 0.0, degrees, bool(edge))
    hypothesis = f"{names[1]} inside {names[0]}" + (f" ({edge})" if edge else "")
    return Test(
        (*summit.checks, *base.checks, check), hypothesis, {"likelihood ratio": ratio}, {"likelihood ratio": p_value},
        degrees, bool(edge), summit.value, base.value, {},
    )  # fmt: skip


def _inside(departure: Departure) -> Check:
    """Whether the smaller model is inside the larger one, and what the reference distribution is worth.

    Raises
    ------
    RefusalError
        If it is not.
    """
    if departure.unknown:
        message = f"whether the smaller model is inside the larger one is not known: {departure.unknown}"
        return Check("nested", "unknown", message, "see yourself that fixing parameters of the larger one gives it")
    sets = f" of each of {departure.data_sets} data sets" if departure.data_sets > 1 else ""
    if departure.worst:
        raise RefusalError(
            f"no theta of the larger model says of every part of the data{sets} what the smaller one does at its "
            f"maximum: the nearest differs by {departure.worst:.2g} nats, so that the smaller one is not inside it",
            "likelihood nested",
            "compare them by evidence, or by AIC",
        )
    message = f"some theta of the larger model says of {departure.parts} parts of the data{sets} what the smaller does"
    if len(departure.limits) < 2:
        return Check("nested", "ok", message)
    where = " and ".join(departure.limits)
    message += f"; {where} there: several limits at once, for which chi-square is an upper bound of the p-value"
    return Check("nested", "caution", message, "simulate the smaller model, or leave out one of them at a time")


def _edge_that_nests(problem: Problem, summit: Summit, height: float) -> str:
    """The scalar at whose edge the larger model is the smaller one, as ``tau = 0``; empty where there is none."""
    coordinates = scalar_parameters(problem)
    edges = edges_of(problem.chart, summit.x, coordinates)
    for label, k in coordinates.items():
        for side in edges.get(k, ()):
            quantity = resolve(problem.chart, label, summit.x, summit.scale)
            edge = quantity.edge(summit.x, side)
            try:
                _, reached, _ = held_at(problem, summit, quantity, edge)
            except (InputError, NumericalError):
                continue
            if abs(reached - height) < EQUAL:
                return f"{label} = {edge:.6g}"
    return ""
