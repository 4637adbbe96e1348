"""`wrg-onnx prune --sparsify`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
SHORT = ("--size", 32, "--criterion", "l1", "--ratio", 0.3, "--no-evaluate")


def test_the_report_says_what_faded(run, model, data):
    done = run("prune", model, "--data", data, *SHORT, "--sparsify", 2)
    assert done.exit_code == 0, done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    said = " ".join(done.stdout.split())
    assert "Before the cut 2 epochs let " in said
    assert "of their size; held-out loss " in said
    report = json.loads(
        run("prune", model, "--data", data, *SHORT, "--sparsify", 1, "--force", "--json").stdout
    )
    assert report["sparsified"]["epochs"] == 1
    assert report["sparsified"]["units"] == report["removed"]


def test_without_images_it_is_refused(refused, model):
    message = refused("prune", model, *SHORT, "--sparsify", 2, code=2)
    assert message == "sparsify trains the model on your images: give data (--data)"


def test_a_single_sample_is_refused(refused, model, data):
    message = refused("prune", model, "--data", data, *SHORT, "--sparsify", 2, "--samples", 1)
    assert message.startswith("sparsify needs at least 2 samples, to train on and to hold out, got")


def test_torch_that_is_not_installed_is_named_with_the_install_line(model, data, folder):
    arguments = ["prune", str(model), "--data", str(data), *map(str, SHORT), "--sparsify", "1"]
    code = (
        f"import sys; sys.modules['torch'] = None; from wrg_onnx.cli import main; main({arguments})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: sparsify needs torch, which is not installed: pip install 'wrg-onnx[torch]'"
    )
    assert not (folder / "m.pruned.onnx").exists()
