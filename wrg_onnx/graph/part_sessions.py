"""Parts of a graph as sessions of their own, fed in the middle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from wrg_onnx.choices import Provider
from wrg_onnx.graph.message import fill, is_fed_apart
from wrg_onnx.graph.model import Array, Graph, Node, captured
from wrg_onnx.graph.records import LARGE_COUNT, Source
from wrg_onnx.graph.session import Session, start_session
from wrg_onnx.graph.weights import Entry


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
        self._made = {
            node.output[0]: index
            for index, node in enumerate(self._message.graph.node)
            if node.op_type == "Constant" and node.output and node.output[0] in graph.constants
        }

    def open(
        self,
        inputs: Mapping[str, np.dtype[np.generic]],
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
        new = dict(constants or {})
        nodes = list(_between(self._graph, set(inputs), outputs))
        # What the part needs and is not fed: its constants, in their new form if there is one. The
        # small ones are in the message, the large ones beside it.
        read = {name for node in nodes for name in (*node.inputs, *captured(node))} | set(outputs)
        model = onnx.ModelProto()
        model.ir_version = self._message.ir_version
        model.opset_import.extend(self._message.opset_import)
        part = model.graph
        part.name = "section"
        part.input.extend(
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), None)
            for name, dtype in inputs.items()
            if name in read
        )
        weights: dict[str, Entry] = {}
        for name in sorted(read - set(inputs)):
            array = new.get(name)
            if array is None and name in self._graph.constants:
                form = self._graph.constants.forms[name]
                if form.size >= LARGE_COUNT and is_fed_apart(self._graph, form):
                    weights[name] = self._graph.constants.entries[name]
                elif name in self._initializers:
                    part.initializer.append(self._initializers[name])
                else:
                    part.node.append(self._message.graph.node[self._made[name]])
            elif array is not None and array.size < LARGE_COUNT:
                part.initializer.append(numpy_helper.from_array(array, name))
            elif array is not None:
                weights[name] = array
        part.node.extend(self._message.graph.node[node.index] for node in nodes)
        fill(part, self._weights)
        part.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
        label = f"{self._graph.name}, up to '{outputs[0]}'"
        # A part is often a single layer of a few microseconds.
        return start_session(
            model,
            weights,
            tuple(outputs),
            label,
            provider=self._provider,
            exact=exact,
            spin=False,
            one_thread=self._one_thread,
            widened=self._graph.widened,
        )


def _between(graph: Graph, inputs: set[str], outputs: Sequence[str]) -> Iterator[Node]:
    """Yield the nodes that some tensors need and that come after others, in graph order."""
    wanted = set(outputs) - inputs
    found = []
    for node in reversed(graph.nodes):
        if wanted.intersection(node.outputs):
            found.append(node)
            wanted |= ({*node.inputs} | captured(node)) - inputs - {""}  # an absent input
    yield from reversed(found)
