"""The map between the unconstrained vector z and the named quantities theta.

A sampler, an optimiser and an integral live on z in R^d; people think in theta: named variables with units, shapes
and dimensions. `Space` is the only place that knows which block of z belongs to which variable. It maps by name.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr
from numpy.typing import NDArray
from pymc.logprob.transforms import CircularTransform
from pytensor.graph.basic import Variable
from pytensor.graph.replace import vectorize_graph

from workbench.errors import InputError
from workbench.model.compiled import batched, interpreted
from workbench.model.constants import replaced
from workbench.model.terms import SymbolicTerms


@dataclass(frozen=True)
class Space:
    """Blocks, shapes, labels and transformations of the free variables of one model.

    Attributes
    ----------
    names : tuple of str
        Free variables in the order of their blocks in z.
    deterministics : tuple of str
    shapes : dict of str to tuple of int
        Shape in theta of every free variable and deterministic.
    blocks : dict of str to slice
        Free variable -> its part of z.
    block_shapes : dict of str to tuple of int
        Free variable -> the shape of that part before it was flattened.
    dims : dict of str to tuple of str
        Names of the axes of every variable in theta.
    coords : dict of str to ndarray
        Labels along the axes.
    start : ndarray, shape (d,)
        Where the model would start: `initval` where one is set, the support point elsewhere.
    """

    names: tuple[str, ...]
    deterministics: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    blocks: dict[str, slice]
    block_shapes: dict[str, tuple[int, ...]]
    dims: dict[str, tuple[str, ...]]
    coords: dict[str, NDArray]
    start: NDArray[np.float64]
    _terms: SymbolicTerms = field(repr=False)

    @property
    def dimension(self) -> int:
        """The number d of coordinates of z."""
        return self.start.size

    @cached_property
    def angles(self) -> NDArray[np.bool_]:
        """Which coordinates of z are angles, over which every density repeats itself, shape ``(d,)``."""
        found = np.zeros(self.dimension, dtype=bool)
        for name, block in self.blocks.items():
            found[block] = isinstance(self._terms.transforms[name], CircularTransform)
        return found

    @cached_property
    def vector(self) -> Variable:
        """The symbolic z, shape ``(d,)``."""
        return pt.TensorType("float64", shape=(self.dimension,))("z")

    def on_vector(self, graphs: list[Variable], z: Variable | None = None) -> list[Variable]:
        """The same graphs over the one vector z instead of one value variable per free variable."""
        z = self.vector if z is None else z
        parts = {
            variable: z[self.blocks[name]].reshape(self.block_shapes[name]).astype(variable.dtype)
            for name, variable in self._terms.values.items()
        }
        return replaced(graphs, parts)

    @cached_property
    def _theta(self) -> Any:
        graphs = [*self._terms.free.values(), *self._terms.deterministic.values()]
        constants = {v: pt.constant(self._terms.observed[n]) for n, v in self._terms.data.items()}
        return batched(self.vector, self.on_vector(replaced(graphs, constants)))

    def theta(self, points: NDArray[np.float64]) -> dict[str, NDArray]:
        """Free variables and deterministics at many points.

        Parameters
        ----------
        points : ndarray, shape (m, d)

        Returns
        -------
        dict of str to ndarray, shape (m, *shape)
            In the model's own units.
        """
        arrays = self._theta(np.atleast_2d(points))
        return dict(zip((*self.names, *self.deterministics), arrays, strict=True))

    def dataset(self, arrays: Mapping[str, NDArray], leading: tuple[str, ...] = ()) -> xr.Dataset:
        """Arrays by variable name as a labelled Dataset.

        Parameters
        ----------
        arrays : mapping of str to ndarray, shape (*leading sizes, *shape)
        leading : tuple of str
            Names of the axes that stand before the variable's own, such as ``("chain", "draw")``.

        Returns
        -------
        xarray.Dataset
        """
        variables = {name: ((*leading, *self.dims[name]), array) for name, array in arrays.items()}
        used = {dim for name in arrays for dim in self.dims[name]}
        return xr.Dataset(variables, coords={dim: self.coords[dim] for dim in used if dim in self.coords})

    def labels(self, name: str) -> list[str]:
        """Flat labels of the elements of a variable, such as ``beta[treated]``, in C order.

        Examples
        --------
        A scalar ``mu`` has the one label ``mu``; a vector without coordinates has ``beta[0]``, ``beta[1]``.
        """
        shape = self.shapes[name]
        if not shape:
            return [name]
        axes = [
            self.coords[dim] if dim in self.coords else np.arange(size)
            for dim, size in zip(self.dims[name], shape, strict=True)
        ]
        return [f"{name}[{', '.join(str(label) for label in labels)}]" for labels in itertools.product(*axes)]

    def variable_of(self, label: str) -> str:
        """The free variable to which a flat label such as ``beta[treated]`` belongs.

        Raises
        ------
        InputError
            If there is no such scalar, or it means a whole vector.
        """
        for name in self.names:
            own = self.labels(name)
            if label in own:
                return name
            if label == name:
                shown = ", ".join(own[:3]) + (", ..." if len(own) > 3 else "")
                raise InputError(f"{label!r} has {len(own)} elements", label, f"give one of them: {shown}")
        known = ", ".join(self.names)
        raise InputError(f"there is no scalar {label!r}", label, f"give one of a free variable: {known}")

    def flat(self, arrays: Mapping[str, NDArray], names: tuple[str, ...] | None = None) -> NDArray[np.float64]:
        """Scalars side by side: arrays of shape ``(m, *shape)`` as one of shape ``(m, k)``."""
        names = (*self.names, *self.deterministics) if names is None else names
        m = len(next(iter(arrays.values())))
        return np.concatenate([np.asarray(arrays[n], dtype=np.float64).reshape(m, -1) for n in names], axis=1)

    def z(self, theta: Mapping[str, Any]) -> NDArray[np.float64]:
        """The point z at which the free variables have these values.

        Parameters
        ----------
        theta : mapping of str to array_like
            One value per free variable, in the model's own units.

        Returns
        -------
        ndarray, shape (d,)

        Raises
        ------
        InputError
            If a name is unknown or missing, a shape is wrong, or a value is outside the variable's support.
        """
        known = ", ".join(self.names)
        for name in theta:
            if name not in self.names:
                raise InputError(f"there is no free variable {name!r}", "theta", f"the free variables are: {known}")
        missing = [name for name in self.names if name not in theta]
        if missing:
            raise InputError(f"no value for {', '.join(missing)}", "theta", f"give a value for each of: {known}")
        values = []
        for name in self.names:
            try:
                value = np.asarray(theta[name], dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise InputError(f"{name} = {theta[name]!r} is no number", "theta", "give numbers") from error
            if value.shape != self.shapes[name]:
                raise InputError(
                    f"{name} has shape {value.shape}, not {self.shapes[name]}", "theta", "give one number per element"
                )
            values.append(value)
        z = self.z_of_draws({name: value[None] for name, value in zip(self.names, values, strict=True)})
        back = self.theta(z)
        for name, value in zip(self.names, values, strict=True):
            if not self._is_inside(name, z, back[name], value[None])[0]:
                raise InputError(
                    f"{name} = {np.array2string(value)} lies outside its support or on its edge",
                    "theta",
                    "choose a value inside; `study.anatomy` lists the supports",
                )
        return z[0]

    def _is_inside(self, name: str, z: NDArray, back: NDArray, values: NDArray) -> NDArray[np.bool_]:
        """Whether values of a variable, of shape ``(m, *shape)``, have a finite place on z that leads back to them."""
        same = np.isclose(back, values, rtol=1e-6, atol=1e-8).reshape(len(z), -1).all(axis=1)
        return same & np.isfinite(z[:, self.blocks[name]]).all(axis=1)

    def z_where_inside(self, theta: Mapping[str, NDArray]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The points z of many values of the free variables, and which of them lie inside the support.

        Parameters
        ----------
        theta : mapping of str to ndarray, shape (m, *shape)

        Returns
        -------
        z : ndarray, shape (m, d)
        inside : ndarray of bool, shape (m,)
            False on the edge of the support, in double precision, and outside.
        """
        with np.errstate(all="ignore"):  # what has no place there is told by the second array
            z = self.z_of_draws(theta)
            back = self.theta(z)
            inside = [self._is_inside(name, z, back[name], np.asarray(theta[name])) for name in self.names]
        return z, np.logical_and.reduce(inside, axis=0) if inside else np.ones(len(z), dtype=bool)

    @cached_property
    def _forward(self) -> Any:
        """The function from many values of the free variables, each with a leading axis, to their blocks of z."""
        variables, transforms = self._terms.variables, self._terms.transforms
        natural = {rv: rv.type() for rv in variables.values()}
        graphs = [
            natural[rv] if transforms[name] is None else transforms[name].forward(natural[rv], *rv.owner.inputs)
            for name, rv in variables.items()
        ]
        many = [pt.TensorType(v.dtype, (None, *v.type.shape))() for v in natural.values()]
        graphs = replaced(graphs, natural)
        return interpreted(many, list(vectorize_graph(graphs, dict(zip(natural.values(), many, strict=True)))))

    def z_of_draws(self, theta: Mapping[str, NDArray]) -> NDArray[np.float64]:
        """The points z of many values of the free variables, without a check that they lie inside the support.

        Parameters
        ----------
        theta : mapping of str to ndarray, shape (m, *shape)

        Returns
        -------
        ndarray, shape (m, d)
        """
        arrays = [np.asarray(theta[name]).astype(v.dtype) for name, v in self._terms.free.items()]
        m = len(arrays[0])
        parts = self._forward(*arrays)
        return np.concatenate([part.reshape(m, -1) for part in parts], axis=1).astype(np.float64)


def build_space(model: pm.Model, terms: SymbolicTerms) -> Space:
    """The space of a model's free variables.

    Parameters
    ----------
    model : pm.Model
    terms : SymbolicTerms
        The same model's terms.

    Returns
    -------
    Space
        Of dimension 0 if the model has no free variable.
    """
    parts = interpreted([], list(terms.start.values()), stable=False)()
    start = dict(zip(terms.start, parts, strict=True))
    blocks, position = {}, 0
    for name, part in start.items():
        blocks[name] = slice(position, position + part.size)
        position += part.size
    names, deterministics = tuple(terms.free), tuple(terms.deterministic)
    values = list(terms.values.values())
    constants = [terms.observed[name] for name in terms.data]
    graphs = [*terms.free.values(), *terms.deterministic.values()]
    probe = interpreted([*values, *terms.data.values()], graphs, stable=False)
    arrays = probe(*[start[n].astype(v.dtype) for n, v in terms.values.items()], *constants)
    shapes = {name: array.shape for name, array in zip((*names, *deterministics), arrays, strict=True)}
    dims, coords = {}, {}
    for name, shape in shapes.items():
        own = model.named_vars_to_dims.get(name) or (None,) * len(shape)
        dims[name] = tuple(dim or f"{name}_dim_{i}" for i, dim in enumerate(own))
        for dim in dims[name]:
            labels = model.coords.get(dim)
            if labels is not None:
                coords[dim] = np.asarray(labels)
    flat = [np.ravel(part) for part in start.values()]
    return Space(
        names=names,
        deterministics=deterministics,
        shapes=shapes,
        blocks=blocks,
        block_shapes={name: part.shape for name, part in start.items()},
        dims=dims,
        coords=coords,
        start=np.concatenate([np.zeros(0), *flat]).astype(np.float64),
        _terms=terms,
    )
