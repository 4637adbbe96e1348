"""What ONNX Runtime ran for a model, and how long each part took: its profile, read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import onnx

from wrg_onnx.errors import DataError
from wrg_onnx.graph import Shape

BLOCKED_DOMAIN = "com.microsoft.nchwc"
"""Of operators that compute on channels in blocks, as wide as the processor's vectors."""

BLOCKED_SUFFIX = "_nchwc"
"""Behind the name of the tensor that such an operator makes, ONNX Runtime names it so."""

OUT_OF_BLOCKS = "ReorderOutput"
"""The operator that gives a tensor its plain layout back; the others of the kind take it away."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A node of the graph that ONNX Runtime runs.

    Attributes:
        op: Its operator there.
        makes: The tensors that it makes: those of the model by their names there, as far as they
            still have them, others by what ONNX Runtime calls them.
        reads: The tensors that it reads, likewise.
        ms: How long it takes in a run, median.
        layout_ms: How long the nodes take that bring its input into blocks, and its output out.
        is_blocked: Whether it computes on channels in blocks.
        moved_bytes: What it reads and writes, weights included.
        input_shape: Of its first input, as it is computed on; None if that has none.
        output_shape: Of its first output, likewise.
        weight_shape: Of its second input, likewise.
    """

    op: str
    makes: tuple[str, ...]
    ms: float
    reads: tuple[str, ...] = ()
    layout_ms: float = 0.0
    is_blocked: bool = False
    moved_bytes: int = 0
    input_shape: Shape | None = None
    output_shape: Shape | None = None
    weight_shape: Shape | None = None

    @property
    def computed_macs(self) -> int | None:
        """Of what computes in blocks the multiplications that it makes, those with zeros, too."""
        if not self.is_blocked or self.output_shape is None or self.weight_shape is None:
            return None
        batch, _, *sides = self.output_shape
        return batch * math.prod(sides) * math.prod(self.weight_shape)


@dataclass(frozen=True, slots=True)
class Profile:
    """What ONNX Runtime ran for a model.

    Attributes:
        kernels: In the order in which they run; what only brings channels into blocks or out of
            them counts for its neighbour.
        run_ms: How long a run takes, median; with the profiler it is longer than without.
        same: By the name of a tensor in blocks, that of the model's tensor that it holds.
    """

    kernels: tuple[Kernel, ...]
    run_ms: float
    same: Mapping[str, str] = field(default_factory=dict)


def read_profile(profile: Path, optimised: Path, *, last: int) -> Profile:
    """Read what ONNX Runtime wrote of some runs.

    Args:
        profile: The file of its profiler.
        optimised: The graph that it ran, as it wrote it, possibly without weights.
        last: How many runs count; those before are warm-up.

    Raises:
        DataError: If the two do not fit together.
    """
    nodes = [*onnx.load(optimised, load_external_data=False).graph.node]
    found: list[list[Mapping[str, Any]]] = [[] for _ in nodes]
    totals = []
    for events, total_us in [*_runs(json.loads(profile.read_text("utf-8")))][-last:]:
        totals.append(total_us)
        for place, event in _matched(nodes, events):
            found[place].append(event)
    if not all(found):
        absent = nodes[next(place for place, events in enumerate(found) if not events)]
        raise DataError(
            f"ONNX Runtime's profile lacks {absent.op_type} '{absent.name}' of the graph that it "
            "ran: layers cannot be told apart"
        )
    kernels = [_kernel(node, events) for node, events in zip(nodes, found, strict=True)]
    joined = tuple(_join_layout(nodes, kernels))
    return Profile(joined, median(totals) / 1e3, dict(_same(nodes)))


def _runs(
    events: Iterable[Mapping[str, Any]],
) -> Iterator[tuple[list[Mapping[str, Any]], float]]:
    """Yield the events of each run's nodes, and how many microseconds it took in all."""
    nodes: list[Mapping[str, Any]] = []
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes.append(event)
        elif event.get("cat") == "Session" and event["name"] == "model_run":
            yield nodes, event["dur"]
            nodes = []


def _matched(
    nodes: Sequence[onnx.NodeProto], events: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield which node each event is of.

    Nodes run in the order in which they are written. What runs in a branch or body has events of
    its own, which come before that of the node that runs it.
    """
    place = 0
    for event in events:
        if place == len(nodes):
            return
        node, name = nodes[place], event["name"].removesuffix("_kernel_time")
        if event["args"]["op_name"] == node.op_type and node.name in ("", name):
            yield place, event
            place += 1


def _kernel(node: onnx.NodeProto, events: Sequence[Mapping[str, Any]]) -> Kernel:
    is_blocked = node.domain == BLOCKED_DOMAIN
    names = [name for name in node.output if name]
    if is_blocked and not _changes_layout(node):
        names.append(node.name.removesuffix(BLOCKED_SUFFIX))
    args = events[0]["args"]
    sizes = ("activation_size", "parameter_size", "output_size")
    inputs, outputs = args.get("input_type_shape", []), args.get("output_type_shape", [])
    return Kernel(
        op=node.op_type,
        makes=tuple(names),
        ms=median(event["dur"] for event in events) / 1e3,
        reads=tuple(name for name in node.input if name),
        is_blocked=is_blocked,
        moved_bytes=sum(int(args.get(size, 0)) for size in sizes),
        input_shape=_shape(inputs, 0),
        output_shape=_shape(outputs, 0),
        weight_shape=_shape(inputs, 1),
    )


def _shape(typed: Sequence[Mapping[str, Sequence[int]]], place: int) -> Shape | None:
    if place >= len(typed):
        return None
    return next((tuple(shape) for shape in typed[place].values()), None)


def _join_layout(nodes: Sequence[onnx.NodeProto], kernels: Sequence[Kernel]) -> Iterator[Kernel]:
    """Let nodes that only change the layout count for those that compute beside them."""
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output if name}
    read_by: dict[str, int] = {}
    for place, node in enumerate(nodes):
        for name in node.input:
            read_by.setdefault(name, place)
    joined = [*kernels]
    is_layout = [_changes_layout(node) for node in nodes]
    for place, node in enumerate(nodes):
        if not is_layout[place]:
            continue
        out = node.op_type == OUT_OF_BLOCKS
        other = made_by.get(node.input[0]) if out else read_by.get(node.output[0])
        if other is None or is_layout[other]:
            is_layout[place] = False
            continue
        host = joined[other]
        makes = (*host.makes, *node.output) if out else host.makes
        layout = host.layout_ms + kernels[place].ms
        joined[other] = replace(host, makes=makes, layout_ms=layout)
    return (kernel for kernel, layout in zip(joined, is_layout, strict=True) if not layout)


def _same(nodes: Sequence[onnx.NodeProto]) -> Iterator[tuple[str, str]]:
    """Yield tensors in blocks and what they hold; what is sure of them comes last."""
    for node in nodes:
        if node.domain == BLOCKED_DOMAIN and not _changes_layout(node):
            yield node.output[0], node.name.removesuffix(BLOCKED_SUFFIX)
    for node in nodes:
        if _changes_layout(node):
            plain, blocked = node.input[0], node.output[0]
            yield (plain, blocked) if node.op_type == OUT_OF_BLOCKS else (blocked, plain)


def _changes_layout(node: onnx.NodeProto) -> bool:
    """Tell a node of the blocks' domain that the model has no counterpart of."""
    return node.domain == BLOCKED_DOMAIN and not node.name.endswith(BLOCKED_SUFFIX)
