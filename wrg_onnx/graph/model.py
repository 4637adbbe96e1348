"""The records that the other folders read a model through."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from wrg_onnx.errors import ModelError
from wrg_onnx.graph.weights import Array, Shape, Weights

__all__ = [
    "Array",
    "Attribute",
    "Graph",
    "Node",
    "Shape",
    "Value",
    "bodies",
    "captured",
    "read_outside",
]

Kind: TypeAlias = Literal["tensor", "sequence", "map", "optional value", "sparse tensor"]
"""What a value of a graph is."""

Attribute: TypeAlias = "int | float | str | tuple[Any, ...] | Array | Graph"


@dataclass(frozen=True, slots=True)
class Value:
    """A graph input or output.

    Attributes:
        name: Its name in the file.
        dtype: Its element type.
        shape: One entry per axis: a size, the name of a symbolic size, or None; None as a whole
            where the file does not give a rank.
        number: What the user fills it with where it would be random; None where it is.
        kind: What it is. Of a sequence of tensors ``dtype`` is that of its elements; of anything
            else but a tensor it says nothing.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...] | None
    number: float | None = None
    kind: Kind = "tensor"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operation.

    Attributes:
        index: Its position in the file's node list (Constant nodes are counted, too).
        name: Its name in the file, or ``Op_<index>`` where the file has none.
        op: The operator, such as ``"Conv"``.
        domain: The operator's domain; ``""`` is ai.onnx.
        version: The opset version of that domain which the model imports.
        inputs: Tensor names; ``""`` where an optional input is absent.
        outputs: Tensor names; ``""`` where an optional output is absent.
        attributes: By name: int, float, str, tuple of these, array, or Graph (a branch or body).
    """

    index: int
    name: str
    op: str
    domain: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)

    def __str__(self) -> builtins.str:
        domain = f"{self.domain}." if self.domain else ""
        return f"{domain}{self.op} '{self.name}'"

    def input(self, position: builtins.int) -> builtins.str:
        """Return the name of an input, ``""`` where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else ""

    def int(self, name: builtins.str, default: builtins.int | None = None) -> builtins.int:
        """Return an int attribute.

        Raises:
            ModelError: If it is absent and there is no default, or of another type.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, (builtins.int, np.integer)):
            raise ModelError(f"{self}: attribute '{name}' must be an int, got {value!r}")
        return builtins.int(value)

    def ints(
        self, name: builtins.str, default: tuple[builtins.int, ...] | None = None
    ) -> tuple[builtins.int, ...]:
        """Return an attribute that holds a list of ints.

        Raises:
            ModelError: If it is absent and there is no default, or of another type.
        """
        value = self.attributes.get(name, default)
        if not isinstance(value, tuple):
            raise ModelError(f"{self}: attribute '{name}' must be a list of ints, got {value!r}")
        return tuple(builtins.int(v) for v in value)

    def str(self, name: builtins.str, default: builtins.str) -> builtins.str:
        """Return a string attribute, or the default where it is absent."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, builtins.str) else default

    def axis(
        self, name: builtins.str, *, rank: builtins.int, default: builtins.int | None = None
    ) -> builtins.int:
        """Return an attribute that names an axis, counted from the front.

        Raises:
            ModelError: If it is not in [-rank, rank).
        """
        axis = self.int(name, default)
        if not -rank <= axis < rank:
            raise ModelError(f"{self}: axis must be in [{-rank}, {rank}), got {axis}")
        return axis % rank


@dataclass(frozen=True, eq=False)
class Graph:
    """A model, or the body of a control-flow node: what the file says, in plain records.

    Attributes:
        name: The file's name, for messages.
        nodes: In topological order, without Constant nodes.
        constants: The values of initializers and Constant nodes by tensor name. Large ones stay
            in the file: each is read when it is asked for.
        inputs: What the caller feeds; initializers are not among them.
        outputs: What the caller gets.
        opsets: Imported version by domain; ``""`` is ai.onnx.
        fed_constants: The constants that a caller may feed another value for.
        metadata: Notes that the file carries, by key.
        added: What earlier cuts put in: by the name that a tensor got, the name that it stands for.
        decided: The numbers of inputs that decided which branch is taken, by input: the model is
            for these alone.
        folded: How many nodes were left out, because they depend on no input or are never run.
        widened: Whether ONNX Runtime runs it with float32 in the place of bfloat16, as
            ``fit_to_kernels`` decides; inputs and outputs are then said to be of float32, as they
            are in a run. Constants are as in the file, and it is written with its own types.
        source: The message that the records were read from, for ``graph/`` alone; None of a body.
    """

    name: str
    nodes: tuple[Node, ...]
    constants: Weights
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    opsets: Mapping[str, int]
    source: Any = field(repr=False)
    fed_constants: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    decided: Mapping[str, float] = field(default_factory=dict)
    folded: int = 0
    widened: bool = False

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each tensor, those with a body that reads it included."""
        table: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in sorted({*node.inputs, *captured(node)} - {""}):
                table.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in table.items()}

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that writes each tensor."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    @property
    def opset(self) -> int:
        """The imported version of ai.onnx."""
        return self.opsets.get("", 1)


def bodies(node: Node) -> Iterator[Graph]:
    """Yield the graphs among a node's attributes: branches of If, bodies of Loop and Scan."""
    for value in node.attributes.values():
        if isinstance(value, Graph):
            yield value


def captured(node: Node) -> set[str]:
    """Return the outer tensors that the bodies of a control-flow node read."""
    return {name for body in bodies(node) for name in read_outside(body)}


def read_outside(body: Graph) -> set[str]:
    """Return the outer tensors that a branch or loop body reads."""
    names: set[str] = set()
    # All that the body makes or holds, before anything is looked for in it.
    inner = {value.name for value in body.inputs} | set(body.constants)
    for child in body.nodes:
        inner.update(child.outputs)
    for child in body.nodes:
        names.update(set(child.inputs) - inner)
        names.update(captured(child) - inner)
    names.update({value.name for value in body.outputs} - inner)
    return names - {""}
