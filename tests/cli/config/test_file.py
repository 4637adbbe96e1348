"""Files of options that are none, too large, hostile, or of another program."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

EVIL = "\x1b[31m\r\nError: forged\u202e"
SHOWN = r"\x1b[31m\r\nError: forged\u202e"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a = [", "is no TOML: Invalid value (at end of document)"),
        (b"a = 1\na = 2", "is no TOML: Cannot overwrite a value ("),
        (b"\xff", "is no text in UTF-8 ('utf-8' codec can't decode byte 0xff in position 0"),
        (b"a = " + b"[" * 10_000, "is no TOML: maximum recursion depth exceeded"),
        (b"#" * (2**20 + 1), "is larger than the 1 MiB that a file of options takes"),
        (b"a" + b".a" * 500_000 + b" = 1", "a line of it has more than 200 dots"),
    ],
    ids=["no value", "twice", "no text", "deep", "large", "dots"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["wrg.toml", "named.toml"])
def test_a_file_that_is_none_is_refused_in_one_line_and_at_once(refused, name, content, problem):
    Path(name).write_bytes(content)
    start = time.process_time()
    typed = ("--config", name) if name == "named.toml" else ()
    line = refused("prune", "m.onnx", *typed, code=2)
    assert line.startswith(f"'{name}': {problem}")
    assert time.process_time() - start < 5


def test_keys_of_as_many_parts_as_are_read_take_seconds_at_most(refused, folder):
    lines = [f"{'.'.join([f'a{number}', *'b' * 199])} = 1\n" for number in range(500)]
    (folder / "wrg.toml").write_text("".join(lines), encoding="utf-8")
    start = time.process_time()
    assert "unknown key 'a0'" in refused("prune", "m.onnx", code=2)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.toml", "'nowhere.toml': cannot be read: No such file or directory"),
        ("folder", "'folder': cannot be read: Is a directory"),
        ("/dev/null", "'/dev/null': cannot be read: not an ordinary file"),
        ("pipe", "'pipe': cannot be read: not an ordinary file"),
    ],
)
def test_what_is_named_and_no_file_is_refused(refused, folder, name, problem):
    (folder / "folder").mkdir()
    os.mkfifo("pipe")
    assert refused("prune", "m.onnx", "--config", name, code=2) == problem


@pytest.mark.parametrize("name", ["wrg.toml", "pyproject.toml"])
def test_a_link_to_nowhere_in_its_place_is_told(run, folder, name):
    (folder / name).symlink_to("nowhere")
    done = run("prune", "m.onnx")
    assert done.exit_code == 2
    assert done.stderr == f"Error: '{name}': cannot be read: No such file or directory\n"


def test_a_project_that_is_named_must_have_the_table(refused, write):
    write("[tool.other]\n", "pyproject.toml")
    line = refused("prune", "m.onnx", "--config", "pyproject.toml", code=2)
    assert line == "'pyproject.toml': has no table [tool.wrg-onnx]"


def test_a_table_of_almost_the_name_is_not_passed_over(refused, write):
    write("[tool.wrg_onnx.prune]\nratio = 0.5\n", "pyproject.toml")
    line = refused("prune", "m.onnx", code=2)
    assert line == (
        "'pyproject.toml': [tool.wrg_onnx] is read by nobody: did you mean [tool.wrg-onnx]?"
    )


def test_a_mark_of_windows_before_the_text_is_passed_over(called, folder):
    (folder / "wrg.toml").write_bytes(b"\xef\xbb\xbf[prune]\nratio = 0.6\n")
    assert called("prune", "m.onnx")["ratio"] == 0.6


def test_names_and_values_are_shown_escaped(refused, called, write):
    write(f"[prune]\n{json.dumps(EVIL)} = 1\n")
    assert refused("prune", "m.onnx", code=2) == f"'wrg.toml': unknown key 'prune.{SHOWN}'"
    write(f"[prune]\nratio = {json.dumps(EVIL)}\n")
    assert SHOWN in refused("prune", "m.onnx", code=2)
    write(f"[prune]\ndata = {json.dumps(EVIL)}\nkeep = {json.dumps('x' * 10_000)}\n")
    called("prune", "m.onnx")
    (line,) = called.stderr.splitlines()
    assert r"\u001b[31m\r\nError: forged\u202e" in line
    assert len(line) < 300
    write("", EVIL.replace("\n", ""))
    name = EVIL.replace("\n", "")
    Path(name).write_text("a = [", encoding="utf-8")
    line = refused("prune", "m.onnx", "--config", name, code=2)
    assert line.startswith(r"'\x1b[31m\rError: forged\u202e': is no TOML")


ORIGIN = {"program": "wrg-onnx", "version": "0", "command": "prune"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "': is no JSON: Expecting property name enclosed in double quotes"),
        ("[" * 100_000, "': is no JSON: maximum recursion depth exceeded"),
        ("[1]", "' is no report of wrg-onnx: it holds a list and no object"),
        ("null", "' is no report of wrg-onnx: it holds null and no object"),
        ("{}", "' is no report of wrg-onnx: it is empty"),
        ({"name": "x", "version": "1", "a": 1, "b": 2, "c": 3},
         "' is no report of wrg-onnx: another program's, with the keys 'name', 'version', 'a', "),
        ({"model": "m", "criterion": "l1", "equivalence": {}},
         "' is a report of `wrg-onnx prune` of an earlier version, which kept no configuration"),
        ({"model": "m", "metric": "l1", "points": []},
         "' is a report of `wrg-onnx sweep` of an earlier version, which kept no configuration"),
        ({"origin": {**ORIGIN, "command": "sweep"}, "config": {"ratios": "0.5"}},
         "' is a report of `wrg-onnx sweep`, and `prune --config` takes one of `wrg-onnx prune`"),
        ({"origin": {**ORIGIN, "program": "other"}, "config": {}},
         "' is no report of wrg-onnx: another program's, with the keys 'origin', 'config'"),
        ({"origin": ORIGIN}, "' is a report of `wrg-onnx prune`, but holds no configuration"),
        ({"origin": ORIGIN, "config": {"ratio": 0.5}, "sha256": {"m": 1}},
         "' is a report of `wrg-onnx prune` that somebody has changed"),
        ({"origin": {**ORIGIN, "version": 1}, "config": {"ratio": 0.5}},
         "' is a report of `wrg-onnx prune` that somebody has changed"),
        ({"origin": ORIGIN, "config": {"ratio": "half"}},
         "': 'prune.ratio' must be a number, got the text 'half'"),
        ({"origin": ORIGIN, "config": {"from_the_future": 1}},
         "': unknown key 'prune.from_the_future'"),
        ({"origin": ORIGIN, "config": {"force": True}},
         "': 'prune.force' is for the command line alone (--force)"),
    ],
    ids=["cut off", "deep", "list", "null", "empty", "foreign", "old prune", "old sweep", "sweep",
         "other program", "no options", "changed files", "changed version", "wrong kind",
         "unknown key", "force"],
)  # fmt: skip
def test_a_json_that_tells_of_no_such_run_is_refused_with_what_it_is(
    refused, folder, content, problem
):
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "run.json").write_text(text, encoding="utf-8")
    line = refused("prune", "m.onnx", "--config", "run.json", code=2)
    assert line.startswith(f"'run.json{problem}")
    assert len(line) <= len(f"'run.json{problem}") + 60


def test_keys_of_another_program_are_shown_escaped(refused, folder):
    (folder / "run.json").write_text(json.dumps({EVIL: 1}), encoding="utf-8")
    line = refused("prune", "m.onnx", "--config", "run.json", code=2)
    assert line.endswith(f"another program's, with the keys '{SHOWN}'")


def test_a_report_that_no_run_fills_is_refused_before_it_is_read(refused, folder):
    with (folder / "run.json").open("wb") as file:
        file.truncate(2**24 + 1)
    line = refused("prune", "m.onnx", "--config", "run.json", code=2)
    assert line == "'run.json': is larger than the 16 MiB that a file of options takes"


def test_a_report_is_known_whatever_its_name(called, folder):
    text = json.dumps({"origin": ORIGIN, "config": {"ratio": 0.5, "seed": 3, "data": None}})
    (folder / "run.txt").write_text(text, encoding="utf-8")
    found = called("prune", "m.onnx", "--config", "run.txt")
    assert (found["ratio"], found["seed"], "data" in found) == (0.5, 3, False)


def test_that_another_version_made_it_is_told(called, folder):
    text = json.dumps({"origin": ORIGIN, "config": {"ratio": 0.5}})
    (folder / "run.json").write_text(text, encoding="utf-8")
    called("prune", "m.onnx", "--config", "run.json")
    last = called.stderr.splitlines()[-1]
    assert last.startswith("Note: 'run.json' is of wrg-onnx 0, and this is ")


def test_a_report_is_not_found_but_named(called, folder):
    text = json.dumps({"origin": ORIGIN, "config": {"ratio": 0.5}})
    (folder / "run.json").write_text(text, encoding="utf-8")
    assert "ratio" not in called("prune", "m.onnx")
