"""How long each layer takes in both models."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from wrg_onnx.latency.profile import LayerTime
from wrg_onnx.report.bench import LAYER_TITLES, layer_name, layer_rows
from wrg_onnx.report.details import Details
from wrg_onnx.report.page.charts import beside_bars, columns_of
from wrg_onnx.report.page.parts import Cell, Figure, Legend, Section, Table, first_rows, missing
from wrg_onnx.report.page.plots.rows import axis, two_bars
from wrg_onnx.report.scale import Scale

PARTS = {"before": "before", "after": "after"}


def timed(details: Details | None) -> Section:
    """Draw each layer's time, as ONNX Runtime's profiler sees it."""
    name, title = "layer-latency", "Latency by layer"
    if details is None or details.latency is None or not details.latency.layers:
        return missing(name, title, "Layers were not timed in this run.")
    found = details.latency
    most = max(max(one.before_ms or 0.0, one.after_ms or 0.0) for one in found.layers)
    scale = Scale(0, most or 1.0, 0, 99)
    rows, more = first_rows(
        [
            (row[0], two_bars(one.before_ms, one.after_ms, scale, f"{row[1]} ms, {row[2]} ms"),
             *row[1:])
            for one, row in zip(found.layers, layer_rows(found, found.layers), strict=True)
        ],
        "layers",
    )  # fmt: skip
    if details.timed_left:
        more = f"{more} {details.timed_left:,} layers that take less are not listed.".strip()
    head = Markup("{}{}").format("ms", axis(scale, "{:.2g}".format, "milliseconds"))
    titles: tuple[Cell, ...] = (LAYER_TITLES[0], head, *LAYER_TITLES[1:])
    plots, words = frozenset({1}), frozenset({len(titles) - 1})
    figure = Figure(
        "layer-latency-drawn", "Time of each layer",
        Table("Milliseconds of each layer", titles, rows, plots, words, more),
        "With the profiler, which itself takes time, and so not the latency above. Layers that run "
        "as one have a number behind their name.",
        Legend(tuple((tone, part) for part, tone in PARTS.items())),
        beside_bars(columns_of(("layer", "part", "value"), _bars(found.layers[: len(rows)])),
                    PARTS, "milliseconds"),
    )  # fmt: skip
    return Section(name, title, (figure,))


def _bars(layers: Sequence[LayerTime]) -> list[tuple[str, str, float]]:
    return [
        (layer_name(one), part, value)
        for one in layers
        for part, value in (("before", one.before_ms), ("after", one.after_ms))
        if value is not None
    ]
