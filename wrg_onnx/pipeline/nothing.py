"""Why nothing of a model can be cut, in the same words wherever it is told."""

from __future__ import annotations

from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.report.widths import frozen_reports


def why_nothing(model: Model) -> str | None:
    """Say why nothing can be cut; None where something can.

    Args:
        model: The analysed model.
    """
    if not model.parameters:
        return "the model has no weights"
    if model.units.removable.any():
        return None
    frozen = frozen_reports(model.units, model.parameters)
    if not frozen:
        return "none of its weights makes channels"
    return f"no channel is free, and most parameters stay because {frozen[0].reason}"
