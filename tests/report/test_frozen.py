"""Why units stay, by the decision at the root of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.channels import Kind, Limits, parameter_terms
from wrg_onnx.channels.propagate import no_rule
from wrg_onnx.graph import Node
from wrg_onnx.report.frozen import MOST_TRIED, frozen_reports, main_reason
from wrg_onnx.select import Candidates, Products, largest_ratio

STREAM = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
  e = Conv(x, we)
  n1 = Softmax<axis = 1>(e)  a1 = Conv(n1, wa)  b1 = Conv(a1, wb)  s1 = Add(e, b1)
  n2 = Softmax<axis = 1>(s1)  a2 = Conv(n2, wc)  b2 = Conv(a2, wd)  s2 = Add(s1, b2)
  out = Conv(s2, wo) }"""
WEIGHTS = {
    "we": normal(8, 3, 1, 1), "wa": normal(16, 8, 1, 1), "wb": normal(8, 16, 1, 1),
    "wc": normal(16, 8, 1, 1, seed=1), "wd": normal(8, 16, 1, 1, seed=1), "wo": normal(2, 8, 1, 1),
}  # fmt: skip


def rows_of(text, weights, limits=None, floor=0.1):
    units = analyse(build(text, weights), limits).units
    terms = parameter_terms(units)
    budget = Products.from_terms([(term.weight, term.axes) for term in terms])

    def most(removable):
        return largest_ratio(Candidates(removable, units.group, floor), budget)

    return frozen_reports(units, terms, most), most(units.removable)


def test_nodes_that_do_the_same_with_the_same_units_are_one_decision():
    rows, _ = rows_of(STREAM, WEIGHTS)
    first = rows[0]
    assert (
        first.reason
        == "Softmax 'Softmax_1' (and 1 more) weighs the positions of this axis against each other"
    )
    assert (first.node, first.nodes, first.units) == ("Softmax 'Softmax_1'", 2, 8)
    assert first.kind == "operator"
    assert first.met == ""
    assert len({row.reason for row in rows}) == len(rows) == 3


def test_nodes_that_hold_other_units_are_decisions_of_their_own():
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
      a = Conv(x, we)  n = Softmax<axis = 1>(a)  b = Conv(n, wa)  m = Softmax<axis = 1>(b)
      out = Conv(m, w2) }"""
    rows, _ = rows_of(text, {**WEIGHTS, "w2": normal(2, 16, 1, 1)})
    held = {row.node: (row.units, row.nodes) for row in rows}
    assert held["Softmax 'Softmax_1'"] == (8, 1)
    assert held["Softmax 'Softmax_3'"] == (16, 1)


def test_the_ratio_without_a_limit_is_that_of_a_run_without_it():
    limits = Limits(keep=("wa",))
    rows, least = rows_of(STREAM.replace("Softmax<axis = 1>", "Relu"), WEIGHTS, limits)
    (kept,) = (row for row in rows if row.kind == "kept")
    _, most = rows_of(STREAM.replace("Softmax<axis = 1>", "Relu"), WEIGHTS)
    assert kept.largest_ratio == pytest.approx(most)
    assert kept.largest_ratio > least
    assert kept.way_out == "leave it out of --keep"


def test_units_that_something_else_holds_too_are_not_freed():
    rows, least = rows_of(STREAM, WEIGHTS, Limits(keep=("we",)))
    (weighed,) = (row for row in rows if row.node == "Softmax 'Softmax_1'")
    assert weighed.largest_ratio == pytest.approx(least)


def test_the_interface_is_never_tried_and_few_others_are():
    asked = []
    lines = " ".join(f"c{n} = Conv(x, k{n})  s{n} = Softmax<axis = 1>(c{n})" for n in range(9))
    joined = ", ".join(f"s{n}" for n in range(9))
    text = f"""net (float[1,3,6,6] x) => (float[1,2,6,6] out) {{
      {lines}  c = Concat<axis = 1>({joined})  out = Conv(c, w) }}"""
    weights = {**{f"k{n}": normal(n + 2, 3, 1, 1) for n in range(9)}, "w": normal(2, 54, 1, 1)}
    units = analyse(build(text, weights)).units

    def ask(removable):
        asked.append(removable)
        return 0.5

    rows = frozen_reports(units, parameter_terms(units), ask)
    assert len(asked) == MOST_TRIED
    assert sum(row.largest_ratio is not None for row in rows) == MOST_TRIED
    assert {row.largest_ratio for row in rows if row.kind in ("input", "output")} == {None}
    assert frozen_reports(units, parameter_terms(units))[0].largest_ratio is None


def test_meeting_rows_belong_to_their_root():
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
      a = Conv(x, we)  m = ReduceMax<axes = [1]>(a)  l = Conv(m, one)
      out = Conv(l, wl) }"""
    weights = {
        **WEIGHTS, "one": normal(4, 1, 1, 1), "wl": normal(2, 4, 1, 1),
    }  # fmt: skip
    rows, _ = rows_of(text, weights)
    assert any(row.node == "ReduceMax 'ReduceMax_1'" for row in rows)
    assert not any("meets" in row.reason for row in rows)


def test_head_dims_are_named_where_they_free_something():
    text = """net (float[1,6,8] x) => (float[1,6,6] out) {
      q = MatMul(x, wq)  k = MatMul(x, wk)  t = Transpose<perm = [0, 2, 1]>(k)
      out = MatMul(q, t) }"""
    weights = {"wq": normal(8, 12), "wk": normal(8, 12, seed=1)}
    rows, least = rows_of(text, weights)
    (row,) = (row for row in rows if row.kind == "head-dims")
    assert row.way_out == "--head-dims"
    _, most = rows_of(text, weights, Limits(head_dims=True))
    assert most > least
    assert row.largest_ratio == pytest.approx(most)


def test_dynamic_quantisation_points_to_the_file_before_it():
    text = """net (float[1,8] x) => (int32[1,4] out) {
      a = MatMul(x, wf)  q, s, z = DynamicQuantizeLinear(a)  out = MatMulInteger(q, wi) }"""
    weights = {"wf": normal(8, 16), "wi": np.ones((16, 4), np.int8)}
    rows, _ = rows_of(text, weights)
    (row,) = (row for row in rows if row.kind == "converted")
    assert row.node == "DynamicQuantizeLinear 'DynamicQuantizeLinear_1'"
    assert row.way_out == "prune the file that this one was made from"


def test_what_was_decided_for_the_whole_file_is_one_decision():
    text = """net (float[1,8] x) => (int32[1,4] out) {
      a = MatMul(x, wf)  q, s, z = DynamicQuantizeLinear(a)  b = MatMulInteger(q, wi)
      f = Cast<to = 1>(b)  r, t, u = DynamicQuantizeLinear(f)  out = MatMulInteger(r, wj) }"""
    weights = {
        "wf": normal(8, 16), "wi": np.ones((16, 12), np.int8), "wj": np.ones((12, 4), np.int8),
    }  # fmt: skip
    rows, _ = rows_of(text, weights)
    (row,) = (row for row in rows if row.kind == "converted")
    assert (row.nodes, row.units) == (2, 28)
    units = analyse(build(text, weights)).units
    assert main_reason(units, parameter_terms(units)).reason == row.reason


def test_an_operator_of_the_optimisers_blocks_is_told_from_an_unknown_one():
    node = Node(0, "c", "Conv", "com.microsoft.nchwc", 1, (), (), {})
    assert no_rule(node).kind is Kind.CONVERTED
    assert no_rule(replace(node, domain="own")).kind is Kind.NO_RULE


def test_a_free_model_has_no_main_reason():
    units = analyse(build(STREAM.replace("Softmax<axis = 1>", "Relu"), WEIGHTS)).units
    assert main_reason(units, parameter_terms(units)) is None
