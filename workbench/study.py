"""A study: one model, one data set, one seed, and every question that can be asked of them.

This is the table of contents of the product. Each view (`prior`, `likelihood`, `posterior`, `evidence`) has one
method a question; an answer is computed once and kept. There is no mathematics here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from workbench import comparison, diagnosis, information, prediction
from workbench.check import Check, Status, worst_status
from workbench.errors import InputError, RefusalError, WorkbenchError
from workbench.evidence.estimate import Evidence
from workbench.evidence_view import EvidenceView
from workbench.likelihood.problem import Problem, pose
from workbench.model.anatomy import Anatomy, examine, require
from workbench.model.branches import branch_peaks
from workbench.model.density import TARGET, LogDensity, Model, Side
from workbench.model.load import Data, LoadedModel, load_model
from workbench.model.nuts import Progress
from workbench.model.preflight import check_before_fit, narrow_constants
from workbench.point import Point, walk_through
from workbench.prior.draws import draw_prior, starting_points
from workbench.result import Refusal, Result
from workbench.settings import Settings
from workbench.terms_at_draws import learnt_about, likelihood_at_prior
from workbench.views import LikelihoodView, PosteriorView, PriorView, prior_integral, three_answers

_CANDIDATES = 128  # prior draws among which starting points are chosen
_VALUES = 10_000_000  # log densities of single observations that the choice may cost


class Study:
    """One model under study.

    Parameters
    ----------
    model : pm.Model
        With data. It is not changed.
    seed : int, optional
        Seed of everything random; drawn and kept in `seed` if not given.
    settings : Settings, optional
    potentials : mapping of str to {"prior", "likelihood"}
        The side of each `pm.Potential`.
    parameters, latents : iterable of str
        Free variables whose role the graph leaves open, or that you read differently.
    progress : callable, optional
        Called as ``progress(task, done, total)`` while something long runs.
    source : LoadedModel, optional
        Where the model came from; `load` sets it.

    Raises
    ------
    InputError
        If the model is no `pm.Model`, or names in `potentials`, `parameters` or `latents` are unknown.
    RefusalError
        If the data or the model are found wrong before anything runs (see `workbench.model.preflight`).

    Examples
    --------
    >>> import pymc as pm
    >>> with pm.Model() as model:
    ...     p = pm.Beta("p", 1.0, 1.0)
    ...     k = pm.Binomial("k", n=10, p=p, observed=7)
    >>> study = Study(model, seed=1)
    >>> round(float(study.likelihood.maximum().theta["p"]), 12)
    0.7
    """

    def __init__(
        self,
        model: Model,
        seed: int | None = None,
        settings: Settings | None = None,
        potentials: Mapping[str, Side] | None = None,
        parameters: Iterable[str] = (),
        latents: Iterable[str] = (),
        progress: Progress | None = None,
        source: LoadedModel | None = None,
    ) -> None:
        self.model, self.source, self.progress = model, source, progress
        self.settings = settings or Settings()
        if seed is not None and int(seed) < 0:
            raise InputError(f"the seed is {seed}", "seed", "give a whole number of at least 0")
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        self.density = LogDensity(model, potentials, parameters, latents)
        self._checks = check_before_fit(self.density)
        self._data = self.density.fingerprint()
        self._kept: dict[str, Any] = {}
        self.prior, self.likelihood = PriorView(self), LikelihoodView(self)
        self.posterior, self.evidence = PosteriorView(self), EvidenceView(self)

    @property
    def name(self) -> str:
        """The model file's name, or ``model``."""
        return self.source.name if self.source else self.model.name or "model"

    @cached_property
    def reading(self) -> Anatomy:
        """The anatomy without the look at narrow constants, which no answer needs."""
        return replace(examine(self.density), checks=self._checks)

    @cached_property
    def problem(self) -> Problem:
        """The likelihood of the parameters, with latent variables integrated out."""
        return pose(self.density)

    @cached_property
    def anatomy(self) -> Anatomy:
        """What the model says, and what can be asked of it."""
        return replace(self.reading, widened=narrow_constants(self.density))

    def at(self, **theta: Any) -> Point:
        """One theta walked through the theorem, term by term; every free variable needs a value.

        Raises
        ------
        InputError
            If a name is unknown or missing, or a value is outside its support.
        """
        kept = self._kept.get("evidence.estimate")
        if (
            kept is None
            and not self.reading.questions["posterior grid"]
            and not self.reading.questions["evidence estimate"]
        ):
            grid, (shift, error) = self._if_any(self.posterior.grid), prior_integral(self)
            found = None if grid is None else (grid.log_integral - shift, float(np.hypot(grid.error, error)))
            return walk_through(self.density, theta, found if np.isfinite(shift) else None)
        known = (kept.log_evidence, kept.std_error) if isinstance(kept, Evidence) else None
        return walk_through(self.density, theta, known)

    def compare(self) -> comparison.Comparison:
        """MLE, MAP and posterior side by side, one row a scalar, and why they differ."""
        return self.once("comparison", lambda: three_answers(self))

    def diagnosis(self) -> diagnosis.Diagnosis:
        """The verdict on the posterior draws, with coded findings and fixes."""

        def compute() -> diagnosis.Diagnosis:
            laplace = self._if_any(self.posterior.laplace)
            highest, target = (None, None) if laplace is None else (laplace.log_target, self.density.objective(TARGET))
            return diagnosis.diagnose_draws(self.posterior.draws(), list(self.density.space.names), highest, target)

        return self.once("diagnosis", compute)

    def prediction(self) -> prediction.Prediction:
        """Cross-entropy, perplexity and surprise beside a baseline; raises `RefusalError` where there are no data."""

        def compute() -> prediction.Prediction:
            require(self.reading, "prediction")
            mle, reason = None, ""
            try:
                mle = self.likelihood.maximum()
            except WorkbenchError as error:
                reason = error.what
            found = prediction.predict(self.density, self.posterior.draws(), mle, reason, lambda: self.problem)
            return replace(found, checks=(*found.checks, *self.doubts()))

        return self.once("prediction", compute)

    def information(self) -> information.Information:
        """The account in nats and bits; raises `RefusalError` where the evidence does not exist."""

        def compute() -> information.Information:
            require(self.reading, "information")
            evidence, draws, audit = self.evidence.estimate(), self.posterior.draws(), self.evidence.audit()
            _, log_prior, log_likelihood = self.log_terms
            mle, grid = self._if_any(self.likelihood.maximum), self._if_any(self.posterior.grid)
            sound = not evidence.without_draws
            scored = self._if_any(self.prediction) if sound else None
            bridge = self._if_any(self.evidence.bridge) if evidence.method == "bridge" else None
            found = information.account(
                evidence,
                log_likelihood,
                log_prior - audit.log_normaliser,
                learnt_about(self.density, draws, log_prior, self._if_any(self.prior._alone), grid, audit, sound),
                mle,
                grid,
                self.evidence._without_draws(),
                None if bridge is None else bridge.covariances,
                None if scored is None else scored.headline(),
            )
            return found if scored is None else replace(found, checks=(*found.checks, *scored.checks))

        return self.once("information", compute)

    def answers(self) -> dict[str, Result]:
        """Every question that the report shows, answered or refused, in the order of the theorem.

        What draws anew many times (prior robustness, the sequence of predictions) is among them if it was asked for.
        """
        questions: dict[str, Callable[[], Any]] = {
            "anatomy": lambda: self.anatomy,
            "likelihood.maximum": self.likelihood.maximum,
            "likelihood.surface": self.likelihood.surface,
            "likelihood.profile": self.likelihood.profile,
            "posterior.mode": self.posterior.mode,
            "posterior.laplace": self.posterior.laplace,
            "posterior.grid": self.posterior.grid,
            "diagnosis": self.diagnosis,
            "posterior.predictive": self.posterior.predictive,
            "comparison": self.compare,
            "evidence.audit": self.evidence.audit,
            "evidence.estimate": self.evidence.estimate,
            "evidence.bridge": self.evidence.bridge,
            "evidence.tempering": self.evidence.tempering,
            "prediction": self.prediction,
            "information": self.information,
        }
        for name in ("robustness", "sequential"):
            if f"evidence.{name}" in self._kept:
                questions[f"evidence.{name}"] = getattr(self.evidence, name)
        found: dict[str, Result] = {}
        for position, (name, question) in enumerate(questions.items()):
            if self.progress is not None:
                self.progress("answering", position, len(questions))
            try:
                found[name] = question()
            except WorkbenchError as error:
                found[name] = Refusal((), name, error.what, error.where, error.fix)
        if self.progress is not None:
            self.progress("answering", len(questions), len(questions))
        return found

    def verdict(self) -> Status:
        """The worst of what was found about the draws and the evidence."""
        kept = self._kept.get("evidence.estimate")
        return worst_status((*self.diagnosis().checks, *(kept.checks if isinstance(kept, Evidence) else ())))

    def draws(self) -> xr.DataTree:
        """Prior, posterior and posterior predictive draws in one DataTree, as far as they exist."""
        groups = {f"/{g}": n.to_dataset() for g, n in self.posterior.draws().children.items()}
        prior, predictive = self._if_any(self.prior.draws), self._if_any(self.posterior.predictive)
        if prior is not None:
            groups |= {f"/{g}": n.to_dataset() for g, n in prior.children.items()}
        if predictive is not None:
            dims = {n: groups["/observed_data"][n].dims for n in predictive.replicates}
            arrays = {n: (("chain", "draw", *dims[n]), a[None]) for n, a in predictive.replicates.items()}
            groups["/posterior_predictive"] = xr.Dataset(arrays)
        return xr.DataTree.from_dict(groups)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML file with every answer; returns its path."""
        from workbench.runs import manifest

        return self._write_report(Path(path), manifest(self))

    def _write_report(self, target: Path, provenance: dict[str, Any]) -> Path:
        from workbench.report.page import write_report

        return write_report(target, self.answers(), self.draws(), provenance, self.verdict())

    def save(self, path: str | Path, report: bool = True) -> Path:
        """Write a run folder with draws, results, provenance and the report; returns its path.

        Raises
        ------
        InputError
            If the folder exists already: a run is never overwritten.
        """
        from workbench.runs import save_run

        return save_run(self, Path(path), {"report.html": self._write_report} if report else {})

    # -- what several answers need ---------------------------------------------------------------------------------

    def seed_of(self, question: str) -> int:
        """The seed of one question: it depends on the study's seed and the question's name alone."""
        sequence = np.random.SeedSequence([self.seed, zlib.crc32(question.encode())])
        return int(sequence.generate_state(1)[0])

    @cached_property
    def starts(self) -> NDArray[np.float64]:
        """Starting points of optimisations, shape ``(m, d)``, on z: the model's own, branch peaks, prior draws."""
        return np.vstack([self._drawn_starts[:1], self._branch_peaks, self._drawn_starts[1 : self.settings.starts]])

    @cached_property
    def _branch_peaks(self) -> NDArray[np.float64]:
        """Peaks of the summands where the target is the log of a sum, shape ``(k, d)``, on z; most models have none."""
        return branch_peaks(self.density, self._drawn_starts[: self.settings.starts])

    @cached_property
    def _drawn_starts(self) -> NDArray[np.float64]:
        seed = self.seed_of("starts")
        many = max(2 * self.settings.starts, min(_CANDIDATES, _VALUES // max(1, self.density.n_observations)))
        prior = self._if_any(lambda: draw_prior(self.density, self.reading, many, seed, data=False))
        return starting_points(self.density, prior, many, seed)

    @cached_property
    def starts_with_maximum(self) -> NDArray[np.float64]:
        """Starting points with the MLE first, where there is one: a prior far from the data hides the main mode."""
        maximum = self._if_any(self.likelihood.maximum)
        return self.starts if maximum is None else np.vstack([maximum.z, self.starts])

    @cached_property
    def log_terms(self) -> tuple[NDArray, NDArray, NDArray]:
        """Draws on z, shape (chains, draws, d); log prior on z and log likelihood at them, shape (chains, draws)."""
        z = self.posterior.draws()["unconstrained_posterior"].to_dataset()["z"].values
        log_prior, log_likelihood, log_jacobian = self.density.sums(z.reshape(-1, z.shape[-1]))
        shape = z.shape[:2]
        return z, (log_prior + log_jacobian).reshape(shape), log_likelihood.reshape(shape)

    @cached_property
    def prior_log_likelihood(self) -> NDArray[np.float64]:
        """Log likelihood at draws from the prior, shape ``(m,)``, nats; raises `RefusalError` where there are none."""
        return likelihood_at_prior(self.density, self.prior._alone())

    def doubts(self) -> tuple[Check, ...]:
        """Failed checks of the draws, which concern every number that is made from them."""
        return tuple(check for check in self.diagnosis().checks if check.status == "failed")

    def _if_any(self, question: Callable[[], Any]) -> Any:
        """The answer, or None where it is refused."""
        try:
            return question()
        except WorkbenchError:
            return None

    def start_again(self, z: NDArray[np.float64]) -> None:
        """Join a higher place to the starting points, and drop the answers that hang on the old maximum."""
        self.starts = np.vstack([z, self.starts])
        self.__dict__.pop("starts_with_maximum", None)
        stale = ("likelihood", "comparison", "information", "prediction", "posterior.mode", "posterior.laplace",
                 "posterior.grid")  # fmt: skip
        self._kept = {key: kept for key, kept in self._kept.items() if not key.startswith(stale)}

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """An answer, computed at the first call and kept; a refusal is kept as well.

        Raises
        ------
        RefusalError
            If the data of the model were changed after the study was made.
        """
        if key not in self._kept:
            if self.density.fingerprint() != self._data:
                what = "the data of the model were changed after the study was made"
                raise RefusalError(what, "model", "make a new Study of the model")
            try:
                self._kept[key] = compute()
            except WorkbenchError as error:
                self._kept[key] = error
        kept = self._kept[key]
        if isinstance(kept, WorkbenchError):
            raise kept
        return kept


def load(
    path: str | Path,
    data: Data | None = None,
    seed: int | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    potentials: Mapping[str, Side] | None = None,
    parameters: Iterable[str] = (),
    latents: Iterable[str] = (),
    **hyperparameters: Any,
) -> Study:
    """A study of a model file on data.

    Parameters
    ----------
    path : str or Path
        The model file.
    data : path, DataFrame or mapping, optional
        By default the file that the model's ``DATA`` names.
    seed, settings, progress, potentials, parameters, latents
        As for `Study`.
    **hyperparameters
        Instead of the defaults of the model's ``build``, such as ``prior_sd=10``.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        If a file, a column or a name is wrong.
    RefusalError
        If the data or the model are found wrong before anything runs.
    """
    source = load_model(path, data, hyperparameters)
    return Study(
        source.model, seed=seed, settings=settings, potentials=potentials, parameters=parameters, latents=latents,
        progress=progress, source=source,
    )  # fmt: skip
