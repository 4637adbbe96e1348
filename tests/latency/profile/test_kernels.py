"""What ONNX Runtime's profile says, from files that the test writes and from ONNX Runtime."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest

from wrg_onnx.errors import DataError
from wrg_onnx.latency import Timing
from wrg_onnx.latency.fresh import write_feeds
from wrg_onnx.latency.profile import profile_models
from wrg_onnx.latency.profile.kernels import Kernel, read_profile

OPTIMISED = """<ir_version: 8, opset_import: ["": 17, "com.microsoft.nchwc": 1]> g
(float[1,24,8,8] image) => (float[1,24,8,8] y) {
    t0 = com.microsoft.nchwc.ReorderInput(image)
    t1 = com.microsoft.nchwc.Conv(t0)
    a = com.microsoft.nchwc.ReorderOutput(t1)
    y = If(a)
}"""
NAMES = ("ReorderInput", "c_nchwc", "ReorderOutput", "")


def event(name, op, us, **args):
    return {
        "cat": "Node", "name": f"{name}_kernel_time", "dur": us, "args": {"op_name": op, **args},
    }  # fmt: skip


def run(scale):
    conv = {
        "activation_size": "100", "parameter_size": "20", "output_size": "3",
        "input_type_shape": [{"float": [1, 32, 8, 8]}, {"float": [32, 32, 3, 3]}],
        "output_type_shape": [{"float": [1, 32, 8, 8]}],
    }  # fmt: skip
    return [
        event("ReorderInput", "ReorderInput", 10 * scale),
        event("c_nchwc", "Conv", 500 * scale, **conv),
        {"cat": "Node", "name": "c_nchwc_fence_before", "dur": 1, "args": {"op_name": "Conv"}},
        event("ReorderOutput", "ReorderOutput", 20 * scale),
        event("inner", "Relu", 7),
        event("If_3", "If", 30 * scale),
        {"cat": "Session", "name": "model_run", "dur": 600 * scale},
    ]


@pytest.fixture
def read(tmp_path):
    model = onnx.parser.parse_model(OPTIMISED)
    for node, name in zip(model.graph.node, NAMES, strict=True):
        node.name = name
    onnx.save(model, tmp_path / "o.onnx")

    def check(*scales, last):
        events = [{"cat": "Session", "name": "session_initialization", "dur": 9}]
        text = json.dumps([*events, *(one for scale in scales for one in run(scale))])
        (tmp_path / "p.json").write_text(text)
        return read_profile(tmp_path / "p.json", tmp_path / "o.onnx", last=last)

    return check


def test_changes_of_layout_count_for_what_computes_beside_them(read):
    profile = read(1, last=1)
    assert profile.kernels == (
        Kernel(
            op="Conv", makes=("t1", "c", "a"), ms=0.5, reads=("t0",), layout_ms=0.03,
            is_blocked=True, moved_bytes=123, input_shape=(1, 32, 8, 8), output_shape=(1, 32, 8, 8),
            weight_shape=(32, 32, 3, 3),
        ),
        Kernel(op="If", makes=("y",), ms=0.03, reads=("a",)),
    )  # fmt: skip
    assert profile.same == {"t0": "image", "t1": "a"}
    assert profile.run_ms == 0.6


def test_what_is_computed_in_blocks_counts_with_its_zeros(read):
    assert read(1, last=1).kernels[0].computed_macs == 64 * 32 * 32 * 9
    assert read(1, last=1).kernels[1].computed_macs is None


def test_times_are_medians_of_the_last_runs(read):
    profile = read(100, 1, 2, 9, last=3)
    assert (profile.kernels[0].ms, profile.run_ms) == (1.0, 1.2)


def test_what_runs_in_a_branch_is_in_the_time_of_the_node_that_runs_it(read):
    assert read(2, last=1).kernels[1].ms == 0.06


def test_a_profile_of_another_graph_is_refused(read, tmp_path):
    read(1, last=1)
    model = onnx.load(tmp_path / "o.onnx")
    model.graph.node[1].name = "other"
    onnx.save(model, tmp_path / "o.onnx")
    with pytest.raises(DataError, match="profile lacks Conv 'other'"):
        read_profile(tmp_path / "p.json", tmp_path / "o.onnx", last=1)


@pytest.mark.parametrize("named", [True, False])
def test_onnx_runtime_writes_what_is_read(task, tmp_path, write_model, named):
    body = """<ir_version: 8, opset_import: ["": 17]> g
    (float[1,16,8,8] image) => (float[1,24,8,8] y) {
        c = Conv<pads=[1,1,1,1]>(image, w)  a = Relu(c)
        d = Conv<pads=[1,1,1,1]>(a, v)  s = Sigmoid(d)  y = Add(s, a)
    }"""
    write_model(task.model, body, w=(24, 16, 3, 3), v=(24, 24, 3, 3))
    if named:
        model = onnx.load(task.model)
        for number, node in enumerate(model.graph.node):
            node.name = f"/net/{number}"
        onnx.save(model, task.model)
    write_feeds(task.feeds, {"image": np.ones((1, 16, 8, 8), np.float32)})
    found = profile_models([task], tmp_path, Timing(1, 3), np.random.default_rng(0))
    profile = found["m.onnx"]
    assert not any("Reorder" in kernel.op for kernel in profile.kernels)
    assert all(kernel.moved_bytes for kernel in profile.kernels)
    assert {"a", "y"} <= {name for kernel in profile.kernels for name in kernel.makes}
    assert 0 < sum(kernel.ms for kernel in profile.kernels) <= 2 * profile.run_ms


def test_models_are_profiled_in_processes_of_their_own(task, tmp_path):
    tasks = [task, replace(task, label="other")]
    told, rng = [], np.random.default_rng(0)
    found = profile_models(tasks, tmp_path, Timing(0, 1), rng, lambda *all_: told.append(all_))
    assert list(found) == ["m.onnx", "other"]
    assert told == [("profile", 1, 1)]
    assert len(list(tmp_path.glob("model*.json"))) == 2
