"""Two models layer by layer: how long each takes, and why it is not faster where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wrg_onnx.graph import Node, Shape
from wrg_onnx.latency.profile.kernels import Kernel, Profile

KEPT = 0.8
"""A layer that gets this share of what its multiplications promise needs no explanation."""

ROUNDED = 1.1
"""From which ratio on multiplications with zeros explain something."""

LAYOUT = 0.1
"""From which share of a layer's time on a change of layout explains something."""

FEWEST_MACS_PER_BYTE = 4
"""Below this a layer waits for memory: a core makes some 50 G multiplications a second, and reads
some 10 GB."""

LEAST_MS = 0.02
"""Below this it is calls and threads that take the time."""


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """What a model's file says of its nodes.

    Attributes:
        nodes: In topological order.
        macs: Multiplications of a node in a run, by the first tensor that it makes; those that make
            none are not here.
        shapes: Of its tensors, as they are timed.
    """

    nodes: Sequence[Node]
    macs: Mapping[str, int]
    shapes: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class LayerTime:
    """What a layer costs in two models.

    Attributes:
        name: The name of the node with the most multiplications, in the first model if that has it.
        op: Its operator; that of ONNX Runtime where no node of the file is behind it.
        fused: How many other nodes ran with it as one.
        before_ms: How long it takes in a run of the first model, changes of layout beside it
            included; None where that has no such layer.
        after_ms: The same in the second.
        layout_before_ms: What of it changes of layout take.
        layout_after_ms: The same in the second.
        macs_before: Its multiplications in a run, 0 if it makes none; None if that is not known.
        macs_after: The same in the second.
        why: Why it is less faster than its multiplications are fewer; empty where it is not.
    """

    name: str
    op: str
    fused: int
    before_ms: float | None
    after_ms: float | None
    layout_before_ms: float = 0.0
    layout_after_ms: float = 0.0
    macs_before: int | None = None
    macs_after: int | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Two models layer by layer, as ONNX Runtime's profiler sees them.

    Attributes:
        layers: In the order in which the first model runs them, then those that only the second
            has.
        before_ms: How long a run of the first model takes with the profiler, median.
        after_ms: The same of the second; None where there is none.
    """

    layers: tuple[LayerTime, ...]
    before_ms: float
    after_ms: float | None = None


@dataclass(frozen=True, slots=True)
class _Layer:
    """A kernel, and what the file says of the nodes that it stands for.

    Attributes:
        name: Of the node with the most multiplications.
        op: Its operator.
        kernel: What ran.
        fused: How many other nodes it stands for.
        macs: Multiplications of all; None where no node is known.
        channels: Of what that node makes, as the file has it.
        input_channels: Of its first input, likewise.
    """

    name: str
    op: str
    kernel: Kernel
    fused: int = 0
    macs: int | None = None
    channels: int | None = None
    input_channels: int | None = None

    @property
    def ms(self) -> float:
        return self.kernel.ms + self.kernel.layout_ms

    @property
    def rounding(self) -> float:
        """Multiplications that are made over those that the file asks for."""
        computed = self.kernel.computed_macs
        return computed / self.macs if computed and self.macs else 1.0


def side_by_side(
    first: Profile, first_file: Anatomy, second: Profile, second_file: Anatomy
) -> SideBySide:
    """Hold two models against each other.

    Args:
        first: What ONNX Runtime ran for the first one.
        first_file: What its file says.
        second: What ONNX Runtime ran for the second one.
        second_file: What its file says. Layers that make tensors of one name are held to be one.
    """
    before, after = _layers(first, first_file), _layers(second, second_file)
    rows = [_row(layer, after.get(key)) for key, layer in before.items()]
    rows += [_row(None, layer) for key, layer in after.items() if key not in before]
    return SideBySide(tuple(rows), first.run_ms, second.run_ms)


def alone(profile: Profile, file: Anatomy) -> SideBySide:
    """List the layers of a single model."""
    rows = tuple(_row(layer, None) for layer in _layers(profile, file).values())
    return SideBySide(rows, profile.run_ms)


def _layers(profile: Profile, file: Anatomy) -> dict[str, _Layer]:
    """Return what ran, by a tensor that it makes: that of the most multiplications, or its last."""
    makers = {name: node for node in file.nodes for name in node.outputs if name}
    kernels = [*_named(profile, file.nodes, makers)]
    stops = {name for kernel in kernels for name in kernel.makes}
    taken: set[int] = set()
    layers: dict[str, _Layer] = {}
    for number, kernel in enumerate(kernels):
        nodes = [*_fused(kernel, makers, stops, taken)]
        if not nodes:
            layers[f"\0{kernel.op}{number}"] = _Layer("(added)", kernel.op, kernel)
            continue
        main = max(nodes, key=lambda node: (file.macs.get(node.outputs[0], 0), node.index))
        macs = sum(file.macs.get(node.outputs[0], 0) for node in nodes)
        layers[main.outputs[0]] = _Layer(
            main.name,
            main.op,
            kernel,
            len(nodes) - 1,
            macs,
            _channels(file.shapes.get(main.outputs[0])),
            _channels(file.shapes.get(main.input(0))),
        )
    return layers


def _named(profile: Profile, nodes: Sequence[Node], makers: Mapping[str, Node]) -> Iterator[Kernel]:
    """Yield the kernels, with the tensors of the file that they make in blocks.

    Between two that compute in blocks an Add, say, computes on blocks, too, and makes what has no
    name in the file. It is the node with the same operator that reads the same.
    """
    same = dict(profile.same)
    readers = {(node.op, *sorted(filter(None, node.inputs))): node for node in reversed(nodes)}
    for kernel in profile.kernels:
        if not any(name in makers for name in kernel.makes):
            node = readers.get((kernel.op, *sorted(same.get(name, name) for name in kernel.reads)))
            if node is not None:
                same[kernel.makes[0]] = node.outputs[0]
                yield replace(kernel, makes=(*kernel.makes, *filter(None, node.outputs)))
                continue
        yield kernel


def _fused(
    kernel: Kernel, makers: Mapping[str, Node], stops: set[str], taken: set[int]
) -> Iterator[Node]:
    """Yield the file's nodes that a kernel stands for, back to what other kernels make."""
    waiting = [name for name in kernel.makes if name in makers]
    while waiting:
        node = makers[waiting.pop()]
        if node.index in taken:
            continue
        taken.add(node.index)
        yield node
        own = {*kernel.makes}
        waiting += [
            name for name in node.inputs if name in makers and (name not in stops or name in own)
        ]


def _channels(shape: Shape | None) -> int | None:
    return shape[1] if shape is not None and len(shape) > 1 else None


def _row(before: _Layer | None, after: _Layer | None) -> LayerTime:
    named = before or after
    assert named is not None
    return LayerTime(
        name=named.name,
        op=named.op,
        fused=named.fused,
        before_ms=None if before is None else before.ms,
        after_ms=None if after is None else after.ms,
        layout_before_ms=0.0 if before is None else before.kernel.layout_ms,
        layout_after_ms=0.0 if after is None else after.kernel.layout_ms,
        macs_before=None if before is None else before.macs,
        macs_after=None if after is None else after.macs,
        why="" if before is None or after is None else "; ".join(_reasons(before, after)),
    )


def _reasons(before: _Layer, after: _Layer) -> Iterator[str]:
    """Say why a layer is less faster than its multiplications are fewer."""
    if not before.macs or not after.macs:
        return
    promised = before.macs / after.macs
    if not before.ms or before.ms >= KEPT * promised * after.ms:
        return
    found = [*_layout_reasons(before, after)]
    kernel = after.kernel
    if kernel.moved_bytes and after.macs < FEWEST_MACS_PER_BYTE * kernel.moved_bytes:
        found.append(f"memory-bound: {after.macs / kernel.moved_bytes:.1f} MACs a byte")
    if kernel.ms < LEAST_MS:
        found.append(f"too small: {1e3 * kernel.ms:.0f} us")
    yield from found or ["not explained"]


def _layout_reasons(before: _Layer, after: _Layer) -> Iterator[str]:
    kernel = after.kernel
    if after.rounding > ROUNDED * before.rounding:
        made, read = kernel.output_shape, kernel.weight_shape
        if made is not None and after.channels is not None and made[1] > after.channels:
            yield f"{after.channels} channels computed as {made[1]}"
        elif read is not None:
            yield f"{after.input_channels} input channels read as {read[1]}"
    if before.kernel.is_blocked and not kernel.is_blocked:
        read_channels = after.input_channels or 0
        odd = ", no multiple of 4" if read_channels % 4 else ""
        yield f"out of blocks: {read_channels} input channels{odd}"
    added = kernel.layout_ms - before.kernel.layout_ms
    if added > LAYOUT * after.ms:
        yield f"into or out of blocks: {added:.2f} ms more"
