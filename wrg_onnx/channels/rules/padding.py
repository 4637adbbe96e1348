"""Pad and CenterCropPad: positions around an axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.answers import Coupling, Demand, freeze_axes
from wrg_onnx.channels.axes import Axes, Call
from wrg_onnx.channels.ids import INERT, Alive, IdArray
from wrg_onnx.channels.sizes import Size
from wrg_onnx.channels.table import Derived, derivation, op_rule
from wrg_onnx.channels.traits import Traits, op_traits


@op_rule("Pad", since=1)
def couple_pad(call: Call) -> Coupling:
    """Put positions around an axis that is padded with a constant: their number follows them.

    Shapes:
        X (d_0, ...) -> Y (begin_0 + d_0 + end_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__Pad.html
    """
    x, shape = call.axes(), call.output_shapes[0]
    pads = _pads(call)
    if pads is None:
        changed = [axis for axis in range(x.rank) if x.shape[axis] != shape[axis]]
        pads = dict.fromkeys(changed, _Padding(-1, -1))
    ids: list[IdArray | None] = []
    frozen, demands = [], []
    constant = call.node.str("mode", "constant") == "constant"
    for axis, own in enumerate(x.ids):
        found = pads.get(axis, _Padding(0, 0))
        if own is None or (found.begin, found.end) == (0, 0):
            ids.append(own)
        elif constant and found.begin >= 0 and found.end >= 0:
            # What is put there is the same everywhere, so that some of it may go.
            begin, end = (_put(call, count, place) for count, place in found.sides)
            demands += [
                Demand(1, place, put)
                for put, (count, place) in zip((begin, end), found.sides, strict=True)
                if count and place is not None and put.max() >= 0
            ]
            ids.append(np.concatenate([begin, own, end]))
        else:
            ids.append(None)
            frozen.append(axis)
    made = Axes(shape, tuple(ids))
    return Coupling(
        (made,), frozen=freeze_axes(x, frozen, "pads this axis"), demands=tuple(demands)
    )


@dataclass(frozen=True, slots=True)
class _Padding:
    """How many positions are put before and behind an axis, and where their numbers stand.

    Attributes:
        begin: How many before it.
        end: How many behind it.
        places: Of each the element of the operand; None where both are in an attribute.
    """

    begin: int
    end: int
    places: tuple[int, int] | None = None

    @property
    def sides(self) -> tuple[tuple[int, int | None], tuple[int, int | None]]:
        """The two numbers, each with its place."""
        first, second = self.places or (None, None)
        return (self.begin, first), (self.end, second)


def _put(call: Call, count: int, place: int | None) -> IdArray:
    """Return ids for positions that are put there; ``INERT`` where their number cannot change."""
    made = None
    if count and call.new_ids is not None and (place is None or _is_own(call, place)):
        made = call.new_ids(count)
    return np.full(count, INERT, np.int64) if made is None else made


def _is_own(call: Call, place: int) -> bool:
    """Tell whether a number is written in the file, or can be."""
    sizes = call.operand(1).sizes
    if sizes is None:
        return False
    size: Size = sizes.reshape(-1)[place]
    return not size.ids and not size.is_open and size.source is not None


@derivation("Pad", since=1)
def derive_pads(call: Call, outputs: Sequence[Axes], alive: Alive) -> Derived:
    """Count the positions that are left on either side, where an attribute names them."""
    x, pads = call.axes(), call.node.attributes.get("pads")
    if not isinstance(pads, tuple):
        return Derived()
    left = list(pads)
    for axis, ids in enumerate(outputs[0].ids):
        if ids is not None and x.ids[axis] is not None:
            begin, end = pads[axis], pads[x.rank + axis]
            left[axis] = int(alive(ids[:begin]).sum())
            left[x.rank + axis] = int(alive(ids[len(ids) - end :]).sum())
    return Derived(attributes={"pads": tuple(left)} if tuple(left) != pads else {})


def _pads(call: Call) -> dict[int, _Padding] | None:
    """Return what is put around each axis, None where it is computed at run time."""
    rank = call.axes().rank
    attribute = call.node.attributes.get("pads", call.node.attributes.get("paddings"))
    is_attribute = isinstance(attribute, tuple)
    values = attribute if isinstance(attribute, tuple) else call.integers(1)
    axes = call.integers(3) if call.optional(3) is not None else tuple(range(rank))
    if values is None or axes is None:
        return None
    half = len(axes)
    return {
        axis % rank: _Padding(
            int(values[i]), int(values[half + i]), None if is_attribute else (i, half + i)
        )
        for i, axis in enumerate(axes)
    }


@op_rule("CenterCropPad", since=18)
def couple_center_crop_pad(call: Call) -> Coupling:
    """Put inert positions around an axis that is padded; freeze one that is cropped.

    Shapes:
        X (d_0, ...), shape (number of axes) -> Y (shape_0, ...).

    Source: https://onnx.ai/onnx/operators/onnx__CenterCropPad.html
    """
    x, shape = call.axes(), call.output_shapes[0]
    axes = [axis % x.rank for axis in call.node.ints("axes", tuple(range(x.rank)))]
    ids: list[IdArray | None] = list(x.ids)
    demands, cropped = [], []
    for element, axis in enumerate(axes):
        own, more = x.ids[axis], shape[axis] - x.shape[axis]
        if own is None:
            continue
        if more < 0:
            ids[axis] = None
            cropped.append(axis)
            continue
        # As many zeros on either side whatever is removed, for their number stays.
        padded = (
            own if not more else np.pad(own, (more // 2, more - more // 2), constant_values=INERT)
        )
        ids[axis] = padded
        demands.append(Demand(1, element, padded))
    return Coupling(
        (Axes(shape, tuple(ids)),),
        frozen=freeze_axes(x, cropped, "crops this axis"),
        demands=tuple(demands),
        dropped=(call.axes(1).flat(),),
    )


op_traits(Traits(moves_elements=True), "Pad")
