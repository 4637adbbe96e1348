"""Why nothing of a model can be cut, in the same words wherever it is told."""

from __future__ import annotations

from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.report.frozen import frozen_reports, main_reason, spoken


def why_nothing(model: Model) -> str | None:
    """Say why nothing can be cut; None where something can.

    Args:
        model: The analysed model.
    """
    if not model.parameters:
        return "the model has no weights"
    if model.units.removable.any():
        return None
    rows = frozen_reports(model.units, model.parameters)
    if not rows:
        return "none of its weights makes channels"
    reason = main_reason(model.units, model.parameters) or rows[0]
    return f"no channel is free, mostly because {spoken(reason)}"
