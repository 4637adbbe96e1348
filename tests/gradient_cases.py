"""One case for each form of a differentiable operator, for the gradient checks of the twin.

Inputs are float64 and distinct, so that no maximum has two places.
"""
# ruff: noqa: E501 - a case reads best unbroken

from __future__ import annotations

from dataclasses import dataclass, field

import torch

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Gradient:
    op: str
    inputs: tuple
    attributes: dict = field(default_factory=dict)
    version: int = 28
    domain: str = ""
    outputs: int = 1

    def __str__(self):
        told = ",".join(f"{key}={value}" for key, value in self.attributes.items())
        return f"{self.domain and 'ms.'}{self.op}-{self.version}({told})"


def shaped(*shape, seed=0, low=-1.0, high=1.0):
    """Return distinct float64 values in no order: ties have no gradient."""
    count = torch.Size(shape).numel()
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + count))
    values = torch.linspace(low, high, count + 1, dtype=torch.float64)[:-1] + 0.37 / count
    return values[order].reshape(shape).requires_grad_()


def integers(*values):
    return torch.tensor(values)


def case(op, *inputs, version=28, outputs=1, **attributes):
    return Gradient(op, inputs, attributes, version, outputs=outputs)


def fused(op, *inputs, outputs=1, **attributes):
    return Gradient(op, inputs, attributes, 1, MICROSOFT, outputs)


X = shaped(2, 3, 4)
POSITIVE = shaped(2, 3, 4, low=0.5, high=2.0)
IMAGE = shaped(1, 2, 4, 5)
PADS = integers(0, 1, 2, 0, 1, 1)

POINTWISE = [
    *(case(op, X) for op in (
        "Abs", "Asinh", "Atan", "Cos", "Cosh", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish",
        "Identity", "LeakyRelu", "Mish", "Neg", "Relu", "Selu", "Sigmoid", "Sin", "Sinh",
        "Softplus", "Softsign", "Swish", "Tan", "Tanh", "Dropout",
    )),
    *(case(op, shaped(2, 3, low=-0.8, high=0.8)) for op in ("Acos", "Asin", "Atanh")),
    *(case(op, POSITIVE) for op in ("Log", "Reciprocal", "Sqrt")),
    case("Acosh", shaped(2, 3, low=1.5, high=3.0)),
    case("Celu", X, alpha=0.5), case("Elu", X, alpha=0.5), case("Gelu", X, approximate="tanh"),
    case("Shrink", X, lambd=0.3, bias=0.1), case("Swish", X, alpha=2.0),
    case("ThresholdedRelu", X, alpha=0.3),
    *(case("PRelu", X, shaped(*slope, low=0.1)) for slope in [(1,), (3, 1), (2, 3, 4)]),
    case("SwiGLU", X, shaped(2, 3, 4, seed=1), alpha=1.5),
    *(case(op, shaped(2, 3, low=0.5), shaped(4, 1, 3, low=2.1, high=3.0))
      for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean")),
    case("Mod", shaped(3, low=5.1, high=6.0), torch.tensor(2.0), fmod=1),
    case("Pow", POSITIVE, torch.tensor(2.0)), case("Pow", shaped(3, 2, low=0.5), shaped(2, seed=1)),
    case("Where", torch.tensor([[True], [False]]), shaped(2, 3), shaped(1, 3)),
    case("Clip", X, torch.tensor(-0.5), torch.tensor(0.4)), case("Clip", X, version=6, min=-0.5),
    case("Cast", X, to=11), case("CastLike", X, torch.zeros(1, dtype=torch.float64)),
]  # fmt: skip

NORMALISING = [
    *(case(op, X, version=version, axis=1) for op in ("Softmax", "LogSoftmax") for version in (7, 13)),
    case("MeanVarianceNormalization", X, axes=(0, 2)), case("LRN", X, size=3),
    *(case("LpNormalization", X, axis=1, p=p) for p in (1, 2)),
    case("BatchNormalization", X, shaped(3, seed=1), shaped(3, seed=2), shaped(3, seed=3).detach(),
         shaped(3, low=0.5).detach()),
    case("BatchNormalization", X, shaped(3, seed=1), shaped(3, seed=2), shaped(3, seed=3).detach(),
         shaped(3, low=0.5).detach(), training_mode=1),
    case("InstanceNormalization", X, shaped(3, seed=1), shaped(3, seed=2)),
    case("GroupNormalization", shaped(2, 4, 3), shaped(4, seed=1), shaped(4, seed=2), num_groups=2),
    case("GroupNormalization", shaped(2, 4, 3), shaped(2), shaped(2, seed=1), version=18, num_groups=2),
    case("LayerNormalization", X, shaped(3, 4), shaped(3, 4, seed=1), axis=1),
    case("LayerNormalization", X, shaped(4), None, outputs=3),
    case("RMSNormalization", X, shaped(4)), case("SimplifiedLayerNormalization", X, shaped(4), outputs=2),
    fused("SkipLayerNormalization", X, shaped(3, 4), shaped(4), shaped(4, seed=1), shaped(4, seed=2), outputs=4),
    fused("SkipSimplifiedLayerNormalization", X, shaped(2, 3, 4, seed=1), shaped(4), shaped(4, seed=1), outputs=4),
    fused("EmbedLayerNormalization", integers([0, 2]), integers([1, 0]), shaped(3, 4), shaped(2, 4, seed=1),
          shaped(2, 4, seed=2), shaped(4), shaped(4, seed=1)),
    fused("GroupNorm", shaped(1, 2, 2, 4), shaped(4), shaped(4, seed=1), groups=2, activation=1),
    fused("SkipGroupNorm", shaped(1, 4, 2, 2), shaped(4), shaped(4, seed=1), shaped(1, 4), shaped(4, seed=2),
          groups=2, activation=0, channels_last=0, outputs=2),
]  # fmt: skip

WINDOWS = [
    {"strides": (2, 2), "pads": (1, 1, 1, 1)},
    {"strides": (2, 2), "ceil_mode": 1},
    {"auto_pad": "SAME_UPPER", "strides": (2, 1)},
    {"dilations": (2, 1), "pads": (0, 1, 1, 0)},
]
SPATIAL = [
    *(case("Conv", IMAGE, shaped(4, 2 // group, 2, 3), shaped(4), group=group, **attributes)
      for group in (1, 2)
      for attributes in ({}, {"pads": (1, 1, 1, 1), "strides": (2, 2)}, {"pads": (0, 1, 2, 0), "dilations": (1, 2)},
                         {"auto_pad": "SAME_LOWER", "strides": (2, 1)})),
    *(case("ConvTranspose", shaped(1, 2, 3, 3), shaped(2, 2, 3, 3), shaped(2), **attributes)
      for attributes in ({"strides": (2, 2), "pads": (1, 1, 1, 1), "output_padding": (1, 1)},
                         {"strides": (2, 1), "pads": (0, 1, 1, 0)}, {"strides": (2, 2), "output_shape": (6, 7)})),
    *(case(op, shaped(1, 2, 4, 5, low=0.1), kernel_shape=(2, 2), **attributes)
      for op in ("MaxPool", "AveragePool", "LpPool") for attributes in WINDOWS),
    *(case(op, shaped(2, 3, 2, 2)) for op in ("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")),
    case("MaxUnpool", shaped(1, 1, 1, 2), integers([[[[0, 3]]]]), kernel_shape=(2, 2), strides=(2, 2)),
    case("CausalConvWithState", shaped(1, 2, 4), shaped(2, 1, 3), shaped(2), shaped(1, 2, 2), outputs=2,
         activation="silu"),
    case("Col2Im", shaped(1, 8, 4), integers(4, 4), integers(2, 2), strides=(2, 2)),
    case("Col2Im", shaped(1, 8, 3), integers(5), integers(4), pads=(0, 1), dilations=(1,)),
    case("DeformConv", shaped(1, 2, 3, 3), shaped(2, 1, 2, 2), shaped(1, 8, 2, 2, low=0.2, high=0.7),
         shaped(2), shaped(1, 4, 2, 2), group=2),
    case("GridSample", shaped(1, 1, 3, 3), shaped(1, 2, 2, 2, low=-0.6, high=0.5)),
    case("AffineGrid", shaped(1, 2, 3), integers(1, 1, 2, 2)),
    *(case("RoiAlign", shaped(1, 2, 5, 5), torch.tensor([[0.3, 0.2, 3.6, 4.1]], dtype=torch.float64),
           integers(0), output_height=2, output_width=2, mode=mode, version=version)
      for version in (10, 16) for mode in ("avg", "max")),
    case("MaxRoiPool", shaped(1, 2, 5, 5), torch.tensor([[0.0, 1, 0, 4, 3]]), pooled_shape=(2, 2)),
    *(case("Resize", shaped(1, 1, 3, 4), None, None, integers(*sizes), version=19, mode=mode,
           coordinate_transformation_mode=transform)
      for sizes in [(1, 1, 6, 8), (1, 1, 5, 2)] for mode in ("nearest", "linear", "cubic")
      for transform in ("half_pixel", "align_corners", "asymmetric")),
    case("Resize", shaped(1, 1, 3, 4), torch.tensor([1.0, 1, 2, 2]), version=10, mode="linear"),
    case("Upsample", shaped(1, 1, 3, 4), torch.tensor([1.0, 1, 2, 2]), version=9, mode="linear"),
    case("Upsample", shaped(1, 1, 3, 4), version=7, scales=(1.0, 1.0, 2.0, 2.0)),
    case("DepthToSpace", shaped(1, 4, 2, 2), blocksize=2),
    case("DepthToSpace", shaped(1, 4, 2, 2), blocksize=2, mode="CRD"),
    case("SpaceToDepth", shaped(1, 1, 4, 2), blocksize=2),
    fused("NhwcMaxPool", shaped(1, 4, 4, 2), kernel_shape=(2, 2)),
]  # fmt: skip

PRODUCTS = [
    case("MatMul", X, shaped(4, 2)), case("Einsum", shaped(2, 3), shaped(3, 4), equation="ij, jk -> ik"),
    case("Gemm", shaped(2, 3), shaped(4, 3), shaped(4), transB=1),
    case("Gemm", shaped(3, 2), shaped(3, 4), shaped(1, 4), transA=1, alpha=0.5, beta=2.0),
    case("Det", shaped(2, 3, 3)),
    fused("FusedConv", IMAGE, shaped(2, 2, 2, 2), shaped(2), shaped(1, 2, 3, 4, seed=1), activation="Tanh"),
    *(fused(op, shaped(1, 3, 3, 2), shaped(2, 2, 2, 2), shaped(2), activation="LeakyRelu", activation_params=(0.1,))
      for op in ("NhwcConv", "NhwcFusedConv")),
    fused("FusedGemm", shaped(2, 3), shaped(3, 4), shaped(4), activation="HardSigmoid", activation_alpha=0.3,
          activation_beta=0.4),
    *(fused(op, shaped(3, 2, 4), shaped(3, 2, 5), transA=1, alpha=0.5)
      for op in ("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul")),
    fused("FusedMatMul", shaped(3, 2, 4), shaped(2, 5, 4), transBatchA=1, transB=1),
    fused("GemmFastGelu", X, shaped(4, 2), shaped(2)),
    *(fused(op, X, shaped(4)) for op in ("BiasGelu", "FastGelu", "BiasSplitGelu")),
    *(fused(op, X) for op in ("Gelu", "QuickGelu")),
    fused("BiasAdd", X, shaped(4), shaped(2, 3, 4, seed=1)),
    fused("BiasDropout", X, shaped(4), shaped(2, 3, 4, seed=1), outputs=2),
]  # fmt: skip

REDUCING = [
    *(case(f"Reduce{op}", POSITIVE, integers(0, -1), version=18, keepdims=0)
      for op in ("Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")),
    case("CumSum", X, integers(1), exclusive=1, reverse=1),
    case("CumProd", X, integers(1), exclusive=1, reverse=1), case("CumProd", X, integers(0)),
]  # fmt: skip

MOVING = [
    case("Reshape", X, integers(0, -1)), case("Flatten", X), case("Transpose", X, perm=(2, 0, 1)),
    case("Squeeze", shaped(2, 1, 3), integers(1)), case("Unsqueeze", X, integers(0, -1)),
    case("Expand", X, integers(2, 1, 1, 1)), case("Tile", X, integers(1, 2, 2)),
    case("Concat", shaped(2, 3), shaped(2, 1), axis=-1), case("Split", X, integers(1, 2), outputs=2, axis=1),
    case("Slice", X, integers(-1), integers(-9), integers(2), integers(-2)),
    case("Slice", X, version=1, axes=(1,), starts=(1,), ends=(3,)),
    case("Gather", X, integers(2, -3, 2), axis=1),
    case("GatherElements", X, integers([[0, -1, 1, 1]], [[2, 0, 0, 1]]), axis=1),
    case("GatherND", X, integers([0, 2], [-1, 0])),
    case("Compress", X, torch.tensor([True, False, True]), axis=1),
    case("ReverseSequence", X, integers(1, 3), batch_axis=0, time_axis=1),
    case("Pad", X, integers(0, 1, -1, 0, 0, 2), torch.tensor(0.5)),
    *(case("Pad", X, PADS, mode=mode) for mode in ("reflect", "edge", "wrap")),
    case("Pad", X, version=2, pads=(0, 1, 0, 0, 0, 2)), case("CenterCropPad", X, integers(3, 2, 7)),
    case("TopK", X, integers(2), axis=1), case("Trilu", X, integers(1)),
    *(case("ScatterND", shaped(3, 2), integers([2], [0]), shaped(2, 2, low=-2.0, high=2.1), reduction=how)
      for how in ("none", "add", "max", "mul")),
    *(case(op, shaped(2, 3), integers([0, 2]), shaped(1, 2, seed=1), version=version, axis=1)
      for op, version in (("ScatterElements", 18), ("Scatter", 9))),
    case("TensorScatter", shaped(2, 3, 2), shaped(2, 2, 2, seed=1), integers(1, 0)),
    case("OneHot", integers(1, 0), torch.tensor(3), shaped(2)),
]  # fmt: skip

SEQUENCES = [
    *(case("DFT", shaped(1, 4, parts), None, integers(1), inverse=inverse, onesided=onesided)
      for parts, inverse, onesided in ((1, 0, 0), (1, 0, 1), (2, 0, 0), (2, 1, 0), (2, 1, 1))),
    case("DFT", shaped(1, 4, 1), version=17),
    *(case("STFT", shaped(1, 6, parts), torch.tensor(2), shaped(4).detach(), onesided=onesided)
      for parts, onesided in ((1, 1), (1, 0), (2, 0))),
    case("Attention", shaped(1, 2, 3, 2), shaped(1, 1, 4, 2), shaped(1, 1, 4, 2, seed=1), is_causal=1, softcap=2.0),
    case("Attention", shaped(1, 3, 4), shaped(1, 3, 4, seed=1), shaped(1, 3, 4, seed=2), q_num_heads=2, kv_num_heads=2),
    case("Attention", shaped(1, 1, 2, 2), shaped(1, 1, 2, 2, seed=1), shaped(1, 1, 2, 2, seed=2),
         torch.tensor([[True, False], [False, False]])),
    case("RotaryEmbedding", shaped(1, 2, 2, 4), shaped(1, 2, 2), shaped(1, 2, 2, seed=1)),
    case("RotaryEmbedding", shaped(1, 2, 8), shaped(3, 1), shaped(3, 1, seed=1), integers([2, 0]), num_heads=2,
         interleaved=1, rotary_embedding_dim=2),
    case("LinearAttention", shaped(1, 3, 4), shaped(1, 3, 2), shaped(1, 3, 3), shaped(1, 1, 2, 3), shaped(1, 3, 1),
         shaped(1, 3, 1, seed=1), outputs=2, q_num_heads=2, kv_num_heads=1),
    fused("Attention", shaped(1, 3, 2), shaped(2, 12), shaped(12), integers([1, 1, 0]), num_heads=2),
    fused("MultiHeadAttention", shaped(1, 3, 4), shaped(1, 2, 4), shaped(1, 2, 4, seed=1), shaped(12), num_heads=2),
    fused("GroupQueryAttention", shaped(1, 2, 4), shaped(1, 2, 2), shaped(1, 2, 2, seed=1), None, None, integers(1),
          torch.tensor(2), shaped(3, 1), shaped(3, 1, seed=1), num_heads=2, kv_num_heads=1, do_rotary=1, outputs=3),
    fused("RotaryEmbedding", shaped(1, 2, 4), integers(1), shaped(4, 1), shaped(4, 1, seed=1)),
]  # fmt: skip

LOSSES = [
    *(case("NegativeLogLikelihoodLoss", shaped(2, 3, 4), integers([0, 2, 1, 1], [2, 2, 0, 1]), *weight, reduction=how)
      for how in ("none", "sum", "mean") for weight in ((), (shaped(3, low=0.5).detach(),))),
]  # fmt: skip

OWN = [
    fused("MatMulNBits", shaped(2, 18), torch.arange(32).to(torch.uint8).reshape(2, 2, 8), shaped(2, 2).detach(), None,
          None, shaped(2), K=18, N=2, bits=4, block_size=16),
    Gradient("Reinterpret", (X, torch.tensor(0.5), torch.tensor(3), torch.tensor(0.2), torch.tensor(1)), {}, 1, "wrg_onnx"),
    *(Gradient(op, (shaped(1, 2, 2, 3),), {}, 1, "wrg_onnx") for op in ("ChannelsFirst", "ChannelsLast")),
]  # fmt: skip

CASES = [
    *POINTWISE,
    *NORMALISING,
    *SPATIAL,
    *PRODUCTS,
    *REDUCING,
    *MOVING,
    *SEQUENCES,
    *LOSSES,
    *OWN,
]
