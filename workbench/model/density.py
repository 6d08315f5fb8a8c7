"""One log density, compiled once, whose every term has a weight that is set at run time.

For a point z in the unconstrained space R^d

    log f(z) = a * log_prior(z) + sum_i w_i * log_likelihood_i(z) + c * log_jacobian(z)

where a, c, every w_i and the observations are run-time inputs of one compiled function. A question is a choice of
weights (`Weights`): the likelihood alone (0, 1, 0), the joint density in the model's own units (1, 1, 0), the target
of MCMC and of the evidence integral (1, 1, 1), the prior on z (1, 0, 1). A weight of 0 switches a term off, also where
the term is ``-inf``. `LogDensity.terms` gives every term on its own at many points by a second, independent route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.logprob.utils import ParameterValueError
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.traversal import ancestors

from workbench.errors import InputError, RefusalError, WorkbenchError
from workbench.model.compiled import batched, interpreted
from workbench.model.constants import replaced
from workbench.model.fixed_numbers import refuse_impossible
from workbench.model.program import NativeObjective, Program, Weights
from workbench.model.recovery import Recovery
from workbench.model.roles import decide_roles, parents_of
from workbench.model.space import Space, build_space
from workbench.model.summation import Summation, sum_out
from workbench.model.terms import SymbolicTerms, is_discrete, symbolic_target, symbolic_terms
from workbench.numerics.objective import Vector

_ONE_COUNT = ("multinomial", "dirichlet_multinomial")  # of which a vector is one draw, however it is stored
_CHUNK = 4_000_000  # log likelihood terms evaluated at a time, 32 MB

_IMPOSSIBLE = "that does not hold where the model starts: give the free variables an `initval` at which it does"
_UNLIKE = "see that observations, covariates and group codes are of the same length"
Model = pm.Model  # under this name for the layers that do not import PyMC
Side = Literal["prior", "likelihood"]


LIKELIHOOD = Weights(prior=0.0, jacobian=0.0)
JOINT = Weights(jacobian=0.0)
TARGET = Weights()
PRIOR = Weights(likelihood=0.0)
INTEGRAND = Weights(prior=0.0, jacobian=0.0, latent=1.0)  # integrated over the latents: the likelihood


@dataclass(frozen=True)
class TermValues:
    """Every log density term at m points, in nats.

    Attributes
    ----------
    log_prior, log_jacobian, potential : dict of str to ndarray, shape (m,)
        Summed over the elements of each variable.
    log_likelihood : dict of str to ndarray, shape (m, *observations)
        Elementwise.
    """

    log_prior: dict[str, NDArray]
    log_jacobian: dict[str, NDArray]
    potential: dict[str, NDArray]
    log_likelihood: dict[str, NDArray]


def _by_row(array: NDArray) -> NDArray:
    """Sums over everything but the leading axis; NaN where there are infinities of both signs."""
    with np.errstate(invalid="ignore"):
        return array.reshape(len(array), -1).sum(axis=1)


class LogDensity:
    """The log density of a model with run-time weights and data.

    Parameters
    ----------
    model : pm.Model
        It is not changed.
    potentials : mapping of str to {"prior", "likelihood"}
        The side on which each `pm.Potential` counts. One without a side only takes part when prior and likelihood
        are both there with weight 1.
    parameters, latents : iterable of str
        Free variables whose role the graph leaves open, or that the user reads differently. The terms of latent
        variables have weights of their own, so that they can be integrated over; see `Weights`.

    Raises
    ------
    InputError
        If the model is no `pm.Model`, or if `potentials` names a potential that the model lacks, or a side that is
        neither of the two; or if `parameters` or `latents` name something that is no free variable, or name it twice.
    RefusalError
        If PyMC cannot derive the log density, if it cannot be computed at the start, or if an index in the model is
        out of range.
    """

    def __init__(
        self,
        model: pm.Model,
        potentials: Mapping[str, Side] | None = None,
        parameters: Iterable[str] = (),
        latents: Iterable[str] = (),
    ) -> None:
        if not isinstance(model, Model):
            raise InputError(
                f"a {type(model).__name__} is no pm.Model", "Study", "pass the model that `with pm.Model()` made"
            )
        self.model = model
        self.symbolic: SymbolicTerms
        self.summation: Summation | None
        with np.errstate(divide="ignore", invalid="ignore"):  # of numbers that are refused next
            symbolic = symbolic_terms(model)
        refuse_impossible(model, symbolic)
        self.symbolic, self.summation, self.why_discrete = sum_out(symbolic)
        try:
            self.space: Space = build_space(model, self.symbolic)
            at_start = self._likelihood_at_start()
        except IndexError as error:
            raise RefusalError(
                f"an index in the model is out of range: {error}",
                "model",
                "group codes start at 0 in Python: subtract 1 from codes that start at 1, or enlarge the effect",
            ) from error
        except ValueError as error:  # from the distribution that a starting point is drawn from
            if isinstance(error, WorkbenchError):
                raise
            raise RefusalError(
                f"PyMC finds no starting point: {error}",
                "model",
                "look at the numbers and shapes in the priors, such as a scale <= 0",
            ) from error
        self.likelihood_shapes = {name: array.shape for name, array in at_start.items()}
        self.potentials = dict(potentials or {})
        known = list(self.symbolic.potential)
        for name, side in self.potentials.items():
            if name not in known:
                raise InputError(f"there is no potential {name!r}", "potentials", f"the model has: {known or 'none'}")
            if side not in ("prior", "likelihood"):
                raise InputError(f"{side!r} is no side", f"potentials[{name!r}]", "say 'prior' or 'likelihood'")
        self._pymc_targets: dict[bool, Any] = {}
        self.summed = () if self.summation is None else self.summation.names
        self.roles = decide_roles(model, parameters, latents, self.summed)
        self.latents = tuple(name for name in self.space.names if self.roles[name][0] == "latent")
        self.unlabelled = tuple(name for name in known if name not in self.potentials)
        self.discrete = tuple(n for n, v in self.symbolic.values.items() if is_discrete(v))

    def start_at(self, z: NDArray[np.float64]) -> None:
        """Start from another point on z; before anything else is asked, as what is built keeps its own start."""
        self.space = replace(self.space, start=z)

    def fingerprint(self) -> int:
        """A number that changes when `pm.set_data` changes the data of the model."""
        shared = [v.get_value(borrow=True) for v in self.model.data_vars if isinstance(v, SharedVariable)]
        return hash(tuple((array.shape, np.ascontiguousarray(array).tobytes()) for array in map(np.asarray, shared)))

    def _likelihood_at_start(self) -> dict[str, NDArray]:
        """Every log likelihood term at the start, run as it was written.

        Compiled code reads beside the array where an index is out of range; run operation by operation it raises.
        """
        s, space = self.symbolic, self.space
        graphs = space.on_vector(list(s.log_likelihood.values()))
        call = interpreted([space.vector, *s.data.values()], graphs, stable=False)
        try:
            arrays = call(space.start, *(s.observed[n] for n in s.data))
        except (TypeError, ValueError) as error:  # the lengths of `pm.Data` are known only now
            what = f"the log likelihood cannot be computed: {(str(error).splitlines() or [type(error).__name__])[0]}"
            fix = _IMPOSSIBLE if isinstance(error, ParameterValueError) else _UNLIKE
            raise RefusalError(what, "model", fix) from error
        return dict(zip(s.log_likelihood, arrays, strict=True))

    @cached_property
    def parents(self) -> dict[str, list[str]]:
        """Free variable -> the free variables on which its distribution depends."""
        return parents_of(self.model, self.summed)

    @cached_property
    def n_observations(self) -> int:
        """The number of log likelihood terms: one per observation, or per vector of a multivariate likelihood."""
        return sum(int(np.prod(shape)) for shape in self.likelihood_shapes.values())

    @cached_property
    def n_observed(self) -> int:
        """The number of observations: what BIC and AICc count, and what a cost an observation is divided by.

        A likelihood term counts as one, as a row of a multivariate likelihood or counts by category do, unless it is
        the joint density of several observations: of a series, of a process, or of those that share a summed label.
        """
        members = {} if self.summation is None else self.summation.members

        def count(name: str, shape: tuple[int, ...]) -> int:
            if members.get(name):
                return sum(places.size for places in members[name])
            joint = not shape and getattr(self.model[name].owner.op, "name", "") not in _ONE_COUNT
            return int(self.symbolic.observed[name].size if joint else np.prod(shape))

        return sum(count(name, shape) for name, shape in self.likelihood_shapes.items())

    @property
    def has_data(self) -> bool:
        """Whether anything is observed, or a potential stands for data."""
        return self.n_observations > 0 or "likelihood" in self.potentials.values()

    @property
    def work(self) -> int:
        """Numbers behind the log likelihood of one point: its terms, in every state that is summed over."""
        return max(1, self.n_observations, 0 if self.summation is None else self.summation.work)

    @cached_property
    def latent_shapes(self) -> dict[str, tuple[int, ...]]:
        """Terms that belong to the latent variables -> shape: their log prior, and potentials in it that they enter."""
        s = self.symbolic
        if not self.latents:
            return {}
        values = {s.values[name] for name in self.latents}
        tilted = [
            n for n, side in self.potentials.items() if side == "prior" and values & set(ancestors([s.potential[n]]))
        ]
        graphs = [*(s.log_prior[name] for name in self.latents), *(s.potential[name] for name in tilted)]
        space = self.space
        call = interpreted([space.vector, *s.data.values()], space.on_vector(graphs), stable=False)
        arrays = call(space.start, *(s.observed[n] for n in s.data))
        return {name: array.shape for name, array in zip((*self.latents, *tilted), arrays, strict=True)}

    # -- the second route: every term on its own, at many points -------------------------------------------------

    @cached_property
    def _terms(self) -> Any:
        symbolic = self.symbolic
        graphs = [g.sum() for g in (symbolic.log_prior | symbolic.potential).values()]
        graphs += [g.sum() for g in symbolic.log_jacobian.values()]
        graphs += list(symbolic.log_likelihood.values())
        constants = {v: pt.constant(symbolic.observed[n]) for n, v in symbolic.data.items()}
        return batched(self.space.vector, self.space.on_vector(replaced(graphs, constants)))

    def terms(self, points: NDArray[np.float64]) -> TermValues:
        """Every term at many points, without the compiled function.

        Parameters
        ----------
        points : ndarray, shape (m, d)

        Returns
        -------
        TermValues
        """
        s = self.symbolic
        arrays = iter(self._terms(np.atleast_2d(points)))
        return TermValues(
            log_prior={name: next(arrays) for name in s.log_prior},
            potential={name: next(arrays) for name in s.potential},
            log_jacobian={name: next(arrays) for name in s.log_jacobian},
            log_likelihood={name: next(arrays) for name in s.log_likelihood},
        )

    def sums(self, points: NDArray[np.float64]) -> tuple[Vector, Vector, Vector]:
        """log_prior, log_likelihood and log_jacobian at many points, each summed, potentials on their sides.

        Parameters
        ----------
        points : ndarray, shape (m, d)

        Returns
        -------
        log_prior, log_likelihood, log_jacobian : ndarray, shape (m,)
            Nats.

        Raises
        ------
        RefusalError
            If a potential has no side.
        """
        self._need_sides("split the joint density into prior and likelihood")
        points = np.atleast_2d(points)
        size = max(1, _CHUNK // self.work)
        parts = [self._sums(points[i : i + size]) for i in range(0, len(points), size)]
        log_prior, log_likelihood, log_jacobian = (np.concatenate(part) for part in zip(*parts, strict=True))
        return log_prior, log_likelihood, log_jacobian

    def _sums(self, points: NDArray[np.float64]) -> tuple[Vector, Vector, Vector]:
        """`sums` for as many points as fit into memory at once."""
        terms, zero = self.terms(points), np.zeros(len(points))
        sides: dict[str, Vector] = {"prior": zero.copy(), "likelihood": zero.copy()}
        for array in terms.log_prior.values():
            sides["prior"] += array
        for array in terms.log_likelihood.values():
            sides["likelihood"] += _by_row(array)
        for name, array in terms.potential.items():
            sides[self.potentials[name]] += array
        return sides["prior"], sides["likelihood"], zero + sum(terms.log_jacobian.values(), zero)

    def _need_sides(self, purpose: str) -> None:
        if self.unlabelled:
            name = self.unlabelled[0]
            raise RefusalError(
                f"cannot {purpose}: the potential {name!r} belongs to neither side",
                name,
                f"say Study(model, potentials={{{name!r}: 'likelihood'}}) or 'prior'; --potential {name}=likelihood",
            )

    # -- the first route: one compiled function -------------------------------------------------------------------

    @cached_property
    def _program(self) -> Program:
        likelihood_side = [n for n, side in self.potentials.items() if side == "likelihood"]
        return Program(self.space, self.symbolic, self.likelihood_shapes, likelihood_side, self.latent_shapes)

    def compile(self) -> LogDensity:
        """Compile now instead of at first use; returns the density itself."""
        _ = self._program
        return self

    def objective(self, weights: Weights = TARGET, data: Mapping[str, NDArray] | None = None) -> NativeObjective:
        """The objective of one question; costs microseconds once the density is compiled.

        Parameters
        ----------
        weights : Weights
        data : mapping of str to ndarray, optional
            Other observations of the same shape, by observed variable.

        Returns
        -------
        NativeObjective

        Raises
        ------
        RefusalError
            If a free variable is discrete, or a potential has no side and the weights split prior and likelihood.
        InputError
            If weights or data name an unknown observed variable or have a shape that does not fit.
        """
        if self.discrete:
            raise RefusalError(
                f"{self.discrete[0]!r} is discrete and cannot be summed out: {self.why_discrete}",
                self.discrete[0],
                "write the model without it (a mixture instead of a label); draws work: study.posterior.draws()",
            )
        whole = weights.prior == 1.0 and not isinstance(weights.likelihood, Mapping) and weights.likelihood == 1.0
        if not whole:
            self._need_sides("weigh prior and likelihood apart")
        return self._program.objective(weights, data or {})

    def pymc_target(self, points: NDArray[np.float64], stable: bool = False) -> Vector:
        """The log density on z as PyMC adds it up (constants widened): written so, nothing of it is shared with ours.

        Parameters
        ----------
        points : ndarray, shape (m, d)
        stable : bool
            Whether in numerically stable form: as written, the log of a probability that rounds to 0 is -inf.

        Returns
        -------
        ndarray, shape (m,)
            Nats.
        """
        points = np.atleast_2d(points)
        if self.summation is None:
            return np.array([self._pymc_value(stable, point) for point in points])
        # PyMC does not sum over discrete variables: it is asked at values of them, and what these have less than the
        # sum over all values is added. The two agree only if the sum holds every term where it belongs.
        log_weights = self.recovery.log_weights(points)
        chosen = self.recovery.choose(log_weights, np.random.default_rng(0))
        values = [a.astype(self.summation.terms.values[n].dtype) for n, a in self.recovery.values(chosen).items()]
        whole = [self._pymc_value(stable, point, *(a[i] for a in values)) for i, point in enumerate(points)]
        return np.array(whole) - self.recovery.excess(log_weights, chosen)

    @cached_property
    def recovery(self) -> Recovery:
        """The way back to discrete variables that were summed out.

        Raises
        ------
        RefusalError
            If there are none.
        """
        if self.summation is None:
            raise RefusalError("no variable was summed out", "model", "ask for what the model has")
        return Recovery(self.summation, self.space)

    def _pymc_value(self, stable: bool, z: Vector, *discrete: NDArray) -> float:
        try:
            return float(self._pymc_target(stable)(z, *discrete)[0])
        except ParameterValueError:  # PyMC's way to say that a parameter is outside its range
            return -np.inf

    def _pymc_target(self, stable: bool) -> Any:
        if stable not in self._pymc_targets:
            target = self.space.on_vector([symbolic_target(self.model)])
            discrete = [] if self.summation is None else [self.summation.terms.values[n] for n in self.summed]
            self._pymc_targets[stable] = interpreted([self.space.vector, *discrete], target, stable)
        return self._pymc_targets[stable]
