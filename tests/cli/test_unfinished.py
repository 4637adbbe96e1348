"""A command whose model is proven ends with 4 where a stage after that failed."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import pytest

from wrg_onnx.errors import StatisticsError
from wrg_onnx.pipeline import rounds

pytestmark = pytest.mark.unfinished

COMMAND = ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "l1", "--recover", "bias",
           "--size", 32, "--samples", 4)  # fmt: skip


@pytest.fixture
def broken_recovery(monkeypatch):
    def use(error):
        def recover(*_):
            raise error

        monkeypatch.setattr(rounds, "recover", recover)

    return use


@pytest.mark.usefixtures("model")
def test_the_file_is_there_the_report_says_what_is_missing_and_the_code_is_4(
    run, folder, broken_recovery
):
    broken_recovery(StatisticsError("no rows"))
    done = run(*COMMAND)
    assert done.exit_code == 4
    assert (folder / "m.pruned.onnx").exists()
    assert "The weights were not recovered" in done.stdout
    assert done.stderr == (
        "Error: 'm.pruned.onnx' is written and proven, but 'recover' failed: "
        "StatisticsError: no rows\n"
    )


@pytest.mark.usefixtures("model")
def test_json_has_the_missing_stage(run, broken_recovery):
    broken_recovery(StatisticsError("no rows"))
    done = run(*COMMAND, "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout)["unfinished"] == [
        {"stage": "recover", "error": "StatisticsError", "message": "no rows", "known": True}
    ]


@pytest.mark.usefixtures("model")
def test_a_dry_run_ends_with_4_too_and_writes_nothing(run, folder, broken_recovery):
    broken_recovery(StatisticsError("no rows"))
    done = run(*COMMAND, "--dry-run")
    assert done.exit_code == 4
    assert "the model is proven, but 'recover' failed" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["m.onnx"]


@pytest.mark.usefixtures("model")
def test_the_traceback_of_a_fault_of_the_package_is_in_a_file(
    run, broken_recovery, folder, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    broken_recovery(IndexError("axis 3"))
    done = run(*COMMAND)
    assert done.exit_code == 4
    note, last = done.stderr.splitlines()
    said = re.fullmatch(r"Note: 'recover' failed behind the proof\. Its details are in (\S+)", note)
    details = Path(said[1])
    assert details.parent == folder
    assert "Traceback (most recent call last)" in details.read_text(encoding="utf-8")
    assert last.endswith("'recover' failed: IndexError: axis 3")
    assert "please report it" in done.stdout


@pytest.mark.usefixtures("model")
def test_a_report_that_cannot_be_shown_does_not_look_like_a_lost_model(run, folder, monkeypatch):
    def to_text(*_):
        raise KeyError("row")

    monkeypatch.setattr(sys.modules["wrg_onnx.report"], "to_text", to_text)
    done = run(*COMMAND)
    assert done.exit_code == 4
    assert (folder / "m.pruned.onnx").exists()
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: 'm.pruned.onnx' is written and proven, but the report cannot")
