"""How long each layer takes in both models."""

from __future__ import annotations

from collections.abc import Sequence

from wrg_onnx.latency.profile import LayerTime, SideBySide
from wrg_onnx.report.bench import LAYER_TITLES, layer_name, layer_rows
from wrg_onnx.report.details import Details
from wrg_onnx.report.page.charts import beside_bars, columns_of, own_names
from wrg_onnx.report.page.parts import (
    Cell,
    Figure,
    Head,
    Legend,
    Section,
    Table,
    missing,
    most_of,
)
from wrg_onnx.report.page.plots.rows import axis, two_bars
from wrg_onnx.report.scale import Scale

LEAST = 0.01
"""Of the time of all layers: what a layer takes at least to be shown."""

PARTS = {"before": "before", "after": "after"}


def timed(details: Details | None) -> Section:
    """Draw each layer's time, as ONNX Runtime's profiler sees it."""
    name, title = "layer-latency", "Latency by layer"
    if details is None or details.latency is None or not details.latency.layers:
        return missing(name, title, "Layers were not timed in this run.")
    found = details.latency
    most = max(map(_longest, found.layers))
    scale = Scale(0, most or 1.0, 0, 99)
    # What takes nearly nothing is not looked for here.
    least = LEAST * sum(map(_longest, found.layers))
    slow = [one for one in found.layers if _longest(one) >= least]
    shown = most_of(slow, [*map(_longest, slow)])
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (row[0], two_bars(one.before_ms, one.after_ms, scale, f"{row[1]} ms, {row[2]} ms"),
         *row[1:])
        for one, row in zip(shown, layer_rows(found, shown), strict=True)
    )  # fmt: skip
    left = len(found.layers) + details.timed_left - len(shown)
    more = f"{left:,} more layers, which take less, are not drawn." if left else ""
    head = Head("milliseconds", axis(scale, "{:.2g}".format, "milliseconds"))
    titles = (LAYER_TITLES[0], head, *LAYER_TITLES[1:])
    plots, words = frozenset({1}), frozenset({len(titles) - 1})
    figure = Figure(
        "layer-latency-drawn", "Time of each layer",
        Table("Milliseconds of each layer", titles, rows, plots, words, more),
        "With the profiler, which itself takes time, and so not the latency above. Layers that run "
        "as one have a number behind their name.",
        Legend(tuple((tone, part) for part, tone in PARTS.items())),
        beside_bars(columns_of(("layer", "part", "value"), _bars(shown)),
                    PARTS, "milliseconds"),
        _listed(found, details.timed_left) if left else None,
    )  # fmt: skip
    return Section(name, title, (figure,))


def _listed(found: SideBySide, left: int) -> Table:
    """Return all layers that a run told of, without drawings."""
    count = len(found.layers)
    said = (
        f"The {count:,} layers that take longest"
        if left
        else f"All {count:,} layers that were timed"
    )
    words = frozenset({len(LAYER_TITLES) - 1})
    return Table(said, LAYER_TITLES, tuple(layer_rows(found, found.layers)), words=words,
                 folded=True)  # fmt: skip


def _longest(one: LayerTime) -> float:
    return max(one.before_ms or 0.0, one.after_ms or 0.0)


def _bars(layers: Sequence[LayerTime]) -> list[tuple[str, str, float]]:
    return [
        (name, part, value)
        for name, one in zip(own_names([*map(layer_name, layers)]), layers, strict=True)
        for part, value in (("before", one.before_ms), ("after", one.after_ms))
        if value is not None
    ]
