"""Runs a program on tensors, step after step, and frees each tensor after its last use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from wrg_onnx.errors import ModelError
from wrg_onnx.graph.model import Node
from wrg_onnx.twin.placing import Placing
from wrg_onnx.twin.program import Program, Step, read_by
from wrg_onnx.twin.table import Body, TwinOp


@dataclass(frozen=True, slots=True, eq=False)
class Interpreter:
    """One run of a program.

    Attributes:
        values: The tensors by unique name: constants, what is fed, and what steps made.
        kept: Names that are not freed.
        tapped: Names whose float tensors become leaves that require gradients, where nothing
            before them does.
        placing: Where operands go, and in which type.
        move: Given the name and the new value of a running statistic in training; None otherwise.
        through: By name, a function that a tensor goes through when it is made.
    """

    values: dict[str, Tensor]
    kept: frozenset[str]
    tapped: frozenset[str]
    placing: Placing
    move: Callable[[str, Tensor], None] | None
    through: Mapping[str, Callable[[Tensor], Tensor]]

    def run(self, program: Program, cuts: Sequence[int] = ()) -> None:
        """Compute every step; what the program is fed must be among the values.

        Args:
            program: What to compute.
            cuts: Numbers of steps, ascending, before which a new part begins. What is made inside a
                part is made once more when the backward pass comes there, instead of kept.
        """
        for first, end in pairwise((0, *cuts, len(program.steps))):
            steps = program.steps[first:end]
            if cuts:
                self._run_part(steps)
            else:
                self.run_steps(steps)

    def _run_part(self, steps: Sequence[Step]) -> None:
        read = {n: self.values[n] for s in steps for n in read_by(s) if n in self.values}
        dying = {name for step in steps for name in step.last} - self.kept

        def compute(*operands: Tensor) -> dict[str, Tensor]:
            inner = replace(self, values=dict(zip(read, operands, strict=True)))
            inner.run_steps(steps)
            # What lives on: outputs that later steps read, and what is kept, inside bodies too.
            return {name: value for name, value in inner.values.items() if name not in read}

        self.values.update(checkpoint(compute, *read.values(), use_reentrant=False))
        for name in dying & self.values.keys():
            del self.values[name]

    def run_steps(self, steps: Sequence[Step]) -> None:
        """Compute some steps, and free what no later one reads."""
        for step in steps:
            self._run_step(step)
            for name in step.last:
                if name not in self.kept:
                    del self.values[name]

    def _run_step(self, step: Step) -> None:
        inputs = [self.values[name] if name else None for name in step.node.inputs]
        inputs = self.placing.place(inputs, step)
        if self.move is not None and step.training is not None:
            y, *running = _compute(step.training, step.op, inputs)
            for name, value in running:
                self.move(name, value)
            made = [y]
        else:
            made = list(_compute(step.node, step.op, inputs, self._bodies(step)))
        for name, result in made:
            value = self.through[name](result) if name in self.through else result
            self.values[name] = with_gradient(value) if name in self.tapped else value

    def _bodies(self, step: Step) -> dict[str, Body] | None:
        if not step.bodies:
            return None
        return {
            attribute: Body(partial(self._run_body, body), body.returned)
            for attribute, body in step.bodies.items()
        }

    def _run_body(self, program: Program, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run a body once; its names are unique, so it lives among the values of the others."""
        self.values.update(zip(program.inputs, inputs, strict=True))
        self.run(program)
        outputs = tuple(self.values[name] for name in program.outputs)
        for name in program.own - self.kept:
            self.values.pop(name, None)
        return outputs


def with_gradient(value: Tensor) -> Tensor:
    """Return the tensor, or a leaf of its values where nothing before it requires gradients."""
    if value.requires_grad or not value.is_floating_point():
        return value
    return value.detach().requires_grad_()


def _compute(
    node: Node, op: TwinOp, inputs: Sequence[Tensor | None], bodies: dict[str, Body] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Compute one node; yield its outputs with their names."""
    result = op.function(node, *inputs, bodies=bodies) if bodies else op.function(node, *inputs)
    results = (result,) if isinstance(result, Tensor) else result
    if len(results) < len(node.outputs) and any(node.outputs[len(results) :]):
        raise ModelError(f"{node}: the twin has no output {len(results)} of this operator")
    for name, value in zip(node.outputs, results, strict=False):
        if name:
            yield name, value
