"""How a function was called, as text."""

from __future__ import annotations

import enum
from pathlib import Path

import numpy as np
import onnx
import pytest

import wrg_onnx
from wrg_onnx.pipeline.api.spoken_call import LONGEST, spoken_call


class Shade(enum.Enum):
    DARK = "dark"


def prune(model, output=None, *, ratio=0.5, names=(), flag=False, size=None):
    """Stand for a function of the API."""
    arguments = dict(locals())
    return spoken_call(prune, arguments)


def test_what_is_the_default_is_left_out():
    assert prune("m.onnx") == "wrg_onnx.prune('m.onnx')"
    assert prune("m.onnx", ratio=0.5, names=()) == "wrg_onnx.prune('m.onnx')"


@pytest.mark.parametrize(
    ("value", "spoken"),
    [
        (0.25, "0.25"), (True, "True"), (0, "0"), ([1, 2], "[1, 2]"),
        ({"x": (1, 2)}, "{'x': (1, 2)}"),
        (Path("a") / "b", "'a/b'"), (Shade.DARK, "'dark'"), (b"12345", "<5 bytes>"),
        (onnx.ModelProto(), "<ModelProto>"), (wrg_onnx.Criterion.SEL, "'sel'"),
        (np.zeros(3), "<ndarray>"), (print, "<builtin_function_or_method>"), ("'", '"\'"'),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_values_are_written_as_python_takes_them_or_named(value, spoken):
    assert prune("m.onnx", size=value) == f"wrg_onnx.prune('m.onnx', size={spoken})"


def test_true_is_not_taken_for_the_number_1():
    assert prune("m.onnx", flag=0) == "wrg_onnx.prune('m.onnx', flag=0)"


def test_a_long_argument_is_cut():
    assert len(prune("m.onnx", names=["x" * 50] * 1000)) < LONGEST + 100


def test_a_run_tells_its_call():
    call = wrg_onnx.prune(
        "models/tiny_unet.onnx", ratio=0.2, criterion="l1", seed=3, details=True
    ).report.details.environment.command
    assert call == (
        "wrg_onnx.prune('models/tiny_unet.onnx', ratio=0.2, criterion='l1', seed=3, details=True)",
    )
