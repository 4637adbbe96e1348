"""Models from elsewhere come nearer to their originals: logits, detectors, channels last."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from wrg_onnx.finetune import FinetuneOptions
from wrg_onnx.finetune.options import is_better
from wrg_onnx.pipeline.config import DataOptions, FinetuneConfig, PruneConfig
from wrg_onnx.pipeline.finetune import finetune
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_samples")]


@pytest.mark.parametrize(
    ("name", "learns_masks"),
    [
        ("rdian_256", True),
        ("yolox_nano", False),
        ("deeplab_v3_mnv2_dm05_tf", False),
        ("ultraface_RFB_320", False),
    ],
)
def test_a_model_from_elsewhere_is_fine_tuned(tmp_path, name, learns_masks):
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    pruned = tmp_path / "pruned.onnx"
    data = DataOptions(samples=4)
    prune(path, pruned, PruneConfig(0.1, criterion=Criterion.L1, data=data, evaluate=False))
    options = FinetuneOptions(epochs=2, batch=2)
    report = finetune(pruned, path, tmp_path / "tuned.onnx", FinetuneConfig(options, data)).report
    assert ("masks" in report.objective.split(", ")) == learns_masks
    assert report.error < 1e-3 or any("rounding alone" in note for note in report.notes)
    assert not is_better(report.history[0], report.chosen)
    assert (tmp_path / "tuned.onnx").exists()
