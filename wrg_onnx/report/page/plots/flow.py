"""Layer widths as boxes, with lines from those that are read to those that are made of them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from wrg_onnx.report.details import Structure, WidthNode
from wrg_onnx.report.page.markup import middle_cut, tag

WIDE, TALL = 168, 46
"""Pixels of a box."""

BESIDE, BELOW = 18, 34
"""Pixels between boxes."""

EDGE = 8
"""Pixels around everything."""

MOST = 5
"""Boxes beside each other; the others of a level are below them."""

LETTERS = 22
"""Of a name that fit into a box."""


def flow(structure: Structure, label: str) -> Markup:
    """Return the boxes in levels, each below those that it depends on."""
    rows = [row[at : at + MOST] for row in _levels(structure) for at in range(0, len(row), MOST)]
    most = max(map(len, rows))
    width = 2 * EDGE + most * WIDE + (most - 1) * BESIDE
    height = 2 * EDGE + len(rows) * TALL + (len(rows) - 1) * BELOW
    places = {
        node: (EDGE + number * (WIDE + BESIDE), EDGE + level * (TALL + BELOW))
        for level, row in enumerate(rows)
        for number, node in enumerate(row)
    }
    lines = [_edge(places[one.source], places[one.target]) for one in structure.edges]
    boxes = [_box(structure.nodes[node], *place) for node, place in places.items()]
    return tag("svg", *lines, *boxes, class_="plot flow", width=width, height=height, role="img",
               aria_label=label)  # fmt: skip


def _levels(structure: Structure) -> list[list[int]]:
    """Return the nodes by level: one below the deepest that it depends on.

    What depends on nothing is right above what is made of it. Edges against the model's order, as
    of loops, move nothing. Within a level nodes are ordered by where those above them are.
    """
    count = len(structure.nodes)
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for one in structure.edges:
        if one.source < one.target:
            above[one.target].append(one.source)
            below[one.source].append(one.target)
    level = [0] * count
    for node in range(count):
        level[node] = 1 + max((level[other] for other in above[node]), default=-1)
    for node in range(count):
        if not above[node] and below[node]:
            level[node] = min(level[other] for other in below[node]) - 1
    found: list[list[int]] = [[] for _ in range(1 + max(level))]
    for node in range(count):
        found[level[node]].append(node)
    place: dict[int, float] = {}
    for row in found:
        row.sort(key=lambda node: (_mean([place[other] for other in above[node]]), node))
        place |= {node: number for number, node in enumerate(row)}
    return [row for row in found if row]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _edge(start: tuple[float, float], end: tuple[float, float]) -> Markup:
    x1, y1, x2, y2 = start[0] + WIDE / 2, start[1] + TALL, end[0] + WIDE / 2, end[1]
    half = (y1 + y2) / 2
    return tag("path", d=f"M{x1:g} {y1:g}C{x1:g} {half:g} {x2:g} {half:g} {x2:g} {y2:g}",
               class_="edge")  # fmt: skip


def _box(node: WidthNode, x: float, y: float) -> Markup:
    share = node.kept / node.units if node.units else 1.0
    more = f" and {node.widths - 1} more" if node.widths > 1 else ""
    name = middle_cut(node.name, LETTERS - len(more)) + more
    listed = ", ".join(node.members)
    return tag(
        "g",
        tag("title", f"{node.name}{more}: {node.kept} of {node.units} channels stay; in {listed}"),
        tag("rect", x=x, y=y, width=WIDE, height=TALL, rx=6, class_="box"),
        tag("text", name, x=x + 10, y=y + 17),
        tag("text", f"{node.units} → {node.kept}", x=x + 10, y=y + 32, class_="count"),
        tag("rect", x=x + 10, y=y + 37, width=WIDE - 20, height=4, class_="gone"),
        tag("rect", x=x + 10, y=y + 37, width=round((WIDE - 20) * share, 1), height=4,
            class_="kept"),
    )  # fmt: skip
