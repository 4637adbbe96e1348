"""Bodies: their names, their shapes, and how they are edited."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from strategies import build, normal, tensors_of, whole

from wrg_onnx.graph import Edit, bind_sizes, edited, flatten, from_proto, infer_shapes
from wrg_onnx.graph.model import captured
from wrg_onnx.graph.subgraphs import subgraphs

TEXT = """net (float[1,4] x, bool c) => (float[1,4] y) {
  h = Mul(x, both)  y = If(c)
  <then_branch = t () => (float[1,4] u) { v = Add(h, both)  u = Mul(v, inner) },
   else_branch = e () => (float[1,4] w) {
     w = If(c)
     <then_branch = r () => (float[1,4] m) { k = Add(h, aside)  m = Mul(k, inner) },
      else_branch = s () => (float[1,4] n) { n = Mul(h, deep) }> }>
}"""


def model():
    """``inner`` is the then branch's own, ``deep`` the else branch's"""
    made = build(TEXT, {"both": normal(4), "aside": normal(4, seed=2)})
    for node in made.graph.node:
        node.name = node.op_type.lower()
    outer = {a.name: a.g for a in made.graph.node[1].attribute}
    numpy = onnx.numpy_helper.from_array
    outer["then_branch"].initializer.append(numpy(normal(4, seed=3), "inner"))
    outer["else_branch"].initializer.append(numpy(normal(4, seed=4), "deep"))
    nested = {a.name: a.g for a in outer["else_branch"].node[0].attribute}
    outer["else_branch"].node[0].name = "again"
    constant = onnx.helper.make_node("Constant", [], ["inner"], value=numpy(normal(4, seed=5), "i"))
    nested["then_branch"].node.insert(0, constant)
    return made


@pytest.fixture
def graph():
    return from_proto(model(), name="m")


def run(graph, condition):
    import onnxruntime as ort

    data = whole(graph)
    onnx.checker.check_model(data, full_check=True)
    session = ort.InferenceSession(data.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": np.float32([[1, 2, 3, 4]]), "c": np.array(condition)}
    return session.run(None, feeds)[0]


def test_each_scope_holds_its_own_constants(graph):
    held = {subgraph.prefix: set(subgraph.graph.constants) for subgraph in subgraphs(graph)}
    assert held[""] == {"both", "aside"}
    assert held["if.then_branch/"] == {"inner"}
    assert held["if.else_branch/again.then_branch/"] == {"inner"}
    assert captured(graph.nodes[1]) == {"h", "both", "aside", "c"}


def test_flat_nodes_read_what_is_visible(graph):
    flat = flatten(graph)
    read = {node.op + node.outputs[0][-1]: node.inputs for node in flat.graph.nodes}
    then, deeper = "if.then_branch/", "if.else_branch/again.then_branch/"
    assert read["Mulu"] == (f"{then}v", f"{then}inner")
    assert read["Mulm"] == (f"{deeper}k", f"{deeper}inner")
    assert read["Addk"] == ("h", "aside")
    assert read["Ify"] == ("c", f"{then}u", "if.else_branch/w")
    assert [n.op for n in flat.graph.nodes][-1] == "If"
    assert flat.entries == {}


def test_shapes_are_found_in_bodies(graph):
    shapes = infer_shapes(graph, bind_sizes(graph.inputs))
    assert shapes["if.then_branch/v"] == (1, 4)
    assert shapes["if.else_branch/again.then_branch/k"] == (1, 4)


def test_edits_reach_every_scope(graph):
    before = {name: array.copy() for name, array in flatten(graph).graph.constants.items()}
    deep = next(name for name in before if name.endswith("deep"))
    names = [
        "both",
        "aside",
        "if.then_branch/inner",
        "if.else_branch/again.then_branch/inner",
        deep,
    ]
    for name in names:
        changed = edited(graph, Edit({name: before[name] * 2}))
        after = flatten(changed).graph.constants
        for other, array in after.items():
            expected = before[other] * 2 if other == name else before[other]
            np.testing.assert_array_equal(array, expected)
    every = edited(graph, Edit({name: before[name] * 0 for name in names}))
    assert not any(onnx.numpy_helper.to_array(t).any() for _, t in tensors_of(whole(every).graph))
    for condition in (True, False):
        assert not run(every, condition).any()
        assert run(graph, condition).any()


def test_attributes_and_operands_of_a_bodys_node_are_edited(graph):
    nodes = {node.outputs[0]: node for node in flatten(graph).graph.nodes}
    product = nodes["if.then_branch/u"]
    new = edited(graph, Edit(operands={(product.index, 1): np.zeros(4, np.float32)}))
    assert not run(new, condition=True).any()
    assert run(new, condition=False).any()
    assert run(graph, condition=True).any()


def test_nodes_of_one_name_do_not_share_constants():
    """Names of nodes need not be unique."""
    made = model()
    made.graph.node[1].attribute[1].g.node[0].name = "if"
    made.graph.node.extend([onnx.helper.make_node("Identity", ["y"], ["z"])])
    twice = onnx.NodeProto()
    twice.CopyFrom(made.graph.node[1])
    twice.output[0] = "y2"
    del made.graph.node[2:]
    made.graph.node.append(twice)
    made.graph.output.append(onnx.helper.make_tensor_value_info("y2", 1, [1, 4]))
    flat = flatten(from_proto(made, name="m")).graph
    inner = [name for name in flat.constants if name.rstrip("'").endswith("if.then_branch/inner")]
    assert len(inner) == 4


def test_operand_is_left_out():
    text = "net (float[1,4] x) => (float[1,4] y) { y = Clip(x, low, high) }"
    bounds = {"low": np.float32(0.2), "high": np.float32(0.5)}
    graph = from_proto(build(text, bounds), name="m")
    changed = edited(graph, Edit(operands={(0, 1): None}))
    assert changed.nodes[0].inputs == ("x", "", "high")
