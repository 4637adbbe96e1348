"""What does not fit into memory is refused before it starts."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from strategies import build

import wrg_onnx
from wrg_onnx.graph import as_widened, from_proto
from wrg_onnx.pipeline import memory

MIB = 1 << 20


@pytest.mark.parametrize(
    ("options", "free", "what"),
    [
        ({}, 2 * MIB, "a run that looks at samples"),
        ({"criterion": "sel"}, 4 * MIB, "criterion 'sel'"),
        ({"criterion": "l1", "recover": "finetune"}, 10 * MIB, "training"),
        ({"criterion": "l1", "evaluate": True}, 2 * MIB, "a run that looks at samples"),
    ],
)
def test_a_run_that_holds_all_weights_says_how_much_that_is(
    tiny_unet, tmp_path, monkeypatch, options, free, what
):
    monkeypatch.setattr(memory, "free_bytes", lambda: free)
    with pytest.raises(wrg_onnx.UsageError, match=rf"{what} holds the weights .* GiB are free"):
        wrg_onnx.prune(tiny_unet, tmp_path / "m.onnx", ratio=0.5, **options)
    assert not list(tmp_path.iterdir())


def test_bfloat16_counts_twice_where_it_is_run_in_float32():
    text = "net (float[1,8] x) => (bfloat16[1,8] y) { h = Cast<to = 16>(x)  y = MatMul(h, w) }"
    weights = {"w": np.ones((8, 8), ml_dtypes.bfloat16)}
    graph = from_proto(build(text, weights, opset=22), name="m")
    assert not graph.widened
    run_bytes = [memory.run_bytes(each) for each in (graph, as_widened(graph))]
    assert run_bytes == [128, 256]


def test_weights_alone_need_no_memory_for_all(tiny_unet, monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 0)
    report = wrg_onnx.prune(tiny_unet, ratio=0.5, criterion="l1", recover="none").report
    assert report.reached == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        ({"meminfo": "MemTotal: 100 kB\n"}, None),
        ({"meminfo": "MemTotal: 100 kB\nMemAvailable:   70 kB\n"}, 70 << 10),
        ({"meminfo": "MemAvailable: 70 kB", "memory.max": "max"}, 70 << 10),
        (
            {
                "meminfo": "MemAvailable: 70 kB",
                "memory.max": "50000",
                "memory.current": "20000",
                "memory.stat": "anon 7\nfile 9000\nshmem 1000",
            },
            38000,
        ),
        (
            {
                "meminfo": "MemAvailable: 70 kB",
                "memory.max": "50000",
                "memory.current": "60000",
                "memory.stat": "",
            },
            0,
        ),
    ],
)
def test_the_least_counts_of_what_machine_and_container_have(monkeypatch, files, free):
    def read(path, **_):
        if path.name not in files:
            raise FileNotFoundError(path)
        return files[path.name]

    monkeypatch.setattr(Path, "read_text", read)
    assert memory.free_bytes() == free
