"""What a model says: its variables, the role of each, and which questions can be asked of it.

Every free variable has one role:

``parameter``  its prior stands on fixed numbers; the likelihood is maximised over it;
``latent``     its distribution depends on other free variables (group effects, imputed observations, states), or it
               is the standardised half of a non-centred effect, or it is discrete and can be summed out. It belongs
               to the data's story and must be integrated out before a likelihood is maximised;
``ambiguous``  a product of two free variables that could be read either way;
``discrete``   it is discrete and cannot be summed out: there is no gradient with respect to it.

The roles are read from the graph; `parameters=` and `latents=` of a study decide where the user knows better.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from pymc.pytensorf import constant_fold
from pytensor.graph.basic import Variable
from pytensor.tensor.random.basic import ExponentialRV, GammaRV

from workbench.errors import RefusalError
from workbench.model.density import LogDensity
from workbench.model.elements import moving_support
from workbench.model.proper import prior_forms
from workbench.model.terms import is_discrete
from workbench.result import Result, counted

_SUPPORTS = {
    "LogTransform": "> 0",
    "LogExpM1": "> 0",
    "LogOddsTransform": "(0, 1)",
    "Interval": "interval",
    "SimplexTransform": "simplex",
    "Ordered": "increasing",
    "CholeskyCovPacked": "Cholesky factor",
    "CircularTransform": "circle",
    "ZeroSumTransform": "sums to 0",
}


@dataclass(frozen=True)
class VariableAnatomy:
    """One variable of a model.

    Attributes
    ----------
    name, distribution : str
        `distribution` as PyMC prints it, such as ``Normal(170, 20)``.
    role : str
        ``parameter``, ``latent``, ``ambiguous``, ``discrete``, ``observed``, ``potential`` or ``deterministic``.
    why : str
        The reason for the role, where it is not obvious.
    shape : tuple of int
    support : str
    proper : bool
        Whether its prior, as a density on z, integrates to one by what the graph shows; the audit measures the rest.
    """

    name: str
    distribution: str
    role: str
    why: str
    shape: tuple[int, ...]
    support: str
    proper: bool


@dataclass(frozen=True, repr=False, eq=False)
class Anatomy(Result):
    """What a model says and what can be asked of it.

    Attributes
    ----------
    variables : dict of str to dict
        Every variable by name, with the fields of `VariableAnatomy`.
    questions : dict of str to str
        Question -> empty if it can be answered, else the reason why not.
    widened : tuple of str
        Variables whose log density would have been wrong with PyTensor's narrow constants, with the size of the error.
    ledger : dict of str to tuple of str
        Side (prior, latent, likelihood, potential without a side, Jacobian) -> the variables whose log density terms
        it holds. Every term stands on one side, and together they are the log density on z.
    dimension, n_observations : int
        Coordinates of z; log likelihood terms.
    """

    variables: dict[str, dict]
    questions: dict[str, str]
    widened: tuple[str, ...]
    ledger: dict[str, tuple[str, ...]]
    dimension: int
    n_observations: int
    title: ClassVar[str] = "the model"

    def named(self, *roles: str) -> list[str]:
        """Names of the variables that have one of these roles."""
        return [name for name, variable in self.variables.items() if variable["role"] in roles]

    def table(self) -> pd.DataFrame:
        """One row a variable: role, distribution, shape, support."""
        rows = {
            name: (v["role"], v["distribution"], "x".join(map(str, v["shape"])) or "scalar", v["support"])
            for name, v in self.variables.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index", columns=["role", "distribution", "shape", "support"])

    def notes(self) -> list[str]:
        """Sizes, reasons of roles, refused questions and widened constants."""
        lines = [f"{counted(self.dimension, 'free dimension')}, {counted(self.n_observations, 'observation')}"]
        if not self.n_observations:
            lines.append("there are no data: what is called posterior here is the prior, times any potential")
        lines.append("terms: " + "; ".join(f"{side} {', '.join(names)}" for side, names in self.ledger.items()))
        lines += [f"{n}: {v['role']}, because {v['why']}" for n, v in self.variables.items() if v["why"]]
        refused: dict[str, list[str]] = {}  # by reason, which many questions may share
        for question, reason in self.questions.items():
            if reason and "no latent" not in reason:
                refused.setdefault(reason, []).append(question)
        lines += [f"not available: {', '.join(questions)}: {reason}" for reason, questions in refused.items()]
        if self.widened:
            lines.append(f"constants widened to 64 bits; narrow ones would have changed {'; '.join(self.widened)}")
        return lines + [str(check) for check in self.checks if check.status != "ok"]


def distribution_text(rv: Variable) -> str:
    """The distribution as PyMC prints it; the kind of operation where PyMC has no text, as for imputed data.

    PyMC keeps a rate as the scale 1 / rate and prints ``<constant>`` for it: its number is shown, as a rate.
    """
    if not hasattr(rv, "str_repr"):
        return type(rv.owner.op).__name__.removesuffix("RV")
    text: str = rv.str_repr().split(" ~ ", 1)[-1]
    if not isinstance(rv.owner.op, ExponentialRV | GammaRV):
        return text
    (scale,) = constant_fold([rv.owner.op.dist_params(rv.owner)[-1]], raise_not_constant=False)
    if not isinstance(scale, np.ndarray) or scale.size != 1:
        return text
    before = text[: max(text.rfind("("), text.rfind(", ") + 1) + 1]
    return f"{before}rate={1.0 / scale.item():.3g})"


_FIXED = "the model has no free variable: nothing is left to draw, to maximise or to learn"


def _questions(density: LogDensity, variables: dict[str, VariableAnatomy]) -> dict[str, str]:
    """Which questions the model can answer, and why not where it cannot."""

    def named(*kinds: str) -> str:
        return ", ".join(name for name, v in variables.items() if v.role in kinds)

    discrete, latent, ambiguous = named("discrete"), named("latent"), named("ambiguous")
    split = f"the potential {density.unlabelled[0]!r} has no side" if density.unlabelled else ""
    gradient = f"{discrete} is discrete: {density.why_discrete}" if discrete else ""
    nothing = "" if density.has_data else "there are no data"
    maximum = gradient or split or nothing
    if not maximum and ambiguous:
        maximum = f"the role of {ambiguous} is ambiguous"
    if not maximum and not named("parameter"):
        maximum = f"{latent} is latent and has to be integrated out: no parameter is left to maximise over"
    if not maximum and moving_support(density):
        maximum = f"the support of the latent variable {moving_support(density)} moves with a parameter"
    forms = prior_forms(density.model).values()
    improper = next((form.why for form in forms if form.kind == "improper"), "")
    cut = next((form.why for form in forms if form.kind == "cut"), "")
    inside = [name for name in density.symbolic.potential if density.potentials.get(name) != "likelihood"]
    tilted = f"the potential {inside[0]!r} is not known to stay out of the prior" if inside else ""
    exists = improper or split or ("" if nothing else gradient)
    evidence = exists or (f"{nothing}, so that log p(y) is exactly 0" if nothing else "")
    small = (
        ""
        if density.space.dimension <= 2
        else f"the model has {density.space.dimension} dimensions; a grid takes at most 2"
    )
    questions = {
        "prior draws": improper or cut or tilted,
        "likelihood maximum": maximum,
        "likelihood latents": maximum or ("" if density.latents else "the model has no latent variables"),
        "likelihood surface": maximum,
        "likelihood profile": maximum,
        "likelihood contour": maximum,
        "likelihood test": maximum,
        "likelihood nested": maximum,
        "posterior mode": maximum,
        "posterior laplace": gradient,
        "posterior grid": gradient or small,
        "posterior draws": "",
        "posterior predictive": "" if density.n_observations else "there are no data",
        "prediction": "" if density.n_observations else "there are no data",
        "evidence audit": "",
        "evidence estimate": exists,
        "evidence bridge": evidence,
        "evidence tempering": evidence,
        "evidence nested": evidence,
        "evidence robustness": evidence,
        "evidence savage-dickey": evidence,
        "evidence sequential": evidence or _without_order(density),
        "information": evidence,
    }
    if not density.space.dimension:
        exact = ("evidence audit", "evidence estimate")
        questions = {question: why if question in exact else _FIXED for question, why in questions.items()}
    return questions


def _without_order(density: LogDensity) -> str:
    """Why the observations cannot be taken one after the other; empty if they can."""
    tilted = [name for name, side in density.potentials.items() if side == "likelihood"]
    if tilted:
        return f"the potential {tilted[0]!r} in the likelihood has no place in an order"
    if density.n_observations < 2:
        return "there is only one log likelihood term, and so no order"
    whole = [name for name, shape in density.likelihood_shapes.items() if not shape]
    coarse = [name for name in whole if density.symbolic.observed[name].size > 1]
    return f"the likelihood of {coarse[0]} is one term for all of its observations, without an order" if coarse else ""


def _ledger(density: LogDensity) -> dict[str, tuple[str, ...]]:
    """Every term of the log density on z, by the side on which it counts."""
    s, sides = density.symbolic, density.potentials
    found = {
        "prior": [n for n in s.log_prior if n not in density.latents] + [n for n in sides if sides[n] == "prior"],
        "latent": [*(n for n in s.log_prior if n in density.latents), *(f"{n} (summed out)" for n in density.summed)],
        "likelihood": [*s.log_likelihood, *(n for n in sides if sides[n] == "likelihood")],
        "potential without a side": list(density.unlabelled),
        "Jacobian": list(s.log_jacobian),
    }
    return {side: tuple(names) for side, names in found.items() if names}


def examine(density: LogDensity) -> Anatomy:
    """The anatomy of a model.

    Parameters
    ----------
    density : LogDensity

    Returns
    -------
    Anatomy
        With `widened` empty: `workbench.model.preflight.narrow_constants` fills it.
    """
    model, space, found, forms = density.model, density.space, density.roles, prior_forms(density.model)
    variables: dict[str, VariableAnatomy] = {}
    shapes_of = space.shapes | (density.summation.shapes if density.summation is not None else {})
    for rv in model.free_RVs:
        role, why = found[rv.name]
        transform = type(model.rvs_to_transforms.get(rv)).__name__
        support = "integers" if is_discrete(rv) else _SUPPORTS.get(transform, "real")
        shape = shapes_of[rv.name]
        text, proper = distribution_text(rv), forms[rv.name].kind in ("known", "open")
        variables[rv.name] = VariableAnatomy(rv.name, text, role, why, shape, support, proper)
    shapes = {name: array.shape for name, array in density.symbolic.observed.items()}
    for rv in model.observed_RVs:
        text = distribution_text(rv)
        variables[rv.name] = VariableAnatomy(rv.name, text, "observed", "", tuple(shapes[rv.name]), "data", True)
    for name in density.symbolic.potential:
        side = density.potentials.get(name, "no side yet")
        variables[name] = VariableAnatomy(name, "Potential", "potential", f"it counts as {side}", (), "", True)
    for name in space.deterministics:
        variables[name] = VariableAnatomy(
            name, "Deterministic", "deterministic", "", tuple(space.shapes[name]), "", True
        )
    return Anatomy(
        checks=(),
        variables={name: {**v.__dict__} for name, v in variables.items()},
        questions=_questions(density, variables),
        widened=(),
        ledger=_ledger(density),
        dimension=space.dimension,
        n_observations=density.n_observed,
    )


# How a reason begins, with the place of the variable in it, and the way out. Single words would be found in names too.
_REMEDIES = (
    (
        "there is only one log likelihood term|the likelihood of (?P<name>.+) is one term for all|"
        "the potential '(?P<other>.+)' in the likelihood has no place",
        "give every observation a likelihood of its own: an array of observations, not one joint density",
    ),
    (
        "(?P<name>.+) is latent and has to be integrated out: no parameter",
        "declare a coefficient that you want to maximise over: Study(model, parameters=[...]), or --parameter NAME",
    ),
    (
        "the role of (?P<name>.+) is ambiguous",
        "say which it is: Study(model, parameters=[<names>]) or latents=[<names>]; --parameter NAME or --latent NAME "
        "for each",
    ),
    (
        "the model has no free variable",
        "give a parameter a prior; study.evidence.estimate() and compare_models() take it as it is",
    ),
    ("the model has no latent", "there is nothing to integrate: see study.likelihood.maximum()"),
    (
        "the support of the latent variable (?P<name>.+) moves",
        "write it as a variable with a fixed support, scaled and shifted by the parameters",
    ),
    ("(?P<name>.+) is discrete: ", "write the model without it (a mixture instead of a label)"),
    (
        "the potential '(?P<name>.+)' is not known to stay out",
        "say Study(model, potentials={'<name>': 'likelihood'}), or --potential <name>=likelihood, if it belongs there",
    ),
    (
        "the potential '(?P<name>.+)' has no side",
        "say Study(model, potentials={'<name>': 'likelihood'}) or 'prior'; --potential <name>=likelihood or "
        "<name>=prior",
    ),
    (
        "the prior of (?P<name>.+) is improper",
        "give it a proper prior; models with improper priors can be compared by leave-one-out alone, az.loo",
    ),
    (
        "the prior of (?P<name>.+) may be kept only in part",
        "draws of a prior that a transformation cuts short are not built in: write it as sums of positive steps; the "
        "evidence divides by what is kept",
    ),
    ("there are no data", "observe at least one variable"),
    ("the model has [0-9]+ dimensions", "use study.posterior.draws() or .laplace()"),
)


def require(anatomy: Anatomy, question: str) -> None:
    """Refuse a question that the model cannot answer.

    Parameters
    ----------
    anatomy : Anatomy
    question : str
        A key of ``anatomy.questions``.

    Raises
    ------
    RefusalError
        With the variable, the reason and the remedy.
    """
    reason = anatomy.questions[question]
    if not reason:
        return
    said = ((re.match(pattern, reason), text) for pattern, text in _REMEDIES)
    found, remedy = next(((match, text) for match, text in said if match), (None, ""))
    where = next((name for name in found.groupdict().values() if name), "model") if found else "model"
    quoted = ", ".join(repr(name) for name in where.split(", "))
    remedy = remedy.replace("<name>", where).replace("<names>", quoted)
    raise RefusalError(f"{question} is refused: {reason}", where, remedy)
