"""Losses that a graph computes itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from wrg_onnx.twin.table import twin_op

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


@twin_op("NegativeLogLikelihoodLoss", since=12, fixed=(2,))
def negative_log_likelihood(
    node: Node, x: Tensor, labels: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Take the negative log probability of each label; a mean is over the weights of the labels.

    Shapes:
        x (N, C, d...), labels (N, d...), weight (C) -> (N, d...), or () where it is summed up.

    Source: https://onnx.ai/onnx/operators/onnx__NegativeLogLikelihoodLoss.html
    """
    # ONNX leaves no label out by default; -100, torch's mark of one to leave out, is no class.
    return functional.nll_loss(
        x,
        labels.long(),
        weight,
        ignore_index=node.int("ignore_index", -100),
        reduction=node.str("reduction", "mean"),
    )
