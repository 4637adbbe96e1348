"""Records as one JSON object."""

from __future__ import annotations

import json
import math

from wrg_onnx.evaluate.agreement import OutputAgreement
from wrg_onnx.evaluate.cost import Cost
from wrg_onnx.evaluate.judge import Accuracy
from wrg_onnx.latency import Latency
from wrg_onnx.report import BenchReport, ValidateReport, to_json


def test_records_in_records_become_objects():
    report = BenchReport("cpu", {"m.onnx": Latency(1.0, 2.0, 1.5, 9)}, {"x": (1, 3, 8, 8)})
    assert json.loads(to_json(report)) == {
        "provider": "cpu",
        "latency": {"m.onnx": {"median_ms": 1.0, "p95_ms": 2.0, "mean_ms": 1.5, "runs": 9}},
        "input_shapes": {"x": [1, 3, 8, 8]},
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
