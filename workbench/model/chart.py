"""Some coordinates of z and the named quantities that they alone decide.

A question may move all of z, or the parameters alone while latent variables are integrated out. A `Chart` says which
coordinates move, and maps them to free variables and deterministics by name. Whatever depends on the coordinates that
stay is left out: it has no single value while they are integrated over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pytensor.graph.traversal import ancestors

from workbench.model.density import LogDensity
from workbench.model.space import Space
from workbench.numerics.curvature import representable
from workbench.numerics.objective import Vector


@dataclass(frozen=True)
class Chart:
    """Coordinates x in R^p, a part of z, and what they mean.

    Attributes
    ----------
    space : Space
    names : tuple of str
        Free variables that move, in the order of their blocks in x.
    deterministics : tuple of str
        Those that depend on these variables alone.
    coordinates : ndarray of int, shape (p,)
        Where x stands in z.
    """

    space: Space
    names: tuple[str, ...]
    deterministics: tuple[str, ...]
    coordinates: NDArray[np.int64]

    @property
    def dimension(self) -> int:
        """The number p of coordinates of x."""
        return self.coordinates.size

    @property
    def blocks(self) -> dict[str, slice]:
        """Free variable -> its part of x."""
        found, position = {}, 0
        for name in self.names:
            block = self.space.blocks[name]
            size = block.stop - block.start
            found[name] = slice(position, position + size)
            position += size
        return found

    @property
    def labels(self) -> tuple[str, ...]:
        """Flat labels of every scalar, free variables first."""
        return tuple(label for name in (*self.names, *self.deterministics) for label in self.space.labels(name))

    def z(self, points: NDArray[np.float64], others: Vector | None = None) -> NDArray[np.float64]:
        """Points x within z; the other coordinates as in `others`, by default at the model's start.

        Parameters
        ----------
        points : ndarray, shape (m, p)
        others : ndarray, shape (d,), optional

        Returns
        -------
        ndarray, shape (m, d)
        """
        points = np.atleast_2d(points)
        z = np.tile(self.space.start if others is None else others, (len(points), 1))
        z[:, self.coordinates] = points
        return z

    def theta(self, points: NDArray[np.float64]) -> dict[str, NDArray]:
        """Free variables and deterministics of this chart at many points, arrays of shape ``(m, *shape)``."""
        arrays = self.space.theta(self.z(points))
        return {name: arrays[name] for name in (*self.names, *self.deterministics)}

    def scalars(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Every scalar in the order of `labels` at many points, shape ``(m, k)``."""
        return self.space.flat(self.theta(points), (*self.names, *self.deterministics))

    def dataset(self, arrays: dict[str, NDArray]) -> xr.Dataset:
        """Arrays by variable name as a labelled Dataset."""
        return self.space.dataset(arrays)


def whole_chart(space: Space) -> Chart:
    """All of z."""
    return Chart(space, space.names, space.deterministics, np.arange(space.dimension))


def chart_without(density: LogDensity, latents: Iterable[str]) -> Chart:
    """The coordinates of the free variables that are not latent, and the deterministics that no latent enters.

    Parameters
    ----------
    density : LogDensity
    latents : iterable of str

    Returns
    -------
    Chart
    """
    space, latents = density.space, set(latents)
    if not latents:
        return whole_chart(space)
    names = tuple(name for name in space.names if name not in latents)
    moved = {density.model[name] for name in latents}
    own = tuple(n for n in space.deterministics if not moved & set(ancestors([density.model[n]])))
    blocks = [np.arange(space.blocks[n].start, space.blocks[n].stop) for n in names]
    return Chart(space, names, own, np.concatenate([np.zeros(0, dtype=np.int64), *blocks]).astype(np.int64))


def angles_of(chart: Chart) -> list[int]:
    """Where the angles stand among the scalars of a chart.

    Parameters
    ----------
    chart : Chart

    Returns
    -------
    list of int
    """
    found: list[int] = []
    position, space = 0, chart.space
    for name in chart.names:
        size = len(space.labels(name))
        if size and space.angles[space.blocks[name]].all() and space.block_shapes[name] == space.shapes[name]:
            found += range(position, position + size)
        position += size
    return found


def jacobian(
    scalars: Callable[[NDArray[np.float64]], NDArray[np.float64]], z: Vector, scale: Vector
) -> NDArray[np.float64]:
    """D theta / d z of every scalar at z, by a five-point stencil.

    Parameters
    ----------
    scalars : callable
        Points of shape ``(m, d)`` to scalars of shape ``(m, k)``.
    z : ndarray, shape (d,)
    scale : ndarray, shape (d,)
        Local scale of each coordinate, such as its standard deviation.

    Returns
    -------
    ndarray, shape (k, d)
    """
    sizes = representable(z, 1e-3 * scale)
    steps = np.diag(sizes)
    points = np.concatenate([z + steps, z - steps, z + 2 * steps, z - 2 * steps])
    plus, minus, plus2, minus2 = np.split(scalars(points), 4)
    with np.errstate(invalid="ignore"):  # a scalar that is infinite there has no slope, and becomes NaN
        return ((8 * (plus - minus) - (plus2 - minus2)) / (12.0 * sizes[:, None])).T


def slopes_at(chart: Chart, x: Vector, covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slope of every scalar of a chart along its coordinates.

    Parameters
    ----------
    chart : Chart
    x : ndarray, shape (p,)
    covariance : ndarray, shape (p, p)
        Of the coordinates: how far a scalar has to be smooth.

    Returns
    -------
    ndarray, shape (k, p)
        NaN where a scalar is not a smooth function of x at this point, or does not move with it.
    """
    scale = np.sqrt(np.diag(covariance))
    moving = np.where(scale > 0, scale, 1.0)  # a coordinate at the edge of the support does not move
    slopes, finer = jacobian(chart.scalars, x, moving), jacobian(chart.scalars, x, 0.1 * moving)
    # Where two step sizes disagree, or nothing moves, the quantity is not smooth there and has no such error.
    moves = np.abs(slopes * scale)
    rough = np.max(np.abs(slopes - finer) * scale, axis=1) > 1e-3 * np.max(moves, axis=1)
    slopes[rough | (np.max(moves, axis=1) == 0.0)] = np.nan
    slopes[:, scale == 0] = np.where(np.isfinite(slopes[:, scale == 0]), slopes[:, scale == 0], 0.0)
    return slopes


def delta_method(
    chart: Chart, x: Vector, covariance: NDArray[np.float64], axes: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Covariance of every scalar of a chart, J C J', from the covariance of its coordinates.

    Parameters
    ----------
    chart : Chart
    x : ndarray, shape (p,)
    covariance : ndarray, shape (p, p)
    axes : ndarray, shape (p, p), optional
        A with covariance A A', where the small variances of sums would be lost in the rounding of the covariance.

    Returns
    -------
    ndarray, shape (k, k)
        NaN where a scalar is not a smooth function of x at this point, or does not move with it.
    """
    slopes = slopes_at(chart, x, covariance)
    if axes is None:
        return slopes @ covariance @ slopes.T
    moves = slopes @ axes
    return moves @ moves.T
