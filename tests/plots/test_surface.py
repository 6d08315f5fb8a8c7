"""Contours of the likelihood stand where theory puts them."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import CENTRE, SPREAD, finished
from workbench.errors import InputError
from workbench.plots.scalars import scalars_of
from workbench.plots.surface import DROPS, plot_surface

MADE = finished()
SURFACE, SCALARS = MADE.answers["likelihood.surface"], scalars_of(MADE.draws)


def test_the_95_percent_contour_of_a_normal_likelihood_is_the_chi_square_ellipse() -> None:
    axes = plot_surface(SURFACE, {}).axes[0]
    contours = next(c for c in axes.collections if hasattr(c, "levels"))
    position = list(contours.levels).index(-DROPS[0.95])
    corners = contours.get_paths()[position].vertices
    radius = np.hypot(*((corners - CENTRE) / SPREAD).T)
    np.testing.assert_allclose(radius, np.sqrt(2 * DROPS[0.95]), rtol=0.01)


def test_draws_and_modes_stand_on_the_map() -> None:
    axes = plot_surface(SURFACE, SCALARS, MADE.answers["comparison"]).axes[0]
    dots = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets()) > 1])
    assert len(dots) == 1000
    np.testing.assert_allclose(dots.mean(axis=0), CENTRE, atol=0.05)
    assert {"MLE", "MAP"} <= {line.get_label() for line in axes.get_lines()}
    assert axes.get_xlabel() == "mu"
    assert axes.get_ylabel() == "sigma"


def test_a_surface_of_another_shape_or_with_nan_is_refused() -> None:
    for bad in (SURFACE.surface[:-1], np.where(SURFACE.surface < -15, np.nan, SURFACE.surface)):
        with pytest.raises(InputError, match="surface"):
            plot_surface(replace(SURFACE, surface=bad), SCALARS)


def test_minus_infinity_outside_the_support_is_no_obstacle() -> None:
    edge = np.where(SURFACE.surface < -15, -np.inf, SURFACE.surface)
    assert plot_surface(replace(SURFACE, surface=edge), SCALARS).axes


def test_a_model_with_one_parameter_has_no_surface() -> None:
    with pytest.raises(InputError, match="no pair"):
        plot_surface(replace(SURFACE, pair=()), SCALARS)
