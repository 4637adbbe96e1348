"""Branches that a number decides which the user gives for an input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from wrg_onnx.channels import traits_of
from wrg_onnx.graph import Array, Edit, Graph, Node, PartSessions, Value, edited
from wrg_onnx.rewrite.fold import fold


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
    found = graph
    while conditions := dict(_conditions(found, set(given))):
        types = {name: array.dtype for name, array in given.items()}
        names = sorted(set(conditions.values()))
        values = PartSessions(found).open(types, names, exact=True).run(given)
        chosen = {(i, 0): np.asarray(values[name].all()) for i, name in conditions.items()}
        found = fold(edited(found, Edit(operands=chosen)))
    if found is graph:
        return graph
    return replace(found, decided=numbers)


def _is_fixed(value: Value) -> bool:
    return value.shape is not None and all(isinstance(size, int) for size in value.shape)


def _filled(value: Value, number: float) -> Array:
    return np.full([int(size or 0) for size in value.shape or ()], number, value.dtype)


def _conditions(graph: Graph, given: set[str]) -> Iterator[tuple[int, str]]:
    """Yield the conditions of the main graph that depend on these inputs and on constants alone."""
    known = given | (graph.constants.keys() - graph.fed_constants)
    for node in graph.nodes:
        if _is_decided(node, known):
            known.update(node.outputs)
        elif node.op == "If" and not node.domain and node.inputs[0] in known:
            yield node.index, node.inputs[0]


def _is_decided(node: Node, known: set[str]) -> bool:
    traits = traits_of(node)
    is_open = traits.draws_random or traits.runs_bodies or node.domain not in ("", "com.microsoft")
    return not is_open and known.issuperset(name for name in node.inputs if name)
