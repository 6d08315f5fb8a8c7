"""Every prior that PyMC does not vouch for is measured, and what is wrong is refused with its number."""

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pymc.distributions import transforms
from scipy import stats

import workbench as wb
from tests import models_zoo
from tests.tolerance import STANDARD_ERRORS
from workbench.check import worst_status
from workbench.model.proper import known_likelihoods

Y = np.array([1.0, 2.0, 4.0])
SHORT = wb.Settings(draws=500, tune=500)


def _study(build, **options):
    with pm.Model() as model:
        build()
    return wb.Study(model, seed=1, settings=SHORT, **options)


def _custom(share, **arguments):
    def log_density(value, mu, sigma):
        return pm.logp(pm.Normal.dist(mu, sigma), value) + np.log(share)

    def build():
        mu = pm.CustomDist("mu", 0.0, 3.0, logp=log_density, **arguments)
        pm.Normal("y", mu, 1.0, observed=Y)

    return build


def _term(study, name):
    return study.evidence.audit().terms[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", models_zoo.ZOO)
def test_priors_of_every_model_of_the_zoo_are_normalised_cut_or_refused_as_a_whole(name):
    options = {"potentials": {"pull": "likelihood"}} if name == "potential" else {}
    study = wb.Study(models_zoo.ZOO[name](), seed=1, settings=SHORT, **options)
    audit = study.evidence.audit()
    assert set(audit.terms) == {rv.name for rv in [*study.model.basic_RVs, *study.model.potentials]}
    for variable, term in audit.terms.items():
        if term["side"] in ("prior", "latent") and variable not in study.density.discrete:
            improper = "improper" in term["why"]
            assert term["proper"] in ("yes", "cut") or improper, (variable, term)


def test_a_custom_prior_that_integrates_to_one_is_accepted_silently():
    study = _study(_custom(1.0))
    found = study.evidence.estimate()
    truth = stats.multivariate_normal(np.zeros(3), np.eye(3) + 9.0).logpdf(Y)
    assert found.log_evidence == pytest.approx(truth, abs=1e-8)
    assert worst_status(study.evidence.audit().checks) == "ok"
    assert _term(study, "mu")["how"] == "quadrature"
    assert not [note for note in found.notes() if "normalis" in note]


def test_a_custom_prior_that_does_not_is_refused_with_its_measured_normaliser():
    study = _study(_custom(0.31))
    with pytest.raises(wb.RefusalError, match=r"mu integrates to 0\.31") as refusal:
        study.evidence.estimate()
    assert "subtract -1.171" in refusal.value.fix
    for question in (study.evidence.bridge, study.evidence.tempering, study.information):
        with pytest.raises(wb.RefusalError, match=r"0\.31"):
            question()
    assert worst_status(study.evidence.audit().checks) == "failed"
    assert float(study.likelihood.maximum().theta["mu"]) == pytest.approx(Y.mean(), abs=1e-9)


def test_a_custom_prior_without_an_integral_is_refused():
    study = _study(lambda: pm.Normal("y", pm.CustomDist("mu", logp=lambda v: pt.zeros_like(v)), 1.0, observed=Y))
    with pytest.raises(wb.RefusalError, match="does not fall off"):
        study.evidence.estimate()


def test_a_custom_prior_with_a_jump_is_integrated_up_to_it():
    def build():
        rate = pm.CustomDist("rate", logp=lambda v: pt.switch(v > 0, -2.0 * v + np.log(2.0), -np.inf), initval=1.0)
        pm.Normal("y", rate, 1.0, observed=Y)

    assert _term(_study(build), "rate")["log_normaliser"] == pytest.approx(0.0, abs=1e-8)


def test_a_normaliser_that_depends_on_another_variable_is_refused_as_such():
    def build():
        sigma = pm.HalfNormal("sigma", 2.0)
        mu = pm.CustomDist("mu", sigma, logp=lambda v, s: -0.5 * (v / s) ** 2)  # without - log sigma
        pm.Normal("y", mu, 1.0, observed=Y)

    study = _study(build)
    with pytest.raises(wb.RefusalError, match="depending on sigma"):
        study.evidence.estimate()


def test_a_conditional_prior_is_integrated_at_several_values_of_the_others():
    def build():
        sigma = pm.HalfNormal("sigma", 2.0)
        mu = pm.CustomDist("mu", sigma, logp=lambda v, s: -0.5 * (v / s) ** 2 - pt.log(s) - 0.5 * np.log(2 * np.pi))
        pm.Normal("y", mu, 1.0, observed=Y)

    assert _term(_study(build), "mu")["proper"] == "yes"


@pytest.mark.parametrize("scale", [1.0, 0.31])
def test_a_vector_by_one_formula_is_measured_by_importance_sampling(scale):
    def log_density(value, centre):
        return pt.sum(-0.5 * (value - centre) ** 2 - 0.5 * np.log(2 * np.pi)) + np.log(scale)

    def build():
        mu = pm.CustomDist("mu", np.zeros(4), logp=log_density, signature="(n)->(n)")
        pm.Normal("y", mu, 1.0, observed=np.ones(4))

    term = _term(_study(build), "mu")
    assert term["how"] == "importance sampling"
    assert abs(term["log_normaliser"] - np.log(scale)) < STANDARD_ERRORS * term["std_error"] + 1e-6
    assert term["proper"] == ("yes" if scale == 1.0 else "no")


@pytest.mark.slow
def test_normal_cutpoints_in_order_integrate_to_one_over_k_factorial_which_is_taken_out():
    def build():
        cuts = pm.Normal("cuts", 0.0, 1.0, shape=3, transform=transforms.ordered, initval=[-1.0, 0.0, 1.0])
        pm.Normal("y", cuts, 1.0, observed=np.array([-1.5, 0.2, 1.0]))

    study = _study(build)
    term = _term(study, "cuts")
    assert (term["proper"], term["how"]) == ("cut", "symmetry")
    assert term["log_normaliser"] == pytest.approx(-np.log(6.0), abs=1e-12)
    # By numbers: 6 times the mean over the order-preserving draws of three independent normals, y_i = mu_i + noise:
    # given y, mu_i ~ Normal(y_i / 2, 1/2) independently, so that p(y) = 6 P(order | y) prod Normal(y_i; 0, 2).
    y = np.array([-1.5, 0.2, 1.0])
    draws = y / 2 + np.sqrt(0.5) * np.random.default_rng(0).normal(size=(4_000_000, 3))
    share = np.mean((np.diff(draws, axis=1) > 0).all(axis=1))
    truth = np.log(6 * share) + stats.norm(0, np.sqrt(2.0)).logpdf(y).sum()
    found = study.evidence.estimate()
    assert abs(found.log_evidence - truth) < 3 * found.std_error + 2e-3
    assert found.parts["prior"] == (term["log_normaliser"], 0.0)
    assert any("divided" in note for note in study.evidence.audit().notes())


@pytest.mark.slow
def test_a_car_prior_is_divided_by_the_constant_that_its_density_lacks():
    # Normal with precision tau (D - alpha W), observed with noise: a Normal for y given alpha, and quadrature over it.
    n, tau, sd = 6, 2.0, 0.5
    chain = np.diag(np.ones(n - 1), 1)
    chain = chain + chain.T
    y = np.array([0.3, 1.0, 0.4, -0.2, -1.1, -0.9])

    def build():
        alpha = pm.Beta("alpha", 2.0, 2.0)
        pm.Normal("y", pm.CAR("f", mu=np.zeros(n), W=chain, alpha=alpha, tau=tau), sd, observed=y)

    study = _study(build)
    term = _term(study, "f")
    assert (term["proper"], term["how"]) == ("cut", "formula")
    alphas = np.linspace(0.0, 1.0, 2001)[1:-1]
    given = [
        stats.multivariate_normal(
            np.zeros(n), np.linalg.inv(tau * (np.diag(chain.sum(0)) - a * chain)) + sd**2 * np.eye(n)
        ).pdf(y)
        for a in alphas
    ]
    truth = np.log(np.trapezoid(np.array(given) * stats.beta(2, 2).pdf(alphas), alphas))
    found = study.evidence.estimate()
    assert abs(found.log_evidence - truth) < 3 * found.std_error + 1e-4
    assert any("without its constant" in note for note in study.evidence.audit().notes())


def test_an_observed_car_has_the_constant_that_its_density_lacks():
    n, tau = 6, 2.0
    chain = np.diag(np.ones(n - 1), 1)
    chain = chain + chain.T
    y = np.array([0.3, 1.0, 0.4, -0.2, -1.1, -0.9])

    def build():
        alpha = pm.Beta("alpha", 2.0, 2.0)
        pm.CAR("y", mu=np.zeros(n), W=chain, alpha=alpha, tau=tau, observed=y)

    study = _study(build)
    term = _term(study, "y")
    assert (term["proper"], term["how"], term["why"]) == ("yes", "known distribution", "")
    alphas = np.linspace(0.0, 1.0, 4001)[1:-1]
    given = [
        stats.multivariate_normal(np.zeros(n), np.linalg.inv(tau * (np.diag(chain.sum(0)) - a * chain))).pdf(y)
        for a in alphas
    ]
    truth = np.log(np.trapezoid(np.array(given) * stats.beta(2, 2).pdf(alphas), alphas))
    assert study.evidence.estimate().log_evidence == pytest.approx(truth, abs=1e-6)


def test_cutpoints_with_unequal_means_in_order_are_measured():
    means = np.array([0.0, 0.5, 1.0])

    def build():
        cuts = pm.Normal("cuts", means, 1.0, transform=transforms.ordered, initval=[-1.0, 0.0, 1.0])
        pm.Normal("y", cuts, 1.0, observed=np.array([-1.5, 0.2, 1.0]))

    term = _term(_study(build), "cuts")
    draws = means + np.random.default_rng(0).normal(size=(4_000_000, 3))
    share = np.mean((np.diff(draws, axis=1) > 0).all(axis=1))
    assert term["proper"] == "cut"
    assert abs(term["log_normaliser"] - np.log(share)) < STANDARD_ERRORS * term["std_error"]
    assert term["std_error"] < 0.02


@pytest.mark.slow
def test_a_normal_kept_to_its_positive_half_integrates_to_a_half_which_is_taken_out():
    def build():
        mu = pm.Normal("mu", 0.0, 3.0, transform=transforms.log, initval=1.0)
        pm.Normal("y", mu, 1.0, observed=Y)

    def half():
        mu = pm.HalfNormal("mu", 3.0)
        pm.Normal("y", mu, 1.0, observed=Y)

    study = _study(build)
    assert _term(study, "mu")["log_normaliser"] == pytest.approx(np.log(0.5), abs=1e-8)
    other = _study(half)
    assert study.evidence.estimate().log_evidence == pytest.approx(other.evidence.estimate().log_evidence, abs=1e-8)
    assert study.evidence.bridge().log_evidence == pytest.approx(other.evidence.estimate().log_evidence, abs=0.02)
    ours, theirs = (s.information().entries["KL(posterior || prior)"][0] for s in (study, other))
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert study.at(mu=2.0).log_evidence == pytest.approx(other.evidence.estimate().log_evidence, abs=1e-8)


def test_a_cut_whose_share_depends_on_another_variable_is_refused():
    def build():
        sigma = pm.HalfNormal("sigma", 2.0)
        mu = pm.Normal("mu", 1.0, sigma, transform=transforms.log, initval=1.0)
        pm.Normal("y", mu, 1.0, observed=Y)

    with pytest.raises(wb.RefusalError, match="depending on sigma"):
        _study(build).evidence.estimate()


@pytest.mark.slow
def test_an_interpolated_and_a_truncated_prior_are_measured():
    x = np.linspace(-4.0, 4.0, 201)

    def build():
        a = pm.Interpolated("a", x, stats.norm.pdf(x))
        b = pm.Truncated("b", pm.Gamma.dist(2.0, 1.0), lower=0.5, upper=2.0, initval=1.0)
        pm.Normal("y", a + b, 1.0, observed=Y)

    study = _study(build)
    assert [_term(study, name)["how"] for name in ("a", "b")] == ["quadrature", "quadrature"]
    assert [_term(study, name)["proper"] for name in ("a", "b")] == ["yes", "yes"]


def test_a_prior_with_a_point_mass_is_refused_with_what_is_left_of_it():
    def build():
        a = pm.Censored("a", pm.Normal.dist(0.0, 1.0), lower=-1.0, upper=None)
        pm.Normal("y", a, 1.0, observed=Y)

    with pytest.raises(wb.RefusalError, match=r"integrates to 0\.84"):
        _study(build).evidence.estimate()


def test_an_improper_prior_is_listed_and_refused_by_name():
    study = _study(lambda: pm.Normal("y", pm.Flat("mu"), 1.0, observed=Y))
    assert _term(study, "mu")["proper"] == "no"
    with pytest.raises(wb.RefusalError, match="mu is improper"):
        study.evidence.estimate()


def test_a_custom_likelihood_is_named_as_taken_as_it_stands():
    def build():
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.CustomDist("y", mu, logp=lambda v, m: -0.5 * (v - m) ** 2, observed=Y)

    study = _study(build)
    term = _term(study, "y")
    assert (term["side"], term["how"]) == ("likelihood", "taken as it stands")
    assert any("constants left out" in note for note in study.evidence.audit().notes())


@pytest.mark.parametrize(
    ("build", "known"),
    [
        (lambda mu: pm.ZeroInflatedPoisson("y", psi=0.5, mu=mu, observed=[0, 1, 3]), True),
        (lambda mu: pm.HurdlePoisson("y", psi=0.5, mu=mu, observed=[0, 1, 3]), True),
        (lambda mu: pm.Censored("y", pm.Weibull.dist(mu, 2.0), lower=None, upper=3.0, observed=[1.0, 3.0]), True),
        (lambda mu: pm.Truncated("y", pm.Gamma.dist(mu, 2.0), lower=1.0, observed=[1.5, 3.0]), True),
        (lambda mu: pm.DirichletMultinomial("y", n=4, a=mu * np.ones(2), observed=[[1, 3]]), True),
        (lambda mu: pm.CustomDist("y", mu, logp=lambda value, mu: -abs(value - mu), observed=[1.0]), False),
    ],
)
def test_the_likelihoods_that_pymc_builds_of_its_distributions_are_known(build, known):
    with pm.Model() as model:
        build(pm.HalfNormal("mu", 1.0))
    assert known_likelihoods(model) == {"y": known}


def test_without_data_the_evidence_is_exactly_zero():
    study = _study(lambda: pm.Normal("x", pm.HalfNormal("s", 1.0), 2.0))
    found = study.evidence.estimate()
    assert (found.log_evidence, found.std_error, found.method) == (0.0, 0.0, "no data")
    with pytest.raises(wb.RefusalError, match="exactly 0"):
        study.evidence.bridge()
    with pytest.raises(wb.RefusalError, match="improper"):
        _study(lambda: pm.Flat("x")).evidence.estimate()
    with pytest.raises(wb.RefusalError, match=r"0\.31"):
        _study(
            lambda: pm.CustomDist("x", logp=lambda v: pm.logp(pm.Normal.dist(), v) + np.log(0.31))
        ).evidence.estimate()
    assert _study(lambda: pm.Bernoulli("x", 0.3)).evidence.estimate().log_evidence == 0.0


@pytest.mark.slow
def test_where_a_chain_starts_changes_no_digit_of_the_exact_evidence():
    def build(initval):
        def inner():
            mu = pm.Normal("mu", 0.0, 3.0, initval=initval)
            pm.Normal("y", mu, 1.0, observed=Y)

        return inner

    truth = stats.multivariate_normal(np.zeros(3), np.eye(3) + 9.0).logpdf(Y)
    for initval in (None, 0.0, 5.0, -80.0):
        study = _study(build(initval))
        assert study.evidence.estimate().log_evidence == pytest.approx(truth, abs=1e-9)
        bridge, tempered = study.evidence.bridge(), study.evidence.tempering()
        assert abs(bridge.log_evidence - truth) < STANDARD_ERRORS * bridge.std_error
        assert abs(tempered.log_evidence - truth) < STANDARD_ERRORS * tempered.std_error
