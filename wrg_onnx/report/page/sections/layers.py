"""Which channels of which layers went, and why others had to stay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from wrg_onnx.report.details import LayerDetail
from wrg_onnx.report.page.charts import columns_of, layer_bars, own_names
from wrg_onnx.report.page.parts import (
    MOST_ROWS,
    Cell,
    Figure,
    Legend,
    Section,
    Table,
    drawn_of,
    listed,
    missing,
    most_of,
)
from wrg_onnx.report.page.plots.rows import stacked_bar
from wrg_onnx.report.records import GroupReport, PruneReport
from wrg_onnx.report.rows import short_count

TITLES = ("layer width", "stay", "of", "gone", "a channel holds")
"""Of the columns that are not drawn."""

PARTS = {"kept": "kept", "frozen": "held", "removed": "gone"}
"""What becomes of channels, and the tones of that."""


Width: TypeAlias = GroupReport | LayerDetail
"""One layer width, with more known of it or less."""


def layers(report: PruneReport) -> Section:
    """Draw each layer width: what stays, what had to stay, and what went."""
    name, title = "layers", "Layers"
    details = report.details
    widths: Sequence[Width] = report.groups if details is None else details.layers
    if not widths:
        return missing(name, title, "No layer width of this model may shrink.")
    left = 0 if details is None else details.layers_left
    shown = most_of(widths, [one.units * one.parameters for one in widths])
    rows = tuple(_rows(shown))
    more = drawn_of(len(widths) + left, "layer widths", "that hold most parameters")
    name_title, *titles = TITLES
    drawn = Table("Channels of each layer", (name_title, "channels", *titles), rows, frozenset({1}),
                  more=more)  # fmt: skip
    # The report has all layers that may shrink, details those that hold most parameters.
    every, what = (
        (report.groups, "layer widths that may shrink") if left else (widths, "layer widths")
    )
    chart = layer_bars(columns_of(("layer", "part", "value"), _bars(shown)), PARTS, "channels")
    figure = Figure(
        "layers-drawn", "What is left of each layer", drawn,
        "In the order of the model. A channel holds so many parameters, in all weights it is in.",
        Legend(tuple((tone, part) for part, tone in PARTS.items())), chart,
        listed(TITLES, [(width.name, *_figures(width)) for width in every], what),
    )  # fmt: skip
    reasons = () if details is None else tuple(_reasons(details.layers))
    if not reasons:
        return Section(name, title, (figure,))
    why = Table("Why channels had to stay", ("why", "channels", "layer widths"), reasons)
    return Section(name, title, (figure, why))


def _parts(width: Width) -> tuple[int, int, int]:
    """Return how many channels are kept though they might go, are frozen, and went."""
    frozen = width.units - width.removable
    return width.kept - frozen, frozen, width.units - width.kept


def _rows(widths: Sequence[Width]) -> Iterator[tuple[Cell, ...]]:
    for width in widths:
        counts, whole = _parts(width), max(width.units, 1)
        pieces = [(100 * count / whole, tone) for count, tone in
                  zip(counts, PARTS.values(), strict=True)]  # fmt: skip
        label = ", ".join(f"{count} {part}" for count, part in zip(counts, PARTS, strict=True))
        yield width.name, stacked_bar(pieces, label), *_figures(width)


def _figures(width: Width) -> tuple[str, ...]:
    share = 1 - width.kept / max(width.units, 1)
    return (f"{width.kept:,}", f"{width.units:,}", f"{share:.0%}", short_count(width.parameters))


def _reasons(widths: Sequence[LayerDetail]) -> Iterator[tuple[Cell, ...]]:
    """Yield each reason with how many channels it holds, most first."""
    held: dict[str, list[int]] = {}
    for width in widths:
        if width.frozen:
            held.setdefault(width.frozen, []).append(width.units - width.removable)
    for reason, counts in sorted(held.items(), key=lambda pair: -sum(pair[1]))[:MOST_ROWS]:
        yield reason, f"{sum(counts):,}", f"{len(counts):,}"


def _bars(widths: Sequence[Width]) -> Iterator[tuple[str, str, int]]:
    for name, width in zip(own_names([one.name for one in widths]), widths, strict=True):
        for part, count in zip(PARTS, _parts(width), strict=True):
            if count:
                yield name, part, count
