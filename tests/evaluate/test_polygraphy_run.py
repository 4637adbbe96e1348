"""`validate --export-inputs`, and what NVIDIA's own command says of its files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from required import require
from strategies import SALIENCY_NET, SALIENCY_WEIGHTS, build

import wrg_onnx
from wrg_onnx.pipeline import samples

COMMAND = Path(sys.executable).with_name("polygraphy")


@pytest.fixture
def pruned(tmp_path, monkeypatch):
    """Make a model, prune it, and write what it is fed and gives."""
    require(COMMAND.exists(), "polygraphy is not installed: pip install 'wrg-onnx[interop]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples, "GENERATED_FOR_VALIDATION", 3)
    onnx.save(build(SALIENCY_NET, SALIENCY_WEIGHTS), "model.onnx")
    wrg_onnx.prune("model.onnx", "pruned.onnx", ratio=0.4, criterion="l1")
    return wrg_onnx.validate("model.onnx", "pruned.onnx", samples=2, export_inputs="fed.json")


def polygraphy_run(*arguments):
    """Run it without a network, and without installing what it would like."""
    environment = {**os.environ, "POLYGRAPHY_AUTOINSTALL_DEPS": "0"}
    return subprocess.run(
        [COMMAND, "run", *arguments, "--load-inputs", "fed.json", "--load-outputs",
         "fed.outputs.json"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip


def test_polygraphy_finds_the_pruned_model_to_give_what_was_written(pruned):
    done = polygraphy_run("pruned.onnx", "--onnxrt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed: 3/3 iterations" in done.stdout
    assert pruned.report.exported.samples == 3


@pytest.mark.usefixtures("pruned")
def test_polygraphy_finds_that_another_model_gives_something_else():
    done = polygraphy_run("model.onnx", "--onnxrt")
    assert done.returncode != 0
    assert "Passed: 0/3 iterations" in done.stdout


def test_the_report_says_the_command(pruned):
    assert " ".join(str(pruned).split()).endswith(
        "Written: what 3 of 3 samples feed, and what the pruned model gives for them. The same on "
        "TensorRT: polygraphy run pruned.onnx --trt --load-inputs fed.json --load-outputs "
        "fed.outputs.json"
    )
