"""What was written for another tool, and the command that reads it."""

from __future__ import annotations

import shlex

from wrg_onnx.evaluate.polygraphy import Exported


def exported_line(found: Exported, pruned: str) -> str:
    """Say what was written for Polygraphy, of which model, and how it is used."""
    left_out = ""
    if found.left_out:
        names = ", ".join(f"'{name}'" for name in found.left_out)
        left_out = f" Not in there, since no tensors of numbers that numpy knows: {names}."
    model, inputs, outputs = map(shlex.quote, (pruned, found.inputs, found.outputs))
    return (
        f"Written: what {found.samples} of {found.judged} samples feed, and what the pruned model "
        f"gives for them.{left_out} The same on TensorRT: polygraphy run {model} --trt "
        f"--load-inputs {inputs} --load-outputs {outputs}"
    )
