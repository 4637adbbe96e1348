"""Translation validation: the pruned graph computes what the masked original computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.graph import (
    Array,
    Graph,
    Shape,
    ValidationError,
    WrgError,
    open_session,
    random_feeds,
)
from wrg_onnx.rewrite.apply import mask_consumers
from wrg_onnx.rewrite.plan import Plan

TOLERANCE = 1e-4
"""Largest relative difference that float32 rounding explains."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The result of a translation validation that passed.

    Attributes:
        error: The largest difference of any output element, relative to the output's largest value.
        tolerance: What it was held against.
        inputs: How many random inputs were compared.
    """

    error: float
    tolerance: float
    inputs: int


def validate_translation(
    graph: Graph, pruned: Graph, plan: Plan, input_shapes: Mapping[str, Shape], *, seed: int = 0
) -> Equivalence:
    """Run the masked original and the pruned graph in ONNX Runtime on a random input, and compare.

    Both run unoptimised, on the CPU.

    Args:
        graph: The original model.
        pruned: What ``apply_plan`` made of it.
        plan: The plan between them.
        input_shapes: A concrete shape per input.
        seed: Seed of the random input.

    Returns:
        The measured difference.

    Raises:
        ValidationError: If an output differs in shape, by more than the tolerance, or is not finite
            where the original's is, or if the pruned graph does not run.
    """
    feeds = random_feeds(graph.inputs, input_shapes, np.random.default_rng(seed))
    expected = _masked_outputs(graph, plan, feeds)
    try:
        found = open_session(pruned, exact=True).run(feeds)
    except WrgError as error:
        raise ValidationError(
            f"the pruned model does not run, so nothing was written: {error}",
            error=float("inf"),
            tolerance=TOLERANCE,
        ) from error
    worst = 0.0
    for name, reference in expected.items():
        worst = max(worst, _difference(name, reference, found[name]))
    return Equivalence(worst, TOLERANCE, inputs=1)


def _masked_outputs(graph: Graph, plan: Plan, feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run the masked original; its weights are freed before the pruned graph runs."""
    return open_session(mask_consumers(graph, plan), exact=True).run(feeds)


def _difference(name: str, reference: Array, found: Array) -> float:
    if reference.shape != found.shape:
        raise ValidationError(
            f"output '{name}' has shape {list(found.shape)} in the pruned model, expected "
            f"{list(reference.shape)}; nothing was written",
            error=float("inf"),
            tolerance=TOLERANCE,
        )
    if reference.size == 0:
        return 0.0
    if reference.dtype.kind != "f":
        error = float(np.mean(reference != found))
    else:
        finite = np.isfinite(reference)
        same_holes = np.array_equal(finite, np.isfinite(found))
        gap = np.abs(reference[finite].astype(np.float64) - found[finite])
        scale = np.abs(reference[finite]).max(initial=1e-12)
        error = float(gap.max(initial=0.0) / scale) if same_holes else float("inf")
    if not error <= TOLERANCE:
        raise ValidationError(
            f"output '{name}' differs by {error:.2g} from the masked original (tolerance "
            f"{TOLERANCE:g}); nothing was written: please report this model",
            error=error,
            tolerance=TOLERANCE,
        )
    return error
