"""What the masked original computes: what a pruned graph is held against.

The pruned graph must take the branches that the original takes: this is about operator If alone,
the one that decides at run time what is run.
"""

from __future__ import annotations

import enum
import gc
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from wrg_onnx.channels import Units, alive_ids, random_feeds
from wrg_onnx.errors import DataError
from wrg_onnx.graph import (
    Array,
    Edit,
    Graph,
    Shape,
    edited,
    flatten,
    origins,
    run_once,
)
from wrg_onnx.rewrite.apply import mask_consumers
from wrg_onnx.rewrite.narrowing import narrow_statistics, narrowed_nodes
from wrg_onnx.rewrite.plan import Plan
from wrg_onnx.rewrite.readings import (
    Span,
    cut_nodes,
    look_at_part,
    look_everywhere,
    spans_of_extremes,
    spans_of_parts,
)

WATCHED_BYTES = 16 * 2**20
"""How much of the layers' outputs is compared besides the model's own."""

GIVEN_BYTES = 256 * 2**20
"""The same where each layer is compared by itself."""


class Look(enum.Enum):
    """Whether a run looks at what the nodes read that a cut changes."""

    NOT = "not"
    IN_PART = "at some places of each channel"
    EVERYWHERE = "at all of them"


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the masked original computes on one random input.

    Attributes:
        graph: The original model.
        plan: The plan whose removed units are masked.
        feeds: The input.
        values: The compared tensors by name, their kept channels only. The elements of a sequence
            are tensors of their own.
        branch: Which branch each If was made to take; None where its condition decided.
        bypassed: The rounding steps that are left out, as ``rounding_steps`` gives them.
        given: Whole outputs of layers by name. What reads them gets these values in both models, so
            that each layer is compared by itself; empty where a layer gets what was computed.
        norms: How many nodes take their statistics over the channels that are left.
        moved: How far that alone moves the outputs: the norm of the difference over that of what
            they are with the statistics of all channels, of the output that moves most.
        asked: What a run is asked for, to get the values.
        spans: By tensor that a node which the cut changes reads, what its kept channels showed.
    """

    graph: Graph
    plan: Plan
    feeds: Mapping[str, Array]
    values: Mapping[str, Array]
    branch: bool | None = None
    bypassed: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Array] = field(default_factory=dict)
    norms: int = 0
    moved: float = 0.0
    asked: tuple[str, ...] = ()
    spans: Mapping[str, Span] = field(default_factory=dict)

    @property
    def origins(self) -> dict[str, str]:
        """What a run is asked for to get each compared tensor: of an element, the sequence."""
        return origins(self.asked, self.values)

    @property
    def says_something(self) -> bool:
        """Whether any of the compared tensors can show a difference."""
        return any(tells(values) for values in self.values.values())

    @property
    def is_finite(self) -> bool:
        """Whether any number of the compared tensors is finite."""
        return any(
            values.size and (values.dtype.kind != "f" or bool(np.isfinite(values).any()))
            for values in self.values.values()
        )

    def masked(self) -> Graph:
        """Make the masked original anew."""
        narrowed = narrow_statistics(mask_consumers(self.graph, self.plan), self.plan)
        masked = _decided(narrowed, self.branch)
        return _hand_over(edited(masked, Edit(bypassed=self.bypassed)), self.given)

    def treat(self, pruned: Graph) -> Graph:
        """Let the pruned graph take the same branches, and give its layers the same values."""
        return _hand_over(_decided(pruned, self.branch), self.kept(self.given))

    def kept(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Take the kept channels of the original's tensors."""
        alive = alive_ids(self.plan.units, self.plan.alive)
        kept = {}
        for name, value in values.items():
            left = value
            axes = self.plan.units.axes.get(name)  # an element of a sequence has none
            for axis, ids in enumerate(axes.ids if axes is not None else ()):
                if ids is not None and not alive(ids).all():
                    left = np.compress(alive(ids), left, axis=axis)
            kept[name] = left
        return kept


def tells(values: Array) -> bool:
    """Tell whether a tensor can show a difference: some of it is finite, and not all the same."""
    if values.dtype.kind != "f":
        return bool(values.size)
    finite = values[np.isfinite(values)]
    return bool(finite.size) and (finite.size == 1 or bool(finite.min() < finite.max()))


def run_masked(
    graph: Graph,
    plan: Plan,
    input_shapes: Mapping[str, Shape],
    *,
    seed: int = 0,
    branch: bool | None = None,
) -> Reference:
    """Run the masked original; its weights are freed before the pruned graph need exist.

    Args:
        graph: The original model.
        plan: The plan whose removed units are masked.
        input_shapes: A concrete shape per input.
        seed: Seed of the random input.
        branch: Which branch each If is made to take; None lets its condition decide.

    Raises:
        DataError: If the original does not run, or not at the shapes of the analysis.
    """
    feeds = random_feeds(graph, input_shapes, np.random.default_rng(seed))
    found = run_again(Reference(graph, plan, feeds, {}, branch), look=Look.IN_PART)
    if narrowed := narrowed_nodes(plan):
        found = replace(found, norms=len(narrowed), moved=_moved(found))
    gc.collect()  # graphs refer to themselves in circles, and hold the masked weights
    return found


def _moved(reference: Reference) -> float:
    """Measure how far the outputs are moved by statistics over the channels that are left."""
    plain = _decided(mask_consumers(reference.graph, reference.plan), reference.branch)
    names = [value.name for value in reference.graph.outputs]
    moved = 0.0
    for name, value in reference.kept(run_once(plain, reference.feeds, names)).items():
        if value.dtype.kind == "f" and name in reference.values:  # a sequence may have more here
            whole = value.astype(np.float64)
            distance = np.linalg.norm(reference.values[name] - whole)
            moved = max(moved, float(distance / (np.linalg.norm(whole) or 1.0)))
    return moved


def run_again(reference: Reference, *, by_layer: bool = False, look: Look = Look.NOT) -> Reference:
    """Fill in what the masked original computes.

    Args:
        reference: What to run; its values are not looked at.
        by_layer: Whether to keep what layers compute for their readers.
        look: How to look at what the nodes read that the cut changes.

    Raises:
        DataError: As ``run_masked``.
    """
    plan = reference.plan
    # Outputs first, then layers; each by the name that it has where rounding steps are left out.
    names = [value.name for value in reference.graph.outputs]
    layers = _watched_layers(plan.units, GIVEN_BYTES if by_layer else WATCHED_BYTES)
    names += [name for name in layers if name not in names]
    names = list(dict.fromkeys(reference.bypassed.get(name, name) for name in names))
    values, spans = _run_and_look(reference, names, look)
    forced = reference.branch is not None
    if forced and not all(_as_analysed(plan, *item) for item in values.items()):
        name = reference.graph.name
        raise DataError(f"'{name}': its branches do not return the shapes that are read")
    given = {name: values[name] for name in layers} if by_layer else {}
    kept = reference.kept(values)
    return replace(reference, values=kept, given=given, asked=tuple(names), spans=spans)


def _run_and_look(
    reference: Reference, names: Sequence[str], look: Look
) -> tuple[dict[str, Array], Mapping[str, Span]]:
    """Run the masked original for some tensors, and look at what the cut nodes read."""
    masked, plan = reference.masked(), reference.plan
    if look is Look.NOT:
        return run_once(masked, reference.feeds, names), reference.spans
    nodes = cut_nodes(plan)
    if look is Look.EVERYWHERE:
        watched, ends = look_everywhere(masked, nodes)
        told = {name for one in ends.values() for name in (one.least, one.largest)}
        values = run_once(watched, reference.feeds, [*names, *sorted(told)])
        spans = spans_of_extremes(plan, ends, values)
    else:
        watched, parts = look_at_part(masked, nodes)
        told = set(parts.values()) - set(names)
        values = run_once(watched, reference.feeds, [*names, *sorted(told)])
        seen = {name: values[part] for name, part in parts.items() if part in values}
        spans = spans_of_parts(plan, seen)
    return {name: array for name, array in values.items() if name not in told}, spans


def _hand_over(graph: Graph, given: Mapping[str, Array]) -> Graph:
    """Let the readers of some tensors have these values instead."""
    operands = {
        (node.index, position): given[name]
        for node in flatten(graph).graph.nodes
        for position, name in enumerate(node.inputs)
        if name in given
    }
    return edited(graph, Edit(operands=operands)) if operands else graph


def has_branches(graph: Graph) -> bool:
    """Tell whether a condition decides in the graph what is run."""
    return any(node.op == "If" and not node.domain for node in flatten(graph).graph.nodes)


def _decided(graph: Graph, branch: bool | None) -> Graph:
    """Let every If take one branch, whatever its condition."""
    if branch is None:
        return graph
    nodes = (n for n in flatten(graph).graph.nodes if n.op == "If" and not n.domain)
    return edited(graph, Edit(operands={(node.index, 0): np.array(branch) for node in nodes}))


def _as_analysed(plan: Plan, name: str, value: Array) -> bool:
    axes = plan.units.axes.get(name)
    if axes is None:
        return True  # an element of a sequence, which stays whole
    return axes.rank == value.ndim and all(
        ids is None or len(ids) == size for ids, size in zip(axes.ids, value.shape, strict=True)
    )


def _watched_layers(units: Units, most: int) -> list[str]:
    """Return outputs of layers with weights: the last one, and of the others the small ones.

    Args:
        units: The analysis of the model.
        most: How many bytes they may hold.
    """
    makers = [node for node in units.graph.nodes if units.nodes[node.index].makes_channels]
    made = [next(name for name in node.outputs if name) for node in makers]
    sizes = {name: 4 * math.prod(units.axes[name].shape) for name in made}
    # The last layer always, whatever its size; of the others the small ones, which cost little.
    *others, last = sizes or ("",)
    chosen = [last] if last else []
    held = sizes.get(last, 0)
    for name in sorted(others, key=lambda other: sizes[other]):
        held += sizes[name]
        if held > most:
            break
        chosen.append(name)
    return chosen
