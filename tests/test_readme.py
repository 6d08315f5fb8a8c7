"""What the README says is true: its code runs, its commands and options exist, its output is what comes out.

The same holds for the tutorial and the pages of the questions, as far as they show code, commands and output.
"""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from workbench.cli import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
PAGES = [README, TUTORIAL, *sorted((ROOT / "docs" / "questions").glob("*.md"))]
NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def relative(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page, language):
    """Code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def commands(page):
    """Every `workbench ...` that a page shows, in blocks and in the text, as lists of words."""
    text = page.read_text(encoding="utf-8")
    found = [line for block in blocks(page, "sh") for line in block.splitlines()]
    found += re.findall(r"`(workbench [^`]*)`", text) + re.findall(
        r"^    (workbench .*?)(?:   .*)?$", text, re.MULTILINE
    )
    return [shlex.split(line, comments=True) for line in found if line.startswith("workbench ")]


def find(words):
    """The command that these words name, and the words after its name."""
    command, rest = typer.main.get_command(app), words[1:]
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"{' '.join(words)}: there is no {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


SHOWN = [(relative(page), words) for page in PAGES for words in commands(page)]


@pytest.mark.parametrize(("page", "words"), SHOWN, ids=[f"{page}: {' '.join(words)}" for page, words in SHOWN])
def test_commands_and_options_exist(page, words):
    command, rest = find(words)
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        if word.startswith("--") and word != "--help":
            assert word in options, f"{page}: {word}"
        elif word.startswith("models/"):
            assert (ROOT / word).is_file(), f"{page}: {word}"


def test_options_in_the_text_exist():
    known, groups = {"--help"}, [typer.main.get_command(app)]
    while groups:
        command = groups.pop()
        groups += getattr(command, "commands", {}).values()
        known |= {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for page in PAGES:
        named = set(re.findall(r"`(--[a-z][a-z-]*)", page.read_text(encoding="utf-8")))
        assert named <= known, f"{relative(page)}: {named - known}"


def test_exit_codes_are_those_of_the_errors():
    import workbench as wb

    text = README.read_text(encoding="utf-8")
    codes = {int(code) for code in re.findall(r"^\| (\d+) \| ", text, re.MULTILINE)}
    assert codes == {0, 3, 130} | {error.exit_code for error in (wb.InputError, wb.UsageError, wb.RefusalError)}


def test_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in (README, ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"^\s*make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert f"\n{target}:" in makefile


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=relative)
def test_python_blocks_run(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    scope = {}
    for block in blocks(page, "python"):
        exec(compile(block, relative(page), "exec"), scope)
    if page == README:
        assert scope["evidence"].agrees
        assert scope["study"].diagnosis().verdict == "ok"


def extra(words, folder):
    """Options that keep a fit to what it prints."""
    return ["--no-report", "--out", str(folder / "out")] if words[1] == "fit" else []


def run(words, folder):
    """What a command prints in a process of its own; the folder holds a copy of the models."""
    done = subprocess.run(
        [sys.executable, "-m", "workbench", *words[1:], *extra(words, folder)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(ROOT / "models", tmp_path / "models")
    return tmp_path


@pytest.mark.slow
def test_the_steps_with_your_own_data_work_as_they_are_written(folder):
    (steps,) = [block for block in blocks(README, "sh") if "mkdir" in block]
    for line in steps.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "workbench":
            shown = run(words, folder)
        else:
            subprocess.run(words, cwd=folder, check=True)
    assert "verdict: ok" in shown
    assert "Normal(165, 10)" in shown
    # ... and with the two edits that the text suggests, without --data and --set.
    file = folder / "mine" / "heights.py"
    text = README.read_text(encoding="utf-8")
    prior, data = re.search(r"`(mu = pm\.Normal.*?)`", text).group(1), re.search(r'`(DATA = ".*?")`', text).group(1)
    edited = re.sub(r"^( +)mu = .*$", rf"\1{prior}", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    file.write_text(re.sub(r"^DATA = .*$", data, edited, flags=re.MULTILINE), encoding="utf-8")
    shown = run(["workbench", "check", "mine/heights.py"], folder)
    assert "Normal(165, 10)" in shown
    assert "453" in shown


def shape(line):
    """A line with its numbers taken out and its spaces evened: the form of the output."""
    return re.sub(r"\s+", " ", NUMBER.sub("#", line)).replace("[ ", "[").strip()


def asked_on(page):
    """The commands whose output a page shows: those with a model, or a question's own on the height model."""
    model = "models/height_as_normal.py"
    if page.parent.name != "questions":
        return [words for words in commands(page) if model in words and "--data" not in words]
    first = [model if word == "MODEL" else word for word in commands(page)[0]]
    return [first if first[1] in ("at", "check") else [*first, "--seed", "1"]]


def agrees(line, other):
    """Whether a printed line is the shown one, or begins with it: the same words, nearly the same numbers.

    Seeded draws are identical on one machine and nearly so on another, hence the room.
    """
    pairs = zip(*(map(float, NUMBER.findall(text)) for text in (line, other)), strict=False)
    return shape(other).startswith(shape(line)) and all(abs(x - y) <= 0.02 * abs(x) + 0.05 for x, y in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "text")], ids=relative)
def test_output_that_a_page_shows_is_what_comes_out(page, folder, command_line):
    """A block of the kind `text` is real output for the height model; another kind of example is `text other`."""
    printed = []
    for words in asked_on(page):
        code, out, err = command_line(*words[1:], *extra(words, folder))
        assert code == 0, err
        printed += out.splitlines()
    missing = [
        line
        for block in blocks(page, "text")
        for line in block.splitlines()
        if not any(agrees(line, other) for other in printed)
    ]
    assert not missing, "\n".join(["shown but not printed:", *missing, "printed:", *printed])
