from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import bench_default
from bench_default import COLUMNS, TARGET, Cost, head, measure, model_file, row, verdict

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def cost():
    return measure(ROOT / "models" / "tiny_unet.onnx", images=3, criterion="wr", ratio=0.3)


def test_the_parts_of_a_pruning_add_up_to_nearly_all_of_it(cost):
    assert cost.forwards > 0
    assert cost.report.images == 3
    assert cost.report.accuracy is None
    parts = {column: cost.passes(column) for column in COLUMNS}
    assert all(parts[column] > 0 for column in ("data", "measure", "cut", "recover"))
    assert 0.8 * cost.ratio < sum(parts.values()) <= cost.ratio


def test_a_row_stands_below_its_head_in_80_columns(cost):
    assert len(row("yolox_nano", cost)) == len(head()) <= 80


def test_the_verdict_names_what_is_above_the_target(cost):
    dear = replace(cost, forwards=1.0, whole=TARGET + 1)
    cheap = replace(cost, forwards=1.0, whole=TARGET)
    assert verdict({"a": dear, "b": cheap}).endswith("; a above it")
    assert verdict({"b": cheap}).endswith("; all within it")


def test_a_model_that_is_not_here_has_no_file(monkeypatch, tmp_path):
    monkeypatch.setitem(bench_default.MODELS, "csnet", tmp_path / "csnet.onnx")
    assert model_file("csnet", tmp_path) is None
    (tmp_path / "csnet.onnx").touch()
    assert model_file("csnet", tmp_path) == tmp_path / "csnet.onnx"


def test_a_cost_is_told_in_passes_over_as_many_images(cost):
    doubled = Cost(2 * cost.forwards, cost.whole, cost.report)
    assert doubled.ratio == pytest.approx(cost.ratio / 2)
    assert doubled.passes("measure") == pytest.approx(cost.passes("measure") / 2)
