"""Numbers computed from shapes: what ONNX Runtime computes, and what becomes of axes they cut."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from strategies import build, repeatable, run

from wrg_onnx.channels.shape_arithmetic import compute_sizes
from wrg_onnx.channels.sizes import Size, fill_sizes
from wrg_onnx.graph.load import from_proto

UNARY = ["Abs", "Ceil", "Floor", "Log", "Neg", "Reciprocal", "Round", "Sqrt"]
BINARY = [
    "Add", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min",
    "Mul", "Pow", "Sub",
]  # fmt: skip
NUMBERS = {
    "int64": st.integers(-40, 40).map(np.int64),
    "float": st.one_of(
        st.integers(-40, 40), st.floats(-40, 40, width=32, allow_subnormal=False)
    ).map(np.float32),
}
RESULTS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}


def computed(model, operands):
    """Evaluate the one node of a model, beside what ONNX Runtime computes."""
    feeds = {f"x{n}": np.asarray(value) for n, value in enumerate(operands)}
    node = from_proto(model, name="m").nodes[0]
    plain = [v.item() if v.dtype.kind == "i" else v for v in operands]
    sizes = [fill_sizes((), [Size(value)]) for value in plain]
    return compute_sizes(node, sizes, None).item().value, run(model, feeds)[0]


def node_of(op, count, kind):
    inputs = ", ".join(f"{kind} x{n}" for n in range(count))
    names = ", ".join(f"x{n}" for n in range(count))
    result = "bool" if op.split("<")[0] in RESULTS else kind
    return build(f"net ({inputs}) => ({result} y) {{ y = {op}({names}) }}")


@pytest.mark.parametrize("op", UNARY)
def test_one_number_becomes_what_onnx_runtime_makes_of_it(op):
    @settings(repeatable, max_examples=40)
    @given(value=NUMBERS["float"])
    def check(value):
        found, expected = computed(node_of(op, 1, "float"), [value])
        np.testing.assert_allclose(np.float32(found), expected, rtol=1e-6)

    check()


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize("kind", ["int64", "float"])
def test_two_numbers_become_what_onnx_runtime_makes_of_them(op, kind):
    high = NUMBERS[kind] if op != "Pow" else NUMBERS[kind].map(lambda v: abs(v) % 5)

    @settings(repeatable, max_examples=40)
    @given(left=NUMBERS[kind], right=high.filter(lambda v: op != "Div" or v != 0))
    def check(left, right):
        found, expected = computed(node_of(op, 2, kind), [left, type(left)(right)])
        np.testing.assert_allclose(np.asarray(found, expected.dtype), expected, rtol=1e-6)

    check()


@pytest.mark.parametrize(
    ("op", "kind"), [("Mod", "int64"), ("Mod<fmod = 1>", "int64"), ("Mod<fmod = 1>", "float")]
)
def test_a_remainder_has_the_sign_that_onnx_runtime_gives_it(op, kind):
    @settings(repeatable, max_examples=40)
    @given(left=NUMBERS[kind], right=NUMBERS[kind].filter(lambda v: v != 0))
    def check(left, right):
        found, expected = computed(node_of(op, 2, kind), [left, right])
        np.testing.assert_allclose(np.asarray(found, expected.dtype), expected, rtol=1e-5)

    check()


@pytest.mark.parametrize("op", ["And", "Or", "Not"])
def test_truth_values_are_joined(op):
    for left in (False, True):
        for right in (False, True):
            values = [np.bool_(left), np.bool_(right)][: 1 if op == "Not" else 2]
            model = node_of(op, len(values), "bool")
            found, expected = computed(model, values)
            assert bool(found) == bool(expected)


def test_logarithms_are_divided_in_the_precision_that_they_are_cast_to():
    """log2(8) is 3 in float32; in float64 the rounded logarithms give less, and a floor gives 2."""
    nodes = from_proto(
        build(
            """net (int64 n, int64 m) => (float y) {
                f = Cast<to = 1>(n)  g = Cast<to = 1>(m)  l = Log(f)  k = Log(g)  d = Div(l, k)
                y = Floor(d) }"""
        ),
        name="m",
    ).nodes
    known = {"n": fill_sizes((), [Size(8)]), "m": fill_sizes((), [Size(2)])}
    for node in nodes:
        known[node.outputs[0]] = compute_sizes(node, [known[i] for i in node.inputs], None)
    assert known["y"].item().value == 3


WIDTH = "n = Shape(a)  c = Gather(n, one)"
ONE = {"one": ints(1), "zero": ints(0)}

CASES = [
    Case("up-to-a-multiple", f"{WIDTH}  m = Mod(c, three)  e = Sub(c, m)  y = Slice(a, zero, e, one)", y=(6,),
         consts=ONE | {"three": ints(3)}),
    Case("up-to-a-power-of-two", f"{WIDTH}  f = Cast<to = 1>(c)  l = Log(f)  d = Div(l, k)  g = Floor(d)  p = Pow(t, g)  "
         "q = Cast<to = 7>(p)  h = Div(q, two)  y = Slice(a, zero, h, one)", y=(4,),
         consts=ONE | {"k": np.log(np.float32([2])), "t": np.float32([2]), "two": ints(2)}),
    Case("up-to-a-root", f"{WIDTH}  f = Cast<to = 1>(c)  l = Sqrt(f)  g = Ceil(l)  q = Cast<to = 7>(g)  y = Slice(a, zero, q, one)",
         y=(3,), consts=ONE),
    Case("up-to-the-smaller", f"{WIDTH}  o = Greater(c, four)  i = Not(o)  j = Or(o, i)  e = Where(j, four, c)  y = Slice(a, zero, e, one)",
         y=(4,), consts=ONE | {"four": ints(4)}),
]  # fmt: skip


@each_case(CASES)
def test_a_cut_at_a_computed_number_follows_the_channels(case):
    assert_prunes_exactly(case)
    assert_own_validation_accepts(case)


def test_a_number_that_is_none_after_a_removal_is_no_error():
    ids = np.arange(4)
    width = Size(4, (ids,), lambda alive: int(alive(ids).sum()))
    nodes = from_proto(
        build(
            """net (int64 n, int64 m) => (int64 y) {
                d = Sub(n, m)  f = Cast<to = 1>(d)  s = Sqrt(f)  y = Cast<to = 7>(s) }"""
        ),
        name="m",
    ).nodes
    known = {"n": fill_sizes((), [width]), "m": fill_sizes((), [Size(3)])}
    for node in nodes:
        known[node.outputs[0]] = compute_sizes(node, [known[i] for i in node.inputs], None)
    assert known["y"].item().value == 1
    assert np.isnan(known["y"].item().pruned(lambda own: own > 1))
