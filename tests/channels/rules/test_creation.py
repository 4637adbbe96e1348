"""Rules of `rules/creation.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    network,
)
from rule_calls import axes, carried, couple, frozen
from strategies import analyse, normal

X = (1, 4, 6, 6)

CASES = [
    Case("Size-stays", "n = Size(a)  f = Cast<to = 1>(n)  y = Div(a, f)", free=0),
    Case("Shape-as-data-stays", "n = Shape(a)  i = Gather(n, one)  f = Cast<to = 1>(i)  y = Div(a, f)",
         free=0, consts={"one": np.int64(1)}),
    Case("Shape-as-data-through-Reshape-stays",
         "n = Shape(a)  i = Gather(n, one)  r = Reshape(i, ss)  f = Cast<to = 1>(r)  y = Div(a, f)",
         free=0, consts={"one": np.int64(1), "ss": ints(1, 1)}),
    Case("Shape-as-repeats-stays", "n = Shape(a)  i = Gather(n, one)  s = Concat<axis = 0>(u, u, i, u)  "
         "t = Tile(x, s)  m = ReduceSum(t)  y = Mul(a, m)", free=0, consts={"one": ints(1), "u": ints(1)}),
    Case("Shape-as-target-of-another-stays",
         "n = Shape(a)  i = Gather(n, one)  s = Concat<axis = 0>(i, u, u)  e = Expand(k, s)  "
         "m = ReduceSum(e)  y = Mul(a, m)", free=0,
         consts={"one": ints(1), "u": ints(1), "k": np.float32(0.5)}),
    Case("Shape-as-bound-of-another-is-written",
         "n = Shape(a)  i = Gather(n, one)  e = Slice(k, z, i, z)  m = ReduceSum(e)  y = Mul(a, m)",
         consts={"one": ints(1), "z": ints(0), "k": normal(20)}),
    Case("Shape-as-bound-of-another-stays-at-open-sizes",
         "n = Shape(a)  i = Gather(n, one)  z2 = Gather(n, z)  j = Mul(i, z2)  "
         "e = Slice(k, z, j, z)  m = ReduceSum(e)  y = Mul(a, m)", free=0, batch="N",
         consts={"one": ints(1), "z": ints(0), "k": normal(20)}),
    Case("ConstantOfShape-of-a-live-size-stays",
         "n = Shape(a)  e = ConstantOfShape(n)  c = Cos(e)  m = ReduceSum(c)  y = Mul(a, m)", free=0),
    Case("ConstantOfShape-as-wide-as-a-feature", "n = Shape(a)  e = ConstantOfShape(n)  y = Concat<axis = 1>(a, e)", y=(16,)),
    Case("ConstantOfShape-at-an-open-batch", "n = Shape(a)  e = ConstantOfShape(n)  y = Concat<axis = 1>(a, e)",
         y=(16,), batch="N"),
    Case("ConstantOfShape-of-joined-sizes", "n = Shape(a)  i = Slice(n, one, two)  j = Concat<axis = 0>(one, i, k)  "
         "e = ConstantOfShape<value = ones>(j)  y = Mul(a, e)".replace("ones", "float[1] {3}"),
         consts={"one": ints(1), "two": ints(2), "k": ints(6, 6)}),
    Case("ConstantOfShape-of-written-sizes", "e = ConstantOfShape(k)  f = Add(a, e)  y = Concat<axis = 1>(f, e)",
         y=(16,), consts={"k": ints(1, 8, 6, 6)}),
    Case("ConstantOfShape-beside-a-feature", "e = ConstantOfShape(k)  y = Concat<axis = 1>(a, e)",
         y=(13,), consts={"k": ints(1, 5, 6, 6)}),
    Case("ConstantOfShape-of-the-batch-and-a-written-size",
         "n = Shape(a)  i = Slice(n, z, one)  j = Concat<axis = 0>(i, k)  e = ConstantOfShape(j)  y = Concat<axis = 1>(a, e)",
         y=(13,), consts={"k": ints(5, 6, 6), "z": ints(0), "one": ints(1)}, batch="N"),
    Case("ConstantOfShape-of-twice-a-size-stays", "n = Shape(a)  m = Mul(n, k)  e = ConstantOfShape(m)  "
         "y = Concat<axis = 1>(a, e)", free=0, y=(24,), consts={"k": ints(1, 2, 1, 1)}),
    Case("ConstantOfShape-of-sizes-that-two-need", "e = ConstantOfShape(j)  f = Conv(x, w0)  d = Concat<axis = 1>(f, e)  "
         "j2 = Identity(j)  h = ConstantOfShape(j2)  y = Concat<axis = 1>(a, e)  y1 = Concat<axis = 1>(d, h)",
         y=(16, 21), consts={"j": ints(1, 8, 6, 6), "w0": normal(5, 3, 1, 1)}),
    Case("ConstantOfShape-as-a-weight", "w0 = ConstantOfShape<value = float[1] {0.5}>(k)  y = Conv(a, w0)",
         y=(4,), consts={"k": ints(4, 8, 1, 1)}),
    Case("Range-of-a-live-size-stays", "n = Shape(a)  i = Gather(n, one)  r = Range(z, i, one)  f = Cast<to = 1>(r)  "
         "g = Reshape(f, t)  y = Mul(a, g)", free=0, consts={"one": ints(1).reshape(()), "z": ints(0).reshape(()), "t": ints(1, -1, 1, 1)}),
    Case("OneHot-of-ArgMax", "m = ArgMax<axis = 3, keepdims = 0>(a)  y = OneHot(m, d, v)",
         consts={"d": np.int64(6), "v": np.float32([0.5, 2])}),
    Case("OneHot-11-on-axis-2", "m = ArgMax<axis = 2, keepdims = 0>(a)  y = OneHot<axis = 2>(m, d, v)", 11,
         consts={"d": ints(7), "v": np.float32([0.5, 2])}),
    Case("OneHot-over-channels-stays", "m = ArgMax<axis = 1, keepdims = 0>(a)  h = OneHot<axis = 1>(m, d, v)  y = Mul(a, h)",
         free=0, consts={"d": np.int64(8), "v": np.float32([0.5, 2])}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_zeros_beside_a_feature_are_units_of_their_own():
    case = next(case for case in CASES if case.name == "ConstantOfShape-beside-a-feature")
    analysis = analyse(network(case))
    assert analysis.removable("wz", 1).all()
    assert len(np.unique(analysis.labels("wz", 1))) == 13


def test_axis_that_meets_no_constant_is_not_listed():
    """Height and width of zeros are numbers in the file, and carry nothing."""
    case = next(case for case in CASES if case.name == "ConstantOfShape-of-written-sizes")
    units = analyse(network(case)).units
    stays = {str(units.reasons[number]) for number in units.reason[~units.removable]}
    assert not any("ConstantOfShape" in reason for reason in stays)
    held = np.unique(units.labels[: sum(slot.size for slot in units.slots)])
    bare = np.setdiff1d(np.arange(units.count), held)
    assert len(bare) == 12
    assert all(not units.reasons[number].text for number in units.reason[bare])


def test_one_hot_inserts_an_inert_axis():
    given = [axes((1, 4, 6), a1=0), np.int64(5), axes((2,), a0=90)]
    assert carried(couple("OneHot", given, [(1, 5, 4, 6)], axis=1)) == [
        None,
        None,
        [0, 1, 2, 3],
        None,
    ]


def test_shape_freezes_nothing_and_size_all():
    shape = couple("Shape", [axes(X, a1=0)], [(4,)])
    assert frozen(shape) == {}
    assert [d.tolist() for d in shape.dropped] == [[0, 1, 2, 3]]
    size = couple("Size", [axes(X, a1=0)], [()])
    assert frozen(size) == {"counts the elements of this axis": [0, 1, 2, 3]}
