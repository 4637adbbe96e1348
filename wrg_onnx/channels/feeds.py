"""Random inputs that a model can be run with: integers that index a table stay inside it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import wrg_onnx.channels.rules  # noqa: F401 - declares the traits
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.graph import Array, Graph, Shape, draw_feeds


def random_feeds(
    graph: Graph, shapes: Mapping[str, Shape], rng: np.random.Generator
) -> dict[str, Array]:
    """Draw one random array per input.

    Args:
        graph: The model.
        shapes: A concrete shape per input.
        rng: The source of randomness.

    Returns:
        By input: the user's number where there is one; else normal floats; coin-flip bools; ints in
        [0, 50), below the length of the axis that they index in a table of the file, or 0 and 1 in
        a mask that is summed up.
    """
    return draw_feeds(graph, shapes, rng, index_bounds(graph))


def index_bounds(graph: Graph) -> dict[str, int]:
    """Find what the integers that a model is fed must lie below.

    Args:
        graph: The model; bodies of control flow are not looked into.

    Returns:
        By input: the length of the shortest constant table that it indexes, or 2 for a mask whose
        sums are the positions of tokens. Inputs that neither holds for are left out.
    """
    bounds: dict[str, int] = {}
    for value in graph.inputs:
        if value.dtype.kind not in "iu":
            continue
        same = {value.name}
        for node in graph.nodes:
            traits = traits_of(node)
            if traits.keeps_numbers and node.inputs[0] in same:
                same.add(node.outputs[0])
            if traits.sums_mask and node.inputs[0] in same:
                bounds[value.name] = 2
            for index, table in traits.look_ups.items():
                rows = graph.constants.forms.get(node.input(table))
                if rows is not None and node.input(index) in same:
                    length = rows.shape[node.axis("axis", rank=rows.ndim, default=0)]
                    bounds[value.name] = min(length, bounds.get(value.name, length))
    return bounds
