"""Finite distributions: closed forms, identities on random tables, and a second route through SciPy."""

import dataclasses
import doctest
import math

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import workbench.probability as probability
from workbench.errors import InputError
from workbench.probability import (
    Distribution,
    bayes,
    conditional_entropy,
    cross_entropy,
    entropy,
    information_content,
    kl_divergence,
    mutual_information,
    perplexity,
)

SEEDS = range(20)
ROUNDING = 1e-12  # identities hold to rounding, in nats


def random_joint(seed: int, shape: tuple[int, ...] = (3, 4)) -> Distribution:
    """Random joint distribution over the axes x, y, z, .. with a few cells of probability zero."""
    generator = np.random.default_rng(seed)
    weights = generator.gamma(0.5, size=shape) * (generator.random(shape) > 0.15)
    weights.flat[0] += 0.1
    axes = "xyz"[: len(shape)]
    coords = {axis: [f"{axis}{i}" for i in range(size)] for axis, size in zip(axes, shape, strict=True)}
    return Distribution(xr.DataArray(weights / weights.sum(), coords, tuple(axes)))


def random_probabilities(seed: int, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    p, q = np.random.default_rng(seed).dirichlet(np.full(size, 0.7), size=2)
    return p, q


def random_prior_and_likelihood(seed: int) -> tuple[Distribution, xr.DataArray]:
    generator = np.random.default_rng(seed)
    prior = xr.DataArray(generator.dirichlet(np.ones(5)), {"theta": range(5)}, "theta")
    rows = generator.dirichlet(np.ones(3), size=5)
    return Distribution(prior), xr.DataArray(rows, {"theta": range(5), "y": range(3)}, ("theta", "y"))


def binary_channel(flip: float, one: float = 0.5) -> Distribution:
    """Binary symmetric channel: a bit is sent, and received flipped with probability `flip`."""
    sent = {0: 1 - one, 1: one}
    cells = {(s, r): sent[s] * (flip if s != r else 1 - flip) for s in (0, 1) for r in (0, 1)}
    return Distribution.from_table(cells, ("sent", "received"))


def binary_entropy(p: float) -> float:
    return -p * math.log2(p) - (1 - p) * math.log2(1 - p)


@pytest.fixture
def two_dice() -> Distribution:
    return Distribution.from_counts({(i, j): 1 for i in range(1, 7) for j in range(1, 7)}, ("first", "second"))


def test_docstring_examples_are_true():
    result = doctest.testmod(probability)
    assert result.attempted >= 12
    assert result.failed == 0


# --- the table ---


def test_mean_and_variance_of_a_die_are_those_of_the_discrete_uniform():
    die = Distribution.from_counts(dict.fromkeys(range(1, 7), 1), "die")
    assert die.expectation(float) == pytest.approx(3.5, abs=ROUNDING)
    assert die.variance(float) == pytest.approx(35 / 12, abs=ROUNDING)


def test_functions_of_several_axes_receive_the_labels_by_name(two_dice):
    assert two_dice.expectation(lambda second, first: 10 * first + second) == pytest.approx(38.5)
    assert two_dice.variance(lambda first, second: first + second) == pytest.approx(35 / 6)
    assert two_dice.expectation(lambda first, second: first + second == 7) == pytest.approx(1 / 6)


def test_functions_are_not_evaluated_where_the_probability_is_zero():
    certain = Distribution.from_table({0: 0.0, 1: 1.0}, "n")
    assert certain.expectation(lambda n: 1 / n) == 1.0


def test_an_infinite_value_at_a_possible_outcome_gives_an_infinite_mean_and_no_variance():
    coin = Distribution.from_counts({0: 1, 1: 1}, "n")
    assert coin.expectation(lambda n: math.inf if n else 0.0) == math.inf
    with pytest.raises(InputError, match="NaN"):
        coin.variance(lambda n: math.inf if n else 0.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_marginals_do_not_depend_on_the_order_of_summation(seed):
    joint = random_joint(seed, (2, 3, 4))
    direct = joint.marginal("z").probabilities
    stepwise = joint.marginal("z", "x").marginal("z").probabilities
    np.testing.assert_allclose(direct, stepwise, rtol=0, atol=ROUNDING)
    assert joint.marginal("z", "x").axes == ("z", "x")


@pytest.mark.parametrize("seed", SEEDS)
def test_conditional_times_marginal_gives_back_the_joint(seed):
    joint = random_joint(seed)
    for x in joint.probabilities.x.values.tolist():
        p_x = joint.probability(x=x)
        if p_x > 0:
            row = joint.conditional("y", given={"x": x}).probabilities * p_x
            np.testing.assert_allclose(row, joint.probabilities.sel(x=x), rtol=0, atol=ROUNDING)


def test_conditioning_on_nothing_is_the_marginal(two_dice):
    nothing_known = two_dice.conditional("first", given={}).probabilities
    np.testing.assert_allclose(nothing_known, two_dice.marginal("first").probabilities, rtol=0, atol=ROUNDING)


def test_unlisted_combinations_have_probability_zero():
    joint = Distribution.from_table({("a", 0): 0.5, ("b", 1): 0.5}, ("letter", "digit"))
    assert joint.probability(letter="a", digit=1) == 0.0


def test_weights_are_divided_by_their_total():
    weights = Distribution.from_table({"a": 0.2, "b": 0.6}, "letter", normalised=False)
    assert weights.probability(letter="b") == pytest.approx(0.75, abs=ROUNDING)


def test_labels_of_several_types_keep_their_types():
    mixed = Distribution.from_table({1: 0.25, "1": 0.75}, "label")
    assert mixed.probability(label=1) == 0.25
    assert mixed.probability(label="1") == 0.75


def test_a_distribution_cannot_be_changed():
    source = xr.DataArray([0.5, 0.5], {"coin": ["heads", "tails"]}, "coin")
    coin = Distribution(source)
    source[0] = 0.0
    assert coin.probability(coin="heads") == 0.5
    with pytest.raises(ValueError, match="read-only"):
        coin.probabilities[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        coin.probabilities = source


def test_representation_shows_axes_labels_and_probabilities():
    assert repr(Distribution.from_counts({("a", 0): 1, ("b", 0): 3}, ("letter", "digit"))).splitlines() == [
        "Distribution over letter, digit",
        "a  0    0.25",
        "b  0    0.75",
    ]


# --- Bayes' theorem ---

PRIOR = Distribution.from_table({"ill": 0.01, "well": 0.99}, "state")
TEST = {"ill": {"+": 0.9, "-": 0.1}, "well": {"+": 0.05, "-": 0.95}}
ONE_TEST = xr.DataArray([[0.9, 0.1], [0.05, 0.95]], [("state", ["ill", "well"]), ("a", ["+", "-"])])


def test_medical_test_gives_the_textbook_posterior():
    result = bayes(PRIOR, TEST, observed={"test": "+"})
    assert result.evidence == pytest.approx(0.01 * 0.9 + 0.99 * 0.05, abs=ROUNDING)
    assert result.posterior.probability(state="ill") == pytest.approx(0.009 / 0.0585, abs=ROUNDING)
    assert result.joint.probability(state="ill", test="+") == pytest.approx(0.009, abs=ROUNDING)
    assert result.likelihood.sel(state="ill").item() == 0.9
    assert result.prior is PRIOR


@pytest.mark.parametrize("seed", SEEDS)
def test_posterior_times_evidence_is_likelihood_times_prior(seed):
    prior, likelihood = random_prior_and_likelihood(seed)
    results = [bayes(prior, likelihood, {"y": y}) for y in range(3)]
    for result in results:
        left = result.posterior.probabilities * result.evidence
        np.testing.assert_allclose(left, result.likelihood * prior.probabilities, rtol=1e-13)
    assert sum(result.evidence for result in results) == pytest.approx(1.0, abs=ROUNDING)
    average = sum(result.evidence * result.posterior.probabilities for result in results)
    np.testing.assert_allclose(average, prior.probabilities, rtol=0, atol=ROUNDING)


def test_two_updates_in_a_row_equal_one_update_with_both_data():
    once = bayes(PRIOR, TEST, {"test": "+"})
    twice = bayes(once.posterior, TEST, {"test": "-"})
    both = bayes(PRIOR, ONE_TEST * ONE_TEST.rename(a="b"), {"a": "+", "b": "-"})
    assert twice.posterior.probability(state="ill") == pytest.approx(both.posterior.probability(state="ill"))
    assert once.evidence * twice.evidence == pytest.approx(both.evidence, abs=ROUNDING)


def test_data_that_were_not_observed_are_summed_out():
    partly = bayes(PRIOR, ONE_TEST * ONE_TEST.rename(a="b"), {"a": "+"})
    assert partly.evidence == pytest.approx(bayes(PRIOR, TEST, {"test": "+"}).evidence, abs=ROUNDING)
    assert bayes(PRIOR, ONE_TEST, {}).evidence == pytest.approx(1.0, abs=ROUNDING)


def test_outcomes_are_matched_by_label_and_not_by_position():
    swapped = {"well": {"-": 0.95, "+": 0.05}, "ill": {"-": 0.1, "+": 0.9}}
    assert bayes(PRIOR, swapped, {"test": "+"}).evidence == bayes(PRIOR, TEST, {"test": "+"}).evidence
    coin, reversed_coin = ({"h": 0.9, "t": 0.1}, {"t": 0.1, "h": 0.9})
    p, q = Distribution.from_table(coin, "coin"), Distribution.from_table(reversed_coin, "coin")
    assert kl_divergence(p, q) == 0.0


def test_numbers_as_labels_match_whatever_their_type():
    prior = Distribution.from_counts({1: 1, 2: 3}, "theta")
    table = xr.DataArray([[0.5, 0.5], [0.1, 0.9]], {"theta": [1.0, 2.0], "y": [0, 1]}, ("theta", "y"))
    assert bayes(prior, table, {"y": 1}).evidence == pytest.approx(0.25 * 0.5 + 0.75 * 0.9, abs=ROUNDING)


def test_grid_posterior_of_a_coin_has_the_evidence_of_the_uniform_prior():
    """Ten tosses, uniform prior: p(k) = 1 / 11 for every k; here by the midpoint rule on 2,000 points."""
    chances = (np.arange(2000) + 0.5) / 2000
    prior = Distribution(xr.DataArray(np.full(2000, 1 / 2000), {"p": chances}, "p"))
    rows = stats.binom.pmf(np.arange(11), 10, chances[:, None])
    likelihood = xr.DataArray(rows, {"p": chances, "heads": range(11)}, ("p", "heads"))
    result = bayes(prior, likelihood, {"heads": 7})
    assert result.evidence == pytest.approx(1 / 11, rel=1e-6)
    assert result.posterior.expectation(float) == pytest.approx(8 / 12, rel=1e-6)
    assert result.posterior.variance(float) == pytest.approx(stats.beta(8, 4).var(), rel=1e-5)


# --- information ---


def test_fair_coin_has_an_entropy_of_one_bit_and_log_two_nats():
    coin = Distribution.from_counts({"heads": 1, "tails": 1}, "coin")
    assert entropy(coin, base="bits") == 1.0
    assert entropy(coin) == pytest.approx(math.log(2), abs=ROUNDING)


@pytest.mark.parametrize("faces", [1, 2, 6, 20, 1000])
def test_uniform_distribution_has_entropy_log_k_and_perplexity_k(faces):
    uniform = np.full(faces, 1 / faces)
    assert entropy(uniform) == pytest.approx(math.log(faces), abs=ROUNDING)
    assert perplexity(uniform) == pytest.approx(faces, rel=1e-11)


def test_a_certain_outcome_carries_no_information():
    assert entropy([1.0, 0.0]) == 0.0
    assert math.copysign(1.0, entropy([1.0, 0.0])) == 1.0
    assert information_content(1.0) == 0.0
    assert perplexity([1.0, 0.0]) == 1.0


def test_information_of_independent_outcomes_adds_up(two_dice):
    double_six = two_dice.probability(first=6, second=6)
    six = two_dice.probability(first=6)
    assert information_content(double_six) == pytest.approx(2 * information_content(six), abs=ROUNDING)
    assert entropy(two_dice) == pytest.approx(2 * math.log(6), abs=ROUNDING)


def test_entropy_is_the_expected_information_content():
    letters = {"a": 0.5, "b": 0.3, "c": 0.2}
    p = Distribution.from_table(letters, "letter")
    mean = p.expectation(lambda letter: float(information_content(letters[letter])))
    assert entropy(p) == pytest.approx(mean, abs=ROUNDING)


@pytest.mark.parametrize("flip", [0.01, 0.11, 0.5, 0.9])
def test_binary_symmetric_channel_carries_one_minus_the_entropy_of_its_noise(flip):
    channel = binary_channel(flip)
    expected = 1 - binary_entropy(flip)
    assert mutual_information(channel, "sent", "received", base="bits") == pytest.approx(expected, abs=ROUNDING)
    assert conditional_entropy(channel, "received", given="sent", base="bits") == pytest.approx(
        binary_entropy(flip), abs=ROUNDING
    )


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("base", "scipy_base"), [("nats", math.e), ("bits", 2)])
def test_entropy_and_divergence_agree_with_scipy(seed, base, scipy_base):
    p, q = random_probabilities(seed)
    assert entropy(p, base=base) == pytest.approx(stats.entropy(p, base=scipy_base), abs=ROUNDING)
    assert kl_divergence(p, q, base=base) == pytest.approx(stats.entropy(p, q, base=scipy_base), abs=1e-11)


@pytest.mark.parametrize("seed", SEEDS)
def test_cross_entropy_is_entropy_plus_divergence(seed):
    p, q = random_probabilities(seed)
    assert cross_entropy(p, q) == pytest.approx(entropy(p) + kl_divergence(p, q), rel=1e-12)
    assert perplexity(p, q) == pytest.approx(math.exp(entropy(p)) * math.exp(kl_divergence(p, q)), rel=1e-11)


@pytest.mark.parametrize("seed", SEEDS)
def test_divergence_is_never_negative_and_is_zero_for_equal_distributions(seed):
    p, q = random_probabilities(seed)
    assert kl_divergence(p, q) > 0
    assert kl_divergence(p, p) == 0.0
    nearly = (p * (1 + 1e-9 * np.arange(p.size))) / (p * (1 + 1e-9 * np.arange(p.size))).sum()
    assert kl_divergence(p, nearly) >= 0.0


def test_what_q_holds_impossible_costs_infinitely_much_and_what_p_never_produces_costs_nothing():
    assert kl_divergence([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert cross_entropy([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert perplexity([0.5, 0.5], [1.0, 0.0]) == math.inf
    assert kl_divergence([1.0, 0.0], [0.5, 0.5], base="bits") == 1.0
    assert cross_entropy([1.0, 0.0], [1.0, 0.0]) == 0.0


@pytest.mark.parametrize("seed", SEEDS)
def test_chain_rule_of_entropy_holds(seed):
    joint = random_joint(seed)
    remaining = conditional_entropy(joint, "y", given="x")
    assert entropy(joint) == pytest.approx(entropy(joint.marginal("x")) + remaining, abs=ROUNDING)
    by_rows = sum(
        joint.probability(x=x) * entropy(joint.conditional("y", given={"x": x}))
        for x in joint.probabilities.x.values.tolist()
        if joint.probability(x=x) > 0
    )
    assert remaining == pytest.approx(by_rows, abs=ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutual_information_is_the_entropy_that_knowing_removes(seed):
    joint = random_joint(seed)
    shared = mutual_information(joint, "x", "y")
    p_x, p_y = joint.marginal("x"), joint.marginal("y")
    assert shared == pytest.approx(entropy(p_y) - conditional_entropy(joint, "y", given="x"), abs=ROUNDING)
    assert shared == pytest.approx(entropy(p_x) + entropy(p_y) - entropy(joint), abs=ROUNDING)
    assert shared == pytest.approx(mutual_information(joint, "y", "x"), abs=ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutual_information_is_the_divergence_of_the_joint_from_the_product(seed):
    joint = random_joint(seed)
    outer = np.outer(joint.marginal("x").probabilities, joint.marginal("y").probabilities)
    assert mutual_information(joint, "x", "y") == pytest.approx(
        kl_divergence(joint.probabilities.values, outer), abs=ROUNDING
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_chain_rule_of_mutual_information_holds_for_three_axes(seed):
    joint = random_joint(seed, (2, 3, 4))
    both = mutual_information(joint, "x", ("y", "z"))
    z_given_y = conditional_entropy(joint, "z", given="y") - conditional_entropy(joint, "z", given=("x", "y"))
    assert both == pytest.approx(mutual_information(joint, "x", "y") + z_given_y, abs=1e-11)


def test_independent_axes_share_no_information(two_dice):
    assert mutual_information(two_dice, "first", "second") == pytest.approx(0.0, abs=ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_expected_information_gain_of_an_update_is_the_mutual_information(seed):
    flip = np.random.default_rng(seed).uniform(0.05, 0.45)
    channel = binary_channel(flip, one=0.3)
    prior = channel.marginal("sent")
    rows = {s: {0: flip if s else 1 - flip, 1: 1 - flip if s else flip} for s in (0, 1)}
    updates = [bayes(prior, rows, {"received": received}) for received in (0, 1)]
    gain = sum(update.evidence * kl_divergence(update.posterior, prior) for update in updates)
    assert gain == pytest.approx(mutual_information(channel, "sent", "received"), abs=ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_log_evidence_is_mean_log_likelihood_minus_divergence_of_posterior_from_prior(seed):
    prior, likelihood = random_prior_and_likelihood(seed)
    result = bayes(prior, likelihood, {"y": 2})
    accuracy = result.posterior.expectation(lambda theta: math.log(result.likelihood.sel(theta=theta)))
    cost = kl_divergence(result.posterior, prior)
    assert math.log(result.evidence) == pytest.approx(accuracy - cost, abs=ROUNDING)


@pytest.mark.parametrize("seed", SEEDS)
def test_information_does_not_change_when_outcomes_are_shuffled_relabelled_or_split_over_axes(seed):
    joint = random_joint(seed)
    flat = joint.probabilities.values.ravel()
    shuffled = np.random.default_rng(seed).permutation(flat)
    relabelled = Distribution.from_table(dict(enumerate(shuffled)), "outcome")
    transposed = joint.marginal("y", "x")
    for same in (flat, shuffled, relabelled, transposed):
        assert entropy(same) == pytest.approx(entropy(joint), abs=ROUNDING)
    assert kl_divergence(joint, transposed) == pytest.approx(0.0, abs=ROUNDING)


@pytest.mark.parametrize(
    ("quantity", "given"),
    [
        (information_content, [0.3]),
        (entropy, [[0.2, 0.8]]),
        (cross_entropy, [[0.2, 0.8], [0.6, 0.4]]),
        (kl_divergence, [[0.2, 0.8], [0.6, 0.4]]),
        (mutual_information, [binary_channel(0.2), "sent", "received"]),
        (conditional_entropy, [binary_channel(0.2), "sent", "received"]),
    ],
)
def test_bits_are_nats_divided_by_log_two(quantity, given):
    assert quantity(*given, base="bits") * math.log(2) == pytest.approx(quantity(*given), abs=ROUNDING)
