"""The views of a study: prior, likelihood, posterior and evidence, one method a question, each answer kept."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench.comparison import Comparison, Context, compare
from workbench.errors import Absence, NoMaximumError, NumericalError, WorkbenchError
from workbench.intervals import ask_contour, ask_nested, ask_profile, ask_test, bounds_beside
from workbench.likelihood.bootstrap import Bootstrap, Kind, bootstrap_maximum
from workbench.likelihood.boundary import support_edges
from workbench.likelihood.contour import Contour
from workbench.likelihood.errors import StandardErrors, standard_errors
from workbench.likelihood.hypothesis import Test
from workbench.likelihood.latents import Latents, estimate_latents
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.profile import Name, Profile
from workbench.likelihood.surface import Surface, explore_surface
from workbench.model.anatomy import require
from workbench.model.chart import delta_method
from workbench.model.mode import Mode
from workbench.numerics.curvature import curvature_at
from workbench.posterior.draws import draw_posterior
from workbench.posterior.grid import Grid, integrate_posterior
from workbench.posterior.laplace import Laplace, approximate
from workbench.posterior.mode import PosteriorMode, maximise_posterior
from workbench.posterior.predictive import Predictive, check_predictive
from workbench.prior.draws import draw_prior

if TYPE_CHECKING:
    from workbench.study import Study


_HIGHER = 1e-4  # nats by which a draw has to outdo a maximum; more than the rounding of many observations


class View:
    """One part of a study; it holds nothing of its own."""

    def __init__(self, study: Study) -> None:
        self._study = study


class PriorView(View):
    """What the model believes before the data."""

    def draws(self) -> xr.DataTree:
        """Draws from the prior and the prior predictive; raises `RefusalError` for an improper prior."""
        s = self._study
        return s.once(
            "prior.draws", lambda: draw_prior(s.density, s.reading, s.settings.prior_draws, s.seed_of("prior.draws"))
        )

    def _alone(self) -> xr.DataTree:
        """Draws from the prior without any of the data, which may be slow to draw, or have no `random` method."""
        s, seed = self._study, self._study.seed_of("prior.alone")
        return s.once("prior.alone", lambda: draw_prior(s.density, s.reading, s.settings.prior_draws, seed, data=False))


class LikelihoodView(View):
    """Questions to the likelihood alone."""

    def maximum(self) -> Mode:
        """The maximum likelihood estimate; raises `RefusalError` where it does not exist."""
        s = self._study

        def compute() -> Mode:
            require(s.reading, "likelihood maximum")  # before starts are sought
            first, *later = np.split(s.starts, [1 + len(s._branch_peaks)])
            starts = np.vstack([first, _best_draws(s), *later])
            return maximise_likelihood(
                s.problem, s.reading, starts, s.settings.level, s._drawn_starts[s.settings.starts :]
            )

        return s.once("likelihood.maximum", compute)

    def latents(self) -> Latents:
        """Latent variables at the maximum, with errors; raises as `maximum`, `RefusalError` where there are none."""
        s = self._study

        def compute() -> Latents:
            require(s.reading, "likelihood latents")
            return estimate_latents(s.problem, self.maximum())

        return s.once("likelihood.latents", compute)

    def errors(self) -> StandardErrors:
        """Standard errors in four forms, side by side; raises as `maximum`."""
        s, seed = self._study, self._study.seed_of("likelihood.errors")
        return s.once("likelihood.errors", lambda: standard_errors(s.problem, self.maximum(), seed))

    def bootstrap(self, replicates: int = 1000, kind: Kind = "parametric", level: float | None = None) -> Bootstrap:
        """The MLE of replicated data; raises as `maximum`, `InputError` for an unknown kind, `RefusalError`.

        Parameters
        ----------
        replicates : int
        kind : {"parametric", "nonparametric", "bayesian"}
        level : float, optional
            Probability of the intervals in the table; by default that of the settings.
        """
        s, seed = self._study, self._study.seed_of("likelihood.bootstrap")
        level = s.settings.level if level is None else level

        def compute() -> Bootstrap:
            return bootstrap_maximum(s.problem, self.maximum(), replicates, kind, level, seed, s.progress)

        return s.once(f"likelihood.bootstrap:{replicates}:{kind}:{level}", compute)

    def surface(self, *names: str) -> Surface:
        """Profile curves, and the surface of two parameters; raises as `maximum`, `InputError` for unknown names."""
        s = self._study
        key = ":".join(("likelihood.surface", *names))

        def compute() -> Surface:
            require(s.reading, "likelihood surface")
            return explore_surface(s.problem, s.reading, self.maximum(), names)

        return s.once(key, compute)

    def profile(self, *names: Name, level: float | None = None) -> Profile:
        """Profile likelihood intervals of labels or linear combinations; by default of the free variables.

        Raises `InputError` for an unknown name, a vector without an index or a level outside (0, 1), `RefusalError`
        where the likelihood has no upper bound.
        """
        return ask_profile(self._study, names, level)

    def contour(self, first: Name, second: Name, level: float | None = None) -> Contour:
        """The joint likelihood region of two scalars; raises as `profile`, and where the maximum is at an edge."""
        return ask_contour(self._study, (first, second), level)

    def test(self, name: Name, value: float) -> Test:
        """Likelihood-ratio, Wald and score tests of a fixed value; raises as `profile`, and outside the support."""
        return ask_test(self._study, name, value)

    def nested(self, smaller: Study) -> Test:
        """The likelihood-ratio test of a smaller model; raises `InputError` or `RefusalError` if it is not inside."""
        return ask_nested(self._study, smaller)


class PosteriorView(View):
    """Questions to prior and likelihood together."""

    def mode(self) -> PosteriorMode:
        """The MAP in theta and the mode on z; raises `RefusalError` where the joint mode is no estimate."""
        s = self._study
        return s.once(
            "posterior.mode", lambda: maximise_posterior(s.problem, s.reading, s.starts_with_maximum, s.settings.level)
        )

    def laplace(self) -> Laplace:
        """The normal approximation at the mode on z; raises `RefusalError` where there is no proper peak."""
        s = self._study
        return s.once("posterior.laplace", lambda: approximate(s.density, s.reading, s.starts_with_maximum))

    def grid(self) -> Grid:
        """The posterior by quadrature, up to two dimensions; raises `RefusalError` above."""
        s = self._study

        def compute() -> Grid:
            require(s.reading, "posterior grid")
            return integrate_posterior(s.density, s.reading, self.laplace(), prior_integral(s)[0])

        return s.once("posterior.grid", compute)

    def draws(self) -> xr.DataTree:
        """Draws by NUTS, as a DataTree in the ArviZ schema."""
        s = self._study
        return s.once(
            "posterior.draws",
            lambda: draw_posterior(s.density, s.reading, s.settings, s.seed_of("posterior.draws"), s.progress),
        )

    def predictive(self) -> Predictive:
        """Replicated data and test quantities; raises `RefusalError` for a model without data."""
        s = self._study
        seed, count = s.seed_of("posterior.predictive"), s.settings.replicates
        return s.once("posterior.predictive", lambda: check_predictive(s.density, s.reading, self.draws(), count, seed))


def prior_integral(study: Study) -> tuple[float, float]:
    """Log of what the prior as it is written integrates to and its error, nats; NaN where that is not known."""
    audit = study._if_any(study.evidence.audit)
    return (float("nan"),) * 2 if audit is None else (audit.log_normaliser, audit.std_error)


def _best_draws(study: Study) -> NDArray[np.float64]:
    """The draw of each chain with the highest likelihood, shape ``(chains, d)``; empty before there are draws."""
    if not isinstance(study._kept.get("posterior.draws"), xr.DataTree):
        return np.zeros((0, study.density.space.dimension))
    z, _, log_likelihood = study.log_terms
    return z[np.arange(len(z)), np.argmax(np.nan_to_num(log_likelihood, nan=-np.inf), axis=1)]


def _outdone(study: Study, mle: Mode) -> bool:
    """Whether a draw has a higher likelihood than the maximum, which is then dropped and sought again from there."""
    if study.density.latents:
        return False  # the likelihood of a draw is that of its latent variables, not the integrated one
    best = _best_draws(study)
    heights = study.density.sums(best)[1]
    if not np.max(heights) > mle.log_likelihood + _HIGHER:
        return False
    study.start_again(best[np.argmax(heights)])
    return True


def _groups(study: Study) -> float:
    """Values of the latent variable that has the fewest; infinite where there is none but missing observations."""
    shapes = [study.density.space.shapes[n] for n in study.density.latents if not n.endswith("_unobserved")]
    return min((float(max(shape, default=1)) for shape in shapes), default=np.inf)


def three_answers(study: Study, restarted: bool = False) -> Comparison:
    """MLE, MAP and posterior draws of a study side by side, with what their differences are judged by."""
    refused: dict[str, str] = {}
    absence: Absence | None = None
    found: dict[str, Any] = {}
    posterior = study.posterior.draws()["posterior"]
    bounds, without = bounds_beside(study)  # first: where it comes upon a better maximum, the MLE is sought again
    for name, question in {"MLE": study.likelihood.maximum, "MAP": study.posterior.mode}.items():
        try:
            found[name] = question()
        except WorkbenchError as error:
            refused[name] = error.what
            absence = error.kind if isinstance(error, NoMaximumError) else absence
    if "MLE" in found and _outdone(study, found["MLE"]):
        if not restarted:
            return three_answers(study, restarted=True)
        del found["MLE"]
        refused["MLE"] = "a posterior draw has a higher likelihood than the maximum that was found, also from there"
    mle, map_ = found.get("MLE"), found.get("MAP")
    space = study.density.space
    names = (*space.names, *space.deterministics)
    columns = [posterior[n].transpose("chain", "draw", ...).values for n in names]
    draws = np.concatenate([c.reshape(*c.shape[:2], -1).astype(np.float64) for c in columns], axis=-1)
    labels = tuple(label for n in names for label in space.labels(n))
    prior = study._if_any(study.prior.draws)
    spread: dict[str, float] = {}
    if prior is not None:
        columns = [prior["prior"][n].values[0] for n in names]
        flat = np.concatenate([c.reshape(len(c), -1).astype(np.float64) for c in columns], axis=-1)
        spread = dict(zip(labels, flat.std(axis=0, ddof=1), strict=True))
    at_map: dict[str, float] = {}
    if map_ is not None:
        # The prior's weight is a ratio of curvatures at one point: elsewhere the likelihood's own changes too.
        x, chart = map_.map.z[study.problem.chart.coordinates], study.problem.chart
        with contextlib.suppress(NumericalError):
            covariance = curvature_at(study.problem.objective, x).covariance
            at_map = dict(zip(chart.labels, np.sqrt(np.diag(delta_method(chart, x, covariance))), strict=True))
    context = Context(
        n_observations=study.density.n_observed,
        n_parameters=space.dimension if mle is None else mle.n_parameters,
        groups=_groups(study),
        modes=max((mode.certificate.optima for mode in (mle, map_ and map_.map) if mode is not None), default=1),
        support={} if mle is None else support_edges(study.problem, mle.z[study.problem.chart.coordinates]),
        prior_sd=spread,
        error_at_map=at_map,
        latents=None if mle is None else study._if_any(study.likelihood.latents),
        bounds=bounds,
        absence=absence,
    )
    return compare(labels, draws, mle, map_, refused | without, study.settings.level, context)
