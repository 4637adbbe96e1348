"""Rules of `rules/padding.py`: the universal property, and what each rule says."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from rule_calls import axes, carried, couple, demands, frozen
from strategies import analyse, assert_surgery_is_exact, build, normal

from wrg_onnx.rewrite import apply_plan

X = (1, 4, 6, 6)

CASES = [
    Case("Pad-7", "y = Pad<pads = [0, 0, 1, 1, 0, 0, 1, 1]>(a)", 7),
    Case("Pad-reflect", "y = Pad<mode = \"reflect\">(a, p)", 13, consts={"p": ints(0, 0, 1, 1, 0, 0, 2, 2)}),
    Case("Pad-channels", "y = Pad(a, p)", 13, y=(11,), consts={"p": ints(0, 1, 0, 0, 0, 2, 0, 0)}),
    Case("Pad-channels-7", "y = Pad<pads = [0, 0, 0, 0, 0, 8, 0, 0]>(a)", 7, y=(16,)),
    Case("Pad-shortcut", "p8 = Pad(a, p)  c = Concat<axis = 1>(a, b)  y = Add(c, p8)", 13,
         y=(16,), consts={"p": ints(0, 0, 0, 0, 0, 8, 0, 0)}),
    Case("Pad-18-axes", "y = Pad(a, p, , ax)", 18, y=(10,),
         consts={"p": ints(1, 1, 1, 1), "ax": ints(-1, 1)}),
    Case("Pad-crops-channels-stays", "y = Pad(a, p)", 13, free=0, y=(7,),
         consts={"p": ints(0, -1, 0, 0, 0, 0, 0, 0)}),
    Case("Pad-edge-channels-stays", "y = Pad<mode = \"edge\">(a, p)", 13, free=0, y=(9,),
         consts={"p": ints(0, 1, 0, 0, 0, 0, 0, 0)}),
    Case("CenterCropPad-height-and-width", "y = CenterCropPad<axes = [2, 3]>(a, s)", 18, consts={"s": ints(4, 9)}),
    Case("CenterCropPad-pads-channels", "y = CenterCropPad<axes = [-3]>(a, s)", 18, y=(13,), consts={"s": ints(13)}),
    Case("CenterCropPad-all-axes", "y = CenterCropPad(a, s)", 18, consts={"s": ints(1, 8, 5, 8)}),
    Case("CenterCropPad-to-a-computed-shape", "n = Shape(b)  y = CenterCropPad(a, n)", 18),
    Case("CenterCropPad-crops-channels-stays", "y = CenterCropPad(a, s)", 18, free=0, y=(5,), consts={"s": ints(1, 5, 6, 6)}),
]  # fmt: skip


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)


def test_center_crop_pad_demands_the_padded_length():
    c = couple(
        "CenterCropPad", [axes(X, a1=0), np.array([7])], [(1, 7, 6, 6)], axes=(1,), version=18
    )
    assert carried(c)[1] == [-1, 0, 1, 2, 3, -1, -1]
    assert demands(c) == [(1, 0, [-1, 0, 1, 2, 3, -1, -1])]


@pytest.mark.parametrize(
    ("version", "inputs", "attributes"),
    [
        (9, [], {"pads": (0, 1, 0, 0, 0, 2, 0, 0)}),
        (13, [np.array([0, 1, 0, 0, 0, 2, 0, 0])], {}),
        (18, [np.array([1, 2]), None, np.array([-3])], {}),
    ],
)
def test_pad_puts_inert_positions_around(version, inputs, attributes):
    c = couple("Pad", [axes(X, a1=0), *inputs], [(1, 7, 6, 6)], version=version, **attributes)
    assert carried(c)[1] == [-1, 0, 1, 2, 3, -1, -1]


@pytest.mark.parametrize(
    ("pads", "attributes"),
    [([0, 1, 0, 0, 0, 1, 0, 0], {"mode": "reflect"}), ([0, -1, 0, 0, 0, 3, 0, 0], {})],
)
def test_pad_freezes_what_it_reflects_or_crops(pads, attributes):
    c = couple("Pad", [axes(X, a1=0), np.array(pads)], [(1, 6, 6, 6)], **attributes)
    assert frozen(c) == {"pads this axis": [0, 1, 2, 3]}


SHORTCUT = """net (float[1,3,6,6] x) => (float[1,2,6,6] y) {{
  a = Conv(x, w)  q = Pad{pads}  b = Conv(a, v)  r = Add(q, b)  y = Conv(r, z) }}"""
WEIGHTS = {
    "w": normal(4, 3, 1, 1), "v": normal(12, 4, 1, 1), "z": normal(2, 12, 1, 1),
    "p": ints(0, 4, 0, 0, 0, 4, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("pads", "opset"), [("<pads = [0, 4, 0, 0, 0, 4, 0, 0]>(a)", 10), ("(a, p)", 13)]
)
def test_a_shortcut_that_is_padded_with_channels_loses_those_beside_it(pads, opset):
    """The residual networks of CIFAR widen their shortcuts like that."""
    used = {k: v for k, v in WEIGHTS.items() if k != "p" or "p)" in pads}
    analysis = analyse(build(SHORTCUT.format(pads=pads), used, opset=opset))
    assert analysis.removable("v", 0).all()
    alive = np.ones(analysis.units.count, bool)
    alive[analysis.labels("v", 0)[[0, 3, 5, 9]]] = False
    plan = assert_surgery_is_exact(analysis, alive)
    pruned = apply_plan(analysis.graph, plan)
    assert pruned.constants["v"].shape[0] == 8
    node = next(node for node in pruned.nodes if node.op == "Pad")
    found = node.attributes.get("pads", ())
    assert tuple(found or pruned.constants[node.inputs[1]]) == (0, 2, 0, 0, 0, 3, 0, 0)
