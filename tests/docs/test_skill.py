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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model and images of this name, in which the commands have run."""
    folder = tmp_path_factory.mktemp("skill")
    shutil.copyfile(ROOT / "models" / "tiny_unet.onnx", folder / "model.onnx")
    wrg_onnx.tsod_make(output=folder / "my_images", count=16, size=160)
    start = folder / "bin" / "wrg-onnx"
    start.parent.mkdir()
    start.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wrg_onnx "$@"\n', encoding="utf-8")
    start.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{start.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    (commands,) = re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    subprocess.run(["sh", "-e", "-c", commands], cwd=folder, env=environment, check=True)
    return folder


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


@pytest.mark.parametrize(("file", "keys"), [(row[0], row[1]) for row in rows("file")])
def test_every_key_is_in_the_json_that_the_commands_print(folder, file, keys):
    tree = json.loads((folder / file).read_text(encoding="utf-8"))
    for path in re.findall(r"`([\w.\[\]]+)`", keys):
        assert values(tree, path)


def test_what_speedups_and_changes_hold_is_there(folder):
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert run["speed"][0]["speedup"].keys() >= {"value", "low", "high"}
    assert all(one.keys() >= {"drop", "low", "high"} for one in run["changes"])
    assert run["equivalence"]["error"] <= run["equivalence"]["tolerance"]


def test_a_point_of_the_sweep_is_a_knee_or_none_is(folder):
    points = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["points"]
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
