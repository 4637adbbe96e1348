"""Graphs that are no models: one clear line each, and nothing written."""

from __future__ import annotations

import onnx
import pytest

L1 = ("--ratio", 0.5, "--criterion", "l1")


def test_a_cycle_is_named(refused, make_model, command):
    make_model("m.onnx", ("b = Relu(d)", "e = Add(d, f)  b = Relu(e)  f = Neg(b)"))
    assert "'m.onnx': the graph has a cycle" in refused(*command("m.onnx"))


def test_a_tensor_that_nothing_makes_is_named(refused, make_model, command):
    make_model("m.onnx", ("b = Relu(d)", "b = Add(d, lost)"))
    line = refused(*command("m.onnx"))
    assert "'m.onnx'" in line
    assert "'lost', which nothing makes" in line


def test_a_tensor_that_two_nodes_make_is_named(refused, make_model, command):
    make_model("m.onnx", ("b = Relu(d)", "b = Relu(d)  a = Neg(d)"))
    assert "'a', which is made already" in refused(*command("m.onnx"))


def test_an_output_that_nothing_makes_is_named(refused, make_model, command):
    make_model("m.onnx", ("map = Sigmoid(z)", "other = Sigmoid(z)"))
    assert "nothing makes the output 'map'" in refused(*command("m.onnx"))


def test_shapes_that_contradict_each_other_are_named(refused, make_model, command):
    make_model("m.onnx", ("c = Conv<pads=[1,1,1,1]>(image, w1)", "c = Conv(image, w2)"))
    line = refused(*command("m.onnx"))
    assert "'m.onnx'" in line


def test_an_operator_of_an_unknown_domain_is_named(refused, make_model, command):
    make_model(
        "m.onnx",
        ("opset_import: [", 'opset_import: ["my.domain": 3, '),
        ("b = Relu(d)", "b = my.domain.MyRelu(d)"),
    )
    line = refused(*command("m.onnx"))
    assert "MyRelu" in line
    assert "my.domain" in line


@pytest.mark.parametrize(
    "arguments", [("prune", "m.onnx", *L1), ("bench", "m.onnx")], ids=lambda given: given[0]
)
def test_a_model_that_onnx_runtime_refuses_is_named(refused, make_model, arguments):
    make_model("m.onnx", ("b = Relu(d)", "b = Relu<surprise = 1>(d)"))
    line = refused(*arguments)
    assert "'m.onnx'" in line
    assert "surprise" in line


def test_local_functions_are_inlined(run, make_model):
    make_model(
        "m.onnx",
        ("opset_import: [", 'opset_import: ["local": 1, '),
        ("b = Relu(d)", "b = local.twice(d)"),
    )
    model = onnx.load("m.onnx")
    function = onnx.parser.parse_function(
        '<domain: "local", opset_import: ["": 17]> twice (x) => (y) { h = Relu(x)  y = Add(h, h) }'
    )
    model.functions.append(function)
    onnx.save(model, "m.onnx")
    done = run("prune", "m.onnx", *L1, "--json")
    assert done.exit_code == 0, done.stderr
    pruned = onnx.load("m.pruned.onnx")
    assert not pruned.functions
    assert [node.op_type for node in pruned.graph.node].count("Add") == 1


def test_a_function_that_calls_itself_is_refused(refused, make_model):
    make_model(
        "m.onnx",
        ("opset_import: [", 'opset_import: ["local": 1, '),
        ("b = Relu(d)", "b = local.loop(d)"),
    )
    model = onnx.load("m.onnx")
    function = onnx.parser.parse_function(
        '<domain: "local", opset_import: ["": 17, "local": 1]> loop (x) => (y) '
        "{ y = local.loop(x) }"
    )
    model.functions.append(function)
    onnx.save(model, "m.onnx")
    assert "'m.onnx': its local functions" in refused("inspect", "m.onnx")


def test_an_unknown_operator_stops_a_strict_run(refused, make_model):
    make_model("m.onnx", ("b = Relu(d)", "f = Unique(d)  g = ReduceSum(f)  b = Mul(d, g)"))
    for command in (("prune", "m.onnx", *L1, "--strict"), ("inspect", "m.onnx", "--strict")):
        line = refused(*command)
        assert "no rule for Unique" in line
        assert "without --strict" in line
