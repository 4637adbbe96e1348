"""Float32 in the place of bfloat16, in what ONNX Runtime is given."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from strategies import build, normal

from wrg_onnx.graph import Edit, as_widened, edited, from_proto, open_session, run_once, to_message
from wrg_onnx.graph.widen import holds_bfloat16, widen_message

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

EVERYWHERE = """net (bfloat16[2,4] x, bool b) => (bfloat16[2,4] y, seq(bfloat16[]) s)
<bfloat16[2,4] w0> {
    n = LayerNormalization<stash_type = 16>(x, w)
    c = Cast<to = 16>(n)
    y = If(b) <then_branch = t () => (bfloat16[2,4] p) { q = Cast<to = 16>(c) p = Mul(q, k) },
               else_branch = e () => (bfloat16[2,4] p) { p = Identity(c) }>
    s = SequenceConstruct(y, y) }"""


@pytest.fixture
def model():
    built = build(EVERYWHERE, {"w": normal(4).astype(BFLOAT16)}, opset=22)
    value = numpy_helper.from_array(np.ones(1, BFLOAT16))  # the parser reads no bfloat16
    built.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=value))
    return built


def test_no_bfloat16_is_left_anywhere(model):
    assert holds_bfloat16(model.graph)
    widen_message(model.graph)
    assert not holds_bfloat16(model.graph)
    assert "16" not in onnx.printer.to_text(model.graph)
    onnx.checker.check_model(model, full_check=True)


def test_values_stay_what_they_are(model):
    before = numpy_helper.to_array(model.graph.initializer[0])
    widen_message(model.graph)
    after = numpy_helper.to_array(model.graph.initializer[0])
    assert (after.dtype, model.graph.initializer[0].name) == (np.float32, "w")
    np.testing.assert_array_equal(after.astype(BFLOAT16), before)
    np.testing.assert_array_equal(after, before.astype(np.float32))


@pytest.mark.parametrize(
    ("attribute", "value"), [("axis", 16), ("to", 1), ("dtype", 10), ("num_groups", 16)]
)
def test_other_attributes_and_types_stay(attribute, value):
    node = helper.make_node("Any", ["x"], ["y"], **{attribute: value})
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT16, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT16, [2])
    graph = helper.make_graph([node], "g", [x], [y])
    before = graph.SerializeToString(deterministic=True)
    assert not holds_bfloat16(graph)
    widen_message(graph)
    assert graph.SerializeToString(deterministic=True) == before


def test_a_widened_model_takes_and_returns_float32_and_is_written_in_its_own_types(model):
    graph = from_proto(model, name="m")
    wide = as_widened(graph)
    x = normal(2, 4)
    found = open_session(wide).run({"x": x, "b": np.array(True)})
    assert found["y"].dtype == np.float32
    assert {value.name: value.dtype for value in wide.inputs}["x"] == np.float32
    assert wide.constants["w"].dtype == BFLOAT16
    assert to_message(wide) == to_message(graph)


def test_an_edited_copy_is_run_in_float32_too(model):
    wide = as_widened(from_proto(model, name="m"))
    doubled = (wide.constants["w"] * BFLOAT16.type(2)).astype(BFLOAT16)
    feeds = {"x": normal(2, 4), "b": np.array(False)}
    for edit in (Edit(constants={"w": doubled}), Edit(operands={(1, 1): doubled})):
        other = edited(wide, edit)
        assert other.inputs == wide.inputs
        np.testing.assert_allclose(
            run_once(other, feeds, ["y"])["y"], 2 * run_once(wide, feeds, ["y"])["y"], rtol=1e-6
        )


@pytest.mark.parametrize("exact", [True, False])
def test_large_weights_are_fed_in_float32_beside_the_message(exact):
    weight = normal(40, 50).astype(BFLOAT16)
    text = "net (bfloat16[2,40] x) => (bfloat16[2,50] y) { y = MatMul(x, w) }"
    wide = as_widened(from_proto(build(text, {"w": weight}, opset=22), name="m"))
    x = normal(2, 40)
    found = open_session(wide, exact=exact).run({"x": x})["y"]
    np.testing.assert_allclose(found, x @ weight.astype(np.float32), rtol=1e-4, atol=1e-5)
