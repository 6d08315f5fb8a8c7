"""The command line: exit codes, one clear message for every bad input, and nothing half-written."""

import json
import shutil
import subprocess
import sys
import textwrap

import pytest
from rich.console import Console

import workbench as wb
from tests import studies
from workbench import terminal
from workbench.result import Refusal

pytestmark = pytest.mark.slow  # dozens of compiled models or whole commands: left out of `make test-fast`

HEIGHT = str(studies.MODELS / "height_as_normal.py")
COIN = str(studies.MODELS / "coin_bias.py")
POISSON = """
    import pymc as pm

    def build(k, prior_rate=1.0):
        with pm.Model() as model:
            rate = pm.Gamma("rate", 2.0, prior_rate)
            pm.Poisson("k", rate, observed=k)
        return model
"""
STUCK = """
    import pymc as pm

    DATA = "y.csv"

    def build(y):
        with pm.Model() as model:
            v = pm.Normal("v", 0.0, 3.0)
            x = pm.Normal("x", 0.0, pm.math.exp(v / 2), shape=9)
            pm.Normal("y", x[0], 10.0, observed=y)
        return model
"""


def _file(path, text):
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def test_fit_prints_everything_and_leaves_a_whole_run_folder(command_line, tmp_path):
    code, out, _ = command_line("fit", COIN, "--seed", "1", "--no-report")
    assert code == 0
    parts = ("the model", "MLE | MAP | posterior", "Wald 95%", "ETI 95%", "log evidence", "bits about p", "verdict: ok")
    for part in parts:
        assert part in out
    (folder,) = (tmp_path / "runs").iterdir()
    assert wb.open_run(folder).verdict == "ok"
    assert str(folder.name) in out


def test_fit_as_json_is_one_object_with_every_answer(command_line):
    code, out, _ = command_line("fit", COIN, "--seed", "1", "--no-report", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["verdict"] == "ok"
    assert found["seed"] == 1
    assert "evidence.estimate" in found["answers"]


def test_fit_with_all_prints_also_what_draws_anew(command_line, tmp_path):
    model = _file(tmp_path / "counts.py", POISSON)
    data = _file(tmp_path / "counts.csv", "k\n1\n3\n2\n")
    _, out, _ = command_line("fit", str(model), "--data", str(data), "--seed", "1", "--no-report", "--all")
    assert "the evidence as its priors change" in out
    assert "the evidence, one observation after the other" in out


@pytest.mark.parametrize(
    "command",
    [
        ("prior", "draws"),
        ("likelihood", "maximum"),
        ("likelihood", "surface"),
        ("posterior", "mode"),
        ("posterior", "laplace"),
        ("posterior", "grid"),
        ("posterior", "draws"),
        ("posterior", "predictive"),
        ("evidence", "estimate"),
        ("evidence", "bridge"),
        ("compare",),
        ("information",),
        ("prediction",),
        ("diagnosis",),
        ("check",),
    ],
)
def test_every_question_has_a_command_with_a_table_and_json(command_line, command):
    seed = () if command == ("check",) else ("--seed", "1")
    code, out, _ = command_line(*command, COIN, *seed)
    assert code == 0
    assert len(out.splitlines()) > 2
    code, out, _ = command_line(*command, COIN, *seed, "--json")
    assert code == 0
    assert isinstance(json.loads(out), dict)


def test_at_walks_one_theta_through_the_theorem(command_line):
    code, out, _ = command_line("at", HEIGHT, "mu=170", "sigma=8")
    assert code == 0
    for term in ("log p(mu)", "log p(sigma)", "log p(height | theta)", "log p(y, theta)", "log p(theta | y)"):
        assert term in out


def test_at_speaks_of_a_jacobian_only_where_there_is_one(command_line, tmp_path):
    _file(
        tmp_path / "m.py",
        """
        import pymc as pm

        def build():
            with pm.Model() as model:
                pm.Normal("y", pm.Normal("mu", 0.0, 10.0), 1.0, observed=[1.0, 2.0])
            return model
        """,
    )
    assert "Jacobian" not in command_line("at", "m.py", "mu=1")[1]
    assert "Jacobian" in command_line("at", HEIGHT, "mu=175", "sigma=7")[1]


def test_setting_a_hyperparameter_moves_the_map_and_not_the_maximum(command_line):
    narrow = ("--json", "--set", "prior_sd=0.01")
    _, plain, _ = command_line("likelihood", "maximum", HEIGHT, "--json")
    _, still, _ = command_line("likelihood", "maximum", HEIGHT, *narrow)
    _, moved, _ = command_line("posterior", "mode", HEIGHT, *narrow)
    mean = studies.heights().mean()
    for text in (plain, still):
        assert json.loads(text)["likelihood.maximum"]["estimate"]["value"][0] == pytest.approx(mean, abs=1e-8)
    assert abs(json.loads(moved)["posterior.mode"]["map"]["estimate"]["value"][0] - 170.0) < 0.1


BAD_DATA = {
    "a missing file": (None, 1, "no such data file"),
    "an empty file": ("", 1, "empty"),
    "a header alone": ("height\n", 1, "no rows"),
    "a misnamed column": ("size\n170\n", 1, "no column 'height'"),
    "text in a number column": ("height\n170\nabc\n171\n", 1, "'abc' in row 1"),
    "decimal commas": ("height\n171,5\n172,4\n", 1, "more fields than the header"),
    "semicolons": ("height;sex\n171;m\n", 1, "not separated by commas"),
    "a missing value": ("height,x\n170,1\n,2\n171,3\n", 4, "row 1"),
    "an infinite value": ("height\n170\ninf\n", 4, "infinite"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_give_one_message_the_right_code_and_no_run_folder(command_line, tmp_path, case):
    text, expected, message = BAD_DATA[case]
    data = tmp_path / "mine.csv"
    if text is not None:
        data.write_text(text)
    code, out, err = command_line("fit", HEIGHT, "--data", data)
    assert code == expected
    assert message in err
    assert "What to do:" in err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


BAD_MODELS = {
    "does not import": ("import nonexistent_module\n", "nonexistent_module"),
    "does not parse": ("def build(:\n", "line 1"),
    "has no build": ("x = 1\n", "no function `build`"),
    "returns no model": ("DATA = 'y.csv'\ndef build(y): return 5\n", "returned int"),
    "fails in build": ("DATA = 'y.csv'\ndef build(y):\n    return y + undefined\n", "line 3: NameError"),
    "exits": ("raise SystemExit(3)\n", "SystemExit"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_bad_model_files_give_one_message_and_no_run_folder(command_line, tmp_path, case):
    text, message = BAD_MODELS[case]
    (tmp_path / "y.csv").write_text("y\n1\n2\n")
    _file(tmp_path / "m.py", text)
    code, out, err = command_line("fit", "m.py")
    assert code == 1
    assert message in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "runs").exists()


def test_a_model_file_that_is_not_there_is_an_error(command_line):
    code, _, err = command_line("fit", "nowhere.py")
    assert code == 1
    assert "no such model file" in err


@pytest.mark.parametrize(
    ("rows", "message"),
    [("1\n-2\n", "impossible under Poisson: row 1: -2"), ("1\n2.5\n", "holds 2.5 in row 1")],
)
def test_data_that_the_likelihood_cannot_produce_are_refused_before_sampling(command_line, tmp_path, rows, message):
    _file(tmp_path / "m.py", POISSON)
    (tmp_path / "k.csv").write_text("k\n" + rows)
    code, _, err = command_line("fit", "m.py", "--data", "k.csv")
    assert code == 4
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fit", HEIGHT, "--set", "nonsense=1"), "no hyperparameter 'nonsense'"),
        (("fit", HEIGHT, "--set", "prior_sd=abc"), "no number"),
        (("fit", HEIGHT, "--set", "prior_sd"), "no setting"),
        (("fit", HEIGHT, "--nonsense"), "nonsense"),
        (("nonsense",), "nonsense"),
        (("fit",), "MODEL"),
        (("fit", HEIGHT, "--draws", "0"), "draws is 0"),
        (("fit", HEIGHT, "--level", "95"), "level is 95"),
        (("fit", HEIGHT, "--potential", "x"), "no side"),
    ],
)
def test_wrong_usage_exits_with_two(command_line, arguments, message):
    code, _, err = command_line(*arguments)
    assert code == 2
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("at", HEIGHT, "mu=170", "sgma=8"), "no free variable 'sgma'"),
        (("at", HEIGHT, "mu=170"), "no value for sigma"),
        (("at", HEIGHT, "mu=170", "sigma=-8"), "outside its support"),
        (("fit", HEIGHT, "--parameter", "nonsense"), "no free variable 'nonsense'"),
        (("fit", HEIGHT, "--potential", "nonsense=prior"), "no potential 'nonsense'"),
        (("report", "nowhere"), "no finished run"),
        (("models", "nowhere"), "no such folder"),
        (("runs", "nowhere"), "no such folder"),
    ],
)
def test_unknown_names_and_values_are_errors(command_line, arguments, message):
    code, out, err = command_line(*arguments)
    assert code == 1
    assert message in err
    assert "Traceback" not in out + err


def test_an_interrupt_exits_with_130_and_leaves_nothing(command_line, tmp_path, monkeypatch):
    import workbench.posterior.draws as module

    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "run_nuts", interrupted)
    code, _, err = command_line("fit", COIN, "--no-report")
    assert code == 130
    assert "interrupted" in err
    assert not (tmp_path / "runs").exists()


def test_a_failed_diagnosis_exits_with_three_but_keeps_the_run(command_line, tmp_path):
    _file(tmp_path / "funnel.py", STUCK)
    (tmp_path / "y.csv").write_text("y\n1.5\n")
    code, out, _ = command_line("fit", "funnel.py", "--seed", "1", "--draws", "100", "--tune", "50", "--no-report")
    assert code == 3
    assert "verdict: failed" in out
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_runs_lists_what_was_fitted(command_line):
    command_line("fit", COIN, "--seed", "1", "--no-report")
    code, out, _ = command_line("runs")
    assert code == 0
    assert "coin_bias" in out
    assert "ok" in out


def test_models_shows_the_first_line_of_each_docstring(command_line):
    code, out, _ = command_line("models", studies.MODELS)
    assert code == 0
    assert "coin_bias.py" in out
    assert "height_as_normal.py" in out


def test_demo_outside_a_checkout_says_so(command_line):
    code, _, err = command_line("demo")
    assert code == 1
    assert "checkout" in err


def test_no_progress_is_written_when_output_is_piped(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "workbench", "posterior", "draws", COIN, "--seed", "1"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_names_with_markup_are_shown_not_obeyed(command_line, tmp_path):
    _file(
        tmp_path / "m.py",
        """
        import pymc as pm

        def build():
            with pm.Model() as model:
                p = pm.Beta("[bold]p", 2.0, 2.0)
                pm.Binomial("k", n=10, p=p, observed=7)
            return model
        """,
    )
    code, out, _ = command_line("likelihood", "maximum", "m.py")
    assert code == 0
    assert "[bold]p" in out


def test_a_long_note_is_set_in_where_the_terminal_is_narrow(monkeypatch, capsys):
    refusal = Refusal((), "posterior.grid", "refused", "model", "ask")
    monkeypatch.setattr(terminal, "_console", lambda: Console(width=60, highlight=False))
    monkeypatch.setattr(Refusal, "notes", lambda _: ["caution r-hat: largest R-hat 1.2 " + "and so on " * 12])
    terminal.show(refusal)
    lines = capsys.readouterr().out.splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("  caution"))
    assert len(lines) > first + 1
    assert all(line[:4].isspace() and not line[4].isspace() for line in lines[first + 1 :])
    assert max(map(len, lines)) <= 60


def test_a_deterministic_of_every_observation_does_not_bury_the_parameters(command_line, tmp_path):
    _file(
        tmp_path / "m.py",
        """
        import numpy as np
        import pymc as pm

        def build():
            x = np.linspace(-1.0, 1.0, 200)
            with pm.Model() as model:
                a, b = pm.Normal("a", 0.0, 10.0), pm.Normal("b", 0.0, 10.0)
                mu = pm.Deterministic("mu", a + b * x)
                pm.Normal("y", mu, 1.0, observed=2.0 + x + np.sin(50.0 * x))
            return model
        """,
    )
    for command in (("likelihood", "maximum"), ("compare",)):
        _, out, _ = command_line(*command, "m.py", "--seed", "1")
        assert "12 of 202 rows are shown: --json has all of them" in out
        assert "mu[199]" in out
        assert "mu[100]" not in out
        assert len(out.splitlines()) < 40
    assert "mu[100]" in command_line("likelihood", "maximum", "m.py", "--json")[1]


def test_a_copied_model_with_a_changed_prior_runs_on_another_csv(command_line, tmp_path):
    # A new user's first ten minutes: copy, change a prior, bring data.
    text = (studies.MODELS / "height_as_normal.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(text.replace("prior_sd=20.0", "prior_sd=5.0"), encoding="utf-8")
    shutil.copy(studies.MODELS / "data" / "heights_daughters.csv", tmp_path / "mine.csv")
    code, out, _ = command_line("fit", "mine.py", "--data", "mine.csv", "--seed", "2", "--no-report")
    assert code == 0
    assert "Normal(170, 5)" in out


def test_the_bootstrap_takes_a_kind_and_a_number_of_replicates(command_line):
    code, out, _ = command_line(
        "likelihood", "bootstrap", HEIGHT, "--kind", "nonparametric", "--replicates", 20, "--seed", 1, "--level", 0.8,
        "--json",
    )  # fmt: skip
    assert code == 0
    study = wb.load(HEIGHT, seed=1)
    found = json.loads(out)["likelihood.bootstrap"]
    assert found == json.loads(study.likelihood.bootstrap(20, "nonparametric", 0.8).to_json())
    assert command_line("likelihood", "bootstrap", HEIGHT, "--kind", "wild")[0] == 2
    assert command_line("likelihood", "bootstrap", HEIGHT, "--replicates", 1)[0] == 2
