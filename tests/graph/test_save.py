from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from strategies import build, copy_of, normal, run

from wrg_onnx.errors import OutputError
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
