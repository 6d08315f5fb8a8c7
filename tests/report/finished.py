"""Finished results of a small model, put together by hand: nothing is compiled, optimised or sampled.

The model is a Normal with mean `mu` and standard deviation `sigma`; its "draws" are independent normal numbers, so
that what a figure must show is known in closed form.
"""

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from scipy import stats

from workbench.check import Check
from workbench.comparison import Context, compare
from workbench.diagnosis import diagnose_draws
from workbench.evidence.audit import Audit
from workbench.evidence.bridge import Bridge
from workbench.evidence.estimate import Evidence
from workbench.evidence.robustness import Robustness
from workbench.evidence.sequential import Sequential
from workbench.evidence.tempering import Tempering
from workbench.information import Information
from workbench.likelihood.profile import Profile
from workbench.likelihood.surface import Surface
from workbench.model.anatomy import Anatomy
from workbench.model.certificate import Certificate
from workbench.model.mode import Mode
from workbench.posterior.grid import Grid
from workbench.posterior.laplace import Laplace
from workbench.posterior.mode import PosteriorMode
from workbench.posterior.predictive import Predictive
from workbench.prediction import Prediction
from workbench.result import Refusal, Result

CENTRE, SPREAD = np.array([175.85, 6.66]), np.array([0.30, 0.21])
PRIOR_CENTRE, PRIOR_SPREAD = np.array([170.0, 8.0]), np.array([20.0, 5.0])
BEST, EVIDENCE, FIT = -1594.38, -1601.98, -1595.38  # nats
LEVEL = 0.95
MANIFEST = {
    "name": "height_as_normal",
    "created": "2026-01-01T00:00:00+00:00",
    "seed": 1,
    "settings": {"chains": 4, "draws": 500},
    "packages": {"pymc": "6.4.0"},
    "model": {"path": "models/height_as_normal.py", "sha256": "ab" * 32},
}


@dataclass(frozen=True)
class Finished:
    """What a report is made of."""

    answers: dict[str, Result]
    draws: xr.DataTree
    manifest: dict
    verdict: str


def finished(names: tuple[str, str] = ("mu", "sigma"), data: str = "height", manifest: dict | None = None) -> Finished:
    """Every answer for a model with these names."""
    tree = draws_of(names, data)
    posterior = tree["posterior"].to_dataset()
    stacked = np.stack([posterior[name].values for name in names], axis=-1)
    mle, map_ = mode("MLE", names), PosteriorMode((), mode("MAP", names), CENTRE)
    answers: dict[str, Result] = {
        "anatomy": anatomy(names, data),
        "likelihood.maximum": mle,
        "likelihood.surface": surface(names),
        "likelihood.profile": profile(names),
        "posterior.mode": map_,
        "posterior.laplace": Laplace(
            (), CENTRE, np.diag(SPREAD**2), -1601.0, EVIDENCE, names, CENTRE, SPREAD, np.zeros((0, 2))
        ),
        "posterior.grid": Grid(
            (), EVIDENCE, 1e-12, 8281, np.zeros((1, 2)), np.ones(1), names, CENTRE, SPREAD, 0.0, FIT, 6.6, 1.0
        ),
        "diagnosis": diagnose_draws(tree, list(names)),
        "posterior.predictive": predictive(data),
        "comparison": compare(names, stacked, mle, map_, {}, LEVEL, context(names)),
        "evidence.audit": audit(names, data),
        "evidence.estimate": Evidence(
            (), EVIDENCE, 1e-12, "grid", {"bridge": (EVIDENCE, 0.01), "laplace": (EVIDENCE, np.nan)}, True, {}, 481, {}
        ),
        "evidence.bridge": Bridge(
            (),
            EVIDENCE,
            0.01,
            0.01,
            0.002,
            0.003,
            0.0,
            EVIDENCE - 0.1,
            EVIDENCE + 0.1,
            (0.1, 0.2),
            3000.0,
            4002,
            "warped normal",
            {"warped normal": 0.01, "normal": 0.02},
            {"log likelihood": 1e-5},
        ),
        "evidence.tempering": tempering(),
        "evidence.robustness": robustness(names),
        "evidence.sequential": sequential(),
        "information": information(names),
        "prediction": prediction(data),
    }
    return Finished(answers, tree, MANIFEST if manifest is None else manifest, "ok")


def audit(names: tuple[str, str], data: str) -> Audit:
    """Two priors and a likelihood by formula."""
    known = {"proper": "yes", "how": "known distribution", "log_normaliser": 0.0, "std_error": 0.0, "why": ""}
    terms = {name: {"side": "prior", **known} for name in names} | {data: {"side": "likelihood", **known}}
    return Audit((Check("priors-normalised", "ok", "every prior is normalised"),), terms, 0.0, 0.0, {})


def context(names: tuple[str, str] = ("mu", "sigma")) -> Context:
    """What causes are judged by: much data, one mode, no edges, no prior draws, no latent variables."""
    bounds = {name: (c - 2 * s, c + 2.1 * s) for name, c, s in zip(names, CENTRE, SPREAD, strict=True)}
    return Context(481, 2, np.inf, 1, {}, {}, {}, None, bounds, None)


def tempering() -> Tempering:
    """A path of temperatures from the prior whose end and average are known."""
    t, curve = np.array([1e-3, 1e-2, 0.1, 0.4, 1.0]), np.array([-2900.0, -1750.0, -1620.0, -1600.0, FIT])
    islands = np.full(16, EVIDENCE)
    return Tempering(
        (), EVIDENCE, 0.05, FIT, 0.03, FIT - EVIDENCE, 0.06, "prior", t, curve, 0.01 * np.abs(curve - FIT) + 0.03,
        islands, 0.0, 0.0, 512, 20_000,
    )  # fmt: skip


def robustness(names: tuple[str, str]) -> Robustness:
    """Two curves over the scales of the priors: one that falls with the scale, one with a peak and a refit."""
    move = 10.0 ** (np.arange(-20, 21) / 20)
    labels = [f"{name}.sigma" for name in names]
    shapes = {labels[0]: -np.log(move), labels[1]: -0.5 * np.log(move) ** 2}
    return Robustness(
        (), EVIDENCE, 0.01, dict.fromkeys(labels, "scale"), {labels[0]: np.array(20.0), labels[1]: np.array(10.0)},
        dict.fromkeys(labels, move), shapes, {n: 0.01 * np.abs(np.log(move)) for n in labels},
        {n: np.full(move.size, 0.1) for n in labels}, {labels[0]: np.array([0.2]), labels[1]: np.zeros(0)},
        {labels[0]: (-1.0, 0.01), labels[1]: (0.0, 0.01)},
    )  # fmt: skip


def sequential() -> Sequential:
    """Five steps that add up to the evidence, the third of them a surprise."""
    ends, score = np.array([1, 2, 3, 4, 5]), np.array([-300.0, -300.0, -501.98, -250.0, -250.0])
    errors, learnt = np.array([0.01, 0.01, 0.05, 0.02, 0.02]), np.array([1.0, 2.0, 4.0, 5.0, 6.6])
    total = np.cumsum(score)
    return Sequential((), ends, score, errors, total, np.cumsum(errors), learnt, errors, EVIDENCE, 0.01, 3)


def with_latents(names: tuple[str, str] = ("mu", "tau")) -> Finished:
    """A model whose MLE, MAP, surface and grid are refused."""
    made = finished(names)
    posterior = made.draws["posterior"].to_dataset()
    stacked = np.stack([posterior[name].values for name in names], axis=-1)
    reason = "eta is latent and has to be integrated out"
    questions = ("likelihood.maximum", "likelihood.surface", "likelihood.profile", "posterior.mode", "posterior.grid")
    refusals = {q: Refusal((), q, f"{q} is refused: {reason}", "eta", "use the draws") for q in questions}
    comparison = compare(
        names, stacked, None, None, {"MLE": reason, "MAP": reason}, LEVEL, replace(context(names), bounds={})
    )
    found = made.answers["information"]
    assert isinstance(found, Information)
    kept = {k: v for k, v in found.entries.items() if k not in ("maximised log likelihood", "log Occam factor")}
    answers = made.answers | refusals | {"comparison": comparison, "information": replace(found, entries=kept)}
    return replace(made, answers=answers)


def draws_of(names: tuple[str, str], data: str) -> xr.DataTree:
    """Independent draws: posterior, prior, and the log prior at the posterior draws."""
    generator = np.random.default_rng(1)
    posterior, log_prior, prior = {}, {}, {}
    for name, centre, spread, before, wide in zip(names, CENTRE, SPREAD, PRIOR_CENTRE, PRIOR_SPREAD, strict=True):
        values = generator.normal(centre, spread, size=(4, 500))
        posterior[name] = (("chain", "draw"), values)
        log_prior[name] = (
            ("chain", "draw"),
            -0.5 * ((values - before) / wide) ** 2 - np.log(wide * np.sqrt(2 * np.pi)),
        )
        prior[name] = (("chain", "draw"), generator.normal(before, wide, size=(1, 1000)))
    diverging = np.zeros((4, 500), dtype=bool)
    coords = {"chain": np.arange(4), "draw": np.arange(500)}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset(posterior, coords=coords),
            "log_prior": xr.Dataset(log_prior, coords=coords),
            "sample_stats": xr.Dataset({"diverging": (("chain", "draw"), diverging)}, coords=coords),
            "prior": xr.Dataset(prior),
            "posterior_predictive": xr.Dataset({data: (("chain", "draw", "person"), replicated()[1][None])}),
            "observed_data": xr.Dataset({data: ("person", replicated()[0])}),
        }
    )


def mode(kind: str, names: tuple[str, str]) -> Mode:
    """A mode at the centre with a certificate."""
    checks = (Check("gradient-zero", "ok", "EDM 1e-20 nats"),)
    certificate = Certificate(checks, 1e-20, 1e-10, 1.0, 4, 4, 1, (BEST,) * 4, (2, 0, 0))
    theta = xr.Dataset({name: ((), value) for name, value in zip(names, CENTRE, strict=True)})
    return Mode(
        checks=checks,
        kind=kind,  # type: ignore[arg-type]
        theta=theta,
        z=CENTRE,
        labels=names,
        estimate=CENTRE,
        covariance_matrix=np.diag(SPREAD**2),
        no_error="",
        at_edge=(),
        integrated=(),
        log_likelihood=BEST,
        log_prior=-6.7,
        n_parameters=2,
        n_observations=481,
        level=LEVEL,
        certificate=certificate,
    )


def profile(names: tuple[str, str]) -> Profile:
    """Intervals of a normal likelihood, whose signed root is a straight line."""
    root = np.linspace(-2.2, 2.2, 15)
    cut, bound = stats.chi2.ppf(LEVEL, 1), np.sqrt(stats.chi2.ppf(LEVEL, 1)) * SPREAD
    points = {name: c + s * root for name, c, s in zip(names, CENTRE, SPREAD, strict=True)}
    ends = np.full(2, cut)
    curves = dict.fromkeys(names, root)
    return Profile((), LEVEL, names, CENTRE, CENTRE - bound, CENTRE + bound, SPREAD, ends, ends, points, curves, BEST)


def surface(names: tuple[str, str]) -> Surface:
    """The log likelihood of a normal distribution: a parabola in each direction."""
    steps = np.linspace(-4.0, 4.0, 81)
    points = {name: c + s * steps for name, c, s in zip(names, CENTRE, SPREAD, strict=True)}
    coarse = np.linspace(-4.0, 4.0, 41)
    axes = tuple(c + s * coarse for c, s in zip(CENTRE, SPREAD, strict=True))
    heights = -0.5 * (coarse[:, None] ** 2 + coarse[None, :] ** 2)
    return Surface((), points, {name: -0.5 * steps**2 for name in names}, names, axes, heights)


LEDGER = {"prior": ("mu", "sigma"), "likelihood": ("y",), "Jacobian": ("sigma",)}


def anatomy(names: tuple[str, str], data: str) -> Anatomy:
    """Two parameters and one observed variable."""

    def variable(name: str, role: str, distribution: str, support: str) -> dict:
        return {
            "name": name, "distribution": distribution, "role": role, "why": "", "shape": (), "support": support,
            "proper": True,
        }  # fmt: skip

    variables = {name: variable(name, "parameter", "Normal(170, 20)", "real") for name in names}
    variables[data] = variable(data, "observed", f"Normal({', '.join(names)})", "data")
    questions = {"likelihood maximum": "", "posterior grid": ""}
    checks = (Check("terms-add-up", "ok", "largest relative gap 0 at 5 points"),)
    return Anatomy(checks, variables, questions, ("log_prior(mu) by 3e-08 nats",), LEDGER, 2, 481)


def predictive(data: str) -> Predictive:
    """Normal data and replicates."""
    y, replicates = replicated()
    checks = (Check("replicated-data", "caution", "the data are extreme in one quantity", "extend the model"),)
    values = [np.array([x]) for x in (y.mean(), 0.0, 0.13, 0.4)]
    return Predictive(checks, {data: replicates}, {data: y}, (f"{data}: mean",), *values)


def replicated() -> tuple[np.ndarray, np.ndarray]:
    """Data, shape ``(60,)``, and replicates, shape ``(200, 60)``."""
    generator = np.random.default_rng(2)
    return generator.normal(size=60), generator.normal(size=(200, 60))


def information(names: tuple[str, str]) -> Information:
    """An account that balances."""
    entries = {
        "log evidence": (EVIDENCE, 1e-12, "log p(y)"),
        "E_post[log likelihood]": (FIT, 0.02, "fit"),
        "KL(posterior || prior)": (FIT - EVIDENCE, 0.02, "what the data taught"),
        "maximised log likelihood": (BEST, np.nan, "the MLE"),
        "log Occam factor": (EVIDENCE - BEST, 1e-12, "the price"),
    }
    scores = {"elpd_loo": (-1596.4, 17.0, "nats"), "perplexity": (27.6, np.nan, "equally likely outcomes")}
    about, contraction = {name: (3.0, 0.01) for name in names}, {name: (0.99, 0.001) for name in names}
    return Information((), entries, about, contraction, scores, 1.9, 0.05, names, 2, 481)


def prediction(data: str) -> Prediction:
    """Scores of 60 observations; the MLE held one of them impossible."""
    surprise = np.full(60, 3.0)
    surprise[[7, 11]] = 9.0, 8.0
    total = -float(surprise.sum())
    scores = {
        data: {
            "posterior predictive, in sample": (total + 2.0, 8.0, 0.1, 7.0, 2.0),
            "posterior predictive, leave-one-out": (total, 8.0, 0.1, 5.0, 2.0),
            "MLE, in sample": (total + 3.0, 8.0, 0.0, 8.0, 2.0),
            "MLE, leave-one-out": (-np.inf, np.nan, np.nan, -np.inf, np.nan),
            "baseline, leave-one-out": (total - 5.0, 9.0, 0.0, 0.0, 0.0),
        }
    }
    labels = tuple(f"{data}[{i}]" for i in range(60))
    return Prediction(
        (), scores, {data: 60}, {data: "Normal with the mean and sd of the others"}, {}, {}, labels, ("1.5",) * 60,
        surprise, np.full(60, 0.1), 2.0, 0.2, {"MLE, leave-one-out": f"infinite: {data}[7] is held impossible"}, 60,
    )  # fmt: skip
