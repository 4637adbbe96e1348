"""The universal property for quantised operators.

The convolutions around a case make floats, so each body quantises ``a`` to ``q`` and gives back
floats in ``y``.
"""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import ml_dtypes
import numpy as np
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
)
from strategies import normal

MICROSOFT = ("com.microsoft",)


def integers(*shape, dtype=np.int8, seed=0):
    """Draw weights over the whole range of the type."""
    info = np.iinfo(dtype)
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(info.min, info.max, shape, endpoint=True).astype(dtype)


def positive(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(0.01, 0.05, shape).astype(np.float32)


def number(value, dtype=np.float32):
    return dtype(value)


# scale and zero point of a, of b, of the output, of an 8-bit weight
COMMON = {
    "s": number(0.05), "z": number(120, np.uint8), "sb": number(0.04), "zb": number(131, np.uint8),
    "sy": number(0.3), "zy": number(127, np.uint8), "sw": number(0.01), "zw": number(128, np.uint8),
}  # fmt: skip
Q, QB, DY = (
    "q = QuantizeLinear(a, s, z)",
    "r = QuantizeLinear(b, sb, zb)",
    "y = DequantizeLinear(v, sy, zy)",
)
ROWS = "t = Transpose<perm = [0, 2, 3, 1]>"  # channels to the columns of a matrix product
BACK = "y = Transpose<perm = [0, 3, 1, 2]>"


def case(name, body, opset=17, *, consts, zeros=None, **rest):
    """Make a case; scales and zero points of removed channels stay as they are in the reference."""
    used = {key: array for key, array in {**COMMON, **consts}.items() if _reads(body, key)}
    spare = tuple(key for key in used if key[0] in "sz")
    domains = MICROSOFT if "com.microsoft" in body else ()
    return Case(
        name, body, opset, consts=used, spare=spare, zeros=zeros or {}, domains=domains, **rest
    )


def _reads(body, name):
    words = body.replace("(", " ").replace(")", " ").replace(",", " ").split()
    return name in words


def microsoft(name, *args, **kwargs):
    return case(f"com.microsoft.{name}", *args, **kwargs)


ROUND = f"{Q}  y = DequantizeLinear(q, s, z)"
LINEAR = [
    *(case(f"QDQ-{opset}", ROUND, opset, consts={}) for opset in (10, 13, 19, 21, 23)),
    case("QDQ-int8", ROUND, consts={"z": number(3, np.int8)}),
    case("QDQ-int16-21", ROUND, 21, consts={"z": number(300, np.int16), "s": number(0.001)}),
    case("QDQ-without-zero-point", "q = QuantizeLinear(a, s)  y = DequantizeLinear(q, s)", consts={}),
    case("QDQ-scale-of-one-element", ROUND, consts={"s": np.float32([0.05]), "z": np.uint8([7])}),
    case("QDQ-per-channel", ROUND, 13, consts={"s": positive(8), "z": integers(8)}),
    case("QDQ-per-channel-negative-axis",
         "q = QuantizeLinear<axis = -3>(a, s, z)  y = DequantizeLinear<axis = -3>(q, s, z)",
         consts={"s": positive(8), "z": integers(8)}),
    case("QDQ-per-row-of-the-image", "q = QuantizeLinear<axis = 2>(a, s, z)  y = DequantizeLinear<axis = 2>(q, s, z)",
         consts={"s": positive(6), "z": integers(6)}),
    case("QDQ-per-channel-of-a-vector", "p = GlobalAveragePool(a)  f = Reshape(p, m)  "
         "q = QuantizeLinear<axis = 0>(f, s, z)  d = DequantizeLinear<axis = 0>(q, s, z)  y = Reshape(d, n)",
         consts={"s": positive(8), "z": integers(8), "m": ints(8), "n": ints(1, 8, 1, 1)}),
    case("QDQ-blocks-21", "q = QuantizeLinear<axis = 1, block_size = 2>(a, s, z)  "
         "y = DequantizeLinear<axis = 1, block_size = 2>(q, s, z)", 21,
         consts={"s": positive(1, 4, 6, 6), "z": integers(1, 4, 6, 6)}),
    microsoft("QDQ", "q = com.microsoft.QuantizeLinear(a, s, z)  y = com.microsoft.DequantizeLinear(q, s, z)",
              consts={}),
    microsoft("QDQ-per-channel", "q = com.microsoft.QuantizeLinear<axis = 1>(a, s, z)  "
              "y = com.microsoft.DequantizeLinear<axis = 1>(q, s, z)", consts={"s": positive(8), "z": integers(8)}),
    case("DynamicQuantizeLinear-stays", "q, k, m = DynamicQuantizeLinear(a)  y = DequantizeLinear(q, k, m)",
         free=0, consts={}),
]  # fmt: skip

WEIGHT = "w = DequantizeLinear(k, sw, zw)"
BEHIND = [
    case("weight-behind-DequantizeLinear", f"{WEIGHT}  y = Conv(a, w)", y=(5,),
         consts={"k": integers(5, 8, 1, 1, dtype=np.uint8)}, zeros={"k": 128}),
    case("weight-behind-DequantizeLinear-10", f"{WEIGHT}  y = Conv(a, w)", 10, y=(5,),
         consts={"k": integers(5, 8, 1, 1, dtype=np.uint8)}, zeros={"k": 128}),
    case("weight-and-bias-behind-DequantizeLinear", "w = DequantizeLinear<axis = 0>(k, sw, zw)  "
         "e = DequantizeLinear<axis = 0>(c, sc)  y = Conv(a, w, e)", y=(5,),
         consts={"k": integers(5, 8, 3, 3), "sw": positive(5), "zw": integers(5), "sc": positive(5),
                 "c": np.arange(5, dtype=np.int32)},
         zeros={"k": integers(5).reshape(5, 1, 1, 1)}),
    case("weight-quantised-along-what-it-consumes", "w = DequantizeLinear<axis = -3>(k, sw, zw)  y = Conv(a, w)",
         y=(5,), consts={"k": integers(5, 8, 1, 1), "sw": positive(8), "zw": integers(8)},
         zeros={"k": integers(8).reshape(8, 1, 1)}),
    case("weight-through-more-nodes", "d = DequantizeLinear<axis = 0>(k, sw, zw)  w = Transpose(d)  "
         f"{ROWS}(a)  v = MatMul(t, w)  {BACK}(v)", y=(5,),
         consts={"k": integers(5, 8), "sw": positive(5), "zw": integers(5)}, zeros={"k": integers(5).reshape(5, 1)}),
    case("depthwise-weight-behind-DequantizeLinear", "w = DequantizeLinear<axis = 0>(k, sw, zw)  "
         "y = Conv<group = 8>(a, w)", consts={"k": integers(8, 1, 3, 3), "sw": positive(8), "zw": integers(8)}),
    case("weight-quantised-in-the-graph", "f = QuantizeLinear(k, sw, zw)  w = DequantizeLinear(f, sw, zw)  "
         "y = Conv(a, w)", y=(5,), consts={"k": normal(5, 8, 1, 1)}),
    case("weight-in-blocks", "w = DequantizeLinear<axis = 1, block_size = 2>(k, sw, zw)  y = Conv(a, w)", 21, y=(5,),
         consts={"k": integers(5, 8, 1, 1), "sw": positive(5, 4, 1, 1), "zw": integers(5, 4, 1, 1)},
         zeros={"k": integers(5, 4, 1, 1).repeat(2, 1)}),
    case("weight-in-blocks-the-last-one-short", "w = DequantizeLinear<axis = 1, block_size = 3>(k, sw, zw)  "
         "y = Conv(a, w)", 21, y=(5,),
         consts={"k": integers(5, 8, 1, 1), "sw": positive(5, 3, 1, 1), "zw": integers(5, 3, 1, 1)},
         zeros={"k": integers(5, 3, 1, 1).repeat(3, 1)[:, :8]}),
    case("weight-in-one-block", "w = DequantizeLinear<axis = 1, block_size = 16>(k, sw, zw)  y = Conv(a, w)", 21,
         y=(5,), consts={"k": integers(5, 8, 1, 1), "sw": positive(5, 1, 1, 1), "zw": integers(5, 1, 1, 1)},
         zeros={"k": integers(5, 1, 1, 1)}),
    case("weight-of-4-bits", "w = DequantizeLinear<axis = 0>(k, sw, zw)  y = Conv(a, w)", 21, y=(5,),
         consts={"k": (integers(5, 8, 1, 1) >> 4).astype(ml_dtypes.int4), "sw": positive(5),
                 "zw": (integers(5) >> 4).astype(ml_dtypes.int4)},
         zeros={"k": (integers(5) >> 4).astype(ml_dtypes.int4).reshape(5, 1, 1, 1)}),
]  # fmt: skip

CONV = "v = QLinearConv(q, s, z, k, sw, zw, sy, zy)"
QLINEAR_CONV = [
    case("QLinearConv", f"{Q}  {CONV}  {DY}", y=(5,), consts={"k": integers(5, 8, 3, 3, dtype=np.uint8)},
         zeros={"k": 128}),
    case("QLinearConv-10", f"{Q}  {CONV}  {DY}", 10, y=(5,),
         consts={"k": integers(5, 8, 3, 3), "zw": number(0, np.int8)}),
    case("QLinearConv-per-channel-with-bias", f"{Q}  v = QLinearConv<pads = [1, 1, 1, 1], strides = [2, 2]>"
         f"(q, s, z, k, sw, zw, sy, zy, c)  {DY}", y=(5,),
         consts={"k": integers(5, 8, 3, 3), "sw": positive(5), "zw": np.full(5, -7, np.int8),
                 "c": np.arange(-900, 1100, 400, dtype=np.int32)}, zeros={"k": -7}),
    case("QLinearConv-grouped", f"{Q}  v = QLinearConv<group = 2>(q, s, z, k, sw, zw, sy, zy)  {DY}", y=(6,),
         consts={"k": integers(6, 4, 1, 1, dtype=np.uint8), "sw": positive(6), "zw": np.full(6, 128, np.uint8)},
         zeros={"k": 128}),
    case("QLinearConv-depthwise", f"{Q}  v = QLinearConv<group = 8, pads = [1, 1, 1, 1]>"
         f"(q, s, z, k, sw, zw, sy, zy, c)  {DY}",
         consts={"k": integers(8, 1, 3, 3, dtype=np.uint8), "sw": positive(8), "zw": np.full(8, 128, np.uint8),
                 "c": np.arange(8, dtype=np.int32)}),
    case("QLinearConv-depthwise-multiplied", f"{Q}  v = QLinearConv<group = 8>(q, s, z, k, sw, zw, sy, zy)  {DY}",
         y=(16,), consts={"k": integers(16, 1, 1, 1, dtype=np.uint8)}),
    case("QLinearConv-weight-through-nodes", f"{Q}  e = Transpose<perm = [1, 0, 2, 3]>(k)  "
         f"v = QLinearConv(q, s, z, e, sw, zw, sy, zy)  {DY}", y=(5,),
         consts={"k": integers(8, 5, 1, 1, dtype=np.uint8)}, zeros={"k": 128}),
    case("QLinearConv-after-QLinearConv", f"{Q}  h = QLinearConv(q, s, z, k, sw, zw, sb, zb)  "
         f"p = MaxPool<kernel_shape = [2, 2]>(h)  v = QLinearConv(p, sb, zb, l, sw, zw, sy, zy)  {DY}", y=(5,),
         consts={"k": integers(6, 8, 1, 1, dtype=np.uint8), "l": integers(5, 6, 1, 1, dtype=np.uint8)},
         zeros={"k": 128, "l": 128}),
    case("QLinearConv-of-two-activations-stays", f"{Q}  g = GlobalAveragePool(b)  r = QuantizeLinear(g, sb, zb)  "
         f"v = QLinearConv(q, s, z, r, sb, zb, sy, zy)  {DY}", y=(1,), free=0, consts={}),
    microsoft("QLinearConv", f"{Q}  v = com.microsoft.QLinearConv(q, s, z, k, sw, zw, sy, zy)  {DY}", y=(5,),
              consts={"k": integers(5, 8, 1, 1, dtype=np.uint8)}, zeros={"k": 128}),
    microsoft("QLinearConv-channels-last", f"{Q}  {ROWS}(q)  v = com.microsoft.QLinearConv<channels_last = 1>"
              f"(t, s, z, k, sw, zw, sy, zy, c)  d = DequantizeLinear(v, sy, zy)  {BACK}(d)", y=(5,),
              consts={"k": integers(5, 8, 3, 3, dtype=np.uint8), "c": np.arange(5, dtype=np.int32)}, zeros={"k": 128}),
    microsoft("QLinearConv-channels-last-depthwise", f"{Q}  {ROWS}(q)  "
              "v = com.microsoft.QLinearConv<channels_last = 1, group = 8>(t, s, z, k, sw, zw, sy, zy)  "
              f"d = DequantizeLinear(v, sy, zy)  {BACK}(d)", consts={"k": integers(8, 1, 3, 3, dtype=np.uint8)}),
    case("ConvInteger", f"{Q}  v = ConvInteger(q, k)  y = Cast<to = 1>(v)", y=(5,), consts={"k": integers(5, 8, 1, 1)}),
    case("ConvInteger-zero-points", f"{Q}  v = ConvInteger<pads = [1, 1, 1, 1]>(q, k, z, zw)  f = Cast<to = 1>(v)  "
         "y = Mul(f, sm)", y=(5,),
         consts={"k": integers(5, 8, 3, 3, dtype=np.uint8), "sm": positive(5, 1, 1)}, zeros={"k": 128}),
    case("ConvInteger-depthwise", f"{Q}  v = ConvInteger<group = 8>(q, k, z)  y = Cast<to = 1>(v)",
         consts={"k": integers(8, 1, 3, 3)}),
]  # fmt: skip

MATMUL = f"{Q}  {ROWS}(q)  v = QLinearMatMul(t, s, z, k, sw, zw, sy, zy)  d = DequantizeLinear(v, sy, zy)  {BACK}(d)"
FLAT = "n = Flatten(a)  q = QuantizeLinear(n, s, z)"
UP = "y = Reshape(d, o)"
COLUMNS = {
    "k": integers(8, 5, dtype=np.uint8),
    "sw": positive(5),
    "zw": integers(5, dtype=np.uint8),
}
MADE = f"{ROWS}(x)"  # a matrix product of the input alone, whose columns meet a
PRODUCTS = [
    case("QLinearMatMul", MATMUL, y=(5,), consts={"k": integers(8, 5, dtype=np.uint8)}, zeros={"k": 128}),
    case("QLinearMatMul-21", MATMUL, 21, y=(5,), consts={"k": integers(8, 5), "zw": number(5, np.int8)}, zeros={"k": 5}),
    case("QLinearMatMul-per-column", MATMUL, y=(5,), consts=COLUMNS, zeros={"k": COLUMNS["zw"]}),
    case("QLinearMatMul-per-column-of-rank-2", MATMUL, y=(5,), zeros={"k": COLUMNS["zw"]},
         consts={**COLUMNS, "sw": COLUMNS["sw"].reshape(1, 5), "zw": COLUMNS["zw"].reshape(1, 5)}),
    case("QLinearMatMul-weight-first", "e = Reshape(a, m)  q = QuantizeLinear(e, s, z)  "
         "v = QLinearMatMul(k, sw, zw, q, s, z, sy, zy)  d = DequantizeLinear(v, sy, zy)  y = Reshape(d, o)", y=(5,),
         consts={"k": integers(5, 8, dtype=np.uint8), "m": ints(8, 36), "o": ints(1, 5, 6, 6)}, zeros={"k": 128}),
    case("QLinearMatMul-of-a-vector", "p = GlobalAveragePool(a)  f = Reshape(p, m)  q = QuantizeLinear(f, s, z)  "
         "v = QLinearMatMul(q, s, z, k, sw, zw, sy, zy)  d = DequantizeLinear(v, sy, zy)  y = Reshape(d, o)", y=(5,),
         consts={"k": integers(8, 5, dtype=np.uint8), "m": ints(8), "o": ints(1, 5, 1, 1)}, zeros={"k": 128}),
    case("MatMulInteger", f"{Q}  {ROWS}(q)  v = MatMulInteger(t, k)  d = Cast<to = 1>(v)  {BACK}(d)", y=(5,),
         consts={"k": integers(8, 5)}),
    case("MatMulInteger-zero-points", f"{Q}  {ROWS}(q)  v = MatMulInteger(t, k, z, zw)  d = Cast<to = 1>(v)  {BACK}(d)",
         y=(5,), consts={"k": integers(8, 5, dtype=np.uint8)}, zeros={"k": 128}),
    case("MatMulInteger-per-column", f"{Q}  {ROWS}(q)  v = MatMulInteger(t, k, z, zw)  d = Cast<to = 1>(v)  {BACK}(d)",
         y=(5,), consts=COLUMNS, zeros={"k": COLUMNS["zw"]}),
    microsoft("MatMulIntegerToFloat", f"{Q}  {ROWS}(q)  v = com.microsoft.MatMulIntegerToFloat(t, k, s, sw, z, zw, c)  "
              f"{BACK}(v)", y=(5,), consts={**COLUMNS, "c": normal(5)}, zeros={"k": COLUMNS["zw"]}),
    microsoft("MatMulIntegerToFloat-bare", f"{Q}  {ROWS}(q)  v = com.microsoft.MatMulIntegerToFloat(t, k, s, sw)  "
              f"{BACK}(v)", y=(5,), consts={"k": integers(8, 5)}),
    microsoft("QGemm", f"{FLAT}  v = com.microsoft.QGemm<transB = 1>(q, s, z, k, sw, zw, c, sy, zy)  "
              f"d = DequantizeLinear(v, sy, zy)  {UP}", y=(5,),
              consts={"k": integers(5, 288, dtype=np.uint8), "sw": positive(5), "zw": integers(5, dtype=np.uint8),
                      "c": np.arange(5, dtype=np.int32), "sy": number(9.0), "o": ints(1, 5, 1, 1)},
              zeros={"k": integers(5, dtype=np.uint8).reshape(5, 1)}),
    microsoft("QGemm-without-transB-or-bias", f"{FLAT}  v = com.microsoft.QGemm(q, s, z, k, sw, zw, , sy, zy)  "
              f"d = DequantizeLinear(v, sy, zy)  {UP}", y=(5,),
              consts={"k": integers(288, 5, dtype=np.uint8), "sy": number(3.0), "o": ints(1, 5, 1, 1)},
              zeros={"k": 128}),
    microsoft("QGemm-to-floats", f"{FLAT}  d = com.microsoft.QGemm<alpha = 0.5>(q, s, z, k, sw, zw)  {UP}", y=(5,),
              consts={**COLUMNS, "k": integers(288, 5, dtype=np.uint8), "o": ints(1, 5, 1, 1)},
              zeros={"k": COLUMNS["zw"]}),
    microsoft("QGemm-transA", f"{FLAT}  e = Transpose(q)  "
              f"d = com.microsoft.QGemm<transA = 1>(e, s, z, k, sw, zw)  {UP}", y=(5,),
              consts={**COLUMNS, "k": integers(288, 5, dtype=np.uint8), "o": ints(1, 5, 1, 1)},
              zeros={"k": COLUMNS["zw"]}),
    microsoft("DynamicQuantizeMatMul-freezes-what-it-reads",
              f"{ROWS}(a)  v = com.microsoft.DynamicQuantizeMatMul(t, k, sw, zw)  {BACK}(v)", free=0, y=(5,),
              consts=COLUMNS),
    microsoft("DynamicQuantizeMatMul-makes-channels",
              f"{MADE}  v = com.microsoft.DynamicQuantizeMatMul(t, k, sw, zw, c)  m = Transpose<perm = [0, 3, 1, 2]>(v)  "
              "y = Mul(a, m)", consts={"k": integers(3, 8), "sw": positive(8), "zw": integers(8), "c": normal(8)}),
    microsoft("MatMulNBits-makes-channels",
              f"{MADE}  v = com.microsoft.MatMulNBits<K = 3, N = 8, bits = 4, block_size = 16>(t, k, sw)  "
              "m = Transpose<perm = [0, 3, 1, 2]>(v)  y = Mul(a, m)",
              consts={"k": integers(8, 1, 8, dtype=np.uint8), "sw": positive(8, 1)}),
    microsoft("MatMulNBits-zero-points-and-bias",
              "w1 = Tile(x, m)  t = Transpose<perm = [0, 2, 3, 1]>(w1)  "
              "v = com.microsoft.MatMulNBits<K = 48, N = 8, bits = 4, block_size = 16>(t, k, sw, zw, , c)  "
              "e = Transpose<perm = [0, 3, 1, 2]>(v)  y = Mul(a, e)",
              consts={"m": ints(1, 16, 1, 1), "k": integers(8, 3, 8, dtype=np.uint8), "sw": positive(8, 3),
                      "zw": integers(8, 2, dtype=np.uint8), "c": normal(8)}),
    microsoft("MatMulNBits-freezes-what-it-reads",
              f"{ROWS}(a)  v = com.microsoft.MatMulNBits<K = 8, N = 5, bits = 4, block_size = 16>(t, k, sw)  "
              f"{BACK}(v)", y=(5,), free=0,
              consts={"k": integers(5, 1, 8, dtype=np.uint8), "sw": positive(5, 1)}),
]  # fmt: skip

TAIL = "(q, s, z, sy, zy)"
ELEMENTS = [
    *(microsoft(op, f"{Q}  {QB}  v = com.microsoft.{op}(q, s, z, r, sb, zb, sy, zy)  {DY}", consts={})
      for op in ("QLinearAdd", "QLinearMul")),
    microsoft("QLinearAdd-of-a-constant", f"{Q}  v = com.microsoft.QLinearAdd(q, s, z, k, sb, zb, sy, zy)  {DY}",
              consts={"k": integers(8, 1, 1, dtype=np.uint8)}),
    microsoft("QLinearMul-of-a-number", f"{Q}  v = com.microsoft.QLinearMul(k, sb, zb, q, s, z, sy, zy)  {DY}",
              consts={"k": number(200, np.uint8)}),
    microsoft("QLinearConcat", f"{Q}  {QB}  "
              f"v = com.microsoft.QLinearConcat<axis = 1>(sy, zy, q, s, z, r, sb, zb)  {DY}", y=(16,), consts={}),
    microsoft("QLinearConcat-of-rows", f"{Q}  {QB}  "
              f"v = com.microsoft.QLinearConcat<axis = -1>(sy, zy, q, s, z, r, sb, zb)  {DY}", consts={}),
    microsoft("QLinearGlobalAveragePool", f"{Q}  v = com.microsoft.QLinearGlobalAveragePool{TAIL}  {DY}", consts={}),
    microsoft("QLinearGlobalAveragePool-channels-last", f"{Q}  {ROWS}(q)  v = com.microsoft.QLinearGlobalAveragePool"
              f"<channels_last = 1>(t, s, z, sy, zy)  d = DequantizeLinear(v, sy, zy)  {BACK}(d)", consts={}),
    microsoft("QLinearAveragePool", f"{Q}  v = com.microsoft.QLinearAveragePool<kernel_shape = [3, 3], "
              f"pads = [1, 1, 1, 1]>{TAIL}  {DY}", consts={}),
    microsoft("QLinearAveragePool-channels-last", f"{Q}  {ROWS}(q)  v = com.microsoft.QLinearAveragePool"
              "<kernel_shape = [2, 2], channels_last = 1>(t, s, z, sy, zy)  d = DequantizeLinear(v, sy, zy)  "
              f"{BACK}(d)", consts={}),
    microsoft("QLinearSigmoid", f"{Q}  v = com.microsoft.QLinearSigmoid{TAIL}  {DY}", consts={}),
    microsoft("QLinearLeakyRelu", f"{Q}  v = com.microsoft.QLinearLeakyRelu<alpha = 0.1>{TAIL}  {DY}", consts={}),
    microsoft("QLinearSoftmax-over-rows", f"{Q}  v = com.microsoft.QLinearSoftmax<axis = -1, opset = 13>{TAIL}  {DY}",
              consts={"sy": number(1 / 256), "zy": number(0, np.uint8)}),
    microsoft("QLinearSoftmax-over-channels-stays",
              f"{Q}  v = com.microsoft.QLinearSoftmax<axis = 1, opset = 13>{TAIL}  {DY}", free=0, consts={"sy": number(1 / 256), "zy": number(0, np.uint8)}),
    microsoft("QLinearSoftmax-flattened", f"{Q}  v = com.microsoft.QLinearSoftmax<axis = 2, opset = 12>{TAIL}  {DY}",
              consts={"sy": number(1 / 256), "zy": number(0, np.uint8)}),
    microsoft("QLinearWhere", f"{Q}  {QB}  v = com.microsoft.QLinearWhere(m, q, s, z, r, sb, zb, sy, zy)  {DY}",
              consts={"m": np.arange(36).reshape(6, 6) % 3 > 0}),
    case("integers-through-plain-operators", f"{Q}  {QB}  c = Concat<axis = 1>(q, r)  e = Reshape(c, m)  "
         "g = Transpose<perm = [0, 2, 1, 3]>(e)  h = Reshape(g, n)  u, v = Split<axis = 1>(h, o)  "
         "y = DequantizeLinear(v, s, z)", free=8, y=(8,),
         consts={"m": ints(1, 2, 8, 36), "n": ints(1, 16, 6, 6), "o": ints(8, 8)}),
]  # fmt: skip

CASES = [*LINEAR, *BEHIND, *QLINEAR_CONV, *PRODUCTS, *ELEMENTS]


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)
