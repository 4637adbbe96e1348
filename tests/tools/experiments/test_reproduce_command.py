"""What the command refuses, before anything is read or written."""

import json
import sys
from dataclasses import replace

import pytest

import reproduce_wrgpruner as tool
from reproduction.results import Store
from reproduction.settings import PROFILES
from wrg_onnx.pipeline.config import Recovery
from wrg_onnx.select import Criterion


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command, and tells its exit code and its errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tool, "run_all", lambda *_: None)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["reproduce_wrgpruner.py", *words])
        with pytest.raises(SystemExit) as ended:
            tool.main()
        return ended.value.code, capsys.readouterr().err

    return run


def options(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["reproduce_wrgpruner.py", *words])
    return tool.parse()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--seed", "-1"), "seed must be at least 0, got -1"),
        (("--seed", "0", "--seed", str(2**70)), "seed must be at most 9223372036854775807"),
        (("--processes", "-1"), "--processes must be at least 1, got -1"),
        (("--processes", "0"), "--processes must be at least 1, got 0"),
        (("--threads", "-1"), "--threads must be at least 1, got -1"),
        (("--size", "8"), "--size must be at least 16, got 8"),
        (("--size", "0"), "--size must be at least 16, got 0"),
        (("--ratio", "1.5"), "ratio must be in [0, 1), got 1.5"),
        (("--ratio", "nan"), "ratio must be in [0, 1), got nan"),
        (("--steps", "0"), "steps must be at least 1, got 0"),
        (("--width", "-1"), "width must be in (0, 8], got -1"),
        (("--judge", "a"), "--judge needs --data"),
        (("--data", "a", "--data", "./a"), "--data 'a' is the folder of --data 'a' already"),
        (("--data", "a"), "no data directory at 'a'"),
        (("--weights", "a.pth"), "no weights at 'a.pth'"),
        (("--folder", "file"), "'file' is not a folder that can be written to"),
        (("--output", "folder"), "'folder' is a folder"),
        (("--output", "file/table.md"), "'file' is not a folder"),
        (("--output", "plots.svg"), "--output 'plots.svg' is the table"),
        (("--fold", "--criterion", "sel", "--criterion", "bn"), "leave out --fold"),
        (("--table-only",), "holds no results yet: run without --table-only"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line_before_anything_is_made(
    command, tmp_path, words, message
):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    there = sorted(tmp_path.rglob("*"))
    code, told = command("--device", "cpu", *words)
    assert code in (1, 2)
    assert message in told.replace(f"{tmp_path}/", "")
    assert told.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize("text", ['{"size": 64', "[]", ""])
def test_settings_that_are_cut_off_are_told_in_one_line(command, tmp_path, text):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text(text)
    code, told = command("--folder", "run", "--device", "cpu")
    assert (code, told.count("\n")) == (1, 1)
    assert "settings.json" in told


@pytest.mark.parametrize("text", ['{"seed": 0', '{"seed": 0}'])
def test_a_result_that_is_cut_off_is_named(command, tmp_path, text):
    Store(tmp_path / "run", PROFILES["quick"])
    (tmp_path / "run" / "seed0").mkdir()
    (tmp_path / "run" / "seed0" / "sel-0.6.json").write_text(text)
    code, told = command("--folder", "run", "--table-only")
    assert (code, told.count("\n")) == (1, 1)
    assert "sel-0.6.json" in told


def test_what_is_asked_for_twice_is_done_once(monkeypatch):
    found = tool.settings_for(
        options(monkeypatch, *["--seed", "1", "--seed", "1", "--ratio", ".5", "--ratio", ".5"])
    )
    assert (found.seeds, found.ratios) == ((1,), (0.5,))


def test_the_command_line_changes_the_profile(monkeypatch):
    words = "--fold --recover bias --size 48 --width 0.5 --steps 9 --tune-steps 3"
    found = tool.settings_for(options(monkeypatch, *words.split(), "--data", "a", "--judge", "b"))
    assert found.fold
    assert found.recover is Recovery.BIAS
    assert (found.size, found.net.width) == (48, 0.5)
    assert (found.training.steps, found.tuning.steps) == (9, 3)
    assert (found.data, found.judge) == (("a",), ("b",))
    assert Criterion.BN not in [row.criterion for row in found.rows]


def test_the_identity_is_what_json_keeps(tmp_path):
    settings = replace(PROFILES["quick"], recover=Recovery.BIAS, data=("a",))
    Store(tmp_path, settings)
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept == json.loads(json.dumps(settings.identity))
    assert kept["recover"] == "bias"
    Store(tmp_path, settings)
