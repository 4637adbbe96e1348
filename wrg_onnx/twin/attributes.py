"""Reading a node's attributes, and the operands that stand in for them since later opsets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from wrg_onnx.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wrg_onnx.graph.model import Array, Node

# The numbers of onnx.TensorProto.DataType.
_DTYPES = {
    1: torch.float32, 2: torch.uint8, 3: torch.int8, 4: torch.uint16, 5: torch.int16,
    6: torch.int32, 7: torch.int64, 9: torch.bool, 10: torch.float16, 11: torch.float64,
    12: torch.uint32, 13: torch.uint64, 16: torch.bfloat16,
}  # fmt: skip


def number(node: Node, name: str, default: float) -> float:
    """Return a float attribute, or the default where it is absent.

    Raises:
        ModelError: If it is of another type.
    """
    value = node.attributes.get(name, default)
    if not isinstance(value, (int, float, np.number)):
        raise ModelError(f"{node}: attribute '{name}' must be a number, got {value!r}")
    return float(value)


def dtype(node: Node, name: str, default: int | None = None) -> torch.dtype:
    """Return an attribute that names an element type.

    Raises:
        ModelError: If torch has no such type.
    """
    code = node.int(name, default)
    if code not in _DTYPES:
        raise ModelError(f"{node}: torch has no element type number {code} (attribute '{name}')")
    return _DTYPES[code]


def integers(operand: Tensor) -> list[int]:
    """Return the values of a shape-like operand; a scalar counts as a list of one."""
    return [int(value) for value in operand.reshape(-1).tolist()]


def axes(node: Node, operand: Tensor | None, *, rank: int) -> tuple[int, ...] | None:
    """Return the ``axes`` of a node, counted from the front, None where it names none.

    Args:
        node: Where the attribute is looked up, as in old opsets.
        operand: The input that replaced it.
        rank: The rank that negative axes count from.

    Raises:
        ModelError: If one is not in [-rank, rank).
    """
    if operand is not None:
        given = tuple(integers(operand))
    elif "axes" in node.attributes:
        given = node.ints("axes")
    else:
        return None
    for axis in given:
        if not -rank <= axis < max(rank, 1):
            raise ModelError(f"{node}: axis must be in [{-rank}, {rank}), got {axis}")
    return tuple(axis % max(rank, 1) for axis in given)


def optional(operands: Sequence[Tensor | None], count: int) -> list[Tensor | None]:
    """Return optional operands, those that a node leaves out at its end included."""
    return [*operands, *[None] * (count - len(operands))]


def to_tensor(array: Array) -> Tensor:
    """Copy a constant into a tensor of its own type."""
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def to_array(tensor: Tensor, like: Array) -> Array:
    """Copy a tensor into an array of the type and shape of another."""
    values = tensor.detach().cpu()
    if values.dtype == torch.bfloat16:  # numpy has none of its own; every value fits a float32
        values = values.float()
    return np.array(values.numpy().astype(like.dtype)).reshape(like.shape)
