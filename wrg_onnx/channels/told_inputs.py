"""What the operators that read a tensor tell of its shape, where the file leaves it open.

A convolution has a weight, whose rank is that of its input, and whose axis 1 counts its channels.
What is found is a hint for a guess at sizes, which is tried before anybody relies on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wrg_onnx.channels.traits import traits_of
from wrg_onnx.graph import Form, Graph, Node, Shape, Value

_DEPTH = 32
"""How many operators a tensor is followed through."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a shape.

    Attributes:
        rank: The number of axes; None if nobody tells.
        sizes: Sizes by axis; negative ones count from the end where the rank is not known.
    """

    rank: int | None = None
    sizes: Mapping[int, int] = field(default_factory=dict)

    def beside(self, other: Told) -> Told:
        """Add what another reader tells; who speaks first is believed."""
        rank = self.rank if self.rank is not None else other.rank
        return Told(rank, {**_counted(other, rank).sizes, **_counted(self, rank).sizes})

    def at(self, axis: int) -> int | None:
        """Return the size of an axis, None if it is not known."""
        return self.sizes.get(axis)


def _counted(told: Told, rank: int | None) -> Told:
    """Count the axes from the front where the rank is known."""
    if rank is None:
        return told
    sizes = {axis + rank if axis < 0 else axis: size for axis, size in told.sizes.items()}
    return Told(rank, {axis: size for axis, size in sizes.items() if 0 <= axis < rank})


def told_inputs(graph: Graph, shapes: Mapping[str, Shape] | None = None) -> tuple[Value, ...]:
    """Fill in what the readers of a model's inputs tell of their shapes.

    Args:
        graph: The model.
        shapes: The shapes of tensors that are known, beside constants.

    Returns:
        The inputs. One without rank has one if a reader tells it, and axes that the file leaves
        open have the sizes that their readers need. A symbol that is told in one input, and not
        otherwise in another, has the same size in all.
    """
    found = [_filled(value, read_off(graph, value.name, shapes or {})) for value in graph.inputs]
    symbols: dict[str, set[int]] = {}
    for value, now in zip(graph.inputs, found, strict=True):
        for dim, size in zip(value.shape or (), now.shape or (), strict=False):
            if isinstance(dim, str) and isinstance(size, int):
                symbols.setdefault(dim, set()).add(size)
    sure = {symbol: min(sizes) for symbol, sizes in symbols.items() if len(sizes) == 1}
    return tuple(
        value
        if value.shape is None
        else replace(value, shape=tuple(sure.get(d, d) if isinstance(d, str) else d
                                        for d in value.shape))
        for value in found
    )  # fmt: skip


def _filled(value: Value, told: Told) -> Value:
    if value.shape is None and told.rank is None:
        return value
    shape = value.shape if value.shape is not None else (None,) * (told.rank or 0)
    sizes = _counted(told, len(shape))
    dims = [
        dim if isinstance(dim, int) else sizes.at(axis) or dim for axis, dim in enumerate(shape)
    ]
    return replace(value, shape=tuple(dims))


def read_off(graph: Graph, name: str, shapes: Mapping[str, Shape], depth: int = _DEPTH) -> Told:
    """Say what the readers of a tensor tell of its shape.

    Args:
        graph: The model.
        name: The tensor.
        shapes: The shapes of tensors that are known, beside constants.
        depth: How many operators it is followed through.
    """
    told = Told()
    for node in graph.consumers.get(name, ()) if depth else ():
        if not node.domain and name in node.inputs:
            told = told.beside(_by_reader(graph, node, node.inputs.index(name), shapes, depth - 1))
    return told


def _by_reader(
    graph: Graph, node: Node, position: int, shapes: Mapping[str, Shape], depth: int
) -> Told:
    traits = traits_of(node)
    if traits.rests_at_zero is not None:
        return _by_recurrence(graph, node, position)
    if node.op == "Concat":
        return _by_neighbours(graph, node, position, shapes, depth)
    if traits.is_pointwise and sum(map(bool, node.inputs)) > 1:
        return _by_partners(graph, node, position, shapes, depth)
    form = graph.constants.forms.get(node.input(1))
    if position == 0 and form is not None and (told := _by_weight(node, form)) is not None:
        return told
    if position == 0:
        return _by_output(node, read_off(graph, node.outputs[0], shapes, depth))
    return Told()


def _by_weight(node: Node, form: Form) -> Told | None:
    """Say what the form of a second input tells of the first; None if it is no weight."""
    if node.op in ("Conv", "ConvTranspose"):
        return _by_filters(node, form)
    told: Told | None = None
    match node.op:
        case "Gemm" if form.ndim == 2:
            inner = form.shape[1 if node.int("transB", 0) else 0]
            told = Told(2, {0 if node.int("transA", 0) else 1: inner})
        case "MatMul" if form.ndim > 1:
            told = Told(None, {-1: form.shape[-2]})
        case "BatchNormalization" | "InstanceNormalization" if form.ndim:
            told = Told(None, {1: form.shape[-1]})
        case "LayerNormalization" if form.ndim:
            told = Told(None, {-1: form.shape[-1]})
    return told


def _by_filters(node: Node, form: Form) -> Told | None:
    if form.ndim < 3:
        return None
    turned = node.op == "ConvTranspose"
    return Told(form.ndim, {1: form.shape[0] if turned else form.shape[1] * node.int("group", 1)})


def _by_recurrence(graph: Graph, node: Node, position: int) -> Told:
    """X is (seq, batch, input), W (dirs, gates, input); states (dirs, batch, hidden)."""
    if node.int("layout", 0):
        return Told()
    weights = graph.constants.forms.get(node.input(1))
    if position == 0 and weights is not None:
        return Told(3, {2: weights.shape[2]})
    states = graph.constants.forms.get(node.input(2))
    if position in (5, 6) and states is not None:
        return Told(3, {0: states.shape[0], 2: states.shape[2]})
    return Told()


def _by_neighbours(
    graph: Graph, node: Node, position: int, shapes: Mapping[str, Shape], depth: int
) -> Told:
    """Of what is joined, the others have the same sizes but for one, and a reader needs the sum."""
    others = [shapes.get(name) for place, name in enumerate(node.inputs) if place != position]
    known = [shape for shape in others if shape is not None]
    if not known or len(known) < len(others):
        return Told()
    rank = len(known[0])
    axis = node.int("axis") % rank
    sizes = {other: size for other, size in enumerate(known[0]) if other != axis}
    total = _counted(read_off(graph, node.outputs[0], shapes, depth), rank).at(axis)
    rest = 0 if total is None else total - sum(shape[axis] for shape in known)
    return Told(rank, {**sizes, axis: rest} if rest > 0 else sizes)


def _by_partners(
    graph: Graph, node: Node, position: int, shapes: Mapping[str, Shape], depth: int
) -> Told:
    others = [n for n in node.inputs if n and n != node.inputs[position]]
    known = [shapes[other] for other in others if other in shapes]
    if known:
        return Told(len(known[0]), dict(enumerate(known[0])))
    # A mean or a scale of the file is spread over what it meets.
    if all(other in graph.constants for other in others):
        return read_off(graph, node.outputs[0], shapes, depth)
    return Told()


def _by_output(node: Node, after: Told) -> Told:
    """Say what is told of an operator's first input by what is told of its output."""
    traits = traits_of(node)
    kernel, perm = node.attributes.get("kernel_shape"), node.attributes.get("perm")
    if isinstance(kernel, tuple):  # a pool
        channels = after.at(1)
        return Told(len(kernel) + 2, {} if channels is None else {1: channels})
    if isinstance(perm, tuple):
        sizes = _counted(after, len(perm)).sizes
        return Told(len(perm), {int(perm[axis]): size for axis, size in sizes.items()})
    if node.op.startswith("Global"):
        channels = after.at(1)
        return Told(after.rank, {} if channels is None else {1: channels})
    return after if traits.is_pointwise or traits.requantises else Told()
