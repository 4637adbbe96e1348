"""Translation validation: the pruned graph computes what the masked original computes."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels import Units, alive_ids
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

WATCHED_BYTES = 64 * 2**20
"""How much of the layers' outputs is compared besides the model's own."""


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The result of a translation validation that passed.

    Attributes:
        error: The largest difference of any element, relative to its tensor's largest value.
        tolerance: What it was held against.
        tensors: How many tensors were compared: the outputs, and layers from the last one back.
        rounding: How far the masked original is from itself when ONNX Runtime optimises it, at the
            tensor with the largest error; None where no error exceeded the tolerance.
    """

    error: float
    tolerance: float
    tensors: int
    rounding: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the masked original computes on one random input.

    Attributes:
        graph: The original model.
        plan: The plan whose removed units are masked.
        feeds: The input.
        values: The compared tensors by name, their kept channels only.
    """

    graph: Graph
    plan: Plan
    feeds: Mapping[str, Array]
    values: Mapping[str, Array]


def validate_translation(
    graph: Graph, pruned: Graph, plan: Plan, input_shapes: Mapping[str, Shape], *, seed: int = 0
) -> Equivalence:
    """Run the masked original and the pruned graph in ONNX Runtime on a random input, and compare.

    Besides the outputs, which a saturated sigmoid may hold at 0 or 1 whatever is before it, the
    layers are compared from the last one back: the pruned graph's must be the kept channels of the
    original's. Both graphs run unoptimised, on the CPU.

    Args:
        graph: The original model.
        pruned: What ``apply_plan`` made of it.
        plan: The plan between them.
        input_shapes: A concrete shape per input.
        seed: Seed of the random input.

    Returns:
        The measured difference.

    Raises:
        ValidationError: If a tensor differs in shape, by more than rounding, or is not finite where
            the original's is, or if the pruned graph does not run.
    """
    return compare_with(run_masked(graph, plan, input_shapes, seed=seed), pruned)


def run_masked(
    graph: Graph, plan: Plan, input_shapes: Mapping[str, Shape], *, seed: int = 0
) -> Reference:
    """Run the masked original; its weights are freed before the pruned graph need exist.

    Args:
        graph: The original model.
        plan: The plan whose removed units are masked.
        input_shapes: A concrete shape per input.
        seed: Seed of the random input.
    """
    feeds = random_feeds(graph.inputs, input_shapes, np.random.default_rng(seed))
    names = [value.name for value in graph.outputs]
    names += [name for name in _last_layers(plan.units) if name not in names]
    session = open_session(mask_consumers(graph, plan), outputs=names, exact=True)
    values = _kept(plan, session.run(feeds))
    del session
    gc.collect()  # graphs refer to themselves in circles, and hold the masked weights
    return Reference(graph, plan, feeds, values)


def compare_with(reference: Reference, pruned: Graph) -> Equivalence:
    """Run the pruned graph on the input of the masked original, and compare.

    Args:
        reference: From ``run_masked``.
        pruned: What ``apply_plan`` made of the original.

    Raises:
        ValidationError: As ``validate_translation``.
    """
    try:
        session = open_session(pruned, outputs=list(reference.values), exact=True)
        found = session.run(reference.feeds)
    except WrgError as cause:
        raise _failure(f"the pruned model does not run: {cause}", float("inf")) from cause
    worst = 0.0
    rounding: float | None = None
    for name, expected in reference.values.items():
        error = _difference(name, expected, found[name])
        if error > TOLERANCE:
            noise = _rounding(reference, name)
            if not error <= 2 * noise < float("inf"):
                raise _failure(
                    f"'{name}' differs by {error:.2g} from the masked original, of which rounding "
                    f"explains {noise:.2g} (tolerance {TOLERANCE:g})",
                    error,
                )
            rounding = noise if error >= worst else rounding
        worst = max(worst, error)
    return Equivalence(worst, TOLERANCE, len(reference.values), rounding)


def _last_layers(units: Units) -> list[str]:
    """Return the outputs of layers with weights, from the last one back, within a bound."""
    names: list[str] = []
    held = 0
    for node in reversed(units.graph.nodes):
        if not units.nodes[node.index].makes_channels:
            continue
        held += 4 * int(np.prod(units.axes[node.outputs[0]].shape))
        if held > WATCHED_BYTES:
            break
        names.append(node.outputs[0])
    return names


def _kept(plan: Plan, values: Mapping[str, Array]) -> dict[str, Array]:
    """Take the kept channels of the original's tensors."""
    alive = alive_ids(plan.units, plan.alive)
    kept = {}
    for name, value in values.items():
        for axis, ids in enumerate(plan.units.axes[name].ids):
            if ids is not None and not alive(ids).all():
                value = np.compress(alive(ids), value, axis=axis)  # noqa: PLW2901
        kept[name] = value
    return kept


def _difference(name: str, reference: Array, found: Array) -> float:
    """Return the largest difference relative to the largest value, infinite where one is a hole."""
    if reference.shape != found.shape:
        raise _failure(
            f"'{name}' has shape {list(found.shape)} in the pruned model, expected "
            f"{list(reference.shape)}",
            float("inf"),
        )
    if reference.dtype.kind != "f":
        return float(np.mean(reference != found)) if reference.size else 0.0
    finite = np.isfinite(reference)
    if not np.array_equal(finite, np.isfinite(found)):
        return float("inf")
    gap = np.abs(reference[finite].astype(np.float64) - found[finite])
    scale = float(np.abs(reference[finite]).max(initial=0.0))
    return float(gap.max(initial=0.0)) / scale if scale else float(gap.max(initial=0.0))


def _rounding(reference: Reference, name: str) -> float:
    """Measure rounding: the masked original against itself, optimised by ONNX Runtime.

    It is asked for only where the tolerance is exceeded: ONNX Runtime's sigmoid, for one, is exact
    to 2e-7 absolutely, which is much beside outputs that are all below 1e-3.
    """
    masked = mask_consumers(reference.graph, reference.plan)
    again = _kept(reference.plan, open_session(masked, outputs=[name]).run(reference.feeds))
    return _difference(name, reference.values[name], again[name])


def _failure(what: str, error: float) -> ValidationError:
    return ValidationError(
        f"{what}; nothing was written: please report this model", error=error, tolerance=TOLERANCE
    )
