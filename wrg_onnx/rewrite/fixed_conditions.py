"""Conditions that the sizes of tensors decide, where these never vary.

Scripted torch writes ``squeeze`` as an If that asks whether an axis has one position, also where
the file says how many it has.
"""

from __future__ import annotations

import numpy as np

from wrg_onnx.channels.shape_arithmetic import compute_sizes
from wrg_onnx.channels.sizes import Sizes, axis_sizes, constant_sizes, may_be_sizes
from wrg_onnx.graph import Edit, Graph, edited, fixed_sizes


def fix_conditions(graph: Graph) -> Graph:
    """Write the conditions of branches into the graph that fixed sizes decide.

    Args:
        graph: The model, which stays as it is.

    Returns:
        The model with constants as those conditions of its main graph; the graph itself where no
        size decides one.

    Raises:
        ModelError: If shapes contradict each other.
    """
    asked = [node for node in graph.nodes if node.op == "If" and not node.domain]
    asked = [node for node in asked if node.inputs[0] not in graph.constants]
    if not asked:
        return graph
    known = _sizes(graph)
    decided = {}
    for node in asked:
        condition = known.get(node.inputs[0])
        if condition is not None and condition.size == 1:
            (size,) = condition.reshape(-1)
            if not size.is_open:
                decided[node.index, 0] = np.array(bool(size.value))
    return edited(graph, Edit(operands=decided)) if decided else graph


def _sizes(graph: Graph) -> dict[str, Sizes]:
    """Follow shape arithmetic through the main graph; a number that may vary is open."""
    fixed = fixed_sizes(graph)
    known = {
        name: constant_sizes(graph.constants[name])
        for name, form in graph.constants.forms.items()
        if may_be_sizes(form) and name not in graph.fed_constants
    }
    for node in graph.nodes:
        first = fixed.get(node.input(0))
        form = graph.constants.forms.get(node.input(0))
        if first is None and form is not None:
            first = form.shape
        shape = None
        if node.op == "Shape" and first is not None:
            lengths = tuple(0 if size is None else size for size in first)
            none = (None,) * len(lengths)
            shape = axis_sizes(lengths, none, [size is None for size in first])
        if node.op == "Size" and not node.domain and node.inputs[0] in known:
            # How many numbers there are, such as the axes of a tensor.
            known[node.outputs[0]] = constant_sizes(np.array(known[node.inputs[0]].size))
            continue
        operands = [known.get(name) if name else None for name in node.inputs]
        try:
            made = compute_sizes(node, operands, shape)
        except (IndexError, ValueError, OverflowError, TypeError, ZeroDivisionError):
            continue  # no shape arithmetic after all
        if made is not None and node.outputs:
            known[node.outputs[0]] = made
    return known
