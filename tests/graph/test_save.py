from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from strategies import build, copy_of, normal, run

from wrg_onnx.errors import ModelError, OutputError
from wrg_onnx.files import check_output
from wrg_onnx.graph import Edit, edited, load, save
from wrg_onnx.graph import save as save_function
from wrg_onnx.graph.load import from_proto

save_module = __import__("sys").modules[save_function.__module__]

TEXT = """net (float[N,3,6,6] x, float[N,40,6,6] z) => (float[N,40,6,6] y)
  <float[N,40,6,6] h> { h = Conv(x, w, b)  g = Add(h, z)  y = Relu(g) }"""
WEIGHTS = {"w": normal(40, 3, 5, 5), "b": normal(40)}
FEEDS = {"x": normal(2, 3, 6, 6), "z": normal(2, 40, 6, 6)}


def model_of(**versions):
    model = build(TEXT.replace("Conv(", "Conv<pads = [2, 2, 2, 2]>("), WEIGHTS, **versions)
    model.producer_name, model.producer_version, model.model_version = "maker", "3", 12
    model.doc_string, model.domain = "what it is", "org.example"
    model.metadata_props.add(key="labels", value="cat,dog")
    model.graph.doc_string = "the graph"
    return model


@pytest.fixture
def model():
    return model_of()


@pytest.fixture
def graph(model):
    return from_proto(copy_of(model), name="m")


def only(folder):
    return sorted(path.name for path in folder.iterdir())


def test_round_trip_computes_the_same(model, graph, tmp_path):
    size = save(graph, tmp_path / "m.onnx")
    assert size == (tmp_path / "m.onnx").stat().st_size
    written = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(written, full_check=True)
    np.testing.assert_array_equal(run(written, FEEDS)[0], run(model, FEEDS)[0])


def test_header_is_kept(model, graph, tmp_path):
    save(graph, tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    for field in ("ir_version", "producer_name", "producer_version", "model_version", "doc_string",
                  "domain", "metadata_props", "opset_import"):  # fmt: skip
        assert getattr(written, field) == getattr(model, field), field


def test_names_and_order_are_kept(model, graph, tmp_path):
    save(graph, tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert list(written.graph.input) == list(model.graph.input)
    assert list(written.graph.output) == list(model.graph.output)
    assert {t.name for t in written.graph.initializer} == {"w", "b"}
    assert written.graph.name == "net"
    assert [n.op_type for n in written.graph.node] == ["Conv", "Add", "Relu"]


def test_types_of_intermediate_tensors_that_the_file_records_are_inferred_anew(tmp_path):
    text = """net (float[N,3,6,6] x) => (float[N,40,A,B] y)
      <float[N,40,9,9] h> { h = Conv(x, w, b)  g = Relu(h)  y = Neg(g) }"""
    model = build(text, WEIGHTS)
    model.graph.value_info[0].doc_string = "the map"
    save(from_proto(model, name="m"), tmp_path / "m.onnx")
    (info,) = onnx.load(tmp_path / "m.onnx").graph.value_info
    assert (info.name, info.doc_string) == ("h", "the map")
    dims = info.type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", 40, 2, 2]


def test_initializers_that_are_inputs_stay_inputs(tmp_path):
    text = TEXT.replace(
        "x, float[N,40,6,6] z", "x, float[40,3,5,5] w, float[N,40,6,6] z, float[40] b"
    )
    model = build(text.replace("Conv(", "Conv<pads = [2, 2, 2, 2]>("), WEIGHTS, ir=3, opset=8)
    save(from_proto(copy_of(model), name="m"), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert [value.name for value in written.graph.input] == ["x", "w", "z", "b"]
    assert written.ir_version == 3
    np.testing.assert_array_equal(run(written, FEEDS)[0], run(model, FEEDS)[0])


@pytest.mark.parametrize(
    "dtype", ["float16", "float64", "int8", "uint8", "int32", "int64", "bool", "bfloat16"]
)
@pytest.mark.parametrize("count", [4, 4000])
def test_constants_of_each_type_come_back(dtype, count, tmp_path):
    kind = {"float64": "double"}.get(dtype, dtype)
    model = build(f"net ({kind}[{count}] x) => ({kind}[2,{count}] y) {{ u = Unsqueeze(x, o)  "
                  "y = Concat<axis = 0>(u, c) }", {"o": np.array([0])})  # fmt: skip
    values = np.arange(count).reshape(1, -1) % 100
    element = getattr(onnx.TensorProto, kind.upper())
    numpy_type = onnx.helper.tensor_dtype_to_np_dtype(element)
    array = values.astype(numpy_type)
    model.graph.initializer.append(onnx.numpy_helper.from_array(array, "c"))
    save(from_proto(copy_of(model), name="m"), tmp_path / "m.onnx")
    written = {t.name: t for t in onnx.load(tmp_path / "m.onnx").graph.initializer}
    assert written["c"].data_type == element
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(written["c"]), array)


@pytest.mark.parametrize("place", ["initializer", "Constant"])
@pytest.mark.parametrize("count", [4, 4000])
def test_constants_of_4_bits_come_back(place, count, tmp_path):
    text = "net (float[N] x) => (float[N] y) { d = DequantizeLinear(k, s)  y = Add(x, d) }"
    model = build(text, {"s": np.float32(0.5)}, opset=21, ir=10)
    values = np.resize(np.arange(-8, 8), count)
    numpy_type = onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.INT4)
    tensor = onnx.numpy_helper.from_array(values.astype(numpy_type), "k")
    if place == "initializer":
        model.graph.initializer.append(tensor)
    else:
        model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["k"], value=tensor))
    save(from_proto(copy_of(model), name="m"), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(run(written, {"x": np.zeros(count, np.float32)})[0], values / 2)


def test_existing_file_is_refused_without_force(graph, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists; --force replaces it"):
        save(graph, path)
    assert path.read_bytes() == b"mine"
    save(graph, path, force=True)
    load(path)
    assert only(tmp_path) == ["m.onnx"]


def test_missing_folders_are_made(graph, tmp_path):
    save(graph, tmp_path / "a" / "b" / "m.onnx")
    written = load(tmp_path / "a" / "b" / "m.onnx")
    assert [str(node) for node in written.nodes] == [str(node) for node in graph.nodes]
    assert only(tmp_path / "a" / "b") == ["m.onnx"]


def test_folder_as_output_is_refused(graph, tmp_path):
    with pytest.raises(OutputError, match="is a folder"):
        save(graph, tmp_path)


def test_file_as_folder_is_refused(graph, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="not a folder"):
        save(graph, tmp_path / "file" / "m.onnx")


def test_folder_that_cannot_be_written_to_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="not a folder that can be written to"):
        check_output(tmp_path / "m.onnx", force=False)


def fill_disk(monkeypatch, *, after=0):
    """Let the disk be full after so many bytes."""
    real = Path.open

    class Full:
        def __init__(self, stream):
            self.stream, self.left = stream, after

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def write(self, data):
            self.left -= len(data)
            if self.left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return self.stream.write(data)

        def writelines(self, pieces):
            for piece in pieces:
                self.write(piece)

    monkeypatch.setattr(Path, "open", lambda self, *a, **k: Full(real(self, *a, **k)))


@pytest.mark.parametrize("after", [0, 500, 5000])
@pytest.mark.parametrize("limit", [10, 2**31])
def test_full_disk_leaves_nothing_behind(graph, tmp_path, monkeypatch, after, limit):
    monkeypatch.setattr(save_module, "ONE_FILE_BYTES", limit)
    with monkeypatch.context() as patch:
        fill_disk(patch, after=after)
        with pytest.raises(OutputError, match="No space left on device") as caught:
            save(graph, tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert only(tmp_path) == []


def test_full_disk_keeps_the_old_file(graph, tmp_path, monkeypatch):
    (tmp_path / "m.onnx").write_bytes(b"old")
    with monkeypatch.context() as patch:
        fill_disk(patch)
        with pytest.raises(OutputError):
            save(graph, tmp_path / "m.onnx", force=True)
    assert (tmp_path / "m.onnx").read_bytes() == b"old"
    assert only(tmp_path) == ["m.onnx"]


def test_interrupt_leaves_nothing_behind(graph, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(graph, tmp_path / "m.onnx")
    assert only(tmp_path) == []


def test_model_that_the_checker_refuses_is_not_written(graph, tmp_path):
    broken = edited(graph, Edit(constants={"w": np.zeros((40, 3, 5), np.float32)}))
    with pytest.raises(OutputError, match="the ONNX checker refuses the result") as caught:
        save(broken, tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert only(tmp_path) == []


def test_large_weights_go_beside_the_model(model, graph, tmp_path, monkeypatch):
    monkeypatch.setattr(save_module, "ONE_FILE_BYTES", 1000)
    size = save(graph, tmp_path / "m.onnx")
    assert only(tmp_path) == ["m.onnx", "m.onnx.data"]
    assert size > WEIGHTS["w"].nbytes
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    session = ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, FEEDS)[0], run(model, FEEDS)[0], atol=1e-5)
    np.testing.assert_array_equal(load(tmp_path / "m.onnx").constants["w"], WEIGHTS["w"])


def test_weights_file_of_someone_else_is_not_replaced(graph, tmp_path, monkeypatch):
    monkeypatch.setattr(save_module, "ONE_FILE_BYTES", 1000)
    (tmp_path / "m.onnx.data").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"m\.onnx\.data' exists"):
        save(graph, tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx.data").read_bytes() == b"mine"
    assert only(tmp_path) == ["m.onnx.data"]


def test_an_operator_of_the_runtime_in_the_standard_domain_is_written(tmp_path):
    body = (
        "y = SimplifiedLayerNormalization<axis = -1>(x, s)  n = LayerNormalization<axis = -1>(y, s)"
    )
    inner = "{ m = SimplifiedLayerNormalization<axis = -1>(n, s) }"
    text = f"""net (float[2,8] x, bool c) => (float[2,8] o) {{ {body}
      o = If(c) <then_branch = t () => (float[2,8] m) {inner},
                 else_branch = f () => (float[2,8] m) {inner}> }}"""
    model = build(text, {"s": normal(8)}, opset=13)
    save(from_proto(copy_of(model), name="m"), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert [node.domain for node in written.graph.node] == ["", "", ""]
    feeds = {"x": normal(2, 8), "c": np.array(True)}
    np.testing.assert_array_equal(run(written, feeds)[0], run(model, feeds)[0])


RICH = """<ir_version: 10, opset_import: ["" : 17, "own" : 2]>
net (float[N,3,6,6] x, bool c) => (float[N,40,H,W] y) <float[N,40,2,2] h, float[N,40,2,2] g> {
  h = Conv(x, w, b)  k = Constant<value = float {2.0}>()  m = Mul(h, k)
  g = If(c) <then_branch = t () => (float[N,40,2,2] u) <float[N,40,2,2] v> {
               v = Neg(m)  u = Relu(v) },
             else_branch = f () => (float[N,40,2,2] z) { z = Abs(m) }>
  y = Relu(g) }"""


def rich_model():
    """A model with something said about everything that a file may say something about."""
    model = onnx.parser.parse_model(RICH)
    for name, array in (*WEIGHTS.items(), ("unread", normal(2000)), ("small", normal(3))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    body = model.graph.node[3].attribute[0].g
    body.initializer.append(onnx.numpy_helper.from_array(normal(1500), "inner"))
    graph = model.graph
    said = [model, graph, body, *graph.node, *body.node, *graph.initializer, *body.initializer,
            *graph.input, *graph.output, *graph.value_info, *body.value_info]  # fmt: skip
    for number, part in enumerate(said):
        part.doc_string = f"said {number}"
        part.metadata_props.add(key="about", value=str(number))
    model.producer_name, model.domain, model.model_version = "maker", "org.example", 7
    graph.input[0].type.tensor_type.shape.dim[0].denotation = "DATA_BATCH"
    graph.quantization_annotation.add(tensor_name="h").quant_parameter_tensor_names.add(
        key="SCALE_TENSOR", value="small"
    )
    sparse = graph.node[0].attribute.add(name="extra", type=onnx.AttributeProto.SPARSE_TENSOR)
    sparse.sparse_tensor.dims[:] = [3]
    training = model.training_info.add()
    training.initialization.name = "init"
    training.algorithm.node.append(onnx.helper.make_node("Neg", ["w"], ["w_new"]))
    training.update_binding.add(key="w", value="w_new")
    return model


def test_everything_that_a_file_says_survives(monkeypatch, tmp_path):
    model = rich_model()
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    # The checker knows no attribute "extra", and this is about the file.
    monkeypatch.setattr(save_module, "checker_problem", lambda _: None)
    save(load(tmp_path / "m.onnx"), tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    # What branches return is read off their nodes: pruning changes it.
    for attribute in model.graph.node[3].attribute:
        for dim in attribute.g.output[0].type.tensor_type.shape.dim:
            dim.ClearField("dim_value")
    assert written == model


def test_what_is_said_survives_an_edit_of_everything(monkeypatch, tmp_path):
    model = rich_model()
    monkeypatch.setattr(save_module, "checker_problem", lambda _: None)
    edit = Edit(
        constants={"w": np.zeros((40, 3, 5, 5), np.float32), "k": np.float32(3)},
        attributes={0: {"group": 1}},
        operands={(0, 2): normal(40, seed=3)},
        biases={0: normal(40, 1, 1)},
        metadata={"own": "note"},
    )
    save(edited(from_proto(model, name="m"), edit), tmp_path / "out.onnx")
    written = onnx.load(tmp_path / "out.onnx")
    assert [n.op_type for n in written.graph.node] == [
        "Conv", "Add", "Constant", "Mul", "If", "Relu",
    ]  # fmt: skip
    kept = [node for node in written.graph.node if node.op_type != "Add"]
    for old, new in zip(model.graph.node, kept, strict=True):
        assert (new.name, new.doc_string) == (old.name, old.doc_string)
        assert new.metadata_props == old.metadata_props
    assert written.graph.node[0].attribute[0].name == "extra"
    names = [tensor.name for tensor in written.graph.initializer]
    assert names == ["w", "unread", "small", "b_pruned1", "h_bias_pruned1"]
    assert written.graph.initializer[0].doc_string == model.graph.initializer[0].doc_string
    assert written.graph.quantization_annotation == model.graph.quantization_annotation
    assert written.training_info == model.training_info
    assert list(written.graph.input) == list(model.graph.input)
    assert list(written.graph.output) == list(model.graph.output)
    assert [info.name for info in written.graph.value_info] == ["h", "g"]
    notes = {entry.key: entry.value for entry in written.metadata_props}
    assert notes["own"] == "note"
    assert notes["about"] == "0"
    assert "h_pruned1" in notes["wrg_onnx.added"]


def test_initializers_stay_in_the_order_of_the_file(tmp_path):
    weights = {"small": normal(3), "large": normal(3, 2000), "last": normal(3)}
    text = """net (float[2000] x) => (float[3] y) {
      m = MatMul(large, x)  a = Add(m, small)  y = Add(a, last) }"""
    save(from_proto(build(text, weights), name="m"), tmp_path / "m.onnx")
    written = onnx.load(tmp_path / "m.onnx")
    assert [tensor.name for tensor in written.graph.initializer] == list(weights)


def test_weights_go_beside_the_model_on_request(model, graph, tmp_path):
    size = save(graph, tmp_path / "m.onnx", external_data=True)
    assert only(tmp_path) == ["m.onnx", "m.onnx.data"]
    light = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    tables = {t.name: {e.key: e.value for e in t.external_data} for t in light.graph.initializer}
    assert tables["w"] == {"location": "m.onnx.data", "offset": "0", "length": "12000"}
    assert tables["b"] == {}  # 40 numbers: small ones stay where the graph is
    assert size == (tmp_path / "m.onnx").stat().st_size + 12000
    np.testing.assert_array_equal(
        run(onnx.load(tmp_path / "m.onnx"), FEEDS)[0], run(model, FEEDS)[0]
    )
    again = load(tmp_path / "m.onnx")
    save(again, tmp_path / "other.onnx")
    assert (
        onnx.load(tmp_path / "other.onnx").graph.initializer[0].raw_data
        == normal(40, 3, 5, 5).tobytes()
    )


def test_weights_in_the_data_file_begin_at_pages(tmp_path):
    weights = {f"w{i}": normal(1100 + i) for i in range(3)}
    adds = "".join(
        f" s{i} = ReduceSum<keepdims = 0>(w{i}) t{i + 1} = Add(t{i}, s{i})" for i in range(3)
    )
    text = f"net (float t0) => (float t3) {{ {adds} }}"
    save(from_proto(build(text, weights), name="m"), tmp_path / "m.onnx", external_data=True)
    light = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    offsets = [{e.key: e.value for e in t.external_data}["offset"] for t in light.graph.initializer]
    assert offsets == ["0", "8192", "16384"]
    whole = onnx.load(tmp_path / "m.onnx")
    for tensor in whole.graph.initializer:
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weights[tensor.name])


def test_a_file_that_weights_are_read_from_is_not_written_over(graph, tmp_path):
    save(graph, tmp_path / "m.onnx", external_data=True)
    source = load(tmp_path / "m.onnx")
    before = (tmp_path / "m.onnx.data").read_bytes()
    for path in (tmp_path / "m.onnx", tmp_path / "m.onnx.data"):
        with pytest.raises(OutputError, match=r"m\.onnx\.data' holds weights of the model"):
            save(source, path, external_data=True, force=True)
    assert (tmp_path / "m.onnx.data").read_bytes() == before
    assert only(tmp_path) == ["m.onnx", "m.onnx.data"]
    # Into one file it may go: the model's own is read to its end by then.
    save(source, tmp_path / "m.onnx", force=True)
    np.testing.assert_array_equal(load(tmp_path / "m.onnx").constants["w"], WEIGHTS["w"])


@pytest.mark.parametrize("external", [False, True])
def test_a_source_that_changes_leaves_nothing_behind(tmp_path, external):
    large = {"w": normal(600, 600)}
    text = "net (float[2,600] x) => (float[2,600] y) { y = MatMul(x, w) }"
    (tmp_path / "in").mkdir()
    onnx.save(build(text, large), tmp_path / "in" / "m.onnx")
    graph = load(tmp_path / "in" / "m.onnx")
    os.utime(tmp_path / "in" / "m.onnx", ns=(1, 1))
    with pytest.raises(ModelError, match="has changed while it was read"):
        save(graph, tmp_path / "out.onnx", external_data=external)
    assert only(tmp_path) == ["in"]
