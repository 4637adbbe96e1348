"""Two processes share the steps of a fine-tuning."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from processes import start, start_two
from strategies import build, normal

pytest.importorskip("torch")

BODY = """net (float[N,3,32,32] x) => (float[N,1,32,32] y) {
    c = Conv<pads = [1,1,1,1]>(x, w1)  a = Relu(c)
    d = Conv<pads = [1,1,1,1]>(a, w2)  b = Relu(d)  z = Conv(b, w3)  y = Sigmoid(z)
}"""


@pytest.fixture(params=["N", "1"])
def model(tmp_path, request):
    weights = {
        "w1": normal(8, 3, 3, 3) / 4, "w2": normal(8, 8, 3, 3, seed=1) / 8,
        "w3": normal(1, 8, 1, 1),
    }  # fmt: skip
    onnx.save(build(BODY.replace("N", request.param), weights), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def weights_of(path):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


def test_two_processes_train_what_one_does(tmp_path, model):
    command = (
        "finetune", model, "--samples", 21, "--epochs", 2, "--batch", 6, "--no-evaluate",
        "--device", "cpu", "--learning-rate", 0.02,
    )  # fmt: skip
    kept = tmp_path / "run.safetensors"
    both = start_two(*command, "-o", tmp_path / "two.onnx", "--checkpoint", kept)
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert told[1][0] == ""
    assert kept.exists()
    one = start(*command, "-o", tmp_path / "one.onnx")
    said = one.communicate(timeout=300)
    assert one.returncode == 0, said
    before, alone, together = (
        weights_of(path) for path in (model, tmp_path / "one.onnx", tmp_path / "two.onnx")
    )
    for name, weight in alone.items():
        moved = np.abs(weight - before[name]).max()
        assert moved > 1e-3
        # The gradients are the same but for the order of their sums.
        np.testing.assert_allclose(together[name], weight, atol=0.02 * moved, rtol=0)
