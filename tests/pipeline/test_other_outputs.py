"""Outputs and inner values that are sequences or maps: what leads there stays, the rest is cut."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from strategies import build, normal

from wrg_onnx.channels import Limits
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery, ValidateConfig
from wrg_onnx.pipeline.inspect import inspect
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.validate import validate
from wrg_onnx.select import Criterion

BACKBONE = """{ a = Conv(x, w0)  ar = Relu(a)  b = Conv(ar, w1)  g = GlobalAveragePool(b)
    f = Flatten(g)  p = Gemm<transB = 1>(f, w2)"""
HEADS = {
    "map": """(seq(map(string, float)) z) %s
        z = ai.onnx.ml.ZipMap<classlabels_strings = ["a", "b", "c"]>(p) }""",
    "sequence": "(float[1,3] p, seq(float[]) s) %s s = SequenceConstruct(p, f) }",
    "pieces": """(seq(float[]) s) %s c = Constant<value = int64[3] {1, 1, 1}>()
        s = SplitToSequence<axis = 1>(p, c) }""",
    "inner": """(float[1,3] y) %s s = SequenceConstruct(p, p)  k = Constant<value = int64 {1}>()
        q = SequenceAt(s, k)  y = Relu(q) }""",
    "text": """(float[1,3] p, string[1] t) %s k = ArgMax<axis = 1, keepdims = 0>(p)
        t = Cast<to = 8>(k) }""",
}


@pytest.fixture
def model_of(tmp_path):
    def write(head):
        text = f"net (float[1,3,16,16] x) => {HEADS[head] % BACKBONE}"
        weights = {"w0": normal(16, 3, 3, 3), "w1": normal(16, 16, 3, 3), "w2": normal(3, 16)}
        model = build(text, weights, domains=("ai.onnx.ml",))
        model.opset_import[1].version = 3
        onnx.save(model, tmp_path / f"{head}.onnx")
        return tmp_path / f"{head}.onnx"

    return write


def config(criterion=Criterion.L1, recover=Recovery.NONE):
    return PruneConfig(0.4, criterion=criterion, recover=recover, data=DataOptions(samples=2))


@pytest.mark.parametrize("head", HEADS)
def test_the_rest_is_cut_and_proven(model_of, tmp_path, head):
    path, output = model_of(head), tmp_path / "out.onnx"
    report = prune(path, output, config()).report
    assert abs(report.reached - 0.4) < 0.03
    assert report.equivalence.error < 1e-5
    assert not report.equivalence.silent
    before, after = (
        [output.type for output in ort.InferenceSession(file).get_outputs()]
        for file in (path, output)
    )
    assert after == before


@pytest.mark.parametrize("head", ["map", "sequence", "inner"])
def test_the_reason_is_named(model_of, head):
    report = inspect(model_of(head), DataOptions(), Limits(), floor=0.1).report
    (reason,) = (row.reason for row in report.frozen if "a sequence" in row.reason)
    assert reason.endswith("a sequence, a map or an optional value, of which nothing is cut")


@pytest.mark.parametrize("head", ["map", "sequence", "pieces", "text"])
def test_gradients_judging_and_recovery_go_through(model_of, tmp_path, head):
    pytest.importorskip("torch")
    path, output = model_of(head), tmp_path / "out.onnx"
    report = prune(path, output, config(Criterion.SEL, Recovery.RIDGE)).report
    assert report.recovery is not None
    judged = {
        "map": ["z"], "sequence": ["p", "s[0]", "s[1]"], "pieces": ["s[0]", "s[1]", "s[2]"],
        "text": ["p"],
    }[head]  # fmt: skip
    assert [one.output for one in report.accuracy.agreement] == judged
    assert report.accuracy.unjudged == (("t",) if head == "text" else ())
    assert report.speed
    assert not validate(path, output, ValidateConfig(DataOptions(samples=2))).report.problems


def test_a_model_with_a_map_is_fine_tuned(model_of, tmp_path):
    pytest.importorskip("torch")
    finetuned = config(Criterion.SEL, Recovery.FINETUNE)
    report = prune(model_of("map"), tmp_path / "o.onnx", finetuned).report
    assert report.recovery.method == "finetune"
    assert np.isfinite(report.accuracy.agreement[0].relative_error)
