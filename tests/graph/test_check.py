"""What the ONNX checker says of files."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, copy_of, normal

from wrg_onnx.graph import checker_problem, from_proto, load, save

TEXT = """net (float[2,6] x, bool c) => (float[2,5] o) {
  a = MatMul(x, d)
  o = If(c) <then_branch = t () => (float[2,5] m) { m = MatMul(a, e) },
             else_branch = f () => (float[2,5] m) { k = Constant<value = float {2.0}>()
                                                    b = Mul(a, k)  m = MatMul(b, e) }> }"""


@pytest.fixture
def model():
    return build(TEXT, {"d": normal(6, 800), "e": normal(800, 5)})


@pytest.mark.parametrize("outside", [False, True])
def test_a_file_is_checked_with_its_weights_inside_or_beside_it(model, tmp_path, outside):
    path = tmp_path / "m.onnx"
    onnx.save(
        copy_of(model), path, save_as_external_data=outside, location="m.data", size_threshold=0,
        convert_attribute=True,
    )  # fmt: skip
    assert (tmp_path / "m.data").exists() == outside
    assert checker_problem(load(path), as_read=True) is None


def test_a_recorded_shape_that_is_wrong_is_named(model, tmp_path):
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("a", 1, [2, 99]))
    onnx.save(model, tmp_path / "m.onnx")
    graph = load(tmp_path / "m.onnx")
    assert checker_problem(graph) is None
    problem = checker_problem(graph, as_read=True)
    assert problem is not None
    assert "(800) vs (99)" in problem
    assert "\n" not in problem


def test_weights_are_checked_by_their_types(model):
    assert checker_problem(from_proto(model, name="m")) is None
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(normal(6, 900), "d"))
    assert "Incompatible dimensions" in checker_problem(from_proto(model, name="m"))


OPEN = """net (float[N,6] x, bool c) => (float[] o) {
  a = MatMul(x, d)  r = Relu(a)
  o = If(c) <then_branch = t () => (float[] m) { m = MatMul(r, e) },
             else_branch = f () => (float[] n) { k = MatMul(r, e)
                                                 n = ReduceMax<keepdims=0>(k) }> }"""


@pytest.fixture(params=[4, 8, 10])
def without_shape(request):
    """Return a model whose output has one rank or another, of an old or a new IR version."""
    model = build(OPEN, {"d": normal(6, 800), "e": normal(800, 5)}, ir=request.param)
    assert not model.graph.output[0].type.tensor_type.HasField("shape")
    return model


@pytest.mark.parametrize("as_read", [False, True])
def test_an_output_of_either_rank_needs_no_shape(without_shape, as_read):
    assert checker_problem(from_proto(without_shape, name="m"), as_read=as_read) is None


def test_other_problems_of_such_a_model_are_named(without_shape):
    without_shape.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(normal(7, 8), "d"))
    assert "Incompatible dimensions" in checker_problem(from_proto(without_shape, name="m"))


def test_such_a_model_is_written_as_it_declares_its_output(without_shape, tmp_path):
    save(from_proto(without_shape, name="m"), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert written.graph.output[0] == without_shape.graph.output[0]
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    for condition, rank in ((True, 2), (False, 0)):
        (found,) = session.run(None, {"x": normal(2, 6), "c": np.array(condition)})
        assert found.ndim == rank
