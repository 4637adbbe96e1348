"""Which units of the original are left, where a layer's weight has several groups."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx
import pytest
from strategies import build, normal

from wrg_onnx.graph import load
from wrg_onnx.pipeline.config import DataOptions, PruneConfig, Recovery
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.select import Criterion

MODELS = Path(__file__).parents[3] / "shared" / "data" / "models"


def config(ratio, rounds):
    return PruneConfig(
        ratio, criterion=Criterion.L1, data=DataOptions(samples=2), rounds=rounds,
        recover=Recovery.NONE, evaluate=False,
    )  # fmt: skip


@pytest.fixture
def split(tmp_path):
    """Write a model whose first layer makes 4 channels for one branch and 20 for another."""
    text = """net (float[1,3,8,8] x) => (float[1,5,8,8] y) <int64[2] s = {4, 20}> {
        a = Conv(x, w)  l, r = Split<axis=1>(a, s)
        p = Conv(l, v)  q = Conv(r, u)  m = Add(p, q)  n = Relu(m)  y = Conv(n, z) }"""
    arrays = {
        "w": normal(24, 3, 1, 1), "v": normal(12, 4, 1, 1), "u": 0.1 * normal(12, 20, 1, 1),
        "z": normal(5, 12, 1, 1),
    }  # fmt: skip
    onnx.save(build(text, arrays), tmp_path / "split.onnx")
    return tmp_path / "split.onnx"


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_groups_of_one_weight_are_counted_apart(split, tmp_path, rounds):
    output = tmp_path / "pruned.onnx"
    report = prune(split, output, config(0.6, rounds)).report
    constants = load(output).constants
    assert [(group.name, group.units) for group in report.groups] == [
        ("u", 12),
        ("w", 20),
        ("w", 4),
    ]
    last, other, one = (group.kept for group in report.groups)
    assert constants["v"].shape == (last, one, 1, 1)
    assert constants["u"].shape == (last, other, 1, 1)
    assert sum(group.units - group.kept for group in report.groups) == report.removed


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize(
    "name", ["shufflenet_v2_12_int8", "csnet_L_x1_224", "picodet_s_320_coco_sim"]
)
def test_the_widths_of_a_model_from_elsewhere_account_for_every_removed_unit(name, rounds):
    path = MODELS / f"{name}.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    report = prune(path, None, config(0.4, rounds)).report
    if name == "shufflenet_v2_12_int8":
        assert max(Counter(group.name for group in report.groups).values()) > 1
    assert all(0 < group.kept <= group.units for group in report.groups)
    assert sum(group.units - group.kept for group in report.groups) == report.removed
