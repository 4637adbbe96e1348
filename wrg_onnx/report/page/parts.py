"""What a page is made of, before any of it is HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, TypeAlias, TypeVar

from markupsafe import Markup, escape

from wrg_onnx.report.details import Picture

Cell: TypeAlias = str | Markup
"""A text, which is escaped, or a drawing."""

Thing = TypeVar("Thing")

MOST_ROWS = 40
"""Rows of a table with drawings of layers."""

LISTED_BYTES = 600_000
"""What a table without drawings takes at most: that of some thousand layers."""

CELL_BYTES = 16
"""What a cell takes beside its text, at most."""


@dataclass(frozen=True, slots=True)
class Head:
    """The title of a column of drawings, with the axis that they share."""

    word: str
    axis: Markup


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure of the headline.

    Attributes:
        label: What it is.
        value: The figure.
        note: What belongs to it: an interval, what there was before.
        tone: ``good``, ``bad`` or ``plain``.
    """

    label: str
    value: str
    note: str = ""
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph.

    Attributes:
        text: What it says.
        tone: ``plain``, ``quiet``, ``note`` or ``alert``.
    """

    text: str
    tone: str = "plain"
    kind: ClassVar[str] = "text"


@dataclass(frozen=True, slots=True)
class Code:
    """Something to be typed.

    Attributes:
        label: What it does.
        text: As a shell takes it.
    """

    label: str
    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what they are.

    Attributes:
        rows: Pairs of them.
    """

    rows: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first cell of a row names it.

    Attributes:
        caption: What it shows.
        titles: Of the columns.
        rows: Their cells.
        plots: The columns that are drawn, which take the room that is left.
        words: The columns of words beside the first; the others are of numbers.
        more: What is not listed, in a sentence; empty where everything is.
        folded: Whether it is shown when asked for.
        compact: Whether its cells are written in as few bytes as they take, all but the first of
            numbers: for long tables.
    """

    caption: str
    titles: tuple[str | Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    plots: frozenset[int] = frozenset()
    words: frozenset[int] = frozenset()
    more: str = ""
    folded: bool = False
    compact: bool = False
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Legend:
    """What the tones of a drawing mean.

    Attributes:
        keys: Pairs of a tone, which is a class of the style sheet, and a word.
    """

    keys: tuple[tuple[str, str], ...]
    kind: ClassVar[str] = "legend"


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing that needs no script, and what a script makes of the same figures.

    Attributes:
        name: Of the element, for links.
        title: What it shows.
        still: The drawing, or a table of drawings; what is printed.
        caption: How it is read; empty where that is plain.
        legend: What its tones mean.
        chart: What Vega-Lite draws when asked to, as JSON; None for nothing.
        table: The figures of a drawing that is no table.
    """

    name: str
    title: str
    still: Markup | Table
    caption: str = ""
    legend: Legend | None = None
    chart: Markup | None = None
    table: Table | None = None
    kind: ClassVar[str] = "figure"


@dataclass(frozen=True, slots=True)
class Strip:
    """The pictures of one image.

    Attributes:
        title: Which one it is.
        said: How good both models are on it.
        pictures: Each with what it shows.
    """

    title: str
    said: str
    pictures: tuple[tuple[str, Picture], ...]
    kind: ClassVar[str] = "strip"


Part: TypeAlias = Text | Code | Facts | Table | Figure | Strip


@dataclass(frozen=True, slots=True)
class Section:
    """One heading, and what stands below it.

    Attributes:
        name: Of the element, for links.
        title: The heading.
        parts: What follows, in order.
    """

    name: str
    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """All that is on a page.

    Attributes:
        title: What it is about.
        lead: The decision in a sentence.
        tiles: The headline.
        alerts: What went wrong, or must not be missed.
        sections: In order.
    """

    title: str
    lead: str
    tiles: tuple[Tile, ...]
    alerts: tuple[str, ...]
    sections: tuple[Section, ...]


def missing(name: str, title: str, why: str) -> Section:
    """Return a section that says in a line why there is nothing in it."""
    return Section(name, title, (Text(why, "quiet"),))


def most_of(things: Sequence[Thing], weights: Sequence[float]) -> list[Thing]:
    """Return the things that a page shows: those of most weight, in their own order."""
    ordered = sorted(range(len(things)), key=lambda place: -weights[place])
    return [things[place] for place in sorted(ordered[:MOST_ROWS])]


def listed(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]], what: str) -> Table | None:
    """Return a folded table of all rows, where a drawing has no room for them; None where it has.

    Args:
        titles: Of the columns.
        rows: Their cells: a name, and numbers.
        what: What they are of.
    """
    if len(rows) <= MOST_ROWS:
        return None
    sizes = [sum(len(escape(cell).encode(errors="replace")) + CELL_BYTES for cell in row)
             for row in rows]  # fmt: skip
    fits = sum(size <= LISTED_BYTES for size in accumulate(sizes))
    said = f"All {len(rows):,}" if fits == len(rows) else f"The first {fits:,} of {len(rows):,}"
    more = f"{len(rows) - fits:,} more {what} are in the JSON alone." if fits < len(rows) else ""
    return Table(f"{said} {what}", titles, tuple(rows[:fits]), more=more, folded=True,
                 compact=True)  # fmt: skip


def drawn_of(count: int, what: str, why: str) -> str:
    """Say which of some things are drawn, and where all are; nothing where all are drawn.

    Args:
        count: How many there are.
        what: What they are.
        why: What those have that are drawn.
    """
    return f"Drawn are the {MOST_ROWS} {what} {why}." if count > MOST_ROWS else ""


def left_out(count: int, what: str) -> str:
    """Say how many of some things a page does not show; nothing where it shows all."""
    left = count - MOST_ROWS
    return f"{left:,} more {what} are not shown; --json --details lists them." if left > 0 else ""
