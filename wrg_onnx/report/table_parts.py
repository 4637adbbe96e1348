"""What tables of reports have in common."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

MOST_ROWS = 20
"""How many groups or reasons a table shows; JSON has all."""


def table_of(*titles: str) -> Table:
    """Return an empty table whose first column is of names and whose others are of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number else "left", overflow="fold")
    return table


def more_than_shown(count: int, what: str) -> Iterator[Text]:
    """Say how many rows a table leaves out."""
    if count > MOST_ROWS:
        yield Text(f"... and {count - MOST_ROWS} more {what}; --json lists all.")
