"""Rules of quantised operators: branches that no running network reaches, reasons, and costs."""
# ruff: noqa: E501 - a network reads best unbroken

from __future__ import annotations

import numpy as np
import pytest
from rule_calls import axes, carried, frozen, ties
from strategies import analyse, build, normal

from wrg_onnx.channels import mac_terms, parameter_terms, total_cost
from wrg_onnx.channels.answers import Quantised, ShapeConflictError
from wrg_onnx.channels.axes import Call, Operand
from wrg_onnx.channels.table import find_derivation, find_rule
from wrg_onnx.graph import Node

COMMON = {
    "s": np.float32(0.1), "z": np.uint8(128), "wa": normal(8, 3, 1, 1), "wz": normal(2, 5, 1, 1),
}  # fmt: skip


def couple(op, inputs, shape, *, domain="", version=21, weights=(), **attributes):
    """Ask a rule about operands with given axes; None is an absent one, ``()`` a scalar."""
    names = tuple("" if i is None else f"i{n}" for n, i in enumerate(inputs))
    node = Node(0, "node", op, domain, version, names, ("o",), attributes)
    operands = tuple(
        None if i is None else Operand(f"i{n}", axes(()) if i == () else i, n in weights)
        for n, i in enumerate(inputs)
    )
    made = Call(node, operands, (tuple(shape),))
    return made, find_rule(node)(made)


def quantised(body, shape, weights, *, opset=17, domains=("com.microsoft",)):
    """Analyse ``a`` (8 channels), quantised to ``q``, on the way to an output."""
    text = f"net (float[1,3,6,6] x) => (float[{shape}] out) {{ a = Conv(x, wa)  q = QuantizeLinear(a, s, z)  {body} }}"
    constants = {name: array for name, array in {**COMMON, **weights}.items() if name in text}
    return analyse(build(text, constants, opset=opset, domains=domains))


def test_scale_and_zero_point_of_a_channel_follow_it():
    _, c = couple("DequantizeLinear", [axes((4, 3), a0=0, a1=10), axes((4,), a0=20), axes((4,), a0=30)],
                  (4, 3), axis=-2)  # fmt: skip
    assert ties(c) == [(0, 20), (0, 30), (1, 21), (1, 31), (2, 22), (2, 32), (3, 23), (3, 33)]
    assert carried(c) == [[0, 1, 2, 3], [10, 11, 12]]
    assert c.quantised == (Quantised(0, 1, 2, 0),)


def test_axis_of_a_scalar_scale_is_not_looked_at():
    _, c = couple("QuantizeLinear", [axes((4,), a0=0), (), ()], (4,))
    assert ties(c) == []
    assert carried(c) == [[0, 1, 2, 3]]
    assert c.quantised == ()


def test_positions_of_a_block_are_tied_through_their_scale():
    _, c = couple("DequantizeLinear", [axes((2, 5), a0=0, a1=10), axes((2, 2), a0=20, a1=30)], (2, 5),
                  axis=1, block_size=3)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21), (10, 30), (11, 30), (12, 30), (13, 31), (14, 31)]


def test_one_block_shrinks_with_its_axis():
    _, c = couple("DequantizeLinear", [axes((2, 5), a0=0, a1=10), axes((2, 1), a0=20)], (2, 5), axis=1,
                  block_size=8)  # fmt: skip
    assert ties(c) == [(0, 20), (1, 21)]


def test_scale_of_another_length_is_refused():
    with pytest.raises(ShapeConflictError, match="4 positions against 3"):
        couple("DequantizeLinear", [axes((4, 2), a0=0), axes((3,), a0=20)], (4, 2), axis=0)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_scales_of_rows_follow_the_rows(shape):
    a = [axes((4, 3), a0=0, a1=10), axes(shape, a0=20), axes(shape, a0=30)]
    _, c = couple(
        "QLinearMatMul", [*a, axes((3, 2), a0=40, a1=50), (), (), (), ()], (4, 2), weights=(3, 4, 5)
    )
    assert [(i, 20 + i) for i in range(4)] == [t for t in ties(c) if t[1] in range(20, 24)]
    assert [(i, 30 + i) for i in range(4)] == [t for t in ties(c) if t[1] in range(30, 34)]
    assert carried(c) == [[0, 1, 2, 3], [50, 51]]
    assert [i.tolist() for i in c.consumed] == [[40, 41, 42]]


def test_weight_whose_zero_point_is_computed_stays():
    inputs = [axes((1, 3, 4, 4), a1=0), (), (), axes((2, 3, 1, 1), a0=10, a1=20), (), (), (), ()]
    _, c = couple("QLinearConv", inputs, (1, 2, 4, 4), weights=(3, 4))
    reason = "takes the zero point of a weight from values computed at run time"
    assert frozen(c)[reason] == [10, 11, 20, 21, 22]


def test_dynamic_quantisation_freezes_every_axis():
    _, c = couple("DynamicQuantizeLinear", [axes((2, 3), a0=0, a1=10)], (2, 3))
    reason = "takes the scale of all channels from the largest element (dynamic quantisation)"
    assert frozen(c) == {reason: [0, 1, 10, 11, 12]}


def test_mean_freezes_what_it_reduces():
    _, c = couple("QLinearReduceMean", [axes((1, 4, 3), a1=0, a2=10), (), (), (), ()], (1, 4, 1),
                  domain="com.microsoft", version=1, axes=(2,))  # fmt: skip
    assert frozen(c) == {"reduces over this axis": [10, 11, 12]}
    assert carried(c) == [None, [0, 1, 2, 3], None]


def test_rows_that_a_provider_has_packed_stay():
    inputs = [axes((1, 32)), axes((4, 1, 16), a0=0, a2=10), axes((4, 1), a0=30)]
    given = {"domain": "com.microsoft", "version": 1, "weights": (1, 2), "N": 4, "K": 32}
    made, c = couple("MatMulNBits", inputs, (1, 4), **given)
    assert ties(c) == [(0, 30), (1, 31), (2, 32), (3, 33)]
    assert frozen(c) == {}
    derived = find_derivation(made.node)(made, c.outputs, lambda ids: ids != 2)
    assert derived.attributes == {"N": 3}
    _, c = couple("MatMulNBits", inputs, (1, 4), weight_prepacked=1, **given)
    assert frozen(c) == {"packs the rows of its weight together with their scales": [0, 1, 2, 3]}


FLAT = "f = Flatten(q)  "
LAST = """t = Transpose<perm = [0, 2, 3, 1]>(q)
  v = com.microsoft.QLinearConv<channels_last = 1>(t, s, z, w, s, z, s, z)"""
PRODUCTS = {
    "QLinearConv": ("v = QLinearConv(q, s, z, w, s, z, s, z)  y = DequantizeLinear(v, s, z)  out = Conv(y, wz)",
                    "1,2,6,6", (5, 8, 1, 1), 36 * 5 * 8 + 36 * 10),
    "ConvInteger": ("v = ConvInteger(q, w)  y = Cast<to = 1>(v)  out = Conv(y, wz)", "1,2,6,6", (5, 8, 1, 1),
                    36 * 5 * 8 + 36 * 10),
    "channels-last": (f"{LAST} out = DequantizeLinear(v, s, z)", "1,6,6,5", (5, 8, 1, 1), 36 * 5 * 8),
    "QLinearMatMul": (f"{FLAT} v = QLinearMatMul(f, s, z, w, s, z, s, z)  out = DequantizeLinear(v, s, z)", "1,5",
                      (288, 5), 288 * 5),
    "MatMulInteger": (f"{FLAT} v = MatMulInteger(f, w)  out = Cast<to = 1>(v)", "1,5", (288, 5), 288 * 5),
    "QGemm": (f"{FLAT} out = com.microsoft.QGemm<transB = 1>(f, s, z, w, s, z)", "1,5", (5, 288), 288 * 5),
    "MatMulIntegerToFloat": (f"{FLAT} out = com.microsoft.MatMulIntegerToFloat(f, w, s, s)", "1,5", (288, 5), 288 * 5),
}  # fmt: skip


@pytest.mark.parametrize("op", PRODUCTS)
def test_costs_count_integer_products_and_weights(op):
    body, shape, weight, macs = PRODUCTS[op]
    found = quantised(body, shape, {"w": np.ones(weight, np.uint8)})
    units = found.units
    alive = np.ones(units.count, bool)
    first = 36 * 8 * 3
    assert total_cost(mac_terms(units), alive) == first + macs
    parameters = 8 * 3 + np.prod(weight) + (10 if "wz" in body else 0)
    assert total_cost(parameter_terms(units), alive) == parameters
    assert found.removable("wa", 0).all()
    alive[found.labels("wa", 0)[:4]] = False
    rest = 36 * 10 if "wz" in body else 0
    assert total_cost(mac_terms(units), alive) == (first + macs - rest) / 2 + rest
