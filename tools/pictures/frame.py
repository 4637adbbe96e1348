"""What the pictures of the pages have in common: their width, their colours, their words.

They are narrow enough to be read on a phone, and dark where the reader's system is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wrg_onnx.report.page.markup import tag
from wrg_onnx.report.scale import LogScale

WIDTH = 440
"""Pixels; a phone shows them at three quarters of their size or more."""

MARGIN = 12
TEXT = 13
"""Pixels of a letter's line."""

_STYLE = Markup("""
text { font: 13px system-ui, sans-serif; fill: #222 } .soft { fill: #595959; font-size: 12px }
.bold { font-weight: 600 } .ground { fill: #fff } .rest { fill: #dcdcdc } .line { stroke: #c4c4c4 }
.bound { stroke: #222; stroke-dasharray: 4 3 } .way { fill: none; stroke-width: 1.4; opacity: .75 }
.a { fill: #0072b2 } .b { fill: #d55e00 } .way.a, .link.a { stroke: #0072b2; fill: none }
.way.b { stroke: #d55e00; fill: none } .link { stroke-width: 2 }
.c { fill: #3c7a3a } .on { fill: #fff } .gone { stroke: #c1121f; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
text { fill: #e8e8e8 } .soft { fill: #b0b4bc } .ground { fill: #1e2129 } .rest { fill: #454b59 }
.line { stroke: #4a4f5a } .bound { stroke: #e8e8e8 } .a { fill: #56b4e9 } .b { fill: #e69f00 }
.way.a, .link.a { stroke: #56b4e9 } .way.b { stroke: #e69f00 } .c { fill: #7cc27a }
.on { fill: #111 } .gone { stroke: #ff8a8a } }
""")


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing and what it shows.

    Attributes:
        title: What it is of.
        says: All that it shows, in words, for whoever does not see it.
        height: Pixels.
        parts: What is drawn, in this order.
    """

    title: str
    says: str
    height: int
    parts: Sequence[Markup]

    def svg(self) -> str:
        """Return the file, a line for each part."""
        ground = rectangle(0, 0, WIDTH, self.height, "ground")
        head = (tag("title", self.title), tag("desc", self.says), tag("style", _STYLE))
        inside = Markup("\n").join((Markup(""), *head, ground, *self.parts, Markup("")))
        return str(
            tag("svg", inside, xmlns="http://www.w3.org/2000/svg", role="img", width=WIDTH,
                height=self.height, viewBox=f"0 0 {WIDTH} {self.height}")
        ) + "\n"  # fmt: skip


def text(
    x: float, y: float, words: str, tone: str | None = None, anchor: str | None = None
) -> Markup:
    """Return words whose line stands at a height; ``anchor`` as in SVG."""
    return tag("text", words, x=_short(x), y=_short(y), class_=tone, text_anchor=anchor)


def rectangle(x: float, y: float, width: float, height: float, tone: str) -> Markup:
    """Return a filled rectangle."""
    return tag("rect", x=_short(x), y=_short(y), width=_short(width), height=_short(height),
               class_=tone)  # fmt: skip


def dot(x: float, y: float, tone: str, radius: float = 3.5) -> Markup:
    """Return a filled circle."""
    return tag("circle", cx=_short(x), cy=_short(y), r=_short(radius), class_=tone)


def line(start: tuple[float, float], end: tuple[float, float], tone: str) -> Markup:
    """Return a straight line."""
    return tag("line", x1=_short(start[0]), y1=_short(start[1]), x2=_short(end[0]),
               y2=_short(end[1]), class_=tone)  # fmt: skip


def way(points: Iterable[tuple[float, float]], tone: str) -> Markup:
    """Return straight lines from point to point."""
    places = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
    return tag("polyline", points=places, class_=f"way {tone}")


def key(y: float, entries: Sequence[tuple[str, str]]) -> list[Markup]:
    """Return one line that says what the tones mean: tone and words of each."""
    parts, x = [], float(MARGIN)
    for tone, words in entries:
        parts += [dot(x + 4, y - 4, tone), text(x + 13, y, words)]
        x += 30 + 6.6 * len(words)
    return parts


def axis(
    scale: LogScale, top: float, bottom: float, words: Sequence[tuple[float, str]]
) -> list[Markup]:
    """Return upright lines at some values, and below each what it is called."""
    parts = []
    for value, called in words:
        x = scale(value)
        parts.append(line((x, top), (x, bottom), "line"))
        parts.append(text(x, bottom + TEXT + 2, called, "soft", "middle"))
    return parts


def _short(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")
