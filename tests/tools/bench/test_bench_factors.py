from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench_factors import certainties, costs
from wrg_onnx.calibrate import plan_taps
from wrg_onnx.graph import Provider
from wrg_onnx.pipeline.analyse import analyse
from wrg_onnx.pipeline.config import DataOptions, PruneConfig
from wrg_onnx.pipeline.samples import open_samples

TINY = Path(__file__).parents[3] / "models" / "tiny_unet.onnx"


@pytest.fixture(scope="module")
def opened():
    data = DataOptions(samples=17)
    model = analyse(TINY, data)
    samples = open_samples(
        model.graph, model.input_shapes, data, model.graph, provider=Provider.CPU, seed=0
    )
    return model, plan_taps(model.units), samples


def test_each_factor_has_a_cost(opened):
    shown = re.fullmatch(
        r"plain 0\.\d+ s; in such passes: maps (.+), ranks (.+), gradients (.+)", costs(*opened)
    )
    assert shown
    assert all(float(passes) > 0 for passes in shown.groups())


def test_gradients_and_ranks_together_are_less_sure_than_the_surer_of_both(opened):
    rows = list(certainties(*opened, PruneConfig(0.6)))
    found = [list(map(float, re.findall(r"[\d.]+", row))) for row in rows]
    assert [images for images, *_ in found] == [8, 16]
    for _, ranks, gradients, both in found:
        assert 0 < both < max(ranks, gradients) < 1
