"""What ``--json`` prints is what the published schemas say, of each command."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from wrg_onnx.report.versions import COMMANDS

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"
SMALL = ("--size", 32, "--samples", 2)
PRUNE = ("prune", "m.onnx", "--ratio", 0.5, "--criterion", "l1", "--force", *SMALL)

RUNS = {
    "bench": ("bench", "m.onnx", "--size", 32, "--rounds", 2, "--warmup", 0),
    "bench of two with a profile": (
        "bench", "m.onnx", "other.onnx", "--size", 32, "--rounds", 2, "--processes", 2, "--profile",
    ),
    "cache": ("cache", "--cache", "kept"),
    "inspect": ("inspect", "m.onnx"),
    "inspect what cannot be cut": ("inspect", "m.onnx", "--keep", "*"),
    "prune": PRUNE,
    "prune with recovery on masks": (
        "prune", "m.onnx", "--ratio", 0.4, "--data", "data", "--size", 32, "--force",
    ),
    "prune without judging": (*PRUNE, "--no-evaluate", "--dry-run"),
    "prune to int8": (*PRUNE, "--int8"),
    "prune within a drop": (
        "prune", "m.onnx", "--max-drop", 0.5, "--criterion", "l1", "--force", *SMALL,
    ),
    "sweep": ("sweep", "m.onnx", "--ratios", "0.3,0.99", "--criteria", "l1", "--no-cache", *SMALL),
    "tsod make": ("tsod", "make", "--count", 2, "--size", 32, "-o", "made"),
    "tsod filter": ("tsod", "filter", "data", "--max-area", 0.5, "-o", "kept"),
    "validate": ("validate", "m.onnx", "other.onnx", *SMALL),
    "validate what is wrong": ("validate", "m.onnx", "wrong.onnx", *SMALL),
}  # fmt: skip
WITH_TORCH = {
    "export": ("export", "nets:net", "--input", "1x3x8x8"),
    "finetune": (
        "finetune", "m.onnx", "--teacher", "other.onnx", "--data", "data", "--epochs", 1,
        "--size", 32, "--force",
    ),
    "prune and fine-tune": (
        "prune", "m.onnx", "--ratio", 0.4, "--data", "data", "--size", 32, "--recover", "finetune",
        "--epochs", 1, "--force",
    ),
}  # fmt: skip
NET = """
import torch
def net():
    return torch.nn.Conv2d(3, 4, 3)
"""


def closed(schema):
    """Return a schema that takes no field beyond those that it names."""
    found = copy.deepcopy(schema)
    for record in (found, *found["$defs"].values()):
        record["additionalProperties"] = False
    return found


@pytest.fixture(autouse=True)
def files(model, data, folder, make_model):
    assert data == Path("data")
    (folder / "other.onnx").write_bytes(model.read_bytes())
    make_model(folder / "wrong.onnx", ("Relu(d)", "Sigmoid(d)"))
    (folder / "nets.py").write_text(NET)


def check(run, command):
    done = run(*command, "--json")
    assert done.exit_code in (0, 1, 3), done.stderr
    found = json.loads(done.stdout)
    program, name, version = found["schema"].split("/")
    assert program == "wrg-onnx"
    assert name == "-".join(word for word in command[:2] if str(word).isalpha() or word == "tsod")
    schema = json.loads((SCHEMAS / f"{name}.{version}.json").read_text(encoding="utf-8"))
    errors = [error.message for error in Draft202012Validator(closed(schema)).iter_errors(found)]
    assert errors == []
    return found


@pytest.mark.parametrize("command", RUNS.values(), ids=RUNS)
def test_output_is_what_the_schema_says(run, command):
    assert check(run, command)["schema"].endswith("/v1")


@pytest.mark.parametrize("command", WITH_TORCH.values(), ids=WITH_TORCH)
def test_output_of_what_trains_or_exports_is_what_the_schema_says(run, command):
    pytest.importorskip("torch")
    assert check(run, command)["schema"].endswith("/v1")


def test_output_of_a_page_is_what_the_schema_says(run, folder):
    printed = run(*PRUNE, "--no-evaluate", "--dry-run", "--json").stdout
    (folder / "run.json").write_text(printed, encoding="utf-8")
    assert check(run, ("report", "run.json"))["runs"] == ["run.json"]


def test_every_command_is_run_here():
    run_here = {*(command[0] for command in {**RUNS, **WITH_TORCH}.values())} - {"tsod"}
    assert run_here | {"report", "tsod-make", "tsod-filter"} == set(COMMANDS.values())
    assert ("tsod", "make") in {command[:2] for command in RUNS.values()}
    assert ("tsod", "filter") in {command[:2] for command in RUNS.values()}
