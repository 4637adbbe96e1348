"""Where a twin ends: at the outputs, or at what leads to those that no tensor of torch can be.

A label, a map of scores or a list of boxes may be made by operators that have no twin. There is no
gradient behind them, so that they are left out; what they read counts in their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from wrg_onnx.graph.model import Graph, Node, Value, bodies, captured
from wrg_onnx.twin.table import lookup

_TEXT = 8
"""onnx.TensorProto.STRING, of which torch has no tensors."""


def differentiable_part(graph: Graph, outputs: Sequence[str] | None = None) -> Graph:
    """Leave out dead ends that have no twin.

    Args:
        graph: The model.
        outputs: The outputs that are asked for; None for all.

    Returns:
        The model without operators that have no twin, where no output of floats that is asked for
        needs them. Its outputs are those asked for; one that cannot be made, and is not of floats,
        is replaced by the tensors that lead to it.
    """
    lost = _lost(graph)
    if not lost and outputs is None:
        return graph
    asked = [v for v in graph.outputs if outputs is None or v.name in outputs]
    returned: dict[str, Value] = {}
    needed: set[str] = set()
    for value in asked:
        if value.name not in lost or _is_float(value):
            returned[value.name] = value
            needed.add(value.name)
            continue
        for name in _leading_to(graph, value.name, lost):
            returned.setdefault(name, Value(name, np.dtype(np.float32), None))
    # One of these has no twin, and is named by who looks for it.
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed |= _read_by(node)
    nodes = tuple(n for n in graph.nodes if not lost.issuperset(n.outputs) or needed & {*n.outputs})
    return replace(graph, nodes=nodes, outputs=tuple(returned.values()))


def _lost(graph: Graph) -> set[str]:
    """Find the tensors that need an operator without a twin."""
    lost: set[str] = set()
    for node in graph.nodes:
        if not _has_twin(node) or not lost.isdisjoint(_read_by(node)):
            lost.update(node.outputs)
    return lost - {""}


def _has_twin(node: Node) -> bool:
    if node.op == "Cast" and node.attributes.get("to") == _TEXT:
        return False
    return lookup(node.domain, node.op, node.version) is not None and all(
        all(map(_has_twin, body.nodes)) and all(v.kind == "tensor" for v in body.outputs)
        for body in bodies(node)
    )


def _read_by(node: Node) -> set[str]:
    return ({*node.inputs} | captured(node)) - {""}


def _is_float(value: Value) -> bool:
    # The second name is that of ml_dtypes, which numpy does not count among the floats.
    is_float = value.dtype.kind == "f" or value.dtype.name == "bfloat16"
    return is_float and value.kind == "tensor"


def _leading_to(graph: Graph, name: str, lost: set[str]) -> Iterator[str]:
    """Yield the tensors with a twin that what is lost is made of, those of the model's nodes."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        read = sorted(_read_by(graph.producers[waiting.pop()]) - seen)
        seen.update(read)
        waiting += [one for one in read if one in lost]
        yield from (one for one in read if one not in lost and one in graph.producers)
