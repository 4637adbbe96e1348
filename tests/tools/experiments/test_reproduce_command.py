"""What the command refuses, before anything is read or written."""

import json
import shlex
import sys
from dataclasses import replace

import pytest

import reproduce_wrgpruner as tool
from reproduction.results import Store
from reproduction.settings import PROFILES, Tuning
from wrg_onnx.pipeline.config import BudgetKind, Recovery
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
        (("--tune-steps", "9", "--tune-steps", "0"), "steps must be at least 1, got 0"),
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
        (("--table-only",), "holds none of these results yet: run without --table-only"),
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
    place = tmp_path / "run" / "width-0.125"
    place.mkdir(parents=True)
    (place / "settings.json").write_text(text)
    code, told = command("--folder", "run", "--device", "cpu")
    assert (code, told.count("\n")) == (1, 1)
    assert "settings.json" in told


@pytest.mark.parametrize("text", ['{"seed": 0', '{"seed": 0}'])
def test_a_result_that_is_cut_off_is_named(command, tmp_path, text):
    place = tmp_path / "run" / "width-0.125"
    Store(place, PROFILES["quick"][0])
    (place / "seed0").mkdir()
    (place / "seed0" / "sel-params-0.6-0.json").write_text(text)
    code, told = command("--folder", "run", "--table-only")
    assert (code, told.count("\n")) == (1, 1)
    assert "sel-params-0.6-0.json" in told


def test_a_folder_of_an_older_kind_is_refused(command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "settings.json").write_text('{"formulas": 3}')
    code, told = command("--folder", "run", "--device", "cpu")
    assert (code, told.count("\n")) == (2, 1)
    assert "'run' holds another experiment, of an older kind: remove it" in told
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["settings.json"]


def test_another_experiment_under_one_width_is_refused_before_any_is_run(command, tmp_path):
    Store(tmp_path / "run" / "width-0.5", replace(PROFILES["wide"][2], size=96))
    code, told = command("--profile", "wide", "--folder", "run", "--device", "cpu")
    assert (code, told.count("\n")) == (2, 1)
    assert "another experiment: its size is 96, here it is 64" in told


def test_what_is_asked_for_twice_is_done_once(monkeypatch):
    words = "--seed 1 --seed 1 --ratio .5 --ratio .5 --budget macs --budget macs --width .5"
    words += " --width 0.5 --tune-steps 3 --tune-steps 3 --criterion g --criterion g"
    (found,) = tool.settings_for(options(monkeypatch, *words.split()))
    assert (found.seeds, found.ratios, found.budgets) == ((1,), (0.5,), (BudgetKind.MACS,))
    assert (found.net.width, found.tunings, found.criteria) == (0.5, (Tuning(3),), ("g",))


def test_the_command_line_changes_the_profile(monkeypatch):
    words = "--fold --recover bias --size 48 --width 0.5 --steps 9 --tune-steps 3 --tune-steps 5"
    words = [*words.split(), "--data", "a", "--judge", "b"]
    (found,) = tool.settings_for(options(monkeypatch, *words))
    assert found.fold
    assert found.recover is Recovery.BIAS
    assert (found.size, found.net.width) == (48, 0.5)
    assert (found.training.steps, found.tunings) == (9, (Tuning(3), Tuning(5)))
    assert (found.data, found.judge) == (("a",), ("b",))
    assert Criterion.BN not in [row.criterion for row in found.rows]


def test_widths_of_a_profile_are_chosen_and_others_are_as_its_first(monkeypatch):
    words = ["--profile", "wide", "--width", "0.5", "--width", "0.3"]
    half, other = tool.settings_for(options(monkeypatch, *words))
    assert half == PROFILES["wide"][2]
    first = PROFILES["wide"][0]
    assert other == replace(first, net=replace(first.net, width=0.3))


def test_the_command_on_the_page_gives_the_same_settings(monkeypatch):
    words = "--profile wide --width 0.5 --seed 1 --seed 2 --budget macs --ratio 0.5 --fold"
    words += " --criterion sel --tune-steps 3 --steps 9 --size 48 --recover bias"
    given = options(monkeypatch, *words.split(), "--data", "two words", "--folder", "away")
    said = shlex.split(tool.command_of(given))
    assert said[:2] == ["python", "tools/experiments/reproduce_wrgpruner.py"]
    assert "away" not in said
    assert tool.settings_for(options(monkeypatch, *said[2:])) == tool.settings_for(given)


def test_the_identity_is_what_json_keeps(tmp_path):
    settings = replace(PROFILES["quick"][0], recover=Recovery.BIAS, data=("a",))
    Store(tmp_path, settings)
    kept = json.loads((tmp_path / "settings.json").read_text())
    assert kept == json.loads(json.dumps(settings.identity))
    assert kept["recover"] == "bias"
    Store(tmp_path, settings)
