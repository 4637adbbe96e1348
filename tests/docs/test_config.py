"""docs/config.md: its commands do what it says, and its lists are those of the code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wrg_onnx
from wrg_onnx.cli.app import COMMANDS
from wrg_onnx.cli.config.tables import SHARED

ROOT = Path(wrg_onnx.__file__).parents[1]
TEXT = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path):
    """A folder with the models, and with what starts the command."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    start = tmp_path / "bin" / "wrg-onnx"
    start.parent.mkdir()
    start.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wrg_onnx "$@"\n', encoding="utf-8")
    start.chmod(0o755)
    return tmp_path


def test_the_commands_of_the_page_make_a_run_again_and_say_what_it_says(folder):
    (options,), (commands,), (said,), (python,) = map(blocks, ("toml", "sh", "text", "python"))
    (folder / "wrg.toml").write_text(options, encoding="utf-8")
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == said
    first, again = (
        json.loads((folder / name).read_text(encoding="utf-8"))
        for name in ("run.json", "again.json")
    )
    assert {**first["config"], "output": "again.onnx"} == again["config"]
    subprocess.run([sys.executable, "-c", python], cwd=folder, env=environment, check=True)
    bytes_of = [
        (folder / f"{name}.onnx").read_bytes() for name in ("small", "again", "from_python")
    ]
    assert bytes_of[0] == bytes_of[1] == bytes_of[2]


def test_it_lists_what_may_stand_above_the_tables():
    (row,) = re.findall(r"^\| above the tables \| (.*?)\. A table", TEXT, re.MULTILINE)
    listed = {key.replace("-", "_") for key in re.findall(r"`([\w-]+)`", row)}
    assert listed == SHARED


def test_its_tables_are_those_of_commands():
    (options,) = blocks("toml")
    assert set(re.findall(r"^\[(\w+)\]", options, re.MULTILINE)) <= set(COMMANDS)
