"""Models timed side by side."""

from __future__ import annotations

import onnx
import pytest

from wrg_onnx.errors import UsageError
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline.bench import bench
from wrg_onnx.pipeline.config import DataOptions

SHORT = Timing(warmup=0, rounds=2)


def test_bench_times_every_file_on_the_same_input(tiny_unet, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(tiny_unet.read_bytes())
    (report,) = bench([tiny_unet, copy], DataOptions(), timing=SHORT).report.providers
    assert list(report.latency) == [str(tiny_unet), str(copy)]
    assert all(latency.runs == 2 for latency in report.latency.values())
    assert report.input_shapes == {"image": (1, 3, 160, 160)}


def test_bench_refuses_a_file_named_twice_and_other_inputs(tiny_unet, tmp_path):
    with pytest.raises(UsageError, match="twice"):
        bench([tiny_unet, tiny_unet], DataOptions())

    other = tmp_path / "other.onnx"
    model = onnx.load(tiny_unet)
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "picture"
    onnx.save(model, other)
    with pytest.raises(UsageError, match="only models with the same inputs"):
        bench([tiny_unet, other], DataOptions())
