"""The whole proof of a cut: runs of both models, and each node that it changes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from wrg_onnx.errors import DataError, ValidationError
from wrg_onnx.graph import Array, Graph, Shape
from wrg_onnx.rewrite.alone import compare_alone
from wrg_onnx.rewrite.plan import Plan
from wrg_onnx.rewrite.proof import Equivalence, combine, compare_with
from wrg_onnx.rewrite.readings import Seen, cut_nodes
from wrg_onnx.rewrite.reference import Look, Reference, run_again, run_masked
from wrg_onnx.rewrite.tolerance import TOLERANCE

LARGER = (1.0, 10.0)
"""By how much random inputs are multiplied that are tried where layers were not exercised."""


def validate_translation(
    graph: Graph, pruned: Graph, plan: Plan, input_shapes: Mapping[str, Shape], *, seed: int = 0
) -> Equivalence:
    """Run the masked original and the pruned graph in ONNX Runtime on a random input, and compare.

    Besides the outputs, which a saturated sigmoid may hold at 0 or 1 whatever is before it, the
    layers are compared, the last one and as many small ones as a bound allows: the pruned graph's
    must be the kept channels of the original's. Both graphs run unoptimised, on the CPU.

    Args:
        graph: The original model.
        pruned: What ``apply_plan`` made of it.
        plan: The plan between them.
        input_shapes: A concrete shape per input.
        seed: Seed of the random input.

    Returns:
        The measured difference.

    Raises:
        ValidationError: As ``prove``.
    """
    return prove([run_masked(graph, plan, input_shapes, seed=seed)], pruned, seed=seed)


def prove(
    references: Sequence[Reference],
    pruned: Graph,
    others: Iterable[Mapping[str, Array]] = (),
    *,
    seed: int = 0,
) -> Equivalence:
    """Hold a pruned graph against the masked original, wherever the cut changed something.

    A run of both says nothing of a layer that reads zeros alone, or the same everywhere, and little
    of one behind which all is saturated. So each node that the cut changes is compared by itself,
    too, on values drawn for what it reads. Where a node reads nothing that varies, or cannot be
    compared by itself and some channel of what it reads does not vary, other inputs are tried.

    Args:
        references: From ``run_masked``: at each size, in each branch.
        pruned: What ``apply_plan`` made of the original.
        others: Further inputs to try, such as calibration images, of the first reference's shapes.
        seed: Seed of what is drawn.

    Returns:
        The measured difference, and what was not exercised.

    Raises:
        ValidationError: As ``compare_with`` and ``compare_alone``, or if nothing that either model
            makes is finite.
    """
    found = combine([compare_with(reference, pruned) for reference in references])
    first = references[0]
    nodes = cut_nodes(first.plan)
    alone = compare_alone(first, pruned, nodes)
    rest = [node for node in nodes if node.node.index not in alone.compared]
    seen = Seen([reference.spans for reference in references])

    def is_unsure() -> bool:
        return any(map(seen.is_quiet, nodes)) or any(map(seen.is_quiet_in_part, rest))

    if is_unsure():
        for reference in references:  # what is said of it must hold everywhere
            seen.add(run_again(reference, look=Look.EVERYWHERE).spans)
    tried = 0
    inputs = _tries(first, others, seed)
    while is_unsure() and (feeds := next(inputs, None)) is not None:
        with suppress(DataError):  # it need not run on any input
            again = run_again(replace(first, feeds=feeds, branch=None), look=Look.EVERYWHERE)
            error = compare_with(again, pruned)
            found = replace(
                found,
                error=max(found.error, error.error),
                tensors=max(found.tensors, error.tensors),
            )
            seen.add(again.spans)
            tried += 1
    found = replace(
        found,
        error=max(found.error, alone.error),
        tensors=found.tensors + alone.tensors,
        tried=tried,
        quiet=tuple(str(node.node) for node in nodes if seen.is_quiet(node)),
        changed=len(nodes),
        alone=len(alone.compared),
        unexercised=tuple(str(node.node) for node in rest if seen.is_quiet_in_part(node)),
    )
    if not found.tensors and not any(reference.is_finite for reference in references):
        raise ValidationError(
            "nothing to prove: no output and no layer of the original is finite, on a random "
            "input or any other that was tried, so that nothing can be compared; nothing was "
            "written",
            error=float("inf"),
            tolerance=TOLERANCE,
        )
    return found


def _tries(
    reference: Reference, others: Iterable[Mapping[str, Array]], seed: int
) -> Iterator[Mapping[str, Array]]:
    """Yield further inputs: those of the caller, and random ones that are larger."""
    yield from others
    for number, factor in enumerate(LARGER, start=1):
        rng = np.random.default_rng([seed, number])
        yield {
            name: (rng.standard_normal(array.shape) * factor).astype(array.dtype)
            if array.dtype.kind == "f" and array.size and array.min() < array.max()
            else array
            for name, array in reference.feeds.items()
        }
