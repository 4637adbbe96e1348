"""What quantised operators are in floats; the forms stand in ``ops/``, beside the twins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from wrg_onnx.extensions import calling_module
from wrg_onnx.graph.model import Node


@dataclass(frozen=True, slots=True)
class IntegerOperand:
    """One operand of a quantised operator.

    Attributes:
        position: Where it is among the inputs.
        scale: Where its scale is; None where the integers themselves are computed with, or where
            the operand is no integer.
        zero_point: Where its zero point is, likewise.
        axis: Which axis a scale of several elements lies along.
    """

    position: int
    scale: int | None
    zero_point: int | None
    axis: int = 1


@dataclass(frozen=True, slots=True)
class Form:
    """A quantised operator in floats.

    Attributes:
        op: The float operator.
        operands: In its order. Those without zero point are passed as they are.
        output: Positions of the output's scale and zero point; None if it is not rounded.
        bias: Position of integers whose scale is the product of those of the first two operands.
        added: Position of floats that are added to the result.
    """

    op: str
    operands: tuple[IntegerOperand, ...]
    output: tuple[int, int] | None = None
    bias: int | None = None
    added: int | None = None


class Step(Enum):
    """What an operator does between floats and integers, where it does nothing else."""

    ROUND = "rounds floats to what integers stand for"
    READ = "reads integers for what they stand for"
    ROUND_BY_RANGE = "rounds floats by their own range"
    MULTIPLY_BY_RANGE = "rounds a factor by its own range, and multiplies"


FormOf: TypeAlias = Callable[[Node], Form]
"""Gives the form of an operator whose operands depend on its node."""


@dataclass(frozen=True, slots=True)
class _Entry:
    form: Form | Step | FormOf
    family: str


_FORMS: dict[tuple[str, str], _Entry] = {}


def float_form(form: Form | Step | FormOf, *ops: str, domain: str = "") -> None:
    """Declare what quantised operators are in floats.

    Args:
        form: The form, or what gives it for a node.
        ops: The operators.
        domain: Their domain; ``""`` is ai.onnx.

    Raises:
        ValueError: If an operator has a form already.
    """
    for op in ops:
        if (domain, op) in _FORMS:
            raise ValueError(f"'{domain}.{op}' has two float forms")
        _FORMS[domain, op] = _Entry(form, calling_module().rpartition(".")[2])


def find_form(node: Node) -> Form | Step | None:
    """Return what a node is in floats, None for one that has nothing to do with integers."""
    entry = _FORMS.get((node.domain, node.op))
    if entry is None:
        return None
    return entry.form if isinstance(entry.form, (Form, Step)) else entry.form(node)


def is_quantised(node: Node) -> bool:
    """Tell whether a node makes, reads or computes with quantised numbers."""
    return (node.domain, node.op) in _FORMS


def form_families() -> Mapping[tuple[str, str], str]:
    """Return by (domain, operator) the file in ``ops/`` that declares its form."""
    return {key: entry.family for key, entry in sorted(_FORMS.items())}
