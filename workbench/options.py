"""What commands share: arguments and options, the study that they describe, a display of progress, typed names."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from workbench.errors import InputError, UsageError, WorkbenchError

if TYPE_CHECKING:
    from workbench.study import Study

ModelArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="A model file with a `build` function.")]
DataOption = Annotated[Path | None, typer.Option("--data", help="CSV file; by default the model's own DATA.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="A hyperparameter: --set prior_sd=10.")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of everything random; drawn and shown if absent.")]
ChainsOption = Annotated[int, typer.Option("--chains", help="Markov chains.")]
DrawsOption = Annotated[int, typer.Option("--draws", help="Draws a chain.")]
TuneOption = Annotated[int, typer.Option("--tune", help="Warm-up draws a chain.")]
AcceptOption = Annotated[float, typer.Option("--target-accept", help="Mean acceptance probability of NUTS.")]
LevelOption = Annotated[float, typer.Option("--level", help="Probability of every interval.")]
PotentialOption = Annotated[
    list[str] | None,
    typer.Option("--potential", help="Side of a pm.Potential: --potential name=likelihood (or prior)."),
]
ParameterOption = Annotated[
    list[str] | None, typer.Option("--parameter", help="A free variable to treat as a parameter, not as latent.")
]
LatentOption = Annotated[list[str] | None, typer.Option("--latent", help="A free variable to treat as latent.")]
AllOption = Annotated[
    bool, typer.Option("--all", help="Also what draws anew many times: prior robustness, the sequence of predictions.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
KindOption = Annotated[
    Literal["parametric", "nonparametric", "bayesian"], typer.Option("--kind", help="How the data are drawn again.")
]
ReplicatesOption = Annotated[int, typer.Option("--replicates", min=2, help="How often.")]
OutOption = Annotated[Path, typer.Option("--out", help="Folder in which run folders are made.")]
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME...]", help="Scalars such as sigma or beta[0]; NAME=VALUE; or a second model file."),
]
NAMED = {
    "likelihood": {
        "profile": "Profile likelihood intervals of NAME...; a=1 b=-1 is the linear combination a - b.",
        "contour": "The joint likelihood region of two scalars NAME NAME.",
        "test": "Likelihood-ratio, Wald and score tests of a fixed value NAME=VALUE.",
        "nested": "The likelihood-ratio test of a smaller model file inside MODEL.",
    },
    "evidence": {
        "savage-dickey": "The Bayes factor of a fixed value NAME=VALUE against the model as it stands.",
        "robustness": "Log p(y) as the fixed numbers of the priors change: NAME... such as mu.sigma, or mu.",
    },
}
_WANTED = {
    "contour": "two names",
    "test": "one NAME=VALUE",
    "savage-dickey": "one NAME=VALUE",
    "nested": "one model file",
}


def described_study(
    model: Path,
    data: Path | None,
    settings: list[str] | None,
    seed: int | None,
    progress: Any,
    numbers: dict[str, Any],
    roles: dict[str, list[str] | None],
) -> Study:
    """The study that the options describe.

    Parameters
    ----------
    model, data : Path
        Model file and CSV; the model's own data if None.
    settings : list of str
        Hyperparameters as they are typed, such as ``prior_sd=10``.
    seed : int, optional
    progress : callable, optional
    numbers : dict
        Fields of `Settings`.
    roles : dict of str to list of str
        Values of ``--potential``, ``--parameter`` and ``--latent``.

    Returns
    -------
    Study

    Raises
    ------
    UsageError
        If a potential has no side, or a setting is out of range.
    """
    from workbench.model.load import parse_setting
    from workbench.settings import Settings
    from workbench.study import load

    chosen = dict(parse_setting(text) for text in settings or [])
    sides: dict[str, Any] = {}
    for text in roles["potentials"] or []:
        name, equals, side = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} has no side", "--potential", "write --potential name=likelihood, or =prior")
        sides[name] = side
    try:
        turned = Settings(**numbers)
    except InputError as error:
        raise UsageError(error.what, error.where, error.fix) from error
    return load(
        model,
        data,
        seed=seed,
        settings=turned,
        progress=progress,
        potentials=sides,
        parameters=roles["parameters"] or (),
        latents=roles["latents"] or (),
        **chosen,
    )


@contextlib.contextmanager
def progress_display(title: str) -> Iterator[Any]:
    """A progress display on a terminal; None where output is piped.

    Parameters
    ----------
    title : str

    Yields
    ------
    callable or None
        Called as ``progress(task, done, total)``.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as display:
        tasks = {title: display.add_task(title, total=None)}

        def report(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = display.add_task(task, total=total)
            display.update(tasks[task], completed=done, total=total)

        yield report


def split_names(question: str, names: list[str]) -> tuple[Any, ...]:
    """What a question is asked about, from the words on the command line.

    Parameters
    ----------
    question : {"profile", "contour", "test", "nested", "robustness", "savage-dickey"}
    names : list of str

    Returns
    -------
    tuple
        Arguments of the method of that name.

    Raises
    ------
    UsageError
        If their number is wrong, or a value or a weight is no number.

    Examples
    --------
    >>> split_names("profile", ["a=1", "b=-1"]), split_names("test", ["sigma=2"]), split_names("profile", ["a", "b"])
    (({'a': 1.0, 'b': -1.0},), ('sigma', 2.0), ('a', 'b'))
    """
    if question == "robustness":
        return tuple(names)
    tests = question in ("test", "savage-dickey")
    pairs = [name.partition("=") for name in names] if question == "profile" or tests else []
    try:
        if tests and len(pairs) == 1 and pairs[0][1]:
            return pairs[0][0], float(pairs[0][2])
        if question == "profile":
            if pairs and all(equals for _, equals, _ in pairs):
                return ({name: float(weight) for name, _, weight in pairs},)
            if not any(equals for _, equals, _ in pairs):
                return tuple(names)
            raise UsageError("names and weights are mixed", " ".join(names), "give names, or NAME=WEIGHT for each")
    except ValueError as error:
        raise UsageError(f"no number after '=' in {' '.join(names)!r}", question, "write NAME=1.5") from error
    if len(names) != {"contour": 2, "nested": 1}.get(question):
        raise UsageError(f"{len(names)} arguments for {question}", question, f"give {_WANTED[question]}")
    return tuple(names)


def ask_slow_questions(study: Study) -> None:
    """Ask what a study answers in its report only where it was asked before; a refusal is an answer as well.

    Parameters
    ----------
    study : Study
    """
    for question in (study.evidence.robustness, study.evidence.sequential):
        with contextlib.suppress(WorkbenchError):
            question()
