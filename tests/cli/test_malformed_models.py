"""Models that are none: one line, exit code 1, no traceback, and nothing read outside."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper
from strategies import build, normal

TEXT = """net (float[1,3,8,8] x) => (float[1,4,8,8] y) {
  h = Conv(x, w, b)  r = Relu(h)  y = Conv<group = 1>(r, v) }"""
WEIGHTS = {"w": normal(6, 3, 1, 1), "b": normal(6), "v": normal(4, 6, 1, 1)}


@pytest.fixture(params=["inspect", "prune"])
def refusal(request, refused, folder):
    """Write a model and run a command that must refuse it; return its one line."""

    def check(model):
        (folder / "m.onnx").write_bytes(
            model if isinstance(model, bytes) else model.SerializeToString()
        )
        options = ("--ratio", 0.5, "--criterion", "l1", "--recover", "none")
        line = refused(request.param, "m.onnx", *(options if request.param == "prune" else ()))
        assert line.startswith("'m.onnx'")
        assert len(line) < 600
        return line

    return check


def weight(model, name="w"):
    return next(tensor for tensor in model.graph.initializer if tensor.name == name)


def set_group(model, number):
    model.graph.node[2].attribute[0].i = number


def outside(tensor, **entries):
    """Say that a tensor's bytes are in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))


def nested(depth):
    """An If in an If in an If, and so on."""
    text = "p = Neg(x)"
    for number in range(depth):
        text = f"""p = If(c) <then_branch = a{number} () => (float[1] p) {{ {text} }},
            else_branch = b{number} () => (float[1] q{number}) {{ q{number} = Abs(x) }}>"""
    return build(f"net (float[1] x, bool c) => (float[1] p) {{ {text} }}")


def wrapped(depth):
    """Bytes of graphs in nodes of graphs, deeper than protobuf's own writer goes."""
    inner = b""
    numbers = [
        AttributeProto.DESCRIPTOR.fields_by_name["g"].number,
        onnx.NodeProto.DESCRIPTOR.fields_by_name["attribute"].number,
        onnx.GraphProto.DESCRIPTOR.fields_by_name["node"].number,
    ]
    for number in numbers * depth:
        length = len(inner)
        head = b""
        while length > 0x7F:
            head += bytes([length & 0x7F | 0x80])
            length >>= 7
        inner = bytes([number << 3 | 2]) + head + bytes([length]) + inner
    return inner


CHANGES = {
    "dims below 0": lambda m: weight(m).dims.__setitem__(0, -6),
    "dims that overflow": lambda m: weight(m).dims.__setitem__(slice(None), [1 << 62, 1 << 62]),
    "dims of more than there is": lambda m: weight(m).dims.__setitem__(0, 7),
    "a type that is unknown": lambda m: setattr(weight(m), "data_type", 99),
    "a type below 0": lambda m: setattr(weight(m), "data_type", -1),
    "no type": lambda m: weight(m).ClearField("data_type"),
    "bytes that are no whole values": lambda m: setattr(weight(m), "raw_data", b"abc"),
    "bytes for half of the values": lambda m: setattr(weight(m), "raw_data", bytes(36)),
    "two weights of one name": lambda m: m.graph.initializer.append(weight(m)),
    "a weight without a name": lambda m: setattr(weight(m), "name", ""),
    "two inputs of one name": lambda m: m.graph.input.append(m.graph.input[0]),
    "an input without a name": lambda m: setattr(m.graph.input[0], "name", ""),
    "an output without a name": lambda m: setattr(m.graph.output[0], "name", ""),
    "no outputs": lambda m: m.graph.ClearField("output"),
    "no nodes": lambda m: m.graph.ClearField("node"),
    "a version of 64 bits": lambda m: m.opset_import.add(domain="far", version=1 << 40),
    "a negative version": lambda m: m.opset_import.add(domain="far", version=-(1 << 40)),
    "no opset": lambda m: m.ClearField("opset_import"),
    "no groups": lambda m: set_group(m, 0),
    "2 to the 62 groups": lambda m: set_group(m, 1 << 62),
    "groups below 0": lambda m: set_group(m, -2),
    "an input of no element type": lambda m: m.graph.input[0].type.tensor_type.ClearField(
        "elem_type"
    ),
    "an input of an unknown element type": lambda m: setattr(
        m.graph.input[0].type.tensor_type, "elem_type", 99
    ),
    "an output of an unknown element type": lambda m: setattr(
        m.graph.output[0].type.tensor_type, "elem_type", 99
    ),
    "a location of 300 characters": lambda m: outside(weight(m), location="d" * 300),
    "a location above": lambda m: outside(weight(m), location="../m.onnx"),
    "an address in memory": lambda m: outside(
        weight(m), location="*/_ORT_MEM_ADDR_/*", offset=94_000_000_000_000, length=72
    ),
    "a key that is none": lambda m: outside(weight(m), location="m.onnx", __class__="x"),
    "a length below 0": lambda m: outside(weight(m), location="m.onnx", length=-72),
    "an offset of letters": lambda m: outside(weight(m), location="m.onnx", offset="many"),
    "a length that overflows": lambda m: outside(weight(m), location="m.onnx", length=1 << 70),
    "a wrong checksum": lambda m: outside(
        weight(m), location="m.onnx", offset=0, length=72, checksum="0" * 40
    ),
    "too few operands": lambda m: m.graph.node[0].ClearField("input"),
    "too many operands": lambda m: m.graph.node[1].input.extend(["w", "b", "v"]),
    "too many results": lambda m: m.graph.node[1].output.extend(["p", "q"]),
    "an attribute of another type": lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute("pads", "wide")
    ),
    "an attribute that is of one type and holds another": lambda m: setattr(
        m.graph.node[2].attribute[0], "type", AttributeProto.GRAPH
    ),
    "an attribute of too few numbers": lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute("pads", [1])
    ),
    "a weight of another rank": lambda m: weight(m).CopyFrom(
        numpy_helper.from_array(normal(18), "w")
    ),
    "an attribute that is not there": lambda m: m.graph.node[0].CopyFrom(
        helper.make_node("Flatten", ["x"], ["h"], axis=9)
    ),
    "an input that is not given": lambda m: m.graph.node[0].input.__setitem__(1, ""),
    "a weight that is declared as another": lambda m: m.graph.input.append(
        helper.make_tensor_value_info("w", 1, [6, 4, 1, 1])
    ),
    "strides of 0": lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute("strides", [0, 0])
    ),
    "a kernel below 0": lambda m: m.graph.node[0].attribute.append(
        helper.make_attribute("kernel_shape", [-1, -1])
    ),
    "a body on a node that runs none": lambda m: m.graph.node[1].attribute.append(
        helper.make_attribute("body", onnx.parser.parse_graph("b () => (float p) { p = Neg(x) }"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_model_that_is_none_gets_one_line(refusal, change):
    model = build(TEXT, WEIGHTS)
    CHANGES[change](model)
    assert refusal(model).startswith("'m.onnx': ")


@pytest.mark.parametrize(
    "place", ["initializer", "node", "input", "output", "value_info", "attribute", "dimension",
              "metadata", "domain", "producer", "function"],
)  # fmt: skip
def test_a_text_that_is_no_utf_8_is_refused(refusal, place):
    model = build(TEXT, WEIGHTS)
    mark = "marked_name"
    own = helper.make_function("own", mark, ["i"], ["o"], [helper.make_node("Relu", ["i"], ["o"])],
                               [helper.make_opsetid("", 17)])  # fmt: skip
    {
        "initializer": lambda: model.graph.initializer.append(
            numpy_helper.from_array(normal(2), mark)
        ),
        "node": lambda: setattr(model.graph.node[0], "name", mark),
        "input": lambda: model.graph.input.append(helper.make_tensor_value_info(mark, 1, [1])),
        "output": lambda: model.graph.output.append(helper.make_tensor_value_info(mark, 1, [1])),
        "value_info": lambda: model.graph.value_info.append(
            helper.make_tensor_value_info(mark, 1, [1])
        ),
        "attribute": lambda: model.graph.node[0].attribute.append(helper.make_attribute(mark, 1)),
        "dimension": lambda: model.graph.input.append(
            helper.make_tensor_value_info("z", 1, [mark])
        ),
        "metadata": lambda: model.metadata_props.add(key=mark, value=mark),
        "domain": lambda: model.opset_import.add(domain=mark, version=1),
        "producer": lambda: setattr(model, "producer_name", mark),
        "function": lambda: model.functions.append(own),
    }[place]()
    content = model.SerializeToString().replace(mark.encode(), b"marked\xffname")
    assert refusal(content) == "'m.onnx': not an ONNX model (a name in it is no UTF-8)"


def test_a_version_of_64_bits_that_a_function_asks_for_is_refused(refusal):
    model = build(TEXT, WEIGHTS)
    far = [helper.make_opsetid("", 1 << 40)]
    node = helper.make_node("Neg", ["a"], ["c"])
    model.functions.append(helper.make_function("own", "f", ["a"], ["c"], [node], far))
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node.append(helper.make_node("f", ["y"], ["u"], domain="own"))
    assert "version 1099511627776" in refusal(model)


@pytest.mark.parametrize("depth", [40, 1000])
def test_bodies_that_are_nested_deep_are_refused(refusal, depth):
    model = build(TEXT, WEIGHTS)
    inner = wrapped(depth)
    field = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
    head, length = b"", len(inner)
    while length > 0x7F:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    content = model.SerializeToString() + bytes([field << 3 | 2]) + head + bytes([length]) + inner
    line = refusal(content)
    assert line == "'m.onnx': not a sound model: its parts are nested more than 100 deep"


def test_bodies_that_are_nested_20_deep_are_read(run, folder):
    onnx.save(nested(20), folder / "m.onnx")
    assert run("inspect", "m.onnx").exit_code in (0, 1)


def test_more_parts_than_any_graph_has_are_refused(refusal):
    model = build(TEXT, WEIGHTS)
    graph = model.graph.SerializeToString()
    node = onnx.GraphProto.DESCRIPTOR.fields_by_name["node"].number
    graph += bytes([node << 3 | 2, 0]) * ((1 << 20) + 1)
    model.ClearField("graph")
    field = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
    head, length = b"", len(graph)
    while length > 0x7F:
        head += bytes([length & 0x7F | 0x80])
        length >>= 7
    content = model.SerializeToString() + bytes([field << 3 | 2]) + head + bytes([length]) + graph
    assert refusal(content) == "'m.onnx': not a sound model: a graph has more than 1048576 parts"


@pytest.mark.parametrize(
    ("places", "dims"),
    [([1, 12], [4, 3, 1, 1]), ([-1, 2], [4, 3, 1, 1]), ([0, 1], [-4, 3]), ([0, 1], [1 << 40, 2]),
     ([0, 1, 2], [4, 3])],
)  # fmt: skip
def test_sparse_values_outside_of_their_tensor_are_refused(refusal, places, dims):
    model = build(TEXT, WEIGHTS)
    values = numpy_helper.from_array(normal(2), "s")
    indices = numpy_helper.from_array(np.array(places))
    model.graph.sparse_initializer.add(values=values, indices=indices, dims=dims)
    assert "sparse tensor 's' does not describe its" in refusal(model)


@pytest.mark.parametrize("kind", ["tensors", "sparse_tensor"])
def test_bytes_outside_that_nothing_here_reads_are_refused(refusal, kind):
    model = build(TEXT, WEIGHTS)
    attribute = model.graph.node[1].attribute.add(name="more")
    tensor = TensorProto(name="t", dims=[2], data_type=1)
    outside(tensor, location="../secret")
    if kind == "tensors":
        attribute.type = AttributeProto.TENSORS
        attribute.tensors.append(tensor)
    else:
        attribute.type = AttributeProto.SPARSE_TENSOR
        attribute.sparse_tensor.values.CopyFrom(tensor)
    assert "holds what nothing here reads" in refusal(model)


def test_weights_of_training_outside_of_the_file_are_refused(refusal):
    model = build(TEXT, WEIGHTS)
    tensor = model.training_info.add().algorithm.initializer.add(name="t", dims=[2], data_type=1)
    outside(tensor, location="../secret")
    assert "what it is trained with" in refusal(model)


def test_a_body_that_is_fed_what_it_holds_is_refused(refusal):
    model = build(
        """net (float[1,3,8,8] x) => (float[1,3,8,8] y) {
        y = Loop(n, t, x) <body = b (int64 i, bool c, float[1,3,8,8] v)
            => (bool d, float[1,3,8,8] u) { d = Identity(c)  u = Relu(v) }> }""",
        {"n": np.int64(2), "t": np.bool_(True)},
    )
    body = model.graph.node[0].attribute[0].g
    body.initializer.append(numpy_helper.from_array(normal(1, 3, 8, 8), "v"))
    assert "is fed 'v', which it holds, too" in refusal(model)
