"""Tensors that no memory holds are refused before anything is as large."""

from __future__ import annotations

import pytest
from strategies import build, normal

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import bind_sizes, capacity, check_run, infer_shapes
from wrg_onnx.graph.capacity import check_fed, check_room, check_values
from wrg_onnx.graph.load import from_proto

SMALL = {"a": (1, 3, 8, 8), "b": ()}


def test_what_fits_is_not_spoken_of(monkeypatch):
    monkeypatch.setattr(capacity, "free_bytes", lambda: 4 * 192)
    for check in (check_values, check_room, check_fed):
        check(SMALL, "m")
        check({}, "m")


def test_more_values_than_any_tensor_has_are_refused():
    check_values({"r": (1 << 16, 1 << 16)}, "m")
    with pytest.raises(ModelError, match=r"'m': 'r' would have 4295032832 values \(65536x65537\)"):
        check_values({**SMALL, "r": (1 << 16, (1 << 16) + 1)}, "m")


def test_a_tensor_larger_than_free_memory_is_refused_before_a_run(monkeypatch):
    monkeypatch.setattr(capacity, "free_bytes", lambda: 3 << 30)
    with pytest.raises(ModelError, match=r"4\.0 GiB, and 3\.0 GiB of memory are free"):
        check_room({**SMALL, "r": (1 << 30,)}, "m")
    monkeypatch.setattr(capacity, "free_bytes", lambda: None)
    check_room({**SMALL, "r": (1 << 30,)}, "m")


def test_an_input_that_is_too_large_to_be_drawn_names_the_options():
    with pytest.raises(
        ModelError, match="memory is set aside for; --size or --shape gives another"
    ):
        check_fed({"x": (1 << 20, 1 << 20)}, "m")


def graph_of(text, weights=None):
    return from_proto(build(text, {"w": normal(8, 3, 1, 1), **(weights or {})}), name="m")


def test_shapes_that_inference_finds_are_looked_at():
    text = "net (float[1,3,h,w] x) => (float[a,b,c,d] y) { y = Conv(x, w) }"
    graph = graph_of(text)
    assert infer_shapes(graph, {"x": (1, 3, 8, 8)})["y"] == (1, 8, 8, 8)
    with pytest.raises(ModelError, match="'y' would have"):
        infer_shapes(graph, {"x": (1, 3, 1 << 15, 1 << 15)})


def test_a_branch_is_looked_into_before_a_run(monkeypatch):
    text = """net (float[1,3,8,8] x, bool k) => (float[a,b,c,d] y) {
        y = If(k) <then_branch = t () => (float[p,q,r,s] g) { g = Conv(x, w) },
                   else_branch = e () => (float[p,q,r,s] h) { h = Conv(x, w) }> }"""
    graph = graph_of(text)
    shapes = bind_sizes(graph.inputs)
    check_run(graph, shapes)
    monkeypatch.setattr(capacity, "free_bytes", lambda: 2000)
    with pytest.raises(ModelError, match="of memory are free"):
        check_run(graph, shapes)


def test_sizes_that_do_not_fit_are_left_to_the_run():
    text = """net (float[n,4] x) => (float[a,b] y) { r = Reshape(x, s)  y = Relu(r) }"""
    import numpy as np

    check_run(graph_of(text, {"s": np.array([3, 7])}), {"x": (1, 4)})
