"""Shapes as exporters compute them: ``expand`` with -1, and one shape for several readers."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_costs_follow,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)

SHAPE = "n = Shape(a)  c = Gather(n, one)"
EXPAND = (
    "m = ConstantOfShape<value = int64[1] {1}>(rank)  k = Mul(m, minus)  e = Equal(s, k)  "
    "t = Where(e, m, s)"
)
SIZES = {"one": ints(1), "minus": np.int64(-1), "rank": ints(4), "keep": ints(-1), "six": ints(6)}
POOL = "p = GlobalAveragePool(a)"

CASES = [
    Case("Expand-of-a-kept-axis", f"{POOL}  {EXPAND}  y = Expand(p, t)",
         consts={**SIZES, "s": ints(-1, -1, 6, 6)}),
    Case("Expand-to-a-written-axis", f"{POOL}  {EXPAND}  y = Expand(p, t)",
         consts={**SIZES, "s": ints(-1, 8, 6, 6)}),
    Case("Expand-to-a-computed-axis",
         f"{POOL}  {SHAPE}  s = Concat<axis = 0>(keep, c, six, six)  {EXPAND}  y = Expand(p, t)",
         consts=SIZES),
    Case("Expand-at-an-open-batch",
         f"{POOL}  {SHAPE}  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, c, six, six)  {EXPAND}  "
         "y = Expand(p, t)", batch="N", consts={**SIZES, "zero": ints(0)}),
    Case("Expand-where-the-length-decides",
         f"{POOL}  {SHAPE}  e = Equal(c, eight)  t = Where(e, four, five)  f = Cast<to = 1>(t)  "
         "y = Mul(a, f)", free=0,
         consts={**SIZES, "eight": ints(8), "four": ints(4), "five": ints(5)}),
    Case("Expand-of-keys-for-several-queries",
         f"n = Shape(a)  c = Gather(n, one)  u = Unsqueeze(a, axis)  "
         f"s = Concat<axis = 0>(keep, c, three, six, six)  {EXPAND}  w = Expand(u, t)  "
         "d = Mul(c, three)  v = Concat<axis = 0>(keep, d, six, six)  y = Reshape(w, v)", y=(24,),
         consts={**SIZES, "rank": ints(5), "three": ints(3), "axis": ints(2)}),
    Case("Reshape-of-two-widths-to-one-shape",
         "n = Shape(x)  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, flat)  c = Reshape(a, s)  "
         "d = Reshape(b, s)  t = Concat<axis = 0>(b0, wide)  y = Reshape(c, t)  y1 = Reshape(d, t)",
         batch="N", y=(8, 8), consts={"zero": ints(0), "flat": ints(8, 36), "wide": ints(8, 6, 6)}),
    Case("Reshape-of-two-widths-and-of-one-that-stays",
         "n = Shape(x)  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, flat)  c = Reshape(a, s)  "
         "d = Reshape(b, s)  f = Softmax<axis = 1>(d)  t = Concat<axis = 0>(b0, wide)  "
         "y = Reshape(c, t)  y1 = Reshape(f, t)",
         batch="N", y=(8, 8), consts={"zero": ints(0), "flat": ints(8, 36), "wide": ints(8, 6, 6)}),
    Case("Resize-of-two-widths-to-one-shape",
         "n = Shape<start = 2>(x)  two = Add(n, n)  s = Concat<axis = 0>(one_eight, two)  "
         "y = Resize(a, , , s)  y1 = Resize(b, , , s)", 18, y=(8, 8),
         consts={"one_eight": ints(1, 8)}),
    Case("Reshape-to-a-shape-that-is-passed-on-stays",
         "n = Shape(x)  b0 = Gather(n, zero)  s = Concat<axis = 0>(b0, flat)  c = Reshape(a, s)  "
         "d = Reshape(b, s)  i = Cast<to = 7>(s)  e = Reshape(b, i)  t = Concat<axis = 0>(b0, wide)  "
         "y = Reshape(c, t)  g = Add(d, e)  y1 = Reshape(g, t)", free=0,
         batch="N", y=(8, 8), consts={"zero": ints(0), "flat": ints(8, 36), "wide": ints(8, 6, 6)}),
    Case("Reshape-by-a-batch-that-merged-heads-tell-stays",
         "m = Reshape(a, merged)  n = Shape(m)  k = Gather(n, zero)  d = Div(k, eight)  "
         "s = Concat<axis = 0>(d, wide)  y = Reshape(m, s)", free=0, batch="N",
         consts={"zero": ints(0), "eight": ints(8), "merged": ints(-1, 6, 6), "wide": ints(8, 6, 6)}),
]  # fmt: skip


@each_case(CASES)
def test_random_removals_are_exact(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_agrees(case):
    assert_own_validation_accepts(case)


@each_case(CASES)
def test_costs_are_foretold(case):
    assert_costs_follow(case)
