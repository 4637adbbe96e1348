"""Parts of a graph as sessions of their own, fed in the middle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.choices import Provider
from wrg_onnx.graph.message import fill, is_fed_apart
from wrg_onnx.graph.model import Array, Graph, Node, captured
from wrg_onnx.graph.records import LARGE_COUNT, Source
from wrg_onnx.graph.session import Session, start_session
from wrg_onnx.graph.weights import Entry

Types: TypeAlias = Mapping[str, np.dtype[np.generic]]


@dataclass(frozen=True, slots=True)
class _Part:
    """Nodes between some tensors.

    Attributes:
        inputs: The element type of each tensor that is fed.
        outputs: The tensors to return.
        unique: Says what a tensor is called that is no constant.
    """

    inputs: Types
    outputs: Sequence[str]
    unique: Callable[[str], str]


class PartSessions:
    """Makes sessions of parts of one graph."""

    def __init__(
        self, graph: Graph, provider: Provider = Provider.CPU, *, one_thread: bool = False
    ) -> None:
        """Look at a graph.

        Args:
            graph: The model.
            provider: Where the parts compute.
            one_thread: As for ``open_session``.
        """
        self._graph = graph
        self._provider, self._one_thread = provider, one_thread
        source: Source = graph.source
        self._message = source.message
        self._weights = source.weights
        self._initializers = {tensor.name: tensor for tensor in self._message.graph.initializer}
        self._places = {node.index: place for place, node in enumerate(graph.nodes)}
        self._made = {
            node.output[0]: index
            for index, node in enumerate(self._message.graph.node)
            if node.op_type == "Constant" and node.output and node.output[0] in graph.constants
        }

    def open(
        self,
        inputs: Types,
        outputs: Sequence[str],
        constants: Mapping[str, Array] | None = None,
        *,
        exact: bool = False,
    ) -> Session:
        """Make a session of the nodes between some tensors.

        Args:
            inputs: The element type of each tensor that is fed.
            outputs: The tensors to return; none of them is fed.
            constants: New values of constants of the main graph, by name.
            exact: As for ``open_session``.

        Returns:
            The session. What it must be fed is ``inputs`` less what no node needs.

        Raises:
            ModelError: If an output depends on a graph input that is not fed, or ONNX Runtime
                refuses the part.
        """
        return self._start([_Part(inputs, outputs, str)], constants or {}, exact=exact)

    def run_apart(
        self, parts: Sequence[tuple[Mapping[str, Array], Sequence[str]]], *, exact: bool = False
    ) -> list[dict[str, Array]]:
        """Run several parts once, in one session; none reads what another is fed or makes.

        Args:
            parts: What each is fed, and which tensors it returns, as for ``open``. Their nodes have
                no bodies.
            exact: As for ``open_session``.

        Returns:
            What each part returns, by name, but for sequences and maps.

        Raises:
            ModelError: As ``open``.
            DataError: If ONNX Runtime refuses what is fed, or fails on it.
        """
        stem = "part"
        while any(name.startswith(stem) for name in self._graph.constants):
            stem += "'"
        own = [
            _Part(
                {name: array.dtype for name, array in feeds.items()},
                outputs,
                f"{stem}{place}/{{}}".format,
            )
            for place, (feeds, outputs) in enumerate(parts)
        ]
        found = self._start(own, {}, exact=exact).run(
            {
                part.unique(name): array
                for part, (feeds, _) in zip(own, parts, strict=True)
                for name, array in feeds.items()
            }
        )
        return [
            {n: found[part.unique(n)] for n in part.outputs if part.unique(n) in found}
            for part in own
        ]

    def _start(self, parts: Sequence[_Part], new: Mapping[str, Array], *, exact: bool) -> Session:
        model = onnx.ModelProto()
        model.ir_version = self._message.ir_version
        model.opset_import.extend(self._message.opset_import)
        joined = model.graph
        joined.name = "section"
        needed: set[str] = set()
        nodes: list[onnx.NodeProto] = []
        for part in parts:
            own = self._between({*part.inputs}, part.outputs)
            read = {name for node in own for name in (*node.inputs, *captured(node))}
            read |= set(part.outputs)
            joined.input.extend(
                helper.make_tensor_value_info(
                    part.unique(name), helper.np_dtype_to_tensor_dtype(dtype), None
                )
                for name, dtype in part.inputs.items()
                if name in read
            )
            needed |= read - set(part.inputs)
            nodes += (self._renamed(node, part) for node in own)
        # What the parts need and are not fed: constants, in their new form if there is one. The
        # small ones are in the message, the large ones beside it.
        weights: dict[str, Entry] = {}
        for name in sorted(needed):
            array = new.get(name)
            if array is None and name in self._graph.constants:
                form = self._graph.constants.forms[name]
                if form.size >= LARGE_COUNT and is_fed_apart(self._graph, form):
                    weights[name] = self._graph.constants.entries[name]
                elif name in self._initializers:
                    joined.initializer.append(self._initializers[name])
                else:
                    joined.node.append(self._message.graph.node[self._made[name]])
            elif array is not None and array.size < LARGE_COUNT:
                joined.initializer.append(numpy_helper.from_array(array, name))
            elif array is not None:
                weights[name] = array
        joined.node.extend(nodes)
        fill(joined, self._weights)
        outputs = tuple(part.unique(name) for part in parts for name in part.outputs)
        joined.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        # A part is often a single layer of a few microseconds.
        return start_session(
            model,
            weights,
            outputs,
            f"{self._graph.name}, up to '{parts[0].outputs[0]}'",
            provider=self._provider,
            exact=exact,
            spin=False,
            one_thread=self._one_thread,
            widened=self._graph.widened,
        )

    def _between(self, inputs: set[str], outputs: Sequence[str]) -> list[Node]:
        """Return the nodes that some tensors need and that come after others, in graph order."""
        found: dict[int, Node] = {}
        waiting = [name for name in outputs if name not in inputs]
        while waiting:
            node = self._graph.producers.get(waiting.pop())
            if node is not None and node.index not in found:
                found[node.index] = node
                waiting += ({*node.inputs} | captured(node)) - inputs - {""}  # an absent input
        return sorted(found.values(), key=lambda node: self._places[node.index])

    def _renamed(self, node: Node, part: _Part) -> onnx.NodeProto:
        """Return a node's message, its tensors called as they are in its part."""
        message: onnx.NodeProto = self._message.graph.node[node.index]
        if part.unique is str:
            return message
        made = onnx.NodeProto()
        made.CopyFrom(message)
        shared = set(self._graph.constants) - set(part.inputs) | {""}
        for names in (made.input, made.output):
            names[:] = [name if name in shared else part.unique(name) for name in names]
        return made
