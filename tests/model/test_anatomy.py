"""Every variable has the role that the graph gives it, and what cannot be asked is refused by name."""

import numpy as np
import pymc as pm
import pytest

from tests.models_zoo import NAMES, _normals
from workbench.errors import InputError, RefusalError
from workbench.model.anatomy import examine, require
from workbench.model.density import LogDensity
from workbench.model.roles import read_roles
from workbench.result import result_from_json

ROLES = {
    "coin": {"p": "parameter"},
    "height": {"mu": "parameter", "sigma": "parameter"},
    "simplex": {"w": "parameter"},
    "cholesky": {"factor": "parameter"},
    "several": {"rate": "parameter", "spread": "parameter"},
    "logistic": {"beta": "parameter"},
    "heavy": {"b": "parameter", "nu": "parameter", "sigma": "parameter"},
    "missing": {"mu": "parameter", "sigma": "parameter", "y_unobserved": "latent"},
    "centred": {"mu": "parameter", "tau": "parameter", "theta": "latent"},
    "noncentred": {"mu": "parameter", "tau": "parameter", "eta": "latent"},
    "truncated": {"mu": "parameter", "positive": "latent"},
    "dependent_bounds": {"top": "parameter", "inside": "latent"},
    "labelled": {"beta": "parameter", "sigma": "parameter"},
    "zero_sum": {"effects": "parameter"},
}
Y = _normals(40, 6)
GROUP = np.array([0, 1, 2, 0, 1, 2])


def role_of(build):
    with pm.Model() as model:
        build()
    return {name: role for name, (role, _) in read_roles(model).items()}


@pytest.mark.parametrize("name", ROLES)
def test_roles_of_the_zoo_are_read_from_the_graph(anatomy, name):
    free = {n: v["role"] for n, v in anatomy(name).variables.items()}
    assert {n: free[n] for n in ROLES[name]} == ROLES[name]


def test_other_variables_have_the_role_of_their_kind(anatomy):
    assert anatomy("noncentred").named("observed") == ["effect"]
    assert anatomy("noncentred").named("deterministic") == ["theta"]
    assert anatomy("potential").named("potential") == ["pull"]


def plain_product():
    w, z = pm.Normal("w", 0, 1), pm.Normal("z", 0, 1)
    pm.Normal("y", w * z, 1, observed=np.array([1.0]))


def scaled_then_indexed():
    tau, eta = pm.HalfNormal("tau", 1), pm.Normal("eta", 0, 1, shape=3)
    pm.Normal("y", (tau * eta)[GROUP], 1, observed=Y)


def indexed_then_scaled():
    tau, eta = pm.HalfNormal("tau", 1), pm.Normal("eta", 0, 1, shape=3)
    pm.Normal("y", tau * eta[GROUP], 1, observed=Y)


def correlated_noncentred():
    factor, _, _ = pm.LKJCholeskyCov("factor", n=2, eta=2, sd_dist=pm.HalfNormal.dist(1.0))
    eta = pm.Normal("eta", 0, 1, shape=(6, 2))
    pm.Normal("y", pm.math.dot(eta, factor.T).sum(-1), 1, observed=Y)


def log_scale():
    log_tau, eta = pm.Normal("log_tau", 0, 1), pm.Normal("eta", 0, 1, shape=3)
    pm.Normal("y", pm.math.exp(log_tau) * eta[GROUP], 1, observed=Y)


def divided_by_a_precision():
    precision, eta = pm.Gamma("precision", 2.0, 1.0), pm.Normal("eta", 0, 1, shape=3)
    pm.Normal("y", eta[GROUP] / pm.math.sqrt(precision), 1, observed=Y)


def demeaned():
    tau, eta = pm.HalfNormal("tau", 1), pm.Normal("eta", 0, 1, shape=3)
    pm.Normal("y", tau * (eta - eta.mean())[GROUP], 1, observed=Y)


def random_walk():
    tau, eta = pm.HalfNormal("tau", 1), pm.Normal("eta", 0, 1, shape=6)
    pm.Normal("y", tau * eta.cumsum(), 1, observed=Y)


def heavy_tailed_effects():
    tau, eta = pm.HalfNormal("tau", 1), pm.StudentT("eta", nu=4, mu=0, sigma=1, shape=3)
    pm.Normal("y", tau * eta[GROUP], 1, observed=Y)


def zero_sum_effects():
    tau, eta = pm.HalfNormal("tau", 1), pm.ZeroSumNormal("eta", sigma=1, shape=3)
    pm.Normal("y", tau * eta[GROUP], 1, observed=Y)


def scaled_through_a_deterministic():
    tau, eta = pm.HalfNormal("tau", 1), pm.Normal("eta", 0, 1, shape=3)
    effect = pm.Deterministic("effect", 0.5 * tau * eta)
    pm.Normal("y", effect[GROUP], 1, observed=Y)


def spread_after_a_fixed_factor():
    tau, eta = pm.HalfNormal("tau", 1), pm.Normal("eta", 0, 1, shape=3)
    pm.Normal("y", (2.0 * eta)[GROUP] * tau, 1, observed=Y)


@pytest.mark.parametrize("build", [scaled_then_indexed, indexed_then_scaled, correlated_noncentred])
def test_a_standardised_effect_times_a_scale_is_latent(build):
    assert role_of(build)["eta"] == "latent"


@pytest.mark.parametrize(
    "build",
    [
        log_scale,
        divided_by_a_precision,
        demeaned,
        random_walk,
        heavy_tailed_effects,
        zero_sum_effects,
        scaled_through_a_deterministic,
        spread_after_a_fixed_factor,
    ],
)
def test_a_standardised_effect_in_another_guise_is_never_taken_for_a_parameter(build):
    # Maximised over, each of these gives tau -> 0 or an estimate that its centred twin does not give.
    assert role_of(build)["eta"] in ("latent", "ambiguous")


def item_response(scale, shape=8):
    ability, slope = pm.Normal("ability", 0, 1, shape=60), pm.LogNormal("slope", 0, 0.5, shape=shape)
    difficulty = pm.Normal("difficulty", 0, scale, shape=8)
    pm.Bernoulli("answer", logit_p=slope * (ability[:, None] - difficulty), observed=np.ones((60, 8), dtype=int))


def test_a_vector_with_a_factor_for_each_of_its_values_is_a_parameter_unless_it_is_standardised_or_shares_one():
    assert role_of(lambda: item_response(2.0)) == {
        "ability": "latent", "slope": "parameter", "difficulty": "parameter",
    }  # fmt: skip
    assert role_of(lambda: item_response(1.0))["difficulty"] == "ambiguous"  # one prior for abilities and items
    # One slope for all items: a scale of 2 is not that of a standardised effect, and nothing else says what it is.
    assert role_of(lambda: item_response(2.0, shape=()))["difficulty"] == "ambiguous"


def test_the_roles_of_items_are_asked_for_before_anything_is_integrated():
    with pm.Model() as model:
        item_response(1.0)
    with pytest.raises(RefusalError, match="the role of difficulty is ambiguous") as refusal:
        require(examine(LogDensity(model)), "likelihood maximum")
    assert "parameters=['difficulty']" in refusal.value.fix
    assert "latents=['difficulty']" in refusal.value.fix
    named = LogDensity(model, parameters=["difficulty"])
    assert named.roles["difficulty"][0] == "parameter"
    assert not examine(named).questions["likelihood maximum"]


def test_several_variables_that_are_ambiguous_are_each_named_in_the_remedy():
    with pm.Model() as model:
        plain_product()
    with pytest.raises(RefusalError) as refusal:
        require(examine(LogDensity(model)), "likelihood maximum")
    assert "parameters=['w', 'z']" in refusal.value.fix
    assert "--parameter w --parameter z" in refusal.value.fix


def test_a_product_that_data_only_multiply_stays_ambiguous():
    def slopes():
        w, z = pm.Normal("w", 0.0, 1.0), pm.Normal("z", 0.0, 1.0)
        pm.Normal("y", z * (w * np.arange(6.0)), 1.0, observed=np.arange(6.0))

    assert role_of(slopes)["z"] == "ambiguous"


def test_a_product_of_two_coefficients_is_ambiguous():
    assert role_of(plain_product) == {"w": "ambiguous", "z": "ambiguous"}


@pytest.mark.parametrize("width", [1.0, 200.0])
def test_the_height_of_a_curve_is_a_parameter(width):
    def growth():
        height, rate = pm.Normal("height", 0.0, width), pm.Normal("rate", 0.0, 0.1)
        pm.Normal("y", height * (1.0 - pm.math.exp(-rate * np.arange(6.0))), 1.0, observed=np.arange(6.0))

    assert role_of(growth) == {"height": "parameter", "rate": "parameter"}


def test_a_coefficient_of_data_is_a_parameter():
    def regression():
        beta, sigma = pm.Normal("beta", 0, 1, shape=2), pm.HalfNormal("sigma", 1)
        x = pm.Data("x", _normals(41, 6, 2))
        pm.Normal("y", pm.math.dot(x, beta) + 0.5 * beta[0] * x[:, 1], sigma, observed=Y)

    assert role_of(regression) == {"beta": "parameter", "sigma": "parameter"}


def test_states_of_a_time_series_are_latent_and_labels_are_discrete_in_the_graph():
    def walk():
        step = pm.HalfNormal("step", 1)
        state = pm.GaussianRandomWalk("state", sigma=step, init_dist=pm.Normal.dist(0, 1), shape=6)
        pm.Normal("y", state, 1, observed=Y)

    def labels():
        w = pm.Dirichlet("w", np.ones(2))
        k = pm.Categorical("k", p=w, shape=6)
        mu = pm.Normal("mu", 0, 3, shape=2)
        pm.Normal("y", mu[k], 1, observed=Y)

    assert role_of(walk) == {"step": "parameter", "state": "latent"}
    assert role_of(labels) == {"w": "parameter", "k": "discrete", "mu": "parameter"}


def asked(build, **choices):
    with pm.Model() as model:
        build()
    return examine(LogDensity(model, **choices))


def test_the_user_decides_what_the_graph_leaves_open():
    unsure = asked(plain_product)
    assert "ambiguous" in unsure.questions["likelihood maximum"]
    settled = asked(plain_product, parameters=["w", "z"])
    assert settled.questions["likelihood maximum"] == ""
    assert settled.variables["w"]["why"] == "you said so"
    latent = asked(plain_product, parameters=["w"], latents=["z"])
    assert latent.questions["likelihood maximum"] == ""
    assert latent.variables["z"]["role"] == "latent"
    nothing = asked(plain_product, latents=["w", "z"])
    assert "no parameter is left" in nothing.questions["likelihood maximum"]


@pytest.mark.parametrize("choices", [{"latents": ["nothing"]}, {"parameters": ["w"], "latents": ["w"]}])
def test_choices_that_name_no_free_variable_or_one_twice_are_refused(choices):
    with pytest.raises(InputError):
        asked(plain_product, **choices)


def test_choices_may_be_given_as_any_iterable():
    settled = asked(plain_product, parameters=iter(["w", "z"]), latents=iter([]))
    assert settled.questions["likelihood maximum"] == ""
    with pytest.raises(InputError, match="twice"):
        asked(plain_product, parameters=iter(["w"]), latents=iter(["w"]))


@pytest.mark.parametrize(
    ("name", "question", "variable"),
    [
        ("dependent_bounds", "likelihood maximum", "inside"),
        ("dependent_bounds", "posterior mode", "inside"),
        ("logistic", "posterior grid", "model"),
    ],
)
def test_a_refusal_names_the_variable_and_the_remedy(anatomy, name, question, variable):
    with pytest.raises(RefusalError) as refusal:
        require(anatomy(name), question)
    assert refusal.value.where == variable
    assert refusal.value.fix
    assert question in refusal.value.what


def test_a_name_that_is_a_word_of_the_reason_is_not_taken_for_the_variable():
    def regression():
        a, order = pm.Normal("a", 0, 1), pm.Normal("order", 0, 1)
        pm.Normal("y", a + order * np.arange(6.0), pm.HalfNormal("data", 1), observed=Y)

    found = asked(regression)
    with pytest.raises(RefusalError) as refusal:
        require(found, "posterior grid")
    assert refusal.value.where == "model"
    with pytest.raises(RefusalError, match="nothing to integrate"):
        require(found, "likelihood latents")

    def improper():
        pm.Normal("y", pm.Flat("order"), 1, observed=Y)

    with pytest.raises(RefusalError, match="give it a proper prior") as refusal:
        require(asked(improper), "evidence bridge")
    assert refusal.value.where == "order"


@pytest.mark.parametrize("name", NAMES)
def test_draws_and_predictive_can_be_asked_of_every_model_with_data(anatomy, name):
    require(anatomy(name), "posterior draws")
    require(anatomy(name), "posterior predictive")
    require(anatomy(name), "posterior laplace")


@pytest.mark.parametrize("family", [pm.Flat, pm.HalfFlat])
def test_an_improper_prior_is_named_where_a_proper_one_is_needed(family):
    def flat():
        mu = family("mu")
        pm.Normal("y", mu, 1, observed=Y)

    found = asked(flat)
    assert not found.variables["mu"]["proper"]
    assert found.questions["likelihood maximum"] == ""
    for question in ("prior draws", "evidence estimate", "evidence bridge", "information"):
        assert "mu is improper" in found.questions[question]


def test_an_intrinsic_autoregression_is_improper():
    # Besag's ICAR density is a sum of squared differences: it is flat along a constant shift.
    def icar():
        w = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
        phi = pm.ICAR("phi", W=w)
        pm.Normal("y", phi[GROUP], 1, observed=Y)

    assert not asked(icar).variables["phi"]["proper"]


def test_prior_draws_are_not_offered_where_a_transformation_cuts_the_prior_short(anatomy):
    # `transform=ordered` on three Normals keeps one of their six orders, and PyMC draws all six.
    assert "only in part" in anatomy("ordered").questions["prior draws"]
    assert "only in part" in anatomy("mixture").questions["prior draws"]


def test_a_potential_without_a_side_closes_the_questions_that_need_the_split():
    def pulled():
        mu = pm.Normal("mu", 0, 10)
        pm.Potential("pull", -abs(mu) / 2)
        pm.Normal("y", mu, 1, observed=Y)

    found = asked(pulled)
    for question in ("likelihood maximum", "evidence estimate", "information"):
        with pytest.raises(RefusalError, match="pull") as refusal:
            require(found, question)
        assert "potentials={'pull': 'likelihood'}" in refusal.value.fix
        assert "--potential pull=likelihood" in refusal.value.fix
    require(found, "posterior draws")


def test_a_model_without_data_has_a_prior_and_no_likelihood():
    found = asked(lambda: pm.Normal("mu", 0, 1))
    assert found.questions["prior draws"] == ""
    assert "no data" in found.questions["likelihood maximum"]
    assert "no data" in found.questions["posterior predictive"]


def test_questions_that_are_closed_for_one_reason_share_a_line():
    found = asked(lambda: pm.Normal("y", 0, 1, observed=Y))
    (line,) = [note for note in found.notes() if note.startswith("not available")]
    assert line.startswith("not available: prior draws, likelihood maximum,")
    assert line.count("no free variable") == 1


def test_anatomy_shows_distribution_support_and_shape(anatomy):
    table = anatomy("bounded").table()
    assert table.loc["c", "support"] == "> 0"
    assert table.loc["b", "support"] == "(0, 1)"
    assert table.loc["a", "support"] == "interval"
    assert table.loc["b", "distribution"].startswith("Beta(")
    assert anatomy("heavy").table().loc["b", "shape"] == "2x2"
    assert anatomy("labelled").table().loc["table", "role"] == "deterministic"


def test_a_rate_is_shown_with_its_number():
    def build():
        rates = pm.Exponential("each", np.array([0.1, 0.2]), shape=2)
        mu = pm.Gamma("mu", 2, 0.1) + pm.Exponential("wait", scale=4.0) + rates.sum() + pm.Exponential("on", rates[0])
        pm.Normal("y", mu, 1, observed=Y)

    found = {name: v["distribution"] for name, v in asked(build).variables.items()}
    assert (found["mu"], found["wait"]) == ("Gamma(2, rate=0.1)", "Exponential(rate=0.25)")
    assert (found["each"], found["on"]) == ("Exponential(<constant>)", "Exponential(f(each))")


@pytest.mark.parametrize("name", NAMES)
def test_anatomy_survives_json(anatomy, name):
    found = anatomy(name)
    back = result_from_json(found.to_json())
    assert repr(back) == repr(found)
    assert back.questions == found.questions


def test_the_ledger_puts_every_term_on_one_side(anatomy):
    assert anatomy("centred").ledger == {
        "prior": ("mu", "tau"), "latent": ("theta",), "likelihood": ("effect",), "Jacobian": ("tau",),
    }  # fmt: skip
    assert anatomy("potential").ledger["prior"] == ("mu", "pull") or "pull" in anatomy("potential").ledger["likelihood"]
    assert "latent theta" in repr(anatomy("centred"))
