"""From statistics to the units that die: criteria, budgets and the choice. Pure numpy."""

from wrg_onnx.choices import Scope
from wrg_onnx.select.budget import Axis, Budget, Measured, Products
from wrg_onnx.select.certainty import expected_jaccard, halves_jaccard, jaccard
from wrg_onnx.select.choose import (
    Candidates,
    Selection,
    largest_ratio,
    removal_order,
    select,
)
from wrg_onnx.select.criteria import (
    Criterion,
    Scores,
    all_criteria,
    criterion_names,
    register_criterion,
    score,
)
from wrg_onnx.select.knapsack import knapsack_order
from wrg_onnx.select.repair import RepairOrder, repair_order
from wrg_onnx.select.scaling import UnitValues, per_unit

__all__ = [
    "Axis",
    "Budget",
    "Candidates",
    "Criterion",
    "Measured",
    "Products",
    "RepairOrder",
    "Scope",
    "Scores",
    "Selection",
    "UnitValues",
    "all_criteria",
    "criterion_names",
    "expected_jaccard",
    "halves_jaccard",
    "jaccard",
    "knapsack_order",
    "largest_ratio",
    "per_unit",
    "register_criterion",
    "removal_order",
    "repair_order",
    "score",
    "select",
]
