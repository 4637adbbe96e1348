"""Curves in a plane with two axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wrg_onnx.report.page.markup import tag
from wrg_onnx.report.scale import LogScale, Scale

FOOT = 34
"""Pixels below the plane, for the axis and its title."""

HEAD = 26
"""Pixels above it, for the title of the other axis."""

GUTTER = 46
"""Pixels left of it, for the ticks of that: the style sheet keeps them free."""


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a curve, with the ends of its whisker, and whether it has a dot and a ring."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    is_marked: bool = False
    is_dotted: bool = True


@dataclass(frozen=True, slots=True)
class Curve:
    """Points in order.

    Attributes:
        name: What it is of.
        points: From left to right.
        tone: A class of the style sheet.
        is_dotted: Whether each point is drawn, and not the line alone.
    """

    name: str
    points: tuple[Point, ...]
    tone: str
    is_dotted: bool = True


@dataclass(frozen=True, slots=True)
class Axis:
    """One side of the plane.

    Attributes:
        title: What it measures.
        low: Its least value.
        high: Its largest one.
        shown: How a tick is written.
        is_log: Whether it is of logarithms.
    """

    title: str
    low: float
    high: float
    shown: Callable[[float], str]
    is_log: bool = False

    def scale(self, start: float, end: float) -> Scale:
        """Return where its values are between two places."""
        return (LogScale if self.is_log else Scale)(self.low, self.high, start, end)


def plane(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    label: str,
    *,
    height: int = 220,
    reference: float | None = None,
) -> Markup:
    """Return curves, with the values of the upright axis written into the plane, on its lines.

    Args:
        curves: What is drawn.
        x: The axis below.
        y: The upright axis.
        label: What is shown, in words.
        height: Pixels of the plane.
        reference: A value of ``y`` with a dashed line; None for none.
    """
    across, up = x.scale(0.5, 98.0), y.scale(HEAD + height, HEAD)
    parts = [tag("text", y.title, x=-GUTTER, y=11, class_="title")]
    parts += _grid(across, up, x, y, HEAD + height)
    if reference is not None:
        parts.append(_level(up(reference), "reference"))
    for curve in curves:
        parts += _drawn(curve, across, up, HEAD + height + FOOT)
    bottom = HEAD + height + FOOT
    parts.append(tag("text", x.title, x="50%", y=bottom - 3, text_anchor="middle", class_="title"))
    return tag("svg", *parts, class_="plot plane", width="100%", height=bottom, role="img",
               aria_label=label)  # fmt: skip


def _grid(across: Scale, up: Scale, x: Axis, y: Axis, bottom: float) -> list[Markup]:
    parts = []
    for value in up.ticks(5):
        parts.append(_level(up(value), "grid"))
        parts.append(tag("text", y.shown(value), x=-8, y=up(value) + 4, text_anchor="end"))
    for value in across.ticks(5):
        place = across(value)
        anchor = "start" if place < 4 else "end" if place > 94 else "middle"
        parts.append(tag("text", x.shown(value), x=f"{place}%", y=bottom + 14, text_anchor=anchor))
    return parts


def _level(y: float, tone: str) -> Markup:
    return tag("line", x1="0%", y1=y, x2="100%", y2=y, class_=tone)


def _drawn(curve: Curve, across: Scale, up: Scale, height: float) -> list[Markup]:
    way = " ".join(f"{10 * across(p.x):.0f},{up(p.y)}" for p in curve.points)
    line = tag("polyline", points=way, class_=f"curve {curve.tone}",
               vector_effect="non-scaling-stroke")  # fmt: skip
    parts = [tag("svg", line, width="100%", height=height, viewBox=f"0 0 1000 {height}",
                 preserveAspectRatio="none")]  # fmt: skip
    for point in curve.points:
        if not (curve.is_dotted and point.is_dotted):
            continue
        place = f"{across(point.x)}%"
        if point.low is not None and point.high is not None:
            parts.append(tag("line", x1=place, y1=up(point.low), x2=place, y2=up(point.high),
                             class_=f"whisker {curve.tone}"))  # fmt: skip
        parts.append(tag("circle", cx=place, cy=up(point.y), r=4, class_=curve.tone))
        if point.is_marked:
            parts.append(tag("circle", cx=place, cy=up(point.y), r=8, class_=f"ring {curve.tone}"))
    return parts
