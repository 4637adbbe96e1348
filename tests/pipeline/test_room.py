"""What a run says that it needs at least is never more than it needs, and seldom much less."""

from __future__ import annotations

import dataclasses

import pytest

from wrg_onnx.files import check_room
from wrg_onnx.finetune import CheckpointFile
from wrg_onnx.graph import load, save
from wrg_onnx.pipeline import prune as module
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import BudgetKind, DataOptions, Precision, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import open_model, prune
from wrg_onnx.pipeline.room import least_bytes, needs_of_prune, needs_of_training
from wrg_onnx.progress import silent
from wrg_onnx.select import Criterion

CUT = PruneConfig(
    0.5, criterion=Criterion.L1, recover=Recovery.NONE, evaluate=False, data=DataOptions(samples=2)
)

RUNS = {
    "half": {},
    "much": {"ratio": 0.9},
    "nothing": {"ratio": 0.0},
    "MACs": {"budget": BudgetKind.MACS},
    "bytes": {"budget": BudgetKind.BYTES},
    "a limit of bytes": {"budget": BudgetKind.BYTES, "limit": 1e6, "ratio": 0.0},
    "aligned": {"align": 8},
    "half precision": {"precision": Precision.HALF},
    "int8": {"precision": Precision.INT8},
}


@pytest.mark.parametrize("chosen", RUNS.values(), ids=RUNS)
def test_a_pruned_model_is_never_smaller_than_was_said(tiny_unet, tmp_path, chosen):
    config = dataclasses.replace(CUT, **chosen)
    aim = open_model(tiny_unet, config, Clock(silent))
    least = least_bytes(aim.model, aim.config)
    size = prune(tiny_unet, tmp_path / "m.onnx", config).report.after.file_bytes
    assert least <= size
    if config.budget is not BudgetKind.MACS and config.precision is None:
        assert least > 0.8 * size


def test_weights_that_are_copied_for_a_moment_count(tiny_unet, tmp_path):
    path = tmp_path / "m.onnx"
    model = open_model(tiny_unet, CUT, Clock(silent)).model
    config = dataclasses.replace(CUT, external_data=True)
    (plain,) = needs_of_prune(model, config, path).values()
    save(load(tiny_unet), path, external_data=True)
    (more,) = needs_of_prune(model, config, path).values()
    assert more - plain == (tmp_path / "m.onnx.data").stat().st_size


def test_a_checkpoint_is_written_beside_the_one_before(tiny_unet, tmp_path):
    pytest.importorskip("torch")
    from wrg_onnx.pipeline.config import FinetuneConfig
    from wrg_onnx.pipeline.finetune import finetune

    graph, path = load(tiny_unet), tmp_path / "c.safetensors"
    needs = needs_of_training(graph, tmp_path / "m.onnx", CheckpointFile(path), external=False)
    options = FinetuneConfig().options
    config = dataclasses.replace(
        FinetuneConfig(), evaluate=False, data=DataOptions(samples=4),
        options=dataclasses.replace(options, epochs=1, checkpoint=CheckpointFile(path)),
    )  # fmt: skip
    finetune(tiny_unet, tiny_unet, tmp_path / "m.onnx", config)
    assert 0.8 * path.stat().st_size < needs[path] / 2 <= path.stat().st_size
    assert 0.8 * (tmp_path / "m.onnx").stat().st_size < needs[tmp_path / "m.onnx"]
    assert needs[tmp_path / "m.onnx"] <= (tmp_path / "m.onnx").stat().st_size
    again = needs_of_training(graph, None, CheckpointFile(path, resume=True), external=False)
    assert again == {path: needs[path] / 2}


def test_a_run_looks_before_its_work(tiny_unet, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        module, "check_room", lambda needs: asked.append(needs) or check_room(needs)
    )
    prune(tiny_unet, tmp_path / "m.onnx", CUT)
    assert [list(needs) for needs in asked] == [[tmp_path / "m.onnx"]]
    prune(tiny_unet, None, CUT)
    assert len(asked) == 1
