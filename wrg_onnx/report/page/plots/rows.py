"""Small drawings that stand in the rows of a table, and the axis above them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from wrg_onnx.report.page.markup import tag
from wrg_onnx.report.scale import Scale

TALL = 18
"""Pixels of a drawing."""

AXIS = 16
"""Pixels of an axis."""

Piece = tuple[float, str]
"""A length in percent, and its tone."""


def drawing(label: str, height: int, *parts: Markup) -> Markup:
    """Return an SVG as wide as there is room, with what it shows in words."""
    return tag("svg", *parts, class_="plot", width="100%", height=height, role="img",
               aria_label=label)  # fmt: skip


def stacked_bar(pieces: Iterable[Piece], label: str) -> Markup:
    """Return one bar of several pieces, which add up to 100 at most."""
    parts, start = [], 0.0
    for share, tone in pieces:
        if share > 0:
            parts.append(_rect(start, share, 2, 14, tone))
        start += share
    return drawing(label, TALL, *parts)


def two_bars(before: float | None, after: float | None, scale: Scale, label: str) -> Markup:
    """Return the bar of before above that of after; one that is not known is left out."""
    parts = [
        _rect(0, scale(value), top, 6, tone)
        for value, top, tone in ((before, 2, "before"), (after, 9, "after"))
        if value is not None
    ]
    return drawing(label, TALL, *parts)


def dots(values: Iterable[tuple[float | None, str]], scale: Scale, label: str) -> Markup:
    """Return the places of some values, and a line from the first to the last of them."""
    known = [(scale(value), tone) for value, tone in values if value is not None]
    places = [place for place, _ in known]
    line = _line(min(places), 9, max(places), 9, "way") if len(known) > 1 else Markup("")
    marks = [_mark(place, tone) for place, tone in known]
    return drawing(label, TALL, line, *marks)


def _mark(place: float, tone: str) -> Markup:
    # What was before is a tick: it is seen, too, where what is now lies upon it.
    if tone == "before":
        return _line(place, 0, place, TALL, "before post")
    return tag("circle", cx=f"{place}%", cy=9, r=4.5, class_=tone)


def strip(kept: Sequence[float], removed: Sequence[float], scale: Scale, label: str) -> Markup:
    """Return a tick for each number: above for what stayed, below for what went."""
    return drawing(label, TALL, _ticks(kept, scale, 1, "kept"), _ticks(removed, scale, 10, "gone"))


def boxes(kept: Sequence[float], removed: Sequence[float], scale: Scale, label: str) -> Markup:
    """Return the same of quantiles: a line from the least to the most, a box with half of them."""
    parts = [_box(kept, scale, 1, "kept"), _box(removed, scale, 10, "gone")]
    return drawing(label, TALL, *parts)


def spark(values: Sequence[float], scale: Scale, label: str) -> Markup:
    """Return numbers as one curve, whose scale goes from 0 to 100, without axes."""
    last = max(len(values) - 1, 1)
    up = Scale(0, 100, 17, 1)
    way = " ".join(f"{1000 * i / last:.0f},{up(scale(v))}" for i, v in enumerate(values))
    line = tag("polyline", points=way, class_="curve curve-1", vector_effect="non-scaling-stroke")
    inner = tag("svg", line, width="100%", height=TALL, viewBox=f"0 0 1000 {TALL}",
                preserveAspectRatio="none")  # fmt: skip
    return drawing(label, TALL, inner)


def axis(scale: Scale, shown: Callable[[float], str], title: str) -> Markup:
    """Return the axis of a column, with its title in words for who sees none."""
    ticks = scale.ticks(4)
    parts = []
    for value in ticks:
        place = scale(value)
        anchor = "start" if place < 6 else "end" if place > 94 else "middle"
        parts.append(tag("text", shown(value), x=f"{place}%", y=11, text_anchor=anchor))
        parts.append(_line(place, 13, place, AXIS, "tick"))
    return tag("svg", *parts, class_="plot axis", width="100%", height=AXIS, role="img",
               aria_label=title)  # fmt: skip


def _ticks(values: Sequence[float], scale: Scale, top: int, tone: str) -> Markup:
    """Return ticks as one path in a box that is stretched, with lines that are not."""
    if not values:
        return Markup("")
    way = "".join(f"M{10 * scale(value):.0f} {top}v7" for value in values)
    path = tag("path", d=way, class_=f"marks {tone}", vector_effect="non-scaling-stroke")
    return tag("svg", path, width="100%", height=TALL, viewBox=f"0 0 1000 {TALL}",
               preserveAspectRatio="none")  # fmt: skip


def _box(quantiles: Sequence[float], scale: Scale, top: int, tone: str) -> Markup:
    if len(quantiles) != 5:
        return Markup("")
    least, low, middle, high, most = (scale(value) for value in quantiles)
    half = top + 3.5
    return Markup("").join(
        [
            _line(least, half, most, half, f"marks {tone}"),
            _rect(low, max(high - low, 0.3), top, 7, tone),
            _line(middle, top, middle, top + 7, "median"),
        ]
    )


def _rect(x: float, width: float, y: float, height: float, tone: str) -> Markup:
    return tag("rect", x=f"{x:.2f}%", width=f"{max(width, 0):.2f}%", y=y, height=height,
               class_=tone)  # fmt: skip


def _line(x1: float, y1: float, x2: float, y2: float, tone: str) -> Markup:
    return tag("line", x1=f"{x1}%", y1=y1, x2=f"{x2}%", y2=y2, class_=tone)
