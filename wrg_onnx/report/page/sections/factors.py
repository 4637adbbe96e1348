"""What channels were worth: W, R, G and the score of each, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from wrg_onnx.report.details import Details, LayerDetail, UnitNumbers
from wrg_onnx.report.page.charts import columns_of, layer_ticks, own_names
from wrg_onnx.report.page.parts import (
    Cell,
    Figure,
    Head,
    Legend,
    Section,
    Table,
    left_out,
    missing,
    most_of,
)
from wrg_onnx.report.page.plots.rows import axis, boxes, strip
from wrg_onnx.report.scale import LogScale, Scale

TITLES = {"scores": "score", "w": "W (weight)", "r": "R (rank)", "g": "G (gradient)"}
"""Fields of ``LayerDetail``, and what they are called."""

PARTS = {"stays": "kept", "went": "gone"}

WIDE = 50.0
"""So many times the least value the largest is before an axis is of logarithms, at least."""

SKEW = 4.0
"""And so many times the median: places in an order, say, are even, however far they reach."""

LEAST = 1e-6
"""Of the largest value: what is smaller lies at the end of an axis of logarithms."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A quantity that some layers have, on one axis."""

    field: str
    scale: Scale

    @property
    def title(self) -> str:
        return TITLES[self.field]

    @property
    def is_log(self) -> bool:
        return isinstance(self.scale, LogScale)


def factors(details: Details | None, criterion: str) -> Section:
    """Draw what each channel was worth, and of what that was made."""
    name, title = "factors", "What channels were worth"
    if details is None:
        return missing(name, title, "This run kept no scores of single channels.")
    found = [_column(field, details.layers) for field in TITLES]
    columns = [one for one in found if one is not None]
    measured = [one for one in details.layers if any(_of(one, c.field) for c in columns)]
    if not columns or not measured:
        return missing(name, title, f"Criterion '{criterion}' gives single channels no score.")
    shown = most_of(measured, [one.units * one.parameters for one in measured])
    rows = tuple(tuple(_row(one, columns)) for one in shown)
    more = left_out(len(measured), "layer widths")
    titles: tuple[str | Head, ...] = ("layer width", *(_head(column) for column in columns))
    drawn = Table(
        "Scores and factors of each layer's channels", titles, rows,
        plots=frozenset(range(1, 1 + len(columns))), more=more,
    )  # fmt: skip
    logs = [one.title for one in columns if one.is_log]
    said = f" Axes of logarithms: {', '.join(logs)}." if logs else ""
    absent = [TITLES[field].split()[0] for field in ("w", "r", "g")
              if not any(one.field == field for one in columns)]  # fmt: skip
    said += f" Not measured for criterion '{criterion}': {', '.join(absent)}." if absent else ""
    figure = Figure(
        "factors-drawn", f"Each channel by '{criterion}'", drawn,
        "A tick is a channel: those that stay above, those that went below. Wide layers have a "
        f"line from the least to the most, a box with half of them, and the median. W, R and G are "
        f"over their geometric mean in the layer: 1 is what is usual there.{said}",
        Legend(tuple((tone, part) for part, tone in PARTS.items())),
        _chart(shown, columns),
    )  # fmt: skip
    return Section(name, title, (figure,))


def _of(layer: LayerDetail, field: str) -> UnitNumbers | None:
    found: UnitNumbers | None = getattr(layer, field)
    return found


def _column(field: str, layers: Sequence[LayerDetail]) -> _Column | None:
    """Return the axis of a quantity; None where no layer has it."""
    values = [value for layer in layers for value in _numbers(_of(layer, field))]
    if not values:
        return None
    low, high = min(values), max(values)
    positive = [value for value in values if value > 0]
    if low >= 0 and positive and high > WIDE * min(positive) and high > SKEW * median(values):
        least = max(min(positive), high * LEAST)
        return _Column(field, LogScale(least, high, 1, 99))
    low = min(low, 0.0)
    return _Column(field, Scale(low, high if high > low else low + 1, 1, 99))


def _numbers(values: UnitNumbers | None) -> Iterator[float]:
    if values is not None:
        yield from (one for one in values.each if one is not None and math.isfinite(one))
        yield from (one for one in (*values.kept, *values.removed) if math.isfinite(one))


def _head(column: _Column) -> Head:
    return Head(column.title, axis(column.scale, "{:.3g}".format, column.title))


def _row(layer: LayerDetail, columns: Sequence[_Column]) -> Iterator[Cell]:
    yield layer.name
    for column in columns:
        values = _of(layer, column.field)
        if values is None:
            yield ""
        elif values.each:
            kept, removed = _divided(values, layer.alive)
            label = f"{column.title}: {len(kept)} channels that stay, {len(removed)} that went"
            yield strip(kept, removed, column.scale, label)
        else:
            label = f"{column.title}: quantiles of channels that stay, and of those that went"
            yield boxes(values.kept, values.removed, column.scale, label)


def _divided(values: UnitNumbers, alive: Sequence[bool]) -> tuple[list[float], list[float]]:
    kept: list[float] = []
    removed: list[float] = []
    for value, stays in zip(values.each, alive, strict=True):
        if value is not None and math.isfinite(value):
            (kept if stays else removed).append(value)
    return kept, removed


def _chart(layers: Sequence[LayerDetail], columns: Sequence[_Column]) -> Markup | None:
    """Return the first quantity as a chart, which tells the others of each channel."""
    first, *others = columns
    told = {f"v{number}": one.title for number, one in enumerate(others)}
    names = own_names([layer.name for layer in layers])
    rows = [
        (name, *row)
        for name, layer in zip(names, layers, strict=True)
        for row in _units(layer, first, others)
    ]
    if not rows:
        return None
    titles = ("layer", "part", "value", "channel", *told)
    told = {"channel": "channel", **told}
    found: Mapping[str, Sequence[object]] = columns_of(titles, rows)
    return layer_ticks(found, PARTS, first.title, told, is_log=first.is_log)


def _units(
    layer: LayerDetail, first: _Column, others: Sequence[_Column]
) -> Iterator[tuple[object, ...]]:
    values = _of(layer, first.field)
    for unit, value in enumerate(values.each if values is not None else ()):
        if value is None or not math.isfinite(value) or (first.is_log and value <= 0):
            continue
        told = [_each(_of(layer, one.field), unit) for one in others]
        yield ("stays" if layer.alive[unit] else "went", value, unit, *told)


def _each(values: UnitNumbers | None, unit: int) -> float | None:
    return values.each[unit] if values is not None and unit < len(values.each) else None
