"""Rules of `rules/spectral.py`: the universal property, and what each rule says."""
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
from rule_calls import axes, couple, frozen
from strategies import normal

WIDE = (1, 8, 6, 6)

CASES = [
    Case("DFT-17", "f = Reshape(a, z)  d = DFT<axis = 2>(f)  y = Reshape(d, k)",
         consts={"z": ints(1, 8, 36, 1), "k": ints(1, 8, 12, 6)}),
    Case("DFT-20", "f = Reshape(a, z)  d = DFT(f, , ax)  y = Reshape(d, k)", 20,
         consts={"z": ints(1, 8, 36, 1), "k": ints(1, 8, 12, 6), "ax": np.int64(2)}),
    Case("DFT-20-default-axis", "f = Reshape(a, z)  d = DFT<onesided = 1>(f)  y = Identity(d)", 20, consts={"z": ints(1, 8, 36, 1)}),
    Case("DFT-over-channels-stays", "f = Reshape(a, z)  d = DFT<axis = 1>(f)  y = Identity(d)", free=0,
         consts={"z": ints(1, 8, 36, 1)}),
    Case("STFT-of-the-channels-one-by-one", "f = Reshape(a, z)  d = STFT(f, n, w)  e = Reshape(d, k)  y = Identity(e)",
         free=8, consts={"z": ints(8, 36, 1), "n": np.int64(6), "w": normal(12), "k": ints(1, 8, 5, -1)}),
    Case("STFT-of-a-window-made-from-its-size", "f = Reshape(a, z)  w = HannWindow(m)  d = STFT(f, n, w)  y = Reshape(d, k)",
         consts={"z": ints(8, 36, 1), "n": np.int64(6), "m": np.int64(12), "k": ints(1, 8, 5, -1)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_transform_of_an_axis_computed_at_run_time_freezes_all():
    c = couple("DFT", [axes(WIDE, a1=0), None, axes(())], [(1, 8, 6, 2)], version=20)
    assert frozen(c) == {
        "takes a Fourier transform over an axis computed at run time": list(range(8))
    }
