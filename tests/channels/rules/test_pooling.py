"""Rules of `rules/pooling.py`: the universal property, and what each rule says."""
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
from rule_calls import axes, carried, couple, frozen

X = (1, 4, 6, 6)

CASES = [
    Case("MaxPool", "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)"),
    Case("MaxPool-indices-stay", "y, i = MaxPool<kernel_shape = [2, 2]>(a)  f = Cast<to = 1>(i)  "
         "y1 = Mul(f, k)", free=0, y=(8, 8), consts={"k": np.float32(0.01)}),
    Case("AveragePool", "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)", 11),
    Case("GlobalAveragePool", "y = GlobalAveragePool(a)"),
    Case("GlobalMaxPool", "y = GlobalMaxPool(a)"),
    Case("GlobalLpPool", "y = GlobalLpPool(a)"),
    Case("LpPool", "y = LpPool<kernel_shape = [2, 2]>(a)"),
    Case("MaxUnpool-stays", "p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)  "
         "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(p, i)", free=0),
    Case("MaxUnpool-11-of-known-size-stays", "p, i = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)  "
         "y = MaxUnpool<kernel_shape = [2, 2], strides = [2, 2]>(p, i, s)", 11, free=0, consts={"s": ints(1, 8, 6, 6)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_pool_passes_channels_and_freezes_what_it_pools_over():
    c = couple("MaxPool", [axes(X, a1=0, a3=60)], [(1, 4, 5, 5), ()])
    assert carried(c) == [None, [0, 1, 2, 3], None, None]
    assert frozen(c) == {"pools over this axis": list(range(60, 66))}


def test_indices_of_a_pool_freeze_the_channels():
    c = couple("MaxPool", [axes(X, a1=0)], [(1, 4, 5, 5), (1, 4, 5, 5)])
    assert frozen(c) == {"returns or reads indices that count through all channels": [0, 1, 2, 3]}
