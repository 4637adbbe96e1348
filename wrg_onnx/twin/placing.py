"""On which device, and in which float type, a step finds its operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from wrg_onnx.twin.program import Step

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class Placing:
    """How the operands of a run are placed.

    Attributes:
        constants: Constants with a copy on the CPU, in the file's type; they follow the other
            operands.
        stored: Names of the parameters and buffers.
        is_mixed: Whether any tensor is on another device than the CPU.
        moved: The float type that the twin was moved to, None if it has those of the file.
        is_autocast: Whether torch chooses the types of products.
    """

    constants: Mapping[str, Tensor]
    stored: frozenset[str]
    is_mixed: bool
    moved: torch.dtype | None
    is_autocast: bool

    def place(self, inputs: list[Tensor | None], step: Step) -> list[Tensor | None]:
        """Return the operands of a step where, and as what, it wants them."""
        if self.is_mixed:
            inputs = self._on_one_device(inputs, step)
        if step.bodies:  # what a body is fed is placed by the steps that read it
            return inputs
        if self.moved is not None:
            inputs = self._in_the_type_moved_to(inputs, step, self.moved)
        elif self.is_autocast:
            inputs = self._in_the_widest_type(inputs, step)
        return inputs

    def _on_one_device(self, inputs: list[Tensor | None], step: Step) -> list[Tensor | None]:
        """Bring shape-like operands to the CPU, and the others to where the data are.

        Arithmetic on shapes is thus done on the CPU to its end: nothing waits for the device.
        """
        operands = list(enumerate(zip(step.node.inputs, inputs, strict=True)))
        elsewhere = (
            value.device
            for position, (name, value) in operands
            if value is not None and position not in step.op.host and name not in self.constants
            if value.device != CPU
        )
        device = next(elsewhere, CPU)
        placed: list[Tensor | None] = []
        for position, (name, value) in operands:
            is_host = position in step.op.host
            if value is None or (step.bodies and not is_host):
                placed.append(value)
                continue
            goal = CPU if is_host else device
            on_cpu = goal == CPU and name in self.constants
            placed.append(self.constants[name] if on_cpu else value.to(goal))
        return placed

    def _in_the_type_moved_to(
        self, inputs: list[Tensor | None], step: Step, moved: torch.dtype
    ) -> list[Tensor | None]:
        """Bring floats that meet data to the type of the data; arithmetic on shapes keeps its own.

        A constant as the file has it, and what the graph computes or casts to that type, would
        otherwise meet data of the type that the twin was moved to.
        """
        names = step.node.inputs
        data = [p for p in _floats(inputs, step) if names[p] not in self.constants]
        meets = any(_dtype(inputs[position]) == moved for position in data)
        placed = list(inputs)
        for position, value in enumerate(inputs):
            if value is None or not value.is_floating_point():
                continue
            if meets and position not in step.op.host:
                placed[position] = value.to(moved)
            elif names[position] in self.constants and (data or position in step.op.host):
                placed[position] = self.constants[names[position]].to(value.device)
        return placed

    def _in_the_widest_type(self, inputs: list[Tensor | None], step: Step) -> list[Tensor | None]:
        """Bring activations to one type; what is stored is left to torch, which casts it itself."""
        names = step.node.inputs
        data = [p for p in _floats(inputs, step) if names[p] not in self.stored]
        types = {_dtype(inputs[position]) for position in data}
        if len(types) < 2:
            return inputs
        widest = reduce(torch.promote_types, types)
        placed = list(inputs)
        for position in data:
            value = inputs[position]
            placed[position] = None if value is None else value.to(widest)
        return placed


def _floats(inputs: Sequence[Tensor | None], step: Step) -> list[int]:
    return [
        position
        for position, value in enumerate(inputs)
        if value is not None and value.is_floating_point() and position not in step.op.host
    ]


def _dtype(value: Tensor | None) -> torch.dtype:
    assert value is not None
    return value.dtype
