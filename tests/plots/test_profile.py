"""A profile figure shows the bounds, the straight line of Wald, and no walk to infinity."""

from dataclasses import replace

import numpy as np
import pytest

from tests.report.finished import CENTRE, SPREAD, finished
from workbench.errors import InputError
from workbench.plots.profile import plot_profile

PROFILE = finished().answers["likelihood.profile"]


def _line(axes, label):
    return next(line for line in axes.get_lines() if line.get_label() == label)


def test_the_signed_root_of_a_normal_likelihood_lies_on_the_line_of_wald() -> None:
    left, right = plot_profile(PROFILE).axes[:2]
    points, zeta = _line(left, "profile").get_data()
    np.testing.assert_allclose(zeta, (points - CENTRE[0]) / SPREAD[0], atol=1e-9)
    along, wald = _line(left, "Wald").get_data()
    np.testing.assert_allclose(wald, (along - CENTRE[0]) / SPREAD[0], atol=1e-9)
    fine, fall = _line(right, "profile").get_data()
    np.testing.assert_allclose(fall, -(((fine - CENTRE[0]) / SPREAD[0]) ** 2) / 2, atol=0.01)


def test_both_bounds_are_marked_in_every_panel() -> None:
    for axes, place in zip(plot_profile(PROFILE).axes, (0, 0, 1, 1), strict=True):
        marked = [line.get_xdata()[0] for line in axes.get_lines() if len(set(line.get_xdata())) == 1]
        assert {PROFILE.lower[place], PROFILE.upper[place]} <= set(marked)


def test_one_scalar_can_be_picked() -> None:
    assert [axes.get_xlabel() for axes in plot_profile(PROFILE, ("sigma",)).axes] == ["sigma", "sigma"]


def test_an_open_side_and_a_missing_error_are_drawn_without_a_bound() -> None:
    flat = replace(
        PROFILE,
        names=("mu",),
        estimate=CENTRE[:1],
        lower=np.array([-np.inf]),
        upper=np.array([np.inf]),
        std_error=np.array([np.nan]),
        points={"mu": np.array([-1e6, -1.0, CENTRE[0], 1e3, 1e6])},
        zeta={"mu": np.zeros(5)},
    )
    axes = plot_profile(flat).axes[0]
    assert not any(line.get_label() == "Wald" for line in axes.get_lines())
    assert axes.get_xlim()[0] < CENTRE[0] < axes.get_xlim()[1]


def test_an_unknown_scalar_and_a_broken_curve_are_refused() -> None:
    with pytest.raises(InputError, match="no 'tau'"):
        plot_profile(PROFILE, ("tau",))
    with pytest.raises(InputError, match="NaN"):
        plot_profile(replace(PROFILE, zeta={**PROFILE.zeta, "mu": np.full(15, np.nan)}))


def test_a_best_value_at_infinity_leaves_the_picture_where_the_curve_bends() -> None:
    rising = replace(
        PROFILE,
        names=("slope",),
        estimate=np.array([np.inf]),
        lower=np.array([1.2]),
        upper=np.array([np.inf]),
        std_error=np.array([np.nan]),
        points={"slope": np.array([0.5, 1.2, 5.0, 12.0, 1e8, 1e16])},
        zeta={"slope": np.array([-2.6, -1.96, -0.6, -0.09, 0.0, 0.0])},
    )
    low, high = plot_profile(rising).axes[0].get_xlim()
    assert low <= 0.6
    assert 12.0 < high < 20.0
    nowhere = replace(rising, estimate=np.array([np.nan]), lower=np.array([-np.inf]), zeta={"slope": np.zeros(6)})
    assert np.all(np.isfinite(plot_profile(nowhere).axes[0].get_xlim()))
