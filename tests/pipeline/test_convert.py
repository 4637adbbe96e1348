"""Half precision and int8 in the end of a pruning: what is written, and what the report says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import SALIENCY_NET, SALIENCY_WEIGHTS, build, normal

import wrg_onnx
from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph import load
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import convert
from wrg_onnx.pipeline.config import DataOptions, Precision, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.report import to_plain, to_text
from wrg_onnx.select import Criterion

pytestmark = pytest.mark.usefixtures("few_samples")


def config(precision, **fields):
    fields = {"criterion": Criterion.L1} | fields
    data = DataOptions(samples=4)
    return PruneConfig(
        0.4, precision=precision, data=data, timing=Timing(warmup=0, rounds=1), **fields
    )


def kinds(path):
    return {tensor.data_type for tensor in onnx.load(path).graph.initializer if tensor.dims}


@pytest.mark.parametrize(
    ("precision", "kind"),
    [(Precision.HALF, onnx.TensorProto.FLOAT16), (Precision.INT8, onnx.TensorProto.INT8)],
)
def test_the_file_has_the_numbers_asked_for_and_the_original_s_interface(
    tiny_unet, tmp_path, precision, kind
):
    report = prune(tiny_unet, tmp_path / "out.onnx", config(precision)).report
    assert kind in kinds(tmp_path / "out.onnx")
    before, after = load(tiny_unet), load(tmp_path / "out.onnx")
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)
    assert report.unfinished == ()
    assert report.conversion.precision == precision.value
    assert report.after.file_bytes == (tmp_path / "out.onnx").stat().st_size
    assert report.after.file_bytes < 0.6 * report.conversion.float32_bytes
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.onnx"]


@pytest.mark.parametrize("precision", Precision)
def test_the_channels_are_those_of_the_run_without_it(tiny_unet, precision):
    plain, converted = (prune(tiny_unet, None, config(p)).report for p in (None, precision))
    assert converted.groups == plain.groups
    assert (converted.recovery, plain.recovery) == (None, None)
    assert converted.after == plain.after
    assert converted.accuracy is None


def test_accuracy_and_latency_are_told_step_by_step(tiny_unet):
    plain = prune(tiny_unet, None, config(None, evaluate=True)).report
    report = prune(tiny_unet, None, config(Precision.INT8, evaluate=True)).report
    assert report.accuracy.before == plain.accuracy.before
    assert report.accuracy.cut == plain.accuracy.cut
    assert report.accuracy.float32.scores == plain.accuracy.after
    assert report.accuracy.float32.agreement == plain.accuracy.agreement
    assert report.accuracy.after != plain.accuracy.after
    assert report.accuracy.after.max_f == pytest.approx(plain.accuracy.after.max_f, abs=0.05)
    assert report.speed[0].float32.median_ms > 0
    text = to_text(report)
    assert next(line.split() for line in text.splitlines() if "before" in line) == [
        "before", "cut", "float32", "int8", "change",
    ]  # fmt: skip
    assert "Then written in int8, its ranges measured on 4 samples." in " ".join(text.split())


def test_json_has_the_step_in_between(tiny_unet):
    plain = to_plain(prune(tiny_unet, None, config(Precision.HALF, evaluate=True)).report)
    assert plain["conversion"]["precision"] == "float16"
    assert plain["accuracy"]["float32"]["scores"]["max_f"] > 0
    assert plain["speed"][0]["float32"]["median_ms"] > 0


def test_recovery_comes_before(tiny_unet, tmp_path):
    report = prune(
        tiny_unet, tmp_path / "out.onnx", config(Precision.INT8, recover=Recovery.RIDGE)
    ).report
    assert report.recovery.method == "ridge"
    assert onnx.TensorProto.INT8 in kinds(tmp_path / "out.onnx")
    assert list(report.seconds).index("recover") < list(report.seconds).index("convert")


def test_a_pruned_file_in_int8_says_what_it_has_kept(tiny_unet, tmp_path):
    prune(tiny_unet, tmp_path / "out.onnx", config(Precision.INT8))
    assert "wrg_onnx.kept" in load(tmp_path / "out.onnx").metadata


@pytest.mark.unfinished
def test_a_failed_conversion_leaves_the_model_in_float32(tiny_unet, tmp_path, monkeypatch):
    prune(tiny_unet, tmp_path / "plain.onnx", config(None))

    def fail(*_args, **_kwargs):
        raise ModelError("no kernel")

    monkeypatch.setattr(convert, "to_int8", fail)
    report = prune(
        tiny_unet, tmp_path / "out.onnx",
        config(Precision.INT8, evaluate=True, recover=Recovery.NONE),
    ).report  # fmt: skip
    (one,) = report.unfinished
    assert (one.stage, one.message, one.known) == ("convert", "no kernel", True)
    assert (tmp_path / "out.onnx").read_bytes() == (tmp_path / "plain.onnx").read_bytes()
    assert report.conversion is None
    assert report.accuracy.float32 is None
    assert "The numbers were not changed, and the model is in float32" in to_text(report)


@pytest.mark.parametrize("precision", Precision)
def test_a_quantised_model_is_refused_before_anything_is_measured(tiny_unet, tmp_path, precision):
    prune(tiny_unet, tmp_path / "int8.onnx", config(Precision.INT8))
    with pytest.raises(ModelError, match="it is already quantised"):
        prune(tmp_path / "int8.onnx", tmp_path / "out.onnx", config(precision))
    assert not (tmp_path / "out.onnx").exists()


def test_what_stays_in_float32_is_named():
    model = build(
        """net (float[1,3,16,16] x) => (float[1,4,16,16] y) {
            a = Conv<pads = [1,1,1,1]>(x, w1)  b = Relu(a)
            c = ConvTranspose<pads = [1,1,1,1]>(b, w2)
            d = ConvTranspose<pads = [1,1,1,1]>(c, w3)
            y = Conv<pads = [1,1,1,1]>(d, w4) }""",
        {"w1": normal(64, 3, 3, 3), "w2": normal(64, 64, 3, 3), "w3": normal(64, 32, 3, 3),
         "w4": normal(4, 32, 3, 3)},
    )  # fmt: skip
    report = wrg_onnx.prune(model, ratio=0.3, criterion="l1", samples=4, int8=True).report
    assert report.conversion.left == {"ConvTranspose": 2}
    (note,) = [note for note in report.notes if "in float32 stay" in note]
    assert "ONNX Runtime has no int8 kernel: ConvTranspose '" in note
    assert note.endswith("' and 1 more")


def test_ranges_of_random_inputs_are_told_to_be_worth_little():
    model = build(
        """net (float[1,64] x) => (float[1,8] y) {
            a = MatMul(x, w1)  b = Relu(a)  y = MatMul(b, w2) }""",
        {"w1": normal(64, 256), "w2": normal(256, 8)},
    )
    report = wrg_onnx.prune(model, ratio=0.3, criterion="l1", samples=4, int8=True).report
    assert any("int8's ranges were measured on random inputs" in note for note in report.notes)
    half = wrg_onnx.prune(model, ratio=0.3, criterion="l1", samples=4, half=True).report
    assert not any("random" in note for note in half.notes)


def test_a_file_that_does_not_become_smaller_is_told():
    model = build(SALIENCY_NET, SALIENCY_WEIGHTS)
    report = wrg_onnx.prune(model, ratio=0.3, criterion="l1", samples=4, int8=True).report
    assert any("int8 makes the file no smaller" in note for note in report.notes)


def test_half_and_int8_exclude_each_other():
    model = build(SALIENCY_NET, SALIENCY_WEIGHTS)
    with pytest.raises(UsageError, match="give one of them"):
        wrg_onnx.prune(model, ratio=0.3, half=True, int8=True)


def test_the_result_in_memory_is_the_converted_model():
    model = build(SALIENCY_NET, SALIENCY_WEIGHTS)
    result = wrg_onnx.prune(model, ratio=0.3, criterion="l1", samples=4, half=True)
    weights = {t.name: onnx.numpy_helper.to_array(t) for t in result.model.graph.initializer}
    assert weights["w1"].dtype == np.float16
