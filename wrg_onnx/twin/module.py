"""The twin: an ONNX graph as a torch module that autograd can go through."""

from __future__ import annotations

import enum
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

import wrg_onnx.twin.ops  # noqa: F401 - registers the operators
from wrg_onnx.errors import DataError, UsageError
from wrg_onnx.graph import flatten
from wrg_onnx.twin.attributes import to_array, to_tensor
from wrg_onnx.twin.ends import differentiable_part
from wrg_onnx.twin.floats.dequantise import dequantise
from wrg_onnx.twin.floats.integers import on_steps
from wrg_onnx.twin.interpreter import Interpreter, with_gradient
from wrg_onnx.twin.placing import Placing
from wrg_onnx.twin.program import Program, all_steps, compile_graph, roles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wrg_onnx.graph.model import Array, Graph
    from wrg_onnx.twin.floats.integers import Integers


class BatchNorm(enum.Enum):
    """What BatchNormalization normalises by.

    Attributes:
        FROZEN: The running statistics, whether the twin trains or not.
        TRAIN: The batch's statistics while ``twin.training`` is set, and the running ones follow
            them by the node's momentum; the running ones otherwise. A layer whose statistics are
            computed, or are the initializer of something else too, stays frozen.
    """

    FROZEN = "frozen"
    TRAIN = "train"


class Twin(nn.Module):
    """An ONNX graph as a differentiable torch module; `build_twin` makes one.

    Float constants that are weights are parameters. Other float constants that meet data are
    buffers, with a copy that stays on the CPU. Integers, and floats that only say where or how
    much, are on the CPU alone, since their values decide shapes.

    Attributes:
        input_names: What ``forward`` must be fed.
        output_names: What it returns, besides the taps.
    """

    def __init__(
        self,
        program: Program,
        constants: Mapping[str, Array],
        *,
        trainable: bool,
        integers: Mapping[str, Integers],
    ) -> None:
        super().__init__()
        self.input_names = program.inputs
        self.output_names = program.outputs
        self._program = program
        self._moving = {
            name
            for step in all_steps(program)
            if step.training
            for name in step.training.outputs[1:]
        }
        self._integers = integers
        self._moved: torch.dtype | None = None
        self._originals: dict[str, Array] = {}
        self._host: dict[str, Tensor] = {}
        # Torch forbids dots in a parameter's name; ONNX names are full of them.
        self._parameter_names: dict[str, str] = {}
        self._buffer_names: dict[str, str] = {}
        for index, (name, role) in enumerate(roles(program, constants).items()):
            tensor = to_tensor(constants[name])
            if role.is_weight or name in self._moving:
                self._originals[name] = constants[name]
            else:
                self._host[name] = tensor
            if role.is_weight:
                self._parameter_names[name] = f"weight_{index}"
                self.register_parameter(f"weight_{index}", nn.Parameter(tensor, trainable))
            elif role.meets_data:
                self._buffer_names[name] = f"constant_{index}"
                self.register_buffer(f"constant_{index}", tensor)
        self._steps_of = {
            name: integers[name].steps() for name in self._parameter_names if name in integers
        }
        self._types = {name: tensor.dtype for name, tensor in self._stored().items()}

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """Return the parameters, keyed by the names of their ONNX initializers.

        Constants of branches and loop bodies have the names that `graph.flatten` gives them.
        """
        return {name: self.get_parameter(key) for name, key in self._parameter_names.items()}

    def trained_constants(self) -> dict[str, Array]:
        """Return what training may have changed, ready for ``Edit(constants=...)``.

        Returns:
            The parameters, and the running statistics where `BatchNorm.TRAIN` moves them, by the
            names of their initializers; copies, each of its initializer's type and shape. Weights
            of a quantised model are rounded to their integers, with the scales that they had.
        """
        now = self._stored()
        trained = {name: to_array(now[name], array) for name, array in self._originals.items()}
        for name in trained.keys() & self._integers.keys():
            trained[name] = self._integers[name].to_integers(trained[name])
        return trained

    def forward(
        self,
        feeds: Mapping[str, Tensor],
        taps: Sequence[str] = (),
        through: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
        cuts: Sequence[int] = (),
    ) -> dict[str, Tensor]:
        """Run the graph.

        Args:
            feeds: One tensor per graph input, by name.
            taps: Names of further tensors to return. They are the very tensors that the rest of
                the graph reads, so ``torch.autograd.grad(loss, tap)`` works; with gradients on, a
                float tap that depends on nothing trainable becomes a leaf that requires them. Of a
                loop body it is what the last iteration made.
            through: By the name of a node's output, a function that it goes through before anything
                reads it.
            cuts: Numbers of nodes, ascending, before which a new part begins. For a backward pass
                the tensors inside a part are computed again instead of kept: less memory, more
                time.

        Returns:
            The graph outputs and the taps, by name.

        Raises:
            DataError: If a graph input is not fed.
            UsageError: If the graph has no tensor of a tap's name, or did not compute it.
        """
        missing = [name for name in self.input_names if name not in feeds]
        if missing:
            raise DataError(f"no tensor for the input '{missing[0]}': feed every graph input")
        values = {**self._host, **self._stored()}
        # What trains is between the integers; what computes is what they will be.
        values.update((name, on_steps(values[name], s)) for name, s in self._steps_of.items())
        values.update((name, feeds[name]) for name in self.input_names)
        tapped = frozenset(taps) if torch.is_grad_enabled() else frozenset()
        for name in tapped & values.keys():
            values[name] = with_gradient(values[name])
        devices = {value.device.type for value in values.values()}
        placing = Placing(
            self._host,
            frozenset((*self._parameter_names, *self._buffer_names)),
            is_mixed=devices != {"cpu"},
            moved=self._moved,
            is_autocast=any(torch.is_autocast_enabled(device) for device in devices - {"meta"}),
        )
        kept = frozenset((*self.output_names, *taps))
        move = self._move if self.training else None
        Interpreter(values, kept, tapped, placing, move, through or {}).run(self._program, cuts)
        for name in taps:
            if name not in values:
                raise UsageError(f"no tensor '{name}' in the model: it cannot be tapped")
        return {name: values[name] for name in (*self.output_names, *taps)}

    def bytes_made(self, feeds: Mapping[str, Tensor]) -> list[int]:
        """Return how many bytes of floats each node of the main graph makes, in their order."""
        made = [0] * len(self._program.steps)

        def note(number: int, value: Tensor) -> Tensor:
            made[number] += value.nbytes if value.is_floating_point() else 0
            return value

        through = {
            name: partial(note, number)
            for number, step in enumerate(self._program.steps)
            for name in step.node.outputs
        }
        with torch.no_grad():
            self(feeds, through=through)
        return made

    def _move(self, name: str, value: Tensor) -> None:
        with torch.no_grad():
            self.get_buffer(self._buffer_names[name]).copy_(value)

    def _stored(self) -> dict[str, Tensor]:
        """Return parameters and buffers by ONNX name; anew, since ``to`` replaces buffers."""
        stored: dict[str, Tensor] = {}
        for keys, table in (
            (self._buffer_names, self._buffers),
            (self._parameter_names, self._parameters),
        ):
            for name, key in keys.items():
                tensor = table[key]
                assert tensor is not None
                stored[name] = tensor
        return stored

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Twin:
        """Follow ``to``, ``half`` and their kin, and note a new float type."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        stored = self._stored()
        changed = {t.dtype for name, t in stored.items() if t.dtype != self._types[name]}
        self._moved = next(iter(changed), None)
        return self


def build_twin(
    graph: Graph,
    *,
    trainable: bool = True,
    batch_norm: BatchNorm = BatchNorm.FROZEN,
    outputs: Sequence[str] | None = None,
) -> Twin:
    """Turn a graph into a torch module.

    Args:
        graph: The model; its constants are copied.
        trainable: Whether the parameters require gradients.
        batch_norm: What BatchNormalization normalises by while the twin trains.
        outputs: The names of the outputs that are asked for; None for all.

    Returns:
        The module, on the CPU. Where an output is no tensor of floats and cannot be made, such as a
        sequence or a map, it returns the tensors that lead to it instead.

    Raises:
        UnsupportedOperatorError: If an operator has no twin that an output of floats needs.
    """
    floats = dequantise(graph)
    part = differentiable_part(floats.graph, outputs)
    constants = flatten(part).graph.constants
    program = compile_graph(part, constants, trains=batch_norm is BatchNorm.TRAIN)
    return Twin(program, constants, trainable=trainable, integers=floats.integers)
