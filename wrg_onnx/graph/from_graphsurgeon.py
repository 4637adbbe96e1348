"""What onnx-graphsurgeon holds of a model, and the records of ``model.py`` read off it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
import onnx_graphsurgeon as gs

from wrg_onnx.graph.model import Array, Attribute, Graph, Node, Value


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What the records do not hold and a faithful copy of the file needs.

    Attributes:
        surgeon: The graph as onnx-graphsurgeon reads it.
        header: The model's message with an empty graph: versions, producer, metadata.
        fed_initializers: Initializers that are graph inputs as well, in the file's order.
        input_names: All graph inputs, in the file's order, such initializers included.
        aside: Initializers that no node of the main graph reads: those that only a branch or loop
            body reads, and unused ones. graphsurgeon would move the former and drop the latter.
        exported: The message of this graph without its large initializers, and their names, once it
            is known: making it anew takes longer than all else that a session needs.
    """

    surgeon: gs.Graph
    header: onnx.ModelProto
    fed_initializers: frozenset[str]
    input_names: tuple[str, ...]
    aside: Mapping[str, Array]
    exported: list[tuple[onnx.ModelProto, tuple[str, ...]]] = field(default_factory=list)


def read_graph(source: Source, *, name: str, opsets: Mapping[str, int]) -> Graph:
    """Read the records off an onnx-graphsurgeon graph."""
    graph = _read_part(source, source.surgeon, name, dict(opsets), {})
    constants = {**graph.constants, **source.aside}
    return replace(
        graph,
        constants=constants,
        fed_constants=source.fed_initializers,
        metadata={entry.key: entry.value for entry in source.header.metadata_props},
    )


def _read_part(
    source: Source,
    surgeon: gs.Graph,
    name: str,
    opsets: dict[str, int],
    outer: Mapping[str, gs.Tensor],
) -> Graph:
    """Read the main graph or a body; ``outer`` are the tensors of the graphs around it."""
    constants: dict[str, Array] = {}
    nodes = []
    held = surgeon.tensors()
    for tensor in held.values():
        # graphsurgeon counts the outer initializers that a body reads among its tensors.
        is_outer = isinstance(outer.get(tensor.name), gs.Constant) or tensor.name in source.aside
        if isinstance(tensor, gs.Constant) and not is_outer:
            constants[tensor.name] = tensor.values
    visible = {**outer, **held}

    def attribute(value: Any) -> Attribute:
        if isinstance(value, gs.Graph):
            return _read_part(source, value, name, opsets, visible)
        return _attribute(value)

    for index, node in enumerate(surgeon.nodes):
        if node.op == "Constant" and not node.domain:
            value = _constant_value(node)
            if value is not None:
                constants[node.outputs[0].name] = value
                continue
        domain = "" if node.domain in (None, "", "ai.onnx") else node.domain
        nodes.append(
            Node(
                index=index,
                name=node.name or f"{node.op}_{index}",
                op=node.op,
                domain=domain,
                version=opsets.get(domain, 1),
                inputs=tuple(t.name for t in node.inputs),
                outputs=tuple(t.name for t in node.outputs),
                attributes={k: attribute(v) for k, v in node.attrs.items()},
            )
        )
    return Graph(
        name=name,
        nodes=tuple(nodes),
        constants=constants,
        inputs=tuple(_value(t) for t in surgeon.inputs),
        outputs=tuple(_value(t) for t in surgeon.outputs),
        opsets=opsets,
        source=source if surgeon is source.surgeon else surgeon,
    )


def _constant_value(node: gs.Node) -> Array | None:
    """Return the tensor of a Constant node, None for forms that stay nodes (sparse, strings)."""
    for name, value in node.attrs.items():
        if isinstance(value, gs.Constant):
            return np.asarray(value.values)
        if name in ("value_float", "value_floats"):
            return np.asarray(value, np.float32)
        if name in ("value_int", "value_ints"):
            return np.asarray(value, np.int64)
    return None


def _attribute(value: Any) -> Attribute:
    if isinstance(value, gs.Constant):
        return np.asarray(value.values)
    if isinstance(value, list):
        return tuple(value)
    return value  # type: ignore[no-any-return]


def _value(tensor: gs.Tensor) -> Value:
    shape = tensor.shape
    dims = None if shape is None else tuple(_dim(d) for d in shape)
    dtype = np.dtype(np.float32) if tensor.dtype is None else _dtype(tensor.dtype)
    return Value(tensor.name, dtype, dims)


def _dim(dim: Any) -> int | str | None:
    if isinstance(dim, str):
        return dim or None
    # A size of 0 or below is an exporter's way to say "unknown".
    return int(dim) if dim is not None and int(dim) > 0 else None


def _dtype(dtype: Any) -> np.dtype[Any]:
    if isinstance(dtype, int):
        dtype = onnx.helper.tensor_dtype_to_np_dtype(dtype)
    found: np.dtype[Any] = np.dtype(dtype)
    return found
