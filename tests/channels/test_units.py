"""The analysis as a whole: what stays and why, what belongs together, what a user may limit."""

from __future__ import annotations

import numpy as np
import pytest
from strategies import analyse, build, normal

from wrg_onnx.channels import (
    INERT,
    Limits,
    alive_ids,
    find_units,
    mac_terms,
    meet_demands,
    parameter_terms,
    total_cost,
)
from wrg_onnx.channels.answers import Coupling
from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.shape_arithmetic import compute_sizes
from wrg_onnx.channels.sizes import axis_sizes, constant_sizes, from_source, may_be_sizes
from wrg_onnx.channels.table import _RULES, op_rule
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Node
from wrg_onnx.graph.load import from_proto

WEIGHTS = {"wa": normal(8, 3, 1, 1), "wb": normal(6, 8, 1, 1), "wo": normal(2, 6, 1, 1)}
CHAIN = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
  a = Conv(x, wa)  r = Relu(a)  b = Conv(r, wb)  out = Conv(b, wo) }"""


@pytest.fixture
def chain():
    return analyse(build(CHAIN, WEIGHTS))


def test_filters_and_what_consumes_them_are_one_unit(chain):
    assert chain.tied(("wa", 0), ("wb", 1), ("a", 1), ("r", 1))
    assert chain.tied(("wb", 0), ("wo", 1))
    assert chain.removable("wa", 0).all()
    assert chain.removable("wb", 0).all()


def test_input_and_output_stay_with_a_reason(chain):
    assert chain.reasons("wa", 1) == {"Conv 'Conv_0' meets the model's input"}
    assert chain.reasons("wo", 0) == {"output 'out' is the model's output"}


def test_groups_are_layer_widths(chain):
    units = chain.units
    sizes = np.bincount(units.group)[np.unique(units.group[units.removable])]
    assert sorted(sizes) == [6, 8]


def test_roles_of_positions_are_marked(chain):
    units = chain.units
    assert units.is_filter[chain.ids("wa", 0)].all()
    assert not units.is_consumed[chain.ids("wa", 0)].any()
    assert units.is_consumed[chain.ids("wb", 1)].all()
    assert not units.is_filter[chain.ids("wb", 1)].any()


def test_costs_are_exact_for_any_removal(chain):
    units = chain.units
    alive = np.ones(units.count, bool)
    assert total_cost(parameter_terms(units), alive) == 8 * 3 + 6 * 8 + 2 * 6
    assert total_cost(mac_terms(units), alive) == 36 * (8 * 3 + 6 * 8 + 2 * 6)
    alive[chain.labels("wa", 0)[:3]] = False
    alive[chain.labels("wb", 0)[:2]] = False
    assert total_cost(parameter_terms(units), alive) == 5 * 3 + 4 * 5 + 2 * 4
    assert total_cost(mac_terms(units), alive) == 36 * (5 * 3 + 4 * 5 + 2 * 4)


def test_live_output_is_frozen():
    text = """net (float[1,3,6,6] x) => (float[1,8,6,6] a, float[1,6,6,6] b) {
      a = Conv(x, wa)  b = Conv(a, wb) }"""
    found = analyse(build(text, WEIGHTS))
    assert found.reasons("wa", 0) == {"output 'a' is the model's output"}


def test_constant_that_is_an_output_is_frozen():
    text = CHAIN.replace("=> (", "=> (float[8,3,1,1] wa, ")
    found = analyse(build(text, WEIGHTS))
    assert not found.removable("wa", 0).any()
    assert "output 'wa' is the model's output" in found.reasons("wa", 0)


def test_shape_that_is_an_output_freezes_what_it_measures():
    text = CHAIN.replace("=> (", "=> (int64[4] s, ").replace("b = Conv", "s = Shape(r)  b = Conv")
    found = analyse(build(text, WEIGHTS))
    assert found.reasons("wa", 0) == {"output 's' is the model's output"}
    assert found.removable("wb", 0).all()


def test_shape_read_in_a_branch_freezes_what_it_measures():
    text = CHAIN.replace("float[1,3,6,6] x", "float[1,3,6,6] x, bool c").replace(
        "out = Conv(b, wo)",
        """s = Shape(r)  q = If(c)
        <then_branch = t () => (float[4] u) { u = Cast<to = 1>(s) },
         else_branch = f () => (float[4] v) { w = Neg(s)  v = Cast<to = 1>(w) }>
        m = ReduceSum(q)  bm = Mul(b, m)  out = Conv(bm, wo)""",
    )
    found = analyse(build(text, WEIGHTS))
    assert any("computes with the length" in reason for reason in found.reasons("wa", 0))


def units_of(model):
    """Analyse a chain with an operator that ONNX Runtime does not know."""
    graph = from_proto(model, name="m")
    shapes = {name: array.shape for name, array in graph.constants.items()}
    shapes |= {"x": (1, 3, 6, 6), "b": (1, 6, 6, 6), "out": (1, 2, 6, 6)}
    return find_units(graph, shapes | dict.fromkeys("ark", (1, 8, 6, 6)))


def test_unknown_operator_freezes_its_neighbourhood_alone():
    text = CHAIN.replace("b = Conv(r, wb)", "k = own.Mystery(r, e)  b = Conv(k, wb)")
    units = units_of(build(text, {**WEIGHTS, "e": normal(5)}, domains=("own",)))
    labels = units.of(units.axes["wa"].at(0))
    assert {str(units.reasons[i]) for i in units.reason[labels]} == {
        "own.Mystery 'Mystery_2' has no rule (opset 1)"
    }
    assert (units.reason[units.of(units.axes["e"].at(0))] >= 0).all()
    assert units.removable[units.of(units.axes["wb"].at(0))].all()


def test_position_that_a_rule_names_nowhere_is_frozen():
    @op_rule("Forgetful", since=1, domain="own")
    def forget(call):
        return Coupling((Axes.inert(call.output_shapes[0]),))

    try:
        text = CHAIN.replace("b = Conv(r, wb)", "k = own.Forgetful(r)  b = Conv(k, wb)")
        units = units_of(build(text, WEIGHTS, domains=("own",)))
        labels = units.of(units.axes["wa"].at(0))
        assert {str(units.reasons[i]) for i in units.reason[labels]} == {
            "own.Forgetful 'Forgetful_2' uses this axis as a whole"
        }
    finally:
        del _RULES.entries["own", "Forgetful"]


def test_part_that_alone_could_be_emptied_keeps_a_channel():
    text = """net (float[1,3,6,6] x) => (float[1,2,6,6] out) {
      a = Conv(x, wa)  l, r = Split<axis = 1>(a, s)  p = MaxPool<kernel_shape = [1, 1]>(l)
      c = Concat<axis = 1>(p, r)  out = Conv(c, wo) }"""
    weights = {"wa": normal(8, 3, 1, 1), "s": np.array([2, 6]), "wo": normal(2, 8, 1, 1)}
    found = analyse(build(text, weights))
    assert found.removable("wa", 0).tolist() == [False, True, False, *[True] * 5]
    assert found.reasons("wa", 0) == {"Split 'Split_1' would be left without any channel"}


# Limits


@pytest.mark.parametrize("glob", ["wa", "w[a]", "first*"])
def test_kept_names_stay_whole(glob):
    model = build(CHAIN, WEIGHTS)
    model.graph.node[0].name = "first_conv"
    found = analyse(model, Limits(keep=(glob,)))
    assert not found.removable("wa", 0).any()
    assert "'wa' is kept on request (--keep)" in found.reasons("wa", 0)
    assert found.removable("wb", 0).all()


@pytest.mark.parametrize("option", ["keep", "only"])
def test_an_exact_name_is_no_glob(option):
    model = build(CHAIN, WEIGHTS)
    model.graph.initializer[0].name = model.graph.node[0].input[1] = "w[b]"
    found = analyse(model, Limits(**{option: ("w[b]",)}))
    assert found.removable("w[b]", 0).all() == (option == "only")
    assert found.removable("wb", 0).all() == (option == "keep")


def test_only_what_is_named_is_pruned():
    found = analyse(build(CHAIN, WEIGHTS), Limits(only=("wb",)))
    assert found.removable("wb", 0).all()
    assert not found.removable("wa", 0).any()
    text = "'wa' makes channels that are not among those to prune (--only)"
    assert text in found.reasons("wa", 0)


def test_keep_is_stronger_than_only():
    found = analyse(build(CHAIN, WEIGHTS), Limits(keep=("wb",), only=("w*",)))
    assert not found.removable("wb", 0).any()


def test_a_bias_of_another_length_is_an_error_of_the_model():
    text = "net (float[1,3,6,6] x) => (float[1,8,6,6] out) { out = Conv(x, wa, bias) }"
    model = build(text, {**WEIGHTS, "bias": normal(5)})
    with pytest.raises(ModelError, match=r"Conv.* do not fit: 8 positions against 5"):
        analyse(model)


# Sizes


def node(op, version=17, **attributes):
    return Node(3, "n", op, "", version, ("a", "b"), ("c",), attributes)


IDS = np.arange(8)


def look(ids):
    return ~np.isin(ids, [0, 1, 2])


def live_shape():
    return axis_sizes((1, 8, 6), (None, IDS, None), (True, False, True))


def values(sizes):
    return [s.value for s in sizes.reshape(-1)], [s.pruned(look) for s in sizes.reshape(-1)]


def test_shape_knows_its_live_axes():
    sizes = compute_sizes(node("Shape"), [None], live_shape())
    assert values(sizes) == ([1, 8, 6], [1, 5, 6])
    assert [s.is_open for s in sizes] == [True, False, True]
    assert values(compute_sizes(node("Shape", start=-2, end=2), [None], live_shape()))[0] == [8]


@pytest.mark.parametrize(
    ("op", "before", "after"),
    [("Add", 10, 7), ("Sub", 6, 3), ("Mul", 16, 10), ("Div", 4, 2), ("Min", 2, 2), ("Max", 8, 5)],
)
def test_arithmetic_follows(op, before, after):
    two = constant_sizes(np.array([2]))
    sizes = compute_sizes(node(op), [live_shape()[1:2], two], None)
    assert values(sizes) == ([before], [after])


@pytest.mark.parametrize(
    ("op", "attributes", "others", "before", "after"),
    [
        ("Gather", {}, [np.array([1, 1])], [8, 8], [5, 5]),
        ("Gather", {}, [np.array(-2)], [8], [5]),
        ("Slice", {}, [np.array([1]), np.array([2**63 - 1])], [8, 6], [5, 6]),
        ("Slice", {}, [np.array([i]) for i in (0, -1, 0, 1)], [1, 8], [1, 5]),
        ("Slice", {}, [np.array([i]) for i in (-1, -9, 0, -1)], [6, 8, 1], [6, 5, 1]),
        ("Slice", {"starts": (1,), "ends": (2,)}, [], [8], [5]),
        ("Concat", {"axis": 0}, [np.array([7])], [1, 8, 6, 7], [1, 5, 6, 7]),
        ("Reshape", {}, [np.array([-1])], [1, 8, 6], [1, 5, 6]),
        ("Cast", {"to": 1}, [], [1, 8, 6], [1, 5, 6]),
        ("Neg", {}, [], [-1, -8, -6], [-1, -5, -6]),
    ],
)  # fmt: skip
def test_rearranging_follows(op, attributes, others, before, after):
    operands = [live_shape(), *(constant_sizes(array) for array in others)]
    sizes = compute_sizes(node(op, **attributes), operands, None)
    assert values(sizes) == (before, after)


def test_index_that_depends_on_a_size_is_no_shape_arithmetic():
    table = constant_sizes(np.arange(20))
    assert compute_sizes(node("Gather"), [table, live_shape()[1:2]], None) is None
    assert compute_sizes(node("Gather"), [table, live_shape()[0:1]], None) is None


@pytest.mark.parametrize("array", [np.zeros(65), np.zeros((2, 2)), np.array(["a"])])
def test_large_or_odd_constants_are_no_sizes(array):
    assert not may_be_sizes(array)


def test_division_rounds_towards_zero_and_never_fails():
    found = compute_sizes(
        node("Div"),
        [constant_sizes(np.array([-7, 7, 1])), constant_sizes(np.array([2, 2, 0]))],
        None,
    )
    assert values(found)[0] == [-3, 3, 0]


def test_root_of_a_negative_number_warns_nobody():
    assert np.isnan(
        values(compute_sizes(node("Sqrt"), [constant_sizes(np.float32([-1]))], None))[0]
    )


def test_number_that_is_only_moved_keeps_its_place_in_the_file():
    sizes = from_source(constant_sizes(np.array([4, 5])), (node("Concat").index, 1))
    moved = compute_sizes(node("Identity"), [sizes], None)
    assert [s.source for s in moved] == [(3, 1, 0), (3, 1, 1)]
    doubled = compute_sizes(node("Mul"), [sizes, constant_sizes(np.array([2, 2]))], None)
    assert [s.source for s in doubled] == [None, None]


# Demands


def test_demand_is_written_into_a_constant_of_the_nodes_own():
    text = CHAIN.replace("b = Conv(r, wb)", "f = Reshape(r, s)  g = Reshape(f, t)  b = Conv(g, wb)")
    weights = {**WEIGHTS, "s": np.array([1, 8, 36]), "t": np.array([1, -1, 6, 6])}
    found = analyse(build(text, weights))
    alive = np.ones(found.units.count, bool)
    assert meet_demands(found.units, alive_ids(found.units, alive)) == ({}, {})
    alive[found.labels("wa", 0)[[0, 5]]] = False
    written, copies = meet_demands(found.units, alive_ids(found.units, alive))
    assert copies == {}
    assert {key: array.tolist() for key, array in written.items()} == {(2, 1): [1, 6, 36]}


def test_inert_positions_are_alive(chain):
    alive = alive_ids(chain.units, np.zeros(chain.units.count, bool))
    assert alive(np.array([INERT, 0])).tolist() == [True, False]
