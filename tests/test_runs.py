"""Run folders: what they hold, that they are whole or absent, and that tampering is noticed."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import workbench as wb
from tests import studies
from workbench.model.load import sha256_of
from workbench.posterior.predictive import Predictive
from workbench.report import content
from workbench.report.page import write_report
from workbench.runs import list_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return studies.study("coin_bias").save(tmp_path_factory.mktemp("runs") / "coin", report=False)


def test_a_run_holds_draws_results_model_data_and_provenance(folder):
    names = {file.name for file in folder.iterdir()}
    assert names == {"manifest.json", "model.py", "data.csv", "results.json", "draws.nc", "checksums.json"}


def test_an_opened_run_gives_back_every_answer(folder):
    run, study = wb.open_run(folder), studies.study("coin_bias")
    assert list(run.answers) == list(study.answers())
    for name, answer in study.answers().items():
        assert run[name].table().to_string() == answer.table().to_string()
        assert [str(c) for c in run[name].checks] == [str(c) for c in answer.checks]


def test_an_opened_run_gives_back_the_draws_bit_for_bit(folder):
    run, study = wb.open_run(folder), studies.study("coin_bias")
    np.testing.assert_array_equal(run.draws["posterior"]["p"].values, study.posterior.draws()["posterior"]["p"].values)
    predictive = run["posterior.predictive"]
    assert isinstance(predictive, Predictive)
    replicates = study.posterior.predictive().replicates["same_side"]
    np.testing.assert_array_equal(predictive.replicates["same_side"], replicates)


def test_results_are_standard_json(folder):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    json.loads((folder / "results.json").read_text(), parse_constant=refuse)


def test_the_manifest_records_seed_settings_versions_and_hashes_but_no_environment(folder, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    found = wb.open_run(folder).manifest
    assert found["seed"] == 1
    assert found["settings"]["draws"] == 1000
    assert set(found["packages"]) >= {"pymc", "nutpie", "numpy"}
    assert len(found["model"]["sha256"]) == len(found["data"]["sha256"]) == 64
    assert "hunter2" not in json.dumps(found)


def test_a_run_is_never_overwritten(folder):
    with pytest.raises(wb.InputError, match="exists already"):
        studies.study("coin_bias").save(folder, report=False)


def test_a_failure_while_saving_leaves_nothing_behind(tmp_path):
    from workbench.runs import save_run

    def broken(_path, _manifest):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_run(studies.study("coin_bias"), tmp_path / "run", {"report.html": broken})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["results.json", "draws.nc", "manifest.json"])
def test_a_changed_file_is_noticed(tmp_path, name):
    run = studies.study("coin_bias").save(tmp_path / "run", report=False)
    content = (run / name).read_bytes()
    (run / name).write_bytes(content[:-3] + b" }\n")
    with pytest.raises(wb.InputError):
        wb.open_run(run)


def test_a_missing_file_is_noticed(tmp_path):
    run = studies.study("coin_bias").save(tmp_path / "run", report=False)
    (run / "draws.nc").unlink()
    with pytest.raises(wb.InputError, match=r"draws\.nc"):
        wb.open_run(run)


def test_checksums_that_point_outside_the_run_are_refused(folder, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    sums = json.loads((copy / "checksums.json").read_text())
    (copy / "checksums.json").write_text(json.dumps(sums | {"../secret": "0" * 64}))
    with pytest.raises(wb.InputError):
        wb.open_run(copy)


def test_a_run_of_a_newer_schema_is_refused(folder, tmp_path):
    import shutil

    from workbench.model.load import sha256_of

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    content = json.loads((copy / "manifest.json").read_text()) | {"schema": 99}
    (copy / "manifest.json").write_text(json.dumps(content))
    sums = json.loads((copy / "checksums.json").read_text())
    sums["manifest.json"] = sha256_of((copy / "manifest.json").read_bytes())
    (copy / "checksums.json").write_text(json.dumps(sums))
    with pytest.raises(wb.InputError, match="newer"):
        wb.open_run(copy)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(wb.InputError, match="no finished run"):
        wb.open_run(tmp_path)


def test_opening_a_run_executes_nothing_of_it(tmp_path):
    import sys

    run = studies.study("coin_bias").save(tmp_path / "run", report=False)
    seen = []
    active = [True]
    sys.addaudithook(lambda event, args: seen.append(str(args[0])) if active[0] and event == "exec" else None)
    _ = wb.open_run(run).answers, wb.open_run(run).draws
    active[0] = False
    assert not [entry for entry in seen if "run/model.py" in entry]


def test_listing_shows_finished_runs_only(folder):
    (folder.parent / "half").mkdir(exist_ok=True)
    assert [run.path.name for run in list_runs(folder.parent)] == ["coin"]


def test_an_unknown_question_lists_what_the_run_has(folder):
    with pytest.raises(wb.InputError, match=r"likelihood\.maximum"):
        wb.open_run(folder)["nonsense"]


def _of_another_version(folder, target, *questions):
    """A copy of a run in which some answers have a field less, as an older version would have written them."""
    shutil.copytree(folder, target)
    results = json.loads((target / "results.json").read_text())
    for question in questions:
        results[question].pop("error" if "error" in results[question] else "checks")
    (target / "results.json").write_text(json.dumps(results))
    sums = json.loads((target / "checksums.json").read_text())
    sums["results.json"] = sha256_of((target / "results.json").read_bytes())
    (target / "checksums.json").write_text(json.dumps(sums))
    return wb.open_run(target)


def test_an_answer_of_another_version_is_named_and_the_others_still_open(folder, tmp_path):
    run = _of_another_version(folder, tmp_path / "old", "posterior.grid")
    whole = wb.open_run(folder)
    assert whole.unreadable == {}
    assert list(run.answers) == list(whole.answers)
    assert run["evidence.estimate"].log_evidence == whole["evidence.estimate"].log_evidence
    assert list(run.unreadable) == ["posterior.grid"]
    assert "a Grid of another version" in run.unreadable["posterior.grid"]
    assert "'error'" in run.unreadable["posterior.grid"]
    assert f"Workbench {wb.__version__}" in run["posterior.grid"].fix
    assert "posterior.grid: it cannot be read back" in repr(run)


@pytest.mark.slow
def test_a_run_is_reported_whichever_answers_cannot_be_read(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "svg", lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'></svg>")
    questions = list(wb.open_run(folder).answers)
    # Every question is unreadable in some of these, beside most of the others that are readable, and the other way.
    digits = range((len(questions) - 1).bit_length())
    some = [[question for k, question in enumerate(questions) if k >> digit & 1] for digit in digits]
    for number, broken in enumerate([questions, *some]):
        run = _of_another_version(folder, tmp_path / f"{number}", *broken)
        assert list(run.unreadable) == broken
        write_report(tmp_path / f"{number}.html", run.answers, run.draws, run.manifest, run.verdict)
        assert "cannot be read back" in (tmp_path / f"{number}.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_run_with_every_answer_opens_and_is_reported_in_a_process_that_made_no_study(tmp_path):
    study = studies.study("coin_bias")
    study.evidence.robustness()
    study.evidence.sequential()
    folder, target = study.save(tmp_path / "coin", report=False), tmp_path / "again.html"
    opened = f"workbench.open_run({str(folder)!r}).answers.values()"
    script = f"import workbench; print(*(type(a).__name__ for a in {opened}))"
    kinds = run_python("-c", script).split()
    assert kinds == [type(answer).__name__ for answer in study.answers().values()]
    assert {"Evidence", "Robustness", "Sequential"} <= set(kinds)
    run_python("-m", "workbench", "report", str(folder), "--out", str(target))
    assert "coin" in target.read_text(encoding="utf-8")


def run_python(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
