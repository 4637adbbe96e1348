"""docs/SKILL.md: its commands run, and what it says of their results is in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import wrg_onnx
from wrg_onnx.cli.app import main
from wrg_onnx.errors import UnfinishedError, UsageError, ValidationError, WrgError

ROOT = Path(wrg_onnx.__file__).parents[1]
TEXT = (ROOT / "docs" / "SKILL.md").read_text(encoding="utf-8")


def rows(head):
    """Return the cells of the table whose first row begins so."""
    _, _, table = TEXT.partition(f"| {head} |")
    lines = table.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture
def folder(tmp_path):
    """A folder with a model and images of this name, in which the commands have run."""
    shutil.copyfile(ROOT / "models" / "tiny_unet.onnx", tmp_path / "model.onnx")
    wrg_onnx.tsod_make(output=tmp_path / "my_images", count=16, size=160)
    start = tmp_path / "bin" / "wrg-onnx"
    start.parent.mkdir()
    start.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wrg_onnx "$@"\n', encoding="utf-8")
    start.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{start.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    (commands,) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    subprocess.run(["sh", "-e", "-c", commands], cwd=tmp_path, env=environment, check=True)
    return tmp_path


def printed(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def values(tree, path):
    """Return what stands at a path such as ``points[].knee``."""
    key, _, rest = path.partition(".")
    found = tree[key.removesuffix("[]")]
    if key.endswith("[]"):
        assert found, f"{path} is empty, so that it shows nothing"
        return [one for element in found for one in values(element, rest)]
    return values(found, rest) if rest else [found]


def test_it_is_short_and_its_head_says_what_it_is():
    assert len(TEXT.splitlines()) < 120
    name, description = re.match(r"---\nname: (.*)\ndescription: (.*)\n---\n", TEXT).groups()
    assert name == "wrg-onnx"
    assert "Use when" in description
    assert len(description) < 1024


@pytest.mark.slow
def test_its_commands_run_and_print_every_key_that_it_names(folder):
    for file, keys, _ in rows("file"):
        for path in re.findall(r"`([\w.\[\]]+)`", keys):
            assert values(printed(folder, file), path), path
    run, points = printed(folder, "run.json"), printed(folder, "sweep.json")["points"]
    assert run["speed"][0]["speedup"].keys() >= {"value", "low", "high"}
    assert all(one.keys() >= {"drop", "low", "high"} for one in run["changes"])
    assert run["equivalence"]["error"] <= run["equivalence"]["tolerance"]
    assert [point["command"].split()[:2] for point in points] == [["wrg-onnx", "prune"]] * 2


@pytest.mark.parametrize("cells", rows("option"), ids=lambda cells: cells[0])
def test_every_option_is_one_of_the_commands_that_it_is_listed_for(cells):
    options, commands, says = cells
    context = click.Context(main)
    five = re.findall(r"^\d\. `(\w+)`", TEXT, re.MULTILINE)
    for name in five if commands == "all" else commands.split(", "):
        command = main.get_command(context, name)
        known = {one for parameter in command.params for one in parameter.opts}
        assert set(re.findall(r"--[\w-]+", options)) - {"--no-evaluate"} <= known
        assert set(re.findall(r"--max-[\w-]+", says)) <= known


def test_exit_codes_are_those_of_errors():
    codes = {row[0] for row in rows("exit code")}
    kinds = (WrgError, UsageError, ValidationError, UnfinishedError)
    assert codes == {"0", *(str(kind.exit_code) for kind in kinds), "70", "130, 143"}
