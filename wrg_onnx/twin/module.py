"""The twin: an ONNX graph as a torch module that autograd can go through."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import wrg_onnx.twin.ops  # noqa: F401 - registers the operators
from wrg_onnx.graph.errors import DataError, ModelError, UnsupportedOperatorError, UsageError
from wrg_onnx.twin.attributes import to_array, to_tensor
from wrg_onnx.twin.table import TwinOp, lookup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from wrg_onnx.graph.model import Array, Graph, Node


class BatchNorm(enum.Enum):
    """What BatchNormalization normalises by.

    Attributes:
        FROZEN: The running statistics, whether the twin trains or not.
        TRAIN: The batch's statistics while ``twin.training`` is set, and the running ones follow
            them by the node's momentum; the running ones otherwise.
    """

    FROZEN = "frozen"
    TRAIN = "train"


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One node, ready to run.

    Attributes:
        node: The node.
        op: Its entry in the table.
        last: Names of the tensors that no later step reads.
        training: What runs in place of the node while the twin trains; None for the node itself.
            Its outputs behind the first are the running statistics under their own names.
    """

    node: Node
    op: TwinOp
    last: tuple[str, ...]
    training: Node | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """What a constant is for.

    Attributes:
        meets_data: Whether it meets float data, on whatever device that is.
        is_weight: Whether it trains.
    """

    meets_data: bool
    is_weight: bool


class Twin(nn.Module):
    """An ONNX graph as a differentiable torch module; `build_twin` makes one.

    Float constants that are weights are parameters. Other float constants that meet data are
    buffers, with a copy that stays on the CPU. Integers, and floats that only say where or how
    much, are on the CPU alone, since their values decide shapes.

    Attributes:
        input_names: What ``forward`` must be fed.
        output_names: What it returns, besides the taps.
    """

    def __init__(self, graph: Graph, steps: tuple[Step, ...], *, trainable: bool) -> None:
        super().__init__()
        self.input_names = tuple(value.name for value in graph.inputs)
        self.output_names = tuple(value.name for value in graph.outputs)
        self._steps = steps
        self._moving = {
            name for step in steps if step.training for name in step.training.outputs[1:]
        }
        self._originals: dict[str, Array] = {}
        self._host: dict[str, Tensor] = {}
        # Torch forbids dots in a parameter's name; ONNX names are full of them.
        self._parameter_names: dict[str, str] = {}
        self._buffer_names: dict[str, str] = {}
        used = _uses(steps, self.output_names)
        for index, (name, array) in enumerate(graph.constants.items()):
            if name not in used:
                continue
            role = _role(array, used[name])
            tensor = to_tensor(array)
            if role.is_weight or name in self._moving:
                self._originals[name] = array
            else:
                self._host[name] = tensor
            if role.is_weight:
                self._parameter_names[name] = f"weight_{index}"
                self.register_parameter(f"weight_{index}", nn.Parameter(tensor, trainable))
            elif role.meets_data:
                self._buffer_names[name] = f"constant_{index}"
                self.register_buffer(f"constant_{index}", tensor)

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """Return the parameters, keyed by the names of their ONNX initializers."""
        return {name: self.get_parameter(key) for name, key in self._parameter_names.items()}

    def trained_constants(self) -> dict[str, Array]:
        """Return what training may have changed, ready for ``Edit(constants=...)``.

        Returns:
            The parameters, and the running statistics where `BatchNorm.TRAIN` moves them, by the
            names of their initializers; copies, each of its initializer's type and shape.
        """
        now: dict[str, Tensor] = {**self.parameters_by_name()}
        now.update((name, self.get_buffer(self._buffer_names[name])) for name in self._moving)
        return {name: to_array(now[name], array) for name, array in self._originals.items()}

    def forward(
        self,
        feeds: Mapping[str, Tensor],
        taps: Sequence[str] = (),
        through: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
    ) -> dict[str, Tensor]:
        """Run the graph.

        Args:
            feeds: One tensor per graph input, by name.
            taps: Names of further tensors to return. They are the very tensors that the rest of
                the graph reads, so ``torch.autograd.grad(loss, tap)`` works; with gradients on, a
                float tap that depends on nothing trainable becomes a leaf that requires them.
            through: By the name of a node's output, a function that it goes through before anything
                reads it.

        Returns:
            The graph outputs and the taps, by name.

        Raises:
            DataError: If a graph input is not fed.
            UsageError: If the graph has no tensor of a tap's name.
        """
        missing = [name for name in self.input_names if name not in feeds]
        if missing:
            raise DataError(f"no tensor for the input '{missing[0]}': feed every graph input")
        values = self._constants()
        values.update((name, feeds[name]) for name in self.input_names)
        kept = {*self.output_names, *taps}
        mixed = any(value.device.type != "cpu" for value in values.values())
        tapped = frozenset(taps) if torch.is_grad_enabled() else frozenset()
        for name in tapped & values.keys():
            values[name] = _with_gradient(values[name])
        through = through or {}
        for step in self._steps:
            inputs = [values[name] if name else None for name in step.node.inputs]
            if mixed:
                inputs = _place(inputs, step, self._host)
            for name, result in self._run(step, inputs):
                value = through[name](result) if name in through else result
                values[name] = _with_gradient(value) if name in tapped else value
            for name in step.last:
                if name not in kept:
                    del values[name]
        for name in taps:
            if name not in values:
                raise UsageError(f"no tensor '{name}' in the model: it cannot be tapped")
        return {name: values[name] for name in (*self.output_names, *taps)}

    def _run(self, step: Step, inputs: list[Tensor | None]) -> Iterator[tuple[str, Tensor]]:
        if not (self.training and step.training):
            yield from _run(step.node, step.op, inputs)
            return
        y, *running = _run(step.training, step.op, inputs)
        with torch.no_grad():
            for name, value in running:
                self.get_buffer(self._buffer_names[name]).copy_(value)
        yield y

    def _constants(self) -> dict[str, Tensor]:
        """Return every constant by its ONNX name; looked up anew, since ``to`` replaces buffers."""
        values = dict(self._host)
        for keys, table in (
            (self._buffer_names, self._buffers),
            (self._parameter_names, self._parameters),
        ):
            for name, key in keys.items():
                tensor = table[key]
                if tensor is not None:
                    values[name] = tensor
        return values


def build_twin(
    graph: Graph, *, trainable: bool = True, batch_norm: BatchNorm = BatchNorm.FROZEN
) -> Twin:
    """Turn a graph into a torch module.

    Args:
        graph: The model; its constants are copied.
        trainable: Whether the parameters require gradients.
        batch_norm: What BatchNormalization normalises by while the twin trains.

    Returns:
        The module, on the CPU.

    Raises:
        UnsupportedOperatorError: If an operator has no twin.
    """
    entries = [(node, _entry(node)) for node in graph.nodes]
    outputs = {value.name for value in graph.outputs}
    last_reader: dict[str, int] = {}
    for position, node in enumerate(graph.nodes):
        # An output that nobody reads dies where it is born.
        for name in (*node.inputs, *node.outputs):
            last_reader[name] = position
    last: list[list[str]] = [[] for _ in entries]
    for name, position in last_reader.items():
        if name and name not in outputs and name not in graph.constants:
            last[position].append(name)
    trains = batch_norm is BatchNorm.TRAIN
    steps = tuple(
        Step(node, entry, tuple(names), _training_form(node, graph) if trains else None)
        for (node, entry), names in zip(entries, last, strict=True)
    )
    return Twin(graph, steps, trainable=trainable)


def _training_form(node: Node, graph: Graph) -> Node | None:
    """Return a BatchNormalization that moves its running statistics, None for any other node."""
    running = node.inputs[3:5]
    if node.op != "BatchNormalization" or node.domain or any(node.outputs[1:]):
        return None
    if node.int("training_mode", 0) or not node.int("spatial", 1):
        return None
    if any(name not in graph.constants for name in running):
        return None
    attributes = {**node.attributes, "training_mode": 1}
    return replace(node, attributes=attributes, outputs=(node.outputs[0], *running))


def _entry(node: Node) -> TwinOp:
    entry = lookup(node.domain, node.op, node.version)
    if entry is None:
        op = f"{node.domain}.{node.op}" if node.domain else node.op
        raise UnsupportedOperatorError(
            f"no differentiable twin for '{op}' (opset {node.version}) at node '{node.name}': "
            "use a criterion without gradient, such as --criterion wr",
            op=op,
            node=node.name,
        )
    return entry


def _uses(
    steps: Iterable[Step], outputs: Iterable[str]
) -> dict[str, list[tuple[TwinOp, int] | None]]:
    """Return where each tensor is read: the operator and the position, None for the caller."""
    uses: dict[str, list[tuple[TwinOp, int] | None]] = {name: [None] for name in outputs}
    for step in steps:
        for position, name in enumerate(step.node.inputs):
            uses.setdefault(name, []).append((step.op, position))
    return uses


def _role(array: Array, uses: Iterable[tuple[TwinOp, int] | None]) -> Role:
    # The second name is that of ml_dtypes, which numpy does not count among the floats.
    if array.dtype.kind != "f" and array.dtype.name != "bfloat16":
        return Role(meets_data=False, is_weight=False)
    data = [use for use in uses if use is not None and use[1] not in use[0].host]
    return Role(
        meets_data=bool(data),
        is_weight=any(
            position not in op.fixed and not (op.pointwise and array.size == 1)
            for op, position in data
        ),
    )


def _run(node: Node, op: TwinOp, inputs: list[Tensor | None]) -> Iterator[tuple[str, Tensor]]:
    """Compute one node; yield its outputs with their names."""
    result = op.function(node, *inputs)
    results = (result,) if isinstance(result, Tensor) else result
    if len(results) < len(node.outputs) and any(node.outputs[len(results) :]):
        raise ModelError(f"{node}: the twin has no output {len(results)} of this operator")
    for name, value in zip(node.outputs, results, strict=False):
        if name:
            yield name, value


def _place(
    inputs: list[Tensor | None], step: Step, constants: Mapping[str, Tensor]
) -> list[Tensor | None]:
    """Bring shape-like operands to the CPU, and the others to where the data are.

    Arithmetic on shapes is thus done on the CPU to its end: nothing waits for the device.

    Args:
        inputs: The operands, wherever they are.
        step: What reads them.
        constants: Those with a copy on the CPU; they follow the other operands.
    """
    cpu = torch.device("cpu")
    operands = list(enumerate(zip(step.node.inputs, inputs, strict=True)))
    elsewhere = (
        value.device
        for position, (name, value) in operands
        if value is not None and position not in step.op.host and name not in constants
        if value.device != cpu
    )
    device = next(elsewhere, cpu)
    placed: list[Tensor | None] = []
    for position, (name, value) in operands:
        goal = cpu if position in step.op.host else device
        on_cpu = goal == cpu and name in constants
        placed.append(constants[name] if on_cpu else value if value is None else value.to(goal))
    return placed


def _with_gradient(value: Tensor) -> Tensor:
    """Return the tensor, or a leaf of its values where nothing before it requires gradients."""
    if value.requires_grad or not value.is_floating_point():
        return value
    return value.detach().requires_grad_()
