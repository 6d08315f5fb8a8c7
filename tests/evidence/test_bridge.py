"""The bridge against closed forms: its value, the honesty of its error, and what it refuses."""

import numpy as np
import pytest
from scipy import special

from tests.evidence import published
from tests.targets import ALL, RowsObjective, by_name, log_gamma
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.errors import NumericalError, RefusalError
from workbench.evidence.bridge import bridge_sampling
from workbench.numerics.objective import values

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`


def _draws(target, seed, chains=4, draws=1000):
    z = target.draw(chains * draws, np.random.default_rng(seed)).reshape(chains, draws, -1)
    return z, values(target.objective, z.reshape(-1, target.dimension)).reshape(chains, draws)


@pytest.mark.parametrize("target", ALL, ids=str)
def test_bridge_matches_the_closed_form_within_its_stated_error(target):
    z, log_f = _draws(target, seed=11)
    found = bridge_sampling(target.objective, z, log_f, seed=5)
    assert abs(found.log_evidence - target.log_integral) < STANDARD_ERRORS * found.std_error


@pytest.mark.parametrize("target", published.ALL, ids=str)
def test_bridge_matches_densities_of_the_literature(target):
    found = bridge_sampling(target.objective, *_draws(target, seed=2), seed=1)
    assert abs(found.log_evidence - target.log_integral) < STANDARD_ERRORS * found.std_error
    assert found.std_error < 0.05
    assert worst_status(found.checks) in ("ok", "caution")


@pytest.mark.deep
def test_a_thousand_dimensions_cost_no_accuracy_where_the_target_is_gaussian():
    # White noise, so that a value costs microseconds; the proposal does not know that it is white.
    constant = 500 * np.log(2 * np.pi)
    objective = RowsObjective(1000, lambda z: (-0.5 * np.sum(z**2, axis=1) - constant, -z))
    z = np.random.default_rng(3).normal(size=(4, 1000, 1000))
    found = bridge_sampling(objective, z, -0.5 * np.sum(z**2, axis=-1) - constant, seed=1)
    assert abs(found.log_evidence) < 0.1
    assert found.proposal == "normal by gradients"


def _regression(groups=390, covariates=10, n=1000):
    """A varying-intercept regression with known scales: precision, its product with the mean, constant, log p(y).

    Coefficients ~ Normal(0, 2), intercept_j ~ Normal(first coefficient, 0.3), y ~ Normal(x'b + intercept_j, 0.8).
    """
    generator = np.random.default_rng(0)
    d, tau, sigma = groups + covariates, 0.3, 0.8
    whiten = np.diag(np.repeat([0.5, 1 / tau], [covariates, groups]))
    whiten[covariates:, 0] = -1 / tau
    x = np.zeros((n, d))
    x[:, 1:covariates] = generator.normal(size=(n, covariates - 1))
    x[np.arange(n), covariates + generator.integers(0, groups, n)] = 1.0
    y = x @ np.linalg.solve(whiten, generator.normal(size=d)) + sigma * generator.normal(size=n)
    precision, slope = whiten.T @ whiten + x.T @ x / sigma**2, x.T @ y / sigma**2
    constant = -0.5 * (d + n) * np.log(2 * np.pi) + np.log(np.diag(whiten)).sum() - n * np.log(sigma)
    constant -= 0.5 * float(y @ y) / sigma**2
    half = 0.5 * d * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(precision)[1]
    return precision, slope, constant, constant + half + 0.5 * slope @ np.linalg.solve(precision, slope)


def test_a_regression_with_four_hundred_coefficients_is_right_to_a_tenth():
    precision, slope, constant, truth = _regression()

    def log_f(z):
        pull = z @ precision
        return constant - 0.5 * np.sum(pull * z, axis=1) + z @ slope, slope - pull

    objective = RowsObjective(400, log_f)
    noise = np.random.default_rng(5).normal(size=(400, 4000))
    mean, factor = np.linalg.solve(precision, slope), np.linalg.cholesky(precision)
    z = (mean + np.linalg.solve(factor.T, noise).T).reshape(4, 1000, 400)
    log_f = values(objective, z.reshape(-1, 400)).reshape(4, 1000)
    found = bridge_sampling(objective, z, log_f, seed=1)
    assert abs(found.log_evidence - truth) < 0.1
    assert found.std_error < 0.1


def test_a_hundred_skewed_dimensions_are_warped():
    target = log_gamma("skewed", np.linspace(0.5, 1.0, 100), np.ones(100))
    errors = []
    for seed in range(3):
        found = bridge_sampling(target.objective, *_draws(target, seed=seed), seed=seed)
        errors.append(found.log_evidence - target.log_integral)
        assert abs(errors[-1]) < STANDARD_ERRORS * found.std_error
        assert found.proposal.startswith("warped")
    assert np.sqrt(np.mean(np.square(errors))) < 0.05


@pytest.mark.deep
def test_a_thousand_skewed_dimensions_stay_within_the_limits():
    target = log_gamma("skewed", np.linspace(3.0, 5.0, 1000), np.ones(1000))
    found = bridge_sampling(target.objective, *_draws(target, seed=4), seed=4)
    assert abs(found.log_evidence - target.log_integral) < STANDARD_ERRORS * found.std_error
    assert found.proposal == "warped normal by gradients"
    assert worst_status(found.checks) == "ok"


@pytest.mark.parametrize("chains", [2, 3, 5, 8])
def test_any_number_of_chains_from_two_on_will_do(chains):
    target = by_name("five log gammas")
    found = bridge_sampling(target.objective, *_draws(target, seed=12, chains=chains, draws=800), seed=1)
    assert abs(found.log_evidence - target.log_integral) < STANDARD_ERRORS * found.std_error


def test_the_unit_of_a_coordinate_does_not_matter():
    target, unit = by_name("five log gammas"), np.array([1e6, 1.0, 1e-6, 1.0, 1e3])
    z, log_f = _draws(target, seed=13)

    def in_units(x):
        value, gradient = target.objective.rows(x / unit)
        return value - np.log(unit).sum(), gradient / unit

    other = bridge_sampling(RowsObjective(5, in_units), z * unit, log_f - np.log(unit).sum(), seed=1)
    found = bridge_sampling(target.objective, z, log_f, seed=1)
    assert abs(found.log_evidence - other.log_evidence) < found.std_error + other.std_error


def test_without_gradients_the_other_proposals_are_used():
    target = by_name("two log gammas")

    class NoGradient:
        dimension = 2
        value = staticmethod(target.objective.value)

        @staticmethod
        def value_and_gradient(z):
            raise NumericalError(f"no gradient at {z}", "objective")

    found = bridge_sampling(NoGradient(), *_draws(target, seed=14), seed=1)
    assert abs(found.log_evidence - target.log_integral) < STANDARD_ERRORS * found.std_error
    assert not any("gradients" in name for name in found.pilots)


def test_the_bracket_holds_the_truth_on_a_skewed_target():
    target = by_name("five log gammas")
    found = bridge_sampling(target.objective, *_draws(target, seed=3), seed=1)
    assert found.lower < target.log_integral < found.upper


def test_proposal_draws_are_added_until_the_target_error_or_until_they_hardly_help():
    target = by_name("thin banana")
    z, log_f = _draws(target, seed=4)
    rough = bridge_sampling(target.objective, z, log_f, seed=1, target_error=0.1)
    fine = bridge_sampling(target.objective, z, log_f, seed=1, target_error=1e-6)
    assert rough.n_proposal < fine.n_proposal <= 8 * log_f.size
    assert fine.delta_error < rough.delta_error


def test_the_proposal_with_the_smallest_error_in_the_pilot_is_taken():
    target = by_name("thin banana")
    found = bridge_sampling(target.objective, *_draws(target, seed=6), seed=2)
    assert found.proposal == min(found.pilots, key=found.pilots.get) == "mixture"
    assert found.pilots["normal"] > 5 * found.std_error


def test_a_dropped_constant_moves_the_estimate_by_just_that_constant():
    target = by_name("gaussian in 5 dimensions")
    z, log_f = _draws(target, seed=7)

    def less(x):
        value, gradient = target.objective.rows(x)
        return value - 2.5, gradient

    shifted = RowsObjective(5, less)
    right = bridge_sampling(target.objective, z, log_f, seed=1)
    wrong = bridge_sampling(shifted, z, log_f - 2.5, seed=1)
    assert wrong.log_evidence - right.log_evidence == pytest.approx(-2.5, abs=1e-9)


@pytest.mark.parametrize("stuck", [[3], [0], [0, 1], [1, 3]], ids=str)
def test_chains_in_another_mode_fail_the_checks(stuck):
    target = by_name("two peaks in 2 dimensions")
    z = np.random.default_rng(8).normal(size=(4, 1000, 2))
    z[stuck] += 9.0  # the second peak holds 40% of the mass, which chains that do not mix cannot know
    log_f = values(target.objective, z.reshape(-1, 2)).reshape(4, 1000)
    found = bridge_sampling(target.objective, z, log_f, seed=1)
    assert "bridge-chains" in {check.code for check in found.checks if check.status == "failed"}
    assert abs(found.log_evidence - target.log_integral) < 3 * found.std_error


@pytest.mark.parametrize("name", ["gaussian in 20 dimensions", "five log gammas", "student t in 4 dimensions"])
@pytest.mark.parametrize("factor", [np.sqrt(0.5), 1.5])
def test_draws_from_another_target_fail_even_where_the_number_survives(name, factor):
    # Draws from a target that is narrower, as with a likelihood that counts twice, or wider.
    target = by_name(name)
    z, _ = _draws(target, seed=15)
    z = target.mean + factor * (z - target.mean)
    log_f = values(target.objective, z.reshape(-1, target.dimension)).reshape(z.shape[:2])
    found = bridge_sampling(target.objective, z, log_f, seed=1)
    assert "bridge-draws" in {check.code for check in found.checks if check.status == "failed"}


@pytest.mark.parametrize(("defect", "message"), [("copy", "copies of each other"), ("stuck", "never moved")])
def test_chains_that_are_copies_or_never_move_are_refused(defect, message):
    target = by_name("gaussian in 1 dimension")
    z, log_f = _draws(target, seed=16)
    z[2] = z[0] if defect == "copy" else z[2, 0]
    log_f = values(target.objective, z.reshape(-1, 1)).reshape(4, 1000)
    with pytest.raises(RefusalError, match=message):
        bridge_sampling(target.objective, z, log_f, seed=1)


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
    z, log_f = _draws(target, seed=1, draws=14)
    with pytest.raises(RefusalError, match="20 dimensions"):
        bridge_sampling(target.objective, z, log_f, seed=1)


def test_same_seed_gives_the_same_number():
    target = by_name("two log gammas")
    z, log_f = _draws(target, seed=9)
    first, second = (bridge_sampling(target.objective, z, log_f, seed=3) for _ in range(2))
    assert first.log_evidence == second.log_evidence
    assert first.std_error == second.std_error


@pytest.mark.statistical
def test_three_draws_for_two_dimensions_in_a_half_are_enough_for_an_honest_error():
    # Log gammas in 200 dimensions, 150 draws a chain: skewed, so that no proposal is exact.
    shape, d = 5.0, 200

    def log_gammas(z):
        return np.sum(shape * z - np.exp(z) - special.gammaln(shape), axis=1), shape - np.exp(z)

    objective, scores = RowsObjective(d, log_gammas), []
    for seed in range(6):
        z = np.log(np.random.default_rng(seed).gamma(shape, size=(4, 150, d)))
        found = bridge_sampling(objective, z, values(objective, z.reshape(-1, d)).reshape(4, 150), seed)
        assert found.std_error < 0.2
        scores.append(found.log_evidence / found.std_error)
    assert np.sqrt(np.mean(np.square(scores))) < 1.5
    assert np.max(np.abs(scores)) < 3
