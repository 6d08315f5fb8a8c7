"""One HTML file from finished results: verdict first, every question at its own anchor, nothing from the network.

The page is made of plain text in `Section` objects; one Jinja template with autoescape writes all of it, and figures
are images of their own (`data:` URIs), so that no name, path or note of a model can become markup. A content security
policy in the page forbids scripts and every request.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import xarray as xr

from workbench.check import CATALOGUE
from workbench.errors import InputError
from workbench.plots.scalars import scalars_of
from workbench.report.account import bridge_section, evidence_section, information_section, tempering_section
from workbench.report.content import Part, Section, plain
from workbench.report.draws import diagnosis_section, draws_section, predictive_section
from workbench.report.estimates import (
    comparison_section,
    grid_section,
    laplace_section,
    maximum_section,
    mode_section,
    profile_section,
    surface_section,
)
from workbench.report.evidence import robustness_section, sequential_section
from workbench.report.model import anatomy_section, scalars_section, theorem_section
from workbench.report.prediction import prediction_section
from workbench.report.provenance import citations, glossary_section, provenance_section
from workbench.report.summary import SYMBOLS, summarise
from workbench.result import Result


def write_report(
    path: Path, answers: dict[str, Result], draws: xr.DataTree, manifest: dict[str, Any], verdict: str
) -> Path:
    """Write one self-contained HTML file; an existing file is replaced only when the new one is complete.

    Parameters
    ----------
    path : Path
    answers : dict of str to Result
        Question -> answer or `Refusal`, as `Study.answers` gives them or as they were read back from JSON.
    draws : xarray.DataTree
        Posterior draws in the ArviZ schema; prior draws where there are any.
    manifest : dict
        What is known about the run; shown as it is.
    verdict : {"ok", "unknown", "caution", "failed"}

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    InputError
        If the verdict is no verdict, there are no posterior draws, or the file cannot be written.
    """
    path = Path(path)
    text = render(answers, draws, manifest, verdict)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(unfinished, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        what = f"the report cannot be written: {error.strerror}"
        raise InputError(what, str(path), "choose another place") from error
    return path


def render(answers: Mapping[str, Result], draws: xr.DataTree, manifest: Mapping[str, Any], verdict: str) -> str:
    """The page as text; the same results give the same text.

    Parameters
    ----------
    answers, draws, manifest, verdict
        As for `write_report`.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If the verdict is no verdict or there are no posterior draws.
    """
    scalars = scalars_of(draws)
    shape = (draws["posterior"].sizes["chain"], draws["posterior"].sizes["draw"])
    summary = summarise(answers, shape, manifest, verdict)
    makers: dict[str, dict[str, Callable[[], Section]]] = {
        "The model": {
            "anatomy": lambda: anatomy_section(answers),
            "theorem": lambda: theorem_section(answers),
            "parameters": lambda: scalars_section(answers, scalars, draws),
        },
        "Estimates": {
            "comparison": lambda: comparison_section(answers),
            "likelihood.maximum": lambda: maximum_section(answers),
            "likelihood.surface": lambda: surface_section(answers, scalars),
            "likelihood.profile": lambda: profile_section(answers),
            "posterior.mode": lambda: mode_section(answers),
            "posterior.laplace": lambda: laplace_section(answers),
            "posterior.grid": lambda: grid_section(answers),
        },
        "The draws": {
            "posterior.draws": lambda: draws_section(answers, scalars, draws),
            "diagnosis": lambda: diagnosis_section(answers),
            "posterior.predictive": lambda: predictive_section(answers, draws),
        },
        "Evidence and information": {
            "evidence.audit": lambda: plain("evidence.audit", answers["evidence.audit"], "Is every term a density?"),
            "evidence.estimate": lambda: evidence_section(answers),
            "evidence.bridge": lambda: bridge_section(answers),
            "evidence.tempering": lambda: tempering_section(answers),
            "evidence.robustness": lambda: robustness_section(answers),
            "evidence.sequential": lambda: sequential_section(answers),
            "information": lambda: information_section(answers, scalars),
            "prediction": lambda: prediction_section(answers),
        },
    }
    always = {"theorem", "parameters", "posterior.draws"}  # they are no question of `answers`
    parts = [
        Part(title, tuple(make() for question, make in group.items() if question in answers or question in always))
        for title, group in makers.items()
    ]
    known = {question for group in makers.values() for question in group}
    others = tuple(plain(question, result) for question, result in answers.items() if question not in known)
    if others:
        parts.append(Part("Further questions", others))
    parts.append(Part("Behind the numbers", (provenance_section(manifest), glossary_section())))
    template = _environment().get_template("page.html")
    return template.render(summary=summary, parts=parts, symbols=SYMBOLS, catalogue=CATALOGUE, citations=citations())


def visible(value: Any) -> Any:
    r"""Text without characters that are invisible or change the direction of what stands around them.

    Parameters
    ----------
    value : object
        Anything that a template prints.

    Returns
    -------
    object

    Examples
    --------
    >>> visible("a\u202eb\x07")
    'a�b�'
    """
    if type(value) is not str or value.isprintable():  # escaped already by the template engine, or harmless
        return value
    kept = "\n\t"
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" and c not in kept else c for c in value
    )


def _environment() -> jinja2.Environment:
    """Templates beside this file; everything that is printed is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=visible,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
