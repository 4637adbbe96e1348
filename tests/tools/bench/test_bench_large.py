"""A model of 2.5 GiB, whose weights no message can hold, in bounded memory."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from strategies import normal

from bench_large import WRG, measure
from large_model import TOKENS, WIDTH, build_large
from one_process import run
from wrg_onnx.graph import load, stored_bytes

GIB = 1 << 30


def test_what_is_measured_is_measured_of_each_command(tmp_path):
    build_large(tmp_path / "m.onnx", 1 << 27)
    found = measure(tmp_path / "m.onnx", 0.3)
    assert list(found) == ["copy the weights", "prune, proof included", "inspect"]
    assert all(one.cpu_s > 0 and one.peak_bytes > 1 << 20 for one in found.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]


def test_a_process_does_not_start_with_the_memory_of_who_measures_it():
    held = np.ones(1 << 26)  # 512 MiB
    found = run([sys.executable, "-c", "x = bytearray(1 << 27)"])
    assert held.sum() == 1 << 26
    assert 1 << 27 < found.peak_bytes < 1 << 28
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
def test_a_model_of_more_than_two_gigabytes_is_pruned_in_one(tmp_path):
    if shutil.disk_usage(tmp_path).free < 8 * GIB:
        pytest.skip("needs 8 GiB of disk")
    model, output = tmp_path / "m.onnx", tmp_path / "out.onnx"
    before = build_large(model, 5 * GIB // 2)
    assert before >= 5 * GIB // 2
    found = run([*WRG, "prune", str(model), "--ratio", "0.1", "--criterion", "l1", "--recover",
                 "none", "--output", str(output)])  # fmt: skip
    assert found.peak_bytes < 1.5 * GIB
    assert run([*WRG, "inspect", str(model)]).peak_bytes < 0.3 * GIB
    # Nobody asked for a file beside it; it does not go into one.
    assert output.with_name("out.onnx.data").stat().st_size > 2 * GIB
    after = stored_bytes(load(output))
    assert after / before == pytest.approx(0.9, abs=0.01)
    onnx.checker.check_model(str(output))
    session = ort.InferenceSession(output, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {"x": normal(1, TOKENS, WIDTH)})
    assert answer.shape == (1, TOKENS, WIDTH)
