"""Fine-tuning the committed model, and how its samples are divided."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

pytest.importorskip("torch")

from wrg_onnx.errors import ModelError
from wrg_onnx.evaluate.judge import judge
from wrg_onnx.finetune import FinetuneOptions
from wrg_onnx.finetune.check import HALF_TOLERANCE
from wrg_onnx.graph import load
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline import finetune as stages
from wrg_onnx.pipeline.config import (
    DataOptions,
    FinetuneConfig,
    PruneConfig,
    Recovery,
    ValidateConfig,
)
from wrg_onnx.pipeline.finetune import finetune
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.validate import validate
from wrg_onnx.rewrite import read_note
from wrg_onnx.rewrite.kept_channels import NOTE
from wrg_onnx.select import Criterion

pytestmark = pytest.mark.usefixtures("few_samples")


@pytest.fixture
def pruned(tmp_path, tiny_unet):
    path = tmp_path / "pruned.onnx"
    prune(tiny_unet, path, PruneConfig(0.3, criterion=Criterion.L1, evaluate=False))
    return path


def test_a_pruned_network_comes_nearer_to_its_original(tmp_path, tiny_unet, pruned, monkeypatch):
    judged = []

    def counted(*sessions_and_data, cut=None, progress=None):
        judged.append(2 + (cut is not None))
        return judge(*sessions_and_data, cut=cut, progress=progress)

    monkeypatch.setattr(stages, "judge", counted)
    options = FinetuneOptions(epochs=2, batch=4)
    config = FinetuneConfig(options, DataOptions(samples=20))
    report = finetune(pruned, tiny_unet, tmp_path / "tuned.onnx", config).report
    assert (report.training, report.held_out) == (18, 2)
    assert report.loss_after < report.loss_before
    assert report.error < 1e-3
    first, last = report.before.agreement[0], report.after.agreement[0]
    assert last.relative_error < first.relative_error
    assert judged == [3], "teacher, before and after, in one pass"
    short = ValidateConfig(DataOptions(samples=20), timing=Timing(warmup=0, rounds=1))
    alone = validate(tiny_unet, pruned, short).report
    assert report.before == alone.accuracy
    assert report.after.cut is None
    before, after = load(pruned), load(tmp_path / "tuned.onnx")
    assert list(after.constants) == list(before.constants)
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
    assert any(not np.array_equal(after.constants[k], before.constants[k]) for k in after.constants)


def test_what_judges_is_never_trained_on_nor_chooses(tmp_path, tiny_unet, pruned, monkeypatch):
    from wrg_onnx.finetune import finetune as tuning

    seen = {}
    whole = tuning.finetune

    def spy(student, teacher, data, *rest, **more):
        seen["training"] = {sample.name for sample in data.training}
        seen["held out"] = {sample.name for sample in data.held_out}
        return whole(student, teacher, data, *rest, **more)

    monkeypatch.setattr(tuning, "finetune", spy)
    config = FinetuneConfig(FinetuneOptions(epochs=1), DataOptions(samples=6), evaluate=False)
    finetune(pruned, tiny_unet, tmp_path / "tuned.onnx", config)
    assert {len(seen["training"]), len(seen["held out"])} == {5, 1}
    judged = {"generated 6", "generated 7"}
    assert not judged & (seen["training"] | seen["held out"])
    assert not seen["training"] & seen["held out"]


def test_a_file_that_was_cut_twice_learns_from_the_first_original(tmp_path, tiny_unet, pruned):
    twice = tmp_path / "twice.onnx"
    again = PruneConfig(0.2, criterion=Criterion.L1, evaluate=False)
    prune(pruned, twice, again)
    first, both = read_note(load(pruned)), read_note(load(twice))
    original = {one.total for one in first.values()}
    assert {one.total for one in both.values()} <= original
    assert any(len(both[name].positions) < len(first[name].positions) for name in both)
    config = FinetuneConfig(FinetuneOptions(epochs=1), DataOptions(samples=3), evaluate=False)
    report = finetune(twice, tiny_unet, tmp_path / "tuned.onnx", config).report
    assert "12 of its feature maps" in report.objective
    assert not any("feature maps" in note for note in report.notes)
    report = finetune(twice, pruned, tmp_path / "tuned.onnx", config, force=True).report
    assert any("not of the same shape, in the teacher" in note for note in report.notes), (
        report.notes
    )


def test_a_broken_note_is_named_before_any_work(tmp_path, tiny_unet):
    model = onnx.load(tiny_unet)
    onnx.helper.set_model_props(model, {NOTE: "{"})
    onnx.save(model, tmp_path / "broken.onnx")
    told = []
    with pytest.raises(ModelError, match=r"the note 'wrg_onnx\.kept' .* is broken"):
        prune(tmp_path / "broken.onnx", None, PruneConfig(0.2), progress=lambda *a: told.append(a))
    assert not any(stage in ("data", "recover") for stage, *_ in told)


def halved(model):
    """Write a float32 model in float16."""
    types = onnx.TensorProto
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = types.FLOAT16
    for node in model.graph.node:
        for attribute in node.attribute:
            if (
                attribute.type == onnx.AttributeProto.TENSOR
                and attribute.t.data_type == types.FLOAT
            ):
                array = onnx.numpy_helper.to_array(attribute.t).astype(np.float16)
                attribute.t.CopyFrom(onnx.numpy_helper.from_array(array))
    del model.graph.value_info[:]
    return model


def test_a_float16_file_is_fine_tuned_end_to_end(tmp_path, tiny_unet):
    """Cut from it, with the float16 original as the teacher."""
    original, cut = tmp_path / "half.onnx", tmp_path / "cut.onnx"
    onnx.save(halved(onnx.load(tiny_unet)), original)
    chosen = PruneConfig(0.3, criterion=Criterion.L1, recover=Recovery.NONE, evaluate=False)
    prune(original, cut, chosen)
    options = FinetuneOptions(epochs=2, batch=4)
    config = FinetuneConfig(options, DataOptions(samples=12))
    report = finetune(cut, original, tmp_path / "tuned.onnx", config).report
    assert report.loss_after < report.loss_before
    assert report.error < HALF_TOLERANCE
    assert "12 of its feature maps" in report.objective
    assert report.after.agreement[0].relative_error < report.before.agreement[0].relative_error
    before, after = load(cut), load(tmp_path / "tuned.onnx")
    assert list(after.constants) == list(before.constants)
    types = [{n: a.dtype for n, a in graph.constants.items()} for graph in (before, after)]
    assert types[0] == types[1]
    assert np.dtype(np.float16) in types[1].values()
    assert (after.inputs, after.outputs) == (before.inputs, before.outputs)
