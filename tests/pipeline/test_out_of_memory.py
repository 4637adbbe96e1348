"""Out of memory is one line that names the stage, and options that this command has."""

from __future__ import annotations

import re

import click
import pytest

from wrg_onnx.cli.app import COMMANDS, main
from wrg_onnx.errors import DataError, ModelError, OutOfMemoryError, UnreadableError, UsageError
from wrg_onnx.pipeline import prune, rounds
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.out_of_memory import HELP
from wrg_onnx.progress import silent
from wrg_onnx.select import Criterion

SAID = [
    MemoryError(),
    MemoryError("Unable to allocate 3.1 GiB for an array"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    DataError("'m.onnx': ONNX Runtime fails on the inputs: Failed to allocate memory for"),
    ModelError("'m.onnx': ONNX Runtime refuses it: std::bad_alloc"),
]


def fail(stage, error):
    with Clock(silent).stage("outer"), Clock(silent).stage(stage):
        raise error


@pytest.mark.parametrize("error", SAID, ids=str)
def test_it_names_the_stage_and_what_needs_less_there(error):
    with pytest.raises(OutOfMemoryError) as caught:
        fail("train", error)
    line = str(caught.value)
    assert line.startswith("out of memory in the stage 'train'")
    assert line.endswith(f"what needs less: {HELP['train']}")
    assert "\n" not in line
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        UnreadableError("cannot read 'a.npz': Unable to allocate 9 EiB"),
        DataError("another"),
        RuntimeError("another"),
        UsageError("training holds the weights in memory 5 times"),
    ],
    ids=str,
)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error), match=re.escape(str(error))) as caught:
        fail("data", error)
    assert caught.value is error


def stages():
    """Return the names of the stages that the pipeline has."""
    import ast
    import inspect
    from pathlib import Path

    import wrg_onnx.pipeline as package

    found = set()
    for file in Path(inspect.getfile(package)).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                owner = ast.unparse(node.func.value)
                if node.func.attr == "stage" and owner.endswith("clock"):
                    found |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return found


def test_each_stage_says_what_needs_less():
    assert stages() == set(HELP)


def test_what_is_named_are_options_that_there_are():
    known = set()
    for name in COMMANDS:
        command = main.get_command(None, name)
        known |= {option for parameter in command.params for option in
                  (*parameter.opts, *parameter.secondary_opts)}  # fmt: skip
    named = {option for text in HELP.values() for option in re.findall(r"--[a-z0-9-]+", text)}
    assert named <= known
    assert isinstance(main, click.Group)


CUT = PruneConfig(
    0.3, criterion=Criterion.L1, recover=Recovery.BIAS, evaluate=False, data=DataOptions(samples=2)
)


@pytest.mark.parametrize(
    ("module", "name", "stage"),
    [
        (prune, "analyse", "analyse"),
        (prune, "open_samples", "data"),
        (prune, "save", "save"),
    ],
)
def test_a_run_that_lacks_memory_says_so(tiny_unet, tmp_path, monkeypatch, module, name, stage):
    def lack(*_, **__):
        raise MemoryError

    monkeypatch.setattr(module, name, lack)
    with pytest.raises(OutOfMemoryError, match=f"in the stage '{stage}'"):
        prune.prune(tiny_unet, tmp_path / "out.onnx", CUT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.unfinished
def test_behind_the_proof_the_model_is_kept_and_the_report_says_what_needs_less(
    tiny_unet, tmp_path, monkeypatch
):
    def lack(*_, **__):
        raise MemoryError

    monkeypatch.setattr(rounds, "recover", lack)
    report = prune.prune(tiny_unet, tmp_path / "out.onnx", CUT).report
    (missing,) = report.unfinished
    assert missing.known
    assert "--recover bias, or none" in missing.message
    assert (tmp_path / "out.onnx").exists()
