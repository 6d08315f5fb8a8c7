"""The benchmarks run and return sane rows; how fast anything is, is never asserted."""

import contextlib
import importlib
import json
import math
import os

import pytest

from benchmarks import __main__ as program
from benchmarks import evidence, profile, refit, regressions, sampling, startup, whole
from benchmarks.cases import CASES
from benchmarks.processes import ROOT, run
from benchmarks.timings import Row, Side, Target, duration, table
from workbench.evidence import nested


@pytest.fixture
def in_process(monkeypatch, capsys):
    """Modules do their tasks here, where all is imported and compiled; `whole` and `startup` still run processes."""

    def answer(module, task, _environment):
        importlib.import_module(module).main(json.loads(json.dumps(task)))
        return json.loads(capsys.readouterr().out.splitlines()[-1]), 100.0

    for module in (evidence, profile, refit, sampling):
        monkeypatch.setattr(module, "run_module", answer)


def row(ours, theirs, target, notes=()):
    return Row("a", Side("mine", ours, 10.0), Side("other", theirs, 20.0), target, notes)


def assert_sane(rows, expected):
    assert len(rows) == expected
    for found in rows:
        assert len(found.ours.seconds) == len(found.theirs.seconds) == 1
        assert all(0 < t < math.inf for t in (*found.ours.seconds, *found.theirs.seconds, found.ratio))
        assert found.ours.peak_mib > 1
        assert found.theirs.peak_mib > 1
        assert found.met in (True, False)
    assert all(found.what in table(rows) for found in rows)


def test_the_ratio_is_the_median_of_pairs_and_not_of_medians():
    found = row((1.0, 4.0, 9.0), (2.0, 4.0, 90.0), None)
    assert found.ratios == [0.5, 1.0, 0.1]
    assert found.ratio == 0.5
    assert found.met is None


def test_a_target_limits_the_median_and_each_repetition():
    assert row((1.0, 1.0, 3.0), (2.0, 2.0, 2.0), Target("ratio", 0.5)).met
    assert not row((1.0, 1.0, 3.0), (2.0, 2.0, 2.0), Target("ratio", 0.5, 1.05)).met
    assert not row((1.1, 1.1, 1.0), (2.0, 2.0, 2.0), Target("ratio", 0.5)).met
    assert row((0.004,), (1e-9,), Target("seconds", 0.005)).met
    assert str(Target("ratio", 0.5, 1.05)) == "<= 0.5 x, each <= 1.05 x"
    assert str(Target("seconds", 0.005)) == "<= 5 ms"


def test_the_table_gives_each_note_once():
    rows = [row((1.0,), (2.0,), None, ("said once",)), row((1.0,), (2.0,), None, ("said once", "and this"))]
    text = table(rows)
    assert text.count("said once") == 1
    assert "a [1] " in text
    assert "a [1, 2] " in text
    assert [duration(t) for t in (1.2345, 0.1, 0.0042)] == ["1.23 s", "0.1 s", "4.2 ms"]


def test_a_process_that_fails_is_reported_with_what_it_said():
    with pytest.raises(RuntimeError, match="ended with 3:\nnot today"):
        run(["-c", "import sys; print('not today', file=sys.stderr); sys.exit(3)"])


def test_the_files_of_all_models_exist():
    files = [path for case in CASES.values() for path in (case.file, case.table) if path]
    assert len(files) == 5
    assert all((ROOT / path).is_file() for path in files)


def test_a_partial_run_is_never_written_into_the_documentation(capsys):
    for text in ("--write --models coin_bias", "--write --repetitions 1", "nothing", "--repetitions 0"):
        with pytest.raises(SystemExit):
            program.parse(text.split())
    assert "there is no benchmark 'nothing'" in capsys.readouterr().err
    assert program.parse(["--write"]).write


def test_a_run_renews_its_own_section_of_the_documentation():
    first = program.document("", {"evidence": "| old |", "startup": "| a |"})
    second = program.document(first, {"evidence": "| new |"})
    assert second.startswith(program.INTRODUCTION)
    assert second == first.replace("old", "new")
    assert second.index("## Start-up") < second.index("| a |") < second.index("## Evidence") < second.index("| new |")
    assert set(program.TITLES) == set(program.BENCHMARKS)


def test_the_machine_is_described_without_paths():
    assert "Python 3." in program.machine()
    assert "/" not in program.machine()


@pytest.mark.slow
def test_start_up_is_measured():
    assert_sane(list(startup.measure(1)), 2)


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_sampling_is_measured_with_a_model_that_was_seen_before(monkeypatch):
    answer = sampling.run_module

    def once(module, task, environment):
        """The peak of `pm.sample` alone is not measured in one process; it would be compiled twice more for it."""
        return ({}, 100.0) if task["sides"] == ["pymc"] else answer(module, task, environment)

    monkeypatch.setattr(sampling, "run_module", once)
    assert_sane(list(sampling.measure(1, ["coin_bias"], draws=50, states=["seen"])), 2)


@pytest.mark.slow
def test_a_whole_process_is_measured(monkeypatch):
    # What this session has compiled is there already: nobody reads these times.
    monkeypatch.setattr(whole, "own_cache", lambda: contextlib.nullcontext(os.environ))
    assert_sane(list(whole.measure(1, ["coin_bias"], draws=100, states=["empty cache"])), 1)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_profile_of_a_regression_is_measured():
    assert_sane(list(profile.measure(1)), 1)


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
@pytest.mark.filterwarnings("ignore:`find_MAP` will jitter:FutureWarning", "ignore:`find_MAP`:FutureWarning")
def test_refits_are_measured_where_a_maximum_exists():
    assert_sane(list(refit.measure(1, ["coin_bias"])), 1)


def test_a_cost_that_is_no_time_is_printed_with_its_unit():
    found = Row("a", Side("mine", (597.0,), 597.0), Side("other", (251.0,), 251.0), Target("MiB", 2048), (), "MiB")
    assert found.met
    assert "597 MiB" in table([found])
    assert str(Target("MiB", 2048)) == "<= 2048 MiB"
    assert "3.1e+07 calls" in table([Row("a", *[Side("b", (31e6,), 1.0)] * 2, None, (), "calls")])


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_cost_of_the_evidence_is_measured(monkeypatch):
    monkeypatch.setattr(regressions, "NAMES", ("normal",))
    rows = list(evidence.measure(1, ["coin_bias"], draws=200, parts=("cost",)))
    models = 1 + len(regressions.NAMES)
    assert_sane([found for found in rows if found.target is not None], models)
    assert [found.what.split()[0].strip(",") for found in rows] == ["bridge", "tempering"] * models


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_equal_errors_of_the_bridge_and_of_smc_are_sought(monkeypatch):
    monkeypatch.setattr(regressions, "NAMES", ("normal",))
    assert_sane(list(evidence.measure(1, [], draws=100, parts=("smc",), most=100)), 1)


@pytest.mark.deep
@pytest.mark.slow
def test_evaluations_of_nested_sampling_are_counted(monkeypatch):
    pytest.importorskip("dynesty")
    monkeypatch.setattr(nested, "_LIVE", 25)  # what is looked at is that calls are counted on both sides
    monkeypatch.setattr(nested, "_LIVE_PER_DIMENSION", 4)
    monkeypatch.setattr(nested, "_RUNS", 2)
    answer = evidence._nested({"model": "Poisson", "draws": 200, "repetitions": 1})
    assert answer["ours"]["cost"][0] > 1000
    assert answer["theirs"]["cost"][0] > 1000
    assert "scaled by" in answer["note"]


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_memory_of_a_bridge_in_many_dimensions_is_measured(monkeypatch):
    monkeypatch.setattr(evidence, "DIMENSIONS", 50)
    (found,) = evidence.measure(1, [], draws=200, parts=("memory",))
    assert found.unit == "MiB"
    assert found.met
