"""Which priors are known to integrate to one, and which have to be measured; and one prior term by itself.

On z the prior of a free variable v, given the other variables, is the density p(theta_v) |d theta_v / d z_v|. It
integrates to one if the distribution is one that PyMC normalises and the transformation is the distribution's own. A
`CustomDist`, a truncated, a mixed or an LKJ prior is normalised only if its author was right. Another transformation
may cut a prior short: `ordered` keeps one of the K! orders of K values, and what is left integrates to 1/K!. PyMC's
density of a CAR lacks a constant that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray
from pymc.distributions import continuous, discrete, mixture
from pymc.distributions.censored import CensoredRV
from pymc.distributions.distribution import DiracDeltaRV
from pymc.distributions.mixture import MixtureRV
from pymc.distributions.multivariate import DirichletMultinomialRV
from pymc.distributions.timeseries import AutoRegressiveRV, RandomWalkRV
from pymc.distributions.transforms import Ordered, _default_transform
from pymc.distributions.truncated import TruncatedRV
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import ancestors
from pytensor.tensor.random import basic
from scipy.special import gammaln

from workbench.errors import NumericalError
from workbench.model.compiled import batched
from workbench.model.constants import replaced
from workbench.model.density import LogDensity
from workbench.model.terms import missing_constant
from workbench.numerics.objective import Vector

Kind = Literal["known", "improper", "cut", "open"]

_IMPROPER = ("FlatRV", "HalfFlatRV", "ICARRV")
# Families of these modules are normalised by formula; `Interpolated` is by numbers that the user gives.
_FORMULA = {module.__name__ for module in (continuous, discrete, basic)}
_NO_FORMULA = ("InterpolatedRV", "DiracDeltaRV")
_MULTIVARIATE = ("PrecisionMvNormalRV", "MvStudentTRV", "MatrixNormalRV", "KroneckerNormalRV", "StickBreakingWeightsRV")
_SUMS = (RandomWalkRV, AutoRegressiveRV, MixtureRV)  # normalised if the distributions that they are made of are
_LOGS = {"LogTransform", "LogExpM1"}  # two maps to the same half line


@dataclass(frozen=True)
class PriorForm:
    """What can be said of a prior from the graph alone.

    Attributes
    ----------
    kind : {"known", "improper", "cut", "open"}
        ``cut``: a known distribution under a transformation that is not its own; ``open``: has to be measured.
    why : str
        The reason, unless it is known.
    elementwise : bool
        Whether the elements are independent given the other variables, with one coordinate of z each.
    log_share : float
        Log of what it integrates to where that is known without a measurement, nats: what a cut leaves where symmetry
        tells, or the constant that a density lacks; NaN elsewhere.
    how : str
        How that is known.
    """

    kind: Kind
    why: str = ""
    elementwise: bool = False
    log_share: float = float("nan")
    how: str = "symmetry"


def _known(rv: Variable) -> bool:
    """Whether PyMC guarantees that the distribution of a variable is normalised."""
    node = rv.owner
    if node is None or not hasattr(node.op, "ndim_supp"):
        return False
    kind, inputs = type(node.op), list(node.inputs)
    if kind.__name__ == "PartialObservedRV":  # missing values have the distribution of the others
        return _known(inputs[0])
    if isinstance(node.op, _SUMS):
        made_of = [v for v in inputs if v.owner is not None and hasattr(v.owner.op, "ndim_supp")]
        return bool(made_of) and all(_known(v) for v in made_of)
    return _by_formula(kind)


def _by_formula(kind: type) -> bool:
    formula = any(base.__module__ in _FORMULA for base in kind.__mro__)
    return (formula or kind.__name__ in _MULTIVARIATE) and kind.__name__ not in (*_NO_FORMULA, *_IMPROPER)


def _known_of_data(rv: Variable) -> bool:
    """As `_known` for what is observed: a bound or a point mass of PyMC takes no share of the probability away."""
    op = None if rv.owner is None else rv.owner.op
    if _known(rv) or isinstance(op, DiracDeltaRV | DirichletMultinomialRV):
        return True
    if type(op).__name__ == "CARRV":  # its density is completed
        return bool(np.isfinite(missing_constant(rv)))
    if isinstance(op, TruncatedRV):
        return _by_formula(type(op.base_rv_op))
    if isinstance(op, CensoredRV) or type(op).__module__ == mixture.__name__:
        made_of = [v for v in rv.owner.inputs if v.owner is not None and hasattr(v.owner.op, "ndim_supp")]
        return bool(made_of) and all(_known_of_data(v) for v in made_of)
    return False


def _alike(rv: Variable) -> bool:
    """Whether all elements of a variable have the same distribution by their parameters."""
    op = rv.owner.op
    if op.ndim_supp != 0:
        return False
    for parameter in op.dist_params(rv.owner):
        single = all(n == 1 for n in parameter.type.shape)
        if not single and not (isinstance(parameter, Constant) and np.ptp(np.asarray(parameter.data)) == 0):
            return False
    return True


def prior_form(model: pm.Model, rv: Variable) -> PriorForm:
    """What can be said of the prior of one free variable.

    Parameters
    ----------
    model : pm.Model
    rv : variable
        One of ``model.free_RVs``.

    Returns
    -------
    PriorForm
    """
    op, name = rv.owner.op, type(rv.owner.op).__name__
    if any(base.__name__ in _IMPROPER for base in type(op).__mro__):
        return PriorForm("improper", f"the prior of {rv.name} is improper")
    own = model.rvs_to_transforms.get(rv)
    try:
        usual = _default_transform(op, rv)
    except NotImplementedError:
        usual = None
    elementwise = op.ndim_supp == 0 and (own is None or getattr(own, "ndim_supp", None) == 0)
    same = type(own) is type(usual) or {type(own).__name__, type(usual).__name__} <= _LOGS
    if name == "CARRV" and own is None and np.isfinite(lacks := missing_constant(rv)):
        why = f"PyMC writes the density of the CAR {rv.name} without its constant"
        return PriorForm("cut", why, log_share=lacks, how="formula")
    if not _known(rv):
        label = getattr(op, "_print_name", (name.removesuffix("RV"),))[0]
        return PriorForm("open", f"a {label} is normalised only if its log density was written so", elementwise)
    if own is None or same:
        return PriorForm("known", "", elementwise)
    why = f"the prior of {rv.name} may be kept only in part by its transformation {type(own).__name__}"
    share = float("nan")
    if type(own) is Ordered and rv.type.ndim == 1 and rv.type.shape[0] is not None and _alike(rv):
        share = -float(gammaln(rv.type.shape[0] + 1))  # each of the K! orders is as likely as the others
    return PriorForm("cut", why, elementwise, share)


def prior_forms(model: pm.Model) -> dict[str, PriorForm]:
    """What can be said of every prior from the graph alone, by free variable."""
    return {rv.name: prior_form(model, rv) for rv in model.free_RVs}


def known_likelihoods(model: pm.Model) -> dict[str, bool]:
    """Observed variable -> whether PyMC guarantees that its distribution is normalised over the data."""
    return {rv.name: _known_of_data(rv) for rv in model.observed_RVs}


class PriorTerm:
    """The prior of one free variable on its own block of z, given the other variables.

    Parameters
    ----------
    density : LogDensity
    name : str
    """

    def __init__(self, density: LogDensity, name: str) -> None:
        s, self._density, self.name = density.symbolic, density, name
        self.block = density.space.blocks[name]
        constants = {v: pt.constant(s.observed[n]) for n, v in s.data.items()}
        graphs = [s.log_prior[name], *([s.log_jacobian[name]] if name in s.log_jacobian else [])]
        self._graphs = density.space.on_vector(replaced(graphs, constants))

    @property
    def dimension(self) -> int:
        """The number of coordinates of the block."""
        return self.block.stop - self.block.start

    @cached_property
    def depends_on(self) -> tuple[str, ...]:
        """The other free variables that enter the term."""
        s = self._density.symbolic
        above = set(ancestors([s.log_prior[self.name], *(g for n, g in s.log_jacobian.items() if n == self.name)]))
        return tuple(name for name, value in s.values.items() if name != self.name and value in above)

    def _points(self, block: NDArray[np.float64], z: Vector) -> NDArray[np.float64]:
        points = np.tile(z, (len(block), 1))
        points[:, self.block] = block
        return points

    @cached_property
    def _elementwise(self) -> Callable[[NDArray], list[NDArray]]:
        return batched(self._density.space.vector, self._graphs)

    def elements(self, block: NDArray[np.float64], z: Vector) -> NDArray[np.float64]:
        """Log prior + log Jacobian of every element.

        Parameters
        ----------
        block : ndarray, shape (m, n)
            Values of the variable's own coordinates.
        z : ndarray, shape (d,)
            The values of all the others; the block in it is not used.

        Returns
        -------
        ndarray, shape (m, n)
            Nats; ``-inf`` where it cannot be computed.
        """
        arrays = self._elementwise(self._points(block, z))
        total = np.sum([array.reshape(len(block), -1) for array in arrays], axis=0)
        return np.where(np.isnan(total), -np.inf, total)

    @cached_property
    def _with_gradient(self) -> Callable[[NDArray], list[NDArray]]:
        vector = self._density.space.vector
        total = sum((graph.sum() for graph in self._graphs), pt.constant(0.0))
        return batched(vector, [total, pt.grad(total, vector, disconnected_inputs="ignore")])

    def at(self, z: Vector) -> TermAt:
        """The term as an objective on its block, the other variables at z."""
        return TermAt(self, z)

    def sweep(self, block: NDArray[np.float64], z: Vector) -> tuple[Vector, NDArray[np.float64]]:
        """The term and its gradient over the block, shapes ``(m,)`` and ``(m, n)``; arguments as for `elements`."""
        value, gradient = self._with_gradient(self._points(block, z))
        return value, gradient[:, self.block]


@dataclass(frozen=True)
class TermAt:
    """A prior term with the other variables held: an objective of many points on its block."""

    term: PriorTerm
    z: Vector

    @property
    def dimension(self) -> int:
        """The number of coordinates of the block."""
        return self.term.dimension

    def sweep(self, points: NDArray[np.float64]) -> tuple[Vector, NDArray[np.float64]]:
        """The term and its gradient at points of shape ``(m, n)``, nats."""
        return self.term.sweep(points, self.z)

    def value(self, block: Vector) -> float:
        """The term at one point, nats: finite or ``-inf``; raises `NumericalError` for NaN."""
        return self.value_and_gradient(block)[0]

    def value_and_gradient(self, block: Vector) -> tuple[float, Vector]:
        """The term and its gradient, shape ``(n,)``, nats.

        Raises
        ------
        NumericalError
            If it is NaN or ``+inf``.
        """
        value, gradient = self.sweep(block[None])
        number = float(value[0])
        if number != number or number == np.inf:
            raise NumericalError(f"the log density is {number}", self.term.name, "look for a log of a negative number")
        return number, gradient[0].copy()
