"""Records as one JSON object."""

from __future__ import annotations

import json
import math

from wrg_onnx.evaluate.agreement import OutputAgreement
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.latency import Latency, Noise, Ratio
from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report import BenchReport, ValidateReport, to_json


def test_records_in_records_become_objects():
    layer = LayerTime("c", "Conv", 1, 2.0, 1.0, macs_before=8, macs_after=4, why="too small")
    report = BenchReport(
        provider="cpu",
        latency={"m.onnx": Latency(1.0, 2.0, 1.5, 9)},
        input_shapes={"x": (1, 3, 8, 8)},
        batch=1,
        threads=2,
        runtime="1.32.0",
        processes=2,
        throughput={"m.onnx": 1000.0},
        peak_bytes={"m.onnx": None},
        processes_ms={"m.onnx": (1.0, 1.1)},
        speedup={"n.onnx": Ratio(1.5, 1.4, 1.6)},
        noise={"m.onnx": Noise(None, 1.2)},
        profile={"n.onnx": SideBySide((layer,), 3.0, 2.0)},
        notes=("a word",),
    )
    assert json.loads(to_json(report)) == {
        "provider": "cpu",
        "latency": {"m.onnx": {"median_ms": 1.0, "p95_ms": 2.0, "mean_ms": 1.5, "runs": 9}},
        "input_shapes": {"x": [1, 3, 8, 8]},
        "batch": 1,
        "threads": 2,
        "runtime": "1.32.0",
        "processes": 2,
        "throughput": {"m.onnx": 1000.0},
        "peak_bytes": {"m.onnx": None},
        "processes_ms": {"m.onnx": [1.0, 1.1]},
        "speedup": {"n.onnx": {"value": 1.5, "low": 1.4, "high": 1.6}},
        "noise": {"m.onnx": {"spread": None, "tail": 1.2}},
        "profile": {
            "n.onnx": {
                "layers": [
                    {
                        "name": "c",
                        "op": "Conv",
                        "fused": 1,
                        "before_ms": 2.0,
                        "after_ms": 1.0,
                        "layout_before_ms": 0.0,
                        "layout_after_ms": 0.0,
                        "macs_before": 8,
                        "macs_after": 4,
                        "why": "too small",
                    }
                ],
                "before_ms": 3.0,
                "after_ms": 2.0,
            }
        },
        "notes": ["a word"],
    }


def test_numbers_that_json_does_not_know_are_null():
    agreement = (
        OutputAgreement("y", math.inf, 2, 0),
        OutputAgreement("z", math.nan, 2, 0),
        OutputAgreement("k", None, 0, 2),
    )
    accuracy = Accuracy("2 random inputs", None, None, agreement)
    report = ValidateReport(
        "a.onnx", "b.onnx", (), Cost(1, 2, None), Cost(1, 2, 3), accuracy=accuracy, speed=()
    )
    found = json.loads(to_json(report), parse_constant=lambda name: name)
    assert [y["relative_error"] for y in found["accuracy"]["agreement"]] == [None, None, None]
    assert found["before"]["file_bytes"] is None
