"""What a loop's body is fed carries the ids of where it comes from."""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.graph import Flat, Node, Shape

SCANNED = "goes through this axis position by position"
CHANGES = Why(
    "hands this axis on at a shape that is not known, or changes between iterations", Kind.NO_SHAPE
)


def find_axes(
    name: str,
    axes: dict[str, Axes],
    flat: Flat,
    shapes: Mapping[str, Shape],
    ledger: Ledger,
) -> Axes:
    """Return the ids of a tensor; a body's entry gets those of its source when it is first read.

    The node that runs a body stands behind it, the sources before it: they have their ids by then.

    Args:
        name: The tensor.
        axes: The ids of what was made so far; an entry's are added.
        flat: The model, its bodies laid out.
        shapes: The shapes that are known.
        ledger: Takes what is frozen.
    """
    if name in axes or name not in flat.entries:
        return axes[name]
    entrance = flat.entries[name]
    shape = shapes.get(name)
    made = Axes.inert(shape or ())
    if entrance.passage is not None:
        source = find_axes(entrance.source, axes, flat, shapes, ledger)
        node = str(_node(flat, entrance.node))
        outside = entrance.passage.outside(source.rank)
        kept = [axis for axis in range(source.rank) if axis not in (outside or ())]
        if outside is None or shape != tuple(source.shape[axis] for axis in kept):
            ledger.freeze(source.flat(), node, CHANGES)
        else:
            ledger.freeze(source.flat(outside), node, SCANNED)
            made = Axes(shape, tuple(source.ids[axis] for axis in kept))
    axes[name] = made
    return made


def _node(flat: Flat, index: int) -> Node:
    return next(node for node in flat.graph.nodes if node.index == index)
