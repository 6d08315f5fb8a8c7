"""The view of a study on log p(y): one method a question, each answer kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.check import Check, worst_status
from workbench.errors import RefusalError, WorkbenchError
from workbench.evidence.audit import Audit, examine_terms, require_proper, with_potentials
from workbench.evidence.basins import blind_routes, look_for_basins, modes_uphill
from workbench.evidence.bridge import Bridge, bridge_sampling
from workbench.evidence.estimate import Evidence, combine, contradicts, does_not_count, without_data, without_parameters
from workbench.evidence.importance import average_over_prior
from workbench.evidence.marginal import integrate_latents_first
from workbench.evidence.modes import OverModes, over_modes
from workbench.evidence.nested import Nested, nest
from workbench.evidence.paths import choose_path, path_from_draws, prior_points, starts_from_prior
from workbench.evidence.prior_integral import integrate_prior
from workbench.evidence.robustness import Robustness, vary_priors
from workbench.evidence.savage_dickey import SavageDickey, fix_scalar
from workbench.evidence.sequential import Sequential, prior_groups, score_in_order
from workbench.evidence.tempering import Tempering, joined, temper
from workbench.model.anatomy import require
from workbench.model.density import TARGET
from workbench.model.hyperparameters import Hyperparameters
from workbench.model.terms import largest_array
from workbench.numerics.objective import Objective
from workbench.numerics.turn import turn_around
from workbench.result import Result
from workbench.views import View

# Findings about draws after which a path of temperatures starts from the prior, also in many dimensions.
_ONE_MODE_OF_SEVERAL = ("r-hat", "mode-visited", "draws-move")
_RUNS = 4  # of a path beside draws in doubt: a spread of four is known to 40%, which is in the error
_PRIOR_POINTS = 4000  # from which modes are sought
_FEW = 20  # dimensions up to which draws from the prior come near a mode, and a Student t draws what counts
_NUMBERS = 2_000_000  # of the largest array, at all of them together: a second or two for 30 steps
_WORTHWHILE = 100  # points; fewer are left to the starts of the optimisations


class EvidenceView(View):
    """Log p(y)."""

    def audit(self) -> Audit:
        """Every term of the joint density: its side, and whether each prior integrates to one.

        Raises `RefusalError` if a potential is part of the prior and no route to its integral could be taken.
        """
        s = self._study

        def compute() -> Audit:
            found = examine_terms(s.density, s.seed_of("evidence.audit"))
            tilted = "prior" in s.density.potentials.values()
            nothing = not s.density.space.dimension
            if not tilted or found.refused or s.density.unlabelled or s.density.discrete or nothing:
                return found
            return with_potentials(found, integrate_prior(s.density, s.settings, s.seed_of("evidence.prior")))

        return s.once("evidence.audit", compute)

    def bridge(self) -> Bridge:
        """Bridge sampling from the posterior draws; raises `RefusalError` where the evidence does not exist."""
        s = self._study

        def compute() -> Bridge:
            audit = self._required("evidence bridge")
            z, log_prior, log_likelihood = s.log_terms
            objective, seed = self._target(z), s.seed_of("evidence.bridge")
            log_f = log_prior + log_likelihood
            beside = {"log likelihood": log_likelihood, "log target": log_f}
            found = bridge_sampling(objective, z, log_f, seed, s.settings.evidence_error, beside)
            return found.over(audit.log_normaliser, audit.std_error)

        return s.once("evidence.bridge", compute)

    def tempering(self) -> Tempering:
        """A path of temperatures from the prior; raises `RefusalError` where the evidence does not exist."""
        s = self._study

        def compute() -> Tempering:
            audit = self._required("evidence tempering")
            z, seed = s.log_terms[0], s.seed_of("evidence.tempering")
            doubtful, laplace = self._several_modes(), s._if_any(s.posterior.laplace)

            def along(many: bool, run: int = 0) -> Tempering:
                own = seed if not run else s.seed_of(f"evidence.tempering.{run}")
                path = choose_path(s.density, s.reading, z, own, many)
                tempered = temper(path, own, z) if path.name == "prior" else temper(path, own, slow=bool(s.doubts()))
                return tempered.over(*normaliser)

            normaliser = audit.log_normaliser, audit.std_error
            found, bridge = along(doubtful), s._if_any(self.bridge)
            peak = -np.inf if laplace is None else laplace.log_integral - audit.log_normaliser
            if not doubtful and bridge is not None and contradicts(found, bridge, peak):
                again = along(True)  # few particles miss where the mass is, and their islands agree on that
                found = again if again.particles > found.particles else found
            if s.doubts() and found.start == "prior" and worst_status(found.checks) != "failed":
                # It may be quoted in the place of the draws, and what all islands missed shows in runs alone.
                found = joined([found, *(along(doubtful, run) for run in range(1, _RUNS))])
            if not s.doubts() and bridge is not None and does_not_count(found, bridge, peak):
                found = found.from_draws(temper(path_from_draws(s.density, z), seed), *normaliser)
            return found

        return s.once("evidence.tempering", compute)

    def nested(self) -> Nested:
        """Nested sampling by dynesty, an extra; raises `RefusalError` without it, or without independent quantiles."""
        s = self._study

        def compute() -> Nested:
            self._required("evidence nested")
            return nest(s.density, s.seed_of("evidence.nested"))

        return s.once("evidence.nested", compute)

    def estimate(self) -> Evidence:
        """Every route that applies, compared; raises `RefusalError` where the evidence does not exist."""
        s = self._study

        def compute() -> Evidence:
            audit = self._required("evidence estimate")
            if not s.density.has_data:
                return without_data(audit)
            if not s.density.space.dimension:
                _, log_likelihood, _ = s.density.sums(s.density.space.start)
                return without_parameters(audit, float(log_likelihood[0]), s.density.n_observed)
            routes, refused = self._routes()
            with contextlib.suppress(RefusalError):
                routes["prior average"] = average_over_prior(s.prior_log_likelihood)
            z, normaliser = s.log_terms[0], audit.log_normaliser
            objective = self._target(z)
            modes = modes_uphill(objective, self._elsewhere(), z)
            seen = look_for_basins(objective, z, routes, normaliser, modes)
            for name, reason in blind_routes(objective, z, routes, normaliser, modes).items():
                refused[name] = reason
                del routes[name]
            over = self._over_modes(routes, (*s.doubts(), seen), modes)
            routes |= {} if over is None else {"modes": over}
            r_hat = float(np.max(s.diagnosis().r_hat))
            return combine(routes, refused, s.density.n_observed, (*s.doubts(), seen), audit, r_hat)

        return s.once("evidence.estimate", compute)

    def _routes(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Every route to the evidence that can be taken, and why the others cannot; raises if none can."""
        s, routes = self._study, dict[str, Any]()
        refused: dict[str, str] = {}
        taken: dict[str, Callable[[], Result]] = {
            "laplace": s.posterior.laplace, "grid": s.posterior.grid, "bridge": self.bridge,
            "marginal": self._marginal, "tempering": self.tempering,
        }  # fmt: skip
        for name, question in taken.items():
            if name == "marginal" and not self._worthwhile(routes):
                continue
            if name == "tempering" and self._needless(routes.get("marginal")):
                refused[name] = "its path would start from draws that failed, and the latents could be integrated out"
                continue
            try:
                routes[name] = question()
            except WorkbenchError as error:
                refused[name] = error.what
                failure = error
        if not {"grid", "bridge", "marginal", "tempering"} & set(routes):
            raise failure
        return routes, refused

    def _worthwhile(self, routes: dict[str, Any]) -> bool:
        """Whether latent variables are integrated out first: draws in doubt, or nothing else that looks for modes."""
        s = self._study
        blind = "laplace" not in routes and not starts_from_prior(s.density.space.dimension, self._several_modes())
        return bool(s.density.latents) and (bool(s.doubts()) or blind)

    def _needless(self, marginal: OverModes | None) -> bool:
        """Whether a slow path from draws in doubt would tell less than an integral without them that can be used."""
        if marginal is None or worst_status(marginal.checks) != "ok" or not self._study.doubts():
            return False
        return not starts_from_prior(self._study.density.space.dimension, self._several_modes())

    def _several_modes(self) -> bool:
        """Whether there is a sign of several modes."""
        s, laplace = self._study, self._study._if_any(self._study.posterior.laplace)
        apart = laplace is not None and laplace.checks[0].status != "ok"
        return apart or any(c.code in _ONE_MODE_OF_SEVERAL for c in s.doubts())

    def _marginal(self) -> OverModes:
        """The evidence with the latent variables integrated out first; refused where there are none, or too many."""
        s = self._study

        def compute() -> OverModes:
            audit, z, seed = self._required("evidence estimate"), s.log_terms[0], s.seed_of("evidence.marginal")
            return integrate_latents_first(s.problem, s.starts, seed, z).over(audit.log_normaliser, audit.std_error)

        return s.once("evidence.marginal", compute)

    def _over_modes(self, routes: dict[str, Any], found: tuple[Check, ...], uphill: NDArray) -> OverModes | None:
        """The evidence over all modes that an optimiser found, where draws are in doubt or nothing confirms them."""
        s, (laplace, bridge, tempered) = self._study, (routes.get(n) for n in ("laplace", "bridge", "tempering"))
        places = [uphill] if laplace is None else [laplace.mode[None], laplace.other_modes, uphill]
        unheard = tempered is None or worst_status(tempered.checks) == "failed"
        unheard |= tempered is not None and bridge is not None and contradicts(tempered, bridge, -np.inf)
        alone = unheard and not {"grid", "marginal"} & set(routes)
        if (
            not (alone or worst_status(found) == "failed")
            or s.density.space.dimension > _FEW
            or not sum(map(len, places))
        ):
            return None

        def compute() -> OverModes:
            audit, seed, objective = self.audit(), s.seed_of("evidence.modes"), self._target(s.log_terms[0])
            over = over_modes(objective, lambda points: s.density.sums(points)[1], np.vstack(places), seed)
            return over.over(audit.log_normaliser, audit.std_error)

        found_modes: OverModes | None = s._if_any(lambda: s.once("evidence.modes", compute))
        return found_modes

    def _without_draws(self) -> Tempering | OverModes | None:
        """What gave the evidence without draws, else a path of temperatures if one was taken for it."""
        s, evidence = self._study, self.estimate()
        if evidence.method in ("marginal", "modes"):
            kept: OverModes = s._kept[f"evidence.{evidence.method}"]
            return kept
        tempered: Tempering | None = None if "tempering" in evidence.refused else s._if_any(self.tempering)
        if (tempered is None or tempered.start != "prior") and "marginal" in evidence.cross_checks:
            return self._marginal()
        return tempered

    def _target(self, z: NDArray[np.float64]) -> Objective:
        """Log f, within the turn of the draws where there are angles."""
        s = self._study
        return turn_around(z, s.density.space.angles).within(s.density.objective(TARGET))

    def _elsewhere(self) -> NDArray[np.float64]:
        """Points on z from which modes are sought that no chain visited: MLE, MAP, draws from the prior, branches."""
        s = self._study
        points = [s._branch_peaks]
        if s.density.space.dimension > _FEW:
            return points[0]
        if not s.density.latents:  # the MLE of the parameters alone is no maximum over all
            maximum, mode = s._if_any(s.likelihood.maximum), s._if_any(s.posterior.mode)
            points += [at.z[None] for at in (maximum, mode and mode.map) if at is not None]
        many = min(_PRIOR_POINTS, int(_NUMBERS / largest_array(s.density.symbolic)))
        if many >= _WORTHWHILE:
            drawn = s._if_any(lambda: prior_points(s.density, s.reading, many, s.seed_of("evidence.elsewhere")))
            points += [] if drawn is None else [drawn]
        found = np.vstack(points)
        return found[np.isfinite(found).all(axis=1)]

    def robustness(self, *names: str) -> Robustness:
        """Log p(y) over the fixed numbers of the priors; raises as `estimate`, `InputError` for unknown names.

        Parameters
        ----------
        *names : str
            Hyperparameters such as ``mu.sigma``, or free variables; by default the scales of the parameters' priors.
        """
        s = self._study

        def compute() -> Robustness:
            self._on_its_own("evidence robustness")
            numbers = s.once("hyperparameters", lambda: Hyperparameters(s.density))
            return vary_priors(numbers, names, s.log_terms[0], self.estimate(), s.seed_of("evidence.robustness"))

        return s.once(":".join(("evidence.robustness", *names)), compute)

    def savage_dickey(self, name: str, value: float) -> SavageDickey:
        """The Bayes factor of a fixed value of a scalar; raises as `estimate`, and where its prior has parents.

        Parameters
        ----------
        name : str
            A scalar free variable or an element of one, such as ``beta[1]``.
        value : float
            In its own unit; raises `InputError` outside the support.
        """
        s = self._study

        def compute() -> SavageDickey:
            self._on_its_own("evidence savage-dickey")
            z, error = s.log_terms[0], s.settings.evidence_error
            return fix_scalar(s.density, name, value, z, self.estimate(), error)

        return s.once(f"evidence.savage_dickey:{name}:{value!r}", compute)

    def sequential(self) -> Sequential:
        """Every observation scored before it is seen; raises as `estimate`, and where there is no order."""
        s, seed = self._study, self._study.seed_of("evidence.sequential")

        def compute() -> Sequential:
            self._on_its_own("evidence sequential")
            return score_in_order(s.density, prior_groups(s.density, s.reading, seed), self.estimate(), seed)

        return s.once("evidence.sequential", compute)

    def _required(self, question: str) -> Audit:
        """The audit, if the evidence exists."""
        require(self._study.reading, question)  # before a prior is measured, which an improper one cannot be
        audit = self.audit()
        require_proper(audit, question)
        return audit

    def _on_its_own(self, question: str) -> None:
        """Refuse a question that needs a prior which integrates to one as it is written."""
        audit, potentials = self._required(question), self._study.density.potentials
        if audit.log_normaliser != 0.0:
            cut = [name for name, term in audit.terms.items() if term["proper"] == "cut"]
            guilty = (cut or [name for name, side in potentials.items() if side == "prior"])[0]
            raise RefusalError(
                f"{question} is refused: the prior of {guilty} integrates to one only after it is divided by its own "
                "integral, which may change with what is asked",
                guilty,
                "see study.evidence.audit(), and write the prior as normalised distributions",
            )
