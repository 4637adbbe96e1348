"""What a user should know about a run, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wrg_onnx.calibrate import Collected
from wrg_onnx.channels import BoolArray
from wrg_onnx.graph import other_sizes
from wrg_onnx.pipeline.choose import Repair
from wrg_onnx.pipeline.config import Precision, PruneConfig, Recovery
from wrg_onnx.pipeline.cut import Cut
from wrg_onnx.pipeline.quantities import QUANTITIES
from wrg_onnx.pipeline.samples import Samples
from wrg_onnx.pipeline.which_recovery import chosen_recovery
from wrg_onnx.recover import FEWEST_SAMPLES
from wrg_onnx.report.proof import listed
from wrg_onnx.report.records import GroupReport, RecoveryReport
from wrg_onnx.rewrite import has_branches
from wrg_onnx.select import Scope

FEW_SAMPLES = 16
"""Weights solved for from fewer may fit these alone; beyond 128 little is gained."""

MOST_OF_A_LAYER = 0.7
"""From which share on that a layer loses it is told that little else was free."""

MUCH_FROZEN = 0.1
"""From which share of frozen parameters on a cut falls on few layers: of most nets none are."""

MOST_NAMED = 3
"""How many broken files are named."""


def cut_notes(cut: Cut, samples: Samples | None, config: PruneConfig) -> Iterator[str]:
    """Yield what a user should know about one cut."""
    yield from _limits_of_proof(cut)
    if decided := cut.model.graph.decided:
        numbers = " and ".join(f"{name}={number:g}" for name, number in sorted(decided.items()))
        yield (
            f"the branches that --value {numbers} takes were laid flat: the file computes them "
            "whatever it is fed there"
        )
    if folded := cut.model.graph.folded:
        yield (
            f"{folded} {'node that depends' if folded == 1 else 'nodes that depend'} on no input, "
            "or never run, were left out: the file holds what they make"
        )
    if cut.model.graph.widened and samples is not None:
        yield measured_widened(judges=config.judges)
    yield from _of_statistics(cut.chosen.collected, config)
    if cut.chosen.doubt:
        yield cut.chosen.doubt
    removable = cut.model.units.removable
    missing = int((cut.chosen.scores.unmeasured & removable).sum())
    if missing:
        ranked = "were taken as average" if config.criterion.repairs else "go after all others"
        yield (
            f"{missing} of {int(removable.sum())} units could not be measured by "
            f"'{config.criterion.name}' and {ranked}"
        )
    if cut.chosen.repair is not None:
        images = cut.chosen.collected.statistics.images
        yield from _of_repair(cut.chosen.repair, images, removable)
        if chosen_recovery(samples, config) is Recovery.NONE:
            yield f"'{config.criterion.name}' chooses what recovery can make up for; there is none"


def measured_widened(*, judges: bool) -> str:
    """Say that what was measured is of float32.

    Args:
        judges: Whether accuracy was measured, with which latency is otherwise.
    """
    timed = ", and latency is not measured" if judges else ""
    return (
        "ONNX Runtime does not run this model's bfloat16: what was measured on samples was "
        f"measured in float32{timed}"
    )


def _of_repair(repair: Repair, images: int, removable: BoolArray) -> Iterator[str]:
    missing, units = int((repair.unmeasured & removable).sum()), int(removable.sum())
    if missing:
        yield (
            f"{missing} of {units} units are read by no layer whose input could be measured, and "
            "were ordered by the sizes of the weights that read them"
        )
    sizes = len({consumer.layer for consumer in repair.consumers if consumer.gram is None})
    if sizes:
        yield (
            f"of {sizes} {'layer' if sizes == 1 else 'layers'} only the sizes of the weights "
            "count, since they are quantised, shared or recurrent, or read too much to measure"
        )
    measured = [c for c in repair.consumers if c.gram is not None]
    dead = {c.layer for c in measured if c.gram is not None and not c.gram.any()}
    if dead:
        yield (
            f"{len(dead)} of {len({c.layer for c in measured})} measured layers read the same at "
            "every place of every image, so that nothing tells what they need: are the images, "
            "--mean and --std those that the model was trained with?"
        )
    poor = [c for c in measured if c.rows < len(c.inputs)]
    if poor:
        worst = min(poor, key=lambda c: c.rows / len(c.inputs))
        more = -(-images * len(worst.inputs) // max(worst.rows, 1)) - images
        layers = len({consumer.layer for consumer in poor})
        yield (
            f"{layers} {'layer reads' if layers == 1 else 'layers read'} more numbers than there "
            f"were rows of them, so that what can be repaired is overrated: {more} more images "
            f"would do for '{worst.layer}'"
        )


def _of_statistics(collected: Collected, config: PruneConfig) -> Iterator[str]:
    yield from collected.notes
    sure = collected.certainty
    if sure is not None and sure < config.enough and config.data.path is not None:
        yield (
            f"the choice of units is {sure:.0%} certain; more images make it surer: by --samples, "
            "if --data holds more, or there"
        )
    if config.amp:
        yield "gradients were computed in bfloat16 (--amp), which may change the choice"


def notes(
    reached: float,
    asked: float,
    samples: Samples | None,
    recovery: RecoveryReport | None,
    config: PruneConfig,
) -> Iterator[str]:
    """Yield what a user should know about the run as a whole.

    Args:
        reached: The share of the budget that is gone.
        asked: The share that was to be gone by then.
        samples: What the run looked at, if it did.
        recovery: What was recovered, if anything.
        config: What was asked for.
    """
    quantity = QUANTITIES[config.budget]
    if abs(reached - asked) > max(0.005, quantity.miss):
        if config.limit is not None and reached > asked:
            yield f"the limit asks for {asked:.1%}, and {reached:.1%} are gone"
        elif quantity.at_hand is None:
            yield (
                f"{asked:.1%} were asked for, and no cut that was tried comes closer than "
                f"{reached:.1%}, as it was measured"
            )
        else:
            yield (
                f"the units are too coarse to come closer to {asked:.1%} by score than "
                f"{reached:.1%}"
            )
    if samples is not None and samples.broken:
        named = "; ".join(samples.broken[:MOST_NAMED])
        more = len(samples.broken) - MOST_NAMED
        rest = f"; and {more} more" if more > 0 else ""
        yield f"{len(samples.broken)} broken files were left out: {named}{rest}"
    if samples is not None and config.data.path is None and (what := _looked(recovery, config)):
        yield _origin(samples, what)
    if recovery is not None:
        yield from _of_recovery(recovery, asked=config.recover is not None)
    elif (
        config.recover is None
        and samples
        and config.prunes_by_samples
        and chosen_recovery(samples, config) is Recovery.NONE
    ):
        yield (
            "random inputs do not tell what the layers should make, so nothing was recovered: give "
            "--data, or --recover ridge to do it all the same"
        )


def strain_notes(
    groups: Sequence[GroupReport], frozen_share: float, config: PruneConfig
) -> Iterator[str]:
    """Say where a cut takes most of a layer because little else could go.

    Args:
        groups: The layer widths that could shrink, and what is left of them.
        frozen_share: The share of the original's parameters that no selection removes.
        config: What was asked for.
    """
    if config.scope is not Scope.GLOBAL or frozen_share < MUCH_FROZEN:
        return
    strained = [
        group for group in groups if group.units - group.kept > MOST_OF_A_LAYER * group.units
    ]
    if not strained:
        return
    worst = max(strained, key=lambda group: (group.units - group.kept) * group.parameters)
    gone = f"{worst.units - worst.kept} of {worst.units} channels of '{worst.name}' go"
    why = f"{frozen_share:.0%} of the parameters are frozen (see `wrg-onnx inspect`)"
    if len(strained) > 1:
        layers = "1 further layer" if len(strained) == 2 else f"{len(strained) - 1} further layers"
        yield f"{gone}, and more than {MOST_OF_A_LAYER:.0%} of {layers}: {why}"
    else:
        free = "the one layer" if len(groups) == 1 else f"one of {len(groups)} layers"
        yield f"{gone}, {free} that {'is' if len(groups) == 1 else 'are'} free: {why}"


def _limits_of_proof(cut: Cut) -> Iterator[str]:
    model, equivalence = cut.model, cut.equivalence
    is_open = other_sizes(model.graph.inputs, model.input_shapes) is not None
    if is_open and equivalence.sizes == 1:
        yield (
            "the model leaves sizes open but refuses the second ones that were tried, so "
            "the proof covers one size"
        )
    if has_branches(model.graph) and equivalence.branches < 2:
        yield (
            "not every branch runs on the inputs of the proof, or computes what shows a difference "
            "there; such a one rests on the rules alone"
        )
    if equivalence.steps:
        yield (
            "rounding alone moves the quantised results, so the proof leaves the rounding between "
            f"layers out ({equivalence.steps} pairs of QuantizeLinear and DequantizeLinear)"
        )
    if equivalence.layers:
        yield (
            "rounding alone grows from layer to layer in this model, so the proof compares each of "
            f"{equivalence.layers} layers by itself, on what the original computes before it"
        )
    if equivalence.unexercised:
        left = equivalence.unexercised
        is_cut = "is cut" if len(left) == 1 else "are cut"
        yield (
            f"nothing shows that {listed(left)} {is_cut} right: some of what is read there is the "
            f"same everywhere on all of {1 + equivalence.tried} inputs (--strict refuses that)"
        )
    if equivalence.silent and equivalence.tensors:
        names = ", ".join(f"'{name}'" for name in equivalence.silent)
        yield (
            f"on the random input of the proof {names} is constant or not finite, so the proof "
            "rests on the layers before it"
        )


def _looked(recovery: RecoveryReport | None, config: PruneConfig) -> list[str]:
    """Say what a run took from samples."""
    return [
        *(["statistics"] if config.criterion.needs_data else []),
        *(["recovery"] if recovery is not None else []),
        *(["the ranges of int8"] if config.precision is Precision.INT8 else []),
        *(["accuracy"] if config.judges else []),
    ]


def _origin(samples: Samples, what: Sequence[str]) -> str:
    origin = "random inputs" if samples.preprocessing is None else "the built-in generator"
    verb = "come" if len(what) > 1 or what[0] in ("statistics", "the ranges of int8") else "comes"
    listed = " and ".join([", ".join(what[:-1]), what[-1]] if len(what) > 1 else what)
    return f"no --data given, so {listed} {verb} from {origin}"


def _of_recovery(recovery: RecoveryReport, *, asked: bool) -> Iterator[str]:
    if recovery.samples < FEWEST_SAMPLES and not asked:
        yield "a single sample does not do to solve for weights, so the biases alone were recovered"
    elif recovery.samples < FEW_SAMPLES and recovery.method != Recovery.BIAS.value:
        yield (
            f"{recovery.samples} samples are few to recover from: the new weights may suit these "
            "alone; more --samples are safer, up to about 128"
        )
    if recovery.added:
        yield f"layers without a bias of their own got one, {recovery.added:,} parameters in all"
    for reason, count in recovery.left.items():
        layers = "layer keeps its" if count == 1 else "layers keep their"
        yield f"{count} {layers} weights, because {reason}"
    if recovery.walked and recovery.walked < recovery.samples:
        yield (
            f"the layers were solved for in order on {recovery.walked} of {recovery.samples} "
            "samples, since the maps of more do not fit into memory"
        )
