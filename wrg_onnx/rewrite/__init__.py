"""From a plan to a smaller graph, and the proof that it is right."""

from wrg_onnx.rewrite.apply import apply_plan, mask_consumers
from wrg_onnx.rewrite.decide import decide_branches
from wrg_onnx.rewrite.exercise import prove, validate_translation
from wrg_onnx.rewrite.fold import fold
from wrg_onnx.rewrite.kept_channels import (
    KeptChannels,
    compose,
    find_kept_channels,
    read_note,
    with_note,
)
from wrg_onnx.rewrite.plan import Plan, plan_slices
from wrg_onnx.rewrite.proof import (
    Equivalence,
    check_folding,
    combine,
    compare_with,
    worst_of,
)
from wrg_onnx.rewrite.reference import Reference, has_branches, run_masked
from wrg_onnx.rewrite.surviving_units import Survivors
from wrg_onnx.rewrite.tolerance import TOLERANCE

__all__ = [
    "TOLERANCE",
    "Equivalence",
    "KeptChannels",
    "Plan",
    "Reference",
    "Survivors",
    "apply_plan",
    "check_folding",
    "combine",
    "compare_with",
    "compose",
    "decide_branches",
    "find_kept_channels",
    "fold",
    "has_branches",
    "mask_consumers",
    "plan_slices",
    "prove",
    "read_note",
    "run_masked",
    "validate_translation",
    "with_note",
    "worst_of",
]
