"""Models whose inputs need a word from the user: shapes, and numbers that are no data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from wrg_onnx.channels import Limits
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.bench import bench
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, ValidateConfig
from wrg_onnx.pipeline.inspect import inspect
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.pipeline.validate import validate
from wrg_onnx.select import Criterion

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"
SILERO = MODELS / "silero_vad_16k_op15.onnx"

SOUND = """<ir_version: 8, opset_import: ["": 17]> g
(float[batch,samples] sound, int64 rate) => (float[batch,2,k] y) {
    u = Unsqueeze(sound, one)  p = Pad<mode = "reflect">(u, pads)  a = Conv<strides = [64]>(p, w1)
    r = Relu(a)  b = Conv(r, w2)  q = Equal(rate, wanted)  s = Gather(table, z)  i = Cast<to = 7>(q)
    g = Sub(i, one0)  h = Gather(table, g)  y = Mul(b, h)
}"""


@pytest.fixture
def sound(tmp_path):
    """Refuse a rate other than 16000: the table has a single row."""
    model = onnx.parser.parse_model(SOUND)
    rng = np.random.default_rng(0)
    arrays = {
        "one": np.array([1]), "one0": np.int64(1), "pads": np.array([0, 0, 0, 0, 0, 64]),
        "w1": rng.standard_normal((32, 1, 64)).astype("f"), "wanted": np.int64(16000),
        "w2": rng.standard_normal((2, 32, 1)).astype("f"), "z": np.int64(0),
        "table": np.float32([1.5]),
    }  # fmt: skip
    for name, array in arrays.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    path = tmp_path / "sound.onnx"
    onnx.save(model, path)
    return path


OPTIONS = DataOptions(samples=1, shapes={"sound": (1, 512)}, values={"rate": 16000.0})


def test_a_length_that_fits_is_found_unless_it_is_given(sound):
    assert analyse(sound, DataOptions()).input_shapes["sound"] == (1, 128)
    assert analyse(sound, OPTIONS).input_shapes["sound"] == (1, 512)


def test_shapes_and_numbers_reach_every_stage(sound, tmp_path):
    report = inspect(sound, OPTIONS, Limits(), floor=0.1).report
    assert report.sizes == {"sound": (1, 512), "rate": ()}
    output = tmp_path / "pruned.onnx"
    config = PruneConfig(0.5, criterion=Criterion.ACT, data=OPTIONS)
    pruned = prune(sound, output, config).report
    assert pruned.equivalence.sizes == 2
    assert pruned.accuracy.agreement
    assert not validate(sound, output, ValidateConfig(OPTIONS)).report.problems
    bench([sound, output], OPTIONS)


def test_a_voice_detector_with_branches_and_states_is_pruned(tmp_path):
    if not SILERO.exists():
        pytest.skip(f"{SILERO} is not there")
    data = DataOptions(shapes={"input": (1, 512)}, values={"sr": 16000.0})
    output = tmp_path / "pruned.onnx"
    report = prune(SILERO, output, PruneConfig(0.5, criterion=Criterion.L1, data=data)).report
    assert abs(report.reached - 0.5) < 0.005
    assert report.equivalence.error < 1e-4
