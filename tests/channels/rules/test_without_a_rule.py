"""Operators without a rule: what they read stays whole."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from strategies import normal

CASES = [
    Case("unknown-operator-stays", "u = Unique(a)  m = ReduceSum(u)  y = Mul(a, m)", free=0),
    Case("SplitToSequence-stays", "s = SplitToSequence<axis = 1>(a, n)  p = SequenceAt(s, z)  y = Identity(p)", free=0, y=(4,),
         consts={"n": np.int64(4), "z": np.int64(0)}),
    Case("SequenceConstruct-stays", "s = SequenceConstruct(a, b)  y = ConcatFromSequence<axis = 1>(s)", free=0, y=(16,)),
    Case("Optional-stays", "s = Optional(a)  y = OptionalGetElement(s)", 18, free=0),
    Case("NonZero-stays", "s = NonZero(a)  f = Cast<to = 1>(s)  m = ReduceMean(f)  y = Mul(a, m)", free=0),
    Case("NonMaxSuppression-stays", "f = Reshape(a, s)  n = NonMaxSuppression(k, f, t)  g = Cast<to = 1>(n)  "
         "m = ReduceSum(g)  y = Mul(a, m)", free=0,
         consts={"s": ints(1, 8, 36), "k": np.abs(normal(1, 36, 4)), "t": ints(2)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)
