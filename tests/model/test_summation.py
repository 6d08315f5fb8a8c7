"""Sums over discrete variables are those of brute force, and what cannot be summed out stays and is refused.

The second route enumerates every joint state of every element and adds up PyMC's own log densities.
"""

import itertools
import warnings

import numpy as np
import pymc as pm
import pytest
from pymc.exceptions import ImputationWarning
from scipy import special, stats
from scipy.special import logsumexp

from workbench.errors import InputError, RefusalError
from workbench.model import summation
from workbench.model.anatomy import examine
from workbench.model.density import LIKELIHOOD, TARGET, LogDensity
from workbench.model.observations import labels_of, rows_of
from workbench.model.preflight import check_before_fit

Y = np.array([-1.3, 0.2, 2.4, 3.1])
COUNTS = np.array([[2, 0, 3], [0, 0, 0], [1, 4, 2]])


def labels():
    """A mixture written with labels."""
    w = pm.Dirichlet("w", np.ones(2))
    mu = pm.Normal("mu", 0.0, 3.0, shape=2)
    k = pm.Categorical("k", p=w, shape=4)
    pm.Normal("y", mu[k], pm.HalfNormal("sigma", 2.0), observed=Y)


def classes():
    """One class a person, two items of different kinds, several answers to one of them."""
    k = pm.Bernoulli("k", pm.Beta("w", 2.0, 2.0), shape=3)
    rate = pm.Gamma("rate", 2.0, 1.0, shape=2)
    pm.Poisson("count", rate[k][:, None], observed=COUNTS)
    pm.Normal("y", pm.Normal("mu", 0, 2, shape=2)[k[np.array([0, 1, 2, 2])]], 1.0, observed=Y)


def partly():
    """Observations of which some have no label at all."""
    k = pm.Bernoulli("k", 0.3, shape=2)
    mu = pm.Normal("mu", 0, 2)
    pm.Normal("y", pm.math.concatenate([mu + 2.0 * k, pm.math.stack([mu, -mu])]), 1.0, observed=Y)


def switch():
    """One change point that every observation depends on."""
    at = pm.DiscreteUniform("at", 0, 8)
    early, late = pm.Exponential("early", 1.0), pm.Exponential("late", 1.0)
    pm.Poisson("y", pm.math.switch(at > np.arange(9), early, late), observed=COUNTS.ravel())


def two_labels():
    """Two variables in one term, one of them with more elements than the other."""
    pair = np.array([0, 0, 1, 1])
    group = pm.Bernoulli("group", 0.4, shape=2)
    kind = pm.Categorical("kind", p=np.array([0.2, 0.3, 0.5]), shape=4)
    mu = pm.Normal("mu", 0, 2, shape=3)
    pm.Normal("y", mu[kind] + group[pair], 1.0, observed=Y)


def occupancy():
    """Sites that are occupied or not, each visited three times (MacKenzie and others 2002)."""
    present = pm.Bernoulli("present", pm.Beta("psi", 1, 1), shape=3)
    seen = pm.Beta("seen", 1, 1)
    pm.Bernoulli("y", present[:, None] * seen, observed=(COUNTS > 1).astype(int))


def abundance():
    """How many there are at every site, counted with misses (Royle 2004)."""
    number = pm.Binomial("number", n=np.array([6, 4, 5]), p=pm.Beta("density", 2, 2), shape=3)
    pm.Binomial("y", n=number[:, None], p=pm.Beta("seen", 2, 2), observed=COUNTS)


def chain():
    """A short hidden Markov chain: its states hang together and are enumerated jointly."""
    stay = pm.Beta("stay", 4, 2)
    state = pm.Bernoulli("s0", 0.5)
    states = [state]
    for i in range(3):
        state = pm.Bernoulli(f"s{i + 1}", pm.math.switch(state, stay, 1 - stay))
        states.append(state)
    pm.Normal("y", pm.Normal("mu", 0, 2) * pm.math.stack(states), 1.0, observed=Y)


def coupled():
    """Elements of one variable that meet in the observations."""
    k = pm.Bernoulli("k", pm.Beta("p", 1, 1), shape=5)
    pm.Normal("y", pm.Normal("mu", 0, 2) + k[:-1] + k[1:], 1.0, observed=Y)


def spikes():
    """Spike and slab: the labels enter nothing but a prior."""
    used = pm.Bernoulli("used", pm.Beta("share", 1, 1), shape=2)
    beta = pm.Normal("beta", 0.0, pm.math.switch(used, 2.0, 0.1), shape=2)
    pm.Normal("y", beta[0] + beta[1] * np.arange(4.0), 1.0, observed=Y)


def missing():
    """Two of four answers are missing; what the missing ones would be is nobody's likelihood."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImputationWarning)
        pm.Bernoulli("y", pm.Beta("p", 2, 2), observed=np.ma.masked_array([1, 0, 1, 1], mask=[0, 0, 1, 1]))


def alike():
    """Two of three components coincide everywhere, and the prior of the labels is flat."""
    k = pm.Categorical("k", p=np.ones(3) / 3, shape=4)
    m = pm.Normal("m", 0, 2)
    pm.Normal("y", pm.math.stack([0.0, 0.0, m])[k], 1.0, observed=Y)


def bare():
    """Labels beside a likelihood that does not look at them."""
    pm.Bernoulli("k", 0.2, shape=3)
    pm.Normal("y", pm.Normal("mu", 0, 2), 1.0, observed=Y)


MODELS = {f.__name__: f for f in (
    labels, classes, partly, switch, two_labels, occupancy, abundance, chain, coupled, spikes, missing, alike, bare,
)}  # fmt: skip


def built(builder):
    with pm.Model() as model:
        builder()
    return model


@pytest.fixture(scope="module")
def made():
    kept = {}

    def make(name):
        if name not in kept:
            kept[name] = LogDensity(built(MODELS[name]))
        return kept[name]

    return make


def brute_force(d, points):
    """Log of the sum over every joint state of PyMC's own log density on z."""
    s = d.summation
    target = d._pymc_target(stable=False)
    ranges = []
    for name, shape in s.shapes.items():
        values = np.unique(s.states[:, [c for (n, _), c in s.slots.items() if n == name]])
        ranges.append([np.array(v).reshape(shape) for v in itertools.product(values, repeat=int(np.prod(shape)))])
    types = [s.terms.values[n].dtype for n in s.names]
    found = []
    for z in points:
        heights = []
        for joint in itertools.product(*ranges):
            states = [a.astype(t) for a, t in zip(joint, types, strict=True)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                heights.append(d._pymc_value(False, z, *states))
        found.append(logsumexp(heights))
    assert target is not None
    return np.array(found)


def near(d, m=4, seed=3):
    return d.space.start + np.random.default_rng(seed).uniform(-1, 1, size=(m, d.space.dimension))


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_sum_over_labels_is_that_of_brute_force(made, name):
    d = made(name)
    points = near(d)
    assert d.summed
    assert np.allclose(sum(d.sums(points)), brute_force(d, points), rtol=1e-12, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_pymc_at_drawn_labels_confirms_the_sum(made, name):
    d = made(name)
    points = near(d, 20)
    assert np.allclose(sum(d.sums(points)), d.pymc_target(points), rtol=1e-12, atol=1e-12)
    assert {check.status for check in check_before_fit(d)} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labels", "classes", "partly", "chain"])
def test_the_compiled_sum_and_its_gradient_are_those_of_the_terms(made, name):
    d = made(name)
    objective = d.objective(TARGET)
    for z in near(d, 3):
        value, gradient = objective.value_and_gradient(z)
        assert value == pytest.approx(sum(d.sums(z))[0], rel=1e-12)
        step = 1e-5 * np.eye(z.size)
        slopes = [(sum(d.sums(z + h))[0] - sum(d.sums(z - h))[0]) / 2e-5 for h in step]
        assert gradient == pytest.approx(slopes, rel=1e-6, abs=1e-6)


def test_a_mixture_by_labels_is_the_mixture_of_pymc_observation_by_observation(made):
    d = made("labels")
    with pm.Model() as model:
        w = pm.Dirichlet("w", np.ones(2))
        mu = pm.Normal("mu", 0.0, 3.0, shape=2)
        pm.NormalMixture("y", w, mu, pm.HalfNormal("sigma", 2.0), observed=Y)
    other, points = LogDensity(model), near(d, 10)
    assert d.space.names == other.space.names
    assert np.allclose(d.terms(points).log_likelihood["y"], other.terms(points).log_likelihood["y"], rtol=1e-12)
    assert np.allclose(d.sums(points), other.sums(points), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "terms"),
    [("labels", {"y": 4}), ("classes", {"count": 3}), ("partly", {"y": 4}), ("switch", {"y": 2}),
     ("two_labels", {"y": 2}), ("occupancy", {"y": 3}), ("chain", {"y": 1}), ("spikes", {"y": 4}),
     ("missing", {"y_observed": 2}), ("bare", {"y": 4})],
)  # fmt: skip
def test_a_likelihood_has_one_term_a_block_and_one_for_each_observation_without_labels(made, name, terms):
    found = {n: int(np.prod(shape)) for n, shape in made(name).likelihood_shapes.items()}
    assert found == terms
    assert made(name).n_observations == sum(terms.values())


@pytest.mark.parametrize(
    ("group", "members"),
    [([3, 1, 0, 2], [[0], [1], [2], [3]]), ([1, 0, 1, 2], [[0, 2], [1], [3]]), ([0, 0, 0, 1], [[0, 1, 2], [3]])],
)
def test_terms_stand_in_the_order_of_their_first_observation_and_say_which_they_hold(group, members):
    with pm.Model() as model:
        d = pm.Normal("d", 2.0, 1.0)
        k = pm.Bernoulli("k", 0.4, shape=max(group) + 1)
        pm.Normal("y", d * k[np.array(group)], 1.0, observed=Y)
    density = LogDensity(model)
    assert [places.tolist() for places in density.summation.members["y"]] == members
    at = [1.5 * state for state in (0, 1)]
    log_f = [[np.log(p) + stats.norm(mu, 1).logpdf(Y[rows]).sum() for mu, p in zip(at, (0.6, 0.4), strict=True)]
             for rows in members]  # fmt: skip
    np.testing.assert_allclose(density.terms(np.array([[1.5]])).log_likelihood["y"][0], logsumexp(log_f, axis=1))
    assert [list(np.ravel(row)) for row in rows_of(density, "y")] == [list(Y[rows]) for rows in members]
    assert labels_of(density, "y")[0] == " and ".join(f"y[{i}]" for i in members[0])


def test_labels_that_enter_nothing_but_a_prior_leave_a_mixture_prior(made):
    d = made("spikes")
    assert d.roles["beta"] == ("latent", "its distribution depends on share")
    points = near(d)
    share, beta = (d.space.theta(points)[n] for n in ("share", "beta"))
    each = [np.log1p(-share[:, None]) - (beta / 0.1) ** 2 / 2 - np.log(0.1 * np.sqrt(2 * np.pi)),
            np.log(share[:, None]) - (beta / 2.0) ** 2 / 2 - np.log(2.0 * np.sqrt(2 * np.pi))]  # fmt: skip
    assert np.allclose(d.terms(points).log_prior["beta"], np.logaddexp(*each).sum(axis=1), rtol=1e-12)


@pytest.mark.parametrize("name", ["labels", "classes", "two_labels", "abundance", "coupled", "spikes", "missing"])
def test_drawn_labels_have_their_conditional_distribution(made, name):
    d = made(name)
    z = near(d, 1)
    m = 4000
    drawn = d.recovery.draw(np.repeat(z, m, axis=0), seed=7)
    # Every joint state of the first two blocks against its probability by enumeration.
    log_weights = d.recovery.log_weights(z)[0]
    chosen = d.recovery.choose(np.repeat(log_weights[None], m, axis=0), np.random.default_rng(7))
    values = d.recovery.values(chosen)
    for n in d.summed:
        assert np.array_equal(values[n], drawn[n])
    for block in range(min(2, log_weights.shape[1])):
        p = np.exp(log_weights[:, block] - logsumexp(log_weights[:, block]))
        share = np.bincount(chosen[:, block], minlength=p.size) / m
        assert np.all(np.abs(share - p) < 5 * np.sqrt(p * (1 - p) / m) + 1e-12)


def test_deterministics_of_labels_are_those_of_the_drawn_labels():
    with pm.Model() as model:
        labels()
        pm.Deterministic("centre", model["mu"][model["k"]])
        pm.Deterministic("spread", model["sigma"] ** 2)
    d = LogDensity(model)
    assert d.space.deterministics == ("spread",)
    points = near(d, 30)
    drawn, mu = d.recovery.draw(points, seed=1), d.space.theta(points)["mu"]
    assert np.array_equal(drawn["centre"], np.take_along_axis(mu, drawn["k"], axis=1))


REFUSED = {
    "an infinite set": (lambda: pm.Normal("y", pm.Poisson("k", 2.0), 1.0, observed=Y), "Poisson"),
    "too many together": (
        lambda: pm.Normal("y", pm.Bernoulli("k", pm.Beta("p", 1, 1), shape=11).sum(), 1.0, observed=Y), "joint states"
    ),
    "bounds that move": (
        lambda: pm.Normal("y", pm.Binomial("k", n=pm.Binomial("n", 3, 0.5), p=0.5), 1.0, observed=Y), "bounds"
    ),
    "a potential": (
        lambda: pm.Potential("pull", 1.0 * pm.Bernoulli("k", 0.5) + pm.Normal("x", 0, 1, observed=0.1)), "potential"
    ),
    "both sides": (
        lambda: pm.Normal(
            "y", pm.Normal("b", 0.0, 1.0 + (k := pm.Bernoulli("k", 0.5))) + k, 1.0, observed=Y), "both"
    ),
    "a support": (
        lambda: pm.Normal("y", pm.Uniform("u", 0.0, 1.0 + pm.Bernoulli("k", 0.5)), 1.0, observed=Y), "support"
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_be_summed_out_stays_and_is_refused_with_the_reason(why):
    builder, words = REFUSED[why]
    with pm.Model() as model:
        pm.Normal("other", 0, 1)
        builder()
    d = LogDensity(model, potentials={p.name: "likelihood" for p in model.potentials})
    assert d.summed == ()
    assert words in d.why_discrete
    assert words in examine(d).questions["likelihood maximum"]
    with pytest.raises(RefusalError, match=words):
        d.objective(LIKELIHOOD)


def test_a_label_cannot_be_made_a_parameter():
    with pytest.raises(InputError, match="'k' is discrete"):
        LogDensity(built(labels), parameters=["k"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labels", "classes", "occupancy", "switch", "spikes"])
def test_a_term_that_is_taken_out_of_its_block_is_noticed_before_a_fit(monkeypatch, name):
    found = summation._dependence

    def without_the_last_term(table, *rest):
        pairs = found(table, *rest)
        last = max(p[1].max(initial=-1) for p in pairs) - (1 if name == "switch" else 0)
        return [p[:, p[1] != last] for p in pairs]

    monkeypatch.setattr(summation, "_dependence", without_the_last_term)
    with pytest.raises(RefusalError, match="do not add up|impossible"):
        check_before_fit(LogDensity(built(MODELS[name])))


def test_the_anatomy_says_that_labels_are_summed_out(made):
    anatomy = examine(made("labels"))
    assert anatomy.variables["k"]["role"] == "latent"
    assert "sum over its values" in anatomy.variables["k"]["why"]
    assert anatomy.variables["k"]["support"] == "integers"
    assert anatomy.ledger["latent"] == ("k (summed out)",)
    assert anatomy.dimension == 4


# Coal-mining disasters a year in Great Britain, 1851 to 1962: Jarrett (1979), doi:10.1093/biomet/66.1.191.
DISASTERS = np.array([
    4, 5, 4, 1, 0, 4, 3, 4, 0, 6, 3, 3, 4, 0, 2, 6, 3, 3, 5, 4, 5, 3, 1, 4, 4, 1, 5, 5, 3, 4, 2, 5, 2, 2, 3, 4, 2, 1,
    3, 2, 2, 1, 1, 1, 1, 3, 0, 0, 1, 0, 1, 1, 0, 0, 3, 1, 0, 3, 2, 2, 0, 1, 1, 1, 0, 1, 0, 1, 0, 0, 0, 2, 1, 0, 0, 0,
    1, 1, 0, 2, 3, 3, 1, 1, 2, 1, 1, 1, 1, 2, 3, 3, 0, 0, 0, 1, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1,
])  # fmt: skip


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.statistical
@pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS")
def test_a_change_point_has_the_evidence_and_the_posterior_of_conjugate_sums():
    import workbench as wb

    disasters = DISASTERS[:64]  # the sum has as many terms as years times places of the change
    n = disasters.size
    with pm.Model() as model:
        at = pm.DiscreteUniform("at", 1, n - 1)
        early, late = pm.Gamma("early", 2.0, 1.0), pm.Gamma("late", 2.0, 1.0)
        pm.Poisson("y", pm.math.switch(np.arange(n) < at, early, late), observed=disasters)

    def log_sum(counts):  # Gamma(2, 1) prior, Poisson counts
        k, m = counts.sum(), len(counts)
        return special.gammaln(2 + k) - (2 + k) * np.log(1 + m) - special.gammaln(counts + 1).sum()

    heights = np.array([log_sum(disasters[:k]) + log_sum(disasters[k:]) for k in range(1, n)]) - np.log(n - 1)
    exact, share = logsumexp(heights), np.exp(heights - logsumexp(heights))
    study = wb.Study(model, seed=4)
    bridge = study.evidence.bridge()
    assert abs(bridge.log_evidence - exact) < 4 * bridge.std_error < 0.08
    drawn = study.posterior.draws()["posterior"]["at"].values
    means = drawn.astype(float).mean(axis=1)
    truth = share @ np.arange(1, n)
    assert abs(means.mean() - truth) < 4 * means.std(ddof=1) / 2
    assert np.bincount(drawn.ravel(), minlength=n).argmax() == 1 + share.argmax() == 41  # 1891
    assert study.verdict() == "ok"


@pytest.mark.slow
def test_a_covariate_in_the_thousands_hides_no_term_from_a_label():
    # Ten visits to each of 40 sites; at any detection slope of ordinary size a probability is 0 or 1 whatever the site.
    generator = np.random.default_rng(4)
    site, effort = np.repeat(np.arange(40), 10), generator.normal(30_000.0, 6_000.0, 400)
    seen = generator.binomial(1, 1 / (1 + np.exp(4 - effort / 1e4 - 2.0 * (np.arange(40) < 25)[site])))

    def sites(x):
        with pm.Model() as model:
            there = pm.Bernoulli("there", pm.Beta("share", 1, 1), shape=40)
            a, b = pm.Normal("a", 0, 3), pm.Normal("b", 0, 1)
            pm.Bernoulli("y", logit_p=a + b * x + 2.0 * there[site], observed=seen)
        return LogDensity(model)

    raw, scaled = sites(effort), sites((effort - 30_000.0) / 1e4)
    assert raw.summed == scaled.summed == ("there",)
    assert raw.likelihood_shapes == scaled.likelihood_shapes
    value = raw.objective(LIKELIHOOD).value(np.array([0.3, -3.0, 1e-4]))
    assert value == pytest.approx(scaled.objective(LIKELIHOOD).value(np.array([0.3, 0.0, 1.0])), abs=1e-9)
