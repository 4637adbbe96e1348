"""What a report says of stages that are missing."""

from __future__ import annotations

import pytest

from wrg_onnx.report.unfinished import Unfinished, unfinished_lines


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("recover", "The weights were not recovered, and the model is as it was cut"),
        ("accuracy", "The accuracy was not measured"),
        ("latency", "The latency was not measured"),
        ("report", "The report is not complete"),
        ("round 3", "The model is what was proven before round 3"),
    ],
)
def test_each_stage_says_what_is_missing_and_why(stage, said):
    (line,) = unfinished_lines([Unfinished(stage, "DataError", "a mask is gone", known=True)])
    assert line == f"{said} (DataError: a mask is gone)."


def test_a_fault_of_the_package_asks_to_be_reported():
    (line,) = unfinished_lines([Unfinished("latency", "KeyError", "'x'", known=False)])
    assert line.endswith("(KeyError: 'x'). This is a fault of wrg-onnx: please report it.")


def test_an_error_without_a_message_is_named_by_its_class():
    (line,) = unfinished_lines([Unfinished("latency", "MemoryError", "", known=True)])
    assert line == "The latency was not measured (MemoryError)."


def test_what_one_error_left_out_stands_in_one_line():
    error = ("ModelError", "refused", True)
    (line,) = unfinished_lines([Unfinished("accuracy", *error), Unfinished("latency", *error)])
    assert line == (
        "The accuracy was not measured; the latency was not measured (ModelError: refused)."
    )
