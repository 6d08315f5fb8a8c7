"""Profiles, contours and tests of a study, each measured from its maximum; where a better one shows, that is taken.

A profile looks at far more of the likelihood than a handful of climbs does. Where it comes upon a higher maximum, that
place joins the starting points of the study, every answer that hangs on the old maximum is dropped, and the question
starts afresh.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from workbench.check import Check
from workbench.errors import InputError, NoMaximumError, NumericalError, RefusalError, WorkbenchError
from workbench.likelihood.contour import Contour, find_contour
from workbench.likelihood.departure import same_observations
from workbench.likelihood.holding import is_rough
from workbench.likelihood.hypothesis import Test, fix_value
from workbench.likelihood.integral import as_maximised
from workbench.likelihood.maximum import maximise_likelihood
from workbench.likelihood.nesting import compare_nested
from workbench.likelihood.problem import Problem, scalars_in_words
from workbench.likelihood.profile import MAX_DEFAULT, Name, Profile, profile_likelihood
from workbench.likelihood.summit import BetterMaximum, Summit, find_summit
from workbench.model.anatomy import require
from workbench.model.mode import Mode

if TYPE_CHECKING:
    from workbench.study import Study

_RESTARTS = 5


def _mode(study: Study) -> Mode | None:
    """The MLE, or None where it was refused because there is none.

    Raises
    ------
    NoMaximumError
        If the likelihood rises without bound, or jumps to 0 where it is highest: nothing can be measured from there.
    """
    try:
        return study.likelihood.maximum()
    except NoMaximumError as error:
        if error.kind in ("unbounded", "moving support"):
            raise
        return None


def _problem(study: Study) -> Problem:
    """The likelihood that was maximised, its latent variables integrated as they were there."""

    def compute() -> Problem:
        mode = _mode(study)
        return study.problem if mode is None else as_maximised(study.problem, mode)

    kept: Problem = study.once("likelihood.integral", compute)
    return kept


def _summit(study: Study) -> Summit:
    """The place from which everything is measured, found once."""
    kept: Summit = study.once("likelihood.summit", lambda: find_summit(_problem(study), _mode(study), study.starts))
    return kept


def _measured[Answer: (Profile, Contour, Test)](
    study: Study, question: str, measure: Callable[[Summit, Mode | None], Answer]
) -> Answer:
    """An answer measured from the maximum, from the better one where that turns up on the way.

    Raises
    ------
    RefusalError
        If the model cannot be asked, or its likelihood rises without bound.
    NumericalError
        If every maximum leads to a better one.
    """
    require(study.reading, question)
    gains: list[str] = []
    for _ in range(_RESTARTS):
        try:
            answer: Answer = measure(_summit(study), _mode(study))
        except BetterMaximum as found:
            gains.append(found.what)
            _start_again(study, found)
            continue
        if not gains:
            return answer
        message = f"{'; '.join(gains)}: the whole fit was started again from it"
        check = Check("starts-agree", "caution", message, "raise `starts` in the settings")
        return replace(answer, checks=(*answer.checks, check))
    raise NumericalError("every maximum leads to a better one", question, "start elsewhere: set `initval`")


def _start_again(study: Study, found: BetterMaximum) -> None:
    """Start the whole fit again from a place that is higher than the maximum, if anything can be measured there.

    Raises
    ------
    RefusalError
        If nothing can be, while the maximum was one: the maximum stays, and the place is named.
    """
    place = np.atleast_2d(study.problem.chart.z(found.x))
    if _mode(study) is not None:
        try:
            maximise_likelihood(study.problem, study.reading, place)
        except NoMaximumError as error:
            if error.kind == "unmeasurable" or is_rough(study.problem.objective, found.x, np.ones(found.x.size)):
                raise RefusalError(
                    f"{found.what}, at {scalars_in_words(study.problem, found.x)}: no peak, and nothing can be "
                    "measured there; it may be one of rounding",
                    error.where,
                    "if that place is impossible, keep the model away from it by the support of a prior, and ask again",
                ) from error
    study.start_again(place)


def ask_profile(study: Study, names: tuple[Name, ...], level: float | None) -> Profile:
    """Profile likelihood intervals; see `workbench.likelihood.profile.profile_likelihood`."""
    chosen = study.settings.level if level is None else level
    return study.once(
        f"likelihood.profile:{names!r}:{chosen!r}",
        lambda: _measured(
            study,
            "likelihood profile",
            lambda summit, mode: profile_likelihood(_problem(study), summit, mode, names, chosen),
        ),
    )


def bounds_beside(study: Study) -> tuple[dict[str, tuple[float, float]], dict[str, str]]:
    """Profile likelihood intervals of the scalars of a comparison, and why some have none.

    Free variables as in the report, then deterministics that are one number, as long as a profile is cheap: a dozen
    scalars in all, and no deterministics where each step along one is an integral over latent variables.

    Parameters
    ----------
    study : Study

    Returns
    -------
    bounds : dict of str to (lower, upper)
    refused : dict of str to str
        ``profile interval of ...`` -> the reason.
    """
    try:
        found = _bounds(ask_profile(study, (), None))
    except WorkbenchError as error:
        return {}, {"profile interval": error.what}
    space, chart, known = study.density.space, study.problem.chart, len(study.starts)
    missing: dict[str, list[str]] = {}
    for name in (*space.names, *space.deterministics):
        labels = [label for label in space.labels(name) if label not in found]
        if name not in (*chart.names, *chart.deterministics):
            missing.setdefault("latent variables, which they are or depend on, are integrated out", []).append(name)
        elif len(space.labels(name)) > 1 or len(found) >= MAX_DEFAULT or study.density.latents:
            missing.setdefault("likelihood.profile(NAME) gives it", []).extend(labels)
        elif labels:
            try:
                found |= _bounds(ask_profile(study, (labels[0],), None))
            except WorkbenchError as error:
                missing.setdefault(error.what, []).append(name)
    if len(study.starts) > known:  # the profile of a deterministic came upon a better maximum
        return bounds_beside(study)
    return found, {f"profile interval of {_listed(names)}": reason for reason, names in missing.items() if names}


def _bounds(profile: Profile) -> dict[str, tuple[float, float]]:
    """Scalar -> its interval."""
    return dict(zip(profile.names, zip(profile.lower.tolist(), profile.upper.tolist(), strict=True), strict=True))


def _listed(names: list[str]) -> str:
    """The first few names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def ask_contour(study: Study, names: tuple[Name, ...], level: float | None) -> Contour:
    """The joint region of two scalars; see `workbench.likelihood.contour.find_contour`."""
    chosen = study.settings.level if level is None else level
    return study.once(
        f"likelihood.contour:{names!r}:{chosen!r}",
        lambda: _measured(
            study, "likelihood contour", lambda summit, _: find_contour(_problem(study), summit, names, chosen)
        ),
    )


def ask_test(study: Study, name: Name, value: float) -> Test:
    """Tests of a fixed value; see `workbench.likelihood.hypothesis.fix_value`."""
    return study.once(
        f"likelihood.test:{name!r}:{value!r}",
        lambda: _measured(
            study, "likelihood test", lambda summit, mode: fix_value(_problem(study), summit, mode, name, value)
        ),
    )


def ask_nested(study: Study, smaller: Study) -> Test:
    """The test of a model inside another; see `workbench.likelihood.nesting.compare_nested`.

    Raises
    ------
    InputError
        If the smaller model is no study.
    """
    if not isinstance(smaller, type(study)):
        kind = type(smaller).__name__
        raise InputError(f"the smaller model is a {kind}", "likelihood nested", "give a study of it: wb.Study(model)")
    require(smaller.reading, "likelihood nested")
    same = same_observations(study.density.symbolic.observed, smaller.density.symbolic.observed)
    inner = (_problem(smaller), _summit(smaller))
    names = (study.name, smaller.name)
    return _measured(
        study, "likelihood nested", lambda summit, _: compare_nested((_problem(study), summit), inner, same, names)
    )
