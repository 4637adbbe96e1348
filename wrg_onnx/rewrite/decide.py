"""Branches that a number decides which the user gives for an input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from wrg_onnx.graph import Array, Edit, Graph, PartSessions, Value, edited
from wrg_onnx.rewrite.fold import fold, is_computable


def decide_branches(graph: Graph) -> Graph:
    """Lay the branches flat that are always taken when inputs have the numbers given for them.

    Nothing else is computed from these numbers, and the inputs stay inputs.

    Args:
        graph: The model; ``Value.number`` says what an input is filled with.

    Returns:
        The model for these numbers alone, with what decided among its ``decided``; the graph itself
        where no such number decides anything.

    Raises:
        DataError: If ONNX Runtime fails on the way to a condition.
    """
    numbers = {v.name: v.number for v in graph.inputs if v.number is not None and _is_fixed(v)}
    given = {v.name: _filled(v, numbers[v.name]) for v in graph.inputs if v.name in numbers}
    found, decisive = graph, set[str]()
    while conditions := {index: (name, of) for index, name, of in _conditions(found, given)}:
        decisive |= {source for _, of in conditions.values() for source in of}
        names = sorted({name for name, _ in conditions.values()})
        types = {name: given[name].dtype for name in given}
        session = PartSessions(found).open(types, names, exact=True)
        fed = [value.name for value in session.engine.get_inputs()]
        values = session.run({name: given[name] for name in fed if name in given})
        chosen = {(i, 0): np.asarray(values[name].all()) for i, (name, _) in conditions.items()}
        found = fold(edited(found, Edit(operands=chosen)))
    if found is graph:
        return graph
    return replace(found, decided={name: numbers[name] for name in sorted(decisive)})


def _is_fixed(value: Value) -> bool:
    return value.shape is not None and all(isinstance(size, int) for size in value.shape)


def _filled(value: Value, number: float) -> Array:
    return np.full([int(size or 0) for size in value.shape or ()], number, value.dtype)


def _conditions(graph: Graph, given: Iterable[str]) -> Iterator[tuple[int, str, frozenset[str]]]:
    """Yield the conditions of the main graph that depend on these inputs and on constants alone.

    Each is the index of its node, the tensor, and the inputs that it depends on.
    """
    known = {name: frozenset[str]() for name in graph.constants.keys() - graph.fed_constants}
    known |= {name: frozenset({name}) for name in given}
    for node in graph.nodes:
        if is_computable(node) and all(name in known for name in node.inputs if name):
            sources = frozenset[str]().union(*(known[name] for name in node.inputs if name))
            known.update(dict.fromkeys(node.outputs, sources))
        elif node.op == "If" and not node.domain and node.inputs[0] in known:
            yield node.index, node.inputs[0], known[node.inputs[0]]
