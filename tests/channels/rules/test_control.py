"""Branches and loop bodies: what is pruned inside them equals what is masked."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import onnx
import pytest
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    network,
)
from strategies import analyse, draw_alive, normal, tensors_of, whole

from wrg_onnx.channels import parameter_terms, total_cost
from wrg_onnx.graph.subgraphs import flatten
from wrg_onnx.rewrite import apply_plan, plan_slices

YES, NO = {"q": np.bool_(True)}, {"q": np.bool_(False)}
PAIR = "y = If(q) <then_branch = t () => (float[1,8,6,6] u) {c = Conv(a, t1)  d = Relu(c)  u = Conv(d, t2)}, else_branch = e () => (float[1,8,6,6] v) {f = Conv(a, e1)  g = Tanh(f)  v = Conv(g, e2)}>"
OUTER = {
    "t1": normal(5, 8, 1, 1),
    "t2": normal(8, 5, 1, 1),
    "e1": normal(6, 8, 1, 1),
    "e2": normal(8, 6, 1, 1),
}
LOOP = "m = Reshape(a, rows)  k = Loop(n, , m) <body = b (int64 i, bool z, float[8,36] s) => (bool z2, float[8,36] s2) {z2 = Identity(z)  h = MatMul(p1, s)  r = Relu(h)  s2 = MatMul(p2, r)}>  y = Reshape(k, image)"
SCAN = "m = Reshape(a, rows)  k, l = Scan<num_scan_inputs = 1, body = b (float[8] s, float[36] t) => (float[8] s2, float[7] o) {e = MatMul(t, p1)  r = Relu(e)  f = MatMul(r, p2)  s2 = Sigmoid(s)  o = Identity(f)}>(v, m)  j = Reshape(k, gate)  y = Mul(a, j)"


def hold(case, **free):
    """Check a case, and that some constants are free along an axis: ``name = (axis, count)``."""
    analysis = analyse(network(case))
    for name, (axis, count) in free.items():
        assert analysis.removable(name, axis).sum() == count, analysis.reasons(name, axis)
    assert_prunes_exactly(case)
    assert_own_validation_accepts(case)
    return analysis


@pytest.mark.parametrize("condition", [YES, NO], ids=["then", "else"])
def test_convolutions_in_branches_share_what_they_return(condition):
    case = Case("pair", PAIR, consts=OUTER | condition)
    hold(case, t1=(0, 5), t2=(0, 8), e1=(0, 6), e2=(0, 8), wz=(1, 8))
    assert analyse(network(case)).tied(("t2", 0), ("e2", 0), ("wz", 1))


@pytest.mark.parametrize("condition", [YES, NO], ids=["then", "else"])
def test_branch_that_returns_another_shape_keeps_it_whole(condition):
    body = PAIR.replace("v = Conv(g, e2)", "w = Conv(g, e2)  v = Resize(w, , s)").replace(
        "float[1,8,6,6] v", "float[1,8,h,w0] v"
    )
    case = Case("other", body, consts=OUTER | condition | {"s": np.float32([1, 1, 2, 2])})
    hold(case, t1=(0, 5), t2=(0, 0), e2=(0, 0))
    reasons = analyse(network(case)).reasons("t2", 0)
    assert any("returns another shape from each branch" in reason for reason in reasons)


@pytest.mark.parametrize("opset", [11, 13, 16, 21])
def test_state_of_a_loop_is_cut_where_it_begins_and_ends(opset):
    consts = {
        "n": ints(3).reshape(()),
        "rows": ints(8, 36),
        "image": ints(1, 8, 6, 6),
        "p1": normal(5, 8) / 3,
        "p2": normal(8, 5) / 3,
    }
    case = Case(f"loop-{opset}", LOOP, opset, consts=consts)
    analysis = hold(case, p1=(0, 5), p2=(0, 8), wz=(1, 8))
    assert analysis.tied(("wa", 0), ("p1", 1), ("p2", 0), ("wz", 1))


def test_states_and_sequences_of_a_scan_are_cut_on_the_axes_that_are_not_scanned():
    consts = {
        "v": normal(8),
        "rows": ints(8, 36),
        "gate": ints(1, 8, 1, 1),
        "p1": normal(36, 5),
        "p2": normal(5, 7),
    }
    case = Case("scan", SCAN, consts=consts, free=0)
    analysis = hold(case, p1=(1, 5), v=(0, 0))
    reasons = analysis.reasons("wa", 0)
    assert any("goes through this axis position by position" in reason for reason in reasons)


def test_loop_body_consumes_channels_from_outside():
    """A weight in the body that reads an outer tensor is a reader like any other."""
    body = "k = Loop(n, , c0) <body = b (int64 i, bool z, float[1,4,6,6] s) => (bool z2, float[1,4,6,6] s2) {z2 = Identity(z)  h = Conv(a, p1)  s2 = Add(s, h)}>  y = Identity(k)"
    consts = {"n": ints(3).reshape(()), "c0": normal(1, 4, 6, 6), "p1": normal(4, 8, 1, 1)}
    analysis = hold(Case("outer", body, y=(4,), consts=consts), p1=(1, 8))
    assert analysis.tied(("wa", 0), ("p1", 1))


def own_constants(opset=17, condition=True):
    """Put the weights into the branches, under the same names, as initializers and Constant nodes."""
    case = Case("own", PAIR, opset, consts=OUTER | {"q": np.bool_(condition)})
    model = network(case)
    node = next(n for n in model.graph.node if n.op_type == "If")
    node.name = "choice"
    arrays = {t.name: t for t in model.graph.initializer}
    for attribute in node.attribute:
        prefix = attribute.name[0]
        for number in ("1", "2"):
            tensor = onnx.TensorProto()
            tensor.CopyFrom(arrays[prefix + number])
            tensor.name = f"w{number}"
            if number == "1":
                attribute.g.initializer.append(tensor)
            else:
                made = onnx.helper.make_node("Constant", [], ["w2"], value=tensor)
                attribute.g.node.insert(0, made)
        for child in attribute.g.node:
            for position, name in enumerate(child.input):
                if name[0] == prefix and name[1:] in ("1", "2"):
                    child.input[position] = f"w{name[1:]}"
    kept = [t for t in model.graph.initializer if t.name not in OUTER]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model


def check(model, seeds=range(6), **free):
    from strategies import assert_identity, assert_surgery_is_exact

    analysis = analyse(model)
    for (name, axis), count in free.get("free", {}).items():
        assert analysis.removable(name, axis).sum() == count, analysis.reasons(name, axis)
    assert_identity(analysis)
    for seed in seeds:
        alive = draw_alive(analysis.units, np.random.default_rng(seed), (0.3, 0.9)[seed % 2])
        assert_surgery_is_exact(analysis, alive)
    return analysis


@pytest.mark.parametrize("condition", [True, False])
def test_branches_may_use_the_same_names_for_their_own_constants(condition):
    then, other = "choice.then_branch/", "choice.else_branch/"
    free = {
        (then + "w1", 0): 5,
        (then + "w2", 0): 8,
        (other + "w1", 0): 6,
        (other + "w2", 0): 8,
        ("wa", 0): 8,
    }
    analysis = check(own_constants(condition=condition), free=free)
    assert analysis.tied((then + "w1", 0), (then + "w2", 1))


def test_parameters_in_branches_count():
    units = analyse(own_constants()).units
    outside = 8 * 3 + 8 + 8 * 3 + 8 + 2 * 8
    inside = 2 * 5 * 8 + 2 * 6 * 8
    assert total_cost(parameter_terms(units), np.ones(units.count, bool)) == outside + inside


def nested():
    """A branch inside a branch; its body reads a constant and a tensor of the branch around it."""
    inner = "u = If(q) <then_branch = i () => (float[1,8,6,6] j) {j = Conv(d, t2)}, else_branch = o () => (float[1,8,6,6] p) {l = Relu(d)  p = Conv(l, t2)}>"
    return Case("nested", PAIR.replace("u = Conv(d, t2)", inner), consts=OUTER | YES)


def test_nested_branches_are_cut():
    analysis = hold(nested(), t1=(0, 5), t2=(0, 8), e1=(0, 6))
    assert analysis.tied(("t1", 0), ("t2", 1))
    assert analysis.tied(("t2", 0), ("e2", 0), ("wz", 1))


def test_constant_of_a_branch_that_its_own_branches_read():
    model = network(nested())
    (outer,) = (n for n in model.graph.node if n.op_type == "If")
    moved = next(t for t in model.graph.initializer if t.name == "t2")
    outer.attribute[0].g.initializer.append(moved)
    model.graph.initializer.remove(moved)
    analysis = check(model, free={("wa", 0): 8})
    alive = draw_alive(analysis.units, np.random.default_rng(0), 0.9)
    pruned = whole(apply_plan(analysis.graph, plan_slices(analysis.units, alive)))
    assert sum(name.endswith("t2") for name, _ in tensors_of(pruned.graph)) >= 1


def test_weight_that_the_main_graph_and_a_branch_read():
    body = PAIR.replace("Conv(a, t1)", "Conv(a, s)") + "  z = Conv(a, s)  y1 = Relu(z)"
    consts = {k: v for k, v in OUTER.items() if k != "t1"} | YES | {"s": normal(5, 8, 1, 1)}
    analysis = hold(Case("shared", body, y=(8, 5), consts=consts), s=(0, 5), t2=(1, 5))
    assert analysis.tied(("s", 0), ("t2", 1))


def test_shape_operands_in_a_body_follow():
    body = PAIR.replace(
        "u = Conv(d, t2)",
        "h, l = Split<axis = 1>(d, parts)  m = Concat<axis = 1>(l, h)  f0 = Reshape(m, to)  u = Conv(f0, t2)",
    )
    consts = OUTER | YES | {"parts": ints(2, 3), "to": ints(1, 5, 6, 6)}
    analysis = hold(Case("sizes", body, consts=consts), t1=(0, 3))
    alive = np.ones(analysis.units.count, bool)
    alive[analysis.labels("t1", 0)[1]] = False
    pruned = whole(apply_plan(analysis.graph, plan_slices(analysis.units, alive)))
    arrays = {name: onnx.numpy_helper.to_array(t) for name, t in tensors_of(pruned.graph)}
    read = [arrays[f"If_2.then_branch/{name}"] for name in ("parts_pruned1", "to_pruned1")]
    assert [array.tolist() for array in read] == [[1, 3], [1, 4, 6, 6]]


def test_weight_that_a_branch_computes_stays_where_it_is_summed():
    body = PAIR.replace("u = Conv(d, t2)", "h = Exp(t2)  u = Conv(d, h)")
    case = Case("computed", body, consts=OUTER | YES)
    hold(case, t1=(0, 0), t2=(0, 8))
    reasons = analyse(network(case)).reasons("t2", 1)
    assert any("computes this weight in a branch" in reason for reason in reasons)


def test_weight_that_a_branch_takes_apart_is_cut():
    body = PAIR.replace(
        "u = Conv(d, t2)",
        "h = Slice(t2, i0, i5, i0)  k = Slice(t2, i5, i8, i0)  l = Concat<axis = 0>(h, k)  u = Conv(d, l)",
    )
    consts = OUTER | YES | {"i0": ints(0), "i5": ints(5), "i8": ints(8)}
    analysis = hold(Case("apart", body, consts=consts), t1=(0, 5))
    assert analysis.tied(("t1", 0), ("t2", 1))
    assert analysis.tied(("t2", 0), ("e2", 0), ("wz", 1))


UNSTATED = {
    "n": ints(3).reshape(()), "rows": ints(8, 36), "image": ints(1, 8, 6, 6),
    "p1": normal(5, 8) / 3, "p2": normal(8, 5) / 3,
}  # fmt: skip


def test_shapes_that_a_loop_body_does_not_state_are_seen_in_a_run():
    body = LOOP.replace("float[8,36] s)", "float[o,p] s)").replace(
        "float[8,36] s2", "float[o,p] s2"
    )
    analysis = hold(Case("unstated", body, consts=UNSTATED), p1=(0, 5), p2=(0, 8))
    assert analysis.tied(("wa", 0), ("p2", 0), ("wz", 1))


CELL = "p = MatMul(r, wi)  q = MatMul(h, wr)  t = Add(p, q)  h2 = Tanh(t)  o = Identity(h2)"
ROLLED = {
    "flat": ints(1, 8, 36), "wi": normal(8, 5) / 3, "wr": normal(5, 5) / 3, "ax": ints(3),
    "begin": ints(1, 5), "h0": np.zeros((1, 5), np.float32), "zero": np.float32(0), "five": ints(5),
    "steps": ints(36).reshape(()), "first": ints(0), "second": ints(1),
}  # fmt: skip


def rolled(
    scan, back, begin, sizes="float[1,5] h, float[1,8] r", made="float[1,5] h2, float[1,5] o"
):
    """Roll a recurrent layer over the 36 pixels of ``a``."""
    return f"m = Reshape(a, flat)  s = Transpose<perm = [2, 0, 1]>(m)  {begin}  e, l = Scan<num_scan_inputs = 1{scan}, body = b ({sizes}) => ({made}) {{{CELL}}}>(g, s)  k = Transpose<perm = {back}>(l)  y = Unsqueeze(k, ax)"


BEGINNINGS = {
    "constant": "g = Identity(h0)",
    "zeros-of-a-written-width": "g = ConstantOfShape(begin)",
    "expanded-zero": "g = Expand(zero, begin)",
    "zeros-as-wide-as-a-feature": "f0 = Gather<axis = 0>(s, first)  f1 = Squeeze(f0, first)  f2 = MatMul(f1, wi)  n = Shape(f2)  g = ConstantOfShape(n)",
    "zeros-joined-from-sizes": "n = Shape(s)  n1 = Slice(n, second, two, first)  n2 = Concat<axis = 0>(n1, five)  g = ConstantOfShape(n2)",
    "feature": "f0 = Gather<axis = 0>(s, first)  f1 = Squeeze(f0, first)  g = MatMul(f1, wi)",
}
TWO = {"two": ints(2)}


@pytest.mark.parametrize("begin", BEGINNINGS)
def test_state_of_a_scan_is_cut_however_it_begins(begin):
    body = rolled("", "[1, 2, 0]", BEGINNINGS[begin])
    analysis = hold(Case(begin, body, y=(5,), consts=ROLLED | TWO), wi=(1, 5), wr=(0, 5), wz=(1, 5))
    assert analysis.tied(("wi", 1), ("wr", 0), ("wr", 1), ("wz", 1))
    assert analysis.tied(("wa", 0), ("wi", 0))


@pytest.mark.parametrize(
    ("scan", "back"),
    [
        (", scan_input_directions = [1], scan_output_directions = [1]", "[1, 2, 0]"),
        (", scan_output_axes = [-1]", "[0, 1, 2]"),
        (", scan_output_axes = [1]", "[0, 2, 1]"),
    ],
)
def test_axes_and_directions_of_a_scan_are_followed(scan, back):
    body = rolled(scan, back, "g = Identity(h0)")
    analysis = hold(Case("axes", body, y=(5,), consts=ROLLED), wi=(1, 5), wr=(0, 5), wz=(1, 5))
    assert analysis.tied(("wi", 1), ("wr", 0), ("wz", 1))


def test_sequence_that_is_scanned_along_a_later_axis_is_cut():
    body = rolled(", scan_input_axes = [-1]", "[1, 2, 0]", "g = Identity(h0)")
    body = body.replace("s = Transpose<perm = [2, 0, 1]>(m)", "s = Identity(m)")
    analysis = hold(Case("later", body, y=(5,), consts=ROLLED), wi=(0, 8), wr=(0, 5), wz=(1, 5))
    assert analysis.tied(("wr", 0), ("wz", 1))


def test_scan_of_unstated_sizes_is_cut():
    body = rolled(
        "",
        "[1, 2, 0]",
        "g = Identity(h0)",
        "float[i,j] h, float[k,l] r",
        "float[i,j] h2, float[i,j] o",
    )
    analysis = hold(Case("unstated", body, y=(5,), consts=ROLLED), wi=(1, 5), wr=(0, 5), wz=(1, 5))
    assert analysis.tied(("wi", 1), ("wr", 0), ("wz", 1))


def test_scan_with_a_batch_is_cut():
    body = rolled("", "[0, 3, 1, 2]", "u0 = Unsqueeze<axes = [0]>(s)  g = Identity(h0)")
    body = body.replace("(g, s)", "(, g, u0)").replace("k = Transpose", "y = Transpose")
    body = body.replace("  y = Unsqueeze(k, ax)", "")
    consts = ROLLED | {"h0": np.zeros((1, 1, 5), np.float32)}
    analysis = hold(Case("batch", body, 8, y=(5,), consts=consts), wi=(1, 5), wr=(0, 5), wz=(1, 5))
    assert analysis.tied(("wi", 1), ("wr", 0), ("wz", 1))


GATHERED = "m = Reshape(a, rows)  k, all = Loop(n, , m) <body = b (int64 i, bool z, float[8,36] s) => (bool z2, float[8,36] s2, float[5,36] o) {z2 = Identity(z)  h = MatMul(p1, s)  o = Relu(h)  s2 = MatMul(p2, o)}>  last = Gather<axis = 0>(all, i0)  y = Reshape(last, image)  y1 = Reshape(k, back)"


GATHERING = UNSTATED | {
    "i0": ints(0).reshape(()), "image": ints(1, 5, 6, 6), "back": ints(1, 8, 6, 6),
}  # fmt: skip


def test_what_a_loop_gathers_is_cut_behind_the_axis_of_its_iterations():
    case = Case("gathered", GATHERED, y=(5, 8), consts=GATHERING)
    analysis = hold(case, p1=(0, 5), p2=(0, 8), wz=(1, 5))
    assert analysis.tied(("p1", 0), ("p2", 1), ("wz", 1))


def test_state_whose_end_nobody_reads_is_cut():
    body = GATHERED.replace("  y1 = Reshape(k, back)", "")
    consts = UNSTATED | {"i0": ints(0).reshape(()), "image": ints(1, 5, 6, 6)}
    analysis = hold(Case("unread", body, y=(5,), consts=consts), p1=(0, 5), p2=(0, 8))
    assert analysis.tied(("wa", 0), ("p1", 1), ("p2", 0))


def test_branch_that_does_not_run_at_these_sizes_stays():
    body = PAIR.replace(
        "f = Conv(a, e1)", "k = CumSum(wrong, i0)  f0 = Reshape(a, k)  f = Conv(f0, e1)"
    )
    body = body.replace("float[1,8,6,6] v", "float[d0,d1,d2,d3] v")
    consts = OUTER | YES | {"wrong": ints(1, 7, 6, 6), "i0": ints(0).reshape(())}
    analysis = hold(Case("fails", body, consts=consts, free=0), e1=(0, 0), t1=(0, 5))
    assert any("no run at these sizes shows" in reason for reason in analysis.reasons("e1", 0))


def test_lengths_that_a_body_declares_follow():
    analysis = analyse(network(Case("gathered", GATHERED, y=(5, 8), consts=GATHERING)))
    alive = np.ones(analysis.units.count, bool)
    alive[analysis.labels("p1", 0)[:2]] = False
    alive[analysis.labels("p2", 0)[:3]] = False
    pruned = apply_plan(analysis.graph, plan_slices(analysis.units, alive))
    (node,) = (node for node in pruned.nodes if node.op == "Loop")
    body = node.attributes["body"]
    assert [value.shape for value in body.inputs] == [(), (), (5, 36)]
    assert [value.shape for value in body.outputs] == [(), (5, 36), (3, 36)]


def test_state_that_grows_stays():
    body = "m = Reshape(a, rows)  k = Loop(n, , m) <body = b (int64 i, bool z, float[o,p] s) => (bool z2, float[o2,p2] s2) {z2 = Identity(z)  h = MatMul(p1, m)  s2 = Concat<axis = 0>(s, h)}>  y = Reshape(k, image)"
    consts = UNSTATED | {"image": ints(1, 23, 6, 6)}
    analysis = hold(Case("grows", body, y=(23,), consts=consts, free=0), p1=(0, 0))
    assert any("changes between iterations" in reason for reason in analysis.reasons("wa", 0))


def test_sizes_that_differ_between_iterations_stay():
    body = "m = Reshape(a, rows)  k = Loop(n, , m) <body = b (int64 i, bool z, float[o,p] s) => (bool z2, float[o,p] s2) {z2 = Identity(z)  j = Add(i, i1)  f = Unsqueeze(j, i0)  part = Slice(p1, i0, f, i0)  h = MatMul(part, s)  c = ReduceSum(h)  s2 = Add(s, c)}>  y = Reshape(k, image)"
    consts = UNSTATED | {"i0": ints(0), "i1": ints(1).reshape(())}
    analysis = hold(Case("differ", body, consts=consts, free=0), p1=(0, 0))
    assert any("no run at these sizes shows" in reason for reason in analysis.reasons("p1", 0))


def test_loop_in_a_loop_is_cut():
    inner = "s2 = Loop(n, , s) <body = c (int64 i2, bool v, float[o,p] w) => (bool v2, float[o,p] w2) {v2 = Identity(v)  h = MatMul(p1, w)  r = Relu(h)  w2 = MatMul(p2, r)}>"
    body = f"m = Reshape(a, rows)  k = Loop(n, , m) <body = b (int64 i, bool z, float[o,p] s) => (bool z2, float[o,p] s2) {{z2 = Identity(z)  {inner}}}>  y = Reshape(k, image)"
    analysis = hold(Case("nested", body, consts=UNSTATED), p1=(0, 5), p2=(0, 8))
    assert analysis.tied(("wa", 0), ("p1", 1), ("p2", 0), ("wz", 1))


def test_lstm_in_a_branch_is_cut():
    body = "m = Reshape(a, flat)  s = Transpose<perm = [2, 0, 1]>(m)  y = If(q) <then_branch = t () => (float[1,5,36,1] u) {l = LSTM<hidden_size = 5>(s, w, r)  u = Transpose<perm = [2, 3, 0, 1]>(l)}, else_branch = e () => (float[1,5,36,1] v) {k = LSTM<hidden_size = 5>(s, w, r)  h = Neg(k)  v = Transpose<perm = [2, 3, 0, 1]>(h)}>"
    consts = {"flat": ints(1, 8, 36), "w": normal(1, 20, 8), "r": normal(1, 20, 5)} | NO
    analysis = hold(Case("lstm", body, y=(5,), consts=consts), r=(2, 5))
    assert analysis.tied(("r", 2), ("wz", 1))
    gates = analysis.labels("w", 1).reshape(4, 5)
    assert (gates == analysis.labels("r", 2)).all()


def test_flat_graph_names_and_numbers_everything_once():
    flat = flatten(analyse(own_constants()).graph)
    indices = [node.index for node in flat.graph.nodes]
    assert len(set(indices)) == len(indices)
    assert {"choice.then_branch/w1", "choice.else_branch/w1"} <= set(flat.graph.constants)
    (choice,) = (node for node in flat.graph.nodes if node.op == "If")
    assert choice.inputs == ("q", "choice.then_branch/u", "choice.else_branch/v")
    assert not choice.attributes


TIED = "h = Reshape(k, three)  m = Reshape(a, flat)  t = Transpose<perm = [0, 2, 1]>(m)  l = MatMul(t, h)  s = ReduceSum(l, i0)  r = Transpose<perm = [0, 2, 1]>(s)  y = Reshape(r, image)"
ROWS = {
    "k": normal(16, 6),
    "three": ints(2, 8, 6),
    "flat": ints(1, 8, 36),
    "i0": ints(0),
    "image": ints(1, 6, 6, 6),
}


def test_weight_whose_tied_rows_are_consumed_as_one():
    """Rows i and i + 8 of it are one unit, of which the Reshape carries the first alone."""
    analysis = hold(Case("tied", TIED, y=(6,), consts=ROWS), k=(0, 16))
    first, second = analysis.labels("k", 0).reshape(2, 8)
    assert np.array_equal(first, second)
    assert np.array_equal(first, analysis.labels("wa", 0))


def test_weight_whose_tied_rows_a_branch_consumes_stays():
    inner = TIED.replace("y = Reshape", "u = Reshape")
    inner = inner.replace("ReduceSum(l, i0)", "ReduceMax<axes = [0]>(l)")
    body = f"y = If(q) <then_branch = g () => (float[1,6,6,6] u) {{{inner}}}, else_branch = e () => (float[1,6,6,6] v) {{v = Conv(a, e1)}}>"
    case = Case("tied", body, y=(6,), consts=ROWS | YES | {"e1": normal(6, 8, 1, 1)}, free=0)
    analysis = hold(case, k=(0, 0), wb=(0, 8), e1=(0, 6))
    assert analysis.tied(("e1", 0), ("wz", 1))
    assert any("computes this weight in a branch" in r for r in analysis.reasons("k", 0))


CASES = [
    Case("If-ties-what-both-branches-return", "q = Greater(k, k)  y = If(q) "
         "<then_branch = t () => (float[1,8,6,6] u) { u = Relu(a) },"
         " else_branch = f () => (float[1,8,6,6] w) { w = Neg(a) }>",
         consts={"k": np.float32(1)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_zeros_that_a_body_makes_are_cut_with_what_they_meet():
    body = "m = Reshape(a, rows)  k = Loop(n, , m) <body = b (int64 i, bool z, float[o,p] s) => (bool z2, float[o,p] s2) {z2 = Identity(z)  h = MatMul(p1, s)  f = ConstantOfShape(wide)  j = Concat<axis = 0>(h, f)  r = Relu(j)  s2 = MatMul(p3, r)}>  y = Reshape(k, image)"
    consts = UNSTATED | {"wide": ints(3, 36), "p3": normal(8, 8) / 3}
    analysis = hold(Case("zeros", body, consts=consts), p1=(0, 5), p3=(1, 8))
    assert analysis.tied(("wa", 0), ("p3", 0))
