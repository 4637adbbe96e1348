"""Statistics over the channels that are left: what a cut through a normalisation is held against.

A normalisation sees all channels, and with fewer of them it computes something else. The pruned
model is right if it is the original whose normalisations are shown the channels that are left; how
far that moves the original is another question, and is measured apart.
"""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels import BoolArray, alive_ids
from wrg_onnx.graph import Edit, Graph, Narrowed, edited
from wrg_onnx.rewrite.plan import Plan


def narrowed_nodes(plan: Plan) -> dict[int, Narrowed]:
    """Find the nodes that take statistics over removed channels, and what they are to see.

    Args:
        plan: What is removed.

    Returns:
        By node index, which positions each sees, and how what it makes is spread out again: a
        removed position gets what the first one that is left has, since nobody reads it.
    """
    alive = alive_ids(plan.units, plan.alive)
    found = {}
    for index, analysed in plan.units.nodes.items():
        if analysed.statistics is None:
            continue
        inputs = {}
        for position, axis in analysed.statistics.over:
            ids = analysed.call.axes(position).ids[axis]
            if ids is not None and not (kept := alive(ids)).all():
                inputs[position, axis] = np.flatnonzero(kept)
        outputs = {}
        for position, axis in analysed.statistics.carried:
            ids = analysed.outputs[position].ids[axis]
            if ids is not None and not (kept := alive(ids)).all():
                outputs[position, axis] = _spread(kept)
        if inputs:
            found[index] = Narrowed(inputs, outputs)
    return found


def _spread(kept: BoolArray) -> np.ndarray:
    """Say which of the kept positions each position gets: its own, or the first."""
    places = np.cumsum(kept) - 1
    return np.where(kept, places, 0)


def narrow_statistics(graph: Graph, plan: Plan) -> Graph:
    """Show normalisations only the channels that are left, and keep every shape behind them.

    Args:
        graph: The original model, or one with its nodes.
        plan: What is removed.
    """
    narrowed = narrowed_nodes(plan)
    return edited(graph, Edit(narrowed=narrowed)) if narrowed else graph
