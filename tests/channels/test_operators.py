"""The universal property, operator by operator: what is pruned equals what is masked."""
# ruff: noqa: E501 - a case's network reads best unbroken

from __future__ import annotations

import numpy as np
from operator_cases import (
    Case,
    assert_own_validation_accepts,
    assert_prunes_exactly,
    each_case,
    ints,
    pointwise,
)
from strategies import normal

BIG = 2**63 - 1

UNARY = [
    *(pointwise(op) for op in (
        "Abs", "Asinh", "Atan", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSigmoid",
        "HardSwish", "Identity", "LeakyRelu", "Neg", "Relu", "Round", "Selu", "Sigmoid", "Sign",
        "Sin", "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
    )),
    pointwise("Relu", 7), pointwise("Relu", 21), pointwise("Clip", 17), pointwise("Mish", 18),
    pointwise("Gelu", 20), pointwise("Clip", 7, min="-0.5", max="0.5"), pointwise("Celu", 12),
    Case("Clip-11", "y = Clip(a, lo, hi)", 11,
         consts={"lo": np.float32(-0.5), "hi": np.float32(0.5)}),
    Case("Clip-13-without-low", "y = Clip(a, , hi)", 13, consts={"hi": np.float32(0.5)}),
    Case("Dropout-7", "y = Dropout(a)", 7),
    Case("Dropout-13-mask", "d, m = Dropout(a)  f = Cast<to = 1>(m)  y = Mul(d, f)", 13),
    Case("Cast", "h = Cast<to = 10>(a)  y = Cast<to = 1>(h)"),
    Case("Gelu-microsoft", "y = com.microsoft.Gelu(a)", domains=("com.microsoft",)),
]  # fmt: skip

NARY = [
    *(Case(f"{op}", f"y = {op}(a, b)") for op in ("Add", "Mul", "Sub", "Max", "Min", "Sum", "Mean")),
    *(Case(f"{op}-7", f"y = {op}(a, b)", 7) for op in ("Add", "Mul", "Sum", "Max")),
    Case("Sum-of-three", "s = Sigmoid(a)  y = Sum(a, b, s)"),
    Case("Div", "e = Exp(b)  y = Div(a, e)"),
    Case("Pow", "e = Exp(a)  s = Sigmoid(b)  y = Pow(e, s)"),
    Case("Mul-by-per-channel-constant", "y = Mul(a, c)", consts={"c": normal(8, 1, 1)}),
    Case("Div-by-per-channel-constant", "y = Div(a, c)", consts={"c": normal(1, 8, 1, 1) + 4},
         spare=("c",)),
    Case("Add-scalar", "y = Add(a, c)", consts={"c": np.float32(0.3)}),
    Case("Add-one-element", "y = Add(a, c)", consts={"c": normal(1, 1, 1, 1)}),
    Case("Mul-by-a-gate-of-one-channel", "y = Mul(a, g)",
         consts={"wg": normal(1, 3, 1, 1)}),
    Case("Equal-Where", "q = Greater(a, b)  y = Where(q, a, b)"),
    Case("Where-with-scalar", "z = Greater(a, t)  y = Where(z, a, t)",
         consts={"t": np.float32(0.1)}),
    Case("Where-with-constant-condition", "y = Where(q, a, b)",
         consts={"q": np.array([True, False] * 3)}),
    Case("Where-with-a-condition-per-channel-stays", "y = Where(q, a, b)", free=0,
         consts={"q": np.array([True, False] * 4).reshape(8, 1, 1)}),
    Case("PRelu-per-channel", "y = PRelu(a, s)", consts={"s": normal(8, 1, 1)}),
    Case("PRelu-shared", "y = PRelu(a, s)", consts={"s": normal(1)}),
    Case("PRelu-shared-1-1-1", "y = PRelu(a, s)", 9, consts={"s": normal(1, 1, 1)}),
    Case("CastLike", "y = CastLike(a, b)"),
    Case("Add-constant-per-position", "y = Add(a, c)", consts={"c": normal(6, 6)}),
    Case("Add-constant-per-element", "y = Add(a, c)", consts={"c": normal(1, 8, 6, 6)}),
    Case("SE-block", "p = GlobalAveragePool(a)  r = Conv(p, w1)  e = Relu(r)  t = Conv(e, w2)  "
         "g = Sigmoid(t)  y = Mul(a, g)", consts={"w1": normal(4, 8, 1, 1), "w2": normal(8, 4, 1, 1)}),
]  # fmt: skip

BN = {"s": normal(8), "t": normal(8, seed=1), "m": normal(8, seed=2), "v": normal(8) ** 2 + 0.1}
NORM = [
    *(Case(f"BatchNormalization-{o}", "y = BatchNormalization(a, s, t, m, v)", o, consts=BN)
      for o in (7, 9, 14, 15, 17)),
    Case("InstanceNormalization", "y = InstanceNormalization(a, s, t)",
         consts={k: BN[k] for k in "st"}),
    Case("Softmax-13-over-height", "y = Softmax<axis = 2>(a)", 13),
    Case("Softmax-13-over-channels-stays", "y = Softmax<axis = 1>(a)", 13, free=0),
    Case("Softmax-11-flattens", "y = Softmax<axis = 1>(a)", 11, free=0),
    Case("Softmax-11-over-height-and-width", "y = Softmax<axis = 2>(a)", 11),
    Case("LogSoftmax-default-axis", "y = LogSoftmax(a)", 13),
    Case("LayerNormalization-over-width", "y = LayerNormalization(a, s)", consts={"s": normal(6)}),
    Case("LayerNormalization-over-channels-stays",
         "p = Transpose<perm = [0, 2, 3, 1]>(a)  n = LayerNormalization(p, s)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(n)", free=0, consts={"s": normal(8)}),
    Case("LRN-stays", "y = LRN<size = 3>(a)", free=0),
    Case("LpNormalization-over-width", "y = LpNormalization<axis = 3>(a)"),
    Case("decomposed-LayerNorm2d-stays",
         "m = ReduceMean<axes = [1]>(a)  d = Sub(a, m)  q = Mul(d, d)  "
         "v = ReduceMean<axes = [1]>(q)  r = Sqrt(v)  y = Div(d, r)", free=0),
]  # fmt: skip

SPATIAL = [
    Case("MaxPool", "y = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(a)"),
    Case("MaxPool-indices-stay", "y, i = MaxPool<kernel_shape = [2, 2]>(a)  f = Cast<to = 1>(i)  "
         "y1 = Mul(f, k)", free=0, y=(8, 8), consts={"k": np.float32(0.01)}),
    Case("AveragePool", "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(a)", 11),
    Case("GlobalAveragePool", "y = GlobalAveragePool(a)"),
    Case("GlobalMaxPool", "y = GlobalMaxPool(a)"),
    Case("GlobalLpPool", "y = GlobalLpPool(a)"),
    Case("LpPool", "y = LpPool<kernel_shape = [2, 2]>(a)"),
    Case("ReduceMean-17-height-width", "y = ReduceMean<axes = [2, 3]>(a)"),
    Case("ReduceMean-18-height-width", "y = ReduceMean(a, ax)", 18, consts={"ax": ints(-1, -2)}),
    Case("ReduceMean-negative-axes", "y = ReduceMean<axes = [-1, -2]>(a)", 11),
    Case("ReduceSum-13", "y = ReduceSum(a, ax)", 13, consts={"ax": ints(2)}),
    Case("ReduceMax-channels-stays", "m = ReduceMax<axes = [1]>(a)  y = Mul(b, m)", free=0),
    Case("ReduceSum-noop", "y = ReduceSum<noop_with_empty_axes = 1>(a)", 13),
    Case("ReduceL2-without-keepdims",
         "r = ReduceL2<axes = [3], keepdims = 0>(a)  y = Unsqueeze(r, ax)", consts={"ax": ints(3)}),
    Case("ReduceSum-all-stays", "r = ReduceSum(a)  y = Mul(b, r)", free=0),
    Case("ArgMax-over-width", "i = ArgMax<axis = 3>(a)  y = Cast<to = 1>(i)"),
    Case("ArgMax-over-channels-stays", "i = ArgMax<axis = 1>(a)  f = Cast<to = 1>(i)  "
         "y = Mul(b, f)", free=0),
    Case("Upsample-7", "y = Upsample<scales = [1.0, 1.0, 2.0, 2.0]>(a)", 7),
    Case("Upsample-9", "y = Upsample(a, s)", 9, consts={"s": np.float32([1, 1, 2, 2])}),
    Case("Resize-10", "y = Resize(a, s)", 10, consts={"s": np.float32([1, 1, 2, 2])}),
    Case("Resize-11-scales", "y = Resize<mode = \"nearest\">(a, r, s)", 11,
         consts={"r": np.float32([]), "s": np.float32([1, 1, 2, 2])}),
    Case("Resize-13-scales", "y = Resize(a, r, s)", 13,
         consts={"r": np.float32([]), "s": np.float32([1, 1, 2, 2])}),
    Case("Resize-11-empty-scales", "y = Resize(a, r, r, z)", 11,
         consts={"r": np.float32([]), "z": ints(1, 8, 9, 9)}),
    Case("Resize-13-sizes", "y = Resize<mode = \"linear\">(a, , , z)", 13,
         consts={"z": ints(1, 8, 9, 9)}),
    Case("Resize-13-computed-sizes",
         "sh = Shape(a)  f = Slice(sh, z0, z2)  z = Concat<axis = 0>(f, hw)  "
         "y = Resize<mode = \"linear\">(a, , , z)", 13,
         consts={"z0": ints(0), "z2": ints(2), "hw": ints(9, 9)}),
    Case("Resize-18-axes", "y = Resize<axes = [2, 3], mode = \"cubic\">(a, , , z)", 18,
         consts={"z": ints(9, 9)}),
    Case("Resize-18-channel-axis-too", "y = Resize<axes = [-2, 1]>(a, , , z)", 18,
         consts={"z": ints(9, 8)}),
    Case("Resize-over-channels-stays", "y = Resize(a, , s)", 13, free=0, y=(16,),
         consts={"s": np.float32([1, 2, 1, 1])}),
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
]  # fmt: skip

MOVING = [
    Case("Concat", "y = Concat<axis = 1>(a, b, a)", y=(24,)),
    Case("Concat-negative-axis", "y = Concat<axis = -3>(a, b)", y=(16,)),
    Case("Concat-with-constant", "y = Concat<axis = 1>(a, c)", y=(10,), consts={"c": normal(1, 2, 6, 6)}),
    Case("Concat-with-the-input", "y = Concat<axis = 1>(x, a)", y=(11,)),
    Case("Concat-over-height", "y = Concat<axis = 2>(a, b)"),
    Case("Split-11-equal", "l, r = Split<axis = 1>(a)  y = Add(l, r)", 11, y=(4,)),
    Case("Split-11-sizes", "l, r = Split<axis = 1, split = [3, 5]>(a)  y = Concat<axis = 1>(r, l)", 11, free=6),
    Case("Split-13-equal", "l, y = Split<axis = 1>(a)", 13, y=(4,)),
    Case("Split-13-sizes", "y, y1 = Split<axis = 1>(a, s)", 13, y=(3, 5), consts={"s": ints(3, 5)}),
    Case("Split-18-num-outputs", "y, y1, y2 = Split<axis = -3, num_outputs = 3>(a)", 18, y=(3, 3, 2)),
    Case("Split-18-halves", "y, y1 = Split<axis = 1, num_outputs = 2>(a)", 18, y=(4, 4)),
    Case("Split-over-height", "l, r = Split<axis = 2>(a)  y = Add(l, r)", 13),
    Case("Split-computed-sizes", "sh = Shape(a)  i = Gather(sh, one)  h = Div(i, two)  "
         "k = Sub(i, h)  s = Concat<axis = 0>(h, k)  l, r = Split<axis = 1>(a, s)  y = Mul(l, r)",
         13, y=(4,), consts={"one": ints(1), "two": ints(2)}),
    Case("Slice-9", "y = Slice<axes = [1], starts = [2], ends = [7]>(a)", 9, y=(5,)),
    Case("Slice-9-negative", "y = Slice<axes = [1], starts = [-5], ends = [-1]>(a)", 9, y=(4,)),
    Case("Slice-9-to-the-end", f"y = Slice<axes = [1], starts = [3], ends = [{BIG}]>(a)", 9, y=(5,)),
    Case("Slice-13", "y = Slice(a, s, e, ax)", 13, y=(5,),
         consts={"s": ints(2), "e": ints(7), "ax": ints(1)}),
    Case("Slice-13-negative", "y = Slice(a, s, e, ax)", 13, y=(4,),
         consts={"s": ints(-5), "e": ints(-1), "ax": ints(-3)}),
    Case("Slice-13-front", "y = Slice(a, s, e, ax)", 13, y=(6,),
         consts={"s": ints(0), "e": ints(-2), "ax": ints(1)}),
    Case("Slice-13-int-max", "y = Slice(a, s, e, ax)", 13, y=(5,),
         consts={"s": ints(3), "e": ints(BIG), "ax": ints(1)}),
    Case("Slice-13-both-sides", "l = Slice(a, z, e, ax)  r = Slice(a, e, m, ax)  y = Add(l, r)", 13,
         y=(4,), consts={"z": ints(0), "e": ints(4), "m": ints(BIG), "ax": ints(1)}),
    Case("Slice-several-axes", "y = Slice(a, s, e, ax, st)", 13, y=(5,),
         consts={"s": ints(0, 2), "e": ints(6, 7), "ax": ints(3, 1), "st": ints(2, 1)}),
    Case("Slice-without-axes", "y = Slice(a, s, e)", 13, y=(5,),
         consts={"s": ints(0, 2), "e": ints(1, 7)}),
    Case("Slice-int32", "y = Slice(a, s, e, ax)", 13, y=(5,),
         consts={"s": np.int32([2, 0]), "e": np.int32([7, 6]), "ax": np.int32([1, 2])}),
    Case("Slice-steps-stay", "y = Slice(a, s, e, ax, st)", 13, free=0, y=(4,),
         consts={"s": ints(0), "e": ints(8), "ax": ints(1), "st": ints(2)}),
    Case("Slice-flip", "y = Slice(a, s, e, ax, st)", 13,
         consts={"s": ints(-1), "e": ints(-BIG), "ax": ints(1), "st": ints(-1)}),
    Case("Slice-computed-half", "sh = Shape(a)  i = Gather(sh, one)  h = Div(i, two)  "
         "l = Slice(a, z, h, one)  r = Slice(a, h, i, one)  y = Mul(l, r)", 13, y=(4,),
         consts={"one": ints(1), "two": ints(2), "z": ints(0)}),
    Case("Focus-slices", "p = Slice(a, z, m, ax, st)  q = Slice(a, o, m, ax, st)  "
         "y = Concat<axis = 1>(p, q)", 13, y=(16,),
         consts={"z": ints(0), "o": ints(1), "m": ints(BIG), "ax": ints(2), "st": ints(2)}),
    Case("Gather-picks", "y = Gather<axis = 1>(a, i)", y=(6,), consts={"i": ints(7, 5, 3, 1, 0, 2)}),
    Case("Gather-negative-and-repeated", "y = Gather<axis = 1>(a, i)", y=(5,),
         consts={"i": ints(-1, 0, 0, -3, 4)}),
    Case("Gather-int32", "y = Gather<axis = -3>(a, i)", y=(4,), consts={"i": np.int32([6, 2, 4, 0])}),
    Case("Gather-one-position", "g = Gather<axis = 1>(a, i)  u = Unsqueeze(g, ax)  y = Mul(a, u)",
         free=7, consts={"i": np.int64(3), "ax": ints(1)}),
    Case("Gather-over-height", "y = Gather<axis = 2>(a, i)", consts={"i": ints(0, 2)}),
    Case("Gather-index-through-Cast", "r = Cast<to = 7>(i)  y = Gather<axis = 1>(a, r)", y=(2,),
         consts={"i": np.float32([0, 2])}),
    Case("Gather-computed-index-stays", "m = ReduceMean(a)  z = Mul(m, o)  c = Cast<to = 7>(z)  "
         "r = Unsqueeze(c, u)  q = Reshape(r, n)  y = Gather<axis = 1>(a, q)", free=0, y=(1,),
         consts={"o": np.float32(0), "u": ints(0), "n": ints(-1)}),
    Case("Gather-shuffle", "y = Gather<axis = 1>(a, i)", consts={"i": ints(0, 4, 1, 5, 2, 6, 3, 7)}),
    Case("Transpose", "t = Transpose<perm = [0, 2, 3, 1]>(a)  r = Relu(t)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(r)"),
    Case("Transpose-default", "t = Transpose(a)  y = Transpose(t)"),
    Case("Squeeze-Unsqueeze-11", "s = Squeeze<axes = [0]>(a)  y = Unsqueeze<axes = [0]>(s)", 11),
    Case("Squeeze-Unsqueeze-13", "s = Squeeze(a, ax)  y = Unsqueeze(s, ax)", 13, consts={"ax": ints(0)}),
    Case("Squeeze-without-axes", "p = GlobalAveragePool(a)  s = Squeeze(p)  y = Unsqueeze(s, ax)", 13,
         consts={"ax": ints(0, 2, 3)}),
    Case("Squeeze-without-axes-7", "p = GlobalAveragePool(a)  s = Squeeze(p)  "
         "y = Unsqueeze<axes = [0, 2, 3]>(s)", 7),
    Case("Expand", "p = GlobalAveragePool(a)  y = Expand(p, s)", consts={"s": ints(1, 8, 6, 6)}),
    Case("Expand-with-ones", "p = GlobalAveragePool(a)  y = Expand(p, s)", consts={"s": ints(1, 1, 6, 6)}),
    Case("Expand-short", "p = GlobalAveragePool(a)  y = Expand(p, s)", consts={"s": ints(8, 6, 6)}),
    Case("Expand-computed", "p = GlobalAveragePool(a)  s = Shape(a)  y = Expand(p, s)"),
    Case("Tile-channels", "y = Tile(a, s)", y=(16,), consts={"s": ints(1, 2, 1, 1)}),
    Case("Tile-height", "y = Tile(a, s)", consts={"s": ints(1, 1, 2, 1)}),
    Case("DepthToSpace", "y = DepthToSpace<blocksize = 2>(a)", y=(2,)),
    Case("DepthToSpace-CRD", "y = DepthToSpace<blocksize = 2, mode = \"CRD\">(a)", y=(2,)),
    Case("SpaceToDepth", "y = SpaceToDepth<blocksize = 2>(a)", y=(32,)),
    Case("If-ties-what-both-branches-return", "q = Greater(k, k)  y = If(q) "
         "<then_branch = t () => (float[1,8,6,6] u) { u = Relu(a) },"
         " else_branch = f () => (float[1,8,6,6] w) { w = Neg(a) }>",
         consts={"k": np.float32(1)}),
    Case("unknown-operator-stays", "u = Unique(a)  m = ReduceSum(u)  y = Mul(a, m)", free=0),
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
    Case("Add-in-a-weight-computed-from-two", "s = Add(w, v)  e = Sigmoid(s)  y = Conv(a, e)", y=(5,),
         consts={"w": normal(5, 8, 1, 1), "v": normal(5, 8, 1, 1)}),
    Case("Concat-of-single-channels-stays", "l, r = Split<axis = 1>(a, s)  "
         "c = Concat<axis = 3>(l, n)  y = Concat<axis = 1>(c, c)", free=7, y=(2,),
         consts={"s": ints(1, 7), "n": normal(1, 1, 6, 1)}),
    Case("Split-into-more-parts-than-are-followed-stays",
         f"z = Tile(a, t)  {', '.join(f'p{i}' for i in range(72))} = Split<axis = 1>(z, s)  "
         f"y = Concat<axis = 1>({', '.join(f'p{i}' for i in range(72))})", free=0, y=(72,),
         consts={"t": ints(1, 9, 1, 1), "s": np.ones(72, np.int64)}),
    Case("Split-into-parts-of-one-channel",
         "p, q, r, s, t, u, v, w = Split<axis = 1>(a)  y = Concat<axis = 1>(p, q, w, v)",
         free=0, y=(4,)),
    Case("Div-in-a-computed-weight", "d = Div(one, w)  y = Conv(a, d)", y=(5,),
         consts={"one": np.float32(1), "w": normal(5, 8, 1, 1)}, spare=("w",)),
    Case("runtime-sizes-stay", "n = Shape(a)  m = CumSum(n, k)  d = Sub(m, m)  q = Add(n, d)  "
         "y = Resize(a, , , q)", free=0, consts={"k": np.int64(0)}),
    Case("runtime-target-of-Expand-stays", "n = Shape(x)  m = CumSum(n, k)  d = Sub(m, m)  "
         "q = Add(d, o)  p = GlobalAveragePool(a)  y = Expand(p, q)", free=0,
         consts={"k": np.int64(0), "o": ints(1, 8, 6, 6)}),
    Case("ConstantOfShape-of-a-live-size-stays",
         "n = Shape(a)  e = ConstantOfShape(n)  c = Cos(e)  m = ReduceSum(c)  y = Mul(a, m)", free=0),
]  # fmt: skip

CONV = [
    Case("Conv-grouped", "y = Conv<group = 2>(a, w, c)", y=(6,),
         consts={"w": normal(6, 4, 1, 1), "c": normal(6)}),
    Case("Conv-depthwise", "y = Conv<group = 8, pads = [1, 1, 1, 1]>(a, w, c)",
         consts={"w": normal(8, 1, 3, 3), "c": normal(8)}),
    Case("Conv-depthwise-multiplied", "y = Conv<group = 8>(a, w)", y=(16,), consts={"w": normal(16, 1, 1, 1)}),
    Case("Conv-depthwise-7", "y = Conv<group = 8>(a, w)", 7, consts={"w": normal(8, 1, 1, 1)}),
    Case("Conv-shared-weight", "p = Conv(a, w)  r = Relu(p)  y = Conv(r, w)", consts={"w": normal(8, 8, 1, 1)}),
    Case("Conv-weight-through-nodes", "t = Transpose<perm = [1, 0]>(w)  r = Reshape(t, s)  i = Identity(r)  "
         "m = Mul(i, k)  y = Conv(a, m)", y=(5,),
         consts={"w": normal(8, 5), "s": ints(5, 8, 1, 1), "k": normal(5, 1, 1, 1)}),
    Case("Conv-weight-from-Constant-node", "y = Conv(a, w)  ", y=(5,), consts={"w": normal(5, 8, 1, 1)}),
    Case("Conv-dynamic-weight-depthwise", "p = GlobalAveragePool(b)  k = Transpose<perm = [1, 0, 2, 3]>(p)  "
         "y = Conv<group = 8>(a, k)", free=8),
    Case("Conv-dynamic-weight-stays", "p = GlobalAveragePool(b)  y = Conv(a, p)", free=0, y=(1,)),
    Case("ConvTranspose", "y = ConvTranspose<strides = [2, 2]>(a, w, c)", y=(5,),
         consts={"w": normal(8, 5, 2, 2), "c": normal(5)}),
    Case("ConvTranspose-grouped", "y = ConvTranspose<group = 2>(a, w, c)", y=(6,),
         consts={"w": normal(8, 3, 1, 1), "c": normal(6)}),
    Case("ConvTranspose-depthwise", "y = ConvTranspose<group = 8, strides = [2, 2]>(a, w)",
         consts={"w": normal(8, 1, 2, 2)}),
    Case("ConvTranspose-depthwise-multiplied", "y = ConvTranspose<group = 8>(a, w)", y=(16,),
         consts={"w": normal(8, 2, 1, 1)}),
    Case("Conv-of-padded-channels", "p = Pad(a, s)  y = Conv(p, w)", 13, y=(5,),
         consts={"s": ints(0, 1, 0, 0, 0, 1, 0, 0), "w": normal(5, 10, 1, 1)}),
]  # fmt: skip

RESHAPE = [
    Case("Reshape-flat", "f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, t)",
         consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-copies-and-infers", "f = Reshape(a, s)  y = Reshape(f, t)",
         consts={"s": ints(0, 0, -1), "t": ints(0, -1, 6, 6)}),
    Case("Reshape-zero-copies-a-live-axis", "f = Reshape(a, s)  y = Reshape(f, t)",
         consts={"s": ints(2, 0, 18), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-allowzero", "f = Reshape<allowzero = 1>(a, s)  y = Reshape(f, t)",
         consts={"s": ints(1, 8, -1), "t": ints(0, 0, 6, 6)}),
    Case("Reshape-from-Shape", "n = Shape(a)  f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, n)",
         consts={"s": ints(1, 8, -1)}),
    Case("Reshape-shared-constant", "f = Reshape(a, s)  g = Reshape(h, s)  u = Reshape(f, t)  "
         "w = Reshape(g, t)  y = Concat<axis = 1>(u, w)", y=(16,),
         consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("Reshape-shared-with-an-inert-one", "f = Reshape(a, s)  g = Reshape(k, s)  u = Reshape(f, t)  "
         "m = ReduceSum(g)  y = Mul(u, m)", consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6), "k": normal(1, 288)}),
    Case("Reshape-channel-shuffle", "f = Reshape(a, s)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  "
         "y = Reshape(p, t)", consts={"s": ints(1, 2, 4, 6, 6), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-channel-shuffle-inferred", "f = Reshape(a, s)  p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  "
         "y = Reshape(p, t)", consts={"s": ints(0, 2, -1, 6, 6), "t": ints(0, -1, 6, 6)}),
    Case("Reshape-into-one-position-each", "f = Reshape(a, s)  y = Reshape(f, t)",
         consts={"s": ints(1, 4, 2, 36), "t": ints(1, 8, 6, 6)}),
    Case("Reshape-weights-by-zero-of-a-moved-axis", "f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, t)",
         consts={"s": ints(8, 1, 6, 6), "t": ints(1, 8, 6, 6)}),
    Case("Flatten", "f = Flatten(a)  h = Gemm<transB = 1>(f, w, c)  y = Reshape(h, t)", y=(4,),
         consts={"w": normal(4, 288), "c": normal(4), "t": ints(1, 4, 1, 1)}),
    Case("Flatten-axis-2", "f = Flatten<axis = 2>(a)  y = Reshape(f, t)", consts={"t": ints(1, 8, 6, 6)}),
    Case("Flatten-axis-0", "f = Flatten<axis = 0>(a)  y = Reshape(f, t)", consts={"t": ints(1, 8, 6, 6)}),
    Case("Flatten-negative-axis", "p = GlobalAveragePool(a)  f = Flatten<axis = -3>(p)  "
         "h = MatMul(f, w)  y = Reshape(h, t)", y=(4,), consts={"w": normal(8, 4), "t": ints(1, 4, 1, 1)}),
    Case("Gemm-without-transB", "f = Flatten(a)  h = Gemm<alpha = 0.5, beta = 2.0>(f, w, c)  y = Reshape(h, t)",
         y=(4,), consts={"w": normal(288, 4), "c": normal(1, 4), "t": ints(-1, 4, 1, 1)}),
    Case("Gemm-without-bias", "f = Flatten(a)  h = Gemm(f, w)  y = Reshape(h, t)", 11,
         y=(4,), consts={"w": normal(288, 4), "t": ints(-1, 4, 1, 1)}),
    Case("Gemm-transA", "f = Flatten(a)  p = Transpose(f)  h = Gemm<transA = 1>(p, w)  y = Reshape(h, t)",
         y=(4,), consts={"w": normal(288, 4), "t": ints(-1, 4, 1, 1)}),
    Case("Gemm-weight-first", "f = Flatten(a)  p = Transpose(f)  h = Gemm(w, p)  y = Reshape(h, t)",
         y=(4,), consts={"w": normal(4, 288), "t": ints(1, 4, 1, 1)}),
    Case("MatMul", "p = Transpose<perm = [0, 2, 3, 1]>(a)  h = MatMul(p, w)  e = Add(h, c)  "
         "y = Transpose<perm = [0, 3, 1, 2]>(e)", y=(5,), consts={"w": normal(8, 5), "c": normal(5)}),
    Case("MatMul-weight-first", "f = Reshape(a, s)  h = MatMul(w, f)  y = Reshape(h, t)", y=(5,),
         consts={"w": normal(5, 8), "s": ints(1, 8, 36), "t": ints(1, 5, 6, 6)}),
    Case("MatMul-vector", "p = Transpose<perm = [0, 2, 3, 1]>(a)  h = MatMul(p, w)  y = Unsqueeze(h, o)", y=(1,),
         consts={"w": normal(8), "o": ints(1)}),
    Case("MatMul-of-activations-over-positions", "f = Reshape(a, s)  g = Reshape(b, s2)  h = MatMul(f, g)  "
         "y = Reshape(h, t)", y=(8,),
         consts={"s": ints(1, 8, 36), "s2": ints(1, 36, 8), "t": ints(1, 8, 8, 1)}),
    Case("MatMul-of-activations-over-channels-stays", "f = Reshape(a, s)  q = Transpose<perm = [0, 2, 1]>(f)  "
         "g = Reshape(b, s)  h = MatMul(q, g)  y = Reshape(h, t)", y=(1,), free=0,
         consts={"s": ints(1, 8, 36), "t": ints(1, 1, 36, 36)}),
    Case("attention-weights-leave-values-free", "f = Reshape(a, s)  q = Reshape(h, s)  "
         "qt = Transpose<perm = [0, 2, 1]>(q)  k = MatMul(qt, q)  p = Softmax<axis = -1>(k)  "
         "o = MatMul(f, p)  y = Reshape(o, t)",
         consts={"s": ints(1, 8, 36), "t": ints(1, 8, 6, 6), "wh": normal(8, 3, 1, 1)}),
    Case("dynamic-batch-Reshape", "n = Shape(a)  i = Gather(n, z)  s = Concat<axis = 0>(i, e, m)  "
         "f = Reshape(a, s)  r = Relu(f)  y = Reshape(r, t)", batch="N",
         consts={"z": ints(0), "e": ints(8), "m": ints(-1), "t": ints(-1, 8, 6, 6)}),
    Case("dynamic-batch-shuffle", "n = Shape(a)  i = Gather(n, z)  c = Gather(n, o)  h = Div(c, two)  "
         "s = Concat<axis = 0>(i, two, h, six, six)  f = Reshape(a, s)  "
         "p = Transpose<perm = [0, 2, 1, 3, 4]>(f)  u = Concat<axis = 0>(i, m, six, six)  y = Reshape(p, u)",
         batch="N", consts={"z": ints(0), "o": ints(1), "two": ints(2), "six": ints(6), "m": ints(-1)}),
    Case("dynamic-batch-shape-shared-with-an-inert-Reshape",
         "n = Shape(a)  i = Gather(n, z)  s = Concat<axis = 0>(i, e, m)  f = Reshape(a, s)  "
         "g = Reshape(x2, s)  u = ReduceMean<axes = [1, 2]>(g)  f4 = Reshape(f, t)  v = Reshape(u, t1)  "
         "y = Mul(f4, v)", batch="N",
         consts={"z": ints(0), "e": ints(8), "m": ints(-1), "t": ints(-1, 8, 6, 6), "t1": ints(-1, 1, 1, 1),
                 "sp": ints(1, 8, 1, 1)}),
    Case("dynamic-batch-size-used-twice-in-arithmetic",
         "n = Shape(a)  i = Gather(n, z)  e2 = Identity(e)  s = Concat<axis = 0>(i, e2, m)  f = Reshape(a, s)  "
         "f4 = Reshape(f, t)  q = Cast<to = 1>(e2)  y = Mul(f4, q)", batch="N", free=0,
         consts={"z": ints(0), "e": ints(8), "m": ints(-1), "t": ints(-1, 8, 6, 6)}),
]  # fmt: skip

CASES = [*UNARY, *NARY, *NORM, *SPATIAL, *MOVING, *CONV, *RESHAPE]


@each_case(CASES)
def test_pruned_operator_computes_what_the_masked_one_does(case):
    assert_prunes_exactly(case)


@each_case(CASES)
def test_own_validation_accepts_the_pruned_operator(case):
    assert_own_validation_accepts(case)
