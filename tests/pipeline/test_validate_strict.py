"""An output that is always the same tells nothing: it is noted, and refused by a strict run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from strategies import build, normal

import wrg_onnx
from wrg_onnx.cli.app import main

TEXT = """net (float[1,4] x) => (float[1,3] y, float[1,3] k) {
  y = MatMul(x, w)  n = Mul(y, none)  k = Add(n, one) }"""
MODEL = build(TEXT, {"w": normal(4, 3), "none": np.zeros(1, np.float32), "one": np.float32(1)})
SAID = "output 'k' of the original is the same everywhere, on all of"


def test_an_output_that_is_always_the_same_is_noted():
    report = wrg_onnx.validate(MODEL, MODEL).report
    assert report.problems == ()
    assert [note for note in report.notes if SAID in note] == [*report.notes]
    assert [one.varies for one in report.accuracy.agreement] == [True, False]


def test_a_strict_run_has_it_among_its_problems():
    report = wrg_onnx.validate(MODEL, MODEL, strict=True).report
    assert len(report.problems) == 1
    assert SAID in report.problems[0]
    assert report.notes == ()


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 3)])
def test_the_command_exits_with_3(tmp_path, options, code):
    path = str(tmp_path / "m.onnx")
    onnx.save(MODEL, path)
    done = CliRunner().invoke(main, ["validate", path, path, *options])
    assert done.exit_code == code, done.output
    assert SAID in " ".join(done.output.split())


def test_a_single_number_that_is_not_zero_tells_something():
    text = "net (float[1] x) => (float[1] y) { y = Mul(x, w) }"
    model = build(text, {"w": normal(1)})
    assert wrg_onnx.validate(model, model, strict=True).report.problems == ()
