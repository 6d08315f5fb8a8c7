"""Checks of a model and its data before anything is optimised or sampled.

What is caught here costs milliseconds; after sampling it costs minutes, and an index out of range or a fractional
count would never be noticed at all: the compiled code reads beside the array and returns a plausible fit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random.op import RandomVariable

from workbench.check import Check
from workbench.errors import RefusalError
from workbench.model.anatomy import distribution_text
from workbench.model.compiled import interpreted
from workbench.model.density import LogDensity
from workbench.model.fixed_numbers import as_held, has_fixed_numbers
from workbench.result import counted

_RESERVED = ("chain", "draw", "self", "coordinate", "sample")
_ADDS_UP = 1e-10  # relative; the design's promise
_TRIES = 100  # places near the start where the density may be finite
_FAR = 8.0  # of z, where it is finite at none of them: a scale 3,000 times as large or as small
_HALVINGS = 60  # of the distance to the start
_WRONG = 1e-12  # relative error of a log density above which narrow constants are called wrong


def _probes(density: LogDensity, m: int, reach: float = 1.0) -> NDArray[np.float64]:
    """The start and m - 1 points around it, as far away as PyMC's own jitter (1 on z), shape ``(m, d)``."""
    generator = np.random.default_rng(0)
    points = np.tile(density.space.start, (m, 1))
    points[1:] += generator.uniform(-reach, reach, size=points[1:].shape)
    return points


def _drawn_in(density: LogDensity, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points that are drawn in to the start, until numbers hold what the likelihood is made of there.

    One step of 1 along the slope of a raw column, such as a year, can take an exponential beyond all numbers; what
    comes of that says nothing about the model. What is not a number without any overflow stays.
    """
    found, start = points.copy(), density.space.start
    for point in found[1:]:
        for _ in range(_HALVINGS):
            ended: list[str] = []
            with np.errstate(over="call", under="call", call=lambda kind, _, ended=ended: ended.append(kind)):
                terms = density.terms(point[None]).log_likelihood
            if not ended or not any(np.any(np.isnan(array)) for array in terms.values()):
                break
            point[:] = start + (point - start) / 2
    return found


def _shown(rows: NDArray[np.int64], values: NDArray) -> str:
    """Rows and values for a message: the first five, and how many more."""
    pairs = ", ".join(
        f"row {tuple(map(int, r)) if r.size > 1 else int(r[0])}: {v}"
        for r, v in zip(rows[:5], values[:5], strict=False)
    )
    return pairs + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def _check_names(density: LogDensity) -> None:
    """Names that the draws need for themselves, and observations that are only a part of the data."""
    model = density.model
    for variable in [*model.basic_RVs, *model.deterministics, *model.potentials]:
        if variable.name in _RESERVED or variable.name.endswith("__"):
            raise RefusalError(
                f"a variable cannot be called {variable.name!r}",
                variable.name,
                "the draws use this name: choose another",
            )
    for rv in model.observed_RVs:
        if "Minibatch" in type(rv.owner.op).__name__:
            raise RefusalError(
                f"{rv.name} is a minibatch or has a total_size: its likelihood is a random or scaled part of the data",
                rv.name,
                "observe all the data",
            )


def _check_deterministic(density: LogDensity) -> None:
    """Log densities that draw random numbers, as that of a `Simulator` does."""
    symbolic = density.symbolic
    for name, graph in {**symbolic.log_prior, **symbolic.potential, **symbolic.log_likelihood}.items():
        if any(v.owner is not None and isinstance(v.owner.op, RandomVariable) for v in ancestors([graph])):
            raise RefusalError(
                f"the log density of {name} is random: it simulates anew at every evaluation, so that it has no "
                "maximum, no gradient and no integral",
                name,
                "sample such a model with pm.sample_smc; here, give it a distribution with a log density",
            )


def _check_observations(density: LogDensity) -> None:
    """Observations that are not finite numbers."""
    for rv in density.model.observed_RVs:
        data = np.asarray(density.symbolic.observed[rv.name])
        if data.dtype.kind == "f":
            bad = np.argwhere(~np.isfinite(np.atleast_1d(data)))
            if len(bad):
                raise RefusalError(
                    f"{rv.name} has {len(bad)} values that are not finite: "
                    + _shown(bad, np.atleast_1d(data)[tuple(bad.T)]),
                    rv.name,
                    "remove or correct these rows",
                )


def _check_counts(density: LogDensity) -> None:
    """Fractions that PyMC would cut to whole numbers for a counting distribution, as far as the cast can be seen."""
    for rv in density.model.observed_RVs:
        value = density.model.rvs_to_values[rv]
        while value.owner is not None and len(value.owner.inputs) == 1:
            value = value.owner.inputs[0]
        source = value.get_value() if isinstance(value, SharedVariable) else getattr(value, "data", None)
        data = np.asarray(density.symbolic.observed[rv.name])
        if source is None or data.dtype.kind not in "iu" or np.asarray(source).dtype.kind != "f":
            continue
        fractional = np.argwhere(np.atleast_1d(source) != np.floor(np.atleast_1d(source)))
        if len(fractional):
            raise RefusalError(
                f"{rv.name} counts, but {len(fractional)} observations are no whole numbers: "
                + _shown(fractional, np.atleast_1d(source)[tuple(fractional.T)]),
                rv.name,
                "use whole numbers, or a continuous distribution",
            )


def _check_priors(density: LogDensity, points: NDArray[np.float64]) -> None:
    """Priors of fixed numbers that are nowhere finite: of width 0, of infinite width, or not a number."""
    terms = density.terms(points)
    for name, array in terms.log_prior.items():
        somewhere = np.isfinite(array.reshape(len(points), -1)).all(axis=1).any()
        if not somewhere and has_fixed_numbers(density.model[name]):
            raise RefusalError(
                f"the log prior of {name} is finite nowhere: it is {as_held(density.model[name])}",
                name,
                "correct its numbers; a quantity that is known exactly is a number and needs no distribution",
            )


def _check_support(density: LogDensity, points: NDArray[np.float64], moved: bool) -> None:
    """Observations that have density zero wherever the parameters are, or none at the start."""
    near = len(points)
    if not np.isfinite(_totals(density, points[:1])[0]):  # a support may move with a parameter: look further away
        points = np.vstack([points, _probes(density, _TRIES, _FAR)])
    terms = density.terms(points).log_likelihood
    for rv in density.model.observed_RVs:
        if rv.name not in terms:  # it shares labels with another variable, which holds the terms of both
            continue
        array = terms[rv.name]
        # Near a start of the model's own, as at a root of what may be negative, a search steps back.
        if np.any(np.isnan(array[: near if moved else 1])):
            raise RefusalError(
                f"the log likelihood of {rv.name} is not a number at the starting point{' or near it' * moved}",
                rv.name,
                "look for NaN in a covariate, a division by zero or a log of a negative number",
            )
        never = np.argwhere(np.atleast_1d(np.all(np.isneginf(array), axis=0)))
        if len(never):
            data = np.atleast_1d(np.asarray(density.symbolic.observed[rv.name]))
            same = np.atleast_1d(array[0]).shape == data.shape
            family = distribution_text(rv).split("(", 1)[0]
            where = f": {_shown(never, data[tuple(never.T)])}" if same else ""
            are = "is" if len(never) == 1 else "are"
            raise RefusalError(
                f"{counted(len(never), 'observation')} of {rv.name} {are} impossible under {family}{where}",
                rv.name,
                f"correct these values, or choose a likelihood that allows them instead of {family}; where a parameter "
                "moves its support, give that parameter an `initval` at which they are possible",
            )


def _totals(density: LogDensity, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of every term at each point, shape ``(m,)``."""
    terms = density.terms(points)
    groups = (terms.log_prior, terms.log_jacobian, terms.potential, terms.log_likelihood)
    arrays = [array.reshape(len(points), -1).sum(axis=1) for group in groups for array in group.values()]
    with np.errstate(invalid="ignore"):  # inf - inf is found as what it is
        return np.sum(arrays, axis=0)


def _move_start(density: LogDensity) -> str:
    """Let the model start where its density is finite, near the start that it asks for; says so if it had to move."""
    if np.isfinite(_totals(density, density.space.start[None])[0]):
        return ""
    for reach in (1.0, _FAR):
        points = _probes(density, _TRIES, reach)
        finite = np.flatnonzero(np.isfinite(_totals(density, points)))
        if len(finite):
            density.start_at(points[finite[0]])
            return "; moved from the model's own start, where it is not finite"
    return ""


def check_before_fit(density: LogDensity) -> tuple[Check, ...]:
    """Everything that can be known to be wrong before a fit; moves the start to where the density is finite.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    tuple of Check

    Raises
    ------
    RefusalError
        If a log density is random, if observations are not finite or outside the support, if the density is not
        finite at the start, or if the terms do not add up to PyMC's own log density.
    """
    _check_names(density)
    _check_deterministic(density)
    _check_observations(density)
    _check_counts(density)
    moved = _move_start(density)
    points = _probes(density, 5)
    total = _totals(density, points)
    if np.any(np.isnan(total)):
        points = _drawn_in(density, points)
        total = _totals(density, points)
    _check_priors(density, points)
    _check_support(density, points, bool(moved))
    target = density.pymc_target(points)
    if not np.isfinite(total[0]):
        terms = density.terms(points[:1])
        guilty = [n for g in (terms.log_prior, terms.potential, terms.log_likelihood) for n, a in g.items()
                  if not np.all(np.isfinite(a[0]))]  # fmt: skip
        raise RefusalError(
            f"the log density is {total[0]} at the starting point and near it, because of "
            f"{', '.join(guilty) or 'a Jacobian'}",
            guilty[0] if guilty else "model",
            "see that the numbers in its distribution are possible, such as a standard deviation above 0, or give the "
            "free variables an `initval` at which the data are possible",
        )
    unlike = np.isfinite(total) != np.isfinite(target)
    if unlike.any():
        target[unlike] = density.pymc_target(points[unlike], stable=True)
    finite = np.isfinite(total) & np.isfinite(target)
    with np.errstate(invalid="ignore"):
        apart = finite & (np.abs(total - target) > _ADDS_UP * np.maximum(1.0, np.abs(target)))
    # As written PyMC's may have lost digits, as log(1 - p) of a truncated count with p near 1. Not so the sum over
    # labels, whose stable form is taken apart as ours is.
    if apart.any() and density.summation is None:
        target[apart] = density.pymc_target(points[apart], stable=True)
    gap = np.max(np.abs(total[finite] - target[finite]) / np.maximum(1.0, np.abs(target[finite])), initial=0.0)
    if gap > _ADDS_UP or np.any(np.isfinite(total) != np.isfinite(target)):
        raise RefusalError(
            f"prior, likelihood and Jacobian do not add up to PyMC's log density (relative gap {gap:.1e})",
            "model",
            "a variable of this model is not understood; please report it with the model",
        )
    return (
        Check("terms-add-up", "ok", f"largest relative gap {gap:.1e} at {len(points)} points"),
        Check("start-finite", "ok", f"log density {total[0]:.6g} nats at the start{moved}"),
    )


def narrow_constants(density: LogDensity) -> tuple[str, ...]:
    """Variables whose log density PyMC gets wrong with PyTensor's narrow constants, and by how much.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    tuple of str
        Name and error at the start, such as ``log_prior(sigma) by 3.4e-08 nats``.
    """
    model, space = density.model, density.space
    # Where a label was summed out there is no term of ours to hold against PyMC's.
    summed = () if density.summation is None else (*density.summed, *density.summation.owners)
    variables = [rv for rv in model.basic_RVs if rv.name not in summed]
    names = [rv.name for rv in variables]
    if not names:
        return ()
    plain = model.logp(vars=variables, jacobian=False, sum=False)
    values = {
        density.symbolic.values[n]: space.start[space.blocks[n]].reshape(space.block_shapes[n]) for n in space.names
    }
    ours = density.terms(space.start)
    theirs = interpreted(list(values), [g.sum() for g in plain], stable=False)(
        *[np.asarray(a, dtype=v.dtype) for v, a in values.items()]
    )
    found = []
    for name, number in zip(names, theirs, strict=True):
        mine = ours.log_prior[name][0] if name in ours.log_prior else ours.log_likelihood[name][0].sum()
        if np.isfinite(mine) and not abs(float(number) - mine) <= _WRONG * max(1.0, abs(mine)):
            side = "log_prior" if name in ours.log_prior else "log_likelihood"
            error = abs(float(number) - mine)
            found.append(f"{side}({name}) " + (f"by {error:.1e} nats" if np.isfinite(error) else f"to {number}"))
    return tuple(found)
