"""Ids for the constants of a file: where every unit begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wrg_onnx.channels.axes import Axes
from wrg_onnx.channels.ids import IdArray
from wrg_onnx.channels.traits import traits_of
from wrg_onnx.channels.units import Port, Slot
from wrg_onnx.graph import Form, Graph, is_float
from wrg_onnx.graph.model import captured


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """The ids of all constants.

    Attributes:
        slots: The axes that were given ids, in the order of the ids.
        axes: By name.
        copies: What single readers of a shared vector see instead, by (node index, position).
    """

    slots: tuple[Slot, ...]
    axes: dict[str, Axes]
    copies: dict[Port, Axes]


def number_constants(graph: Graph) -> Constants:
    """Give every axis of every constant fresh ids; int64 constants are shapes and indices.

    Exporters store equal vectors once: the zero biases of all layers of one width, say. Each reader
    of such a vector sees ids of its own, so that it ties no layers together; where the readers then
    keep different positions, they get vectors of their own. Weights stay shared.
    """
    found = Constants((), {}, {})
    slots: list[Slot] = []
    offset = 0
    readers = _readers(graph)
    for name, array in sorted(graph.constants.forms.items()):
        single = readers.get(name, []) if _is_vector(array) else []
        rest: list[Port | None] = [None] if _has_others(graph, name, single) else []
        for reader in [*rest, *single] if len(rest) + len(single) > 1 else [None]:
            ids: list[IdArray | None] = []
            for axis, size in enumerate(array.shape):
                if size < 2 or array.dtype.kind in "bOSU" or array.dtype == np.int64:
                    ids.append(None)
                    continue
                slots.append(Slot(name, axis, offset, size, reader))
                ids.append(np.arange(offset, offset + size))
                offset += size
            own = Axes(array.shape, tuple(ids))
            found.axes.setdefault(name, own)
            if reader is not None:
                found.copies[reader] = own
    return Constants(tuple(slots), found.axes, found.copies)


def _is_vector(array: Form) -> bool:
    return is_float(array.dtype) and array.ndim > 0 and array.size == max(array.shape) > 1


def _readers(graph: Graph) -> dict[str, list[Port]]:
    """Find the nodes that read a constant as one number per channel."""
    found: dict[str, list[Port]] = {}
    for node in graph.nodes:
        for position in traits_of(node).per_channel:
            name = node.input(position)
            # What a caller may feed has one value for all its readers.
            if name in graph.constants and name not in graph.fed_constants:
                found.setdefault(name, []).append((node.index, position))
    return found


def _has_others(graph: Graph, name: str, single: list[Port]) -> bool:
    """Tell whether anything but those readers needs the constant under its name."""
    nodes = graph.consumers.get(name, ())
    count = sum(node.inputs.count(name) for node in nodes)
    return (
        count > len(single)
        or any(name in captured(node) for node in nodes)
        or any(value.name == name for value in graph.outputs)
    )
