"""Rules of `rules/random.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
)

CASES = [
    Case("RandomNormalLike-stays", "r = RandomNormalLike<seed = 1.0>(a)  z = Mul(r, o)  y = Add(z, a)", free=0,
         consts={"o": np.float32(0)}),
    Case("Bernoulli-stays", "s = Sigmoid(a)  r = Bernoulli<seed = 1.0>(s)  z = Mul(r, o)  y = Add(z, a)", free=0,
         consts={"o": np.float32(0)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)
