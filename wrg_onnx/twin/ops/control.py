"""Control flow: If, Loop and Scan run their bodies, and autograd goes through what ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from wrg_onnx.twin.table import Body, twin_op

if TYPE_CHECKING:
    import numpy as np

    from wrg_onnx.graph.model import Node, Value


@twin_op("If", since=1, host=(0,))
def if_(_node: Node, condition: Tensor, *, bodies: Mapping[str, Body]) -> tuple[Tensor, ...]:
    """Run one of the branches.

    Source: https://onnx.ai/onnx/operators/onnx__If.html
    """
    return bodies["then_branch" if bool(condition) else "else_branch"].run(())


@twin_op("Loop", since=1, host=(0, 1))
def loop(
    _node: Node,
    trips: Tensor | None,
    condition: Tensor | None,
    *states: Tensor,
    bodies: Mapping[str, Body],
) -> tuple[Tensor, ...]:
    """Run the body while it wants, and at most so often; stack what it returns besides states.

    Source: https://onnx.ai/onnx/operators/onnx__Loop.html
    """
    body = bodies["body"]
    goes_on = torch.tensor(True) if condition is None else condition
    gathered: list[tuple[Tensor, ...]] = []
    steps = count() if trips is None else range(int(trips))
    for step in steps:
        if not bool(goes_on):
            break
        goes_on, *results = body.run((torch.tensor(step), goes_on, *states))
        states = tuple(results[: len(states)])
        gathered.append(tuple(results[len(states) :]))
    slices = body.returned[1 + len(states) :]
    columns = zip(*gathered, strict=True) if gathered else ([] for _ in slices)
    stacked = (_stack(column, 0, value) for column, value in zip(columns, slices, strict=True))
    return (*states, *stacked)


@twin_op("Scan", since=9)
def scan(node: Node, *inputs: Tensor, bodies: Mapping[str, Body]) -> tuple[Tensor, ...]:
    """Feed the body one slice after the other; stack what it returns besides states.

    Source: https://onnx.ai/onnx/operators/onnx__Scan.html
    """
    count = node.int("num_scan_inputs")
    return _scan(node, inputs[: len(inputs) - count], inputs[len(inputs) - count :], bodies["body"])


@twin_op("Scan", since=8, host=(0,))
def scan_8(
    node: Node, lengths: Tensor | None, *inputs: Tensor, bodies: Mapping[str, Body]
) -> tuple[Tensor, ...]:
    """Scan each sequence of a batch by itself, as before opset 9; the rest becomes zeros.

    Source: https://onnx.ai/onnx/operators/onnx__Scan.html#scan-8
    """
    count = node.int("num_scan_inputs")
    first = inputs[-1]
    limits = [first.shape[1]] * len(first) if lengths is None else lengths.tolist()
    results = []
    for number, limit in enumerate(limits):
        states = [state[number] for state in inputs[:-count]]
        sequences = [sequence[number, : int(limit)] for sequence in inputs[-count:]]
        final = _scan(node, states, sequences, bodies["body"])
        rest = first.shape[1] - int(limit)
        made = [
            torch.cat([made, made.new_zeros(rest, *made.shape[1:])]) if rest else made
            for made in final[len(states) :]
        ]
        results.append((*final[: len(states)], *made))
    return tuple(torch.stack(column) for column in zip(*results, strict=True))


def _scan(
    node: Node, states: Sequence[Tensor], sequences: Sequence[Tensor], body: Body
) -> tuple[Tensor, ...]:
    made = len(body.returned) - len(states)
    zeros, forward = (0,) * len(sequences), (0,) * made
    axes = node.ints("scan_input_axes", zeros)
    # Opset 8 had another name for the directions, and neither axes nor directions of outputs.
    directions = node.ints("scan_input_directions", node.ints("directions", zeros))
    slices = [
        (sequence.flip(axis) if backward else sequence).unbind(axis)
        for sequence, axis, backward in zip(sequences, axes, directions, strict=True)
    ]
    gathered: list[tuple[Tensor, ...]] = []
    for fed in zip(*slices, strict=True):
        results = body.run((*states, *fed))
        states = results[: len(states)]
        gathered.append(results[len(states) :])
    columns = zip(*gathered, strict=True) if gathered else ([] for _ in range(made))
    stacked = [
        _stack(column[::-1] if backward else column, axis, value)
        for column, axis, backward, value in zip(
            columns,
            node.ints("scan_output_axes", forward),
            node.ints("scan_output_directions", forward),
            body.returned[len(states) :],
            strict=True,
        )
    ]
    return (*states, *stacked)


def _stack(slices: Sequence[Tensor], axis: int, value: Value) -> Tensor:
    """Stack what the iterations made; of none it is empty, with the sizes that the file gives."""
    if slices:
        return torch.stack(tuple(slices), axis)
    sizes = [size if isinstance(size, int) else 0 for size in value.shape or ()]
    sizes.insert(axis if axis >= 0 else axis + len(sizes) + 1, 0)
    return torch.zeros(sizes, dtype=_torch_type(value.dtype))


def _torch_type(dtype: np.dtype[np.generic]) -> torch.dtype:
    found: torch.dtype = getattr(torch, dtype.name)
    return found
