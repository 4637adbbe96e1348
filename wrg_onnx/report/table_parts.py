"""What tables of reports have in common, and lines of commands: how they fit a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

MOST_ROWS = 20
"""How many groups or reasons a table shows; JSON has all."""

FOLDED = 16
"""Characters of a column of words, at least: longer words are folded, and shorter ones whole."""

NARROW = 60
"""Columns of a terminal below which rows stand one below the other before a word is torn twice."""

GAP = 2
"""Blanks between columns."""

INDENT = 2
"""Blanks before the figures of a row that has lines of its own."""


def command_line(command: str) -> Text:
    """Return a command as a line of its own: whole, however long, so that a copy of it runs."""
    return Text(f"{INDENT * ' '}{command}", no_wrap=True, overflow="ignore")


class FittingTable(Table):
    """A table that is folded only as far as its figures stay whole.

    Where a terminal is too narrow for that, each row is written below the one before: its name,
    and under that its figures with their titles.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Show it as columns or row below row."""
        widths = self._widths(console, options)
        if widths is None:
            yield from self._row_below_row(console, options)
            return
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        yield from super().__rich_console__(console, options)

    def _widths(self, console: Console, options: ConsoleOptions) -> Sequence[int] | None:
        """Divide the terminal among the columns; None where it is too narrow."""
        wide = options.update(max_width=10_000)
        widths, words, whole, wide_titles = [], [], [], []
        for column in self.columns:
            cells = [Measurement.get(console, wide, cell) for cell in column.cells]
            title = Measurement.get(console, wide, column.header)
            longest = max((cell.maximum for cell in cells), default=0)
            word = max((cell.minimum for cell in cells), default=0)
            words.append(word)
            least = longest if _is_of_figures(column) else min(word, FOLDED)
            widths.append(max(least, min(title.minimum, FOLDED), 1))
            whole.append(max(longest, widths[-1]))
            wide_titles.append(max(title.maximum, whole[-1]))
        room = options.max_width - GAP * (len(widths) - 1)
        if sum(widths) > room:
            return None
        found = _grown(_grown(widths, whole, room), wide_titles, room)  # cells before titles
        is_torn = any(2 * width < word for width, word in zip(found, words, strict=True))
        return None if is_torn and options.max_width < NARROW else found

    def _row_below_row(self, console: Console, options: ConsoleOptions) -> RenderResult:
        name, *others = self.columns
        title = _text(console, name.header)
        if title.plain:
            yield Text(title.plain, "bold")
        titles = [_text(console, column.header).plain for column in others]
        cells = [[_text(console, cell) for cell in column.cells] for column in self.columns]
        for first, *figures in zip(*cells, strict=True):
            yield first
            pairs = [
                f"{title} {figure.plain}".strip()
                for title, figure in zip(titles, figures, strict=True)
                if figure.plain
            ]
            if pairs:
                lines = "\n".join(_packed(pairs, options.max_width - INDENT))
                yield Padding(Text(lines), (0, 0, 0, INDENT))


def _grown(widths: Sequence[int], most: Sequence[int], room: int) -> Sequence[int]:
    """Widen columns, narrow ones first, each at most to what it needs."""
    grown = [*widths]
    for _ in range(room - sum(widths)):
        narrow = [number for number, width in enumerate(grown) if width < most[number]]
        if not narrow:
            break
        grown[min(narrow, key=lambda number: grown[number])] += 1
    return grown


def _is_of_figures(column: Column) -> bool:
    return column.justify == "right"


def _text(console: Console, cell: object) -> Text:
    return cell if isinstance(cell, Text) else console.render_str(str(cell))


def _packed(parts: Sequence[str], width: int) -> Iterator[str]:
    """Yield lines of parts with commas between, each as full as the width allows."""
    line = ""
    for number, part in enumerate(parts):
        said = part if number == len(parts) - 1 else f"{part},"
        if line and len(line) + 1 + len(said) > width:
            yield line
            line = said
        else:
            line = f"{line} {said}" if line else said
    yield line


def table_of(*titles: str, words: int = 0) -> Table:
    """Return an empty table whose first column is of names and whose others are of figures.

    Args:
        titles: Of the columns.
        words: How many columns at the end are of words instead.
    """
    table = FittingTable(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        is_of_words = number == 0 or number >= len(titles) - words
        table.add_column(title, justify="left" if is_of_words else "right", overflow="fold")
    return table


def more_than_shown(count: int, what: str) -> Iterator[Text]:
    """Say how many rows a table leaves out."""
    if count > MOST_ROWS:
        yield Text(f"... and {count - MOST_ROWS} more {what}; --json lists all.")
