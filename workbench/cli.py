"""The command line: arguments, progress and exit codes; every answer comes from a study.

Exit codes: 0 good; 1 error; 2 usage; 3 finished, but the diagnosis failed; 4 refused before sampling; 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import InputError, WorkbenchError
from workbench.options import (
    NAMED,
    AcceptOption,
    AllOption,
    ChainsOption,
    DataOption,
    DrawsOption,
    JsonOption,
    KindOption,
    LatentOption,
    LevelOption,
    ModelArgument,
    NamesArgument,
    OutOption,
    ParameterOption,
    PotentialOption,
    ReplicatesOption,
    SeedOption,
    SetOption,
    TuneOption,
    ask_slow_questions,
    described_study,
    progress_display,
    split_names,
)

if TYPE_CHECKING:
    from workbench.result import Result

app = typer.Typer(
    name="workbench",
    help="Every term of Bayes' theorem for one PyMC model: explicit, measured and comparable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,
)


def _numbers(chains: int, draws: int, tune: int, target_accept: float, level: float) -> dict[str, Any]:
    """The options that become settings."""
    return {"chains": chains, "draws": draws, "tune": tune, "target_accept": target_accept, "level": level}


def _print(answers: dict[str, Result], as_json: bool) -> None:
    """Answers as tables, or as one JSON object."""
    if as_json:
        from workbench.result import encode

        typer.echo(json.dumps({name: encode(answer) for name, answer in answers.items()}, allow_nan=False))
        return
    from workbench.terminal import show

    for answer in answers.values():
        show(answer)


def _finish(verdict: str) -> None:
    """Exit 3 where the numbers must not be used."""
    if verdict == "failed":
        raise typer.Exit(3)


@app.command()
def fit(
    model: ModelArgument,
    data: DataOption = None,
    set_: SetOption = None,
    seed: SeedOption = None,
    chains: ChainsOption = 4,
    draws: DrawsOption = 1000,
    tune: TuneOption = 1000,
    target_accept: AcceptOption = 0.8,
    level: LevelOption = 0.95,
    potential: PotentialOption = None,
    parameter: ParameterOption = None,
    latent: LatentOption = None,
    out: OutOption = Path("runs"),
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write report.html with figures.")] = True,
    all_: AllOption = False,
    json_: JsonOption = False,
) -> None:
    """Run everything on MODEL, print it, and leave a run folder with draws, results and a report."""
    from workbench.runs import new_run_folder

    numbers = _numbers(chains, draws, tune, target_accept, level)
    roles = {"potentials": potential, "parameters": parameter, "latents": latent}
    with progress_display("fitting") as progress:
        study = described_study(model, data, set_, seed, progress, numbers, roles)
        if all_:
            ask_slow_questions(study)
        answers = study.answers()
        path = study.save(new_run_folder(out, study.name), report=report)
        verdict = study.verdict()
    if json_:
        from workbench.result import encode

        content = {name: encode(answer) for name, answer in answers.items()}
        typer.echo(json.dumps({"run": str(path), "verdict": verdict, "seed": study.seed, "answers": content}))
    else:
        from workbench.terminal import show_fit

        show_fit(answers, verdict, study.seed, path, report)
    _finish(verdict)


@app.command()
def check(
    model: ModelArgument,
    data: DataOption = None,
    set_: SetOption = None,
    potential: PotentialOption = None,
    parameter: ParameterOption = None,
    latent: LatentOption = None,
    json_: JsonOption = False,
) -> None:
    """Look at MODEL and its data without fitting: roles, what can be asked, what is wrong."""
    with progress_display("checking") as progress:
        roles = {"potentials": potential, "parameters": parameter, "latents": latent}
        study = described_study(model, data, set_, 0, progress, {}, roles)
    _print({"anatomy": study.anatomy}, json_)


def _register_question(group: typer.Typer, term: str, question: str, summary: str) -> None:
    """One command for one question: ``workbench TERM QUESTION MODEL``."""

    def command(
        model: ModelArgument,
        data: DataOption = None,
        set_: SetOption = None,
        seed: SeedOption = None,
        chains: ChainsOption = 4,
        draws: DrawsOption = 1000,
        tune: TuneOption = 1000,
        target_accept: AcceptOption = 0.8,
        level: LevelOption = 0.95,
        potential: PotentialOption = None,
        parameter: ParameterOption = None,
        latent: LatentOption = None,
        json_: JsonOption = False,
    ) -> None:
        numbers = _numbers(chains, draws, tune, target_accept, level)
        roles = {"potentials": potential, "parameters": parameter, "latents": latent}
        with progress_display(f"{term} {question}".strip()) as progress:
            study = described_study(model, data, set_, seed, progress, numbers, roles)
            owner = getattr(study, term) if term else study
            answer = getattr(owner, question)()
        if question == "draws":
            from workbench.terminal import summary_of_draws

            answer = summary_of_draws(answer, term, study.settings.level)
        _print({f"{term}.{question}".strip("."): answer}, json_)
        if term == "" and question == "diagnosis":
            _finish(study.verdict())

    command.__doc__ = summary
    group.command(question)(command)


def _register_named(group: typer.Typer, term: str, question: str, summary: str) -> None:
    """One command for a question about something by name: ``workbench TERM QUESTION MODEL NAME...``."""

    def command(
        model: ModelArgument,
        names: NamesArgument = None,
        data: DataOption = None,
        set_: SetOption = None,
        seed: SeedOption = None,
        chains: ChainsOption = 4,
        draws: DrawsOption = 1000,
        tune: TuneOption = 1000,
        target_accept: AcceptOption = 0.8,
        level: LevelOption = 0.95,
        potential: PotentialOption = None,
        parameter: ParameterOption = None,
        latent: LatentOption = None,
        json_: JsonOption = False,
    ) -> None:
        numbers = _numbers(chains, draws, tune, target_accept, level)
        roles = {"potentials": potential, "parameters": parameter, "latents": latent}
        given = split_names(question, names or [])
        with progress_display(f"{term} {question}") as progress:
            study = described_study(model, data, set_, seed, progress, numbers, roles)
            if question == "nested":
                given = (described_study(Path(given[0]), data, set_, seed, progress, numbers, roles),)
            answer = getattr(getattr(study, term), question.replace("-", "_"))(*given)
        _print({f"{term}.{question}": answer}, json_)

    command.__doc__ = summary
    group.command(question)(command)


def _register_bootstrap(group: typer.Typer) -> None:
    """The command ``workbench likelihood bootstrap MODEL``, which has a kind and a number of replicates."""

    @group.command("bootstrap")
    def _command(
        model: ModelArgument,
        data: DataOption = None,
        set_: SetOption = None,
        seed: SeedOption = None,
        kind: KindOption = "parametric",
        replicates: ReplicatesOption = 1000,
        level: LevelOption = 0.95,
        potential: PotentialOption = None,
        parameter: ParameterOption = None,
        latent: LatentOption = None,
        json_: JsonOption = False,
    ) -> None:
        """The maximum of replicates of the data, and intervals from them."""
        roles = {"potentials": potential, "parameters": parameter, "latents": latent}
        with progress_display("likelihood bootstrap") as progress:
            study = described_study(model, data, set_, seed, progress, {"level": level}, roles)
            answer = study.likelihood.bootstrap(replicates, kind)
        _print({"likelihood.bootstrap": answer}, json_)


_QUESTIONS = {
    "prior": {"draws": "Draws from the prior, summarised."},
    "likelihood": {
        "maximum": "The maximum likelihood estimate with standard errors and a certificate.",
        "errors": "Standard errors in four forms.",
        "latents": "Latent variables at the maximum, with their errors.",
        "surface": "Profile likelihood curves around the maximum.",
    },
    "posterior": {
        "mode": "The MAP in theta, and the mode on z.",
        "laplace": "The normal approximation at the mode on z.",
        "grid": "The posterior by quadrature, up to two dimensions.",
        "draws": "Draws by NUTS, summarised.",
        "predictive": "Replicated data and test quantities.",
    },
    "evidence": {
        "estimate": "Log p(y) by every route that applies, compared.",
        "audit": "Every term and its side, and whether each prior integrates to one.",
        "bridge": "Log p(y) by bridge sampling from the draws.",
        "nested": "Log p(y) by nested sampling with dynesty, an extra.",
        "tempering": "Log p(y) along a path of temperatures from the prior.",
        "sequential": "Log p(y) as a sum of predictions, one observation after the other.",
    },
}
for _term, _asked in _QUESTIONS.items():
    _group = typer.Typer(help=f"Questions to the {_term}.", no_args_is_help=True, rich_markup_mode=None)
    for _question, _summary in _asked.items():
        _register_question(_group, _term, _question, _summary)
    if _term == "likelihood":
        _register_bootstrap(_group)
    for _question, _summary in NAMED.get(_term, {}).items():
        _register_named(_group, _term, _question, _summary)
    app.add_typer(_group, name=_term)
_register_question(app, "", "compare", "MLE | MAP | posterior, one row a scalar, and why they differ.")
_register_question(app, "", "information", "The account of information in nats and bits.")
_register_question(app, "", "prediction", "Cross-entropy, perplexity and surprise, beside a baseline.")
_register_question(app, "", "diagnosis", "The verdict on the draws, with codes and fixes.")


@app.command("compare-models")
def compare_models(
    models_: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Two or more model files.")],
    data: DataOption = None,
    seed: SeedOption = None,
    json_: JsonOption = False,
) -> None:
    """Compare models of the same data: Bayes factors, elpd, stacking weights, AIC and BIC."""
    from workbench.models_compared import compare_models as compared

    with progress_display("comparing") as progress:
        roles = dict.fromkeys(("potentials", "parameters", "latents"))
        names = [p.stem if [q.stem for q in models_].count(p.stem) == 1 else str(p) for p in models_]
        studies = [described_study(path, data, None, seed, progress, {}, roles) for path in models_]
        _print({"models_compared": compared(dict(zip(names, studies, strict=True)))}, json_)


@app.command()
def at(
    model: ModelArgument,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="A value for every free variable.")],
    data: DataOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Walk one theta through the theorem, term by term: workbench at MODEL mu=170 sigma=8."""
    from workbench.model.load import parse_setting

    theta = dict(parse_setting(text) for text in values)
    with progress_display("evaluating") as progress:
        roles = dict.fromkeys(("potentials", "parameters", "latents"))
        point = described_study(model, data, set_, 0, progress, {}, roles).at(**theta)
    _print({"at": point}, json_)


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; by default RUN.html beside the folder.")
    ] = None,
) -> None:
    """Write the report of a finished run again, from its saved results; nothing is computed."""
    from workbench.report.page import write_report
    from workbench.runs import open_run

    opened = open_run(run)
    target = out or run.parent / f"{run.name}.html"
    typer.echo(str(write_report(target, opened.answers, opened.draws, opened.manifest, opened.verdict)))


@app.command(help="List the finished runs in a folder.")
def runs(
    folder: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"), json_: JsonOption = False
) -> None:
    """List the finished runs in a folder.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    from workbench.runs import list_runs

    if not folder.is_dir():
        raise InputError("there is no such folder", str(folder), "give the folder that holds your run folders")
    found = list_runs(folder)
    if json_:
        typer.echo(json.dumps([{"path": str(run.path), **run.manifest} for run in found]))
        return
    for run in found:
        typer.echo(f"{run.manifest['created']}  {run.verdict:<8} {run.path}")
    if not found:
        typer.echo(f"no finished runs in {folder}")


@app.command(help="List the model files in a folder, each with the first line of its docstring.")
def models(
    folder: Annotated[Path, typer.Argument(help="Folder of model files.")] = Path("models"), json_: JsonOption = False
) -> None:
    """List the model files in a folder, each with the first line of its docstring."""
    from workbench.terminal import model_files

    found = model_files(folder)
    if json_:
        typer.echo(json.dumps(found))
        return
    typer.echo("\n".join(f"{path}  {line}" for path, line in found.items()))


@app.command(help="Fit the height model on Galton's data and say where the report is.")
def demo(out: OutOption = Path("runs")) -> None:
    """Fit the height model on Galton's data and say where the report is.

    Raises
    ------
    InputError
        If the model is not here, because this is no checkout.
    """
    model = Path("models/height_as_normal.py")
    if not model.is_file():
        raise InputError("the demo model is not here", str(model), "run it in a checkout of Workbench")
    fit(model, seed=1, out=out, all_=True)


def main() -> None:
    """Run the command line; every expected error is one clear message and an exit code, never a traceback."""
    try:
        code = app(standalone_mode=False)
        if code == 130:  # typer turns an interrupt into this code without a word
            raise KeyboardInterrupt
    except WorkbenchError as error:
        typer.echo(f"error: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        code = 130
    except Exception as error:
        if not hasattr(error, "exit_code") or not hasattr(error, "format_message"):
            raise
        typer.echo(f"usage: {error.format_message()}", err=True)  # a click usage error
        code = 2
    sys.exit(code if isinstance(code, int) else 0)
