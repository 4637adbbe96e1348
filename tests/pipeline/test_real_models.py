"""The default criterion on models from elsewhere: logits, detectors, channels last, one channel."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort
import pytest

from wrg_onnx.latency import Timing
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.prune import prune

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_samples")]


@pytest.mark.parametrize("ratio", [0.3, 0.6])
@pytest.mark.parametrize(
    ("name", "has_head"),
    [
        ("csnet_L_x2_224", True),
        ("rdian_256", True),
        ("yolox_nano", False),
        ("PP_OCR_v2_det", True),
        ("deeplab_v3_mnv2_dm05_tf", False),
    ],
)
def test_a_model_from_elsewhere_is_pruned_by_default(tmp_path, name, has_head, ratio):
    pytest.importorskip("torch")
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    output = tmp_path / "pruned.onnx"
    config = PruneConfig(
        ratio, data=DataOptions(samples=1), timing=Timing(warmup=0, rounds=1, budget_s=1)
    )
    report = prune(path, output, config).report
    # At most a bias for every layer that a removal reaches was reckoned with.
    assert ratio - 0.005 <= report.reached <= ratio + 0.01
    assert (report.accuracy.before is not None) == has_head
    before, after = (
        ort.InferenceSession(model, providers=["CPUExecutionProvider"]) for model in (path, output)
    )
    for kind in ("get_inputs", "get_outputs"):
        names = [[v.name for v in getattr(session, kind)()] for session in (before, after)]
        assert names[0] == names[1]
