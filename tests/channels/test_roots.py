"""Which node decided that channels stay."""

from __future__ import annotations

import numpy as np
from strategies import analyse, build, normal

from wrg_onnx.channels import Kind, Limits, find_holds, find_units
from wrg_onnx.graph import bind_sizes, infer_shapes, other_sizes
from wrg_onnx.graph.load import from_proto

HEAD = "net (float[1,3,6,6] x) => (float[1,2,6,6] out)"
WEIGHTS = {"wa": normal(8, 3, 1, 1), "wb": normal(6, 8, 1, 1), "wo": normal(2, 6, 1, 1)}


def roots_of(units, name, axis):
    """Return what holds units along an axis: the root, and where it reaches them."""
    labels = units.of(units.axes[name].at(axis))
    return {
        (str(hold.root), hold.met)
        for hold in find_holds(units)
        if np.isin(hold.units, labels).any()
    }


def roots_in(body, place, weights=(), *, head=HEAD, limits=None, **how):
    model = build(f"{head} {{ {body} }}", {**WEIGHTS, **dict(weights)}, **how)
    return roots_of(analyse(model, limits).units, *place)


def test_what_meets_the_input_names_the_input():
    found = roots_in("a = Conv(x, wa)  b = Conv(a, wb)  out = Conv(b, wo)", ("wa", 1))
    assert found == {("input 'x' is the model's input", "Conv 'Conv_0' meets axis 1 of 'x'")}


def test_an_axis_is_followed_through_what_hands_it_on():
    body = """t = Transpose<perm = [0, 2, 3, 1]>(x)  r = Relu(t)
      u = Transpose<perm = [0, 3, 1, 2]>(r)
      c = Concat<axis = 1>(u, u)  a = Conv(c, w6)  b = Conv(a, wb)  out = Conv(b, wo)"""
    found = roots_in(body, ("w6", 1), {"w6": normal(8, 6, 1, 1)})
    assert found == {("input 'x' is the model's input", "Conv 'Conv_4' meets axis 1 of 'c'")}


def test_an_unknown_operator_far_ahead_is_the_root():
    text = f"""{HEAD} {{ a = Conv(x, wa)  k = own.Mystery(a)  r = Relu(k)  n = Neg(r)
      b = Conv(n, wb)  out = Conv(b, wo) }}"""
    graph = from_proto(build(text, WEIGHTS, domains=("own",)), name="m")
    shapes = {name: array.shape for name, array in graph.constants.items()}
    shapes |= {"x": (1, 3, 6, 6), "b": (1, 6, 6, 6), "out": (1, 2, 6, 6)}
    units = find_units(graph, shapes | dict.fromkeys("akrn", (1, 8, 6, 6)))
    root = "own.Mystery 'Mystery_1' has no rule (opset 1)"
    assert roots_of(units, "wb", 1) == {(root, "Conv 'Conv_4' meets axis 1 of 'n'")}
    assert roots_of(units, "wa", 0) == {(root, "")}


def test_a_reduction_that_leaves_one_position_is_the_root():
    body = """a = Conv(x, wa)  m = ReduceMax<axes = [1]>(a)  c = Concat<axis = 1>(m, m)
      out = Conv(c, wc)"""
    found = roots_in(body, ("wc", 1), {"wc": normal(2, 2, 1, 1)})
    assert found == {
        ("ReduceMax 'ReduceMax_1' reduces over this axis", "Conv 'Conv_3' meets axis 1 of 'c'")
    }


def test_pixels_stay_for_the_convolution_that_makes_them():
    body = "a = Conv(x, wa)  p = Add(a, grid)  b = Conv(p, wb)  out = Conv(b, wo)"
    found = roots_in(body, ("grid", 2), {"grid": normal(1, 1, 6, 1)})
    assert ("Conv 'Conv_0' convolves over this axis", "Add 'Add_1' meets axis 2 of 'a'") in found


def test_a_divided_axis_says_which_part_carries():
    body = """a = Conv(x, wa)  d = Reshape(a, s)  t = Mul(d, factor)  f = Reshape(t, u)
      b = Conv(f, wb)  out = Conv(b, wo)"""
    shapes = {"s": np.array([1, 4, 2, 6, 6]), "u": np.array([1, 8, 6, 6])}
    found = roots_in(body, ("factor", 2), {**shapes, "factor": normal(1, 1, 2, 1, 1)})
    root = (
        "Reshape 'Reshape_1' divides an axis, and another part carries its channels "
        "(of 4 x 2, factor 0 (4) carries the units)"
    )
    assert (root, "Mul 'Mul_2' meets axis 2 of 'd'") in found


def test_constants_of_integers_and_single_positions_are_roots():
    body = """l = Cast<to = 1>(labels)  a = Conv(x, wa)  q = Add(a, l)  p = Mul(q, gain)
      b = Conv(p, wb)  out = Conv(b, wo)"""
    labels = {"labels": np.arange(8).reshape(1, 8, 1, 1), "gain": normal(1, 8, 1, 1)}
    ((root, met),) = roots_in(body, ("gain", 1), labels)
    assert (
        root == "'labels' is a constant of integers or truth values, whose axes carry no channels"
    )
    assert met == "Add 'Add_2' meets axis 1 of 'l'"


def test_a_varying_length_is_the_root():
    text = """net (float[1,3,h,6] x) => (float[1,2,h,6] out) {
      a = Conv(x, wa)  f = Reshape(a, flat)  r = Relu(f)  u = Reshape(r, back)
      out = Conv(u, wz) }"""
    shapes = {"flat": np.array([1, -1]), "back": np.array([1, 8, -1, 6])}
    graph = from_proto(build(text, {**WEIGHTS, **shapes, "wz": normal(2, 8, 1, 1)}), name="m")
    bound = bind_sizes(graph.inputs)
    here, there = (
        infer_shapes(graph, given) for given in (bound, other_sizes(graph.inputs, bound))
    )
    units = find_units(graph, here, elsewhere=there)
    root = "Reshape 'Reshape_1' makes an axis whose length varies with the model's inputs"
    assert roots_of(units, "wz", 1) == {(root, "Conv 'Conv_4' meets axis 1 of 'u'")}
    assert roots_of(units, "wa", 0) == {(root, "")}


def test_joined_axes_speak_for_most_of_their_positions():
    head = "net (float[1,6,3] x) => (float[1,7,2] out)"
    body = """p = MatMul(x, w)  c = Concat<axis = 1>(first, p)  e = Add(c, places)
      out = MatMul(e, v)"""
    weights = {
        "w": normal(3, 4), "v": normal(4, 2), "first": normal(1, 1, 4), "places": normal(1, 7, 4),
    }  # fmt: skip
    found = roots_in(body, ("places", 1), weights, head=head)
    assert ("input 'x' is the model's input", "Add 'Add_2' meets axis 1 of 'c'") in found
    assert not any("'first'" in root for root, _ in found)


def test_an_axis_is_followed_out_of_a_loop_body():
    body = """n = Constant<value = int64 {2}>()  k = Constant<value = bool {1}>()
      a = Relu(x)  l = Loop(n, k, a) <body = g (int64 i, bool c, float[1,3,6,6] s)
        => (bool d, float[1,3,6,6] e) { d = Identity(c)  e = Mul(s, gain) }>
      b = Conv(l, wa)  out = Conv(b, w2)"""
    found = roots_in(body, ("gain", 1), {"gain": normal(1, 3, 1, 1), "w2": normal(2, 8, 1, 1)})
    assert {root for root, _ in found} == {"input 'x' is the model's input"}
    assert "Mul 'Mul_1' meets axis 1 of 'Loop_3.body/s'" in {met for _, met in found}


def test_a_state_whose_shape_changes_is_the_root():
    body = """n = Constant<value = int64 {2}>()  k = Constant<value = bool {1}>()
      a = Conv(x, wa)  l = Loop(n, k, a) <body = g (int64 i, bool c, float[o,p,q,r] s)
        => (bool d, float[o,p2,q,r] e) { d = Identity(c)  e = Concat<axis = 1>(s, a) }>
      b = Conv(l, w2)  out = Conv(b, w3)"""
    found = roots_in(body, ("wa", 0), {"w2": normal(6, 24, 1, 1), "w3": normal(2, 6, 1, 1)})
    assert any("changes between iterations" in root for root, _ in found)


def test_kinds_are_told_apart():
    text = f"""{HEAD} {{ a = Conv(x, wa)  n = LayerNormalization<axis = 1>(a, scale)
      b = Conv(n, wb)  out = Conv(b, wo) }}"""
    model = build(text, {**WEIGHTS, "scale": normal(8, 6, 6)})
    units = analyse(model, Limits(keep=("wb",))).units
    kinds = {hold.root.kind for hold in find_holds(units) if hold.root.text}
    assert {Kind.NORMALISED, Kind.KEPT, Kind.INPUT, Kind.OUTPUT} <= kinds
    assert Kind.MEETS not in kinds
