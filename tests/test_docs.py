"""The pages cover every question and every finding, their links lead somewhere, and they keep to one word per idea."""

import re
from pathlib import Path

import pytest

from workbench.check import CATALOGUE
from workbench.cli import app
from workbench.evidence_view import EvidenceView
from workbench.study import Study
from workbench.views import LikelihoodView, PosteriorView, PriorView

ROOT = Path(__file__).parents[1]
QUESTIONS = ROOT / "docs" / "questions"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
VIEWS = {"prior": PriorView, "likelihood": LikelihoodView, "posterior": PosteriorView, "evidence": EvidenceView}
# Methods and commands that ask no question of the model: they write, list or repeat.
NO_QUESTION = {"report", "save", "draws", "answers", "verdict", "doubts", "once", "seed_of", "start_again"}
NO_QUESTION_COMMANDS = {"fit", "report", "runs", "models", "demo"}
OTHER_NAMES = {"compare": "comparison", "check": "anatomy"}  # method or command -> page


def relative(page):
    return page.relative_to(ROOT).as_posix()


def python_questions():
    """Question -> page that it must have, from the methods of `Study` and its views."""
    found = {
        f"study.{term}.{name}": f"{term}-{name.replace('_', '-')}"
        for term, view in VIEWS.items()
        for name, method in vars(view).items()
        if callable(method) and not name.startswith("_")
    }
    for name, member in vars(Study).items():
        is_question = callable(member) or name == "anatomy"
        if is_question and not name.startswith("_") and name not in NO_QUESTION:
            found[f"study.{name}"] = OTHER_NAMES.get(name, name)
    return found


def command_questions():
    """The same for the command line."""
    found = {}
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        if name not in NO_QUESTION_COMMANDS:
            found[f"workbench {name}"] = OTHER_NAMES.get(name, name)
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:
            found[f"workbench {group.name} {command.name}"] = f"{group.name}-{command.name}"
    return found


ASKED = {**python_questions(), **command_questions()}


def prose(page):
    """The text of a page without blocks, code spans, addresses and quotations in italics."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`|\]\([^)]*\)|https?://\S+|\*[^*\n]+\*", " ", text)


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("question", "page"), ASKED.items())
def test_every_question_has_a_page_that_shows_how_to_ask_it(question, page):
    file = QUESTIONS / f"{page}.md"
    assert file.is_file(), f"{question} has no page {relative(file)}"
    assert question in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", sorted(QUESTIONS.glob("*.md")), ids=lambda page: page.stem)
def test_every_page_is_about_a_question_that_exists(page):
    assert page.stem in ASKED.values()


@pytest.mark.parametrize("page", sorted(QUESTIONS.glob("*.md")), ids=lambda page: page.stem)
def test_every_page_says_how_to_read_the_answer_and_where_it_is_from(page):
    text = page.read_text(encoding="utf-8")
    assert re.search(r"\*\*(How to read it|What it shows)\.\*\*", text)
    assert re.search(r"\*\*References?\.\*\*", text)


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_finding_has_a_section_with_threshold_and_remedy(code):
    text = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### `([\w-]+)`\n(.*?)(?=^##|\Z)", text, flags=re.DOTALL | re.MULTILINE))
    assert set(sections) == set(CATALOGUE)
    assert "**Threshold.**" in sections[code]
    assert "**What to do.**" in sections[code]


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page if not path else (page.parent / path).resolve()
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), target


# A word that stands for an idea with another name here -> the word to use. Each pattern is narrow enough that ordinary
# English passes: "effective sample size" is a name, and code, output and titles of books are left out by `prose`.
FORBIDDEN = {
    r"best[- ]fit\b": "mode, or maximum",
    r"marginal likelihood": "evidence",
    r"\b(posterior|prior|MCMC) samples?\b": "draws",
    r"\bsamples\b": "draws",
    r"\b(traces?|idata|InferenceData)\b": "draws",
    r"\blog ?evidence\b.*\blogz\b|\blogz\b|\blogml\b": "log_evidence",
    r"\b(logp|lnprob|nll|loglik)\b": "log_prior, log_likelihood or log_target",
    r"\b(hessian_inv|vcov)\b": "covariance",
    r"\brandom effects?\b|\bnuisance\b": "latent",
    r"\bunnormali[sz]ed\b": "log_joint or log_target",
}


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_one_word_per_idea(page):
    text = prose(page)
    used = {found.group(0): word for pattern, word in FORBIDDEN.items() for found in re.finditer(pattern, text, re.I)}
    assert not used, f"say instead: {used}"


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_pages_name_no_folder_of_a_machine_and_use_no_picture_characters(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.:/])/(?:home|root|work|tmp|Users|usr)/", text)
    assert not re.search(r"[\U0001F300-\U0001FAFF\u2600-\u27BF]", text)
