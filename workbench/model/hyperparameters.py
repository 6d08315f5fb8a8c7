"""The fixed numbers of the priors, and the log density as a function of them.

A hyperparameter is a parameter of a free variable's distribution that depends on no free variable, such as the 20 in
mu ~ Normal(170, 20). It is moved by one real number t, which is 0 in the model as it stands:

    eta(t) = eta exp(t)         a scale or a shape, which is positive
    eta(t) = eta + t unit       a location

The log prior of its variable becomes a function of theta and t, evaluated and differentiated in t at many points
without a compiler; and t can be made a run-time input of the compiled target, so that draws under another prior need no
new model. Parameters that move the support, such as the bounds of a Uniform, are none of these: where a prior is zero,
draws say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.abstract import _logprob
from pytensor.graph.basic import Variable
from pytensor.graph.replace import vectorize_graph
from pytensor.graph.traversal import ancestors

from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.compiled import interpreted, without_traces
from workbench.model.constants import replaced, widened
from workbench.model.density import LogDensity
from workbench.model.program import NativeObjective, Program, Weights
from workbench.numerics.objective import Vector

Kind = Literal["scale", "shape", "location"]

# Parameters of the distributions in the order of PyMC's log densities, under the names there. What is left empty moves
# the support or is a part of the distribution's definition.
_PARAMETERS: dict[str, str] = {
    "NormalRV": "mu:location sigma:scale",
    "HalfNormalRV": "- sigma:scale",
    "LogNormalRV": "mu:location sigma:scale",
    "TruncatedNormalRV": "mu:location sigma:scale - -",
    "SkewNormalRV": "mu:location sigma:scale alpha:location",
    "StudentTRV": "nu:shape mu:location sigma:scale",
    "HalfStudentTRV": "nu:shape sigma:scale",
    "CauchyRV": "alpha:location beta:scale",
    "HalfCauchyRV": "beta:scale",
    "LaplaceRV": "mu:location b:scale",
    "LogisticRV": "mu:location s:scale",
    "GumbelRV": "mu:location beta:scale",
    "MoyalRV": "mu:location sigma:scale",
    "ExGaussianRV": "mu:location sigma:scale nu:scale",
    "ExponentialRV": "scale:scale",
    "GammaRV": "alpha:shape scale:scale",
    "InvGammaRV": "alpha:shape beta:scale",
    "WeibullBetaRV": "alpha:shape beta:scale",
    "WaldRV": "mu:shape lam:shape -",
    "BetaRV": "alpha:shape beta:shape",
    "BetaClippedRV": "alpha:shape beta:shape",
    "KumaraswamyRV": "a:shape b:shape",
    "VonMisesRV": "mu:location kappa:shape",
    "DirichletRV": "a:shape",
}
_SAME = 1e-8  # relative: the log prior at t = 0 and the model's own


@dataclass(frozen=True)
class Hyperparameter:
    """A fixed number, or an array of them, in the prior of a free variable.

    Attributes
    ----------
    name : str
        Variable and parameter, such as ``mu.sigma``.
    variable : str
    kind : {"scale", "shape", "location"}
    value : ndarray
        In the model as it stands.
    unit : float
        What a location moves by while t goes from 0 to 1: the scale of the prior if that is fixed, else 1.
    position : int
        Among the inputs of the distribution.
    """

    name: str
    variable: str
    kind: Kind
    value: NDArray[np.float64]
    unit: float
    position: int

    def at(self, t: float) -> NDArray[np.float64]:
        """Its value after a move t."""
        return self.value + t * self.unit if self.kind == "location" else self.value * np.exp(t)

    def moved(self, t: Variable) -> Variable:
        """The same as a graph over t."""
        value = pt.constant(self.value)
        return value + t * self.unit if self.kind == "location" else value * pt.exp(t)


def _of_variable(rv: Variable, free: set[Variable]) -> list[Hyperparameter]:
    """The hyperparameters of one variable."""
    node = rv.owner
    words = _PARAMETERS.get(type(node.op).__name__, "").split()
    if not words:
        return []
    found = []
    for word, parameter in zip(words, node.op.dist_params(node), strict=True):
        label, _, kind = word.partition(":")
        if kind and not free & set(ancestors([parameter])):
            value = np.asarray(interpreted([], [parameter], stable=False)()[0], dtype=np.float64)
            position = next(i for i, v in enumerate(node.inputs) if v is parameter)
            found.append(Hyperparameter(f"{rv.name}.{label}", rv.name, kind, value, 1.0, position))  # type: ignore[arg-type]
    scales = [float(np.sqrt(np.mean(h.value**2))) for h in found if h.kind == "scale"]
    return [replace(h, unit=scales[0]) if scales and h.kind == "location" else h for h in found]


class Hyperparameters:
    """The hyperparameters of a model, its log prior as a function of them, and its target with them as inputs.

    Parameters
    ----------
    density : LogDensity
    """

    def __init__(self, density: LogDensity) -> None:
        self.density = density
        self._variables = density.symbolic.variables
        summed = density.summation
        free = set((density.symbolic if summed is None else summed.terms).variables.values())
        # A prior that labels enter is a sum of priors by now, of which none is the distribution that the graph names.
        entered = () if summed is None else summed.owners
        found = [h for name, rv in self._variables.items() if name not in entered for h in _of_variable(rv, free)]
        self.known: dict[str, Hyperparameter] = {h.name: h for h in found}
        self._priors: dict[str, Callable[..., list[NDArray]]] = {}

    def default(self) -> tuple[str, ...]:
        """The scales of the priors of parameters; where a parameter has none, its shapes."""
        chosen = []
        for name, (role, _) in self.density.roles.items():
            own = [h for h in self.known.values() if h.variable == name]
            scales = [h.name for h in own if h.kind == "scale"] or [h.name for h in own if h.kind == "shape"]
            chosen += scales if role in ("parameter", "ambiguous") else []
        return tuple(chosen)

    def chosen(self, names: Iterable[str]) -> tuple[Hyperparameter, ...]:
        """The hyperparameters of these names, by default those of `default`; a variable's name means all of its own.

        Parameters
        ----------
        names : iterable of str

        Returns
        -------
        tuple of Hyperparameter

        Raises
        ------
        InputError
            If there is no hyperparameter or free variable of a name.
        RefusalError
            If a variable has none that can be moved, or there is none at all.
        """
        wanted = tuple(names) or self.default()
        listed = ", ".join(self.known) or "none"
        found: dict[str, Hyperparameter] = {}
        for name in wanted:
            own = {h.name: h for h in self.known.values() if name in (h.name, h.variable)}
            if not own and name in self._variables:
                raise RefusalError(
                    f"the prior of {name} has no fixed number that can be moved",
                    name,
                    f"bounds move the support, and of this distribution no other is known; there are: {listed}",
                )
            if not own:
                raise InputError(f"there is no hyperparameter {name!r}", name, f"there are: {listed}")
            found |= own
        if not found:
            raise RefusalError(
                "no prior of a parameter has a fixed scale or shape that can be moved",
                next(iter(self._variables)),
                "write a bounded prior as a Normal, a Beta or another distribution with a scale",
            )
        return tuple(found.values())

    @without_traces()
    def _log_prior(self, moves: Mapping[str, Variable], variable: str) -> Variable:
        """The elementwise log prior of one variable over the value variables, some hyperparameters moved."""
        symbolic, rv = self.density.symbolic, self._variables[variable]
        inputs = list(rv.owner.inputs)
        for name, t in moves.items():
            if self.known[name].variable == variable:
                inputs[self.known[name].position] = self.known[name].moved(t)
        theta = rv.type()
        (graph,) = widened([_logprob(rv.owner.op, (theta,), *inputs)])
        parents = {v: symbolic.free[n] for n, v in self._variables.items() if v is not rv}
        return replaced([graph], {theta: symbolic.free[variable], **parents})[0]

    def _function(self, chosen: Hyperparameter) -> Callable[..., list[NDArray]]:
        """The function from points and t to the log prior of the variable and its derivative in t."""
        if chosen.name not in self._priors:
            space, t = self.density.space, pt.dscalar("t")
            total = self._log_prior({chosen.name: t}, chosen.variable).sum()
            graphs = space.on_vector([total, pt.grad(total, t)])
            points = pt.TensorType("float64", shape=(None, space.dimension))("Z")
            zero = space.vector[:1].sum() * 0.0  # what z does not enter gets its leading axis from here
            call = interpreted([points, t], list(vectorize_graph([g + zero for g in graphs], {space.vector: points})))
            self._agree(call, chosen)
            self._priors[chosen.name] = call
        return self._priors[chosen.name]

    def _agree(self, call: Callable[..., list[NDArray]], chosen: Hyperparameter) -> None:
        """At t = 0 the log prior has to be the model's own."""
        start = self.density.space.start[None]
        here, own = call(start, 0.0)[0][0], self.density.terms(start).log_prior[chosen.variable][0]
        if not abs(here - own) <= _SAME * max(1.0, abs(own)):
            raise NumericalError(
                f"the log prior of {chosen.variable} is {own:.6g}, but {here:.6g} derived from {chosen.name}",
                chosen.variable,
                "this is a defect of Workbench: please report the model",
            )

    def log_prior(self, chosen: Hyperparameter, points: NDArray[np.float64], t: float) -> Vector:
        """The log prior of the variable of a hyperparameter that was moved by t.

        Parameters
        ----------
        chosen : Hyperparameter
        points : ndarray, shape (m, d)
            On z.
        t : float

        Returns
        -------
        ndarray, shape (m,)
            Nats.
        """
        return self._function(chosen)(points, np.float64(t))[0]

    def slope(self, chosen: Hyperparameter, points: NDArray[np.float64]) -> Vector:
        """The derivative of that log prior in t at t = 0, shape ``(m,)``, nats."""
        return self._function(chosen)(points, np.float64(0.0))[1]

    @cached_property
    def _program(self) -> Program:
        """The compiled target with every move as an input, which stands among the data: compiled once, when needed."""
        density = self.density
        moves = {name: pt.dscalar(f"move:{name}") for name in self.known}
        symbolic = density.symbolic
        variables = {h.variable for h in self.known.values()}
        opened = replace(
            symbolic,
            data=symbolic.data | {f"move:{n}": t for n, t in moves.items()},
            observed=symbolic.observed | {f"move:{n}": np.array(0.0) for n in moves},
            log_prior=symbolic.log_prior | {v: self._log_prior(moves, v) for v in variables},
        )
        sides = [name for name, side in density.potentials.items() if side == "likelihood"]
        return Program(density.space, opened, density.likelihood_shapes, sides, {})

    def target(self, chosen: Hyperparameter, t: float) -> NativeObjective:
        """The target on z with a hyperparameter moved by t.

        Parameters
        ----------
        chosen : Hyperparameter
        t : float

        Returns
        -------
        NativeObjective
        """
        return self._program.objective(Weights(), {f"move:{chosen.name}": np.array(float(t))})
