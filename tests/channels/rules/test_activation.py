"""Rules of `rules/activation.py`: the universal property, and what each rule says."""

from __future__ import annotations

import pytest
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    pointwise,
)
from rule_calls import axes, couple, ties
from strategies import normal

WIDE = (1, 8, 6, 6)

X = (1, 4, 6, 6)

CASES = [
    *(pointwise(op) for op in (
        "Elu", "HardSigmoid", "HardSwish", "LeakyRelu", "Relu", "Selu", "Sigmoid", "Softplus",
        "Softsign", "Tanh", "ThresholdedRelu",
    )),
    pointwise("Relu", 7),
    pointwise("Relu", 21),
    pointwise("Mish", 18),
    pointwise("Gelu", 20),
    pointwise("Celu", 12),
    Case("PRelu-per-channel", "y = PRelu(a, s)", consts={"s": normal(8, 1, 1)}),
    Case("PRelu-shared", "y = PRelu(a, s)", consts={"s": normal(1)}),
    Case("PRelu-shared-1-1-1", "y = PRelu(a, s)", 9, consts={"s": normal(1, 1, 1)}),
    Case("Softmax-13-over-height", "y = Softmax<axis = 2>(a)", 13),
    Case("Softmax-13-over-channels-stays", "y = Softmax<axis = 1>(a)", 13, free=0),
    Case("Softmax-11-flattens", "y = Softmax<axis = 1>(a)", 11, free=0),
    Case("Softmax-11-over-height-and-width", "y = Softmax<axis = 2>(a)", 11),
    Case("LogSoftmax-default-axis", "y = LogSoftmax(a)", 13),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_swiglu_ties_the_gate_to_the_value():
    c = couple("SwiGLU", [axes(WIDE, a1=0), axes(WIDE, a1=10)], [WIDE], version=28)
    assert ties(c) == [(i, i + 10) for i in range(8)]


def test_prelu_slopes_are_tied():
    c = couple("PRelu", [axes(X, a1=0), axes((4, 1, 1), a0=10)], [X])
    assert ties(c) == [(0, 10), (1, 11), (2, 12), (3, 13)]


@pytest.mark.parametrize(
    ("version", "attributes", "expected"),
    [
        (11, {}, [0, 1, 2, 3, 60, 61, 62, 63, 64, 65]),
        (11, {"axis": 2}, [60, 61, 62, 63, 64, 65]),
        (13, {}, []),
        (13, {"axis": 1}, [0, 1, 2, 3]),
        (13, {"axis": -2}, [60, 61, 62, 63, 64, 65]),
    ],
)
def test_softmax_freezes_what_its_opset_normalises(version, attributes, expected):
    c = couple("Softmax", [axes(X, a1=0, a2=60)], [X], version=version, **attributes)
    assert sorted(i for f in c.frozen for i in f.ids) == expected
