"""Torch's fused kernels for recurrent layers, which compute the usual form of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.attributes import number

if TYPE_CHECKING:
    from wrg_onnx.graph.model import Node


DEFAULTS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",),
}  # fmt: skip
"""The activations that each operator has where the node names none."""


def fits_kernel(node: Node) -> bool:
    """Tell whether a kernel computes this form of a layer, lengths and peepholes aside."""
    names = node.attributes.get("activations", ())
    default = DEFAULTS[node.op]
    usual = not names or tuple(names) in (default, default * 2)  # type: ignore[arg-type]
    if node.op == "GRU" and not node.int("linear_before_reset", 0):
        return False
    return usual and not number(node, "clip", 0.0) and not node.int("input_forget", 0)


# Which ONNX gate each gate of torch is: i, f, g, o of i, o, f, c; and r, z, n of z, r, h.
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}


def run_kernel(
    node: Node, x: Tensor, operands: tuple[Tensor, Tensor, Tensor], states: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Run all directions in one kernel.

    Args:
        node: The layer, of a form that fits.
        x: (S, N, I).
        operands: w (D, g*H, I), r (D, g*H, H) and b (D, 2*g*H), the gates in the order of ONNX.
        states: (D, N, H) each.

    Returns:
        Y (S, D, N, H) and the last states.
    """
    directions, hidden = operands[1].shape[0], operands[1].shape[2]
    parameters = _laid_out(node, operands)
    backward = directions == 1 and node.str("direction", "forward") == "reverse"
    x = x.flip(0) if backward else x
    # In training mode, or cuDNN keeps nothing for the backward pass; nothing is dropped.
    options = (True, 1, 0.0, True, directions == 2, False)
    if node.op == "LSTM":
        y, *last = torch.lstm(x, list(states), parameters, *options)
    else:
        run = torch.gru if node.op == "GRU" else torch.rnn_tanh
        y, *last = run(x, states[0], parameters, *options)
    y = y.flip(0) if backward else y
    return (y.reshape(*y.shape[:2], directions, hidden).transpose(1, 2), *last)


def _laid_out(node: Node, operands: tuple[Tensor, Tensor, Tensor]) -> list[Tensor]:
    """Return the weights by direction in torch's order of gates: input, hidden, and their biases.

    They are parts of one buffer, first all weights, then all biases: cuDNN reads them where they
    are, and would otherwise copy them in every call.
    """
    w, r, b = operands
    gates = _GATES[node.op]
    weights = [operand for pair in zip(w, r, strict=True) for operand in pair]
    biases = [half for both in b for half in both.chunk(2)]
    ordered = []
    for operand in (*weights, *biases):
        blocks = operand.chunk(len(gates))
        ordered += [blocks[gate] for gate in gates]
    flat = torch.cat([block.reshape(-1) for block in ordered])
    shapes = [operand.shape for operand in (*weights, *biases)]
    parts = torch.split(flat, [shape.numel() for shape in shapes])
    views = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
    count = len(weights)
    places = [(i, i + 1, count + i, count + i + 1) for i in range(0, count, 2)]
    return [views[place] for of_direction in places for place in of_direction]
