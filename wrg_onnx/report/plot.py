"""A sweep as one SVG file: the metric and the latency by what is removed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from wrg_onnx.errors import OutputError
from wrg_onnx.files import renamed
from wrg_onnx.printable import printable
from wrg_onnx.report.budget import QUANTITY_WORDS
from wrg_onnx.report.rows import short_count
from wrg_onnx.report.scale import TICKS, Scale, round_step
from wrg_onnx.report.sweep import SweepCut, SweepPoint, SweepReport

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#666666")
"""Of Okabe and Ito, told apart by the colour-blind, too."""

WIDTH, HEIGHT = 860, 400
TOP, BOTTOM = 88, 340
"""Where the panels begin and end."""


@dataclass(frozen=True, slots=True)
class _Dot:
    """A point of a curve, with the ends of its whisker."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    knee: bool = False


def write_plot(report: SweepReport, path: Path) -> None:
    """Write the picture of a sweep. The file appears whole or not at all.

    Raises:
        OutputError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with renamed(path) as part:
            part.write_text(draw_plot(report), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}") from error


def draw_plot(report: SweepReport) -> str:
    """Return a sweep as SVG: the metric on the left, the latency on the right if it was measured.

    Args:
        report: Of a sweep with at least one cut.
    """
    made = [(point, point.cut) for point in report.points if point.cut is not None]
    names = list(dict.fromkeys(point.criterion for point, _ in made))
    curves = [[pair for pair in made if pair[0].criterion == name] for name in names]
    timed = any(cut.speed for _, cut in made)
    right = 500 if timed else WIDTH - 20
    x_high = max(0.05, *(cut.reached for _, cut in made))
    removed = f"{QUANTITY_WORDS[report.budget]} removed"
    quality = _panel(
        report.metric, [[_quality(*pair) for pair in curve] for curve in curves],
        first=made[0][1].change.before, x=Scale(0, x_high, 60, right), bottom=None,
    )  # fmt: skip
    parts = [*_head(report, names), *quality]
    if timed:
        shares = [
            [_Dot(cut.reached, 1 / cut.speed[0].speedup.value) for _, cut in curve if cut.speed]
            for curve in curves
        ]
        x = Scale(0, x_high, 570, WIDTH - 20)
        parts += _panel("latency (original = 1)", shares, first=1.0, x=x, bottom=0.0)
        parts.append(_text((x.start + x.end) / 2, HEIGHT - 22, removed, "middle"))
    parts.append(_text((60 + right) / 2, HEIGHT - 22, removed, "middle"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="12" fill="#222">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _quality(point: SweepPoint, cut: SweepCut) -> _Dot:
    change = cut.change
    ends: list[float | None] = [None, None]
    if change.low is not None and change.high is not None:
        ends = [change.before + change.low, change.before + change.high]
    return _Dot(cut.reached, change.after, ends[0], ends[1], point.knee)


def _head(report: SweepReport, names: Sequence[str]) -> Iterator[str]:
    """Yield the title and the legend."""
    parameters = short_count(report.before.parameters)
    yield _text(60, 24, f"{Path(report.model).name}, {parameters} parameters", font_weight="bold")
    bars = "" if _has_no_interval(report) else "; bars are 95 % intervals"
    yield _text(WIDTH - 20, 24, f"{report.judged}{bars}", "end", fill="#666", font_size=10)
    x = 60.0
    for number, name in enumerate(names):
        yield f'<circle cx="{x + 5}" cy="45" r="4" fill="{COLOURS[number % len(COLOURS)]}"/>'
        yield _text(x + 14, 49, name)
        x += 34 + 7 * len(name)
    yield _line((x, 45), (x + 20, 45), stroke="#888", stroke_dasharray="4 4")
    yield _text(x + 26, 49, "original")
    if any(point.knee for point in report.points):
        ring = 'r="7" fill="none" stroke="#222" stroke-width="2"'
        yield f'<circle cx="{x + 105}" cy="45" {ring}/>'
        yield _text(x + 118, 49, "knee")


def _has_no_interval(report: SweepReport) -> bool:
    return all(point.cut is None or point.cut.change.low is None for point in report.points)


def _panel(
    title: str,
    curves: Sequence[Sequence[_Dot]],
    *,
    first: float,
    x: Scale,
    bottom: float | None,
) -> Iterator[str]:
    """Yield one panel: axes, the original's value, and a curve for each criterion."""
    dots = [dot for curve in curves for dot in curve]
    values = [first] + [v for dot in dots for v in (dot.y, dot.low, dot.high)
                        if v is not None and math.isfinite(v)]  # fmt: skip
    low = min(values) if bottom is None else bottom
    high = max(values)
    room = 0.06 * (high - low) or 0.01
    y = Scale(low - room if bottom is None else low, high + room, BOTTOM, TOP)
    yield from _axes(title, x, y)
    yield _line((x.start, y(first)), (x.end, y(first)), stroke="#888", stroke_dasharray="4 4")
    for number, curve in enumerate(curves):
        yield from _curve(curve, first, (x, y), COLOURS[number % len(COLOURS)], 7 + 3 * number)


def _axes(title: str, x: Scale, y: Scale) -> Iterator[str]:
    yield _text(x.start, TOP - 10, title, font_weight="bold", font_size=11)
    digits = max(0, -math.floor(math.log10(round_step((y.high - y.low) / TICKS)) + 1e-9))
    for value in y.ticks():
        yield _line((x.start, y(value)), (x.end, y(value)), stroke="#e5e5e5")
        yield _text(x.start - 7, y(value) + 4, f"{value:.{digits}f}", "end", font_size=10)
    for value in x.ticks():
        yield _line((x(value), BOTTOM), (x(value), BOTTOM + 4), stroke="#888")
        yield _text(x(value), BOTTOM + 17, f"{value:.0%}", "middle", font_size=10)
    yield _line((x.start, BOTTOM), (x.end, BOTTOM), stroke="#888")


def _curve(
    dots: Sequence[_Dot], first: float, scales: tuple[Scale, Scale], colour: str, ring: int
) -> Iterator[str]:
    """Yield one curve from the original's value on; knees in one place have rings of two sizes."""
    x, y = scales
    shown = [dot for dot in dots if math.isfinite(dot.y)]
    way = " ".join(f"{x(dot.x)},{y(dot.y)}" for dot in [_Dot(0, first), *shown])
    yield f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>'
    for dot in shown:
        if dot.low is not None and dot.high is not None and math.isfinite(dot.high):
            yield _line(
                (x(dot.x), y(dot.low)),
                (x(dot.x), y(dot.high)),
                stroke=colour,
                stroke_opacity=0.45,
                stroke_width=2,
            )
        yield f'<circle cx="{x(dot.x)}" cy="{y(dot.y)}" r="3.5" fill="{colour}"/>'
        if dot.knee:
            yield (
                f'<circle cx="{x(dot.x)}" cy="{y(dot.y)}" r="{ring}" fill="none" '
                f'stroke="{colour}" stroke-width="2"/>'
            )


def _text(x: float, y: float, text: str, anchor: str = "start", **style: str | float) -> str:
    """Return a text; styles are attributes with ``_`` for ``-``."""
    shown = escape(printable(text))
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{_attributes(style)}>{shown}</text>'


def _line(start: tuple[float, float], end: tuple[float, float], **style: str | float) -> str:
    ends = f'x1="{start[0]}" y1="{start[1]}" x2="{end[0]}" y2="{end[1]}"'
    return f"<line {ends}{_attributes(style)}/>"


def _attributes(style: Mapping[str, str | float]) -> str:
    return "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
