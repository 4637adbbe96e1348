"""Rules and twin operators of others: which are asked, which are refused, what models decide."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest

from wrg_onnx.channels import find_units, traits_of
from wrg_onnx.channels.brought import brought
from wrg_onnx.channels.table import find_rule
from wrg_onnx.errors import ExtensionError
from wrg_onnx.extensions import Kind, Origin
from wrg_onnx.graph import Node, bind_sizes, infer_shapes
from wrg_onnx.graph.load import from_proto

GRID_SAMPLE = Node(0, "n", "GridSample", "com.microsoft", 1, ("x", "g"), ("y",), {})
RULE = """
from wrg_onnx.extend import Axes, Coupling, Traits, freeze_axes, op_rule, op_traits

@op_rule("{op}", domain="{domain}", since=1)
def couple(call):
    {body}

op_traits(Traits(continues_layer=True), "{op}", domain="{domain}")
"""
PASSES = """x = call.axes(0)
    ids = (None, x.ids[1], None, None)
    frozen = freeze_axes(x, [0, 2, 3], "samples")
    return Coupling((Axes(call.output_shapes[0], ids),), frozen=frozen)"""
BODY = """<ir_version: 8, opset_import: ["": 17, "com.microsoft": 1]> g
(float[1,3,8,8] x, float[1,4,4,2] g) => (float[1,2,4,4] y) {{
    a = Conv(x, w)  s = {node}  b = Relu(s)  y = Conv(b, v)
}}"""


def rule(op="GridSample", domain="com.microsoft", body=PASSES):
    return RULE.format(op=op, domain=domain, body=body)


def points(module, *names, kind=Kind.RULE):
    return {kind.group: dict.fromkeys(names, f"{module}:couple")}


def graph_with(node):
    model = onnx.parser.parse_model(BODY.format(node=node))
    rng = np.random.default_rng(0)
    for name, shape in {"w": (6, 3, 1, 1), "v": (2, 6, 1, 1)}.items():
        array = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return from_proto(model, name="m.onnx")


def removable(node="com.microsoft.GridSample(a, g)"):
    graph = graph_with(node)
    units = find_units(graph, infer_shapes(graph, bind_sizes(graph.inputs)))
    return int(units.removable.sum())


def test_a_rule_of_a_package_frees_what_would_stay(bring):
    assert removable() == 0
    from wrg_onnx.extensions import load

    load._ALL_LOADED.clear()
    bring("acme_a", rule(), points("acme_a", "com.microsoft.GridSample"))
    assert removable() == 6
    assert traits_of(GRID_SAMPLE).continues_layer
    assert brought(Kind.RULE, graph_with("com.microsoft.GridSample(a, g)")) == (
        Origin("acme-a", "1.0"),
    )
    assert brought(Kind.RULE, graph_with("GlobalAveragePool(a)")) == ()


@pytest.mark.parametrize("node", ["com.microsoft.GridSample(a, g)", "GlobalAveragePool(a)"])
def test_a_model_does_not_decide_which_packages_are_imported(bring, node):
    bring("acme_a", rule(), points("acme_a", "com.microsoft.GridSample"))
    bring("acme_b", rule("Other", "acme"), points("acme_b", "acme.Other"))
    bring("acme_c", "raise AssertionError", {Kind.LOSS.group: {"mine": "acme_c:mine"}})
    graph = graph_with(node)
    find_units(graph, infer_shapes(graph, bind_sizes(graph.inputs)))
    assert {"acme_a", "acme_b", "acme_c"} & set(sys.modules) == {"acme_a", "acme_b"}


def test_operators_that_sound_like_modules_or_entry_points_import_nothing(bring):
    bring("acme_a", rule(), points("acme_a", "com.microsoft.GridSample"))
    before = set(sys.modules)
    find_rule(GRID_SAMPLE)
    assert set(sys.modules) - before == {"acme_a"}
    for domain, op in (("antigravity", "this"), ("os", "system"), ("", "acme_a:couple")):
        assert find_rule(Node(0, "n", op, domain, 1, (), ())) is None
    assert set(sys.modules) - before == {"acme_a"}


def test_a_rule_that_fails_to_import_ends_runs_of_its_operator_alone(bring):
    bring("acme_a", "import no_such_module_here", points("acme_a", "com.microsoft.GridSample"))
    assert removable("GlobalAveragePool(a)") == 6
    with pytest.raises(
        ExtensionError,
        match=r"rule 'com.microsoft.GridSample' of 'acme-a' 1.0 cannot be loaded from "
        "'acme_a:couple': ModuleNotFoundError: No module named 'no_such_module_here'; mend or",
    ):
        removable()


@pytest.mark.parametrize("name", ["Conv", "Relu"])
def test_an_operator_that_has_a_rule_here_gets_no_other_one(bring, name):
    bring("acme_a", rule(name, ""), points("acme_a", name))
    with pytest.raises(ExtensionError, match=f"a rule '{name}' already, of 'wrg-onnx'"):
        removable("GlobalAveragePool(a)")


def test_traits_of_an_operator_that_is_ours_are_refused(bring):
    code = "from wrg_onnx.extend import Traits, op_traits\n"
    code += "op_traits(Traits(draws_random=True), 'Conv')\ncouple = None\n"
    bring("acme_a", code, points("acme_a", "acme.Other"))
    with pytest.raises(ExtensionError, match="there is a rule 'Conv' already, of 'wrg-onnx'"):
        find_rule(Node(0, "n", "Other", "acme", 1, (), ()))
    assert not traits_of(Node(0, "n", "Conv", "", 17, (), ())).draws_random


def test_two_packages_with_rules_for_one_operator_are_refused_where_it_is_needed(bring):
    for module in ("acme_a", "acme_b"):
        bring(module, rule(), points(module, "com.microsoft.GridSample"))
    assert removable("GlobalAveragePool(a)") == 6
    with pytest.raises(ExtensionError, match=r"is brought by 'acme-a' 1.0 and 'acme-b' 1.0"):
        removable()


def test_an_entry_point_without_its_rule_is_refused_where_it_is_needed(bring):
    bring("acme_a", rule(domain="acme"), points("acme_a", "com.microsoft.GridSample"))
    with pytest.raises(ExtensionError, match="'acme_a:couple' registers no rule of that name"):
        removable()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1 / 0", "fails on com.microsoft.GridSample '.*': ZeroDivisionError: division"),
        (
            "return Coupling((call.axes(0),))",
            r"gives outputs of \[\(1, 6, 8, 8\)\] for .* which makes \[\(1, 6, 4, 4\)\]",
        ),
        ("return None", "gives NoneType for com.microsoft.GridSample '.*': expected a Coupling"),
    ],
)
def test_a_rule_whose_answer_is_none_is_told_with_its_package(bring, body, message):
    bring("acme_a", rule(body=body), points("acme_a", "com.microsoft.GridSample"))
    with pytest.raises(ExtensionError, match=f"the rule of 'acme-a' 1.0 {message}"):
        removable()
