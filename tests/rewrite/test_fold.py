"""What depends on no input becomes a constant; everything else stays as it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from strategies import build, normal, run

import wrg_onnx
from wrg_onnx.errors import ValidationError
from wrg_onnx.graph import Edit, Graph, edited, from_proto, to_message
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.prune import prune
from wrg_onnx.rewrite import fold
from wrg_onnx.select import Criterion

X = normal(1, 3, 6, 6, seed=5)


def folded(text: str, weights: dict | None = None, **options) -> tuple[Graph, Graph]:
    """Return a graph as it is read, and folded; both compute the same of ``X``."""
    graph = from_proto(build(text, weights, **options), name="m")
    found = fold(graph)
    before, after = run(to_message(graph), {"x": X}), run(to_message(found), {"x": X})
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    onnx.checker.check_model(to_message(found), full_check=True)
    return graph, found


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


SPECTRAL = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
  s = Constant<value = int64[2] {8, -1}>()
  m = Reshape(w, s)
  t = MatMul(m, v)
  c = MatMul(u, t)
  n = Div(w, c)
  a = Conv(x, n, b)
  r = Relu(a)
  y = Conv(r, z)
}"""
SPECTRAL_WEIGHTS = {
    "w": normal(8, 3, 1, 1), "b": normal(8), "u": normal(8, seed=1), "v": normal(3, seed=2),
    "z": normal(4, 8, 1, 1),
}  # fmt: skip


def test_a_weight_under_spectral_norm_becomes_a_constant():
    _, found = folded(SPECTRAL, SPECTRAL_WEIGHTS)
    assert ops(found) == ["Conv", "Relu", "Conv"]
    assert set(found.constants) == {"n", "b", "z"}
    w, u, v = (SPECTRAL_WEIGHTS[name] for name in "wuv")
    np.testing.assert_allclose(found.constants["n"], w / (u @ w.reshape(8, 3) @ v), rtol=1e-5)


def test_a_model_with_spectral_norm_is_cut_as_if_the_norm_were_folded(tmp_path):
    path = tmp_path / "m.onnx"
    onnx.save(build(SPECTRAL, SPECTRAL_WEIGHTS), path)
    config = PruneConfig(0.5, criterion=Criterion.L1, evaluate=False)
    result = prune(path, None, config)
    assert result.report.equivalence.error < 1e-5
    assert result.report.after.parameters == 4 * 3 + 4 + 4 * 4


def test_a_weight_under_weight_norm_and_a_standardised_weight_become_constants():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      l = ReduceL2<axes = [1, 2, 3]>(d)
      q = Div(d, l)
      w = Mul(g, q)
      a = Conv(x, w)
      e = ReduceMean<axes = [1, 2, 3]>(k)
      i = Sub(k, e)
      j = Mul(i, i)
      o = ReduceMean<axes = [1, 2, 3]>(j)
      p = Sqrt(o)
      f = Div(i, p)
      y = Conv(a, f)
    }"""
    weights = {"d": normal(8, 3, 1, 1), "g": normal(8, 1, 1, 1), "k": normal(4, 8, 3, 3)}
    text = text.replace("y = Conv(a, f)", "y = Conv<pads = [1, 1, 1, 1]>(a, f)")
    _, found = folded(text, weights, opset=13)
    assert ops(found) == ["Conv", "Conv"]
    assert set(found.constants) == {"w", "f"}


def test_filled_and_numbered_weights_become_constants():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      s = Constant<value = int64[4] {4, 3, 1, 1}>()
      w = ConstantOfShape<value = float[1] {0.5}>(s)
      h = Conv(x, w)
      n = Constant<value = float {0.0}>()
      l = Constant<value = float {4.0}>()
      d = Constant<value = float {1.0}>()
      r = Range(n, l, d)
      c = Constant<value = int64[3] {4, 1, 1}>()
      b = Reshape(r, c)
      y = Add(h, b)
    }"""
    _, found = folded(text)
    assert ops(found) == ["Conv", "Reshape", "Add"] or ops(found) == ["Conv", "Add"]
    assert found.constants["w"].shape == (4, 3, 1, 1)


def test_sizes_computed_from_constants_become_constants():
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] y) {
      e = Constant<value = int64[1] {10}>()
      m = Constant<value = int64[1] {4}>()
      q = Mod(e, m)
      o = Constant<value = int64[1] {0}>()
      c = Constant<value = int64[1] {1}>()
      y = Slice(x, o, q, c)
    }"""
    _, found = folded(text)
    assert ops(found) == ["Slice"]
    assert found.constants["q"].tolist() == [2]


@pytest.mark.parametrize(
    "chain",
    [
        "w = Transpose<perm = [1, 0, 2, 3]>(k)",
        "c = Constant<value = int64[4] {4, 3, 1, 1}>()  w = Reshape(k, c)",
        "w = DequantizeLinear<axis = 0>(i, s, n)",
        "f = QuantizeLinear<axis = 0>(h, s, n)  w = DequantizeLinear<axis = 0>(f, s, n)",
        "e = Cast<to = 1>(l)  w = Transpose<perm = [1, 0, 2, 3]>(e)",
    ],
)
def test_a_weight_that_is_merely_moved_or_unpacked_stays_where_it_is(chain):
    text = f"net (float[1,3,6,6] x) => (float[1,4,6,6] y) {{ {chain}  y = Conv(x, w) }}"
    weights = {
        "k": normal(3, 4, 1, 1), "l": normal(3, 4, 1, 1, dtype=np.float16), "h": normal(4, 3, 1, 1),
        "i": np.arange(12, dtype=np.int8).reshape(4, 3, 1, 1),
        "s": np.linspace(0.1, 0.4, 4, dtype=np.float32), "n": np.zeros(4, np.int8),
    }  # fmt: skip
    used = {
        name: array for name, array in weights.items() if f"({name}" in chain or f" {name}" in chain
    }
    graph, found = folded(text, used)
    assert found is graph


def test_a_bias_of_32_bit_integers_stays_one():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      b = DequantizeLinear<axis = 0>(i, s)
      y = Conv(x, w, b)
    }"""
    weights = {
        "i": np.arange(4, dtype=np.int32), "s": np.full(4, 0.1, np.float32),
        "w": normal(4, 3, 1, 1),
    }  # fmt: skip
    graph, found = folded(text, weights)
    assert found is graph


def test_where_the_elements_of_a_weight_go_is_computed_though_the_weight_stays():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      e = Constant<value = int64[4] {8, 6, 2, 2}>()
      m = Constant<value = int64[1] {2}>()
      c = Div(e, m)
      w = Reshape(k, c)
      y = Conv(x, w)
    }"""
    _, found = folded(text, {"k": normal(12, 1)})
    assert ops(found) == ["Reshape", "Conv"]
    assert found.constants["c"].tolist() == [4, 3, 1, 1]
    assert found.constants["k"].shape == (12, 1)


def test_what_is_drawn_at_random_is_not_computed_once():
    text = """net (float[1,3,6,6] x) => (float[1,3,6,6] y) {
      n = RandomNormal<shape = [1, 3, 6, 6]>()
      h = Mul(n, n)
      y = Add(x, h)
    }"""
    graph = from_proto(build(text), name="m")
    assert fold(graph) is graph


def test_a_node_of_an_unknown_domain_is_not_computed():
    text = """net (float[1,3,6,6] x) => (float[1,3,6,6] y) {
      h = some.where.Clock(k)
      y = Add(x, h)
    }"""
    graph = from_proto(build(text, {"k": normal(3, 1, 1)}, domains=("some.where",)), name="m")
    assert fold(graph) is graph


@pytest.mark.parametrize(
    "large",
    [
        "c = Constant<value = int64[1] {1099511627776}>()  b = ConstantOfShape(c)",
        (
            "i = Constant<value = int64 {0}>()  j = Constant<value = int64 {1099511627776}>()"
            "  k = Constant<value = int64 {1}>()  r = Range(i, j, k)  b = Cast<to = 1>(r)"
        ),
        "c = Constant<value = int64[2] {65536, 65536}>()  b = Expand(g, c)",
    ],
)
def test_what_would_take_gigabytes_is_left_alone(large):
    text = f"""net (float[1,3,6,6] x) => (float[1,3,6,6] y) {{
      {large}
      m = ReduceMean<keepdims = 0>(b)
      y = Add(x, m)
    }}"""
    weights = {"g": normal(1, 1)} if "(g," in large else {}
    graph = from_proto(build(text, weights), name="m")
    assert fold(graph) is graph


def test_a_table_that_is_spread_from_a_smaller_one_stays_small():
    text = """net (float[1,3,512,8] x) => (float[1,3,512,8] y) {
      h = Mul(g, g)
      c = Constant<value = int64[4] {1, 3, 512, 8}>()
      b = Expand(h, c)
      d = Neg(b)
      y = Add(x, d)
    }"""
    graph = from_proto(
        build(text, {"g": normal(1, 3, 512, 1)}),
        name="m",
    )
    found = fold(graph)
    assert "d" not in found.constants
    assert sum(form.nbytes for form in found.constants.forms.values()) < 20_000


def test_equal_biases_behind_an_identity_are_read_where_they_are():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      c = Identity(b)
      d = Identity(c)
      a = Conv(x, w, b)
      h = Relu(a)
      y = Conv(h, v, d)
    }"""
    weights = {"b": normal(4), "w": normal(4, 3, 1, 1), "v": normal(4, 4, 1, 1)}
    _, found = folded(text, weights)
    assert ops(found) == ["Conv", "Relu", "Conv"]
    assert found.nodes[2].inputs == ("h", "v", "b")


def test_a_constant_that_the_model_returns_keeps_its_name():
    text = """net (float[1,3,6,6] x) => (float[1,3,6,6] y, float[3] c, float[3] d) {
      c = Identity(b)
      d = Mul(b, b)
      y = Relu(x)
    }"""
    _, found = folded(text, {"b": normal(3)})
    assert [value.name for value in found.outputs] == ["y", "c", "d"]
    assert ops(found) == ["Identity", "Relu"]
    assert "d" in found.constants


def test_what_a_caller_may_feed_is_no_constant():
    model = build(SPECTRAL, SPECTRAL_WEIGHTS)
    model.graph.input.append(onnx.helper.make_tensor_value_info("u", onnx.TensorProto.FLOAT, [8]))
    graph = from_proto(model, name="m")
    found = fold(graph)
    assert "Div" in ops(found)
    assert "n" not in found.constants


def test_initializers_of_the_first_ir_versions_are_constants_though_they_are_inputs():
    model = build(SPECTRAL.replace("MatMul(u, t)", "MatMul(u, t)"), SPECTRAL_WEIGHTS, opset=8, ir=3)
    for tensor in model.graph.initializer:
        info = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(info)
    found = fold(from_proto(model, name="m"))
    assert ops(found) == ["Conv", "Relu", "Conv"]
    written = to_message(found)
    onnx.checker.check_model(written, full_check=True)
    declared = {value.name for value in written.graph.input}
    assert declared == {"x", "n", "b", "z"}


def test_what_onnx_runtime_cannot_compute_stays_and_the_rest_is_computed():
    text = """net (float[1,3,6,6] x) => (float[1,3,6,6] y) {
      z = Constant<value = int64[1] {0}>()
      q = Div(e, z)
      h = Mul(g, g)
      a = Add(x, h)
      s = Shape(q)
      f = Cast<to = 1>(s)
      y = Add(a, f)
    }"""
    weights = {"g": normal(3, 1, 1), "e": np.zeros(1, np.int64)}
    graph = from_proto(
        build(
            text.replace("Div(e, z)", "Gather(e, k)").replace(
                "z = Constant<value = int64[1] {0}>()", "k = Constant<value = int64[1] {7}>()"
            ),
            weights,
        ),
        name="m",
    )
    found = fold(graph)
    assert "h" in found.constants
    assert "Gather" in ops(found)


def test_constants_inside_a_branch_are_computed_there():
    text = """net (float[1,3,6,6] x) => (float[1,4,6,6] y) {
      s = ReduceMax<keepdims = 0>(x)
      p = IsNaN(s)
      y = If(p)
      <then_branch = t () => (float[1,4,6,6] u) { n = Mul(w, w)  u = Conv(x, n) },
       else_branch = e () => (float[1,4,6,6] v) { n = Neg(k)  u = Identity(w)  v = Conv(x, u, n) }>
    }"""
    _, found = folded(text, {"w": normal(4, 3, 1, 1), "k": normal(4)})
    branches = found.nodes[-1].attributes
    assert ops(branches["then_branch"]) == ["Conv"]
    assert ops(branches["else_branch"]) == ["Conv"]
    assert branches["else_branch"].nodes[0].inputs == ("x", "w", "n")


def test_weights_stay_in_their_types():
    text = """net (float16[1,3,6,6] h) => (float16[1,4,6,6] y) { n = Mul(w, w)  y = Conv(h, n) }"""
    graph = from_proto(build(text, {"w": normal(4, 3, 1, 1, dtype=np.float16)}), name="m")
    assert fold(graph).constants["n"].dtype == np.float16


def test_the_graph_that_was_given_stays_as_it_is():
    model = build(SPECTRAL, SPECTRAL_WEIGHTS)
    graph = from_proto(model, name="m")
    before = to_message(graph).SerializeToString()
    fold(graph)
    assert to_message(graph).SerializeToString() == before


def test_a_large_computed_weight_is_held_beside_the_message():
    weights = {"w": normal(64, 3, 3, 3), "z": normal(4, 64, 1, 1)}
    text = """net (float[1,3,6,6] x) => (float[1,4,4,4] y) {
      n = Mul(w, w)  a = Conv(x, n)  y = Conv(a, z) }"""
    _, found = folded(text, weights)
    (tensor,) = (t for t in to_message(found).graph.initializer if t.name == "n")
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), weights["w"] ** 2)


def test_layers_that_share_a_bias_through_identities_are_cut_and_recovered_apart():
    text = """net (float[1,3,6,6] x) => (float[1,5,6,6] y) {
      b2 = Identity(b1)  b3 = Identity(b2)
      a = Conv(x, w1, b1)  p = Relu(a)  c = Conv(p, w2, b2)  q = Relu(c)
      d = Conv(q, w3, b3)  r = Relu(d)  y = Conv(r, w4) }"""
    weights = {
        "w1": normal(8, 3, 1, 1), "w2": normal(8, 8, 1, 1, seed=1), "b1": np.zeros(8, np.float32),
        "w3": normal(8, 8, 1, 1, seed=2), "w4": normal(5, 8, 1, 1, seed=3),
    }  # fmt: skip
    report = wrg_onnx.prune(build(text, weights), ratio=0.3, recover="ridge", samples=8).report
    assert report.units == 24
    assert {fit.layer for fit in report.recovery.fits} == {"c", "d", "y"}


@pytest.mark.parametrize("held", ["fed", "initializer"])
def test_a_constant_is_not_read_where_a_body_has_another_tensor_of_its_name(held):
    fed, own = ("c", "") if held == "fed" else ("s", " <float[1,3,6,6] c>")
    text = f"""net (float[1,3,6,6] x) => (float[1,3,6,6] y) {{
      i = Identity(c)
      y = Loop(n, go, x)
      <body = b (int64 k, bool on, float[1,3,6,6] {fed}) => (bool more, float[1,3,6,6] o){own} {{
         more = Identity(on)  h = Mul({fed}, c)  o = Add(h, i) }}>
    }}"""
    weights = {"c": normal(1, 3, 6, 6), "n": np.array(2), "go": np.bool_(True)}
    model = build(text.replace(own, ""), weights)
    if held == "initializer":
        (loop,) = (node for node in model.graph.node if node.op_type == "Loop")
        body = next(a.g for a in loop.attribute if a.name == "body")
        body.initializer.append(numpy_helper.from_array(normal(1, 3, 6, 6, seed=9), "c"))
    graph = from_proto(model, name="m")
    found = fold(graph)
    np.testing.assert_array_equal(
        run(to_message(found), {"x": X})[0], run(to_message(graph), {"x": X})[0]
    )


def test_constants_of_bodies_of_the_first_ir_versions_are_nodes_there():
    text = """net (float[1,3,6,6] x, bool q) => (float[1,3,6,6] y) {
      y = If(q)
      <then_branch = t () => (float[1,3,6,6] u) {
         k = Constant<value = float[3,1,1] {1, 2, 3}>()  n = Mul(k, k)  u = Add(x, n) },
       else_branch = e () => (float[1,3,6,6] v) { v = Neg(x) }>
    }"""
    found = fold(from_proto(build(text, opset=8, ir=3), name="m"))
    written = to_message(found)
    onnx.checker.check_model(written, full_check=True)
    feeds = {"x": X, "q": np.array(True)}
    offset = np.float32([1, 4, 9]).reshape(3, 1, 1)
    np.testing.assert_array_equal(run(written, feeds)[0], X + offset)
    assert found.folded == 1


def test_a_folding_that_computes_something_else_ends_the_run(monkeypatch):
    def wrong(source):
        folded_graph = fold(from_proto(source, name="m"))
        return edited(folded_graph, Edit({"n": folded_graph.constants["n"] * np.float32(1.1)}))

    monkeypatch.setattr("wrg_onnx.pipeline.source.read_source", wrong)
    with pytest.raises(ValidationError, match=r"differs by .* once its constants are computed"):
        wrg_onnx.prune(build(SPECTRAL, SPECTRAL_WEIGHTS), ratio=0.5, criterion="l1", recover="none")
