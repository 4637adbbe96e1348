"""Nodes in topological order, which a few files do not have."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx_graphsurgeon as gs
from onnx_graphsurgeon.logger import G_LOGGER

from wrg_onnx.errors import ModelError

# The library reports through exceptions alone; graphsurgeon would print what it then raises.
G_LOGGER.severity = G_LOGGER.CRITICAL + 1


def sort_nodes(model: onnx.ModelProto, name: str) -> None:
    """Bring the nodes of a model and of its bodies into topological order, in place.

    Where they have it they stay as they are: sorting takes time, and may bring them into another.

    Raises:
        ModelError: If there is a cycle.
    """
    for part in _parts(model.graph):
        if _is_sorted(part):
            continue
        light = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
        light.graph.node.extend(part.node)
        light.graph.input.extend(part.input)
        surgeon = gs.import_onnx(light)
        place = {id(node): index for index, node in enumerate(surgeon.nodes)}
        try:
            surgeon.toposort(recurse_subgraphs=False)
        except Exception as error:  # graphsurgeon raises a bare exception of its own
            node = next(n for n in part.node if n.output)
            raise ModelError(
                f"'{name}': the graph has a cycle (it may go through {node.op_type} '{node.name}')"
            ) from error
        order = [place[id(node)] for node in surgeon.nodes]
        nodes = [light.graph.node[index] for index in order]
        del part.node[:]
        part.node.extend(nodes)


def _parts(part: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield the bodies of a graph, and then the graph."""
    for node in part.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _parts(attribute.g)
    yield part


def _is_sorted(part: onnx.GraphProto) -> bool:
    later = {name for node in part.node for name in node.output if name}
    for node in part.node:
        if later.intersection(node.input):
            return False
        later.difference_update(node.output)
    return True
