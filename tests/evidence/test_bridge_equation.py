"""The bridge equation: its root where that is known, and every part of the error on made-up log ratios."""

from itertools import combinations

import numpy as np
import pytest

from tests.tolerance import STANDARD_ERRORS
from workbench.errors import NumericalError
from workbench.evidence.bridge_equation import Ratios, effective_size, error_budget, solve_bridge


def _made(posterior, proposal, effective=None, used=None):
    posterior = np.atleast_2d(np.asarray(posterior, dtype=np.float64))
    used = np.arange(len(posterior)) if used is None else used
    return Ratios(used, posterior, np.asarray(proposal, dtype=np.float64), effective or float(posterior.size))


def _crossfit(generator, chains, truth, shift=0.5, draws=500, m=400):
    """Ratios of Normal(0, 1) scaled by exp(truth) over Normal(shift, 1), which no chain was used to fit."""
    blocks = np.array_split(np.arange(chains), min(chains, 4))
    z = generator.normal(size=(chains, draws))
    made = []
    for fit in combinations(blocks, len(blocks) // 2):
        used = np.setdiff1d(np.arange(chains), np.concatenate(fit))
        x = generator.normal(shift, size=m)
        at = [truth - 0.5 * p**2 + 0.5 * (p - shift) ** 2 for p in (z[used], x)]
        made.append(_made(at[0], at[1], used=used))
    return made, blocks


def test_root_is_exact_where_the_ratio_is_constant():
    # f / q = exp(-3) everywhere: the integral of f is exp(-3) whatever the draws.
    assert solve_bridge([_made(np.full(10, -3.0), np.full(20, -3.0))]) == pytest.approx(-3.0, abs=1e-10)


def test_root_of_one_fit_solves_the_equation_of_meng_and_wong():
    generator = np.random.default_rng(1)
    posterior, proposal = generator.normal(1.0, size=300), generator.normal(-1.0, size=200)
    root = solve_bridge([_made(posterior, proposal, effective=150.0)])
    s1, s2 = 150 / 350, 200 / 350
    above = np.mean(np.exp(proposal) / (s1 * np.exp(proposal) + s2 * np.exp(root)))
    below = np.mean(1 / (s1 * np.exp(posterior) + s2 * np.exp(root)))
    assert np.log(above / below) == pytest.approx(root, abs=1e-10)


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e5])
def test_a_root_is_found_however_far_the_ratios_lie_apart(size):
    root = solve_bridge([_made(np.array([size, 2 * size]), np.array([-size, -3 * size, -np.inf]))])
    assert -3 * size - 20 < root < 2 * size + 20


def test_a_target_that_vanishes_at_every_proposal_draw_is_an_error():
    with pytest.raises(NumericalError, match="vanishes"):
        solve_bridge([_made(np.zeros(5), np.full(5, -np.inf))])


def test_effective_size_of_equal_and_of_independent_draws_is_their_number():
    assert effective_size(np.full((4, 100), 2.0)) == 400
    found = effective_size(np.random.default_rng(2).normal(size=(4, 1000)))
    assert 3000 < found <= 4000


def test_effective_size_of_chains_that_disagree_is_small():
    z = np.random.default_rng(3).normal(size=(4, 500)) + np.array([0.0, 0.0, 0.0, 5.0])[:, None]
    assert effective_size(z) < 20


@pytest.mark.parametrize("chains", [2, 3, 4, 7])
@pytest.mark.statistical
def test_delta_error_is_the_spread_of_the_root_for_any_number_of_chains(chains):
    errors, scores = [], []
    for seed in range(100):
        budget = error_budget(*_crossfit(np.random.default_rng(seed), chains, truth=7.0))
        errors.append(budget.delta)
        scores.append((budget.root - 7.0) / budget.delta)
    # 100 values know their own standard deviation to 7%; with two chains the error is 1.5 times the variance at most.
    assert 0.75 < np.sqrt(np.mean(np.square(scores))) < 1 + STANDARD_ERRORS * 0.07
    assert np.std(errors) < 0.2 * np.mean(errors)


@pytest.mark.statistical
def test_jackknife_and_splits_agree_with_the_delta_method_on_average():
    budgets = [error_budget(*_crossfit(np.random.default_rng(seed), 4, truth=0.0)) for seed in range(60)]
    delta = np.mean([b.delta**2 for b in budgets])
    assert 0.5 < np.mean([b.jackknife**2 for b in budgets]) / delta < 2.0
    assert np.mean([b.split**2 for b in budgets]) < delta  # all splits share their posterior draws


def test_with_two_chains_there_is_no_jackknife():
    assert error_budget(*_crossfit(np.random.default_rng(4), 2, truth=0.0)).jackknife == 0.0


def test_a_chain_from_elsewhere_stands_out():
    made, blocks = _crossfit(np.random.default_rng(5), 4, truth=0.0)
    moved = [Ratios(r.used, r.posterior + 4.0 * (r.used == 2)[:, None], r.proposal, r.effective) for r in made]
    right, wrong = error_budget(made, blocks), error_budget(moved, blocks)
    assert np.max(np.abs(right.by_chain_sigma)) < STANDARD_ERRORS
    assert np.argmax(np.abs(wrong.by_chain_sigma)) == 2
    assert wrong.by_chain_sigma[2] > 10
    assert wrong.error > 5 * right.error


def test_levels_that_differ_between_fits_are_not_taken_for_chains():
    # Fits of unlike quality: constant ratios within each fit, so there is no error at all.
    made, blocks = _crossfit(np.random.default_rng(6), 4, truth=0.0)
    flat = [Ratios(r.used, 0 * r.posterior, 0 * r.proposal, 100.0 * (i + 5)) for i, r in enumerate(made)]
    budget = error_budget(flat, blocks)
    assert budget.root == pytest.approx(0.0, abs=1e-10)
    assert budget.error < 1e-8


def test_a_heavy_tail_of_the_terms_is_seen_and_priced():
    generator = np.random.default_rng(7)
    made, blocks = _crossfit(generator, 4, truth=0.0, shift=0.0)
    # Far below the root the terms are proportional to f / q, here Pareto with index 0.8.
    tails = [Ratios(r.used, r.posterior + 15.0, 0.8 * generator.exponential(size=2000), r.effective) for r in made]
    budget = error_budget(tails, blocks)
    assert budget.pareto_k[1] > 0.5
    assert budget.tail > 0
    assert budget.error >= budget.tail
    assert error_budget(made, blocks).tail == 0.0


@pytest.mark.parametrize("apart", [400.0, 600.0, 2000.0])
def test_draws_without_a_place_in_common_are_an_error(apart):
    # The slope of the equation falls like exp(-apart): its square underflows before it does itself.
    made = [_made(np.full((1, 50), apart), np.full(50, -apart), used=np.array([used])) for used in (0, 1)]
    with pytest.raises(NumericalError, match="no place in common"):
        error_budget(made, [np.array([0]), np.array([1])])
