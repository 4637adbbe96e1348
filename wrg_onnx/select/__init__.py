"""From statistics to the units that die: criteria, budgets and the choice. Pure numpy."""

from wrg_onnx.select.certainty import expected_jaccard
from wrg_onnx.select.choose import (
    Budget,
    Candidates,
    Scope,
    Selection,
    largest_ratio,
    removal_order,
    select,
)
from wrg_onnx.select.criteria import OTHER_NAMES, Criterion, Scores, score
from wrg_onnx.select.scaling import UnitValues, per_unit

__all__ = [
    "OTHER_NAMES", "Budget", "Candidates", "Criterion", "Scope", "Scores", "Selection",
    "UnitValues", "expected_jaccard", "largest_ratio", "per_unit", "removal_order", "score",
    "select",
]  # fmt: skip
