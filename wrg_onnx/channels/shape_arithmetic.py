"""One node of shape arithmetic: what it computes of sizes, and which numbers it uses up."""

from __future__ import annotations

from collections.abc import Sequence

from wrg_onnx.channels.sizes import MOST_COMPUTED, Place, Sizes
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.graph import Node


def compute_sizes(
    node: Node, operands: Sequence[Sizes | None], shape: Sizes | None
) -> Sizes | None:
    """Evaluate one node of shape arithmetic.

    Args:
        node: The node.
        operands: Its inputs as sizes, None for other tensors and absent ones.
        shape: The shape of its first input, for operator Shape, where all sizes begin.

    Returns:
        Its first output as sizes, or None if this node is no shape arithmetic.
    """
    if node.op == "Shape" and not node.domain and shape is not None:
        return shape[_shape_window(node)]
    rule = traits_of(node).sizes
    known = [sizes for sizes in operands if sizes is not None]
    if rule is None or not known or len(known) < len(operands):
        return None
    if sum(sizes.size for sizes in known) > MOST_COMPUTED:
        return None  # no sizes: lists that are joined again and again, say
    return rule.evaluate(node, known)


def _shape_window(node: Node) -> slice:
    end = node.attributes.get("end")
    return slice(node.int("start", 0), int(end) if isinstance(end, int) else None)


def used_up(node: Node, operands: Sequence[Sizes | None], computed: Sizes) -> set[Place]:
    """Return the numbers that a node of shape arithmetic turns into others.

    Such a number cannot be written anew for the sake of another reader: the result would change.
    What a Gather or Slice merely leaves out does not count, nor what is held against -1, the mark
    of an axis to keep: any number of channels differs from it.
    """
    rule = traits_of(node).sizes
    if (
        rule is not None
        and rule.spares_marks
        and any(_is_mark(s) for s in operands if s is not None)
    ):
        return set()
    moved = 0 if rule is None else rule.moved
    kept = {size.source for size in computed.reshape(-1)}
    found: set[Place] = set()
    for position, sizes in enumerate(operands):
        if sizes is not None and position >= moved:
            found.update(s.source for s in sizes.reshape(-1) if s.source is not None)
    return found - {source for source in kept if source is not None}


def _is_mark(sizes: Sizes) -> bool:
    return all(size.value < 0 and not size.ids for size in sizes.reshape(-1))
