"""Figures depend on the results alone, show names letter by letter, and leave matplotlib as it was."""

import warnings
from xml.etree import ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from workbench.plots.style import new_figure, safe, styled, svg


def titled(text: str) -> Figure:
    with styled():
        figure = new_figure(3.0, 2.0)
        figure.add_subplot().set_title(safe(text))
    return figure


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert svg(titled("mu")) == svg(titled("mu"))


@pytest.mark.parametrize(
    "text", ["$\\frac", "$x$", "\\$", "a_b^c", "<b>&amp;", "--", "\x00\x07", "名", "\ud800", "a\nb", ""]
)
def test_any_name_gives_well_formed_svg_without_mathematics(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        code = svg(titled(text))
    assert ElementTree.fromstring(code).tag.endswith("svg")


def test_a_dollar_is_drawn_as_a_dollar() -> None:
    assert svg(titled("$x$")) != svg(titled("x"))
    assert "$x$" in svg(titled("$x$")).decode()  # matplotlib notes the text that it drew letter by letter


def test_long_names_lose_their_middle_and_keep_both_ends() -> None:
    assert safe("beta[" + "x" * 100 + "]", limit=11) == "beta[…xxxx]"


def test_the_settings_of_matplotlib_are_as_before() -> None:
    before = dict(matplotlib.rcParams)
    with styled():
        assert matplotlib.rcParams["svg.hashsalt"] == "workbench"
    assert dict(matplotlib.rcParams) == before
