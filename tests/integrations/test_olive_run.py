"""`olive run` with our pass, by Microsoft's own command in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from required import require

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-olive" / "bin"
MODEL = ROOT / "models" / "tiny_unet.onnx"

SEARCH = {
    "evaluators": {"speed": {"type": "OnnxEvaluator", "metrics": [
        {"name": "latency", "type": "latency", "sub_types": [{"name": "avg", "priority": 1}],
         "data_config": "made"}]}},
    "data_configs": [{"name": "made", "type": "DummyDataContainer", "load_dataset_config": {
        "input_names": ["image"], "input_shapes": [[1, 3, 160, 160]], "max_samples": 2}}],
    "search_strategy": {"execution_order": "joint", "sampler": "sequential", "max_samples": 2},
    "evaluator": "speed",
}  # fmt: skip


@pytest.fixture
def olive_run(tmp_path):
    """Run a workflow of passes on the small net, with Olive's list of passes and ours."""
    require(BIN.exists(), "there is no Olive here: `make olive` makes its environment")
    environment = {
        **os.environ, "OLIVE_DISABLE_TELEMETRY": "1", "HF_HUB_OFFLINE": "1",
        "XDG_CACHE_HOME": str(tmp_path / "home"),
    }  # fmt: skip

    def started(*command):
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )

    def run(passes, **more):
        package = started(BIN / "python", "-m", "wrg_onnx.integrations.olive_package")
        assert package.returncode == 0, package.stderr
        (tmp_path / "package.json").write_text(package.stdout, encoding="utf-8")
        model = {"type": "ONNXModel", "model_path": str(MODEL)}
        places = {"output_dir": "out", "cache_dir": "cache", "no_artifacts": True}
        config = {"input_model": model, "passes": passes, **places, **more}
        (tmp_path / "run.json").write_text(json.dumps(config), encoding="utf-8")
        return started(
            BIN / "olive", "run", "--config", "run.json", "--package-config", "package.json"
        )

    return run


def parameters(path):
    tensors = onnx.load(path).graph.initializer
    return sum(int(np.prod(one.dims)) for one in tensors if one.data_type in (1, 10))


def test_a_model_is_pruned_and_then_goes_through_a_pass_of_olive(olive_run, tmp_path):
    prune = {"type": "WrgPrune", "ratio": 0.5, "samples": 4, "size": 160, "keep": ["head*"]}
    done = olive_run({"prune": prune, "half": {"type": "OnnxFloatToFloat16"}})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Proof: 50.0% of the parameters are gone" in done.stdout + done.stderr
    output = tmp_path / "out" / "model.onnx"
    assert parameters(output) == pytest.approx(parameters(MODEL) / 2, rel=0.02)
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    (fed,) = session.get_inputs()
    dtype = np.float16 if "16" in fed.type else np.float32
    (found,) = session.run(None, {fed.name: np.zeros((1, 3, 160, 160), dtype)})
    assert found.shape == (1, 1, 160, 160)
    assert np.isfinite(found).all()


def test_a_search_of_olive_passes_over_a_ratio_that_cannot_be_reached(olive_run, tmp_path):
    prune = {"type": "WrgPrune", "ratio": [0.999, 0.6], "criterion": ["l1"], "external_data": True}
    done = olive_run({"prune": prune}, **SEARCH)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cannot remove 99.9% of the parameters" in done.stdout + done.stderr
    record = json.loads((tmp_path / "out" / "model_config.json").read_text(encoding="utf-8"))
    found = record["config"]["model_attributes"]["wrg_onnx"]
    assert found["reached"] == pytest.approx(0.6, abs=0.005)
    assert found["parameters"][1] == parameters(tmp_path / "out" / "model.onnx")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 0.999}, "cannot remove 99.9% of the parameters"),
        ({"ratio": 0.5, "speling": 1}, "WrgPrune has no option speling; it has ratio, max_drop"),
    ],
)
def test_an_error_ends_the_run_with_its_message(olive_run, tmp_path, options, message):
    done = olive_run({"prune": {"type": "WrgPrune", "criterion": "l1", **options}})
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert not (tmp_path / "out" / "model.onnx").exists()
