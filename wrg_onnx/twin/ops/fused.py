"""Products, convolutions and activations as ONNX Runtime's optimiser fuses them.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.channels.table import MICROSOFT
from wrg_onnx.errors import ModelError
from wrg_onnx.twin.attributes import number
from wrg_onnx.twin.ops.convolution import conv
from wrg_onnx.twin.ops.linear import gemm
from wrg_onnx.twin.ops.pooling import max_pool
from wrg_onnx.twin.table import lookup, plain, twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


_OPSET = 13
_PARAMETERS = {"HardSigmoid": ("alpha", "beta"), "Softmax": ("axis",)}
twin_op("Gelu", since=1, domain=MICROSOFT)(plain(functional.gelu))
twin_op("BiasGelu", since=1, domain=MICROSOFT)(lambda _node, x, bias: functional.gelu(x + bias))


@twin_op("FusedConv", since=1, domain=MICROSOFT)
def fused_conv(
    node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None, term: Tensor | None = None
) -> Tensor:
    """Convolve, add a term, and apply an activation."""
    y = conv(node, x, weight, bias)
    return _activate(node, y if term is None else y + term)


@twin_op("NhwcConv", "NhwcFusedConv", since=1, domain=MICROSOFT)
def nhwc_conv(
    node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None, term: Tensor | None = None
) -> Tensor:
    """Do as FusedConv does on channels that come last; the weight is laid out as that of Conv."""
    moved = None if term is None else term.movedim(-1, 1)
    return fused_conv(node, x.movedim(-1, 1), weight, bias, moved).movedim(1, -1)


@twin_op("NhwcMaxPool", since=1, domain=MICROSOFT)
def nhwc_max_pool(node: Node, x: Tensor) -> Tensor:
    """Pool channels that come last."""
    pooled = max_pool(node, x.movedim(-1, 1))
    assert isinstance(pooled, Tensor)  # the operator has one output
    return pooled.movedim(1, -1)


@twin_op("FusedGemm", since=1, domain=MICROSOFT)
def fused_gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Compute a Gemm and apply an activation."""
    return _activate(node, gemm(node, a, b, c))


@twin_op("FusedMatMul", "FusedMatMulActivation", "TransposeMatMul", since=1, domain=MICROSOFT)
def fused_matmul(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """Turn the operands, multiply them, scale the product and apply an activation."""
    a = _turned(a, node.int("transBatchA", 0), node.int("transA", 0))
    b = _turned(b, node.int("transBatchB", 0), node.int("transB", 0))
    alpha = number(node, "alpha", 1.0)
    product = a @ b
    return _activate(node, product if alpha == 1.0 else alpha * product)


def _turned(x: Tensor, moves_first: int, swaps: int) -> Tensor:
    """Move the first axis behind the batch axes, then swap the last two; a vector stays."""
    if moves_first and x.dim() > 2:
        x = x.movedim(0, -2)
    return x.transpose(-1, -2) if swaps and x.dim() > 1 else x


@twin_op("GemmFastGelu", since=1, domain=MICROSOFT)
def gemm_fast_gelu(_node: Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Multiply matrices, add a bias, and apply the tanh form of Gelu."""
    y = x @ weight
    return functional.gelu(y if bias is None else y + bias, approximate="tanh")


@twin_op("FastGelu", since=1, domain=MICROSOFT)
def fast_gelu(_node: Node, x: Tensor, bias: Tensor | None = None) -> Tensor:
    """Add a bias and apply the tanh form of Gelu."""
    return functional.gelu(x if bias is None else x + bias, approximate="tanh")


@twin_op("QuickGelu", since=1, domain=MICROSOFT)
def quick_gelu(node: Node, x: Tensor) -> Tensor:
    """Compute ``x * sigmoid(alpha * x)``."""
    return x * torch.sigmoid(number(node, "alpha", 1.702) * x)


@twin_op("BiasAdd", since=1, domain=MICROSOFT)
def bias_add(_node: Node, x: Tensor, bias: Tensor, skip: Tensor) -> Tensor:
    """Add a bias to the last axis, and a skip connection."""
    return x + bias + skip


@twin_op("BiasSplitGelu", since=1, domain=MICROSOFT)
def bias_split_gelu(_node: Node, x: Tensor, bias: Tensor) -> Tensor:
    """Add a bias, and gate the first half of the last axis by Gelu of the second."""
    half, gate = (x + bias).chunk(2, -1)
    return half * functional.gelu(gate)


@twin_op("BiasDropout", since=1, domain=MICROSOFT, host=(3, 4))
def bias_dropout(
    node: Node, x: Tensor, bias: Tensor, residual: Tensor | None = None, *_options: Tensor | None
) -> Tensor | tuple[Tensor, ...]:
    """Add a bias and a residual; like Dropout, it drops nothing in the network as deployed."""
    y = x + bias
    y = y if residual is None else y + residual
    return (y, torch.ones_like(x, dtype=torch.bool))[: len(node.outputs)]


def _activate(node: Node, y: Tensor) -> Tensor:
    """Apply the activation that a node names, with its parameters."""
    name = node.str("activation", "")
    if not name:
        return y
    numbers = _numbers(node)
    if name == "Clip":
        return y.clamp(*numbers)
    entry = lookup("", name, _OPSET)
    if entry is None:
        raise ModelError(f"{node}: the twin has no activation '{name}'")
    names = _PARAMETERS.get(name, ("alpha",))
    attributes = dict(zip(names, numbers, strict=False))
    if "axis" in attributes:
        attributes["axis"] = int(attributes["axis"])
    result = entry.function(replace(node, op=name, attributes=attributes), y)
    assert isinstance(result, Tensor)
    return result


def _numbers(node: Node) -> Sequence[float]:
    given = node.attributes.get("activation_params", ())
    if isinstance(given, tuple) and given:
        return tuple(float(value) for value in given)
    if "activation_axis" in node.attributes:
        return (node.int("activation_axis"),)
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    return tuple(number(node, name, 0.0) for name in names if name in node.attributes)
