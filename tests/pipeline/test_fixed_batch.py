"""A model whose file fixes a batch above 1: it is fed the same image that many times."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from wrg_onnx.finetune.options import FinetuneOptions
from wrg_onnx.latency import Timing
from wrg_onnx.pipeline.config import DataOptions, FinetuneConfig, PruneConfig
from wrg_onnx.pipeline.finetune import finetune
from wrg_onnx.pipeline.prune import prune

pytest.importorskip("torch")

BODY = """<ir_version: 8, opset_import: ["": 17]>
net (float[{0},3,32,32] x) => (float[{0},1,32,32] y) {{
    c = Conv<pads=[1,1,1,1]>(x, w1)  a = Relu(c)
    d = Conv<pads=[1,1,1,1]>(a, w2)  b = Relu(d)
    z = Conv(b, w3)  y = Sigmoid(z)
}}"""


LOSS = """
import torch

shapes = []

def cross_entropy(outputs, mask, teacher):
    shapes.append((tuple(outputs["y"].shape), tuple(mask.shape)))
    return torch.nn.functional.binary_cross_entropy(outputs["y"], mask)
"""


@pytest.fixture
def saved(tmp_path):
    def save(batch):
        rng = np.random.default_rng(0)
        model = onnx.parser.parse_model(BODY.format(batch))
        for name, shape in {"w1": (16, 3, 3, 3), "w2": (16, 16, 3, 3), "w3": (1, 16, 1, 1)}.items():
            weights = rng.standard_normal(shape).astype(np.float32) / 4
            model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
        path = tmp_path / f"batch_{batch}.onnx"
        onnx.save(model, path)
        return path

    return save


def test_it_loses_the_channels_that_it_would_lose_one_image_at_a_time(saved, tmp_path):
    config = PruneConfig(
        0.4, data=DataOptions(samples=4), timing=Timing(warmup=0, rounds=1, budget_s=1)
    )
    kept = {}
    for batch in (1, 4):
        output = tmp_path / f"pruned_{batch}.onnx"
        report = prune(saved(batch), output, config).report
        assert report.accuracy.before is not None
        kept[batch] = [(group.name, group.kept) for group in report.groups]
    assert kept[4] == kept[1]
    model = onnx.load(tmp_path / "pruned_4.onnx")
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 4


def test_it_is_fine_tuned(saved, tmp_path):
    path = saved(4)
    config = FinetuneConfig(FinetuneOptions(epochs=1), DataOptions(samples=4))
    report = finetune(path, path, tmp_path / "tuned.onnx", config).report
    assert (report.training, report.held_out) == (3, 1)
    assert (tmp_path / "tuned.onnx").exists()


@pytest.mark.parametrize(("batch", "shown"), [(4, {4}), ("N", {1, 3}), (1, {1})])
def test_a_loss_of_ones_own_gets_a_mask_for_each_of_the_outputs(
    saved, tmp_path, monkeypatch, batch, shown
):
    (tmp_path / "fixed_batch_losses.py").write_text(LOSS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = saved(batch)
    options = FinetuneOptions(epochs=1, loss="fixed_batch_losses:cross_entropy")
    finetune(path, path, tmp_path / "tuned.onnx", FinetuneConfig(options, DataOptions(samples=4)))
    shapes = sys.modules.pop("fixed_batch_losses").shapes
    assert {outputs[0] for outputs, _ in shapes} == shown
    assert all(outputs == mask for outputs, mask in shapes)
