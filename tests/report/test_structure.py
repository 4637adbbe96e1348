"""Layer widths as a graph."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.report import structure as module
from wrg_onnx.report.details import WidthEdge
from wrg_onnx.report.structure import structure_of

BRANCHES = """net (float[1,3,4,4] image) => (float[1,2,4,4] out) {
  a = Conv(image, wa)  b = Conv(a, wb)  s = Add(a, b)  d = Conv<group = 8>(s, depth)
  c = Conv(d, wc)  j = Concat<axis = 1>(c, d)  out = Conv(j, wo) }"""
WEIGHTS = {
    "wa": normal(8, 3, 1, 1), "wb": normal(8, 8, 1, 1), "depth": normal(8, 1, 1, 1),
    "wc": normal(5, 8, 1, 1), "wo": normal(2, 13, 1, 1),
}  # fmt: skip


@pytest.fixture
def units():
    return analyse(build(BRANCHES, WEIGHTS)).units


def all_of(units):
    return np.ones(units.count, bool)


def edges_of(found):
    return {
        (found.nodes[e.source].units, found.nodes[e.target].units): e.layers for e in found.edges
    }


def test_a_weight_is_an_edge_from_what_it_sums_over_to_what_it_makes(units):
    found = structure_of(units, all_of(units))
    assert [(node.name, node.units) for node in found.nodes] == [
        ("what wa reads", 3), ("depth", 8), ("wc", 5), ("wo", 2),
    ]  # fmt: skip
    # The 8 channels of a sum are one width, which feeds itself; a concatenation has two sources.
    assert edges_of(found) == {(3, 8): 1, (8, 8): 1, (8, 5): 1, (5, 2): 1, (8, 2): 1}
    assert found.edges_left == 0


def test_a_node_names_its_constants_and_what_is_left(units):
    alive = all_of(units)
    (slot,) = [s for s in units.slots if (s.name, s.axis) == ("wc", 0)]
    alive[units.slot_units(slot)[:2]] = False
    node = structure_of(units, alive).nodes[2]
    assert (node.kept, node.widths, node.members, node.constants) == (3, 1, ("wc", "wo"), 2)
    sums = structure_of(units, alive).nodes[1]
    assert set(sums.members) == {"wa", "wb", "depth", "wc", "wo"}


def test_of_too_many_widths_those_that_follow_each_other_are_one_node(units, monkeypatch):
    monkeypatch.setattr(module, "MOST_NODES", 2)
    found = structure_of(units, all_of(units))
    assert [(node.name, node.widths, node.units) for node in found.nodes] == [
        ("what wa reads", 2, 11), ("wc", 2, 7),
    ]  # fmt: skip
    assert found.edges == (WidthEdge(0, 1, 2),)


def test_edges_beyond_the_most_are_counted(units, monkeypatch):
    monkeypatch.setattr(module, "MOST_EDGES", 2)
    found = structure_of(units, all_of(units))
    assert (len(found.edges), found.edges_left) == (2, 3)


def test_a_model_without_channels_has_no_graph():
    text = "net (float[2] x) => (float[2] y) { y = Relu(x) }"
    units = analyse(build(text)).units
    assert structure_of(units, all_of(units)) is None
