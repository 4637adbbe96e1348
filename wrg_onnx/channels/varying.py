"""Axes whose length varies with the model's inputs: they carry no channels, with one exception.

That exception is about one operator, the Reshape by which exporters merge heads with the batch, and
it stays as code here.
"""

from __future__ import annotations

from collections.abc import Mapping

from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ledger import Ledger
from wrg_onnx.channels.reasons import Kind, Why
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.graph import Shape

VARIES = Why("makes an axis whose length varies with the model's inputs", Kind.VARYING)


def open_axes(call: Call, elsewhere: Mapping[str, Shape], *, is_open: bool) -> list[bool]:
    """Tell which axes of a node's first input vary; without other sizes to compare, all may."""
    first = call.inputs[0] if call.inputs else None
    if first is None:
        return []
    other = elsewhere.get(first.name)
    if other is None or len(other) != first.axes.rank:
        return [is_open] * first.axes.rank
    return [a != b for a, b in zip(first.axes.shape, other, strict=True)]


def close_varying(
    call: Call, axes: Axes, name: str, elsewhere: Mapping[str, Shape], ledger: Ledger
) -> Axes:
    """Take the ids off axes whose length varies with the model's inputs.

    Heads that are merged with an open batch are an exception: at batch 1 the axis has one position
    per head, at others it repeats them, and the heads to remove are the same ones in each repeat.

    Args:
        call: The node.
        axes: What its rule says of an output.
        name: The output's name.
        elsewhere: The shapes at other sizes of the inputs.
        ledger: Takes what is frozen.
    """
    other = elsewhere.get(name)
    if other is None or len(other) != axes.rank:
        return axes
    ids = list(axes.ids)
    for axis, own in enumerate(axes.ids):
        if own is None or axes.shape[axis] == other[axis]:
            continue
        times, rest = divmod(other[axis], axes.shape[axis])
        merged = _merges_open_batch(call, elsewhere, times)
        if not rest and (merged or ledger.repeated.issuperset(own.tolist())):
            ledger.repeated.update(own.tolist())
            continue
        ledger.freeze(own, str(call.node), VARIES)
        ids[axis] = None
    return Axes(axes.shape, tuple(ids))


def _merges_open_batch(call: Call, elsewhere: Mapping[str, Shape], times: int) -> bool:
    """Tell whether this is a Reshape of an axis that grows from 1 to so many positions."""
    if call.node.op != "Reshape" or call.node.domain:
        return False
    here, there = call.axes().shape, elsewhere.get(call.operand(0).name, ())
    return len(here) == len(there) and (1, times) in zip(here, there, strict=True)


def hold_repeated(call: Call, elsewhere: Mapping[str, Shape], ledger: Ledger) -> None:
    """Freeze heads merged with an open batch where a node picks positions among them."""
    traits = traits_of(call.node)
    if not ledger.repeated or traits.is_pointwise or traits.every_position_alike:
        return
    for operand in call.inputs:
        other = () if operand is None else elsewhere.get(operand.name, ())
        if operand is None or len(other) != operand.axes.rank:
            continue
        for axis, ids in enumerate(operand.axes.ids):
            varies = operand.axes.shape[axis] != other[axis]
            if varies and ids is not None and ledger.repeated.issuperset(ids.tolist()):
                text = "picks positions of an axis that repeats them for each sample"
                ledger.freeze(ids, str(call.node), text)
