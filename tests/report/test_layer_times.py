"""The time of layers, as far as details have it."""

from __future__ import annotations

from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report import layer_times as module
from wrg_onnx.report.layer_times import small_times


def layer(name, before, after, **fields):
    return LayerTime(name, "Conv", 1, before, after, **fields)


def test_numbers_and_names_are_short():
    row = layer("x" * 10_000, 1.23456, None, layout_before_ms=0.0123456, why="y" * 10_000)
    found, left = small_times(SideBySide((row,), 12.3456, None))
    (small,) = found.layers
    assert (small.before_ms, small.after_ms, small.layout_before_ms) == (1.235, None, 0.01235)
    assert len(small.name) == len(small.why) == 119
    assert (found.before_ms, found.after_ms, left) == (12.35, None, 0)


def test_of_many_layers_the_slowest_are_listed_in_the_order_in_which_they_run(monkeypatch):
    monkeypatch.setattr(module, "MOST_TIMED", 3)
    rows = (
        layer("a", 1.0, 9.0), layer("b", 2.0, 1.0), layer("c", None, 3.0), layer("d", 1.0, 1.0),
        layer("e", 4.0, None),
    )  # fmt: skip
    found, left = small_times(SideBySide(rows, 8.0, 14.0))
    assert ([row.name for row in found.layers], left) == (["a", "c", "e"], 2)
    assert (found.before_ms, found.after_ms) == (8.0, 14.0)
