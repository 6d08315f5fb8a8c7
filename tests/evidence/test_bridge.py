"""The bridge against closed forms: its value, the honesty of its error, and what it refuses."""

import numpy as np
import pytest

from tests.targets import ALL, by_name
from tests.tolerance import STANDARD_ERRORS
from workbench.errors import RefusalError
from workbench.evidence.bridge import bridge_sampling, solve_bridge
from workbench.numerics.objective import FunctionObjective, values

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`


def _draws(target, seed, chains=4, draws=1000):
    z = target.draw(chains * draws, np.random.default_rng(seed)).reshape(chains, draws, -1)
    return z, values(target.objective, z.reshape(-1, target.dimension)).reshape(chains, draws)


@pytest.mark.parametrize("target", ALL, ids=str)
def test_bridge_matches_the_closed_form_within_its_stated_error(target):
    z, log_f = _draws(target, seed=11)
    found = bridge_sampling(target.objective, z, log_f, seed=5)
    assert abs(found.log_evidence - target.log_integral) < STANDARD_ERRORS * found.std_error


@pytest.mark.parametrize("name", ["gaussian in 5 dimensions", "log gamma of shape 3", "student t in 4 dimensions"])
@pytest.mark.statistical
@pytest.mark.slow
def test_stated_error_is_honest_over_repetitions(name):
    target = by_name(name)
    scores = []
    for seed in range(60):
        z, log_f = _draws(target, seed=1000 + seed)
        found = bridge_sampling(target.objective, z, log_f, seed=seed)
        scores.append((found.log_evidence - target.log_integral) / found.std_error)
    # An honest error gives a spread of 1; the stated one is the largest of three estimates, so it errs upwards.
    # Sampling error of a standard deviation from 60 values is 9%, so 1.3 is three of them above an honest 1.
    assert 0.5 < np.std(scores) < 1.3
    assert np.mean(np.abs(scores) < 1.96) >= 0.9


def test_the_bracket_holds_the_truth_on_a_skewed_target():
    target = by_name("five log gammas")
    found = bridge_sampling(target.objective, *_draws(target, seed=3), seed=1)
    assert found.lower < target.log_integral < found.upper


def test_more_proposal_draws_do_not_make_the_error_larger():
    target = by_name("two log gammas")
    z, log_f = _draws(target, seed=4)
    few = bridge_sampling(target.objective, z, log_f, seed=1, n_proposal=500)
    many = bridge_sampling(target.objective, z, log_f, seed=1, n_proposal=20_000)
    assert many.delta_error < few.delta_error


def test_bridge_equation_is_solved_exactly_where_the_ratio_is_constant():
    # f / q = exp(-3) everywhere: the integral of f is exp(-3) whatever the draws.
    assert solve_bridge(np.full(10, -3.0), np.full(20, -3.0), effective=10.0) == pytest.approx(-3.0, abs=1e-10)


def test_a_thin_banana_is_not_called_ok():
    target = by_name("thin banana")
    found = bridge_sampling(target.objective, *_draws(target, seed=6), seed=2)
    assert any(check.status in ("caution", "failed") for check in found.checks)


def test_a_dropped_constant_moves_the_estimate_by_just_that_constant():
    target = by_name("gaussian in 5 dimensions")
    z, log_f = _draws(target, seed=7)
    shifted = FunctionObjective(5, lambda x: (target.objective.function(x)[0] - 2.5, target.objective.function(x)[1]))
    right = bridge_sampling(target.objective, z, log_f, seed=1)
    wrong = bridge_sampling(shifted, z, log_f - 2.5, seed=1)
    assert wrong.log_evidence - right.log_evidence == pytest.approx(-2.5, abs=1e-9)


def test_a_chain_in_another_mode_fails_the_check_of_the_chains():
    target = by_name("two peaks in 2 dimensions")
    generator = np.random.default_rng(8)
    z = generator.normal(size=(4, 1000, 2))
    z[3] += 9.0  # the second peak, which holds 40% of the mass, not a quarter: the chains do not mix
    log_f = values(target.objective, z.reshape(-1, 2)).reshape(4, 1000)
    found = bridge_sampling(target.objective, z, log_f, seed=1)
    wrong = abs(found.log_evidence - target.log_integral)
    assert wrong < 3 * found.std_error or any(check.status == "failed" for check in found.checks)


def test_one_chain_is_refused():
    target = by_name("gaussian in 1 dimension")
    z, log_f = _draws(target, seed=1)
    with pytest.raises(RefusalError, match="one chain"):
        bridge_sampling(target.objective, z[:1], log_f[:1], seed=1)


def test_draws_that_are_not_finite_are_refused():
    target = by_name("gaussian in 1 dimension")
    z, log_f = _draws(target, seed=1)
    z[0, 3, 0] = np.nan
    with pytest.raises(RefusalError, match="not finite"):
        bridge_sampling(target.objective, z, log_f, seed=1)


def test_too_few_draws_for_the_dimension_are_refused():
    target = by_name("gaussian in 20 dimensions")
    z, log_f = _draws(target, seed=1, draws=20)
    with pytest.raises(RefusalError, match="20 dimensions"):
        bridge_sampling(target.objective, z, log_f, seed=1)


def test_same_seed_gives_the_same_number():
    target = by_name("two log gammas")
    z, log_f = _draws(target, seed=9)
    first, second = (bridge_sampling(target.objective, z, log_f, seed=3) for _ in range(2))
    assert first.log_evidence == second.log_evidence
    assert first.std_error == second.std_error
