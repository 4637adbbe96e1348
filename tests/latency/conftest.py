"""A small model in a file, its inputs, and what a process is told to do with them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from wrg_onnx.latency.fresh import Place, Task, write_feeds

BODY = """<ir_version: 8, opset_import: ["": 17]> g
(float[batch,16,8,8] image) => (float[batch,24,8,8] y) {
    c = Conv<pads=[1,1,1,1]>(image, w)  y = Relu(c)
}"""


def _write_model(path, body=BODY, **shapes):
    """Write a model with weights of these shapes; without any it has one of (24, 16, 3, 3)."""
    model = onnx.parser.parse_model(body)
    draws = np.random.default_rng(0)
    for name, shape in (shapes or {"w": (24, 16, 3, 3)}).items():
        array = draws.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, path)
    return path


@pytest.fixture
def write_model():
    """Return what writes a model."""
    return _write_model


@pytest.fixture
def task(tmp_path):
    """Return what lets a process run the small model."""
    write_feeds(tmp_path / "feeds.npz", {"image": np.ones((2, 16, 8, 8), np.float32)})
    return Task(
        label="m.onnx",
        model=_write_model(tmp_path / "m.onnx"),
        feeds=tmp_path / "feeds.npz",
        place=Place("cpu", "CPUExecutionProvider"),
        threads=1,
        shapes={"image": (2, 16, 8, 8)},
    )
