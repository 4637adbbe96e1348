"""What an edit puts into a graph, and how a file says so.

A pruned file has nodes that its original lacks: copies of a node for one reader, and Adds of
biases. The names that their tensors got are written into the file's metadata, together with the
names that they stand for, so that a reader need not guess.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from wrg_onnx.errors import ModelError
from wrg_onnx.graph.model import Graph, Node

ADDED = "wrg_onnx.added"
"""The key in a file's metadata under which it names the tensors that were put in."""


def read_additions(metadata: Mapping[str, str], graph: Graph) -> dict[str, str]:
    """Read what ``with_additions`` wrote.

    Args:
        metadata: The file's metadata.
        graph: The file's graph. What it lacks, because other tools have changed it, is left out.

    Returns:
        By the name that a tensor got, the name that it stands for.

    Raises:
        ModelError: If the note is not of this form.
    """
    if ADDED not in metadata:
        return {}
    try:
        table = json.loads(metadata[ADDED])
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or not all(isinstance(old, str) for old in table.values()):
        raise ModelError(
            f"'{graph.name}': the note '{ADDED}' in its metadata is broken; prune the original "
            "again, or remove the note"
        )
    made = graph.producers
    return {name: old for name, old in table.items() if name in made and old in made}


def with_additions(metadata: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return metadata with a note of what was put in."""
    if not added:
        return dict(metadata)
    return {**metadata, ADDED: json.dumps(dict(sorted(added.items())), separators=(",", ":"))}


def without_additions(graph: Graph) -> tuple[Node, ...]:
    """Return the nodes of a graph, less those that edits have put in."""
    return tuple(
        node for node in graph.nodes if not _is_copy(graph, node) and not _is_bias(graph, node)
    )


def without_bias(graph: Graph, name: str) -> str:
    """Return the name that a tensor had before an edit put a bias behind it, mostly its own."""
    old = graph.added.get(name, name)
    return old if old != name and _is_bias(graph, graph.producers[old]) else name


def _is_copy(graph: Graph, node: Node) -> bool:
    old = graph.added.get(node.outputs[0]) if node.outputs else None
    return old is not None and not _is_bias(graph, graph.producers[old])


def _is_bias(graph: Graph, node: Node) -> bool:
    """Tell whether a node adds a bias to the tensor that had its output's name before."""
    return (
        node.op == "Add"
        and bool(node.outputs)
        and graph.added.get(node.input(0)) == node.outputs[0]
    )
