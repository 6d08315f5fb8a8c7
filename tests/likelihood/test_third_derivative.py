"""The slope of the integrals with the curvature moving, against differences of their values."""

import numpy as np
import pymc as pm
import pytest
from scipy import stats

from workbench.likelihood.marginal import MarginalLikelihood
from workbench.likelihood.third_derivative import contracted, moves_of_blocks, moves_of_colours
from workbench.model.density import LogDensity

pytestmark = pytest.mark.slow  # compiled models: left out of `make test-fast`


def walk():
    """Counts around a random walk on the log scale: one block in which neighbours alone meet."""
    rng = np.random.default_rng(4)
    with pm.Model() as model:
        step, level = pm.HalfNormal("step", 1.0), pm.Normal("level", 0.0, 2.0)
        state = pm.GaussianRandomWalk("state", 0.0, step, init_dist=pm.Normal.dist(0.0, 1.0), steps=19)
        pm.Poisson("y", pm.math.exp(level + state), observed=rng.poisson(2.0, size=20))
    return model


def triples():
    """Yes or no of four groups with three latent values each: four blocks, too large for quadrature."""
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(4), 9)
    columns = np.column_stack([np.ones(36), rng.normal(size=(36, 2))])
    with pm.Model() as model:
        scale, level = pm.HalfNormal("scale", 1.0, shape=3), pm.Normal("level", 0.0, 2.0)
        effect = pm.Normal("effect", 0.0, scale, shape=(4, 3))
        logit = level + (columns * effect[group]).sum(axis=1)
        pm.Bernoulli("y", logit_p=logit, observed=rng.integers(0, 2, size=36))
    return model


def shares():
    """Counts of five groups whose shares of four categories are latent: simplices, on z by a transformation."""
    rng = np.random.default_rng(6)
    with pm.Model() as model:
        size = pm.HalfNormal("size", 5.0)
        p = pm.Dirichlet("p", size * np.array([1.0, 2.0, 1.5, 1.2]), shape=(5, 4))
        pm.Multinomial("y", n=np.full(5, 8), p=p, observed=rng.multinomial(8, [0.2, 0.3, 0.3, 0.2], size=5))
    return model


def differences(marginal, theta, h=2e-3):
    """Slope of the value by a five-point stencil."""
    steps = h * np.eye(theta.size)
    return [
        (8 * (marginal.value(theta + e) - marginal.value(theta - e))
         - (marginal.value(theta + 2 * e) - marginal.value(theta - 2 * e))) / (12 * h)
        for e in steps
    ]  # fmt: skip


@pytest.mark.parametrize("draws", [0, 300])
@pytest.mark.parametrize("build", [walk, triples, shares])
def test_the_slope_is_that_of_the_value_by_laplace_and_by_draws(build, draws):
    marginal = MarginalLikelihood(LogDensity(build())).with_draws(draws, seed=3)
    theta = np.linspace(-0.4, 0.3, marginal.dimension)
    assert marginal.value_and_gradient(theta)[1] == pytest.approx(differences(marginal, theta), abs=3e-8)


@pytest.mark.parametrize("draws", [0, 300])
@pytest.mark.parametrize("build", [triples, shares])
def test_the_slope_of_a_weighted_sum_of_blocks_is_that_of_its_value(build, draws):
    marginal = MarginalLikelihood(LogDensity(build())).with_draws(draws, seed=3)
    weights, theta = np.linspace(0.0, 3.0, marginal.structure.n_blocks), np.linspace(-0.4, 0.3, marginal.dimension)
    some = marginal.with_weights(weights)
    assert some.value_and_gradient(theta)[1] == pytest.approx(differences(some, theta), abs=3e-8)


def test_moves_of_colours_and_of_blocks_say_the_same_and_know_the_derivative_in_closed_form():
    marginal = MarginalLikelihood(LogDensity(walk()))
    structure, at = marginal.structure, marginal.expand(np.array([-0.2, 0.5]))
    factors, ones = [np.linalg.inv(root).transpose(0, 2, 1) for root in at.roots], [np.ones(1)]
    given = marginal._gradients, structure.coordinates, at.z
    by_blocks = contracted(*given, moves_of_blocks(structure, factors, ones), False)
    by_colours = contracted(*given, moves_of_colours(structure, factors, ones), False)
    assert len(moves_of_colours(structure, factors, ones)) == 6
    assert len(moves_of_blocks(structure, factors, ones)) == 20
    assert by_colours == pytest.approx(by_blocks, abs=1e-8)
    # A count has -f'' = exp(level + state) and the walk none that moves with the level.
    (factor,) = factors
    spread, rate = np.sum(factor[0] ** 2, axis=1), np.exp(0.5 + at.z[structure.coordinates])
    assert marginal.chart.labels == ("step", "level")
    assert by_blocks[marginal.chart.coordinates[1]] == pytest.approx(-np.sum(spread * rate), abs=1e-8)
    assert by_blocks[structure.coordinates] == pytest.approx(-spread * rate, abs=1e-8)


def test_a_block_of_normals_has_the_same_parts_and_slopes_by_nodes_and_by_laplace_which_is_exact_there():
    rng = np.random.default_rng(7)
    group, day = np.repeat(np.arange(6), 5), np.tile(np.arange(5.0), 6)
    y = rng.normal(size=30) + rng.normal(size=6)[group] + day * rng.normal(size=6)[group]
    with pm.Model() as model:
        level, scale = pm.Normal("level", 0.0, 2.0), pm.HalfNormal("scale", 1.0, shape=2)
        noise, effect = pm.HalfNormal("noise", 1.0), pm.Normal("effect", 0.0, scale, shape=(6, 2))
        pm.Normal("y", level + effect[group, 0] + day * effect[group, 1], noise, observed=y)
    nodes, theta = MarginalLikelihood(LogDensity(model)), np.array([0.3, -0.2, 0.1, 0.2])
    first = nodes.expand(theta)  # the scales are not known yet: by nodes
    assert not first.straight
    by_nodes = nodes._by_block(first, nodes.elements(first.z[None])[0], gradient=True)
    again = nodes.expand(theta)
    assert again.straight
    by_laplace = nodes._by_block(again, nodes.elements(again.z[None])[0], gradient=True)
    assert by_laplace[0] == pytest.approx(by_nodes[0], rel=1e-11)
    assert by_laplace[1] == pytest.approx(by_nodes[1], rel=1e-10, abs=1e-10)
    assert nodes.parts(theta[None])[0] == pytest.approx(by_laplace[0], rel=1e-12)
    # The same by the multivariate normal density of every group.
    mean, sd, noise = theta[0], np.exp(theta[1:3]), np.exp(theta[3])
    design = np.column_stack([np.ones(5), np.arange(5.0)]) * sd
    exact = stats.multivariate_normal(np.full(5, mean), design @ design.T + noise**2 * np.eye(5))
    assert by_laplace[0] == pytest.approx(exact.logpdf(y.reshape(6, 5)), rel=1e-11)
    value, slope = nodes.value_and_gradient(theta)
    assert value == pytest.approx(by_laplace[0].sum(), rel=1e-12)
    assert slope == pytest.approx(by_laplace[1], rel=1e-12, abs=1e-11)
