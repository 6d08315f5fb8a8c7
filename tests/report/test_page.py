"""The report: complete, self-contained, safe against what is in the names, and made of saved results alone."""

import base64
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.report.finished import EVIDENCE, Finished, finished, with_latents
from workbench.check import SEVERITY, Check
from workbench.errors import InputError
from workbench.report import content
from workbench.report.estimates import comparison_section, profile_section
from workbench.report.page import render, write_report
from workbench.report.summary import summarise
from workbench.result import Refusal, result_from_json

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

# Four at a time: names of two variables, of the data, and whatever a manifest or a message may hold.
PAYLOADS = [
    ("<img src=x onerror=alert(1)>", "$\\frac", "[bold]", "{{7*7}}"),
    ('"><svg onload=alert(1)>', "' onmouseover='alert(1)", "--><b>", "</style><script>alert(1)</script>"),
    ("javascript:alert(1)", "]]>&lt;b&gt;", "&#60;script&#62;", "{% include 'style.css' %}"),
    ("\u202eevil\u202c", "名前", "\x07\x1b[31m", "\ud800"),
    ("a" * 300, "$x$ $y", "chain", "../../../etc/passwd"),
]


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def ids(self) -> set[str | None]:
        return {attributes.get("id") for _, attributes in self.tags}

    @property
    def images(self) -> list[bytes]:
        sources = [attributes["src"] for tag, attributes in self.tags if tag == "img"]
        assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
        return [base64.b64decode(source.split(",", 1)[1]) for source in sources]


def html_of(made: Finished) -> str:
    return render(made.answers, made.draws, made.manifest, made.verdict)


@pytest.fixture(scope="module")
def made() -> Finished:
    return finished()


@pytest.fixture(scope="module")
def html(made: Finished) -> str:
    return html_of(made)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_every_question_has_its_anchor(made: Finished, page: Page) -> None:
    wanted = {question.replace(".", "-") for question in made.answers}
    assert wanted | {"verdict", "theorem", "parameters", "posterior-draws", "provenance", "glossary"} <= page.ids


def test_every_link_leads_to_an_anchor_of_the_page(page: Page) -> None:
    targets = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert targets
    assert {target.removeprefix("#") for target in targets} <= page.ids
    assert all(target.startswith("#") for target in targets)


def test_nothing_is_loaded_and_nothing_can_run(html: str, page: Page) -> None:
    assert not {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "embed", "base", "form", "svg"}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
    assert "<script" not in html
    for loader in ('src="http', 'href="http', "url(", "@import", "srcset"):
        assert loader not in html


def test_the_policy_forbids_scripts_and_requests(page: Page) -> None:
    policies = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'; img-src data:"]


def test_every_figure_is_well_formed_svg_with_an_alternative_text(page: Page) -> None:
    assert len(page.images) == 17
    for image in page.images:
        assert ElementTree.fromstring(image).tag == "{http://www.w3.org/2000/svg}svg"
    assert all(attributes["alt"].strip() for tag, attributes in page.tags if tag == "img")


def test_results_read_back_from_json_give_the_same_bytes(made: Finished, html: str) -> None:
    again = {question: result_from_json(result.to_json()) for question, result in made.answers.items()}
    assert html_of(replace(made, answers=again)) == html


def hostile(payloads: tuple[str, str, str, str]) -> Finished:
    """The finished results with these names, and a finding, a manifest and a refusal that hold them all."""
    first, second, data, other = payloads
    text = " ".join(payloads)
    manifest = {"name": other, "seed": text, "model": {"path": other, other: list(payloads)}}
    made = finished((first, second), data, manifest)
    check = Check("ess", "failed", text, text)
    answers = {question: replace(answer, checks=(*answer.checks, check)) for question, answer in made.answers.items()}
    refusal = Refusal((), "likelihood.profile", text, text, text)
    return replace(made, answers=answers | {"likelihood.profile": refusal})


# What is dangerous in a figure, in the three names that figures show, none longer than they show it: mathematics, the
# end of a comment or of raw text in an SVG, tags, entities, quotes, another script, what cannot be printed.
# A name of 300 characters loses its middle.
IN_FIGURES = ("$\\frac$ --><b>\x07 名前", "\"'&]]>&lt;$x$ $y\u202e<b>", "a" * 300, "\ud800")


def unwritten(_: Figure) -> bytes:
    """An empty image in the place of a figure: writing them takes most of a page's time."""
    return b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'


@pytest.fixture
def unrendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not written."""
    monkeypatch.setattr(content, "svg", unwritten)


@pytest.fixture(scope="module")
def harmless() -> Page:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "svg", unwritten)
        return Page(html_of(hostile(("mu", "sigma", "height", "other"))))


@pytest.mark.usefixtures("unrendered")
@pytest.mark.parametrize("payloads", PAYLOADS)
def test_no_name_path_or_note_can_become_markup(payloads: tuple[str, str, str, str], harmless: Page) -> None:
    check_no_markup(payloads, harmless)


def test_no_name_can_spoil_a_figure(harmless: Page) -> None:
    found = check_no_markup(IN_FIGURES, harmless)
    for image in found.images:
        assert len(image) > 5_000


def check_no_markup(payloads: tuple[str, str, str, str], harmless: Page) -> Page:
    """The page of these names has the tags of any other, shows the names, and has a figure in every place."""
    found = Page(html_of(hostile(payloads)))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in harmless.tags]
    assert [sorted(a) for _, a in found.tags] == [sorted(a) for _, a in harmless.tags]
    for payload in payloads:
        assert "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in payload) in found.text
    assert "could not be drawn" not in found.text
    for image in found.images:
        ElementTree.fromstring(image)
    return found


def test_refusals_are_shown_with_reason_and_remedy_and_no_section_is_empty() -> None:
    latents = with_latents()
    found = Page(html_of(latents))
    for question in ("likelihood.maximum", "likelihood.surface", "posterior.mode", "posterior.grid"):
        assert question.replace(".", "-") in found.ids
        assert f"{question} was refused" in found.text
        assert f"{question} is refused: eta is latent" in found.text
    assert "use the draws" in found.text
    assert "There is no likelihood curve" in found.text
    assert "could not be drawn" not in found.text


def test_the_verdict_stands_in_words_with_every_finding(made: Finished, page: Page) -> None:
    assert ("div", {"class": "verdict ok"}) in page.tags
    assert "the data are extreme in one quantity" in page.text
    assert "extend the model" in page.text
    assert "Elsewhere (posterior.predictive)" in page.text
    for verdict in SEVERITY:
        summary = summarise(made.answers, (4, 500), {}, verdict)
        assert summary.verdict == verdict
        assert [finding.check.code for finding in summary.findings] == ["replicated-data"]
    with pytest.raises(InputError, match="is no verdict"):
        summarise(made.answers, (4, 500), {}, "splendid")


def test_the_numbers_are_on_the_page(page: Page) -> None:
    for number in ("175.85 ± 0.30", "-1601.98", "9.522", "0.21"):
        assert number in page.text


@pytest.mark.usefixtures("unrendered")
def test_a_question_of_the_future_or_an_answer_of_another_kind_is_still_shown(made: Finished) -> None:
    answers = made.answers | {
        "likelihood.profile": made.answers["likelihood.maximum"],
        "evidence.estimate": made.answers["evidence.bridge"],
    }
    found = Page(html_of(replace(made, answers=answers)))
    assert {"likelihood-profile", "evidence-estimate"} <= found.ids
    assert "between splits" in found.text


def test_a_report_needs_only_what_is_there() -> None:
    latents = with_latents()
    kept = {q: latents.answers[q] for q in ("anatomy", "diagnosis")}
    tree = latents.draws.filter(lambda node: node.name in (None, "posterior"))
    found = Page(render(kept, tree, {}, "unknown"))
    assert {"anatomy", "diagnosis", "parameters", "provenance"} <= found.ids
    assert "could not be drawn" not in found.text


@pytest.mark.usefixtures("unrendered")
def test_corrupted_results_are_said_and_not_drawn_and_cost_no_other_figure(made: Finished, page: Page) -> None:
    tree = made.draws.copy(deep=True)
    tree["posterior"]["mu"][0, 0] = np.nan
    tree["posterior"]["sigma"][:] += 1.0
    information = made.answers["information"]
    entries = information.entries | {"log evidence": (EVIDENCE + 1.0, 0.0, "")}
    answers = made.answers | {"information": replace(information, entries=entries)}
    found = Page(html_of(replace(made, draws=tree, answers=answers)))
    assert "1 of 2000 draws are not finite" in found.text
    assert "draws and results are of different runs" in found.text
    assert "do not add up to the log evidence" in found.text
    assert 0 < len(found.images) < len(page.images)


def test_one_chain_has_traces_and_no_ranks(made: Finished) -> None:
    tree = made.draws.isel(chain=slice(0, 1))
    found = Page(html_of(replace(made, draws=tree, answers={"diagnosis": made.answers["diagnosis"]})))
    assert "could not be drawn" not in found.text
    assert "one chain of 500 draws." in found.text


def test_a_report_without_draws_is_refused(made: Finished) -> None:
    tree = made.draws.filter(lambda node: node.name != "posterior")
    with pytest.raises(InputError, match="no posterior draws"):
        html_of(replace(made, draws=tree))


@pytest.fixture(scope="module")
def short(made: Finished) -> Finished:
    """A report of one answer, which takes a tenth of the time."""
    return replace(made, answers={"diagnosis": made.answers["diagnosis"]})


def test_the_file_is_written_whole_or_not_at_all(short: Finished, tmp_path: Path) -> None:
    made, target = short, tmp_path / "a report.html"
    target.write_text("before")
    with pytest.raises(InputError):
        write_report(target, made.answers, made.draws, made.manifest, "no verdict")
    assert target.read_text() == "before"
    assert write_report(target, made.answers, made.draws, made.manifest, made.verdict) == target
    assert target.read_text(encoding="utf-8") == html_of(made)
    assert [path.name for path in tmp_path.iterdir()] == ["a report.html"]


def test_a_place_that_cannot_be_written_gives_one_clear_message(short: Finished, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_report(tmp_path / "missing" / "report.html", short.answers, short.draws, short.manifest, short.verdict)


def test_a_report_leaves_matplotlib_as_it_was(short: Finished) -> None:
    from matplotlib import pyplot as plt

    before, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    assert Page(html_of(short)).images
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend


def test_plots_and_report_import_neither_pymc_nor_the_study() -> None:
    code = (
        "import sys, workbench.report.page; print([m for m in sys.modules if m.split('.')[0] in "
        "('pymc', 'pytensor', 'nutpie') or m in ('workbench.study', 'workbench.runs', 'workbench.cli')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_importing_workbench_loads_no_plotting() -> None:
    code = "import sys, workbench; print([m for m in sys.modules if m in ('matplotlib', 'workbench.plots', 'jinja2')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.usefixtures("unrendered")
def test_a_vector_of_every_observation_does_not_fill_the_page(made: Finished) -> None:
    mode = made.answers["likelihood.maximum"]
    labels = tuple(f"fit[{i}]" for i in range(200))
    extra = {"labels": labels, "estimate": np.ones(200), "covariance_matrix": np.eye(200)}
    found = Page(html_of(replace(made, answers=made.answers | {"likelihood.maximum": replace(mode, **extra)})))
    assert "fit[4]" in found.text
    assert "fit[195]" in found.text
    assert "fit[5]" not in found.text
    assert "10 of 200 rows are shown: results.json of a run has all of them." in found.text


def test_profile_intervals_stand_once_beside_the_others() -> None:
    made = finished()
    section = comparison_section(made.answers)
    (intervals,) = (table for table in section.tables if "95% Wald" in table.columns)
    assert intervals.columns[1:] == ("95% Wald", "95% profile", "95% ETI", "95% HDI")
    assert intervals.rows[1][2] == "[6.240, 7.101]"
    assert not profile_section(made.answers).tables
    alone = {"likelihood.profile": made.answers["likelihood.profile"]}
    assert "95% profile" in profile_section(alone).tables[0].columns
