"""NUTS on the compiled density draws from the posterior, and draws what nutpie itself would draw."""

import numpy as np
import pytest
from scipy import stats

from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.model.density import TARGET, LogDensity
from workbench.model.nuts import run_nuts

SHORT = {"draws": 50, "tune": 100, "chains": 2, "seed": 11}


def run(d, **changes):
    return run_nuts(d.objective(TARGET), d.space.start, **{**SHORT, **changes})


def autocorrelation_error(z):
    """Monte Carlo standard error of the mean of chains of shape ``(chains, draws)``, by batch means.

    Ten batches a chain; an over-estimate is impossible only for draws that repel each other, which widens nothing.
    """
    chains, draws = z.shape
    batches = z.reshape(chains * 10, draws // 10).mean(axis=1)
    return batches.std(ddof=1) / np.sqrt(batches.size)


@pytest.mark.slow
def test_draws_are_those_of_nutpies_own_compilation_of_the_model(density):
    d = density("height_as_normal")
    ours = run(d, chains=1, tune=300)
    theirs = run(d, chains=1, tune=300, model=d.model)
    # Both sum the same 64-bit terms in another order: 1e-16 a step, grown along trajectories of a well-behaved target.
    # Measured 1e-12 on the first 50 draws; a wrong term would differ by 1e-2 at once.
    assert ours.z == pytest.approx(theirs.z, rel=1e-9, abs=1e-9)
    assert ours.statistics["tree_depth"].tolist() == theirs.statistics["tree_depth"].tolist()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others(density):
    d = density("height")
    first, again, other = run(d), run(d), run(d, seed=12)
    assert np.array_equal(first.z, again.z)
    assert all(np.array_equal(first.statistics[n], again.statistics[n]) for n in first.statistics)
    assert not np.any(first.z == other.z)


def test_a_chain_does_not_depend_on_how_many_chains_run(density):
    d = density("height")
    one, four = run(d, chains=1), run(d, chains=4)
    assert np.array_equal(one.z[0], four.z[0])
    two = run(d, chains=2)
    assert np.array_equal(two.z, four.z[:2])


def test_no_two_chains_are_copies(density):
    z = run(density("height"), chains=4).z
    assert len({chain.tobytes() for chain in z}) == 4


def test_shapes_and_statistics_are_those_of_the_kept_draws(density):
    found = run(density("height"), draws=37, tune=81, chains=3)
    assert found.z.shape == (3, 37, 2)
    assert {a.shape for a in found.statistics.values()} == {(3, 37)}
    wanted = {"diverging", "tree_depth", "reached_max_treedepth", "lp", "acceptance_rate", "n_steps", "step_size"}
    assert wanted < set(found.statistics)


def test_log_density_of_the_draws_is_that_of_the_objective(density):
    d = density("height")
    found, objective = run(d, chains=1), d.objective(TARGET)
    expected = [objective.value(z) for z in found.z[0]]
    assert found.statistics["lp"][0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.statistical
def test_warm_up_is_left_out_so_that_early_draws_are_as_good_as_late_ones(density):
    # The coin's posterior on z is logit Beta(62, 40): mean and sd in closed form. The start, one jitter away from the
    # prior, is up to seven posterior standard deviations off.
    from scipy.special import digamma, polygamma

    found = run(density("coin"), draws=1000, tune=500, chains=4).z[..., 0]
    mean, sd = digamma(62) - digamma(40), np.sqrt(polygamma(1, 62) + polygamma(1, 40))
    for part in (found, found[:, :500], found[:, 500:]):
        assert abs(part.mean() - mean) < STANDARD_ERRORS * autocorrelation_error(part)
        squares = (part - mean) ** 2
        assert abs(squares.mean() - sd**2) < STANDARD_ERRORS * autocorrelation_error(squares)
    # The first draw of 40 short chains: a start that was kept would lie several sd away.
    first = np.array([run(density("coin"), draws=1, tune=200, chains=1, seed=s).z[0, 0, 0] for s in range(40)])
    assert stats.kstest((first - mean) / sd, "norm").pvalue > 1e-4


def test_adaptation_is_over_when_draws_are_kept(density):
    steps = run(density("height"), draws=200, tune=300).statistics["step_size"]
    # Nutpie jitters a fixed step by up to a tenth either way; while it adapts the step moves by factors.
    assert np.all(steps.max(axis=1) / steps.min(axis=1) < 1.1 / 0.9 + 1e-9)


def test_other_weights_draw_from_another_density(density):
    from workbench.model.density import PRIOR

    d = density("height")
    prior = run_nuts(d.objective(PRIOR), d.space.start, draws=400, tune=400, chains=2, seed=5)
    mu = prior.z[..., d.space.blocks["mu"]]
    assert mu.std() == pytest.approx(20.0, rel=0.25)  # the posterior sd of mu is 1.3
    assert abs(mu.mean() - 170.0) < 8.0


def test_progress_is_reported_up_to_the_total(density):
    seen = []
    run(density("height"), progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("sampling", 300, 300)
    assert all(what == "sampling" and 0 <= done <= total == 300 for what, done, total in seen)


def test_a_density_that_is_finite_nowhere_is_an_error():
    import pymc as pm

    with pm.Model() as model:
        mu = pm.Normal("mu", 0, 1)
        pm.Potential("never", pm.math.switch(mu > 100, 0.0, -np.inf))
    with pytest.raises(NumericalError, match="sampler"):
        run(LogDensity(model))
