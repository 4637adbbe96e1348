"""Payloads are taken out of a model's bytes and put back, and nothing else changes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from strategies import build, normal, repeatable

from wrg_onnx.graph.wire import LEAST_BYTES, key_of, put_payloads, refer, take_payloads

TEXT = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
net (float[1,40] x, bool c) => (float[1,40] y) {
  h = own.scaled(x)  y = If(c) <then_branch = t () => (float[1,40] a) { a = MatMul(h, w) },
                                else_branch = f () => (float[1,40] b) { b = Neg(h) }> }
<domain: "own", opset_import: ["" : 17]> scaled (a) => (b) { b = Identity(a) }"""

NET = "net (float[1] x) => (float[1] y) { y = Neg(x) }"


def take(data):
    """Take the payloads out; return the message and, by key, where they were."""
    places = {}

    def key(payload):
        places[str(len(places))] = payload
        return str(len(places) - 1)

    return take_payloads(memoryview(data), key), places


def put(model, places, data):
    written = b""
    for piece, key in put_payloads(model, {k: place.length for k, place in places.items()}):
        written += piece
        if key is not None:
            written += data[places[key].offset : places[key].offset + places[key].length]
    return onnx.ModelProto.FromString(written)


def with_weights_everywhere():
    """A model with a large tensor in each place where one may be."""
    model = onnx.parser.parse_model(TEXT)
    body = model.graph.node[1].attribute[0].g
    model.graph.initializer.append(numpy_helper.from_array(normal(40, 40), "w"))
    body.initializer.append(numpy_helper.from_array(normal(40, 50), "inner"))
    constant = helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(normal(2000)))
    model.graph.node.insert(0, constant)
    nested = numpy_helper.from_array(normal(3000), "v")
    model.functions[0].node.insert(0, helper.make_node("Constant", [], ["v"], value=nested))
    return model


def test_payloads_are_taken_from_every_place_and_come_back():
    model = with_weights_everywhere()
    data = model.SerializeToString()
    light, places = take(data)
    assert sorted(place.length for place in places.values()) == [6400, 8000, 8000, 12000]
    assert light.ByteSize() < 3000
    assert put(light, places, data) == model


def test_a_payload_is_where_it_is_said_to_be():
    array = normal(40, 40)
    data = build(NET, {"w": array}).SerializeToString()
    _, places = take(data)
    (place,) = places.values()
    found = np.frombuffer(data, np.float32, place.length // 4, place.offset)
    np.testing.assert_array_equal(found.reshape(40, 40), array)


@pytest.mark.parametrize(("kind", "dtype"), [("float_data", np.float32), ("double_data", float)])
def test_lists_that_are_written_as_they_are_in_memory_are_payloads(kind, dtype):
    array = normal(3, 700, dtype=dtype)
    tensor = TensorProto(
        name="w", dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype)
    )
    getattr(tensor, kind).extend(array.reshape(-1).tolist())
    model = build(NET)
    model.graph.initializer.append(tensor)
    data = model.SerializeToString()
    light, places = take(data)
    assert [place.length for place in places.values()] == [array.nbytes]
    again = numpy_helper.to_array(put(light, places, data).graph.initializer[0])
    np.testing.assert_array_equal(again, array)


def test_lists_of_varints_stay():
    model = build(NET)
    values = list(range(5000))
    tensor = TensorProto(name="w", dims=[5000], data_type=7, int64_data=values)
    model.graph.initializer.append(tensor)
    light, places = take(model.SerializeToString())
    assert not places
    assert light == model


def test_of_two_payloads_the_last_counts_as_it_does_for_protobuf():
    tensor = TensorProto(name="w", dims=[2000], data_type=1)
    first, second = normal(2000), normal(2000, seed=1)
    raw = [TensorProto(raw_data=array.tobytes()).SerializeToString() for array in (first, second)]
    node = helper.make_node("Neg", ["x"], ["y"]).SerializeToString()
    model = onnx.ModelProto(ir_version=8)
    model.graph.node.append(onnx.NodeProto.FromString(node))
    model.graph.initializer.append(tensor)
    # Twice the same field, which protobuf's own writer never makes.
    inner = tensor.SerializeToString() + b"".join(raw)
    graph = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
    field = bytes([graph << 3 | 2]) + _varint(len(inner)) + inner
    whole = b"\x08\x08" + bytes([7 << 3 | 2]) + _varint(len(field)) + field
    wanted = numpy_helper.to_array(onnx.ModelProto.FromString(whole).graph.initializer[0])
    np.testing.assert_array_equal(wanted, second)
    light, places = take(whole)
    found = numpy_helper.to_array(put(light, places, whole).graph.initializer[0])
    np.testing.assert_array_equal(found, second)


def _varint(value):
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def test_small_payloads_and_external_data_stay():
    array = np.zeros(LEAST_BYTES // 4 - 1, np.float32)
    model = build(NET, {"w": array})
    outside = model.graph.initializer.add(name="e", dims=[5000], data_type=1, data_location=1)
    outside.external_data.add(key="location", value="e" * 5000)
    light, places = take(model.SerializeToString())
    assert not places
    assert light == model


def test_a_tensor_that_refers_to_a_payload_names_it():
    tensor = numpy_helper.from_array(normal(3), "w")
    assert key_of(tensor) is None
    refer(tensor, "17")
    assert (key_of(tensor), tensor.name, list(tensor.dims)) == ("17", "w", [3])
    assert not tensor.raw_data


def test_every_truncation_is_refused_or_read_as_protobuf_does():
    data = with_weights_everywhere().SerializeToString()
    for length in range(0, len(data), 97):
        part = data[:length]
        try:
            wanted = onnx.ModelProto.FromString(part)
        except DecodeError:
            with pytest.raises(DecodeError):
                take(part)
        else:
            light, places = take(part)
            assert put(light, places, part) == wanted


@repeatable
@given(st.binary(max_size=400), st.integers(0, 20000), st.integers(0, 255))
def test_damaged_bytes_are_refused_or_read_as_protobuf_does(junk, place, byte):
    data = bytearray(with_weights_everywhere().SerializeToString())
    data[place % len(data)] = byte
    for part in (junk, bytes(data)):
        try:
            wanted = onnx.ModelProto.FromString(part)
        except DecodeError:
            wanted = None
        try:
            light, places = take(part)
        except DecodeError:
            continue  # groups, which no ONNX file has, are refused although protobuf skips them
        assert wanted is not None
        assert put(light, places, part) == wanted


def test_graphs_nested_too_deep_are_refused():
    inner = b""
    attribute = onnx.AttributeProto.DESCRIPTOR.fields_by_name["g"].number
    for number in [7, *[1, 5, attribute] * 60][::-1]:
        inner += b"\x12" + _varint(LEAST_BYTES) + b"x" * LEAST_BYTES if not inner else b""
        inner = bytes([number << 3 | 2]) + _varint(len(inner)) + inner
    with pytest.raises(DecodeError, match="nested"):
        take(inner)
