"""The verdict on draws: what passes, and every defect that the common checks are blind to."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import workbench as wb
from tests import studies
from workbench.diagnosis import diagnose_draws
from workbench.numerics.objective import FunctionObjective


def _tree(draws, **statistics):
    groups = {"posterior": xr.Dataset({"x": (("chain", "draw"), draws)})}
    if statistics:
        groups["sample_stats"] = xr.Dataset({n: (("chain", "draw"), a) for n, a in statistics.items()})
    return xr.DataTree.from_dict(groups)


def _verdict(draws, **statistics):
    return diagnose_draws(_tree(draws, **statistics), ["x"])


def _status(found, code):
    (check,) = [check for check in found.checks if check.code == code]
    return check.status


@pytest.fixture
def good():
    return np.random.default_rng(0).normal(size=(4, 1000))


def test_independent_draws_are_ok(good):
    assert _verdict(good).verdict == "ok"


def test_height_and_coin_draws_are_ok():
    for name in ("height_as_normal", "coin_bias"):
        assert studies.study(name).diagnosis().verdict == "ok"


def test_all_chains_stuck_at_one_value_fail(good):
    assert _status(_verdict(np.zeros_like(good)), "draws-move") == "failed"


def test_one_stuck_chain_fails(good):
    good[2] = 0.3
    assert _status(_verdict(good), "draws-move") == "failed"


def test_a_nan_tail_fails(good):
    good[1, 900:] = np.nan
    assert _status(_verdict(good), "draws-finite") == "failed"


def test_one_infinite_draw_fails(good):
    good[0, 17] = np.inf
    assert _status(_verdict(good), "draws-finite") == "failed"


def test_two_identical_chains_fail(good):
    good[3] = good[0]
    found = _verdict(good)
    assert _status(found, "chains-distinct") == "failed"
    assert "chains 3 and 0" in str(found.checks)


def test_chains_in_different_places_fail_r_hat(good):
    good[3] += 3.0
    assert _status(_verdict(good), "r-hat") == "failed"


def test_strong_autocorrelation_fails_ess():
    steps = np.random.default_rng(1).normal(size=(4, 1000))
    walk = np.zeros_like(steps)
    for t in range(1, 1000):
        walk[:, t] = 0.98 * walk[:, t - 1] + steps[:, t]
    assert _status(_verdict(walk), "ess") == "failed"


def test_one_chain_cannot_be_judged_by_r_hat(good):
    found = _verdict(good[:1])
    assert _status(found, "r-hat") == "unknown"
    assert found.verdict == "unknown"


def test_three_draws_cannot_be_judged(good):
    assert _verdict(good[:, :3]).verdict == "unknown"


def test_divergences_are_cautioned_and_many_fail(good):
    diverging = np.zeros_like(good, dtype=bool)
    diverging[0, 0] = True
    assert _status(_verdict(good, diverging=diverging), "divergences") == "caution"
    diverging[:, :20] = True
    assert _status(_verdict(good, diverging=diverging), "divergences") == "failed"


def test_saturated_tree_depth_is_cautioned(good):
    assert _status(_verdict(good, reached_max_treedepth=np.ones_like(good, dtype=bool)), "tree-depth") == "caution"


def test_low_energy_fraction_is_cautioned(good):
    energy = np.cumsum(np.random.default_rng(3).normal(size=good.shape), axis=1)
    assert _status(_verdict(good, energy=energy), "e-bfmi") == "caution"


def test_every_failed_finding_says_what_to_do(good):
    good[3] += 3.0
    for check in _verdict(good).checks:
        assert check.status == "ok" or check.fix


def test_numbers_equal_arviz(good):
    import arviz_stats as azs

    found = _verdict(good)
    dataset = _tree(good)["posterior"].to_dataset()
    assert found.r_hat[0] == pytest.approx(float(azs.rhat(dataset)["x"]))
    assert found.ess_bulk[0] == pytest.approx(float(azs.ess(dataset, method="bulk")["x"]))
    assert found.ess_tail[0] == pytest.approx(float(azs.ess(dataset, method="tail", prob=(0.05, 0.95))["x"]))


@pytest.mark.slow
def test_chains_that_missed_the_main_mode_fail():
    # Heights in metres under a prior in centimetres: every chain starts near 170 and stays in a lesser mode, on which
    # all of them agree. The optimiser, which also starts at the maximum of the likelihood, knows better.
    with pm.Model() as model:
        mu = pm.Normal("mu", 170.0, 20.0)
        sigma = pm.HalfNormal("sigma", 10.0)
        pm.Normal("height", mu, sigma, observed=np.array([1.71, 1.82, 1.65, 1.77]))
    study = wb.Study(model, seed=1)
    assert float(study.posterior.mode().map.theta["mu"]) == pytest.approx(1.7375, abs=0.01)
    found = study.diagnosis()
    if abs(float(study.posterior.draws()["posterior"]["mu"].mean()) - 1.74) > 1.0:
        assert _status(found, "mode-visited") == "failed"
        assert study.verdict() == "failed"
    else:  # the sampler found it after all: then nothing is to be said
        assert _status(found, "mode-visited") == "ok"


def test_the_best_draw_may_lie_as_far_below_the_mode_as_a_normal_target_puts_it(good):
    target = -0.5 * good**2
    near = diagnose_draws(_tree(good, lp=target), ["x"], highest=0.0)
    assert _status(near, "mode-visited") == "ok"
    far = diagnose_draws(_tree(good, lp=target), ["x"], highest=8.0)
    assert _status(far, "mode-visited") == "failed"


def _with_z(z, log_f):
    """Draws of a density on z of shape (chains, draws, d), with the density at them."""
    groups = {
        "posterior": xr.Dataset({"x": (("chain", "draw", "i"), z)}),
        "unconstrained_posterior": xr.Dataset({"z": (("chain", "draw", "coordinate"), z)}),
        "sample_stats": xr.Dataset({"lp": (("chain", "draw"), log_f)}),
    }
    return xr.DataTree.from_dict(groups)


@pytest.mark.slow
def test_a_peak_without_mass_far_above_good_draws_is_no_missed_mode():
    # Of 200 Cauchy variables the draws lie 200 log 4 nats below the peak on average, and the best of them near 180.
    z = np.random.default_rng(5).standard_cauchy((4, 250, 200))
    cauchy = FunctionObjective(200, lambda z: (-float(np.log1p(z**2).sum()), -2.0 * z / (1.0 + z**2)))
    draws = _with_z(z, -np.log1p(z**2).sum(axis=-1))
    assert _status(diagnose_draws(draws, ["x"], 0.0), "mode-visited") == "failed"
    assert _status(diagnose_draws(draws, ["x"], 0.0, cauchy), "mode-visited") == "ok"


def test_a_climb_from_draws_of_a_lesser_mode_does_not_excuse_them(good):
    def two(z):
        near, far = -0.5 * z[0] ** 2, 9.0 - 0.5 * (z[0] - 20.0) ** 2
        share = 1.0 / (1.0 + np.exp(near - far))
        return float(np.logaddexp(near, far)), -z + 20.0 * share

    found = diagnose_draws(_with_z(good[..., None], -0.5 * good**2), ["x"], 9.0, FunctionObjective(1, two))
    assert _status(found, "mode-visited") == "failed"
