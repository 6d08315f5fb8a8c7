"""Data beside replicated data, whatever their kind and dimensions."""

import numpy as np
import pytest

from workbench.errors import InputError
from workbench.plots.predictive import plot_pit, plot_replicates
from workbench.plots.style import svg

GENERATOR = np.random.default_rng(5)
KINDS = {
    "many numbers": (GENERATOR.normal(size=100), GENERATOR.normal(size=(80, 100)), "Density of the data"),
    "few numbers": (GENERATOR.normal(size=8), GENERATOR.normal(size=(80, 8)), "Each observation"),
    "a table": (GENERATOR.normal(size=(10, 4)), GENERATOR.normal(size=(80, 10, 4)), "Density of the data"),
    "one number": (np.array(1.0), GENERATOR.normal(size=80), "Each observation"),
    "small counts": (GENERATOR.poisson(3, 50), GENERATOR.poisson(3, (80, 50)), "How often each count"),
    "yes and no": (GENERATOR.binomial(1, 0.4, 50).astype(bool), GENERATOR.binomial(1, 0.4, (80, 50)).astype(bool),
                   "How often each count"),
    "large counts": (GENERATOR.poisson(3000, 50), GENERATOR.poisson(3000, (80, 50)), "Distribution function"),
    "few large counts": (GENERATOR.poisson(3000, 9), GENERATOR.poisson(3000, (80, 9)), "Each observation"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_has_a_figure_that_suits_it(kind: str) -> None:
    observed, replicates, reading = KINDS[kind]
    figure, said = plot_replicates("$y$", observed, replicates, level=0.9)
    assert said.startswith(reading)
    assert "\\$y\\$" in (figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel())
    again, _ = plot_replicates("$y$", observed, replicates, level=0.9)
    assert svg(figure) == svg(again)


def test_the_level_of_an_interval_is_said() -> None:
    _, said = plot_replicates("y", *KINDS["few numbers"][:2], level=0.9)
    assert "90%" in said


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_data_has_pit_values(kind: str) -> None:
    assert plot_pit("y", *KINDS[kind][:2]).axes[0].get_xlabel() == "PIT of y"


def test_data_that_spread_more_than_the_replicates_bend_the_pit_curve() -> None:
    def largest(observed: np.ndarray) -> float:
        lines = plot_pit("y", observed, GENERATOR.normal(size=(400, 200))).axes[0].get_lines()
        return max(float(np.abs(np.asarray(line.get_ydata(), dtype=float)).max()) for line in lines)

    y = GENERATOR.normal(size=200)
    assert largest(3 * y) > 2 * largest(y)


def test_replicates_of_another_shape_are_refused() -> None:
    for draw in (plot_replicates, plot_pit):
        with pytest.raises(InputError, match="shape"):
            draw("y", np.zeros(5), np.zeros((10, 6)))


def test_data_that_are_not_finite_are_refused() -> None:
    for draw in (plot_replicates, plot_pit):
        with pytest.raises(InputError, match="not finite"):
            draw("y", np.array([0.0, np.nan]), np.zeros((10, 2)))
