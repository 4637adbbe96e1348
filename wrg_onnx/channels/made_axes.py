"""Axes that a node makes from a number: their positions are all alike."""

from __future__ import annotations

from wrg_onnx.channels.axes import Call
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.sizes import Size


def made_axis(call: Call, position: int, element: int, *, may_be_new: bool) -> IdArray | None:
    """Return the ids of an axis whose length stands in a shape operand.

    Args:
        call: The node.
        position: The operand's input position.
        element: The flat index of the length in it.
        may_be_new: Whether a length of its own, written into the file, gets ids of its own.

    Returns:
        The ids of the axis whose length this is: its positions go with those of that one. New ids
        for a length of its own. None where neither is so: the axis stays as it is.
    """
    sizes = call.operand(position).sizes
    if sizes is None:
        return None
    size: Size = sizes.reshape(-1)[element]
    # Whether the number follows that axis through every removal is checked with all demands.
    for ids in size.ids:
        if len(ids) == size.value:
            return ids
    is_own = not size.ids and not size.is_open and size.source is not None
    if may_be_new and is_own and size.value > 1 and call.new_ids is not None:
        return call.new_ids(int(size.value))
    return None
