"""What is in memory at the same time is added up before a run."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import build

from wrg_onnx.errors import ModelError, UsageError
from wrg_onnx.graph import alive, check_run
from wrg_onnx.graph.alive import accounted, most_alive, text_lengths
from wrg_onnx.graph.load import from_proto

CHAIN = """net (float[1,2,8,8] x) => (float[1,2,8,8] y) {
  a = Relu(x)  b = Neg(a)  c = Add(a, b)  d = Abs(c)  y = Neg(d) }"""
SHAPES = {"x": (1, 2, 8, 8)}
ONE = 128 * 4


def graph_of(text, weights=None, **options):
    return from_proto(build(text, weights, **options), name="m")


def test_a_tensor_lives_until_its_last_reader_has_run():
    nodes = graph_of(CHAIN).nodes
    found, node = most_alive(nodes, dict.fromkeys("abcdy", ONE))
    assert (found, node.op) == (2 * ONE, "Neg")
    assert most_alive(nodes, dict.fromkeys("abcdy", ONE), {"a", "y"})[0] == 2 * ONE
    assert most_alive(nodes, dict.fromkeys("abcdy", ONE), {"a", "b", "y"})[0] == 3 * ONE
    assert most_alive(nodes, {"c": ONE})[0] == ONE
    assert most_alive((), {}) == (0, None)


def test_what_nobody_reads_is_gone_at_once():
    nodes = graph_of(CHAIN.replace("c = Add(a, b)", "c = Add(a, a)")).nodes
    assert most_alive(nodes, dict.fromkeys("abcdy", ONE))[0] == 2 * ONE


def test_what_one_node_reads_is_held_against_free_memory(monkeypatch):
    graph = graph_of(CHAIN)
    monkeypatch.setattr(alive, "free_bytes", lambda: 2 * ONE)
    check_run(graph, SHAPES)
    monkeypatch.setattr(alive, "free_bytes", lambda: 2 * ONE - 1)
    with pytest.raises(ModelError, match=r"'m': at Neg 'Neg_1', .* in memory at the same time"):
        check_run(graph, SHAPES)
    monkeypatch.setattr(alive, "free_bytes", lambda: None)
    check_run(graph, SHAPES)


def test_what_is_fed_and_weights_account_for_much_more(monkeypatch):
    monkeypatch.setattr(alive, "FREE_OF_CHARGE", 0)
    monkeypatch.setattr(alive, "TIMES_HELD", 2)
    check_run(graph_of(CHAIN), SHAPES)
    monkeypatch.setattr(alive, "TIMES_HELD", 1)
    with pytest.raises(ModelError, match="do not account for; WRG_ONNX_RUN_GIB=1 allows it"):
        check_run(graph_of(CHAIN), SHAPES)
    monkeypatch.setenv("WRG_ONNX_RUN_GIB", "0.5")
    check_run(graph_of(CHAIN), SHAPES)


@pytest.mark.parametrize("text", ["", "much", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_none_is_an_error(monkeypatch, text):
    monkeypatch.setenv("WRG_ONNX_RUN_GIB", text)
    with pytest.raises(UsageError, match="must be a number of GiB such as 8"):
        accounted(0)


def test_half_precision_counts_half(monkeypatch):
    graph = graph_of(CHAIN.replace("float[", "float16["))
    monkeypatch.setattr(alive, "free_bytes", lambda: ONE)
    check_run(graph, SHAPES)
    monkeypatch.setattr(alive, "free_bytes", lambda: ONE - 1)
    with pytest.raises(ModelError, match="in memory at the same time"):
        check_run(graph, SHAPES)


STRINGS = """net (float[1,2,8,8] x) => (string[1] d, bool[1] e, string[2] f) {
  b = StringConcat(a, a)  c = Identity(b)  d = StringConcat(c, a)  e = Equal(a, c)
  f = Concat<axis = 0>(a, b) }"""


def test_strings_grow_where_they_are_joined_and_not_where_they_are_handed_on():
    found = text_lengths(graph_of(STRINGS, {"a": np.array([b"x" * 68], object)}, opset=20))
    assert found == {"a": 100, "b": 200, "c": 200, "d": 300, "f": 200}
    assert text_lengths(graph_of(CHAIN)) == {}
