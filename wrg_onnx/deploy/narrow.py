"""Which models have narrower numbers than float32 already."""

from __future__ import annotations

from typing import Any

import numpy as np

from wrg_onnx.channels.table import families
from wrg_onnx.choices import Precision
from wrg_onnx.errors import ModelError
from wrg_onnx.graph import Graph, flatten, is_bfloat16

FAMILIES = frozenset({"quantised", "quantised_microsoft"})
"""The files of rules that hold the operators of quantised models."""


def check_is_float32(graph: Graph, precision: Precision) -> None:
    """Refuse a model that has half precision or integers in it: to round twice helps nobody.

    Args:
        graph: The model.
        precision: What it was to become.

    Raises:
        ModelError: If it has, with the node, weight, input or output that says so.
    """
    found = narrow_numbers(graph)
    if found:
        raise ModelError(
            f"'{graph.name}' cannot become {precision.value}: it is already {found}; leave the "
            "option out, or prune the float32 model that it was made from"
        )


def narrow_numbers(graph: Graph) -> str:
    """Say that a model is quantised or in half precision, and what tells; empty if it is neither.

    Args:
        graph: The model.
    """
    return _quantised(graph) or _half(graph)


def _quantised(graph: Graph) -> str:
    known = families()
    for node in flatten(graph).graph.nodes:
        if known.get((node.domain, node.op), frozenset()) & FAMILIES:
            return f"quantised ({node.op} '{node.name}')"
    return ""


def _half(graph: Graph) -> str:
    for what, values in (("input", graph.inputs), ("output", graph.outputs)):
        for value in values:
            if _is_half(value.dtype):
                return f"in half precision ({what} '{value.name}' is {value.dtype})"
    for name, form in flatten(graph).graph.constants.forms.items():
        if _is_half(form.dtype):
            return f"in half precision (weight '{name}' is {form.dtype})"
    return ""


def _is_half(dtype: np.dtype[Any]) -> bool:
    return dtype == np.float16 or is_bfloat16(dtype)
