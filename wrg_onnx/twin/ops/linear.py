"""Linear algebra: products of matrices, and what reads a matrix as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.attributes import integers, number
from wrg_onnx.twin.table import plain, twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node
if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


twin_op("MatMul", since=1)(plain(torch.matmul))
twin_op("Det", since=11)(plain(torch.det))


@twin_op("Gemm", since=7)
def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    """Compute ``alpha * A' B' + beta * C``, A' and B' transposed where the node says so.

    Source: https://onnx.ai/onnx/operators/onnx__Gemm.html
    """
    alpha, beta = number(node, "alpha", 1.0), number(node, "beta", 1.0)
    a = a.t() if node.int("transA", 0) else a
    plain_bias = c is None or (c.dim() == 1 and c.shape[0] == b.shape[0])
    if alpha == beta == 1.0 and node.int("transB", 0) and plain_bias:
        return functional.linear(a, b, c)
    product = a @ (b.t() if node.int("transB", 0) else b)
    product = product if alpha == 1.0 else alpha * product
    if c is None:
        return product
    return product + (c if beta == 1.0 else beta * c)


@twin_op("Einsum", since=12)
def einsum(node: Node, *operands: Tensor) -> Tensor:
    """Sum products by an equation in index letters."""
    return torch.einsum(node.str("equation", "").replace(" ", ""), *operands)


@twin_op("Trilu", since=14, host=(1,))
def trilu(node: Node, x: Tensor, operand: Tensor | None = None) -> Tensor:
    """Keep one triangle of the last two axes, from the k-th diagonal on."""
    k = 0 if operand is None else integers(operand)[0]
    return x.triu(k) if node.int("upper", 1) else x.tril(k)
