"""The tool that finds stages whose result depends on the number of threads."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from strategies import build, normal

TOOL = Path(__file__).parents[2] / "tools" / "determinism.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("determinism", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["determinism"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["determinism"]


def test_a_digest_is_of_type_shape_and_numbers(tool):
    zeros = np.zeros((2, 3), np.float32)
    others = [zeros.astype(np.float64), zeros.reshape(3, 2), zeros + 1, [zeros, zeros]]
    assert tool.digest(zeros) == tool.digest(zeros.copy())
    assert all(tool.digest(zeros) != tool.digest(other) for other in others)


def test_stages_that_differ_are_named_once(tool):
    first = {"ridge 0": "a", "ridge 1": "b", "file": "c"}
    other = {"ridge 0": "x", "ridge 1": "y", "file": "c", "biases 0": "d"}
    assert [*tool.differing(first, other)] == ["ridge", "biases"]


def test_a_model_is_run_in_each_way(tmp_path):
    text = """net (float[1,3,8,8] x) => (float[1,2,8,8] y) {
      a = Conv(x, w1)  r = Relu(a)  y = Conv(r, w2) }"""
    onnx.save(
        build(text, {"w1": normal(8, 3, 1, 1), "w2": normal(2, 8, 1, 1)}), tmp_path / "m.onnx"
    )
    done = subprocess.run(
        [sys.executable, TOOL, "--settings", "1 thread,elsewhere", tmp_path / "m.onnx",
         "--ratio", "0.3", "--criterion", "l1"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "thread", "the", "same", "elsewhere", "the", "same"]
