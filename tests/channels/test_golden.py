"""The units of the committed model, as text that a change of the analysis must explain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wrg_onnx.channels import find_units
from wrg_onnx.graph import bind_sizes, infer_shapes, load

MODEL = Path(__file__).resolve().parents[2] / "models" / "tiny_unet.onnx"


def summary(units):
    lines = [f"units {units.count}, removable {units.removable.sum()}", "", "groups"]
    for group in range(units.group.max() + 1):
        members = units.group == group
        removable = members & units.removable
        if not removable.any():
            continue
        first = np.flatnonzero(removable)[0]
        slots = [
            f"{slot.name}.{slot.axis}"
            for slot in units.slots
            if (units.slot_units(slot) == first).any()
        ]
        lines.append(f"  {removable.sum()} of {members.sum()}: {', '.join(slots)}")
    lines += ["", "frozen"]
    for number, reason in enumerate(units.reasons):
        count = (units.reason == number).sum()
        if reason.text and count:
            lines.append(f"  {count}: {reason}")
    return "\n".join(lines) + "\n"


def test_units_of_the_tiny_unet(golden):
    graph = load(MODEL)
    units = find_units(graph, infer_shapes(graph, bind_sizes(graph.inputs)))
    golden("units_tiny_unet.txt", summary(units))
