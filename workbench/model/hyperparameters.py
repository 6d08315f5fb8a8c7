"""The log density as a function of the fixed numbers of the priors.

A hyperparameter is a parameter of a free variable's distribution that depends on no free variable, such as the 20 in
mu ~ Normal(170, 20). It is moved by one real number t, which is 0 in the model as it stands
(`workbench.model.prior_numbers`). The log prior of its variable becomes a function of theta and t, evaluated and
differentiated in t at many points without a compiler; and t can be made a run-time input of the compiled target, so
that draws under another prior need no new model.

Where the support of the prior moves with t, as with the bounds of a Uniform, so does the map from z to theta. Its terms
are derived anew with t in them, and a point z means something only together with the t that it was drawn under.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property

import numpy as np
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.abstract import _logprob
from pytensor import shared
from pytensor.graph.basic import Variable
from pytensor.graph.replace import vectorize_graph

from workbench.errors import InputError, NumericalError, RefusalError
from workbench.model.compiled import interpreted, without_traces
from workbench.model.constants import replaced, widened
from workbench.model.density import LogDensity
from workbench.model.parameter_checks import with_checks_as_values
from workbench.model.prior_numbers import Hyperparameter, numbers_of, why_fixed, why_none
from workbench.model.program import NativeObjective, Program, Weights
from workbench.model.summation import sum_out
from workbench.model.terms import SymbolicTerms, symbolic_terms
from workbench.numerics.objective import Vector

_SAME = 1e-8  # relative: the log prior at t = 0 and the model's own
_STEP = 1e-4  # in t, for the derivative of the target where the support moves


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
        self._entered = () if summed is None else summed.owners
        found = [h for name, rv in self._variables.items() if name not in self._entered for h in numbers_of(rv, free)]
        self.known: dict[str, Hyperparameter] = {h.name: h for h in found}
        self._priors: dict[str, Callable[..., list[NDArray]]] = {}
        self._programs: dict[bool, Program] = {}

    def default(self) -> tuple[str, ...]:
        """The scales of the priors of parameters; where one has none, its shapes, else the width of its support."""
        chosen = []
        for name, (role, _) in self.density.roles.items():
            own = [h for h in self.known.values() if h.variable == name]
            scales = [h.name for h in own if h.kind == "scale" and not h.widens]
            shapes = [h.name for h in own if h.kind == "shape"]
            widths = [h.name for h in own if h.kind == "scale" and h.widens]
            chosen += (scales or shapes or widths) if role in ("parameter", "ambiguous") else []
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
                    f"the prior of {name} has no fixed number that can be moved: {self._why_none(name)}",
                    name,
                    f"fit the model with another prior, and compare_models; there are: {listed}",
                )
            variable, _, label = name.partition(".")
            why, fix = why_fixed(self._variables[variable], label) if variable in self._variables else ("", "")
            if not own and why:
                raise RefusalError(f"{name} cannot be moved: {why}", variable, f"{fix}; there are: {listed}")
            if not own:
                raise InputError(f"there is no hyperparameter {name!r}", name, f"there are: {listed}")
            found |= own
        if not found:
            raise RefusalError(
                "no prior of a parameter has a fixed scale, shape or width that can be moved",
                next(iter(self._variables)),
                f"name one of a latent variable; there are: {listed}",
            )
        return tuple(found.values())

    def _why_none(self, name: str) -> str:
        if name in self._entered:
            return "labels that were summed out enter it, so that it is a sum of several priors by now"
        return why_none(self._variables[name])

    @cached_property
    def _opened(self) -> tuple[SymbolicTerms, dict[str, Variable]]:
        """The terms with every move of a support in them, and these moves by hyperparameter."""
        # Summing labels out evaluates graphs, for which a move needs a value; an input takes its place afterwards.
        valued = {name: shared(np.array(0.0)) for name, h in self.known.items() if h.widens}
        places: dict[str, Callable[[Variable], Variable]] = {}
        for name, t in valued.items():
            places[self.known[name].variable] = lambda rv, name=name, t=t: self.known[name].moved(rv, t)  # type: ignore[misc]
        symbolic = sum_out(symbolic_terms(self.density.model, places))[0]
        moves = {name: pt.dscalar(f"move:{name}") for name in valued}
        kinds = ("log_prior", "log_jacobian", "log_likelihood", "potential", "free", "variables")
        graphs = {(kind, name): graph for kind in kinds for name, graph in getattr(symbolic, kind).items()}
        opened = replaced(list(graphs.values()), {valued[name]: t for name, t in moves.items()})
        fields: dict[str, dict[str, Variable]] = {kind: {} for kind in kinds}
        for (kind, name), graph in zip(graphs, opened, strict=True):
            fields[kind][name] = graph
        return replace(symbolic, **fields), moves

    def _require_following(self, chosen: Hyperparameter) -> None:
        """Refuse a support that moves under a transformation that does not."""
        (symbolic, moves), name = self._opened, chosen.variable
        ones = pt.constant(np.ones(self.density.space.block_shapes[name]))
        others = {v: pt.constant(0.0) for n, v in moves.items() if n != chosen.name}
        graphs = replaced([symbolic.free[name]], {symbolic.values[name]: ones, **others})
        theta = interpreted([moves[chosen.name]], graphs, stable=False)
        if np.any(theta(np.float64(0.0))[0] == theta(np.float64(0.1))[0]):
            raise RefusalError(
                f"the transformation of {chosen.variable} does not follow {chosen.name}: its bounds are its own",
                chosen.variable,
                "leave the transformation to the distribution, whose bounds it then takes",
            )

    @without_traces()
    def _log_prior(self, moves: Mapping[str, Variable], variable: str, symbolic: SymbolicTerms) -> Variable:
        """The elementwise log prior of one variable over the value variables, some hyperparameters moved."""
        rv = self._variables[variable]
        theta, inputs = rv.type(), list(rv.owner.inputs)
        for name, t in moves.items():
            if self.known[name].variable == variable:
                inputs = self.known[name].inputs(inputs, t)
        (graph,) = widened([_logprob(rv.owner.op, (theta,), *inputs)])
        parents = {v: symbolic.free[n] for n, v in self._variables.items() if v is not rv}
        return replaced([graph], {theta: symbolic.free[variable], **parents})[0]

    def _function(self, chosen: Hyperparameter) -> Callable[..., list[NDArray]]:
        """From points, t and the move under which they were drawn to the log prior and its derivative in t."""
        if chosen.name not in self._priors:
            if chosen.widens:
                self._require_following(chosen)
            space, t, own = self.density.space, pt.dscalar("t"), pt.dscalar("own")
            symbolic, moves = self._opened if chosen.widens else (self.density.symbolic, {})
            total = self._log_prior({chosen.name: t}, chosen.variable, symbolic).sum()
            here = {v: own if name == chosen.name else pt.constant(0.0) for name, v in moves.items()}
            graphs = space.on_vector(replaced([total, pt.grad(total, t)], here))
            points = pt.TensorType("float64", shape=(None, space.dimension))("Z")
            zero = space.vector[:1].sum() * 0.0 + own * 0.0  # what z does not enter gets its leading axis from here
            many = list(vectorize_graph(with_checks_as_values([g + zero for g in graphs]), {space.vector: points}))
            call = interpreted([points, t, own], many)
            self._agree(call, chosen)
            self._priors[chosen.name] = call
        return self._priors[chosen.name]

    def _agree(self, call: Callable[..., list[NDArray]], chosen: Hyperparameter) -> None:
        """At t = 0 the log prior has to be the model's own."""
        start = self.density.space.start[None]
        here, own = call(start, 0.0, 0.0)[0][0], self.density.terms(start).log_prior[chosen.variable][0]
        if not abs(here - own) <= _SAME * max(1.0, abs(own)):
            raise NumericalError(
                f"the log prior of {chosen.variable} is {own:.6g}, but {here:.6g} derived from {chosen.name}",
                chosen.variable,
                "this is a defect of Workbench: please report the model",
            )

    def log_prior(self, chosen: Hyperparameter, points: NDArray[np.float64], t: float, own: float = 0.0) -> Vector:
        """The log prior of the variable of a hyperparameter that was moved by t.

        Parameters
        ----------
        chosen : Hyperparameter
        points : ndarray, shape (m, d)
            On z.
        t : float
        own : float
            The move under which the points were drawn; it matters where the support moves.

        Returns
        -------
        ndarray, shape (m,)
            Nats.
        """
        return self._function(chosen)(points, np.float64(t), np.float64(own))[0]

    def slope(self, chosen: Hyperparameter, points: NDArray[np.float64]) -> Vector:
        """The derivative in t at t = 0 whose posterior mean is that of log p(y), at points of shape ``(m, d)``.

        It is that of the log prior; where the support moves, that of the whole target at a fixed z.

        Returns
        -------
        ndarray, shape (m,)
            Nats.
        """
        if not chosen.widens:
            return self._function(chosen)(points, np.float64(0.0), np.float64(0.0))[1]
        high, low = (self.target(chosen, step).sweep(points)[0] for step in (_STEP, -_STEP))
        return (high - low) / (2.0 * _STEP)

    def carried(self, chosen: Hyperparameter, z: Vector, t: float) -> Vector:
        """The point z of the model as it stands as one under a moved number; the middle where that has no place for it.

        Parameters
        ----------
        chosen : Hyperparameter
        z : ndarray, shape (d,)
        t : float

        Returns
        -------
        ndarray, shape (d,)
        """
        if not chosen.widens:
            return z
        space, name, (symbolic, moves) = self.density.space, chosen.variable, self._opened
        rv, transform, theta = symbolic.variables[name], symbolic.transforms[name], space.theta(z)[name][0]
        there = {v: pt.constant(t if n == chosen.name else 0.0) for n, v in moves.items()}
        (graph,) = replaced([transform.forward(pt.constant(theta), *rv.owner.inputs)], there)
        with np.errstate(all="ignore"):
            block = np.ravel(interpreted([], [graph], stable=False)()[0])
        found = z.copy()
        found[space.blocks[name]] = np.where(np.isfinite(block), block, 0.0)
        return found

    def _program(self, widening: bool) -> Program:
        """The compiled target with moves as inputs, which stand among the data: compiled once, when needed."""
        if widening not in self._programs:
            density = self.density
            if widening:
                symbolic, moves = self._opened
                log_prior = symbolic.log_prior
            else:
                symbolic = density.symbolic
                moves = {name: pt.dscalar(f"move:{name}") for name, h in self.known.items() if not h.widens}
                variables = {self.known[name].variable for name in moves}
                log_prior = symbolic.log_prior | {v: self._log_prior(moves, v, symbolic) for v in variables}
            opened = replace(
                symbolic,
                data=symbolic.data | {f"move:{n}": t for n, t in moves.items()},
                observed=symbolic.observed | {f"move:{n}": np.array(0.0) for n in moves},
                log_prior=log_prior,
            )
            sides = [name for name, side in density.potentials.items() if side == "likelihood"]
            self._programs[widening] = Program(density.space, opened, density.likelihood_shapes, sides, {})
        return self._programs[widening]

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
        return self._program(bool(chosen.widens)).objective(Weights(), {f"move:{chosen.name}": np.array(float(t))})
