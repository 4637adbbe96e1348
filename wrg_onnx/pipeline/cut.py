"""One cut: slice, and prove it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from wrg_onnx.channels import IdArray
from wrg_onnx.errors import DataError, ValidationError
from wrg_onnx.graph import Array, Graph
from wrg_onnx.pipeline.analyse import Model
from wrg_onnx.pipeline.choose import Chosen
from wrg_onnx.pipeline.clock import Clock
from wrg_onnx.pipeline.config import PruneConfig
from wrg_onnx.pipeline.decisions import log_proof
from wrg_onnx.report.proof import listed
from wrg_onnx.rewrite import (
    TOLERANCE,
    Equivalence,
    KeptChannels,
    Plan,
    Reference,
    apply_plan,
    find_kept_channels,
    has_branches,
    plan_slices,
    prove,
    run_masked,
)

MOST_TRIED = 4
"""How many samples are tried where layers were not exercised by random inputs."""


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The result of one cut.

    Attributes:
        model: What was cut, analysed.
        chosen: What was measured of it, and which of its units died.
        graph: The smaller model.
        slices: The kept positions per axis of each sliced constant.
        kept: Which channels of ``model`` it still has.
        equivalence: The proof.
    """

    model: Model
    chosen: Chosen
    graph: Graph
    slices: Mapping[str, tuple[IdArray | None, ...]]
    kept: Mapping[str, KeptChannels]
    equivalence: Equivalence


def cut_model(model: Model, chosen: Chosen, config: PruneConfig, clock: Clock) -> Cut:
    """Remove the units that were chosen, and prove that the rest computes what it did.

    Args:
        model: The analysed model.
        chosen: What dies.
        config: The seed of the inputs of the proof, and whether it must exercise all that changed.
        clock: Times the stages.

    Raises:
        ValidationError: If the rest does not compute what it did, or the run is strict and the
            proof says nothing of some of it.
        WrgError: Another of its kinds.
    """
    selection = chosen.selection
    with clock.stage("rewrite"):
        plan = plan_slices(model.units, selection.alive)
        # The masked original runs first: its weights are gone before the pruned ones are made.
        references = _references(model, plan, config.seed)
        pruned = apply_plan(model.graph, plan)
    with clock.stage("validate"):
        equivalence = prove(references, pruned, _samples(chosen), seed=config.seed)
        log_proof(equivalence)
        if config.strict:
            check_exercised(equivalence)
    kept = find_kept_channels(model.units, selection.alive)
    return Cut(model, chosen, pruned, plan.kept, kept, equivalence)


def check_exercised(found: Equivalence) -> None:
    """Refuse a proof that says nothing of something that the cut changed.

    Raises:
        ValidationError: If it does not; it names the nodes.
    """
    if not found.tensors:
        what = "nothing that the model makes varies, so that there is nothing to prove"
    elif found.infinite:
        names = listed([f"'{name}'" for name in found.infinite])
        what = f"the model makes no finite number in {names}"
    elif found.unexercised:
        what = f"the proof does not exercise {listed(found.unexercised)}"
    else:
        return
    raise ValidationError(
        f"{what}, on {1 + found.tried} inputs that were tried; without --strict the cut is written "
        "with a note; nothing was written",
        error=found.error,
        tolerance=TOLERANCE,
    )


def _samples(chosen: Chosen) -> Iterator[Mapping[str, Array]]:
    """Yield what the run looks at, a few of it, for a proof that needs other inputs."""
    if chosen.measuring is not None:
        data = chosen.measuring.samples.calibration
        yield from (data[index].feeds for index in range(min(MOST_TRIED, len(data))))


def _references(model: Model, plan: Plan, seed: int) -> list[Reference]:
    """Run the masked original, also at a second size and in each branch, where it does run."""
    run = partial(run_masked, model.graph, plan, seed=seed)
    references = [run(model.input_shapes)]
    if model.other_shapes is not None:
        with suppress(DataError):  # shapes fit there, but the original itself need not run
            references.append(run(model.other_shapes))
    for branch in (True, False) if has_branches(model.graph) else ():
        with suppress(DataError):  # a branch may be there for other shapes
            references.append(run(model.input_shapes, branch=branch))
    # The branch that is taken may return zeros alone: then what the others compute is the proof.
    return [one for one in references if one.says_something] or references[:1]
