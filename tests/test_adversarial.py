"""Models that once gave a wrong number with a good verdict, or a traceback; each stays noticed."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from scipy import stats

import workbench as wb
from tests import models_zoo
from workbench.check import worst_status

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

SHORT = wb.Settings(draws=300, tune=300, replicates=50)


def _model(build):
    with pm.Model() as model:
        build()
    return model


def _zero_inflated():
    pm.ZeroInflatedPoisson("y", psi=pm.Beta("p", 1.0, 1.0), mu=2.0, observed=[0, 1, 3])


def _hurdle():
    pm.HurdlePoisson("y", psi=pm.Beta("p", 1.0, 1.0), mu=2.0, observed=[0, 1, 3])


def _truncated_counts():
    pm.Truncated("y", pm.Poisson.dist(pm.Exponential("rate", 1.0)), lower=1, observed=[1, 2, 3])


@pytest.mark.parametrize("build", [_zero_inflated, _hurdle, _truncated_counts])
def test_standard_distributions_with_encapsulated_graphs_are_understood(build):
    density = wb.Study(_model(build), seed=1).density
    points = density.space.start + np.random.default_rng(0).normal(size=(20, density.space.dimension))
    log_prior, log_likelihood, log_jacobian = density.sums(points)
    np.testing.assert_allclose(log_prior + log_likelihood + log_jacobian, density.pymc_target(points), rtol=1e-10)


def test_a_minibatch_is_refused():
    def build():
        batch = pm.Minibatch(np.arange(100.0), batch_size=10)
        pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=batch, total_size=100)

    with pytest.raises(wb.RefusalError, match="minibatch"):
        wb.Study(_model(build))


def test_data_changed_after_the_study_was_made_are_refused():
    def build():
        x = pm.Data("x", np.arange(5.0))
        pm.Normal("y", pm.Normal("b", 0, 5) * x, 1, observed=2 * np.arange(5.0))

    model = _model(build)
    study = wb.Study(model, seed=1)
    with model:
        pm.set_data({"x": 10 * np.arange(5.0)})
    with pytest.raises(wb.RefusalError, match="changed after"):
        study.likelihood.maximum()


def test_a_custom_prior_without_an_integral_has_draws_but_no_account():
    def build():
        mu = pm.CustomDist("mu", logp=lambda value: pt.zeros_like(value))
        pm.Normal("y", mu, 1, observed=[1.0, 2.0, 4.0])

    study = wb.Study(_model(build), seed=1, settings=SHORT)
    with pytest.raises(wb.RefusalError, match="does not fall off"):
        study.information()
    assert study.posterior.draws()["posterior"].sizes["draw"] == SHORT.draws


def test_several_modes_of_the_target_are_carried_to_the_evidence():
    y = np.random.default_rng(0).normal(6.0, 1.0, size=(30, 3))

    def build():
        a = pm.Normal("a", 0, 3, shape=3, initval=np.full(3, 3.0))
        pm.Normal("y", a**2, 1, observed=y)

    study = wb.Study(_model(build), seed=1, settings=SHORT)
    codes = {check.code: check.status for check in study.evidence.estimate().checks}
    assert codes["starts-agree"] == "caution"
    # Eight modes by the signs; chains that start at +3 see one of them, particles from the prior all of them.
    assert codes["basins-visited"] == "caution"
    whole = study.evidence.estimate()
    assert whole.method == "modes"
    assert "bridge" in whole.refused
    assert study.verdict() == "caution"
    a = np.linspace(-12.0, 12.0, 200_001)
    each = [stats.norm(0, 3).logpdf(a) + stats.norm(a**2, 1).logpdf(column[:, None]).sum(axis=0) for column in y.T]
    truth = sum(np.log(np.trapezoid(np.exp(log_f - log_f.max()), a)) + log_f.max() for log_f in each)
    for found in (whole, study.evidence.tempering()):
        assert abs(found.log_evidence - truth) < 4 * found.std_error
    assert abs(study.evidence.bridge().log_evidence - truth) > 0.5


def test_a_mode_that_the_chains_missed_is_seen_by_the_average_over_the_prior():
    def build():
        x = pm.Mixture("x", w=[0.5, 0.5], comp_dists=[pm.Normal.dist(0, 1), pm.Normal.dist(50, 0.01)])
        pm.Normal("y", x, 30, observed=[20.0])

    found = wb.Study(_model(build), seed=1, settings=SHORT).evidence.estimate()
    right = abs(found.log_evidence + 4.671808) < 0.02
    assert right or worst_status(found.checks) == "failed"


def test_a_missing_group_code_is_refused():
    def build():
        mu = pm.Normal("mu", 0, 3, shape=2)
        pm.Normal("y", mu[np.array([-1, 0, 1])], 1, observed=[1.0, 2.0, 3.0])

    with pytest.raises(wb.RefusalError, match="from -1 to 1"):
        wb.Study(_model(build))


def test_a_deterministic_that_is_not_smooth_has_no_standard_error():
    def build():
        k = pm.Normal("k", 0, 1)
        pm.Deterministic("floor", pt.floor(k * 10))
        pm.Deterministic("size", abs(k))
        pm.Normal("y", k, 1, observed=[-1.0, 1.0])

    found = wb.Study(_model(build), seed=1).likelihood.maximum()
    errors = found.table()["std_error"]
    assert np.isfinite(errors["k"])
    assert np.isnan(errors["floor"])
    assert np.isnan(errors["size"])
    assert "no standard error of floor, size: constant, or not smooth, there" in found.notes()


@pytest.mark.parametrize("name", ["chain", "draw", "x_log__"])
def test_names_that_the_draws_need_are_refused(name):
    with pytest.raises(wb.RefusalError, match="cannot be called"):
        wb.Study(_model(lambda: pm.Normal("y", pm.Normal(name, 0, 1), 1, observed=[1.0])))


def test_an_observed_variable_without_parameters_does_not_stop_the_account():
    def build():
        pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=[1.0, 2.0])
        pm.Normal("noise", 0, 1, observed=[1.0, 2.0])

    found = wb.Study(_model(build), seed=1, settings=SHORT).information()
    assert "KL(posterior || prior)" in found.entries


def test_a_negative_seed_is_an_error():
    with pytest.raises(wb.InputError, match="seed is -1"):
        wb.Study(_model(lambda: pm.Normal("y", pm.Normal("mu", 0, 1), 1, observed=[1.0])), seed=-1)


def test_whole_numbers_beyond_32_bits_do_not_wrap(tmp_path):
    (tmp_path / "m.py").write_text(
        "import pymc as pm\n\ndef build(y):\n    with pm.Model() as model:\n"
        "        mu = pm.Normal('mu', 3e9, 1e9)\n        pm.Normal('y', mu, 1e8, observed=y)\n    return model\n"
    )
    study = wb.load(tmp_path / "m.py", {"y": np.array([3_000_000_000, 3_100_000_000, 2_900_000_000])}, seed=1)
    assert float(study.likelihood.maximum().theta["mu"]) == pytest.approx(3e9)


def test_a_custom_likelihood_without_a_random_method_is_refused_replicates_and_nothing_else():
    def build():
        mu = pm.Normal("mu", 0, 10)
        pm.CustomDist("y", mu, logp=lambda value, mu: -0.5 * (value - mu) ** 2, observed=[1.0, 2.0, 4.0])

    study = wb.Study(_model(build), seed=1, settings=SHORT)
    with pytest.raises(wb.RefusalError, match="the data cannot be replicated"):
        study.posterior.predictive()
    assert study.draws()["posterior"].sizes["draw"] == SHORT.draws


@pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop:DeprecationWarning")  # raised inside PyMC
@pytest.mark.filterwarnings("ignore:Calling a RandomVariable without:DeprecationWarning")
def test_a_simulator_is_refused_because_its_log_density_is_random():
    def build():
        mu = pm.Normal("mu", 0, 5)
        pm.Simulator("y", lambda rng, mu, size: rng.normal(mu, 1, size=size), params=(mu,), observed=np.zeros(5))

    with pytest.raises(wb.RefusalError, match="the log density of y is random"):
        wb.Study(_model(build))


@pytest.mark.parametrize("wrap", [np.asarray, lambda x: pm.Data("x", x)])
def test_covariates_and_data_of_different_lengths_are_refused_with_the_remedy(wrap):
    def build():
        x = wrap(np.arange(10.0))
        pm.Normal("y", pm.Normal("b", 0, 5) * x, 1, observed=np.arange(9.0))

    with pytest.raises(wb.RefusalError, match="of the same length"):
        wb.Study(_model(build))


def test_a_model_after_do_and_observe_is_replicated_without_a_warning():
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        z = pm.Normal("z", x, 1)
        pm.Normal("y", x + z, 1)
    study = wb.Study(pm.observe(pm.do(model, {"x": 2.0}), {"y": 1.5}), seed=1, settings=SHORT)
    assert float(study.likelihood.maximum().theta["z"]) == pytest.approx(-0.5)
    assert np.all(np.isfinite(study.posterior.predictive().replicates["y"]))


def test_groups_that_share_a_summed_label_are_left_out_whole_and_have_no_baseline():
    # Groups of 3, 3, 2 and 2, none of them side by side: the leave-one-group-out score is a sum over two integrals.
    group = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    y = np.array([-1.1, 1.9, -0.9, 2.1, -0.2, 1.4, -1.3, 2.7, 0.1, 1.0])

    def build():
        d, k = pm.Normal("d", 2, 1), pm.Bernoulli("k", 0.4, shape=4)
        pm.Normal("y", d * k[group] - 1, 1, observed=y)

    study = wb.Study(_model(build), seed=1, settings=wb.Settings(draws=500, tune=300))
    found = study.prediction()
    d = np.linspace(-4, 8, 2001)
    each = [np.logaddexp(np.log(0.6) + stats.norm(-1, 1).logpdf(y[group == g]).sum(),
                         np.log(0.4) + stats.norm(d[:, None] - 1, 1).logpdf(y[group == g]).sum(axis=1))
            for g in range(4)]  # fmt: skip
    log_f = stats.norm(2, 1).logpdf(d) + sum(each)
    truth = [np.log(np.trapezoid(np.exp(log_f), d) / np.trapezoid(np.exp(log_f - own), d)) for own in each]
    assert found.surprise == pytest.approx(-np.array(truth), abs=0.1)
    assert found.labels[2] == "y[2] and y[6]"
    assert found.values[2] == "[-0.9 -1.3]"
    assert "share a label" in found.reasons["baseline of y"]


def test_a_model_with_missing_values_has_draws_and_replicates_of_what_was_observed():
    study = wb.Study(models_zoo.ZOO["missing"](), seed=1, settings=SHORT)
    assert list(study.posterior.predictive().replicates) == ["y_observed"]
    assert list(study.draws()["posterior_predictive"].to_dataset()) == ["y_observed"]
