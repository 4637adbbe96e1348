"""Local functions, laid into the graph where they are called: counted before they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import onnx
from onnx import inliner

from wrg_onnx.errors import ModelError, one_line

MOST_NODES = 1 << 18
"""How many nodes a model may have once its functions are laid in. Twenty-five functions that each
call the next one twice would make 33 million out of a file of 3 kB."""

TIMES_NODES, FEWEST_NODES = 64, 1 << 14
"""The same by how many the file has: so many times as many, and so many in any case. Exporters
write a function for each layer or operator, and call it from a few dozen places."""

MOST_BYTES = 1 << 28
"""The same in bytes of its message, without its large weights."""

DEEPEST = 100
"""How many functions may call each other in a row."""

Key: TypeAlias = tuple[str, str, str]
"""A function's domain, name and overload."""


@dataclass(frozen=True, slots=True)
class _Size:
    """What a function becomes where it is called.

    Attributes:
        nodes: How many nodes.
        size: Their bytes.
        depth: How many functions call each other in a row.
    """

    nodes: int
    size: int
    depth: int


def inline(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Lay a model's local functions into its graph.

    Args:
        model: The message, which is left as it is; its large weights may be outside.
        name: What messages call it.

    Returns:
        A message without functions; the same one where there are none.

    Raises:
        ModelError: If functions call each other in a circle, or too many in a row; if they would
            become more nodes than the file accounts for, or more than ``MOST_BYTES``; or if they
            cannot be laid in.
    """
    if not model.functions:
        return model
    _count(model, name)
    try:
        return inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"'{name}': its local functions cannot be inlined ({one_line(error)})"
        ) from error


def _count(model: onnx.ModelProto, name: str) -> None:
    """Refuse functions that would become more than a model can be."""
    functions = {_key(one): one for one in model.functions}
    if len(functions) < len(model.functions):
        raise _refusal(name, "two of them have the same name")
    sizes: dict[Key, _Size] = {}
    # Each when all that it calls are known; no recursion, whatever the file says.
    for start in functions:
        waiting = [start]
        open_: set[Key] = set()
        while waiting:
            key = waiting[-1]
            if key in sizes:
                waiting.pop()
                continue
            calls = [call for node in functions[key].node for call in _calls(node, functions)]
            missing = [call for call in calls if call not in sizes]
            if not missing:
                sizes[key] = _size_of(functions[key].node, sizes)
                waiting.pop()
                continue
            open_.add(key)
            circle = next((call for call in missing if call in open_), None)
            if circle is not None:
                raise _refusal(name, f"'{circle[1]}' calls itself")
            waiting += missing
    whole = _size_of(model.graph.node, sizes)
    most = _most_nodes(model)
    if whole.nodes > most or whole.size > MOST_BYTES:
        raise _refusal(
            name,
            f"they would become {whole.nodes} nodes of {whole.size} bytes, and {most} nodes "
            f"of {MOST_BYTES} bytes are the most for this file",
        )
    if whole.depth > DEEPEST:
        raise _refusal(name, f"{whole.depth} call each other in a row, and {DEEPEST} are the most")


def _most_nodes(model: onnx.ModelProto) -> int:
    """Return how many nodes a file may become, by how many it has."""
    parts = (model.graph.node, *(function.node for function in model.functions))
    held = sum(1 for nodes in parts for node in nodes for _ in _with_bodies(node))
    return min(MOST_NODES, max(FEWEST_NODES, TIMES_NODES * held))


def _size_of(nodes: Iterable[onnx.NodeProto], sizes: dict[Key, _Size]) -> _Size:
    count = size = depth = 0
    for node in nodes:
        for inner in _with_bodies(node):
            called = sizes.get(_called(inner))
            count += 1 if called is None else called.nodes
            size += 0 if called is None else called.size
            depth = max(depth, 0 if called is None else called.depth + 1)
        size += node.ByteSize()
    return _Size(count, size, depth)


def _calls(node: onnx.NodeProto, functions: dict[Key, onnx.FunctionProto]) -> Iterator[Key]:
    """Yield the functions that a node, or one in its bodies, calls."""
    return (key for inner in _with_bodies(node) if (key := _called(inner)) in functions)


def _with_bodies(node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
    found = [node]
    for inner in found:  # grows while it is walked
        for attribute in inner.attribute:
            found += attribute.g.node if attribute.HasField("g") else ()
    yield from found


def _key(function: onnx.FunctionProto) -> Key:
    return function.domain, function.name, function.overload


def _called(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _refusal(name: str, why: str) -> ModelError:
    return ModelError(f"'{name}': its local functions cannot be inlined: {why}")
