"""What the operators that read a tensor tell of its shape, where the file leaves it open.

A convolution has a weight, whose rank is that of its input, and whose axis 1 counts its channels.
What is found is a hint for a guess at sizes, which is tried before anybody relies on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from wrg_onnx.graph.model import Graph, Node, Shape, Value
from wrg_onnx.graph.weights import Form

_LIKE_INPUT = frozenset({
    "Abs", "Cast", "Clip", "DequantizeLinear", "Dropout", "Elu", "Exp", "HardSigmoid", "HardSwish",
    "Identity", "LeakyRelu", "Log", "LogSoftmax", "LpNormalization", "Neg", "QuantizeLinear",
    "Reciprocal", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Sqrt", "Tanh",
})  # fmt: skip
"""Operators whose output has the shape of their first input."""

_TOGETHER = frozenset({"Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum"})
"""Operators whose operands have one shape, or are spread to it."""

_POOLS = frozenset({"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "MaxPool"})

_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

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
    if node.op in _RECURRENT:
        return _by_recurrence(graph, node, position)
    if node.op == "Concat":
        return _by_neighbours(graph, node, position, shapes, depth)
    if node.op in _TOGETHER:
        return _by_partners(graph, node, position, shapes, depth)
    form = graph.constants.forms.get(node.input(1))
    if position == 0 and form is not None and node.op in _WEIGHTS:
        return _WEIGHTS[node.op](node, form)
    if position == 0 and node.op in _BACKWARDS:
        return _BACKWARDS[node.op](node, read_off(graph, node.outputs[0], shapes, depth))
    return Told()


def _conv(node: Node, form: Form) -> Told:
    return Told(form.ndim, {1: form.shape[1] * node.int("group", 1)}) if form.ndim > 2 else Told()


def _conv_transpose(_node: Node, form: Form) -> Told:
    return Told(form.ndim, {1: form.shape[0]}) if form.ndim > 2 else Told()


def _gemm(node: Node, form: Form) -> Told:
    if form.ndim != 2:
        return Told()
    inner = form.shape[1 if node.int("transB", 0) else 0]
    return Told(2, {0 if node.int("transA", 0) else 1: inner})


def _matmul(_node: Node, form: Form) -> Told:
    return Told(None, {-1: form.shape[-2]}) if form.ndim > 1 else Told()


def _norm(_node: Node, form: Form) -> Told:
    return Told(None, {1: form.shape[-1]}) if form.ndim else Told()


def _layer_norm(_node: Node, form: Form) -> Told:
    return Told(None, {-1: form.shape[-1]}) if form.ndim else Told()


_WEIGHTS: Mapping[str, Callable[[Node, Form], Told]] = {
    "BatchNormalization": _norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "InstanceNormalization": _norm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
}
"""What operators tell of their first input by the form of their second, which is a weight."""


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


def _as_it_is(_node: Node, after: Told) -> Told:
    return after


def _before_pool(node: Node, after: Told) -> Told:
    kernel = node.attributes.get("kernel_shape")
    rank = len(kernel) + 2 if isinstance(kernel, tuple) else after.rank
    channels = after.at(1)
    return Told(rank, {} if channels is None else {1: channels})


def _before_transpose(node: Node, after: Told) -> Told:
    perm = node.attributes.get("perm")
    if not isinstance(perm, tuple):
        return Told(after.rank)
    sizes = _counted(after, len(perm)).sizes
    return Told(len(perm), {int(perm[axis]): size for axis, size in sizes.items()})


_BACKWARDS: Mapping[str, Callable[[Node, Told], Told]] = {
    **dict.fromkeys(_LIKE_INPUT, _as_it_is),
    **dict.fromkeys(_POOLS, _before_pool),
    "Transpose": _before_transpose,
}
"""What is told of an operator's first input by what is told of its output."""
