"""One graph of a quantised model while it is written anew in floats: its tensors and new nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx

from wrg_onnx.channels import traits_of
from wrg_onnx.errors import UnsupportedOperatorError
from wrg_onnx.graph.model import Array, Attribute, Node
from wrg_onnx.graph.subgraphs import Path, Subgraph
from wrg_onnx.twin.floats.integers import Integers, Meaning, integer_range, read_integers
from wrg_onnx.twin.forms import Step, find_form
from wrg_onnx.twin.ops.quantised import OWN

ROUNDED_BY_RANGE = "DynamicQuantizeLinear"
"""The operator that stays what it is: the twin rounds floats by it."""

FIRST_OPSET = 13
"""The float operators are written as of this opset at least; older ones mean less."""


@dataclass(slots=True, eq=False)
class Rewriting:
    """One graph while its nodes are written anew.

    Attributes:
        subgraph: The graph.
        inner: The bodies of the model, by path.
        integers: Filled with the constants that became floats.
        outer: The graph around a body.
        constants: Those of the new graph.
        nodes: Those of the new graph so far.
        meanings: By tensor, how the integers were stored that its floats stand for.
    """

    subgraph: Subgraph
    inner: Mapping[Path, Subgraph]
    integers: dict[str, Integers]
    outer: Rewriting | None = None
    constants: dict[str, Array] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    meanings: dict[str, Meaning] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The opset of the float operators."""
        return max(self.subgraph.graph.opset, FIRST_OPSET)

    def floats(self, node: Node, name: str, meaning: Meaning) -> str:
        """Return the name of the floats that integers stand for when they are read in one way.

        Args:
            node: What reads them.
            name: Their name. A constant becomes floats under its own name; otherwise a step before
                the node reads them.
            meaning: How the node reads them.

        Raises:
            UnsupportedOperatorError: If it is a constant of no integers.
        """
        known = self.known(name)
        if known is None and self._convert(node, name, meaning):
            return name
        if known is None:
            made = self._free(name)
            self.own(node, "StandFor", (name, *meaning.names), made, meaning.attributes)
            return made
        if self.same(known, meaning):
            return name
        made = self._free(name)
        attributes = (meaning if self.is_spread(meaning) else known).attributes
        operands = (name, *known.names, *meaning.names)
        self.own(node, "Reinterpret", operands, made, attributes)
        return made

    def _convert(self, node: Node, name: str, meaning: Meaning) -> bool:
        """Turn a constant of integers into floats, if scale and zero point are constants."""
        holder = self.holder(name)
        scale, zero_point = (self.constant(n) if n else None for n in meaning.names)
        known = (scale is not None or not meaning.scale) and (
            zero_point is not None or not meaning.zero_point
        )
        if holder is None or not known:
            return False
        if integer_range(holder.constants[name].dtype) is None:
            raise refusal(node, f"reads '{name}' of type {holder.constants[name].dtype}")
        found = read_integers(holder.constants[name], scale, zero_point, meaning)
        self.integers[holder.subgraph.unique(name)] = found
        holder.constants[name] = found.to_floats()
        holder.meanings[name] = meaning
        return True

    def holder(self, name: str) -> Rewriting | None:
        """Return the graph that holds a constant, this or one around it; None without one."""
        if name in self.constants:
            return self
        return None if self.outer is None else self.outer.holder(name)

    def constant(self, name: str) -> Array | None:
        """Return the value of a constant, None for any other tensor."""
        holder = self.holder(name)
        return None if holder is None else holder.constants[name]

    def dtype(self, name: str) -> np.dtype[Any] | None:
        """Return the element type of a constant, of what the graph is fed, or of either moved.

        That of other tensors is not known: None.
        """
        constant = self.constant(name)
        if constant is not None:
            return constant.dtype
        fed = {value.name: value.dtype for value in self.subgraph.graph.inputs}
        maker = self.subgraph.graph.producers.get(name)
        if maker is None:
            outer = None if self.outer is None else self.outer.dtype(name)
            return fed.get(name, outer)
        if find_form(maker) is Step.ROUND_BY_RANGE:
            return np.dtype(np.uint8)
        if maker.op == "Cast":
            return onnx.helper.tensor_dtype_to_np_dtype(maker.int("to"))
        return self.dtype(maker.inputs[0]) if traits_of(maker).moves_elements else None

    def known(self, name: str) -> Meaning | None:
        """Return how the integers were stored that a tensor's floats stand for, if they do."""
        if name in self.meanings or self.outer is None:
            return self.meanings.get(name)
        return self.outer.known(name)

    def is_spread(self, meaning: Meaning) -> bool:
        """Whether there are several scales, or might be."""
        if meaning.scale and self.constant(meaning.scale) is None:
            return meaning.scale not in {
                o for n in self.nodes if n.op == ROUNDED_BY_RANGE for o in n.outputs
            }
        values = [self.constant(name) for name in meaning.names if name]
        return any(value is not None and value.size > 1 for value in values)

    def same(self, one: Meaning, other: Meaning) -> bool:
        """Whether integers stand for the same numbers read in either way."""
        if self.is_spread(one) and (one.axis, one.block) != (other.axis, other.block):
            return False
        return all(
            a == b or self._equal(a, b, default)
            for a, b, default in zip(one.names, other.names, (1.0, 0.0), strict=True)
        )

    def _equal(self, one: str, other: str, default: float) -> bool:
        values = [np.array(default) if not name else self.constant(name) for name in (one, other)]
        first, second = values
        return (
            first is not None
            and second is not None
            and np.array_equal(np.squeeze(first), np.squeeze(second))
        )

    def _free(self, name: str) -> str:
        taken = {output for node in self.nodes for output in node.outputs} | set(self.constants)
        number = 1
        while f"{name}/floats{number}" in taken:
            number += 1
        return f"{name}/floats{number}"

    def own(
        self,
        node: Node,
        op: str,
        inputs: tuple[str, ...],
        output: str,
        attributes: Mapping[str, Attribute],
    ) -> None:
        """Write an operator of our own in place of a node."""
        own = replace(node, op=op, domain=OWN, version=1, inputs=inputs, outputs=(output,))
        self.nodes.append(replace(own, attributes=attributes))

    def write(
        self,
        node: Node,
        op: str,
        inputs: Iterable[str],
        outputs: tuple[str, ...],
        version: int | None = None,
    ) -> None:
        """Write an operator of ONNX without attributes in place of a node."""
        opset = version or self.opset
        plain = replace(node, op=op, domain="", version=opset, attributes={})
        self.nodes.append(replace(plain, inputs=tuple(inputs), outputs=outputs))


def refusal(node: Node, cause: str) -> UnsupportedOperatorError:
    """Return the error of a node that has no float form."""
    return UnsupportedOperatorError(
        f"no differentiable twin for {node}, which {cause}: use a criterion without gradient, such "
        "as --criterion wr",
        op=node.op,
        node=node.name,
    )
