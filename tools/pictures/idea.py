"""The one idea: each operator is applied to arrays of ids, and what goes follows from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import onnx
from markupsafe import Markup

from pictures.frame import WIDTH, Picture, line, rectangle, text
from wrg_onnx.channels import Units, find_units
from wrg_onnx.graph import bind_sizes, from_proto, infer_shapes

NET = """<ir_version: 8, opset_import: ["": 17]> net (float[1,3,8,8] x) => (float[1,4,8,8] y) {
  a = Conv(x, A)  r = Relu(a)  b = Conv(x, B)  c = Concat<axis = 1>(r, b)  y = Conv(c, C) }"""
SHAPES = {"A": (4, 3, 1, 1), "B": (3, 3, 1, 1), "C": (4, 7, 1, 1)}
GONE = (1, 6)
"""The units that go in the picture, as they are numbered there."""

_CELL, _GAP = 26, 2
_LEFT, _RIGHT = WIDTH * 0.27, WIDTH * 0.76
_MIDDLE = WIDTH / 2


def draw_idea() -> Picture:
    """Draw what becomes of the channels of two convolutions that a third one reads."""
    units = _units()
    a, b = _numbers(units, "a"), _numbers(units, "b")
    relu, joined = _numbers(units, "r"), _numbers(units, "c")
    rows = len(_numbers(units, "y"))
    parts = [
        *_head(_LEFT, 24, "Conv A", "its filters make channels"),
        *_head(_RIGHT, 24, "Conv B", "its filters make channels"),
        *_cells(_LEFT, 52, a, a), *_cells(_RIGHT, 52, b, a),
        line((_LEFT, 84), (_LEFT, 100), "bound"),
        text(_LEFT, 116, "Relu: the same ids", anchor="middle"),
        *_cells(_LEFT, 126, relu, a),
        line((_LEFT, 158), (_MIDDLE - 40, 182), "bound"),
        line((_RIGHT, 84), (_MIDDLE + 60, 182), "bound"),
        text(_MIDDLE, 200, "Concat: the arrays joined", anchor="middle"),
        *_cells(_MIDDLE, 210, joined, a),
        line((_MIDDLE, 242), (_MIDDLE, 258), "bound"),
        *_head(_MIDDLE, 276, "Conv C", "each filter reads every channel: columns are tied"),
    ]  # fmt: skip
    for row in range(rows):
        parts += _cells(_MIDDLE, 304 + row * (_CELL + _GAP), joined, a)
    bottom = 304 + rows * (_CELL + _GAP) + 22
    ends = [
        f"Units {GONE[0]} and {GONE[1]} go: two filters in A and B,",
        "and two columns in every filter of C.",
    ]
    parts += [
        text(_MIDDLE, bottom + 18 * n, words, anchor="middle") for n, words in enumerate(ends)
    ]
    return Picture(
        title="Units from arrays of ids",
        says=f"Conv A makes the channels {a}, Conv B {b}. Relu keeps the ids, Concat joins the "
        f"arrays to {joined}, and each filter of Conv C reads them all. Where the units {GONE[0]} "
        f"and {GONE[1]} go, so do two filters and two columns in each of the {rows} filters of C.",
        height=bottom + 36,
        parts=parts,
    )


def _units() -> Units:
    model = onnx.parser.parse_model(NET)
    for name, shape in SHAPES.items():
        array = np.ones(shape, np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    graph = from_proto(model, name="net")
    return find_units(graph, infer_shapes(graph, bind_sizes(graph.inputs)))


def _numbers(units: Units, tensor: str) -> list[int]:
    """Return the units of a tensor's channels, numbered as those of A and B follow each other."""
    ids = units.axes[tensor].ids[1]
    first = units.axes["c"].ids[1]
    if ids is None or first is None:
        raise ValueError(f"'{tensor}' has no channels")
    order = list(units.of(first))
    return [order.index(unit) if unit in order else -1 for unit in units.of(ids)]


def _head(x: float, y: float, name: str, says: str) -> list[Markup]:
    return [text(x, y, name, "bold", "middle"), text(x, y + 17, says, "soft", "middle")]


def _cells(x: float, y: float, numbers: Sequence[int], of_a: Collection[int]) -> list[Markup]:
    """Return a row of channels, its middle at ``x``; those that go are struck out."""
    parts = []
    left = x - len(numbers) * (_CELL + _GAP) / 2
    for place, number in enumerate(numbers):
        at = left + place * (_CELL + _GAP)
        gone = number in GONE
        tone = "rest" if gone else "a" if number in of_a else "c"
        parts.append(rectangle(at, y, _CELL, _CELL, tone))
        words = text(at + _CELL / 2, y + 18, str(number), None if gone else "on", "middle")
        parts.append(words)
        if gone:
            parts.append(line((at + 3, y + _CELL - 3), (at + _CELL - 3, y + 3), "gone"))
    return parts
