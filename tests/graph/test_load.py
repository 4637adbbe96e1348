from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from strategies import build, normal, run, whole

from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Edit, edited, from_bytes, load, save
from wrg_onnx.graph.load import from_proto

TEXT = "net (float[1,3,6,6] x) => (float[1,4,6,6] y) { h = Conv(x, w, b)  y = Relu(h) }"
WEIGHTS = {"w": normal(4, 3, 1, 1), "b": normal(4)}
FEEDS = {"x": normal(1, 3, 6, 6)}


@pytest.fixture
def model():
    return build(TEXT, WEIGHTS)


@pytest.fixture
def path(model, tmp_path):
    onnx.save(model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def check_refusal(path, capfd):
    """Load a bad file; return the one line that says why."""
    with pytest.raises(ModelError) as caught:
        load(path)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    assert len(text) < 500
    assert capfd.readouterr() == ("", "")
    return text


def same_result(graph, model, feeds=FEEDS):
    for left, right in zip(run(model, feeds), run(whole(graph), feeds), strict=True):
        np.testing.assert_array_equal(left, right)


def test_initializers_become_read_only_constants(path):
    graph = load(path)
    np.testing.assert_array_equal(graph.constants["w"], WEIGHTS["w"])
    assert not graph.constants["w"].flags.writeable
    assert [node.op for node in graph.nodes] == ["Conv", "Relu"]
    assert [(v.name, v.shape) for v in graph.inputs] == [("x", (1, 3, 6, 6))]
    assert graph.opset == 17


@pytest.mark.parametrize(
    ("attribute", "value", "expected"),
    [
        ("value", numpy_helper.from_array(normal(3)), normal(3)),
        ("value", numpy_helper.from_array(normal(40, 40)), normal(40, 40)),
        ("value_float", 1.5, np.float32(1.5)),
        ("value_floats", [1.5, 2.5], np.float32([1.5, 2.5])),
        ("value_int", 7, np.int64(7)),
        ("value_ints", [7, -1], np.int64([7, -1])),
    ],
)
def test_constant_node_is_a_constant_and_not_a_node(attribute, value, expected):
    model = build("net (float[1] x) => (float[1] y) { y = Identity(x) }")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], **{attribute: value}))
    graph = from_proto(model, name="m")
    np.testing.assert_array_equal(graph.constants["c"], expected)
    assert graph.constants["c"].dtype == expected.dtype
    assert graph.constants["c"].shape == np.shape(expected)
    assert [node.op for node in graph.nodes] == ["Identity"]


def test_initializer_that_is_an_input_too_is_no_input():
    text = TEXT.replace("x) =>", "x, float[4,3,1,1] w) =>")
    model = build(text, WEIGHTS, ir=3, opset=7)
    graph = from_proto(onnx.ModelProto.FromString(model.SerializeToString()), name="m")
    assert [value.name for value in graph.inputs] == ["x"]
    assert "w" in graph.constants
    same_result(graph, model)


def test_external_data_is_read(model, tmp_path):
    onnx.save(
        model, tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=0
    )
    graph = load(tmp_path / "e.onnx")
    np.testing.assert_array_equal(graph.constants["w"], WEIGHTS["w"])


def test_large_external_data_is_read(tmp_path):
    model = build(
        TEXT.replace("4,6,6] y", "512,6,6] y"), {"w": normal(512, 3, 1, 1), "b": normal(512)}
    )
    onnx.save(
        model, tmp_path / "e.onnx", save_as_external_data=True, location="e.bin", size_threshold=0
    )
    np.testing.assert_array_equal(load(tmp_path / "e.onnx").constants["w"], normal(512, 3, 1, 1))


def test_missing_external_data_is_refused(model, tmp_path, capfd):
    path = tmp_path / "e.onnx"
    onnx.save(model, path, save_as_external_data=True, location="e.bin", size_threshold=0)
    (tmp_path / "e.bin").unlink()
    assert "external data" in check_refusal(path, capfd)


def test_truncated_external_data_is_refused(model, tmp_path, capfd):
    path = tmp_path / "e.onnx"
    onnx.save(model, path, save_as_external_data=True, location="e.bin", size_threshold=0)
    data = (tmp_path / "e.bin").read_bytes()
    (tmp_path / "e.bin").write_bytes(data[:5])
    check_refusal(path, capfd)


def test_external_data_outside_the_folder_is_refused(model, tmp_path, capfd):
    path = tmp_path / "sub" / "e.onnx"
    path.parent.mkdir()
    onnx.save(model, path, save_as_external_data=True, location="e.bin", size_threshold=0)
    changed = onnx.load(path, load_external_data=False)
    (tmp_path / "secret.bin").write_bytes(b"\0" * 4096)
    for tensor in changed.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../secret.bin"
    path.write_bytes(changed.SerializeToString())
    check_refusal(path, capfd)


def test_local_function_is_inlined():
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    net (float[1,3] x) => (float[1,3] y) { y = own.twice(x) }
    <domain: "own", opset_import: ["" : 17]> twice (a) => (b) { c = Add(a, a)  b = Relu(c) }"""
    model = onnx.parser.parse_model(text)
    graph = from_proto(onnx.ModelProto.FromString(model.SerializeToString()), name="m")
    assert [node.op for node in graph.nodes] == ["Add", "Relu"]
    same_result(graph, model, {"x": normal(1, 3)})


def test_opset_below_seven_is_refused(tmp_path, capfd):
    onnx.save(build(TEXT, WEIGHTS, opset=6), tmp_path / "old.onnx")
    assert "opset 6 is older than 7" in check_refusal(tmp_path / "old.onnx", capfd)


def test_unsorted_nodes_are_sorted(model):
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    graph = from_proto(model, name="m")
    assert [node.op for node in graph.nodes] == ["Conv", "Relu"]


def test_cycle_is_refused(tmp_path, capfd):
    text = "net (float[1] x) => (float[1] y) { a = Add(x, b)  b = Relu(a)  y = Neg(b) }"
    onnx.save(build(text), tmp_path / "c.onnx")
    assert "cycle" in check_refusal(tmp_path / "c.onnx", capfd)


def test_tensor_that_nothing_makes_is_refused(tmp_path, capfd):
    text = "net (float[1] x) => (float[1] y) { y = Add(x, nowhere) }"
    onnx.save(build(text), tmp_path / "d.onnx")
    assert "'nowhere'" in check_refusal(tmp_path / "d.onnx", capfd)


def test_output_that_nothing_makes_is_refused(tmp_path, capfd):
    text = "net (float[1] x) => (float[1] y) { z = Relu(x) }"
    onnx.save(build(text), tmp_path / "d.onnx")
    assert "'y'" in check_refusal(tmp_path / "d.onnx", capfd)


def test_tensor_that_two_nodes_make_is_refused(tmp_path, capfd):
    text = "net (float[1] x) => (float[1] y) { y = Relu(x)  y = Neg(x) }"
    onnx.save(build(text), tmp_path / "d.onnx")
    assert "'y'" in check_refusal(tmp_path / "d.onnx", capfd)


def test_branch_may_read_outer_tensors():
    text = """net (float[1] x, bool c) => (float[1] y) { h = Relu(x)
      y = If(c) <then_branch = t () => (float[1] u) { u = Neg(h) },
                 else_branch = f () => (float[1] v) { v = Abs(h) }> }"""
    graph = from_proto(build(text), name="m")
    assert [node.op for node in graph.nodes] == ["Relu", "If"]
    assert [node.op for node in graph.consumers["h"]] == ["If"]


@pytest.mark.parametrize("share", [0.001, 0.05, 0.3, 0.5, 0.8, 0.95, 0.999])
def test_truncated_file_is_refused(path, share, capfd):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    check_refusal(path, capfd)


def test_every_prefix_of_a_file_is_refused_or_whole(tmp_path, capfd):
    data = build("net (float[1] x) => (float[1] y) { y = Relu(x) }").SerializeToString()
    path = tmp_path / "t.onnx"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        check_refusal(path, capfd)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"hello, this is no model\n" * 20, b"{}", b"\x89PNG\r\n\x1a\n"]
)
@pytest.mark.parametrize("name", ["m.onnx", "m.json", "m.txt", "m.textproto", "m"])
def test_other_file_is_refused(tmp_path, content, name, capfd):
    (tmp_path / name).write_bytes(content)
    check_refusal(tmp_path / name, capfd)


def test_missing_file_is_refused(tmp_path, capfd):
    assert "no such file" in check_refusal(tmp_path / "absent.onnx", capfd)


def test_folder_is_refused(tmp_path, capfd):
    check_refusal(tmp_path, capfd)


@pytest.mark.parametrize("count", [8, 4096])
def test_tensor_with_too_few_values_is_refused(tmp_path, count, capfd):
    text = f"net (float[{count}] x) => (float[{count}] y) {{ y = Add(x, c) }}"
    model = build(text)
    tensor = TensorProto(name="c", data_type=1, dims=[count], raw_data=b"\0" * 12)
    model.graph.initializer.append(tensor)
    path = tmp_path / "short.onnx"
    path.write_bytes(model.SerializeToString())
    assert "'c'" in check_refusal(path, capfd)


def test_sizes_of_zero_or_below_are_unknown():
    model = build("net (float[0,3] x) => (float[0,3] y) { y = Relu(x) }")
    assert from_proto(model, name="m").inputs[0].shape == (None, 3)


def test_names_of_nodes_without_one_are_made_up(path):
    assert [node.name for node in load(path).nodes] == ["Conv_0", "Relu_1"]


def test_bytes_are_read_as_their_file_is(path):
    content = path.read_bytes()
    for held in (content, bytearray(content), memoryview(content)):
        graph = from_bytes(held, name="m")
        np.testing.assert_array_equal(graph.constants["w"], WEIGHTS["w"])
        assert [str(node) for node in graph.nodes] == [str(node) for node in load(path).nodes]
    with pytest.raises(ModelError, match="'m': not an ONNX model"):
        from_bytes(content[:100], name="m")


def test_large_weights_stay_in_the_file(tmp_path):
    text = "net (float[2,600] x) => (float[2,600] y) { h = MatMul(x, w)  y = Add(h, b) }"
    weights = {"w": normal(600, 600), "b": normal(600)}
    onnx.save(build(text, weights), tmp_path / "m.onnx")
    graph = load(tmp_path / "m.onnx")
    assert graph.source.message.ByteSize() < 3000
    assert not isinstance(graph.constants.entries["w"], np.ndarray)
    np.testing.assert_array_equal(graph.constants["w"], weights["w"])
    np.testing.assert_array_equal(graph.constants["b"], weights["b"])


def test_a_message_stays_as_it_is(model):
    before = model.SerializeToString(deterministic=True)
    graph = from_proto(model, name="m")
    edited(graph, Edit(constants={"b": np.zeros(4, np.float32)}))
    assert model.SerializeToString(deterministic=True) == before


def test_the_long_name_of_the_standard_domain_is_the_short_one(tmp_path):
    text = """<ir_version: 8, opset_import: ["ai.onnx" : 17]>
    net (float[1,3] x, bool c) => (float[1,3] y) { h = ai.onnx.Relu(x)
      y = If(c) <then_branch = t () => (float[1,3] a) { a = ai.onnx.Neg(h) },
                 else_branch = f () => (float[1,3] b) { b = Abs(h) }> }"""
    graph = from_proto(onnx.parser.parse_model(text), name="m")
    assert graph.opsets == {"": 17}
    assert [node.domain for node in graph.nodes] == ["", ""]
    save(graph, tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert [one.domain for one in written.opset_import] == [""]


@pytest.mark.parametrize("left_out", ["shape", "type"])
def test_an_output_gets_the_shape_that_its_file_leaves_out(tmp_path, left_out):
    text = """net (float[N,3] x) => (float[N,4] y, float[A] z) {
      y = MatMul(x, w)  n = NonZero(x)  f = Cast<to = 1>(n)
      z = ReduceMax<keepdims = 0, axes = [0]>(f) }"""
    model = build(text, {"w": normal(3, 4)})
    for info in model.graph.output:
        if left_out == "type":
            info.ClearField("type")
        else:
            info.type.tensor_type.ClearField("shape")
    graph = from_proto(model, name="m")
    assert [(v.name, v.dtype, v.shape) for v in graph.outputs] == [
        ("y", np.float32, ("N", 4)), ("z", np.float32, (None,)),
    ]  # fmt: skip
    save(graph, tmp_path / "m.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "m.onnx"), full_check=True)


def sparse(layout, dtype):
    dense = np.zeros((4, 3, 1, 1), dtype)
    dense[1, 2], dense[3, 0] = 2, -1
    places = np.flatnonzero(dense) if layout == "flat" else np.argwhere(dense)
    values = numpy_helper.from_array(dense[dense != 0], "w")
    indices = numpy_helper.from_array(places.astype(np.int64), "places")
    return dense, helper.make_sparse_tensor(values, indices, dense.shape)


@pytest.mark.parametrize("layout", ["flat", "by axis"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int8])
def test_a_sparse_initializer_is_what_it_stands_for_in_its_own_type(layout, dtype):
    dense, tensor = sparse(layout, dtype)
    kind = onnx.helper.tensor_dtype_to_string(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    name = kind.rpartition(".")[2].lower()
    model = build(f"net ({name}[4,3,1,1] x) => ({name}[4,3,1,1] y) {{ y = Add(x, w) }}")
    model.graph.sparse_initializer.append(tensor)
    graph = from_proto(model, name="m")
    assert graph.constants["w"].dtype == dtype
    np.testing.assert_array_equal(graph.constants["w"], dense)


@pytest.mark.parametrize("place", [-1, 12, 2**40])
def test_a_sparse_initializer_that_points_elsewhere_is_refused(place):
    _, tensor = sparse("flat", np.float32)
    tensor.indices.CopyFrom(numpy_helper.from_array(np.array([1, place])))
    model = build("net (float[4,3,1,1] x) => (float[4,3,1,1] y) { y = Add(x, w) }")
    model.graph.sparse_initializer.append(tensor)
    with pytest.raises(ModelError, match="sparse tensor 'w' does not describe its"):
        from_proto(model, name="m")


def test_a_sparse_initializer_that_would_fill_the_memory_is_refused():
    _, tensor = sparse("flat", np.float32)
    tensor.dims[:] = [1 << 20, 1 << 20]
    model = build("net (float[4] x) => (float[a,b] y) { y = Add(x, w) }")
    model.graph.sparse_initializer.append(tensor)
    with pytest.raises(ModelError, match="too many to be written out"):
        from_proto(model, name="m")


def test_weights_of_a_function_that_is_called_twice_are_there_twice():
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
    net (float[1,40] x) => (float[1,40] y) { h = own.layer(x)  y = own.layer(h) }
    <domain: "own", opset_import: ["" : 17]> layer (a) => (b) { b = MatMul(a, w) }"""
    model = onnx.parser.parse_model(text)
    tensor = numpy_helper.from_array(normal(40, 40))
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    model.functions[0].node.insert(0, constant)
    graph = from_proto(model, name="m")
    assert [array.shape for array in graph.constants.values()] == [(40, 40), (40, 40)]
    same_result(graph, model, {"x": normal(1, 40)})


def raw(**fields):
    """A model with a large tensor that has other fields than a sound one."""
    model = build("net (float[1] x) => (float[1] y) { y = Relu(x) }")
    tensor = model.graph.initializer.add(name="w", dims=[2000], data_type=1, raw_data=bytes(8000))
    for name, value in fields.items():
        tensor.ClearField(name)
        if isinstance(value, list):
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return model.SerializeToString()


@pytest.mark.parametrize(
    "fields",
    [{"data_type": 999}, {"data_type": -1}, {"data_type": 0}, {"dims": [-2000]}, {"dims": [2**40]},
     {"dims": [2**62, 2**62]}, {"dims": [1999]}, {"dims": [2001]}, {"data_type": 8}],
)  # fmt: skip
def test_a_large_tensor_that_is_none_is_refused(fields):
    assert "w" in from_bytes(raw(), name="m").constants
    with pytest.raises(ModelError, match="'m'"):
        from_bytes(raw(**fields), name="m")


def test_a_tensor_that_says_it_is_not_outside_is_not():
    content = raw(data_location=TensorProto.DEFAULT)
    assert onnx.ModelProto.FromString(content).graph.initializer[0].HasField("data_location")
    graph = from_bytes(content, name="m")
    np.testing.assert_array_equal(graph.constants["w"], np.zeros(2000))
    assert graph.source.message.ByteSize() < 500


def test_constants_without_a_type_of_their_attribute_are_read():
    """The first exporters left it out."""
    model = build("net (float[2000] x) => (float[2000] y) { y = Add(x, k) }")
    tensor = numpy_helper.from_array(normal(2000))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["k"], value=tensor))
    model.graph.node[0].attribute[0].ClearField("type")
    graph = from_proto(model, name="m")
    np.testing.assert_array_equal(graph.constants["k"], normal(2000))
    np.testing.assert_allclose(
        run(whole(graph), {"x": normal(2000)})[0], 2 * normal(2000), rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["FLOAT6E2M3", "FLOAT4E2M1", "INT4", "UINT2"])
def test_elements_that_share_bytes_are_unpacked(kind):
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind))
    array = np.resize(np.arange(2), 8000).astype(dtype)
    model = build("net (float[1] x) => (float[1] y) { y = Relu(x) }")
    model.graph.initializer.append(numpy_helper.from_array(array, "w"))
    graph = from_proto(model, name="m")
    np.testing.assert_array_equal(graph.constants["w"], array)
    again = from_proto(whole(graph), name="m")
    np.testing.assert_array_equal(again.constants["w"], array)


@pytest.mark.parametrize("place", ["initializer", "node", "input", "attribute", "location", "body"])
def test_names_that_are_no_text_are_refused(place):
    text = """net (float[2000] long_input, bool c) => (float[2000] y) {
      h = Add(long_input, long_initializer)
      y = If(c) <then_branch = t () => (float[2000] a) { a = Elu<long_attribute = 1.0>(h) },
                 else_branch = f () => (float[2000] b) {
                   long_body = Neg(h)  b = Abs(long_body) }> }"""
    model = build(text, {"long_initializer": normal(2000)})
    model.graph.node[0].name = "long_node"
    tensor = model.graph.initializer.add(name="e", dims=[1], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value="long_location")
    content = model.SerializeToString().replace(
        f"long_{place}".encode(), b"long\xff" + place.encode()
    )
    with pytest.raises(ModelError, match="'m': not an ONNX model"):
        from_bytes(content, name="m")


def test_a_constant_that_makes_nothing_is_no_constant():
    model = build("net (float[1] x) => (float[1] y) { y = Relu(x) }")
    tensor = numpy_helper.from_array(normal(2000))
    model.graph.node.insert(0, helper.make_node("Constant", [], [], value=tensor))
    assert from_proto(model, name="m").constants == {}


def test_external_values_of_a_sparse_initializer_are_those_beside_the_model(tmp_path, monkeypatch):
    dense, tensor = sparse("flat", np.float32)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "w.bin").write_bytes(tensor.values.raw_data)
    (tmp_path / "w.bin").write_bytes(bytes(8))
    tensor.values.ClearField("raw_data")
    tensor.values.data_location = TensorProto.EXTERNAL
    tensor.values.external_data.add(key="location", value="w.bin")
    model = build("net (float[4,3,1,1] x) => (float[4,3,1,1] y) { y = Add(x, w) }")
    model.graph.sparse_initializer.append(tensor)
    (tmp_path / "in" / "m.onnx").write_bytes(model.SerializeToString())
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(load("in/m.onnx").constants["w"], dense)


def test_a_path_with_a_zero_in_it_is_no_path():
    with pytest.raises(ModelError, match="no path"):
        load("a\0b")
